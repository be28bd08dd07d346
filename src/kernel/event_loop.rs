//! The event loop that asynchronous work runs on.

use std::io;
use std::os::unix::net::UnixDatagram;

use tokio::runtime::{Builder, Runtime};

/// More descriptors than a loop opens while it is made: epoll and its copies, what wakes it, and sockets that tell of signals.
const OPENED: usize = 8;

/// A loop on the thread that calls.
///
/// # Errors
/// There are too few descriptors for it. tokio takes this for impossible in one place, and panics there; therefore they
/// are counted before it begins.
pub fn start() -> io::Result<Runtime> {
    let spare: io::Result<Vec<UnixDatagram>> = (0..OPENED).map(|_| UnixDatagram::unbound()).collect();
    drop(spare?);
    Builder::new_current_thread().enable_all().build()
}
