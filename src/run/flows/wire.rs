//! The sockets of a flow: how a packet is sent, and how what arrives is read.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::errno::Errno;

use super::connection::Connection;
use super::departures::Departures;
use super::live::Live;
use super::networks::Networks;
use crate::failure::Failure;
use crate::flow::{ECHO_HEADER, Header, LEAST, read_reply, write_request};
use crate::kernel::clock::monotonic;
use crate::kernel::error::Attempt as _;
use crate::kernel::flow_socket::{self, Received};
use crate::lab::flow::Proto;
use crate::lab::names;

/// So many packets of one socket are read before others have their turn.
const TURN: usize = 64;
/// So many ports are tried.
const TRIES: u16 = 200;
/// Receivers' and senders' ports begin here, where no kernel looks for free ones.
const RECEIVERS: u16 = 10_240;
const SENDERS: u16 = 21_240;
const SPREAD: u64 = 10_000;
/// A flow to an address that more nodes have is refused.
const MOST_RECEIVERS: usize = 64;

/// The sockets.
pub enum Wire {
    /// Of UDP.
    Datagrams {
        sender: UdpSocket,
        receivers: Vec<UdpSocket>,
        departures: Departures,
    },
    /// Of ICMP: the same socket receives the replies.
    Echo(UdpSocket),
    /// Of TCP.
    Stream(Box<Connection>),
}

/// Sockets that are open and not yet a flow.
pub struct Opened {
    pub wire: Wire,
    /// The sender's port, or the identifier, and the receiver's port.
    pub ports: (u16, u16),
}

/// Opens the sockets of a flow. The calling thread is in another network namespace afterwards.
///
/// # Errors
/// An address is not there, the port is taken, or no descriptors are left.
pub fn open(networks: &Networks, live: &Plan<'_>) -> Result<Opened, Failure> {
    let flow = live.flow;
    let ends = live.ends;
    let what = || format!("start flow {}", flow.name);
    let from = networks.namespace(ends.from)?;
    if flow.proto == Proto::Icmp {
        from.enter()?;
        let identifier = (live.id & 0xffff) as u16;
        let socket = flow_socket::echo(ends.source, identifier, flow.dscp).attempt(what)?;
        return Ok(Opened {
            wire: Wire::Echo(socket),
            ports: (identifier, 0),
        });
    }
    if ends.to.is_empty() {
        let message = format!(
            "no node of the lab has {}, and a flow of {} needs a receiver",
            ends.destination,
            flow.proto.name()
        );
        return Err(
            Failure::wrong(message).help("take `--proto icmp`, which is answered by whoever has the address")
        );
    }
    if ends.to.len() > MOST_RECEIVERS {
        let message = format!(
            "{} nodes have {}; {MOST_RECEIVERS} may",
            ends.to.len(),
            ends.destination
        );
        return Err(Failure::wrong(message).help("take an address that fewer nodes have"));
    }
    let hash = names::hash(flow.name.as_bytes());
    let wanted = flow.port.unwrap_or(RECEIVERS + (hash % SPREAD) as u16);
    let tries = if flow.port.is_some() { 1 } else { TRIES };
    match flow.proto {
        Proto::Udp => {
            let (receivers, port) = at_port(wanted, tries, |port| {
                each(networks, ends.to.iter(), |_| {
                    flow_socket::receiver((ends.destination, port).into())
                })
            })
            .attempt(what)?;
            from.enter()?;
            let first = SENDERS + (hash % SPREAD) as u16;
            let (sender, own) = at_port(first, TRIES, |port| {
                flow_socket::sender((ends.source, port).into(), flow.dscp)
            })
            .attempt(what)?;
            Ok(Opened {
                wire: Wire::Datagrams {
                    departures: Departures::of(&sender, flow.pps),
                    sender,
                    receivers,
                },
                ports: (own, port),
            })
        }
        Proto::Tcp | Proto::Icmp => {
            let (listeners, port): (Vec<TcpListener>, u16) = at_port(wanted, tries, |port| {
                each(networks, ends.to.iter(), |_| {
                    flow_socket::listener((ends.destination, port).into())
                })
            })
            .attempt(what)?;
            let connection = Connection::new(listeners, flow.size as usize, flow.pps.is_some());
            Ok(Opened {
                wire: Wire::Stream(Box::new(connection)),
                ports: (0, port),
            })
        }
    }
}

/// What is known of a flow before it has sockets.
pub struct Plan<'a> {
    pub flow: &'a crate::lab::flow::Flow,
    pub ends: &'a super::places::Ends,
    pub id: u32,
}

