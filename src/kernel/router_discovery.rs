//! Router advertisements and solicitations (RFC 4861 sections 4.1, 4.2 and 6), over a raw ICMPv6 socket.
#![allow(unsafe_code)]

use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::error::{Attempt, Error, Result};
use super::socket_option;

const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
/// What proves that a packet comes from this very link (RFC 4861 section 6.1).
const HOP_LIMIT: u8 = 255;
const SOLICITATION_LENGTH: usize = 8;
const ADVERTISEMENT_LENGTH: usize = 16;
/// Room for what is said on hundreds of links at once, in octets; what is lost is said again only after ten seconds.
const BUFFER: libc::c_int = 4 << 20;
/// linux/icmpv6.h, ICMPV6_FILTER.
const ICMPV6_FILTER: libc::c_int = 1;

/// Everybody on a link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers on a link.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// What somebody said on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The interface's index.
    pub interface: u32,
    /// Who; unspecified for a host that has no address yet.
    pub from: Ipv6Addr,
    /// What.
    pub what: What,
}

/// What can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Routers are asked to make themselves known.
    Solicitation,
    /// A router is there, as a default router for so many seconds.
    Advertisement(u16),
}

/// The socket.
pub struct RouterDiscovery {
    socket: Socket,
}

impl AsRawFd for RouterDiscovery {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl RouterDiscovery {
    /// Opens a socket in the calling thread's network namespace. Does not block.
    ///
    /// # Errors
    /// No raw sockets are allowed, or the kernel has no IPv6.
    pub fn open() -> Result<RouterDiscovery> {
        let open = || -> io::Result<Socket> {
            let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
            socket.set_nonblocking(true)?;
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_hops_v6(HOP_LIMIT.into())?;
            socket.set_unicast_hops_v6(HOP_LIMIT.into())?;
            socket_option::receive_buffer(&socket, BUFFER)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
            filter(&socket)?;
            Ok(socket)
        };
        let socket = open().attempt(|| "open a socket for router advertisements")?;
        Ok(RouterDiscovery { socket })
    }

    /// Takes it into the event loop.
    ///
    /// # Errors
    /// The event loop takes no more.
    pub fn register(self) -> Result<AsyncFd<RouterDiscovery>> {
        // SAFETY: the socket owns its descriptor, and neither replaces nor closes it before it is dropped.
        let registered = unsafe { AsyncFd::register(self) };
        registered
            .map_err(io::Error::from)
            .attempt(|| "watch for router advertisements")
    }

    /// Hears what is said to all routers on a link, or no longer.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn listen(&self, interface: u32, on: bool) -> Result<()> {
        let done = if on {
            self.socket.join_multicast_v6(&ALL_ROUTERS, interface)
        } else {
            self.socket.leave_multicast_v6(&ALL_ROUTERS, interface)
        };
        done.attempt(|| "listen for router solicitations")
    }

    /// Asks the routers on a link to make themselves known.
    ///
    /// # Errors
    /// The interface is down or has no address.
    pub fn solicit(&self, interface: u32, link_layer: &[u8]) -> Result<()> {
        let message = solicitation(link_layer);
        self.send(&message, interface, ALL_ROUTERS)
            .attempt(|| "solicit routers")
    }

    /// Makes this router known by a router advertisement, whose checksum is the kernel's work (RFC 3542 section 3.1).
    ///
    /// # Errors
    /// The interface is down or has no address.
    pub fn advertise(&self, interface: u32, to: Ipv6Addr, advertisement: &[u8]) -> Result<()> {
        self.send(advertisement, interface, to)
            .attempt(|| "send a router advertisement")
    }

    fn send(&self, message: &[u8], interface: u32, to: Ipv6Addr) -> io::Result<()> {
        let to = SocketAddrV6::new(to, 0, 0, interface);
        self.socket.send_to(message, &to.into()).map(drop)
    }

    /// The next thing that was said; none when all is read. What is not valid is passed over.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn receive(&self) -> Result<Option<Heard>> {
        loop {
            let mut buffer = [0u8; 1500];
            let mut control = cmsg_space!(libc::in6_pktinfo, libc::c_int);
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let received = recvmsg::<SockaddrIn6>(
                self.socket.as_raw_fd(),
                &mut slices,
                Some(&mut control),
                MsgFlags::empty(),
            );
            let received = match received {
                Ok(received) => received,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(Error::new("read router advertisements", errno)),
            };
            let (mut interface, mut hop_limit) = (None, None);
            for message in received.cmsgs().into_iter().flatten() {
                match message {
                    ControlMessageOwned::Ipv6PacketInfo(info) => interface = Some(info.ipi6_ifindex),
                    ControlMessageOwned::Ipv6HopLimit(limit) => hop_limit = Some(limit),
                    _ => {}
                }
            }
            let from = received.address.map(|address| address.ip());
            let length = received.bytes;
            if let (Some(interface), Some(from)) = (interface, from)
                && hop_limit == Some(HOP_LIMIT.into())
                && let Some(what) = parse(&buffer[..length], from)
            {
                return Ok(Some(Heard {
                    interface,
                    from,
                    what,
                }));
            }
        }
    }
}

