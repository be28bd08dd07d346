//! From how far away packets reach a TCP listener (RFC 5082), before anything accepts their connection.
//!
//! IP_MINTTL knows one limit for a whole socket, and on a connection that was accepted it comes too late for what arrived with
//! the handshake. A classic socket filter (SO_ATTACH_FILTER, socket(7)) judges each packet by its source from the first SYN on,
//! and the connections of a listener inherit it.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use ipnet::IpNet;
use libc::sock_filter;
use nix::errno::Errno;

use super::error::{Attempt, Error, Result};
use super::socket_option;

/// Offsets from here on count from the network header (linux/filter.h, SKF_NET_OFF).
const NETWORK_HEADER: u32 = -0x10_0000_i32 as u32;
/// Offsets in an IPv4 header (RFC 791) and in an IPv6 header (RFC 8200).
const V4: Header = Header { hops: 8, source: 12 };
const V6: Header = Header { hops: 7, source: 8 };
/// The longest program that the kernel takes (linux/bpf_common.h, BPF_MAXINSNS).
const LONGEST: usize = 4096;

const LOAD_WORD: u16 = 0x20;
const LOAD_OCTET: u16 = 0x30;
const AND: u16 = 0x54;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
/// What the filter keeps of a packet: all, or nothing.
const ALL: u32 = u32::MAX;
const NOTHING: u32 = 0;

struct Header {
    hops: u32,
    source: u32,
}

/// Drops packets from these networks that have fewer hops left than said (0 is any). Of networks within each other the smaller
/// one counts; what is in none passes. It takes the place of what was said before.
///
/// # Errors
/// There are more networks than a filter has room for (682 IPv4 or 341 IPv6 hosts), or the kernel refuses it.
pub fn require_hops(
    socket: &impl AsFd,
    v4: bool,
    least: impl IntoIterator<Item = (IpNet, u8)>,
) -> Result<()> {
    let what = || "drop packets from too far away";
    let mut networks: Vec<(IpNet, u8)> = least
        .into_iter()
        .filter(|(network, _)| network.addr().is_ipv4() == v4)
        .collect();
    if networks.iter().all(|(_, least)| *least == 0) {
        return detach(socket).attempt(what);
    }
    networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
    let program = program(&networks);
    if program.len() > LONGEST {
        return Err(Error::new(what(), Errno::E2BIG));
    }
    socket_option::attach(socket, &program).attempt(what)
}

