//! The directory that a layer is unpacked into. Every name is looked up from its descriptor, and the kernel refuses to go
//! through a symbolic link or out of it (openat2(2)).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, fchmod,
    fchown, fsetxattr, futimens, linkat, mkdirat, mknodat, openat, openat2, statat, symlinkat, unlinkat,
    utimensat,
};
use rustix::io::Errno;

use super::archive::{Entry, Piece};
use crate::error::{Error, Result};

/// The pseudo device that a whiteout is: major and minor number 0.
const WHITEOUT: u64 = 0;

/// Where a layer is unpacked.
pub(crate) struct Place {
    root: OwnedFd,
    /// The directory that was opened last: entries of one follow each other.
    last: Option<(Vec<u8>, OwnedFd)>,
    /// In a user namespace overlay has attributes of its own name (overlayfs.rst, "userxattr").
    opaque: &'static str,
    buffer: Vec<u8>,
    /// Directories that are there only because something is in them.
    pub(crate) implied: BTreeSet<Vec<u8>>,
    /// How long the names of these were, all together.
    names: usize,
    /// Files whose owner this user namespace has not.
    pub(crate) squashed: u64,
    /// Attributes that the file system does not have.
    pub(crate) without_attributes: u64,
}

/// A name in the layer: the directory, and what is in it. Neither has `.`, `..` or empty parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) directory: Vec<u8>,
    pub(crate) base: Vec<u8>,
}

impl Place {
    pub(crate) fn new(root: OwnedFd, in_user_namespace: bool) -> Self {
        Place {
            root,
            last: None,
            opaque: match in_user_namespace {
                true => "user.overlay.opaque",
                false => "trusted.overlay.opaque",
            },
            buffer: vec![0; 128 << 10],
            implied: BTreeSet::from([Vec::new()]),
            names: 0,
            squashed: 0,
            without_attributes: 0,
        }
    }

