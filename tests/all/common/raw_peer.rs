//! A neighbor that is played by the test: octets over TCP, from within a node.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Socket, Type};

use super::{Lab, eventually};

/// A node's network.
pub struct Node(Arc<File>);

impl Node {
    /// That of a node of a lab.
    #[track_caller]
    pub fn of(lab: &Lab, node: &str) -> Node {
        // A node on which nothing runs has no first process yet.
        lab.sh(node, "true");
        let init = lab.node(node)["init_pid"].as_i64().expect("a first process");
        Node(Arc::new(File::open(format!("/proc/{init}/ns/net")).unwrap()))
    }

    /// Does something in it. Sockets stay in the one they were made in.
    pub fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let network = Arc::clone(&self.0);
        thread::spawn(move || {
            setns(&network, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        })
    }
}

/// A message of BGP.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0xff; 16];
    out.extend(((body.len() + 19) as u16).to_be_bytes());
    out.push(kind);
    out.extend(body);
    out
}

/// A sign of life.
pub fn keepalive() -> Vec<u8> {
    message(4, &[])
}

/// An UPDATE of AS 65002 that announces IPv4 prefixes.
pub fn update(prefixes: &[u8]) -> Vec<u8> {
    let attributes: &[u8] = &[
        0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xea, 0x40, 3, 4, 10, 0, 0, 2,
    ];
    let mut body = vec![0, 0, 0, attributes.len() as u8];
    body.extend(attributes);
    body.extend(prefixes);
    message(2, &body)
}

/// An OPEN in parts that may be wrong.
#[derive(Clone)]
struct Open {
    version: u8,
    asn: u16,
    hold_time: u16,
    id: [u8; 4],
    parameters: Vec<u8>,
    /// In place of the parameters' length.
    length: Option<u8>,
}

impl Open {
    fn with(capabilities: &[(u8, &[u8])]) -> Open {
        let mut all = Vec::new();
        for (code, value) in capabilities {
            all.extend([*code, value.len() as u8]);
            all.extend(*value);
        }
        Open::raw(&all)
    }

    fn raw(capabilities: &[u8]) -> Open {
        let mut parameters = vec![2, capabilities.len() as u8];
        parameters.extend(capabilities);
        Open {
            version: 4,
            asn: 65002,
            hold_time: 180,
            id: [10, 0, 0, 2],
            parameters,
            length: None,
        }
    }

    fn plain() -> Open {
        Open::with(&[IPV4, FOUR, (2, &[]), (70, &[])])
    }

    fn bytes(&self) -> Vec<u8> {
        let mut body = vec![self.version];
        body.extend(self.asn.to_be_bytes());
        body.extend(self.hold_time.to_be_bytes());
        body.extend(self.id);
        body.push(self.length.unwrap_or(self.parameters.len() as u8));
        body.extend(&self.parameters);
        message(1, &body)
    }
}

const IPV4: (u8, &[u8]) = (1, &[0, 1, 0, 1]);
const FOUR: (u8, &[u8]) = (65, &[0, 0, 0xfd, 0xea]);

/// A good OPEN of AS 65002, with all about refreshes.
pub fn open() -> Vec<u8> {
    Open::plain().bytes()
}

/// What comes back for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A KEEPALIVE.
    Keepalive,
    /// A NOTIFICATION: code, subcode, data.
    Refusal(u8, u8, Vec<u8>),
    /// The end.
    Closed,
    /// Nothing in time.
    Nothing,
}

