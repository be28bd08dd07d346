//! Reads tar streams (POSIX ustar and pax, GNU) of anybody's making: every length is checked before it is believed.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use tar::{EntryType, GnuExtSparseHeader, Header};

const BLOCK: u64 = 512;
/// A pax header or a long name of GNU's may not be longer: 64 attributes of the kernel's longest value, say.
const LONGEST_HEADER: u64 = 4 << 20;
/// A sparse file may not be in more pieces.
const MOST_PIECES: usize = 1 << 18;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    Directory,
    Fifo,
    Device,
}

/// A piece of a sparse file: from where on, how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// One entry, as written: nothing of it is checked but the lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds since 1970.
    pub(crate) mtime: (i64, u32),
    /// How long the file is once it is unpacked.
    pub(crate) size: u64,
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
    /// Where its data belongs; none where it is all of the file.
    pub(crate) pieces: Option<Vec<Piece>>,
}

/// A tar stream, entry by entry. The data of the entry that [`Archive::next`] returned last is read from the archive itself.
pub(crate) struct Archive<R> {
    inner: R,
    /// What is left of the entry's data.
    data: u64,
    /// What fills the last block up.
    padding: u64,
    /// Bytes of archives' headers that were read for one entry.
    spent: u64,
}

impl<R: Read> Archive<R> {
    pub(crate) fn new(inner: R) -> Self {
        Archive {
            inner,
            data: 0,
            padding: 0,
            spent: 0,
        }
    }

    /// What the archive was read from.
    pub(crate) fn into_inner(self) -> R {
        self.inner
    }

    /// What the archive is read from.
    pub(crate) fn inner(&self) -> &R {
        &self.inner
    }

    /// What the archive is read from, for whoever goes on by himself.
    pub(crate) fn inner_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Leaves the entry's data and what fills its last block up to the caller. Returns how much that is.
    pub(crate) fn forget(&mut self) -> u64 {
        std::mem::take(&mut self.data) + std::mem::take(&mut self.padding)
    }

