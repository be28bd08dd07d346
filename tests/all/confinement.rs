//! Root in a node is not root on the host: every row of the table in docs/security.md is tried, by a program in nodes.

use crate::common;

use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::process::Command;

use common::{Lab, has, has_frr, in_package, run, until};

/// What was tried, and whether it worked; nothing where it could not be tried.
type Outcome = BTreeMap<String, Option<bool>>;

const PROBE: &str = "/srv/probe.py";

/// A lab file whose nodes have the probe.
fn with_probe(text: &str) -> String {
    let probe = in_package("tests/data/probe.py");
    format!(
        "{text}\n[defaults.files]\n\"{PROBE}\" = {{ from = {:?}, mode = \"0755\" }}\n",
        probe.to_str().unwrap()
    )
}

/// A socket of the host's where nodes see files of the host's.
struct Socket {
    path: String,
    _listener: UnixListener,
    _directory: tempfile::TempDir,
}

impl Socket {
    fn open() -> Socket {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = directory.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).unwrap();
        Socket {
            path: path.to_str().unwrap().to_owned(),
            _listener,
            _directory: directory,
        }
    }

    /// The command that tries everything.
    fn probe(&self) -> Vec<String> {
        let shadow = run(Command::new("sha256sum").arg("/etc/shadow")).expect(0);
        let sum = shadow.split_whitespace().next().unwrap().to_owned();
        let mut words = vec!["python3".into(), PROBE.into(), sum, self.path.clone()];
        words.extend(homes());
        words
    }

    /// What worked of that with `nslab exec` in a node.
    #[track_caller]
    fn tried_in(&self, lab: &Lab, node: &str) -> Outcome {
        let words = ["exec".into(), node.into()].into_iter().chain(self.probe());
        outcome(&lab.ok(words))
    }
}

/// Files of the host's users. A program in a node makes some of its own there, such as its history.
fn homes() -> Vec<String> {
    let entries = ["/root", "/home"]
        .into_iter()
        .flat_map(|path| std::fs::read_dir(path).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path().to_str().unwrap().to_owned());
    let is_plain = |path: &String| !path.contains("history") && !path.contains([' ', '\'']);
    paths.filter(is_plain).take(20).collect()
}

