//! Expressions become conditions, as pcap-filter(7) says and libpcap does.

use std::net::Ipv4Addr;

use super::condition::{Condition, Test};
use super::layout::{self, Layout, Size};
use super::syntax::{End, Expression, Primitive, Protocol, Qualifiers, Span, Value, ValueKind};
use super::{FilterError, LinkType, code, relation};

/// The protocol of an IPv6 fragment (RFC 8200 section 4.5).
const FRAGMENT: u32 = 44;
const ICMP: u32 = 1;
const TCP: u32 = 6;
const UDP: u32 = 17;
const ICMP6: u32 = 58;
const SCTP: u32 = 132;
const LONGEST_IP6_HEADER: u32 = 40;

/// The condition of an expression. The layout goes with it from left to right: VLANs and labels move all that follows them.
///
/// # Errors
/// Something in it is not possible on this link, or not supported.
pub fn expression(expression: &Expression, layout: &mut Layout) -> Result<Condition, FilterError> {
    let several = |parts: &[Expression], layout: &mut Layout| -> Result<Vec<Condition>, FilterError> {
        parts.iter().map(|part| self::expression(part, layout)).collect()
    };
    Ok(match expression {
        Expression::And(parts) => Condition::All(several(parts, layout)?),
        Expression::Or(parts) => Condition::Any(several(parts, layout)?),
        Expression::Not(inner) => self::expression(inner, layout)?.negated(),
        Expression::Primitive(it, span) => primitive(it, layout, span)?,
    })
}

fn primitive(primitive: &Primitive, layout: &mut Layout, span: &Span) -> Result<Condition, FilterError> {
    let direction = || {
        let kind = layout.in_link(code::PACKET_TYPE, Size::Half);
        Condition::Test(kind, Test::equal(code::OUTGOING))
    };
    let length = |jump, than| {
        let length = super::condition::Load::of(code::LD | code::W | code::LEN, 0);
        Condition::Test(length, Test::of(jump, than))
    };
    Ok(match primitive {
        Primitive::Value(qualifiers, value) => self::value(*qualifiers, value, layout, span)?,
        Primitive::Protocol(protocol) => self::protocol(*protocol, layout, span)?,
        Primitive::Broadcast(protocol) => broadcast(*protocol, layout, span)?,
        Primitive::Multicast(protocol) => multicast(*protocol, layout, span)?,
        Primitive::Less(than) => length(code::JGT, *than).negated(),
        Primitive::Greater(than) => length(code::JGE, *than),
        Primitive::Inbound => direction().negated(),
        Primitive::Outbound => direction(),
        Primitive::Vlan(id) => {
            needs_ethernet(layout, "VLANs", span)?;
            if layout.labels > 0 {
                return Err(FilterError::new("`vlan` cannot come after `mpls`", span.clone()));
            }
            layout.vlan(*id)
        }
        Primitive::Mpls(label) => {
            needs_ethernet(layout, "MPLS", span)?;
            layout.mpls(*label)
        }
        Primitive::Relation(left, relation, right) => relation::relation(left, *relation, right, layout)?,
    })
}

fn needs_ethernet(layout: &Layout, what: &str, span: &Span) -> Result<(), FilterError> {
    match layout.link {
        LinkType::Ethernet => Ok(()),
        LinkType::RawIp => {
            let message = format!("this interface has no Ethernet header, and so no {what}");
            Err(FilterError::new(message, span.clone()))
        }
    }
}

/// Whether it is of a protocol by its EtherType or service access point.
fn is_of(ethertype: u32, layout: &Layout, span: &Span) -> Result<Condition, FilterError> {
    let hidden = || FilterError::new("behind `mpls` only IPv4 and IPv6 can be told apart", span.clone());
    layout.is(ethertype).ok_or_else(hidden)
}

