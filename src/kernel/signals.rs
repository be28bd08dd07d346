//! Signals as something to wait for (signal-hook's self-pipe).

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::error::{Attempt, Result};

/// A socket that gets a byte with each SIGINT, SIGTERM or SIGHUP from now on; they no longer end the process.
///
/// # Errors
/// No descriptors are left.
pub fn watch() -> Result<UnixStream> {
    let (reader, writer) = UnixStream::pair().attempt(|| "make a socket pair")?;
    reader.set_nonblocking(true).attempt(|| "set up a socket")?;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let writer = writer.try_clone().attempt(|| "watch for signals")?;
        signal_hook::low_level::pipe::register(signal, writer).attempt(|| "watch for signals")?;
    }
    Ok(reader)
}

/// From now on SIGINT ends what this process runs, and not the process.
///
/// # Errors
/// The kernel refuses.
pub fn outlive_interrupts() -> Result<()> {
    // Caught and not ignored: what is ignored stays so in the programs that are run.
    let seen = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(libc::SIGINT, seen).attempt(|| "catch SIGINT")?;
    Ok(())
}
