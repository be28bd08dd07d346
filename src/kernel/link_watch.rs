//! Which interfaces of a network namespace come, change and go, as the kernel announces it (rtnetlink(7), RTNLGRP_LINK).
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use tokio::io::unix::AsyncFd;

use super::error::{Attempt, Result};
use super::link::{self, Interface};
use super::netlink::answers;

/// RTNLGRP_LINK.
const LINKS: u32 = 1;
/// Announcements are much smaller than this.
const ROOM: usize = 16 * 1024;
/// How many messages are read at a time.
const MOST: usize = 1024;

/// What was announced of an interface.
pub enum Change {
    /// It is there, like this.
    Is(Interface),
    /// It is gone.
    Gone(Interface),
}

/// What was heard.
#[derive(Default)]
pub struct Heard {
    /// Announcements, in their order.
    pub changes: Vec<Change>,
    /// Whether some were lost, because nobody read while there was room.
    pub is_partial: bool,
    /// Whether there may be more to read.
    pub has_more: bool,
}

/// Hears the announcements of one network namespace.
pub struct LinkWatch {
    socket: Socket,
}

impl AsRawFd for LinkWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl LinkWatch {
    /// Begins to listen in the calling thread's network namespace.
    ///
    /// # Errors
    /// No descriptors or memory left.
    pub fn open() -> Result<LinkWatch> {
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.set_non_blocking(true)?;
            socket.bind(&SocketAddr::new(0, 0))?;
            socket.add_membership(LINKS)?;
            Ok(socket)
        };
        let socket = open().attempt(|| "listen to what becomes of interfaces")?;
        Ok(LinkWatch { socket })
    }

    /// Takes it into the event loop.
    ///
    /// # Errors
    /// The event loop takes no more.
    pub fn register(self) -> Result<AsyncFd<LinkWatch>> {
        // SAFETY: the socket owns its descriptor, and neither replaces nor closes it before it is dropped.
        let registered = unsafe { AsyncFd::register(self) };
        registered
            .map_err(io::Error::from)
            .attempt(|| "watch what becomes of interfaces")
    }

    /// Reads what was announced.
    pub fn read(&self) -> Heard {
        let mut heard = Heard::default();
        let mut buffer = [0u8; ROOM];
        for _ in 0..MOST {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => {
                    let answers = answers(&buffer[..length]);
                    let changes = answers.iter().filter_map(|it| change(it.bytes));
                    heard.changes.extend(changes);
                }
                Err(Errno::ENOBUFS) => heard.is_partial = true,
                Err(Errno::EINTR) => {}
                Err(_) => return heard,
            }
        }
        heard.has_more = true;
        heard
    }
}

fn change(bytes: &[u8]) -> Option<Change> {
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes).ok()?;
    match message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(message)) => {
            link::interface(message).map(Change::Is)
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(message)) => {
            link::interface(message).map(Change::Gone)
        }
        _ => None,
    }
}