/// Whether it is of a protocol.
pub fn protocol(protocol: Protocol, layout: &Layout, span: &Span) -> Result<Condition, FilterError> {
    let v4 = |number| in_v4(number, layout, span);
    let both = |number| {
        Ok(Condition::any([
            in_v4(number, layout, span)?,
            in_v6(number, layout, span)?,
        ]))
    };
    match protocol {
        Protocol::Ether => Err(FilterError::new("`ether` alone says nothing", span.clone())
            .help("write `ether host`, `ether proto` or `ether[…]`")),
        Protocol::Ip => is_of(layout::IP, layout, span),
        Protocol::Ip6 => is_of(layout::IP6, layout, span),
        Protocol::Arp => is_of(layout::ARP, layout, span),
        Protocol::Rarp => is_of(layout::RARP, layout, span),
        Protocol::Tcp => both(TCP),
        Protocol::Udp => both(UDP),
        Protocol::Sctp => both(SCTP),
        Protocol::Icmp => v4(ICMP),
        Protocol::Icmp6 => in_v6(ICMP6, layout, span),
        Protocol::Igmp => v4(2),
        Protocol::Igrp => v4(9),
        Protocol::Pim => both(103),
        Protocol::Vrrp | Protocol::Carp => v4(112),
        Protocol::Ah => both(51),
        Protocol::Esp => both(50),
        Protocol::Iso => is_of(0xfe, layout, span),
        Protocol::Isis => in_iso(0x83, layout, span),
        Protocol::Esis => in_iso(0x82, layout, span),
        Protocol::Clnp => in_iso(0x81, layout, span),
        Protocol::Stp => is_of(0x42, layout, span),
    }
}

/// Whether it is IPv4 with a protocol.
pub fn in_v4(number: u32, layout: &Layout, span: &Span) -> Result<Condition, FilterError> {
    let field = Condition::Test(layout.in_network(9, Size::Octet), Test::equal(number));
    Ok(Condition::all([is_of(layout::IP, layout, span)?, field]))
}

/// Whether it is IPv6 with a protocol, behind the header of a fragment perhaps.
fn in_v6(number: u32, layout: &Layout, span: &Span) -> Result<Condition, FilterError> {
    let next = |of| Condition::Test(layout.in_network(6, Size::Octet), Test::equal(of));
    let behind = Condition::Test(
        layout.in_network(LONGEST_IP6_HEADER, Size::Octet),
        Test::equal(number),
    );
    let fragment = Condition::all([next(FRAGMENT), behind]);
    Ok(Condition::all([
        is_of(layout::IP6, layout, span)?,
        Condition::any([next(number), fragment]),
    ]))
}

/// Whether it is ICMPv6 without extension headers.
pub fn plain_icmp6(layout: &Layout, span: &Span) -> Result<Condition, FilterError> {
    let next = Condition::Test(layout.in_network(6, Size::Octet), Test::equal(ICMP6));
    Ok(Condition::all([is_of(layout::IP6, layout, span)?, next]))
}

fn in_iso(number: u32, layout: &Layout, span: &Span) -> Result<Condition, FilterError> {
    let field = Condition::Test(layout.in_network(3, Size::Octet), Test::equal(number));
    Ok(Condition::all([is_of(0xfe, layout, span)?, field]))
}

fn broadcast(protocol: Option<Protocol>, layout: &Layout, span: &Span) -> Result<Condition, FilterError> {
    match protocol {
        None | Some(Protocol::Ether) => {
            needs_ethernet(layout, "broadcasts", span)?;
            Ok(mac([0xff; 6], End::Destination, layout))
        }
        Some(Protocol::Ip) => Err(
            FilterError::new("`ip broadcast` is not supported here", span.clone())
                .help("write the address: `dst host 10.0.0.255`"),
        ),
        Some(_) => Err(FilterError::new("this protocol has no broadcasts", span.clone())),
    }
}

fn multicast(protocol: Option<Protocol>, layout: &Layout, span: &Span) -> Result<Condition, FilterError> {
    match protocol {
        None | Some(Protocol::Ether) => {
            needs_ethernet(layout, "multicast addresses", span)?;
            Ok(Condition::Test(
                layout.in_link(0, Size::Octet),
                Test::of(code::JSET, 1),
            ))
        }
        Some(Protocol::Ip) => {
            let first = Condition::Test(layout.in_network(16, Size::Octet), Test::of(code::JGE, 224));
            Ok(Condition::all([is_of(layout::IP, layout, span)?, first]))
        }
        Some(Protocol::Ip6) => {
            let first = Condition::Test(layout.in_network(24, Size::Octet), Test::equal(255));
            Ok(Condition::all([is_of(layout::IP6, layout, span)?, first]))
        }
        Some(_) => Err(FilterError::new(
            "this protocol has no multicast addresses",
            span.clone(),
        )),
    }
}

