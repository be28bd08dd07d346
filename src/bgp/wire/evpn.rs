//! Routes of EVPN in messages (RFC 7432 section 7, RFC 9136 section 3, RFC 8365 section 5).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::attributes::{Attributes, RawAttribute};
use super::path_attribute::PMSI_TUNNEL;
use super::reader::Reader;
use super::types::NotThat;

/// Ethernet Auto-Discovery, MAC/IP Advertisement, Inclusive Multicast Ethernet Tag, Ethernet Segment, IP Prefix.
const AUTO_DISCOVERY: u8 = 1;
const MAC_IP: u8 = 2;
const MULTICAST: u8 = 3;
const SEGMENT: u8 = 4;
const PREFIX: u8 = 5;
/// Octets of a distinguisher.
const RD: usize = 8;
/// Octets of a route of type 5 with addresses of four, and of sixteen octets (RFC 9136 section 3.1).
const PREFIX_V4: usize = 34;
const PREFIX_V6: usize = 58;

/// A MAC address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = NotThat;

    fn from_str(text: &str) -> Result<Self, NotThat> {
        let wrong = || NotThat::new("a MAC address", text);
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|part| matches!(part.len(), 1 | 2));
            let part = part.filter(|part| part.bytes().all(|it| it.is_ascii_hexdigit()));
            *octet = part
                .and_then(|part| u8::from_str_radix(part, 16).ok())
                .ok_or_else(wrong)?;
        }
        match parts.next() {
            None => Ok(Mac(octets)),
            Some(_) => Err(wrong()),
        }
    }
}

/// A Route Distinguisher (RFC 4364 section 4.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rd(pub [u8; 8]);

impl Rd {
    /// Of an IPv4 address and a number (type 1).
    pub fn of_address(address: Ipv4Addr, number: u16) -> Rd {
        let [a, b, c, d] = address.octets();
        let [high, low] = number.to_be_bytes();
        Rd([0, 1, a, b, c, d, high, low])
    }
}

