//! `show bgp update-groups`: neighbors that are told the same.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::facts::is_up;
use super::neighbor_family::update_group;
use super::scope::Scope;
use super::{View, clock};
use crate::config::Arguments;
use crate::speaker::Peer;
use crate::wire::Family;

/// How long FRR waits for more neighbors before it tells them together, in milliseconds: so long, and for each neighbor.
const WAIT: usize = 1000;
const WAIT_PER_PEER: usize = 50;
/// The longest messages (RFC 4271 section 4, RFC 8654 section 3).
const SHORT: u32 = 4096;
const LONG: u32 = 65535;

/// `show bgp … update-groups [NUMBER]`.
pub(super) fn groups(view: &View, arguments: &Arguments) -> String {
    let scope = Scope::of(arguments);
    if scope.refusal(view).is_some() {
        return String::new();
    }
    // As with bgpd, which has no more to say where all instances are asked.
    if arguments.get("instance") == Some("all") {
        return scope.heading().to_owned();
    }
    let family = scope.table();
    let only: Option<usize> = arguments.get("number").and_then(|it| it.parse().ok());
    let shown = members(view, family).into_iter();
    let shown = shown.filter(|(number, _)| only.is_none_or(|only| only == *number));
    let groups = shown.map(|(number, members)| group(view, family, number, &members));
    scope.heading().to_owned() + &groups.collect::<String>()
}

/// The groups of a family by their numbers, and in each the neighbor first that came last.
fn members<'s>(view: &View<'s>, family: Family) -> BTreeMap<usize, Vec<&'s Peer>> {
    let mut groups: BTreeMap<usize, Vec<&Peer>> = BTreeMap::new();
    let mut peers = view.peers();
    peers.retain(|peer| is_up(peer) && peer.exchanges(family));
    peers.sort_by_key(|peer| std::cmp::Reverse((peer.record.changed, peer.id)));
    for peer in peers {
        if let Some(number) = update_group(view, peer, family) {
            groups.entry(number).or_default().push(peer);
        }
    }
    groups
}

fn group(view: &View, family: Family, number: usize, members: &[&Peer]) -> String {
    let Some((first, others)) = members.split_last() else {
        return String::new();
    };
    let began = view.now.saturating_sub(first.record.changed.unwrap_or_default());
    let created = clock::date(view.unix.saturating_sub(began));
    let extended = first
        .session
        .agreement()
        .is_some_and(|it| it.options.extended_messages);
    let joined = members.len();
    let (sent, told) = (first.record.sent.updates, first.advertised_count(family));
    let mut out = format!(
        "Update-group {number}:\n  Created: {created}\n  MRAI value (seconds): {}\n\n  Update-subgroup {number}:\n",
        first.effective.advertisement_interval
    );
    for (name, value) in [
        ("Created", created),
        ("Join events", joined.to_string()),
        ("Prune events", "0".to_owned()),
        // Who comes later joins those that were told everything before.
        ("Merge events", others.len().to_string()),
        ("Split events", "0".to_owned()),
        ("Update group switch events", "0".to_owned()),
        ("Peer refreshes combined", "0".to_owned()),
        ("Merge checks triggered", "0".to_owned()),
        (
            "Coalesce Time",
            (WAIT + WAIT_PER_PEER * view.peers().len()).to_string(),
        ),
        ("Version", view.speaker.table(family).version().to_string()),
        ("Packet queue length", "0".to_owned()),
        ("Total packets enqueued", sent.to_string()),
        ("Packet queue high watermark", sent.min(1).to_string()),
        ("Adj-out list count", told.to_string()),
        ("Advertise list", "empty".to_owned()),
        ("Flags", String::new()),
        ("Max packet size", if extended { LONG } else { SHORT }.to_string()),
    ] {
        let _ = writeln!(out, "    {name}: {value}");
    }
    out += "    Peers:\n";
    for peer in members {
        let _ = writeln!(out, "      - {}", peer.name);
    }
    out
}

/// `show bgp update-groups statistics`.
pub(super) fn statistics(view: &View, arguments: &Arguments) -> String {
    if arguments.has("instance") {
        return String::new();
    }
    let groups = Family::ALL.map(|family| members(view, family));
    let count: usize = groups.iter().map(BTreeMap::len).sum();
    let joined: usize = groups.iter().flat_map(BTreeMap::values).map(Vec::len).sum();
    let rows = [
        ("Update groups created", count),
        ("Update groups deleted", 0),
        ("Update subgroups created", joined),
        ("Update subgroups deleted", joined - count),
        ("Join events", joined),
        ("Prune events", 0),
        ("Merge events", joined - count),
        ("Split events", 0),
        ("Update group switch events", 0),
        ("Peer route refreshes combined", 0),
        ("Merge checks triggered", 0),
    ];
    let lines = rows.into_iter().map(|(name, value)| format!("{name}: {value}\n"));
    lines.collect()
}