    /// The next entry; none at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Entry>> {
        let (mut name, mut link, mut pax) = (None, None, Pax::default());
        self.spent = 0;
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                return match name.is_some() || link.is_some() || pax != Pax::default() {
                    true => Err(broken("it ends where an entry should be")),
                    false => Ok(None),
                };
            };
            let size = number(&header, SIZE, || header.entry_size())?;
            let kind = header.entry_type();
            match kind {
                EntryType::GNULongName => name = Some(self.text(size)?),
                EntryType::GNULongLink => link = Some(self.text(size)?),
                EntryType::XHeader => pax = Pax::read(&self.whole(size)?)?,
                // What holds for all entries is a comment, as a rule. Nothing in an image depends on it.
                EntryType::XGlobalHeader => drop(self.whole(size)?),
                _ => return self.entry(&header, name, link, pax).map(Some),
            }
        }
    }

    fn entry(
        &mut self,
        header: &Header,
        name: Option<Vec<u8>>,
        link: Option<Vec<u8>>,
        pax: Pax,
    ) -> io::Result<Entry> {
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
            EntryType::Link => Kind::HardLink,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Directory => Kind::Directory,
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char | EntryType::Block => Kind::Device,
            other => return Err(broken(&format!("an entry is of the kind {:#x}", other.as_byte()))),
        };
        let name = pax
            .name
            .or(name)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let link = pax
            .link
            .or(link)
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
            .unwrap_or_default();
        // Before POSIX had a kind for them, directories were files whose name ends with a slash.
        let kind = match kind {
            Kind::File if name.ends_with(b"/") => Kind::Directory,
            other => other,
        };
        let id = |pax: Option<u64>, own: io::Result<u64>| {
            u32::try_from(pax.map_or(own, Ok)?).map_err(|_| broken("an id has more than 32 bits"))
        };
        let stored = match kind {
            Kind::File => pax
                .size
                .map_or_else(|| number(header, SIZE, || header.entry_size()), Ok)?,
            // Some writers give links the size of what they lead to; there is no data of theirs.
            Kind::HardLink | Kind::Symlink => 0,
            _ => number(header, SIZE, || header.entry_size())?,
        };
        let mode = number(header, MODE, || header.mode().map(u64::from))? as u32 & 0o7777;
        let uid = id(pax.uid, number(header, UID, || header.uid()))?;
        let gid = id(pax.gid, number(header, GID, || header.gid()))?;
        let mtime = match pax.mtime {
            Some(time) => time,
            None => (
                i64::try_from(number(header, MTIME, || header.mtime())?).unwrap_or(0),
                0,
            ),
        };
        let (mut size, mut pieces, mut extra) = (stored, None, 0);
        if header.entry_type() == EntryType::GNUSparse {
            (size, pieces) = self
                .gnu_sparse(header)
                .map(|(size, pieces)| (size, Some(pieces)))?;
        }
        self.expect(stored)?;
        if kind == Kind::File && pax.sparse != Sparse::default() {
            size = pax
                .sparse
                .size
                .ok_or_else(|| broken("a sparse file has no size"))?;
            pieces = Some(match pax.sparse.is_in_data {
                true => {
                    let before = self.data;
                    let pieces = self.map_in_data()?;
                    extra = before - self.data;
                    pieces
                }
                false => pax.sparse.pieces,
            });
        }
        if let Some(pieces) = &pieces {
            check(pieces, size, stored - extra)?;
        }
        Ok(Entry {
            name,
            kind,
            link,
            mode,
            uid,
            gid,
            mtime,
            size,
            xattrs: pax.xattrs,
            pieces,
        })
    }

    /// The map of a sparse file of GNU's old form, which goes on in blocks behind the header.
    fn gnu_sparse(&mut self, header: &Header) -> io::Result<(u64, Vec<Piece>)> {
        let gnu = header
            .as_gnu()
            .ok_or_else(|| broken("a sparse file is not of GNU's form"))?;
        let mut pieces = Vec::new();
        let mut add = |it: &tar::GnuSparseHeader| -> io::Result<()> {
            if !it.is_empty() {
                pieces.push(Piece {
                    offset: it.offset()?,
                    length: it.length()?,
                });
            }
            match pieces.len() > MOST_PIECES {
                true => Err(broken("a sparse file has too many pieces")),
                false => Ok(()),
            }
        };
        gnu.sparse.iter().try_for_each(&mut add)?;
        let mut goes_on = gnu.is_extended();
        while goes_on {
            let mut block = GnuExtSparseHeader::new();
            self.inner.read_exact(block.as_mut_bytes())?;
            block.sparse.iter().try_for_each(&mut add)?;
            goes_on = block.is_extended();
        }
        Ok((gnu.real_size()?, pieces))
    }

    /// The map of a sparse file of pax form 1.0: decimal numbers, one a line, in whole blocks before the data.
    fn map_in_data(&mut self) -> io::Result<Vec<Piece>> {
        let mut rest: Vec<u8> = Vec::new();
        let mut number = |archive: &mut Self| -> io::Result<u64> {
            loop {
                if let Some(end) = rest.iter().position(|it| *it == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    return decimal(&line[..end]);
                }
                if rest.len() > 20 {
                    return Err(broken("the map of a sparse file is not one"));
                }
                let mut block = [0; BLOCK as usize];
                archive.read_exact(&mut block)?;
                rest.extend(block);
            }
        };
        let count = number(self)?;
        if count > MOST_PIECES as u64 {
            return Err(broken("a sparse file has too many pieces"));
        }
        (0..count)
            .map(|_| {
                Ok(Piece {
                    offset: number(self)?,
                    length: number(self)?,
                })
            })
            .collect()
    }

    /// The next header; none at the end: a block of zeros, or nothing at all.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut block = [0; BLOCK as usize];
        let mut filled = 0;
        while filled < block.len() {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if block.iter().all(|it| *it == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        let sum = |range: &[u8]| range.iter().map(|it| u32::from(*it)).sum::<u32>();
        let own = sum(&block[..148]) + sum(&block[156..]) + 8 * u32::from(b' ');
        match header.cksum()? == own {
            true => Ok(Some(header)),
            false => Err(broken("the checksum of a header is wrong")),
        }
    }

    /// Takes note that so much data follows.
    fn expect(&mut self, size: u64) -> io::Result<()> {
        self.data = size;
        self.padding = size
            .checked_next_multiple_of(BLOCK)
            .ok_or_else(|| broken("an entry is too long"))?
            - size;
        Ok(())
    }

    /// Goes on to the end of the entry's data.
    fn skip(&mut self) -> io::Result<()> {
        let (data, padding) = (self.data, self.padding);
        let skipped = io::copy(&mut (&mut self.inner).take(data + padding), &mut io::sink())?;
        (self.data, self.padding) = (0, 0);
        // Writers that are not closed (umoci's `insert`) leave out what fills the last block. That nothing else is missing, the
        // digest of the whole says.
        match skipped >= data {
            true => Ok(()),
            false => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// All data of an entry that says something of the next one.
    fn whole(&mut self, size: u64) -> io::Result<Vec<u8>> {
        self.spent = self.spent.saturating_add(size);
        if self.spent > LONGEST_HEADER {
            return Err(broken("what is said of an entry is too long"));
        }
        self.expect(size)?;
        let mut content = Vec::new();
        self.take(size).read_to_end(&mut content)?;
        match content.len() as u64 == size {
            true => Ok(content),
            false => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// A long name: it ends with a zero byte.
    fn text(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let mut text = self.whole(size)?;
        if let Some(end) = text.iter().position(|it| *it == 0) {
            text.truncate(end);
        }
        Ok(text)
    }
}

impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.data).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.data -= count as u64;
        Ok(count)
    }
}

/// What a pax header says of the entry behind it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pax {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(String, Vec<u8>)>,
    sparse: Sparse,
}

