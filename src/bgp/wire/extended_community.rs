//! Extended communities (RFC 4360, RFC 5668).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use super::community::number;
use super::evpn::Mac;
use super::types::NotThat;

/// Two-octet AS specific (RFC 4360 section 3.1).
const AS2: u8 = 0;
/// IPv4 address specific (RFC 4360 section 3.2).
const ADDRESS: u8 = 1;
/// Four-octet AS specific (RFC 5668 section 2).
const AS4: u8 = 2;
/// Set where the community stays within the AS (RFC 4360 section 2).
const NON_TRANSITIVE: u8 = 0x40;
const ROUTE_TARGET: u8 = 2;
const SITE_OF_ORIGIN: u8 = 3;
const LINK_BANDWIDTH: u8 = 4;
/// EVPN (RFC 7153 section 2, RFC 7432 section 7): the type and its sub-types.
const EVPN: u8 = 6;
const MAC_MOBILITY: u8 = 0;
const ROUTER_MAC: u8 = 3;
/// Opaque (RFC 4360 section 3.3), and the sub-type of the encapsulation (RFC 9012 section 4.1).
const OPAQUE: u8 = 3;
const ENCAPSULATION: u8 = 12;
/// VXLAN as a tunnel type (RFC 8365 section 11).
const VXLAN: u16 = 8;

/// An extended community: type, sub-type and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExtendedCommunity(pub [u8; 8]);

impl ExtendedCommunity {
    /// A Route Target of a two- or four-octet AS (RFC 4360 section 4, RFC 5668 section 2); a value too large
    /// for the room behind a four-octet AS gives nothing.
    pub fn route_target(asn: u32, value: u32) -> Option<Self> {
        of_as(ROUTE_TARGET, asn, value)
    }

    /// Whether it may leave the AS (RFC 4360 section 2).
    pub fn is_transitive(self) -> bool {
        self.0[0] & NON_TRANSITIVE == 0
    }

    /// Frames go by VXLAN (RFC 8365 section 5.1.2).
    pub const VXLAN: ExtendedCommunity =
        ExtendedCommunity([OPAQUE, ENCAPSULATION, 0, 0, 0, 0, 0, VXLAN as u8]);

    /// The MAC address that frames to a router have inside of the tunnel (RFC 9135 section 8.1).
    pub fn of_router_mac(mac: Mac) -> Self {
        let [a, b, c, d, e, f] = mac.0;
        ExtendedCommunity([EVPN, ROUTER_MAC, a, b, c, d, e, f])
    }

    /// How often a MAC address has moved, and whether it may not move (RFC 7432 section 7.7).
    pub fn of_mobility(sequence: u32, is_sticky: bool) -> Self {
        let [a, b, c, d] = sequence.to_be_bytes();
        ExtendedCommunity([EVPN, MAC_MOBILITY, is_sticky.into(), 0, a, b, c, d])
    }

    /// The router's MAC address, if it says that.
    pub fn router_mac(self) -> Option<Mac> {
        match self.0 {
            [EVPN, ROUTER_MAC, a, b, c, d, e, f] => Some(Mac([a, b, c, d, e, f])),
            _ => None,
        }
    }

    /// How often a MAC address has moved and whether it may not, if it says that.
    pub fn mobility(self) -> Option<(u32, bool)> {
        match self.0 {
            [EVPN, MAC_MOBILITY, flags, _, a, b, c, d] => {
                Some((u32::from_be_bytes([a, b, c, d]), flags & 1 != 0))
            }
            _ => None,
        }
    }

    /// Whether it is a Route Target.
    pub fn is_route_target(self) -> bool {
        matches!(self.0, [AS2 | ADDRESS | AS4, ROUTE_TARGET, ..])
    }

    /// The number behind the administrator, of a Route Target: of an automatic one the network (RFC 8365 section 5.1.2.1).
    pub fn target_number(self) -> Option<u32> {
        match self.0 {
            [AS2, ROUTE_TARGET, ..] => Some(self.word(4)),
            [ADDRESS | AS4, ROUTE_TARGET, ..] => Some(self.half(6)),
            _ => None,
        }
    }

    fn half(self, at: usize) -> u32 {
        u32::from(u16::from_be_bytes([self.0[at], self.0[at + 1]]))
    }

    fn word(self, at: usize) -> u32 {
        self.half(at) << 16 | self.half(at + 2)
    }
}

fn of_as(subtype: u8, asn: u32, value: u32) -> Option<ExtendedCommunity> {
    let mut bytes = [0, subtype, 0, 0, 0, 0, 0, 0];
    if let Ok(asn) = u16::try_from(asn) {
        bytes[0] = AS2;
        bytes[2..4].copy_from_slice(&asn.to_be_bytes());
        bytes[4..].copy_from_slice(&value.to_be_bytes());
    } else {
        bytes[0] = AS4;
        bytes[2..6].copy_from_slice(&asn.to_be_bytes());
        bytes[6..].copy_from_slice(&u16::try_from(value).ok()?.to_be_bytes());
    }
    Some(ExtendedCommunity(bytes))
}

