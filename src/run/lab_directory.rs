//! A lab's own directory: what it says there about itself, whether it lives, and what is removed once it is dead.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::{client, netns_names, trust};
use crate::failure::Failure;
use crate::kernel::cgroup;
use crate::kernel::error::{Attempt, Error};
use crate::kernel::link::{self, Interface};
use crate::kernel::netlink::Netlink;
use crate::lab::names;

/// How long dying processes may hold on to their cgroups before a sweep gives up.
const SWEEP_DEADLINE: Duration = Duration::from_secs(5);
/// How long a process that was killed may take to be gone.
const SETTLING: Duration = Duration::from_secs(2);
/// The file that the lab's supervisor locks, and what is in it.
const LOCK: &str = "lock";
const MARK: &[u8] = b"nslab: a lab's directory\n";
/// All that nslab puts into a lab's directory; the lock comes last, as it is removed last. (`new`: see `trust::replace`.)
const CONTENTS: [&str; 17] = [
    "base",
    "capture.pcapng",
    "checks.json",
    "control.sock",
    "etcd",
    "host-links.json",
    "host-links.new",
    "lab.json",
    "logs",
    "outside",
    "root",
    "state.json",
    "state.new",
    "supervisor.log",
    "trace.json",
    "volumes",
    LOCK,
];
/// No file about a lab is longer: one of 1,000 nodes takes a few megabytes.
pub const LONGEST: u64 = 64 << 20;

/// What a living lab says about itself in `state.json`, for commands and for whoever sweeps after it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The lab's name.
    pub lab: String,
    /// The lab file, as an absolute path.
    pub file: PathBuf,
    /// When it was started, in seconds since 1970.
    pub started: u64,
    /// The supervisor's PID as the host sees it. It is a hint: `holder` finds out who the supervisor is.
    pub supervisor: i32,
    /// Whether it lives without a terminal.
    pub detached: bool,
    /// Symbolic links made for `ip netns`.
    pub named: Vec<PathBuf>,
    /// Its nodes' names.
    pub nodes: Vec<String>,
    /// The version of the control protocol its supervisor speaks; 0 before there were versions.
    #[serde(default)]
    pub protocol: u32,
}

/// An interface on the host that is the end of a lab's link. Another that has its name since is told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLink {
    name: String,
    index: u32,
    address: Vec<u8>,
}

impl From<Interface> for HostLink {
    fn from(interface: Interface) -> Self {
        HostLink {
            name: interface.name,
            index: interface.index,
            address: interface.address,
        }
    }
}

/// Whether a lab lives.
#[derive(Debug)]
pub enum Life {
    /// Somebody holds its lock.
    Living,
    /// Nobody does, or there is no lock.
    Dead,
    /// It cannot be told, for example because no descriptors are left. Nothing of such a lab may be removed.
    Unknown(Failure),
}

/// A lab's own directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LabDirectory {
    /// Its path.
    pub path: PathBuf,
    /// The lab's name.
    pub lab: String,
}

impl LabDirectory {
    /// Makes the lock of a lab that is being born, marks it as nslab's and takes it.
    pub(super) fn make_lock(&self) -> Result<File, Failure> {
        let path = self.lock();
        let what = || format!("make {}", path.display());
        let mut lock = trust::create(&path).attempt(what)?;
        // Waits: somebody who looks whether the lab lives holds it for a moment.
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(std::io::Error::from)
            .attempt(what)?;
        lock.write_all(MARK).attempt(what)?;
        Ok(lock)
    }

    /// The file that the supervisor holds locked.
    pub fn lock(&self) -> PathBuf {
        self.path.join(LOCK)
    }

