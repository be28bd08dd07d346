//! The limits of a node: what the lab file says, or else defaults that keep a node from taking the host down.

use crate::model::{Limit, Node};
use crate::plan::Limits;

/// Processes and threads. A router on FRR has two dozen; a host has 32,768 PIDs in all, unless told otherwise.
const PROCESSES: u64 = 1024;
/// The same where containers run.
const MACHINES_PROCESSES: u64 = 16_384;
/// Bytes of the file system, which is in the host's memory.
const DISK: u64 = 1 << 30;
/// A node's disk is no larger than this part of the host's memory; with kubelets, which keep images there, than the other.
const SHARE: u64 = 4;
const MACHINES_SHARE: u64 = 2;
/// Bytes of the log.
const LOG: u64 = 10 << 20;
/// Open files: more than 1024 break programs that use select(2) or close every possible descriptor when they start.
const OPEN_FILES: u64 = 1024;
/// Open files a program may ask for.
const MOST_OPEN_FILES: u64 = 65_536;

/// Decides. `memory` is the host's in bytes, 0 where it is not known.
pub(super) fn of(node: &Node, is_machine: bool, memory: u64) -> Limits {
    let known = (memory > 0).then_some(memory);
    let disk = match (known, is_machine) {
        (Some(memory), true) => whole(memory / MACHINES_SHARE),
        (None, true) => DISK * 8,
        (Some(memory), false) => DISK.min(whole(memory / SHARE)),
        (None, false) => DISK,
    };
    let processes = if is_machine { MACHINES_PROCESSES } else { PROCESSES };
    let chosen = &node.limits;
    Limits {
        processes: decided(chosen.processes, processes),
        must_limit_processes: chosen.processes.is_some(),
        disk: decided(chosen.disk, disk),
        log: decided(chosen.log, LOG),
        open_files: decided(chosen.open_files, OPEN_FILES),
        most_open_files: match chosen.open_files {
            Some(Limit::At(files)) => Some(files),
            None if !is_machine => Some(MOST_OPEN_FILES),
            _ => None,
        },
    }
}

/// In whole MiB.
fn whole(bytes: u64) -> u64 {
    bytes >> 20 << 20
}

fn decided(chosen: Option<Limit>, default: u64) -> Option<u64> {
    match chosen {
        None => Some(default),
        Some(Limit::Unlimited) => None,
        Some(Limit::At(limit)) => Some(limit),
    }
}
