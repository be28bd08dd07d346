//! The timeline of a lab: what the kernel announces of every node's interfaces, addresses, neighbors and routes, what routers say
//! of their sessions, and marks. It is kept as it came, in bounded room, and understood only when somebody asks.
//!
//! `announcement ──trim──▶ entry ──▶ Store ──piece──▶ Replay ──▶ Row ──▶ words, JSON, Mermaid`
//!
//! Pure: what reads sockets and clocks is elsewhere.

pub mod base;
pub mod decode;
pub mod entry;
pub mod mermaid;
pub mod quiet;
pub mod replay;
pub mod row;
pub mod select;
pub mod session;
pub mod store;
pub mod trim;

mod attributes;
mod routes;
