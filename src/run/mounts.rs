//! A node's directories that are not of its root: binds, volumes of the lab's, file systems in memory.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown, lchown};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, statfs};

use super::protocol::Setup;
use super::root::{copy_entry, full, stay_in_the_node};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::mount;
use crate::kernel::overlay::{Base, tmpfs};
use crate::lab::model::{Bind, Memory, Mounted};

/// Of what is to be on a directory, all that has to be taken while the host's root is still in sight.
pub struct Taken<'s> {
    target: &'s Path,
    what: What<'s>,
}

enum What<'s> {
    Bind(&'s Bind, OwnedFd),
    Volume {
        copy: OwnedFd,
        read_only: bool,
        is_new: bool,
    },
    Memory(&'s Memory),
}

/// Makes the file system of all volumes of a lab, in the mount namespace of the template.
///
/// # Errors
/// The kernel refuses.
pub fn make_volumes(base: &Base, bytes: Option<u64>) -> Result<(), Failure> {
    let place = base.volumes();
    fs::create_dir(&place).attempt(|| "make the lab's volumes")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    Ok(mount::virtual_fs("tmpfs", &place, flags, &tmpfs(bytes))?)
}

/// Takes what is the host's and the lab's, outer directories first.
///
/// # Errors
/// There is no such path, or the kernel refuses.
pub fn take<'s>(setup: &'s Setup, base: &Base) -> Result<Vec<Taken<'s>>, Failure> {
    let mut taken = Vec::new();
    for bind in &setup.binds {
        let copy = mount::detached_copy(&bind.source)?;
        taken.push(Taken {
            target: Path::new(&bind.target),
            what: What::Bind(bind, copy),
        });
    }
    for (mount, volume) in &setup.mounts {
        let what = match (&mount.what, volume) {
            (Mounted::Volume(volume), Some(number)) => {
                let place = base.volumes().join(number.to_string());
                What::Volume {
                    is_new: make(&place, setup.rights.first_id.unwrap_or(0))?,
                    copy: mount::detached_copy(&place)?,
                    read_only: volume.read_only,
                }
            }
            (Mounted::Memory(memory), _) => What::Memory(memory),
            (Mounted::Volume(_), None) => continue,
        };
        taken.push(Taken {
            target: Path::new(&mount.target),
            what,
        });
    }
    taken.sort_by_key(|taken| taken.target.components().count());
    Ok(taken)
}

/// Makes the directory of a volume. Returns false where another node, or an earlier life of this one, has.
fn make(place: &Path, owner: u32) -> Result<bool, Failure> {
    let what = || "make a volume of the lab's";
    match DirBuilder::new().mode(0o755).create(place) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        made => {
            made.attempt(what)?;
            fs::set_permissions(place, Permissions::from_mode(0o755)).attempt(what)?;
            chown(place, Some(owner), Some(owner)).attempt(what)?;
            Ok(true)
        }
    }
}

/// Puts all of it into the node, whose root is this process's by now.
///
/// # Errors
/// A path leads out of the node, or the kernel refuses.
pub fn attach(setup: &Setup, taken: Vec<Taken<'_>>) -> Result<(), Failure> {
    for Taken { target, what } in taken {
        stay_in_the_node(target)?;
        match what {
            What::Bind(bind, copy) => {
                place(target, is_directory(&copy, target)?)?;
                mount::attach(&copy, &real(target)?, bind.read_only)?;
            }
            What::Volume {
                copy,
                read_only,
                is_new,
            } => {
                place(target, true)?;
                if is_new {
                    seed(target, &copy)?;
                }
                mount::attach(&copy, &real(target)?, read_only)?;
            }
            What::Memory(memory) => {
                place(target, true)?;
                let (flags, options) = options(memory, setup);
                mount::virtual_fs("tmpfs", target, flags, &options)?;
            }
        }
    }
    Ok(())
}

fn is_directory(copy: &OwnedFd, target: &Path) -> Result<bool, Failure> {
    let found = fs::metadata(of(copy)).attempt(|| format!("make {} in the node", target.display()))?;
    Ok(found.is_dir())
}

/// The path of a descriptor.
fn of(copy: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd()))
}

/// Where a path leads in the node: nothing is mounted on a symbolic link.
fn real(target: &Path) -> Result<PathBuf, Failure> {
    Ok(fs::canonicalize(target).attempt(|| format!("find {} in the node", target.display()))?)
}

/// Makes what is mounted on, where the node has nothing there.
fn place(target: &Path, directory: bool) -> Result<(), Failure> {
    let what = || format!("make {} in the node", target.display());
    if target.exists() {
        return Ok(());
    }
    if directory {
        return Ok(fs::create_dir_all(target).attempt(what)?);
    }
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).attempt(what)?;
    }
    Ok(fs::write(target, "").attempt(what)?)
}

/// Gives a new volume what the node has at its place, as container runtimes do.
fn seed(from: &Path, copy: &OwnedFd) -> Result<(), Failure> {
    let what = || format!("copy what is in {} into its volume", from.display());
    let to = of(copy);
    let of_root = fs::metadata(from).attempt(what)?;
    if !of_root.is_dir() {
        return Err(
            Failure::wrong(format!("{} is no directory", from.display())).help("a volume is a directory")
        );
    }
    // What is the kernel's view of something has no end.
    let kind = statfs(from).attempt(what)?.filesystem_type();
    if ![OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC].contains(&kind) {
        return Ok(());
    }
    fill(from, &to, of_root.dev()).attempt(what).map_err(full)?;
    let _ = chown(&to, Some(of_root.uid()), Some(of_root.gid()));
    fs::set_permissions(&to, Permissions::from_mode(of_root.mode() & 0o7777)).attempt(what)?;
    Ok(())
}

/// What is mounted below is left out: a directory there is on another device.
fn fill(from: &Path, to: &Path, device: u64) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            fs::create_dir(&to)?;
            if metadata.dev() == device {
                fill(&from, &to, device)?;
            }
        } else {
            copy_entry(&entry, &to)?;
        }
        // Before the mode, which it changes; where the owner is nobody here, it is whoever copies.
        let _ = lchown(&to, Some(metadata.uid()), Some(metadata.gid()));
        if !metadata.is_symlink() {
            fs::set_permissions(&to, Permissions::from_mode(metadata.mode() & 0o7777))?;
        }
    }
    Ok(())
}

/// How a file system in memory is mounted. The numbers of users are the node's.
fn options(memory: &Memory, setup: &Setup) -> (MsFlags, String) {
    let mut flags = MsFlags::empty();
    flags.set(MsFlags::MS_RDONLY, memory.read_only);
    flags.set(MsFlags::MS_NOEXEC, !memory.exec);
    flags.set(MsFlags::MS_NOSUID, !memory.suid);
    flags.set(MsFlags::MS_NODEV, !memory.dev);
    let first = setup.rights.first_id.unwrap_or(0);
    let size = tmpfs(memory.bytes.or(setup.limits.disk));
    let options = format!(
        "{size},mode={:o},uid={},gid={}",
        memory.mode,
        first.saturating_add(memory.user),
        first.saturating_add(memory.group)
    );
    (flags, options)
}
