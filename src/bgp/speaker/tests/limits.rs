//! Limits of how many prefixes a neighbor sends or is sent.

use super::line::{A, B, C, Words, b, line};
use super::*;
use crate::session::Reason;

fn limited(how: &str) -> String {
    format!("  neighbor 10.0.12.1 maximum-prefix {how}\n")
}

fn with(how: &str) -> Network {
    line(Words {
        family: &limited(how),
        ..Words::default()
    })
}

#[test]
fn too_many_prefixes_end_a_session_until_it_is_reset() {
    let mut network = with("2");
    let peer = network.peer(B, "10.0.12.1");
    assert_eq!(peer.session.state(), State::Idle);
    let Some(Reason::Sent(why)) = peer.session.last_reason() else {
        panic!("{:?}", peer.session.last_reason());
    };
    assert_eq!((why.code, why.subcode), (6, 1));
    assert_eq!(why.data, [0, 1, 1, 0, 0, 0, 2]);
    assert!(network.told_by(B, "10.0.12.1").is_empty());
    // A higher limit alone does not bring it back.
    let id = peer.id;
    let higher = limited("9");
    network.reconfigure(
        B,
        &b(Words {
            family: &higher,
            ..Words::default()
        }),
    );
    network.run(300);
    assert_eq!(network.peer(B, "10.0.12.1").session.state(), State::Idle);
    network.handle_event(B, Event::Reset(id));
    network.run(30);
    assert_eq!(network.told_by(B, "10.0.12.1").len(), 4);
}

/// Not seen on FRR: from what its code and the RFCs say.
#[test]
fn a_session_may_begin_again_after_some_minutes() {
    let mut network = with("2 restart 2");
    network.run(100);
    let overflow = |network: &Network| network.peer(B, "10.0.12.1").overflow();
    assert!(overflow(&network).is_some_and(|it| it.until.is_some()));
    // With fewer prefixes it stays up then.
    let fewer = "frr defaults datacenter\nrouter bgp 65001\n bgp router-id 1.1.1.1\n no bgp network import-check\n \
        neighbor 10.0.12.2 remote-as external\n address-family ipv4 unicast\n  network 10.2.0.0/16\n";
    network.reconfigure(A, fewer);
    network.run(60);
    assert_eq!(network.told_by(B, "10.0.12.1"), ["10.2.0.0/16"]);
    assert!(overflow(&network).is_none());
}

#[test]
fn a_limit_may_only_be_told() {
    let network = with("2 warning-only");
    assert_eq!(network.told_by(B, "10.0.12.1").len(), 4);
    // One more than is said may come.
    assert_eq!(with("3").told_by(B, "10.0.12.1").len(), 4);
}

/// Not seen on FRR: from what its code and the RFCs say.
#[test]
fn filtered_prefixes_count_if_that_is_said() {
    let count = |how: &str| {
        let family = format!(
            "{}  neighbor 10.0.12.1 soft-reconfiguration inbound\n  neighbor 10.0.12.1 prefix-list P in\n",
            limited(how)
        );
        let network = line(Words {
            before: "ip prefix-list P permit 10.1.0.0/24\n",
            family: &family,
            ..Words::default()
        });
        network.told_by(B, "10.0.12.1").len()
    };
    assert_eq!(count("2"), 1);
    assert_eq!(count("2 force"), 0);
}

#[test]
fn a_neighbor_is_told_no_more_than_it_may_be() {
    let network = line(Words {
        family: "  neighbor 10.0.23.3 maximum-prefix-out 2\n",
        ..Words::default()
    });
    assert_eq!(network.told_by(C, "10.0.23.2").len(), 2);
}

#[test]
fn a_limit_that_is_lowered_holds_at_once_and_one_that_is_lifted_keeps_nobody_down() {
    let mut network = with("3");
    let say = |network: &mut Network, family: &str| {
        let words = Words {
            family,
            ..Words::default()
        };
        network.reconfigure(B, &b(words));
        network.run(30);
        network.peer(B, "10.0.12.1").session.state()
    };
    let once = |how: &str| limited(how);
    assert_eq!(say(&mut network, &once("4")), State::Established);
    // A warning is no end, and what was warned of does not excuse what comes after it.
    assert_eq!(say(&mut network, &once("1 warning-only")), State::Established);
    assert_eq!(say(&mut network, &once("3")), State::Idle);
    assert_eq!(say(&mut network, &once("9")), State::Idle);
    assert_eq!(say(&mut network, &once("2 warning-only")), State::Idle);
    assert_eq!(say(&mut network, ""), State::Established);
    assert!(network.peer(B, "10.0.12.1").overflow().is_none());
}
