//! What is kept of the kernel's announcements (rtnetlink(7)): those that say something of a network's ways, and of these what
//! does. Statistics alone are most of a message about an interface.

use crate::attributes::{Attributes, half, word};

/// struct nlmsghdr.
const HEADER: usize = 16;

pub(crate) const NEW_LINK: u16 = 16;
pub(crate) const DEL_LINK: u16 = 17;
pub(crate) const NEW_ADDRESS: u16 = 20;
pub(crate) const DEL_ADDRESS: u16 = 21;
pub(crate) const NEW_ROUTE: u16 = 24;
pub(crate) const DEL_ROUTE: u16 = 25;
pub(crate) const NEW_NEIGHBOR: u16 = 28;
pub(crate) const DEL_NEIGHBOR: u16 = 29;

const AF_INET6: u8 = 10;
const AF_BRIDGE: u8 = 7;
const TABLE_LOCAL: u32 = 255;
/// RTM_F_CLONED.
const CLONED: u32 = 0x200;

/// What a kept announcement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// An interface: its index.
    Link(u32),
    /// An address.
    Address,
    /// A neighbor on a link.
    Neighbor,
    /// A route.
    Route,
}

/// How long the fixed part of a kind of message is, and which attributes are kept of it.
fn kept(kind: u16) -> Option<(usize, &'static [u16])> {
    match kind {
        // struct ifinfomsg; IFLA_IFNAME, _MTU, _MASTER.
        NEW_LINK | DEL_LINK => Some((16, &[3, 4, 10])),
        // struct ifaddrmsg; IFA_ADDRESS, _LOCAL.
        NEW_ADDRESS | DEL_ADDRESS => Some((8, &[1, 2])),
        // struct rtmsg; RTA_DST, _OIF, _GATEWAY, _PRIORITY, _MULTIPATH, _TABLE, _VIA, _NH_ID.
        NEW_ROUTE | DEL_ROUTE => Some((12, &[1, 4, 5, 6, 9, 15, 18, 30])),
        // struct ndmsg; NDA_DST, _LLADDR.
        NEW_NEIGHBOR | DEL_NEIGHBOR => Some((12, &[1, 2])),
        _ => None,
    }
}

/// Adds what is kept of a message with its netlink header to `out`; nothing where nothing of it is.
pub fn announcement(message: &[u8], out: &mut Vec<u8>) -> Option<Subject> {
    let kind = half(message, 4)?;
    body(kind, message.get(HEADER..)?, out)
}

/// The same for a message without that header.
pub fn body(kind: u16, message: &[u8], out: &mut Vec<u8>) -> Option<Subject> {
    let (length, wanted) = kept(kind)?;
    let fixed = message.get(..length)?;
    let rest = &message[length..];
    let subject = subject(kind, fixed, rest)?;
    out.extend(kind.to_ne_bytes());
    // Of the flags of an interface those that change nothing are not kept, so that the same is the same.
    match subject {
        Subject::Link(_) => {
            out.extend_from_slice(&fixed[..8]);
            out.extend((word(fixed, 8)? & (UP | RUNNING)).to_ne_bytes());
            out.extend([0; 4]);
        }
        _ => out.extend_from_slice(fixed),
    }
    for (_, _, whole) in Attributes(rest).filter(|(kind, ..)| wanted.contains(kind)) {
        out.extend_from_slice(whole);
        out.resize(out.len() + whole.len().next_multiple_of(4) - whole.len(), 0);
    }
    Some(subject)
}

/// IFF_UP, IFF_RUNNING.
pub(crate) const UP: u32 = 1;
pub(crate) const RUNNING: u32 = 0x40;

fn subject(kind: u16, fixed: &[u8], rest: &[u8]) -> Option<Subject> {
    let family = fixed[0];
    match kind {
        // Ports of bridges are told for their own sake, too.
        NEW_LINK | DEL_LINK if family == AF_BRIDGE => None,
        NEW_LINK | DEL_LINK => Some(Subject::Link(word(fixed, 4)?)),
        NEW_ADDRESS | DEL_ADDRESS => Some(Subject::Address),
        NEW_NEIGHBOR | DEL_NEIGHBOR => {
            let to = Attributes(rest)
                .find(|(kind, ..)| *kind == 1)
                .map_or(&[][..], |it| it.1);
            // Groups are nobody's address.
            let is_group = match family {
                AF_INET6 => to.starts_with(&[0xff]),
                _ => matches!(to, [224..=255, ..]),
            };
            (family != AF_BRIDGE && !is_group).then_some(Subject::Neighbor)
        }
        _ => {
            let mut table = u32::from(fixed[4]);
            let mut to: &[u8] = &[];
            for (kind, value, _) in Attributes(rest) {
                match kind {
                    1 => to = value,
                    15 => table = word(value, 0)?,
                    _ => {}
                }
            }
            // Each interface has ways to its own link, of one address and of groups.
            let own_link = family == AF_INET6
                && matches!(to, [0xfe, second, ..] if second & 0xc0 == 0x80) | to.starts_with(&[0xff]);
            // Unicast, and those that lead nowhere: blackhole, unreachable, prohibit, throw.
            let leads = matches!(fixed[7], 0 | 1 | 6..=9);
            let is_told = table != TABLE_LOCAL && word(fixed, 8)? & CLONED == 0 && !own_link && leads;
            is_told.then_some(Subject::Route)
        }
    }
}
