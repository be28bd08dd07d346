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
use crate::dns::wire::{self, LARGEST_TCP, Query};

const FILE: &str = "/etc/resolv.conf";
/// No more of it is read, in octets.
const MOST: u64 = 64 << 10;
/// No more servers are asked (resolv.conf(5)).
const MOST_SERVERS: usize = 3;
/// How long all servers may take together. Resolvers ask again after five seconds.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long each may take where none has answered lately.
const LITTLE_PATIENCE: Duration = Duration::from_millis(1500);
/// A server that left so many questions unanswered, with no answer in between, is silent: one name may be slow by itself.
const MOST_LOST: u32 = 3;
/// A silent server is not asked for so long while there are others: in labs many are named that nobody reaches.
const REST: Duration = Duration::from_secs(5);

/// The servers that left questions unanswered since their last answer: how many, and until when they rest.
#[derive(Default)]
pub struct Silent(RefCell<BTreeMap<SocketAddr, (u32, Instant)>>);

impl Silent {
    fn is(&self, server: SocketAddr) -> bool {
        let all = self.0.borrow();
        let is_silent = |(lost, until): &(u32, Instant)| *lost >= MOST_LOST && *until > Instant::now();
        all.get(&server).is_some_and(is_silent)
    }

    fn note(&self, server: SocketAddr, has_answered: bool) {
        let mut all = self.0.borrow_mut();
        let now = Instant::now();
        all.retain(|_, (_, until)| *until > now);
        if has_answered {
            all.remove(&server);
            return;
        }
        let lost = all.get(&server).map_or(0, |(lost, _)| *lost);
        all.insert(server, (lost.saturating_add(1), now + REST));
    }

    /// Whom to ask, and how long each may take. Where all are silent all are asked: there is nobody else.
    fn choose(&self, servers: &[SocketAddr]) -> (Vec<SocketAddr>, Duration) {
        let mut chosen = servers.to_vec();
        chosen.retain(|server| !self.is(*server));
        let most = match chosen.is_empty() {
            true => LITTLE_PATIENCE,
            false => PATIENCE,
        };
        if chosen.is_empty() {
            chosen = servers.to_vec();
        }
        let count = u32::try_from(chosen.len()).unwrap_or(u32::MAX).max(1);
        (chosen, most.min(PATIENCE / count))
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

/// Asks the servers in turn, but for those that are silent while others are not. Returns the first answer, under the number it was asked
/// by, from one that could find it out; where all could not, what the first of them said; none where nobody says anything.
pub async fn ask(
    servers: &[IpAddr],
    silent: &Silent,
    query: &Query,
    message: &[u8],
    by_tcp: bool,
) -> Option<Vec<u8>> {
    let servers: Vec<SocketAddr> = servers.iter().map(|it| SocketAddr::new(*it, PORT)).collect();
    ask_at(&servers, silent, query, message, by_tcp).await
}

async fn ask_at(
    servers: &[SocketAddr],
    silent: &Silent,
    query: &Query,
    message: &[u8],
    by_tcp: bool,
) -> Option<Vec<u8>> {
    let (servers, patience) = silent.choose(servers);
    let mut without = None;
    for server in servers {
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
        let asked = timeout(patience, asking).await;
        silent.note(server, asked.is_ok());
        if let Ok(Ok(answer)) = asked {
            if !wire::says_nothing(&answer) {
                return Some(answer);
            }
            without = without.or(Some(answer));
        }
    }
    without
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
    use std::rc::Rc;

    use tokio::task::{LocalSet, spawn_local};

    use super::*;
    use crate::dns::wire::Name;

    /// A server that answers names with `fast` in them, and no others.
    async fn server() -> SocketAddr {
        server_that(RESPONSE).await
    }

    /// The flags of a response that a server for everybody gives (RFC 1035 section 4.1.1).
    const RESPONSE: [u8; 2] = [0x80, 0x80];

    async fn server_that(answers: [u8; 2]) -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let place = socket.local_addr().unwrap();
        spawn_local(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                buffer[2] |= answers[0];
                buffer[3] = answers[1];
                if buffer[..length].windows(4).any(|it| it == b"fast") {
                    socket.send_to(&buffer[..length], from).await.unwrap();
                }
            }
        });
        place
    }

    async fn is_answered(servers: &[SocketAddr], silent: &Silent, name: &str) -> bool {
        let query = Query::new(1, Name::of(name).unwrap(), wire::A);
        let asked = ask_at(servers, silent, &query, &query.write(), false).await;
        asked.is_some()
    }

    #[test]
    fn slow_names_do_not_blind_for_others() {
        let runtime = crate::kernel::event_loop::start().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let (servers, silent) = ([server().await], Rc::new(Silent::default()));
            let slow = |count: usize| {
                let one = |at: usize| {
                    let silent = Rc::clone(&silent);
                    spawn_local(
                        async move { is_answered(&servers, &silent, &format!("slow{at}.test")).await },
                    )
                };
                (0..count).map(one).collect::<Vec<_>>()
            };
            // While they are waited for, and once the server has been silent for all of them.
            let waiting = slow(5);
            assert!(is_answered(&servers, &silent, "fast.test").await);
            for asked in waiting {
                assert!(!asked.await.unwrap());
            }
            assert!(silent.is(servers[0]));
            assert!(is_answered(&servers, &silent, "fast.test").await);
            assert!(!silent.is(servers[0]));
        });
    }

    #[test]
    fn the_next_is_asked_where_one_cannot_find_out() {
        let runtime = crate::kernel::event_loop::start().unwrap();
        LocalSet::new().block_on(&runtime, async {
            // SERVFAIL, NOTIMP, REFUSED, and an answer that is none by a server that asks nobody.
            for useless in [[0x80, 0x82], [0x80, 0x84], [0x80, 0x85], [0x80, 0x00]] {
                let useless = server_that(useless).await;
                let no_such_name = server_that([0x80, 0x83]).await;
                let silent = Silent::default();
                let query = Query::new(1, Name::of("fast.test").unwrap(), wire::A);
                let ask = async |servers: &[SocketAddr]| {
                    let answer = ask_at(servers, &silent, &query, &query.write(), false).await;
                    answer.unwrap()[3]
                };
                assert_eq!(ask(&[useless, server().await]).await, 0x80);
                // That there is no such name is an answer.
                assert_eq!(ask(&[useless, no_such_name, server().await]).await, 0x83);
                // Nobody knows better: what was said first is passed on.
                let refusing = server_that([0x80, 0x85]).await;
                assert_ne!(ask(&[useless]).await, 0x80);
                assert_eq!(ask(&[refusing, useless]).await, 0x85);
            }
        });
    }

    #[test]
    fn a_server_rests_after_some_losses_and_never_where_it_is_the_only_one() {
        let silent = Silent::default();
        let [a, b] = ["192.0.2.1:53", "192.0.2.2:53"].map(|it| it.parse::<SocketAddr>().unwrap());
        for _ in 1..MOST_LOST {
            silent.note(a, false);
        }
        assert_eq!(silent.choose(&[a, b]), (vec![a, b], PATIENCE / 2));
        silent.note(a, true);
        silent.note(a, false);
        assert!(!silent.is(a));
        for _ in 1..MOST_LOST {
            silent.note(a, false);
        }
        assert_eq!(silent.choose(&[a, b]), (vec![b], PATIENCE));
        assert_eq!(silent.choose(&[a]), (vec![a], LITTLE_PATIENCE));
    }

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
