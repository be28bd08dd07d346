//! Files that root believes: where they may be, whose they must be, and how they are opened.
//!
//! What nslab reads in its run directory decides what it kills, deletes and writes as root. So the way to it must be one
//! that nobody but root can redirect, and each file must be a plain one of root's, of bounded size.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Stat, flock};

use crate::clean;
use crate::failure::Failure;
use crate::kernel::error::{Attempt, Error};
use crate::kernel::file;
use crate::kernel::user_namespace;

/// How many symbolic links a path may lead through, as in the kernel (path_resolution(7)).
const LINKS: u32 = 40;
/// How long another command may hold a lock. Sweeps wait for cgroups of dead labs, a few seconds each.
const PATIENCE: Duration = Duration::from_secs(20);
/// Whoever waits longer is told for what.
const SILENCE: Duration = Duration::from_secs(1);
/// The pause between two tries to get a lock: the kernel has no way to wait for one with a limit.
const PAUSE: Duration = Duration::from_millis(2);
/// Write permission of group and others.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;
/// What to do about a run directory that is refused.
const ELSEWHERE: &str = "choose another place with NSLAB_RUN_DIR, or leave it unset";

/// Opens the directory a path leads to, if there is one. `make` makes it, and what is missing above it.
///
/// # Errors
/// Somebody other than root and this user owns it, may write there, or may make the path lead somewhere else.
pub fn directory(path: &Path, make: bool) -> Result<Option<OwnedFd>, Failure> {
    let mut left: VecDeque<OsString> = components(path);
    let mut at = start(path)?;
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        let above = stat(&at, path)?;
        if !is_trusted_above(above.st_uid) {
            return Err(redirectable(path, &format!("by user {}", above.st_uid)));
        }
        if name == ".." {
            at = open_below(&at, &name, path)?;
            continue;
        }
        // In a sticky directory an entry is its owner's (inode(7)).
        let others_write = above.st_mode & OTHERS_WRITE != 0;
        if others_write && above.st_mode & STICKY == 0 {
            return Err(redirectable(path, "by other users"));
        }
        let Some(entry) = entry(&at, &name, make, path)? else {
            return Ok(None);
        };
        if others_write && !is_trusted(entry.st_uid) {
            return Err(redirectable(path, &format!("by user {}", entry.st_uid)));
        }
        match FileType::from_raw_mode(entry.st_mode) {
            FileType::Directory => at = open_below(&at, &name, path)?,
            FileType::Symlink if links < LINKS => {
                links += 1;
                let target = rustix::fs::readlinkat(&at, &name, Vec::new());
                let target = target.map_err(|errno| refused(path, errno))?;
                let target = OsString::from_vec(target.into_bytes());
                if Path::new(&target).is_absolute() {
                    at = start(Path::new(&target))?;
                }
                for part in components(Path::new(&target)).into_iter().rev() {
                    left.push_front(part);
                }
            }
            FileType::Symlink => return Err(refused(path, rustix::io::Errno::LOOP)),
            _ => return Err(not_a_directory(path)),
        }
    }
    let found = stat(&at, path)?;
    if !is_trusted(found.st_uid) {
        let message = format!(
            "{} belongs to user {}; nslab believes what is written in its run directory, so it has to be root's",
            path.display(),
            found.st_uid
        );
        return Err(Failure::host(message).help(ELSEWHERE));
    }
    if found.st_mode & OTHERS_WRITE != 0 {
        let message = format!(
            "{} can be written by other users; nslab believes what is written in its run directory",
            path.display()
        );
        return Err(Failure::host(message).help(ELSEWHERE));
    }
    Ok(Some(at))
}

/// What has this name in a directory: made, if there is nothing and it is wanted.
fn entry(at: &OwnedFd, name: &OsStr, make: bool, path: &Path) -> Result<Option<Stat>, Failure> {
    let look = || rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW);
    match look() {
        Ok(entry) => return Ok(Some(entry)),
        Err(rustix::io::Errno::NOENT) if !make => return Ok(None),
        Err(rustix::io::Errno::NOENT) => {}
        Err(errno) => return Err(refused(path, errno)),
    }
    match rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o755)) {
        // Somebody else's may have appeared meanwhile: it is looked at like any other.
        Ok(()) | Err(rustix::io::Errno::EXIST) => look().map(Some).map_err(|errno| refused(path, errno)),
        Err(errno) => Err(refused(path, errno)),
    }
}

