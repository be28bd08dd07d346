//! Generic netlink: requests to parts of the kernel that have a family of their own (Documentation/userspace-api/netlink).

use std::io;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};
use nix::errno::Errno;

use super::error::{Attempt, Error, Result};
use super::netlink::{HEADER, answers, half, retry};

/// Behind netlink's header: command, version, two octets of nothing.
const GENERIC_HEADER: usize = 4;
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
/// NLM_F_ROOT and NLM_F_MATCH: everything that there is of what is asked.
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Room for one answer.
const ANSWER: usize = 64 * 1024;

/// A socket to one family, in the network namespace of the thread that opened it.
pub struct Family {
    socket: Socket,
    number: u16,
    sequence: u32,
}

impl Family {
    /// Looks up a family.
    ///
    /// # Errors
    /// The kernel has none of that name: its module is missing.
    pub fn open(name: &str) -> Result<Family> {
        let what = || format!("speak to the kernel's {name}");
        let mut socket = Socket::new(NETLINK_GENERIC).attempt(what)?;
        socket.bind(&SocketAddr::new(0, 0)).attempt(what)?;
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        let mut family = Family {
            socket,
            number: GENL_ID_CTRL,
            sequence: 0,
        };
        let mut name_attribute = Vec::new();
        let text = [name.as_bytes(), &[0]].concat();
        put(&mut name_attribute, CTRL_ATTR_FAMILY_NAME, &text);
        let answer = family.ask(&what(), CTRL_CMD_GETFAMILY, 1, &name_attribute, 0)?;
        let id = find(&answer, CTRL_ATTR_FAMILY_ID).filter(|value| value.len() >= 2);
        family.number = id
            .map(|value| half(value, 0))
            .ok_or_else(|| Error::new(what(), Errno::ENOENT))?;
        Ok(family)
    }

    /// Sends a request with encoded attributes, and waits for it.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn send(&mut self, what: &str, command: u8, attributes: &[u8]) -> Result<()> {
        self.ask(what, command, 1, attributes, 0).map(drop)
    }

    /// Asks for something of one thing, and returns an attribute of the answer; empty where it has none.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn get(&mut self, what: &str, command: u8, attributes: &[u8], wanted: u16) -> Result<Vec<u8>> {
        let answer = self.ask(what, command, 1, attributes, NLM_F_DUMP)?;
        Ok(find(&answer, wanted).map(<[u8]>::to_vec).unwrap_or_default())
    }

    /// The attributes of the first answer.
    fn ask(
        &mut self,
        what: &str,
        command: u8,
        version: u8,
        attributes: &[u8],
        flags: u16,
    ) -> Result<Vec<u8>> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = HEADER + GENERIC_HEADER + attributes.len();
        let total = u32::try_from(length).map_err(|_| Error::new(what, Errno::EMSGSIZE))?;
        let mut message = Vec::with_capacity(length);
        message.extend(total.to_ne_bytes());
        message.extend(self.number.to_ne_bytes());
        message.extend((NLM_F_REQUEST | NLM_F_ACK | flags).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend([command, version, 0, 0]);
        message.extend(attributes);
        retry(|| self.socket.send(&message, 0)).attempt(|| what)?;
        let mut found = Vec::new();
        loop {
            let mut buffer = Vec::with_capacity(ANSWER);
            let read: io::Result<usize> = retry(|| self.socket.recv(&mut buffer, 0));
            read.attempt(|| what)?;
            for answer in answers(&buffer) {
                if answer.sequence != self.sequence {
                    continue;
                }
                let answer = answer.accepted(what)?;
                match answer.kind {
                    NLMSG_ERROR | NLMSG_DONE => return Ok(found),
                    _ if found.is_empty() => {
                        let inner = answer.bytes.get(HEADER + GENERIC_HEADER..);
                        found = inner.unwrap_or_default().to_vec();
                    }
                    _ => {}
                }
            }
        }
    }
}

fn put(octets: &mut Vec<u8>, number: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    octets.extend(length.to_ne_bytes());
    octets.extend(number.to_ne_bytes());
    octets.extend(value);
    octets.resize(octets.len().next_multiple_of(4), 0);
}

/// The value of an attribute.
fn find(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    while rest.len() >= 4 {
        let length = half(rest, 0) as usize;
        if length < 4 || length > rest.len() {
            return None;
        }
        if half(rest, 2) & 0x3fff == wanted {
            return Some(&rest[4..length]);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found() {
        let mut octets = Vec::new();
        put(&mut octets, 7, b"abc");
        put(&mut octets, 9, b"x");
        assert_eq!(find(&octets, 7), Some(&b"abc"[..]));
        assert_eq!(find(&octets, 9), Some(&b"x"[..]));
        assert_eq!(find(&octets, 8), None);
        assert_eq!(find(&[3, 0, 7, 0], 7), None);
        assert_eq!(find(&[200, 0, 7, 0], 7), None);
    }
}
