//! The commands' side of the control socket.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::directory::LabDirectory;
use super::events::Event;
use super::protocol::{Reply, Request};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::message::{self, Assembler, Frame, Received};

/// A file in an open directory, by a path that is always short.
pub fn through(directory: &File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))
}

/// A connection to a lab's supervisor.
pub struct Client {
    stream: UnixStream,
    assembler: Assembler,
}

impl Client {
    /// Connects to a living lab.
    ///
    /// # Errors
    /// The lab has just gone, or this user may not.
    pub fn connect(lab: &LabDirectory) -> Result<Client, Failure> {
        let what = || format!("reach lab {}", lab.lab);
        let directory = File::open(&lab.path).attempt(what)?;
        let stream = UnixStream::connect(through(&directory, "control.sock")).attempt(what)?;
        Ok(Client {
            stream,
            assembler: Assembler::default(),
        })
    }

    /// Asks, and returns the first answer with its descriptors.
    ///
    /// # Errors
    /// What the supervisor says, or that it has gone.
    pub fn ask(&mut self, request: &Request) -> Result<(Reply, Vec<OwnedFd>), Failure> {
        self.tell(request)?;
        match self.next_reply()? {
            Some((Reply::Failed(failure), _)) => Err(failure),
            Some(answer) => Ok(answer),
            None => Err(Failure::not_ready("the lab has just gone")),
        }
    }

    /// The next answer; `None` when the supervisor has gone.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn next_reply(&mut self) -> Result<Option<(Reply, Vec<OwnedFd>)>, Failure> {
        loop {
            if let Some(frame) = self.assembler.frame()? {
                return decode(frame).map(Some);
            }
            if self.assembler.read(&self.stream)? == Received::End {
                return Ok(None);
            }
        }
    }

    /// Throws away what has come, for those who only want to be woken. Returns whether the lab is still there.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn drain(&mut self) -> Result<bool, Failure> {
        self.stream.set_nonblocking(true).attempt(|| "set up a socket")?;
        loop {
            match self.assembler.read(&self.stream)? {
                Received::Some => while self.assembler.frame()?.is_some() {},
                Received::Nothing => return Ok(true),
                Received::End => return Ok(false),
            }
        }
    }

    /// Asks without waiting for the answer.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn tell(&mut self, request: &Request) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(request).map_err(|error| Failure::host(error.to_string()))?;
        Ok(message::send(&self.stream, &bytes, &[] as &[OwnedFd])?)
    }

    /// The next event; `None` when there are no more.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn next_event(&mut self) -> Result<Option<Event>, Failure> {
        Ok(match self.next_reply()? {
            Some((Reply::Event(event), _)) => Some(event),
            _ => None,
        })
    }
}

/// Readable, among other things, when the lab is over.
impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn decode(frame: Frame) -> Result<(Reply, Vec<OwnedFd>), Failure> {
    let reply = serde_json::from_slice(&frame.bytes)
        .map_err(|error| Failure::host(format!("the supervisor speaks another version of nslab: {error}")))?;
    Ok((reply, frame.fds))
}
