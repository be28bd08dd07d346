//! Files of which nobody has promised that they are files: opened without waiting, and read up to a length and a time.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::makedev;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file, or /dev/null, which is as good as an empty one.
    File,
    /// A directory.
    Directory,
    /// A pipe or a FIFO.
    Pipe,
    /// A device, which may have no end or wait for ever.
    Device,
    /// A socket.
    Socket,
}

impl Kind {
    /// The kind of a file.
    pub fn of(metadata: &Metadata) -> Kind {
        let kind = metadata.file_type();
        if kind.is_char_device() && metadata.rdev() == makedev(1, 3) {
            return Kind::File;
        }
        if kind.is_dir() {
            Kind::Directory
        } else if kind.is_fifo() {
            Kind::Pipe
        } else if kind.is_socket() {
            Kind::Socket
        } else if kind.is_char_device() || kind.is_block_device() {
            Kind::Device
        } else {
            Kind::File
        }
    }

    /// `a regular file`.
    pub fn words(self) -> &'static str {
        match self {
            Kind::File => "a regular file",
            Kind::Directory => "a directory",
            Kind::Pipe => "a pipe",
            Kind::Device => "a device",
            Kind::Socket => "a socket",
        }
    }
}

/// Opens a file to be read. A FIFO nobody writes to is opened as well; no terminal becomes the process's own.
///
/// # Errors
/// There is none, or it may not be read.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Reads a file of [`open`] to its end.
///
/// # Errors
/// `FileTooLarge` where it is longer than `longest` bytes, `TimedOut` where it does not end within `patience`, and whatever
/// reading it says.
pub fn read(file: &File, longest: u64, patience: Duration) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + patience;
    let waits = Kind::of(&file.metadata()?) != Kind::File;
    let mut bytes = Vec::new();
    loop {
        // The end of a FIFO cannot be told from nobody having come yet, but by waiting.
        if waits && !readable(file, deadline)? {
            return Err(ErrorKind::TimedOut.into());
        }
        let room = longest + 1 - bytes.len() as u64;
        match file.take(room.min(1 << 20)).read_to_end(&mut bytes) {
            Ok(0) => return Ok(bytes),
            Ok(_) if bytes.len() as u64 > longest => return Err(ErrorKind::FileTooLarge.into()),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) && waits => {
                if bytes.len() as u64 > longest {
                    return Err(ErrorKind::FileTooLarge.into());
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn readable(file: &File, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let left = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLIN)], left) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const SOON: Duration = Duration::from_millis(50);

    fn fifo(directory: &Path) -> std::path::PathBuf {
        let path = directory.join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        path
    }

    #[test]
    fn a_fifo_is_read_to_its_end_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = fifo(directory.path());
        let file = open(&path).unwrap();
        assert_eq!(Kind::of(&file.metadata().unwrap()), Kind::Pipe);
        assert_eq!(read(&file, 100, SOON).unwrap_err().kind(), ErrorKind::TimedOut);
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(b"first").unwrap();
        assert_eq!(read(&file, 100, SOON).unwrap_err().kind(), ErrorKind::TimedOut);
        writer.write_all(b"second").unwrap();
        drop(writer);
        assert_eq!(read(&file, 100, SOON).unwrap(), b"second");
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(&[b'x'; 101]).unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        assert_eq!(
            read(&file, 100, SOON).unwrap_err().kind(),
            ErrorKind::FileTooLarge
        );
    }

    #[test]
    fn files_have_a_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&open(&path).unwrap(), 5, SOON).unwrap(), b"12345");
        let longer = read(&open(&path).unwrap(), 4, SOON);
        assert_eq!(longer.unwrap_err().kind(), ErrorKind::FileTooLarge);
        let kind = |path: &str| Kind::of(&std::fs::metadata(path).unwrap());
        assert_eq!(kind("/dev/zero"), Kind::Device);
        assert_eq!(kind("/dev/null"), Kind::File);
        assert_eq!(kind("/"), Kind::Directory);
        let zero = open(Path::new("/dev/zero")).unwrap();
        assert_eq!(
            read(&zero, 1 << 21, SOON).unwrap_err().kind(),
            ErrorKind::FileTooLarge
        );
    }
}
