//! Plays a scenario on a living lab: starts its flows, takes its steps, and looks at what came of it.

use super::act::{Halt, Stage, Undo};
use super::instruments::{self, Flows};
use super::judge::judge;
use super::observed::{Observed, Taken};
use super::report::ScenarioReport;
use super::routes::Routes;
use super::snapshot::Places;
use crate::check::runner::{self, Word};
use crate::failure::Failure;
use crate::lab::check::Phase;
use crate::lab::scenario::Scenario;
use std::time::{Duration, Instant};

/// How long a lab may take to be as before, once what steps did was taken back.
const BACK: Duration = Duration::from_secs(60);
/// How long the routes may take to be as before where the scenario does not say how long healing may take.
const HEALED: Duration = Duration::from_secs(30);
/// When nothing has changed for so long, the routes stay as they are. Routers try to reach a neighbor again more often than that.
const STUCK: Duration = Duration::from_secs(15);
/// How long nothing may change until that is looked at.
const QUIET: Duration = Duration::from_millis(300);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// What came of playing.
pub struct Played {
    /// The report.
    pub report: ScenarioReport,
    /// Why the lab is not as it was before, if it is not.
    pub dirty: Option<String>,
}

/// Plays a scenario, and takes back what its steps did. Returns none when the user wants to end.
///
/// # Errors
/// The lab does not answer.
pub fn play(
    stage: &Stage,
    scenario: &Scenario,
    say: &mut dyn FnMut(Word),
) -> Result<Option<Played>, Failure> {
    say(Word::Now(format!(
        "  scenario {}: waiting for quiet",
        scenario.name
    )));
    let places = Places::of(stage.lab)?;
    // What still settles from before is not of this scenario. A lab that is never quiet is played with all the same.
    match instruments::until_quiet(stage.lab, QUIET, BACK, stage.stop) {
        Err(Halt::Wish) => return Ok(None),
        Ok(()) | Err(Halt::Failed(_)) => {}
    }
    let before = places.routes(stage.stop)?;
    let mut undo = Undo::default();
    let seen = match perform(stage, scenario, (&places, &before), &mut undo, say) {
        Ok(Some(seen)) => seen,
        // Whatever ended it, what steps did is taken back.
        Ok(None) => {
            stage.take_back(undo);
            return Ok(None);
        }
        Err(failure) => {
            stage.take_back(undo);
            return Err(failure);
        }
    };
    say(Word::Now(format!("  scenario {}: cleaning up", scenario.name)));
    let dirty = match clean(stage, &places, &before, undo)? {
        Cleaned::Wish => return Ok(None),
        Cleaned::Done => None,
        Cleaned::Not(why) => Some(why),
    };
    let report = ScenarioReport::new(scenario, judge(scenario, &seen), seen);
    say(Word::Settled(report.text()));
    Ok(Some(Played { report, dirty }))
}

/// Takes the steps while flows run, and looks at what came of it. Returns none when the user wants to end.
fn perform(
    stage: &Stage,
    scenario: &Scenario,
    (places, before): (&Places, &Routes),
    undo: &mut Undo,
    say: &mut dyn FnMut(Word),
) -> Result<Option<Observed>, Failure> {
    let mut seen = Observed {
        began_ns: instruments::now(),
        ..Observed::default()
    };
    let flows = Flows::start(stage.lab, scenario, stage.stop)?;
    let ended = match steps(stage, scenario, undo, &mut seen, say) {
        true => as_before(stage, scenario, places, before, &mut seen, say),
        false => Ok(false),
    };
    seen.ended_ns = instruments::now();
    // Flows end, whatever came of the steps.
    let flows = flows.map(|flows| flows.finish(stage.lab));
    if !ended? {
        return Ok(None);
    }
    seen.flows = flows.transpose()?.unwrap_or_default();
    (seen.changes, seen.changes_lost) = instruments::changes(stage.lab, seen.began_ns, seen.ended_ns)?;
    Ok(afterwards(stage, scenario, &mut seen, say).then_some(seen))
}

/// Takes the steps until one fails. Returns whether the user let it go on.
fn steps(
    stage: &Stage,
    scenario: &Scenario,
    undo: &mut Undo,
    seen: &mut Observed,
    say: &mut dyn FnMut(Word),
) -> bool {
    for step in &scenario.steps {
        say(Word::Now(format!("  scenario {}: {step}", scenario.name)));
        let began_ns = instruments::now();
        let taken = stage.take(step, undo);
        let failure = match taken {
            Ok(()) => None,
            Err(Halt::Wish) => return false,
            Err(Halt::Failed(why)) => Some(why),
        };
        let has_failed = failure.is_some();
        seen.steps.push(Taken {
            step: step.to_string(),
            disturbs: step.disturbs(),
            began_ns,
            done_ns: instruments::now(),
            failure,
        });
        if has_failed {
            break;
        }
    }
    true
}

/// Waits until the routes are as before, where they must be, for as long as healing may take: a session may be tried again late.
/// Returns whether the user let it go on.
fn as_before(
    stage: &Stage,
    scenario: &Scenario,
    places: &Places,
    before: &Routes,
    seen: &mut Observed,
    say: &mut dyn FnMut(Word),
) -> Result<bool, Failure> {
    if !scenario.expect.routes_as_before || seen.steps.iter().any(|step| step.failure.is_some()) {
        return Ok(true);
    }
    say(Word::Now(format!(
        "  scenario {}: waiting for the routes to be as before",
        scenario.name
    )));
    let deadline = Instant::now() + scenario.expect.healed_within.unwrap_or(HEALED);
    loop {
        let differences = before.differences(&places.routes(stage.stop)?);
        let is_over = differences.is_empty() || Instant::now() >= deadline;
        seen.routes = Some(differences);
        if is_over {
            return Ok(true);
        }
        if stage.stop.wait(&[], LOOK) {
            return Ok(false);
        }
    }
}

/// Makes the checks that must hold afterwards. Returns whether the user let it go on.
fn afterwards(stage: &Stage, scenario: &Scenario, seen: &mut Observed, say: &mut dyn FnMut(Word)) -> bool {
    if seen.steps.iter().any(|step| step.failure.is_some()) {
        return true;
    }
    let checks = stage.checks.iter().filter(|check| check.phase == Phase::After);
    for check in checks.filter(|check| scenario.expect.checks.has(&check.name)) {
        say(Word::Now(format!("  scenario {}: {}", scenario.name, check.name)));
        match runner::make(stage.lab, check, stage.stop) {
            Some(report) => seen.checks.push(report),
            None => return false,
        }
    }
    true
}

enum Cleaned {
    Wish,
    Done,
    Not(String),
}

/// Takes back what steps did, and waits until the routes are as before.
fn clean(stage: &Stage, places: &Places, before: &Routes, undo: Undo) -> Result<Cleaned, Failure> {
    let failures = stage.take_back(undo);
    if let Some(first) = failures.into_iter().next() {
        return Ok(Cleaned::Not(first));
    }
    let deadline = Instant::now() + BACK;
    let (mut last, mut since) = (places.routes(stage.stop)?, Instant::now());
    loop {
        let now = places.routes(stage.stop)?;
        let differences = before.differences(&now);
        if differences.is_empty() {
            return Ok(Cleaned::Done);
        }
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if Instant::now() >= deadline || since.elapsed() >= STUCK {
            return Ok(Cleaned::Not(differences[0].text()));
        }
        if stage.stop.wait(&[], LOOK) {
            return Ok(Cleaned::Wish);
        }
    }
}
