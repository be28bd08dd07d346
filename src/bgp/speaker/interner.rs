//! Values of which there are few different ones in many places: each is kept once, and a small number stands for it.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroU32;
use std::sync::Arc;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

/// So many are not worth a look for those that nobody needs any more.
const FEW: usize = 1024;

/// The number of a value. The value stays as long as somebody says that it is in use when it is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ValueId(NonZeroU32);

impl ValueId {
    fn of(place: usize) -> ValueId {
        // There is no room for so many.
        let next = u32::try_from(place + 1).ok().and_then(NonZeroU32::new);
        ValueId(next.unwrap_or(NonZeroU32::MAX))
    }

    fn place(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Values and their numbers.
#[derive(Debug)]
pub(super) struct Interner<T> {
    /// Hashes have a random seed: what neighbors say is in the values.
    hasher: DefaultHashBuilder,
    index: HashTable<ValueId>,
    values: Vec<Option<T>>,
    free: Vec<ValueId>,
    /// How many there may be before it is looked.
    enough: usize,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Interner {
            hasher: DefaultHashBuilder::default(),
            index: HashTable::new(),
            values: Vec::new(),
            free: Vec::new(),
            enough: FEW,
        }
    }
}

impl<T> Interner<T> {
    /// The value with a number.
    pub(super) fn get(&self, id: ValueId) -> Option<&T> {
        self.values.get(id.place())?.as_ref()
    }

    /// The number of a value, which is made where there is none like it.
    pub(super) fn id<Q: ?Sized + Eq + Hash>(&mut self, value: &Q, make: impl FnOnce() -> T) -> ValueId
    where
        T: Borrow<Q>,
    {
        let (hasher, values) = (&self.hasher, &mut self.values);
        let known = |id: &ValueId| values[id.place()].as_ref().map(Borrow::borrow);
        let entry = self.index.entry(
            hasher.hash_one(value),
            |id| known(id).is_some_and(|known| known == value),
            |id| known(id).map_or(0, |known| hasher.hash_one(known)),
        );
        match entry {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                let id = self.free.pop().unwrap_or_else(|| {
                    values.push(None);
                    ValueId::of(values.len() - 1)
                });
                values[id.place()] = Some(make());
                place.insert(id);
                id
            }
        }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are so many that it is worth a look which are in use.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.enough
    }

    /// Forgets the values that are not in use.
    pub(super) fn keep(&mut self, used: impl Iterator<Item = ValueId>) {
        let mut is_used = vec![false; self.values.len()];
        for id in used {
            is_used[id.place()] = true;
        }
        let (values, free) = (&mut self.values, &mut self.free);
        self.index.retain(|id| {
            let stays = is_used[id.place()];
            if !stays {
                values[id.place()] = None;
                free.push(*id);
            }
            stays
        });
        self.enough = 2 * self.len() + FEW;
    }
}

/// Values that are shared by those who hold them: equal ones are at one address.
#[derive(Debug)]
pub(super) struct Shared<T> {
    known: HashSet<Arc<T>, DefaultHashBuilder>,
    /// How many there may be before it is looked.
    enough: usize,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Shared {
            known: HashSet::default(),
            enough: FEW,
        }
    }
}

impl<T: Eq + Hash> Shared<T> {
    /// The same value as others have it.
    pub(super) fn of(&mut self, value: T) -> Arc<T> {
        if let Some(known) = self.known.get(&value) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.enough {
            self.tidy();
        }
        let value = Arc::new(value);
        self.known.insert(Arc::clone(&value));
        value
    }

    /// Forgets what nobody holds any more.
    pub(super) fn tidy(&mut self) {
        self.known.retain(|it| Arc::strong_count(it) > 1);
        self.enough = 2 * self.known.len() + FEW;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_kept_once_and_not_for_longer_than_they_are_needed() {
        let mut shared = Shared::default();
        let first = shared.of(0);
        assert!(Arc::ptr_eq(&first, &shared.of(0)));
        for value in 1..100_000 {
            shared.of(value);
        }
        assert!(shared.known.len() <= 2 * FEW, "{}", shared.known.len());
        assert!(Arc::ptr_eq(&first, &shared.of(0)));
        (0..10 * FEW).for_each(|value| drop(shared.of(value)));
        shared.tidy();
        assert_eq!(shared.known.len(), 1);
    }

    #[test]
    fn values_have_numbers_as_long_as_they_are_in_use() {
        let mut all: Interner<Box<[u8]>> = Interner::default();
        let make = |all: &mut Interner<Box<[u8]>>, value: u16| {
            let octets = value.to_be_bytes();
            all.id(&octets[..], || octets.into())
        };
        let ids: Vec<ValueId> = (0..2000).map(|value| make(&mut all, value)).collect();
        assert!(all.is_full() && all.len() == 2000);
        assert_eq!(make(&mut all, 1234), ids[1234]);
        all.keep(ids[..10].iter().copied());
        assert!(!all.is_full() && all.len() == 10);
        assert_eq!(all.get(ids[9]).map(|it| it[1]), Some(9));
        assert_eq!(all.get(ids[10]), None);
        let again: HashSet<ValueId> = (0..2000).map(|value| make(&mut all, value)).collect();
        assert_eq!(again, ids.into_iter().collect());
    }
}
