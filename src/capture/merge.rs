//! What comes from many sources, each in order, put into one order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Keeps what has come until nothing earlier can come.
#[derive(Debug)]
pub struct Merger<T> {
    waiting: BinaryHeap<Reverse<Entry<T>>>,
    count: u64,
}

#[derive(Debug)]
struct Entry<T> {
    time: u64,
    /// Of those of the same time the first that came is the first.
    number: u64,
    what: T,
}

impl<T> Entry<T> {
    fn place(&self) -> (u64, u64) {
        (self.time, self.number)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

impl<T> Default for Merger<T> {
    fn default() -> Self {
        Merger {
            waiting: BinaryHeap::new(),
            count: 0,
        }
    }
}

impl<T> Merger<T> {
    /// Takes what has come.
    pub fn push(&mut self, time: u64, what: T) {
        let number = self.count;
        self.count += 1;
        self.waiting.push(Reverse(Entry { time, number, what }));
    }

    /// The earliest, if it is of that time or before: what comes later is later than that.
    pub fn pop(&mut self, until: u64) -> Option<(u64, T)> {
        let is_ready = self
            .waiting
            .peek()
            .is_some_and(|Reverse(entry)| entry.time <= until);
        let Reverse(entry) = is_ready.then(|| self.waiting.pop()).flatten()?;
        Some((entry.time, entry.what))
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_none_too_early() {
        let mut merger = Merger::default();
        for (time, what) in [(30, "c"), (10, "a"), (20, "b"), (10, "a2")] {
            merger.push(time, what);
        }
        assert_eq!(merger.pop(5), None);
        assert_eq!(merger.pop(20), Some((10, "a")));
        assert_eq!(merger.pop(20), Some((10, "a2")));
        assert_eq!(merger.pop(20), Some((20, "b")));
        assert_eq!((merger.pop(20), merger.len()), (None, 1));
        assert_eq!(merger.pop(u64::MAX), Some((30, "c")));
        assert!(merger.is_empty());
    }
}
