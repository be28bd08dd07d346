//! A node's directories that are not of its root: binds, volumes of the lab's, file systems in memory.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

use super::protocol::Setup;
use super::root::{as_root_of, place};
use super::seed;
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::mount;
use crate::kernel::overlay::{Base, tmpfs};
use crate::kernel::user_namespace::mapped_copy;
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
        /// The same with the numbers of users that it has on the host, where it is filled first.
        seeded: Option<OwnedFd>,
    },
    Memory(&'s Memory),
}

/// Where the supervisor keeps the lab's volumes: in its own mount namespace, so that they outlive every template.
pub fn kept(directory: &Path) -> PathBuf {
    directory.join("volumes")
}

/// Makes the lab's volumes, in the mount namespace of the supervisor: each is a file system of its own, so that none takes the
/// room of another. They begin empty; what a node has in their place is not copied, since nodes share them.
///
/// # Errors
/// The kernel refuses.
pub fn make_volumes(directory: &Path, volumes: &[Option<u64>]) -> Result<(), Failure> {
    if volumes.is_empty() {
        return Ok(());
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let kept = kept(directory);
    mount::virtual_fs("tmpfs", &kept, mount::INERT, &tmpfs(None))?;
    for (number, &bytes) in volumes.iter().enumerate() {
        let place = kept.join(number.to_string());
        fs::create_dir(&place).attempt(|| "make the lab's volumes")?;
        mount::virtual_fs("tmpfs", &place, flags, &tmpfs(bytes))?;
    }
    Ok(())
}

/// Puts the lab's volumes into the base of all roots, in the mount namespace of the template, which has begun as a copy of the
/// supervisor's.
///
/// # Errors
/// The kernel refuses.
pub fn take_volumes(base: &Base, kept: &Path, count: usize) -> Result<(), Failure> {
    if count == 0 {
        return Ok(());
    }
    for number in 0..count {
        let name = number.to_string();
        let place = base.volumes().join(&name);
        fs::create_dir_all(&place).attempt(|| "put the lab's volumes in place")?;
        mount::attach(&mount::detached_copy(&kept.join(name))?, &place, false)?;
    }
    // Each once is enough for every node's copy of these mounts.
    Ok(mount::detach(kept)?)
}

/// Takes what is the host's and the lab's, outer directories first. `users` are the node's own, where it has some: a volume's
/// files are theirs, as they are the other nodes'.
///
/// # Errors
/// There is no such path, or the kernel refuses.
pub fn take<'s>(setup: &'s Setup, base: &Base, users: Option<&OwnedFd>) -> Result<Vec<Taken<'s>>, Failure> {
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
                    copy: match users {
                        None => mount::detached_copy(&place)?,
                        Some(users) => mapped_copy(&place, users)?,
                    },
                    read_only: volume.read_only,
                    seeded: volume.seeded.then(|| mount::detached_copy(&place)).transpose()?,
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

/// Puts all of it into the node, whose root is this process's by now. One may be within another that other nodes have, too, and
/// change at the same time.
///
/// # Errors
/// A path leads out of the node, or the kernel refuses.
pub fn attach(setup: &Setup, taken: Vec<Taken<'_>>, users: Option<&OwnedFd>) -> Result<(), Failure> {
    for Taken { target, what } in taken {
        let find = |directory: bool| {
            if let Some(users) = users {
                // What is made there is the node's root's, wherever that may make something.
                let _ = as_root_of(users, || place(target, directory).map(drop));
            }
            place(target, directory)
        };
        match what {
            What::Bind(bind, copy) => {
                let place = find(is_directory(&copy, target)?)?;
                mount::attach_at(&copy, &place, bind.read_only, target)?;
            }
            What::Volume {
                copy,
                read_only,
                seeded,
            } => {
                let place = find(true)?;
                insist_on_directory(&place, target)?;
                if let Some(plain) = seeded {
                    let first = users.and(setup.rights.first_id).unwrap_or(0);
                    seed::fill(&place, &plain, target, first)?;
                }
                mount::attach_at(&copy, &place, read_only, target)?;
            }
            What::Memory(memory) => {
                let place = find(true)?;
                insist_on_directory(&place, target)?;
                let (flags, options) = options(memory, setup);
                mount::virtual_fs("tmpfs", &of(&place), flags, &options)?;
            }
        }
    }
    Ok(())
}

fn is_directory(found: &OwnedFd, target: &Path) -> Result<bool, Failure> {
    let found = fs::metadata(of(found)).attempt(|| format!("make {} in the node", target.display()))?;
    Ok(found.is_dir())
}

fn insist_on_directory(place: &OwnedFd, target: &Path) -> Result<(), Failure> {
    if is_directory(place, target)? {
        return Ok(());
    }
    let message = format!("{} is no directory", target.display());
    Err(Failure::wrong(message).help("a volume is a directory, and so is a file system in memory"))
}

/// The path of a descriptor.
fn of(found: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", found.as_raw_fd()))
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