impl fmt::Display for Rd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [t0, t1, a, b, c, d, e, g] = self.0;
        let (head, tail) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, g]));
        match u16::from_be_bytes([t0, t1]) {
            0 => write!(f, "{}:{}", head >> 16, u32::from_be_bytes([c, d, e, g])),
            1 => write!(f, "{}:{tail}", Ipv4Addr::from(head)),
            2 => write!(f, "{head}:{tail}"),
            _ => {
                for (at, octet) in self.0.iter().enumerate() {
                    write!(f, "{}{octet:02x}", if at == 0 { "" } else { ":" })?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for Rd {
    type Err = NotThat;

    /// `AS:number` or `address:number`.
    fn from_str(text: &str) -> Result<Self, NotThat> {
        let wrong = || NotThat::new("a route distinguisher", text);
        let digits = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
        let (head, tail) = text.split_once(':').ok_or_else(wrong)?;
        if !digits(tail) {
            return Err(wrong());
        }
        if let Ok(address) = head.parse::<Ipv4Addr>() {
            return Ok(Rd::of_address(address, tail.parse().map_err(|_| wrong())?));
        }
        if !digits(head) {
            return Err(wrong());
        }
        let asn: u32 = head.parse().map_err(|_| wrong())?;
        let mut octets = [0; 8];
        match u16::try_from(asn) {
            Ok(asn) => {
                octets[2..4].copy_from_slice(&asn.to_be_bytes());
                let number: u32 = tail.parse().map_err(|_| wrong())?;
                octets[4..].copy_from_slice(&number.to_be_bytes());
            }
            Err(_) => {
                octets[1] = 2;
                octets[2..6].copy_from_slice(&asn.to_be_bytes());
                let number: u16 = tail.parse().map_err(|_| wrong())?;
                octets[6..].copy_from_slice(&number.to_be_bytes());
            }
        }
        Ok(Rd(octets))
    }
}

/// An Ethernet Segment Identifier (RFC 7432 section 5); all zeros where a host is attached to one router only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Esi(pub [u8; 10]);

/// A label field that carries a VXLAN network identifier (RFC 8365 section 5.1.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vni(pub u32);

impl Vni {
    fn octets(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }

    fn read(reader: &mut Reader<'_>) -> Option<Vni> {
        let [a, b, c] = reader.array()?;
        Some(Vni(u32::from_be_bytes([0, a, b, c])))
    }
}

/// What a route is about, without its distinguisher. The order is that in which FRR shows routes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EvpnRoute {
    /// Type 1: a router is attached to an Ethernet segment.
    AutoDiscovery {
        /// The segment.
        esi: Esi,
        /// Ethernet Tag; all ones of the segment as a whole.
        tag: u32,
    },
    /// Type 2: a host's MAC address, and perhaps its IP address.
    MacIp {
        /// Ethernet Tag.
        tag: u32,
        /// The host's MAC address.
        mac: Mac,
        /// The host's IP address.
        ip: Option<IpAddr>,
    },
    /// Type 3: who is to have broadcasts.
    Multicast {
        /// Ethernet Tag.
        tag: u32,
        /// The router.
        originator: IpAddr,
    },
    /// Type 4: a router is attached to an Ethernet segment, and would speak for it.
    Segment {
        /// The segment.
        esi: Esi,
        /// The router.
        originator: IpAddr,
    },
    /// Type 5: a prefix.
    Prefix {
        /// Ethernet Tag.
        tag: u32,
        /// The prefix; without bits behind its length.
        prefix: IpNet,
    },
    /// Another type, as it came behind its distinguisher. (A speaker does not pass on what it does not know: RFC 7606 section
    /// 5.4.)
    Other {
        /// The type.
        kind: u8,
        /// The octets.
        value: Vec<u8>,
    },
}

impl EvpnRoute {
    /// The number of the type.
    pub fn kind(&self) -> u8 {
        match self {
            EvpnRoute::AutoDiscovery { .. } => AUTO_DISCOVERY,
            EvpnRoute::MacIp { .. } => MAC_IP,
            EvpnRoute::Multicast { .. } => MULTICAST,
            EvpnRoute::Segment { .. } => SEGMENT,
            EvpnRoute::Prefix { .. } => PREFIX,
            EvpnRoute::Other { kind, .. } => *kind,
        }
    }
}

/// As FRR shows it: `[2]:[0]:[48]:[02:00:00:00:00:01]:[32]:[192.0.2.1]`.
impl fmt::Display for EvpnRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvpnRoute::AutoDiscovery { esi, tag } => write!(f, "[1]:[{tag}]:[{esi}]:[32]:[0.0.0.0]:[0]"),
            EvpnRoute::MacIp { tag, mac, ip } => {
                write!(f, "[2]:[{tag}]:[48]:[{mac}]")?;
                ip.map_or(Ok(()), |ip| write!(f, ":[{}]:[{ip}]", length_of(ip)))
            }
            EvpnRoute::Multicast { tag, originator } => {
                write!(f, "[3]:[{tag}]:[{}]:[{originator}]", length_of(*originator))
            }
            EvpnRoute::Segment { esi, originator } => {
                write!(f, "[4]:[{esi}]:[{}]:[{originator}]", length_of(*originator))
            }
            EvpnRoute::Prefix { tag, prefix } => {
                write!(f, "[5]:[{tag}]:[{}]:[{}]", prefix.prefix_len(), prefix.addr())
            }
            EvpnRoute::Other { kind, value } => write!(f, "[{kind}]:[{} octets]", value.len()),
        }
    }
}

fn length_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// What tells a route from all others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EvpnKey {
    /// Its distinguisher.
    pub rd: Rd,
    /// What it is about.
    pub route: EvpnRoute,
}

/// A route in a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EvpnNlri {
    /// What tells it from others.
    pub key: EvpnKey,
    /// The path identifier, where both sides agreed on them.
    pub path_id: Option<u32>,
    /// The Ethernet segment, of types 2 and 5.
    pub esi: Esi,
    /// The network of a MAC address, or of a prefix; the label of type 1.
    pub vni: Vni,
    /// The network that packets are routed in (type 2, second label).
    pub l3vni: Option<Vni>,
    /// The gateway of a prefix; none for none.
    pub gateway: Option<IpAddr>,
}

