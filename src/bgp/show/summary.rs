//! `show bgp summary`.

use std::collections::HashMap;
use std::fmt::Write;

use super::facts::{self, is_up, kind_of_name, local_as, memory, remote_as};
use super::json::{Json, Object, text};
use super::reset::Reset;
use super::scope::{Scope, several};
use super::{View, clock};
use crate::config::{Arguments, Bgp};
use crate::session::Agreement;
use crate::speaker::Peer;
use crate::table::SourceId;
use crate::wire::{Capability, Family};

/// What FRR uses for a node of a table, a neighbor and a peer-group.
const NODE: usize = 192;
const PEER: usize = 741_464;
const GROUP: usize = 64;
/// The narrowest column of neighbors.
const NARROWEST: usize = 16;

/// What the words after `summary` ask for.
struct Wanted<'l> {
    established: bool,
    failed: bool,
    neighbor: Option<&'l str>,
    remote_as: Option<&'l str>,
    terse: bool,
    wide: bool,
}

impl Wanted<'_> {
    fn is_filtered(&self) -> bool {
        self.established || self.failed || self.neighbor.is_some() || self.remote_as.is_some()
    }

    fn takes(&self, view: &View, peer: &Peer) -> bool {
        let by_as = match self.remote_as {
            None => true,
            Some("internal") => view.is_internal(peer),
            Some("external") => !view.is_internal(peer),
            Some(number) => remote_as(peer).to_string() == number,
        };
        let by_name = self.neighbor.is_none_or(|name| {
            peer.name.to_string() == name || peer.remote.is_some_and(|it| it.to_string() == name)
        });
        by_as && by_name && (!self.established || is_up(peer)) && (!self.failed || !is_up(peer))
    }
}

/// `show bgp summary`.
pub(super) fn summary(view: &View, arguments: &Arguments) -> String {
    let scope = Scope::of(arguments);
    let json = arguments.has("json");
    let Some(bgp) = view.bgp() else {
        return if json {
            "{}\n"
        } else {
            "% BGP instance not found\n"
        }
        .to_owned();
    };
    if let Some(refusal) = scope.refusal(view) {
        return refusal;
    }
    let wanted = Wanted {
        established: arguments.has("established"),
        failed: arguments.has("failed"),
        neighbor: arguments.get("peer"),
        remote_as: arguments
            .one_of(&["internal", "external"])
            .or_else(|| arguments.get("asn")),
        terse: arguments.has("terse"),
        wide: arguments.has("wide"),
    };
    if let Some(name) = wanted.neighbor.filter(|name| view.peer(name).is_none()) {
        return match name.parse::<std::net::IpAddr>() {
            Ok(_) => "% No such neighbor\n".to_owned(),
            Err(_) => format!("% Malformed address or name: {name}\n"),
        };
    }
    match scope.only() {
        Some(family) if json && view.peers_in(family).is_empty() => "{}\n".to_owned(),
        Some(family) if json => one_as_json(view, bgp, family, &wanted).pretty() + "\n",
        Some(family) => one(view, bgp, family, &wanted),
        None if json => several(scope.all_families().into_iter().filter_map(|family| {
            let object = one_as_json(view, bgp, family, &wanted);
            (!object.is_empty()).then(|| (family, object.pretty()))
        })),
        None => all(view, bgp, &scope.all_families(), &wanted),
    }
}

fn all(view: &View, bgp: &Bgp, families: &[Family], wanted: &Wanted) -> String {
    let mut out = String::new();
    for family in families {
        if !view.peers_in(*family).is_empty() {
            let of = match view.is_ten() {
                true => String::new(),
                false => format!(" (VRF {})", view.vrf_name()),
            };
            let _ = writeln!(out, "\n{family} Summary{of}:");
            out += &one(view, bgp, *family, wanted);
        }
    }
    match out.is_empty() {
        true => format!("% No BGP neighbors found in VRF {}\n", view.vrf_name()),
        false => out,
    }
}

