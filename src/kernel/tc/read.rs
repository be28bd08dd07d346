//! What traffic control the kernel has at its interfaces now.

use super::{Hook, RTM_GETQDISC, RTM_GETTFILTER, TCA_KIND};
use crate::error::Result;
use crate::netlink::Netlink;

const TCA_STATS2: u16 = 7;
const TCA_STATS_QUEUE: u16 = 3;
const HEADER: usize = 20;

/// A queueing discipline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    /// The interface.
    pub interface: u32,
    /// Its handle.
    pub handle: u32,
    /// What it is.
    pub kind: String,
    /// How many packets wait in it.
    pub waiting: u32,
    /// How many it has dropped.
    pub dropped: u32,
}

/// The queueing disciplines of the socket's namespace.
///
/// # Errors
/// What the kernel refused.
pub fn queues(netlink: &mut Netlink) -> Result<Vec<Queue>> {
    let found = netlink.dump_raw("list queueing disciplines", RTM_GETQDISC, &[0; HEADER])?;
    Ok(found.iter().filter_map(|bytes| queue(bytes)).collect())
}

/// The numbers of the programs at one way through an interface, with their kinds.
///
/// # Errors
/// What the kernel refused, as EINVAL where there is no room for programs.
pub fn filters(netlink: &mut Netlink, interface: u32, hook: Hook) -> Result<Vec<(u16, String)>> {
    let mut header = [0u8; HEADER];
    header[4..8].copy_from_slice(&interface.to_ne_bytes());
    header[12..16].copy_from_slice(&hook.parent().to_ne_bytes());
    let found = netlink.dump_raw("list programs of an interface", RTM_GETTFILTER, &header)?;
    let filter = |bytes: &Vec<u8>| {
        let info = u32::from_ne_bytes(bytes.get(16..20)?.try_into().ok()?);
        Some(((info >> 16) as u16, kind(bytes)?))
    };
    Ok(found.iter().filter_map(filter).collect())
}

fn queue(bytes: &[u8]) -> Option<Queue> {
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let mut found = Queue {
        interface: word(4)?,
        handle: word(8)?,
        kind: kind(bytes)?,
        ..Queue::default()
    };
    let stats = attribute(&bytes[HEADER..], TCA_STATS2).and_then(|stats| attribute(stats, TCA_STATS_QUEUE));
    // `struct gnet_stats_queue`: length, backlog, drops, requeues, overlimits.
    if let Some(stats) = stats.filter(|stats| stats.len() >= 12) {
        let word = |at: usize| u32::from_ne_bytes([stats[at], stats[at + 1], stats[at + 2], stats[at + 3]]);
        (found.waiting, found.dropped) = (word(0), word(8));
    }
    Some(found)
}

fn kind(bytes: &[u8]) -> Option<String> {
    let value = attribute(bytes.get(HEADER..)?, TCA_KIND)?;
    let text = value.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// The value of the first attribute of a kind.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let kind = u16::from_ne_bytes([rest[2], rest[3]]) & 0x3fff;
        let value = rest.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_answers_are_no_queues() {
        for length in 0..60 {
            let mut bytes = vec![0xffu8; length];
            assert_eq!(queue(&bytes), None);
            if length > 22 {
                bytes[20..22].copy_from_slice(&2u16.to_ne_bytes());
            }
            assert_eq!(queue(&bytes), None);
        }
    }
}
