//! What a node has on some of its directories in the place of what the host has there.

use serde::{Deserialize, Serialize};

/// A directory of a node that is not of its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path in the node.
    pub target: String,
    /// What is there.
    pub what: Mounted,
}

/// What is on such a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mounted {
    /// A file system in memory, empty whenever the node starts.
    Memory(Memory),
    /// A directory of the lab's, which outlives a restart of the node.
    Volume(Volume),
}

/// A file system in memory (tmpfs(5)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes it may hold; as many as the node's disk where none are given.
    pub bytes: Option<u64>,
    /// Permission bits of its root directory.
    pub mode: u32,
    /// The owner of that, by the node's numbers.
    pub user: u32,
    /// Its group.
    pub group: u32,
    /// Whether nothing can be written.
    pub read_only: bool,
    /// Whether programs in it can be run.
    pub exec: bool,
    /// Whether they may run with the rights of their owners.
    pub suid: bool,
    /// Whether device files in it are devices.
    pub dev: bool,
}

impl Default for Memory {
    /// As container runtimes have it.
    fn default() -> Memory {
        Memory {
            bytes: None,
            mode: 0o1777,
            user: 0,
            group: 0,
            read_only: false,
            exec: false,
            suid: false,
            dev: false,
        }
    }
}

/// A directory of the lab's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name, by which other nodes have it, too; without one it is the node's own.
    pub name: Option<String>,
    /// Whether the node may not write.
    pub read_only: bool,
    /// Whether it begins with what the node's root has in its place: one that an image asks for.
    #[serde(default)]
    pub seeded: bool,
}
