//! Layers of overlays: mounted one on the other, or put together into one.

use std::fs;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::{make, make_like};
use crate::error::{Attempt, Error, Result};
use crate::user_namespace;

/// Mounts an overlay on `place`: a writable layer in `scratch`, and those below it.
pub(super) fn overlay(scratch: &Path, number: usize, layers: &[PathBuf], place: &Path) -> Result<()> {
    let (upper, work) = (
        scratch.join(format!("u{number}")),
        scratch.join(format!("w{number}")),
    );
    make(&work, 0o700)?;
    let lower: Vec<String> = layers.iter().map(|layer| escape(layer)).collect();
    let mut options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        escape(&upper),
        escape(&work)
    );
    if user_namespace::is_partial() {
        options += ",userxattr";
    }
    if options.len() >= PAGE {
        return overlay_of_many(&upper, &work, layers, place);
    }
    // Device files of the host's are none in nodes: what they may use stands in /dev.
    mount(
        Some("overlay"),
        place,
        Some("overlay"),
        MsFlags::MS_NODEV,
        Some(options.as_str()),
    )
    .attempt(|| format!("lay an overlay on {}", place.display()))
}

/// The options of mount(2) are no longer than a page, the closing NUL included.
const PAGE: usize = 4096;

/// The same by way of fsopen(2), which takes one layer at a time: up to 500 (OVL_MAX_STACK).
fn overlay_of_many(upper: &Path, work: &Path, layers: &[PathBuf], place: &Path) -> Result<()> {
    use rustix::mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag,
        fsconfig_set_string, fsmount, fsopen, move_mount,
    };
    let mounted = || -> rustix::io::Result<()> {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let context = std::os::fd::AsFd::as_fd(&context);
        fsconfig_set_string(context, "source", "overlay")?;
        for layer in layers {
            fsconfig_set_string(context, "lowerdir+", layer)?;
        }
        fsconfig_set_string(context, "upperdir", upper)?;
        fsconfig_set_string(context, "workdir", work)?;
        if user_namespace::is_partial() {
            fsconfig_set_flag(context, "userxattr")?;
        }
        fsconfig_create(context)?;
        let mount = fsmount(
            context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::MOUNT_ATTR_NODEV,
        )?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(&mount, "", rustix::fs::CWD, place, flags)
    };
    mounted().map_err(|errno| {
        let mut error = Error::new(
            format!("lay an overlay of {} layers on {}", layers.len(), place.display()),
            Errno::from_raw(errno.raw_os_error()),
        );
        if error.errno == Errno::EINVAL || error.errno == Errno::ENOSYS {
            error.said =
                Some("so many layers take Linux 6.8 or newer, and no more than 500 go on each other".into());
        }
        error
    })
}

/// Puts all that is in a layer into another, whose own files of these names go: directories with the modes and owners they have,
/// everything else as a further name of the same file.
pub(super) fn lay_over(from: &Path, onto: &Path) -> Result<()> {
    let what = || format!("copy {}", from.display());
    for entry in fs::read_dir(from).attempt(what)? {
        let entry = entry.attempt(what)?;
        let (source, target) = (entry.path(), onto.join(entry.file_name()));
        let is_directory = entry.file_type().attempt(what)?.is_dir();
        let there = fs::symlink_metadata(&target).ok();
        if there.is_some_and(|there| !(is_directory && there.is_dir())) {
            fs::remove_file(&target).attempt(what)?;
        }
        if !is_directory {
            fs::hard_link(&source, &target).attempt(what)?;
            continue;
        }
        make_like(&source, &target)?;
        if is_opaque(&source) {
            make_opaque(&target).map_err(|errno| Error::new(what(), errno))?;
        }
        lay_over(&source, &target)?;
    }
    Ok(())
}

/// Lets nothing of the layers below show through a directory.
pub(super) fn make_opaque(directory: &Path) -> std::result::Result<(), Errno> {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(directory, opaque(), b"y", flags)
        .map_err(|errno| Errno::from_raw(errno.raw_os_error()))
}

/// The attribute of a directory that shows nothing of the layers below. In a user namespace only a user's attributes can be set, and
/// overlays of there go by those (userxattr).
fn opaque() -> &'static str {
    match user_namespace::is_partial() {
        true => "user.overlay.opaque",
        false => "trusted.overlay.opaque",
    }
}

fn is_opaque(directory: &Path) -> bool {
    let mut value = [0; 1];
    rustix::fs::getxattr(directory, opaque(), &mut value[..])
        .is_ok_and(|length| length == 1 && value == *b"y")
}

/// Colons separate lower directories, commas options, and backslashes escape both.
fn escape(path: &Path) -> String {
    let mut escaped = String::new();
    for character in path.to_string_lossy().chars() {
        if matches!(character, ':' | ',' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use nix::sys::stat::{Mode, SFlag, makedev, mknod};

    use super::*;

    #[test]
    fn a_layer_over_another_keeps_what_that_hides() {
        let directory = tempfile::tempdir().unwrap();
        let [from, onto] = ["from", "onto"].map(|name| directory.path().join(name));
        for path in ["from/hidden/own", "from/empty", "onto/hidden", "onto/other"] {
            fs::create_dir_all(directory.path().join(path)).unwrap();
        }
        fs::set_permissions(from.join("empty"), Permissions::from_mode(0o1777)).unwrap();
        make_opaque(&from.join("empty")).unwrap();
        make_opaque(&onto.join("hidden")).unwrap();
        fs::write(from.join("hosts"), "ours").unwrap();
        mknod(&onto.join("hosts"), SFlag::S_IFCHR, Mode::empty(), makedev(0, 0)).unwrap();
        lay_over(&from, &onto).unwrap();
        assert_eq!(fs::read_to_string(onto.join("hosts")).unwrap(), "ours");
        assert!(is_opaque(&onto.join("hidden")) && onto.join("hidden/own").is_dir());
        assert!(is_opaque(&onto.join("empty")) && !is_opaque(&onto.join("hidden/own")));
        assert_eq!(fs::metadata(onto.join("empty")).unwrap().mode() & 0o7777, 0o1777);
        assert!(onto.join("other").is_dir());
    }
}
