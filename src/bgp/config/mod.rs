//! FRR's configuration language: reading it, what it says, and writing it as FRR 8.4 does.
//!
//! [`Config::parse`] reads a whole text and tells every error at once; [`apply`] changes a living
//! configuration by one line, as `configure terminal` does; [`Config::print`] gives the running configuration.
//! Pure: nothing is read from or written to the system.

mod argument;
mod by_interface;
mod checks;
mod commands;
pub mod community;
mod diagnostic;
mod edit;
mod effective;
mod evpn;
mod foreign;
mod general;
pub mod grammar;
mod hops;
mod lists;
mod mark;
mod members;
mod model;
mod neighbor_discovery;
mod neighbor_families;
mod neighbors;
mod parse;
mod pattern;
mod pipe;
mod policy;
mod print;
mod print_neighbors;
mod print_policy;
mod print_router;
mod route_maps;
mod router;
mod routers;
mod settings;
mod vrf;

#[cfg(test)]
mod tests;

pub use argument::Arguments;
pub use diagnostic::{Diagnostic, DiagnosticKind, Refusal};
pub use edit::{Mode, Place};
pub use effective::{Effective, EffectiveFamily};
pub(crate) use evpn::target_text;
pub use evpn::{Advertise, Evpn, VniSettings};
pub use foreign::executes;
pub use mark::mark;
pub use model::*;
pub use neighbor_discovery::{AdvertisedPrefix, NeighborDiscovery, RouterPreference};
pub use parse::{Applied, Own, Reader, apply, help, patterns};
pub use pattern::Kind;
pub use pipe::{Pipe, cut, pipe};
pub use policy::*;
pub use router::*;
pub use settings::*;
pub use vrf::{L3Vni, Vrf};
