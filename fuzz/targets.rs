//! What comes from outside, each kind read by the function that reads it in nslab. A target panics where it finds a fault.
//! `scripts/fuzz` looks for inputs that do; `tests/all/corpora.rs` tries those that are kept here, and variations of them.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nslab::bgp::config::Config;
use nslab::bgp::session::ConnectionId;
use nslab::bgp::speaker::{Action, Endpoints, Event, Interface, Speaker};
use nslab::bgp::wire::{Message, Options, PerFamily, decode, encode, frame};
use nslab::capture::filter::{self, Direction, LinkType, Packet};
use nslab::capture::{decode as packets, pcapng};
use nslab::image::{Reference, foreign};
use nslab::import::{Input, Options as ImportOptions};
use nslab::lab::resolve;
use nslab::lab::sources::Memory;
use nslab::run::copy::stream::{self, Listener, Piece, Word};
use nslab::run::protocol::{self, Reply, Request};
use nslab::timeline::entry::{Entry, Said};
use nslab::timeline::row::Row;
use nslab::timeline::{mermaid, replay, trim};

/// A kind of input: its name, which is that of its corpus, and what reads it.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: &[Target] = &[
    ("wire", wire),
    ("session", session),
    ("frr", frr),
    ("yaml", yaml),
    ("toml", toml),
    ("control", control),
    ("copy", copy),
    ("filter", filter),
    ("packet", packet),
    ("pcapng", capture),
    ("image", image),
    ("layer", layer),
    ("timeline", timeline),
];

/// Messages of BGP, as they stand in a stream. The first octet says what the session has agreed on.
pub fn wire(data: &[u8]) {
    let Some((&bits, mut stream)) = data.split_first() else {
        return;
    };
    let is = |bit: u8| bits & 1 << bit != 0;
    let options = Options {
        four_octet: is(0),
        heard_four_octet: is(0) || is(1),
        extended_messages: is(2),
        add_path_receive: PerFamily {
            ipv4: is(3),
            ipv6: is(4),
            evpn: is(6),
        },
        add_path_send: PerFamily {
            ipv4: is(3),
            ipv6: is(4),
            evpn: is(6),
        },
        internal: is(5),
    };
    while let Ok(Some(length)) = frame(stream, &options) {
        if let Ok(message) = decode(&stream[..length], &options) {
            check_again(&message, &options);
        }
        stream = &stream[length..];
    }
}

/// What was understood can be said again, and is understood.
fn check_again(message: &Message, options: &Options) {
    let mut octets = Vec::new();
    encode(message, options, &mut octets);
    let mut rest = &octets[..];
    while !rest.is_empty() {
        let length = frame(rest, options).expect("a message").expect("a whole message");
        decode(&rest[..length], options).expect("a message that is understood");
        rest = &rest[length..];
    }
}

const ROUTER: &str = "frr defaults datacenter\nbgp as-path access-list SHORT seq 5 permit ^65002_\n\
    route-map IN permit 10\n match as-path SHORT\n set local-preference 200\nroute-map IN permit 20\n\
    router bgp 65001\n bgp router-id 10.0.0.1\n no bgp network import-check\n neighbor 10.0.0.2 remote-as 65002\n \
    neighbor 10.0.0.2 passive\n neighbor 10.0.0.2 timers 0 0\n address-family ipv4 unicast\n  network 10.1.0.0/16\n  \
    aggregate-address 10.0.0.0/8\n  neighbor 10.0.0.2 soft-reconfiguration inbound\n  neighbor 10.0.0.2 route-map IN in\n \
    exit-address-family\n address-family ipv6 unicast\n  neighbor 10.0.0.2 activate\n exit-address-family\n \
    address-family l2vpn evpn\n  neighbor 10.0.0.2 activate\n  advertise-all-vni\n exit-address-family\n";