/// OPENs with what is answered to them: as FRR 8.4.4 answers in AS 65001, whose neighbor is to be in AS 65002.
pub fn opens() -> Vec<(&'static str, Vec<u8>, Answer)> {
    let refusal = |code: u8, subcode: u8, data: &[u8]| Answer::Refusal(code, subcode, data.to_vec());
    let mut all: Vec<(&str, Vec<u8>, Answer)> = Vec::new();
    let mut add = |name, open: Open, answer: Answer| all.push((name, open.bytes(), answer));
    let plain = Open::plain();
    add("plain", plain.clone(), Answer::Keepalive);
    let none = Open {
        parameters: Vec::new(),
        ..plain.clone()
    };
    add("without parameters", none.clone(), Answer::Keepalive);
    let of = |asn: u16, long: Option<&[u8]>| {
        let mut capabilities = vec![IPV4];
        capabilities.extend(long.map(|long| (65, long)));
        Open {
            asn,
            ..Open::with(&capabilities)
        }
    };
    let (zero, trans): (&[u8], &[u8]) = (&[0; 4], &[0, 0, 0x5b, 0xa0]);
    add("AS 0", of(0, None), refusal(2, 2, &[]));
    add("AS 0, and a good one", of(0, Some(FOUR.1)), refusal(2, 2, &[]));
    add("a good AS, and AS 0", of(65002, Some(zero)), refusal(2, 2, zero));
    add("AS_TRANS and AS 0", of(23456, Some(zero)), refusal(2, 2, zero));
    add(
        "AS_TRANS and a good one",
        of(23456, Some(FOUR.1)),
        Answer::Keepalive,
    );
    add("AS_TRANS alone", of(23456, None), refusal(2, 2, &trans[2..]));
    add("AS_TRANS twice", of(23456, Some(trans)), refusal(2, 2, trans));
    let other: &[u8] = &[0, 0, 0xfd, 0xeb];
    add("two that differ", of(65002, Some(other)), refusal(2, 2, other));
    add(
        "two that differ, the other way",
        of(65003, Some(FOUR.1)),
        refusal(2, 2, FOUR.1),
    );
    add("another AS", of(65003, None), refusal(2, 2, &other[2..]));
    let twice = |second: &'static [u8]| Open::with(&[IPV4, FOUR, (65, second)]);
    add("AS 0 in the second place", twice(&[0; 4]), refusal(2, 0, &[]));
    add(
        "another in the second place",
        twice(&[0, 0, 0, 7]),
        Answer::Keepalive,
    );
    for (name, value) in [
        ("an AS of 2", &[0, 1][..]),
        ("an AS of 6", &[0, 0, 0xfd, 0xea, 0, 0]),
        ("an AS of 8", &[0, 0, 0xfd, 0xea, 0, 0, 0, 0]),
    ] {
        add(name, of(65002, Some(value)), refusal(2, 2, zero));
    }
    let id = |id: [u8; 4]| Open { id, ..plain.clone() };
    add("identifier 0", id([0; 4]), refusal(2, 3, &[0; 4]));
    add("a multicast identifier", id([224, 0, 0, 1]), Answer::Keepalive);
    add("its own, in another AS", id([10, 255, 0, 1]), Answer::Keepalive);
    for version in [3, 5] {
        let open = Open {
            version,
            ..plain.clone()
        };
        add("another version", open, refusal(2, 1, &[0, 4]));
    }
    for hold_time in [1, 2] {
        let open = Open {
            hold_time,
            ..plain.clone()
        };
        add(
            "too short a hold time",
            open,
            refusal(2, 6, &[0, hold_time as u8]),
        );
    }
    let open = Open {
        hold_time: 1,
        ..Open::raw(&[1, 4, 0])
    };
    add("the same and a bad capability", open, refusal(2, 6, &[0, 1]));
    for (name, bad) in [
        ("a capability runs over", &[1, 4, 0, 1, 0][..]),
        ("one without a length", &[1]),
        ("one without a length behind another", &[1, 4, 0, 1, 0, 1, 2]),
    ] {
        add(name, Open::raw(bad), refusal(2, 0, &[]));
    }
    let bad: [(&str, u8, &[u8]); 20] = [
        ("a family of 0", 1, &[]),
        ("a family of 3", 1, &[0, 1, 0]),
        ("a family of 5", 1, &[0, 1, 0, 1, 0]),
        ("extended messages of 1", 6, &[7]),
        ("a restart of 0", 64, &[]),
        ("a restart of 1", 64, &[7]),
        ("a restart of 3", 64, &[0, 16, 0]),
        ("a restart of 5", 64, &[0, 16, 0, 1, 1]),
        ("several paths of 0", 69, &[]),
        ("several paths of 1", 69, &[0]),
        ("extended next hops of 0", 5, &[]),
        ("extended next hops of 5", 5, &[0, 1, 0, 1, 0]),
        ("a name of 0", 73, &[]),
        ("a name runs over", 73, &[9, b'a', b'b']),
        ("a name without a domain", 73, &[2, b'a', b'b']),
        ("filters of 0", 3, &[]),
        ("filters of 1", 3, &[0]),
        ("a role of 0", 9, &[]),
        ("filters of 4", 3, &[0, 1, 0, 1]),
        ("a restart of 4", 64, &[0, 16, 0, 1]),
    ];
    for (name, code, value) in bad {
        add(name, Open::with(&[IPV4, FOUR, (code, value)]), refusal(2, 0, &[]));
    }
    let passed_over: [(&str, u8, &[u8]); 9] = [
        ("a refresh of 1", 2, &[7]),
        ("an old refresh of 1", 128, &[7]),
        ("an enhanced refresh of 1", 70, &[7]),
        ("several paths in mode 9", 69, &[0, 1, 1, 9]),
        ("long-lived restarts of 3", 71, &[0, 1, 1]),
        ("dynamic ones of 1", 66, &[0]),
        ("dynamic ones of 1, again", 67, &[0]),
        ("an unknown one", 200, b"abc"),
        ("a name and more", 73, &[1, b'a', 0, 7]),
    ];
    for (name, code, value) in passed_over {
        add(name, Open::with(&[IPV4, FOUR, (code, value)]), Answer::Keepalive);
    }
    let families: [(&str, &[u8]); 2] = [("IPv6 alone", &[0, 2, 0, 1]), ("a VPN alone", &[0, 1, 0, 128])];
    for (name, family) in families {
        let data = [&[1, 4], family].concat();
        add(name, Open::with(&[(1, family), FOUR]), refusal(2, 7, &data));
    }
    let behind = |parameters: &[u8]| Open {
        parameters: parameters.to_vec(),
        ..plain.clone()
    };
    add("an empty parameter", behind(&[2, 0]), Answer::Keepalive);
    add("an unknown parameter", behind(&[7, 1, b'a']), refusal(2, 4, &[]));
    let both = [&plain.parameters[..], &[7, 1, b'a']].concat();
    add("a good and an unknown one", behind(&both), refusal(2, 4, &[]));
    add("authentication", behind(&[1, 2, b'a', b'b']), refusal(2, 5, &[]));
    add("a parameter runs over", behind(&[2, 9, 1, 4]), refusal(2, 0, &[]));
    add("a parameter's type alone", behind(&[2]), refusal(2, 0, &[]));
    let long = Open {
        length: Some(60),
        ..plain
    };
    add("parameters run over", long, refusal(2, 0, &[]));
    all.push(("a KEEPALIVE", keepalive(), refusal(5, 1, &[])));
    all.push(("an UPDATE", message(2, &[0; 4]), refusal(5, 1, &[])));
    all.push(("a ROUTE-REFRESH", message(5, &[0, 1, 0, 1]), refusal(5, 1, &[])));
    all.push(("an OPEN of 28", message(1, &[4; 9]), refusal(1, 2, &[0, 28])));
    all
}

