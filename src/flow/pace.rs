//! When a sender sends.

use crate::outage::Gap;
use crate::{MS, SECOND};

/// No flow has more packets a second.
pub const MOST_PPS: u32 = 100_000;
/// A sender that is late by this is told, if it is more than two packets' time.
const LATE: u64 = 5 * MS;

/// Times that are evenly spaced from a beginning on.
#[derive(Debug, Clone)]
pub struct Pace {
    began: u64,
    pps: u32,
    /// The number of the next time.
    slot: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing before this time.
    At(u64),
    /// A packet is to be sent now.
    Now {
        /// The time in which nothing was sent though it should have been, if there was such.
        gap: Option<Gap>,
    },
}

impl Pace {
    /// So many packets a second, the first at `began` or when it is asked for first.
    pub fn new(began: u64, pps: u32) -> Pace {
        Pace {
            began,
            pps: pps.clamp(1, MOST_PPS),
            slot: 0,
        }
    }

    /// Nanoseconds between packets.
    pub fn interval(&self) -> u64 {
        SECOND / u64::from(self.pps)
    }

    /// The time of the next packet.
    pub fn next(&self) -> u64 {
        let offset = u128::from(self.slot) * u128::from(SECOND) / u128::from(self.pps);
        self.began
            .saturating_add(u64::try_from(offset).unwrap_or(u64::MAX))
    }

    /// What is to be done at a time; a packet that is due is taken for sent. A sender that is a little late catches up. One that
    /// is too late does not: the packets of that time are left out, and it is told as a gap.
    pub fn due(&mut self, now: u64) -> Due {
        let next = self.next();
        if now < next {
            return Due::At(next);
        }
        if self.slot == 0 {
            // Nothing is late before the first.
            self.began = now;
        }
        let late = now - self.next();
        let is_gap = late > LATE.max(2 * self.interval());
        if is_gap {
            let slot = u128::from(now - self.began) * u128::from(self.pps) / u128::from(SECOND);
            self.slot = u64::try_from(slot).unwrap_or(u64::MAX).max(self.slot);
        }
        self.slot += 1;
        Due::Now {
            gap: is_gap.then_some(Gap {
                began_ns: next,
                length_ns: late,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_are_evenly_spaced() {
        let mut pace = Pace::new(1000, 3);
        let mut sent = Vec::new();
        for now in (0..2 * SECOND).step_by(MS as usize) {
            if let Due::Now { gap } = pace.due(now) {
                assert_eq!(gap, None);
                sent.push(now / MS);
            }
        }
        assert_eq!(sent, [1, 335, 668, 1001, 1335, 1668]);
    }

    #[test]
    fn a_sender_that_was_away_says_so_and_does_not_make_up_for_it() {
        let mut pace = Pace::new(0, 1000);
        assert_eq!(pace.due(0), Due::Now { gap: None });
        let gap = Gap {
            began_ns: MS,
            length_ns: 99 * MS,
        };
        assert_eq!(pace.due(100 * MS), Due::Now { gap: Some(gap) });
        assert_eq!(pace.due(100 * MS), Due::At(101 * MS));
        assert_eq!(pace.due(101 * MS), Due::Now { gap: None });
    }

    #[test]
    fn a_sender_that_is_a_little_late_catches_up() {
        let mut pace = Pace::new(0, 1000);
        pace.due(0);
        let mut count = 0;
        while pace.due(4 * MS) == (Due::Now { gap: None }) {
            count += 1;
        }
        assert_eq!(count, 4);
    }

    proptest! {
        #[test]
        fn as_many_are_sent_as_there_was_time_for(pps in 1u32..2000, steps in prop::collection::vec(0u64..30 * MS, 1..200)) {
            let mut pace = Pace::new(0, pps);
            prop_assert_eq!(pace.due(0), Due::Now { gap: None });
            let (mut now, mut sent, mut lacking) = (0u64, 1u64, 0u64);
            for step in steps {
                now += step;
                while let Due::Now { gap } = pace.due(now) {
                    sent += 1;
                    lacking += gap.map_or(0, |gap| gap.length_ns);
                }
            }
            let most = u128::from(now) * u128::from(pps) / u128::from(SECOND) + 1;
            prop_assert!(u128::from(sent) <= most);
            let left_out = u128::from(lacking) * u128::from(pps) / u128::from(SECOND);
            // The packet that ends a gap is sent, whatever part of its time is over.
            prop_assert!(u128::from(sent) + left_out + 1 >= most, "{sent} + {left_out} of {most}");
        }
    }
}
