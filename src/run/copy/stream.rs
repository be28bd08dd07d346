//! What the two sides of a copy say to each other: the tree that was asked for, in the order of a walk. Every file and
//! directory has one name without a slash, so that there is no path to leave the destination by; the first has none, for
//! the receiver knows what it asked for.
//!
//! Whatever reads this takes it from a node, whose processes may have had their hands in it: all lengths have bounds.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::kernel::tree::{Facts, Kind};

/// The longest name of Linux (NAME_MAX).
const LONGEST_NAME: usize = 255;
/// The longest target of a link (PATH_MAX without its NUL).
const LONGEST_TARGET: usize = 4095;
/// The longest piece of data.
pub const LONGEST_PIECE: usize = 128 << 10;

const DIRECTORY: u8 = b'D';
const LEAVE: u8 = b'L';
const FILE: u8 = b'F';
const LINK: u8 = b'S';
const SKIPPED: u8 = b'-';
const FAILED: u8 = b'!';
const END: u8 = b'E';
const PIECE: u8 = b'd';
const LAST: u8 = b'e';

/// What is said of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970, and nanoseconds, of the last change.
    pub modified: (i64, u32),
    /// Bytes; no more follow. Zero for what has no size, like files of /proc.
    pub size: u64,
}

impl From<Facts> for About {
    fn from(facts: Facts) -> Self {
        About {
            mode: facts.mode,
            modified: facts.modified,
            size: facts.size,
        }
    }
}

/// One word of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// A directory; what is in it follows, up to the matching [`Word::Leave`].
    Directory(OsString, About),
    /// The end of a directory.
    Leave,
    /// A file; its pieces follow.
    File(OsString, About),
    /// A symbolic link and its target.
    Link(OsString, OsString),
    /// Something that is not copied, and what it is.
    Skipped(OsString, Kind),
    /// Something that could not be read, and the number of the error.
    Failed(OsString, i32),
    /// The end of all.
    End,
}

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Data at this place; it is in the buffer. What no piece covers is zero.
    Data(u64),
    /// There are no more: how long the file is, and the number of the error that ended the reading, or zero.
    Last(u64, i32),
}

/// Says words.
pub struct Speaker<W>(pub W);

impl<W: Write> Speaker<W> {
    fn kind(&mut self, kind: u8, name: &OsStr) -> io::Result<()> {
        self.0.write_all(&[kind])?;
        self.text(name)
    }

    fn text(&mut self, text: &OsStr) -> io::Result<()> {
        let length = u16::try_from(text.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.0.write_all(&length.to_le_bytes())?;
        self.0.write_all(text.as_bytes())
    }

    fn about(&mut self, about: &About) -> io::Result<()> {
        self.0.write_all(&about.mode.to_le_bytes())?;
        self.0.write_all(&about.modified.0.to_le_bytes())?;
        self.0.write_all(&about.modified.1.to_le_bytes())?;
        self.0.write_all(&about.size.to_le_bytes())
    }

    /// Says a word.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn word(&mut self, word: &Word) -> io::Result<()> {
        match word {
            Word::Directory(name, about) => {
                self.kind(DIRECTORY, name)?;
                self.about(about)
            }
            Word::File(name, about) => {
                self.kind(FILE, name)?;
                self.about(about)
            }
            Word::Link(name, target) => {
                self.kind(LINK, name)?;
                self.text(target)
            }
            Word::Skipped(name, kind) => {
                self.kind(SKIPPED, name)?;
                self.0.write_all(&[number(*kind)])
            }
            Word::Failed(name, errno) => {
                self.kind(FAILED, name)?;
                self.0.write_all(&errno.to_le_bytes())
            }
            Word::Leave => self.0.write_all(&[LEAVE]),
            Word::End => self.0.write_all(&[END]),
        }
    }

    /// Says a piece of a file, at most [`LONGEST_PIECE`].
    ///
    /// # Errors
    /// Nobody listens.
    pub fn data(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let length = u32::try_from(data.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.0.write_all(&[PIECE])?;
        self.0.write_all(&offset.to_le_bytes())?;
        self.0.write_all(&length.to_le_bytes())?;
        self.0.write_all(data)
    }

    /// Ends a file.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn last(&mut self, length: u64, errno: i32) -> io::Result<()> {
        self.0.write_all(&[LAST])?;
        self.0.write_all(&length.to_le_bytes())?;
        self.0.write_all(&errno.to_le_bytes())
    }
}

