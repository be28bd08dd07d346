//! Topologies of containerlab's as people have them: its defaults, what becomes of routers' configurations, and what stands in the
//! place of images.

use crate::common;

use std::fs;

use common::{Lab, has_frr, until};

/// A lab whose topology stands in its directory with files beside it.
pub fn lab(topology: &str, files: &[(&str, &str)]) -> (Lab, String) {
    let lab = Lab::new("");
    for (name, text) in files {
        let path = lab.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let path = lab.path("t.clab.yml");
    fs::write(&path, topology).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (lab, path)
}

const OSPF: &str = "frr defaults traditional\nrouter bgp 65001\n neighbor 10.0.0.2 remote-as 65002\n!\nrouter ospf\n network 10.0.0.0/24 area 0\n passive-interface eth1\n";

#[test]
fn what_builtin_would_lose_is_refused_and_told_whichever_way_it_comes() {
    let all = "bgpd=yes\nospfd=yes\n";
    for (node, files, place) in [
        (
            "binds: [ 'c/r.conf:/etc/frr/frr.conf', 'daemons:/etc/frr/daemons' ]",
            vec![("c/r.conf", OSPF), ("daemons", all)],
            "c/r.conf:5: ",
        ),
        (
            "binds: [ 'c/ospfd.conf:/etc/frr/ospfd.conf', 'daemons:/etc/frr/daemons' ]",
            vec![("c/ospfd.conf", OSPF), ("daemons", all)],
            "c/ospfd.conf:5: ",
        ),
        (
            "binds: [ 'c:/etc/frr' ]",
            vec![("c/ospfd.conf", OSPF), ("c/daemons", all)],
            "c/ospfd.conf:5: ",
        ),
        (
            "binds: [ 'c:/etc/frr' ]",
            vec![("c/frr.conf", OSPF), ("c/daemons", all)],
            "c/frr.conf:5: ",
        ),
        (
            "startup-config: r.conf, exec: [ 'sed -i s/ospfd=no/ospfd=yes/ /etc/frr/daemons' ]",
            vec![("r.conf", OSPF)],
            "r.conf:5: ",
        ),
        (
            "exec: [ \"sh -c \\\"sed -i -e 's/bgpd=no/bgpd=yes/g' -e 's/ospfd=no/ospfd=yes/g' /etc/frr/daemons\\\"\", \
             '/usr/lib/frr/frrinit.sh start', \"vtysh -c 'conf t' -c 'router ospf' -c 'network 10.0.0.0/24 area 0'\" ]",
            vec![],
            "t.clab.yml:4: ",
        ),
    ] {
        let topology =
            format!("name: x\ntopology:\n  nodes:\n    r: {{ kind: linux, image: frrouting/frr, {node} }}\n");
        let (lab, path) = lab(&topology, &files);
        let words = [place, "router ospf", "needs the frr engine", "--lossy"];
        lab.run(["up", "-d", "--engine", "builtin", &path])
            .refused(2, &words);
        assert!(lab.left().is_empty());
        let done = lab.run(["up", "-d", "--engine", "builtin", "--lossy", &path]);
        assert!(
            done.err.contains("warning: lost: ") && done.err.contains(place),
            "{}",
            done.err
        );
        done.expect(0);
        lab.ok(["down", "x"]);
    }
}

/// In an image each of FRR's daemons reads a file of its own where there is no frr.conf.
#[test]
fn files_of_single_daemons_are_read() {
    let bgpd = |own: u8, other: u8| {
        format!(
            "hostname bgpd\npassword zebra\nrouter bgp 6500{own}\n no bgp ebgp-requires-policy\n neighbor 10.0.0.{other} \
             remote-as 6500{other}\n network 10.1.{own}.0/24\nline vty\n"
        )
    };
    let zebra = |own: u8| {
        format!(
            "hostname zebra\ninterface eth1\n ip address 10.0.0.{own}/24\ninterface lo\n ip address 10.1.{own}.1/24\n"
        )
    };
    let mut topology = "name: x\ntopology:\n  nodes:\n".to_owned();
    let mut files = Vec::new();
    for (own, other) in [(1, 2), (2, 1)] {
        files.push((format!("r{own}/zebra.conf"), zebra(own)));
        files.push((format!("r{own}/bgpd.conf"), bgpd(own, other)));
        files.push((format!("r{own}/daemons"), "bgpd=yes\n".to_owned()));
        topology += &format!("    r{own}:\n      kind: linux\n      image: frrouting/frr\n      binds:\n");
        // Each by itself, or the whole directory.
        match own {
            1 => ["daemons", "zebra.conf", "bgpd.conf"]
                .iter()
                .for_each(|name| topology += &format!("        - r1/{name}:/etc/frr/{name}\n")),
            _ => topology += "        - r2:/etc/frr\n",
        }
    }
    topology += "  links: [ { endpoints: ['r1:eth1', 'r2:eth1'] } ]\n";
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    for engine in ["builtin", "frr"].into_iter().take(if has_frr() { 2 } else { 1 }) {
        let (lab, path) = lab(&topology, &files);
        lab.run(["up", "-d", "--engine", engine, &path]).expect(0);
        until("the neighbor's network", || {
            lab.sh("r1", "vtysh -c 'show ip route bgp'")
                .contains("10.1.2.0/24")
        });
        lab.ok(["down", "x"]);
    }
}

#[test]
fn a_lab_file_may_be_lossy_too() {
    let lab = Lab::new(
        "name = \"x\"\n[nodes.r]\nkind = \"router\"\nconfig = \"\"\"\nrouter bgp 65000\n neighbor 192.0.2.1 remote-as 1\nrouter ospf\n\"\"\"\n",
    );
    let up = ["up", "-d", "--engine", "builtin"];
    lab.run(up.iter().copied().chain([lab.file()]))
        .refused(2, &["line 7: router ospf", "--lossy"]);
    let done = lab.run(up.iter().copied().chain(["--lossy", lab.file()]));
    assert!(done.err.contains("router ospf"), "{}", done.err);
    done.expect(0);
    assert!(
        lab.ok(["exec", "r", "vtysh", "-c", "show run"])
            .contains("neighbor 192.0.2.1 remote-as 1")
    );
}

#[test]
fn daemons_that_are_not_named_do_not_run() {
    let engines = if has_frr() {
        &["builtin", "frr"][..]
    } else {
        &["builtin"]
    };
    let topology = "name: x\ntopology:\n  nodes:\n    r: { kind: linux, image: frrouting/frr, startup-config: r.conf }\n";
    let config = "router bgp 65001\n neighbor 10.0.0.2 remote-as 65002\n!\nip route 10.9.0.0/16 blackhole\n";
    for engine in engines {
        let (lab, path) = lab(topology, &[("r.conf", config)]);
        let done = lab.run(["up", "-d", "--engine", engine, &path]);
        let said = "r.conf:1: `router bgp 65001`, and 1 more line: bgpd does not run";
        assert!(done.err.contains(said), "{engine}: {}", done.err);
        done.expect(0);
        common::until("the static route", || {
            lab.ok(["exec", "r", "ip", "route"])
                .contains("blackhole 10.9.0.0/16")
        });
        for command in ["show bgp summary", "clear bgp *"] {
            let done = lab.run(["exec", "r", "vtysh", "-c", command]);
            assert!((done.out + &done.err).contains("bgpd is not running"), "{engine}");
            assert_eq!(done.code, 1, "{engine}");
        }
        assert!(
            !lab.ok(["exec", "r", "vtysh", "-c", "show run"])
                .contains("router bgp")
        );
        if *engine == "builtin" {
            lab.sh(
                "r",
                "sed -i s/bgpd=no/bgpd=yes/ /etc/frr/daemons && /usr/lib/frr/frrinit.sh restart",
            );
            common::until("BGP", || {
                let done = lab.run(["exec", "r", "vtysh", "-c", "show bgp summary"]);
                done.code == 0 && done.out.contains("10.0.0.2")
            });
        }
        lab.ok(["down", "x"]);
    }
}

#[test]
fn lines_that_the_installed_frr_does_not_know_are_told() {
    if !has_frr() {
        return;
    }
    let topology = "name: x\ntopology:\n  nodes:\n    r: { kind: frr, startup-config: r.conf, extras: { frr: { daemons: [ bgpd ] } } }\n";
    let (lab, path) = lab(
        topology,
        &[(
            "r.conf",
            "router bgp 65001\n neighbor e1 interface remote-as external\n no neighbor e1 capability link-local\n neighbor 10.0.0.9 timers 1 3\n",
        )],
    );
    for verb in [&["validate"][..], &["up", "-d", "--engine", "frr"]] {
        let done = lab.run(verb.iter().copied().chain([path.as_str()]));
        assert!(
            done.err
                .contains("r.conf:3: FRR leaves this line out: % Unknown command"),
            "{}",
            done.err
        );
        // What vtysh knows and bgpd refuses, which nobody hears where FRR's own script starts it.
        assert!(
            done.err
                .contains("r.conf:4: FRR refuses this line: Specify remote-as"),
            "{}",
            done.err
        );
        done.expect(0);
    }
    until("no neighbor of that address", || {
        let shown = lab
            .run(["exec", "r", "vtysh", "-c", "show running-config bgpd"])
            .out;
        shown.contains("neighbor e1") && !shown.contains("10.0.0.9")
    });
    lab.ok(["down", "x"]);
}

/// A cluster's file that is missing is one error: who lives in the network of its nodes is none.
#[test]
fn what_follows_from_a_missing_file_is_not_told() {
    let topology = "name: x\ntopology:\n  nodes:\n    k1: { kind: k8s-kind, startup-config: missing.yaml }\n    \
                    w: { kind: linux, image: alpine, network-mode: \"container:k1-worker\" }\n";
    let (lab, path) = lab(topology, &[]);
    let done = lab.run(["validate", path.as_str()]);
    assert!(done.err.contains("1 error in"), "{}", done.err);
    done.refused(2, &["cannot use `missing.yaml`"]);
}

#[test]
fn links_hosts_and_names_are_as_there() {
    let topology = r#"
name: there
topology:
  defaults: { kind: linux, image: alpine }
  nodes:
    a:
      hostname: first
      ports: [ "127.0.0.1:48853:53/udp" ]
      tmpfs: [ /scratch ]
      binds: [ "__clabDir__/topology-data.json:/topology.json:ro", "__clabDir__/ansible-inventory.yml:/inventory.yml" ]
    b: {}
    sw: { kind: bridge, exec: [ "ip link set sw type bridge stp_state 1" ] }
  links:
    - endpoints: [ "a:eth1", "b:eth1" ]
      ipv4: [ 10.0.0.1/30, 10.0.0.2/30 ]
    - endpoints: [ "a:eth2", "sw:p1" ]
      mtu: 1400
"#;
    let (lab, path) = lab(topology, &[]);
    lab.ok(["up", "-d", &path]);
    assert!(lab.sh("a", "ip link show eth1").contains("mtu 9500"));
    assert!(lab.sh("a", "ip link show eth2").contains("mtu 1400"));
    assert_eq!(lab.sh("a", "hostname; echo $HOSTNAME"), "first\nfirst\n");
    assert!(
        lab.sh("a", "ip -6 address show eth0")
            .contains("3fff:172:20:20::2/64")
    );
    assert!(
        lab.sh("b", "getent ahostsv4 clab-there-a")
            .contains("172.20.20.2")
    );
    assert_eq!(lab.sh("a", "test -d /scratch && echo there"), "there\n");
    let data: serde_json::Value = serde_json::from_str(&lab.sh("a", "cat /topology.json")).unwrap();
    assert_eq!(data["nodes"]["b"]["longname"], "clab-there-b");
    assert_eq!(data["nodes"]["b"]["mgmt-ipv4-address"], "172.20.20.3");
    assert_eq!(data["links"][0]["endpoints"]["z"]["node"], "b");
    assert!(
        lab.sh("a", "cat /inventory.yml")
            .contains("        clab-there-b:\n          ansible_host: 172.20.20.3\n")
    );
    assert_eq!(lab.sh("sw", "cat /sys/class/net/br0/bridge/stp_state"), "1\n");
    // What comes from outside by UDP finds its way back.
    let mut server = lab.start(["exec", "a", "python3", "-c", UDP_ECHO]);
    server.until_said("ready");
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(common::DEADLINE)).unwrap();
    client.send_to(b"hello", "127.0.0.1:48853").unwrap();
    let mut answer = [0; 16];
    let length = client.recv(&mut answer).unwrap();
    assert_eq!(&answer[..length], b"hello");
    lab.ok(["down", "there"]);
}

