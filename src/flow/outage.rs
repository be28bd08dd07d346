//! Times in which nothing arrived that should have.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// No more outages and gaps are kept; the others are counted.
pub(crate) const KEPT: usize = 64;
/// So many gaps are known, to be compared with an outage: on a busy machine one outage may have many.
const KNOWN: usize = 4096;

/// A time in which the sender itself sent nothing though it should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// When the packet was due that was not sent.
    pub began_ns: u64,
    /// How long it took until one was.
    pub length_ns: u64,
}

/// A time in which nothing arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// When the last packet before it arrived; where none had, when the first was sent.
    pub began_ns: u64,
    /// From then until the next arrived.
    pub length_ns: u64,
    /// How many packets were missing when it ended, and have not come since.
    pub packets: u64,
    /// For how much of it the sender itself sent nothing.
    #[serde(default)]
    pub gap_ns: u64,
}

/// A figure of which more than one part in so many is the sender's own gap is worth nothing.
const WORTH: u64 = 10;

impl Outage {
    /// For how much of it a gap lasted.
    fn shared(&self, gap: &Gap) -> u64 {
        let end = self.began_ns.saturating_add(self.length_ns);
        let gap_end = gap.began_ns.saturating_add(gap.length_ns);
        gap_end.min(end).saturating_sub(gap.began_ns.max(self.began_ns))
    }

    /// Whether the sender's own gaps leave nothing of its figure.
    pub(crate) fn is_void(&self) -> bool {
        self.gap_ns.saturating_mul(WORTH) > self.length_ns
    }
}

/// The sender's own gaps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gaps {
    /// The last of them.
    pub(crate) last: VecDeque<Gap>,
    pub(crate) count: u64,
}

impl Gaps {
    pub(crate) fn add(&mut self, gap: Gap) {
        if self.last.len() >= KNOWN {
            self.last.pop_front();
        }
        self.last.push_back(gap);
        self.count += 1;
    }

    /// The outage, with for how much of it these lasted.
    pub(crate) fn on(&self, outage: Outage) -> Outage {
        let shared = self.last.iter().map(|gap| outage.shared(gap));
        Outage {
            gap_ns: shared.fold(0, u64::saturating_add).min(outage.length_ns),
            ..outage
        }
    }
}

/// The outages of a flow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outages {
    /// The last one, with the numbers of the packets that were missing: they may come yet.
    last: Option<(Outage, Range<u64>)>,
    pub(crate) longest: Option<Outage>,
    /// Those that took longer than the threshold.
    pub(crate) long: Vec<Outage>,
    pub(crate) left_off: u64,
    /// Those that a gap of the sender's makes worthless.
    pub(crate) void: u64,
    pub(crate) longest_void: Option<Outage>,
}

impl Outages {
    /// One more, in which packets with these numbers were missing.
    pub(crate) fn add(&mut self, outage: Outage, missing: Range<u64>, gaps: &Gaps, threshold: u64) {
        self.settle(gaps, threshold);
        self.last = Some((outage, missing));
    }

    /// A packet came behind a higher one: perhaps it was missed.
    pub(crate) fn came_late(&mut self, number: u64) {
        if let Some((outage, missing)) = &mut self.last
            && missing.contains(&number)
        {
            outage.packets = outage.packets.saturating_sub(1);
        }
    }

    /// Takes the last one for what it is now.
    pub(crate) fn settle(&mut self, gaps: &Gaps, threshold: u64) {
        let Some((outage, _)) = self.last.take() else {
            return;
        };
        let is_long = outage.length_ns >= threshold;
        if outage.packets == 0 && !is_long {
            // All of them came, in another order.
            return;
        }
        let outage = gaps.on(outage);
        if outage.is_void() {
            // Where nothing is missing, the gap is all there was.
            if outage.packets > 0 {
                self.void += 1;
                self.longest_void = longer(self.longest_void, outage);
            }
            return;
        }
        self.longest = longer(self.longest, outage);
        match is_long {
            true if self.long.len() < KEPT => self.long.push(outage),
            true => self.left_off += 1,
            false => {}
        }
    }
}

/// The longer of two.
pub(crate) fn longer(longest: Option<Outage>, other: Outage) -> Option<Outage> {
    Some(
        longest
            .filter(|it| it.length_ns >= other.length_ns)
            .unwrap_or(other),
    )
}
