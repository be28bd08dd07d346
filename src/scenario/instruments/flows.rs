//! The flows that run while a scenario is played, and those between pairs of nodes.

use std::time::{Duration, Instant};

use crate::check::stop::Stop;
use crate::failure::Failure;
use crate::flow::Trouble;
use crate::lab::flow::{self, Flow, Place, Proto, SIZE, Target};
use crate::lab::scenario::Scenario;
use crate::run::directory::LabDirectory;
use crate::run::flows;
use crate::run::protocol::{FlowReport, FlowState};
use crate::scenario::observed::{FlowSeen, OutageSeen, Point};
use crate::scenario::topology;

/// How long the first packets of flows may take.
const FIRST: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);
/// A packet between a pair that takes longer is lost: it is waited for at the end.
const LATE: Duration = Duration::from_millis(100);

/// Flows of the lab file that run.
pub struct Flows {
    names: Vec<String>,
}

impl Flows {
    /// Starts the flows of a scenario, and waits until packets of each arrive. None where it has no flows.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn start(lab: &LabDirectory, scenario: &Scenario, stop: &Stop) -> Result<Option<Flows>, Failure> {
        if scenario.flows.is_empty() {
            return Ok(None);
        }
        let all = topology::of(lab)?.flows.into_iter().map(|flow| flow.name);
        let names: Vec<String> = all.filter(|name| scenario.has_flow(name)).collect();
        // One that runs already has a past of its own.
        let reports = flows::report(lab, &names, false)?;
        let run = reports.into_iter().filter(|it| it.state == FlowState::Running);
        let run: Vec<String> = run.map(|report| report.name).collect();
        if !run.is_empty() {
            flows::stop(lab, &run)?;
        }
        flows::start(lab, &names)?;
        let flows = Flows { names };
        match flows.until_first(lab, stop) {
            Ok(()) => Ok(Some(flows)),
            Err(failure) => {
                let _ = flows::stop(lab, &flows.names);
                Err(failure)
            }
        }
    }

    /// Waits for the first packets of each. Those of which nothing arrives are told in the end.
    fn until_first(&self, lab: &LabDirectory, stop: &Stop) -> Result<(), Failure> {
        let deadline = Instant::now() + FIRST;
        while Instant::now() < deadline {
            let reports = flows::report(lab, &self.names, false)?;
            if reports.iter().all(|report| report.figures.received > 0) || stop.wait(&[], LOOK) {
                break;
            }
        }
        Ok(())
    }

    /// Stops them, and tells what became of them.
    ///
    /// # Errors
    /// The lab does not answer.
    pub fn finish(self, lab: &LabDirectory) -> Result<Vec<FlowSeen>, Failure> {
        // The ways as they are now, before the flows end.
        let told = flows::report(lab, &self.names, true);
        flows::stop(lab, &self.names)?;
        told?;
        Ok(flows::series(lab, &self.names)?.iter().map(seen).collect())
    }
}

fn seen(report: &FlowReport) -> FlowSeen {
    let figures = &report.figures;
    let path = |path: &Option<crate::run::protocol::FlowPath>| {
        let interfaces = path.as_ref().map(|path| path.interfaces.clone());
        interfaces.unwrap_or_default()
    };
    let outages = figures.outages.iter().chain(&figures.ongoing_outage);
    let series = figures.series.iter().flat_map(|series| {
        series.points.iter().enumerate().map(|(at, point)| Point {
            at_ns: series.began_ns + series.interval_ns * at as u64,
            sent: point.sent,
            received: point.received,
        })
    });
    FlowSeen {
        name: report.name.clone(),
        from: report.from.clone(),
        to: report.to.clone(),
        sent: figures.sent,
        received: figures.received,
        lost: figures.lost,
        outages: outages.map(outage).collect(),
        longest: figures.longest_outage.as_ref().map(outage),
        void: void(report),
        // A gap of the sender's is no outage where nothing was lost.
        unsure: figures.longest_void_outage.as_ref().map(outage),
        at_most_ns: at_most(report),
        path_before: path(&report.path_before),
        path_after: path(&report.path_after),
        series: series.collect(),
    }
}

