//! What comes from outside, each kind read by the function that reads it in nslab. A target panics where it finds a fault.
//! `scripts/fuzz` looks for inputs that do; `tests/all/corpora.rs` tries those that are kept here, and variations of them.

use std::time::Duration;

use nslab::bgp::config::Config;
use nslab::bgp::session::ConnectionId;
use nslab::bgp::speaker::{Action, Endpoints, Event, Interface, Speaker};
use nslab::bgp::wire::{Message, Options, PerFamily, decode, encode, frame};
use nslab::import::{Input, Options as ImportOptions};
use nslab::lab::resolve;
use nslab::lab::sources::Memory;
use nslab::run::copy::stream::{self, Listener, Piece, Word};
use nslab::run::protocol::{Reply, Request};

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

/// What is in a frame of the control socket, either way.
pub fn control(data: &[u8]) {
    let _ = serde_json::from_slice::<Request>(data);
    let _ = serde_json::from_slice::<Reply>(data);
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
