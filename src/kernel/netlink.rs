//! A route netlink socket that sends requests in batches (rtnetlink(7)).
//!
//! A batch asks for the acknowledgement of its last message only: one round trip for any number of requests.
//! A failing request still answers with its sequence number, and with the kernel's own sentence about it.
//! A batch is no transaction: what came before a failing request stays.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;

use super::error::{Attempt, Error, Result};
use super::netlink_batch::Batch;
use super::socket_option;

/// Room for one answer: the kernel never sends more in one datagram (NLMSG_GOODSIZE and dump buffers).
const ANSWER: usize = 64 * 1024;
/// A batch is cut here, well below the smallest usual send buffer (208 KiB).
pub(super) const BATCH: usize = 64 * 1024;
pub(super) const HEADER: usize = 16;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// A request, and what it attempts.
pub struct Request {
    /// To be read after "cannot".
    pub what: String,
    message: RouteNetlinkMessage,
    flags: u16,
}

impl Request {
    /// A request that makes something new and fails where it exists.
    pub fn create(what: impl Into<String>, message: RouteNetlinkMessage) -> Self {
        Request {
            what: what.into(),
            message,
            flags: NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL,
        }
    }

    /// A request that makes something, in the place of what there is.
    pub fn replace(what: impl Into<String>, message: RouteNetlinkMessage) -> Self {
        Request {
            what: what.into(),
            message,
            flags: NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE,
        }
    }

    /// A request that makes something, beside what there is of its kind.
    pub fn append(what: impl Into<String>, message: RouteNetlinkMessage) -> Self {
        Request {
            what: what.into(),
            message,
            flags: NLM_F_REQUEST | NLM_F_CREATE | NLM_F_APPEND,
        }
    }

    /// A request that changes or deletes something.
    pub fn change(what: impl Into<String>, message: RouteNetlinkMessage) -> Self {
        Request {
            what: what.into(),
            message,
            flags: NLM_F_REQUEST,
        }
    }
}

impl Request {
    /// The message, to complete it.
    pub(super) fn message_mut(&mut self) -> &mut RouteNetlinkMessage {
        &mut self.message
    }
}

