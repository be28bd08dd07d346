//! The run directory: what a lab leaves on the file system while it lives, and who cleans up after it.
//!
//! `RUN/LAB/lock` is locked (flock(2)) by the lab's supervisor for as long as it lives. Births and sweeps both
//! happen under `RUN/.lock`, so a sweeper never sees a lab's directory without its lock being held.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::notes;

use crate::failure::Failure;
use crate::kernel::cgroup;
use crate::kernel::error::{Attempt, Error};
use crate::kernel::link::{self, Interface};
use crate::kernel::netlink::Netlink;
use crate::lab::names;

/// In a test's directory: locked by the process that tests.
const OWNER: &str = ".owner";
/// How long dying processes may hold on to their cgroups before a sweep gives up.
const SWEEP_DEADLINE: Duration = Duration::from_secs(5);

/// The directory all labs' directories are in.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    path: PathBuf,
}

/// What a living lab says about itself in `state.json`, for commands and for whoever sweeps after it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The lab's name.
    pub lab: String,
    /// The lab file, as an absolute path.
    pub file: PathBuf,
    /// When it was started, in seconds since 1970.
    pub started: u64,
    /// The supervisor's PID as the host sees it.
    pub supervisor: i32,
    /// Whether it lives without a terminal.
    pub detached: bool,
    /// Symbolic links made for `ip netns`.
    pub named: Vec<PathBuf>,
    /// Its nodes' names.
    pub nodes: Vec<String>,
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

/// A lab's own directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LabDirectory {
    /// Its path.
    pub path: PathBuf,
    /// The lab's name.
    pub lab: String,
}

/// A lab being born: its directory, and the lock that its supervisor will hold.
pub struct Birth {
    /// The directory.
    pub directory: LabDirectory,
    /// The lock; it is held as long as any copy of this descriptor is open.
    pub lock: File,
}

