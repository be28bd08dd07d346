//! Capabilities (RFC 5492).

use super::reader::Reader;
use super::types::AfiSafi;

/// What a side says it can do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Capability {
    /// A family of addresses (RFC 4760 section 8).
    Multiprotocol(AfiSafi),
    /// Routes can be asked for again (RFC 2918).
    RouteRefresh,
    /// Families, and the AFI of next hops that may be used for them beside their own (RFC 8950 section 4).
    ExtendedNextHop(Vec<(AfiSafi, u16)>),
    /// Messages up to 65,535 octets (RFC 8654).
    ExtendedMessages,
    /// See there.
    GracefulRestart(GracefulRestart),
    /// AS numbers of four octets, with the own one (RFC 6793).
    FourOctetAs(u32),
    /// Several paths to a prefix: families, and whether they are received (1), sent (2) or both (3) (RFC 7911).
    AddPath(Vec<(AfiSafi, u8)>),
    /// Beginning and end of a refresh are marked (RFC 7313).
    EnhancedRouteRefresh,
    /// Host and domain name (draft-walton-bgp-hostname-capability).
    Fqdn {
        /// Host name.
        host: String,
        /// Domain name, perhaps empty.
        domain: String,
    },
    /// Route Refresh under the code that it had first, with some makers.
    OldRouteRefresh,
    /// Capabilities can be changed while the session is up (draft-ietf-idr-dynamic-cap); with `true` under an older code.
    Dynamic(bool),
    /// Routes are kept for long after a restart (RFC 9494): families, whether forwarding goes on, and seconds.
    LongLivedRestart(Vec<(AfiSafi, bool, u32)>),
    /// Another one.
    Unknown {
        /// Its code.
        code: u8,
        /// Its value.
        value: Vec<u8>,
    },
}

/// What a side says about its restarts (RFC 4724 section 3, RFC 8538 section 2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct GracefulRestart {
    /// It has just restarted.
    pub restarting: bool,
    /// It keeps routes over NOTIFICATIONs as well.
    pub notification: bool,
    /// Seconds until it is back, at most 4,095.
    pub time: u16,
    /// Families whose routes are kept, and whether it has gone on forwarding by them.
    pub families: Vec<(AfiSafi, bool)>,
}

const RESTARTING: u8 = 0x80;
const NOTIFICATION: u8 = 0x40;
const FORWARDING: u8 = 0x80;
const LONGEST_TIME: u16 = 0x0fff;
/// Three octets.
const LONGEST_STALE: u32 = 0x00ff_ffff;

impl Capability {
    fn code(&self) -> u8 {
        match self {
            Capability::Multiprotocol(_) => 1,
            Capability::RouteRefresh => 2,
            Capability::ExtendedNextHop(_) => 5,
            Capability::ExtendedMessages => 6,
            Capability::GracefulRestart(_) => 64,
            Capability::FourOctetAs(_) => 65,
            Capability::Dynamic(true) => 66,
            Capability::Dynamic(false) => 67,
            Capability::AddPath(_) => 69,
            Capability::EnhancedRouteRefresh => 70,
            Capability::LongLivedRestart(_) => 71,
            Capability::OldRouteRefresh => 128,
            Capability::Fqdn { .. } => 73,
            Capability::Unknown { code, .. } => *code,
        }
    }

    /// A capability's own length is one octet: lists and names are cut there.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut value = Vec::new();
        match self {
            // A list of none is malformed, and says nothing.
            Capability::ExtendedNextHop(families) if families.is_empty() => return,
            Capability::AddPath(families) if families.is_empty() => return,
            Capability::Multiprotocol(family) => {
                value.extend(family.afi.to_be_bytes());
                value.extend([0, family.safi]);
            }
            Capability::ExtendedNextHop(families) => {
                for (family, next_hop) in families.iter().take(42) {
                    value.extend(family.afi.to_be_bytes());
                    value.extend([0, family.safi]);
                    value.extend(next_hop.to_be_bytes());
                }
            }
            Capability::GracefulRestart(restart) => restart.encode(&mut value),
            Capability::FourOctetAs(asn) => value.extend(asn.to_be_bytes()),
            Capability::AddPath(families) => {
                for (family, modes) in families.iter().take(63) {
                    value.extend(family.afi.to_be_bytes());
                    value.extend([family.safi, *modes]);
                }
            }
            Capability::Fqdn { host, domain } => {
                for name in [host, domain] {
                    // 64 octets for each, as FRR takes.
                    let name = &name[..name.floor_char_boundary(64)];
                    value.push(name.len() as u8);
                    value.extend(name.as_bytes());
                }
            }
            Capability::Unknown { value: given, .. } => value.extend(given.iter().take(255)),
            Capability::LongLivedRestart(families) => {
                for (family, forwarding, seconds) in families.iter().take(36) {
                    value.extend(family.afi.to_be_bytes());
                    value.extend([family.safi, if *forwarding { FORWARDING } else { 0 }]);
                    value.extend(&seconds.min(&LONGEST_STALE).to_be_bytes()[1..]);
                }
            }
            Capability::RouteRefresh
            | Capability::OldRouteRefresh
            | Capability::Dynamic(_)
            | Capability::ExtendedMessages
            | Capability::EnhancedRouteRefresh => {}
        }
        out.extend([self.code(), value.len() as u8]);
        out.extend(value);
    }

    /// Reads capabilities until the end; nothing where one is cut off, or where its length is one that it cannot have, as FRR
    /// sees it. One that is not known is ignored (RFC 5492 section 3).
    pub(super) fn decode_all(bytes: &[u8]) -> Result<Vec<Capability>, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut found = Vec::new();
        while !reader.is_empty() {
            let code = reader.u8().ok_or(Malformed::Other)?;
            let value = reader.counted8().ok_or(Malformed::Other)?;
            if code == FOUR_OCTET_AS && value.len() != 4 {
                return Err(Malformed::As);
            }
            if is_malformed(code, value) {
                return Err(Malformed::Other);
            }
            found.push(decode(code, value).unwrap_or_else(|| Capability::Unknown {
                code,
                value: value.to_vec(),
            }));
        }
        Ok(found)
    }
}