/// A socket that stays in the network namespace it was opened in.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Netlink {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// No descriptors or memory left.
    pub fn open() -> Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE).attempt(|| "open a netlink socket")?;
        socket
            .bind(&SocketAddr::new(0, 0))
            .attempt(|| "bind a netlink socket")?;
        // Both only improve the messages; kernels before 4.12 lack them.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        Ok(Netlink {
            socket,
            sequence: 0,
            buffer: Vec::new(),
        })
    }

    /// Sends all requests and waits for them, in as few round trips as fit.
    ///
    /// # Errors
    /// One error a failed request, in order; requests after a failed one were still tried.
    pub fn send(&mut self, requests: Vec<Request>) -> std::result::Result<(), Vec<Error>> {
        let mut failures = Vec::new();
        let mut pending = Vec::new();
        let mut names = Vec::new();
        let total = requests.len();
        if let Some(first) = requests.first() {
            tracing::trace!(total, first = first.what, "netlink requests");
        }
        for (position, request) in requests.into_iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            let size = append(&mut pending, self.sequence, request.flags, request.message);
            names.push((self.sequence, request.what));
            if position + 1 == total || pending.len() > BATCH {
                let last = pending.len() - size;
                let flags = u16::from_ne_bytes([pending[last + 6], pending[last + 7]]) | NLM_F_ACK;
                pending[last + 6..last + 8].copy_from_slice(&flags.to_ne_bytes());
                self.exchange_named(&pending, &mut names, &mut failures);
                pending.clear();
            }
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures)
        }
    }

    /// Sends one request.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn send_one(&mut self, request: Request) -> Result<()> {
        self.send(vec![request]).map_err(|mut errors| errors.remove(0))
    }

    fn exchange_named(&mut self, bytes: &[u8], names: &mut Vec<(u32, String)>, failures: &mut Vec<Error>) {
        let Some(last) = names.last().map(|(sequence, _)| *sequence) else {
            return;
        };
        let done = self.exchange(bytes, last, &mut |sequence, errno, said| {
            let what = names.iter().find(|(known, _)| *known == sequence);
            let what = what.map_or("answer a netlink request", |(_, what)| what.as_str());
            failures.push(Error {
                what: what.to_owned(),
                errno,
                said,
            });
        });
        failures.extend(done.err());
        names.clear();
    }

    /// Sends written requests, of which the last asks for an acknowledgement, and waits for that. Tells of each that failed
    /// its number, the kernel's and its words.
    fn exchange(
        &mut self,
        bytes: &[u8],
        last: u32,
        failed: &mut dyn FnMut(u32, Errno, Option<String>),
    ) -> Result<()> {
        retry(|| self.socket.send(bytes, 0)).attempt(|| "send to the kernel's netlink")?;
        let mut done = false;
        while !done {
            self.receive()?;
            for answer in answers(&self.buffer) {
                if let Some((errno, said)) = answer.failure {
                    failed(answer.sequence, errno, said);
                }
                done |= answer.sequence == last && answer.kind == NLMSG_ERROR;
            }
        }
        // A lab holds a socket a node: the room for answers is given back.
        self.buffer = Vec::new();
        Ok(())
    }

    /// Sends requests that were written by hand, and begins a new batch. Tells of each that failed its place in the batch, the
    /// kernel's number and its words.
    ///
    /// # Errors
    /// The socket is broken.
    pub(super) fn send_batch(
        &mut self,
        batch: &mut Batch,
        mut failed: impl FnMut(usize, Errno, Option<String>),
    ) -> Result<()> {
        let Some(&last) = batch.starts.last() else {
            return Ok(());
        };
        let first = self.sequence.wrapping_add(1);
        for &start in &batch.starts {
            self.sequence = self.sequence.wrapping_add(1);
            batch.bytes[start + 8..start + 12].copy_from_slice(&self.sequence.to_ne_bytes());
        }
        let flags = half(&batch.bytes, last + 6) | NLM_F_ACK;
        batch.bytes[last + 6..last + 8].copy_from_slice(&flags.to_ne_bytes());
        let bytes = std::mem::take(&mut batch.bytes);
        batch.starts.clear();
        self.exchange(&bytes, self.sequence, &mut |sequence, errno, said| {
            failed(sequence.wrapping_sub(first) as usize, errno, said);
        })
    }

    /// The number that other sockets know this one by (netlink(7), nl_pid).
    ///
    /// # Errors
    /// The socket is broken.
    pub fn port(&self) -> Result<u32> {
        let mut address = SocketAddr::new(0, 0);
        self.socket
            .get_address(&mut address)
            .attempt(|| "find a netlink socket's number")?;
        Ok(address.port_number())
    }

    /// Makes room for many answers: each request of a batch may fail.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn make_room(&mut self, octets: i32) -> Result<()> {
        socket_option::receive_buffer(&self.socket, octets).attempt(|| "make room for netlink answers")
    }

    fn receive(&mut self) -> Result<()> {
        self.buffer.clear();
        self.buffer.reserve(ANSWER);
        let (socket, buffer) = (&self.socket, &mut self.buffer);
        retry(|| socket.recv(buffer, 0)).attempt(|| "read the kernel's netlink answer")?;
        Ok(())
    }

    /// Everything of a kind: links, addresses or routes, by the type of the message asked with.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn dump(&mut self, what: &str, message: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>> {
        self.dump_where(what, message, |_| true)
    }

    /// One thing, by what the message says of it.
    ///
    /// # Errors
    /// What the kernel refused, as ENODEV where there is no such interface.
    pub fn get(&mut self, what: &str, message: RouteNetlinkMessage) -> Result<Option<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        append(&mut bytes, self.sequence, NLM_F_REQUEST | NLM_F_ACK, message);
        retry(|| self.socket.send(&bytes, 0)).attempt(|| what)?;
        let mut found = None;
        loop {
            self.receive()?;
            for answer in answers(&self.buffer) {
                if answer.sequence != self.sequence {
                    continue;
                }
                let answer = answer.accepted(what)?;
                if answer.kind == NLMSG_ERROR {
                    self.buffer = Vec::new();
                    return Ok(found);
                }
                found = found.or(read(answer.bytes));
            }
        }
    }

    /// Everything of a kind that is asked for with its own header: the octets of each answer behind the netlink header.
    ///
    /// # Errors
    /// What the kernel refused.
    pub(super) fn dump_raw(&mut self, what: &str, kind: u16, header: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut batch = Batch::default();
        batch.begin(kind, NLM_F_DUMP, header);
        batch.end();
        batch.bytes[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        let mut found = Vec::new();
        self.each(what, &batch.bytes, |answer| {
            found.push(answer.get(HEADER..).unwrap_or_default().to_vec());
        })?;
        Ok(found)
    }

    /// Sends a request for all there is of a kind, and gives each answer to `take`.
    fn each(&mut self, what: &str, request: &[u8], mut take: impl FnMut(&[u8])) -> Result<()> {
        retry(|| self.socket.send(request, 0)).attempt(|| what)?;
        loop {
            self.receive()?;
            for answer in answers(&self.buffer) {
                if answer.sequence != self.sequence {
                    continue;
                }
                let answer = answer.accepted(what)?;
                if answer.kind == NLMSG_DONE {
                    self.buffer = Vec::new();
                    return Ok(());
                }
                take(answer.bytes);
            }
        }
    }

    /// As [`Netlink::dump`], of those whose octets behind the netlink header pass.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn dump_where(
        &mut self,
        what: &str,
        message: RouteNetlinkMessage,
        passes: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        append(&mut bytes, self.sequence, NLM_F_REQUEST | NLM_F_DUMP, message);
        let mut found = Vec::new();
        self.each(what, &bytes, |answer| {
            if passes(answer.get(HEADER..).unwrap_or_default()) {
                found.extend(read(answer));
            }
        })?;
        Ok(found)
    }
}