impl RunDirectory {
    /// `NSLAB_RUN_DIR`, or /run/nslab.
    pub fn find() -> RunDirectory {
        let path = std::env::var_os("NSLAB_RUN_DIR").filter(|path| !path.is_empty());
        let path = path.map_or_else(|| PathBuf::from("/run/nslab"), PathBuf::from);
        RunDirectory {
            path: std::path::absolute(&path).unwrap_or(path),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a lab's directory and takes its lock, in one step as seen by all others.
    ///
    /// # Errors
    /// The lab is running already, or the directory cannot be written.
    pub fn give_birth(&self, lab: &str) -> Result<Birth, Failure> {
        let _guard = self.lock()?;
        let directory = self.lab(lab);
        let what = || format!("make {}", directory.path.display());
        match DirBuilder::new().mode(0o700).create(&directory.path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(self.running_already(lab));
            }
            Err(error) => return Err(Error::io(what(), &error).into()),
        }
        match directory.make_lock() {
            Ok(lock) => Ok(Birth { directory, lock }),
            Err(failure) => {
                // By name, which works without a descriptor to spare.
                let _ = fs::remove_file(directory.path.join("lock"));
                let _ = fs::remove_dir(&directory.path);
                Err(failure)
            }
        }
    }

    /// What to say to somebody who starts a lab a second time.
    pub fn running_already(&self, lab: &str) -> Failure {
        Failure::wrong(format!("lab {lab} is running already")).help(format!(
            "`nslab up --reconfigure` replaces it, `nslab down {lab}` takes it down"
        ))
    }

    /// Removes what dead labs left. Returns their names, and a sentence for each that could not be removed.
    ///
    /// # Errors
    /// The run directory cannot be opened.
    pub fn sweep(&self) -> Result<Swept, Failure> {
        let mut swept = Swept::default();
        if !self.path.exists() {
            return Ok(swept);
        }
        let _guard = self.lock()?;
        for directory in self.all() {
            if !directory.alive() {
                match directory.remove() {
                    Ok(()) => swept.labs.push(directory.lab),
                    Err(failure) => swept.failures.push(failure),
                }
            }
        }
        self.sweep_tests(&mut swept);
        swept.failures.extend(notes::sweep().err());
        Ok(swept)
    }

    /// A run directory of its own for a lab that is tested, swept with this one once neither its owner nor a lab in it
    /// lives.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn for_test(&self, lab: &str) -> Result<TestDirectory, Failure> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = self.tests().join(format!("{lab}-{}-{count}", std::process::id()));
        // Under the lock, so that no sweeper sees it without its owner.
        let _guard = self.lock()?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&path)
            .attempt(|| format!("make {}", path.display()))?;
        let owner = open_lock(&path.join(OWNER))?;
        flock(&owner, FlockOperation::LockExclusive)
            .map_err(|errno| refused("lock a test's directory", errno))?;
        Ok(TestDirectory {
            outer: self.clone(),
            inner: RunDirectory { path },
            owner: Some(owner),
        })
    }

    fn tests(&self) -> PathBuf {
        self.path.join(".tests")
    }

    /// Sweeps the directories of tests that are over. To be called under the lock.
    fn sweep_tests(&self, swept: &mut Swept) {
        for entry in fs::read_dir(self.tests()).into_iter().flatten().flatten() {
            let inner = RunDirectory { path: entry.path() };
            let owned = File::open(inner.path.join(OWNER)).is_ok_and(|owner| {
                flock(&owner, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
            });
            if owned {
                continue;
            }
            match inner.sweep() {
                Ok(within) => swept.add(within),
                Err(failure) => swept.failures.push(failure),
            }
            if inner.all().next().is_none() {
                swept
                    .failures
                    .extend(remove_all(&inner.path).err().map(Failure::from));
            }
        }
        // Gone with the last of them.
        let _ = fs::remove_dir(self.tests());
    }

    /// The labs that live, by name.
    pub fn living(&self) -> Vec<LabDirectory> {
        let mut living: Vec<_> = self.all().filter(LabDirectory::alive).collect();
        living.sort_by(|a, b| a.lab.cmp(&b.lab));
        living
    }

    /// The directory of one lab, whether it exists or not.
    pub fn lab(&self, lab: &str) -> LabDirectory {
        LabDirectory {
            path: self.path.join(lab),
            lab: lab.to_owned(),
        }
    }

    fn all(&self) -> impl Iterator<Item = LabDirectory> + use<> {
        fs::read_dir(&self.path)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let lab = entry.file_name().into_string().ok()?;
                let is_lab = !lab.starts_with('.') && entry.file_type().is_ok_and(|kind| kind.is_dir());
                is_lab.then(|| LabDirectory {
                    path: entry.path(),
                    lab,
                })
            })
    }

    /// Taken for as long as the file is open.
    fn lock(&self) -> Result<File, Failure> {
        let what = || format!("open {}", self.path.display());
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&self.path);
        if made
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::AlreadyExists)
        {
            let message = format!(
                "{} is not a directory, and labs' directories go there",
                self.path.display()
            );
            return Err(Failure::host(message).help("choose another place with NSLAB_RUN_DIR"));
        }
        made.attempt(what)?;
        let file = open_lock(&self.path.join(".lock"))?;
        flock(&file, FlockOperation::LockExclusive).map_err(|errno| refused(&what(), errno))?;
        Ok(file)
    }
}

fn refused(what: &str, errno: rustix::io::Errno) -> Error {
    Error::new(what, Errno::from_raw(errno.raw_os_error()))
}

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Labs whose remains were removed.
    pub labs: Vec<String>,
    /// What could not be removed.
    pub failures: Vec<Failure>,
}

impl Swept {
    fn add(&mut self, other: Swept) {
        self.labs.extend(other.labs);
        self.failures.extend(other.failures);
    }
}

/// The run directory of a lab that is tested. What is dead in it goes with this value; a lab left alive stays.
pub struct TestDirectory {
    outer: RunDirectory,
    inner: RunDirectory,
    owner: Option<File>,
}

impl TestDirectory {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The directory of a lab in it.
    pub fn lab(&self, lab: &str) -> LabDirectory {
        self.inner.lab(lab)
    }

