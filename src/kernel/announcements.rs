//! What the kernel announces of the networks of many namespaces (rtnetlink(7)), as its own octets: read in batches, by a thread
//! that stays in none of them. One socket hears many namespaces; those that announce too much are heard by sockets of their own.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use netlink_packet_route::route::{RouteHeader, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::time::{ClockId, clock_gettime};

use super::error::{Attempt, Result};
use super::netlink::{Netlink, Request, answers};
use super::socket_option;
use super::watch::instruction;

/// RTNLGRP_LINK, _NEIGH, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE.
const GROUPS: [u32; 6] = [1, 3, 5, 7, 9, 11];
/// Room for what is announced while nobody reads.
const BUFFER: libc::c_int = 1 << 20;
/// The same of all namespaces together.
const BUFFER_FOR_ALL: libc::c_int = 32 << 20;
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

impl AsFd for Announcements {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Hears what many namespaces announce, in the order of all of it, by one socket (netlink(7), NETLINK_LISTEN_ALL_NSID). A socket for
/// each would make every announcement on the machine dearer: the kernel looks at all sockets of all namespaces each time.
pub struct Everywhere {
    socket: Socket,
    /// A socket in the same namespace, in which others have ids.
    ids: Netlink,
}

impl AsFd for Everywhere {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What a read of a socket brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// How many messages.
    pub messages: usize,
    /// Whether some were lost after them, because there was no room.
    pub has_lost: bool,
    /// Whether there may be more.
    pub has_more: bool,
}

/// Where messages are read to. One serves all sockets of a thread.
pub struct Room {
    bytes: Vec<[u8; ROOM]>,
    /// Control messages: one of a number each.
    control: [[u64; 4]; BATCH],
}

impl Default for Room {
    fn default() -> Self {
        Room {
            bytes: vec![[0; ROOM]; BATCH],
            control: [[0; 4]; BATCH],
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

/// A socket in the calling thread's namespace that hears it.
fn listen(buffer: libc::c_int, everywhere: bool) -> Result<Socket> {
    let open = || -> io::Result<Socket> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.set_non_blocking(true)?;
        socket_option::receive_buffer(&socket, buffer)?;
        choose(&socket)?;
        if everywhere {
            let yes: libc::c_int = 1;
            socket_option::set(&socket, libc::SOL_NETLINK, libc::NETLINK_LISTEN_ALL_NSID, &yes)?;
        }
        socket.bind(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        Ok(socket)
    };
    open().attempt(|| "listen to the kernel's network events")
}

impl Announcements {
    /// Begins to hear a namespace. The calling thread is left in it: it is one that works for many.
    ///
    /// # Errors
    /// The namespace cannot be entered, or no descriptors are left.
    pub fn open(namespace: BorrowedFd<'_>) -> Result<Announcements> {
        setns(namespace, CloneFlags::CLONE_NEWNET).attempt(|| "enter a network namespace")?;
        let socket = listen(BUFFER, false)?;
        Ok(Announcements { socket })
    }

    /// Reads a batch, and hands over each message with its netlink header.
    pub fn read(&self, room: &mut Room, mut each: impl FnMut(&[u8])) -> Reading {
        read(&self.socket, room, |_, message| each(message))
    }

    /// How many messages were lost since it was opened.
    pub fn lost(&self) -> u64 {
        lost(&self.socket)
    }
}

impl Everywhere {
    /// Makes a namespace to listen from, and leaves the calling thread in it. It hears no other yet.
    ///
    /// # Errors
    /// The kernel makes no namespace, or does not permit it.
    pub fn open() -> Result<Everywhere> {
        unshare(CloneFlags::CLONE_NEWNET).attempt(|| "create a network namespace to listen from")?;
        let ids = Netlink::open()?;
        let socket = listen(BUFFER_FOR_ALL, true)?;
        Ok(Everywhere { socket, ids })
    }

    /// Hears a namespace as well, under this number, which no other has had here.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn admit(&mut self, namespace: BorrowedFd<'_>, id: i32) -> Result<()> {
        let mut message = NsidMessage::default();
        message.attributes = vec![
            NsidAttribute::Fd(namespace.as_raw_fd().cast_unsigned()),
            NsidAttribute::Id(id),
        ];
        let request = RouteNetlinkMessage::NewNsId(message);
        self.ids
            .send_one(Request::change("number a network namespace", request))
    }

    /// Reads a batch, and hands over each message with its netlink header, and the number of the namespace it is of.
    pub fn read(&self, room: &mut Room, mut each: impl FnMut(i32, &[u8])) -> Reading {
        read(&self.socket, room, |id, message| {
            // Those of its own namespace have none.
            if let Some(id) = id {
                each(id, message);
            }
        })
    }

    /// How many messages were lost since it was opened.
    pub fn lost(&self) -> u64 {
        lost(&self.socket)
    }
}

fn read(socket: &Socket, room: &mut Room, mut each: impl FnMut(Option<i32>, &[u8])) -> Reading {
    let mut reading = Reading::default();
    let mut slices: [libc::iovec; BATCH] = std::array::from_fn(|at| libc::iovec {
        iov_base: room.bytes[at].as_mut_ptr().cast(),
        iov_len: ROOM,
    });
    // SAFETY: zero octets are such headers: no address, no control data.
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
    let control = room.control.iter_mut();
    for ((header, slice), control) in headers.iter_mut().zip(&mut slices).zip(control) {
        header.msg_hdr.msg_iov = slice;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = control.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = mem::size_of_val(control);
    }
    loop {
        // SAFETY: each header leads to one slice, and that to room of its length, and to room for control messages of the length
        // it says, all of which outlive the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        match Errno::result(count) {
            Ok(count) => {
                let count = usize::try_from(count).unwrap_or_default();
                let all = headers.iter().zip(&room.bytes).zip(&room.control);
                for ((header, bytes), control) in all.take(count) {
                    let length = (header.msg_len as usize).min(ROOM);
                    let id = namespace_id(control, header.msg_hdr.msg_controllen);
                    for answer in answers(&bytes[..length]) {
                        each(id, answer.bytes);
                    }
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

/// The number of a message's namespace: struct cmsghdr (its length, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID), then the number.
fn namespace_id(control: &[u64; 4], length: usize) -> Option<i32> {
    let [_, kind, number, _] = control.map(u64::to_ne_bytes);
    let at = |bytes: [u8; 8], at: usize| {
        i32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    };
    let is_one =
        length >= 20 && at(kind, 0) == libc::SOL_NETLINK && at(kind, 4) == libc::NETLINK_LISTEN_ALL_NSID;
    is_one.then(|| at(number, 0))
}

/// How many messages were lost since a socket was opened (SO_MEMINFO, SK_MEMINFO_DROPS).
fn lost(socket: &Socket) -> u64 {
    const SO_MEMINFO: libc::c_int = 55;
    const DROPS: usize = 8;
    // SAFETY: numbers, as the kernel fills them.
    let figures: io::Result<[u32; 9]> = unsafe { socket_option::get(socket, libc::SOL_SOCKET, SO_MEMINFO) };
    figures.map_or(0, |figures| u64::from(figures[DROPS]))
}

/// What there is in a namespace, as messages that would announce it. The calling thread is left in it.
///
/// # Errors
/// The namespace cannot be entered, or the kernel refuses.
pub fn there_in(namespace: BorrowedFd<'_>) -> Result<There> {
    setns(namespace, CloneFlags::CLONE_NEWNET).attempt(|| "enter a network namespace")?;
    there()
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
    socket_option::attach(socket, &program)
}