fn value(
    qualifiers: Qualifiers,
    value: &Value,
    layout: &Layout,
    span: &Span,
) -> Result<Condition, FilterError> {
    let end = qualifiers.end.unwrap_or(End::Either);
    match (qualifiers.kind, value) {
        (ValueKind::Proto, Value::Number(number)) => proto(qualifiers, *number, layout, span),
        (ValueKind::Port, Value::Number(port)) => ports(qualifiers, *port, *port, layout, span),
        (ValueKind::PortRange, Value::Range(first, last)) => {
            let (low, high) = (first.min(last), first.max(last));
            ports(qualifiers, (*low).into(), (*high).into(), layout, span)
        }
        (ValueKind::Host | ValueKind::Default, Value::Mac(octets)) => {
            if qualifiers.protocol != Some(Protocol::Ether) {
                return Err(FilterError::new("this is a MAC address", span.clone())
                    .help("say `ether host`, `ether src` or `ether dst` before it"));
            }
            needs_ethernet(layout, "MAC addresses", span)?;
            Ok(mac(*octets, end, layout))
        }
        (_, Value::Mac(_)) => Err(FilterError::new("a MAC address cannot stand here", span.clone())),
        (ValueKind::Host | ValueKind::Default, Value::V4Net(..) | Value::V6Net(..)) => {
            Err(FilterError::new("only a network has a mask", span.clone()).help("say `net` before it"))
        }
        (ValueKind::Net, Value::Dotted(parts)) => {
            let mut octets = [0; 4];
            octets[..parts.len()].copy_from_slice(parts);
            let mask = u32::MAX.checked_shl(32 - 8 * parts.len() as u32).unwrap_or(0);
            v4(qualifiers, octets.into(), mask, layout, span)
        }
        (_, Value::Dotted(parts)) => match parts.as_slice() {
            &[a, b, c, d] => v4(qualifiers, Ipv4Addr::new(a, b, c, d), u32::MAX, layout, span),
            _ => Err(FilterError::new("an address has four parts", span.clone())
                .help("say `net` before a network")),
        },
        (_, Value::V4Net(address, mask)) => v4(qualifiers, *address, (*mask).into(), layout, span),
        (_, Value::V6(address)) => v6(qualifiers, u128::from(*address), 128, layout, span),
        (_, Value::V6Net(address, length)) => v6(qualifiers, u128::from(*address), *length, layout, span),
        _ => Err(FilterError::new("this value cannot stand here", span.clone())),
    }
}

/// At one end, or both, or either.
fn at_ends(end: End, at: impl Fn(bool) -> Condition) -> Condition {
    match end {
        End::Source => at(true),
        End::Destination => at(false),
        End::Either => Condition::any([at(true), at(false)]),
        End::Both => Condition::all([at(true), at(false)]),
    }
}

fn mac(octets: [u8; 6], end: End, layout: &Layout) -> Condition {
    let [a, b, c, d, e, f] = octets;
    at_ends(end, |is_source| {
        let offset = if is_source { 6 } else { 0 };
        let last = Test::equal(u32::from_be_bytes([c, d, e, f]));
        let first = Test::equal(u16::from_be_bytes([a, b]).into());
        Condition::all([
            Condition::Test(layout.in_link(offset + 2, Size::Word), last),
            Condition::Test(layout.in_link(offset, Size::Half), first),
        ])
    })
}

fn v4(
    qualifiers: Qualifiers,
    address: Ipv4Addr,
    mask: u32,
    layout: &Layout,
    span: &Span,
) -> Result<Condition, FilterError> {
    let end = qualifiers.end.unwrap_or(End::Either);
    let word = |offset| {
        let load = layout.in_network(offset, Size::Word);
        match mask {
            0 => Condition::Always(true),
            u32::MAX => Condition::Test(load, Test::equal(address.into())),
            mask => Condition::Test(load.masked(mask), Test::equal(address.into())),
        }
    };
    let within = |ethertype, source, destination| -> Result<Condition, FilterError> {
        let ends = at_ends(end, |is_source| {
            word(if is_source { source } else { destination })
        });
        Ok(Condition::all([is_of(ethertype, layout, span)?, ends]))
    };
    let in_ip = || within(layout::IP, 12, 16);
    let in_arp = || within(layout::ARP, 14, 24);
    let in_rarp = || within(layout::RARP, 14, 24);
    match qualifiers.protocol {
        None if layout.labels > 0 => in_ip(),
        None => Ok(Condition::any([in_ip()?, in_arp()?, in_rarp()?])),
        Some(Protocol::Ip) => in_ip(),
        Some(Protocol::Arp) => in_arp(),
        Some(Protocol::Rarp) => in_rarp(),
        Some(_) => Err(no_address_of(span, "an IPv4 address")),
    }
}

