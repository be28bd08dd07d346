//! Packets in a line, for people: who to whom, which protocol, and what kind of a message.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::filter::LinkType;

/// A packet in words. All of it is nslab's own text and numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// From whom: the innermost address, with the port.
    pub source: String,
    /// To whom.
    pub destination: String,
    /// The innermost protocol.
    pub protocol: String,
    /// What kind of a message it is.
    pub info: String,
    /// The tags of VLANs.
    pub vlans: Vec<u16>,
}

/// How many headers are read one behind another.
const DEEPEST: usize = 8;

/// A packet in words, as far as it was kept and is understood.
pub fn summary(link: LinkType, bytes: &[u8]) -> Summary {
    let mut summary = Summary::default();
    // What cannot be read ends it; what was read until then stays.
    let _ = match link {
        LinkType::Ethernet => ethernet(&mut summary, bytes, DEEPEST),
        LinkType::RawIp => ip(&mut summary, bytes, DEEPEST),
    };
    if summary.protocol.is_empty() {
        summary.protocol = "?".to_owned();
    }
    summary
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let found = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([found[0], found[1]]))
}

fn mac(bytes: &[u8], at: usize) -> Option<String> {
    let octets: Vec<String> = bytes
        .get(at..at + 6)?
        .iter()
        .map(|it| format!("{it:02x}"))
        .collect();
    Some(octets.join(":"))
}

fn v4(bytes: &[u8], at: usize) -> Option<String> {
    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets).to_string())
}

fn v6(bytes: &[u8], at: usize) -> Option<String> {
    let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(Ipv6Addr::from(octets).to_string())
}

impl Summary {
    fn is(&mut self, protocol: &str) {
        self.protocol = protocol.to_owned();
    }

    fn between(&mut self, source: Option<String>, destination: Option<String>) -> Option<()> {
        self.source = source?;
        self.destination = destination?;
        Some(())
    }
}

fn ethernet(summary: &mut Summary, bytes: &[u8], depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    summary.is("Ethernet");
    summary.between(mac(bytes, 6), mac(bytes, 0))?;
    let mut at = 12;
    let mut kind = half(bytes, at)?;
    while matches!(kind, 0x8100 | 0x88a8 | 0x9100) && summary.vlans.len() < 4 {
        summary.vlans.push(half(bytes, at + 2)? & 0xfff);
        at += 4;
        kind = half(bytes, at)?;
    }
    of_ethertype(summary, kind, bytes.get(at + 2..)?, depth)
}

fn of_ethertype(summary: &mut Summary, kind: u16, bytes: &[u8], depth: usize) -> Option<()> {
    match kind {
        0x0800 | 0x86dd => return ip(summary, bytes, depth),
        0x0806 => return arp(summary, bytes),
        0x8847 => return mpls(summary, bytes, depth),
        0x88cc => summary.is("LLDP"),
        0x8035 => summary.is("RARP"),
        0x8809 => summary.is("LACP"),
        0x88e5 => summary.is("MACsec"),
        0..=1500 => match bytes.get(..4)? {
            [0x42, 0x42, ..] => summary.is("STP"),
            [0xfe, 0xfe, 3, 0x83] => summary.is("IS-IS"),
            [0xfe, 0xfe, 3, 0x82] => summary.is("ES-IS"),
            _ => summary.is("LLC"),
        },
        other => summary.info = format!("type 0x{other:04x}"),
    }
    Some(())
}

fn arp(summary: &mut Summary, bytes: &[u8]) -> Option<()> {
    summary.is("ARP");
    let (sender, target) = (v4(bytes, 14)?, v4(bytes, 24)?);
    summary.info = match half(bytes, 6)? {
        1 if sender == target => format!("announces {sender}"),
        1 => format!("who has {target}? tell {sender}"),
        2 => format!("{sender} is at {}", mac(bytes, 8)?),
        other => format!("operation {other}"),
    };
    Some(())
}

