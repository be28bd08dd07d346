//! Messages of DNS (RFC 1035 section 4, RFC 6891). Queries come from anybody: they are read within bounds, and nothing of
//! them but their question is looked at. Names are kept as they are in messages, without compression.

mod reader;

use std::net::{Ipv4Addr, Ipv6Addr};

use reader::{Header, Reader};

/// Types of records (RFC 1035 section 3.2.2, RFC 3596, RFC 2782).
pub const A: u16 = 1;
/// A name server.
pub const NS: u16 = 2;
/// Another name.
pub const CNAME: u16 = 5;
/// The start of a zone.
pub const SOA: u16 = 6;
/// A name by an address.
pub const PTR: u16 = 12;
/// Text.
pub const TXT: u16 = 16;
/// An address of IPv6.
pub const AAAA: u16 = 28;
/// A service's host and port.
pub const SRV: u16 = 33;
/// Not a record but an extension (RFC 6891).
pub const OPT: u16 = 41;
/// All there are (RFC 1035 section 3.2.3).
pub const ANY: u16 = 255;
/// The Internet's class.
pub const CLASS_IN: u16 = 1;
/// Any class.
pub const CLASS_ANY: u16 = 255;

/// The largest answer by UDP, in octets: none is fragmented on any link (DNS flag day 2020).
pub const LARGEST_UDP: usize = 1232;
/// The largest message by TCP, in octets: its length has 16 bits.
pub const LARGEST_TCP: usize = 65535;
/// The largest by UDP for who says nothing (RFC 1035 section 2.3.4).
const LARGEST_PLAIN: usize = 512;
const HEADER: usize = 12;
/// The longest name, in octets.
const LONGEST_NAME: usize = 255;
const LONGEST_LABEL: usize = 63;
/// A query with more records than these is no query.
const MOST_RECORDS: usize = 16;
/// Where the question's name is in every message, as a pointer (RFC 1035 section 4.1.4).
const TO_QUESTION: [u8; 2] = [0xc0, 12];

/// Flags of the header's second word.
const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const AUTHORITATIVE: u16 = 0x0400;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
/// Where a message says what became of the question.
const RCODE: u16 = 0x000f;

/// A name in the form that messages have, with the empty label at its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    /// The name of a text with dots; none where a label is empty or too long, or the whole is.
    pub fn of(text: &str) -> Option<Name> {
        let mut octets = Vec::with_capacity(text.len() + 2);
        let text = text.strip_suffix('.').unwrap_or(text);
        for label in text.split('.').filter(|_| !text.is_empty()) {
            let length = u8::try_from(label.len()).ok()?;
            if length == 0 || label.len() > LONGEST_LABEL {
                return None;
            }
            octets.push(length);
            octets.extend(label.as_bytes());
        }
        octets.push(0);
        (octets.len() <= LONGEST_NAME).then_some(Name(octets))
    }

    /// The labels, the first first.
    fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first().filter(|(length, _)| **length > 0)?;
            let (label, after) = after.split_at_checked(usize::from(*length))?;
            rest = after;
            Some(label)
        })
    }

    /// The name with dots, in small letters (RFC 4343); none where a label is made of anything but letters, digits, `-` and `_`,
    /// which no name of a cluster is.
    pub fn text(&self) -> Option<String> {
        let mut text = String::with_capacity(self.0.len());
        for label in self.labels() {
            if !text.is_empty() {
                text.push('.');
            }
            for octet in label {
                if !(octet.is_ascii_alphanumeric() || b"-_".contains(octet)) {
                    return None;
                }
                text.push(char::from(octet.to_ascii_lowercase()));
            }
        }
        Some(text)
    }

    /// Whether it is the same name as another (RFC 4343).
    pub fn is(&self, other: &Name) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

/// A question, and what is asked besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The number by which the answer is known.
    pub id: u16,
    /// Whether others are to be asked as well.
    pub recursion: bool,
    /// The name.
    pub name: Name,
    /// The type of record.
    pub kind: u16,
    /// The class.
    pub class: u16,
    /// The extension, where there is one.
    pub edns: Option<Edns>,
}