impl From<EvpnKey> for EvpnNlri {
    fn from(key: EvpnKey) -> Self {
        EvpnNlri {
            key,
            path_id: None,
            esi: Esi::default(),
            vni: Vni::default(),
            l3vni: None,
            gateway: None,
        }
    }
}

impl fmt::Display for Esi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, octet) in self.0.iter().enumerate() {
            write!(f, "{}{octet:02x}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl EvpnNlri {
    /// Appends it.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        if let Some(id) = self.path_id {
            out.extend(id.to_be_bytes());
        }
        out.extend([self.key.route.kind(), 0]);
        let start = out.len();
        out.extend(self.key.rd.0);
        match &self.key.route {
            EvpnRoute::AutoDiscovery { esi, tag } => {
                out.extend(esi.0);
                out.extend(tag.to_be_bytes());
                out.extend(self.vni.octets());
            }
            EvpnRoute::Segment { esi, originator } => {
                out.extend(esi.0);
                counted(Some(*originator), out);
            }
            EvpnRoute::MacIp { tag, mac, ip } => {
                out.extend(self.esi.0);
                out.extend(tag.to_be_bytes());
                out.push(48);
                out.extend(mac.0);
                counted(*ip, out);
                out.extend(self.vni.octets());
                out.extend(self.l3vni.iter().flat_map(|vni| vni.octets()));
            }
            EvpnRoute::Multicast { tag, originator } => {
                out.extend(tag.to_be_bytes());
                counted(Some(*originator), out);
            }
            EvpnRoute::Prefix { tag, prefix } => {
                out.extend(self.esi.0);
                out.extend(tag.to_be_bytes());
                out.push(prefix.prefix_len());
                address(prefix.network(), out);
                let none = match prefix {
                    IpNet::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                    IpNet::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                };
                let gateway = self.gateway.filter(|it| it.is_ipv4() == none.is_ipv4());
                address(gateway.unwrap_or(none), out);
                out.extend(self.vni.octets());
            }
            // A route has at most 255 octets; longer ones were never read.
            EvpnRoute::Other { value, .. } => out.extend(value.iter().take(247)),
        }
        let length = out.len() - start;
        out[start - 1] = length as u8;
    }
}

fn address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => out.extend(address.octets()),
        IpAddr::V6(address) => out.extend(address.octets()),
    }
}

/// An address behind its length in bits.
fn counted(ip: Option<IpAddr>, out: &mut Vec<u8>) {
    out.push(ip.map_or(0, length_of));
    if let Some(ip) = ip {
        address(ip, out);
    }
}

/// Reads routes until the end: those there are, and what was wrong with others. Each has a length of its own, so one that makes no
/// sense in itself is passed over (RFC 7606 section 5.4); where a length leads over the end there is nothing.
pub(super) fn decode_all(bytes: &[u8], add_path: bool) -> Option<(Vec<EvpnNlri>, Vec<String>)> {
    let mut reader = Reader::new(bytes);
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    while !reader.is_empty() {
        let path_id = if add_path { Some(reader.u32()?) } else { None };
        let kind = reader.u8()?;
        let value = reader.counted8()?;
        match decode(kind, value) {
            Some(nlri) => found.push(EvpnNlri { path_id, ..nlri }),
            None => faults.push(format!("an EVPN route of type {kind} is malformed")),
        }
    }
    Some((found, faults))
}