fn mpls(summary: &mut Summary, bytes: &[u8], depth: usize) -> Option<()> {
    summary.is("MPLS");
    let mut labels = Vec::new();
    let mut at = 0;
    loop {
        let word = u32::from(half(bytes, at)?) << 16 | u32::from(half(bytes, at + 2)?);
        labels.push((word >> 12).to_string());
        at += 4;
        if word & 0x100 != 0 || labels.len() >= DEEPEST {
            break;
        }
    }
    let inner = bytes.get(at..)?;
    if matches!(inner.first()? >> 4, 4 | 6) {
        ip(summary, inner, depth);
    }
    summary.info = format!("MPLS {} {}", labels.join("/"), summary.info)
        .trim_end()
        .to_owned();
    Some(())
}

fn ip(summary: &mut Summary, bytes: &[u8], depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    match bytes.first()? >> 4 {
        4 => {
            summary.is("IPv4");
            summary.between(v4(bytes, 12), v4(bytes, 16))?;
            let header = 4 * usize::from(bytes[0] & 0xf);
            let fragment = half(bytes, 6)?;
            // Padding of the link is not the packet's.
            let whole = bytes.get(..usize::from(half(bytes, 2)?)).unwrap_or(bytes);
            let protocol = *bytes.get(9)?;
            match fragment & 0x1fff {
                0 => transport(summary, protocol, whole.get(header.max(20)..)?, depth),
                offset => {
                    summary.info = format!("fragment at {}", 8 * u32::from(offset));
                    Some(())
                }
            }
        }
        6 => {
            summary.is("IPv6");
            summary.between(v6(bytes, 8), v6(bytes, 24))?;
            let length = usize::from(half(bytes, 4)?);
            let payload = bytes.get(40..)?;
            behind_v6(
                summary,
                *bytes.get(6)?,
                payload.get(..length).unwrap_or(payload),
                depth,
            )
        }
        _ => None,
    }
}

/// What is behind extension headers (RFC 8200 section 4).
fn behind_v6(summary: &mut Summary, first: u8, bytes: &[u8], depth: usize) -> Option<()> {
    let (mut next, mut rest) = (first, bytes);
    for _ in 0..DEEPEST {
        match next {
            0 | 43 | 60 => {
                let length = 8 + 8 * usize::from(*rest.get(1)?);
                (next, rest) = (*rest.first()?, rest.get(length..)?);
            }
            44 => {
                let offset = half(rest, 2)? & 0xfff8;
                if offset != 0 {
                    summary.info = format!("fragment at {offset}");
                    return Some(());
                }
                (next, rest) = (*rest.first()?, rest.get(8..)?);
            }
            _ => return transport(summary, next, rest, depth),
        }
    }
    None
}

fn transport(summary: &mut Summary, protocol: u8, bytes: &[u8], depth: usize) -> Option<()> {
    match protocol {
        1 => {
            summary.is("ICMP");
            summary.info = icmp(bytes)?;
        }
        4 | 41 => return ip(summary, bytes, depth),
        6 => return tcp(summary, bytes),
        17 => return udp(summary, bytes, depth),
        47 => return gre(summary, bytes, depth),
        58 => {
            summary.is("ICMPv6");
            summary.info = icmp6(bytes)?;
        }
        132 => {
            summary.is("SCTP");
            ports(summary, bytes)?;
        }
        other => match NAMES.iter().find(|(number, _)| *number == other) {
            Some((_, name)) => summary.is(name),
            None => summary.info = format!("protocol {other}"),
        },
    }
    Some(())
}

/// Protocols above IP that have nothing else to tell.
const NAMES: &[(u8, &str)] = &[
    (2, "IGMP"),
    (46, "RSVP"),
    (50, "ESP"),
    (51, "AH"),
    (88, "EIGRP"),
    (89, "OSPF"),
    (103, "PIM"),
    (112, "VRRP"),
    (115, "L2TP"),
];

/// Adds the ports to the addresses.
fn ports(summary: &mut Summary, bytes: &[u8]) -> Option<(u16, u16)> {
    let (source, destination) = (half(bytes, 0)?, half(bytes, 2)?);
    for (address, port) in [
        (&mut summary.source, source),
        (&mut summary.destination, destination),
    ] {
        *address = match address.contains(':') {
            true => format!("[{address}]:{port}"),
            false => format!("{address}:{port}"),
        };
    }
    Some((source, destination))
}

