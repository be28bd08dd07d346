//! All failures of a lab, one after the other: each must heal for what is still physically connected.

pub mod graph;
pub mod report;
pub mod run;
pub mod sets;
