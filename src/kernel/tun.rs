//! Interfaces whose other end is a program (Documentation/networking/tuntap.rst).
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt as _;
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
const IFF_VNET_HDR: u16 = 0x4000;
const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54d0;
const TUN_F_CSUM: libc::c_ulong = 1;
const TUN_F_TSO4: libc::c_ulong = 2;
const TUN_F_TSO6: libc::c_ulong = 4;
const TUN_F_TSO_ECN: libc::c_ulong = 8;
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

/// Makes an interface that carries frames in the calling thread's network namespace, or takes the one of this name that nobody has.
/// It goes with the namespace, or by [`forget`]: the kernel takes hundreds away at once with their namespaces, and takes long for
/// each that goes with a descriptor. Before each frame is a header, as [`super::packet_sender`] takes it. Returns the descriptor,
/// which is read without waiting.
///
/// # Errors
/// The kernel refuses, or has none.
pub fn passing(name: &str) -> Result<File> {
    let what = || format!("make {name}");
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    let device = options.open(DEVICE).attempt(|| format!("open {DEVICE}"))?;
    let mut request = [0u8; IFREQ];
    let name = name.as_bytes();
    if name.len() >= NAME {
        return Err(Error::new(what(), Errno::ENAMETOOLONG));
    }
    request[..name.len()].copy_from_slice(name);
    let flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    request[NAME..NAME + 2].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: the kernel reads and writes a `struct ifreq`, which is as long as this buffer, which outlives the call.
    let made = unsafe { libc::ioctl(device.as_raw_fd(), TUNSETIFF as _, request.as_mut_ptr()) };
    Errno::result(made).map(drop).attempt(what)?;
    keep(&device, true).attempt(what)?;
    Ok(device)
}

/// Has an interface go with this descriptor.
///
/// # Errors
/// The descriptor is of something else.
pub fn forget(device: &impl AsFd) -> Result<()> {
    keep(device, false).attempt(|| "have an interface go with its program")
}

fn keep(device: &impl AsFd, keep: bool) -> std::result::Result<(), Errno> {
    // SAFETY: takes a number in place of a pointer.
    let done = unsafe {
        libc::ioctl(
            device.as_fd().as_raw_fd(),
            TUNSETPERSIST as _,
            libc::c_ulong::from(keep),
        )
    };
    Errno::result(done).map(drop)
}

/// What a frame may lack that is read from such an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// Nothing: it is as it would be on a wire.
    Nothing,
    /// Its checksum.
    Checksum,
    /// That, and being cut into segments.
    Segments,
}

/// Says what frames may lack.
///
/// # Errors
/// The descriptor is of something else.
pub fn take(device: &impl AsFd, unfinished: Unfinished) -> Result<()> {
    let flags = match unfinished {
        Unfinished::Nothing => 0,
        Unfinished::Checksum => TUN_F_CSUM,
        Unfinished::Segments => TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
    };
    // SAFETY: takes a number in place of a pointer.
    let done = unsafe { libc::ioctl(device.as_fd().as_raw_fd(), TUNSETOFFLOAD as _, flags) };
    Errno::result(done)
        .map(drop)
        .attempt(|| "say what frames may lack")
}
