//! Ethernet VPN (RFC 7432, RFC 8365, RFC 9136): routes of EVPN, the networks of this router, and what follows for the kernel.
//!
//! Routes stand in a table of their own, as they are no prefixes. A VNI has no table: what it imports is found by its route
//! targets when it is asked for.

pub mod bounds;
mod host;
mod table;
mod targets;

pub use bounds::Bound;
pub use host::{LocalMac, LocalVni, Overlay};
pub use table::{EvpnDestination, EvpnPath, EvpnTable, better};
pub use targets::{VniFacts, automatic_target};

#[cfg(test)]
mod tests;