/// Octets of a neighbor on two connections: the first octet of each piece says on which, and how long the piece is.
pub fn session(mut data: &[u8]) {
    let (config, _) = Config::parse(ROUTER);
    let mut speaker = Speaker::new("r", 1);
    let interface = Interface {
        index: 2,
        name: "net0".into(),
        up: true,
        addresses: ["10.0.0.1/24", "2001:db8::1/64", "fe80::1/64"]
            .iter()
            .filter_map(|net| net.parse().ok())
            .collect(),
        ..Interface::default()
    };
    speaker.handle_event(Event::Interfaces(vec![interface]), Duration::ZERO);
    speaker.handle_event(Event::Configure(Box::new(config)), Duration::ZERO);
    let ends = Endpoints {
        local: [10, 0, 0, 1].into(),
        remote: [10, 0, 0, 2].into(),
        interface: None,
        ports: (179, 40000),
    };
    let mut open: [Option<ConnectionId>; 2] = [None; 2];
    let (mut now, mut last) = (Duration::ZERO, 0);
    while let Some((&first, rest)) = data.split_first() {
        let at = usize::from(first >> 7);
        let length = usize::from(first & 0x7f).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        data = rest;
        now += Duration::from_millis(300);
        let id = *open[at].get_or_insert_with(|| {
            last += 1;
            speaker.handle_event(Event::Accepted(ConnectionId(last), ends), now);
            ConnectionId(last)
        });
        let event = match piece {
            [] => Event::Closed(id),
            piece => Event::Received(id, piece.to_vec()),
        };
        let is_over = piece.is_empty();
        let actions = speaker.handle_event(event, now);
        let closes = |id: ConnectionId| actions.contains(&Action::Close(id));
        for connection in &mut open {
            if connection.is_some_and(&closes) {
                *connection = None;
            }
        }
        if is_over {
            open[at] = None;
        }
        speaker.handle_event(Event::Tick, now);
    }
}

/// A configuration in FRR's language.
pub fn frr(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (config, _) = Config::parse(text);
    let printed = config.print();
    let (again, _) = Config::parse(&printed);
    assert_eq!(again.print(), printed, "what is printed reads differently");
}

/// Files of other tools, which are YAML.
pub fn yaml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let input = Input {
        name: "input".to_owned(),
        text: text.to_owned(),
        form: None,
        variables: None,
    };
    let sources = Memory::default();
    let imported = nslab::import::read(vec![input], &sources, &ImportOptions::default());
    let _ = imported.lab(&sources);
}

/// A lab file.
pub fn toml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = resolve::load(text, &Memory::default());
    }
}

/// What is in a frame of the control socket, either way. What was understood can be said again, and is understood alike.
pub fn control(data: &[u8]) {
    let _ = protocol::request("lab", data);
    if let Ok(request) = serde_json::from_slice::<Request>(data) {
        let said = serde_json::to_vec(&protocol::Envelope::of(&request)).expect("a request that can be said");
        assert_eq!(protocol::request("lab", &said).as_ref(), Ok(&request));
    }
    let _ = serde_json::from_slice::<Reply>(data);
}

/// An expression of pcap's filter language, and after a line end the packet that its program is tried on.
pub fn filter(data: &[u8]) {
    let end = data
        .iter()
        .position(|octet| *octet == b'\n')
        .unwrap_or(data.len());
    let (text, bytes) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    for link in [LinkType::Ethernet, LinkType::RawIp] {
        let programs = [
            filter::compile(text, link),
            filter::compile_for_kernel(text, link, 96),
        ];
        for program in programs {
            match program {
                Ok(program) => try_program(&program, bytes),
                Err(error) => drop(error.excerpt(text)),
            }
        }
    }
}

/// The kernel takes no program whose jumps lead out of it, and none that does not end in a return.
fn try_program(program: &[filter::Instruction], bytes: &[u8]) {
    const JUMP: u16 = 5;
    const RETURN: u16 = 6;
    assert!((1..=filter::LONGEST_PROGRAM).contains(&program.len()));
    assert_eq!(program.last().map(|it| it.code & 7), Some(RETURN));
    for (at, step) in program.iter().enumerate().filter(|(_, it)| it.code & 7 == JUMP) {
        let farthest = match step.code >> 4 {
            0 => step.k as usize,
            _ => usize::from(step.jt.max(step.jf)),
        };
        assert!(
            at + 1 + farthest < program.len(),
            "a jump leads out of the program"
        );
    }
    let packet = Packet {
        bytes,
        length: bytes.len() as u32,
        direction: Direction::In,
        tag: None,
    };
    filter::matches(program, &packet);
}

