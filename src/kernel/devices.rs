//! A node's own /dev (Documentation/admin-guide/devices.txt).

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use nix::unistd::mkdir;

use super::error::{Attempt, Error, Result};
use super::mount::{INERT, virtual_fs};
use super::overlay::{bind, tmpfs};

/// Device files that are harmless in a node, with their numbers (Documentation/admin-guide/devices.txt).
const DEVICES: [(&str, u64, u64); 7] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
    ("net/tun", 10, 200),
];
/// Those that a node has from which nothing is withheld: the kernel's log, and file systems of its own.
const PRIVILEGED_DEVICES: [(&str, u64, u64); 2] = [("kmsg", 1, 11), ("fuse", 10, 229)];

/// Most terminals a node may have open (devpts, `max`): all file systems of terminals share what `kernel.pty.max` allows.
const MOST_TERMINALS: u32 = 64;

/// Makes it, on a directory: with the files of privileged nodes or without them, and room for so many bytes.
///
/// # Errors
/// The kernel refuses a mount or a file.
pub(super) fn make(dev: &Path, privileged: bool, bytes: Option<u64>) -> Result<()> {
    virtual_fs("tmpfs", dev, MsFlags::MS_NOSUID, &tmpfs(bytes))?;
    let more = PRIVILEGED_DEVICES.iter().filter(|_| privileged);
    // What is made has the mode that it is made with, which saves a call each.
    let before = umask(Mode::empty());
    let made = device_files(dev, DEVICES.iter().chain(more));
    umask(before);
    made?;
    virtual_fs(
        "devpts",
        &dev.join("pts"),
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        &format!("newinstance,ptmxmode=0666,mode=0620,max={MOST_TERMINALS}"),
    )?;
    virtual_fs("mqueue", &dev.join("mqueue"), INERT, "")?;
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        std::os::unix::fs::symlink(target, dev.join(name)).attempt(|| format!("make /dev/{name}"))?;
    }
    Ok(())
}

fn device_files<'a>(dev: &Path, devices: impl Iterator<Item = &'a (&'a str, u64, u64)>) -> Result<()> {
    for (name, mode) in [
        ("net", 0o755),
        ("pts", 0o755),
        ("mqueue", 0o1777),
        ("shm", 0o1777),
    ] {
        let directory = dev.join(name);
        mkdir(&directory, Mode::from_bits_truncate(mode))
            .attempt(|| format!("make {}", directory.display()))?;
    }
    for (name, major, minor) in devices.copied() {
        device(
            &dev.join(name),
            Path::new("/dev").join(name).as_path(),
            makedev(major, minor),
        )?;
    }
    Ok(())
}

/// Makes a device file; where that is forbidden (a container), binds the host's.
fn device(path: &Path, host: &Path, number: u64) -> Result<()> {
    let mode = Mode::from_bits_truncate(0o666);
    match mknod(path, SFlag::S_IFCHR, mode, number) {
        Ok(()) => Ok(()),
        Err(Errno::EPERM) if host.exists() => {
            fs::write(path, "").attempt(|| format!("make {}", path.display()))?;
            bind(host, path, false)
        }
        Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err(Error::new(format!("make {}", path.display()), errno)),
    }
}
