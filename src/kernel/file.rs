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

use super::tree::Kind;

/// What a file is, links followed. /dev/null is as good as an empty regular one.
pub fn kind(metadata: &Metadata) -> Kind {
    let kind = metadata.file_type();
    if kind.is_char_device() && metadata.rdev() == makedev(1, 3) {
        return Kind::File;
    }
    if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Link
    } else if kind.is_fifo() {
        Kind::Fifo
    } else if kind.is_socket() {
        Kind::Socket
    } else if kind.is_char_device() || kind.is_block_device() {
        Kind::Device
    } else {
        Kind::File
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
    let waits = kind(&file.metadata()?) != Kind::File;
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

/// Reads all there is, up to a length.
///
/// # Errors
/// `FileTooLarge` where there are more than `longest` bytes, and whatever reading it says.
pub fn read_within(from: impl io::Read, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(longest + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > longest {
        true => Err(ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
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
        assert_eq!(kind(&file.metadata().unwrap()), Kind::Fifo);
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
        let kind_of = |path: &str| kind(&std::fs::metadata(path).unwrap());
        assert_eq!(kind_of("/dev/zero"), Kind::Device);
        assert_eq!(kind_of("/dev/null"), Kind::File);
        assert_eq!(kind_of("/"), Kind::Directory);
        let zero = open(Path::new("/dev/zero")).unwrap();
        assert_eq!(
            read(&zero, 1 << 21, SOON).unwrap_err().kind(),
            ErrorKind::FileTooLarge
        );
    }
}
