//! AS_PATH (RFC 4271 section 4.3 and 5.1.2, RFC 5065 section 3).

use std::fmt;
use std::str::FromStr;

use smallvec::{SmallVec, smallvec};

use super::reader::Reader;
use super::types::{AS_TRANS, NotThat};

/// A segment's count is one octet.
const LONGEST_SEGMENT: usize = 255;

/// The ASes a route went through, the nearest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AsPath {
    /// Its segments: mostly one.
    pub segments: SmallVec<[Segment; 1]>,
}

/// A part of the path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// AS_SEQUENCE: in this order.
    Sequence(Vec<u32>),
    /// AS_SET: in any order.
    Set(Vec<u32>),
    /// AS_CONFED_SEQUENCE: member ASes of the local confederation, in this order.
    ConfedSequence(Vec<u32>),
    /// AS_CONFED_SET: member ASes of the local confederation, in any order.
    ConfedSet(Vec<u32>),
}

impl Segment {
    /// Its ASes.
    pub fn asns(&self) -> &[u32] {
        match self {
            Segment::Sequence(asns)
            | Segment::Set(asns)
            | Segment::ConfedSequence(asns)
            | Segment::ConfedSet(asns) => asns,
        }
    }

    /// Whether it is of a confederation.
    pub fn is_confed(&self) -> bool {
        matches!(self, Segment::ConfedSequence(_) | Segment::ConfedSet(_))
    }

    /// How much it adds to the path's length (RFC 4271 section 9.1.2.2 a, RFC 5065 section 5.3).
    fn length(&self) -> usize {
        match self {
            Segment::Sequence(asns) => asns.len(),
            Segment::Set(_) => 1,
            Segment::ConfedSequence(_) | Segment::ConfedSet(_) => 0,
        }
    }

    fn number(&self) -> u8 {
        match self {
            Segment::Set(_) => 1,
            Segment::Sequence(_) => 2,
            Segment::ConfedSequence(_) => 3,
            Segment::ConfedSet(_) => 4,
        }
    }

    fn from_number(number: u8, asns: Vec<u32>) -> Option<Self> {
        Some(match number {
            1 => Segment::Set(asns),
            2 => Segment::Sequence(asns),
            3 => Segment::ConfedSequence(asns),
            4 => Segment::ConfedSet(asns),
            _ => return None,
        })
    }
}

impl AsPath {
    /// The path of these ASes, one after another.
    pub fn sequence(asns: impl Into<Vec<u32>>) -> Self {
        let asns = asns.into();
        AsPath {
            segments: if asns.is_empty() {
                SmallVec::new()
            } else {
                smallvec![Segment::Sequence(asns)]
            },
        }
    }

    /// Its length for the choice of the best route: a set counts once, a confederation's members do not
    /// (RFC 4271 section 9.1.2.2 a, RFC 5065 section 5.3).
    pub fn length(&self) -> usize {
        self.segments.iter().map(Segment::length).sum()
    }

    /// Whether the AS is anywhere in it (RFC 4271 section 9.1.2, loops).
    pub fn contains(&self, asn: u32) -> bool {
        self.asns().any(|other| other == asn)
    }

    /// All its ASes, as they stand.
    pub fn asns(&self) -> impl Iterator<Item = u32> {
        self.segments.iter().flat_map(|segment| segment.asns()).copied()
    }

    /// The neighboring AS: the first one of the path, where that begins with a sequence; members of the
    /// confederation are passed over (RFC 4271 section 9.1.2.2 c, RFC 5065 section 5.3).
    pub fn first(&self) -> Option<u32> {
        match self.segments.iter().find(|segment| !segment.is_confed()) {
            Some(Segment::Sequence(asns)) => asns.first().copied(),
            _ => None,
        }
    }

    /// The AS that originated the route, where the path ends with a sequence.
    pub fn origin(&self) -> Option<u32> {
        match self.segments.last() {
            Some(Segment::Sequence(asns)) => asns.last().copied(),
            _ => None,
        }
    }

    /// Puts the AS in front, several times if so wanted (RFC 4271 section 5.1.2 b).
    pub fn prepend(&mut self, asn: u32, times: usize) {
        let mut left = times;
        if let Some(Segment::Sequence(asns)) = self.segments.first_mut() {
            let here = left.min(LONGEST_SEGMENT.saturating_sub(asns.len()));
            asns.splice(0..0, std::iter::repeat_n(asn, here));
            left -= here;
        }
        while left > 0 {
            let here = left.min(LONGEST_SEGMENT);
            self.segments.insert(0, Segment::Sequence(vec![asn; here]));
            left -= here;
        }
    }