/// What a pax header says of a sparse file, in GNU's words (forms 0.0, 0.1 and 1.0).
#[derive(Debug, Default, PartialEq, Eq)]
struct Sparse {
    size: Option<u64>,
    pieces: Vec<Piece>,
    is_in_data: bool,
}

impl Pax {
    fn read(content: &[u8]) -> io::Result<Self> {
        let mut pax = Pax::default();
        let mut xattrs = BTreeMap::new();
        let mut sparse_name = None;
        let mut offset = 0;
        let mut rest = content;
        while !rest.is_empty() {
            let (key, value, after) = record(rest)?;
            rest = after;
            match key {
                "path" => pax.name = Some(value.to_owned()),
                "linkpath" => pax.link = Some(value.to_owned()),
                "size" => pax.size = Some(decimal(value)?),
                "uid" => pax.uid = Some(decimal(value)?),
                "gid" => pax.gid = Some(decimal(value)?),
                "mtime" => pax.mtime = Some(time(value)?),
                "GNU.sparse.major" => pax.sparse.is_in_data = decimal(value)? > 0,
                "GNU.sparse.name" => sparse_name = Some(value.to_owned()),
                "GNU.sparse.size" | "GNU.sparse.realsize" => pax.sparse.size = Some(decimal(value)?),
                "GNU.sparse.offset" => offset = decimal(value)?,
                "GNU.sparse.numbytes" => pax.sparse.pieces.push(Piece {
                    offset,
                    length: decimal(value)?,
                }),
                "GNU.sparse.map" => pax.sparse.pieces = map(value)?,
                other => {
                    if let Some(name) = other.strip_prefix("SCHILY.xattr.") {
                        xattrs.insert(name.to_owned(), value.to_owned());
                    }
                }
            }
            if pax.sparse.pieces.len() > MOST_PIECES {
                return Err(broken("a sparse file has too many pieces"));
            }
        }
        pax.xattrs = xattrs.into_iter().collect();
        pax.name = sparse_name.or(pax.name);
        Ok(pax)
    }
}

