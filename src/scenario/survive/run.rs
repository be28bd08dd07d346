//! Tries sets of failures on living labs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::graph::{Failed, Graph};
use super::report::Trial;
use super::sets::Sets;
use crate::check::stop::Stop;
use crate::check::up::{Life, Up};
use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::run::client::Client;
use crate::run::directory::{LabDirectory, RunDirectory};
use crate::run::protocol::{LinkAction, Request};
use crate::scenario::instruments::{self, Pair, PairFlows};
use crate::scenario::routes::Routes;
use crate::scenario::snapshot::Places;

/// Between two looks at what has arrived.
const LOOK: Duration = Duration::from_millis(5);
/// So long nothing may be lost until a pair counts as healed.
const SETTLED: Duration = Duration::from_millis(40);
/// How long the lab may take to be as before, once all is mended.
const BACK: Duration = Duration::from_secs(60);
/// How long a lab may take until its routes stay as they are.
const FIRST: Duration = Duration::from_secs(60);
/// How long routes must be the same then.
const STILL: Duration = Duration::from_millis(150);
/// Packets a second of all flows together, at most.
const PACKETS: usize = 20_000;
/// Packets a second of one flow, at most and at least.
const PACE: std::ops::RangeInclusive<usize> = 20..=250;

/// What is to be tried.
pub struct Plan<'a> {
    /// The lab's files.
    pub files: &'a [PathBuf],
    /// The lab's name.
    pub name: &'a str,
    /// Options for `nslab up`.
    pub options: &'a [String],
    /// Its graph.
    pub graph: &'a Graph,
    /// All sets of failures.
    pub sets: &'a Sets,
    /// Their numbers, in the order they are tried.
    pub order: &'a [u32],
    /// The pairs that must be able to speak, by the numbers of nodes.
    pub pairs: &'a [(usize, usize)],
    /// How long they may take to.
    pub within: Duration,
    /// When no more sets are begun.
    pub until: Option<Instant>,
}

/// Tries all sets on so many labs at once. Returns what was tried, and whether the user wanted to end.
///
/// # Errors
/// A lab does not come up, or does not answer.
pub fn all(
    plan: &Plan,
    jobs: usize,
    directory: &RunDirectory,
    stop: &Stop,
    tell: &(dyn Fn(usize, &Trial) + Sync),
) -> Result<Vec<Trial>, Failure> {
    let next = AtomicUsize::new(0);
    let broken = AtomicBool::new(false);
    let trials: Mutex<Vec<Trial>> = Mutex::new(Vec::new());
    let worker = || -> Result<(), Failure> {
        let mut bench: Option<Bench> = None;
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let is_over = plan.until.is_some_and(|until| Instant::now() >= until);
            if at >= plan.order.len() || stop.wanted() || is_over || broken.load(Ordering::Relaxed) {
                break;
            }
            let living = match bench.take() {
                Some(living) => living,
                None => Bench::raise(plan, directory, stop)?,
            };
            let tried = living.attempt(plan, plan.order[at], stop);
            match tried {
                Ok(Some(trial)) => {
                    let is_as_before = trial.back_ns.is_some();
                    if let Ok(mut trials) = trials.lock() {
                        trials.push(trial.clone());
                        tell(trials.len(), &trial);
                    }
                    match is_as_before {
                        true => bench = Some(living),
                        false => living.lower()?,
                    }
                }
                Ok(None) => {
                    living.lower()?;
                    break;
                }
                Err(failure) => {
                    living.lower()?;
                    return Err(failure);
                }
            }
        }
        bench.map_or(Ok(()), Bench::lower)
    };
    let guarded = || {
        let done = worker();
        if done.is_err() {
            broken.store(true, Ordering::Relaxed);
        }
        done
    };
    thread::scope(|scope| {
        // A lab's processes die with the thread that started them, so each lab stays on its thread.
        let threads: Vec<_> = (0..jobs.min(plan.order.len()).max(1))
            .map(|_| thread::Builder::new().spawn_scoped(scope, guarded))
            .collect();
        let mut failed = None;
        for thread in threads {
            let joined = thread.attempt(|| "start a thread")?.join();
            let done = joined.map_err(|_| Failure::host("a thread of nslab's panicked"))?;
            failed = failed.or(done.err());
        }
        failed.map_or(Ok(()), Err)
    })?;
    let mut trials = trials
        .into_inner()
        .map_err(|_| Failure::host("a thread of nslab's panicked"))?;
    trials.sort_by_key(|trial| trial.number);
    Ok(trials)
}

/// A living lab that failures are tried on.
struct Bench {
    up: Up,
    lab: LabDirectory,
    places: Places,
    baseline: Routes,
}