fn outcome(text: &str) -> Outcome {
    serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

/// What the document says: the row, and whether a node may without and with `privileged`.
fn documented() -> BTreeMap<String, (bool, bool)> {
    let text = std::fs::read_to_string(in_package("docs/security.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.trim_end_matches(" |").split(" | ");
        let (what, usual, privileged) = (cells.next()?, cells.next()?, cells.next()?);
        let is_word = |cell: &str| ["yes", "no"].contains(&cell);
        (is_word(usual) && is_word(privileged))
            .then(|| (what.to_owned(), (usual == "yes", privileged == "yes")))
    });
    rows.collect()
}

/// Insists that what happened is what the document says of nodes without rights of their own.
#[track_caller]
fn insist(what: &Outcome, documented: &BTreeMap<String, (bool, bool)>, who: &str) {
    let wrong: Vec<&String> = documented
        .iter()
        .filter(|(row, (usual, _))| what[*row].is_some_and(|worked| worked != *usual))
        .map(|(row, _)| row)
        .collect();
    assert!(wrong.is_empty(), "{who}: {wrong:#?}");
}

#[test]
fn what_root_in_a_node_can_do_is_what_the_document_says() {
    if !has("python3") {
        return;
    }
    let lab = Lab::up(&with_probe(
        r#"
name = "table"
[nodes.a]
kind = "host"
[nodes.r]
kind = "router"
engine = "builtin"
config = "router bgp 65000\n"
[nodes.p]
kind = "host"
privileged = true
"#,
    ));
    let socket = Socket::open();
    let documented = documented();
    let usual = socket.tried_in(&lab, "a");
    let rows: Vec<&String> = usual.keys().collect();
    assert_eq!(
        rows,
        documented.keys().collect::<Vec<_>>(),
        "the rows are those of the document"
    );
    insist(&usual, &documented, "exec in a host");
    insist(&socket.tried_in(&lab, "r"), &documented, "exec in a router");
    // What else a privileged node may depends on the kernel; these show that it is one.
    let privileged = socket.tried_in(&lab, "p");
    for (row, (usual, may)) in &documented {
        assert!(*may || privileged[row] != Some(true), "privileged: {row}");
        assert!(*may || !usual, "{row}");
    }
    for row in [
        "mount a file system",
        "set the clock",
        "make other namespaces",
        "see what is in /root and /home",
    ] {
        assert!(documented[row].1);
        assert_ne!(privileged[row], Some(false), "privileged: {row}");
    }
}

#[test]
fn processes_of_the_lab_file_have_no_more_than_what_is_executed() {
    if !has("python3") {
        return;
    }
    let socket = Socket::open();
    let probe = socket.probe().join(" ");
    let lab = Lab::up(&with_probe(&format!(
        r#"
name = "processes"
[nodes.a]
kind = "host"
exec = [{{ shell = "{probe} > /srv/exec" }}]
run = [{{ name = "probe", command = "sh -c '{probe} > /srv/run; sleep 1000'", ready = {{ file = "/srv/run" }} }}]
"#
    )));
    let documented = documented();
    for way in ["exec", "run"] {
        let mut said = String::new();
        until("the probe", || {
            said = lab.sh("a", &format!("cat /srv/{way}"));
            said.ends_with('\n')
        });
        insist(&outcome(&said), &documented, way);
    }
}

#[test]
fn what_takes_the_place_of_an_frr_daemon_gains_nothing_that_matters() {
    if !has_frr() || !has("python3") {
        return;
    }
    let lab = Lab::up(&with_probe(
        r#"
name = "daemons"
[nodes.r]
kind = "router"
engine = "frr"
config = "router bgp 65000\n bgp router-id 1.2.3.4\n"
"#,
    ));
    let documented = documented();
    let socket = Socket::open();
    let tried = socket.tried_in(&lab, "r");
    insist(&tried, &documented, "exec in a router");
    let row = "get SYS_ADMIN by changing the script that starts FRR";
    assert_eq!(tried[row], Some(false), "it could be tried");
    let row = "get SYS_ADMIN, with its calls refused, by changing what FRR's script reads";
    assert_eq!(tried[row], Some(true), "it could be tried");
    // watchfrr starts a daemon again, with the rights of FRR's daemons: here a program of whoever is root in the node.
    let script = format!(
        "#!/bin/sh\ngrep CapEff /proc/self/status > /srv/rights\n{} > /srv/new && mv /srv/new /srv/said\n",
        socket.probe().join(" ")
    );
    let put = format!(
        "rm /usr/lib/frr/staticd && printf '%s' '{}' > /usr/lib/frr/staticd && chmod 755 /usr/lib/frr/staticd && kill $(cat /run/frr/staticd.pid)",
        script.replace('\'', "'\\''")
    );
    lab.sh("r", &put);
    until("the daemon's end and its successor", || {
        lab.run(["exec", "r", "test", "-e", "/srv/said"]).code == 0
    });
    let rights = lab.sh("r", "cat /srv/rights");
    let mask = u64::from_str_radix(rights.split_whitespace().last().unwrap(), 16).unwrap();
    assert!(mask & (1 << 21) != 0, "it has CAP_SYS_ADMIN: {rights}");
    insist(
        &outcome(&lab.sh("r", "cat /srv/said")),
        &documented,
        "in a daemon's place",
    );
}

#[test]
fn keys_give_rights_back() {
    let host = std::fs::read_dir("/home").unwrap().count();
    let lab = Lab::up(
        r#"
name = "keys"
[defaults]
capabilities = ["cap_sys_time"]
[nodes.clock]
kind = "host"
run = [{ name = "sleep", command = "sleep 1000" }]
[nodes.admin]
kind = "host"
capabilities = ["SYS_ADMIN", "SYS_NICE"]
[nodes.homes]
kind = "host"
capabilities = []
show_host = ["/home", "/etc/shadow"]
[nodes.plain]
kind = "host"
capabilities = []
[nodes.all]
kind = "host"
capabilities = []
privileged = true
"#,
    );
    let bit = |node: &str, capability: u32| {
        let status = lab.sh(node, "grep CapBnd /proc/self/status");
        let mask = u64::from_str_radix(status.split_whitespace().last().unwrap(), 16).unwrap();
        mask & (1 << capability) != 0
    };
    let (admin, nice, time) = (21, 23, 25);
    assert!(bit("clock", time) && !bit("clock", admin));
    assert!(bit("admin", admin) && bit("admin", nice) && !bit("admin", time));
    lab.sh("admin", "mount -t tmpfs none /mnt && ip netns add x");
    assert!(!bit("plain", time));
    assert_eq!(lab.sh("homes", "ls -A /home | wc -l").trim(), host.to_string());
    lab.sh("homes", "touch /home/of-a-node && rm /home/of-a-node");
    assert!(lab.sh("homes", "cat /etc/shadow") == std::fs::read_to_string("/etc/shadow").unwrap());
    assert!(!std::path::Path::new("/home/of-a-node").exists());
    assert_eq!(lab.sh("plain", "ls -A /home | wc -l").trim(), "0");
    // Everybody is told.
    let node = lab.node("all");
    assert_eq!(node["privileged"], true);
    assert_eq!(
        lab.node("admin")["capabilities"],
        serde_json::json!(["SYS_ADMIN", "SYS_NICE"])
    );
    let listed = lab.ok(["ps"]);
    assert!(
        listed.contains("RIGHTS") && listed.contains("privileged") && listed.contains("SYS_TIME"),
        "{listed}"
    );
    lab.ok(["down"]);
    let done = lab.run(["up", "-d", lab.file()]);
    for words in [
        "privileged, able to do to this machine what root can: all",
        "admin has the capabilities SYS_ADMIN, SYS_NICE",
        "homes sees /home, /etc/shadow of this machine",
    ] {
        assert!(done.err.contains(words), "no {words:?} in:\n{}", done.err);
    }
}

#[test]
fn root_of_a_user_namespace_is_nobody_on_the_host() {
    if !has("python3") {
        return;
    }
    let socket = Socket::open();
    let lab = Lab::up(&with_probe(
        r#"
name = "users"
[nodes.a]
kind = "host"
user_namespace = true
addresses = { eth0 = ["10.0.0.1/24"] }
files = { "/srv/own" = { content = "text", mode = "0600", owner = "nobody" } }
exec = ["touch /srv/made /usr/bin/made", "rm /usr/bin/made"]
run = [{ name = "web", command = "python3 -m http.server 8080", user = "nobody", ready = { tcp = 8080 } }]
[nodes.b]
kind = "router"
engine = "builtin"
user_namespace = true
addresses = { eth0 = ["10.0.0.2/24"], lo = ["10.255.0.2/32"] }
config = """
router bgp 65002
 bgp router-id 10.255.0.2
 no bgp ebgp-requires-policy
 neighbor 10.0.0.3 remote-as 65003
 address-family ipv4 unicast
  redistribute connected
"""
[nodes.c]
kind = "router"
engine = "builtin"
addresses = { eth0 = ["10.0.0.3/24"] }
config = """
router bgp 65003
 bgp router-id 10.255.0.3
 no bgp ebgp-requires-policy
 neighbor 10.0.0.2 remote-as 65002
"""
[nodes.s]
kind = "bridge"
[[links]]
endpoints = ["a:eth0", "s:p0"]
[[links]]
endpoints = ["b:eth0", "s:p1"]
[[links]]
endpoints = ["c:eth0", "s:p2"]
"#,
    ));
    let documented = documented();
    insist(&socket.tried_in(&lab, "a"), &documented, "with users of its own");
    // What the kernel itself says of its processes and files.
    let owner =
        |pid: i64| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{pid}")).unwrap());
    let program = lab.program("a");
    assert!(owner(program.into()) > 1 << 30, "{}", owner(program.into()));
    assert_eq!(
        lab.sh(
            "a",
            "stat -c '%U %a' /srv/own /srv/made /etc/hostname /usr/bin /root"
        ),
        "nobody 600\nroot 644\nroot 644\nroot 755\nroot 700\n"
    );
    assert_eq!(lab.ok(["exec", "--user", "nobody", "a", "id", "-u"]), "65534\n");
    // Its network is its own all the same.
    lab.sh(
        "a",
        "ip link add x type bridge && ip link del x && sysctl -qw net.ipv4.ip_forward=1",
    );
    lab.ok(["exec", "a", "ping", "-c1", "-W5", "10.0.0.3"]);
    until("the route of a speaker with users of its own", || {
        lab.sh("c", "ip route").contains("10.255.0.2")
    });
    lab.ok(["restart", "a"]);
    until("the node's return", || lab.node("a")["state"] == "ready");
    lab.sh("a", "stat -c %U /srv/made | grep root");
    let copy = lab.path("copied");
    lab.ok(["cp", "a:/srv/own", copy.to_str().unwrap()]);
    lab.ok(["cp", copy.to_str().unwrap(), "a:/srv/back"]);
    assert_eq!(
        lab.sh("a", "cat /srv/back; stat -c ' %U' /srv/back"),
        "text root\n"
    );
}

#[test]
fn frr_runs_where_users_are_the_nodes_own() {
    if !has_frr() {
        return;
    }
    let router = |name: &str, number: u32, other: u32| {
        format!(
            r#"
[nodes.{name}]
kind = "router"
engine = "frr"
user_namespace = true
addresses = {{ eth0 = ["10.0.0.{number}/24"], lo = ["10.255.0.{number}/32"] }}
config = """
router bgp 6500{number}
 bgp router-id 10.255.0.{number}
 no bgp ebgp-requires-policy
 neighbor 10.0.0.{other} remote-as 6500{other}
 address-family ipv4 unicast
  redistribute connected
"""
"#
        )
    };
    let text = router("a", 1, 2) + &router("b", 2, 1);
    let lab = Lab::up(&format!(
        "name = \"frr-users\"\n{text}[[links]]\nendpoints = [\"a:eth0\", \"b:eth0\"]\n"
    ));
    until("the routes", || lab.sh("a", "ip route").contains("10.255.0.2"));
}

#[test]
fn a_line_that_lacks_a_right_names_the_key() {
    let lab =
        Lab::new("name = \"lacks\"\n[nodes.a]\nkind = \"host\"\nexec = [\"mount -t tmpfs none /mnt\"]\n");
    lab.run(["up", "-d", lab.file()])
        .refused(1, &["capabilities = [\"SYS_ADMIN\"]", "may_fail"]);
    let lab = Lab::new(
        "name = \"lacks\"\n[nodes.a]\nkind = \"host\"\nexec = [{ shell = \"echo 1 > /proc/sys/vm/swappiness\", may_fail = true }]\n",
    );
    let done = lab.run(["up", "-d", lab.file()]);
    assert!(
        done.code == 0 && done.err.contains("privileged = true"),
        "{}",
        done.err
    );
}

#[test]
fn a_node_in_the_hosts_network_does_not_administer_it() {
    let lab = Lab::up("name = \"shared\"\n[nodes.a]\nkind = \"host\"\nnetwork = \"host\"\n");
    lab.sh("a", "ip link | grep -q lo");
    for line in [
        "ip link add nslab-probe type bridge",
        "ip link set lo mtu 1400",
        "echo 1 > /proc/sys/net/ipv4/conf/all/log_martians",
        "echo 1000 > /sys/class/net/lo/tx_queue_len",
    ] {
        let done = lab.run(["exec", "a", "sh", "-c", line]);
        assert_ne!(done.code, 0, "{line}");
    }
}

/// Lists the interfaces of every network that a node's network has a number for, as a program with NET_ADMIN in it could
/// change them (IFLA_TARGET_NETNSID, rtnetlink(7)); and from each of these, of those it has numbers for.
const CRAWL: &str = r#"
import socket, struct
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
s.settimeout(5)
seen = []
for number in range(64):
    body = struct.pack("BxHiII", 0, 0, 0, 0, 0) + struct.pack("HHi", 8, 46, number)
    s.send(struct.pack("IHHII", 16 + len(body), 18, 0x301, number + 1, 0) + body)
    done = False
    while not done:
        data = s.recv(1 << 17)
        while len(data) >= 16:
            length, kind = struct.unpack("IH", data[:6])
            done = done or kind in (2, 3)
            if kind == 16:
                at = 32
                while at + 4 <= length:
                    size, what = struct.unpack("HH", data[at:at + 4])
                    if what == 3:
                        seen.append(data[at + 4:at + size - 1].decode())
                    at += max(size + 3 & ~3, 4)
            data = data[length + 3 & ~3:]
print(" ".join(seen))
"#;

#[test]
fn the_hosts_network_is_out_of_reach_by_its_number() {
    if !has("python3") {
        return;
    }
    let lab = Lab::new(
        r#"
name = "numbers"
[mgmt]
[nodes.a]
kind = "host"
mgmt = true
[nodes.b]
kind = "host"
[[links]]
type = "host"
endpoints = ["a:h0", "host:hl0"]
[[links]]
endpoints = ["a:eth1", "b:eth1"]
"#,
    )
    .on(common::Host::new());
    lab.host().ip(["link", "add", "canary", "type", "bridge"]);
    lab.ok(["up", "-d", lab.file()]);
    for node in ["a", "b"] {
        let seen = lab.ok(["exec", node, "python3", "-c", CRAWL]);
        for name in ["canary", "hl0"] {
            assert!(
                !seen.split_whitespace().any(|it| it == name),
                "{node} sees {seen}"
            );
        }
    }
}

#[test]
fn what_is_redirected_into_a_node_stays_the_callers() {
    let lab = Lab::up("name = \"streams\"\n[nodes.a]\nkind = \"host\"\n");
    let (input, output) = (lab.path("in"), lab.path("out"));
    std::fs::write(&input, "secret").unwrap();
    let line = "$NSLAB exec a sh -c 'cat; echo said; echo wrote >> /proc/self/fd/0; : > /proc/self/fd/1; chmod 4777 /proc/self/fd/1; true' <$IN >$OUT 2>/dev/null";
    let mut command = lab.command("sh");
    command
        .args(["-c", line])
        .env("NSLAB", env!("CARGO_BIN_EXE_nslab"))
        .env("IN", &input)
        .env("OUT", &output);
    run(&mut command).expect(0);
    assert_eq!(std::fs::read_to_string(&input).unwrap(), "secret");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "secretsaid\n");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&output).unwrap().permissions());
    assert_eq!(mode & 0o7000, 0);
    // Nor does a directory or the caller's /dev/null get there.
    let line = "$NSLAB exec a sh -c 'ls /proc/self/fd/0/ 2>&1; stat -Lc %d /proc/self/fd/1' </ | cat; $NSLAB exec a chmod 600 /dev/stdout >/dev/null 2>&1; stat -c %a /dev/null";
    let mut command = lab.command("sh");
    command
        .args(["-c", line])
        .env("NSLAB", env!("CARGO_BIN_EXE_nslab"));
    let said = run(&mut command).out;
    assert!(said.ends_with("666\n") && !said.contains("etc"), "{said}");
}

