//! The supervisor's one place that waits for children. As PID 1 of the lab it also inherits orphans.

use std::cell::RefCell;
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

    /// The exit status (as a shell gives it) of a child, when it comes. To be asked for before anything is
    /// awaited after the child was made, so that it cannot be missed.
    pub fn end_of(&self, pid: i32) -> oneshot::Receiver<i32> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().insert(pid, sender);
        receiver
    }

    fn reap(&self) {
        loop {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => return,
                Ok(status) => {
                    let sender = status
                        .pid()
                        .and_then(|pid| self.waiting.borrow_mut().remove(&pid.as_raw()));
                    if let Some(sender) = sender {
                        // Nobody asks any more: fine.
                        let _ = sender.send(exit_code(status));
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }
}
