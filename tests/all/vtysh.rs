//! vtysh in a router that runs nslab's own speaker: what scripts and people do with FRR's.

use crate::common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{DEADLINE, Done, Lab, until};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;

const PAIR: &str = r#"
name = "vtysh"

[nodes.a]
kind = "router"
addresses = { lo = ["10.255.0.1/32"], net0 = ["10.0.0.1/24"] }
config = """
frr defaults datacenter
router bgp 65001
 neighbor 10.0.0.2 remote-as 65002
 address-family ipv4 unicast
  redistribute connected
"""

[nodes.b]
kind = "router"
addresses = { lo = ["10.255.0.2/32"], net0 = ["10.0.0.2/24"] }
config = """
frr defaults datacenter
router bgp 65002
 neighbor 10.0.0.1 remote-as 65001
 address-family ipv4 unicast
  redistribute connected
"""

[[links]]
endpoints = ["a:net0", "b:net0"]
"#;

fn pair() -> Lab {
    let lab = Lab::new(PAIR);
    lab.ok(["up", "-d", "--engine", "builtin", lab.file()]);
    until("the session", || {
        vtysh(&lab, "a", &["show ip route bgp"])
            .out
            .contains("10.255.0.2/32")
    });
    lab
}

/// Commands of one vtysh.
fn vtysh(lab: &Lab, node: &str, commands: &[&str]) -> Done {
    let words = ["exec", node, "vtysh"].into_iter();
    lab.run(words.chain(commands.iter().flat_map(|command| ["-c", command])))
}

#[test]
fn commands_change_the_running_router() {
    let lab = pair();
    vtysh(
        &lab,
        "b",
        &[
            "conf t",
            "router bgp 65002",
            "address-family ipv4 unicast",
            "network 10.9.0.0/16",
        ],
    )
    .expect(0);
    vtysh(&lab, "b", &["conf t", "ip route 10.9.0.0/16 blackhole"]).expect(0);
    until("the new route", || {
        lab.sh("a", "ip route show proto bgp").contains("10.9.0.0/16")
    });
    vtysh(&lab, "b", &["conf t", "no ip route 10.9.0.0/16 blackhole"]).expect(0);
    until("the route to go", || {
        !lab.sh("a", "ip route show proto bgp").contains("10.9.0.0/16")
    });
    vtysh(&lab, "a", &["clear bgp *"]).expect(0);
    until("the session after a reset", || {
        lab.sh("a", "ip route show proto bgp").contains("10.255.0.2")
    });
}

#[test]
fn the_first_command_that_fails_ends_it_with_1() {
    let lab = pair();
    let done = vtysh(&lab, "a", &["conf t", "hostname zz", "foo", "hostname yy"]);
    assert_eq!(done.out, "% Unknown command: foo\n");
    done.expect(1);
    let prompt = lab.ok(["exec", "a", "vtysh", "-E", "-c", "show ip forwarding"]);
    assert_eq!(prompt, "zz# show ip forwarding\nIP forwarding is on\n");
    let done = vtysh(&lab, "a", &["exit", "foo"]);
    assert_eq!(done.out, "");
    done.expect(0);
    lab.run(["exec", "a", "vtysh", "--foo"]).expect(1);
}

#[test]
fn what_is_written_is_read_when_the_speaker_starts_again() {
    let lab = pair();
    vtysh(
        &lab,
        "a",
        &[
            "conf t",
            "router bgp 65001",
            "neighbor 10.0.0.2 description kept",
            "end",
            "write",
        ],
    )
    .expect(0);
    assert!(lab.sh("a", "cat /etc/frr/frr.conf").contains("description kept"));
    lab.sh(
        "a",
        "for it in /proc/[0-9]*; do tr '\\0' ' ' <$it/cmdline | grep -q '^/usr/lib/nslab/nslab speaker' && kill ${it#/proc/}; done; true",
    );
    until("its restart", || lab.node("a")["services"][0]["restarts"] == 1);
    until("the speaker's answer", || {
        vtysh(&lab, "a", &["show running-config"])
            .out
            .contains("description kept")
    });
}

#[test]
fn here_documents_are_shown_as_if_typed() {
    let lab = pair();
    let script =
        b"conf t\nrouter bgp 65001\n neighbor 10.0.0.2 description x\nfoo\nend\nshow run | include descr\n";
    let out = lab.feed(["exec", "a", "vtysh"], script).expect(0);
    let shown = out.split_once("\n\n").unwrap().1;
    assert_eq!(
        shown,
        "a# conf t\na(config)# router bgp 65001\na(config-router)#  neighbor 10.0.0.2 description x\n\
         a(config-router)# foo\n% Unknown command: foo\na(config-router)# end\na# show run | include descr\n \
         neighbor 10.0.0.2 description x\na# \n"
    );
}