#[test]
fn files_of_a_lab_stay_in_the_node() {
    let outside = tempfile::tempdir_in("/var/tmp").unwrap();
    let numbers = (3..12).map(|number| format!("\"/proc/self/fd/{number}/leak\" = {{ content = \"x\" }}\n"));
    for number in numbers {
        let text = format!(
            "name = \"leak\"\n[nodes.a]\nkind = \"host\"\nbinds = [\"{0}:/x:ro\"]\n[nodes.a.files]\n{number}\"/zzz\" = {{ from = \"{0}\" }}\n",
            outside.path().display()
        );
        let lab = Lab::new(&text);
        lab.run(["up", "-d", lab.file()]);
        assert!(
            std::fs::read_dir(outside.path()).unwrap().next().is_none(),
            "{number}"
        );
    }
}

/// Runs a shell's line as root of a root of its own, in a mount namespace of its own: `$ROOT` is that root's directory.
fn in_chroot(lab: &Lab, prepare: &str, line: &str) -> common::Done {
    let root = lab.path("chroot");
    std::fs::create_dir(&root).unwrap();
    let script = format!("set -e\nmount --make-rprivate /\n{prepare}\nchroot $ROOT sh -ec '{line}'");
    let mut command = lab.command("unshare");
    command
        .args(["-m", "sh", "-ec", &script])
        .env("ROOT", &root)
        // The directory in the root that nslab's binary is below.
        .env("TOP", env!("CARGO_BIN_EXE_nslab").split('/').nth(1).unwrap())
        .env("NSLAB", env!("CARGO_BIN_EXE_nslab"))
        .env("FILE", lab.file());
    run(&mut command)
}

