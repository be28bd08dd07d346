//! Files in an open directory, each by one name. Nothing here follows a symbolic link out of the directory, whatever its
//! other users do to it meanwhile (openat2(2): RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, SeekFrom, Timespec, Timestamps, Uid,
};

/// How a path that was given from outside is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// As everywhere: all links are followed.
    Host,
    /// Links are followed, but for those of /proc (`/proc/self/fd/3`), which lead to what this very process has open.
    Node,
}

impl Trust {
    fn resolve(self) -> ResolveFlags {
        match self {
            Trust::Host => ResolveFlags::empty(),
            Trust::Node => ResolveFlags::NO_MAGICLINKS,
        }
    }
}

/// Whom a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: u32,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Data.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A FIFO, or a pipe without a name.
    Fifo,
    /// A socket.
    Socket,
    /// A character or block device.
    Device,
}

impl Kind {
    /// `a file`.
    pub fn words(self) -> &'static str {
        match self {
            Kind::File => "a file",
            Kind::Directory => "a directory",
            Kind::Link => "a symbolic link",
            Kind::Fifo => "a FIFO",
            Kind::Socket => "a socket",
            Kind::Device => "a device",
        }
    }
}

/// What the kernel says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Bytes; zero for files of /proc, whatever can be read from them.
    pub size: u64,
    /// Seconds since 1970, and nanoseconds, of the last change.
    pub modified: (i64, u32),
}

impl Facts {
    fn of(stat: &fs::Stat) -> io::Result<Facts> {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Link,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice | FileType::BlockDevice => Kind::Device,
            FileType::Unknown => return Err(io::Error::other("a file of an unknown kind")),
        };
        Ok(Facts {
            kind,
            mode: stat.st_mode & 0o7777,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        })
    }
}

/// What there is at a path that was given from outside.
///
/// # Errors
/// Nothing is, or it cannot be reached.
pub fn look(path: &Path, trust: Trust) -> io::Result<Facts> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = fs::openat2(fs::CWD, path, flags, Mode::empty(), trust.resolve())?;
    Facts::of(&fs::fstat(&file)?)
}

/// Opens data at a path that was given from outside, for reading.
///
/// # Errors
/// It cannot be opened, or is not data.
pub fn open(path: &Path, trust: Trust) -> io::Result<(File, Facts)> {
    data(fs::openat2(
        fs::CWD,
        path,
        reading(),
        Mode::empty(),
        trust.resolve(),
    )?)
}

/// A FIFO without a writer is not waited for, and a terminal does not become this process's.
fn reading() -> OFlags {
    OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC
}

fn data(file: OwnedFd) -> io::Result<(File, Facts)> {
    let facts = Facts::of(&fs::fstat(&file)?)?;
    match facts.kind {
        Kind::File => Ok((file.into(), facts)),
        _ => Err(io::Error::other("not a file of data")),
    }
}

/// Where the next data of a file begins, from a place on; none when there is only a hole up to the end. File systems that
/// know no holes say that all is data.
///
/// # Errors
/// The file cannot be sought in.
pub fn next_data(file: &File, from: u64) -> io::Result<Option<u64>> {
    match fs::seek(file, SeekFrom::Data(from)) {
        Ok(at) => Ok(Some(at.max(from))),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::SPIPE) => {
            Ok(Some(from))
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Gives an open file to somebody.
///
/// # Errors
/// Only root may.
pub fn give(file: impl AsFd, owner: Owner) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(owner.user), Gid::from_raw(owner.group));
    Ok(fs::fchown(file, Some(user), Some(group))?)
}

/// Sets an open file's permission bits.
///
/// # Errors
/// It is not this user's.
pub fn set_mode(file: impl AsFd, mode: u32) -> io::Result<()> {
    Ok(fs::fchmod(file, Mode::from_raw_mode(mode))?)
}

