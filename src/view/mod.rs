//! What a person sees: mistakes, progress, tables, the topology.

pub mod cilium;
pub mod diagnostics;
pub mod failure;
pub mod graph;
pub mod plan;
pub mod progress;
pub mod table;
pub mod units;

/// Writes to standard error. A reader that has gone, or a full disk, must not end a lab.
pub fn tell(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(text.as_bytes());
}
