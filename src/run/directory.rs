//! The run directory: what labs leave on the file system while they live, and who cleans up after them.
//!
//! `RUN/LAB/lock` is locked (flock(2)) by the lab's supervisor for as long as it lives. Births and sweeps both
//! happen under `RUN/.lock`, so a sweeper never sees a lab's directory without its lock being held.
//!
//! A run directory is root's, and holds nothing but what nslab made: `.lock` marks it, as each lab's lock marks the lab's
//! directory. Any other is refused before anything in it is touched.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use rustix::fs::{FlockOperation, flock};

use super::lab_directory::remove_all;
pub use super::lab_directory::{LONGEST, LabDirectory, Life, State};
use super::{host_state, rootless, trust};
use crate::failure::Failure;
use crate::kernel::error::{Attempt, Error};
use crate::kernel::rootless::is_rootless;

/// Locked by whoever changes what is in the run directory.
const LOCK: &str = ".lock";
/// What is in `.lock`; nothing, where an older nslab has made it.
const MARK: &[u8] = b"nslab: a run directory; what is in it comes and goes with labs\n";
/// The run directories of labs that are tested.
pub(super) const TESTS: &str = ".tests";
/// In a test's directory: locked by the process that tests.
const OWNER: &str = ".owner";
/// What labs of all run directories share (`notes`), in one of them.
const HOST: &str = ".host";
/// How often a lock is opened that others have removed when it could be had: with the directory of a test that is over.
const TRIES: u32 = 1000;

/// The directory all labs' directories are in.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    path: PathBuf,
}

/// A lab being born: its directory, and the lock that its supervisor will hold.
pub struct NewLab {
    /// The directory.
    pub directory: LabDirectory,
    /// The lock; it is held as long as any copy of this descriptor is open.
    pub lock: File,
}

/// A run directory that is nslab's for certain, locked for as long as this lives.
struct Entered {
    _lock: File,
    labs: Vec<LabDirectory>,
}

