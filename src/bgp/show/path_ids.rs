//! Identifiers of routes where there are several to a prefix (RFC 7911), and who was told which.

use super::View;
use super::path::Path;
use crate::config::Addpath;
use crate::speaker::Peer;

impl<'s> Path<'s> {
    /// The identifier the route came with, and those it is told with as one of all and as the best of its AS, 0 for none; if
    /// it has any.
    pub(super) fn path_ids(&self, view: &View) -> Option<(u32, [u32; 2])> {
        let told_as = [Addpath::All, Addpath::BestPerAs].map(|kind| {
            let id = view.speaker.path_id(self.family, kind, &self.prefix, self.route);
            id.unwrap_or(0)
        });
        if self.route.is_imported() {
            // (The number that it has here nobody told.)
            return None;
        }
        let received = self.route.path_id;
        (received > 0 || told_as != [0, 0]).then_some((received, told_as))
    }

    /// The neighbors that were told this very route. Of a route that has no identifier of a neighbor's kind FRR says so if
    /// the neighbor was told any of the prefix.
    pub(super) fn told_to(&self, view: &View<'s>) -> Vec<&'s Peer> {
        let (speaker, family, prefix) = (view.speaker, self.family, &self.prefix);
        let has_none = |peer: &Peer| {
            let kind = peer.family(family).addpath;
            kind.is_some_and(|kind| speaker.path_id(family, kind, prefix, self.route).is_none())
        };
        let mut peers = view.peers_in(family);
        peers.retain(|peer| match has_none(peer) {
            true => speaker.was_told(peer, family, prefix),
            false => speaker.was_told_route(peer, family, prefix, self.route),
        });
        peers
    }

    pub(super) fn path_id_line(&self, view: &View) -> String {
        match self.path_ids(view) {
            Some((received, [all, best_per_as])) => {
                format!("      AddPath ID: RX {received}, TX-All {all} TX-Best-Per-AS {best_per_as}\n")
            }
            None => String::new(),
        }
    }

    pub(super) fn told_line(&self, view: &View<'s>) -> String {
        if !view.tells_several(self.family) {
            return String::new();
        }
        let names: Vec<String> = self
            .told_to(view)
            .into_iter()
            .map(|peer| view.shown(peer))
            .collect();
        match names.is_empty() {
            true => String::new(),
            false => format!("      Advertised to: {}\n", names.join(" ")),
        }
    }
}