impl fmt::Display for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, subtype, ..] = self.0;
        match (kind, subtype) {
            (OPAQUE, ENCAPSULATION) => return write!(f, "ET:{}", self.half(6)),
            (EVPN, ROUTER_MAC) => return write!(f, "Rmac:{}", self.router_mac().unwrap_or_default()),
            (EVPN, MAC_MOBILITY) => {
                let (sequence, is_sticky) = self.mobility().unwrap_or_default();
                return match is_sticky {
                    true => write!(f, "MM:{sequence}, sticky MAC"),
                    false => write!(f, "MM:{sequence}"),
                };
            }
            _ => {}
        }
        let name = match subtype {
            ROUTE_TARGET => "RT",
            SITE_OF_ORIGIN => "SoO",
            LINK_BANDWIDTH if kind & !NON_TRANSITIVE == AS2 => return self.link_bandwidth(f),
            _ => return write!(f, "UNK:{kind}, {subtype}"),
        };
        match kind {
            AS2 => write!(f, "{name}:{}:{}", self.half(2), self.word(4)),
            ADDRESS => write!(f, "{name}:{}:{}", Ipv4Addr::from(self.word(2)), self.half(6)),
            AS4 => write!(f, "{name}:{}:{}", self.word(2), self.half(6)),
            _ => write!(f, "UNK:{kind}, {subtype}"),
        }
    }
}

impl ExtendedCommunity {
    /// Bytes per second as a floating point number (draft-ietf-idr-link-bandwidth section 2). FRR divides
    /// them as whole numbers before it prints three decimals.
    fn link_bandwidth(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = f32::from_bits(self.word(4)) as u32;
        write!(f, "LB:{}:{bytes} ", self.half(2))?;
        for (unit, name) in [(125_000_000, "Gbps"), (125_000, "Mbps"), (125, "Kbps")] {
            if bytes >= unit {
                return write!(f, "({}.000 {name})", bytes / unit);
            }
        }
        write!(f, "({} bps)", bytes * 8)
    }
}

impl FromStr for ExtendedCommunity {
    type Err = NotThat;

    /// `RT:65000:1`, `SoO:192.0.2.1:1` (a blank may stand for the first colon), or all eight octets as
    /// `0x` and sixteen hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, NotThat> {
        parse(text).ok_or_else(|| NotThat::new("an extended community", text))
    }
}

fn parse(text: &str) -> Option<ExtendedCommunity> {
    if let Some(digits) = text.strip_prefix("0x") {
        let whole = digits.len() == 16 && !digits.starts_with('+');
        let number = u64::from_str_radix(digits, 16).ok()?;
        return whole.then(|| ExtendedCommunity(number.to_be_bytes()));
    }
    let (name, rest) = text.split_once([':', ' '])?;
    let subtype = match name.to_ascii_lowercase().as_str() {
        "rt" => ROUTE_TARGET,
        "soo" => SITE_OF_ORIGIN,
        _ => return None,
    };
    let (administrator, value) = rest.split_once(':')?;
    let Ok(address) = administrator.parse::<Ipv4Addr>() else {
        return of_as(subtype, number(administrator)?, number(value)?);
    };
    let [a, b, c, d] = address.octets();
    let [high, low] = number::<u16>(value)?.to_be_bytes();
    Some(ExtendedCommunity([ADDRESS, subtype, a, b, c, d, high, low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_and_read() {
        for text in [
            "RT:65000:1",
            "RT:65000:4294967295",
            "RT:4200000000:7",
            "SoO:192.0.2.1:9",
            "SoO:65000:9",
        ] {
            assert_eq!(text.parse::<ExtendedCommunity>().unwrap().to_string(), text);
        }
        assert_eq!(
            "rt 65000:1".parse(),
            Ok(ExtendedCommunity([0, 2, 253, 232, 0, 0, 0, 1]))
        );
        assert_eq!(
            "0x0300000000000007".parse(),
            Ok(ExtendedCommunity([3, 0, 0, 0, 0, 0, 0, 7]))
        );
        for text in [
            "",
            "RT:1",
            "RT:4200000000:65536",
            "RT:1.2.3.4:65536",
            "x:1:2",
            "0x1",
            "0x+300000000000007",
        ] {
            assert!(text.parse::<ExtendedCommunity>().is_err(), "{text}");
        }
    }

    #[test]
    fn others_as_frr_shows_them() {
        let shown = |bytes| ExtendedCommunity(bytes).to_string();
        assert_eq!(shown([3, 11, 0, 0, 0, 0, 0, 1]), "UNK:3, 11");
        assert_eq!(shown([6, 2, 0, 0, 0, 0, 0, 1]), "UNK:6, 2");
        let [a, b, c, d] = 125_000_000f32.to_bits().to_be_bytes();
        assert_eq!(
            shown([0x40, 4, 253, 232, a, b, c, d]),
            "LB:65000:125000000 (1.000 Gbps)"
        );
        let [a, b, c, d] = 10f32.to_bits().to_be_bytes();
        assert_eq!(shown([0x40, 4, 253, 232, a, b, c, d]), "LB:65000:10 (80 bps)");
        assert!(!ExtendedCommunity([0x40, 4, 0, 0, 0, 0, 0, 0]).is_transitive());
        assert_eq!(ExtendedCommunity::route_target(70000, 65536), None);
    }
}
