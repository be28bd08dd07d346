//! The entries of a lab, in bounded room. Each node has a shelf. Where room is short, the fullest shelf loses its oldest, so
//! that a node that changes all the time costs no other its past.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::base::Base;
use crate::entry::{Entries, Entry, LONGEST, Said};
use crate::trim::Subject;

/// Octets of a shelf's smallest and largest pieces.
const SMALL: usize = 1 << 10;
const LARGE: usize = 16 << 10;
/// So much of all room is for what remains of dropped entries.
const BASES: usize = 4;

/// A piece of a shelf. Entries are dropped by the piece.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    count: u64,
    last: u64,
    last_time: u64,
}

#[derive(Debug, Default)]
struct Shelf {
    pieces: VecDeque<Piece>,
    /// Octets of the pieces' room.
    bytes: usize,
    base: Base,
    dropped: Dropped,
}

/// What was dropped of a node's entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// How many entries.
    pub entries: u64,
    /// The time of the last of them.
    pub until: u64,
}

/// The entries of a lab.
#[derive(Debug)]
pub struct Store {
    shelves: Vec<Shelf>,
    most: usize,
    /// Octets of all shelves' pieces and bases.
    held: usize,
    next: u64,
    last_change: u64,
}

impl Store {
    /// One for so many nodes that holds so many octets at most.
    pub fn new(nodes: usize, most: usize) -> Store {
        let mut shelves = Vec::new();
        shelves.resize_with(nodes, Shelf::default);
        Store {
            shelves,
            most,
            held: 0,
            next: 0,
            last_change: 0,
        }
    }

    /// Octets that are held.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Octets that may be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// The number that the next entry gets.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// When a route, an interface or a session changed last.
    pub fn last_change(&self) -> u64 {
        self.last_change
    }

    /// What was dropped, of the nodes of which some was.
    pub fn dropped(&self) -> impl Iterator<Item = (u32, Dropped)> {
        let all = (0u32..)
            .zip(&self.shelves)
            .map(|(node, shelf)| (node, shelf.dropped));
        all.filter(|(_, dropped)| dropped.entries > 0)
    }

    /// Keeps an announcement.
    pub fn announce(&mut self, node: u32, flags: u8, time: u64, subject: Subject, body: &[u8]) {
        self.put(node, Said::Announced, flags, time, body);
        if matches!(subject, Subject::Link(_) | Subject::Route) && flags == 0 {
            self.last_change = self.last_change.max(time);
        }
    }

    /// Keeps an entry. One of a node that there is not is none.
    pub fn put(&mut self, node: u32, said: Said, flags: u8, time: u64, body: &[u8]) {
        let number = self.next;
        let Some(shelf) = self.shelves.get_mut(node as usize) else {
            return;
        };
        self.next += 1;
        if said == Said::Session {
            self.last_change = self.last_change.max(time);
        }
        let body = &body[..body.len().min(LONGEST)];
        let entry = Entry {
            node,
            said,
            flags,
            time,
            number,
            body,
        };
        self.held += shelf.put(&entry);
        while self.held > self.most && self.drop_some() {}
    }

    /// Makes the fullest shelf lose its oldest piece. Returns whether there was one.
    fn drop_some(&mut self) -> bool {
        let bases: usize = self.shelves.iter().map(|shelf| shelf.base.bytes()).sum();
        let Some(shelf) = self.shelves.iter_mut().max_by_key(|shelf| shelf.bytes) else {
            return false;
        };
        let Some(piece) = shelf.pieces.pop_front() else {
            return false;
        };
        let own = shelf.base.bytes();
        let room = (self.most / BASES).saturating_sub(bases - own);
        Entries(&piece.bytes).for_each(|entry| shelf.base.fold(&entry, room));
        shelf.bytes -= piece.bytes.capacity();
        shelf.dropped.entries += piece.count;
        shelf.dropped.until = piece.last_time;
        self.held = self.held - piece.bytes.capacity() - own + shelf.base.bytes();
        true
    }

