//! The one stream of events of a lab: progress, `nslab events`, JSON output and tests all read it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::lab::impair::Impairments;
use crate::lab::model::Stage;

/// Something that happened in a lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Seconds since 1970, with fractions.
    pub time: f64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// The supervisor began.
    Starting {
        /// The lab.
        lab: String,
        /// How many nodes it will have.
        nodes: usize,
        /// How many links.
        links: usize,
    },
    /// Part of the network stands.
    Network {
        /// `namespaces`, `links` or `addresses`.
        part: String,
        /// How many are done.
        done: usize,
        /// Of how many.
        total: usize,
    },
    /// Nodes reached a stage. Nodes that do so together are told together.
    Stage {
        /// Which nodes.
        nodes: Vec<String>,
        /// Which stage.
        stage: Stage,
    },
    /// A node waits for others.
    Waiting {
        /// Which node.
        node: String,
        /// For what, in words.
        what: String,
    },
    /// A command of `exec` ended.
    Exec {
        /// The node.
        node: String,
        /// The command as written.
        command: String,
        /// Exit status as a shell would give it.
        status: i32,
        /// The end of what it printed.
        output: String,
        /// Whether it was allowed to fail.
        may_fail: bool,
        /// What would give it the right it lacked, if that is why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// A long-running process was started.
    ProcessStarted {
        /// The node.
        node: String,
        /// The process.
        process: String,
    },
    /// A long-running process ended.
    ProcessEnded {
        /// The node.
        node: String,
        /// The process.
        process: String,
        /// Exit status as a shell would give it.
        status: i32,
        /// Whether it is started again.
        restarting: bool,
        /// Why it was killed, where the kernel says.
        reason: Option<String>,
    },
    /// The kernel killed processes of a node that reached its memory limit.
    OutOfMemory {
        /// The node.
        node: String,
        /// The limit in bytes.
        limit: u64,
        /// How many were killed.
        killed: u64,
    },
    /// The health check of an image's program has failed so often that it counts as unwell, or succeeds again.
    Health {
        /// The node.
        node: String,
        /// The process.
        process: String,
        /// Whether it is well.
        well: bool,
        /// What the check said, where it is not.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// A node's init ended, and all its processes with it.
    NodeDied {
        /// The node.
        node: String,
        /// Exit status as a shell would give it.
        status: i32,
    },
    /// Processes of a node were sent a signal, because somebody asked for that.
    Signaled {
        /// The node.
        node: String,
        /// The processes' name, `init`, or `all`.
        process: String,
        /// The signal's number.
        signal: i32,
    },
    /// A node is started again; its links have stayed.
    NodeRestarting {
        /// The node.
        node: String,
    },
    /// A node's processes were ended because somebody asked for that.
    NodeStopped {
        /// The node.
        node: String,
        /// Whether its links are down since; they stay where others live in its network.
        #[serde(default)]
        links_down: bool,
    },
    /// An interface of a node has come, changed or gone since the lab was ready.
    Interface {
        /// The node.
        node: String,
        /// The interface.
        interface: String,
        /// `up`, `down`, `no-carrier` or `deleted`.
        state: String,
        /// What is at its other end, where the lab file says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer: Option<String>,
    },
    /// Somebody has asked something of a link, and it is so.
    Link {
        /// Its first end.
        a: String,
        /// Its second, where it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        b: Option<String>,
        /// `down`, `up`, `silence`, `set`, `clear` or `reset`.
        action: String,
        /// Whether it has no carrier now.
        down: bool,
        /// Whether it loses everything now.
        silent: bool,
        /// What it does to packets now.
        #[serde(default, skip_serializing_if = "Impairments::is_empty")]
        impair: Box<Impairments>,
    },
    /// Something went wrong in a lab that goes on living.
    Trouble {
        /// The node.
        node: String,
        /// What.
        message: String,
    },
    /// Something the user should know, though nothing went wrong.
    Notice {
        /// What.
        message: String,
    },
    /// Everything asked for is true.
    Ready {
        /// Seconds since the supervisor began.
        seconds: f64,
    },
    /// The lab did not become ready and is being taken down.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// The lab is being taken down.
    Stopping,
}

impl Event {
    /// An event that happens now.
    pub fn now(what: What) -> Event {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |time| time.as_secs_f64());
        Event { time, what }
    }
}
