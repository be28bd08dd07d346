//! All neighbors, and when each of them is to do something: a router with a thousand neighbors does not ask them all after each
//! event.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use rustc_hash::FxHashMap;

use super::Peer;
use crate::session::Time;
use crate::table::SourceId;

/// The neighbors by their numbers. Whoever may change one takes it from here by [`Peers::get_mut`] or [`Peers::values_mut`].
#[derive(Default)]
pub(super) struct Peers {
    all: BTreeMap<SourceId, Peer>,
    /// Those that were taken to be changed since it was noted when they are due.
    touched: Vec<SourceId>,
    /// When something is to be done for whom.
    due: BTreeSet<(Time, SourceId)>,
    /// The same by neighbor.
    times: FxHashMap<SourceId, Time>,
}

impl Deref for Peers {
    type Target = BTreeMap<SourceId, Peer>;

    fn deref(&self) -> &BTreeMap<SourceId, Peer> {
        &self.all
    }
}

impl Peers {
    /// One that may be changed.
    pub(super) fn get_mut(&mut self, id: &SourceId) -> Option<&mut Peer> {
        let peer = self.all.get_mut(id)?;
        if self.touched.last() != Some(id) {
            self.touched.push(*id);
        }
        Some(peer)
    }

    /// All of them, each of which may be changed.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.touched.extend(self.all.keys());
        self.all.values_mut()
    }

    pub(super) fn insert(&mut self, id: SourceId, peer: Peer) {
        self.touched.push(id);
        self.all.insert(id, peer);
    }

    pub(super) fn remove(&mut self, id: &SourceId) {
        self.touched.push(*id);
        self.all.remove(id);
    }

    /// Notes when those are due that were changed.
    pub(super) fn note_due(&mut self) {
        // What was changed often is noted once.
        if self.touched.len() > 1 {
            self.touched.sort_unstable();
            self.touched.dedup();
        }
        for id in self.touched.drain(..) {
            let due = self.all.get(&id).and_then(Peer::due);
            let before = self.times.get(&id).copied();
            if before == due {
                continue;
            }
            if let Some(before) = before {
                self.due.remove(&(before, id));
            }
            match due {
                Some(due) => {
                    self.due.insert((due, id));
                    self.times.insert(id, due);
                }
                None => drop(self.times.remove(&id)),
            }
        }
    }

    /// When the first of them is due, as far as that is noted.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Nothing that is to be done is missed, and nobody is asked for nothing.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let due: BTreeSet<_> = self
            .all
            .values()
            .filter_map(|peer| Some((peer.due()?, peer.id)))
            .collect();
        assert_eq!(self.due, due);
    }

    /// Those that are due, in their order.
    pub(super) fn due(&mut self, now: Time) -> Vec<SourceId> {
        self.note_due();
        let due = self.due.range(..=(now, SourceId(u32::MAX)));
        let mut ids: Vec<SourceId> = due.map(|(_, id)| *id).collect();
        ids.sort_unstable();
        ids
    }
}
