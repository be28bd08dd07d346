//! Which packets have arrived, as far as that must be known to tell a duplicate.

/// How many numbers below the highest are remembered.
pub(crate) const WINDOW: u64 = 65_536;
const WORDS: usize = (WINDOW / 64) as usize;

/// What a number is that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Higher than all before; so many are between.
    Ahead(u64),
    /// The first of its number, behind a higher one.
    Behind,
    /// It was there before.
    Again,
    /// So far behind that nobody remembers.
    Forgotten,
}

/// The numbers that have arrived. Its memory grows with the highest number, up to a bound.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    /// One more than the highest number.
    next: u64,
    bits: Vec<u64>,
}

impl Window {
    /// One more than the highest number that has arrived.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Takes in a number.
    pub(crate) fn arrive(&mut self, number: u64) -> Arrival {
        if number >= self.next {
            let between = number - self.next;
            self.make_room(number);
            self.set(number);
            self.next = number + 1;
            return Arrival::Ahead(between);
        }
        if self.next - number > WINDOW {
            return Arrival::Forgotten;
        }
        match self.has(number) {
            true => Arrival::Again,
            false => {
                self.set(number);
                Arrival::Behind
            }
        }
    }

    /// Forgets what had the places of the numbers up to this one.
    fn make_room(&mut self, number: u64) {
        let wanted = usize::try_from(number / 64 + 1).unwrap_or(WORDS).min(WORDS);
        if self.bits.len() < wanted {
            // Without holes: until it is full, a number's place is its own.
            self.bits.resize(wanted.next_power_of_two().min(WORDS), 0);
        }
        if number - self.next >= WINDOW {
            self.bits.fill(0);
            return;
        }
        for passed in self.next..=number {
            let (word, bit) = place(passed);
            if let Some(word) = self.bits.get_mut(word) {
                *word &= !bit;
            }
        }
    }

    fn set(&mut self, number: u64) {
        let (word, bit) = place(number);
        if let Some(word) = self.bits.get_mut(word) {
            *word |= bit;
        }
    }

    fn has(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }
}

fn place(number: u64) -> (usize, u64) {
    let at = number % WINDOW;
    ((at / 64) as usize, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(steps in prop::collection::vec((-70_000i64..70_000, 0u8..4), 1..400)) {
            let (mut window, mut seen, mut next) = (Window::default(), HashSet::new(), 0u64);
            for (step, small) in steps {
                let step = if small > 0 { step / 8000 } else { step };
                let number = next.saturating_add_signed(step);
                let wanted = if number >= next {
                    Arrival::Ahead(number - next)
                } else if next - number > WINDOW {
                    Arrival::Forgotten
                } else if seen.contains(&number) {
                    Arrival::Again
                } else {
                    Arrival::Behind
                };
                prop_assert_eq!(window.arrive(number), wanted);
                seen.insert(number);
                next = next.max(number + 1);
            }
        }
    }
}