impl RunDirectory {
    /// `NSLAB_RUN_DIR`, or /run/nslab; for users who are not root a directory of theirs.
    pub fn find() -> RunDirectory {
        let path = std::env::var_os("NSLAB_RUN_DIR").filter(|path| !path.is_empty());
        let usual = || match is_rootless() {
            true => rootless::run_directory(),
            false => PathBuf::from(rootless::ROOTS),
        };
        let path = path.map_or_else(usual, PathBuf::from);
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
    /// The lab is running already, the run directory is not nslab's, or it cannot be written.
    pub fn create_lab(&self, lab: &str) -> Result<NewLab, Failure> {
        let _entered = self.enter(true)?;
        let directory = self.lab(lab);
        let what = || format!("make {}", directory.path.display());
        match trust::make_directory(&directory.path, 0o700) {
            Ok(()) => {}
            // One that has died since the sweep makes room.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                match directory.settled_life() {
                    Life::Dead => directory.remove()?,
                    _ => return Err(self.running_already(lab)),
                }
                trust::make_directory(&directory.path, 0o700).attempt(what)?;
            }
            Err(error) => return Err(Error::io(what(), &error).into()),
        }
        match directory.make_lock() {
            Ok(lock) => Ok(NewLab { directory, lock }),
            Err(failure) => {
                // By name, which works without a descriptor to spare.
                let _ = fs::remove_file(directory.lock());
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
    /// The run directory cannot be opened, or is not nslab's: nothing in it is touched then.
    pub fn sweep(&self) -> Result<Swept, Failure> {
        let mut swept = Swept::default();
        self.sweep_labs(&mut swept)?;
        swept.failures.extend(host_state::sweep().err());
        Ok(swept)
    }

    fn sweep_labs(&self, swept: &mut Swept) -> Result<(), Failure> {
        let Some(entered) = self.enter(false)? else {
            return Ok(());
        };
        for directory in entered.labs {
            match directory.life() {
                Life::Living => {}
                Life::Unknown(failure) => swept.failures.push(failure),
                Life::Dead => match directory.remove() {
                    Ok(()) => swept.labs.push(directory.lab),
                    Err(failure) => swept.failures.push(failure),
                },
            }
        }
        self.sweep_tests(swept);
        Ok(())
    }

    /// Removes what a lab left outside of its directory that was deleted while it lived. Its supervisor had this PID.
    ///
    /// # Errors
    /// Something of it stays.
    pub fn forget(&self, lab: &str, supervisor: i32) -> Result<(), Failure> {
        // Locked, so that no lab of this name is born meanwhile; one that cannot be entered bears none.
        let _entered = self.enter(false);
        let directory = self.lab(lab);
        match fs::symlink_metadata(&directory.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => directory.leave_kernel(Some(supervisor)),
            _ => Ok(()),
        }
    }

    /// A run directory of its own for a lab that is tested, swept with this one once neither its owner nor a lab in it
    /// lives.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn for_test(&self, lab: &str) -> Result<TestDirectory, Failure> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // Under the lock, so that no sweeper sees it without its owner.
        let _entered = self.enter(true)?;
        let path = self.tests().join(format!("{lab}-{}-{count}", std::process::id()));
        let what = || format!("make {}", path.display());
        match trust::make_directory(&self.tests(), 0o755) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).attempt(what)?,
            _ => {}
        }
        trust::make_directory(&path, 0o755).attempt(what)?;
        let mut owner = trust::create(&path.join(OWNER)).attempt(what)?;
        flock(&owner, FlockOperation::LockExclusive)
            .map_err(std::io::Error::from)
            .attempt(what)?;
        owner.write_all(MARK).attempt(what)?;
        Ok(TestDirectory {
            outer: self.clone(),
            inner: RunDirectory { path },
            owner: Some(owner),
        })
    }

    fn tests(&self) -> PathBuf {
        self.path.join(TESTS)
    }

    /// Sweeps the directories of tests that are over. To be called under the lock.
    fn sweep_tests(&self, swept: &mut Swept) {
        for entry in fs::read_dir(self.tests()).into_iter().flatten().flatten() {
            let inner = RunDirectory { path: entry.path() };
            if let Err(failure) = inner.sweep_test(swept) {
                swept.failures.push(failure);
            }
        }
        // Gone with the last of them.
        let _ = fs::remove_dir(self.tests());
    }

    /// Sweeps this directory of a test, and removes it once nothing in it lives.
    fn sweep_test(&self, swept: &mut Swept) -> Result<(), Failure> {
        if let Some(owner) = trust::open(&self.path.join(OWNER))? {
            match flock(&owner, FlockOperation::NonBlockingLockShared) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(()),
                Err(errno) => return Err(refused("look at a test's directory", errno).into()),
            }
        }
        self.sweep_labs(swept)?;
        if self.survey(true)?.is_empty() {
            for name in [LOCK, OWNER] {
                remove_all(&self.path.join(name))?;
            }
            fs::remove_dir(&self.path).attempt(|| format!("remove {}", self.path.display()))?;
        }
        Ok(())
    }

    /// The labs that live, by name.
    pub fn living(&self) -> Vec<LabDirectory> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let labs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let labs = labs.filter_map(|entry| entry.file_name().into_string().ok());
        let labs = labs.filter(|name| !name.starts_with('.'));
        let mut living: Vec<_> = labs
            .map(|name| self.lab(&name))
            .filter(LabDirectory::alive)
            .collect();
        living.sort_by(|a, b| a.lab.cmp(&b.lab));
        living
    }

    /// The labs that live and are for people to see: those of this directory, and those that tests have left alive.
    pub fn visible(&self) -> Vec<LabDirectory> {
        let mut labs = self.living();
        let tests = fs::read_dir(self.tests()).into_iter().flatten().flatten();
        for test in tests {
            let inner = RunDirectory { path: test.path() };
            if inner.is_abandoned() {
                labs.extend(inner.living());
            }
        }
        labs
    }

    /// Whether the test is over whose directory this is.
    fn is_abandoned(&self) -> bool {
        let owner = trust::open(&self.path.join(OWNER));
        owner.is_ok_and(|owner| {
            owner.is_some_and(|owner| flock(&owner, FlockOperation::NonBlockingLockShared).is_ok())
        })
    }

    /// The directory of one lab, whether it exists or not.
    pub fn lab(&self, lab: &str) -> LabDirectory {
        LabDirectory {
            path: self.path.join(lab),
            lab: lab.to_owned(),
        }
    }

    /// Looks whether this is a run directory of nslab's, and takes its lock. One that is empty becomes one; one that is missing
    /// is made if `make` says so. Nothing is changed in any other.
    fn enter(&self, make: bool) -> Result<Option<Entered>, Failure> {
        let path = self.path.join(LOCK);
        for _ in 0..TRIES {
            if trust::directory(&self.path, make)?.is_none() {
                return Ok(None);
            }
            let Some(lock) = trust::open_to_write(&path)? else {
                if self.may_become_ours()? {
                    match trust::create(&path) {
                        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                            return Err(error).attempt(|| format!("make {}", path.display()))?;
                        }
                        _ => {}
                    }
                }
                continue;
            };
            // Not even locked, where it is not nslab's.
            is_marked(&lock, &path)?;
            trust::lock(&lock, &path)?;
            if !is_still(&lock, &path) {
                continue;
            }
            let is_marked = is_marked(&lock, &path)?;
            let labs = self.survey(is_marked)?;
            if !is_marked {
                // On a full disk it goes without.
                let _ = lock.write_all_at(MARK, 0);
            }
            return Ok(Some(Entered { _lock: lock, labs }));
        }
        Err(Failure::host(format!("{} comes and goes", path.display())).help("try again"))
    }

    /// Whether a directory without a lock has nothing in it that would be somebody else's. False where there is a lock by now.
    fn may_become_ours(&self) -> Result<bool, Failure> {
        let what = || format!("read {}", self.path.display());
        for entry in fs::read_dir(&self.path).attempt(what)? {
            let name = entry.attempt(what)?.file_name();
            if name == HOST || name == OWNER {
                continue;
            }
            // Another command may have made it nslab's, and put this there, since it was looked for.
            match fs::symlink_metadata(self.path.join(LOCK)) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(self.not_ours(&self.path.join(name)));
                }
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The labs' directories in a run directory in which there is nothing that nslab did not make.
    fn survey(&self, is_marked: bool) -> Result<Vec<LabDirectory>, Failure> {
        let what = || format!("read {}", self.path.display());
        let mut labs = Vec::new();
        for entry in fs::read_dir(&self.path).attempt(what)? {
            let name = entry.attempt(what)?.file_name();
            let path = self.path.join(&name);
            let lab = name.to_str().map(|name| self.lab(name));
            let is_own = match name.to_str() {
                Some(LOCK | OWNER) => trust::open(&path)?.is_some(),
                Some(HOST) => trust::is_own_directory(&path, 0o022)?,
                Some(TESTS) => trust::is_own_directory(&path, 0o022)? && self.survey_tests()?,
                _ => match &lab {
                    Some(lab) => lab.is_own(is_marked)?,
                    None => false,
                },
            };
            if !is_own {
                // What is in a test's directory may just have been swept by its own process.
                match fs::symlink_metadata(&path) {
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    _ => return Err(self.not_ours(&path)),
                }
            }
            labs.extend(lab.filter(|lab| !lab.lab.starts_with('.')));
        }
        Ok(labs)
    }

    /// Whether each entry of `.tests` is a run directory with an owner, or an empty one that was cut short.
    fn survey_tests(&self) -> Result<bool, Failure> {
        let what = || format!("read {}", self.tests().display());
        for entry in fs::read_dir(self.tests()).attempt(what)? {
            let path = entry.attempt(what)?.path();
            let inner = RunDirectory { path: path.clone() };
            if !trust::is_own_directory(&path, 0o022)? {
                return Err(self.not_ours(&path));
            }
            match trust::open(&path.join(OWNER))? {
                Some(owner) => {
                    is_marked(&owner, &path.join(OWNER))?;
                    let lock = trust::open(&path.join(LOCK))?;
                    let lock = lock.map(|lock| is_marked(&lock, &path.join(LOCK)));
                    inner.survey(lock.transpose()?.unwrap_or(false))?;
                }
                None if is_empty(&path)? => {}
                None => return Err(self.not_ours(&path)),
            }
        }
        Ok(true)
    }

    fn not_ours(&self, foreign: &Path) -> Failure {
        let message = format!(
            "{} is not a run directory of nslab alone: nslab did not make {}",
            self.path.display(),
            foreign.display()
        );
        let help = "nslab deletes what labs leave in its run directory, so nothing else may be there: move that \
            elsewhere, or choose an empty or new directory with NSLAB_RUN_DIR";
        Failure::host(message).help(help)
    }
}

/// Whether a lock has nslab's mark. One that is empty, or whose mark was cut short, has none and may be nslab's all the same.
///
/// # Errors
/// Something else is in it.
fn is_marked(lock: &File, path: &Path) -> Result<bool, Failure> {
    let mut mark = [0; MARK.len() + 1];
    let read = lock.read_at(&mut mark, 0);
    let length = read.attempt(|| format!("read {}", path.display()))?;
    match &mark[..length] {
        MARK => Ok(true),
        mark if MARK.starts_with(mark) => Ok(false),
        _ => Err(Failure::host(format!("{} is not nslab's", path.display()))
            .help("choose an empty or new directory with NSLAB_RUN_DIR")),
    }
}

/// Whether a path still leads to an open file: whoever held the lock may have removed it.
fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn is_empty(path: &Path) -> Result<bool, Error> {
    let entries = fs::read_dir(path).attempt(|| format!("read {}", path.display()))?;
    Ok(entries.count() == 0)
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
