//! What is said between the supervisor and the nodes' inits.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::kernel::mount::Shown;
use crate::lab::model::{Bind, File, Mount, Restart};
use crate::lab::plan::Limits;
use crate::lab::rights::RightsStep;

/// What all inits of a lab have to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Common {
    /// The lab's cgroup, in whatever tree.
    pub cgroup: String,
    /// An empty directory of the host to build roots on, each in its own mount namespace.
    pub scratch: PathBuf,
    /// Another for the base of all roots.
    pub base: PathBuf,
    /// The host's mounts to show.
    pub shown: Vec<Shown>,
    /// The text of every /etc/hosts.
    pub hosts: String,
    /// The text of every /etc/resolv.conf.
    pub resolv_conf: String,
    /// Paths of what nodes are given, where the way there has to be made for all of them; see [`crate::run::root::make_base`].
    pub given: Vec<PathBuf>,
    /// Whether there are nodes that are images.
    pub images: bool,
    /// Where the lab's volumes are kept, as directories by their numbers.
    pub kept: PathBuf,
    /// How many there are.
    pub volumes: usize,
    /// Directories of nslab's own that no node sees, beside the run directory.
    pub hidden: Vec<PathBuf>,
}

/// What a node's init has to know besides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The node's name.
    pub node: String,
    /// What it calls itself.
    pub hostname: String,
    /// The layers of the image that it is, the lowest first; none where its root is the host's.
    pub image: Option<Vec<PathBuf>>,
    /// Whether the image's program is the node's first process.
    pub own_first: bool,
    /// What becomes of the node when that ends.
    pub restart: Restart,
    /// The signal that asks programs to end, where the image says one.
    pub stop_signal: Option<i32>,
    /// Files of the lab file and of the engine.
    pub files: Vec<File>,
    /// Symbolic links of the engine: path, and where it leads.
    pub links: Vec<(String, String)>,
    /// Binds of the lab file.
    pub binds: Vec<Bind>,
    /// Its other directories that are not of its root, each with its volume's place among the lab's.
    pub mounts: Vec<(Mount, Option<usize>)>,
    /// Whether the node makes cgroups of its own.
    pub makes_cgroups: bool,
    /// Whether its first process finds a cgroup of its own to rule.
    pub rules_cgroups: bool,
    /// What its processes may do.
    pub rights: RightsStep,
    /// Whether the network it is in is its own.
    pub own_network: bool,
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
        /// Whether it is what the node's image is for.
        #[serde(default)]
        main: bool,
        /// Whether it has a terminal, which the init plays.
        #[serde(default)]
        terminal: bool,
    },
    /// Kill a program, and what it has started in its group.
    Kill {
        /// Which.
        id: u64,
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
    /// The root stands. The node's syslog socket follows, and the pidfd of the image's first process where that is its own.
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
