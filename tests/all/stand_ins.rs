//! Vendors' kinds on stand-ins: small images whose program looks from inside for what the vendor's would find, and becomes ready in the
//! same way. What it misses it writes down.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::common::{Lab, has, image_root, until};

/// What the programs of stand-ins look for things with.
const LIBRARY: &str = r#"
miss() { echo "$*" >> /missed; }
variable() { eval "is=\$$1"; [ "$is" = "$2" ] || miss "$1 is '$is', not '$2'"; }
holds() { grep -qF -- "$2" "$1" || miss "$1 does not hold '$2': $(cat "$1")"; }
lacks() { grep -qF -- "$2" "$1" && miss "$1 holds '$2'"; true; }
interface() { for i in "$@"; do [ -e /sys/class/net/$i ] || miss "no interface $i among $(ls /sys/class/net)"; done; }
interfaces() { n=$(ls /sys/class/net | grep -cv -e '^lo$' -e '^eth0$'); [ $n = $1 ] || miss "$n interfaces, not $1"; }
setting() { [ "$(cat /proc/sys/$1)" = "$2" ] || miss "$1 is $(cat /proc/sys/$1), not $2"; }
terminal() { [ -t 0 ] || miss "no terminal"; }
first() { [ $$ = 1 ] || miss "process $$ is not the first"; }
user() { [ "$(id -u):$(id -g)" = "$1" ] || miss "user $(id -u):$(id -g), not $1"; }
memory() { grep -q " $1 tmpfs" /proc/mounts || miss "$1 is not in memory"; }
device() { [ -c $1 ] || miss "no device $1"; }
looked() { touch /looked; }
forever() { while :; do sleep 1000; done; }
"#;

