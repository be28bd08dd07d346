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

/// Reads an option whose value the kernel knows as `T`: numbers alone, for which zero is a value. What the kernel does not
/// fill stays zero.
///
/// # Safety
/// Zero octets, and any that the kernel writes, are a `T`.
pub(super) unsafe fn get<T: Copy>(
    socket: &impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<T> {
    // SAFETY: as the caller says.
    let mut value: T = unsafe { mem::zeroed() };
    let mut length = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes no more octets than the value has.
    let done = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    if done == 0 {
        Ok(value)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets through what a program of classic BPF keeps (Documentation/networking/filter.rst), instead of what an earlier one kept.
pub(super) fn attach(socket: &impl AsFd, program: &[libc::sock_filter]) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?,
        // The kernel only reads it.
        filter: program.as_ptr().cast_mut(),
    };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
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
