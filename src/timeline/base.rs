//! What remains of a node's oldest entries when they are dropped: the last word on each interface and route, so that what is lost
//! later can still be told by the way it had.

use std::collections::BTreeMap;

use crate::decode::{Announced, RouteKey, announced};
use crate::entry::{BASE, Entry, Said};

/// No more are kept of a node.
pub const MOST: usize = 4096;
/// What one costs beside its octets.
const COST: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Looked,
    Link(u32),
    Route(RouteKey),
}

/// The last words on a node's interfaces and routes.
#[derive(Debug, Default)]
pub struct Base {
    /// Entries by their numbers.
    entries: BTreeMap<u64, Box<[u8]>>,
    numbers: BTreeMap<Key, u64>,
    bytes: usize,
    /// Whether there were more than are kept.
    pub is_partial: bool,
}

impl Base {
    /// What it takes, in octets.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The entries from a number on, in their order.
    pub fn since(&self, number: u64) -> impl Iterator<Item = Entry<'_>> {
        let entries = self.entries.range(number..);
        entries.filter_map(|(_, bytes)| Entry::read(bytes).map(|(entry, _)| entry))
    }

    /// Takes in an entry that is dropped, if there is room for it.
    pub fn fold(&mut self, entry: &Entry<'_>, room: usize) {
        match entry.said {
            Said::Look => *self = Base::default(),
            Said::Looked => self.keep(Key::Looked, entry, room),
            Said::Announced => match announced(entry.body) {
                Some(Announced::Link(link)) => {
                    if !link.up {
                        self.fall(link.index);
                    }
                    self.keep(Key::Link(link.index), entry, room);
                }
                Some(Announced::LinkGone(index)) => {
                    self.fall(index);
                    self.forget(&Key::Link(index));
                }
                Some(Announced::Route(key, _)) => self.keep(Key::Route(key), entry, room),
                Some(Announced::RouteGone(key, _)) => self.forget(&Key::Route(key)),
                _ => {}
            },
            Said::Gap | Said::Session | Said::Told | Said::Mark => {}
        }
    }

    fn keep(&mut self, key: Key, entry: &Entry<'_>, room: usize) {
        self.forget(&key);
        let size = entry.size() + COST;
        if self.entries.len() >= MOST || self.bytes + size > room {
            self.is_partial = true;
            return;
        }
        let mut bytes = Vec::with_capacity(entry.size());
        let flags = entry.flags | BASE;
        Entry { flags, ..*entry }.write(&mut bytes);
        self.entries.insert(entry.number, bytes.into_boxed_slice());
        self.numbers.insert(key, entry.number);
        self.bytes += size;
    }

    fn forget(&mut self, key: &Key) {
        let known = self.numbers.remove(key);
        if let Some(bytes) = known.and_then(|number| self.entries.remove(&number)) {
            self.bytes -= bytes.len() + COST;
        }
    }

    /// The kernel takes out IPv4 routes over an interface that goes down without a word.
    fn fall(&mut self, index: u32) {
        let over = |number: &u64| {
            let bytes = self.entries.get(number)?;
            let (entry, _) = Entry::read(bytes)?;
            match announced(entry.body)? {
                Announced::Route(_, route) => (!route.hops.is_empty()
                    && route.hops.iter().all(|hop| hop.interface == index))
                .then_some(()),
                _ => None,
            }
        };
        let is_v4 = |key: &&Key| matches!(key, Key::Route(key) if key.to.addr().is_ipv4());
        let fallen = self.numbers.iter().filter(|(key, _)| is_v4(key));
        let fallen: Vec<Key> = fallen
            .filter(|(_, number)| over(number).is_some())
            .map(|(key, _)| *key)
            .collect();
        fallen.iter().for_each(|key| self.forget(key));
    }
}