fn decode(kind: u8, value: &[u8]) -> Option<EvpnNlri> {
    let mut reader = Reader::new(value);
    let rd = Rd(reader.array()?);
    let of = |route| EvpnNlri::from(EvpnKey { rd, route });
    let nlri = match kind {
        AUTO_DISCOVERY => {
            let esi = Esi(reader.array()?);
            let tag = reader.u32()?;
            EvpnNlri {
                vni: Vni::read(&mut reader)?,
                ..of(EvpnRoute::AutoDiscovery { esi, tag })
            }
        }
        SEGMENT => {
            let esi = Esi(reader.array()?);
            let originator = read_counted(&mut reader)??;
            of(EvpnRoute::Segment { esi, originator })
        }
        MAC_IP => {
            let esi = Esi(reader.array()?);
            let tag = reader.u32()?;
            if reader.u8()? != 48 {
                return None;
            }
            let mac = Mac(reader.array()?);
            let ip = read_counted(&mut reader)?;
            let vni = Vni::read(&mut reader)?;
            let l3vni = if reader.is_empty() {
                None
            } else {
                Some(Vni::read(&mut reader)?)
            };
            EvpnNlri {
                esi,
                vni,
                l3vni,
                ..of(EvpnRoute::MacIp { tag, mac, ip })
            }
        }
        MULTICAST => {
            let tag = reader.u32()?;
            let originator = read_counted(&mut reader)??;
            of(EvpnRoute::Multicast { tag, originator })
        }
        PREFIX => {
            let is_v4 = match value.len() {
                PREFIX_V4 => true,
                PREFIX_V6 => false,
                _ => return None,
            };
            let esi = Esi(reader.array()?);
            let tag = reader.u32()?;
            let length = reader.u8()?;
            let prefix = match read_address(&mut reader, is_v4)? {
                IpAddr::V4(address) => IpNet::V4(Ipv4Net::new(address, length).ok()?.trunc()),
                IpAddr::V6(address) => IpNet::V6(Ipv6Net::new(address, length).ok()?.trunc()),
            };
            let gateway = read_address(&mut reader, is_v4)?;
            EvpnNlri {
                esi,
                vni: Vni::read(&mut reader)?,
                gateway: Some(gateway).filter(|it| !it.is_unspecified()),
                ..of(EvpnRoute::Prefix { tag, prefix })
            }
        }
        kind => {
            let value = reader.take(value.len() - RD)?.to_vec();
            of(EvpnRoute::Other { kind, value })
        }
    };
    reader.is_empty().then_some(nlri)
}

fn read_counted(reader: &mut Reader<'_>) -> Option<Option<IpAddr>> {
    Some(match reader.u8()? {
        0 => None,
        32 => Some(read_address(reader, true)?),
        128 => Some(read_address(reader, false)?),
        _ => return None,
    })
}

fn read_address(reader: &mut Reader<'_>, is_v4: bool) -> Option<IpAddr> {
    Some(match is_v4 {
        true => IpAddr::V4(Ipv4Addr::from(reader.array::<4>()?)),
        false => IpAddr::V6(Ipv6Addr::from(reader.array::<16>()?)),
    })
}

/// PMSI_TUNNEL (RFC 6514 section 5): how broadcasts reach a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PmsiTunnel {
    /// The type; 6 is ingress replication.
    pub kind: u8,
    /// The network.
    pub vni: Vni,
    /// The tunnel's end, of ingress replication.
    pub endpoint: Option<IpAddr>,
}

impl PmsiTunnel {
    /// Each router sends a copy to each other.
    pub const INGRESS_REPLICATION: u8 = 6;

    /// Reads its value.
    pub(super) fn decode(value: &[u8]) -> Option<PmsiTunnel> {
        let mut reader = Reader::new(value);
        let [_, kind] = reader.array()?;
        let vni = Vni::read(&mut reader)?;
        let rest = reader.rest();
        let endpoint = match rest.len() {
            4 => read_address(&mut Reader::new(rest), true),
            16 => read_address(&mut Reader::new(rest), false),
            _ if kind == PmsiTunnel::INGRESS_REPLICATION => return None,
            _ => None,
        };
        Some(PmsiTunnel { kind, vni, endpoint })
    }

    /// What a route says.
    pub fn of(attributes: &Attributes) -> Option<PmsiTunnel> {
        let raw = attributes.unknown.iter().find(|raw| raw.code == PMSI_TUNNEL)?;
        PmsiTunnel::decode(&raw.value)
    }

    /// Puts it among the attributes of a route.
    pub fn put(self, attributes: &mut Attributes) {
        let mut value = vec![0, self.kind];
        value.extend(self.vni.octets());
        if let Some(endpoint) = self.endpoint {
            address(endpoint, &mut value);
        }
        attributes.unknown.retain(|raw| raw.code != PMSI_TUNNEL);
        attributes.unknown.push(RawAttribute {
            code: PMSI_TUNNEL,
            value,
        });
    }
}
