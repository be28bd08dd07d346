//! Sockets of flows: packets with the time at which the kernel received them (socket(7), SO_TIMESTAMPNS), and how many it had no
//! room for (SO_RXQ_OVFL). All of them belong to the calling thread's network namespace, and none blocks.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use libc::sock_filter;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, TimestampingFlag, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

use super::socket_option;

/// Room for packets that wait to be read.
const ROOM: libc::c_int = 1 << 20;
/// linux/icmp.h and linux/icmpv6.h: which types of messages a raw socket is not given.
const ICMP_FILTER: libc::c_int = 1;
const ICMPV6_FILTER: libc::c_int = 1;
const SOL_RAW: libc::c_int = 255;
const REPLY_V4: u32 = 0;
const REPLY_V6: usize = 129;
/// linux/in6.h.
const IPV6_AUTOFLOWLABEL: libc::c_int = 70;

/// What was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// How many bytes.
    pub length: usize,
    /// When, in nanoseconds of CLOCK_REALTIME.
    pub realtime_ns: Option<u64>,
    /// How many packets the socket has had no room for, all in all.
    pub overflowed: Option<u32>,
}

/// A socket that receives datagrams.
///
/// # Errors
/// The address is not there, or the port is taken.
pub fn receiver(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = bound(at, Type::DGRAM, Protocol::UDP)?;
    note_arrivals(&socket)?;
    let _ = setsockopt(&socket, sockopt::RxqOvfl, &1);
    Ok(socket.into())
}

/// A socket that sends datagrams. It is not connected: each takes the way that the kernel has for it then, and errors of one do
/// not concern the next.
///
/// # Errors
/// The address is not there, or the port is taken.
pub fn sender(at: SocketAddr, dscp: u8) -> io::Result<UdpSocket> {
    let socket = bound(at, Type::DGRAM, Protocol::UDP)?;
    mark(&socket, at.is_ipv4(), dscp)?;
    Ok(socket.into())
}

/// Has the kernel tell when packets leave (linux/Documentation/networking/timestamping.rst): each comes back to the socket's error
/// queue with that time.
///
/// # Errors
/// The kernel cannot.
pub fn note_departures(sender: &UdpSocket) -> io::Result<()> {
    let flags = TimestampingFlag::SOF_TIMESTAMPING_TX_SOFTWARE | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
    Ok(setsockopt(sender, sockopt::Timestamping, &flags)?)
}

/// A packet that has left, as far as there is room for it, with the time in nanoseconds of CLOCK_REALTIME. Headers are in front of it.
///
/// # Errors
/// There is none (`EAGAIN`).
pub fn departed<'a>(sender: &UdpSocket, buffer: &'a mut [u8]) -> Result<(&'a [u8], Option<u64>), Errno> {
    let mut control = nix::cmsg_space!([TimeSpec; 3], [u8; 64]);
    let (length, at) = {
        let mut slices = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_ERRQUEUE;
        let message = recvmsg::<()>(sender.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
        let mut at = None;
        for part in message.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmTimestampsns(times) = part {
                at = nanoseconds(times.system);
            }
        }
        (message.bytes, at)
    };
    Ok((buffer.get(..length).unwrap_or_default(), at.filter(|at| *at > 0)))
}

/// A raw socket for echo requests, which receives the replies to those of one identifier alone.
///
/// # Errors
/// The caller may not, or the address is not there.
pub fn echo(from: IpAddr, identifier: u16, dscp: u8) -> io::Result<UdpSocket> {
    let v4 = from.is_ipv4();
    let protocol = if v4 { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let domain = Domain::for_address(SocketAddr::new(from, 0));
    let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;
    match v4 {
        true => socket_option::set(&socket, SOL_RAW, ICMP_FILTER, &!(1u32 << REPLY_V4))?,
        false => {
            let mut refused = [u32::MAX; 8];
            refused[REPLY_V6 / 32] &= !(1 << (REPLY_V6 % 32));
            socket_option::set(&socket, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &refused)?;
        }
    }
    only_identifier(&socket, v4, identifier)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    mark(&socket, v4, dscp)?;
    note_arrivals(&socket)?;
    let _ = setsockopt(&socket, sockopt::RxqOvfl, &1);
    // It sends to and receives from addresses, as one of UDP does.
    Ok(UdpSocket::from(OwnedFd::from(socket)))
}

/// A socket that takes connections.
///
/// # Errors
/// The address is not there, or the port is taken.
pub fn listener(at: SocketAddr) -> io::Result<TcpListener> {
    let domain = Domain::for_address(at);
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(16)?;
    Ok(socket.into())
}

/// Takes a connection, if there is one.
///
/// # Errors
/// There is none (`WouldBlock`), or no descriptor is left.
pub fn accept(listener: &TcpListener, is_paced: bool) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept()?;
    stream.set_nonblocking(true)?;
    let socket = Socket::from(stream);
    if is_paced {
        note_arrivals(&socket)?;
    }
    Ok(socket.into())
}

