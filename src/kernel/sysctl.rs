//! Sysctls, through /proc/sys. `net` ones concern the network namespace of the calling thread.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::error::{Attempt, Result};

/// A way to the sysctls: a /proc.
pub struct Sysctls {
    proc: OwnedFd,
}

impl Sysctls {
    /// The /proc everybody uses.
    ///
    /// # Errors
    /// It is not mounted.
    pub fn usual() -> Result<Sysctls> {
        let proc = File::open("/proc").attempt(|| "open /proc")?;
        Ok(Sysctls { proc: proc.into() })
    }

    /// A /proc of its own, mounted nowhere. Linux keeps the names below /proc/sys/net of all network namespaces
    /// in one hash chain a /proc, and walks it at every open: with 1,000 namespaces on one /proc that is a third
    /// of the time they take. Where such a /proc is not to be had the usual one does, only slower.
    ///
    /// # Errors
    /// There is no /proc at all.
    pub fn fresh() -> Result<Sysctls> {
        let mount = || -> rustix::io::Result<OwnedFd> {
            let context = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
            rustix::mount::fsconfig_create(context.as_fd())?;
            rustix::mount::fsmount(
                context.as_fd(),
                FsMountFlags::FSMOUNT_CLOEXEC,
                MountAttrFlags::empty(),
            )
        };
        mount().map_or_else(|_| Sysctls::usual(), |proc| Ok(Sysctls { proc }))
    }

    /// Writes a value. `path` is relative to /proc/sys. Those of `net` concern the network namespace of the
    /// calling thread.
    ///
    /// # Errors
    /// There is no such sysctl in this kernel, or it refuses the value.
    pub fn write(&self, path: &str, value: &str) -> Result<()> {
        let what = || format!("set sysctl {} to {value:?}", path.replace('/', "."));
        let mut file = self.open(path, OFlags::WRONLY).attempt(what)?;
        file.write_all(value.as_bytes()).attempt(what)
    }

    /// Reads a value, see [`Sysctls::write`]; nothing where there is none.
    pub fn read(&self, path: &str) -> Option<String> {
        let value = std::io::read_to_string(self.open(path, OFlags::RDONLY).ok()?).ok()?;
        Some(value.trim_end().to_owned())
    }

    fn open(&self, path: &str, access: OFlags) -> std::io::Result<File> {
        let file = rustix::fs::openat(
            &self.proc,
            format!("sys/{path}"),
            access | OFlags::CLOEXEC,
            Mode::empty(),
        );
        Ok(File::from(file?))
    }
}

/// Reads a value, trimmed.
///
/// # Errors
/// There is no such sysctl in this kernel.
pub fn read(path: &str) -> Result<String> {
    fs::read_to_string(format!("/proc/sys/{path}"))
        .map(|text| text.trim().to_owned())
        .attempt(|| format!("read sysctl {}", path.replace('/', ".")))
}