    /// Whether the lab's supervisor lives: whether somebody holds the lock. Only a lock that is not there, or that could be
    /// had, means that it is dead.
    pub fn life(&self) -> Life {
        let lock = match trust::open(&self.lock()) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Life::Dead,
            Err(failure) => return Life::Unknown(self.unknown(failure)),
        };
        // Shared, so that two who look at the same moment do not take each other for the supervisor.
        match flock(&lock, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Life::Dead,
            Err(rustix::io::Errno::WOULDBLOCK) => Life::Living,
            Err(errno) => {
                let errno = Errno::from_raw(errno.raw_os_error());
                Life::Unknown(self.unknown(Error::new("look at its lock", errno).into()))
            }
        }
    }

    /// As [`life`](Self::life), but gives a supervisor that was killed the moment the kernel needs to end it: it holds its lock
    /// until then.
    pub fn settled_life(&self) -> Life {
        let deadline = Instant::now() + SETTLING;
        loop {
            let life = self.life();
            let left = deadline.saturating_duration_since(Instant::now());
            let is_over = left.is_zero() || !matches!(life, Life::Living);
            if is_over || !client::is_ending(self, left) {
                return life;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn unknown(&self, mut failure: Failure) -> Failure {
        failure.message = format!("whether lab {} lives is not known: {}", self.lab, failure.message);
        failure
    }

    /// Whether the lab is to be treated as a living one: whether it is not certainly dead.
    pub fn alive(&self) -> bool {
        !matches!(self.life(), Life::Dead)
    }

    /// Whether the directory is one that nslab made. It is root's own, and its lock has nslab's mark, or (of an nslab that made
    /// none, or of a creation or a removal that was cut short) there is nothing in it but what nslab puts there. Without any
    /// lock it counts as nslab's only in a run directory that is `marked`.
    pub(super) fn is_own(&self, marked: bool) -> Result<bool, Failure> {
        let mut letters = self.lab.chars();
        let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !letters.all(legal) || self.lab.starts_with('.') {
            return Ok(false);
        }
        if !trust::is_own_directory(&self.path, 0o077)? {
            return Ok(false);
        }
        match trust::open(&self.lock()) {
            Ok(Some(lock)) => {
                let mut mark = Vec::new();
                let read = lock.take(MARK.len() as u64 + 1).read_to_end(&mut mark);
                read.attempt(|| format!("read {}", self.lock().display()))?;
                Ok(mark == MARK || (MARK.starts_with(&mark) && self.foreign()?.is_none()))
            }
            Ok(None) => Ok(marked && self.foreign()?.is_none()),
            // No descriptors are left, or the like: its mark cannot be read, and it is not touched either.
            Err(failure) if fs::symlink_metadata(self.lock()).is_ok_and(|lock| lock.is_file()) => {
                Err(failure)
            }
            Err(_) => Ok(false),
        }
    }

    /// Something in the directory that nslab does not put there.
    fn foreign(&self) -> Result<Option<PathBuf>, Failure> {
        let what = || format!("read {}", self.path.display());
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.attempt(what)?,
        };
        for entry in entries {
            let entry = entry.attempt(what)?;
            let name = entry.file_name();
            let kind = entry.file_type().attempt(what)?;
            if kind.is_symlink() || !CONTENTS.iter().any(|known| name == *known) {
                return Ok(Some(entry.path()));
            }
        }
        Ok(None)
    }

    /// What the lab says about itself. None where it says nothing, or nothing that can be believed.
    pub fn state(&self) -> Option<State> {
        self.read_state().ok().flatten()
    }

    /// The same, with the reason.
    ///
    /// # Errors
    /// `state.json` is damaged, or of another lab.
    pub fn read_state(&self) -> Result<Option<State>, Failure> {
        let path = self.path.join("state.json");
        let state: Option<State> = trust::read_json(&path, LONGEST)?;
        match state {
            Some(state) if state.lab != self.lab => Err(trust::damaged(&path, "is of another lab")),
            other => Ok(other),
        }
    }

    /// Writes `state.json`.
    ///
    /// # Errors
    /// The file system is full or read-only.
    pub fn write_state(&self, state: &State) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(state).map_err(|error| Failure::host(error.to_string()))?;
        trust::replace(&self.path.join("state.json"), &text)
    }

    /// Marks which of the host's interfaces are ends of the lab's links, and notes them.
    ///
    /// # Errors
    /// The interfaces cannot be listed or marked, or the file system is full.
    pub fn note_host_links(&self, names: &[&str]) -> Result<(), Failure> {
        let mut netlink = Netlink::open()?;
        let interfaces = link::list(&mut netlink)?;
        let ours = interfaces
            .into_iter()
            .filter(|interface| names.contains(&interface.name.as_str()));
        let links: Vec<HostLink> = ours.map(HostLink::from).collect();
        for link in &links {
            let what = format!("mark {} on the host", link.name);
            netlink.send_one(link::alias(&what, link.index, &self.alias()))?;
        }
        let text = serde_json::to_vec(&links).map_err(|error| Failure::host(error.to_string()))?;
        trust::replace(&self.host_links(), &text)
    }

    /// What the kernel knows the lab's interfaces on the host by (`ip link` shows it as alias).
    fn alias(&self) -> String {
        format!("nslab: {}", self.cgroup())
    }

    /// Deletes the host's ends of the lab's links. The kernel does so by itself when the lab is gone, but in its own
    /// time: whoever brings the lab up at once would find the names taken. Only what bears the lab's alias is deleted,
    /// whatever was noted.
    fn delete_host_links(&self) -> Result<(), Failure> {
        let noted: Vec<HostLink> = trust::read_json(&self.host_links(), LONGEST)?.unwrap_or_default();
        if noted.is_empty() {
            return Ok(());
        }
        let alias = self.alias();
        let mut netlink = Netlink::open()?;
        for interface in link::list(&mut netlink)? {
            let (index, what) = (interface.index, format!("delete {} on the host", interface.name));
            if interface.alias.as_ref() == Some(&alias) && noted.contains(&interface.into()) {
                match netlink.send_one(link::delete(&what, index)) {
                    Err(error) if error.errno != Errno::ENODEV => return Err(error.into()),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn host_links(&self) -> PathBuf {
        self.path.join("host-links.json")
    }

    /// The name of the lab's cgroups, which differs between run directories.
    pub fn cgroup(&self) -> String {
        let parent = self.path.parent().unwrap_or(&self.path);
        let hash = crate::lab::names::hash(parent.as_os_str().as_encoded_bytes());
        format!("nslab-{:08x}-{}", hash as u32, self.lab)
    }

    /// What etcd keeps, where the lab has one.
    pub fn etcd(&self) -> PathBuf {
        self.path.join("etcd")
    }

    /// Where the lab is kept as it was meant.
    pub fn topology(&self) -> PathBuf {
        self.path.join("lab.json")
    }

    /// What `nslab test` captures of it.
    pub fn capture(&self) -> PathBuf {
        self.path.join("capture.pcapng")
    }

    /// The checks the lab was started with, as JSON.
    pub fn checks(&self) -> PathBuf {
        self.path.join("checks.json")
    }

    /// What the supervisor says of its work, and its last words.
    pub fn supervisor_log(&self) -> PathBuf {
        self.path.join("supervisor.log")
    }

    /// The spans of the supervisor until the lab was ready, where they are wanted.
    pub fn spans(&self) -> PathBuf {
        self.path.join("trace.json")
    }

    /// The directory of the nodes' logs.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// A node's log.
    pub fn log(&self, node: &str) -> PathBuf {
        self.logs().join(format!("{}.log", names::place(node)))
    }

    /// Removes everything a dead lab left. To be called under the run directory's lock. What nslab did not put there stays,
    /// and the directory with it.
    pub(super) fn remove(&self) -> Result<(), Failure> {
        if let Some(foreign) = self.foreign()? {
            let message = format!(
                "what lab {} left is not removed: nslab did not make {}",
                self.lab,
                foreign.display()
            );
            return Err(Failure::host(message).help("remove it, or move it elsewhere"));
        }
        // A damaged note of links is told, and does not keep the rest: the kernel deletes them in its own time.
        let noted = self.delete_host_links();
        self.leave_kernel(None)?;
        for name in CONTENTS {
            remove_all(&self.path.join(name))?;
        }
        fs::remove_dir(&self.path).attempt(|| format!("remove {}", self.path.display()))?;
        noted
    }

    /// Removes what a dead lab left outside of its directory, which may be gone: its cgroups, and its names for `ip netns`.
    /// `supervisor` is its supervisor's PID, where that is known for certain.
    pub(super) fn leave_kernel(&self, supervisor: Option<i32>) -> Result<(), Failure> {
        let deadline = Instant::now() + SWEEP_DEADLINE;
        cgroup::remove(&cgroup::Trees::find(), &self.cgroup(), deadline)?;
        match (supervisor, self.state()) {
            (Some(supervisor), _) => netns_names::unlink_all(&self.lab, supervisor),
            (None, Some(state)) => netns_names::unlink(&state),
            (None, None) => {}
        }
        Ok(())
    }
}

/// Removes a file or a directory with all that is in it. Links are removed, not followed.
pub(super) fn remove_all(path: &Path) -> Result<(), Error> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()), &error))
        }
        _ => Ok(()),
    }
}
