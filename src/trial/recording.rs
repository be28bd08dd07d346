//! A capture of a lab that is being tried, kept should it fail (`capture = true` in its file).

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::kernel::process;
use crate::run::directory::LabDirectory;

/// It ends when it has that much: it is in the run directory, which is in memory mostly.
const LARGEST: &str = "64M";
/// What nslab says of a capture that goes on begins so.
const GOES_ON: &str = "capturing on";
/// Of what it says no more is read.
const MOST_SAID: u64 = 1 << 16;

/// A capture that goes on: `nslab capture` as a child, of every interface, into the lab's own directory. It ends with the lab.
pub struct Recording {
    /// Which life of its lab it is of, from 1.
    pub number: usize,
    child: Child,
    file: PathBuf,
}

impl Recording {
    /// Begins, and waits until packets are captured.
    ///
    /// # Errors
    /// It cannot be started, or what it says of why it does not go on.
    pub fn begin(lab: &LabDirectory, number: usize) -> Result<Recording, Failure> {
        let file = lab.capture();
        let mut command = Command::new("/proc/self/exe");
        command
            .args([
                "capture",
                "*",
                "--max-size",
                LARGEST,
                "--lab",
                &lab.lab,
                "--write",
            ])
            .arg(&file)
            .env("NSLAB_RUN_DIR", lab.path.parent().unwrap_or(&lab.path))
            // What is in the lab's directory is nslab's.
            .env_remove("SUDO_UID")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Signals of the terminal are for those who wait for it.
            .process_group(0);
        let mut child = command.spawn().attempt(|| "start nslab capture")?;
        let said = child.stderr.take();
        let mut recording = Recording { number, child, file };
        let mut first = String::new();
        if let Some(said) = said {
            let mut said = BufReader::new(said.take(MOST_SAID));
            said.read_line(&mut first)
                .attempt(|| "read what a capture says")?;
            if !first.starts_with(GOES_ON) {
                let _ = said.read_to_string(&mut first);
                recording.end();
                return Err(Failure::host("the lab cannot be captured").detail(first.trim().to_owned()));
            }
        }
        Ok(recording)
    }

    /// Ends it. Returns where it is, until the lab's directory goes.
    pub fn end(&mut self) -> PathBuf {
        if let Ok(pidfd) = process::pidfd(self.child.id().cast_signed()) {
            let _ = process::signal(&pidfd, libc::SIGTERM);
        }
        let _ = self.child.wait();
        self.file.clone()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.end();
    }
}
