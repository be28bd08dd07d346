//! Questions about names that are not the cluster's, passed on to the servers of the node's own /etc/resolv.conf.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::dns::PORT;
use crate::dns::wire::{LARGEST_TCP, Query};

const FILE: &str = "/etc/resolv.conf";
/// No more of it is read, in octets.
const MOST: u64 = 64 << 10;
/// No more servers are asked (resolv.conf(5)).
const MOST_SERVERS: usize = 3;
/// How long a server may take. Resolvers ask again after five seconds.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A server that did not answer is not asked for so long: in labs many are named that nobody reaches, and resolvers ask again.
const REST: Duration = Duration::from_secs(5);

/// The servers that did not answer, and until when they are not asked.
#[derive(Default)]
pub struct Silent(RefCell<BTreeMap<IpAddr, Instant>>);

impl Silent {
    fn is(&self, server: IpAddr) -> bool {
        self.0
            .borrow()
            .get(&server)
            .is_some_and(|until| *until > Instant::now())
    }

    fn note(&self, server: IpAddr, has_answered: bool) {
        let mut all = self.0.borrow_mut();
        let now = Instant::now();
        all.retain(|_, until| *until > now);
        match has_answered {
            true => all.remove(&server),
            false => all.insert(server, now + REST),
        };
    }
}

/// The servers of the node, but for this one.
pub fn servers(own: IpAddr) -> Vec<IpAddr> {
    let mut text = Vec::new();
    // Without it there is nobody to ask.
    let _ = File::open(FILE).and_then(|file| file.take(MOST).read_to_end(&mut text));
    named(&String::from_utf8_lossy(&text), own)
}

fn named(text: &str, own: IpAddr) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let is_server = words.next() == Some("nameserver");
        words.next().filter(|_| is_server)?.parse().ok()
    };
    let all = text.lines().filter_map(server).filter(|it| *it != own);
    all.take(MOST_SERVERS).collect()
}

/// Asks the servers in turn, but for those that were silent lately. Returns the first answer under the question's own number; none where nobody gives one.
pub async fn ask(
    servers: &[IpAddr],
    silent: &Silent,
    query: &Query,
    message: &[u8],
    by_tcp: bool,
) -> Option<Vec<u8>> {
    for address in servers.iter().filter(|it| !silent.is(**it)) {
        let server = SocketAddr::new(*address, PORT);
        let mut message = message.to_vec();
        // Whoever guesses answers has to guess this as well as the port.
        let mut id = [0; 2];
        SystemRandom::new().fill(&mut id).ok()?;
        message.get_mut(..2)?.copy_from_slice(&id);
        let query = Query {
            id: u16::from_be_bytes(id),
            ..query.clone()
        };
        let asking = async {
            match by_tcp {
                true => stream(server, &query, &message).await,
                false => datagram(server, &query, &message).await,
            }
        };
        let asked = timeout(PATIENCE, asking).await;
        silent.note(*address, asked.is_ok());
        if let Ok(Ok(answer)) = asked {
            return Some(answer);
        }
    }
    None
}

async fn datagram(server: SocketAddr, query: &Query, message: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server.is_ipv4() {
        true => Ipv4Addr::UNSPECIFIED.into(),
        false => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(message).await?;
    let mut buffer = vec![0; LARGEST_TCP];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if query.is_answered_by(&buffer[..length]) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn stream(server: SocketAddr, query: &Query, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write(&mut stream, message).await?;
    let answer = read(&mut stream).await?;
    match query.is_answered_by(&answer) {
        true => Ok(answer),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Reads a message, which has its length before it (RFC 1035 section 4.2.2).
pub async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes a message.
pub async fn write(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut whole = length.to_be_bytes().to_vec();
    whole.extend(message);
    stream.write_all(&whole).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_those_of_the_file() {
        let text = "# x\nsearch a.test\nnameserver 10.96.0.10\n nameserver 192.0.2.1 # y\nnameserver x\nnameserver\nnameserver fd00::1\n\
            nameserver 192.0.2.2\nnameserver 192.0.2.3\n";
        let found: Vec<String> = named(text, "10.96.0.10".parse().unwrap())
            .iter()
            .map(IpAddr::to_string)
            .collect();
        assert_eq!(found, ["192.0.2.1", "fd00::1", "192.0.2.2"]);
    }
}
