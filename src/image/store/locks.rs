//! Locks (flock(2)): they end with their descriptors, so no death leaves one.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open, stat};
use rustix::io::Errno;

use super::{Lease, Store};
use crate::digest::Digest;
use crate::error::{Attempt as _, Error, Kind, Result};

/// How long another command may have the index. It has it for moments only.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two tries: the kernel has no way to wait for a lock with a limit.
const PAUSE: Duration = Duration::from_millis(3);

/// The lock of the index, until it is dropped.
#[derive(Debug)]
pub(super) struct Locked {
    _fd: OwnedFd,
}

/// Opens a file for its lock.
pub(super) fn open_lock(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    open(path, flags, Mode::from_raw_mode(0o600)).at("open", path)
}

/// Takes a lock that nobody else has. None where somebody has it.
pub(super) fn try_exclusive(fd: &OwnedFd) -> Result<bool> {
    attempt(fd, FlockOperation::NonBlockingLockExclusive)
}

fn attempt(fd: &OwnedFd, operation: FlockOperation) -> Result<bool> {
    match flock(fd, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno).attempt(|| "lock a file of the store".to_owned()),
    }
}

/// Whether a path still leads to a file that was opened by it.
pub(super) fn is_still(fd: &OwnedFd, path: &Path) -> bool {
    match (fstat(fd), stat(path)) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
        _ => false,
    }
}

impl Store {
    /// Locks the index to read it, or to begin something that those who change it must not miss.
    pub(super) fn share(&self) -> Result<Locked> {
        self.lock(FlockOperation::NonBlockingLockShared)
    }

    /// Locks the index to change it.
    pub(super) fn seize(&self) -> Result<Locked> {
        self.lock(FlockOperation::NonBlockingLockExclusive)
    }

    fn lock(&self, operation: FlockOperation) -> Result<Locked> {
        let fd = open_lock(&self.root.join("lock"))?;
        let until = Instant::now() + PATIENCE;
        while !attempt(&fd, operation)? {
            if Instant::now() > until {
                let message = format!(
                    "another command has had the lock of {} for a minute",
                    self.root.display()
                );
                return Err(Error::new(Kind::Busy, message).help("wait until it is done"));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(Locked { _fd: fd })
    }

    /// Leases an image, which need not be whole yet.
    pub(super) fn lease(&self, manifest: &Digest, _: &Locked) -> Result<Lease> {
        let fd = open_lock(&self.root.join("leases").join(manifest.hex()))?;
        // Whoever asks for it alone has the index alone.
        match attempt(&fd, FlockOperation::NonBlockingLockShared)? {
            true => Ok(Lease(fd)),
            false => Err(Error::new(
                Kind::Busy,
                "somebody has the image's lease for himself",
            )),
        }
    }

    /// Whether somebody uses an image.
    pub(super) fn is_leased(&self, manifest: &Digest, _: &Locked) -> Result<bool> {
        let path = self.root.join("leases").join(manifest.hex());
        if !path.exists() {
            return Ok(false);
        }
        Ok(!try_exclusive(&open_lock(&path)?)?)
    }
}