/// What is wrong with a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malformed {
    /// It does not say which AS the neighbor is in.
    As,
    /// Anything else.
    Other,
}

const FOUR_OCTET_AS: u8 = 65;

/// Whether a value has a length that it cannot have. (FRR passes over what is wrong with others.)
fn is_malformed(code: u8, value: &[u8]) -> bool {
    let length = value.len();
    match code {
        1 => length != 4,
        // Outbound Route Filtering (RFC 5291 section 4), of which nslab knows nothing.
        3 => length < 5,
        5 => length == 0 || !length.is_multiple_of(6),
        6 => length != 0,
        // BGP Role (RFC 9234 section 4.1), likewise.
        9 => length != 1,
        64 => length < 2 || !(length - 2).is_multiple_of(4),
        69 => length == 0 || !length.is_multiple_of(4),
        73 => {
            let mut reader = Reader::new(value);
            reader.counted8().and_then(|_| reader.counted8()).is_none()
        }
        _ => false,
    }
}

fn decode(code: u8, value: &[u8]) -> Option<Capability> {
    let mut reader = Reader::new(value);
    let capability = match code {
        1 => {
            let family = spaced_family(&mut reader)?;
            Capability::Multiprotocol(family)
        }
        2 => Capability::RouteRefresh,
        5 => {
            let mut families = Vec::new();
            while !reader.is_empty() {
                families.push((spaced_family(&mut reader)?, reader.u16()?));
            }
            Capability::ExtendedNextHop(families)
        }
        6 => Capability::ExtendedMessages,
        64 => Capability::GracefulRestart(GracefulRestart::decode(&mut reader)?),
        65 => Capability::FourOctetAs(reader.u32()?),
        69 => {
            let mut families = Vec::new();
            while !reader.is_empty() {
                families.push((family(&mut reader)?, reader.u8()?));
            }
            Capability::AddPath(families)
        }
        66 | 67 => Capability::Dynamic(code == 66),
        70 => Capability::EnhancedRouteRefresh,
        71 => {
            let mut families = Vec::new();
            while !reader.is_empty() {
                let family = family(&mut reader)?;
                let [flags, high, middle, low] = reader.array()?;
                let seconds = u32::from_be_bytes([0, high, middle, low]);
                families.push((family, flags & FORWARDING != 0, seconds));
            }
            Capability::LongLivedRestart(families)
        }
        128 => Capability::OldRouteRefresh,
        73 => Capability::Fqdn {
            host: name(&mut reader)?,
            domain: name(&mut reader)?,
        },
        _ => return None,
    };
    reader.is_empty().then_some(capability)
}

impl GracefulRestart {
    fn encode(&self, out: &mut Vec<u8>) {
        let [high, low] = self.time.min(LONGEST_TIME).to_be_bytes();
        let restarting = if self.restarting { RESTARTING } else { 0 };
        let notification = if self.notification { NOTIFICATION } else { 0 };
        out.extend([high | restarting | notification, low]);
        for (family, forwarding) in self.families.iter().take(63) {
            out.extend(family.afi.to_be_bytes());
            out.extend([family.safi, if *forwarding { FORWARDING } else { 0 }]);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<GracefulRestart> {
        let [high, low] = reader.array()?;
        let mut families = Vec::new();
        while !reader.is_empty() {
            families.push((family(reader)?, reader.u8()? & FORWARDING != 0));
        }
        Some(GracefulRestart {
            restarting: high & RESTARTING != 0,
            notification: high & NOTIFICATION != 0,
            time: u16::from_be_bytes([high, low]) & LONGEST_TIME,
            families,
        })
    }
}

fn family(reader: &mut Reader<'_>) -> Option<AfiSafi> {
    let afi = reader.u16()?;
    let safi = reader.u8()?;
    Some(AfiSafi { afi, safi })
}

/// A family with a reserved octet between its numbers.
fn spaced_family(reader: &mut Reader<'_>) -> Option<AfiSafi> {
    let afi = reader.u16()?;
    let [_, safi] = reader.array()?;
    Some(AfiSafi { afi, safi })
}

/// What could move a terminal's cursor is replaced: names are shown to people.
fn name(reader: &mut Reader<'_>) -> Option<String> {
    let text = String::from_utf8_lossy(reader.counted8()?);
    let printable = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    Some(text.chars().map(printable).collect())
}
