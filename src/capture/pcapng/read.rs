//! Reads what [`super::section`] and the others wrote, on the same kind of machine.

use std::fmt;

use super::*;
use crate::filter::Direction;

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// The head.
    Section {
        /// What wrote it.
        application: String,
        /// What is said of it.
        comments: Vec<String>,
    },
    /// An interface.
    Interface {
        /// `node:interface`.
        name: String,
        /// More about it.
        description: String,
        /// The type of its link.
        link: u16,
        /// So many bytes of a packet were kept at most.
        snaplen: u32,
        /// The filter that its packets passed.
        filter: String,
    },
    /// A packet.
    Packet(PacketRead),
    /// What became of an interface's packets.
    Statistics {
        /// The number of the interface.
        interface: u32,
        /// When the capture ended, in nanoseconds since 1970.
        ended: u64,
        /// How many passed the filter.
        received: u64,
        /// How many were lost.
        dropped: u64,
        /// What is said of it.
        comments: Vec<String>,
    },
}

/// A packet of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketRead {
    /// The number of its interface.
    pub interface: u32,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// What was kept of it.
    pub bytes: Vec<u8>,
    /// How long it was.
    pub length: u32,
    /// Whether it arrived or left, where that is said.
    pub direction: Option<Direction>,
    /// What is said of it.
    pub comments: Vec<String>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// Where the block begins that cannot be read.
    pub at: usize,
    /// Why.
    pub why: &'static str,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the block at byte {}: {}", self.at, self.why)
    }
}

impl std::error::Error for ReadError {}

/// The blocks of a file. Kinds that nslab does not write are passed over.
///
/// # Errors
/// A block is cut off, or makes no sense.
pub fn read(bytes: &[u8]) -> Result<Vec<Block>, ReadError> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let wrong = |why| ReadError { at, why };
        let rest = &bytes[at..];
        let kind = number(rest, 0).ok_or_else(|| wrong("it is cut off"))?;
        let length = number(rest, 4).ok_or_else(|| wrong("it is cut off"))? as usize;
        if !(12..=LONGEST_BLOCK).contains(&length) || !length.is_multiple_of(4) {
            return Err(wrong("its length makes no sense"));
        }
        let whole = rest.get(..length).ok_or_else(|| wrong("it is cut off"))?;
        if number(whole, length - 4) != Some(length as u32) {
            return Err(wrong("its length is not said twice"));
        }
        if blocks.is_empty() && kind != SECTION {
            return Err(wrong("a file begins with a section"));
        }
        let content = &whole[8..length - 4];
        let block = block(kind, content).ok_or_else(|| wrong("something is missing in it"))?;
        blocks.extend(block);
        at += length;
    }
    Ok(blocks)
}

/// How many of these bytes are whole blocks, from the first on.
pub fn whole(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(length) = bytes.get(at..).and_then(|rest| number(rest, 4)) {
        match at.checked_add(length as usize) {
            Some(end) if length >= 12 && end <= bytes.len() => at = end,
            _ => break,
        }
    }
    at
}

/// `Some(None)` where it is of a kind that is passed over.
fn block(kind: u32, content: &[u8]) -> Option<Option<Block>> {
    Some(Some(match kind {
        SECTION => {
            if number(content, 0)? != BYTE_ORDER {
                return None;
            }
            let options = options(content.get(16..)?)?;
            Block::Section {
                application: options.text(APPLICATION),
                comments: options.comments(),
            }
        }
        INTERFACE => {
            let options = options(content.get(8..)?)?;
            let filter = options.find(FILTER).unwrap_or_default();
            Block::Interface {
                name: options.text(NAME),
                description: options.text(DESCRIPTION),
                link: half(content, 0)?,
                snaplen: number(content, 4)?,
                filter: String::from_utf8_lossy(filter.get(1..).unwrap_or_default()).into_owned(),
            }
        }
        PACKET => Block::Packet(packet(content)?),
        STATISTICS => {
            let options = options(content.get(12..)?)?;
            let counted = |code| options.find(code).and_then(long).unwrap_or(0);
            Block::Statistics {
                interface: number(content, 0)?,
                ended: time(content, 4)?,
                received: counted(RECEIVED),
                dropped: counted(DROPPED),
                comments: options.comments(),
            }
        }
        _ => return Some(None),
    }))
}

fn packet(content: &[u8]) -> Option<PacketRead> {
    let kept = number(content, 12)? as usize;
    let bytes = content.get(20..20usize.checked_add(kept)?)?;
    let options = options(content.get(20 + kept.next_multiple_of(4)..)?)?;
    let flags = options.find(FLAGS).and_then(|value| number(value, 0));
    Some(PacketRead {
        interface: number(content, 0)?,
        time: time(content, 4)?,
        bytes: bytes.to_vec(),
        length: number(content, 16)?,
        direction: match flags.unwrap_or(0) & 3 {
            1 => Some(Direction::In),
            2 => Some(Direction::Out),
            _ => None,
        },
        comments: options.comments(),
    })
}

/// The options of a block.
struct Options<'b>(Vec<(u16, &'b [u8])>);

impl<'b> Options<'b> {
    fn find(&self, wanted: u16) -> Option<&'b [u8]> {
        self.0
            .iter()
            .find(|(code, _)| *code == wanted)
            .map(|(_, value)| *value)
    }

    fn text(&self, wanted: u16) -> String {
        String::from_utf8_lossy(self.find(wanted).unwrap_or_default()).into_owned()
    }

    fn comments(&self) -> Vec<String> {
        let comments = self.0.iter().filter(|(code, _)| *code == COMMENT);
        comments
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }
}

fn options(bytes: &[u8]) -> Option<Options<'_>> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (code, length) = (half(rest, 0)?, usize::from(half(rest, 2)?));
        if code == 0 {
            break;
        }
        found.push((code, rest.get(4..4 + length)?));
        rest = rest.get(4 + length.next_multiple_of(4)..)?;
    }
    Some(Options(found))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let found = bytes.get(at..at + 2)?;
    found.try_into().ok().map(u16::from_ne_bytes)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let found = bytes.get(at..at + 4)?;
    found.try_into().ok().map(u32::from_ne_bytes)
}

fn long(bytes: &[u8]) -> Option<u64> {
    bytes.get(..8)?.try_into().ok().map(u64::from_ne_bytes)
}

fn time(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(number(bytes, at)?) << 32 | u64::from(number(bytes, at + 4)?))
}
