//! Files in the root of a process that nobody trusts: no link leads out of there, what is opened is that process's and not
//! another's that has got its number, and what is read is a regular file with a limit.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::file;

/// `f_type` of namespaces (statfs(2), NSFS_MAGIC).
pub const NAMESPACES: rustix::fs::FsWord = 0x6e73_6673;

/// The root of a process.
pub struct Root {
    root: OwnedFd,
}

impl Root {
    /// That of the process that a pidfd means. Its number may be another's once it has been waited for, so the root counts
    /// only where the process is alive after it was opened.
    ///
    /// # Errors
    /// The process has ended (`NotFound`), or is in no PID namespace that this one sees.
    pub fn of(process: impl AsFd) -> io::Result<Root> {
        let gone = || io::Error::from(ErrorKind::NotFound);
        let pid = pid_of(process.as_fd())?.ok_or_else(gone)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty())?;
        match has_ended(process.as_fd())? {
            true => Err(gone()),
            false => Ok(Root { root }),
        }
    }

    /// The inode of a path, whatever it is; nothing is opened there.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, path: &Path) -> io::Result<OwnedFd> {
        let relative = path.strip_prefix("/").unwrap_or(path);
        let relative = if relative.as_os_str().is_empty() {
            Path::new(".")
        } else {
            relative
        };
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        Ok(openat2(
            &self.root,
            relative,
            flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        )?)
    }

    /// Reads a regular file.
    ///
    /// # Errors
    /// There is none, it is something else (`InvalidInput`), or it is longer than `longest` bytes (`FileTooLarge`).
    pub fn read(&self, path: &Path, longest: u64) -> io::Result<Vec<u8>> {
        read(&self.find(path)?, longest)
    }

    /// Opens a regular file to be read.
    ///
    /// # Errors
    /// There is none, or it is something else (`InvalidInput`).
    pub fn open(&self, path: &Path) -> io::Result<File> {
        let found = self.find(path)?;
        match is_file(&found)? {
            true => Ok(reopen(&found)?.into()),
            false => Err(ErrorKind::InvalidInput.into()),
        }
    }

    /// A namespace that is mounted at a path.
    ///
    /// # Errors
    /// There is nothing, or something else (`InvalidInput`).
    pub fn namespace(&self, path: &Path) -> io::Result<OwnedFd> {
        let found = self.find(path)?;
        if rustix::fs::fstatfs(&found)?.f_type != NAMESPACES {
            return Err(ErrorKind::InvalidInput.into());
        }
        reopen(&found)
    }
}

/// Reads an inode of [`Root::find`] that is a regular file.
///
/// # Errors
/// As [`Root::read`].
pub fn read(found: &OwnedFd, longest: u64) -> io::Result<Vec<u8>> {
    if !is_file(found)? {
        return Err(ErrorKind::InvalidInput.into());
    }
    file::read_within(File::from(reopen(found)?), longest)
}

fn is_file(found: &OwnedFd) -> io::Result<bool> {
    Ok(rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(found)?.st_mode).is_file())
}

/// Opens an inode that is known to be harmless to be read.
fn reopen(found: &OwnedFd) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Whether the process of a pidfd has ended, waited for or not (pidfd_open(2)).
///
/// # Errors
/// It is no pidfd.
pub fn has_ended(process: impl AsFd) -> io::Result<bool> {
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut fds, PollTimeout::ZERO)? > 0)
}

/// The number of a process in the PID namespace of /proc; none when it has ended or is in none that this one sees.
fn pid_of(process: impl AsFd) -> io::Result<Option<i32>> {
    let path = format!("/proc/self/fdinfo/{}", process.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"));
    let pid = line.and_then(|line| line.trim().parse().ok());
    Ok(pid.filter(|&pid: &i32| pid > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::process::{Command, Stdio};

    /// A process that ends when its input does.
    fn process() -> (std::process::Child, OwnedFd) {
        let child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pidfd = crate::process::pidfd(child.id().cast_signed()).unwrap();
        (child, pidfd)
    }

    #[test]
    fn a_process_that_has_ended_has_no_root() {
        let (mut child, pidfd) = process();
        assert!(Root::of(&pidfd).is_ok());
        drop(child.stdin.take());
        // It is a zombie first, and nothing after that.
        poll(
            &mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)],
            PollTimeout::NONE,
        )
        .unwrap();
        assert!(Root::of(&pidfd).is_err());
        child.wait().unwrap();
        assert!(has_ended(&pidfd).unwrap());
        assert!(Root::of(&pidfd).is_err());
    }

    #[test]
    fn what_is_read_is_a_regular_file_of_the_root() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), "12345").unwrap();
        symlink("/file", at("own")).unwrap();
        symlink("/etc/hostname", at("host")).unwrap();
        symlink("../../../../../../etc/hostname", at("above")).unwrap();
        symlink("/proc/self/root/etc/hostname", at("magic")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let root = Root {
            root: File::open(directory.path()).unwrap().into(),
        };
        let read = |name: &str| root.read(Path::new(name), 5).map_err(|error| error.kind());
        assert_eq!(read("/file"), Ok(b"12345".to_vec()));
        assert_eq!(read("own"), Ok(b"12345".to_vec()));
        assert_eq!(
            root.read(Path::new("file"), 4).unwrap_err().kind(),
            ErrorKind::FileTooLarge
        );
        for name in ["/host", "/above", "/magic", "/none"] {
            assert_eq!(read(name), Err(ErrorKind::NotFound), "{name}");
        }
        for name in ["/", "/fifo", "/socket"] {
            assert_eq!(read(name), Err(ErrorKind::InvalidInput), "{name}");
        }
        assert_eq!(
            root.namespace(Path::new("file")).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }

    #[test]
    fn devices_are_not_opened() {
        let root = Root {
            root: File::open("/").unwrap().into(),
        };
        for path in ["/dev/zero", "/dev/null"] {
            let error = root.read(Path::new(path), 5).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path}");
        }
    }
}