const UDP_ECHO: &str = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('', 53))\nprint('ready', flush=True)\nwhile True:\n    data, whom = s.recvfrom(100)\n    s.sendto(data, whom)\n";

#[test]
fn a_node_whose_command_cannot_start_has_exited_and_the_lab_goes_on() {
    let topology = "name: x\ntopology:\n  defaults: { kind: linux, image: alpine }\n  nodes:\n    gone: { cmd: nosuch --port 1 }\n    shell: { cmd: sh -c 'nosuch --port 1' }\n    waits: { cmd: zsh-of-nobody, healthcheck: { test: [ CMD, 'false' ] } }\n    fine: { cmd: ash }\n";
    let (lab, path) = lab(topology, &[]);
    let done = lab.run(["up", "-d", &path]);
    assert!(
        done.err.contains("gone") && done.err.contains("nosuch: command not found"),
        "{}",
        done.err
    );
    done.expect(0);
    for node in ["gone", "shell", "waits"] {
        common::until("the end of its command", || {
            lab.node(node)["state"]
                .as_str()
                .unwrap()
                .starts_with("exited: cmd: ")
        });
    }
    assert_eq!(lab.node("fine")["state"], "ready");
    lab.ok(["down", "x"]);
    lab.run(["up", "-d", "--strict", &path])
        .refused(1, &["could not be started"]);
}