/// A message; one that the codec cannot read is one we would not understand either.
fn read(bytes: &[u8]) -> Option<RouteNetlinkMessage> {
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes)
        .ok()?
        .payload
    {
        NetlinkPayload::InnerMessage(inner) => Some(inner),
        _ => None,
    }
}

/// Appends one message and returns its padded size.
fn append(bytes: &mut Vec<u8>, sequence: u32, flags: u16, message: RouteNetlinkMessage) -> usize {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let start = bytes.len();
    let padded = message.buffer_len().next_multiple_of(4);
    bytes.resize(start + padded, 0);
    message.serialize(&mut bytes[start..start + message.buffer_len()]);
    padded
}

/// One message of an answer.
pub(super) struct Answer<'a> {
    pub sequence: u32,
    pub kind: u16,
    pub failure: Option<(Errno, Option<String>)>,
    pub bytes: &'a [u8],
}

impl Answer<'_> {
    /// The answer, where it is no refusal of what was attempted.
    pub fn accepted(mut self, what: &str) -> Result<Self> {
        match self.failure.take() {
            None => Ok(self),
            Some((errno, said)) => Err(Error {
                what: what.to_owned(),
                errno,
                said,
            }),
        }
    }
}

pub(super) fn answers(mut rest: &[u8]) -> Vec<Answer<'_>> {
    let mut found = Vec::new();
    while rest.len() >= HEADER {
        let length = word(rest, 0) as usize;
        if length < HEADER || length > rest.len() {
            break;
        }
        let bytes = &rest[..length];
        let kind = half(bytes, 4);
        let flags = half(bytes, 6);
        let failure = (kind == NLMSG_ERROR || kind == NLMSG_DONE)
            .then(|| failure(bytes, flags))
            .flatten();
        found.push(Answer {
            sequence: word(bytes, 8),
            kind,
            failure,
            bytes,
        });
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    found
}

/// The error number and text of an NLMSG_ERROR or NLMSG_DONE message; `None` for an acknowledgement.
fn failure(message: &[u8], flags: u16) -> Option<(Errno, Option<String>)> {
    let payload = message.get(HEADER..)?;
    let code = payload
        .get(..4)
        .map(|code| i32::from_ne_bytes([code[0], code[1], code[2], code[3]]))?;
    if code >= 0 {
        return None;
    }
    let said = (flags & NLM_F_ACK_TLVS != 0)
        .then(|| extended_text(payload, flags))
        .flatten();
    Some((Errno::from_raw(-code), said))
}

/// NLMSGERR_ATTR_MSG, which follows the request's header, or the whole request where it was not capped.
fn extended_text(payload: &[u8], flags: u16) -> Option<String> {
    let echoed = if flags & NLM_F_CAPPED != 0 {
        HEADER
    } else {
        word(payload.get(4..8)?, 0) as usize
    };
    let mut rest = payload.get(4 + echoed.next_multiple_of(4)..)?;
    while rest.len() >= 4 {
        let length = half(rest, 0) as usize;
        if length < 4 || length > rest.len() {
            return None;
        }
        if half(rest, 2) & 0x3fff == NLMSGERR_ATTR_MSG {
            let text = String::from_utf8_lossy(&rest[4..length]);
            return Some(text.trim_end_matches(['\0', '.', '\n']).to_owned());
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl Netlink {
    /// Subscribes to a multicast group such as RTNLGRP_LINK (1).
    ///
    /// # Errors
    /// The kernel does not know the group.
    pub fn subscribe(&mut self, group: u32) -> Result<()> {
        self.socket
            .add_membership(group)
            .attempt(|| "listen to the kernel's network events")
    }

    /// Throws away what has arrived; for callers that only want to be woken.
    pub fn drain(&mut self) {
        let mut bytes = [0u8; 4096];
        while nix::sys::socket::recv(
            self.socket.as_raw_fd(),
            &mut bytes,
            nix::sys::socket::MsgFlags::MSG_DONTWAIT,
        )
        .is_ok()
        {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_and_hostile_answers_are_ignored() {
        for length in 0..40u8 {
            let mut bytes = vec![0u8; length as usize];
            if length > 3 {
                bytes[0] = 200;
            }
            assert!(answers(&bytes).is_empty());
        }
    }

    #[test]
    fn the_kernels_sentence_is_found() {
        let mut bytes = Vec::new();
        bytes.extend(52u32.to_ne_bytes());
        bytes.extend(NLMSG_ERROR.to_ne_bytes());
        bytes.extend((NLM_F_CAPPED | NLM_F_ACK_TLVS).to_ne_bytes());
        bytes.extend(7u32.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend((-22i32).to_ne_bytes());
        bytes.extend([0u8; 16]);
        bytes.extend(12u16.to_ne_bytes());
        bytes.extend(NLMSGERR_ATTR_MSG.to_ne_bytes());
        bytes.extend(b"too bad\0");
        bytes.extend([0u8; 4]);
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        let found = answers(&bytes);
        assert_eq!(found[0].sequence, 7);
        assert_eq!(found[0].failure, Some((Errno::EINVAL, Some("too bad".into()))));
    }
}
