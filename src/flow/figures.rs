//! What is told of a flow.

use serde::{Deserialize, Serialize};

use crate::outage::{Gap, Outage};
use crate::series::Series;

/// How long packets took, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// The shortest.
    pub min_ns: u64,
    /// The mean.
    pub avg_ns: u64,
    /// What half of them did not exceed.
    pub p50_ns: u64,
    /// What 99 of a hundred did not exceed.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

/// What the figure of the longest outage is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutageState {
    /// There was no outage.
    #[default]
    None,
    /// There was one at least, and its figure is right.
    Valid,
    /// More than a tenth of every one was a gap of the sender's own, so that no figure can be given.
    NoneValid,
}

/// Why a flow is a failure, whatever its other figures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// It has sent nothing.
    NeverRan,
    /// Nothing of it has arrived.
    NeverReceived,
}

/// What became of the packets of a flow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// When the first was sent; none where none was.
    pub began_ns: Option<u64>,
    /// When the last was sent.
    pub last_sent_ns: Option<u64>,
    /// Packets sent, those among them that the sender's own kernel refused.
    pub sent: u64,
    /// Packets that arrived, each counted once.
    pub received: u64,
    /// Packets that did not.
    pub lost: u64,
    /// Packets that may arrive yet.
    pub in_flight: u64,
    /// Packets that arrived more than once, so many times more.
    pub duplicated: u64,
    /// Packets that arrived behind one that was sent later (RFC 4737).
    pub reordered: u64,
    /// Packets that took longer than the flow's `late_after`.
    pub late: u64,
    /// Packets that the sender's own kernel refused: they are among those lost.
    pub refused: u64,
    /// Packets that arrived and are not of the flow, or so old that nobody remembers them.
    pub foreign: u64,
    /// Packets that arrived and that the receiver itself had no room for: they are among those lost.
    pub overflowed: u64,
    /// How long packets took.
    pub latency: Option<Latency>,
    /// What the next figure is worth.
    pub outage: OutageState,
    /// The longest outage whose figure the sender's own gaps leave worth something.
    pub longest_outage: Option<Outage>,
    /// Those longer than `outage_threshold_ns`, in their order; the first of them where there are many.
    pub outages: Vec<Outage>,
    /// How many more there were.
    pub outages_left_off: u64,
    /// How long an outage of those is at least.
    pub outage_threshold_ns: u64,
    /// An outage that has not ended. It is the longest, too, if it is that.
    pub ongoing_outage: Option<Outage>,
    /// Outages of which more than a tenth was a gap of the sender's own.
    pub void_outages: u64,
    /// The longest of those: how long it was at most.
    #[serde(default)]
    pub longest_void_outage: Option<Outage>,
    /// Gaps of the sender's own, the last of them where there are many.
    pub sender_gaps: Vec<Gap>,
    /// How many there were.
    pub sender_gap_count: u64,
    /// Bytes that arrived.
    pub bytes: u64,
    /// Bits a second, of what arrived from the first to the last.
    pub bits_per_second: Option<u64>,
    /// Why it is a failure.
    pub trouble: Option<Trouble>,
    /// What was sent and received over time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
}
