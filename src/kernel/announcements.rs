//! What the kernel announces of the networks of many namespaces (rtnetlink(7)), as its own octets: read in batches, by a thread
//! that stays in none of them. A socket for each namespace, so that what one announces never takes the room of another.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::{RouteHeader, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::time::{ClockId, clock_gettime};

use super::error::{Attempt, Result};
use super::netlink::{Netlink, answers};
use super::socket_option;
use super::watch::instruction;

/// RTNLGRP_LINK, _NEIGH, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE.
const GROUPS: [u32; 6] = [1, 3, 5, 7, 9, 11];
/// Room for what is announced while nobody reads.
const BUFFER: libc::c_int = 1 << 20;
/// How many messages are read by one call.
const BATCH: usize = 32;
/// Announcements are smaller than this: a route with hundreds of next hops.
const ROOM: usize = 16 * 1024;
/// Of what there is already no more octets of each kind are told.
const MOST_THERE: usize = 1 << 20;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
/// NUD_REACHABLE, NUD_FAILED, NUD_PERMANENT (linux/neighbour.h).
const TOLD_STATES: u16 = 0x02 | 0x20 | 0x80;

/// Nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share.
pub fn monotonic() -> u64 {
    nanoseconds(ClockId::CLOCK_MONOTONIC)
}

/// Nanoseconds since 1970 (CLOCK_REALTIME).
pub fn realtime() -> u64 {
    nanoseconds(ClockId::CLOCK_REALTIME)
}

fn nanoseconds(clock: ClockId) -> u64 {
    // Both clocks are there always, and behind zero never.
    clock_gettime(clock).map_or(0, |time| {
        let (seconds, rest) = (time.tv_sec().cast_unsigned(), time.tv_nsec().cast_unsigned());
        seconds.saturating_mul(1_000_000_000).saturating_add(rest)
    })
}

/// Hears what one namespace announces.
pub struct Announcements {
    socket: Socket,
}

impl AsRawFd for Announcements {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Announcements {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What a read of a socket brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// How many messages.
    pub messages: usize,
    /// Whether some were lost before them, because there was no room for them.
    pub has_lost: bool,
    /// Whether there may be more.
    pub has_more: bool,
}

/// Where messages are read to. One serves all sockets of a thread.
pub struct Room {
    bytes: Vec<[u8; ROOM]>,
}

impl Default for Room {
    fn default() -> Self {
        Room {
            bytes: vec![[0; ROOM]; BATCH],
        }
    }
}

/// What there is in a namespace when it begins to be heard: messages as they would be announced, cut where there are too many.
#[derive(Debug, Clone, Default)]
pub struct There {
    /// The types and bodies of messages.
    pub messages: Vec<(u16, Vec<u8>)>,
    /// Whether there is more.
    pub is_partial: bool,
}

impl Announcements {
    /// Begins to hear a namespace. The calling thread is left in it: it is one that works for many.
    ///
    /// # Errors
    /// The namespace cannot be entered, or no descriptors are left.
    pub fn open(namespace: BorrowedFd<'_>) -> Result<Announcements> {
        setns(namespace, CloneFlags::CLONE_NEWNET).attempt(|| "enter a network namespace")?;
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.set_non_blocking(true)?;
            socket_option::receive_buffer(&socket, BUFFER)?;
            choose(&socket)?;
            socket.bind(&SocketAddr::new(0, 0))?;
            for group in GROUPS {
                socket.add_membership(group)?;
            }
            Ok(socket)
        };
        let socket = open().attempt(|| "listen to the kernel's network events")?;
        Ok(Announcements { socket })
    }

