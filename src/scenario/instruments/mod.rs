//! What scenarios act and look with: links, flows, the timeline.

use std::time::{Duration, Instant};

use super::act::Halt;
use super::observed::Change;
use crate::check::stop::Stop;
use crate::failure::Failure;
use crate::lab::scenario::End;
use crate::run::directory::LabDirectory;
use crate::run::links;
use crate::run::protocol::LinkAction;
use crate::run::timeline;
use crate::timeline::row::Kind;

mod flows;

pub use crate::kernel::clock::monotonic as now;
pub use flows::{Count, Flows, Pair, PairFlows};

/// No more changes are kept of one scenario.
const MOST_CHANGES: usize = 100_000;
/// The longest time between two looks whether the user wants to end.
const LOOK: Duration = Duration::from_secs(1);

/// Does something to the link that has this end.
///
/// # Errors
/// The link cannot do that, or the lab does not answer.
pub fn link(lab: &LabDirectory, end: &End, action: &LinkAction) -> Result<(), Failure> {
    links::act(lab, &end.to_string(), action.clone())
}

/// Waits until no route, interface or session has changed for a span.
///
/// # Errors
/// They do not stop changing in time, the lab does not answer, or the user wants to end.
pub fn until_quiet(lab: &LabDirectory, quiet: Duration, within: Duration, stop: &Stop) -> Result<(), Halt> {
    let (began, deadline) = (now(), Instant::now() + within);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let rest = timeline::wait_quiet(lab, Some(began), quiet, left.min(LOOK))?;
        if stop.wanted() {
            return Err(Halt::Wish);
        }
        if rest.is_quiet {
            return Ok(());
        }
        if left.is_zero() {
            return Err(Halt::Failed(format!("something still changed after {within:?}")));
        }
    }
}

/// What changed between two times, and how many changes are not told.
///
/// # Errors
/// The lab does not answer.
pub fn changes(lab: &LabDirectory, since: u64, until: u64) -> Result<(Vec<Change>, u64), Failure> {
    let (mut changes, mut lost) = (Vec::new(), 0);
    timeline::rows_since(lab, since, &mut |row| {
        if row.monotonic > until {
            return;
        }
        if row.kind == Kind::Gap || changes.len() >= MOST_CHANGES {
            lost += 1;
            return;
        }
        // Neighbors and addresses come and go without anybody's being worse off.
        if !row.kind.is_unrest() && row.kind != Kind::Node {
            return;
        }
        changes.push(Change {
            at_ns: row.monotonic,
            node: row.node.unwrap_or_default(),
            what: row.text,
            of_routes: row.kind == Kind::Route,
        });
    })?;
    Ok((changes, lost))
}
