//! What the supervisor and the process with the queues say to each other: JSON in frames of `kernel::message`.

use serde::{Deserialize, Serialize};

use super::packets::Counts;
use crate::lab::impair::Impairment;

/// No order and no answer is longer, in bytes.
pub const LONGEST: usize = 1 << 20;

/// How many queues one order begins at most: a message carries no more descriptors.
pub const MOST_ADDED: usize = 4;

/// What the supervisor wants. Each is answered once, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// For each, take packets from one descriptor, and send them on by another. Both follow, in this order; no more than [`MOST_ADDED`].
    Add {
        /// Numbers for them, and what is done to their packets.
        all: Vec<(u64, Impairment)>,
    },
    /// Do something else to them.
    Change {
        /// Which.
        id: u64,
        /// What is done.
        asked: Impairment,
    },
    /// Send on at once what is on its way, and take no more.
    Remove {
        /// Which.
        id: u64,
    },
    /// Say what has become of packets.
    Count,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is done.
    Done,
    /// It could not be done.
    Failed(String),
    /// What has become of packets, by the queues' numbers.
    Counts(Vec<(u64, Counts)>),
}
