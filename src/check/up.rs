//! A lab that a command brings up for itself, in a run directory of its own.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::stop::Stop;
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::{output, process};
use crate::run::directory::{LabDirectory, TestDirectory};
use crate::run::events::{Event, What};

/// How long a lab may take to be taken down.
const DOWN: Duration = Duration::from_secs(30);

/// What came of bringing a lab up.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "up", rename_all = "lowercase")]
pub enum Life {
    /// It was ready.
    Ready,
    /// It was not.
    Failed {
        /// Why.
        reason: String,
        /// What was seen.
        detail: String,
        /// The exit code of `nslab up`.
        code: i32,
    },
    /// It was not tried.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// `nslab up` as a child. In the foreground its lab dies with it, and it dies with the calling thread.
pub struct Up {
    child: Child,
    events: Option<ChildStdout>,
    detached: bool,
    lab: LabDirectory,
    /// Whether nothing more is to be done when this goes: the lab is down, or is left alive.
    is_settled: bool,
    /// What must stay until the lab is down.
    place: Option<TestDirectory>,
}

/// Whatever ends its caller's work, the lab does not stay.
impl Drop for Up {
    fn drop(&mut self) {
        if !self.is_settled {
            // Why it could not go is of less interest than what ended the work.
            let _ = self.end();
        }
    }
}

impl Up {
    /// Starts a lab of these files in this run directory, with these options for `nslab up`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        files: &[PathBuf],
        options: &[String],
        detached: bool,
        (place, lab): (&TestDirectory, &LabDirectory),
    ) -> Result<Up, Failure> {
        let mut command = place.command();
        command
            .args(["up", "--hold-manifests", "--format", "json"])
            .args(options);
        if detached {
            command.arg("-d");
        }
        command.arg("--").args(files);
        process::die_with_caller(&mut command);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().attempt(|| "start nslab up")?;
        Ok(Up {
            events: child.stdout.take(),
            child,
            detached,
            lab: lab.clone(),
            is_settled: false,
            place: None,
        })
    }

    /// Keeps the run directory until the lab is down.
    pub fn keeps(&mut self, place: TestDirectory) {
        self.place = Some(place);
    }

    /// Reads events until the lab is ready or has failed, or the user wants to end.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn until_ready(&mut self, stop: &Stop) -> Result<Life, Failure> {
        let mut failure = None;
        let mut line = Vec::new();
        let mut buffer = [0u8; 16 * 1024];
        loop {
            let events = self.events.as_mut();
            let events = events.ok_or_else(|| Failure::host("no pipe to nslab up"))?;
            if stop.wait(&[events.as_fd()], Duration::from_secs(3600)) {
                // Not what came of it; the caller looks at the wish first.
                return Ok(Life::Ready);
            }
            let size = events.read(&mut buffer).attempt(|| "read what nslab up says")?;
            if size == 0 {
                return self.ended(failure);
            }
            for &byte in &buffer[..size] {
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                match serde_json::from_slice::<Event>(&line).map(|event| event.what) {
                    Ok(What::Ready { .. }) if !self.detached => return Ok(Life::Ready),
                    Ok(What::Failed { failure: why }) => failure = Some(why),
                    _ => {}
                }
                line.clear();
            }
        }
    }

    /// What came of it: detached and well, or not ready.
    fn ended(&mut self, failure: Option<Failure>) -> Result<Life, Failure> {
        let mut said = String::new();
        if let Some(errors) = &mut self.child.stderr {
            // What is not text tells nothing.
            let _ = errors.read_to_string(&mut said);
        }
        let status = self.child.wait().attempt(|| "wait for nslab up")?;
        if status.success() && failure.is_none() {
            return Ok(Life::Ready);
        }
        let code = status.code().unwrap_or(1);
        Ok(match failure {
            Some(failure) => Life::Failed {
                reason: failure.message,
                detail: failure.detail.unwrap_or_default(),
                code,
            },
            None => {
                let mut lines = said.lines();
                let first = lines.next().unwrap_or("it was killed");
                Life::Failed {
                    reason: first.trim_start_matches("nslab: ").to_owned(),
                    detail: lines.map(str::trim).collect::<Vec<_>>().join("\n"),
                    code,
                }
            }
        })
    }

    /// Takes the lab down, if it lives, and waits for the end of all.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn take_down(mut self) -> Result<(), Failure> {
        self.is_settled = true;
        self.end()
    }

    /// Leaves the lab alive; it is detached.
    pub fn leave(mut self) {
        self.is_settled = true;
    }

    fn end(&mut self) -> Result<(), Failure> {
        let lab = &self.lab;
        if self.detached && lab.alive() {
            let mut down = Command::new("/proc/self/exe");
            down.args(["down", &lab.lab]);
            down.env("NSLAB_RUN_DIR", lab.path.parent().unwrap_or(&lab.path));
            output::run(&mut down, Instant::now() + DOWN, None::<&File>)?;
        } else if let Ok(None) = self.child.try_wait()
            // Once it has been waited for, its number may be another's.
            && let Ok(pidfd) = process::pidfd(self.child.id().cast_signed())
        {
            let _ = process::signal(&pidfd, libc::SIGTERM);
        }
        // Its last words must not keep it from ending.
        drop(self.events.take());
        drop(self.child.stderr.take());
        self.child.wait().attempt(|| "wait for nslab up")?;
        drop(self.place.take());
        Ok(())
    }
}
