//! The connection of a flow of TCP: messages at a pace, or a transfer as fast as it goes. One that breaks is made anew.

use std::io::{self, ErrorKind, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::live::Live;
use super::wire::arrived;
use crate::flow::{MS, Messages};
use crate::kernel::clock::monotonic;
use crate::kernel::flow_socket;

/// A connection that broke is made anew after so long.
const REST: u64 = 100 * MS;
/// So often a transfer writes or reads before others have their turn.
const TURN: usize = 8;

/// Both ends of a connection.
pub struct Connection {
    listeners: Vec<TcpListener>,
    outgoing: Option<TcpStream>,
    is_connected: bool,
    /// When the next may be made.
    again: u64,
    has_been: bool,
    incoming: Option<TcpStream>,
    messages: Messages,
    /// What is left of a message that was sent in part.
    rest: Vec<u8>,
    is_paced: bool,
}

/// What has come of what was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether an outage has ended.
    pub outage_ended: bool,
    /// Whether the connection is there, since now.
    pub connected: bool,
}

impl Connection {
    /// One that is not made yet.
    pub fn new(listeners: Vec<TcpListener>, size: usize, is_paced: bool) -> Connection {
        Connection {
            listeners,
            outgoing: None,
            is_connected: false,
            again: 0,
            has_been: false,
            incoming: None,
            messages: Messages::of(size),
            rest: Vec::new(),
            is_paced,
        }
    }

    /// Those who take it, with their numbers.
    pub fn listeners(&self) -> Vec<(u64, BorrowedFd<'_>)> {
        (0..).zip(self.listeners.iter().map(|it| it.as_fd())).collect()
    }

    /// Begins the connection where there is none and it is time for one. Returns it, to be watched.
    pub fn begin(&mut self, live: &Live, now: u64) -> Option<BorrowedFd<'_>> {
        if self.outgoing.is_some() || now < self.again {
            return None;
        }
        self.again = now + REST;
        let stream = live
            .namespace
            .enter()
            .map_err(|error| io::Error::from(error.errno))
            .and_then(|()| flow_socket::connect(live.origin(), live.target(), live.flow.dscp, self.is_paced));
        match stream {
            Ok(stream) => {
                let port = stream.local_addr().map_or(0, |at| at.port());
                live.source_port.store(port, Ordering::Relaxed);
                self.outgoing = Some(stream);
                self.is_connected = false;
                self.rest.clear();
            }
            Err(error) => live.fail(&error),
        }
        self.outgoing.as_ref().map(|it| it.as_fd())
    }

    /// When it is to be begun anew, if that is so.
    pub fn next(&self) -> Option<u64> {
        self.outgoing.is_none().then_some(self.again)
    }

    /// The sender's end can be written to, or has failed.
    pub fn writable(&mut self, live: &Live, room: &[u8]) -> Seen {
        let mut seen = Seen::default();
        let Some(stream) = &self.outgoing else { return seen };
        if let Ok(Some(error)) = stream.take_error() {
            self.broke(live, &error);
            return seen;
        }
        if !self.is_connected {
            self.is_connected = true;
            seen.connected = true;
            if self.has_been {
                live.reconnected.fetch_add(1, Ordering::Relaxed);
            }
            self.has_been = true;
        }
        if self.is_paced {
            return seen;
        }
        for _ in 0..TURN {
            match (&*stream).write(room) {
                Ok(_) => live.account().send_bytes(monotonic()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.broke(live, &error);
                    break;
                }
            }
        }
        seen
    }

    fn broke(&mut self, live: &Live, error: &io::Error) {
        live.fail(error);
        self.outgoing = None;
        self.is_connected = false;
        self.again = monotonic() + REST;
    }

    /// Sends a message, or what of it the connection takes now.
    ///
    /// # Errors
    /// There is no connection, or it is full.
    pub fn send(&mut self, message: &[u8]) -> io::Result<usize> {
        let outcome = self.write(message);
        match outcome {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(Errno::EAGAIN.into()),
            Err(error) => {
                self.outgoing = None;
                self.is_connected = false;
                self.again = monotonic() + REST;
                Err(error)
            }
            sent => sent,
        }
    }

    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let Some(mut stream) = self.outgoing.as_ref().filter(|_| self.is_connected) else {
            return Err(Errno::EAGAIN.into());
        };
        if !self.rest.is_empty() {
            let count = stream.write(&self.rest)?;
            self.rest.drain(..count);
        }
        if !self.rest.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = stream.write(message)?;
        self.rest.extend_from_slice(&message[count..]);
        Ok(message.len())
    }

    /// Somebody connects. Returns the connection, to be watched: the last one counts.
    pub fn accept(&mut self, which: usize) -> Option<BorrowedFd<'_>> {
        let stream = flow_socket::accept(self.listeners.get(which)?, self.is_paced).ok()?;
        self.messages.reset();
        self.incoming = Some(stream);
        self.incoming.as_ref().map(|it| it.as_fd())
    }

    /// Reads what has come.
    pub fn readable(&mut self, live: &Live, offset: u64, room: &mut [u8]) -> Seen {
        let mut seen = Seen::default();
        for _ in 0..TURN {
            let Some(stream) = &self.incoming else { break };
            let gone = match self.is_paced {
                true => {
                    let received = match flow_socket::receive(stream, room) {
                        Ok(received) => received,
                        Err(Errno::EAGAIN) => break,
                        Err(Errno::EINTR) => continue,
                        Err(_) => {
                            self.incoming = None;
                            break;
                        }
                    };
                    let at = arrived(&received, offset);
                    let size = live.flow.size as usize;
                    let mut account = live.account();
                    let mut is_strange = received.length == 0;
                    let are_messages = self.messages.take(&room[..received.length], |header| {
                        if header.flow == live.id {
                            seen.outage_ended |= account
                                .receive(header.sequence, header.sent_ns, at, size)
                                .is_some();
                        } else {
                            account.stranger();
                            is_strange = true;
                        }
                    });
                    is_strange || !are_messages
                }
                false => match recv(
                    stream.as_raw_fd(),
                    room,
                    MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC,
                ) {
                    Ok(0) => true,
                    Ok(count) => {
                        let ended = live.account().receive_bytes(count, monotonic());
                        seen.outage_ended |= ended.is_some();
                        false
                    }
                    Err(Errno::EAGAIN) => break,
                    Err(Errno::EINTR) => false,
                    Err(_) => true,
                },
            };
            if gone {
                self.incoming = None;
            }
        }
        seen
    }

    /// Nothing more is sent.
    pub fn finish(&mut self) {
        if let Some(stream) = &self.outgoing {
            // One that is not connected has nothing to end.
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}
