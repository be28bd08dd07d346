//! Parts of messages, each within its bounds.

use super::{CNAME, LONGEST_NAME, Name};

/// The beginning of a message.
pub(super) struct Header {
    pub id: u16,
    pub flags: u16,
    /// Questions, answers, records of who decides, and others.
    pub counts: [u16; 4],
}

/// A record as it was read.
pub(super) struct Raw<'m> {
    pub name: Name,
    pub kind: u16,
    pub class: u16,
    pub ttl: u32,
    pub data: &'m [u8],
    /// The name that the data begins with, where the type has one.
    pub target: Option<Name>,
}

/// Reads a message from its beginning on.
pub(super) struct Reader<'m> {
    message: &'m [u8],
    at: usize,
}

impl<'m> Reader<'m> {
    pub fn new(message: &'m [u8]) -> Reader<'m> {
        Reader { message, at: 0 }
    }

    fn take(&mut self, length: usize) -> Option<&'m [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.message.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    pub fn word(&mut self) -> Option<u16> {
        let octets = self.take(2)?.try_into().ok()?;
        Some(u16::from_be_bytes(octets))
    }

    pub fn header(&mut self) -> Option<Header> {
        let (id, flags) = (self.word()?, self.word()?);
        let counts = [self.word()?, self.word()?, self.word()?, self.word()?];
        Some(Header { id, flags, counts })
    }

    /// A name. Pointers lead back only, so that they come to an end (RFC 1035 section 4.1.4).
    pub fn name(&mut self) -> Option<Name> {
        let mut octets = Vec::new();
        let mut after = None;
        let mut oldest = self.at;
        loop {
            let length = *self.take(1)?.first()?;
            match length {
                0 => break,
                1..=63 => {
                    octets.push(length);
                    octets.extend(self.take(usize::from(length))?);
                    if octets.len() >= LONGEST_NAME {
                        return None;
                    }
                }
                0xc0.. => {
                    let low = *self.take(1)?.first()?;
                    let to = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    after.get_or_insert(self.at);
                    if to >= oldest {
                        return None;
                    }
                    (oldest, self.at) = (to, to);
                }
                _ => return None,
            }
        }
        self.at = after.unwrap_or(self.at);
        octets.push(0);
        Some(Name(octets))
    }

    pub fn record(&mut self) -> Option<Raw<'m>> {
        let (name, kind, class) = (self.name()?, self.word()?, self.word()?);
        let ttl = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
        let length = self.word()?;
        let begin = self.at;
        let data = self.take(usize::from(length))?;
        let mut inner = Reader {
            message: self.message,
            at: begin,
        };
        Some(Raw {
            name,
            kind,
            class,
            ttl,
            data,
            target: (kind == CNAME).then(|| inner.name()).flatten(),
        })
    }
}