fn components(path: &Path) -> VecDeque<OsString> {
    let plain = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::from_bytes(b"..")),
        _ => None,
    });
    plain.map(OsStr::to_owned).collect()
}

const WAY: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Where a path begins.
fn start(path: &Path) -> Result<OwnedFd, Failure> {
    let start = if path.is_absolute() { "/" } else { "." };
    rustix::fs::openat(CWD, start, WAY, Mode::empty()).map_err(|errno| refused(path, errno))
}

fn open_below(at: &OwnedFd, name: &OsStr, path: &Path) -> Result<OwnedFd, Failure> {
    match rustix::fs::openat(at, name, WAY, Mode::empty()) {
        Err(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => Err(not_a_directory(path)),
        other => other.map_err(|errno| refused(path, errno)),
    }
}

fn stat(at: &OwnedFd, path: &Path) -> Result<Stat, Failure> {
    rustix::fs::fstat(at).map_err(|errno| refused(path, errno))
}

fn refused(path: &Path, errno: rustix::io::Errno) -> Failure {
    let errno = Errno::from_raw(errno.raw_os_error());
    let failure = Failure::from(Error::new(format!("open {}", path.display()), errno));
    match errno {
        Errno::EACCES => failure.help(ELSEWHERE),
        _ => failure,
    }
}

fn not_a_directory(path: &Path) -> Failure {
    let message = format!(
        "{} is not a directory, and labs' directories go there",
        path.display()
    );
    Failure::host(message).help("choose another place with NSLAB_RUN_DIR")
}

fn redirectable(path: &Path, whom: &str) -> Failure {
    let message = format!(
        "what {} leads to can be changed {whom}; nslab believes what is written in its run directory",
        path.display()
    );
    Failure::host(message).help(ELSEWHERE)
}

/// Whether files of a user are believed: root's, and one's own.
pub fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == nix::unistd::geteuid().as_raw()
}

/// The same for directories on the way. In a user namespace the host's root has no number of its own there: it shows as the
/// overflow user (user_namespaces(7)), and `/` belongs to it.
fn is_trusted_above(uid: u32) -> bool {
    is_trusted(uid) || (uid == user_namespace::OVERFLOW && user_namespace::is_partial())
}

/// Opens a plain file of root's for reading, if there is one. Neither links nor pipes are opened.
///
/// # Errors
/// It is something else, somebody else's, or may be written by others; or the kernel refuses.
pub fn open(path: &Path) -> Result<Option<File>, Failure> {
    open_with(path, OpenOptions::new().read(true))
}

/// The same for reading and writing.
///
/// # Errors
/// As for [`open`].
pub fn open_to_write(path: &Path) -> Result<Option<File>, Failure> {
    open_with(path, OpenOptions::new().read(true).write(true))
}

fn open_with(path: &Path, options: &mut OpenOptions) -> Result<Option<File>, Failure> {
    let what = || format!("open {}", path.display());
    match fs::symlink_metadata(path) {
        Ok(metadata) => inspect(path, &metadata)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(what(), &error).into()),
    }
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = match options.custom_flags(flags).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.attempt(what)?,
    };
    inspect(path, &file.metadata().attempt(what)?)?;
    Ok(Some(file))
}

fn inspect(path: &Path, metadata: &fs::Metadata) -> Result<(), Failure> {
    let wrong = if !metadata.is_file() {
        "is not a plain file"
    } else if !is_trusted(metadata.uid()) {
        "is not root's"
    } else if metadata.mode() & OTHERS_WRITE != 0 {
        "can be written by other users"
    } else if metadata.nlink() > 1 {
        "is a file that has another name as well"
    } else {
        return Ok(());
    };
    Err(damaged(path, wrong))
}