impl Bench {
    /// Brings the lab up and waits until its routes stay as they are.
    fn raise(plan: &Plan, directory: &RunDirectory, stop: &Stop) -> Result<Bench, Failure> {
        let place = directory.for_test(plan.name)?;
        let lab = place.lab(plan.name);
        let mut up = Up::start(plan.files, plan.options, false, (&place, &lab))?;
        let life = up.until_ready(stop)?;
        // It keeps the directory until the lab is down.
        up.keeps(place);
        if let Life::Failed { reason, detail, .. } = life {
            up.take_down()?;
            return Err(
                Failure::not_ready(format!("lab {} did not come up: {reason}", plan.name)).detail(detail),
            );
        }
        let still = Self::settled(&lab, plan, stop);
        match still {
            Ok((places, baseline)) => Ok(Bench {
                up,
                lab,
                places,
                baseline,
            }),
            Err(failure) => {
                up.take_down()?;
                Err(failure)
            }
        }
    }

    /// Waits until all pairs can speak and the routes stay as they are; only then can be said what a failure did.
    fn settled(lab: &LabDirectory, plan: &Plan, stop: &Stop) -> Result<(Places, Routes), Failure> {
        if let Ok(mut client) = Client::connect(lab) {
            client.ask(&Request::Apply {
                manifests: Vec::new(),
            })?;
        }
        let places = Places::of(lab)?;
        let deadline = Instant::now() + FIRST;
        let mut routes = places.routes(stop)?;
        let mut since = Instant::now();
        while since.elapsed() < STILL {
            if stop.wait(&[], LOOK * 4) {
                break;
            }
            let now = places.routes(stop)?;
            if now != routes {
                (routes, since) = (now, Instant::now());
            }
            if Instant::now() >= deadline {
                return Err(Failure::not_ready(format!(
                    "the routes of lab {} do not settle",
                    plan.name
                )));
            }
        }
        let flows = PairFlows::start(lab, &pairs(plan, plan.pairs), pace(plan.pairs.len()))?;
        let healed = until_healed(
            &flows,
            lab,
            FIRST.min(plan.within.max(Duration::from_secs(10))),
            stop,
        )?;
        flows.finish(lab)?;
        if let Healed::Not(silent) = healed {
            let help = "name the pairs that must be able to speak with `--pairs`; a failure tells nothing about others";
            return Err(Failure::not_ready(format!(
                "without any failure there is no way for {}",
                silent.join(", ")
            ))
            .help(help));
        }
        let routes = places.routes(stop)?;
        Ok((places, routes))
    }

    fn lower(self) -> Result<(), Failure> {
        self.up.take_down()
    }

    /// Tries one set of failures, and mends all. Returns none when the user wants to end.
    fn attempt(&self, plan: &Plan, number: u32, stop: &Stop) -> Result<Option<Trial>, Failure> {
        let Some(failed) = plan.sets.get(u64::from(number)) else {
            return Ok(None);
        };
        let connected: Vec<(usize, usize)> = connected(plan, &failed);
        let mut trial = Trial {
            number: u64::from(number),
            failure: plan.graph.describe(&failed),
            only: plan.graph.only(&failed),
            size: failed.links.len() + failed.nodes.len(),
            healed: false,
            outage_ns: 0,
            unsure: false,
            lost: 0,
            connected: connected.len(),
            cut_off: plan.pairs.len() - connected.len(),
            silent: Vec::new(),
            back_ns: None,
            trouble: None,
        };
        let flows = PairFlows::start(&self.lab, &pairs(plan, &connected), pace(connected.len()))?;
        // What is lost before the failure is not its doing.
        if matches!(until_healed(&flows, &self.lab, plan.within, stop)?, Healed::Wish) {
            return Ok(None);
        }
        let began = instruments::now();
        self.break_it(plan, &failed)?;
        let healed = until_healed(&flows, &self.lab, plan.within, stop)?;
        let seen = flows.finish(&self.lab)?;
        trial.healed = match healed {
            Healed::Wish => return Ok(None),
            Healed::Yes => true,
            Healed::Not(silent) => {
                trial.silent = silent;
                false
            }
        };
        for flow in &seen {
            trial.lost += flow.lost;
            let after = flow.longest.filter(|outage| outage.end_ns() >= began);
            trial.outage_ns = trial.outage_ns.max(after.map_or(0, |outage| outage.length_ns));
        }
        let unsure = seen.iter().filter_map(|flow| flow.unsure);
        let mut unsure = unsure.filter(|outage| outage.end_ns() >= began);
        trial.unsure = unsure.any(|outage| outage.length_ns > trial.outage_ns);
        let mended = instruments::now();
        self.mend(plan, &failed)?;
        match self.until_back(stop)? {
            Back::Wish => return Ok(None),
            Back::Yes => trial.back_ns = Some(instruments::now().saturating_sub(mended)),
            Back::Not(why) => {
                trial.trouble = Some(format!("once it was mended the routes were not as before: {why}"));
            }
        }
        Ok(Some(trial))
    }

