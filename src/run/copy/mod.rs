//! Copying between the host and nodes: a walk's words ([`stream`]) between two helpers, each where its side is.
//!
//! A node's processes may do to a helper in the node what they like, so whoever receives believes nothing.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufReader, BufWriter, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd as _, RawFd};
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};

use self::helper::Helper;
use self::receive::{Destination, Receiver};
use self::remarks::Remarks;
use super::enter::Door;
use crate::clean;
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::process;
use crate::kernel::tree::{Owner, Trust};

mod helper;
mod receive;
mod remarks;
mod send;
pub mod stream;

#[cfg(test)]
mod tests;

/// How many files a copy has at most.
const MOST_FILES: usize = 1_000_000;
/// How many directories deep it is at most: each is an open descriptor on both sides.
const DEEPEST: usize = 200;
/// Bytes that are taken of a file that has no size, like those of /proc.
const SIZELESS: u64 = 64 << 20;

/// A path, and where it is.
pub enum Place {
    /// On the host.
    Host(PathBuf),
    /// In a node.
    Node(Box<Door>, PathBuf),
}

impl Place {
    fn path(&self) -> PathBuf {
        match self {
            Place::Host(path) => path.clone(),
            Place::Node(_, path) => Path::new("/").join(path),
        }
    }

    fn trust(&self) -> Trust {
        match self {
            Place::Host(_) => Trust::Host,
            Place::Node(..) => Trust::Node,
        }
    }

    /// As it was written.
    fn shown(&self) -> String {
        match self {
            Place::Host(path) | Place::Node(_, path) => self.with_path(path),
        }
    }

    /// Another path here, as it would be written.
    fn with_path(&self, path: &Path) -> String {
        let path = clean::path(path);
        match self {
            Place::Host(_) => path,
            Place::Node(door, _) => format!("{}:{path}", door.node),
        }
    }

    /// Starts `work` where this place is, with these descriptors.
    fn there(&self, keep: &[RawFd], work: impl FnOnce() -> bool) -> Result<process::Child, Failure> {
        let run = || i32::from(!work());
        match self {
            Place::Host(_) => Ok(process::fork("start a helper", run)?),
            Place::Node(door, _) => Ok(door.inside(keep, run)?),
        }
    }
}

/// Copies a file or directory. What arrives on the host belongs to `owner`, where one is named. What was left out or went
/// wrong is told in lines.
///
/// # Errors
/// A helper could not be started, or not everything was copied.
pub fn copy(from: &Place, to: &Place, owner: Option<Owner>, tell: impl FnMut(&str)) -> Result<(), Failure> {
    let (data, send_data) = io::pipe().attempt(|| "make a pipe")?;
    let (report, send_report) = io::pipe().attempt(|| "make a pipe")?;
    let (source, target) = (from.path(), to.path());
    let Some(name) = own_name(&source) else {
        return Err(Failure::wrong(format!(
            "{} has no name of its own to copy under",
            from.shown()
        )));
    };
    let owner = owner.filter(|_| matches!(to, Place::Host(_)));
    // The helpers are copies of this process: each closes the pipe ends that are the other's, or neither would ever see an
    // end.
    let keep = [data.as_raw_fd(), send_data.as_raw_fd(), send_report.as_raw_fd()];
    let mut ends = Some((data, send_data, send_report));
    let sender = {
        let ends = &mut ends;
        from.there(&keep, || {
            let Some((data, send_data, send_report)) = ends.take() else {
                return false;
            };
            drop((data, send_report));
            process::die_with_parent(libc::SIGKILL);
            send::send(&source, from.trust(), BufWriter::new(send_data)).is_ok()
        })?
    };
    let receiver = {
        let ends = &mut ends;
        to.there(&keep, || {
            let Some((data, send_data, send_report)) = ends.take() else {
                return false;
            };
            drop(send_data);
            stay_to_clean_up();
            let mut told = Remarks::new(from.shown());
            match Destination::of(&target, &name, to.trust(), |path| to.with_path(path)) {
                Err(line) => told.error(line),
                Ok(it) => {
                    told.goes_to(it.shown);
                    let input = BufReader::new(Watched(data, &send_report));
                    Receiver::new(input, owner, &mut told).receive(&it.directory, &it.name);
                }
            }
            let mut report = send_report;
            // Where nobody reads it, nobody wants to know.
            let _ = report.write_all(told.text().as_bytes());
            told.is_whole()
        })?
    };
    drop(ends);
    let mut helpers = [Helper::new(sender, from), Helper::new(receiver, to)];
    let report = helper::listen(&mut helpers, report);
    tell_all(&report, tell);
    helper::wait(&mut helpers);
    if helpers.iter().all(Helper::is_content) {
        return Ok(());
    }
    if let Some(node) = helpers.iter().find_map(Helper::hindered_by) {
        return Err(Failure::not_ready(format!(
            "{} was not copied whole: a process in {node} stops the copy again and again",
            from.shown()
        ))
        .help(format!(
            "`nslab ps` and `nslab exec {node} ps` show what runs there"
        )));
    }
    Err(Failure::not_ready(format!(
        "{} was not copied whole",
        from.shown()
    )))
}

fn own_name(path: &Path) -> Option<OsString> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.file_name().map(OsStr::to_owned)
}

/// A receiver outlives the keys that end the others, for as long as it takes to remove what is unfinished. A limit of
/// file sizes is an error to tell, not an end.
fn stay_to_clean_up() {
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGXFSZ];
    let _ = signals.into_iter().collect::<SigSet>().thread_block();
}

/// Reads what is sent for as long as somebody wants to know what came of it.
struct Watched<'p>(PipeReader, &'p PipeWriter);

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ends = [
            PollFd::new(self.0.as_fd(), PollFlags::POLLIN),
            // An end without readers is an error to poll.
            PollFd::new(self.1.as_fd(), PollFlags::empty()),
        ];
        loop {
            match poll(&mut ends, PollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) => break,
            }
        }
        if ends[1].any().unwrap_or(true) {
            return Err(io::Error::other("interrupted"));
        }
        self.0.read(buffer)
    }
}

/// Passes on what the receiver tells. It may be in a node, whose processes may have a say.
fn tell_all(report: &[u8], mut tell: impl FnMut(&str)) {
    for line in report
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        tell(&clean::bytes(line));
    }
}
