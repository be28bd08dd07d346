//! A router whose BGP speaker is killed goes on forwarding where graceful restart was agreed on (RFC 4724), and its neighbors
//! go on sending packets to it: none is lost, whichever engine plays whom.

use crate::common;

use common::{Lab, Running, has_frr, until};
use nix::sys::signal::Signal;

/// For so many seconds after its start a router says that it has just begun, and then FRR does not wait for what it tells.
const SOON: u8 = 1;

/// Between two routers one that is to be killed.
fn lab(name: &str, [outer, inner]: [&str; 2], restart: &str) -> Lab {
    let node = |name: &str, engine: &str, addresses: &str, config: &str| {
        format!(
            "[nodes.{name}]\nkind = \"router\"\nengine = \"{engine}\"\naddresses = {{ {addresses} }}\nconfig = '''\n\
             frr defaults datacenter\n{config}'''\n"
        )
    };
    let end = |number: u8| {
        let name = if number == 1 { "left" } else { "right" };
        let addresses = format!("lo = [\"10.255.0.{number}/32\"], net0 = [\"10.0.{number}.1/24\"]");
        let config = format!(
            "router bgp 6500{number}\n bgp graceful-restart restart-time {SOON}\n neighbor 10.0.{number}.2 remote-as external\n neighbor 10.0.{number}.2 timers connect 1\n \
             address-family ipv4 unicast\n  redistribute connected\n"
        );
        node(name, outer, &addresses, &config)
    };
    let middle = node(
        "middle",
        inner,
        "net1 = [\"10.0.1.2/24\"], net2 = [\"10.0.2.2/24\"]",
        &format!(
            "router bgp 65000\n{restart} neighbor 10.0.1.1 remote-as external\n neighbor 10.0.2.1 remote-as external\n \
             address-family ipv4 unicast\n  redistribute connected\n"
        ),
    );
    let links = "[[links]]\nendpoints = [\"left:net0\", \"middle:net1\"]\n[[links]]\nendpoints = [\"right:net0\", \"middle:net2\"]\n";
    Lab::up(&format!("name = \"{name}\"\n{}{}{middle}{links}", end(1), end(2)))
}

/// The process that plays BGP in a node.
fn speaker(lab: &Lab) -> String {
    let pid = lab.sh("middle", "cat /run/frr/bgpd.pid 2>/dev/null || true");
    pid.trim().to_owned()
}

/// How many sessions of the middle router's are up.
fn sessions(lab: &Lab) -> usize {
    let done = lab.run(["exec", "middle", "vtysh", "-c", "show bgp summary json"]);
    done.out.matches("\"state\":\"Established\"").count()
}

fn route(lab: &Lab) -> String {
    lab.sh("left", "ip route show 10.255.0.2 proto bgp")
}

/// Pings until it is interrupted, every five milliseconds.
fn ping(lab: &Lab) -> Running {
    lab.start([
        "exec",
        "left",
        "ping",
        "-i",
        "0.005",
        "-I",
        "10.255.0.1",
        "10.255.0.2",
    ])
}

/// Kills the speaker while packets pass, until all is as it was. Returns how many were lost.
fn lost(lab: &Lab) -> u64 {
    until("the way to the other end", || !route(lab).is_empty());
    until("the way back", || {
        lab.run([
            "exec",
            "left",
            "ping",
            "-c1",
            "-W1",
            "-I",
            "10.255.0.1",
            "10.255.0.2",
        ])
        .code
            == 0
    });
    let before = speaker(lab);
    let mut pings = ping(lab);
    pings.until_said("64 bytes");
    lab.sh("middle", &format!("kill -KILL {before}"));
    until("another speaker", || {
        let now = speaker(lab);
        !now.is_empty() && now != before && sessions(lab) == 2
    });
    until("the table on the other side", || {
        let told = lab.run([
            "exec",
            "left",
            "vtysh",
            "-c",
            "show bgp ipv4 unicast 10.255.0.2/32 json",
        ]);
        told.out.contains("\"valid\":true") && !told.out.contains("\"stale\"")
    });
    until("the way to the other end", || !route(lab).is_empty());
    pings.signal(Signal::SIGINT);
    let said = pings.wait().out;
    let numbers: Vec<u64> = said
        .lines()
        .find(|line| line.contains("packets transmitted"))
        .unwrap_or_else(|| panic!("{said}"))
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    let [sent, received, ..] = numbers[..] else {
        panic!("{said}")
    };
    assert!(sent > 5, "{said}");
    // The last one may still be on its way.
    sent.saturating_sub(received + 1)
}

const RESTART: &str = " bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n";

#[test]
fn a_speaker_that_is_killed_loses_no_packet() {
    let lab = lab("restart-own", ["builtin", "builtin"], RESTART);
    assert_eq!(lost(&lab), 0);
    // Once more, of a life that has itself come back.
    assert_eq!(lost(&lab), 0);
}

#[test]
fn without_an_agreement_packets_are_lost() {
    let lab = lab("restart-none", ["builtin", "builtin"], "");
    assert!(lost(&lab) > 0);
}

#[test]
fn a_speaker_that_is_killed_between_routers_on_frr_loses_no_packet() {
    if has_frr() {
        let lab = lab("restart-frr", ["frr", "builtin"], RESTART);
        assert_eq!(lost(&lab), 0);
    }
}

#[test]
fn frr_that_is_killed_between_speakers_loses_no_packet() {
    if has_frr() {
        let lab = lab("restart-of-frr", ["builtin", "frr"], RESTART);
        assert_eq!(lost(&lab), 0);
    }
}
