//! Flows of numbered packets: the format of a packet, the pace of a sender, and the account of what became of the packets. No
//! sockets, clocks or threads: all times are given, in nanoseconds of one clock (CLOCK_MONOTONIC).

mod account;
mod echo;
mod figures;
mod histogram;
mod outage;
mod pace;
mod packet;
mod series;
#[cfg(test)]
mod tests;
mod window;

pub use account::{Account, Settings};
pub use echo::{ECHO_HEADER, read_reply, write_request};
pub use figures::{Figures, Latency, OutageState, Trouble};
pub use outage::{Gap, Outage};
pub use pace::{Due, MOST_PPS, Pace};
pub use packet::{Header, LEAST, MOST, Messages};
pub use series::{Point, Series};

/// A millisecond, in nanoseconds.
pub const MS: u64 = 1_000_000;
/// A second, in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;