    /// Opens a directory of the layer; what is missing of it is made.
    pub(crate) fn directory(&mut self, path: &[u8]) -> Result<OwnedFd> {
        if path.is_empty() {
            return self
                .root
                .try_clone()
                .map_err(|error| Error::io("open the layer", &error));
        }
        if let Some((last, fd)) = &self.last
            && last == path
        {
            return fd
                .try_clone()
                .map_err(|error| Error::io("open the layer", &error));
        }
        let fd = match beneath(&self.root, path) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => self.make_all(path)?,
            Err(errno) => return Err(refused(path, errno)),
        };
        let copy = fd
            .try_clone()
            .map_err(|error| Error::io("open the layer", &error))?;
        self.last = Some((path.to_owned(), copy));
        Ok(fd)
    }

    /// Makes what is missing of a path.
    fn make_all(&mut self, path: &[u8]) -> Result<OwnedFd> {
        let mut at = self
            .root
            .try_clone()
            .map_err(|error| Error::io("open the layer", &error))?;
        let mut done = 0;
        for part in path.split(|it| *it == b'/') {
            done += part.len() + usize::from(done > 0);
            let so_far = &path[..done];
            let part = OsStr::from_bytes(part);
            at = match beneath(&at, part.as_bytes()) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => {
                    mkdirat(&at, part, Mode::from_raw_mode(0o755)).map_err(|errno| refused(so_far, errno))?;
                    self.imply(so_far)?;
                    beneath(&at, part.as_bytes()).map_err(|errno| refused(so_far, errno))?
                }
                Err(Errno::NOTDIR) if is_whiteout(&at, part) => {
                    let fd = self
                        .replace_whiteout(&at, part)
                        .map_err(|errno| refused(so_far, errno))?;
                    self.imply(so_far)?;
                    fd
                }
                Err(errno) => return Err(refused(so_far, errno)),
            };
        }
        Ok(at)
    }

    /// Takes note of a directory that is there only because something is in it.
    fn imply(&mut self, path: &[u8]) -> Result<()> {
        self.names += path.len() + super::ENTRY;
        if self.names > super::MOST_NAMES {
            return Err(super::too_many_names());
        }
        self.implied.insert(path.to_owned());
        Ok(())
    }

    /// Something that a lower layer has was removed, and a directory stands in its place: nothing of the lower one shows.
    fn replace_whiteout(&self, at: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
        unlinkat(at, name, AtFlags::empty())?;
        mkdirat(at, name, Mode::from_raw_mode(0o755))?;
        let fd = openat(at, name, directory_flags(), Mode::empty())?;
        fsetxattr(&fd, self.opaque, b"y", XattrFlags::empty())?;
        Ok(fd)
    }

    /// A directory of the layer's own, with its owner, mode and attributes.
    pub(crate) fn add_directory(&mut self, name: &Name, entry: &Entry) -> Result<()> {
        let shown = || name.whole();
        let fd = match name.base.is_empty() {
            true => openat(&self.root, ".", directory_flags(), Mode::empty()),
            false => {
                let parent = self.directory(&name.directory)?;
                let base = OsStr::from_bytes(&name.base);
                match mkdirat(&parent, base, Mode::from_raw_mode(0o700)) {
                    Ok(()) => openat(&parent, base, directory_flags(), Mode::empty()),
                    Err(Errno::EXIST) if is_whiteout(&parent, base) => self.replace_whiteout(&parent, base),
                    Err(Errno::EXIST) if is_directory(&parent, base) => {
                        openat(&parent, base, directory_flags(), Mode::empty())
                    }
                    Err(Errno::EXIST) => unlinkat(&parent, base, AtFlags::empty())
                        .and_then(|()| mkdirat(&parent, base, Mode::from_raw_mode(0o700)))
                        .and_then(|()| openat(&parent, base, directory_flags(), Mode::empty())),
                    Err(errno) => Err(errno),
                }
            }
        }
        .map_err(|errno| refused(&shown(), errno))?;
        self.last = None;
        self.implied.remove(&shown());
        self.dress(&fd, entry).map_err(|errno| refused(&shown(), errno))
    }

    /// A file with its data.
    pub(crate) fn add_file(&mut self, name: &Name, entry: &Entry, data: &mut impl Read) -> Result<()> {
        let parent = self.vacate(name)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let base = OsStr::from_bytes(&name.base);
        let fd = openat(&parent, base, flags, Mode::from_raw_mode(0o600))
            .map_err(|errno| refused(&name.whole(), errno))?;
        let mut file = File::from(fd);
        let whole = [Piece {
            offset: 0,
            length: entry.size,
        }];
        let pieces = entry.pieces.as_deref().unwrap_or(&whole);
        self.fill(&mut file, pieces, entry.size, data)
            .map_err(|error| Error::io(format!("unpack `{}`", super::shown(&name.whole())), &error))?;
        self.dress(&file, entry)
            .and_then(|()| futimens(&file, &times(entry.mtime)))
            .map_err(|errno| refused(&name.whole(), errno))
    }

    fn fill(&mut self, file: &mut File, pieces: &[Piece], size: u64, data: &mut impl Read) -> io::Result<()> {
        let mut at = 0;
        // A piece without length marks the file's end; it writes nothing there.
        for piece in pieces.iter().filter(|it| it.length > 0) {
            if piece.offset != at {
                file.seek(SeekFrom::Start(piece.offset))?;
            }
            let mut left = piece.length;
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                let count = data.read(&mut self.buffer[..most])?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                file.write_all(&self.buffer[..count])?;
                left -= count as u64;
            }
            at = piece.offset + piece.length;
        }
        match at == size {
            true => Ok(()),
            false => file.set_len(size),
        }
    }

    /// A symbolic link; where it leads to is the image's business.
    pub(crate) fn add_symlink(&mut self, name: &Name, entry: &Entry) -> Result<()> {
        let parent = self.vacate(name)?;
        let base = OsStr::from_bytes(&name.base);
        symlinkat(OsStr::from_bytes(&entry.link), &parent, base)
            .and_then(|()| self.own_at(&parent, base, entry))
            .and_then(|()| utimensat(&parent, base, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW))
            .map_err(|errno| refused(&name.whole(), errno))
    }

    /// A named pipe.
    pub(crate) fn add_fifo(&mut self, name: &Name, entry: &Entry) -> Result<()> {
        let parent = self.vacate(name)?;
        let base = OsStr::from_bytes(&name.base);
        // The mask of the process would take bits away.
        mknodat(&parent, base, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .and_then(|()| self.own_at(&parent, base, entry))
            .and_then(|()| {
                rustix::fs::chmodat(&parent, base, Mode::from_raw_mode(entry.mode), AtFlags::empty())
            })
            .map_err(|errno| refused(&name.whole(), errno))
    }

    /// Another name of a file of this layer.
    pub(crate) fn add_hard_link(&mut self, name: &Name, target: &Name) -> Result<()> {
        if name == target {
            return Ok(());
        }
        let missing = || {
            Error::wrong(format!(
                "`{}` is a hard link to `{}`, which is not a file of the layer",
                super::shown(&name.whole()),
                super::shown(&target.whole())
            ))
        };
        let from = match target.directory.is_empty() {
            true => self
                .root
                .try_clone()
                .map_err(|error| Error::io("open the layer", &error))?,
            false => beneath(&self.root, &target.directory).map_err(|errno| match errno {
                Errno::NOENT | Errno::NOTDIR => missing(),
                other => refused(&target.directory, other),
            })?,
        };
        let target_base = OsStr::from_bytes(&target.base);
        let kind = statat(&from, target_base, AtFlags::SYMLINK_NOFOLLOW)
            .map(|it| FileType::from_raw_mode(it.st_mode));
        if !matches!(
            kind,
            Ok(FileType::RegularFile | FileType::Symlink | FileType::Fifo)
        ) {
            return Err(missing());
        }
        let parent = self.vacate(name)?;
        linkat(
            &from,
            target_base,
            &parent,
            OsStr::from_bytes(&name.base),
            AtFlags::empty(),
        )
        .map_err(|errno| refused(&name.whole(), errno))
    }

    /// What a lower layer has under this name is not in the image.
    pub(crate) fn add_whiteout(&mut self, name: &Name) -> Result<()> {
        let parent = self.directory(&name.directory)?;
        let base = OsStr::from_bytes(&name.base);
        let done = match mknodat(&parent, base, FileType::CharacterDevice, Mode::empty(), WHITEOUT) {
            // This layer has something of that name, which hides the lower ones'; a directory would let it through.
            Err(Errno::EXIST) if is_directory(&parent, base) => {
                openat(&parent, base, directory_flags(), Mode::empty())
                    .and_then(|fd| fsetxattr(&fd, self.opaque, b"y", XattrFlags::empty()))
            }
            Err(Errno::EXIST) => Ok(()),
            other => other,
        };
        done.map_err(|errno| refused(&name.whole(), errno))
    }

    /// Nothing that lower layers have in this directory is in the image.
    pub(crate) fn make_opaque(&mut self, path: &[u8]) -> Result<()> {
        self.directory(path)?;
        let fd = match path.is_empty() {
            true => openat(&self.root, ".", directory_flags(), Mode::empty()),
            false => readable_beneath(&self.root, path),
        };
        fd.and_then(|fd| fsetxattr(&fd, self.opaque, b"y", XattrFlags::empty()))
            .map_err(|errno| refused(path, errno))
    }

    /// Gives a directory its time, once nothing comes into it any more.
    pub(crate) fn set_time(&mut self, path: &[u8], mtime: (i64, u32)) -> Result<()> {
        let fd = match path.is_empty() {
            true => openat(&self.root, ".", directory_flags(), Mode::empty()),
            false => readable_beneath(&self.root, path),
        };
        match fd {
            Ok(fd) => futimens(&fd, &times(mtime)).map_err(|errno| refused(path, errno)),
            // A later entry took its place.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(errno) => Err(refused(path, errno)),
        }
    }

    /// The directory of a name, where nothing has that name any more: the last entry of a name counts.
    fn vacate(&mut self, name: &Name) -> Result<OwnedFd> {
        let parent = self.directory(&name.directory)?;
        match unlinkat(&parent, OsStr::from_bytes(&name.base), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(parent),
            Err(Errno::ISDIR) => Err(Error::wrong(format!(
                "`{}` is a directory and something else in one layer",
                super::shown(&name.whole())
            ))),
            Err(errno) => Err(refused(&name.whole(), errno)),
        }
    }

    /// Owner, mode and attributes. The mode comes after the owner, which takes setuid away; attributes come last, because a
    /// change of the owner takes file capabilities away.
    fn dress(&mut self, fd: impl AsFd, entry: &Entry) -> rustix::io::Result<()> {
        let owner = |uid, gid| fchown(&fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        match owner(entry.uid, entry.gid) {
            Err(Errno::INVAL) => {
                self.squashed += 1;
                owner(0, 0)
            }
            other => other,
        }?;
        fchmod(&fd, Mode::from_raw_mode(entry.mode))?;
        for (name, value) in &entry.xattrs {
            if !is_wanted(name) {
                continue;
            }
            match fsetxattr(&fd, name.as_str(), value, XattrFlags::empty()) {
                Err(Errno::OPNOTSUPP | Errno::PERM) => self.without_attributes += 1,
                other => other?,
            }
        }
        Ok(())
    }

    fn own_at(&mut self, parent: &OwnedFd, base: &OsStr, entry: &Entry) -> rustix::io::Result<()> {
        let owner = |uid, gid| {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::chownat(parent, base, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        };
        match owner(entry.uid, entry.gid) {
            Err(Errno::INVAL) => {
                self.squashed += 1;
                owner(0, 0)
            }
            other => other,
        }
    }
}

impl Name {
    /// The whole path.
    pub(crate) fn whole(&self) -> Vec<u8> {
        match self.directory.is_empty() {
            true => self.base.clone(),
            false => [&*self.directory, b"/", &*self.base].concat(),
        }
    }
}

/// Attributes of `trusted` and of overlay would steer the mounts of the host (redirects, for example); labels of security modules
/// are the host's.
fn is_wanted(name: &str) -> bool {
    let is_users = name.starts_with("user.") && !name.starts_with("user.overlay.");
    is_users
        || [
            "security.capability",
            "system.posix_acl_access",
            "system.posix_acl_default",
        ]
        .contains(&name)
}

/// Whether nothing of lower layers shows in a directory of a layer, which may be opened by its path alone.
pub(crate) fn is_opaque(fd: &OwnedFd) -> bool {
    // A descriptor that is for its path alone has no attributes of its own (open(2), O_PATH).
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let mut value = [0; 8];
    ["trusted.overlay.opaque", "user.overlay.opaque"]
        .iter()
        .any(|name| rustix::fs::getxattr(&path, *name, &mut value).is_ok_and(|count| &value[..count] == b"y"))
}

/// Opens a directory of a layer for its path. The root itself has the empty one.
pub(crate) fn beneath(root: &OwnedFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b".".as_slice() } else { path };
    open_beneath(root, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC)
}

fn readable_beneath(root: &OwnedFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    open_beneath(root, path, directory_flags())
}

fn open_beneath(root: &OwnedFd, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    openat2(root, OsStr::from_bytes(path), flags, Mode::empty(), resolve)
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn is_directory(at: &OwnedFd, name: &OsStr) -> bool {
    statat(at, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::Directory)
}

fn is_whiteout(at: &OwnedFd, name: &OsStr) -> bool {
    statat(at, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|it| {
        FileType::from_raw_mode(it.st_mode) == FileType::CharacterDevice && it.st_rdev == WHITEOUT
    })
}

fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn refused(path: &[u8], errno: Errno) -> Error {
    let name = super::shown(path);
    match errno {
        Errno::LOOP | Errno::XDEV => Error::wrong(format!("`{name}` leads through a symbolic link")),
        Errno::NOTDIR => Error::wrong(format!("`{name}` is in something that is not a directory")),
        other => Error::io(format!("unpack `{name}`"), &other.into()),
    }
}
