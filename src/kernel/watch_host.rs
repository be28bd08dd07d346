//! Told when somebody changes how this host forwards: the forwarding of interfaces (RTM_NEWNETCONF, rtnetlink(7)), and
//! nftables' rules (nfnetlink). What is announced is not read: what there is now is looked up.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use tokio::io::unix::AsyncFd;

use super::error::{Attempt, Result};

/// RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF.
const FORWARDING: [u32; 2] = [24, 25];
/// RTNLGRP_NEIGH.
const NEIGHBORS: [u32; 1] = [3];
/// NFNLGRP_NFTABLES.
const RULES: [u32; 1] = [7];
/// Announcements are much smaller than this; one that is cut is an announcement all the same.
const ROOM: usize = 4 * 1024;

/// A socket that hears the announcements of one kind.
pub struct Announced(Socket);

impl AsRawFd for Announced {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Hears of changed forwarding, from now on, in the calling thread's network namespace.
///
/// # Errors
/// No descriptors or memory left, or the event loop takes no more.
pub fn forwarding() -> Result<AsyncFd<Announced>> {
    hear(NETLINK_ROUTE, &FORWARDING)
}

/// Hears of changed neighbors and forwarding databases, from now on, in the calling thread's network namespace.
///
/// # Errors
/// No descriptors or memory left, or the event loop takes no more.
pub fn neighbors() -> Result<AsyncFd<Announced>> {
    hear(NETLINK_ROUTE, &NEIGHBORS)
}

/// Hears of changed rules, from now on, in the calling thread's network namespace.
///
/// # Errors
/// No descriptors or memory left, or the event loop takes no more.
pub fn rules() -> Result<AsyncFd<Announced>> {
    hear(NETLINK_NETFILTER, &RULES)
}

fn hear(protocol: isize, groups: &[u32]) -> Result<AsyncFd<Announced>> {
    let open = || -> io::Result<AsyncFd<Announced>> {
        let mut socket = Socket::new(protocol)?;
        socket.set_non_blocking(true)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        for group in groups {
            socket.add_membership(*group)?;
        }
        // SAFETY: the socket owns its descriptor, and neither replaces nor closes it before it is dropped.
        let registered = unsafe { AsyncFd::register(Announced(socket)) };
        registered.map_err(io::Error::from)
    };
    open().attempt(|| "listen to the kernel's announcements of forwarding")
}

impl Announced {
    /// Forgets what was announced so far. Announcements that were lost for want of room are announcements too.
    pub fn forget(&self) {
        let mut buffer = [0; ROOM];
        loop {
            match recv(self.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(_) | Err(Errno::EINTR | Errno::ENOBUFS) => {}
                Err(_) => return,
            }
        }
    }
}
