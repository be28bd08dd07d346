//! Attributes that neighbors were told, each kept once: a router with hundreds of neighbors tells all of them nearly the same.

use std::collections::HashSet;
use std::sync::Arc;

use crate::wire::Attributes;

/// So many are not worth a look for those that nobody needs any more.
const FEW: usize = 1024;

/// What is shared.
#[derive(Debug, Default)]
pub(super) struct Shared {
    known: HashSet<Arc<Attributes>>,
    /// How many there may be before it is looked.
    enough: usize,
}

impl Shared {
    /// The same attributes as others have them. Equal ones are at one address from then on.
    pub(super) fn of(&mut self, attributes: Arc<Attributes>) -> Arc<Attributes> {
        if let Some(known) = self.known.get(&attributes) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.enough {
            self.known.retain(|it| Arc::strong_count(it) > 1);
            self.enough = 2 * self.known.len() + FEW;
        }
        self.known.insert(Arc::clone(&attributes));
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(med: u32) -> Arc<Attributes> {
        Arc::new(Attributes {
            med: Some(med),
            ..Attributes::default()
        })
    }

    #[test]
    fn equal_ones_are_kept_once_and_not_for_longer_than_they_are_needed() {
        let mut shared = Shared::default();
        let first = shared.of(attributes(0));
        assert!(Arc::ptr_eq(&first, &shared.of(attributes(0))));
        for med in 1..100_000 {
            shared.of(attributes(med));
        }
        assert!(shared.known.len() <= 2 * FEW, "{}", shared.known.len());
        assert!(Arc::ptr_eq(&first, &shared.of(attributes(0))));
    }
}
