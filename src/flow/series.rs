//! What was sent and received over time, in a bounded number of intervals: where they are full, each two become one.

use serde::{Deserialize, Serialize};

use crate::MS;

/// No series has more intervals.
pub(crate) const MOST: usize = 600;
/// What an interval is at first.
const FIRST: u64 = 100 * MS;

/// An interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Packets that were sent in it.
    pub sent: u32,
    /// How many of those have arrived, whenever.
    pub received: u32,
    /// Bytes that arrived in it; of transfers only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Intervals of the same length, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// When the first began.
    pub began_ns: u64,
    /// How long each is.
    pub interval_ns: u64,
    /// The intervals.
    pub points: Vec<Point>,
}

impl Series {
    /// The interval that a time is in; the first for a time before it.
    pub(crate) fn at(&mut self, time: u64) -> &mut Point {
        if self.interval_ns == 0 {
            (self.began_ns, self.interval_ns) = (time, FIRST);
        }
        let place = loop {
            let place = time.saturating_sub(self.began_ns) / self.interval_ns;
            match usize::try_from(place) {
                Ok(place) if place < MOST => break place,
                _ => self.halve(),
            }
        };
        if self.points.len() <= place {
            self.points.resize(place + 1, Point::default());
        }
        &mut self.points[place]
    }

    /// The last interval, for what came at a time that may be another's invention.
    pub(crate) fn at_or_last(&mut self, time: u64) -> Option<&mut Point> {
        let last = self.points.len().checked_sub(1)?;
        let place = time.saturating_sub(self.began_ns) / self.interval_ns.max(1);
        let place = usize::try_from(place).unwrap_or(last).min(last);
        self.points.get_mut(place)
    }

    fn halve(&mut self) {
        let both = |two: &[Point]| Point {
            sent: two.iter().map(|it| it.sent).fold(0, u32::saturating_add),
            received: two.iter().map(|it| it.received).fold(0, u32::saturating_add),
            bytes: two.iter().map(|it| it.bytes).fold(0, u64::saturating_add),
        };
        self.points = self.points.chunks(2).map(both).collect();
        self.interval_ns = self.interval_ns.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SECOND;

    #[test]
    fn a_long_time_has_as_many_intervals_as_a_short_one_and_loses_nothing() {
        let mut series = Series::default();
        for second in 0..100_000 {
            series.at(5 + second * SECOND).sent += 1;
        }
        assert!(series.points.len() <= MOST);
        assert_eq!(series.points.iter().map(|point| point.sent).sum::<u32>(), 100_000);
        assert_eq!(series.began_ns, 5);
    }

    #[test]
    fn the_end_of_time_is_in_it() {
        let mut series = Series::default();
        series.at(0).sent += 1;
        series.at(u64::MAX).sent += 1;
        assert!(series.points.len() <= MOST);
    }
}
