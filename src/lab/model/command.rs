//! What runs in a node, and when.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A command: an argument vector, or text for `sh -c`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// Program and arguments.
    Argv(Vec<String>),
    /// A line for the shell.
    Shell(String),
}

/// The end of the path of FRR's own script, as commands written for a container call it.
pub(super) const FRR_SCRIPT: &str = "frr/frrinit.sh";

/// What stands in a command that starts daemons of FRR's: where packages and images have them, and services' names.
const FRR_PROGRAMS: [&str; 6] = [
    "lib/frr/",
    "lib64/frr/",
    "libexec/frr/",
    "init.d/frr",
    "service frr",
    "start frr",
];

impl Command {
    /// Whether it starts FRR's daemons, which want a capability that other programs do not have.
    pub fn starts_frr(&self) -> bool {
        let line = self.argv().join(" ");
        FRR_PROGRAMS.iter().any(|program| line.contains(program))
    }

    /// What to execute.
    pub fn argv(&self) -> Vec<String> {
        match self {
            Command::Argv(argv) => argv.clone(),
            Command::Shell(line) => vec!["/bin/sh".into(), "-c".into(), line.clone()],
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Argv(argv) => f.write_str(&shell_words::join(argv)),
            Command::Shell(line) => f.write_str(line),
        }
    }
}

/// A command run once while the node comes up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// What to run.
    pub command: Command,
    /// Whether a failure is only reported.
    pub may_fail: bool,
    /// The line of the lab file it stands in (1-based), for messages.
    pub line: usize,
}

/// A long-running process of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its name in `ps` and `logs`.
    pub name: String,
    /// What to run.
    pub command: Command,
    /// What happens when it ends.
    pub restart: Restart,
    /// When it counts as ready; started is enough where nothing is said.
    pub ready: Option<Probe>,
    /// The user it runs as (a name or number looked up in the node); root where none is given.
    pub user: Option<String>,
    /// The directory it starts in; `/` where none is given.
    pub workdir: Option<String>,
    /// Whether it has a terminal of its own, at which nobody sits.
    #[serde(default)]
    pub terminal: bool,
    /// Whether the lab goes on without it where it cannot be started.
    #[serde(default)]
    pub may_fail: bool,
    /// Environment on top of the node's.
    pub env: BTreeMap<String, String>,
}

impl Process {
    /// A program of an engine's: always there, as root, with the node's environment.
    pub fn service(name: &str, argv: Vec<String>) -> Self {
        Process {
            name: name.to_owned(),
            command: Command::Argv(argv),
            restart: Restart::Always,
            ready: None,
            user: None,
            workdir: None,
            terminal: false,
            may_fail: false,
            env: BTreeMap::new(),
        }
    }
}

/// When an ended process is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never (`no`).
    No,
    /// After a non-zero status or a signal.
    OnFailure,
    /// After any end.
    Always,
}

/// What shows that a process is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// Something listens on this TCP port in the node's network.
    Tcp(u16),
    /// This path exists in the node.
    File(String),
    /// This command ends with status 0 in the node.
    Exec(Command),
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Probe::Tcp(port) => write!(f, "TCP port {port} open"),
            Probe::File(path) => write!(f, "{path} there"),
            Probe::Exec(command) => write!(f, "`{command}` succeeding"),
        }
    }
}

/// A stage a node reaches on its way up, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Its network namespace exists.
    Created,
    /// Its links are there and up, with their addresses.
    Links,
    /// Files are written, `exec` has run, the engine has its configuration.
    Configured,
    /// Everything it runs is ready.
    Ready,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Created => "created",
            Stage::Links => "links",
            Stage::Configured => "configured",
            Stage::Ready => "ready",
        })
    }
}

/// One entry of `wait_for`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The node waited for, by index.
    pub node: usize,
    /// The stage it must reach.
    pub stage: Stage,
}
