//! What of the host's files nodes see where the host's mounts are another user namespace's: those are locked together, so that a
//! directory cannot be taken without what is mounted below it, and no overlay be laid on it (mount_namespaces(7)). Such a directory
//! is made anew, and its entries are shown each by itself. And whoever is root in a node is not the root whose the files are.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::{Attempt as _, Result};
use super::mount::{APART, Mount, Shown, sort};
use super::overlay::make_like;

/// A file of more bytes is bound and not copied.
const COPIED: u64 = 256 << 10;
/// More than this is not copied, in bytes for each directory.
const MOST_BYTES: u64 = 16 << 20;
/// So many directories and large files are shown by themselves, each of which is a mount in each node. Those that come after them
/// are there and empty.
const MOST: usize = 500;
/// Directories in which a node's root is to make files although the host's are not its own.
const WRITABLE: [&str; 2] = ["/etc", "/var"];
/// So many of them are made at most, those nearest to the root first.
const MOST_DIRECTORIES: usize = 4_000;

/// What is shown, and `/`. Entries of `hidden` directories are not looked at.
pub fn take_apart(shown: Vec<Shown>, table: &[Mount], hidden: &[&str]) -> Vec<Shown> {
    let mut all = Vec::new();
    take(Path::new("/"), table, hidden, &mut all);
    for entry in shown {
        match entry {
            Shown::Overlay(path) => take(&path, table, hidden, &mut all),
            other => all.push(other),
        }
    }
    sort(&mut all);
    all
}

fn take(directory: &Path, table: &[Mount], hidden: &[&str], all: &mut Vec<Shown>) {
    let is_below = |mount: &Mount| mount.target != directory && mount.target.starts_with(directory);
    if !table.iter().any(is_below) {
        all.push(Shown::Overlay(directory.to_owned()));
        return;
    }
    all.push(Shown::Apart(directory.to_owned()));
    if hidden.iter().any(|hidden| directory == Path::new(hidden)) {
        return;
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else {
            continue;
        };
        let is_elsewhere = APART.iter().any(|place| path.starts_with(place))
            || table.iter().any(|mount| mount.target == path);
        if is_elsewhere || all.len() >= MOST {
            continue;
        }
        if metadata.is_dir() {
            take(&path, table, hidden, all);
        } else if metadata.is_file() && metadata.len() > COPIED {
            all.push(Shown::File(path));
        }
    }
}

/// Makes what is in a directory of the host's anew in another: directories empty, links and small files as they are, other files
/// as places to bind them to. What cannot be read is left out.
///
/// # Errors
/// Memory is short.
pub(super) fn copy_entries(from: &Path, to: &Path) -> Result<()> {
    let mut left = MOST_BYTES;
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        let what = || format!("make {}", place.display());
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            make_like(&path, &place)?;
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).attempt(what)?;
            std::os::unix::fs::symlink(target, &place).attempt(what)?;
        } else if metadata.is_file() && metadata.len() > COPIED.min(left) {
            fs::write(&place, "").attempt(what)?;
        } else if metadata.is_file()
            && let Ok(bytes) = fs::read(&path)
        {
            left = left.saturating_sub(bytes.len() as u64);
            fs::write(&place, bytes).attempt(what)?;
            fs::set_permissions(&place, metadata.permissions()).attempt(what)?;
        }
    }
    Ok(())
}

/// Whether a node's root is to make files in a directory of the host's.
pub(super) fn is_writable(directory: &Path) -> bool {
    WRITABLE.iter().any(|it| directory.starts_with(it))
}

/// Makes directories like those below one of the host's below another, but for the hidden ones. The uppermost layer of an overlay
/// that has a directory says whose it is: these are the node's root's.
///
/// # Errors
/// Memory is short.
pub(super) fn copy_directories(from: &Path, to: &Path, hidden: &[PathBuf]) -> Result<()> {
    let mut left = MOST_DIRECTORIES;
    let mut next = VecDeque::from([(from.to_owned(), to.to_owned())]);
    while let Some((from, to)) = next.pop_front() {
        for entry in fs::read_dir(&from).into_iter().flatten().flatten() {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_directory || hidden.contains(&entry.path()) {
                continue;
            }
            if left == 0 {
                return Ok(());
            }
            left -= 1;
            let place = to.join(entry.file_name());
            make_like(&entry.path(), &place)?;
            next.push_back((entry.path(), place));
        }
    }
    Ok(())
}