#[test]
fn what_an_image_does_by_itself_is_done_or_said() {
    let topology = r#"
name: x
topology:
  nodes:
    r: { kind: linux, image: frrouting/frr, cmd: /sbin/tini -- /usr/lib/frr/docker-start, startup-config: r.conf, exec: [ "sed -i s/bgpd=no/bgpd=yes/ /etc/frr/daemons", "/usr/lib/frr/frrinit.sh restart" ] }
    web: { kind: linux, image: wbitt/network-multitool, exec: [ "apk add iperf3", "sh -c 'apt-get update && apt-get install -y tcpdump; echo done > /run/state'" ] }
    also: { kind: linux, image: wbitt/network-multitool, exec: [ "apk add iperf3" ] }
    own: { kind: linux, image: example.com/team/tool:1 }
"#;
    let (lab, path) = lab(topology, &[("r.conf", "router bgp 65001\n")]);
    lab.run(["up", "-d", "--images", "map", &path])
        .refused(2, &["example.com/team/tool:1", "--image-map"]);
    let done = lab.run([
        "up",
        "-d",
        "--engine",
        "builtin",
        "--image-map",
        "example.com/*=tools",
        &path,
    ]);
    assert_eq!(done.err.matches("apk add iperf3").count(), 1, "{}", done.err);
    assert!(
        done.err.contains("(also, web)") && done.err.contains("apt-get install -y tcpdump"),
        "{}",
        done.err
    );
    assert!(
        done.err.contains(
            "the image of also, web serves its page on the ports 80 and 443, and here on port 80 alone"
        ),
        "{}",
        done.err
    );
    done.expect(0);
    assert_eq!(lab.sh("web", "cat /run/state"), "done\n");
    let page = lab.sh("web", GET);
    assert!(
        page.starts_with("HTTP/1.1 200 OK")
            && page.contains("Network MultiTool (with NGINX) - web - 127.0.0.1 -"),
        "{page}"
    );
    common::until("BGP", || {
        lab.run(["exec", "r", "vtysh", "-c", "show bgp summary"]).code == 0
    });
    lab.ok(["down", "x"]);
}