    /// nslab itself, for this run directory.
    pub fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new("/proc/self/exe");
        command.env("NSLAB_RUN_DIR", &self.inner.path);
        command
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        self.owner.take();
        // What cannot be swept now is swept by the next command.
        let _ = self.outer.sweep();
    }
}

impl LabDirectory {
    fn make_lock(&self) -> Result<File, Failure> {
        let lock = open_lock(&self.path.join("lock"))?;
        // Waits: somebody who looks whether the lab lives holds it for a moment.
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(|errno| refused("lock the lab's directory", errno))?;
        Ok(lock)
    }

    /// Whether the lab's supervisor lives: whether somebody holds the lock.
    pub fn alive(&self) -> bool {
        let Ok(file) = File::open(self.path.join("lock")) else {
            return false;
        };
        // Shared, so that two who look at the same moment do not take each other for the supervisor.
        flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
    }

    /// What the lab says about itself.
    pub fn state(&self) -> Option<State> {
        serde_json::from_slice(&fs::read(self.path.join("state.json")).ok()?).ok()
    }

    /// Writes `state.json`.
    ///
    /// # Errors
    /// The file system is full or read-only.
    pub fn write_state(&self, state: &State) -> Result<(), Failure> {
        let path = self.path.join("state.json");
        let text = serde_json::to_vec_pretty(state).map_err(|error| Failure::host(error.to_string()))?;
        fs::write(&path, text).attempt(|| format!("write {}", path.display()))?;
        Ok(())
    }

    /// Notes which of the host's interfaces are ends of the lab's links.
    ///
    /// # Errors
    /// The interfaces cannot be listed, or the file system is full.
    pub fn note_host_links(&self, names: &[&str]) -> Result<(), Failure> {
        let interfaces = link::list(&mut Netlink::open()?)?;
        let ours = interfaces
            .into_iter()
            .filter(|interface| names.contains(&interface.name.as_str()));
        let links: Vec<HostLink> = ours.map(HostLink::from).collect();
        let text = serde_json::to_vec(&links).map_err(|error| Failure::host(error.to_string()))?;
        let path = self.host_links();
        Ok(fs::write(&path, text).attempt(|| format!("write {}", path.display()))?)
    }

    /// Deletes the host's ends of the lab's links. The kernel does so by itself when the lab is gone, but in its own
    /// time: whoever brings the lab up at once would find the names taken.
    fn delete_host_links(&self) -> Result<(), Failure> {
        let noted = fs::read(self.host_links()).unwrap_or_default();
        let noted: Vec<HostLink> = serde_json::from_slice(&noted).unwrap_or_default();
        if noted.is_empty() {
            return Ok(());
        }
        let mut netlink = Netlink::open()?;
        for interface in link::list(&mut netlink)? {
            let (index, what) = (interface.index, format!("delete {} on the host", interface.name));
            if noted.contains(&interface.into()) {
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

    /// The checks the lab was started with, as JSON.
    pub fn checks(&self) -> PathBuf {
        self.path.join("checks.json")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// The directory of the nodes' logs.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// A node's log.
    pub fn log(&self, node: &str) -> PathBuf {
        self.logs().join(format!("{}.log", names::place(node)))
    }

    /// Removes everything a dead lab left. To be called under the run directory's lock.
    fn remove(&self) -> Result<(), Failure> {
        self.delete_host_links()?;
        let deadline = Instant::now() + SWEEP_DEADLINE;
        cgroup::remove(&cgroup::Trees::find(), &self.cgroup(), deadline)?;
        for link in self.state().map(|state| state.named).unwrap_or_default() {
            // A name that has become something else since is not ours.
            if fs::read_link(&link).is_ok_and(|target| target.starts_with("/proc")) {
                let _ = fs::remove_file(&link);
            }
        }
        remove_all(&self.path)?;
        Ok(())
    }
}

fn remove_all(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()), &error))
        }
        _ => Ok(()),
    }
}

pub(super) fn open_lock(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .attempt(|| format!("open {}", path.display()))
}
