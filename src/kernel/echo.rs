//! Echo requests (RFC 792 for IPv4, RFC 4443 section 4 for IPv6) over raw sockets, or for users who may not have
//! those over the kernel's own for echo requests (icmp(7), `ping_group_range`).

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::error::{Error, Result};

const REQUEST_V4: u8 = 8;
const REPLY_V4: u8 = 0;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;
const HEADER: usize = 8;
/// Tells our own requests from those of others in the same namespace; the rest of the payload is filler.
const PAYLOAD: usize = 32;

/// Sends one echo request from the calling thread's network namespace and waits for its answer. Returns the round
/// trip's time, or none when no answer came in time.
///
/// # Errors
/// There is no way to the destination, or the kernel was told that it cannot be reached.
pub fn request(to: IpAddr, from: Option<IpAddr>, patience: Duration) -> Result<Option<Duration>> {
    let what = || format!("ping {to}");
    let failed = |error: std::io::Error| Error::io(what(), &error);
    let protocol = if to.is_ipv4() {
        Protocol::ICMPV4
    } else {
        Protocol::ICMPV6
    };
    let domain = Domain::for_address(SocketAddr::new(to, 0));
    let (mut socket, is_raw) = match Socket::new(domain, Type::RAW, Some(protocol)) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => (
            Socket::new(domain, Type::DGRAM, Some(protocol)).map_err(failed)?,
            false,
        ),
        other => (other.map_err(failed)?, true),
    };
    let form = match (is_raw, to.is_ipv4()) {
        (false, _) => Form::Numbered,
        (true, true) => Form::WithHeader,
        (true, false) => Form::Plain,
    };
    if let Some(from) = from {
        socket
            .bind(&SocketAddr::new(from, 0).into())
            .map_err(|error| Error::io(format!("ping {to} from {from}"), &error))?;
    }
    // The kernel then passes on only what comes from there, errors on the way included.
    socket.connect(&SocketAddr::new(to, 0).into()).map_err(failed)?;
    let sent = Instant::now();
    let mark = mark();
    let request = packet(to.is_ipv4(), &mark);
    socket.write_all(&request).map_err(failed)?;
    let mut buffer = [0u8; 2048];
    loop {
        let left = patience.saturating_sub(sent.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left)).map_err(failed)?;
        match socket.read(&mut buffer) {
            Ok(size) if answers(&buffer[..size], to.is_ipv4(), form, &request) => {
                return Ok(Some(sent.elapsed()));
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(error) if error.raw_os_error() == Some(Errno::EINTR as i32) => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Different for each request of each process: a late answer to an earlier one is no answer to this.
fn mark() -> [u8; 8] {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut mark = [0; 8];
    mark[..4].copy_from_slice(&std::process::id().to_be_bytes());
    mark[4..].copy_from_slice(&count.to_be_bytes());
    mark
}

fn packet(v4: bool, mark: &[u8; 8]) -> Vec<u8> {
    let mut packet = vec![0u8; HEADER + PAYLOAD];
    packet[0] = if v4 { REQUEST_V4 } else { REQUEST_V6 };
    // Identifier and sequence number: the low halves of the process's and the request's number.
    packet[4..6].copy_from_slice(&mark[2..4]);
    packet[6..8].copy_from_slice(&mark[6..8]);
    packet[HEADER..HEADER + mark.len()].copy_from_slice(mark);
    if v4 {
        // For ICMPv6 the kernel fills it in, as it covers addresses that only it knows.
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// How a socket gives packets.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// With the IP header, as raw sockets of IPv4 do.
    WithHeader,
    /// Without it.
    Plain,
    /// Without it, and with an identifier that the kernel chose.
    Numbered,
}

/// Whether a packet as the socket gives it answers our request: the same identifier, number and payload.
fn answers(bytes: &[u8], v4: bool, form: Form, request: &[u8]) -> bool {
    let start = match (form, bytes.first()) {
        (Form::WithHeader, Some(first)) => usize::from(first & 0x0f) * 4,
        (Form::WithHeader, None) => return false,
        (Form::Plain | Form::Numbered, _) => 0,
    };
    let same = if form == Form::Numbered { 6 } else { 4 };
    let Some(message) = bytes.get(start..) else {
        return false;
    };
    let reply = if v4 { REPLY_V4 } else { REPLY_V6 };
    message.len() == request.len() && message[0] == reply && message[same..] == request[same..]
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_rfc_1071s() {
        assert_eq!(
            checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            !0xddf2
        );
        assert_eq!(checksum(&packet(true, &mark())), 0);
    }

    #[test]
    fn only_the_answer_is_the_answer() {
        let mark = [1, 2, 3, 4, 5, 6, 7, 8];
        for (v4, form) in [
            (true, Form::WithHeader),
            (false, Form::Plain),
            (true, Form::Numbered),
        ] {
            let request = packet(v4, &mark);
            let mut reply = request.clone();
            reply[0] = if v4 { REPLY_V4 } else { REPLY_V6 };
            let ip = if form == Form::WithHeader {
                vec![0x45; 20]
            } else {
                Vec::new()
            };
            let whole = |message: &[u8]| [ip.as_slice(), message].concat();
            assert!(answers(&whole(&reply), v4, form, &request));
            assert!(!answers(&whole(&request), v4, form, &request));
            for at in if form == Form::Numbered { 6 } else { 4 }..reply.len() {
                let mut other = reply.clone();
                other[at] ^= 1;
                assert!(!answers(&whole(&other), v4, form, &request));
            }
            for length in 0..whole(&reply).len() {
                assert!(!answers(&whole(&reply)[..length], v4, form, &request));
            }
        }
    }
}