fn one(view: &View, bgp: &Bgp, family: Family, wanted: &Wanted) -> String {
    let peers = view.peers_in(family);
    let shown: Vec<&Peer> = peers
        .iter()
        .copied()
        .filter(|peer| wanted.takes(view, peer))
        .collect();
    if peers.is_empty() {
        return format!("% No BGP neighbors found in VRF {}\n", view.vrf_name());
    }
    if wanted.failed && shown.is_empty() {
        return "% No failed BGP neighbors found\n".to_owned();
    }
    let mut out = head(view, bgp, family, peers.len(), wanted.terse);
    if shown.is_empty() && (wanted.neighbor.is_some() || wanted.remote_as.is_some()) {
        return out + "% No matching neighbor\n";
    }
    let width = peers_width(view, &shown);
    let counts = facts::counts_in(view, family);
    out += &match (wanted.failed, wanted.wide) {
        (true, _) => format!("{:width$}EstdCnt DropCnt ResetTime Reason\n", "Neighbor"),
        (false, wide) => format!(
            "{:width$}V         AS{}   MsgRcvd   MsgSent   TblVer  InQ OutQ  Up/Down State/PfxRcd   PfxSnt Desc\n",
            "Neighbor",
            if wide { "    LocalAS" } else { "" },
        ),
    };
    for peer in &shown {
        out += &match wanted.failed {
            true => failed_row(view, peer, width),
            false => row(view, peer, family, width, &counts, wanted.wide),
        };
    }
    if wanted.is_filtered() {
        let _ = write!(out, "\nDisplayed neighbors {}", shown.len());
    }
    let _ = writeln!(out, "\nTotal number of neighbors {}", peers.len());
    let dynamic = peers.iter().filter(|peer| peer.is_dynamic()).count();
    if dynamic > 0 {
        let limit = bgp.listen_limit;
        let _ = writeln!(
            out,
            "* - dynamic neighbor\n{dynamic} dynamic neighbor(s), limit {limit}"
        );
    }
    out
}

fn peers_width(view: &View, peers: &[&Peer]) -> usize {
    let longest = peers.iter().map(|peer| marked(view, peer).len() + 1).max();
    longest.unwrap_or(0).max(NARROWEST)
}

/// A neighbor, with a mark where it came by itself.
fn marked(view: &View, peer: &Peer) -> String {
    let mark = if peer.is_dynamic() { "*" } else { "" };
    format!("{mark}{}", view.shown(peer))
}

fn head(view: &View, bgp: &Bgp, family: Family, peers: usize, terse: bool) -> String {
    let (nodes, version) = facts::size(view, family);
    let mut out = format!(
        "BGP router identifier {}, local AS number {}{} vrf-id 0\n",
        view.speaker.router_id(),
        bgp.asn,
        if view.is_ten() { " VRF default" } else { "" },
    );
    if !terse {
        let _ = writeln!(out, "BGP table version {version}");
        let _ = writeln!(
            out,
            "RIB entries {nodes}, using {} of memory",
            memory(nodes * NODE)
        );
        let _ = writeln!(out, "Peers {peers}, using {} of memory", memory(peers * PEER));
        if !bgp.groups.is_empty() {
            let groups = bgp.groups.len();
            let _ = writeln!(
                out,
                "Peer groups {groups}, using {} of memory",
                memory(groups * GROUP)
            );
        }
    }
    out + "\n"
}