/// A connection to a router.
pub struct Peer {
    stream: TcpStream,
    octets: Vec<u8>,
}

impl Peer {
    /// Connects from a node. Neighbors begin with all hops there are.
    #[track_caller]
    pub fn connect(node: &Node, router: &str) -> Peer {
        Peer::try_connect(node, router, 255, Duration::from_secs(30)).unwrap()
    }

    /// The same, from one of the node's addresses.
    #[track_caller]
    pub fn connect_from(node: &Node, from: &str, router: &str) -> Peer {
        let from = Some(SocketAddr::new(from.parse().unwrap(), 0));
        Peer::make(node, from, router, 64, Duration::from_secs(30)).unwrap()
    }

    /// The same with so many hops in its packets, and only for so long.
    pub fn try_connect(node: &Node, router: &str, hops: u8, patience: Duration) -> io::Result<Peer> {
        Peer::make(node, None, router, hops, patience)
    }

    fn make(
        node: &Node,
        from: Option<SocketAddr>,
        router: &str,
        hops: u8,
        patience: Duration,
    ) -> io::Result<Peer> {
        let router: SocketAddr = router.parse().unwrap();
        let connecting: JoinHandle<io::Result<TcpStream>> = node.inside(move || {
            let socket = Socket::new(Domain::for_address(router), Type::STREAM, None)?;
            set_hops(&socket, router.is_ipv4(), hops)?;
            if let Some(from) = from {
                socket.bind(&from.into())?;
            }
            socket.connect_timeout(&router.into(), patience)?;
            Ok(TcpStream::from(socket))
        });
        let stream = connecting.join().unwrap()?;
        let octets = Vec::new();
        Ok(Peer { stream, octets })
    }

