//! The health check of an image: whether its program is well, for as long as it lives. That it becomes so is waited for
//! elsewhere ([`super::stages`]).

use std::time::{Duration, Instant};

use super::events::What;
use super::inside::Inside;
use super::protocol::ServiceState;
use crate::image::config::{Healthcheck, Test};
use crate::lab::model::Command;

/// What Docker does where an image says nothing.
const USUAL: Duration = Duration::from_secs(30);
const USUAL_RETRIES: u32 = 3;
/// More of what a check said is not told, in bytes.
const MOST_SAID: usize = 512;

/// What is known of a program's health.
#[derive(Debug, Default, PartialEq, Eq)]
struct Record {
    /// How many checks have failed, one behind the other.
    failures: u32,
    is_unwell: bool,
}

/// What a check changes.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Unwell,
    WellAgain,
}

impl Record {
    /// Takes a result in. A failure that does not count, as of a program that has just begun, is none.
    fn take(&mut self, is_well: bool, counts: bool, retries: u32) -> Option<Change> {
        if is_well {
            self.failures = 0;
            return std::mem::take(&mut self.is_unwell).then_some(Change::WellAgain);
        }
        if counts {
            self.failures = self.failures.saturating_add(1);
        }
        if self.is_unwell || self.failures < retries {
            return None;
        }
        self.is_unwell = true;
        Some(Change::Unwell)
    }
}

/// Asks again and again, for as long as the node lives. `index` is the program among the node's processes.
pub async fn watch(inside: &Inside, index: usize, check: &Healthcheck) {
    let Some(argv) = check.test.as_ref().map(argv) else {
        return;
    };
    let [interval, limit] = [check.interval, check.timeout].map(|time| match time {
        Duration::ZERO => USUAL,
        time => time,
    });
    let retries = match check.retries {
        0 => USUAL_RETRIES,
        retries => retries,
    };
    let mut record = Record::default();
    let (mut restarts, mut began) = (inside.restarts(index), None);
    loop {
        tokio::time::sleep(interval).await;
        if !inside.runs(index) {
            // What has ended has no health; what begins anew is as a new one.
            record = Record::default();
            continue;
        }
        let now = inside.restarts(index);
        if now != restarts {
            (record, restarts, began) = (Record::default(), now, Some(Instant::now()));
        }
        let said = inside.health(&argv, limit).await;
        let is_early = began.is_some_and(|began| began.elapsed() < check.start_period);
        let change = record.take(said.is_ok(), !is_early, retries);
        tell(inside, index, change, said.err().unwrap_or_default());
    }
}

fn argv(test: &Test) -> Vec<String> {
    match test {
        Test::Argv(argv) => argv.clone(),
        Test::Shell(line) => Command::Shell(line.clone()).argv(),
    }
}

fn tell(inside: &Inside, index: usize, change: Option<Change>, mut reason: String) {
    reason.truncate(reason.floor_char_boundary(MOST_SAID));
    let well = match change {
        // A program that was started again is ready by this.
        None if reason.is_empty() => {
            inside.set_ready(index);
            return;
        }
        None => return,
        Some(Change::WellAgain) => true,
        Some(Change::Unwell) => false,
    };
    inside.set_health(index, (!well).then(|| reason.clone()));
    inside.lab.tell(What::Health {
        node: inside.lab.plan.nodes[inside.node].name.clone(),
        process: inside.service_name(index),
        well,
        reason,
    });
}

/// Whether the state of a program says that it runs.
pub fn is_running(state: &ServiceState) -> bool {
    matches!(
        state,
        ServiceState::Running | ServiceState::Ready | ServiceState::Unhealthy(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_failures_in_a_row_are_an_illness() {
        let mut record = Record::default();
        assert_eq!(record.take(false, true, 3), None);
        assert_eq!(record.take(false, true, 3), None);
        assert_eq!(record.take(true, true, 3), None);
        assert_eq!(record.take(false, true, 3), None);
        assert_eq!(record.take(false, false, 3), None);
        assert_eq!(record.take(false, true, 3), None);
        assert_eq!(record.take(false, true, 3), Some(Change::Unwell));
        assert_eq!(record.take(false, true, 3), None);
        assert_eq!(record.take(true, true, 3), Some(Change::WellAgain));
        assert_eq!(record.take(false, true, 1), Some(Change::Unwell));
    }
}
