//! `show bgp neighbors` as text.

use std::fmt::Write;

use super::clock;
use super::facts::{is_up, local_as, remote_as};
use super::neighbor::Neighbor;
use super::neighbor_family::{facts, group_of};
use crate::config::{PeerName, UpdateSource};
use crate::wire::Family;

/// Everything about a neighbor.
pub(super) fn lines(it: &Neighbor) -> String {
    head(it) + &state(it) + &restart(it) + &messages(it) + &families(it) + &connection(it)
}

fn head(it: &Neighbor) -> String {
    let peer = it.peer;
    let address = peer
        .remote
        .map_or("none".to_owned(), |address| address.to_string());
    let name = match &peer.name {
        PeerName::Interface(name) => format!("on {name}: {address}"),
        PeerName::Address(address) if peer.is_dynamic() => format!("is *{address}"),
        PeerName::Address(address) => format!("is {address}"),
    };
    let own = peer
        .effective
        .local_as
        .map_or("", |local| match (local.no_prepend, local.replace_as) {
            (_, true) => " no-prepend replace-as",
            (true, false) => " no-prepend",
            (false, false) => "",
        });
    let mut out = format!(
        "BGP neighbor {name}, remote AS {}, local AS {}{own}, {} link\n  Local Role: undefined\n  Remote Role: undefined\n",
        remote_as(peer),
        local_as(peer),
        if it.view.is_internal(peer) {
            "internal"
        } else {
            "external"
        },
    );
    if let Some(text) = &peer.effective.description {
        let _ = writeln!(out, " Description: {text}");
    }
    if let Some(name) = &peer.record.name {
        let _ = writeln!(out, "Hostname: {name}");
    }
    if let Some(group) = group_of(&it.view, peer) {
        let _ = writeln!(out, " Member of peer-group {group} for session parameters");
    }
    if let Some(range) = it.range() {
        let _ = writeln!(out, " Belongs to the subnet range group: {range}");
    }
    if it.view.is_shut(peer) {
        out += " Administratively shut down\n";
    }
    out
}

fn state(it: &Neighbor) -> String {
    let (peer, record) = (it.peer, &it.peer.record);
    let remote = it.router_id().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED);
    let mut out = format!(
        "  BGP version 4, remote router ID {remote}, local router ID {}\n  BGP state = {}",
        it.view.speaker.router_id(),
        it.view.state(peer).name(),
    );
    if is_up(peer) {
        let _ = write!(out, ", up for {}", clock::lasted(it.ago(record.changed)));
    }
    let sent = record
        .last_sent
        .map_or("never".to_owned(), |at| clock::lasted(it.ago(Some(at))));
    let _ = writeln!(
        out,
        "\n  Last read {}, Last write {sent}",
        clock::lasted(it.ago(record.last_received))
    );
    let (hold, keepalive) = it.timers();
    let configured = peer.effective.timers;
    let _ = writeln!(
        out,
        "  Hold time is {hold} seconds, keepalive interval is {keepalive} seconds"
    );
    let _ = writeln!(
        out,
        "  Configured hold time is {} seconds, keepalive interval is {} seconds",
        configured.hold, configured.keepalive
    );
    if let Some(delay) = peer.effective.delay_open {
        let _ = writeln!(out, "  Configured DelayOpenTime is {delay} seconds");
    }
    if let Some(size) = it.segment_limit() {
        let _ = writeln!(
            out,
            "  Configured tcp-mss is {size}, synced tcp-mss is {}",
            it.segment_size()
        );
    }
    out += "  Configured conditional advertisements interval is 60 seconds\n";
    let capabilities = it.capabilities.as_ref().map_or(String::new(), |it| it.lines());
    out += &match it.view.is_ten() {
        true => capabilities.replace("(old & new)", "").replace("(new)", ""),
        false => capabilities,
    };
    out
}