fn v6(
    qualifiers: Qualifiers,
    address: u128,
    length: u8,
    layout: &Layout,
    span: &Span,
) -> Result<Condition, FilterError> {
    if !matches!(qualifiers.protocol, None | Some(Protocol::Ip6)) {
        return Err(no_address_of(span, "an IPv6 address"));
    }
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    let words = |number: u128| [96, 64, 32, 0].map(|shift| (number >> shift) as u32);
    let at = |offset: u32| {
        let parts = words(address).into_iter().zip(words(mask)).zip(0..);
        let parts = parts
            .filter(|((_, mask), _)| *mask != 0)
            .map(|((word, mask), number)| {
                let load = layout.in_network(offset + 4 * number, Size::Word);
                let load = if mask == u32::MAX { load } else { load.masked(mask) };
                Condition::Test(load, Test::equal(word))
            });
        Condition::all(parts)
    };
    let end = qualifiers.end.unwrap_or(End::Either);
    let ends = at_ends(end, |is_source| at(if is_source { 8 } else { 24 }));
    Ok(Condition::all([is_of(layout::IP6, layout, span)?, ends]))
}

fn no_address_of(span: &Span, what: &str) -> FilterError {
    FilterError::new(format!("{what} is none of that protocol's"), span.clone())
        .help("`host` and `net` go with `ip`, `ip6`, `arp` and `rarp`, and alone")
}

fn proto(
    qualifiers: Qualifiers,
    number: u32,
    layout: &Layout,
    span: &Span,
) -> Result<Condition, FilterError> {
    if qualifiers.end.is_some() {
        return Err(FilterError::new(
            "a protocol has no source and destination",
            span.clone(),
        ));
    }
    let most = if qualifiers.protocol == Some(Protocol::Ether) {
        0xffff
    } else {
        0xff
    };
    if number > most {
        return Err(FilterError::new(
            format!("{number} is no protocol: {most} is the highest"),
            span.clone(),
        ));
    }
    match qualifiers.protocol {
        None => Ok(Condition::any([
            in_v4(number, layout, span)?,
            in_v6(number, layout, span)?,
        ])),
        Some(Protocol::Ip) => in_v4(number, layout, span),
        Some(Protocol::Ip6) => in_v6(number, layout, span),
        Some(Protocol::Ether) => is_of(number, layout, span),
        Some(Protocol::Iso) => in_iso(number, layout, span),
        Some(_) => Err(
            FilterError::new("this protocol has none above it that can be named", span.clone())
                .help("`proto` goes with `ip`, `ip6`, `ether` and `iso`, and alone"),
        ),
    }
}

fn ports(
    qualifiers: Qualifiers,
    low: u32,
    high: u32,
    layout: &Layout,
    span: &Span,
) -> Result<Condition, FilterError> {
    let transports: &[u32] = match qualifiers.protocol {
        None => &[TCP, UDP, SCTP],
        Some(Protocol::Tcp) => &[TCP],
        Some(Protocol::Udp) => &[UDP],
        Some(Protocol::Sctp) => &[SCTP],
        Some(_) => {
            return Err(FilterError::new("this protocol has no ports", span.clone())
                .help("`port` goes with `tcp`, `udp` and `sctp`, and alone"));
        }
    };
    let end = qualifiers.end.unwrap_or(End::Either);
    let is_one_of = |offset| {
        let field =
            |number: &u32| Condition::Test(layout.in_network(offset, Size::Octet), Test::equal(*number));
        Condition::any(transports.iter().map(field))
    };
    let is_in = |load: super::condition::Load| match low == high {
        true => Condition::Test(load, Test::equal(low)),
        false => Condition::all([
            Condition::Test(load.clone(), Test::of(code::JGE, low)),
            Condition::Test(load, Test::of(code::JGT, high)).negated(),
        ]),
    };
    let offset = |is_source| if is_source { 0 } else { 2 };
    let in_v6 = Condition::all([
        is_of(layout::IP6, layout, span)?,
        is_one_of(6),
        at_ends(end, |source| {
            is_in(layout.in_network(LONGEST_IP6_HEADER + offset(source), Size::Half))
        }),
    ]);
    let in_v4 = Condition::all([
        is_of(layout::IP, layout, span)?,
        is_one_of(9),
        is_no_later_fragment(layout),
        at_ends(end, |source| {
            is_in(relation::behind_v4(layout, offset(source), Size::Half))
        }),
    ]);
    Ok(Condition::any([in_v4, in_v6]))
}

/// Only the first fragment has the header of the transport.
pub fn is_no_later_fragment(layout: &Layout) -> Condition {
    Condition::Test(layout.in_network(6, Size::Half), Test::of(code::JSET, 0x1fff)).negated()
}
