//! Scenarios: what happens to a living lab, step by step, and what was seen meanwhile. And all failures of a lab, one after the other.

pub mod act;
pub mod html;
pub mod instruments;
pub mod judge;
pub mod observed;
pub mod play;
pub mod report;
pub mod routes;
pub mod snapshot;
pub mod survive;
pub mod topology;