#[test]
fn files_are_loaded_and_checked() {
    let lab = pair();
    lab.sh(
        "a",
        r"printf 'router bgp 65001\n foo\n neighbor 10.0.0.2 description filed\n' > /tmp/a.conf",
    );
    for how in ["-Cf", "-f"] {
        let done = lab.run(["exec", "a", "vtysh", how, "/tmp/a.conf"]);
        assert_eq!(done.err, "line 2: % Unknown command[25]:  foo\n");
        done.expect(2);
    }
    assert!(vtysh(&lab, "a", &["show run"]).out.contains("description filed"));
    // As many lines as do not fit into one request.
    lab.sh(
        "a",
        "for i in $(seq 3000); do echo ip prefix-list P seq $i permit 10.$((i / 256)).$((i % 256)).0/24; done > /tmp/b.conf",
    );
    lab.ok(["exec", "a", "vtysh", "-f", "/tmp/b.conf"]);
    let shown = vtysh(&lab, "a", &["show ip prefix-list summary"]).out;
    assert!(
        shown.contains("count: 3000, range entries: 0, sequences: 1 - 3000"),
        "{shown}"
    );
    let done = lab.run(["exec", "a", "vtysh", "-f", "/nosuch"]);
    assert!(done.err.contains("No such file or directory"), "{}", done.err);
    done.expect(11);
}

#[test]
fn configurations_are_marked_for_reloading() {
    let lab = pair();
    lab.sh(
        "a",
        r"printf 'router bgp 65001\n address-family ipv4\n  network 10.0.0.0/8\nip forwarding\n' > /tmp/a.conf",
    );
    let marked = lab.ok(["exec", "a", "vtysh", "-m", "-f", "/tmp/a.conf"]);
    assert_eq!(
        marked.replace('\r', ""),
        "router bgp 65001\n address-family ipv4\n  network 10.0.0.0/8\nexit\nexit\nip forwarding\n\nend\n"
    );
    // As frr-reload.py asks.
    let running = lab.sh("a", "vtysh -c 'show running-config no-header' | vtysh -m -f -");
    let running = running.replace('\r', "");
    assert!(running.starts_with("frr version 8.4.4\n"), "{running}");
    assert!(
        running.ends_with("exit\n!\nend\n") || running.ends_with("\nend\n"),
        "{running}"
    );
    lab.sh("a", r"printf 'router bgp 65001\n nonsense\n' > /tmp/b.conf");
    let done = lab.run(["exec", "a", "vtysh", "-m", "-f", "/tmp/b.conf"]);
    assert_eq!(done.err, "line 2: % Unknown command:  nonsense\n\n");
    done.expect(2);
    lab.run(["exec", "a", "vtysh", "-m"])
        .refused(1, &["-f option MUST be specified with -m option"]);
}

#[test]
fn where_no_speaker_answers_it_says_so() {
    let lab = pair();
    let done = lab.run(["exec", "a", "vtysh", "--vty_socket", "/tmp", "-c", "show version"]);
    assert!(
        done.err
            .contains("no speaker answers at /tmp/nslab.vty: No such file"),
        "{}",
        done.err
    );
    done.expect(1);
}

/// Somebody at a terminal.
struct Person {
    child: Child,
    terminal: File,
    seen: String,
}

impl Person {
    fn at(lab: &Lab, node: &str) -> Person {
        let pty = openpty(None, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = lab.nslab(["exec", node, "vtysh"]);
        command.stdin(end()).stdout(end()).stderr(end());
        let mut person = Person {
            child: command.spawn().unwrap(),
            terminal: File::from(pty.master),
            seen: String::new(),
        };
        person.sees("a# ");
        person
    }

    fn types(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until something is on the screen, behind what was waited for before.
    fn sees(&mut self, words: &str) {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(at) = self.seen.find(words) {
                self.seen.drain(..at + words.len());
                return;
            }
            assert!(Instant::now() < end, "no `{words}` in {:?}", self.seen);
            let mut ready = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN)];
            if poll(
                &mut ready,
                PollTimeout::try_from(Duration::from_millis(100)).unwrap(),
            )
            .unwrap()
                > 0
            {
                let mut octets = [0; 4096];
                let count = self.terminal.read(&mut octets).unwrap_or(0);
                self.seen.push_str(&String::from_utf8_lossy(&octets[..count]));
            }
        }
    }

    fn ends(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn a_person_is_helped_and_corrected() {
    let lab = pair();
    let mut person = Person::at(&lab, "a");
    person.types("show bgp su\t?");
    person.sees("  established  Show only sessions in Established state");
    person.sees("a# ");
    person.types("\x15conf t\r");
    person.sees("a(config)# ");
    person.types("inter\tnet\t\rip\r");
    person.sees("a(config-if)# ");
    person.sees("^");
    person.sees("% Command incomplete: ip");
    // Ctrl-C gives a line up, Ctrl-Z leaves the configuration, Ctrl-D vtysh. Such keys are for vtysh only while it shows a
    // prompt: between two lines the terminal would take them for signals.
    person.sees("a(config-if)# ");
    person.types("foo\x03");
    person.sees("\n");
    person.sees("a(config-if)# ");
    person.types("bar\x1a");
    person.sees("a# ");
    person.types("show history\r");
    person.sees("conf t");
    person.sees("a# ");
    person.types("\x04");
    person.ends();
}
