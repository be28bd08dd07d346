//! A virtual router's answers, from what its speaker knows.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::instance::AddressFamily;
use super::state::{Answer, FamilyState, PeerState, Query, RestartState, RouteState, Table};
use crate::bgp::config::{GracefulRestart, PeerName, RemoteAs};
use crate::bgp::session::{State, Time};
use crate::bgp::speaker::{Peer, Speaker};
use crate::bgp::wire::{Attributes, Family};

/// What a speaker says to a question.
pub fn answer(speaker: &Speaker, query: Query, now: Time) -> Answer {
    match query {
        Query::Peers => Answer::Peers(speaker.peers().map(|it| peer(speaker, it, now)).collect()),
        Query::Routes(Table::Available, family) => Answer::Routes(available(speaker, family, now)),
        Query::Routes(Table::Advertised, family) => Answer::Routes(advertised(speaker, family, now)),
    }
}

fn asn(speaker: &Speaker) -> u32 {
    speaker.config().bgp.as_ref().map_or(0, |bgp| bgp.asn)
}

fn address(peer: &Peer) -> Option<IpAddr> {
    match &peer.name {
        PeerName::Address(address) => Some(*address),
        PeerName::Interface(_) => peer.remote,
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A state's name in Cilium's API.
fn state(state: State) -> &'static str {
    match state {
        State::Idle => "idle",
        State::Connect => "connect",
        State::Active => "active",
        State::OpenSent => "open_sent",
        State::OpenConfirm => "open_confirm",
        State::Established => "established",
    }
}

fn peer(speaker: &Speaker, peer: &Peer, now: Time) -> PeerState {
    let effective = &peer.effective;
    let agreement = peer.session.agreement();
    let up = agreement.and(peer.record.changed);
    let remote_as = match effective.remote_as {
        Some(RemoteAs::Number(asn)) => asn,
        _ => peer.record.asn.unwrap_or(0),
    };
    let bgp = speaker.config().bgp.as_ref();
    let restarts = effective.graceful_restart == GracefulRestart::Restarter;
    let families = Family::ALL
        .into_iter()
        .filter(|family| peer.family(*family).activate);
    PeerState {
        local_asn: asn(speaker),
        peer_asn: remote_as,
        peer_address: address(peer).unwrap_or(IpAddr::from([0, 0, 0, 0])),
        peer_port: effective.port,
        session_state: state(peer.session.state()).to_owned(),
        uptime_nanoseconds: up.map_or(0, |since| nanoseconds(now.saturating_sub(since))),
        ebgp_multihop_ttl: effective.ebgp_multihop.unwrap_or(0),
        connect_retry_time_seconds: effective.connect_retry.into(),
        configured_hold_time_seconds: effective.timers.hold,
        applied_hold_time_seconds: agreement.map_or(0, |it| it.hold_time),
        configured_keep_alive_time_seconds: effective.timers.keepalive,
        applied_keep_alive_time_seconds: agreement.map_or(0, |it| it.keepalive),
        graceful_restart: RestartState {
            enabled: restarts,
            restart_time_seconds: bgp
                .filter(|_| restarts)
                .map_or(0, |bgp| bgp.graceful_restart.restart_time),
        },
        tcp_password_enabled: effective.password.is_some(),
        families: families.map(|it| family(speaker, peer, it)).collect(),
    }
}

fn family(speaker: &Speaker, peer: &Peer, family: Family) -> FamilyState {
    let accepted = speaker.table(family).count(peer.id);
    FamilyState {
        afi: AddressFamily::from(family).name().to_owned(),
        safi: "unicast".to_owned(),
        received: accepted,
        accepted,
        advertised: peer.advertised_count(family),
    }
}

fn available(speaker: &Speaker, family: AddressFamily, now: Time) -> Vec<RouteState> {
    let mut routes = Vec::new();
    for (prefix, destination) in speaker.table(family.into()).iter() {
        let best = destination.best().map(|route| route.key());
        for route in destination.routes() {
            routes.push(RouteState {
                router_asn: asn(speaker),
                neighbor: route.source.address,
                best: best == Some(route.key()),
                ..told(
                    prefix,
                    &route.attributes,
                    route.next_hop.address(),
                    now.saturating_sub(route.since()),
                )
            });
        }
    }
    routes
}

fn advertised(speaker: &Speaker, family: AddressFamily, now: Time) -> Vec<RouteState> {
    let mut routes = Vec::new();
    for peer in speaker.peers().filter(|peer| peer.exchanges(family.into())) {
        for (prefix, _, sent) in speaker.advertised(peer, family.into()) {
            let best = speaker.table(family.into()).get(&prefix).and_then(|it| it.best());
            let since = best.map_or(now, |route| route.since());
            routes.push(RouteState {
                router_asn: asn(speaker),
                neighbor: address(peer),
                best: true,
                ..told(
                    prefix,
                    &sent.attributes,
                    sent.next_hop.address(),
                    now.saturating_sub(since),
                )
            });
        }
    }
    routes
}

fn told(prefix: IpNet, attributes: &Attributes, next_hop: IpAddr, age: Duration) -> RouteState {
    RouteState {
        router_asn: 0,
        neighbor: None,
        prefix,
        next_hop,
        age_nanoseconds: nanoseconds(age),
        best: false,
        path_attributes: words(attributes, next_hop),
    }
}

/// Attributes as GoBGP writes them.
fn words(attributes: &Attributes, next_hop: IpAddr) -> Vec<String> {
    let mut words = vec![format!("{{Origin: {}}}", attributes.origin.letter())];
    let path = attributes.as_path.to_string();
    if !path.is_empty() {
        words.push(format!("{{AsPath: {path}}}"));
    }
    words.push(format!("{{Nexthop: {next_hop}}}"));
    if let Some(med) = attributes.med {
        words.push(format!("{{Med: {med}}}"));
    }
    if let Some(preference) = attributes.local_pref {
        words.push(format!("{{LocalPref: {preference}}}"));
    }
    let list = |name: &str, items: Vec<String>| {
        let text = format!("{{{name}: {}}}", items.join(", "));
        (!items.is_empty()).then_some(text)
    };
    let communities = attributes.communities.iter().map(ToString::to_string);
    words.extend(list("Communities", communities.collect()));
    let large = attributes.large_communities.iter().map(ToString::to_string);
    words.extend(list("LargeCommunity", large.collect()));
    words
}