#[test]
fn in_a_chroot_nodes_and_commands_stay_in_it() {
    let line = r#"
        $NSLAB up -d $FILE
        $NSLAB exec a sh -c "ls / > /var/tmp/seen; echo escaped > /escaped; cat /var/tmp/seen"
        $NSLAB exec a sh -c "chroot /usr true; ls -d /proc/1/root/. 2>/dev/null || true"
        test ! -e /escaped
        $NSLAB down
    "#;
    // A root that is a mount, as tools for containers make it, and one that is a plain directory.
    let plain = "for at in bin lib lib64 sbin usr etc var; do test -e /$at || continue; \
        if test -L /$at; then cp -a /$at $ROOT/$at; else mkdir $ROOT/$at; mount --rbind /$at $ROOT/$at; fi; done; \
        for at in proc sys dev run tmp $TOP; do test -e $ROOT/$at && continue; mkdir $ROOT/$at; mount --rbind /$at $ROOT/$at; done; \
        touch $ROOT/only-in-the-chroot";
    for prepare in [plain.to_owned(), format!("mount -t tmpfs none $ROOT; {plain}")] {
        let lab = Lab::new("name = \"inner\"\n[nodes.a]\nkind = \"host\"\n");
        let done = in_chroot(&lab, &prepare, line);
        assert_eq!(done.code, 0, "stdout:\n{}\nstderr:\n{}", done.out, done.err);
        assert!(done.out.contains("only-in-the-chroot"), "{}", done.out);
        assert!(!std::path::Path::new("/escaped").exists());
    }
}

#[test]
fn a_nodes_first_process_has_no_more_rights_than_the_node() {
    let lab = Lab::up(
        "name = \"first\"\n[nodes.plain]\nkind = \"host\"\n[nodes.tracer]\nkind = \"host\"\ncapabilities = [\"SYS_PTRACE\"]\n",
    );
    let rights = |node: &str, pid: &str, set: &str| {
        let text = lab.sh(
            node,
            &format!("sed -n 's/^{set}:[^0-9a-f]*//p' /proc/{pid}/status"),
        );
        u64::from_str_radix(text.trim(), 16).unwrap()
    };
    for node in ["plain", "tracer"] {
        for set in ["CapEff", "CapPrm"] {
            let more = rights(node, "1", set) & !rights(node, "self", set);
            assert_eq!(more, 0, "{node}: {set} {more:x}");
        }
    }
    // Nor does it hold a file of the host's.
    let held = lab.sh("tracer", "readlink /proc/1/fd/0 /proc/1/fd/1 /proc/1/fd/2");
    assert_eq!(held, "/dev/null\n".repeat(3));
}