/// Sets when an open file was last changed, as in [`Facts`].
///
/// # Errors
/// It is not this user's.
pub fn set_modified(file: impl AsFd, (seconds, nanoseconds): (i64, u32)) -> io::Result<()> {
    let time = Timespec {
        tv_sec: seconds,
        // Larger ones are commands of utimensat(2).
        tv_nsec: i64::from(nanoseconds.min(999_999_999)),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(fs::futimens(file, &times)?)
}

/// An open directory. Names are single ones, without a slash.
#[derive(Debug)]
pub struct Directory(OwnedFd);

impl AsFd for Directory {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Directory {
    /// The directory at a path that was given from outside.
    ///
    /// # Errors
    /// There is none, or it cannot be opened.
    pub fn open(path: &Path, trust: Trust) -> io::Result<Directory> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let file = fs::openat2(fs::CWD, path, flags, Mode::empty(), trust.resolve())?;
        Ok(Directory(file))
    }

    fn beneath(&self, name: &OsStr, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
        if name.as_bytes().contains(&b'/') {
            return Err(io::Error::other("a name with a slash in it"));
        }
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        Ok(fs::openat2(
            &self.0,
            name,
            flags,
            Mode::from_raw_mode(mode),
            resolve,
        )?)
    }

    /// What it is itself.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn own_facts(&self) -> io::Result<Facts> {
        Facts::of(&fs::fstat(&self.0)?)
    }

    /// What a name is; of a link, the link.
    ///
    /// # Errors
    /// There is none, or it may not be looked at.
    pub fn facts(&self, name: &OsStr) -> io::Result<Facts> {
        Facts::of(&fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// A directory in it.
    ///
    /// # Errors
    /// There is none, or something else.
    pub fn directory(&self, name: &OsStr) -> io::Result<Directory> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        self.beneath(name, flags, 0).map(Directory)
    }

    /// Opens data for reading.
    ///
    /// # Errors
    /// There is none, or something else.
    pub fn read(&self, name: &OsStr) -> io::Result<(File, Facts)> {
        data(self.beneath(name, reading(), 0)?)
    }

    /// Makes a file where there is nothing, and opens it for writing.
    ///
    /// # Errors
    /// There is something, or none can be made.
    pub fn create(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        self.beneath(name, flags, mode).map(File::from)
    }

    /// Makes a directory where there is nothing, and opens it.
    ///
    /// # Errors
    /// There is something, or none can be made.
    pub fn make_directory(&self, name: &OsStr, mode: u32) -> io::Result<Directory> {
        fs::mkdirat(&self.0, name, Mode::from_raw_mode(mode))?;
        self.directory(name)
    }

    /// Makes something under a name that nothing has yet, to be renamed when it is whole: `.nslab-PID-N`. One of a process that
    /// was killed may still be there.
    ///
    /// # Errors
    /// It cannot be made, or all names that were tried are taken.
    pub fn make_fresh<T>(
        &self,
        make: impl Fn(&Directory, &OsStr) -> io::Result<T>,
    ) -> io::Result<(OsString, T)> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        const TRIES: usize = 1000;
        let names = (0..TRIES).map(|_| {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            OsString::from(format!(".nslab-{}-{number}", std::process::id()))
        });
        for name in names {
            match make(self, &name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|made| (name, made)),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Makes a symbolic link where there is nothing, belonging to somebody else where one is named.
    ///
    /// # Errors
    /// There is something, or none can be made.
    pub fn make_link(&self, name: &OsStr, target: &OsStr, owner: Option<Owner>) -> io::Result<()> {
        fs::symlinkat(target, &self.0, name)?;
        if let Some(owner) = owner {
            let (user, group) = (Uid::from_raw(owner.user), Gid::from_raw(owner.group));
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            fs::chownat(&self.0, name, Some(user), Some(group), flags)?;
        }
        Ok(())
    }

    /// Where a symbolic link points.
    ///
    /// # Errors
    /// It is none.
    pub fn link_target(&self, name: &OsStr) -> io::Result<OsString> {
        let target = fs::readlinkat(&self.0, name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// Renames within the directory, over what has that name unless it is a directory.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(fs::renameat(&self.0, from, &self.0, to)?)
    }

    /// Removes what is no directory.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// The names in it, sorted; an error where they are more than `most`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self, most: usize) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == most {
                return Err(io::Error::other(format!("more than {most} files")));
            }
            names.push(OsStr::from_bytes(name).to_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Bytes that are free in its file system; one that does not count them has any number.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn free(&self) -> io::Result<u64> {
        let space = fs::fstatvfs(&self.0)?;
        match space.f_blocks {
            0 => Ok(u64::MAX),
            _ => Ok(space.f_bavail.saturating_mul(space.f_frsize)),
        }
    }
}