fn tcp(summary: &mut Summary, bytes: &[u8]) -> Option<()> {
    summary.is("TCP");
    let (source, destination) = ports(summary, bytes)?;
    let flags = *bytes.get(13)?;
    let set = [
        (2, 'S'),
        (1, 'F'),
        (4, 'R'),
        (8, 'P'),
        (16, '.'),
        (32, 'U'),
        (64, 'E'),
        (128, 'W'),
    ];
    let set = set.iter().filter(|(bit, _)| flags & bit != 0);
    let payload = bytes.get(4 * usize::from(bytes[12] >> 4)..).unwrap_or_default();
    summary.info = format!("[{}]", set.map(|(_, letter)| letter).collect::<String>());
    if !payload.is_empty() {
        summary.info += &format!(" {} bytes", payload.len());
    }
    if (source == 179 || destination == 179) && !payload.is_empty() {
        let messages = bgp(payload);
        if !messages.is_empty() {
            summary.is("BGP");
            summary.info += &format!(", {}", messages.join(" "));
        }
    }
    Some(())
}

/// The messages that begin in a segment (RFC 4271 section 4.1).
fn bgp(payload: &[u8]) -> Vec<&'static str> {
    let mut rest = payload;
    let mut found = Vec::new();
    while found.len() < DEEPEST && rest.len() >= 19 && rest[..16] == [0xff; 16] {
        found.push(match rest[18] {
            1 => "OPEN",
            2 => "UPDATE",
            3 => "NOTIFICATION",
            4 => "KEEPALIVE",
            5 => "ROUTE-REFRESH",
            _ => break,
        });
        let length = half(rest, 16).map_or(0, usize::from);
        rest = rest.get(length.max(19)..).unwrap_or_default();
    }
    found
}

fn udp(summary: &mut Summary, bytes: &[u8], depth: usize) -> Option<()> {
    summary.is("UDP");
    let (source, destination) = ports(summary, bytes)?;
    summary.info = format!("{} bytes", half(bytes, 4)?.saturating_sub(8));
    let of = |port: u16| source == port || destination == port;
    match destination {
        4789 => {
            let outer = summary.destination.clone();
            let network = bytes.get(12..15)?;
            let network = network.iter().fold(0u32, |all, byte| all << 8 | u32::from(*byte));
            ethernet(summary, bytes.get(16..)?, depth)?;
            summary.info = format!("{} (VXLAN {network} to {outer})", summary.info)
                .trim_start()
                .to_owned();
        }
        3784 | 3785 | 4784 => summary.is("BFD"),
        _ if of(53) => summary.is("DNS"),
        _ if of(67) || of(68) => summary.is("DHCP"),
        _ if of(123) => summary.is("NTP"),
        _ if of(520) => summary.is("RIP"),
        _ if of(546) || of(547) => summary.is("DHCPv6"),
        _ if of(646) => summary.is("LDP"),
        _ => {}
    }
    Some(())
}

fn gre(summary: &mut Summary, bytes: &[u8], depth: usize) -> Option<()> {
    summary.is("GRE");
    let flags = half(bytes, 0)?;
    let optional = [0x8000, 0x2000, 0x1000]
        .iter()
        .filter(|bit| flags & **bit != 0)
        .count();
    let inner = bytes.get(4 + 4 * optional..)?;
    match half(bytes, 2)? {
        0x6558 => ethernet(summary, inner, depth),
        kind => of_ethertype(summary, kind, inner, depth.checked_sub(1)?),
    }
}

fn icmp(bytes: &[u8]) -> Option<String> {
    let number = || half(bytes, 6);
    Some(match (*bytes.first()?, *bytes.get(1)?) {
        (0, _) => format!("echo reply {}", number()?),
        (8, _) => format!("echo request {}", number()?),
        (3, 0) => "network unreachable".to_owned(),
        (3, 1) => "host unreachable".to_owned(),
        (3, 3) => "port unreachable".to_owned(),
        (3, 4) => format!("too big, MTU {}", number()?),
        (3, code) => format!("unreachable, code {code}"),
        (5, _) => "redirect".to_owned(),
        (11, _) => "time exceeded".to_owned(),
        (kind, code) => format!("type {kind}, code {code}"),
    })
}

