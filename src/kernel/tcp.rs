//! TCP as routing sessions use it: listeners on all addresses, connections from and to chosen ones, how far their packets
//! travel (RFC 5082), and signatures (RFC 2385; tcp(7), TCP_MD5SIG).
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use ipnet::IpNet;
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::error::{Attempt, Error, Result};
use super::{hop_filter, socket_option};

/// linux/tcp.h: the prefix's length counts.
const TCP_MD5SIG_EXT: libc::c_int = 32;
const TCP_MD5SIG_FLAG_PREFIX: u8 = 1;
/// Longest key the kernel takes (TCP_MD5SIG_MAXKEYLEN).
pub const LONGEST_KEY: usize = 80;
/// Type of service of routing protocols: internetwork control (RFC 791).
const INTERNETWORK_CONTROL: u32 = 0xc0;
const FARTHEST: u8 = 255;
const BACKLOG: libc::c_int = 4096;

/// How far packets of a connection travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Over so many links.
    Hops(u8),
    /// As far as they can; and those that come must have crossed fewer links than this (RFC 5082).
    Within(u8),
}

/// A connection to be opened.
#[derive(Debug, Clone)]
pub struct Dial<'a> {
    /// To where; link-local addresses with their interface.
    pub remote: SocketAddr,
    /// From where, if that matters.
    pub local: Option<IpAddr>,
    /// How far.
    pub reach: Reach,
    /// The key of its signatures.
    pub key: Option<&'a str>,
    /// The longest segment, in octets.
    pub segment: Option<u16>,
}

/// What the kernel has measured of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// The longest segment, in octets.
    pub segment: u32,
    /// Round trip time, smoothed.
    pub round_trip: Duration,
}

/// What the kernel has measured of a connection.
///
/// # Errors
/// It is none of TCP.
pub fn figures(socket: &impl AsFd) -> Result<Figures> {
    let what = || "ask for a connection's figures";
    // SAFETY: a number, and a structure of numbers.
    let (segment, info) = unsafe {
        (
            socket_option::get::<u32>(socket, libc::IPPROTO_TCP, libc::TCP_MAXSEG),
            socket_option::get::<libc::tcp_info>(socket, libc::IPPROTO_TCP, libc::TCP_INFO),
        )
    };
    Ok(Figures {
        segment: segment.attempt(what)?,
        round_trip: Duration::from_micros(info.attempt(what)?.tcpi_rtt.into()),
    })
}

/// Limits a connection's segments to so many octets; 0 is no limit.
///
/// # Errors
/// The kernel takes no such length.
pub fn limit_segments(socket: &impl AsFd, octets: u16) -> Result<()> {
    let what = || format!("send segments of {octets} octets");
    let octets = libc::c_int::from(octets);
    socket_option::set(socket, libc::IPPROTO_TCP, libc::TCP_MAXSEG, &octets).attempt(what)
}

/// Listens on all addresses of a family. From the networks of `keys` it takes only what is signed, and from those of `hops` only
/// what has so many hops left, from the first segment on. Does not block.
///
/// # Errors
/// Somebody listens there already, the kernel knows no such family, or it refuses a key or the limits.
pub fn listen<'a>(
    v4: bool,
    port: u16,
    keys: impl IntoIterator<Item = (IpNet, &'a str)>,
    hops: impl IntoIterator<Item = (IpNet, u8)>,
) -> Result<TcpListener> {
    let what = || format!("listen on TCP port {port}");
    let address: SocketAddr = if v4 {
        (Ipv4Addr::UNSPECIFIED, port).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, port).into()
    };
    let make = || -> io::Result<Socket> {
        let socket = socket(address)?;
        socket.set_reuse_address(true)?;
        if !v4 {
            socket.set_only_v6(true)?;
        }
        // Whoever insists on near neighbors drops an answer to his SYN that says less.
        set_hops(&socket, v4, FARTHEST)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    let socket = make().attempt(what)?;
    for (network, key) in keys {
        set_key(&socket, network, key)?;
    }
    hop_filter::require_hops(&socket, v4, hops)?;
    socket.listen(BACKLOG).attempt(what)?;
    Ok(socket.into())
}

