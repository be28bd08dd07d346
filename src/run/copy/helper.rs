//! The helpers of a copy, watched until they have ended. One in a node can be stopped by whoever is root there, and would never
//! end.

use std::io::{PipeReader, Read as _};
use std::os::fd::AsFd as _;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{Place, remarks};
use crate::kernel::process::{self, Child};

/// Milliseconds between two looks at whether a helper was stopped.
const LOOK: u16 = 100;
/// How often one is continued.
const PATIENCE: u32 = 10;

/// One of the two.
pub(super) struct Helper {
    child: Child,
    /// The node it is in.
    node: Option<String>,
    stops: u32,
    status: Option<i32>,
}

impl Helper {
    /// The process that works at this place.
    pub fn new(child: Child, place: &Place) -> Helper {
        let node = match place {
            Place::Host(_) => None,
            Place::Node(door, _) => Some(door.node.clone()),
        };
        Helper {
            child,
            node,
            stops: 0,
            status: None,
        }
    }

    /// Whether it has ended, and well.
    pub fn is_content(&self) -> bool {
        self.status == Some(0)
    }

    /// The node whose processes did not let it work.
    pub fn hindered_by(&self) -> Option<&str> {
        self.node.as_deref().filter(|_| self.stops > PATIENCE)
    }

    /// Notes its end; continues it where it was stopped, and ends it where that did not help.
    fn look(&mut self) {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED;
        while self.status.is_none() {
            match waitpid(Pid::from_raw(self.child.pid), Some(flags)) {
                Ok(WaitStatus::StillAlive) => return,
                Ok(WaitStatus::Stopped(..)) => self.resume(),
                Ok(status @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..))) => {
                    self.status = Some(process::exit_code(status));
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => self.status = Some(1),
            }
        }
    }

    fn resume(&mut self) {
        // On the host it is the user who stops one.
        self.stops += u32::from(self.node.is_some());
        let signal = match self.stops > PATIENCE {
            true => Signal::SIGKILL,
            false => Signal::SIGCONT,
        };
        // It may just have ended.
        let _ = process::signal(&self.child.pidfd, signal as i32);
    }
}

/// What the receiver tells, to its end or until it is too much.
pub(super) fn listen(helpers: &mut [Helper; 2], mut report: PipeReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut block = [0; 4096];
    while bytes.len() < remarks::LONGEST {
        if is_ready(&[PollFd::new(report.as_fd(), PollFlags::POLLIN)]) {
            match report.read(&mut block) {
                Ok(size @ 1..) => bytes.extend_from_slice(&block[..size]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // What was read before an error is told.
                _ => break,
            }
        }
        helpers.iter_mut().for_each(Helper::look);
    }
    bytes.truncate(remarks::LONGEST);
    bytes
}

/// Until both have ended.
pub(super) fn wait(helpers: &mut [Helper; 2]) {
    loop {
        helpers.iter_mut().for_each(Helper::look);
        let ends: Vec<PollFd<'_>> = helpers
            .iter()
            .filter(|helper| helper.status.is_none())
            .map(|helper| PollFd::new(helper.child.pidfd.as_fd(), PollFlags::POLLIN))
            .collect();
        if ends.is_empty() {
            return;
        }
        is_ready(&ends);
    }
}

/// Waits until something is there to be read, or it is time for a look.
fn is_ready(fds: &[PollFd<'_>]) -> bool {
    let mut fds = fds.to_vec();
    poll(&mut fds, PollTimeout::from(LOOK)).is_ok_and(|count| count > 0)
}
