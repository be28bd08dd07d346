//! Interfaces whose other end is a program (Documentation/networking/tuntap.rst).
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;

use super::error::{Attempt, Error, Result};

const DEVICE: &str = "/dev/net/tun";
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const TUNSETPERSIST: libc::c_ulong = 0x4004_54cb;
const TUNSETOWNER: libc::c_ulong = 0x4004_54cc;
const TUNSETGROUP: libc::c_ulong = 0x4004_54ce;
const TUNSETIFINDEX: libc::c_ulong = 0x4004_54da;
const IFF_TUN: u16 = 1;
const IFF_TAP: u16 = 2;
const IFF_MULTI_QUEUE: u16 = 0x100;
const IFF_NO_PI: u16 = 0x1000;
/// `struct ifreq` of 64-bit machines: sixteen octets of name, and a union.
const IFREQ: usize = 40;
const NAME: usize = 16;

/// What is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its index.
    pub index: u32,
    /// Whether it carries frames.
    pub is_tap: bool,
    /// The user whose programs may attach, beside root's.
    pub user: Option<u32>,
    /// The group.
    pub group: Option<u32>,
    /// Whether several queues can be attached.
    pub multi_queue: bool,
    /// Whether a header comes before each packet.
    pub packet_info: bool,
}

/// Whether this kernel has such interfaces.
pub fn is_there() -> bool {
    Path::new(DEVICE).exists() && open().is_ok()
}

fn open() -> Result<File> {
    let opened = OpenOptions::new().read(true).write(true).open(DEVICE);
    opened.attempt(|| format!("open {DEVICE}"))
}

/// Makes an interface in the calling thread's network namespace that stays when nothing is attached.
///
/// # Errors
/// The kernel refuses, or has none.
pub fn create(wanted: &Wanted<'_>) -> Result<()> {
    let what = || format!("make {}", wanted.name);
    let device = open()?;
    let mut flags = if wanted.is_tap { IFF_TAP } else { IFF_TUN };
    if wanted.multi_queue {
        flags |= IFF_MULTI_QUEUE;
    }
    if !wanted.packet_info {
        flags |= IFF_NO_PI;
    }
    let mut request = [0u8; IFREQ];
    let name = wanted.name.as_bytes();
    if name.len() >= NAME {
        return Err(Error::new(what(), Errno::ENAMETOOLONG));
    }
    request[..name.len()].copy_from_slice(name);
    request[NAME..NAME + 2].copy_from_slice(&flags.to_ne_bytes());
    let index = wanted.index;
    let done = |result: libc::c_int| Errno::result(result).map(drop).attempt(what);
    // SAFETY: the descriptor is open, and the kernel reads an unsigned number behind this pointer, which outlives the call.
    done(unsafe { libc::ioctl(device.as_raw_fd(), TUNSETIFINDEX as _, &raw const index) })?;
    // SAFETY: the kernel reads and writes a `struct ifreq`, which is as long as this buffer, which outlives the call.
    done(unsafe { libc::ioctl(device.as_raw_fd(), TUNSETIFF as _, request.as_mut_ptr()) })?;
    let values = [
        (TUNSETOWNER, wanted.user),
        (TUNSETGROUP, wanted.group),
        (TUNSETPERSIST, Some(1)),
    ];
    for (number, value) in values {
        let Some(value) = value else { continue };
        // SAFETY: these take a number in place of a pointer.
        done(unsafe { libc::ioctl(device.as_raw_fd(), number as _, libc::c_ulong::from(value)) })?;
    }
    Ok(())
}
