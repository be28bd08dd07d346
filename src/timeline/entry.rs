//! What is kept: an entry, as octets. A node, a time, a place in the order of all entries, and what was said.

use crate::attributes::{half, long, word};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Said {
    /// The kernel announced it: a message as [`crate::trim`] leaves it.
    Announced = 0,
    /// Announcements were lost before this: how many, eight octets.
    Gap = 1,
    /// The node's interfaces and routes are looked at (anew): what follows is all there is.
    Look = 2,
    /// All that was looked at has been told. One octet: whether there is more than that.
    Looked = 3,
    /// A router's session, see [`crate::session`].
    Session = 4,
    /// Something the lab did or saw: a word for it and a sentence, a line each.
    Told = 5,
    /// Somebody marked this time: a name.
    Mark = 6,
}

impl Said {
    fn of(number: u8) -> Option<Said> {
        let all = [
            Said::Announced,
            Said::Gap,
            Said::Look,
            Said::Looked,
            Said::Session,
            Said::Told,
            Said::Mark,
        ];
        all.into_iter().find(|it| *it as u8 == number)
    }
}

/// What was found by looking, not announced.
pub const FOUND: u8 = 1;
/// What is kept of a time of which all else was dropped.
pub const BASE: u8 = 2;

/// Octets of an entry before what was said.
pub const HEADER: usize = 24;
/// No entry says more, in octets.
pub const LONGEST: usize = 16 * 1024;

/// An entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The number of its node, of those that the lab names.
    pub node: u32,
    /// What it is.
    pub said: Said,
    /// [`FOUND`], [`BASE`].
    pub flags: u8,
    /// Nanoseconds of CLOCK_MONOTONIC.
    pub time: u64,
    /// Its place in the order of all entries.
    pub number: u64,
    /// What was said.
    pub body: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Adds it. What is longer than [`LONGEST`] is cut.
    pub fn write(&self, out: &mut Vec<u8>) {
        let body = &self.body[..self.body.len().min(LONGEST)];
        out.extend(self.node.to_ne_bytes());
        // It fits: it is cut above.
        out.extend((body.len() as u16).to_ne_bytes());
        out.extend([self.said as u8, self.flags]);
        out.extend(self.time.to_ne_bytes());
        out.extend(self.number.to_ne_bytes());
        out.extend_from_slice(body);
    }

    /// The first entry, and what follows it.
    pub fn read(bytes: &'a [u8]) -> Option<(Entry<'a>, &'a [u8])> {
        let length = usize::from(half(bytes, 4)?);
        let body = bytes.get(HEADER..HEADER + length)?;
        let entry = Entry {
            node: word(bytes, 0)?,
            said: Said::of(bytes[6])?,
            flags: bytes[7],
            time: long(bytes, 8)?,
            number: long(bytes, 16)?,
            body,
        };
        Some((entry, &bytes[HEADER + length..]))
    }

    /// Octets it takes.
    pub fn size(&self) -> usize {
        HEADER + self.body.len().min(LONGEST)
    }
}

/// All entries of some octets, up to what is none.
pub struct Entries<'a>(pub &'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (entry, rest) = Entry::read(self.0)?;
        self.0 = rest;
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_come_back(node: u32, flags: u8, time: u64, number: u64, body in proptest::collection::vec(0u8.., 0..300)) {
            let entry = Entry { node, said: Said::Session, flags, time, number, body: &body };
            let mut bytes = Vec::new();
            entry.write(&mut bytes);
            entry.write(&mut bytes);
            prop_assert_eq!(bytes.len(), 2 * entry.size());
            prop_assert_eq!(Entries(&bytes).collect::<Vec<_>>(), [entry, entry]);
        }

        #[test]
        fn nonsense_is_none(bytes: Vec<u8>) {
            let _ = Entries(&bytes).count();
        }
    }
}
