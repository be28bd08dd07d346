//! Directories for work that is under way. Each has a lock of whoever works in it; what is without one was left by the dead.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags, open};

use super::Store;
use super::locks::{Locked, try_exclusive};
use super::trust::make;
use crate::error::{Attempt as _, Error, Result};

/// A directory of this process's own, until it is dropped.
#[derive(Debug)]
pub(super) struct Work {
    path: PathBuf,
    _lock: OwnedFd,
}

impl Work {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What cannot be removed now is swept later.
        drop(fs::remove_dir_all(&self.path));
    }
}

impl Store {
    /// Makes a directory for work.
    pub(super) fn work(&self) -> Result<Work> {
        // Whoever sweeps has the index alone: it does not come between the directory and its lock.
        let lock = self.share()?;
        self.work_locked(&lock)
    }

    pub(super) fn work_locked(&self, _: &Locked) -> Result<Work> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let boot = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |it| it.as_nanos());
        let name = format!(
            "{}-{}-{boot}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = self.root.join("tmp").join(name);
        make(&path, 0o700)?;
        let fd = open_directory(&path)?;
        match try_exclusive(&fd)? {
            true => Ok(Work { path, _lock: fd }),
            false => Err(Error::host(format!("somebody else works in {}", path.display()))),
        }
    }

    /// Removes what the dead left below `tmp`. Returns how many directories that were.
    pub(super) fn sweep(&self) -> Result<usize> {
        let path = self.root.join("tmp");
        if fs::read_dir(&path).at("read", &path)?.next().is_none() {
            return Ok(0);
        }
        let left = {
            let _lock = self.seize()?;
            let mut left = Vec::new();
            for entry in fs::read_dir(&path).at("read", &path)?.flatten() {
                let path = entry.path();
                match open_directory(&path) {
                    Ok(fd) if try_exclusive(&fd)? => left.push(Work { path, _lock: fd }),
                    Ok(_) => {}
                    Err(_) => drop(fs::remove_file(path)),
                }
            }
            left
        };
        Ok(left.len())
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    open(path, flags, Mode::empty()).at("open", path)
}
