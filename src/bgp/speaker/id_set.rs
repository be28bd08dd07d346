//! A set of prefixes by their numbers, in the order in which they came.

use crate::table::PrefixId;

/// The set.
#[derive(Debug, Default)]
pub(super) struct IdSet {
    list: Vec<PrefixId>,
    /// A bit for each number.
    bits: Vec<u64>,
}

impl IdSet {
    pub(super) fn has(&self, id: PrefixId) -> bool {
        let word = self.bits.get(id.index() / 64);
        word.is_some_and(|word| word & 1 << (id.index() % 64) != 0)
    }

    pub(super) fn extend(&mut self, ids: &[PrefixId]) {
        for id in ids {
            if self.has(*id) {
                continue;
            }
            let word = id.index() / 64;
            if word >= self.bits.len() {
                self.bits.resize(word + 1, 0);
            }
            self.bits[word] |= 1 << (id.index() % 64);
            self.list.push(*id);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn ids(&self) -> &[PrefixId] {
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_it_once_and_in_its_turn() {
        let ids = [7, 700, 7, 0, 64, 700].map(PrefixId);
        let mut set = IdSet::default();
        set.extend(&ids);
        assert_eq!(set.ids(), [7, 700, 0, 64].map(PrefixId));
        assert!(ids.iter().all(|id| set.has(*id)) && !set.has(PrefixId(1)) && !set.has(PrefixId(9999)));
        assert_eq!((set.len(), set.is_empty()), (4, false));
    }
}
