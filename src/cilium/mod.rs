//! Cilium's BGP control plane: the objects that say who speaks BGP with whom and what is announced, and what follows
//! from them for a node. Pure.
//!
//! [`manifest`] reads objects as kubectl takes them; [`Store`] keeps them as the API server would; [`desired`] is what
//! Cilium's operator and agents make of them: the virtual routers of a node. [`configuration`] turns one of those into
//! what the built-in speaker obeys.

pub mod answer;
pub mod configuration;
mod desired;
pub mod endpoints;
mod group;
mod instance;
pub mod manifest;
pub mod names;
mod node_ports;
mod object;
mod pools;
mod reading;
mod resources;
pub mod schema;
mod selector;
mod services;
mod single;
pub mod state;
mod status;
mod store;
mod yaml_text;

#[cfg(test)]
mod tests;

pub use desired::{Desired, Facts, desired};
pub use instance::{AddressFamily, Announced, Instance, Peer, PeerAddress, Source};
pub use object::{Kind, Object, Reference};
pub use resources::Protocol;
pub use status::statuses;
pub use store::{Applied, Outcome, Store};
pub use yaml_text::yaml;
