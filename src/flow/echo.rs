//! Echo requests and replies (RFC 792 for IPv4, RFC 4443 section 4 for IPv6).

/// Bytes in front of what is echoed.
pub const ECHO_HEADER: usize = 8;
const REQUEST_V4: u8 = 8;
const REPLY_V4: u8 = 0;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;

/// Writes the header of a request in front of what is to be echoed. For IPv6 the kernel makes the checksum, which covers addresses.
pub fn write_request(message: &mut [u8], v4: bool, identifier: u16, sequence: u16) {
    let Some(header) = message.first_chunk_mut::<ECHO_HEADER>() else {
        return;
    };
    header[0] = if v4 { REQUEST_V4 } else { REQUEST_V6 };
    header[1..4].fill(0);
    header[4..6].copy_from_slice(&identifier.to_be_bytes());
    header[6..8].copy_from_slice(&sequence.to_be_bytes());
    if v4 {
        let sum = checksum(message).to_be_bytes();
        message[2..4].copy_from_slice(&sum);
    }
}

/// What was echoed, in a packet as a raw socket gives it: for IPv4 with the IP header.
pub fn read_reply(packet: &[u8], v4: bool, identifier: u16) -> Option<&[u8]> {
    let message = match v4 {
        true => packet.get(usize::from(packet.first()? & 0x0f) * 4..)?,
        false => packet,
    };
    let (header, echoed) = message.split_first_chunk::<ECHO_HEADER>()?;
    let reply = if v4 { REPLY_V4 } else { REPLY_V6 };
    let is_ours = header[0] == reply && header[4..6] == identifier.to_be_bytes();
    is_ours.then_some(echoed)
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u64 = bytes
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_gives_back_what_was_echoed() {
        for v4 in [true, false] {
            let mut request = [&[0; ECHO_HEADER], b"what".as_slice()].concat();
            write_request(&mut request, v4, 0x1234, 7);
            if v4 {
                assert_eq!(checksum(&request), 0);
            }
            let mut reply = request.clone();
            reply[0] = if v4 { REPLY_V4 } else { REPLY_V6 };
            let ip: &[u8] = if v4 { &[0x45; 20] } else { &[] };
            let whole = [ip, &reply].concat();
            assert_eq!(read_reply(&whole, v4, 0x1234), Some(b"what".as_slice()));
            assert_eq!(read_reply(&whole, v4, 0x1235), None);
            assert_eq!(read_reply(&[ip, &request].concat(), v4, 0x1234), None);
            for length in 0..ip.len() + ECHO_HEADER {
                assert_eq!(read_reply(&whole[..length], v4, 0x1234), None);
            }
        }
    }
}
