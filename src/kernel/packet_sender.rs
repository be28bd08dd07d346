//! Sends whole frames out of an interface, past its queueing discipline and its programs (packet(7), PACKET_QDISC_BYPASS). With
//! each goes what the kernel has left to do for it: a checksum, or cutting it into segments (PACKET_VNET_HDR).
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::error::{Attempt, Result};
use super::socket_option;

const PACKET_VNET_HDR: libc::c_int = 15;
const PACKET_QDISC_BYPASS: libc::c_int = 20;
/// Bytes that may be on their way.
const ROOM: libc::c_int = 8 << 20;

/// The length of what goes before each frame (`struct virtio_net_hdr`).
pub const HEADER: usize = 10;

/// Opens a socket that sends out of an interface of the calling thread's network namespace, and hears nothing.
///
/// # Errors
/// The kernel refuses, or there is no such interface.
pub fn open(interface: u32) -> Result<OwnedFd> {
    let what = || format!("send frames out of interface {interface}");
    // SAFETY: takes numbers alone.
    let made = unsafe {
        libc::socket(
            libc::AF_PACKET,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
            0,
        )
    };
    let made = Errno::result(made).attempt(what)?;
    // SAFETY: the kernel made this descriptor for us just now.
    let socket = unsafe { OwnedFd::from_raw_fd(made) };
    for option in [PACKET_VNET_HDR, PACKET_QDISC_BYPASS] {
        socket_option::set(&socket, libc::SOL_PACKET, option, &1i32).attempt(what)?;
    }
    // As much as is allowed is enough.
    let _ = socket_option::set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &ROOM)
        .or_else(|_| socket_option::set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, &ROOM));
    // SAFETY: plain numbers, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = interface.cast_signed();
    // SAFETY: the kernel reads an address of this length, which outlives the call.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    Errno::result(bound).attempt(what)?;
    Ok(socket)
}

/// Sends a frame with its header before it.
///
/// # Errors
/// The interface is down or gone, its driver takes no more, or the frame is not one for it.
pub fn send(socket: BorrowedFd<'_>, frame: &[u8]) -> std::result::Result<(), Errno> {
    // SAFETY: the kernel reads as many octets as the slice has, while it is borrowed.
    let sent = unsafe {
        libc::send(
            socket.as_fd().as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    Errno::result(sent).map(drop)
}
