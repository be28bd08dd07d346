//! Writes blocks. Each is appended whole, so that a file that ends behind any of them is a good one.

use super::*;
use crate::filter::{Direction, LinkType};

/// An end of a link whose packets are in a file.
#[derive(Debug, Clone)]
pub struct Interface<'d> {
    /// `node:interface`.
    pub name: &'d str,
    /// More about it.
    pub description: &'d str,
    /// Its address, where it has one.
    pub mac: Option<[u8; 6]>,
    /// What its packets begin with.
    pub link: LinkType,
    /// So many bytes of a packet are kept at most.
    pub snaplen: u32,
    /// The filter that its packets passed.
    pub filter: &'d str,
}

/// A packet.
#[derive(Debug, Clone)]
pub struct Packet<'d> {
    /// The number of its interface, counted from 0 in the order in which they were written.
    pub interface: u32,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// What was kept of it.
    pub bytes: &'d [u8],
    /// How long it was.
    pub length: u32,
    /// Whether it arrived or left.
    pub direction: Direction,
    /// What is said of it.
    pub comments: &'d [String],
}

/// What became of an interface's packets.
#[derive(Debug, Clone)]
pub struct Statistics<'d> {
    /// The number of the interface.
    pub interface: u32,
    /// When the capture began, in nanoseconds since 1970.
    pub started: u64,
    /// When it ended.
    pub ended: u64,
    /// How many packets passed the filter.
    pub received: u64,
    /// How many of them were lost.
    pub dropped: u64,
    /// What is said of it.
    pub comments: &'d [String],
}

/// Appends the head of a file.
pub fn section(out: &mut Vec<u8>, application: &str, comments: &[&str]) {
    block(out, SECTION, |out| {
        out.extend(BYTE_ORDER.to_ne_bytes());
        out.extend(1u16.to_ne_bytes());
        out.extend(0u16.to_ne_bytes());
        // How long the section is, is not known.
        out.extend((-1i64).to_ne_bytes());
        for comment in comments {
            text(out, COMMENT, comment);
        }
        text(out, APPLICATION, application);
        end(out);
    });
}

/// Appends an interface. Its number follows from the order.
pub fn interface(out: &mut Vec<u8>, interface: &Interface<'_>) {
    block(out, INTERFACE, |out| {
        let link = match interface.link {
            LinkType::Ethernet => ETHERNET,
            LinkType::RawIp => RAW_IP,
        };
        out.extend(link.to_ne_bytes());
        out.extend(0u16.to_ne_bytes());
        out.extend(interface.snaplen.to_ne_bytes());
        text(out, NAME, interface.name);
        if !interface.description.is_empty() {
            text(out, DESCRIPTION, interface.description);
        }
        if let Some(mac) = &interface.mac {
            option(out, MAC, mac);
        }
        option(out, RESOLUTION, &[NANOSECONDS]);
        if !interface.filter.is_empty() {
            // 0: an expression, and no program.
            let filter = cut(interface.filter);
            option(out, FILTER, &[&[0], filter.as_bytes()].concat());
        }
        end(out);
    });
}

/// Appends a packet.
pub fn packet(out: &mut Vec<u8>, packet: &Packet<'_>) {
    block(out, PACKET, |out| {
        out.extend(packet.interface.to_ne_bytes());
        time(out, packet.time);
        let kept = packet.bytes.len() as u32;
        out.extend(kept.to_ne_bytes());
        out.extend(packet.length.max(kept).to_ne_bytes());
        out.extend(packet.bytes);
        pad(out);
        for comment in packet.comments {
            text(out, COMMENT, comment);
        }
        let direction: u32 = match packet.direction {
            Direction::In => 1,
            Direction::Out => 2,
        };
        option(out, FLAGS, &direction.to_ne_bytes());
        end(out);
    });
}

/// Appends what became of an interface's packets.
pub fn statistics(out: &mut Vec<u8>, statistics: &Statistics<'_>) {
    block(out, STATISTICS, |out| {
        out.extend(statistics.interface.to_ne_bytes());
        time(out, statistics.ended);
        for comment in statistics.comments {
            text(out, COMMENT, comment);
        }
        for (code, at) in [(STARTED, statistics.started), (ENDED, statistics.ended)] {
            let mut bytes = Vec::with_capacity(8);
            time(&mut bytes, at);
            option(out, code, &bytes);
        }
        option(out, RECEIVED, &statistics.received.to_ne_bytes());
        option(out, DROPPED, &statistics.dropped.to_ne_bytes());
        end(out);
    });
}

/// A block: its kind, its length, what is in it, its length again.
fn block(out: &mut Vec<u8>, kind: u32, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_ne_bytes());
    out.extend([0; 4]);
    content(out);
    let length = (out.len() - start + 4) as u32;
    out[start + 4..start + 8].copy_from_slice(&length.to_ne_bytes());
    out.extend(length.to_ne_bytes());
}

/// The upper half comes first.
fn time(out: &mut Vec<u8>, time: u64) {
    out.extend(((time >> 32) as u32).to_ne_bytes());
    out.extend((time as u32).to_ne_bytes());
}

fn text(out: &mut Vec<u8>, code: u16, text: &str) {
    option(out, code, cut(text).as_bytes());
}

/// As much of a text as an option has room for.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_OPTION);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend(code.to_ne_bytes());
    out.extend((value.len() as u16).to_ne_bytes());
    out.extend(value);
    pad(out);
}

fn end(out: &mut Vec<u8>) {
    out.extend([0; 4]);
}

/// Everything begins at a multiple of four bytes.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}
