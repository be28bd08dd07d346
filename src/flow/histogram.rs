//! Times, counted by their size: percentiles within 0.4 %, whatever their number.

/// Each power of two is divided into so many parts.
const PARTS: u64 = 128;
const PART_BITS: u32 = PARTS.trailing_zeros();

/// Times in nanoseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histogram {
    counts: Vec<u32>,
    count: u64,
    sum: u128,
    least: u64,
    most: u64,
}

impl Histogram {
    pub(crate) fn add(&mut self, time: u64) {
        let place = place(time);
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] = self.counts[place].saturating_add(1);
        self.least = if self.count == 0 {
            time
        } else {
            self.least.min(time)
        };
        self.most = self.most.max(time);
        self.count += 1;
        self.sum += u128::from(time);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn least(&self) -> u64 {
        self.least
    }

    pub(crate) fn most(&self) -> u64 {
        self.most
    }

    pub(crate) fn average(&self) -> u64 {
        let count = u128::from(self.count.max(1));
        u64::try_from(self.sum / count).unwrap_or(u64::MAX)
    }

    /// The time that so many of a hundred do not exceed (nearest rank).
    pub(crate) fn percentile(&self, percent: u64) -> u64 {
        let rank = (u128::from(self.count) * u128::from(percent))
            .div_ceil(100)
            .max(1);
        let mut passed = 0u128;
        for (place, count) in self.counts.iter().enumerate() {
            passed += u128::from(*count);
            if passed >= rank {
                return middle(place).clamp(self.least, self.most);
            }
        }
        self.most
    }
}

fn place(time: u64) -> usize {
    if time < PARTS {
        return time as usize;
    }
    let power = time.ilog2() - PART_BITS;
    let part = (time >> power) - PARTS;
    (u64::from(power + 1) * PARTS + part) as usize
}

/// The middle of the times that have a place.
fn middle(place: usize) -> u64 {
    let place = place as u64;
    if place < PARTS {
        return place;
    }
    let power = place / PARTS - 1;
    let first = (PARTS + place % PARTS) << power;
    first + ((1u64 << power) >> 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_times_have_a_place() {
        for time in [0, 1, 127, 128, 129, 255, 256, u64::MAX / 2, u64::MAX] {
            let error = middle(place(time)).abs_diff(time);
            assert!(error <= time / 256, "{time}: {error}");
        }
    }

    proptest! {
        #[test]
        fn percentiles_are_near(mut times in prop::collection::vec(0u64..10_000_000_000, 1..300)) {
            let mut histogram = Histogram::default();
            times.iter().for_each(|time| histogram.add(*time));
            times.sort_unstable();
            for percent in [1, 50, 99, 100] {
                let rank = (times.len() as u64 * percent).div_ceil(100).max(1) as usize;
                let exact = times[rank - 1];
                let found = histogram.percentile(percent);
                prop_assert!(found.abs_diff(exact) <= exact / 250, "p{percent}: {found} is not {exact}");
            }
            prop_assert_eq!(histogram.least(), times[0]);
            prop_assert_eq!(histogram.most(), times[times.len() - 1]);
            let sum: u64 = times.iter().sum();
            prop_assert_eq!(histogram.average(), sum / times.len() as u64);
        }
    }
}