    /// A connection on which the router has said its OPEN; right after an error it may not yet want one.
    #[track_caller]
    pub fn welcome(node: &Node, router: &str) -> Peer {
        eventually("an OPEN", || {
            let mut peer = Peer::connect(node, router);
            (peer.next(Duration::from_secs(5))?.get(18) == Some(&1)).then_some(peer)
        })
    }

    /// How many hops its packets have left from now on.
    pub fn set_hops(&mut self, hops: u8) {
        let v4 = self.stream.peer_addr().unwrap().is_ipv4();
        set_hops(&socket2::SockRef::from(&self.stream), v4, hops).unwrap();
    }

    /// Sends octets. The other side may have hung up.
    pub fn say(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets);
    }

    /// Waits for the router's OPEN.
    #[track_caller]
    pub fn until_open(&mut self) {
        let first = self.next(Duration::from_secs(30)).expect("a message");
        assert_eq!(first[18], 1, "{first:?}");
    }

    /// Brings the session up.
    #[track_caller]
    pub fn establish(&mut self) {
        self.say(&open());
        self.until_open();
        assert_eq!(self.answer(Duration::from_secs(30)), Answer::Keepalive);
        self.say(&keepalive());
    }

    /// Reads on until a message comes.
    #[track_caller]
    pub fn until_read(&mut self, message: &[u8]) {
        while self.next(Duration::from_secs(30)).expect("the message") != message {}
    }

    /// What comes next.
    pub fn answer(&mut self, patience: Duration) -> Answer {
        match self.next(patience) {
            Some(message) if message[18] == 4 => Answer::Keepalive,
            Some(message) if message[18] == 3 => {
                Answer::Refusal(message[19], message[20], message[21..].to_vec())
            }
            Some(message) if message.is_empty() => Answer::Closed,
            Some(message) => panic!("{message:?}"),
            None => Answer::Nothing,
        }
    }

    /// The next message; an empty one where the connection has ended, none where nothing came in time.
    fn next(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let end = Instant::now() + patience;
        loop {
            if let Some(length) = self.octets.get(16..18) {
                let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                if self.octets.len() >= length {
                    return Some(self.octets.drain(..length).collect());
                }
            }
            let left = end.checked_duration_since(Instant::now())?;
            self.stream
                .set_read_timeout(Some(left.max(Duration::from_millis(1))))
                .unwrap();
            let mut buffer = [0; 65536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Some(Vec::new()),
                Ok(length) => self.octets.extend(&buffer[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return None;
                }
                Err(_) => return Some(Vec::new()),
            }
        }
    }
}

fn set_hops(socket: &Socket, v4: bool, hops: u8) -> io::Result<()> {
    if v4 {
        socket.set_ttl_v4(hops.into())
    } else {
        socket.set_unicast_hops_v6(hops.into())
    }
}