    /// Reads a batch, and hands over each message with its netlink header.
    pub fn read(&self, room: &mut Room, mut each: impl FnMut(&[u8])) -> Reading {
        let mut reading = Reading::default();
        let mut slices: [libc::iovec; BATCH] = std::array::from_fn(|at| libc::iovec {
            iov_base: room.bytes[at].as_mut_ptr().cast(),
            iov_len: ROOM,
        });
        // SAFETY: zero octets are such headers: no address, no control data.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        for (header, slice) in headers.iter_mut().zip(&mut slices) {
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
        }
        loop {
            // SAFETY: each header leads to one slice, and that to room of its length, all of which outlive the call.
            let count = unsafe {
                libc::recvmmsg(
                    self.socket.as_raw_fd(),
                    headers.as_mut_ptr(),
                    BATCH as libc::c_uint,
                    libc::MSG_DONTWAIT,
                    std::ptr::null_mut(),
                )
            };
            match Errno::result(count) {
                Ok(count) => {
                    let count = usize::try_from(count).unwrap_or_default();
                    for (header, bytes) in headers.iter().zip(&room.bytes).take(count) {
                        let length = (header.msg_len as usize).min(ROOM);
                        answers(&bytes[..length]).iter().for_each(|it| each(it.bytes));
                    }
                    reading.messages = count;
                    reading.has_more = count == BATCH;
                    return reading;
                }
                Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => reading.has_lost = true,
                Err(_) => return reading,
            }
        }
    }

    /// What there is in the namespace, as messages that would announce it. The calling thread is left in it.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the kernel refuses.
    pub fn there(&self) -> Result<There> {
        /// linux/sockios.h.
        const SIOCGSKNS: libc::Ioctl = 0x894c;
        // SAFETY: the socket is open, and the call takes no argument.
        let namespace = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCGSKNS) };
        let namespace = Errno::result(namespace).attempt(|| "open a socket's network namespace")?;
        // SAFETY: a fresh descriptor, owned by nobody yet.
        let namespace = unsafe { OwnedFd::from_raw_fd(namespace) };
        setns(&namespace, CloneFlags::CLONE_NEWNET).attempt(|| "enter a network namespace")?;
        there()
    }

    /// How many messages were lost since it was opened (SO_MEMINFO, SK_MEMINFO_DROPS).
    pub fn lost(&self) -> u64 {
        const SO_MEMINFO: libc::c_int = 55;
        const DROPS: usize = 8;
        // SAFETY: numbers, as the kernel fills them.
        let figures: io::Result<[u32; 9]> =
            unsafe { socket_option::get(&self.socket, libc::SOL_SOCKET, SO_MEMINFO) };
        figures.map_or(0, |figures| u64::from(figures[DROPS]))
    }
}

/// The interfaces and routes of the calling thread's namespace.
fn there() -> Result<There> {
    let mut netlink = Netlink::open()?;
    let there = RefCell::new(There::default());
    let mut take = |kind: u16, what: &str, question: RouteNetlinkMessage| -> Result<()> {
        let mut left = MOST_THERE;
        let left = RefCell::new(&mut left);
        netlink.dump_where(what, question, |body| {
            let mut there = there.borrow_mut();
            let mut left = left.borrow_mut();
            match left.checked_sub(body.len()) {
                Some(rest) => {
                    **left = rest;
                    there.messages.push((kind, body.to_vec()));
                }
                None => there.is_partial = true,
            }
            // They are wanted as octets alone.
            false
        })?;
        Ok(())
    };
    let links = RouteNetlinkMessage::GetLink(LinkMessage::default());
    take(RTM_NEWLINK, "list the interfaces", links)?;
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header = RouteHeader {
            address_family: family,
            ..RouteHeader::default()
        };
        take(
            RTM_NEWROUTE,
            "list the routes",
            RouteNetlinkMessage::GetRoute(message),
        )?;
    }
    Ok(there.into_inner())
}

/// Does not even wake the reader for what tells nothing of a network's ways: the kernel's own routes to local addresses, ports of
/// bridges, and neighbors that go stale and come back. A filter of the classic kind, as in [`super::watch`].
fn choose(socket: &Socket) -> io::Result<()> {
    let load = |size: u32, offset: u32| instruction(libc::BPF_LD | size | libc::BPF_ABS, 0, 0, offset);
    let equal = |value: u32, yes: u8, no: u8| {
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, yes, no, value)
    };
    let some =
        |bits: u32, yes: u8, no: u8| instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, yes, no, bits);
    let end = |length: u32| instruction(libc::BPF_RET | libc::BPF_K, 0, 0, length);
    let half = |value: u16| u32::from(value.to_be());
    let bridge = libc::AF_BRIDGE as u32;
    let program = [
        // nlmsg_type at 4.
        load(libc::BPF_H, 4),
        equal(half(RTM_NEWROUTE), 6, 0),
        equal(half(RTM_DELROUTE), 5, 0),
        equal(half(RTM_NEWLINK), 6, 0),
        equal(half(RTM_DELLINK), 5, 0),
        equal(half(RTM_NEWNEIGH), 6, 0),
        equal(half(RTM_DELNEIGH), 3, 0),
        end(u32::MAX),
        // 8: rtm_table at 20.
        load(libc::BPF_B, 20),
        equal(u32::from(libc::RT_TABLE_LOCAL), 7, 6),
        // 10: the family at 16.
        load(libc::BPF_B, 16),
        equal(bridge, 5, 4),
        // 12: and a neighbor's state at 24.
        load(libc::BPF_B, 16),
        equal(bridge, 3, 0),
        load(libc::BPF_H, 24),
        some(half(TOLD_STATES), 0, 1),
        // 16 and 17.
        end(u32::MAX),
        end(0),
    ];
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_ptr().cast_mut(),
    };
    socket_option::set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
}
