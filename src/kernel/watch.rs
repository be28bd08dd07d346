//! What changes in a network namespace: interfaces, addresses and routes, as the kernel announces it (rtnetlink(7)).
//!
//! Told is that something changed, and what cannot be seen afterwards; what there is now is then listed.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};

use ipnet::IpNet;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use tokio::io::unix::AsyncFd;

use super::error::{Attempt, Result};
use super::netlink::{HEADER, answers, half, word};
use super::socket_option;

/// RTNLGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE.
const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];
/// Room for what is announced while nobody reads.
const BUFFER: libc::c_int = 1 << 20;
/// Announcements are much smaller than this.
const ROOM: usize = 16 * 1024;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;

/// What has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Interfaces or addresses.
    pub interfaces: bool,
    /// Routes of the main table.
    pub routes: bool,
    /// Interfaces that were down or away for a moment at least: the kernel has dropped routes over them.
    pub fallen: BTreeSet<u32>,
    /// Routes that somebody took out: destination and protocol (rtm_protocol).
    pub removed: Vec<(IpNet, u8)>,
    /// Whether announcements were lost: anything may have changed.
    pub lost: bool,
}

impl Changes {
    /// Whether nothing has.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

/// Hears the announcements of a network namespace.
pub struct Watch {
    socket: Socket,
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Watch {
    /// Begins to listen in the calling thread's network namespace, but not to what a netlink socket of its own (by its port,
    /// see [`super::netlink::Netlink::port`]) does to routes.
    ///
    /// # Errors
    /// No descriptors or memory left.
    pub fn open(own_port: u32) -> Result<Watch> {
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.set_non_blocking(true)?;
            socket_option::receive_buffer(&socket, BUFFER)?;
            ignore(&socket, own_port)?;
            socket.bind(&SocketAddr::new(0, 0))?;
            for group in GROUPS {
                socket.add_membership(group)?;
            }
            Ok(socket)
        };
        let socket = open().attempt(|| "listen to the kernel's network events")?;
        Ok(Watch { socket })
    }

    /// Takes it into the event loop.
    ///
    /// # Errors
    /// The event loop takes no more.
    pub fn register(self) -> Result<AsyncFd<Watch>> {
        // SAFETY: the socket owns its descriptor, and neither replaces nor closes it before it is dropped.
        let registered = unsafe { AsyncFd::register(self) };
        registered
            .map_err(io::Error::from)
            .attempt(|| "watch the kernel's network events")
    }

