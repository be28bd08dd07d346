//! Answers of speakers in whole networks, beside those that FRR 8.4.4 gave in the same labs (tests/data/frr-8.4.4).

use super::{ROWS, Show};
use crate::config::grammar::{Command, Table};
use crate::recorded::{self, Mask, view};
use crate::speaker::simulated_vrfs::routed;
use crate::speaker::simulator::{Network, clos, published};

fn ask(network: &Network, node: usize, line: &str) -> String {
    let rows = ROWS.iter().chain(super::GENERAL);
    let commands = rows.map(|(pattern, show)| Command {
        modes: &[()],
        pattern,
        id: *show,
    });
    let table: Table<(), Show> = Table::new(commands, &[]);
    let found = table
        .find((), line)
        .unwrap_or_else(|fault| panic!("{line}: {fault:?}"));
    let view = view(network, node);
    super::answer(*found.id, &view, &found.arguments)
}

/// What differs from one run to the next: times, messages, the order of arrival, MAC addresses.
const MASKS: &[Mask] = &[
    (r"\bfe80:[0-9a-f:]+", "fe80::"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (
        r#""(msgRcvd|msgSent|peerUptimeMsec|peerUptimeEstablishedEpoch|version|tableVersion|epoch)": ?\d+"#,
        "\"$1\":0",
    ),
    (r"(?m)^(\S+ +4 +.*?) +\d+ +\d+ +0 +0 +0 ", "$1 MESSAGES "),
    // What FRR can do and nslab cannot: so neither side of these sessions says it can.
    (
        r"(?m)^ +Long-lived Graceful Restart: .*\n +Address families by peer:\n",
        "",
    ),
    (
        r#"(?m)^ +"longLivedGracefulRestart":.*\n +"longLivedGracefulRestartByPeer":\{[^}]*\},\n"#,
        "",
    ),
    (r"\(old & new\)|OldNew", "New"),
    (r"\(new\)", "New"),
    // FRR says that it has restarted when it starts.
    (r"R bit: True", "R bit: False"),
    (r#""rBit":true"#, "\"rBit\":false"),
    // FRR compares whole seconds.
    (r"(sent after update:|SentAfterUpdate.:).*", "$1"),
    // In the order of addresses, which are masked.
    (r"(?m)^  if (up|net)\d$", "  if LINK"),
    // Measured, or an accident.
    (
        r"(?m)^Estimated round trip time.*\n|^ +.estimatedRttInMsecs.*\n",
        "",
    ),
    (r"(?m)^Next \w+ timer due.*\n|^ +.next\w+TimerDueInMsecs.*\n", ""),
    (r"FD used: \d+", "FD used: 1"),
    (
        r#"((?:Opens|Notifications|Updates|Keepalives|Total):) +\d+ +\d+"#,
        "$1 COUNTS",
    ),
    (
        r#""((?:opens|notifications|updates|keepalives|total)(?:Sent|Recv)|bgpTimer(?:UpMsec|LastRead|LastWrite|UpEstablishedEpoch)|bgpInUpdateElapsedTimeMsecs|lastResetTimerMsecs|lastResetCode|port(?:Local|Foreign))":\d+"#,
        "\"$1\":0",
    ),
    (r"([Pp]ort): \d+", "$1: 0"),
    (r"Last write never", "Last write TIME"),
    (r"Last reset TIME,  .*|.lastResetDueTo.:.*", "Last reset"),
    (r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d TIME \d{4}", "DATE"),
    (r"(table version|, version)( is)? \d+", "$1$2 0"),
];

fn compare(network: &Network, node: usize, file: &str) {
    recorded::compare(file, MASKS, |command| ask(network, node, command));
}

#[test]
fn the_published_lab_answers_as_frr_does() {
    let mut network = published();
    network.start();
    network.run(3);
    compare(&network, 0, "cilium-bgp.router0");
    compare(&network, 1, "cilium-bgp.tor0");
}

/// The way over the second spine is the newer one.
#[test]
fn a_clos_answers_as_frr_does() {
    let (mut network, leaves) = clos();
    network.start();
    network.run(3);
    network.set(1, false);
    network.run(2);
    network.set(1, true);
    network.run(15);
    compare(&network, leaves[0], "clos.leaf0");
}

/// FRR's VRFs were network namespaces, which have their own numbers of interfaces and their main table.
#[test]
fn routing_between_networks_of_evpn_answers_as_frr_does() {
    const MORE: &[Mask] = &[
        (r"ifIndex: \d+", "ifIndex: 0"),
        (
            r#""(ifindex|sviIfindex|interfaceIndex|table|nexthopGroupId|installedNexthopGroupId)":\d+"#,
            "\"$1\":0",
        ),
        (r#""(?:lastUpdate|uptime)":\{?[^}]*?"string":[^}]*\}"#, "LAST"),
        (r"Last update:? .*", "LAST"),
        (r"(?m)(^|\s)(RIB entries|Peers) .*", "$1$2"),
    ];
    let network = routed();
    let masks: Vec<Mask> = MASKS.iter().chain(MORE).copied().collect();
    recorded::compare("evpn-routed.leaf1", &masks, |command| ask(&network, 0, command));
}

#[test]
fn memory_is_counted_with_frrs_sizes() {
    let mut network = published();
    network.start();
    network.run(3);
    let answer = ask(&network, 1, "show bgp memory");
    assert!(
        answer.starts_with(
            "15 RIB nodes, using 2880 bytes of memory\n9 BGP routes, using 1008 bytes of memory\n"
        )
    );
    assert!(
        answer.ends_with("3 peers, using 2172 KiB of memory\n2 peer groups, using 128 bytes of memory\n")
    );
}

/// What FRR 8.4.4 answered of such an aggregate.
#[test]
fn aggregates_and_what_they_hide() {
    let mut network = Network::new();
    let text = "router bgp 65001\n bgp router-id 10.0.0.1\n no bgp network import-check\n \
        address-family ipv4 unicast\n  network 10.2.1.0/24\n  aggregate-address 10.2.0.0/16 summary-only\n";
    let node = network.node("r1", text, &[]);
    network.start();
    let table = ask(&network, node, "show bgp ipv4 unicast");
    assert!(
        table.contains("\n*> 10.2.0.0/16      ::                       0         32768 i\n"),
        "{table}"
    );
    assert!(
        table.contains("\ns> 10.2.1.0/24      0.0.0.0                  0         32768 i\n"),
        "{table}"
    );
    let hidden = ask(&network, node, "show bgp ipv4 unicast 10.2.1.0/24");
    assert!(
        hidden.contains("best #1, table default, Advertisements suppressed by an aggregate.)\n"),
        "{hidden}"
    );
    let json = ask(&network, node, "show bgp ipv4 unicast json");
    assert!(
        json.contains("\"10.2.1.0/24\": [{\"suppressed\":true,\"valid\":true,"),
        "{json}"
    );
}
