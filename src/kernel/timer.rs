//! A timer that is a descriptor (timerfd_create(2)), and the clock that it goes by.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::error::{Attempt, Result};

const SECOND: u64 = 1_000_000_000;

/// A timer. It is readable once its time has come.
pub struct Timer(OwnedFd);

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Timer {
    /// One that does not run yet.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new() -> Result<Timer> {
        // SAFETY: takes numbers alone.
        let made =
            unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) };
        let made = Errno::result(made).attempt(|| "make a timer")?;
        // SAFETY: the kernel made this descriptor for us just now.
        Ok(Timer(unsafe { OwnedFd::from_raw_fd(made) }))
    }

    /// Sets it to a time of CLOCK_MONOTONIC in nanoseconds, or stops it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set(&self, at: Option<u64>) -> Result<()> {
        let at = at.map_or(0, |at| at.max(1));
        let zero = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let value = libc::itimerspec {
            it_interval: zero,
            it_value: libc::timespec {
                tv_sec: (at / SECOND).cast_signed(),
                tv_nsec: (at % SECOND).cast_signed(),
            },
        };
        // SAFETY: the kernel reads the structure, which outlives the call.
        let done = unsafe {
            libc::timerfd_settime(
                self.0.as_raw_fd(),
                libc::TFD_TIMER_ABSTIME,
                &raw const value,
                std::ptr::null_mut(),
            )
        };
        Errno::result(done).map(drop).attempt(|| "set a timer")
    }
}

/// CLOCK_MONOTONIC in nanoseconds.
pub fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes the structure, which outlives the call; it cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.cast_unsigned() * SECOND + time.tv_nsec.cast_unsigned()
}

/// Has the calling thread woken exactly, and not within the usual 50 microseconds (PR_SET_TIMERSLACK).
pub fn be_exact() {
    // SAFETY: takes numbers alone.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}