/// A socket that is ready to be connected to `remote`. Does not block.
///
/// # Errors
/// The address to come from is not this host's, or the kernel refuses the key.
pub fn dial(dial: &Dial<'_>) -> Result<TcpStream> {
    let what = || format!("connect to {}", dial.remote.ip());
    let socket = socket(dial.remote).attempt(what)?;
    if let Some(key) = dial.key {
        set_key(&socket, dial.remote.ip().into(), key)?;
    }
    reach(&socket, dial.remote.is_ipv4(), dial.reach)?;
    if let Some(octets) = dial.segment {
        // As with FRR a length that the kernel does not take is of no effect.
        let _ = limit_segments(&socket, octets);
    }
    if let Some(local) = dial.local {
        let scope = match (local, dial.remote) {
            (IpAddr::V6(local), SocketAddr::V6(remote)) if local.is_unicast_link_local() => remote.scope_id(),
            _ => 0,
        };
        let from = match local {
            IpAddr::V4(local) => SocketAddr::from((local, 0)),
            IpAddr::V6(local) => SocketAddrV6::new(local, 0, 0, scope).into(),
        };
        socket
            .bind(&from.into())
            .attempt(|| format!("connect to {} from {local}", dial.remote.ip()))?;
    }
    Ok(socket.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv4() {
        socket.set_tos_v4(INTERNETWORK_CONTROL)?;
    } else {
        let class = INTERNETWORK_CONTROL.cast_signed();
        socket_option::set(&socket, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &class)?;
    }
    Ok(socket)
}

/// Says how far a connection's packets travel from now on.
///
/// # Errors
/// The kernel knows no such option.
pub fn reach(socket: &impl AsFd, v4: bool, reach: Reach) -> Result<()> {
    let socket = socket2::SockRef::from(socket);
    let what = || "limit how far packets travel";
    match reach {
        Reach::Hops(hops) => set_hops(&socket, v4, hops.max(1)).attempt(what),
        Reach::Within(hops) => {
            set_hops(&socket, v4, FARTHEST).attempt(what)?;
            let least = libc::c_int::from(hops_left(hops));
            let (level, name) = if v4 {
                (libc::IPPROTO_IP, libc::IP_MINTTL)
            } else {
                (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT)
            };
            socket_option::set(&*socket, level, name, &least).attempt(what)
        }
    }
}

/// How many hops a packet has left that has crossed fewer links than said, from a sender that begins with all (RFC 5082).
pub fn hops_left(hops: u8) -> u8 {
    FARTHEST - (hops.max(1) - 1)
}

fn set_hops(socket: &Socket, v4: bool, hops: u8) -> io::Result<()> {
    if v4 {
        socket.set_ttl_v4(hops.into())
    } else {
        socket.set_unicast_hops_v6(hops.into())
    }
}

/// struct tcp_md5sig (linux/tcp.h).
#[derive(Clone, Copy)]
#[repr(C)]
struct Signature {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: libc::c_int,
    key: [u8; LONGEST_KEY],
}

/// Signs what goes to a network's addresses over connections of a socket, and takes from there only what is signed. An empty
/// key ends it. On a listener it holds for the connections it will accept.
///
/// # Errors
/// The key is too long, or this kernel was built without signatures.
pub fn set_key(socket: &impl AsFd, network: IpNet, key: &str) -> Result<()> {
    let what = || format!("sign TCP segments of {}", network.addr());
    if key.len() > LONGEST_KEY {
        return Err(Error::new(what(), Errno::ENAMETOOLONG));
    }
    let address = socket2::SockAddr::from(SocketAddr::new(network.addr(), 0));
    // SAFETY: plain numbers, for which zero is a value.
    let mut signature: Signature = unsafe { mem::zeroed() };
    // SAFETY: a socket address never is longer than the storage there is for all of them.
    unsafe {
        std::ptr::copy_nonoverlapping(
            address.as_ptr().cast::<u8>(),
            (&raw mut signature.address).cast::<u8>(),
            address.len() as usize,
        );
    }
    signature.key_length = key.len() as u16;
    signature.key[..key.len()].copy_from_slice(key.as_bytes());
    let whole = network.prefix_len() == network.max_prefix_len();
    let name = if whole { libc::TCP_MD5SIG } else { TCP_MD5SIG_EXT };
    if !whole {
        signature.flags = TCP_MD5SIG_FLAG_PREFIX;
        signature.prefix_length = network.prefix_len();
    }
    match socket_option::set(socket, libc::IPPROTO_TCP, name, &signature) {
        // What is to end may have ended.
        Err(error) if key.is_empty() && error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other.attempt(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_laid_out_as_the_kernel_has_it() {
        assert_eq!(mem::size_of::<Signature>(), 128 + 8 + LONGEST_KEY);
    }

    #[test]
    fn a_key_that_is_too_long_is_refused() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let network = IpNet::from(IpAddr::from([192, 0, 2, 1]));
        assert!(set_key(&socket, network, &"x".repeat(81)).is_err());
    }
}
