//! The supervisor's one place that waits for children. As PID 1 of the lab it also inherits orphans.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::process::exit_code;

/// Tells the end of children to those who asked.
#[derive(Default)]
pub struct Reaper {
    waiting: RefCell<HashMap<i32, oneshot::Sender<i32>>>,
    /// How many children are being born whose PIDs are not known here yet.
    expected: Cell<usize>,
    /// Exit statuses that may be theirs.
    unclaimed: RefCell<HashMap<i32, i32>>,
}

/// While there is one, no exit status is lost.
pub struct Expectation<'a>(&'a Reaper);

impl Drop for Expectation<'_> {
    fn drop(&mut self) {
        let reaper = self.0;
        reaper.expected.set(reaper.expected.get() - 1);
        if reaper.expected.get() == 0 {
            reaper.unclaimed.borrow_mut().clear();
        }
    }
}

impl Reaper {
    /// Starts reaping on the current task set.
    ///
    /// # Errors
    /// SIGCHLD cannot be watched.
    pub fn start() -> Result<Rc<Reaper>, Failure> {
        let reaper = Rc::new(Reaper::default());
        let mut children = signal(SignalKind::child()).attempt(|| "watch for ended processes")?;
        let this = Rc::clone(&reaper);
        tokio::task::spawn_local(async move {
            while children.recv().await.is_some() {
                this.reap();
            }
        });
        Ok(reaper)
    }

    /// Says that another process makes a child of this one, which may end before its PID is known here.
    pub fn expect(&self) -> Expectation<'_> {
        self.expected.set(self.expected.get() + 1);
        Expectation(self)
    }

    /// The exit status (as a shell gives it) of a child, when it comes. To be asked for before anything is
    /// awaited after the child was made, so that it cannot be missed; or while it is expected.
    pub fn end_of(&self, pid: i32) -> oneshot::Receiver<i32> {
        let (sender, receiver) = oneshot::channel();
        match self.unclaimed.borrow_mut().remove(&pid) {
            // Whoever asks has the other end.
            Some(status) => drop(sender.send(status)),
            None => drop(self.waiting.borrow_mut().insert(pid, sender)),
        }
        receiver
    }

    fn reap(&self) {
        loop {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => return,
                Ok(status) => {
                    if let Some(pid) = status.pid() {
                        self.ended(pid.as_raw(), exit_code(status));
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    fn ended(&self, pid: i32, status: i32) {
        if let Some(sender) = self.waiting.borrow_mut().remove(&pid) {
            // Nobody asks any more: fine.
            let _ = sender.send(status);
        } else if self.expected.get() > 0 {
            self.unclaimed.borrow_mut().insert(pid, status);
        }
    }
}
