//! What a node has from the file of its kind, for the time after it was made.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Command, Exec, Probe};

/// What a node has from the file of its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfKind {
    /// The kind's name.
    pub kind: String,
    /// Its model, where the kind has several.
    pub model: Option<String>,
    /// What the host must have.
    pub needs: HostNeeds,
    /// What shows that it is ready, where no health check of the lab's does.
    pub ready: Option<Probe>,
    /// How long it may take to be ready; as long as any node where nothing is said.
    pub ready_within: Option<Duration>,
    /// What is run when it is ready, before others are told so.
    pub after_ready: Vec<Exec>,
    /// What keeps the configuration that runs.
    pub save: Option<Command>,
    /// The names by which users know its interfaces, where the kernel has others.
    pub interfaces: BTreeMap<String, String>,
    /// Interfaces of links whose names are of no form that the kind has.
    #[serde(default)]
    pub odd_interfaces: Vec<String>,
}

/// What a host must have to run a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostNeeds {
    /// One of these architectures, as `uname -m` says them; any where none is named.
    pub architectures: Vec<String>,
    /// What the CPU must be able to do, as /proc/cpuinfo calls it.
    pub cpu_flags: Vec<String>,
    /// So many CPUs at least.
    pub cpus: Option<u32>,
    /// So much memory at least, in bytes.
    pub memory: Option<u64>,
}