/// FRR's words for yes and no here.
fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// What ends of tables and roles there are in restarts.
pub(super) fn restart(it: &Neighbor) -> String {
    let mut out = String::from("  Graceful restart information:\n");
    if it.is_told_ends() {
        let names = |families: Vec<Family>| {
            let names: Vec<String> = families.iter().map(ToString::to_string).collect();
            names.join(", ")
        };
        let mut sent = it.exchanged();
        sent.retain(|_| it.is_told_ends());
        let mut received = it.exchanged();
        received.retain(|family| it.restarts() && *it.peer.record.told_all.get(*family));
        for (word, families) in [("send", sent), ("received", received)] {
            if !families.is_empty() {
                let _ = writeln!(out, "    End-of-RIB {word}: {}", names(families));
            }
        }
    }
    let (back, stale) = it.patience();
    for (name, left) in [("restart", back), ("stalepath", stale)] {
        if let Some(left) = left {
            let _ = writeln!(
                out,
                "    The remaining time of {name} timer is {}",
                left.as_secs()
            );
        }
    }
    out + &roles(it)
}

/// The roles of both sides in restarts, and their timers.
pub(super) fn roles(it: &Neighbor) -> String {
    let (restarting, notification) = it.restart_bits();
    let restart = it.view.bgp().map(|bgp| bgp.graceful_restart).unwrap_or_default();
    let mut out = format!(
        "    Local GR Mode: {}\n    Remote GR Mode: {}\n    R bit: {}\n    N bit: {}\n    Timers:\n      \
         Configured Restart Time(sec): {}\n      Received Restart Time(sec): {}\n",
        it.local_mode(),
        it.remote_mode(),
        truth(restarting),
        truth(notification),
        restart.restart_time,
        it.remote_restart_time(),
    );
    if it.restarts() {
        // FRR has these lines of the families of prefixes alone.
        let of_prefixes = it
            .exchanged()
            .into_iter()
            .filter(|it| Family::UNICAST.contains(it));
        for family in of_prefixes {
            let received = *it.peer.record.told_all.get(family);
            let _ = write!(
                out,
                "    {family}:\n      F bit: {}\n      End-of-RIB sent: Yes\n      End-of-RIB sent after update: {}\n      \
                 End-of-RIB received: {}\n      Timers:\n        Configured Stale Path Time(sec): {}\n",
                truth(it.has_forwarded(family)),
                if it.ended_last(family) { "Yes" } else { "No" },
                if received { "Yes" } else { "No" },
                restart.stalepath_time,
            );
        }
    }
    out
}

fn messages(it: &Neighbor) -> String {
    let (sent, received) = (&it.peer.record.sent, &it.peer.record.received);
    let mut out = String::from(
        "  Message statistics:\n    Inq depth is 0\n    Outq depth is 0\n                         Sent       Rcvd\n",
    );
    for (name, sent, received) in [
        ("Opens:", sent.opens, received.opens),
        ("Notifications:", sent.notifications, received.notifications),
        ("Updates:", sent.updates, received.updates),
        ("Keepalives:", sent.keepalives, received.keepalives),
        ("Route Refresh:", sent.refreshes, received.refreshes),
        ("Capability:", 0, 0),
        ("Total:", sent.total(), received.total()),
    ] {
        let _ = writeln!(out, "    {name:15}{sent:>10} {received:>10}");
    }
    if it.view.is_ten() {
        out += "\n  Prefix statistics:\n";
        for (_, name, count) in it.lost_routes() {
            let _ = writeln!(out, "    {name}: {count}");
        }
        out.push('\n');
    }
    let effective = &it.peer.effective;
    let _ = writeln!(
        out,
        "  Minimum time between advertisement runs is {} seconds",
        effective.advertisement_interval
    );
    match &effective.update_source {
        Some(UpdateSource::Address(address)) => {
            let _ = writeln!(out, "  Update source is {address}");
        }
        Some(UpdateSource::Interface(name)) => {
            let _ = writeln!(out, "  Update source is {name}");
        }
        None => {}
    }
    out
}

