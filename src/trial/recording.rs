//! A capture of a lab that is being tried, kept should it fail (`capture = true` in its file, or of a scenario).

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::kernel::process;
use crate::run::directory::LabDirectory;
use crate::run::user_files;

/// It ends when it has that much: it is in the run directory, which is in memory mostly.
const LARGEST: &str = "64M";
/// What nslab says of a capture that goes on begins so.
const GOES_ON: &str = "capturing on";
/// Of what it says no more is read.
const MOST_SAID: u64 = 1 << 16;

/// A capture that goes on: `nslab capture` as a child, of every interface, into the lab's own directory. It ends with the lab.
pub struct Recording {
    child: Child,
    file: PathBuf,
}

impl Recording {
    /// Begins, and waits until packets are captured.
    ///
    /// # Errors
    /// It cannot be started, or what it says of why it does not go on.
    pub fn begin(lab: &LabDirectory) -> Result<Recording, Failure> {
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
        let mut recording = Recording { child, file };
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

    /// Ends it, and keeps it as this file of the user's where it is wanted.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn keep(mut self, target: &Path, is_wanted: bool) -> Result<(), Failure> {
        self.end();
        if !is_wanted {
            return Ok(());
        }
        if let Some(directory) = target.parent() {
            user_files::make_directory(directory)?;
        }
        let bytes = fs::read(&self.file).attempt(|| format!("read {}", self.file.display()))?;
        user_files::write(target, &bytes, user_files::SECRET)
    }

    fn end(&mut self) {
        // Once it has been waited for, its number may be another's.
        if let Ok(None) = self.child.try_wait()
            && let Ok(pidfd) = process::pidfd(self.child.id().cast_signed())
        {
            let _ = process::signal(&pidfd, libc::SIGTERM);
        }
        let _ = self.child.wait();
    }
}

/// What the capture of a scenario is called that has this place among those of its file.
pub fn file_of(place: usize, scenario: &str) -> String {
    let plain = |it: char| if it.is_ascii_alphanumeric() { it } else { '-' };
    let name: String = scenario.chars().take(60).map(plain).collect();
    format!("scenario-{}-{name}.pcapng", place + 1)
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.end();
    }
}
