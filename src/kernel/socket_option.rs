//! Socket options that no crate at hand has (setsockopt(2)).
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

/// Makes room for what waits to be read, beyond what the host allows everybody where that may be.
pub(super) fn receive_buffer(socket: &impl AsFd, octets: libc::c_int) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &octets)
        .or_else(|_| set(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &octets))
}

/// Sets an option whose value the kernel knows as `T`: a number, an array of numbers, or a C structure of such.
pub(super) fn set<T: Copy>(
    socket: &impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the kernel reads as many octets as the value has, while it is alive.
    let done = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            mem::size_of::<T>() as libc::socklen_t,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