fn detach(socket: &impl AsFd) -> io::Result<()> {
    let none: libc::c_int = 0;
    match socket_option::set(socket, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &none) {
        // There was none.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

/// The program: networks in this order, the first that has the source decides.
fn program(networks: &[(IpNet, u8)]) -> Vec<sock_filter> {
    let mut out = Vec::new();
    for (network, least) in networks {
        let header = if network.addr().is_ipv4() { V4 } else { V6 };
        let verdict = verdict(&header, *least);
        out.extend(is_from(&header, network, verdict.len()));
        out.extend(verdict);
    }
    out.push(step(RETURN, ALL));
    out
}

/// Goes on behind the next `skip` steps unless the source is in a network.
fn is_from(header: &Header, network: &IpNet, skip: usize) -> Vec<sock_filter> {
    let (words, masks) = (words(network.network()), words(network.netmask()));
    let mut out: Vec<sock_filter> = Vec::new();
    let all = words.into_iter().zip(masks).zip(0..);
    // From the last one, as each jump has to know how much is behind it.
    let mut parts: Vec<((u32, u32), u32)> = all.filter(|((_, mask), _)| *mask != 0).collect();
    parts.reverse();
    for ((word, mask), number) in parts {
        let mut part = vec![step(LOAD_WORD, NETWORK_HEADER + header.source + 4 * number)];
        if mask != u32::MAX {
            part.push(step(AND, mask));
        }
        part.push(sock_filter {
            code: JUMP_EQUAL,
            jt: 0,
            // At most four words of three steps, and four steps.
            jf: (out.len() + skip) as u8,
            k: word,
        });
        part.extend(out);
        out = part;
    }
    out
}

fn verdict(header: &Header, least: u8) -> Vec<sock_filter> {
    if least == 0 {
        return vec![step(RETURN, ALL)];
    }
    vec![
        step(LOAD_OCTET, NETWORK_HEADER + header.hops),
        sock_filter {
            code: JUMP_AT_LEAST,
            jt: 0,
            jf: 1,
            k: least.into(),
        },
        step(RETURN, ALL),
        step(RETURN, NOTHING),
    ]
}

fn step(code: u16, k: u32) -> sock_filter {
    sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

fn words(address: IpAddr) -> Vec<u32> {
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let (words, _) = octets.as_chunks::<4>();
    words.iter().map(|word| u32::from_be_bytes(*word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a program makes of a packet from an address with so many hops left.
    fn passes(program: &[sock_filter], source: &str, hops: u8) -> bool {
        let source: IpAddr = source.parse().unwrap();
        let header = if source.is_ipv4() { V4 } else { V6 };
        let mut packet = [0u8; 40];
        packet[header.hops as usize] = hops;
        let at = header.source as usize;
        match source {
            IpAddr::V4(it) => packet[at..at + 4].copy_from_slice(&it.octets()),
            IpAddr::V6(it) => packet[at..at + 16].copy_from_slice(&it.octets()),
        }
        let (mut at, mut value) = (0, 0u32);
        loop {
            let it = program[at];
            let place = it.k.wrapping_sub(NETWORK_HEADER) as usize;
            at += 1;
            let holds = match it.code {
                LOAD_WORD => {
                    value = u32::from_be_bytes(packet[place..place + 4].try_into().unwrap());
                    continue;
                }
                LOAD_OCTET => {
                    value = packet[place].into();
                    continue;
                }
                AND => {
                    value &= it.k;
                    continue;
                }
                JUMP_EQUAL => value == it.k,
                JUMP_AT_LEAST => value >= it.k,
                RETURN => return it.k != 0,
                other => panic!("{other}"),
            };
            at += usize::from(if holds { it.jt } else { it.jf });
        }
    }

    fn of(networks: &[(&str, u8)]) -> Vec<sock_filter> {
        let parsed = networks
            .iter()
            .map(|(network, least)| (network.parse().unwrap(), *least));
        let mut parsed: Vec<(IpNet, u8)> = parsed.collect();
        parsed.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        program(&parsed)
    }

    #[test]
    fn each_network_has_a_limit_of_its_own() {
        let program = of(&[
            ("192.0.2.0/24", 254),
            ("192.0.2.1/32", 255),
            ("192.0.2.2/32", 0),
            ("10.0.0.0/7", 250),
        ]);
        for (source, hops, expected) in [
            ("192.0.2.1", 255, true),
            ("192.0.2.1", 254, false),
            ("192.0.2.2", 1, true),
            ("192.0.2.3", 254, true),
            ("192.0.2.3", 253, false),
            ("11.1.1.1", 249, false),
            ("12.1.1.1", 1, true),
            ("192.0.3.1", 1, true),
        ] {
            assert_eq!(passes(&program, source, hops), expected, "{source} {hops}");
        }
        let program = of(&[("2001:db8::1/128", 255), ("2001:db8:8000::/33", 250), ("::/0", 2)]);
        for (source, hops, expected) in [
            ("2001:db8::1", 255, true),
            ("2001:db8::1", 254, false),
            ("2001:db8::2", 2, true),
            ("2001:db8::2", 1, false),
            ("2001:db8:8000::1", 249, false),
            ("2001:db8:ffff::1", 250, true),
        ] {
            assert_eq!(passes(&program, source, hops), expected, "{source} {hops}");
        }
    }

    #[test]
    fn the_kernel_takes_a_filter_and_lets_it_go() {
        for v4 in [true, false] {
            let domain = if v4 {
                socket2::Domain::IPV4
            } else {
                socket2::Domain::IPV6
            };
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
            let host = |number: u32| -> IpNet {
                match v4 {
                    true => IpAddr::from(number.to_be_bytes()).into(),
                    false => IpAddr::from((u128::from(number) | 1 << 120).to_be_bytes()).into(),
                }
            };
            require_hops(&socket, v4, [(host(1), 0)]).unwrap();
            require_hops(&socket, v4, (1..200).map(|number| (host(number), 255))).unwrap();
            require_hops(&socket, v4, []).unwrap();
            assert!(require_hops(&socket, v4, (1..700).map(|number| (host(number), 255))).is_err());
        }
    }
}