    /// The path with other AS numbers in the places of its own.
    pub fn mapped(&self, change: impl Fn(u32) -> u32) -> AsPath {
        self.changed(|asns| asns.iter().copied().map(&change).collect())
    }

    /// The path without the AS numbers for which a condition does not hold.
    pub fn retained(&self, keeps: impl Fn(u32) -> bool) -> AsPath {
        self.changed(|asns| asns.iter().copied().filter(|asn| keeps(*asn)).collect())
    }

    fn changed(&self, change: impl Fn(&[u32]) -> Vec<u32>) -> AsPath {
        let segments = self.segments.iter().map(|segment| match segment {
            Segment::Sequence(asns) => Segment::Sequence(change(asns)),
            Segment::Set(asns) => Segment::Set(change(asns)),
            Segment::ConfedSequence(asns) => Segment::ConfedSequence(change(asns)),
            Segment::ConfedSet(asns) => Segment::ConfedSet(change(asns)),
        });
        AsPath {
            segments: segments.filter(|segment| !segment.asns().is_empty()).collect(),
        }
    }

    /// The first part of the path, as long as said; sets and confederations in front of it stay whole.
    pub(super) fn leading(&self, length: usize) -> AsPath {
        let mut left = length;
        let mut segments = SmallVec::new();
        for segment in &self.segments {
            if left == 0 {
                break;
            }
            let taken = segment.length();
            segments.push(match segment {
                Segment::Sequence(asns) if taken > left => Segment::Sequence(asns[..left].to_vec()),
                whole => whole.clone(),
            });
            left = left.saturating_sub(taken);
        }
        AsPath { segments }
    }

    /// The attribute's value, or what is wrong with it (RFC 7606 section 7.2).
    pub(super) fn decode(value: &[u8], four_octet: bool) -> Result<Self, &'static str> {
        let mut reader = Reader::new(value);
        let mut segments = SmallVec::new();
        while !reader.is_empty() {
            segments.push(segment(&mut reader, four_octet)?);
        }
        Ok(AsPath { segments })
    }

    /// Bytes of the value.
    pub(super) fn encoded_length(&self, four_octet: bool) -> usize {
        self.pieces()
            .map(|(_, asns)| 2 + asns.len() * width(four_octet))
            .sum()
    }

    pub(super) fn encode(&self, four_octet: bool, out: &mut Vec<u8>) {
        for (number, asns) in self.pieces() {
            out.extend([number, asns.len() as u8]);
            for asn in asns {
                put_asn(*asn, four_octet, out);
            }
        }
    }

    /// The segments as they fit the wire: an empty one is malformed (RFC 7606 section 7.2), a long one is cut.
    fn pieces(&self) -> impl Iterator<Item = (u8, &[u32])> {
        self.segments.iter().flat_map(|segment| {
            let number = segment.number();
            segment
                .asns()
                .chunks(LONGEST_SEGMENT)
                .map(move |asns| (number, asns))
        })
    }
}

fn width(four_octet: bool) -> usize {
    if four_octet { 4 } else { 2 }
}

/// An AS number; one that two octets cannot hold becomes AS_TRANS (RFC 6793 section 4.2.2).
pub(super) fn put_asn(asn: u32, four_octet: bool, out: &mut Vec<u8>) {
    if four_octet {
        out.extend(asn.to_be_bytes());
    } else {
        out.extend(u16::try_from(asn).unwrap_or(AS_TRANS).to_be_bytes());
    }
}

fn segment(reader: &mut Reader<'_>, four_octet: bool) -> Result<Segment, &'static str> {
    const SHORT: &str = "a segment runs over its end";
    let [number, count] = reader.array().ok_or(SHORT)?;
    if count == 0 {
        return Err("an empty segment");
    }
    let octets = reader.take(usize::from(count) * width(four_octet)).ok_or(SHORT)?;
    let mut rest = Reader::new(octets);
    let mut asns = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let asn = if four_octet {
            rest.u32()
        } else {
            rest.u16().map(u32::from)
        };
        match asn.ok_or(SHORT)? {
            // Nobody has it, and nobody may pass it on (RFC 7607 section 2).
            0 => return Err("AS 0"),
            asn => asns.push(asn),
        }
    }
    Segment::from_number(number, asns).ok_or("a segment of unknown type")
}

impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{segment}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, between, close) = match self {
            Segment::Sequence(_) => ("", " ", ""),
            Segment::Set(_) => ("{", ",", "}"),
            Segment::ConfedSequence(_) => ("(", " ", ")"),
            Segment::ConfedSet(_) => ("[", ",", "]"),
        };
        f.write_str(open)?;
        for (index, asn) in self.asns().iter().enumerate() {
            if index > 0 {
                f.write_str(between)?;
            }
            write!(f, "{asn}")?;
        }
        f.write_str(close)
    }
}

impl FromStr for AsPath {
    type Err = NotThat;

    fn from_str(text: &str) -> Result<Self, NotThat> {
        let mut segments = SmallVec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (segment, behind) = parse(rest).ok_or_else(|| NotThat::new("an AS path", text))?;
            segments.push(segment);
            rest = behind.trim_start();
        }
        Ok(AsPath { segments })
    }
}

/// The segment in front and what is behind it.
fn parse(text: &str) -> Option<(Segment, &str)> {
    let (number, close) = match text.chars().next()? {
        '{' => (1, '}'),
        '(' => (3, ')'),
        '[' => (4, ']'),
        _ => {
            let (asns, behind) = text.split_at(text.find(['{', '(', '[']).unwrap_or(text.len()));
            return Some((Segment::Sequence(numbers(asns)?), behind));
        }
    };
    let (asns, behind) = text[1..].split_once(close)?;
    Some((Segment::from_number(number, numbers(asns)?)?, behind))
}

fn numbers(text: &str) -> Option<Vec<u32>> {
    let asns: Option<Vec<u32>> = text
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().ok())
        .collect();
    asns.filter(|asns| !asns.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_printed_and_read() {
        for text in [
            "",
            "65010 65000",
            "{1,2}",
            "(65001 65002) 65010 {1,2} 7",
            "[1,2] 3",
        ] {
            assert_eq!(text.parse::<AsPath>().unwrap().to_string(), text);
        }
        for text in ["x", "{1", "()", "1 -2", "4294967296"] {
            assert!(text.parse::<AsPath>().is_err(), "{text}");
        }
    }

    #[test]
    fn length_counts_sets_once_and_confederations_not() {
        let path: AsPath = "(65001 65002) 65010 65011 {1,2,3}".parse().unwrap();
        assert_eq!(path.length(), 3);
        assert_eq!(path.first(), Some(65010));
        assert_eq!(path.origin(), None);
        assert!(path.contains(65002) && path.contains(3) && !path.contains(4));
        assert_eq!("{1,2} 3".parse::<AsPath>().unwrap().first(), None);
        assert_eq!("1 2 3".parse::<AsPath>().unwrap().origin(), Some(3));
    }

    #[test]
    fn prepending_fills_the_first_sequence() {
        let mut path: AsPath = "{1,2}".parse().unwrap();
        path.prepend(65000, 2);
        path.prepend(65001, 1);
        assert_eq!(path.to_string(), "65001 65000 65000 {1,2}");
        assert_eq!(path.segments.len(), 2);
        path.prepend(7, 300);
        assert_eq!(path.length(), 304);
        assert_eq!(path.segments[0].asns().len(), 48);
        assert_eq!(path.segments[1].asns().len(), 255);
    }

    #[test]
    fn bytes() {
        let path: AsPath = "65010 70000 {1}".parse().unwrap();
        let mut out = Vec::new();
        path.encode(true, &mut out);
        assert_eq!(out, [2, 2, 0, 0, 253, 242, 0, 1, 17, 112, 1, 1, 0, 0, 0, 1]);
        assert_eq!(out.len(), path.encoded_length(true));
        assert_eq!(AsPath::decode(&out, true), Ok(path.clone()));
        out.clear();
        path.encode(false, &mut out);
        assert_eq!(out, [2, 2, 253, 242, 91, 160, 1, 1, 0, 1]);
        assert_eq!(out.len(), path.encoded_length(false));
    }

    #[test]
    fn malformed_bytes_are_refused() {
        let bad: [&[u8]; 5] = [&[2], &[2, 0], &[2, 2, 0, 1, 0], &[5, 1, 0, 1], &[2, 1, 0, 1, 9]];
        for value in bad {
            assert!(AsPath::decode(value, false).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_segment_longer_than_its_count_can_say_is_cut() {
        let path = AsPath::sequence(vec![9; 300]);
        let mut out = Vec::new();
        path.encode(true, &mut out);
        let back = AsPath::decode(&out, true).unwrap();
        assert_eq!((back.segments.len(), back.length()), (2, 300));
    }
}