/// What a message says by EDNS (RFC 6891).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edns {
    /// The largest answer by UDP that is taken, in octets.
    pub largest: u16,
    /// The version.
    pub version: u8,
}

/// Why there is no query in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// It deserves no answer: it is no query at all.
    Silence,
    /// This is the answer.
    Refusal(Vec<u8>),
}

/// What became of a query (RFC 1035 section 4.1.1, RFC 6891 section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rcode {
    /// All is well.
    NoError,
    /// The query makes no sense.
    FormatError,
    /// Who was asked could not find out.
    ServerFailure,
    /// There is no such name.
    NoSuchName,
    /// This kind of query is not answered.
    NotImplemented,
    /// It will not be answered.
    Refused,
    /// The version of EDNS is not known.
    BadVersion,
}

impl Rcode {
    fn number(self) -> u16 {
        match self {
            Rcode::NoError => 0,
            Rcode::FormatError => 1,
            Rcode::ServerFailure => 2,
            Rcode::NoSuchName => 3,
            Rcode::NotImplemented => 4,
            Rcode::Refused => 5,
            Rcode::BadVersion => 16,
        }
    }
}

/// What stands in an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What became of the query.
    pub rcode: Rcode,
    /// Whether who answers is who decides.
    pub authoritative: bool,
    /// Records that answer.
    pub answers: Vec<Record>,
    /// Records of who decides.
    pub authority: Vec<Record>,
    /// Records that will be wanted next.
    pub additional: Vec<Record>,
}

/// A record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Of what it is.
    pub name: Name,
    /// For how many seconds it may be remembered.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// An address.
    A(Ipv4Addr),
    /// An address of IPv6.
    Aaaa(Ipv6Addr),
    /// The name that is meant.
    Cname(Name),
    /// A name server.
    Ns(Name),
    /// The name of an address.
    Ptr(Name),
    /// Where a service is.
    Srv {
        /// Among hosts of one priority, its share.
        weight: u16,
        /// The port.
        port: u16,
        /// The host.
        target: Name,
    },
    /// The start of a zone.
    Soa {
        /// The name server.
        server: Name,
        /// Who is responsible.
        mailbox: Name,
        /// The zone's version.
        serial: u32,
        /// For how many seconds it may be remembered that there is nothing.
        minimum: u32,
    },
    /// A text.
    Txt(String),
}

impl Data {
    fn kind(&self) -> u16 {
        match self {
            Data::A(_) => A,
            Data::Aaaa(_) => AAAA,
            Data::Cname(_) => CNAME,
            Data::Ns(_) => NS,
            Data::Ptr(_) => PTR,
            Data::Srv { .. } => SRV,
            Data::Soa { .. } => SOA,
            Data::Txt(_) => TXT,
        }
    }

    /// Whether it is asked for by a question of this type.
    pub fn is_of(&self, kind: u16) -> bool {
        kind == ANY || kind == self.kind()
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Data::A(address) => out.extend(address.octets()),
            Data::Aaaa(address) => out.extend(address.octets()),
            Data::Cname(name) | Data::Ns(name) | Data::Ptr(name) => out.extend(&name.0),
            Data::Srv { weight, port, target } => {
                // All are of one priority.
                out.extend([0, 0]);
                out.extend(weight.to_be_bytes());
                out.extend(port.to_be_bytes());
                out.extend(&target.0);
            }
            Data::Soa {
                server,
                mailbox,
                serial,
                minimum,
            } => {
                out.extend(&server.0);
                out.extend(&mailbox.0);
                // Refresh, retry and expire are for servers that copy zones, which nobody does here.
                for number in [*serial, 7200, 1800, 86400, *minimum] {
                    out.extend(number.to_be_bytes());
                }
            }
            Data::Txt(text) => {
                for part in text.as_bytes().chunks(255) {
                    out.push(part.len() as u8);
                    out.extend(part);
                }
            }
        }
    }
}

