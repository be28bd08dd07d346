//! `show bgp neighbors` as JSON.

use std::time::Duration;

use super::clock;
use super::facts::{is_up, local_as, remote_as};
use super::json::{Object, text};
use super::neighbor::Neighbor;
use super::neighbor_family::{facts, group_of};
use super::scope::key;
use crate::config::{GracefulRestart, PeerName, UpdateSource};
use crate::session::State;
use crate::wire::Family;

/// Everything about a neighbor.
pub(super) fn object(it: &Neighbor) -> Object {
    let mut object = Object::new();
    put_head(it, &mut object);
    put_state(it, &mut object);
    if let Some(capabilities) = &it.capabilities {
        object.put("neighborCapabilities", capabilities.as_json(it.view.is_ten()));
    }
    object.put("gracefulRestartInfo", restart(it));
    put_messages(it, &mut object);
    let families = it.families().fold(Object::new(), |families, family| {
        families.with(key(family), facts(&it.view, it.peer, family).json)
    });
    object.put("addressFamilyInfo", families);
    put_connection(it, &mut object);
    object
}

fn put_head(it: &Neighbor, object: &mut Object) {
    let peer = it.peer;
    if matches!(peer.name, PeerName::Interface(_)) {
        let address = peer
            .remote
            .map_or("none".to_owned(), |address| address.to_string());
        object.put("bgpNeighborAddr", address);
    }
    object.put("remoteAs", remote_as(peer));
    object.put("localAs", local_as(peer));
    if let Some(local) = peer.effective.local_as {
        object.put_if("localAsNoPrepend", local.no_prepend);
        object.put_if("localAsReplaceAs", local.replace_as);
    }
    if it.view.is_ten() {
        object.put("localAsReplaceAsDualAs", false);
    }
    let internal = it.view.is_internal(peer);
    object.put(
        if internal {
            "nbrInternalLink"
        } else {
            "nbrExternalLink"
        },
        true,
    );
    object.put("localRole", "undefined");
    object.put("remoteRole", "undefined");
    object.put_some("nbrDesc", peer.effective.description.as_deref());
    object.put_some("hostname", peer.record.name.as_deref());
    object.put_some("peerGroup", group_of(&it.view, peer));
    object.put_some("peerSubnetRangeGroup", it.range().map(text));
    object.put_if("adminShutDown", it.view.is_shut(peer));
}

fn put_state(it: &Neighbor, object: &mut Object) {
    let (peer, record) = (it.peer, &it.peer.record);
    let millis = |at| it.ago(at).as_secs() * 1000;
    let remote = it.router_id();
    object.put("bgpVersion", 4);
    object.put(
        "remoteRouterId",
        text(remote.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED)),
    );
    object.put("localRouterId", text(it.view.speaker.router_id()));
    let state = it.view.state(peer);
    object.put("bgpState", state.name());
    if state == State::Active && peer.effective.passive {
        object.put("bgpStateIs", "passive");
    } else if state == State::Active && it.is_away() {
        object.put("bgpStateIs", "passiveNSF");
    }
    if is_up(peer) {
        let lasted = it.ago(record.changed);
        object.put("bgpTimerUpMsec", lasted.as_secs() * 1000);
        object.put("bgpTimerUpString", clock::lasted(lasted));
        let since = it.view.unix.saturating_sub(lasted);
        object.put("bgpTimerUpEstablishedEpoch", since.as_secs());
    }
    object.put("bgpTimerLastRead", millis(record.last_received));
    object.put("bgpTimerLastWrite", millis(record.last_sent));
    object.put("bgpInUpdateElapsedTimeMsecs", millis(record.last_update));
    let configured = peer.effective.timers;
    let (hold, keepalive) = it.timers();
    for (name, seconds) in [
        ("bgpTimerConfiguredHoldTimeMsecs", configured.hold),
        ("bgpTimerConfiguredKeepAliveIntervalMsecs", configured.keepalive),
        ("bgpTimerHoldTimeMsecs", hold),
        ("bgpTimerKeepAliveIntervalMsecs", keepalive),
    ] {
        object.put(name, u32::from(seconds) * 1000);
    }
    if let Some(delay) = peer.effective.delay_open {
        object.put("bgpTimerDelayOpenTimeMsecs", u32::from(delay) * 1000);
    }
    if let Some(size) = it.segment_limit() {
        object.put("bgpTcpMssConfigured", size);
        object.put("bgpTcpMssSynced", it.segment_size());
    }
    object.put("extendedOptionalParametersLength", false);
    object.put("bgpTimerConfiguredConditionalAdvertisementsSec", 60);
}

/// Ends of tables, roles and timers of restarts.
pub(super) fn restart(it: &Neighbor) -> Object {
    let ends = |is: &dyn Fn(Family) -> bool| {
        let families = it.exchanged().into_iter().filter(|family| is(*family));
        families.fold(Object::new(), |object, family| object.with(key(family), true))
    };
    let received = |family| *it.peer.record.told_all.get(family);
    let mut object = Object::new()
        .with("endOfRibSend", ends(&|_| it.is_told_ends()))
        .with("endOfRibRecv", ends(&|family| it.restarts() && received(family)));
    let (back, stale) = it.patience();
    let millis = |left: Duration| left.as_secs() * 1000;
    object.put_some("gracefulRestartTimerMsecs", back.map(millis));
    object.put_some("gracefulStalepathTimerMsecs", stale.map(millis));
    with_roles(it, object)
}

