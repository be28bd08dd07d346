//! Mounts: the host's table, and the few calls that make and drop them (mount(2), proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::FsFlags;
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags};
use serde::{Deserialize, Serialize};

use super::error::{Attempt, Error, Result};

/// One line of the mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is.
    pub target: PathBuf,
    /// The file system's type.
    pub kind: String,
}

/// How a host mount shows in a node's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// As an overlay: the node may write, the host does not see it.
    Overlay(PathBuf),
    /// As a bind mount of a single file.
    File(PathBuf),
    /// As a directory made anew, whose entries are shown each by itself; see [`super::apart`].
    Apart(PathBuf),
}

impl Shown {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Shown::Overlay(path) | Shown::File(path) | Shown::Apart(path) => path,
        }
    }
}

/// File systems that are views of the kernel, not files: nodes get their own or none.
const VIEWS: [&str; 20] = [
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "mqueue",
    "cgroup",
    "cgroup2",
    "debugfs",
    "tracefs",
    "securityfs",
    "pstore",
    "bpf",
    "configfs",
    "fusectl",
    "hugetlbfs",
    "autofs",
    "binfmt_misc",
    "nsfs",
    "efivarfs",
    "rpc_pipefs",
];

/// Places nodes get anew, and other tools' containers, whose mounts are many and nobody's business.
pub(super) const APART: [&str; 10] = [
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/tmp",
    "/snap",
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/lib/containerd",
    "/var/lib/kubelet",
];

