//! The user's wish to end: all that wait see it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::failure::Failure;
use crate::kernel::signals;

/// Becomes readable with the first SIGINT, SIGTERM or SIGHUP, and stays so.
pub struct Stop {
    reader: OwnedFd,
}

impl Stop {
    /// Catches the signals from now on.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn on_signals() -> Result<Stop, Failure> {
        let reader = signals::watch()?;
        Ok(Stop {
            reader: reader.into(),
        })
    }

    /// Whether the wish was uttered.
    pub fn wanted(&self) -> bool {
        self.wait(&[], Duration::ZERO)
    }

    /// Waits until one of the descriptors is readable, the wish comes, or time is up. Returns whether the wish came.
    pub fn wait(&self, others: &[BorrowedFd<'_>], patience: Duration) -> bool {
        let mut fds: Vec<PollFd<'_>> = std::iter::once(self.reader.as_fd())
            .chain(others.iter().copied())
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        // Rounded up: a wait that ends a moment early would be repeated for nothing.
        let patience = patience + Duration::from_micros(999);
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        // Interrupted is as good as woken: the caller looks again.
        let _ = poll(&mut fds, patience);
        fds[0].any().unwrap_or(false)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
