//! Update groups: neighbors that are told the same of routes. What one of them is to be told is found once for all of them.

use rustc_hash::FxHashMap;

use super::interner::ValueId;
use super::{Peer, Speaker};
use crate::config::{EffectiveFamily, LocalAs};
use crate::table::{SourceId, SourceKind};
use crate::wire::{Family, NextHop, Options, PerFamily};

/// All that decides what a neighbor is told of routes that it has not told itself. What differs most often stands first.
#[derive(PartialEq)]
struct Likeness<'s> {
    /// This router as a next hop, with and without its link-local address.
    next_hops: [NextHop; 2],
    /// The interface the neighbor is on, and the networks there that it is in.
    link: Option<(u32, Vec<ipnet::IpNet>)>,
    kind: SourceKind,
    /// Its AS, where that counts.
    asn: Option<u32>,
    /// Its identifier, where that counts.
    router_id: Option<std::net::Ipv4Addr>,
    /// Itself, where policy asks who is told.
    alone: Option<SourceId>,
    solo: bool,
    sender_loop_detection: bool,
    local_as: Option<LocalAs>,
    takes_v6_next_hops: bool,
    options: Options,
    settings: &'s EffectiveFamily,
}

/// Neighbors and the numbers of their groups.
pub(super) type UpdateGroups = PerFamily<FxHashMap<SourceId, usize>>;

/// What the members of groups are to be told of some routes, as far as somebody has asked.
#[derive(Default)]
pub(super) struct Wanted {
    by_group: FxHashMap<usize, Vec<Option<ValueId>>>,
}

impl Wanted {
    /// What a neighbor in a group is to be told.
    pub(super) fn of(
        &mut self,
        group: usize,
        find: impl FnOnce() -> Vec<Option<ValueId>>,
    ) -> &[Option<ValueId>] {
        self.by_group.entry(group).or_insert_with(find)
    }
}

impl Speaker {
    /// The neighbors are others, or what they are told hangs on something else.
    pub(super) fn forget_update_groups(&mut self) {
        self.update_groups = None;
    }

    /// Puts neighbors that are told the same into groups, if that is not done.
    pub(super) fn find_update_groups(&mut self) {
        if self.update_groups.is_some() {
            return;
        }
        let mut found = UpdateGroups::default();
        for family in Family::ALL {
            *found.get_mut(family) = self.groups_of(family);
        }
        self.update_groups = Some(found);
    }

    fn groups_of(&self, family: Family) -> FxHashMap<SourceId, usize> {
        let mut known: Vec<Likeness> = Vec::new();
        let mut groups = FxHashMap::default();
        for peer in self.peers.values().filter(|peer| peer.exchanges(family)) {
            let Some(likeness) = self.likeness(peer, family) else {
                continue;
            };
            let at = known.iter().position(|it| *it == likeness);
            groups.insert(peer.id, at.unwrap_or(known.len()));
            if at.is_none() {
                known.push(likeness);
            }
        }
        groups
    }

    fn likeness<'s>(&'s self, peer: &'s Peer, family: Family) -> Option<Likeness<'s>> {
        let (to, settings) = (peer.source.as_ref()?, peer.family(family));
        let (effective, remote) = (&peer.effective, peer.remote);
        let asn_counts =
            effective.sender_loop_detection || settings.remove_private_as.is_some() || settings.as_override;
        let link = self.interface_of(peer).map(|interface| {
            let shared = interface
                .nets()
                .filter(|net| remote.is_some_and(|it| net.contains(&it)));
            (interface.index, shared.collect())
        });
        Some(Likeness {
            next_hops: [true, false].map(|beside| self.own_next_hop(peer, family, beside)),
            link,
            kind: to.kind,
            asn: asn_counts.then_some(to.asn),
            router_id: (to.kind == SourceKind::Internal).then_some(to.router_id),
            alone: self.policy_asks_for_peers(settings).then_some(peer.id),
            solo: effective.solo,
            sender_loop_detection: effective.sender_loop_detection,
            local_as: effective.local_as,
            takes_v6_next_hops: Speaker::takes_v6_next_hops(peer, family),
            options: peer.options(),
            settings,
        })
    }

    /// Maps of aggregates know nothing of neighbors.
    fn policy_asks_for_peers(&self, settings: &EffectiveFamily) -> bool {
        let own = [&settings.route_map_out, &settings.unsuppress_map];
        let mut maps = own.into_iter().flatten();
        maps.any(|map| self.policy.looks_at_peers(map))
    }
}