fn row(
    view: &View,
    peer: &Peer,
    family: Family,
    width: usize,
    counts: &HashMap<SourceId, usize>,
    wide: bool,
) -> String {
    let local = if wide {
        format!(" {:>10}", local_as(peer))
    } else {
        String::new()
    };
    let record = &peer.record;
    let mut out = format!(
        "{:width$}4 {:>10}{local} {:>9} {:>9} {:>8} {:>4} {:>4} {:>8}",
        marked(view, peer),
        remote_as(peer),
        record.received.total(),
        record.sent.total(),
        0,
        0,
        0,
        up_or_down(view, peer),
    );
    let (no_policy_in, no_policy_out) = view.lacks_policy(peer, family);
    let received = counts.get(&peer.id).copied().unwrap_or(0);
    let sent = view.speaker.told_count(peer, family);
    out += &match () {
        () if !is_up(peer) => format!(" {:>12} {:>8}", state_name(view, peer), 0),
        () if !peer.exchanges(family) => format!(" {:>12} {:>8}", "NoNeg", "NoNeg"),
        () => {
            let received = if no_policy_in {
                "(Policy)".to_owned()
            } else {
                received.to_string()
            };
            let sent = if no_policy_out {
                "(Policy)".to_owned()
            } else {
                sent.to_string()
            };
            format!(" {received:>12} {sent:>8}")
        }
    };
    let description = peer.effective.description.as_deref();
    let description = description.map_or("N/A", |text| stripped(text, if wide { 64 } else { 20 }));
    out + " " + description + "\n"
}

/// A description that is too long for its column ends with the last whole word.
fn stripped(text: &str, size: usize) -> &str {
    if text.len() < size {
        return text;
    }
    let head = &text[..text.floor_char_boundary(size)];
    head.trim_end()
        .rfind(' ')
        .map_or("", |end| head[..end].trim_end())
}

fn failed_row(view: &View, peer: &Peer, width: usize) -> String {
    let record = &peer.record;
    format!(
        "{:width$}{:>7} {:>7} {:>9} {}{}\n",
        marked(view, peer),
        record.established,
        record.dropped,
        up_or_down(view, peer),
        Reset::of(view, peer).line(),
        if view.is_ten() { " (n/a)" } else { "" },
    )
}

/// How long a session has been up, or down; `never` before it was up first.
pub(super) fn up_or_down(view: &View, peer: &Peer) -> String {
    match peer.record.changed {
        Some(changed) => clock::lasted(view.now.saturating_sub(changed)),
        None => "never".to_owned(),
    }
}

/// The state, with the reason why a session is kept down.
pub(super) fn state_name(view: &View, peer: &Peer) -> &'static str {
    if view.is_shut(peer) {
        "Idle (Admin)"
    } else if peer.overflow().is_some() {
        "Idle (PfxCt)"
    } else {
        view.state(peer).name()
    }
}

/// Whether there is no session, or the neighbor has not said that it knows the family.
fn has_failed(peer: &Peer, family: Family) -> bool {
    let names = |it: &Agreement| {
        let named = Capability::Multiprotocol(family.into());
        it.remote_capabilities.contains(&named)
    };
    !peer.session.agreement().is_some_and(names)
}

fn one_as_json(view: &View, bgp: &Bgp, family: Family, wanted: &Wanted) -> Object {
    let peers = view.peers_in(family);
    let dynamic = peers.iter().filter(|peer| peer.is_dynamic()).count();
    let failed = peers.iter().filter(|peer| has_failed(peer, family)).count();
    if peers.is_empty() {
        return Object::new();
    }
    if wanted.failed && failed == 0 {
        return Object::new()
            .with("failedPeersCount", failed)
            .with("dynamicPeers", dynamic)
            .with("totalPeers", peers.len());
    }
    let (nodes, version) = facts::size(view, family);
    let mut object = Object::new()
        .with("routerId", text(view.speaker.router_id()))
        .with("as", bgp.asn)
        .with("vrfId", 0)
        .with("vrfName", "default")
        .with("tableVersion", version)
        .with("ribCount", nodes)
        .with("ribMemory", nodes * NODE)
        .with("peerCount", peers.len())
        .with("peerMemory", peers.len() * PEER);
    if !bgp.groups.is_empty() {
        object.put("peerGroupCount", bgp.groups.len());
        object.put("peerGroupMemory", bgp.groups.len() * GROUP);
    }
    let counts = facts::counts_in(view, family);
    let mut shown = Object::new();
    let mut displayed = 0;
    for peer in peers.iter().filter(|peer| wanted.takes(view, peer)) {
        displayed += 1;
        let value = match wanted.failed {
            true => failed_peer_as_json(view, peer),
            false => peer_as_json(view, peer, family, &counts),
        };
        shown.put(peer.name.to_string(), value);
    }
    object.put("peers", shown);
    object.put("failedPeers", failed);
    // FRR counts all of them here when it is asked for those that failed.
    object.put(
        "displayedPeers",
        if wanted.failed { peers.len() } else { displayed },
    );
    object.put("totalPeers", peers.len());
    object.put("dynamicPeers", dynamic);
    if !wanted.failed {
        object.put("bestPath", best_path(bgp));
    }
    object
}