/// Takes a lock that commands hold for a short time, for as long as the file is open.
///
/// # Errors
/// Another process holds it for too long.
pub fn lock(file: &File, path: &Path) -> Result<(), Failure> {
    let began = Instant::now();
    let mut is_told = false;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::WOULDBLOCK) if began.elapsed() < PATIENCE => {
                if began.elapsed() > SILENCE && !std::mem::replace(&mut is_told, true) {
                    let (path, patience) = (path.display(), PATIENCE.as_secs());
                    eprintln!(
                        "nslab: waiting up to {patience} s for {path}, which {} holds",
                        holder(file)
                    );
                }
                std::thread::sleep(PAUSE);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let (path, time) = (path.display(), PATIENCE.as_secs());
                let failure = Failure::host(format!("{} has held {path} for {time} s", holder(file)));
                return Err(failure.help("if it hangs, end it"));
            }
            Err(errno) => return Err(refused(path, errno)),
        }
    }
}

/// Who holds the lock of a file, in words (proc_locks(5)).
fn holder(file: &File) -> String {
    let unknown = "another process";
    let Ok(metadata) = file.metadata() else {
        return unknown.to_owned();
    };
    let (major, minor) = (
        rustix::fs::major(metadata.dev()),
        rustix::fs::minor(metadata.dev()),
    );
    let place = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    // `1: FLOCK  ADVISORY  WRITE 812 00:19:1234 0 EOF`
    let of_file = |line: &&str| {
        let mut words = line.split_whitespace();
        words.nth(1) == Some("FLOCK") && words.nth(3) == Some(place.as_str())
    };
    let pid = locks
        .lines()
        .find(of_file)
        .and_then(|line| line.split_whitespace().nth(4));
    match pid.filter(|pid| pid.parse().is_ok_and(|pid: i32| pid > 0)) {
        Some(pid) => {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("process {pid} ({})", clean::text(name.trim()))
        }
        None => unknown.to_owned(),
    }
}

/// A file of nslab's that is not as nslab writes it.
pub fn damaged(path: &Path, wrong: &str) -> Failure {
    Failure::host(format!("{} {wrong}, so nslab does not go by it", path.display()))
}

/// Reads a plain file of root's, if there is one, of at most so many bytes.
///
/// # Errors
/// As for [`open`], or it is longer.
pub fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, Failure> {
    let Some(file) = open(path)? else {
        return Ok(None);
    };
    let bytes = match file::read_within(file, most) {
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            return Err(damaged(path, &format!("has more than {most} bytes")));
        }
        read => read.attempt(|| format!("read {}", path.display()))?,
    };
    Ok(Some(bytes))
}

/// Reads the end of a plain file of root's, if there is one: at most so many bytes.
///
/// # Errors
/// As for [`open`].
pub fn read_end(path: &Path, most: u64) -> Result<Option<Vec<u8>>, Failure> {
    let Some(mut file) = open(path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let begin = SeekFrom::Start(length.saturating_sub(most));
    let read = file
        .seek(begin)
        .and_then(|_| file.take(most).read_to_end(&mut bytes));
    read.attempt(|| format!("read {}", path.display()))?;
    Ok(Some(bytes))
}

/// Reads JSON of nslab's own, if there is some.
///
/// # Errors
/// As for [`read`], or it is damaged.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path, most: u64) -> Result<Option<T>, Failure> {
    let Some(bytes) = read(path, most)? else {
        return Ok(None);
    };
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(damaged(path, &format!("is damaged ({error})"))),
    }
}

/// Makes a file anew, readable by its owner alone.
///
/// # Errors
/// There is something of that name, or no space is left.
pub fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Replaces a file in one step: whoever reads it meanwhile reads all of the one or all of the other.
///
/// # Errors
/// The file system is full or read-only.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let what = || format!("write {}", path.display());
    let fresh = path.with_extension("new");
    // One that was left half written.
    let _ = fs::remove_file(&fresh);
    let written = create(&fresh).and_then(|mut file| file.write_all(bytes));
    let done = written.and_then(|()| fs::rename(&fresh, path));
    if done.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    Ok(done.attempt(what)?)
}

/// Whether a path is a directory of root's in which nobody else may write.
///
/// # Errors
/// The kernel refuses to tell.
pub fn is_own_directory(path: &Path, others: u32) -> Result<bool, Failure> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir() && is_trusted(metadata.uid()) && metadata.mode() & others == 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(format!("look at {}", path.display()), &error).into()),
    }
}

/// Makes a directory for its owner alone.
///
/// # Errors
/// There is something of that name, or no space is left.
pub fn make_directory(path: &Path, mode: u32) -> std::io::Result<()> {
    DirBuilder::new().mode(mode).create(path)
}