/// Begins a connection; the socket is writable when it is there, or has failed.
///
/// # Errors
/// There is no way to the other end.
pub fn connect(from: IpAddr, to: SocketAddr, dscp: u8, is_paced: bool) -> io::Result<TcpStream> {
    let domain = Domain::for_address(to);
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    mark(&socket, from.is_ipv4(), dscp)?;
    if is_paced {
        socket.set_tcp_nodelay(true)?;
    }
    socket.bind(&SocketAddr::new(from, 0).into())?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => Ok(socket.into()),
        Err(error) => Err(error),
        Ok(()) => Ok(socket.into()),
    }
}

/// Receives a packet, or what has come of a stream; of a stream that has ended, no bytes.
///
/// # Errors
/// There is none (`EAGAIN`), or the connection has failed.
pub fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> Result<Received, Errno> {
    let mut control = nix::cmsg_space!(TimeSpec, u32);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(socket.as_fd().as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let mut received = Received {
        length: message.bytes,
        realtime_ns: None,
        overflowed: None,
    };
    for part in message.cmsgs().into_iter().flatten() {
        match part {
            ControlMessageOwned::ScmTimestampns(at) => received.realtime_ns = nanoseconds(at),
            ControlMessageOwned::RxqOvfl(count) => received.overflowed = Some(count),
            _ => {}
        }
    }
    Ok(received)
}

fn nanoseconds(at: TimeSpec) -> Option<u64> {
    let seconds = u64::try_from(at.tv_sec()).ok()?;
    let rest = u64::try_from(at.tv_nsec()).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(rest)
}

fn bound(at: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), kind.nonblocking(), Some(protocol))?;
    socket.bind(&at.into())?;
    Ok(socket)
}

fn note_arrivals(socket: &Socket) -> io::Result<()> {
    setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
    socket_option::receive_buffer(socket, ROOM)
}

/// Sets the code point. No flow label is chosen for IPv6: the way of a packet is then that which the kernel tells for it.
fn mark(socket: &Socket, v4: bool, dscp: u8) -> io::Result<()> {
    let class = libc::c_int::from(dscp) << 2;
    if v4 {
        return socket_option::set(socket, libc::IPPROTO_IP, libc::IP_TOS, &class);
    }
    socket_option::set(socket, libc::IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, &0)?;
    socket_option::set(socket, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &class)
}

/// Drops what has another identifier, so that flows of one node do not wake each other.
fn only_identifier(socket: &Socket, v4: bool, identifier: u16) -> io::Result<()> {
    const LOAD_HEADER_LENGTH: u16 = 0xb1;
    const LOAD_HALF_BEHIND: u16 = 0x48;
    const LOAD_HALF: u16 = 0x28;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    // In front of an ICMP message the IP header is given, in front of an ICMPv6 message it is not.
    let mut program = match v4 {
        true => vec![step(LOAD_HEADER_LENGTH, 0, 0, 0), step(LOAD_HALF_BEHIND, 0, 0, 4)],
        false => vec![step(LOAD_HALF, 0, 0, 4)],
    };
    program.extend([
        step(JUMP_EQUAL, 0, 1, u32::from(identifier)),
        step(RETURN, 0, 0, u32::MAX),
        step(RETURN, 0, 0, 0),
    ]);
    socket_option::attach(socket, &program)
}