/// What the best path is chosen by, where that is not as usual.
fn best_path(bgp: &Bgp) -> Object {
    let mut object = Object::new();
    if bgp.flags.ignore_as_path {
        object.put("asPath", "ignore");
    }
    let relaxed = match bgp.multipath_relax {
        None => "false",
        Some(false) => "true",
        Some(true) => "as-set",
    };
    object.put("multiPathRelax", relaxed);
    object.put_if("peerTypeRelax", bgp.flags.peer_type_multipath_relax);
    if bgp.flags.compare_router_id {
        object.put("compareRouterId", "true");
    }
    if bgp.flags.med_missing_as_worst {
        object.put("med", "missing-as-worst");
    }
    object
}

fn peer_as_json(view: &View, peer: &Peer, family: Family, counts: &HashMap<SourceId, usize>) -> Json {
    let record = &peer.record;
    let mut object = Object::new();
    object.put_if("dynamicPeer", peer.is_dynamic());
    object.put_some("hostname", record.name.as_deref());
    // Neighbors say it where they are configured to (code 75), which is off by default.
    if view.is_ten() {
        object.put("softwareVersion", "n/a");
    }
    object.put("remoteAs", remote_as(peer));
    object.put("localAs", local_as(peer));
    object.put("version", 4);
    object.put("msgRcvd", record.received.total());
    object.put("msgSent", record.sent.total());
    object.put("tableVersion", 0);
    object.put("outq", 0);
    object.put("inq", 0);
    put_up_time(view, peer, &mut object);
    let up = is_up(peer);
    let received = counts.get(&peer.id).copied().unwrap_or(0);
    object.put("pfxRcd", if up { received } else { 0 });
    object.put("pfxSnt", view.speaker.told_count(peer, family));
    object.put("state", state_name(view, peer));
    object.put("peerState", peer_state(view, peer, family));
    object.put("connectionsEstablished", record.established);
    object.put("connectionsDropped", record.dropped);
    object.put_some("desc", peer.effective.description.as_deref());
    object.put("idType", kind_of_name(peer));
    object.into()
}

fn put_up_time(view: &View, peer: &Peer, object: &mut Object) {
    object.put("peerUptime", up_or_down(view, peer));
    let lasted = peer
        .record
        .changed
        .map(|changed| view.now.saturating_sub(changed));
    object.put("peerUptimeMsec", lasted.map_or(0, |time| time.as_secs() * 1000));
    if let Some(lasted) = lasted {
        object.put(
            "peerUptimeEstablishedEpoch",
            view.unix.saturating_sub(lasted).as_secs(),
        );
    }
}

fn peer_state(view: &View, peer: &Peer, family: Family) -> &'static str {
    let (inward, outward) = view.lacks_policy(peer, family);
    match () {
        () if view.is_shut(peer) => "Admin",
        () if peer.overflow().is_some() => "PfxCt",
        () if peer.effective.passive && !peer.is_dynamic() => "Passive",
        () if peer.is_away() => "NSF passive",
        () if is_up(peer) && (inward || outward) => "Policy",
        () => "OK",
    }
}

fn failed_peer_as_json(view: &View, peer: &Peer) -> Json {
    let mut object = Object::new();
    object.put_if("dynamicPeer", peer.is_dynamic());
    object.put_some("hostname", peer.record.name.as_deref());
    object.put("connectionsEstablished", peer.record.established);
    object.put("connectionsDropped", peer.record.dropped);
    put_up_time(view, peer, &mut object);
    Reset::of(view, peer).put(&mut object);
    object.put("idType", kind_of_name(peer));
    object.into()
}
