//! What links do to packets, carried out: the two ways, the programs, and the queue of packets that are on their way for longer.

pub mod packets;
pub mod process;
pub mod program;
pub mod protocol;
pub mod way;