/// What no outage was longer than, though the sender had gaps: as if all that was lost were lost at once, with all gaps in between.
/// None where more gaps were counted than are kept, and of transfers.
fn at_most(report: &FlowReport) -> Option<u64> {
    let figures = &report.figures;
    let are_all_kept = figures.sender_gaps.len() as u64 == figures.sender_gap_count;
    let interval = 1_000_000_000 / u64::from(report.pps?).max(1);
    let gaps: u64 = figures.sender_gaps.iter().map(|gap| gap.length_ns).sum();
    let lost = figures.lost.saturating_add(1).saturating_mul(interval);
    are_all_kept.then(|| lost.saturating_add(gaps))
}

/// Why the figures of a flow are worth nothing, if they are not.
fn void(report: &FlowReport) -> Option<String> {
    let error = report
        .error
        .as_ref()
        .map(|error| format!(": {error}"))
        .unwrap_or_default();
    match report.figures.trouble {
        Some(Trouble::NeverRan) => Some(format!("it never ran{error}")),
        Some(Trouble::NeverReceived) => Some(format!("nothing of it has ever arrived{error}")),
        None => None,
    }
}

fn outage(outage: &crate::flow::Outage) -> OutageSeen {
    OutageSeen {
        began_ns: outage.began_ns,
        length_ns: outage.length_ns,
        packets: outage.packets,
    }
}

/// Two nodes of which one sends to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Who sends.
    pub from: String,
    /// Who receives.
    pub to: String,
}

impl Pair {
    /// What the flow of a pair is called that has this place among all. Names of pods and long ones are none of flows.
    fn name(&self, at: usize) -> String {
        let name = format!("{}:{}", self.from, self.to).replace('/', ".");
        match flow::name(&name) {
            Ok(()) => name,
            Err(_) => format!("pair-{at}"),
        }
    }
}

/// What a flow has sent, and what has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The flow.
    pub name: String,
    /// Packets sent.
    pub sent: u64,
    /// Packets that arrived.
    pub received: u64,
}

/// Flows between pairs of nodes.
pub struct PairFlows {
    names: Vec<String>,
}

impl PairFlows {
    /// Starts one for each pair, with so many packets a second.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn start(lab: &LabDirectory, pairs: &[Pair], pps: u32) -> Result<PairFlows, Failure> {
        let place = |node: &str| Place {
            node: node.to_owned(),
            interface: None,
        };
        let wanted: Vec<Flow> = pairs
            .iter()
            .enumerate()
            .map(|(at, pair)| Flow {
                name: pair.name(at),
                from: place(&pair.from),
                to: Target::Node(place(&pair.to)),
                proto: Proto::Udp,
                pps: Some(pps),
                size: SIZE,
                dscp: 0,
                family: None,
                port: None,
                late_after: LATE,
                start: false,
            })
            .collect();
        let names = wanted.iter().map(|flow| flow.name.clone()).collect();
        if !wanted.is_empty() {
            flows::run(lab, wanted)?;
        }
        Ok(PairFlows { names })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// What they have sent so far, and what has arrived.
    ///
    /// # Errors
    /// The lab does not answer.
    pub fn counts(&self, lab: &LabDirectory) -> Result<Vec<Count>, Failure> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let reports = flows::report(lab, &self.names, false)?;
        Ok(reports
            .into_iter()
            .map(|report| Count {
                name: report.name,
                sent: report.figures.sent,
                received: report.figures.received,
            })
            .collect())
    }

    /// Stops them, and tells what became of them.
    ///
    /// # Errors
    /// The lab does not answer.
    pub fn finish(self, lab: &LabDirectory) -> Result<Vec<FlowSeen>, Failure> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        Ok(flows::stop(lab, &self.names)?.iter().map(seen).collect())
    }
}