impl Message {
    /// An answer without records.
    pub fn failure(rcode: Rcode) -> Message {
        Message {
            rcode,
            authoritative: false,
            answers: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
        }
    }
}

/// Reads a message as far as it is a query.
///
/// # Errors
/// It is none, or one that is not answered.
pub fn read(message: &[u8]) -> Result<Query, Unread> {
    let mut reader = Reader::new(message);
    let header = reader.header().ok_or(Unread::Silence)?;
    if header.flags & RESPONSE != 0 {
        return Err(Unread::Silence);
    }
    if header.flags & OPCODE != 0 {
        return Err(Unread::Refusal(bare(&header, Rcode::NotImplemented)));
    }
    query(&mut reader, &header).ok_or_else(|| Unread::Refusal(bare(&header, Rcode::FormatError)))
}

/// Whether an answer says that who gave it cannot find out, so that another may know better: SERVFAIL, NOTIMP, REFUSED, or nothing by
/// one that asks nobody on and does not decide.
pub fn says_nothing(answer: &[u8]) -> bool {
    let Some(header) = Reader::new(answer).header() else {
        return true;
    };
    let Header { flags, counts, .. } = header;
    let useless = [Rcode::ServerFailure, Rcode::NotImplemented, Rcode::Refused].map(Rcode::number);
    let is_lame = flags & (RCODE | AUTHORITATIVE | RECURSION_AVAILABLE | TRUNCATED) == 0
        && counts[1] == 0
        && counts[3] == 0;
    useless.contains(&(flags & RCODE)) || is_lame
}

fn query(reader: &mut Reader, header: &Header) -> Option<Query> {
    let [questions, answers, authority, additional] = header.counts;
    let records = usize::from(answers) + usize::from(authority) + usize::from(additional);
    if questions != 1 || records > MOST_RECORDS {
        return None;
    }
    let (name, kind, class) = (reader.name()?, reader.word()?, reader.word()?);
    let mut edns = None;
    for _ in 0..records {
        let record = reader.record()?;
        if record.kind == OPT {
            let found = Edns {
                largest: record.class,
                version: record.ttl.to_be_bytes()[1],
            };
            if edns.replace(found).is_some() {
                return None;
            }
        }
    }
    Some(Query {
        id: header.id,
        recursion: header.flags & RECURSION_DESIRED != 0,
        name,
        kind,
        class,
        edns,
    })
}

/// A header alone, for queries that were not understood.
fn bare(header: &Header, rcode: Rcode) -> Vec<u8> {
    let flags = RESPONSE | header.flags & (OPCODE | RECURSION_DESIRED) | rcode.number();
    let mut out = Vec::with_capacity(HEADER);
    out.extend(header.id.to_be_bytes());
    out.extend(flags.to_be_bytes());
    out.extend([0; 8]);
    out
}

impl Query {
    /// A query for the records of a name.
    pub fn new(id: u16, name: Name, kind: u16) -> Query {
        Query {
            id,
            recursion: true,
            name,
            kind,
            class: CLASS_IN,
            edns: None,
        }
    }

    /// As a message.
    pub fn write(&self) -> Vec<u8> {
        let flags = if self.recursion { RECURSION_DESIRED } else { 0 };
        let mut out = Vec::with_capacity(HEADER + self.name.0.len() + 4);
        out.extend(self.id.to_be_bytes());
        out.extend(flags.to_be_bytes());
        for count in [1u16, 0, 0, 0] {
            out.extend(count.to_be_bytes());
        }
        self.write_question(&mut out);
        out
    }

    fn write_question(&self, out: &mut Vec<u8>) {
        out.extend(&self.name.0);
        out.extend(self.kind.to_be_bytes());
        out.extend(self.class.to_be_bytes());
    }

    /// How many octets an answer by UDP may have.
    pub fn largest(&self) -> usize {
        let said = self.edns.as_ref().map(|edns| usize::from(edns.largest));
        said.unwrap_or(LARGEST_PLAIN).clamp(LARGEST_PLAIN, LARGEST_UDP)
    }

