//! Frames of `kernel::message` over tokio's sockets.

use std::io::ErrorKind;
use std::os::fd::AsFd;

use nix::errno::Errno;
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::message::{self, Assembler, Received};

/// Takes a connected socket into the event loop.
///
/// # Errors
/// No descriptors or memory left.
pub fn adopt(stream: std::os::unix::net::UnixStream) -> Result<UnixStream, Failure> {
    stream.set_nonblocking(true).attempt(|| "set up a socket")?;
    Ok(UnixStream::from_std(stream).attempt(|| "watch a socket")?)
}

/// Waits for bytes, and reads once. Returns false when the other side is gone.
///
/// # Errors
/// The connection is broken.
pub async fn receive(stream: &UnixStream, assembler: &mut Assembler) -> Result<bool, Failure> {
    loop {
        stream.readable().await.attempt(|| "read a message")?;
        let read = stream.try_io(Interest::READABLE, || match assembler.read(stream) {
            Ok(Received::Nothing) => Err(ErrorKind::WouldBlock.into()),
            other => Ok(other),
        });
        match read {
            Ok(received) => return Ok(received? == Received::Some),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).attempt(|| "read a message").map_err(Failure::from),
        }
    }
}

/// Sends a frame.
///
/// # Errors
/// The other side is gone.
pub async fn send(stream: &UnixStream, bytes: &[u8], fds: &[impl AsFd]) -> Result<(), Failure> {
    let frame = message::encode(bytes, fds.len());
    let mut sent = 0;
    while sent < frame.len() {
        let rights = if sent == 0 { fds } else { &fds[..0] };
        stream.writable().await.attempt(|| "send a message")?;
        let wrote = stream.try_io(Interest::WRITABLE, || {
            message::send_some(stream, &frame[sent..], rights).map_err(std::io::Error::from)
        });
        match wrote {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.raw_os_error() == Some(Errno::EINTR as i32) => {}
            Err(error) => return Err(error).attempt(|| "send a message").map_err(Failure::from),
        }
    }
    Ok(())
}