/// One in each namespace.
fn each<'a, T>(
    networks: &Networks,
    all: impl Iterator<Item = &'a usize>,
    mut make: impl FnMut(usize) -> io::Result<T>,
) -> io::Result<Vec<T>> {
    all.map(|at| {
        let namespace = networks
            .namespace(*at)
            .map_err(|failure| io::Error::other(failure.message))?;
        namespace.enter().map_err(|error| io::Error::from(error.errno))?;
        make(*at)
    })
    .collect()
}

/// At a port, or the next that is free.
fn at_port<T>(first: u16, tries: u16, mut make: impl FnMut(u16) -> io::Result<T>) -> io::Result<(T, u16)> {
    let mut port = first;
    for _ in 1..tries {
        match make(port) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => port += 1,
            other => return other.map(|made| (made, port)),
        }
    }
    make(port).map(|made| (made, port))
}

impl Wire {
    /// What is read from, with the numbers by which it is known.
    pub fn readable(&self) -> Vec<(u64, BorrowedFd<'_>)> {
        match self {
            Wire::Datagrams { receivers, .. } => (0..).zip(receivers.iter().map(|it| it.as_fd())).collect(),
            Wire::Echo(socket) => vec![(0, socket.as_fd())],
            Wire::Stream(connection) => connection.listeners(),
        }
    }

    /// Sends the next packet. `room` is large enough for any.
    pub fn send(&mut self, live: &Live, offset: u64, room: &mut [u8]) {
        let mut account = live.account();
        let number = account.next();
        let now = monotonic();
        let header = Header {
            flow: live.id,
            sequence: number,
            sent_ns: now,
        };
        let size = (live.flow.size as usize).clamp(LEAST, room.len() - ECHO_HEADER);
        let sent = match self {
            Wire::Datagrams {
                sender, departures, ..
            } => {
                header.write(room);
                let sent = sender.send_to(&room[..size], live.target());
                departures.hear(sender, live.id, size, offset, room);
                sent
            }
            Wire::Echo(socket) => {
                let message = &mut room[..ECHO_HEADER + size];
                header.write(&mut message[ECHO_HEADER..]);
                let identifier = live.source_port.load(Ordering::Relaxed);
                write_request(
                    message,
                    live.origin().is_ipv4(),
                    identifier,
                    (number & 0xffff) as u16,
                );
                socket.send_to(message, (live.ends.destination, 0))
            }
            Wire::Stream(connection) => {
                header.write(room);
                connection.send(&room[..size])
            }
        };
        match sent {
            Ok(_) => account.send(now),
            Err(error) => {
                account.refuse(now);
                live.fail(&error);
            }
        }
    }

    /// Reads what has come to one of the sockets. Returns whether an outage has ended with it.
    pub fn receive(&mut self, live: &Arc<Live>, which: usize, offset: u64, room: &mut [u8]) -> bool {
        let (socket, departures) = match self {
            Wire::Datagrams {
                receivers,
                departures,
                ..
            } => (receivers.get(which), Some(&*departures)),
            Wire::Echo(socket) => (Some(&*socket), None),
            Wire::Stream(_) => (None, None),
        };
        let Some(socket) = socket else { return false };
        let mut has_ended = false;
        for _ in 0..TURN {
            let received = match flow_socket::receive(socket, room) {
                Ok(received) => received,
                Err(Errno::EINTR) => continue,
                Err(_) => break,
            };
            let bytes = &room[..received.length.min(room.len())];
            let packet = match departures {
                None => read_reply(
                    bytes,
                    live.origin().is_ipv4(),
                    live.source_port.load(Ordering::Relaxed),
                ),
                Some(_) => Some(bytes),
            };
            let header = packet
                .and_then(Header::read)
                .filter(|header| header.flow == live.id);
            let mut account = live.account();
            if let Some(count) = received.overflowed {
                account.overflow(u64::from(count));
            }
            match header {
                Some(header) => {
                    let size = packet.map_or(0, <[u8]>::len);
                    let departed = departures.and_then(|it| it.at(header.sequence, header.sent_ns));
                    let sent = departed.unwrap_or(header.sent_ns);
                    has_ended |= account
                        .receive(header.sequence, sent, arrived(&received, offset), size)
                        .is_some();
                }
                None => account.stranger(),
            }
        }
        has_ended
    }
}

/// When something arrived, on the clock of senders.
pub fn arrived(received: &Received, offset: u64) -> u64 {
    match received.realtime_ns {
        Some(at) => at.saturating_sub(offset),
        None => monotonic(),
    }
}

impl Wire {
    /// The connection, of what has one.
    pub fn connection(&mut self) -> Option<&mut Connection> {
        match self {
            Wire::Stream(connection) => Some(connection),
            _ => None,
        }
    }
}