/// Where the numbers of a header are.
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;

/// A number of a header. Some writers leave those empty that are of no use to them.
fn number(header: &Header, place: Range<usize>, read: impl Fn() -> io::Result<u64>) -> io::Result<u64> {
    match header.as_bytes()[place].iter().all(|it| matches!(it, 0 | b' ')) {
        true => Ok(0),
        false => read(),
    }
}

/// `LENGTH KEY=VALUE` and a line's end, where the length is of all of it (pax(1)).
fn record(text: &[u8]) -> io::Result<(&str, &[u8], &[u8])> {
    let wrong = || broken("a pax header is not one");
    let space = text
        .iter()
        .take(21)
        .position(|it| *it == b' ')
        .ok_or_else(wrong)?;
    let length = usize::try_from(decimal(&text[..space])?).map_err(|_| wrong())?;
    if length <= space + 1 || length > text.len() || text[length - 1] != b'\n' {
        return Err(wrong());
    }
    let inner = &text[space + 1..length - 1];
    let equals = inner.iter().position(|it| *it == b'=').ok_or_else(wrong)?;
    let key = std::str::from_utf8(&inner[..equals]).map_err(|_| wrong())?;
    Ok((key, &inner[equals + 1..], &text[length..]))
}

fn map(text: &[u8]) -> io::Result<Vec<Piece>> {
    let numbers: Vec<u64> = text
        .split(|it| *it == b',')
        .map(decimal)
        .collect::<io::Result<_>>()?;
    let pairs = numbers.chunks_exact(2);
    match pairs.remainder() {
        [] => Ok(pairs
            .map(|it| Piece {
                offset: it[0],
                length: it[1],
            })
            .collect()),
        _ => Err(broken("the map of a sparse file is not one")),
    }
}

fn decimal(text: &[u8]) -> io::Result<u64> {
    let wrong = || broken("a number in a header is not one");
    if !text.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    std::str::from_utf8(text)
        .ok()
        .and_then(|it| it.parse().ok())
        .ok_or_else(wrong)
}

/// Decimal seconds with a fraction.
fn time(text: &[u8]) -> io::Result<(i64, u32)> {
    let wrong = || broken("a time in a header is not one");
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| wrong())?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().map_err(|_| wrong())?;
    Ok(match (whole.starts_with('-'), nanoseconds) {
        (true, 1..) => (seconds.saturating_sub(1), 1_000_000_000 - nanoseconds),
        _ => (seconds, nanoseconds),
    })
}

/// Pieces follow each other, and are as long as the data in the file's size.
fn check(pieces: &[Piece], size: u64, stored: u64) -> io::Result<()> {
    let (mut end, mut sum) = (0u64, 0u64);
    for piece in pieces {
        let is_behind = piece.offset >= end;
        end = piece.offset.saturating_add(piece.length);
        sum = sum.saturating_add(piece.length);
        if !is_behind || end > size {
            return Err(broken(
                "the pieces of a sparse file overlap, or go beyond its end",
            ));
        }
    }
    match sum == stored {
        true => Ok(()),
        false => Err(broken("the pieces of a sparse file are not as long as its data")),
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fills_the_last_block_may_be_missing() {
        let mut header = Header::new_gnu();
        header.set_path("index.html").unwrap();
        header.set_size(6);
        header.set_mode(0o644);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(b"hello\n");
        let mut archive = Archive::new(bytes.as_slice());
        let entry = archive.next().unwrap().unwrap();
        assert_eq!((entry.name.as_slice(), entry.size), (&b"index.html"[..], 6));
        assert!(archive.next().unwrap().is_none());
        // Of the data itself nothing may be.
        let mut archive = Archive::new(&bytes[..bytes.len() - 1]);
        archive.next().unwrap().unwrap();
        assert!(archive.next().is_err());
    }
}