/// Hears words.
pub struct Listener<R>(pub R);

impl<R: Read> Listener<R> {
    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0
            .read_exact(&mut bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => broken("the other side ended in the middle"),
                _ => error,
            })?;
        Ok(bytes)
    }

    fn text(&mut self, longest: usize) -> io::Result<OsString> {
        let length = usize::from(u16::from_le_bytes(self.bytes()?));
        if length > longest {
            return Err(broken("a name that is too long"));
        }
        let mut text = vec![0; length];
        self.0.read_exact(&mut text)?;
        if text.contains(&0) {
            return Err(broken("a name with a zero byte in it"));
        }
        Ok(OsString::from_vec(text))
    }

    /// A name that stands for itself in a directory; `first` has none.
    fn name(&mut self, first: bool) -> io::Result<OsString> {
        let name = self.text(LONGEST_NAME)?;
        let bytes = name.as_bytes();
        let good = match first {
            true => bytes.is_empty(),
            false => !matches!(bytes, b"" | b"." | b"..") && !bytes.contains(&b'/'),
        };
        match good {
            true => Ok(name),
            false => Err(broken("a name that no file can have")),
        }
    }

    fn about(&mut self) -> io::Result<About> {
        Ok(About {
            mode: u32::from_le_bytes(self.bytes()?),
            modified: (
                i64::from_le_bytes(self.bytes()?),
                u32::from_le_bytes(self.bytes()?),
            ),
            size: u64::from_le_bytes(self.bytes()?),
        })
    }

    /// Hears a word; the `first` has no name.
    ///
    /// # Errors
    /// It is none, or the other side has ended.
    pub fn word(&mut self, first: bool) -> io::Result<Word> {
        let [kind] = self.bytes()?;
        Ok(match kind {
            DIRECTORY => Word::Directory(self.name(first)?, self.about()?),
            FILE => Word::File(self.name(first)?, self.about()?),
            LINK => {
                let (name, target) = (self.name(first)?, self.text(LONGEST_TARGET)?);
                match target.is_empty() {
                    true => return Err(broken("a link to nothing")),
                    false => Word::Link(name, target),
                }
            }
            SKIPPED => {
                let (name, [number]) = (self.name(first)?, self.bytes()?);
                Word::Skipped(
                    name,
                    kind_of(number).ok_or_else(|| broken("an unknown kind of file"))?,
                )
            }
            FAILED => Word::Failed(self.name(first)?, i32::from_le_bytes(self.bytes()?)),
            LEAVE => Word::Leave,
            END => Word::End,
            _ => return Err(broken("an unknown word")),
        })
    }

    /// Hears a piece of a file; data is put into the buffer.
    ///
    /// # Errors
    /// It is none, or the other side has ended.
    pub fn piece(&mut self, buffer: &mut Vec<u8>) -> io::Result<Piece> {
        let [kind] = self.bytes()?;
        let place = u64::from_le_bytes(self.bytes()?);
        match kind {
            PIECE => {
                let length = u32::from_le_bytes(self.bytes()?) as usize;
                if length > LONGEST_PIECE {
                    return Err(broken("a piece that is too long"));
                }
                buffer.resize(length, 0);
                self.0.read_exact(buffer)?;
                Ok(Piece::Data(place))
            }
            LAST => Ok(Piece::Last(place, i32::from_le_bytes(self.bytes()?))),
            _ => Err(broken("an unknown piece")),
        }
    }
}

/// The other side does not keep to what is said here.
pub fn broken(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the copy was broken off: {what}"),
    )
}

const KINDS: [Kind; 6] = [
    Kind::File,
    Kind::Directory,
    Kind::Link,
    Kind::Fifo,
    Kind::Socket,
    Kind::Device,
];

fn number(kind: Kind) -> u8 {
    KINDS.iter().position(|it| *it == kind).map_or(0, |at| at as u8)
}

fn kind_of(number: u8) -> Option<Kind> {
    KINDS.get(usize::from(number)).copied()
}