    /// The answer as a message of no more than so many octets; one with less in it says that it is truncated.
    pub fn answer(&self, message: &Message, largest: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(LARGEST_PLAIN);
        out.extend([0; HEADER]);
        self.write_question(&mut out);
        let extension = if self.edns.is_some() { 11 } else { 0 };
        let room = largest.saturating_sub(extension);
        let mut counts = [1u16, 0, 0, 0];
        let mut is_truncated = false;
        let sections = [&message.answers, &message.authority, &message.additional];
        for (at, section) in sections.into_iter().enumerate() {
            let (before, length) = (counts, out.len());
            for record in section {
                self.write_record(record, &mut out);
                counts[at + 1] = counts[at + 1].saturating_add(1);
                if out.len() > room || counts[at + 1] == u16::MAX {
                    // What would be wanted next may be asked for next.
                    is_truncated |= at < 2;
                    out.truncate(length);
                    counts = before;
                    break;
                }
            }
        }
        if self.edns.is_some() {
            let [high, _] = (message.rcode.number() << 4).to_be_bytes();
            out.push(0);
            out.extend(OPT.to_be_bytes());
            out.extend((LARGEST_UDP as u16).to_be_bytes());
            out.extend([high, 0, 0, 0, 0, 0]);
            counts[3] += 1;
        }
        let mut flags = RESPONSE | RECURSION_AVAILABLE | message.rcode.number() & 0xf;
        flags |= if self.recursion { RECURSION_DESIRED } else { 0 };
        flags |= if message.authoritative { AUTHORITATIVE } else { 0 };
        flags |= if is_truncated { TRUNCATED } else { 0 };
        let words = [self.id, flags].into_iter().chain(counts);
        for (place, word) in out.chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    fn write_record(&self, record: &Record, out: &mut Vec<u8>) {
        match record.name.is(&self.name) {
            true => out.extend(TO_QUESTION),
            false => out.extend(&record.name.0),
        }
        out.extend(record.data.kind().to_be_bytes());
        out.extend(CLASS_IN.to_be_bytes());
        out.extend(record.ttl.to_be_bytes());
        let length = out.len();
        out.extend([0; 2]);
        record.data.write(out);
        let written = u16::try_from(out.len() - length - 2).unwrap_or(u16::MAX);
        out[length..length + 2].copy_from_slice(&written.to_be_bytes());
    }

    /// Whether a message is an answer to this query.
    pub fn is_answered_by(&self, message: &[u8]) -> bool {
        let mut reader = Reader::new(message);
        let mut read = || {
            let header = reader.header()?;
            let is_ours = header.id == self.id && header.flags & RESPONSE != 0 && header.counts[0] == 1;
            let (name, kind, class) = (reader.name()?, reader.word()?, reader.word()?);
            Some(is_ours && name.is(&self.name) && (kind, class) == (self.kind, self.class))
        };
        read().unwrap_or(false)
    }

    /// The addresses and aliases that a message answers this query with.
    pub fn records_of(&self, message: &[u8]) -> Vec<Record> {
        let mut reader = Reader::new(message);
        let mut found = Vec::new();
        let Some(header) = reader.header().filter(|_| self.is_answered_by(message)) else {
            return found;
        };
        if reader
            .name()
            .and_then(|_| reader.word())
            .and_then(|_| reader.word())
            .is_none()
        {
            return found;
        }
        for _ in 0..header.counts[1].min(100) {
            let Some(record) = reader.record() else { break };
            let data = match (record.kind, record.data) {
                (A, data) => <[u8; 4]>::try_from(data).ok().map(|it| Data::A(it.into())),
                (AAAA, data) => <[u8; 16]>::try_from(data).ok().map(|it| Data::Aaaa(it.into())),
                (CNAME, _) => record.target.map(Data::Cname),
                _ => None,
            };
            found.extend(data.map(|data| Record {
                name: record.name,
                ttl: record.ttl,
                data,
            }));
        }
        found
    }
}