    /// Adds the entries from a number on to `out`, in their order, but no more than so many octets where that is more than one.
    /// Returns the number to go on from.
    pub fn since(&self, number: u64, most: usize, out: &mut Vec<u8>) -> u64 {
        let mut all: Vec<_> = self.shelves.iter().map(|shelf| shelf.since(number)).collect();
        let mut first = BinaryHeap::new();
        let mut heads: Vec<Option<Entry<'_>>> = all.iter_mut().map(Iterator::next).collect();
        for (at, head) in heads.iter().enumerate() {
            first.extend(head.map(|entry| Reverse((entry.number, at))));
        }
        let start = out.len();
        while let Some(Reverse((number, at))) = first.pop() {
            let Some(entry) = heads[at] else { continue };
            if out.len() > start && out.len() - start + entry.size() > most {
                return number;
            }
            entry.write(out);
            heads[at] = all[at].next();
            first.extend(heads[at].map(|entry| Reverse((entry.number, at))));
        }
        self.next
    }
}

impl Shelf {
    /// Keeps an entry. Returns how many octets more are held.
    fn put(&mut self, entry: &Entry<'_>) -> usize {
        let size = entry.size();
        let fits = |piece: &Piece| piece.bytes.capacity() - piece.bytes.len() >= size;
        let mut more = 0;
        if !self.pieces.back().is_some_and(fits) {
            let bytes = Vec::with_capacity((self.bytes / 4).clamp(SMALL, LARGE).max(size));
            more = bytes.capacity();
            self.bytes += more;
            self.pieces.push_back(Piece {
                bytes,
                count: 0,
                last: 0,
                last_time: 0,
            });
        }
        if let Some(piece) = self.pieces.back_mut() {
            entry.write(&mut piece.bytes);
            piece.count += 1;
            (piece.last, piece.last_time) = (entry.number, entry.time);
        }
        more
    }

    fn since(&self, number: u64) -> impl Iterator<Item = Entry<'_>> {
        let pieces = self.pieces.iter().skip_while(move |piece| piece.last < number);
        let entries = pieces.flat_map(|piece| Entries(&piece.bytes));
        let entries = entries.skip_while(move |entry| entry.number < number);
        self.base.since(number).chain(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(store: &Store, most: usize) -> Vec<(u64, u32)> {
        let (mut number, mut found) = (0, Vec::new());
        loop {
            let mut bytes = Vec::new();
            number = store.since(number, most, &mut bytes);
            if bytes.is_empty() {
                return found;
            }
            found.extend(Entries(&bytes).map(|entry| (entry.number, entry.node)));
        }
    }

    #[test]
    fn one_that_says_much_costs_no_other_its_past() {
        let mut store = Store::new(3, 64 << 10);
        store.put(1, Said::Mark, 0, 5, b"first");
        for time in 0..100_000 {
            store.put(2, Said::Told, 0, time, &[b'x'; 50]);
        }
        assert!(store.held() <= store.most(), "{}", store.held());
        let entries = all(&store, 1 << 20);
        assert_eq!(entries[0], (0, 1));
        assert_eq!(entries.last(), Some(&(100_000, 2)));
        let dropped: Vec<_> = store.dropped().collect();
        assert_eq!(dropped.len(), 1);
        let (node, dropped) = dropped[0];
        assert_eq!((node, dropped.entries as usize), (2, 100_001 - entries.len()));
        assert_eq!(dropped.until, dropped.entries - 1);
    }

    proptest! {
        #[test]
        fn entries_are_read_in_their_order_in_whatever_pieces(
            puts in proptest::collection::vec((0u32..5, 0usize..400), 0..300), most in 1usize..3000, room in 2000usize..100_000,
        ) {
            let mut store = Store::new(4, room);
            for (node, size) in &puts {
                store.put(*node, Said::Session, 0, 0, &vec![7; *size]);
            }
            let entries = all(&store, most);
            prop_assert!(entries.windows(2).all(|two| two[0].0 < two[1].0));
            let dropped: u64 = store.dropped().map(|(_, dropped)| dropped.entries).sum();
            let put = puts.iter().filter(|(node, _)| *node < 4).count();
            prop_assert_eq!(entries.len() + dropped as usize, put);
            prop_assert!(store.held() <= room);
        }
    }
}
