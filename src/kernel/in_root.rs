//! Places in this process's root that somebody else may change at the same time: walked by descriptors, never through the links of
//! /proc to what this process has open (openat2(2), RESOLVE_NO_MAGICLINKS).

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, readlinkat};

use super::error::{Error, Result};

/// As many links on a way as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The place of an absolute path, as a descriptor that only names it. What is missing is made: directories, and at the end one, too,
/// or an empty file. A link that leads nowhere is followed to where it would lead.
///
/// # Errors
/// `ELOOP` where one of /proc's own links is on the way, or there are too many links; whatever else the kernel refuses.
pub fn place(path: &Path, directory: bool) -> Result<OwnedFd> {
    walk(path, directory).map_err(|errno| Error::new(format!("make {} in the node", path.display()), errno))
}

fn walk(path: &Path, directory: bool) -> std::result::Result<OwnedFd, Errno> {
    let mut here = open(CWD, Path::new("/"))?;
    let mut left = parts(path);
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        let part = Path::new(&part);
        match open(&here, part) {
            Ok(next) => {
                here = next;
                continue;
            }
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        match make(&here, part, directory || !left.is_empty()) {
            Ok(()) => here = open(&here, part)?,
            // A link that leads nowhere, or somebody was faster.
            Err(Errno::EEXIST) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::ELOOP);
                }
                let target: PathBuf = match readlinkat(&here, part, Vec::new()) {
                    Ok(target) => OsString::from_vec(target.into_bytes()).into(),
                    Err(rustix::io::Errno::INVAL) => part.to_owned(),
                    Err(error) => return Err(errno(error)),
                };
                if target.is_absolute() {
                    here = open(CWD, Path::new("/"))?;
                }
                let mut ahead = parts(&target);
                ahead.append(&mut left);
                left = ahead;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(here)
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    parts.collect()
}

fn open(at: impl AsFd, part: &Path) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    openat2(at, part, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS).map_err(errno)
}

/// Neither call follows a link at the end.
fn make(at: &OwnedFd, part: &Path, directory: bool) -> std::result::Result<(), Errno> {
    if directory {
        return mkdirat(at, part, Mode::from_raw_mode(0o755)).map_err(errno);
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    openat(at, part, flags, Mode::from_raw_mode(0o644))
        .map(drop)
        .map_err(errno)
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    #[test]
    fn nothing_is_made_through_a_link_of_proc() {
        let [inside, outside] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        let open = fs::File::open(outside.path()).unwrap();
        let magic = format!("/proc/self/fd/{}", open.as_raw_fd());
        symlink(&magic, inside.path().join("link")).unwrap();
        symlink("link/deeper", inside.path().join("indirect")).unwrap();
        symlink(format!("{magic}/not/there"), inside.path().join("dangling")).unwrap();
        for way in [
            "link",
            "link/new",
            "link/new/file",
            "indirect/x",
            "dangling",
            "dangling/x",
        ] {
            for directory in [true, false] {
                let refused = place(&inside.path().join(way), directory);
                assert_eq!(refused.unwrap_err().errno, Errno::ELOOP, "{way}");
            }
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_missing_is_made_where_links_lead() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path();
        fs::create_dir(base.join("real")).unwrap();
        symlink("real", base.join("link")).unwrap();
        symlink("real/../new/deep", base.join("dangling")).unwrap();
        symlink("round", base.join("round")).unwrap();
        symlink(base.join("far/off"), base.join("absolute")).unwrap();
        let is = |way: &str, directory, path: &str| {
            let made = place(&base.join(way), directory).unwrap();
            let made = fs::metadata(format!("/proc/self/fd/{}", made.as_raw_fd())).unwrap();
            let there = fs::symlink_metadata(base.join(path)).unwrap();
            assert_eq!((made.dev(), made.ino()), (there.dev(), there.ino()), "{way}");
            assert_eq!(there.is_dir(), directory, "{way}");
        };
        is("a/b/c", true, "a/b/c");
        is("a/b/c", true, "a/b/c");
        is("a/b/file", false, "a/b/file");
        is("link/x", true, "real/x");
        is("dangling/y", true, "new/deep/y");
        is("absolute", false, "far/off");
        assert_eq!(place(&base.join("round"), true).unwrap_err().errno, Errno::ELOOP);
        assert_eq!(
            place(&base.join("a/b/file/x"), true).unwrap_err().errno,
            Errno::ENOTDIR
        );
    }
}
