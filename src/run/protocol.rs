//! What is said between commands, the supervisor and the nodes' inits: JSON in frames of `kernel::message`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::events::Event;
use crate::cilium::state::{NodeAnswer, Query};
use crate::engine::operator::NodeView;
use crate::failure::Failure;
use crate::kernel::mount::Shown;
use crate::kernel::overlay::Confinement;
use crate::lab::model::{Bind, File, Manifest, Stage};
use crate::lab::plan::Limits;
use crate::lab::rights::RightsStep;

/// A command's wish, sent to the control socket. One a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// A descriptor to enter a node with; its init is started if it has none.
    Enter {
        /// The node.
        node: String,
    },
    /// What the nodes are and do.
    Status,
    /// Everything that happened, and what happens from now on.
    Events {
        /// Whether the connection stays open.
        follow: bool,
    },
    /// Kill a node's processes and start it again.
    Restart {
        /// The node.
        node: String,
    },
    /// Apply objects to the cluster; without manifests those of the lab file that were held back.
    Apply {
        /// The files, all of which are right or none is applied.
        manifests: Vec<Manifest>,
    },
    /// Delete objects of the cluster.
    Delete {
        /// Files that name them.
        manifests: Vec<Manifest>,
    },
    /// Objects of the cluster.
    Get {
        /// Their kind.
        kind: String,
        /// The name of the only one that is wanted.
        name: Option<String>,
    },
    /// What the agents of the cluster's nodes know.
    Cilium {
        /// The only node that is wanted, by its name in the lab or in its cluster.
        node: Option<String>,
        /// What is asked.
        query: Query,
    },
    /// Take the lab down. Answered at once, with the supervisor's pidfd.
    Down,
}

/// The supervisor's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Descriptors follow: the init's pidfd, the node's user namespace if it has one of its own, and its cgroup's directory if
    /// it has one.
    Enter {
        /// The node's environment.
        env: BTreeMap<String, String>,
        /// What its processes may do.
        rights: RightsStep,
    },
    /// The nodes.
    Status(Status),
    /// One event; many may follow.
    Event(Event),
    /// Objects were applied or deleted.
    Changed(Changed),
    /// Objects.
    Objects(Vec<serde_json::Value>),
    /// What agents say.
    Cilium(Vec<NodeAnswer>),
    /// It is done. For [`Request::Down`], the supervisor's pidfd follows.
    Done,
    /// It cannot be done.
    Failed(Failure),
}

/// What became of objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// A line each, as kubectl prints it.
    pub lines: Vec<String>,
    /// What may not be as it was meant.
    pub warnings: Vec<String>,
    /// Whether one that was to be deleted was not there.
    pub missing: bool,
}

/// A living lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub lab: String,
    /// Its nodes, in the order of the file.
    pub nodes: Vec<NodeStatus>,
}

/// A node of a living lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// host, router, bridge.
    pub kind: String,
    /// frr, builtin, kernel (nothing but the kernel plays it).
    pub engine: String,
    /// The stage it has reached.
    pub stage: Option<Stage>,
    /// In words: `idle`, `ready`, `starting`, `restarting`, `failed`.
    pub state: String,
    /// Seconds since it became ready.
    pub uptime: Option<f64>,
    /// How often it was started again.
    pub restarts: u32,
    /// The supervisor's descriptor of its network namespace.
    pub network_fd: Option<i32>,
    /// PID of its init as the host sees it.
    pub init_pid: Option<i32>,
    /// How many processes it has, its init not counted.
    pub processes: usize,
    /// Bytes of memory its processes take, shared pages counted by share.
    pub memory: u64,
    /// Bytes it may take.
    pub memory_limit: Option<u64>,
    /// Cores it may use.
    pub cpu: Option<f64>,
    /// Whether nothing is withheld from it, so that it can do to the host what root can.
    #[serde(default)]
    pub privileged: bool,
    /// Capabilities of its processes beyond the usual ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Processes and threads it may have.
    pub process_limit: Option<u64>,
    /// Bytes of its own on its file system.
    pub disk: u64,
    /// Bytes it may have there.
    pub disk_limit: Option<u64>,
    /// Bytes its log may have.
    pub log_limit: Option<u64>,
    /// Files each of its processes may have open.
    pub open_files_limit: Option<u64>,
    /// Its long-running processes.
    pub services: Vec<ServiceStatus>,
    /// Interface and address, in order.
    pub addresses: Vec<(String, String)>,
    /// Its group.
    pub group: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// As its cluster sees it, where a real Kubernetes runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<NodeView>,
}

/// A long-running process of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub state: ServiceState,
    /// How often it was started again.
    pub restarts: u32,
    /// Why it was killed last, where the kernel says.
    pub reason: Option<String>,
}

/// Where a process is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// Not yet executed.
    Starting,
    /// It runs.
    Running,
    /// It runs, and what shows that it is ready is true.
    Ready,
    /// It ended with this status, as a shell gives it.
    Ended(i32),
    /// It could not be executed, and why.
    NotStarted(String),
}

/// All a node's init has to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Name and hostname.
    pub node: String,
    /// The lab's cgroup, in whatever tree.
    pub cgroup: String,
    /// An empty directory of the host to build the root on.
    pub scratch: PathBuf,
    /// Where the base of all roots is.
    pub base: PathBuf,
    /// The host's mounts to show.
    pub shown: Vec<Shown>,
    /// Files of the lab file and of the engine.
    pub files: Vec<File>,
    /// Symbolic links of the engine: path, and where it leads.
    pub links: Vec<(String, String)>,
    /// Binds of the lab file.
    pub binds: Vec<Bind>,
    /// Whether the node makes cgroups of its own.
    pub makes_cgroups: bool,
    /// Whether nslab's own program plays a part in it.
    pub needs_program: bool,
    /// What its processes may do.
    pub rights: RightsStep,
    /// How it is kept from what is the host's. None for a privileged node.
    pub confinement: Option<Confinement>,
    /// What it may use at most.
    pub limits: Limits,
}

/// The supervisor's orders to an init.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Start a program. Two descriptors follow: its output and its errors.
    Start {
        /// A number for it that the supervisor chose.
        id: u64,
        /// Program and arguments.
        argv: Vec<String>,
        /// Its whole environment.
        env: BTreeMap<String, String>,
        /// A user name or number.
        user: Option<String>,
        /// The directory it starts in.
        workdir: Option<String>,
        /// Whether it has the rights of the node's engine.
        #[serde(default)]
        engine: bool,
    },
    /// Send a signal to every process of the node.
    SignalAll {
        /// Which signal.
        signal: i32,
    },
}

/// What an init tells the supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// The root stands. The node's syslog socket follows.
    Up,
    /// The root could not be made.
    Failed(Failure),
    /// A program runs.
    Started {
        /// Which.
        id: u64,
    },
    /// A program could not be started.
    NotStarted {
        /// Which.
        id: u64,
        /// Why.
        reason: String,
        /// Exit status as a shell would give it: 126 or 127.
        status: i32,
    },
    /// A program ended.
    Ended {
        /// Which.
        id: u64,
        /// Exit status as a shell would give it.
        status: i32,
    },
    /// The node has no processes left after an order to all.
    Quiet,
}
