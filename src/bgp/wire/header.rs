//! The header of messages (RFC 4271 section 4.1 and 6.1).

use super::error_code::{MESSAGE_HEADER, message_header};
use super::notification::Notification;
use super::options::Options;

/// Octets of a header.
pub const HEADER: usize = 19;
/// The longest message (RFC 4271 section 4).
pub const LONGEST: usize = 4096;
/// The longest where both sides can do more (RFC 8654).
pub const LONGEST_EXTENDED: usize = 65535;
const MARKER: [u8; 16] = [0xff; 16];

pub(crate) const OPEN: u8 = 1;
pub(crate) const UPDATE: u8 = 2;
pub(crate) const NOTIFICATION: u8 = 3;
pub(crate) const KEEPALIVE: u8 = 4;
pub(crate) const ROUTE_REFRESH: u8 = 5;
/// The same before it had a number of its own, as some makers have it.
pub(crate) const OLD_ROUTE_REFRESH: u8 = 128;

/// The longest message that may be sent.
pub(super) fn longest(options: &Options) -> usize {
    if options.extended_messages {
        LONGEST_EXTENDED
    } else {
        LONGEST
    }
}

/// The length of the first message in a stream of octets; none while some of it is missing.
///
/// # Errors
/// The stream is not BGP, or the message has an impossible length or type.
pub fn frame(bytes: &[u8], options: &Options) -> Result<Option<usize>, Notification> {
    let seen = bytes.len().min(MARKER.len());
    if bytes[..seen] != MARKER[..seen] {
        let subcode = message_header::CONNECTION_NOT_SYNCHRONIZED;
        return Err(Notification::new(MESSAGE_HEADER, subcode));
    }
    let Some(&[high, low, kind]) = bytes.get(16..HEADER) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let (shortest, longest) = match kind {
        OPEN => (HEADER + 10, LONGEST),
        UPDATE => (HEADER + 4, longest(options)),
        NOTIFICATION => (HEADER + 2, longest(options)),
        KEEPALIVE => (HEADER, HEADER),
        // A wrong length is answered with an error of its own (RFC 7313 section 5).
        ROUTE_REFRESH | OLD_ROUTE_REFRESH => (HEADER, longest(options)),
        _ => {
            let subcode = message_header::BAD_MESSAGE_TYPE;
            return Err(Notification::with_data(MESSAGE_HEADER, subcode, [kind]));
        }
    };
    if !(shortest..=longest).contains(&length) {
        let subcode = message_header::BAD_MESSAGE_LENGTH;
        return Err(Notification::with_data(MESSAGE_HEADER, subcode, [high, low]));
    }
    Ok((bytes.len() >= length).then_some(length))
}

/// Appends a header whose length is not known yet.
pub(super) fn begin(kind: u8, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend(MARKER);
    out.extend([0, 0, kind]);
    start
}

/// Writes the length into the header of the message that begins at `start`.
pub(super) fn finish(start: usize, out: &mut [u8]) {
    // Whoever appends to a message keeps it within the longest there is.
    let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    out[start + 16..start + 18].copy_from_slice(&length.to_be_bytes());
}