/// Makes a root with busybox and these programs.
fn root(place: &Path, programs: &[(&str, &str)]) {
    image_root::busybox(place);
    fs::write(place.join("stand-in"), LIBRARY).unwrap();
    let usual = [
        ("bin/bash", "exec /bin/sh \"$@\""),
        ("bin/sudo", "[ $1 = -E ] && shift; exec \"$@\""),
    ];
    for (path, text) in usual.iter().chain(programs) {
        let path = place.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // busybox may have an applet of that name.
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("#!/bin/sh\n. /stand-in\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Whether this host can run them. Prints why the test is skipped where it cannot.
fn can_stand_in() -> bool {
    has("busybox")
}

/// A lab of one node `n` of a kind on a stand-in, and a host at the ends of its links. It is up, and misses nothing.
#[track_caller]
fn stands_in(
    kind: &str,
    keys: &str,
    links: &[&str],
    programs: &[(&str, &str)],
    beside: &[(&str, &str)],
) -> Lab {
    let mut text = format!(
        "name = \"stand-in\"\n[mgmt]\nipv4_subnet = \"172.29.7.0/24\"\n[nodes.n]\nkind = \"{kind}\"\nimage = \"dir:root\"\n\
         mgmt = {{ ipv4 = \"172.29.7.9\" }}\n{keys}\n[nodes.peer]\nkind = \"host\"\n"
    );
    for (at, link) in links.iter().enumerate() {
        text += &format!("[[links]]\nendpoints = [\"n:{link}\", \"peer:p{at}\"]\n");
    }
    let lab = Lab::new(&text);
    root(&lab.path("root"), programs);
    for (name, text) in beside {
        let path = lab.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    lab.ok(["up", "-d", lab.file()]);
    // Kinds without a health check are ready when their program has been started.
    until("the stand-in to look", || {
        lab.run(["exec", "n", "test", "-e", "/looked"]).code == 0
    });
    assert_eq!(
        lab.sh("n", "cat /missed 2>/dev/null; test -e /looked"),
        "",
        "{kind}"
    );
    lab
}

/// SR Linux: its program, and its command line, which notes what it is told.
const SR_LINUX: [(&str, &str); 2] = [
    (
        "opt/srlinux/bin/sr_linux",
        r#"
variable SRLINUX 1
variable SRL_CHASSIS_MODE ""
user 0:0
terminal
memory /run/netns
setting net/ipv4/ip_forward 0
setting net/ipv6/conf/all/disable_ipv6 0
setting net/ipv6/conf/default/accept_dad 0
setting net/ipv6/conf/default/autoconf 0
[ -e /.dockerenv ] || miss "no /.dockerenv"
interface eth0
. /expected
looked
touch /running
mkdir -p /etc/opt/srlinux/devices
echo "loaded initial configuration" > /etc/opt/srlinux/devices/app_ephemeral.mgmt_server.ready_for_config
forever"#,
    ),
    (
        "opt/srlinux/bin/sr_cli",
        "case \"$*\" in *'application mgmt_server'*) [ -e /running ] && echo '  state running';; *) echo \"$*\" >> /told;; esac",
    ),
];

#[test]
fn sr_linux_finds_its_chassis_and_is_told_its_commands_when_it_is_ready() {
    if !can_stand_in() {
        return;
    }
    let expected = r#"
holds /tmp/topology.yml '"chassis_type": 66'
holds /tmp/topology.yml '"base_mac": "1a:'
holds /tmp/topology.yml '"mda_type": 194'
lacks /tmp/topology.yml pd_type
holds /opt/srlinux/etc/license.key secret
variable CLAB_INTFS 2
interface e1-1 e1-2-3
interfaces 2"#;
    let programs = [SR_LINUX[0], SR_LINUX[1], ("expected", expected)];
    let lab = stands_in(
        "srl",
        "type = \"ixrd3\"\nlicense = \"a.key\"\nconfig = \"set / system\"",
        &["ethernet-1/1", "ethernet-1/2/3"],
        &programs,
        &[("a.key", "secret")],
    );
    assert!(
        lab.sh("n", "cat /told")
            .contains("source /tmp/startup-config.cli")
    );
    assert_eq!(lab.sh("n", "cat /tmp/startup-config.cli"), "set / system");
    // What it was told, it keeps when it is told so.
    assert_eq!(lab.ok(["save"]), "n has kept its configuration\n");
    assert!(lab.sh("n", "tail -1 /told").contains("save startup"));
    lab.run(["save", "peer"])
        .refused(2, &["nothing says how peer keeps"]);
    // It is known by its kind, and its interfaces by their names there.
    assert!(lab.ok(["ps"]).contains("nokia_srlinux"));
    assert!(lab.ok(["graph", lab.file()]).contains("n:ethernet-1/2/3"));
    lab.ok(["exec", "--kind", "nokia_srlinux", "--", "true"]);
}

#[test]
fn a_whole_configuration_of_sr_linux_is_not_told_as_commands() {
    if !can_stand_in() {
        return;
    }
    let expected = "holds /etc/opt/srlinux/config.json '{ \"system\"'\nvariable CLAB_INTFS 0";
    let programs = [SR_LINUX[0], SR_LINUX[1], ("expected", expected)];
    let lab = stands_in(
        "nokia_srlinux",
        "config = { file = \"c.json\" }",
        &[],
        &programs,
        &[("c.json", "{ \"system\": 1 }")],
    );
    lab.sh("n", "! test -e /told");
}

#[test]
fn ceos_has_its_variables_in_both_places() {
    if !can_stand_in() {
        return;
    }
    let init = r#"
first
for v in CEOS=1 EOS_PLATFORM=ceoslab container=docker ETBA=1 SKIP_ZEROTOUCH_BARRIER_IN_SYSDBINIT=1 INTFTYPE=eth MAPETH0=1 MGMT_INTF=eth0; do
    case " $* " in *" systemd.setenv=$v "*) ;; *) miss "no systemd.setenv=$v";; esac
    variable "${v%%=*}" "${v#*=}"
done
user 0:0
variable CLAB_INTFS 2
interface eth0 eth1 eth2_1
interfaces 2
holds /mnt/flash/startup-config 'hostname n'
holds /mnt/flash/startup-config 'ip address 172.29.7.9/24'
holds /mnt/flash/startup-config 'Management0 172.29.7.1'
holds /mnt/flash/system_mac_address '1a:'
looked
touch /up
forever"#;
    stands_in(
        "ceos",
        "",
        &["Ethernet1", "Ethernet2/1"],
        &[("sbin/init", init), ("bin/Cli", "[ -e /up ]")],
        &[],
    );
}

#[test]
fn xrd_knows_its_interfaces_by_both_names() {
    if !can_stand_in() {
        return;
    }
    let init = r#"
first
variable XR_FIRST_BOOT_CONFIG /etc/xrd/first-boot.cfg
variable XR_MGMT_INTERFACES 'linux:eth0,xr_name=Mg0/RP0/CPU0/0,chksum,snoop_v4,snoop_v6'
variable XR_INTERFACES 'linux:Gi0-0-0-0,xr_name=Gi0/0/0/0;linux:Gi0-0-0-1,xr_name=Gi0/0/0/1'
interface Gi0-0-0-0 Gi0-0-0-1
holds /etc/xrd/first-boot.cfg 'hostname n'
holds /etc/xrd/first-boot.cfg 'ipv4 address 172.29.7.9/24'
touch /xr-storage/x || miss "/xr-storage cannot be written to"
looked
forever"#;
    stands_in(
        "cisco_xrd",
        "entrypoint = [\"/sbin/xr\"]",
        &["Gi0/0/0/0", "GigabitEthernet0/0/0/1"],
        &[("sbin/xr", init)],
        &[],
    );
}

#[test]
fn crpd_gets_its_license_once_it_answers() {
    if !can_stand_in() {
        return;
    }
    let program = "terminal\nholds /config/juniper.conf 'host-name other'\nholds /config/license/license.lic key\n\
                   holds /etc/ssh/sshd_config netconf\ntouch /var/log/x\nlooked\ntouch /up\nforever";
    let lab = stands_in(
        "crpd",
        "entrypoint = [\"/sbin/runit\"]\nlicense = \"l.lic\"\nconfig = \"system { host-name other; }\"",
        &["eth1"],
        &[
            ("sbin/runit", program),
            ("bin/cli", "[ -e /up ] && echo \"cli $*\" >> /told"),
            ("bin/service", "echo \"service $*\" >> /told"),
        ],
        &[("l.lic", "key")],
    );
    let told = lab.sh("n", "grep -v 'cli show version' /told");
    assert_eq!(
        told,
        "service ssh restart\ncli request system license add /config/license/license.lic\n"
    );
}

#[test]
fn sonic_starts_its_services_beside_a_shell_with_a_terminal() {
    if !can_stand_in() {
        return;
    }
    let lab = stands_in(
        "sonic-vs",
        "config = { file = \"db.json\" }",
        &["eth1"],
        &[
            (
                "bin/supervisord",
                "holds /etc/sonic/config_db.json '{}'\ninterface eth1\nlooked\necho supervisord >> /told",
            ),
            ("bin/supervisorctl", "echo \"supervisorctl $*\" >> /told"),
        ],
        &[("db.json", "{}")],
    );
    assert_eq!(
        lab.sh("n", "cat /told"),
        "supervisord\nsupervisorctl start bgpd\n"
    );
    // It would have ended without a terminal.
    let main = lab.node("n")["services"][0].to_string();
    assert!(
        main.to_lowercase().contains("ready") || main.to_lowercase().contains("running"),
        "{main}"
    );
}

#[test]
fn vyos_finds_its_configuration() {
    if !can_stand_in() {
        return;
    }
    let init = "first\nholds /opt/vyatta/etc/config/config.boot 'host-name n'\n\
                holds /opt/vyatta/etc/config/config.boot 'address 172.29.7.9/24'\ninterface eth1\nlooked\nforever";
    stands_in("vyos", "", &["eth1"], &[("sbin/init", init)], &[]);
}

#[test]
fn vpp_finds_its_devices_and_files() {
    if !can_stand_in() {
        return;
    }
    let init = "device /dev/net/tun\nholds /etc/vpp/startup.conf nodaemon\nholds /etc/vpp/vppcfg.yaml bondethernets\n\
                interface eth1\nlooked\nforever";
    let keys = "config = \"bondethernets: {}\"";
    stands_in(
        "fdio_vpp",
        keys,
        &["eth1"],
        &[("sbin/init-container.sh", init)],
        &[],
    );
}

#[test]
fn ixia_c_is_ready_when_it_says_so_in_a_file() {
    if !can_stand_in() {
        return;
    }
    let program = "interface eth1 eth2\nvariable CLAB_INTFS 2\nlooked\nsleep 1\n\
                   mkdir -p /home/keysight/ixia-c-one\ntouch /home/keysight/ixia-c-one/init-done\nforever";
    let lab = stands_in(
        "keysight_ixia-c-one",
        "entrypoint = [\"/sbin/ixia\"]",
        &["eth1", "eth2"],
        &[("sbin/ixia", program)],
        &[],
    );
    // It was not ready before.
    lab.sh("n", "test -e /home/keysight/ixia-c-one/init-done");
}

#[test]
fn sr_os_knows_its_chassis_and_its_ports() {
    if !can_stand_in() {
        return;
    }
    let program = "variable NOKIA_SROS_CHASSIS sr-2s\nvariable NOKIA_SROS_SLOT A\nvariable SRSIM 1\n\
                   setting net/ipv4/ip_forward 0\nsetting net/ipv4/conf/all/rp_filter 0\nsetting net/ipv6/conf/all/accept_ra 0\ninterface e1-1-c1-1\n\
                   holds /home/sros/flash3/config.cfg configure\nlooked\nforever";
    // The stand-in does with a smaller host than the vendor's.
    let kind = nslab::kinds::shipped("nokia_srsim").unwrap();
    let kind = kind
        .replace("cpus = 4", "cpus = 1")
        .replace("memory = \"4G\"", "memory = \"1G\"");
    stands_in(
        "nokia_srsim",
        "entrypoint = [\"/sbin/sros\"]\ntype = \"sr-2s\"\nconfig = \"/configure card 1\"",
        &["1/1/c1/1"],
        &[("sbin/sros", program)],
        &[("kinds/nokia_srsim.toml", &kind)],
    );
}

#[test]
fn plain_daemons_find_their_configuration() {
    if !can_stand_in() {
        return;
    }
    for (kind, path) in [
        ("bird", "/etc/bird/bird.conf"),
        ("gobgp", "/etc/gobgp/gobgpd.conf"),
        ("openbgpd", "/etc/bgpd.conf"),
        ("frr", "/etc/frr/frr.conf"),
    ] {
        let program = format!(
            "holds {path} 'router id 1'\nsetting net/ipv4/ip_forward 1\ninterface eth1\nlooked\nforever"
        );
        stands_in(
            kind,
            "entrypoint = [\"/sbin/daemon\"]\nconfig = \"router id 1\"",
            &["eth1"],
            &[("sbin/daemon", &program), ("bin/vtysh", "true")],
            &[],
        );
    }
}

/// Two SR Linux systems with a management network of their own and static addresses.
#[test]
fn a_topology_of_two_sr_linux_systems_runs_on_the_stand_in() {
    if !can_stand_in() {
        return;
    }
    let lab = Lab::new("");
    let expected = "variable CLAB_INTFS 1\nvariable CLAB_LABEL_ROLE leaf\ninterface e1-1\nholds /tmp/topology.yml '\"chassis_type\": 72'";
    root(
        &lab.path("root"),
        &[SR_LINUX[0], SR_LINUX[1], ("expected", expected)],
    );
    let topology = "name: srl-pair\nmgmt:\n  network: srl-mgmt\n  ipv4-subnet: 172.29.8.0/24\ntopology:\n  kinds:\n    srl:\n      \
                    image: dir:root\n      labels: { role: leaf }\n  nodes:\n    srl1: { kind: srl, mgmt-ipv4: 172.29.8.11 }\n    \
                    srl2: { kind: srl, mgmt-ipv4: 172.29.8.12 }\n  links:\n    - endpoints: [\"srl1:e1-1\", \"srl2:e1-1\"]\n";
    let path = lab.path("srl.clab.yml");
    fs::write(&path, topology).unwrap();
    let path = path.to_str().unwrap();
    lab.ok(["up", "-d", path]);
    let missed = |node: &str| lab.sh(node, "cat /missed 2>/dev/null; test -e /looked");
    assert_eq!((missed("srl1"), missed("srl2")), (String::new(), String::new()));
    for (node, address) in [("srl1", "172.29.8.11/24"), ("srl2", "172.29.8.12/24")] {
        assert!(lab.sh(node, "ip addr show eth0").contains(address));
    }
    assert!(lab.ok(["graph", path]).contains("srl2"));
    // Another one in its place.
    fs::write(path, topology.replace("172.29.8.12", "172.29.8.22")).unwrap();
    lab.ok(["up", "-d", "--reconfigure", path]);
    assert!(lab.sh("srl2", "ip addr show eth0").contains("172.29.8.22/24"));
}
