//! Scenarios: what happens to a living lab, and what must be true while it happens and afterwards.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::impair::Impairment;
use super::model::{Command, Manifest};

/// No lab has more scenarios.
pub const MOST_SCENARIOS: usize = 1000;
/// The manifests that all steps of a lab apply and delete are no longer together, in bytes.
pub const MOST_MANIFESTS: usize = 64 << 20;

/// One entry of `[[scenarios]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Its name in reports.
    pub name: String,
    /// The flows that run while it is played, by their names in the lab file.
    pub flows: Vec<String>,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// What must be true.
    pub expect: Expectations,
    /// Whether the packets of the lab are kept if it fails.
    pub capture: bool,
    /// The line of the lab file it stands in (1-based).
    pub line: usize,
}

/// One end of a link: an interface of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct End {
    /// The node.
    pub node: String,
    /// The interface.
    pub interface: String,
}

/// Packets of a link, seen from the end that is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// All.
    #[default]
    Both,
    /// Those that the end sends.
    Out,
    /// Those that arrive at it.
    In,
}

/// Something that happens to the lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The cables of links are pulled: no carrier at both ends.
    LinkDown(Vec<End>),
    /// They are plugged in again, and what was silent speaks.
    LinkUp(Vec<End>),
    /// Links lose everything, and keep their carrier.
    Silence(Vec<End>),
    /// Links lose what was done to them, impairments included.
    Clear(Vec<End>),
    /// What links do to packets from now on.
    Impair {
        /// The links.
        links: Vec<End>,
        /// What is done to packets.
        impairment: Impairment,
        /// To which.
        direction: Way,
    },
    /// A link goes down and up again, several times.
    Flap {
        /// The links.
        links: Vec<End>,
        /// How often.
        count: u32,
        /// How long it is down each time.
        down: Duration,
        /// How long it is up each time.
        up: Duration,
    },
    /// Processes of nodes get a signal.
    Kill {
        /// The nodes.
        nodes: Vec<String>,
        /// The program's name; the node's init where none is given.
        process: Option<String>,
        /// The signal's number.
        signal: i32,
    },
    /// Nodes are started again; their links stay.
    Restart(Vec<String>),
    /// All processes of nodes are stopped (SIGSTOP): the nodes hang.
    Stop(Vec<String>),
    /// They go on (SIGCONT).
    Continue(Vec<String>),
    /// A command runs in nodes.
    Exec {
        /// The nodes.
        nodes: Vec<String>,
        /// The command.
        command: Command,
        /// Whether it may fail.
        may_fail: bool,
    },
    /// Objects are applied to the cluster.
    Apply(Manifest),
    /// Objects of the cluster are deleted.
    Delete(Manifest),
    /// Time passes.
    Wait(Duration),
    /// Until nothing changes any more: no route, link or session for as long as `quiet`.
    Quiet {
        /// How long nothing may change.
        quiet: Duration,
        /// How long it may take.
        within: Duration,
    },
    /// Until checks of the lab file hold.
    Check {
        /// A check's name.
        name: String,
        /// How long that may take; the check's own time where none is given.
        within: Option<Duration>,
    },
}

/// What must be true of a scenario. What is not given may be anything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Expectations {
    /// The longest time in which a flow delivers nothing.
    pub outage: Option<Bound<Duration>>,
    /// How many packets of a flow are lost.
    pub lost: Option<Bound<u64>>,
    /// After each step, how long routes may change and flows be cut.
    pub healed_within: Option<Duration>,
    /// Whether the routes are the same afterwards as before; they may take as long for that as for healing.
    pub routes_as_before: bool,
    /// Checks of the lab file that hold afterwards, by their names.
    pub checks: Names,
}

/// A figure of flows that must stay below a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bound<T> {
    /// The limit; it may be reached.
    pub below: T,
    /// Whose figure it is.
    pub flows: Names,
}

/// Some, by their names, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Names {
    /// All there are.
    All,
    /// None.
    #[default]
    Nothing,
    /// These.
    These(Vec<String>),
}

impl Names {
    /// Whether this one is among them.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Names::All => true,
            Names::Nothing => false,
            Names::These(names) => names.iter().any(|it| it == name),
        }
    }
}

impl Scenario {
    /// Whether a name is one of its flows.
    pub fn has_flow(&self, name: &str) -> bool {
        self.flows.iter().any(|it| it == "*" || it == name)
    }
}

impl Step {
    /// Whether it changes the lab; the others wait.
    pub fn disturbs(&self) -> bool {
        !matches!(self, Step::Wait(_) | Step::Quiet { .. } | Step::Check { .. })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.node, self.interface)
    }
}

/// As `nslab scenario run` tells it.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = |ends: &[End]| ends.iter().map(End::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Step::LinkDown(links) => write!(f, "link {} down", ends(links)),
            Step::LinkUp(links) => write!(f, "link {} up", ends(links)),
            Step::Silence(links) => write!(f, "link {} silent", ends(links)),
            Step::Clear(links) => write!(f, "link {} clear", ends(links)),
            Step::Impair {
                links, impairment, ..
            } => write!(f, "link {}: {impairment}", ends(links)),
            Step::Flap { links, count, .. } => write!(f, "link {} down and up {count} times", ends(links)),
            Step::Kill {
                nodes,
                process,
                signal,
            } => {
                let process = process.as_deref().unwrap_or("init");
                write!(f, "signal {signal} to {process} of {}", nodes.join(", "))
            }
            Step::Restart(nodes) => write!(f, "restart {}", nodes.join(", ")),
            Step::Stop(nodes) => write!(f, "stop all processes of {}", nodes.join(", ")),
            Step::Continue(nodes) => write!(f, "continue all processes of {}", nodes.join(", ")),
            Step::Exec { nodes, command, .. } => write!(f, "{}: {command}", nodes.join(", ")),
            Step::Apply(manifest) => write!(f, "apply {}", manifest.name),
            Step::Delete(manifest) => write!(f, "delete {}", manifest.name),
            Step::Wait(time) => write!(f, "wait {time:?}"),
            Step::Quiet { .. } => f.write_str("wait until nothing changes"),
            Step::Check { name, .. } => write!(f, "wait for the check {name:?}"),
        }
    }
}
