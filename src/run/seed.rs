//! What a volume begins with that an image asks for: the image's own directory.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, lchown, symlink,
};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::failure::Failure;
use crate::kernel::error::{Attempt as _, Error};

/// Says of a volume that it has been filled, to nobody in a node: this kind of attribute is the host's root's alone.
const MARK: &str = "trusted.nslab.seeded";
/// Whose the files are that nobody of the node has.
const NOBODY: u32 = 65_534;
/// As deep as directories of images are.
const DEEPEST: usize = 256;

/// Fills a volume once, from the directory of the node that it will stand on. Nothing runs in the node yet. What is filled again after a
/// kill has the same in it.
///
/// # Errors
/// There is no room for it, or the kernel refuses.
pub fn fill(from: &OwnedFd, volume: &OwnedFd, target: &Path, first: u32) -> Result<(), Failure> {
    let place = PathBuf::from(format!("/proc/self/fd/{}", volume.as_raw_fd()));
    let mut value = [0u8; 1];
    if rustix::fs::getxattr(&place, MARK, &mut value[..]).is_ok() {
        return Ok(());
    }
    let from = PathBuf::from(format!("/proc/self/fd/{}", from.as_raw_fd()));
    copy(&from, &place, first, DEEPEST)
        .attempt(|| {
            format!(
                "fill the volume {} with what the image has there",
                target.display()
            )
        })
        .map_err(full)?;
    // Without root there is no such mark: it is filled again with what is missing, at the next start.
    let _ = rustix::fs::setxattr(&place, MARK, b"y", rustix::fs::XattrFlags::empty());
    Ok(())
}

fn full(error: Error) -> Failure {
    let is_full = error.errno == Errno::ENOSPC;
    let failure = Failure::from(error);
    match is_full {
        true => failure.help(
            "volumes have the room of the node's disk, `limits = { disk = \"4G\" }`; one that the lab file names begins empty",
        ),
        false => failure,
    }
}

/// What a directory holds, with owners and modes. Files that are there already are the node's.
fn copy(from: &Path, to: &Path, first: u32, depth: usize) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let kind = metadata.file_type();
        let place = to.join(entry.file_name());
        let is_there = fs::symlink_metadata(&place).is_ok();
        if kind.is_dir() && depth > 0 {
            if !is_there {
                fs::create_dir(&place)?;
            }
            copy(&entry.path(), &place, first, depth - 1)?;
            continue;
        }
        if is_there || kind.is_dir() || kind.is_socket() || kind.is_fifo() {
            continue;
        }
        if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, &place)?;
            own_like(&place, &metadata, first)?;
        } else if kind.is_file() {
            let mut source = File::open(entry.path())?;
            let mut file = File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&place)?;
            io::copy(&mut source, &mut file)?;
            like(&place, &metadata, first)?;
        }
    }
    like(to, &fs::metadata(from)?, first)
}

/// The owner has the number that it has in the node: `first` is the host's for the node's root.
fn own_like(place: &Path, model: &fs::Metadata, first: u32) -> io::Result<()> {
    let id = |id: u32| match id.checked_sub(first) {
        Some(own) if first == 0 || own <= u32::from(u16::MAX) => Some(own),
        _ => Some(NOBODY),
    };
    lchown(place, id(model.uid()), id(model.gid()))
}

fn like(place: &Path, model: &fs::Metadata, first: u32) -> io::Result<()> {
    own_like(place, model, first)?;
    fs::set_permissions(place, Permissions::from_mode(model.mode() & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_node_has_made_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        fs::create_dir_all(from.join("sub/deep")).unwrap();
        fs::create_dir_all(to.join("sub")).unwrap();
        fs::write(from.join("sub/file"), "image's").unwrap();
        fs::write(to.join("sub/file"), "node's").unwrap();
        fs::write(from.join("run"), "x").unwrap();
        fs::set_permissions(from.join("run"), Permissions::from_mode(0o4711)).unwrap();
        symlink("/etc/shadow", from.join("link")).unwrap();
        copy(&from, &to, 0, DEEPEST).unwrap();
        assert_eq!(fs::read_to_string(to.join("sub/file")).unwrap(), "node's");
        assert_eq!(fs::metadata(to.join("run")).unwrap().mode() & 0o7777, 0o4711);
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("/etc/shadow"));
        assert!(to.join("sub/deep").is_dir());
    }
}
