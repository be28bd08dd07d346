//! The frame of path attributes: flags, type code, length (RFC 4271 section 4.3).

use super::reader::Reader;

pub(super) const ORIGIN: u8 = 1;
pub(super) const AS_PATH: u8 = 2;
pub(super) const NEXT_HOP: u8 = 3;
pub(super) const MED: u8 = 4;
pub(super) const LOCAL_PREF: u8 = 5;
pub(super) const ATOMIC_AGGREGATE: u8 = 6;
pub(super) const AGGREGATOR: u8 = 7;
pub(super) const COMMUNITIES: u8 = 8;
pub(super) const ORIGINATOR_ID: u8 = 9;
pub(super) const CLUSTER_LIST: u8 = 10;
pub(super) const MP_REACH_NLRI: u8 = 14;
pub(super) const MP_UNREACH_NLRI: u8 = 15;
pub(super) const EXTENDED_COMMUNITIES: u8 = 16;
pub(super) const AS4_PATH: u8 = 17;
pub(super) const AS4_AGGREGATOR: u8 = 18;
/// RFC 6514 section 5.
pub(super) const PMSI_TUNNEL: u8 = 22;
pub(super) const LARGE_COMMUNITIES: u8 = 32;

/// The flags' bits.
pub(super) struct Flags;

impl Flags {
    pub(super) const OPTIONAL: u8 = 0x80;
    pub(super) const TRANSITIVE: u8 = 0x40;
    pub(super) const PARTIAL: u8 = 0x20;
    pub(super) const EXTENDED: u8 = 0x10;
    /// Those that the type of a known attribute decides.
    const KIND: u8 = Flags::OPTIONAL | Flags::TRANSITIVE;

    /// What the type of an attribute demands; none for one that is not known.
    pub(super) fn of(code: u8) -> Option<u8> {
        Some(match code {
            ORIGIN | AS_PATH | NEXT_HOP | LOCAL_PREF | ATOMIC_AGGREGATE => Flags::TRANSITIVE,
            MED | ORIGINATOR_ID | CLUSTER_LIST | MP_REACH_NLRI | MP_UNREACH_NLRI => Flags::OPTIONAL,
            AGGREGATOR | COMMUNITIES | EXTENDED_COMMUNITIES | AS4_PATH | AS4_AGGREGATOR
            | LARGE_COMMUNITIES | PMSI_TUNNEL => Flags::OPTIONAL | Flags::TRANSITIVE,
            _ => return None,
        })
    }

    /// Whether flags are those the type demands.
    pub(super) fn fit(flags: u8, code: u8) -> bool {
        Flags::of(code).is_none_or(|wanted| flags & Flags::KIND == wanted)
    }
}

/// An attribute in a message.
pub(super) struct Framed<'a> {
    pub(super) flags: u8,
    pub(super) code: u8,
    pub(super) value: &'a [u8],
}

/// The next attribute; none where it runs over the end.
pub(super) fn next<'a>(reader: &mut Reader<'a>) -> Option<Framed<'a>> {
    let [flags, code] = reader.array()?;
    let value = if flags & Flags::EXTENDED != 0 {
        reader.counted16()?
    } else {
        reader.counted8()?
    };
    Some(Framed { flags, code, value })
}

/// Appends an attribute that is known.
pub(super) fn put(code: u8, value: &[u8], out: &mut Vec<u8>) {
    put_with(Flags::of(code).unwrap_or_default(), code, value, out);
}

/// Appends an attribute. One longer than any message is caught where messages are made.
pub(super) fn put_with(flags: u8, code: u8, value: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(value.len()) {
        Ok(length) => out.extend([flags, code, length]),
        Err(_) => {
            out.extend([flags | Flags::EXTENDED, code]);
            out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    out.extend(value);
}
