//! The core of nslab's own BGP speaker: a function of state, event and time. No sockets, clocks or threads.

pub mod config;
pub mod evpn;
pub mod expression;
pub mod policy;
pub mod rng;
pub mod session;
pub mod show;
pub mod speaker;
pub mod table;
pub mod terminal;
pub mod wire;

#[cfg(test)]
mod recorded;