fn icmp6(bytes: &[u8]) -> Option<String> {
    let number = || half(bytes, 6);
    Some(match (*bytes.first()?, *bytes.get(1)?) {
        (128, _) => format!("echo request {}", number()?),
        (129, _) => format!("echo reply {}", number()?),
        (1, 0) => "no route".to_owned(),
        (1, 3) => "address unreachable".to_owned(),
        (1, 4) => "port unreachable".to_owned(),
        (1, code) => format!("unreachable, code {code}"),
        (2, _) => format!("too big, MTU {}", number()?),
        (3, _) => "time exceeded".to_owned(),
        (133, _) => "router solicitation".to_owned(),
        (134, _) => "router advertisement".to_owned(),
        (135, _) => format!("who has {}?", v6(bytes, 8)?),
        (136, _) => format!("{} is here", v6(bytes, 8)?),
        (137, _) => "redirect".to_owned(),
        (130 | 131 | 132 | 143, _) => "multicast listeners".to_owned(),
        (kind, code) => format!("type {kind}, code {code}"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u16, rest: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        bytes.extend(kind.to_be_bytes());
        bytes.extend(rest.concat());
        bytes
    }

    fn v4_header(protocol: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 20 + payload as u8, 0, 0, 0, 0, 64, protocol, 0, 0];
        bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        bytes
    }

    fn said(bytes: &[u8]) -> (String, String, String, String) {
        let it = summary(LinkType::Ethernet, bytes);
        (it.source, it.destination, it.protocol, it.info)
    }

    fn words(parts: [&str; 4]) -> (String, String, String, String) {
        let [a, b, c, d] = parts.map(str::to_owned);
        (a, b, c, d)
    }

    #[test]
    fn packets_are_told_in_a_line() {
        let mut keepalive = vec![
            0, 179, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x18, 0, 0, 0, 0, 0, 0,
        ];
        keepalive.extend([0xff; 16]);
        keepalive.extend([0, 19, 4]);
        let told = said(&frame(0x0800, &[&v4_header(6, 39), &keepalive, &[0; 9]]));
        assert_eq!(
            told,
            words([
                "10.0.0.1:179",
                "10.0.0.2:32768",
                "BGP",
                "[P.] 19 bytes, KEEPALIVE"
            ])
        );
        let echo = [8, 0, 0, 0, 0, 1, 0, 7];
        let tagged = [&[0, 5, 8, 0][..], &v4_header(1, 8), &echo].concat();
        let it = summary(LinkType::Ethernet, &frame(0x8100, &[&tagged]));
        assert_eq!(
            (it.info.as_str(), it.vlans.as_slice()),
            ("echo request 7", &[5][..])
        );
        let arp = [
            0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
        ];
        assert_eq!(said(&frame(0x0806, &[&arp])).3, "who has 10.0.0.2? tell 10.0.0.1");
        let inner = frame(0x0806, &[&arp]);
        let vxlan = [
            &[0x80, 0, 0x12, 0xb5, 0, 60, 0, 0, 8, 0, 0, 0, 0, 0, 100, 0][..],
            &inner,
        ]
        .concat();
        let told = said(&frame(0x0800, &[&v4_header(17, vxlan.len()), &vxlan]));
        assert_eq!(told.2, "ARP");
        assert!(told.3.ends_with("(VXLAN 100 to 10.0.0.2:4789)"), "{told:?}");
        assert_eq!(said(&frame(0x88cc, &[&[0; 4]])).2, "LLDP");
        assert_eq!(said(&[1, 2, 3]).2, "Ethernet");
        assert_eq!(summary(LinkType::RawIp, &[]).protocol, "?");
    }

    proptest! {
        #[test]
        fn no_packet_is_too_strange(
            start in prop::sample::select(vec![
                vec![], vec![0x45], v4_header(41, 60), v4_header(47, 60), v4_header(17, 60), v4_header(6, 60),
                vec![0x60, 0, 0, 0, 0, 60, 43, 64],
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..200),
            kind in prop::sample::select(vec![0x0800u16, 0x86dd, 0x8847, 0x0806, 0x8100, 20]),
        ) {
            let bytes = [start, rest].concat();
            summary(LinkType::RawIp, &bytes);
            summary(LinkType::Ethernet, &frame(kind, &[&bytes]));
        }
    }
}
