//! Framed messages with descriptors over UNIX stream sockets (unix(7), SCM_RIGHTS).
//!
//! A frame is its length and the number of its descriptors (two 32-bit numbers), then that many bytes. The
//! descriptors ride on the frame's first bytes.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use super::error::{Error, Result};

const HEADER: usize = 8;
/// More than any answer of ours; a longer frame is a broken peer.
const LONGEST: usize = 64 << 20;
/// Descriptors one recvmsg takes at most; senders attach no more to a frame.
const DESCRIPTORS: usize = 8;

/// One message.
pub struct Frame {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its descriptors.
    pub fds: Vec<OwnedFd>,
}

/// More descriptors of frames that are not complete are a broken peer's as well.
const PENDING: usize = 64;

/// Puts what was received together to frames.
pub struct Assembler {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
    longest: usize,
    most_fds: usize,
}

impl Default for Assembler {
    fn default() -> Self {
        Assembler::of(LONGEST, PENDING)
    }
}

/// What a single read of the socket brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// Bytes.
    Some,
    /// Nothing now (non-blocking socket).
    Nothing,
    /// The other side is gone.
    End,
}

impl Assembler {
    /// One that takes frames of so many bytes, and holds so many descriptors, at most.
    pub fn of(longest: usize, most_fds: usize) -> Assembler {
        Assembler {
            bytes: Vec::new(),
            fds: VecDeque::new(),
            longest,
            most_fds,
        }
    }

    /// Reads the socket once.
    ///
    /// # Errors
    /// The connection is broken, or the peer sends more descriptors than it may.
    pub fn read(&mut self, stream: &impl AsFd) -> Result<Received> {
        let mut buffer = [0u8; 16 * 1024];
        let mut control = nix::cmsg_space!([RawFd; DESCRIPTORS]);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let received = match recvmsg::<()>(stream.as_fd().as_raw_fd(), &mut slices, Some(&mut control), flags)
        {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Received::Nothing),
            Err(Errno::ECONNRESET) => return Ok(Received::End),
            Err(errno) => return Err(Error::new("read a message", errno)),
        };
        let length = received.bytes;
        // Truncated: the kernel dropped descriptors for which our table has no room.
        let messages = received
            .cmsgs()
            .map_err(|_| Error::new("receive a descriptor", Errno::EMFILE))?;
        for message in messages {
            if let ControlMessageOwned::ScmRights(fds) = message {
                self.fds.extend(fds.into_iter().map(own));
            }
        }
        if self.fds.len() > self.most_fds {
            return Err(Error::new("read a message", Errno::EMSGSIZE));
        }
        self.bytes.extend_from_slice(&buffer[..length]);
        Ok(if length == 0 {
            Received::End
        } else {
            Received::Some
        })
    }

    /// The next complete frame, if it is there.
    ///
    /// # Errors
    /// The peer sends nonsense.
    pub fn frame(&mut self) -> Result<Option<Frame>> {
        let (Some(length), Some(fds)) = (self.number(0), self.number(4)) else {
            return Ok(None);
        };
        if length > self.longest || fds > DESCRIPTORS.min(self.most_fds) {
            return Err(Error::new("read a message", Errno::EMSGSIZE));
        }
        if self.bytes.len() < HEADER + length || self.fds.len() < fds {
            return Ok(None);
        }
        let bytes = self.bytes[HEADER..HEADER + length].to_vec();
        self.bytes.drain(..HEADER + length);
        Ok(Some(Frame {
            bytes,
            fds: self.fds.drain(..fds).collect(),
        }))
    }

    fn number(&self, at: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..at + 4)?;
        usize::try_from(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).ok()
    }
}

/// The kernel put this descriptor into our table just now; nobody else knows its number.
#[allow(unsafe_code)]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: a fresh descriptor from SCM_RIGHTS, owned by nobody yet.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The bytes of a frame, header included.
pub fn encode(bytes: &[u8], descriptors: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER + bytes.len());
    // Lengths are checked by the receiver; ours stay far below 4 GiB.
    frame.extend((bytes.len() as u32).to_ne_bytes());
    frame.extend((descriptors as u32).to_ne_bytes());
    frame.extend_from_slice(bytes);
    frame
}

/// Sends as much of an encoded frame as the socket takes; returns how many bytes went. The descriptors go
/// with the first byte only.
///
/// # Errors
/// The other side is gone, or (non-blocking) EAGAIN.
pub fn send_some(stream: &impl AsFd, bytes: &[u8], fds: &[impl AsFd]) -> std::result::Result<usize, Errno> {
    let raw: Vec<RawFd> = fds.iter().map(|fd| fd.as_fd().as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &rights[..0] } else { &rights[..] };
    sendmsg::<()>(
        stream.as_fd().as_raw_fd(),
        &[IoSlice::new(bytes)],
        control,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
}

/// Sends a frame over a blocking socket.
///
/// # Errors
/// The other side is gone.
pub fn send(stream: &UnixStream, bytes: &[u8], fds: &[impl AsFd]) -> Result<()> {
    let frame = encode(bytes, fds.len());
    let mut sent = 0;
    while sent < frame.len() {
        let rights = if sent == 0 { fds } else { &fds[..0] };
        match send_some(stream, &frame[sent..], rights) {
            Ok(count) => sent += count,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::new("send a message", errno)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_carry_bytes_and_descriptors() {
        let (left, right) = UnixStream::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let long = vec![7u8; 100_000];
        let sender = std::thread::spawn(move || {
            send(&left, b"one", &[&file]).unwrap();
            send(&left, &long, &[] as &[&std::fs::File]).unwrap();
            send(&left, b"three", &[&file, &file]).unwrap();
        });
        let mut assembler = Assembler::default();
        let mut frames = Vec::new();
        while assembler.read(&right).unwrap() != Received::End {
            while let Some(frame) = assembler.frame().unwrap() {
                frames.push((frame.bytes.len(), frame.fds.len()));
            }
        }
        sender.join().unwrap();
        assert_eq!(frames, [(3, 1), (100_000, 0), (5, 2)]);
    }

    #[test]
    fn a_peer_that_sends_nonsense_is_an_error() {
        let mut assembler = Assembler {
            bytes: vec![0xff; 64],
            ..Assembler::default()
        };
        assert!(assembler.frame().is_err());
    }

    #[test]
    fn a_peer_that_sends_too_much_is_an_error() {
        let (left, right) = UnixStream::pair().unwrap();
        send(&left, &[0; 101], &[] as &[OwnedFd]).unwrap();
        let mut assembler = Assembler::of(100, 0);
        assembler.read(&right).unwrap();
        assert!(assembler.frame().is_err());

        let file = std::fs::File::open("/dev/null").unwrap();
        send(&left, b"x", &[&file]).unwrap();
        assert!(Assembler::of(100, 0).read(&right).is_err());
    }
}
