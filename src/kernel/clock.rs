//! The clocks (clock_gettime(2)), a timer that ends at a time (timerfd_create(2)), and being in time (sched(7)).
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::errno::Errno;

use super::error::{Attempt, Result};

const SECOND: u64 = 1_000_000_000;

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn monotonic() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since 1970 (CLOCK_REALTIME).
pub fn realtime() -> u64 {
    read(libc::CLOCK_REALTIME)
}

/// By how much CLOCK_REALTIME is ahead of CLOCK_MONOTONIC now.
pub fn offset() -> u64 {
    realtime().saturating_sub(monotonic())
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes a timespec, which is there; both clocks exist on every Linux.
    unsafe {
        libc::clock_gettime(clock, &raw mut now);
    }
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let rest = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(SECOND).saturating_add(rest)
}

/// A timer on CLOCK_MONOTONIC; readable when its time has come.
pub struct Timer {
    fd: OwnedFd,
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Timer {
    /// One that is not set.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> Result<Timer> {
        // SAFETY: plain numbers.
        let fd =
            unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) };
        let fd = Errno::result(fd).attempt(|| "make a timer")?;
        Ok(Timer {
            // SAFETY: the kernel made this descriptor for us just now.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
        })
    }

    /// Sets it to a time; one that is over is now, and none is never. What it was set to before is forgotten.
    pub fn set(&self, at: Option<u64>) {
        let none = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // Zero would be never.
        let at = at.map(|at| at.max(1));
        let value = at.map_or(none, |at| libc::timespec {
            tv_sec: libc::time_t::try_from(at / SECOND).unwrap_or(libc::time_t::MAX),
            tv_nsec: (at % SECOND) as libc::c_long,
        });
        let setting = libc::itimerspec {
            it_interval: none,
            it_value: value,
        };
        // SAFETY: the kernel reads the setting, which is there. It is refused for times that are none alone.
        unsafe {
            libc::timerfd_settime(
                self.fd.as_raw_fd(),
                libc::TFD_TIMER_ABSTIME,
                &raw const setting,
                std::ptr::null_mut(),
            );
        }
    }
}

/// Has the calling thread run before all others that are not as urgent, where that is allowed: else it goes first among the usual
/// ones as far as it may. What it starts does not inherit it.
pub fn be_urgent() {
    let parameter = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the kernel reads the parameter, which is there. Where both are refused, nothing but the order of things changes.
    unsafe {
        if libc::sched_setscheduler(0, policy, &raw const parameter) != 0 {
            libc::setpriority(libc::PRIO_PROCESS, 0, -20);
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn is_over(timer: &Timer, patience: u16) -> bool {
        let mut fds = [PollFd::new(timer.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(patience)).unwrap() == 1
    }

    #[test]
    fn a_timer_ends_at_its_time() {
        let timer = Timer::new().unwrap();
        assert!(!is_over(&timer, 0));
        let at = monotonic() + 20_000_000;
        timer.set(Some(at));
        assert!(is_over(&timer, 10_000));
        assert!(monotonic() >= at);
        timer.set(None);
        assert!(!is_over(&timer, 0));
        timer.set(Some(0));
        assert!(is_over(&timer, 10_000));
    }

    #[test]
    fn the_clocks_go_on() {
        let before = monotonic();
        assert!(monotonic() >= before);
        assert!(offset() > 0);
    }
}