/// A packet of a node's, as `nslab capture` tells of it: in characters of its own.
pub fn packet(data: &[u8]) {
    for link in [LinkType::Ethernet, LinkType::RawIp] {
        let told = packets::summary(link, data);
        for text in [&told.source, &told.destination, &told.protocol, &told.info] {
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }
}

/// A file of packets.
pub fn capture(data: &[u8]) {
    let whole = pcapng::whole(data);
    assert!(whole <= data.len());
    let _ = pcapng::read(data);
}

/// What a registry or a directory says of an image.
pub fn image(data: &[u8]) {
    let _ = foreign::manifest(data);
    if let Ok(config) = foreign::configuration(data) {
        let check = config.healthcheck.unwrap_or_default();
        assert!(check.interval.is_zero() || check.interval >= Duration::from_millis(100));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = foreign::challenge(text);
        if let Ok(reference) = text.parse::<Reference>() {
            let said = reference.to_string();
            assert_eq!(
                said.parse::<Reference>().as_ref().map(ToString::to_string),
                Ok(said)
            );
        }
    }
}

/// A layer of an image, unpacked into a directory of its own beside which nothing changes.
pub fn layer(data: &[u8]) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let place = Place(std::env::temp_dir().join(format!("nslab-layer-{}-{number}", std::process::id())));
    let root = place.0.join("root");
    std::fs::create_dir_all(&root).expect("a directory");
    let opened = std::fs::File::open(&root).expect("a directory");
    let _ = foreign::unpack(data, OwnedFd::from(opened));
    let beside = std::fs::read_dir(&place.0).expect("a directory").count();
    assert_eq!(beside, 1, "the layer has left its directory");
}

/// A directory that goes when it is let go.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Announcements of a kernel in which a node names and routes as it likes: the first octet of each says how long it is and what
/// it tells.
pub fn timeline(mut data: &[u8]) {
    let mut entries = Vec::new();
    let mut number = 0;
    while let Some((&first, rest)) = data.split_first() {
        let (piece, rest) = rest.split_at(usize::from(first).min(rest.len()));
        data = rest;
        number += 1;
        let mut kept = Vec::new();
        let said = match first % 4 {
            0 => Said::Mark,
            _ => Said::Announced,
        };
        let body = match said {
            Said::Announced if trim::announcement(piece, &mut kept).is_some() => &kept[..],
            _ => piece,
        };
        let entry = Entry {
            node: u32::from(first % 3),
            said,
            flags: 0,
            time: number * 1000,
            number,
            body,
        };
        entry.write(&mut entries);
    }
    let mut rows: Vec<Row> = Vec::new();
    let names = ["", "a", "b"].map(str::to_owned).to_vec();
    replay::Replay::new(names, 0).take(&entries, &mut |row| rows.push(row));
    let drawn = mermaid::draw(0, &rows.iter().collect::<Vec<_>>(), "over");
    assert!(
        drawn.lines().count() <= rows.len().min(200) + 40,
        "a row is one line"
    );
    assert!(!drawn.contains(['<', '>', '\u{1b}']));
}

/// What a node sends to `nslab cp`. What was understood can be said again, and is understood alike.
pub fn copy(data: &[u8]) {
    let mut said = Vec::new();
    let heard = hear(data, &mut said);
    let mut again = Vec::new();
    assert_eq!(hear(&said, &mut again), heard);
    assert_eq!(said, again);
}

/// Hears a stream to its end, or to where it is none; says it again, and returns how many words and pieces there were.
fn hear(data: &[u8], said: &mut Vec<u8>) -> usize {
    let (mut listener, mut speaker) = (Listener(data), stream::Speaker(said));
    let (mut count, mut buffer) = (0, Vec::new());
    while let Ok(word) = listener.word(count == 0) {
        count += 1;
        speaker.word(&word).expect("a word that can be said");
        let mut in_file = matches!(word, Word::File(..));
        while in_file {
            let Ok(piece) = listener.piece(&mut buffer) else {
                return count;
            };
            count += 1;
            match piece {
                Piece::Data(place) => speaker.data(place, &buffer).expect("a piece"),
                Piece::Last(length, errno) => speaker.last(length, errno).expect("the last piece"),
            }
            in_file = matches!(piece, Piece::Data(_));
        }
        if word == Word::End {
            break;
        }
    }
    count
}
