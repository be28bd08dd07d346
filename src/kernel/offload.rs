//! Checksum offload of an interface (SIOCETHTOOL, linux/ethtool.h). Some tools see wrong checksums on veths,
//! where the sender leaves them to hardware that does not exist.
#![allow(unsafe_code)]

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

use super::error::{Attempt, Error, Result};

const ETHTOOL_STXCSUM: u32 = 0x17;
const ETHTOOL_GTSO: u32 = 0x1e;
const ETHTOOL_STSO: u32 = 0x1f;
const ETHTOOL_SGSO: u32 = 0x24;

/// How what fails here begins.
pub const SETTING: &str = "set an offload of";

#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Turns transmit checksum offload off for an interface of the calling thread's network namespace.
///
/// # Errors
/// There is no such interface, or its driver refuses.
pub fn disable_transmit_checksum(interface: &str) -> Result<()> {
    ask(interface, ETHTOOL_STXCSUM, 0).map(drop)
}

/// Says whether packets that are longer than the MTU may leave an interface of the calling thread's network namespace, to be cut
/// by whoever takes them.
///
/// # Errors
/// There is no such interface, or its driver refuses.
pub fn segmentation(interface: &str, on: bool) -> Result<()> {
    let value = u32::from(on);
    match ask(interface, ETHTOOL_STSO, value) {
        // A driver without it has nothing to turn off, unless it does it all the time.
        Err(error) if error.errno == Errno::EOPNOTSUPP && (on || ask(interface, ETHTOOL_GTSO, 0)? == 0) => {}
        other => _ = other?,
    }
    ask(interface, ETHTOOL_SGSO, value).map(drop)
}

/// Sets or asks for a value. Returns what it is then.
fn ask(interface: &str, command: u32, data: u32) -> Result<u32> {
    let what = || format!("{SETTING} {interface}");
    // Any socket will do: the ioctl goes by the interface's name.
    let socket = UdpSocket::bind("127.0.0.1:0")
        .or_else(|_| UdpSocket::bind("[::]:0"))
        .attempt(what)?;
    // SAFETY: ifreq is plain bytes, for which zero is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(Error::new(what(), Errno::EINVAL));
    }
    for (slot, byte) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *slot = byte.cast_signed();
    }
    let mut value = EthtoolValue { command, data };
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: `request` and the value it points to are alive during the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    Errno::result(done).attempt(what)?;
    Ok(value.data)
}
