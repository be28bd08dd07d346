//! As much of a BGP session as the load needs.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use nslab::bgp::wire::{self, Capability, Family, HEADER, LONGEST, Message, Open, Options};

use crate::Failed;

const PORT: u16 = 179;
const HOLD_SECONDS: u16 = 240;
/// How long a router may take until it answers; it is started at the same time.
const START: Duration = Duration::from_secs(20);
/// A header's type of UPDATE (RFC 4271 section 4.1).
const UPDATE: u8 = 2;

/// What both sides agree on.
pub const OPTIONS: Options = Options {
    four_octet: true,
    heard_four_octet: true,
    extended_messages: false,
    add_path_receive: wire::PerFamily {
        ipv4: false,
        ipv6: false,
        evpn: false,
    },
    add_path_send: wire::PerFamily {
        ipv4: false,
        ipv6: false,
        evpn: false,
    },
    internal: false,
};

/// Who talks to the router.
#[derive(Clone, Copy)]
pub struct Side {
    /// Its address and identifier.
    pub local: Ipv4Addr,
    /// The router's address.
    pub router: Ipv4Addr,
    /// Its AS.
    pub asn: u32,
}

/// A session that is established. A router that is not ready yet is asked again.
pub fn open(side: &Side) -> Result<TcpStream, Failed> {
    let deadline = Instant::now() + START;
    loop {
        match establish(side) {
            Ok(stream) => return Ok(stream),
            Err(why) if Instant::now() > deadline => {
                return Err(format!("no session from {}: {why}", side.local).into());
            }
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
    }
}

fn establish(side: &Side) -> Result<TcpStream, Failed> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((side.local, 0)).into())?;
    socket.connect(&SocketAddr::from((side.router, PORT)).into())?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut octets = Vec::new();
    let open = Open {
        asn: side.asn,
        hold_time: HOLD_SECONDS,
        router_id: side.local,
        capabilities: vec![
            Capability::Multiprotocol(Family::Ipv4Unicast.into()),
            Capability::FourOctetAs(side.asn),
        ],
    };
    wire::encode(&Message::Open(open), &OPTIONS, &mut octets);
    octets.extend(keepalive());
    stream.write_all(&octets)?;
    loop {
        match next(&mut stream)? {
            Message::Open(_) => {}
            Message::Keepalive => break,
            other => return Err(format!("the router says {other:?}").into()),
        }
    }
    stream.set_read_timeout(None)?;
    Ok(stream)
}

fn next(stream: &mut TcpStream) -> Result<Message, Failed> {
    let mut message = vec![0; HEADER];
    stream.read_exact(&mut message)?;
    let length = length(&message);
    message.resize(length.clamp(HEADER, LONGEST), 0);
    stream.read_exact(message.get_mut(HEADER..).unwrap_or_default())?;
    wire::decode(&message, &OPTIONS).map_err(|why| format!("{why:?}").into())
}

/// A KEEPALIVE.
pub fn keepalive() -> Vec<u8> {
    let mut octets = Vec::new();
    wire::encode(&Message::Keepalive, &OPTIONS, &mut octets);
    octets
}

/// Counts the prefixes in a stream of messages, however it is cut.
#[derive(Default)]
pub struct Counter {
    /// How many are announced.
    pub prefixes: usize,
    /// How many are withdrawn.
    pub withdrawn: usize,
    /// The beginning of a message whose end is not there yet.
    rest: Vec<u8>,
}

impl Counter {
    /// Takes note of octets that came.
    ///
    /// # Errors
    /// The router ends the session.
    pub fn take(&mut self, octets: &[u8]) -> Result<(), Failed> {
        self.rest.extend_from_slice(octets);
        let rest = std::mem::take(&mut self.rest);
        let mut at = rest.as_slice();
        while at.len() >= HEADER {
            let Some((message, after)) = at.split_at_checked(length(at).max(HEADER)) else {
                break;
            };
            at = after;
            match message.split_at_checked(HEADER) {
                Some(([.., UPDATE], body)) => {
                    let (withdrawn, announced) = parts(body);
                    self.withdrawn += count(withdrawn)?;
                    self.prefixes += count(announced)?;
                }
                Some(([.., 3], body)) => return Err(format!("the router ends the session: {body:?}").into()),
                _ => {}
            }
        }
        self.rest.extend_from_slice(at);
        Ok(())
    }
}

/// What a message's header says about its length.
fn length(message: &[u8]) -> usize {
    number(message.get(16..).unwrap_or_default())
}

fn number(octets: &[u8]) -> usize {
    match octets {
        [high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    }
}

/// The prefixes that an UPDATE withdraws, and those that it announces (RFC 4271 section 4.3).
fn parts(body: &[u8]) -> (&[u8], &[u8]) {
    let rest = body.get(2..).unwrap_or_default();
    let (withdrawn, rest) = rest.split_at_checked(number(body)).unwrap_or_default();
    let announced = rest.get(2 + number(rest)..).unwrap_or_default();
    (withdrawn, announced)
}

/// How many prefixes stand here.
fn count(mut nlri: &[u8]) -> Result<usize, Failed> {
    let mut count = 0;
    while let [bits, ..] = nlri {
        nlri = nlri
            .get(1 + usize::from(bits.div_ceil(8))..)
            .ok_or("a prefix is cut off")?;
        count += 1;
    }
    Ok(count)
}
