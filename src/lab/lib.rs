//! What a lab is: the file as written, the lab it means, and the plan that makes it. Pure: no I/O here.

pub mod check;
pub mod daemons;
pub mod definition;
pub mod diagnostic;
pub mod engines;
pub mod file;
pub mod flow;
pub mod impair;
pub mod jq;
pub mod links;
pub mod model;
pub mod names;
pub mod own_directories;
pub mod plan;
pub mod planner;
pub mod pod_cidr;
pub mod resolve;
pub mod rights;
pub mod scenario;
pub mod shell;
pub mod sources;

pub use diagnostic::{Diagnostic, Label};
pub use file::schema;
pub use model::Lab;
pub use plan::Plan;
pub use planner::DOMAIN;