fn families(it: &Neighbor) -> String {
    let families = it.families().map(|family| {
        let facts = facts(&it.view, it.peer, family);
        format!("\n For address family: {family}\n{}", facts.lines)
    });
    families.collect()
}

/// Which message was answered with a NOTIFICATION, and what to do about too many prefixes.
fn too_many(it: &Neighbor) -> String {
    let mut out = String::new();
    let Some(overflow) = it.overflow() else { return out };
    let cause = &it.peer.record.cause;
    if !cause.is_empty() {
        out += "  Message received that caused BGP to send a NOTIFICATION:\n    ";
        for (at, octet) in cause.iter().enumerate() {
            let gap = match at {
                0 => "",
                at if at % 16 == 0 => "\n    ",
                at if at % 4 == 0 => " ",
                _ => "",
            };
            let _ = write!(out, "{gap}{octet:02X}");
        }
        out += "\n";
    }
    out += "  Peer had exceeded the max. no. of prefixes configured.\n";
    let name = &it.peer.name;
    let _ = match overflow.until {
        Some(until) => {
            let left = until.saturating_sub(it.view.now).as_secs();
            writeln!(
                out,
                "  Reduce the no. of prefix from {name}, will restart in {left} seconds"
            )
        }
        None => writeln!(
            out,
            "  Reduce the no. of prefix and clear ip bgp {name} to restore peering"
        ),
    };
    out
}

fn connection(it: &Neighbor) -> String {
    let (peer, record) = (it.peer, &it.peer.record);
    let mut out = format!(
        "\n  Connections established {}; dropped {}\n",
        record.established, record.dropped
    );
    let reset = record.reset.as_ref().map(|(at, _)| *at);
    let ago = clock::lasted(it.ago(reset));
    let _ = match it.view.is_ten() {
        false => writeln!(out, "  Last reset {ago},  {}", it.reset.line()),
        true if is_up(peer) && reset.is_none() => writeln!(out, "  Last reset never"),
        true => writeln!(out, "  Last reset {ago},  {} (n/a)", it.reset.line()),
    };
    out += &too_many(it);
    let internal = it.view.is_internal(peer);
    let _ = writeln!(
        out,
        "  {} BGP neighbor may be up to {} hops away.",
        if internal { "Internal" } else { "External" },
        it.hops()
    );
    if let (Some(ends), Some(hops)) = (it.ends(), it.next_hops()) {
        let _ = write!(
            out,
            "Local host: {}, Local port: {}\nForeign host: {}, Foreign port: {}\nNexthop: {}\nNexthop global: {}\n\
             Nexthop local: {}\nBGP connection: {}shared network\n",
            ends.local,
            ends.ports.0,
            ends.remote,
            ends.ports.1,
            hops.v4,
            hops.global,
            hops.link_local,
            if hops.shared { "" } else { "non " },
        );
    }
    let _ = writeln!(
        out,
        "BGP Connect Retry Timer in Seconds: {}",
        peer.effective.connect_retry
    );
    if let Some(milliseconds) = it.round_trip() {
        let _ = writeln!(out, "Estimated round trip time: {milliseconds} ms");
    }
    if let Some((connects, due)) = it.next_try() {
        let what = if connects { "connect" } else { "start" };
        let _ = writeln!(out, "Next {what} timer due in {} seconds", due.as_secs());
    }
    if peer.effective.password.is_some() {
        out += "Peer Authentication Enabled\n";
    }
    let (threads, descriptor) = match peer.session.established_on() {
        Some(connection) => ("on", connection.0.to_string()),
        None => ("off", "-1".to_owned()),
    };
    let _ = writeln!(
        out,
        "Read thread: {threads}  Write thread: {threads}  FD used: {descriptor}"
    );
    out + "\n"
}