    fn break_it(&self, plan: &Plan, failed: &Failed) -> Result<(), Failure> {
        for link in &failed.links {
            instruments::link(&self.lab, &plan.graph.links[*link].ends[0], &LinkAction::Down)?;
        }
        // A node that dies takes no leave: its neighbors lose their carrier first.
        for end in plan.graph.ends_at(&failed.nodes) {
            instruments::link(&self.lab, end, &LinkAction::Down)?;
        }
        for node in &failed.nodes {
            let node = plan.graph.nodes[*node].clone();
            Client::connect(&self.lab)?.ask(&Request::Stop { node })?;
        }
        Ok(())
    }

    fn mend(&self, plan: &Plan, failed: &Failed) -> Result<(), Failure> {
        for node in &failed.nodes {
            let node = plan.graph.nodes[*node].clone();
            Client::connect(&self.lab)?.ask(&Request::Start { node })?;
        }
        let links = failed.links.iter().map(|link| &plan.graph.links[*link].ends[0]);
        for end in plan.graph.ends_at(&failed.nodes).chain(links) {
            instruments::link(&self.lab, end, &LinkAction::Up)?;
        }
        Ok(())
    }

    fn until_back(&self, stop: &Stop) -> Result<Back, Failure> {
        let deadline = Instant::now() + BACK;
        loop {
            let differences = self.baseline.differences(&self.places.routes(stop)?);
            let Some(first) = differences.first() else {
                return Ok(Back::Yes);
            };
            if Instant::now() >= deadline {
                return Ok(Back::Not(first.text()));
            }
            if stop.wait(&[], LOOK) {
                return Ok(Back::Wish);
            }
        }
    }
}

enum Back {
    Wish,
    Yes,
    Not(String),
}

enum Healed {
    Wish,
    Yes,
    /// The pairs that are not.
    Not(Vec<String>),
}

/// Packets a second of each of so many flows.
fn pace(flows: usize) -> u32 {
    let even = PACKETS / flows.max(1);
    even.clamp(*PACE.start(), *PACE.end()) as u32
}

fn pairs(plan: &Plan, of: &[(usize, usize)]) -> Vec<Pair> {
    let name = |node: usize| plan.graph.nodes[node].clone();
    of.iter()
        .map(|(from, to)| Pair {
            from: name(*from),
            to: name(*to),
        })
        .collect()
}

/// The pairs that are still physically connected.
fn connected(plan: &Plan, failed: &Failed) -> Vec<(usize, usize)> {
    let mut reached = BTreeMap::new();
    let mut connected = Vec::new();
    let owners = &plan.graph.owners;
    for (from, to) in plan.pairs {
        let (a, b) = (owners[*from], owners[*to]);
        let reached = reached
            .entry(a)
            .or_insert_with(|| plan.graph.reached_from(a, failed));
        if reached.contains(&b) {
            connected.push((*from, *to));
        }
    }
    connected
}

/// Waits until every flow has lost nothing for a while.
fn until_healed(
    flows: &PairFlows,
    lab: &LabDirectory,
    within: Duration,
    stop: &Stop,
) -> Result<Healed, Failure> {
    if flows.is_empty() {
        return Ok(Healed::Yes);
    }
    let deadline = Instant::now() + within + SETTLED;
    // Of each flow: since when nothing is missing, and what it had sent and received then.
    let mut since: BTreeMap<String, (Instant, u64, u64)> = BTreeMap::new();
    loop {
        let now = Instant::now();
        let counts = flows.counts(lab)?;
        for count in &counts {
            let entry = since
                .entry(count.name.clone())
                .or_insert((now, count.sent, count.received));
            // One packet may be on its way.
            let missing = (count.sent - entry.1).saturating_sub(count.received.saturating_sub(entry.2));
            if missing > 1 || count.received == 0 {
                *entry = (now, count.sent, count.received);
            }
        }
        let is_healed = |name: &String, since: &(Instant, u64, u64)| {
            let count = counts.iter().find(|count| count.name == *name);
            let has_moved = count.is_some_and(|count| count.received >= since.2 + 2);
            now - since.0 >= SETTLED && has_moved
        };
        let silent: Vec<String> = since
            .iter()
            .filter(|(name, since)| !is_healed(name, since))
            .map(|(name, _)| name.clone())
            .collect();
        if silent.is_empty() && !since.is_empty() {
            return Ok(Healed::Yes);
        }
        if now >= deadline {
            return Ok(Healed::Not(silent));
        }
        if stop.wait(&[], LOOK) {
            return Ok(Healed::Wish);
        }
    }
}