    /// Reads all that was announced.
    pub fn read(&self) -> Changes {
        let mut changes = Changes::default();
        let mut buffer = [0u8; ROOM];
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => {
                    for message in answers(&buffer[..length]) {
                        note(message.kind, message.bytes, &mut changes);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => {
                    (changes.interfaces, changes.routes, changes.lost) = (true, true, true);
                }
                Err(_) => return changes,
            }
        }
    }
}

fn note(kind: u16, bytes: &[u8], changes: &mut Changes) {
    match kind {
        RTM_NEWLINK | RTM_DELLINK => {
            changes.interfaces = true;
            // struct ifinfomsg: the index at 4, the flags at 8.
            if let Some(body) = bytes.get(HEADER..HEADER + 16) {
                let passes = (libc::IFF_UP | libc::IFF_RUNNING).cast_unsigned();
                if kind == RTM_DELLINK || word(body, 8) & passes != passes {
                    changes.fallen.insert(word(body, 4));
                    // IPv4 routes over it go without a word.
                    changes.routes = true;
                }
            }
        }
        RTM_NEWADDR => changes.interfaces = true,
        RTM_DELADDR => (changes.interfaces, changes.routes) = (true, true),
        RTM_NEWROUTE | RTM_DELROUTE => {
            let Some(body) = bytes.get(HEADER..).filter(|body| body.len() >= 12) else {
                return;
            };
            // struct rtmsg: the table at 4, the protocol at 5.
            if body[4] != libc::RT_TABLE_MAIN {
                return;
            }
            changes.routes = true;
            if kind == RTM_DELROUTE
                && let Some(to) = destination(body)
            {
                changes.removed.push((to, body[5]));
            }
        }
        _ => {}
    }
}

/// Where a route led to: RTA_DST, or everywhere.
fn destination(body: &[u8]) -> Option<IpNet> {
    let v4 = i32::from(body[0]) == libc::AF_INET;
    let mut rest = &body[12..];
    while rest.len() >= 4 {
        let length = usize::from(half(rest, 0));
        if length < 4 || length > rest.len() {
            return None;
        }
        if half(rest, 2) == libc::RTA_DST {
            let address = match (v4, &rest[4..length]) {
                (true, octets) => IpAddr::from(<[u8; 4]>::try_from(octets).ok()?),
                (false, octets) => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
            };
            return IpNet::new(address, body[1]).ok();
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let unspecified = if v4 {
        IpAddr::from([0; 4])
    } else {
        IpAddr::from([0; 16])
    };
    IpNet::new(unspecified, body[1]).ok()
}

/// Does not even wake this process for route changes that come from its own socket: a table of a million routes would
/// come back as as many announcements. A filter of the classic kind (Documentation/networking/filter.rst), which loads numbers
/// in network order whatever the order is that netlink has them in.
fn ignore(socket: &Socket, port: u32) -> io::Result<()> {
    let load = |size: u32, offset: u32| instruction(libc::BPF_LD | size | libc::BPF_ABS, 0, 0, offset);
    let equal = |value: u32, yes: u8, no: u8| {
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, yes, no, value)
    };
    let end = |length: u32| instruction(libc::BPF_RET | libc::BPF_K, 0, 0, length);
    let kind = |kind: u16| u32::from(kind.to_be());
    let program = [
        // nlmsg_type at 4, nlmsg_pid at 12.
        load(libc::BPF_H, 4),
        equal(kind(RTM_NEWROUTE), 1, 0),
        equal(kind(RTM_DELROUTE), 0, 2),
        load(libc::BPF_W, 12),
        equal(port.to_be(), 1, 0),
        end(u32::MAX),
        end(0),
    ];
    socket_option::attach(socket, &program)
}

pub(super) fn instruction(code: u32, yes: u8, no: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: yes,
        jf: no,
        k: value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(kind: u16, table: u8, to: [u8; 4]) -> Changes {
        let mut bytes = vec![0; HEADER];
        bytes.extend([libc::AF_INET as u8, 24, 0, 0, table, 186, 0, 1, 0, 0, 0, 0]);
        bytes.extend(8u16.to_ne_bytes());
        bytes.extend(libc::RTA_DST.to_ne_bytes());
        bytes.extend(to);
        let mut changes = Changes::default();
        note(kind, &bytes, &mut changes);
        changes
    }

    #[test]
    fn a_route_that_goes_is_named() {
        let changes = route(RTM_DELROUTE, 254, [192, 0, 2, 0]);
        assert_eq!(changes.removed, [("192.0.2.0/24".parse().unwrap(), 186)]);
        assert!(changes.routes && !changes.interfaces);
        assert!(route(RTM_NEWROUTE, 254, [192, 0, 2, 0]).removed.is_empty());
        assert!(route(RTM_DELROUTE, 255, [192, 0, 2, 0]).is_empty());
    }

    #[test]
    fn an_interface_that_falls_is_remembered() {
        let link = |flags: i32| {
            let mut bytes = vec![0; HEADER + 16];
            bytes[HEADER + 4..HEADER + 8].copy_from_slice(&7u32.to_ne_bytes());
            bytes[HEADER + 8..HEADER + 12].copy_from_slice(&flags.to_ne_bytes());
            let mut changes = Changes::default();
            note(RTM_NEWLINK, &bytes, &mut changes);
            changes.fallen
        };
        assert!(link(libc::IFF_UP | libc::IFF_RUNNING).is_empty());
        assert_eq!(link(libc::IFF_UP), BTreeSet::from([7]));
    }

    #[test]
    fn what_is_cut_short_is_passed_over() {
        for kind in [RTM_NEWLINK, RTM_DELROUTE] {
            for length in 0..HEADER + 12 {
                note(kind, &vec![0; length], &mut Changes::default());
            }
        }
    }
}
