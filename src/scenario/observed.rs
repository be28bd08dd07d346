//! What was seen while a scenario was played. All times are nanoseconds of CLOCK_MONOTONIC.

use serde::Serialize;

use super::routes::Difference;
use crate::check::report::CheckReport;

/// All that was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Observed {
    /// When it began.
    pub began_ns: u64,
    /// When it ended.
    pub ended_ns: u64,
    /// The steps, as far as they were taken.
    pub steps: Vec<Taken>,
    /// The flows.
    pub flows: Vec<FlowSeen>,
    /// What changed in the nodes, in its order.
    pub changes: Vec<Change>,
    /// How many changes were lost, because there were too many at once.
    pub changes_lost: u64,
    /// How the routes at the end differ from those at the beginning; none where nobody asked.
    pub routes: Option<Vec<Difference>>,
    /// The checks that were made afterwards.
    pub checks: Vec<CheckReport>,
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Taken {
    /// What it is, in words.
    pub step: String,
    /// Whether it changes the lab.
    pub disturbs: bool,
    /// When it began.
    pub began_ns: u64,
    /// When it was done.
    pub done_ns: u64,
    /// Why it could not be taken, or did not come to an end.
    pub failure: Option<String>,
}

/// What became of a flow.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FlowSeen {
    /// Its name.
    pub name: String,
    /// Who sends.
    pub from: String,
    /// Who receives.
    pub to: String,
    /// Packets sent.
    pub sent: u64,
    /// Packets that arrived.
    pub received: u64,
    /// Packets that did not.
    pub lost: u64,
    /// Outages that took longer than a few packets, in their order.
    pub outages: Vec<OutageSeen>,
    /// The longest, however short.
    pub longest: Option<OutageSeen>,
    /// Why its figures are worth nothing, if they are not.
    pub void: Option<String>,
    /// The longest of the outages in which the sender itself had gaps: it may have been shorter.
    pub unsure: Option<OutageSeen>,
    /// What no such outage was longer than all the same, where that is known.
    pub at_most_ns: Option<u64>,
    /// The interfaces on its way before.
    pub path_before: Vec<String>,
    /// Those on its way afterwards.
    pub path_after: Vec<String>,
    /// Packets sent and received over time, for pictures.
    pub series: Vec<Point>,
}

/// A time in which nothing of a flow arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OutageSeen {
    /// When it began.
    pub began_ns: u64,
    /// How long it took.
    pub length_ns: u64,
    /// How many packets were lost.
    pub packets: u64,
}

impl OutageSeen {
    /// When it ended.
    pub fn end_ns(&self) -> u64 {
        self.began_ns.saturating_add(self.length_ns)
    }
}

/// Packets of a flow in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Point {
    /// When it begins.
    pub at_ns: u64,
    /// Packets sent.
    pub sent: u32,
    /// Those of them that arrived.
    pub received: u32,
}

/// Something that changed in a node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// When.
    pub at_ns: u64,
    /// The node.
    pub node: String,
    /// What, in words.
    pub what: String,
    /// Whether a way to somewhere changed, which is what healing is about.
    pub of_routes: bool,
}