/// The calling process's mounts, in the order they were made.
///
/// # Errors
/// /proc is not mounted.
pub fn table() -> Result<Vec<Mount>> {
    let text = fs::read("/proc/self/mountinfo").attempt(|| "read the mount table")?;
    Ok(text.split(|&byte| byte == b'\n').filter_map(parse).collect())
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`: target is the fifth field, the type
/// follows the lone dash.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let target = fields.nth(4)?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    let target = PathBuf::from(OsString::from_vec(unescape(target)));
    Some(Mount {
        target,
        kind: String::from_utf8_lossy(kind).into_owned(),
    })
}

/// Blanks, tabs, newlines and backslashes stand as `\ooo`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let code = (first == b'\\').then(|| tail.get(..3)).flatten();
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &tail[3..];
            }
            None => {
                plain.push(first);
                rest = tail;
            }
        }
    }
    plain
}

/// What of the host's mounts a node's root shows besides `/` itself, outer before inner.
pub fn shown(table: &[Mount]) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    for mount in table {
        let apart = APART.iter().any(|place| mount.target.starts_with(place));
        let user_view = mount.kind.starts_with("fuse.");
        if mount.target == Path::new("/") || apart || user_view || VIEWS.contains(&mount.kind.as_str()) {
            continue;
        }
        let Ok(metadata) = fs::metadata(&mount.target) else {
            continue;
        };
        let target = mount.target.clone();
        let entry = if metadata.is_dir() {
            Shown::Overlay(target)
        } else {
            Shown::File(target)
        };
        // A place mounted over twice is shown once, as it looks now.
        shown.retain(|other| other != &entry);
        shown.push(entry);
    }
    sort(&mut shown);
    shown
}

/// Outer before inner.
pub(super) fn sort(shown: &mut [Shown]) {
    shown.sort_by_key(|entry| entry.path().components().count());
}

/// Keeps all further mounts of this mount namespace to itself, and drops those that neither nodes nor the
/// supervisor need: every node's mount namespace starts as a copy of this one, and each mount costs. What `keep` names, without
/// symbolic links, stays, with what is mounted in it.
///
/// # Errors
/// The kernel refuses to make them private.
pub fn seclude(keep: &[PathBuf]) -> Result<()> {
    make_private("/")?;
    let table = table()?;
    let shown = shown(&table);
    for mount in table.iter().rev() {
        let needed = ["/", "/proc", "/dev", "/sys"]
            .iter()
            .any(|path| mount.target == Path::new(path))
            || mount.target.starts_with("/sys/fs/cgroup")
            || keep
                .iter()
                .any(|path| path.starts_with(&mount.target) || mount.target.starts_with(path))
            || shown.iter().any(|entry| entry.path() == mount.target);
        if !needed {
            // One that is gone with its parent, or stays, costs a little time and nothing else.
            let _ = umount2(&mount.target, MntFlags::MNT_DETACH);
        }
    }
    Ok(())
}

/// Mounts a file system that has no device.
///
/// # Errors
/// The kernel refuses.
pub fn virtual_fs(kind: &str, target: &Path, flags: MsFlags, options: &str) -> Result<()> {
    mount(Some(kind), target, Some(kind), flags, Some(options))
        .attempt(|| format!("mount {kind} on {}", target.display()))
}

/// Flags for file systems that hold neither programs nor devices.
pub const INERT: MsFlags = MsFlags::MS_NOSUID
    .union(MsFlags::MS_NODEV)
    .union(MsFlags::MS_NOEXEC);

/// A copy of the mount at `source` (and what is mounted below), not yet anywhere; see [`attach`].
///
/// # Errors
/// There is no such path, or the kernel refuses.
pub fn detached_copy(source: &Path) -> Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(CWD, source, flags).map_err(|errno| refused("take", source, errno))
}

/// Puts a detached copy on a path.
///
/// # Errors
/// There is no such path, or it is a file where the copy is a directory.
pub fn attach(copy: &OwnedFd, target: &Path, read_only: bool) -> Result<()> {
    rustix::mount::move_mount(copy, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|errno| refused("bind on", target, errno))?;
    if read_only {
        make_read_only(target)?;
    }
    Ok(())
}

/// The same, on a place that was found before, so that nobody can have changed the way there since.
///
/// # Errors
/// It is a file where the copy is a directory, or the kernel refuses.
pub fn attach_at(copy: &OwnedFd, place: &OwnedFd, read_only: bool, path: &Path) -> Result<()> {
    if read_only {
        // Its own descriptor: whoever finds the mount finds it so.
        super::user_namespace::set_attributes(copy, libc::MOUNT_ATTR_RDONLY, None)
            .attempt(|| format!("make {} read-only", path.display()))?;
    }
    let both = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(copy, "", place, "", both).map_err(|errno| refused("bind on", path, errno))
}

/// Whether what is at a path has lost the path that it had where it was mounted from.
///
/// # Errors
/// There is nothing.
pub fn is_unlinked(place: &Path) -> Result<bool> {
    let what = || format!("look at {}", place.display());
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let found = rustix::fs::open(place, flags, rustix::fs::Mode::empty())
        .map_err(|errno| Error::new(what(), Errno::from_raw(errno.raw_os_error())))?;
    let path = fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).attempt(what)?;
    // What the kernel says of files without a path (d_path).
    let mut lost = place.file_name().unwrap_or_default().to_owned();
    lost.push(" (deleted)");
    Ok(path.file_name() == Some(&lost))
}

/// Takes a mount away.
///
/// # Errors
/// There is none.
pub fn detach(place: &Path) -> Result<()> {
    umount2(place, MntFlags::MNT_DETACH).attempt(|| format!("unmount {}", place.display()))
}

/// Changes the mount alone, not the file system, of which there may be other mounts. What the mount does not do already (run
/// setuid programs, say) it goes on not to do: in a user namespace the kernel insists on that.
///
/// # Errors
/// The kernel refuses.
pub fn make_read_only(place: &Path) -> Result<()> {
    let kept = nix::sys::statvfs::statvfs(place)
        .attempt(|| format!("make {} read-only", place.display()))?
        .flags();
    let mut flags = MsFlags::empty();
    for (flag, now) in [
        (MsFlags::MS_NOSUID, FsFlags::ST_NOSUID),
        (MsFlags::MS_NODEV, FsFlags::ST_NODEV),
        (MsFlags::MS_NOEXEC, FsFlags::ST_NOEXEC),
        (MsFlags::MS_NOATIME, FsFlags::ST_NOATIME),
        (MsFlags::MS_NODIRATIME, FsFlags::ST_NODIRATIME),
    ] {
        flags.set(flag, kept.contains(now));
    }
    set_read_only(place, flags)
}

/// The same for a mount of which it is known what it does not do already: one call less, which counts where every node has a dozen.
///
/// # Errors
/// The kernel refuses.
pub(super) fn set_read_only(place: &Path, kept: MsFlags) -> Result<()> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | kept;
    mount(None::<&str>, place, None::<&str>, flags, None::<&str>)
        .attempt(|| format!("make {} read-only", place.display()))
}

/// Gives a namespace a name: a file, in a mount namespace that is this process's alone.
///
/// # Errors
/// There is no such file, or the kernel refuses.
pub fn name_namespace(namespace: &OwnedFd, place: &Path) -> Result<()> {
    make_private("/")?;
    let source = format!("/proc/self/fd/{}", namespace.as_raw_fd());
    let none = None::<&str>;
    mount(Some(source.as_str()), place, none, MsFlags::MS_BIND, none)
        .attempt(|| format!("name a namespace {}", place.display()))
}

fn refused(verb: &str, path: &Path, errno: rustix::io::Errno) -> Error {
    Error::new(
        format!("{verb} {}", path.display()),
        Errno::from_raw(errno.raw_os_error()),
    )
}

/// Makes the root of this process that of its whole mount namespace, where it is another: in a chroot(2) what is outside is
/// still there, and whoever joins the namespace begins there (setns(2)). The namespace must be this process's alone.
///
/// # Errors
/// The kernel refuses.
pub fn own_root() -> Result<()> {
    let what = || "leave what is outside the root of this process";
    let root = fs::File::open("/").attempt(what)?;
    join_namespace(&own_namespace()?)?;
    if place_of(&root).attempt(what)? == place_of(&fs::File::open("/").attempt(what)?).attempt(what)? {
        return Ok(());
    }
    make_private("/")?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let refused = |errno: rustix::io::Errno| Error::new(what(), Errno::from_raw(errno.raw_os_error()));
    let tree = rustix::mount::open_tree(&root, "", flags).map_err(refused)?;
    let both = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(&tree, "", &root, "", both).map_err(refused)?;
    nix::unistd::fchdir(&tree).attempt(what)?;
    nix::unistd::pivot_root(".", ".").attempt(what)?;
    umount2(".", MntFlags::MNT_DETACH).attempt(what)?;
    nix::unistd::chdir("/").attempt(what)
}

/// The mount and the directory in it.
fn place_of(directory: &fs::File) -> std::io::Result<(u64, u64)> {
    let wanted = rustix::fs::StatxFlags::INO | rustix::fs::StatxFlags::MNT_ID;
    let found = rustix::fs::statx(directory, "", rustix::fs::AtFlags::EMPTY_PATH, wanted)?;
    Ok((found.stx_mnt_id, found.stx_ino))
}

fn make_private(path: &str) -> Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, path, None::<&str>, flags, None::<&str>).attempt(|| "make the lab's mounts private")
}

/// Where [`put_below`] leaves what was there.
const BELOW: &str = "host";

/// Prepares this process's mount namespace for [`enter`] in copies of it: on `place`, a directory, comes an empty file system that
/// becomes the namespace's root, with all that was there in a directory of it, which becomes the root of this process. So nothing
/// changes for it.
///
/// # Errors
/// The kernel refuses.
pub fn put_below(place: &Path) -> Result<()> {
    let what = || "put the host's mounts below an empty root";
    virtual_fs("tmpfs", place, INERT, "mode=0755,size=4096")?;
    let below = place.join(BELOW);
    fs::create_dir(&below).attempt(what)?;
    nix::unistd::pivot_root(place, &below).attempt(what)?;
    nix::unistd::chroot(&Path::new("/").join(BELOW)).attempt(what)?;
    nix::unistd::chdir("/").attempt(what)
}

/// Makes `root` the root of this process and of whoever joins its mount namespace, and lets go of the host's mounts. The namespace
/// is this process's own copy of one that [`put_below`] has prepared: pivot_root(2) would do without that, but looks at each thread
/// of the whole machine, which is what most of it would cost in a lab of hundreds of nodes.
///
/// # Errors
/// The kernel refuses.
pub fn enter(root: &Path) -> Result<()> {
    let what = || format!("make {} the root", root.display());
    let root = fs::File::open(root).attempt(what)?;
    let namespace = fs::File::open("/proc/self/ns/mnt").attempt(what)?;
    // Takes this process to the namespace's own root.
    nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNS).attempt(what)?;
    rustix::mount::move_mount(&root, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|errno| Error::new(what(), Errno::from_raw(errno.raw_os_error())))?;
    // From here on everybody begins on top; this process is below, where the host's mounts are.
    umount2(&Path::new("/").join(BELOW), MntFlags::MNT_DETACH).attempt(what)?;
    nix::unistd::fchdir(&root).attempt(what)?;
    nix::unistd::chroot(".").attempt(what)
}

/// The mount namespace of this process.
///
/// # Errors
/// /proc is not mounted.
pub fn own_namespace() -> Result<fs::File> {
    fs::File::open("/proc/self/ns/mnt").attempt(|| "find the mount namespace")
}

/// Takes this process to the root that a mount namespace has by now, also where it is in that already.
///
/// # Errors
/// The kernel refuses.
pub fn join_namespace(namespace: &fs::File) -> Result<()> {
    nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNS)
        .attempt(|| "go to the root of the mount namespace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_lines_are_read_with_blanks_and_optional_fields() {
        let line = b"36 35 98:0 /mnt1 /a\\040b\\134c rw,noatime master:1 shared:2 - ext3 /dev/root rw";
        let mount = parse(line).unwrap();
        assert_eq!(
            mount,
            Mount {
                target: PathBuf::from("/a b\\c"),
                kind: "ext3".into()
            }
        );
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"1 2 3"), None);
    }
}
