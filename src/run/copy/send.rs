//! The side that has what is copied: walks it, following no link but the one that was named.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::stream::{About, LONGEST_PIECE, Speaker, Word};
use super::{DEEPEST, MOST_FILES, SIZELESS};
use crate::kernel::tree::{self, Directory, Kind, Trust};

/// An error that the kernel gives no number for.
const EIO: i32 = 5;

/// Sends what stands at a path.
///
/// # Errors
/// Nobody listens any more. What cannot be read is said to the other side.
pub fn send(source: &Path, trust: Trust, out: impl Write) -> io::Result<()> {
    let mut sender = Sender {
        out: Speaker(out),
        files: 0,
        buffer: vec![0; LONGEST_PIECE],
    };
    let name = OsStr::new("");
    match tree::look(source, trust) {
        Err(error) => sender.failed(name, &error)?,
        Ok(facts) => match facts.kind {
            Kind::Directory => match Directory::open(source, trust) {
                Ok(directory) => sender.directory(name, &directory, 0)?,
                Err(error) => sender.failed(name, &error)?,
            },
            Kind::File => match tree::open(source, trust) {
                Ok((file, facts)) => sender.file(name, &file, facts.into())?,
                Err(error) => sender.failed(name, &error)?,
            },
            kind => sender.out.word(&Word::Skipped(name.to_owned(), kind))?,
        },
    }
    sender.out.word(&Word::End)?;
    sender.out.0.flush()
}

struct Sender<W> {
    out: Speaker<W>,
    files: usize,
    buffer: Vec<u8>,
}

impl<W: Write> Sender<W> {
    fn failed(&mut self, name: &OsStr, error: &io::Error) -> io::Result<()> {
        let errno = error.raw_os_error().unwrap_or(EIO);
        self.out.word(&Word::Failed(name.to_owned(), errno))
    }

    fn directory(&mut self, name: &OsStr, directory: &Directory, depth: usize) -> io::Result<()> {
        let facts = match directory.own_facts() {
            Ok(facts) => facts,
            Err(error) => return self.failed(name, &error),
        };
        self.out.word(&Word::Directory(name.to_owned(), facts.into()))?;
        // The receiver counts as well, and says that they are too many.
        let names = directory.names(MOST_FILES.saturating_sub(self.files).saturating_add(1));
        match names {
            Ok(names) => {
                self.files += names.len();
                for name in names {
                    self.entry(directory, &name, depth)?;
                }
            }
            Err(error) => self.failed(OsStr::new("*"), &error)?,
        }
        self.out.word(&Word::Leave)
    }

    fn entry(&mut self, directory: &Directory, name: &OsString, depth: usize) -> io::Result<()> {
        let facts = match directory.facts(name) {
            Ok(facts) => facts,
            Err(error) => return self.failed(name, &error),
        };
        match facts.kind {
            // One more than the receiver takes, for it to say so.
            Kind::Directory if depth > DEEPEST => Ok(()),
            Kind::Directory => match directory.directory(name) {
                Ok(inner) => self.directory(name, &inner, depth + 1),
                Err(error) => self.failed(name, &error),
            },
            Kind::File => match directory.read(name) {
                Ok((file, facts)) => self.file(name, &file, facts.into()),
                Err(error) => self.failed(name, &error),
            },
            Kind::Link => match directory.link_target(name) {
                Ok(target) => self.out.word(&Word::Link(name.clone(), target)),
                Err(error) => self.failed(name, &error),
            },
            kind => self.out.word(&Word::Skipped(name.clone(), kind)),
        }
    }

    /// Sends a file as long as it was at first: what is appended meanwhile is left out, what is cut off is missing.
    fn file(&mut self, name: &OsStr, file: &File, about: About) -> io::Result<()> {
        self.out.word(&Word::File(name.to_owned(), about))?;
        let end = match about.size {
            0 => SIZELESS + 1,
            size => size,
        };
        let mut at = 0;
        while at < end {
            // A file without a size has no holes either.
            if about.size > 0 {
                match tree::next_data(file, at) {
                    Ok(Some(data)) => at = data,
                    Ok(None) => {
                        // A hole up to the end, which may have come nearer.
                        let now = file.metadata().map_or(end, |it| it.len());
                        return self.out.last(end.min(now.max(at)), 0);
                    }
                    Err(error) => return self.out.last(at, error.raw_os_error().unwrap_or(EIO)),
                }
                if at >= end {
                    return self.out.last(end, 0);
                }
            }
            let wanted = usize::try_from(end - at).map_or(LONGEST_PIECE, |left| left.min(LONGEST_PIECE));
            match file.read_at(&mut self.buffer[..wanted], at) {
                Ok(0) => break,
                Ok(size) => {
                    self.out.data(at, &self.buffer[..size])?;
                    at += size as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.out.last(at, error.raw_os_error().unwrap_or(EIO)),
            }
        }
        self.out.last(at, 0)
    }
}