/// The roles of both sides in restarts, and their timers, put to what an object has.
pub(super) fn with_roles(it: &Neighbor, object: Object) -> Object {
    let received = |family| *it.peer.record.told_all.get(family);
    let (restarting, notification) = it.restart_bits();
    let configured = it.view.bgp().map(|bgp| bgp.graceful_restart).unwrap_or_default();
    let mut object = object
        .with("localGrMode", it.local_mode())
        .with("remoteGrMode", it.remote_mode())
        .with("rBit", restarting)
        .with("nBit", notification);
    let mut timers = Object::new().with("configuredRestartTimer", configured.restart_time);
    if it.view.is_ten() {
        timers.put("configuredLlgrStaleTime", 0);
    }
    object.put(
        "timers",
        timers.with("receivedRestartTimer", it.remote_restart_time()),
    );
    // FRR has these of the families of prefixes alone.
    let of_prefixes = it.families().filter(|family| Family::UNICAST.contains(family));
    for family in of_prefixes.filter(|_| it.restarts()) {
        let status = Object::new()
            .with("endOfRibSend", it.peer.exchanges(family))
            .with("endOfRibSentAfterUpdate", it.ended_last(family))
            .with("endOfRibRecv", received(family));
        let mut timers = Object::new().with("stalePathTimer", configured.stalepath_time);
        if it.view.is_ten() {
            timers.put("llgrStaleTime", 0);
        }
        if it.peer.effective.graceful_restart == GracefulRestart::Restarter {
            // FRR shows the other time here, too.
            timers.put("selectionDeferralTimer", configured.stalepath_time);
        }
        object.put(
            key(family),
            Object::new()
                .with("fBit", it.has_forwarded(family))
                .with("endOfRibStatus", status)
                .with("timers", timers),
        );
    }
    object
}

fn put_messages(it: &Neighbor, object: &mut Object) {
    let (sent, received) = (&it.peer.record.sent, &it.peer.record.received);
    let mut stats = Object::new().with("depthInq", 0).with("depthOutq", 0);
    for (name, sent, received) in [
        ("opens", sent.opens, received.opens),
        ("notifications", sent.notifications, received.notifications),
        ("updates", sent.updates, received.updates),
        ("keepalives", sent.keepalives, received.keepalives),
        ("routeRefresh", sent.refreshes, received.refreshes),
        ("capability", 0, 0),
        ("total", sent.total(), received.total()),
    ] {
        stats.put(format!("{name}Sent"), sent);
        stats.put(format!("{name}Recv"), received);
    }
    object.put("messageStats", stats);
    if it.view.is_ten() {
        let mut lost = Object::new();
        for (name, _, count) in it.lost_routes() {
            lost.put(name, count);
        }
        object.put("prefixStats", lost);
    }
    let effective = &it.peer.effective;
    object.put(
        "minBtwnAdvertisementRunsTimerMsecs",
        u32::from(effective.advertisement_interval) * 1000,
    );
    match &effective.update_source {
        Some(UpdateSource::Address(address)) => object.put("updateSource", text(address)),
        Some(UpdateSource::Interface(name)) => object.put("updateSource", name.as_str()),
        None => {}
    }
}

fn put_connection(it: &Neighbor, object: &mut Object) {
    let (peer, record) = (it.peer, &it.peer.record);
    object.put("connectionsEstablished", record.established);
    object.put("connectionsDropped", record.dropped);
    let reset = record.reset.as_ref().map(|(at, _)| *at);
    if it.view.is_ten() && is_up(peer) && reset.is_none() {
        object.put("lastReset", "never");
    } else {
        object.put("lastResetTimerMsecs", it.ago(reset).as_secs() * 1000);
        it.reset.put(object);
        if it.view.is_ten() {
            object.put("softwareVersion", "n/a");
        }
    }
    if let Some(overflow) = peer.overflow() {
        object.put("prefixesConfigExceedMax", true);
        match overflow.until {
            Some(until) => {
                object.put("reducePrefixNumFrom", true);
                let left = until.saturating_sub(it.view.now).as_secs();
                object.put("restartInTimerMsec", left * 1000);
            }
            None => object.put("reducePrefixNumAndClearIpBgp", true),
        }
    }
    let internal = it.view.is_internal(peer);
    object.put(
        if internal {
            "internalBgpNbrMaxHopsAway"
        } else {
            "externalBgpNbrMaxHopsAway"
        },
        it.hops(),
    );
    match it.ends() {
        Some(ends) => {
            object.put("hostLocal", text(ends.local));
            object.put("portLocal", ends.ports.0);
            object.put("hostForeign", text(ends.remote));
            object.put("portForeign", ends.ports.1);
        }
        None => {
            object.put("hostLocal", "Unknown");
            object.put("portLocal", -1);
            object.put("hostForeign", "Unknown");
            object.put("portForeign", -1);
        }
    }
    if let Some(hops) = it.next_hops() {
        object.put("nexthop", text(hops.v4));
        object.put("nexthopGlobal", text(hops.global));
        object.put("nexthopLocal", text(hops.link_local));
        let shared = if hops.shared {
            "sharedNetwork"
        } else {
            "nonSharedNetwork"
        };
        object.put("bgpConnection", shared);
    }
    object.put("connectRetryTimer", peer.effective.connect_retry);
    object.put_some("estimatedRttInMsecs", it.round_trip());
    if let Some((connects, due)) = it.next_try() {
        let what = if connects { "Connect" } else { "Start" };
        object.put(format!("next{what}TimerDueInMsecs"), due.as_secs() * 1000);
    }
    if peer.effective.password.is_some() {
        object.put("authenticationEnabled", 1);
    }
    let threads = if is_up(peer) { "on" } else { "off" };
    object.put("readThread", threads);
    object.put("writeThread", threads);
}