/// Asks a node's own port 80 for its page.
const GET: &str =
    "exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/80; printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3'";

#[test]
fn what_is_lost_in_here_documents_is_told() {
    let lines = "router bgp 65001\n neighbor 10.0.0.2 remote-as 65002\n neighbor 10.0.0.2 nonsense\n";
    let on = "sed -i s/bgpd=no/bgpd=yes/ /etc/frr/daemons";
    let typed = format!("/usr/lib/frr/frrinit.sh restart\nvtysh <<EOF\nconf t\n{lines}end\nEOF\n");
    let written = format!("cat > /etc/frr/frr.conf <<'EOF'\n{lines}EOF\n/usr/lib/frr/frrinit.sh restart\n");
    for script in [typed, written] {
        let exec = serde_json::to_string(&[on.to_owned(), format!("bash -c {}", quoted(&script))]).unwrap();
        let topology = format!(
            "name: x\ntopology:\n  nodes:\n    r: {{ kind: linux, image: frrouting/frr, exec: {exec} }}\n"
        );
        let (lab, path) = lab(&topology, &[]);
        lab.run(["up", "-d", "--engine", "builtin", &path])
            .refused(2, &["neighbor 10.0.0.2 nonsense", "t.clab.yml:4: ", "--lossy"]);
        if has_frr() {
            let done = lab.run(["up", "-d", "--engine", "frr", &path]);
            let said = "t.clab.yml:4: FRR leaves this line out: ";
            assert!(
                done.err.contains(said) && done.err.contains("nonsense"),
                "{}",
                done.err
            );
            done.expect(0);
            let running = lab.ok(["exec", "r", "vtysh", "-c", "show run"]);
            assert!(running.contains("neighbor 10.0.0.2 remote-as 65002"), "{running}");
            lab.ok(["down", "x"]);
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[test]
fn words_that_only_a_shell_takes_for_more_are_told() {
    let topology = "name: x\ntopology:\n  nodes:\n    a: { kind: linux, image: alpine, exec: [ 'echo a > /x', 'test a > b', \"sh -c 'echo a > /y'\" ] }\n";
    let (lab, path) = lab(topology, &[]);
    let done = lab.run(["up", "-d", &path]);
    let said = "t.clab.yml:4: no shell runs this command, so that `>` is a word like any other to echo";
    assert_eq!(done.err.matches("no shell runs").count(), 1, "{}", done.err);
    assert!(done.err.contains(said), "{}", done.err);
    done.expect(0);
    assert_eq!(lab.sh("a", "test ! -e /x && cat /y"), "a\n");
    lab.ok(["down", "x"]);
}

#[test]
fn volumes_and_file_systems_in_memory_are_what_they_say() {
    let topology = r#"
name: x
topology:
  defaults: { kind: linux, image: alpine }
  nodes:
    a: { volumes: [ "shared:/data", /var/lib/own, /etc/apt ], tmpfs: [ "/scratch:size=64k,mode=0750,uid=7,exec" ], binds: [ /no/source ] }
    b: { volumes: [ "shared:/elsewhere:ro" ], tmpfs: { /run/x: "size=1m" } }
"#;
    let (lab, path) = lab(topology, &[]);
    lab.ok(["up", "-d", &path]);
    lab.sh(
        "a",
        "for d in /data /var/lib/own /no/source /scratch; do echo kept > $d/file; done",
    );
    assert_eq!(lab.sh("b", "cat /elsewhere/file"), "kept\n");
    lab.run(["exec", "b", "touch", "/elsewhere/x"])
        .refused(1, &["Read-only file system"]);
    // It begins empty, whatever stands in its place.
    assert_eq!(lab.sh("a", "ls -A /etc/apt"), "");
    let of = |node: &str, path: &str| {
        let line =
            format!("while read -r d p t o r; do [ $p = {path} ] && echo $t,$o; done </proc/mounts; true");
        lab.sh(node, &line)
    };
    let scratch = of("a", "/scratch");
    for word in ["tmpfs,", ",nosuid,", ",nodev,", "size=64k", "mode=750", "uid=7"] {
        assert!(scratch.contains(word), "{word} in {scratch}");
    }
    assert!(!scratch.contains("noexec"), "{scratch}");
    let other = of("b", "/run/x");
    assert!(
        other.contains("noexec") && other.contains("size=1024k"),
        "{other}"
    );
    lab.run([
        "exec",
        "a",
        "dd",
        "if=/dev/zero",
        "of=/scratch/big",
        "bs=100k",
        "count=1",
    ])
    .refused(1, &["No space left"]);
    lab.ok(["restart", "a"]);
    assert_eq!(
        lab.sh(
            "a",
            "cat /data/file /var/lib/own/file /no/source/file; ls /scratch"
        ),
        "kept\nkept\nkept\n"
    );
    // As a lab file it says the same.
    let written = lab.ok(["import", &path]);
    for line in [
        "volumes = [\"/no/source\", \"shared:/data\", \"/var/lib/own\", \"/etc/apt\"]",
        "tmpfs = [\"/scratch:size=65536,mode=750,uid=7,exec\"]",
    ] {
        assert!(written.contains(line), "{line} in {written}");
    }
    lab.ok(["down", "x"]);
}

#[test]
fn a_lab_file_that_is_written_elsewhere_is_a_lab_there() {
    let topology = "name: x\ntopology:\n  nodes:\n    r: { kind: frr, startup-config: c/r.conf, binds: [ 'c:/data:ro' ], extras: { frr: { daemons: [ bgpd ] } } }\n    a: { kind: linux, image: alpine, user: '1000:1000', cmd: sleep infinity }\n";
    let (lab, path) = lab(topology, &[("c/r.conf", "router bgp 65001\n")]);
    for name in ["near.toml", "out/deep/lab.toml"] {
        let output = lab.path(name);
        fs::create_dir_all(output.parent().unwrap()).unwrap();
        lab.ok(["import", &path, "-o", output.to_str().unwrap()]);
        lab.ok(["validate", output.to_str().unwrap()]);
    }
    let written = fs::read_to_string(lab.path("out/deep/lab.toml")).unwrap();
    assert!(written.contains("\"../../c:/data:ro\""), "{written}");
    let far = tempfile::tempdir().unwrap();
    let output = far.path().join("lab.toml");
    lab.ok(["import", &path, "-o", output.to_str().unwrap()]);
    lab.ok(["validate", output.to_str().unwrap()]);
}

#[test]
fn an_image_that_is_not_to_be_had_is_refused_with_what_else_it_could_be() {
    let image = "127.0.0.1:1/built/here:1";
    let topology = format!("name: x\ntopology:\n  nodes:\n    r: {{ kind: linux, image: '{image}' }}\n");
    let (lab, path) = lab(&topology, &[]);
    lab.run(["up", "-d", &path]).refused(
        3,
        &[
            "the image of r: ",
            &format!("docker-daemon:{image}"),
            &format!("--image-map {image}=tools"),
        ],
    );
    lab.ok(["up", "-d", "--image-map", &format!("{image}=tools"), &path]);
}