/// Lets only solicitations and advertisements through (RFC 3542 section 3.2: a set bit blocks).
fn filter(socket: &Socket) -> io::Result<()> {
    let mut blocked = [u32::MAX; 8];
    for kind in [SOLICITATION, ADVERTISEMENT] {
        blocked[usize::from(kind >> 5)] &= !(1u32 << (kind & 31));
    }
    socket_option::set(socket, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &blocked)
}

fn solicitation(link_layer: &[u8]) -> Vec<u8> {
    // The checksum is the kernel's work (RFC 3542 section 3.1).
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    append_source(&mut message, link_layer);
    message
}

/// The sender's link-layer address, so that nobody has to ask for it (RFC 4861 section 4.6.1).
fn append_source(message: &mut Vec<u8>, link_layer: &[u8]) {
    if let [_, _, _, _, _, _] = link_layer {
        message.extend([SOURCE_LINK_LAYER_ADDRESS, 1]);
        message.extend(link_layer);
    }
}

/// A message, if it is valid (RFC 4861 sections 6.1.1 and 6.1.2).
fn parse(bytes: &[u8], from: Ipv6Addr) -> Option<What> {
    if bytes.len() < SOLICITATION_LENGTH || bytes[1] != 0 {
        return None;
    }
    match bytes[0] {
        SOLICITATION => {
            let options = options(&bytes[SOLICITATION_LENGTH..])?;
            let says_source = options.contains(&SOURCE_LINK_LAYER_ADDRESS);
            (!from.is_unspecified() || !says_source).then_some(What::Solicitation)
        }
        ADVERTISEMENT if bytes.len() >= ADVERTISEMENT_LENGTH && from.is_unicast_link_local() => {
            options(&bytes[ADVERTISEMENT_LENGTH..])?;
            Some(What::Advertisement(u16::from_be_bytes([bytes[6], bytes[7]])))
        }
        _ => None,
    }
}

/// The types of all options; none if they are not well-formed.
fn options(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut kinds = Vec::new();
    while !rest.is_empty() {
        let length = usize::from(*rest.get(1)?) * 8;
        if length == 0 || length > rest.len() {
            return None;
        }
        kinds.push(rest[0]);
        rest = &rest[length..];
    }
    Some(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn advertisement(lifetime: u16, link_layer: &[u8]) -> Vec<u8> {
        let mut message = vec![ADVERTISEMENT, 0, 0, 0, 64, 0];
        message.extend(lifetime.to_be_bytes());
        message.resize(ADVERTISEMENT_LENGTH, 0);
        append_source(&mut message, link_layer);
        message
    }

    fn router() -> Ipv6Addr {
        "fe80::1".parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        for mac in [&MAC[..], &[]] {
            let message = advertisement(30, mac);
            assert_eq!(parse(&message, router()), Some(What::Advertisement(30)));
            assert_eq!(parse(&solicitation(mac), router()), Some(What::Solicitation));
        }
    }

    #[test]
    fn what_is_not_valid_is_passed_over() {
        let message = advertisement(30, &MAC);
        assert_eq!(parse(&message, "2001:db8::1".parse().unwrap()), None);
        for length in (0..message.len()).filter(|length| *length != ADVERTISEMENT_LENGTH) {
            assert_eq!(parse(&message[..length], router()), None, "{length}");
        }
        let mut coded = message.clone();
        coded[1] = 1;
        assert_eq!(parse(&coded, router()), None);
        let mut empty_option = message;
        empty_option[ADVERTISEMENT_LENGTH + 1] = 0;
        assert_eq!(parse(&empty_option, router()), None);
        // Who has no address yet cannot say what it belongs to.
        assert_eq!(parse(&solicitation(&MAC), Ipv6Addr::UNSPECIFIED), None);
        assert_eq!(
            parse(&solicitation(&[]), Ipv6Addr::UNSPECIFIED),
            Some(What::Solicitation)
        );
    }
}
