//! The filter compiler against libpcap's: `tcpdump -ddd` (Debian's package tcpdump) compiles the same expressions, and both
//! programs run on the same packets. NSLAB_ORACLE says how many expressions are tried.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

use nslab_capture::filter::{
    ALL, Direction, Instruction, LinkType, Packet, compile, compile_for_kernel, matches,
};

/// Marsaglia's xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

const V4: &[&str] = &["10.0.0.1", "10.0.0.2", "10.1.2.3", "224.0.0.5", "192.0.2.255"];
const V6: &[&str] = &["2001:db8::1", "2001:db8::2", "fe80::1", "ff02::5", "::1"];
const MACS: &[&str] = &[
    "02:00:00:00:00:01",
    "02:00:00:00:00:02",
    "ff:ff:ff:ff:ff:ff",
    "01:00:5e:00:00:05",
];
const PORTS: &[u16] = &[22, 53, 80, 179, 1024];
const PROTOCOLS: &[u8] = &[1, 2, 6, 17, 44, 47, 50, 51, 58, 89, 103, 112, 132];

/// A primitive; VLANs and labels only where they are wanted, as they change what follows.
fn primitive(random: &mut Random, link: LinkType) -> String {
    let end = random.one(&["", "", "src ", "dst ", "src or dst ", "src and dst "]);
    let transport = random.one(&["", "tcp ", "udp ", "sctp "]);
    let ethernet = link == LinkType::Ethernet;
    match random.below(if ethernet { 22 } else { 15 }) {
        0 => format!("{end}host {}", random.one(V4)),
        1 => format!("{end}host {}", random.one(V6)),
        2 => format!(
            "{end}net {}",
            random.one(&[
                "10",
                "10.0.0",
                "10.0.0.0/8",
                "10.0.0.0 mask 255.255.255.254",
                "0.0.0.0/0",
                "224.0.0.0/4"
            ])
        ),
        3 => format!(
            "{end}net {}",
            random.one(&["2001:db8::/32", "2001:db8::/127", "fe80::/10", "::/0", "ff00::/8"])
        ),
        4 => format!("{transport}{end}port {}", random.one(PORTS)),
        5 => format!(
            "{transport}{end}portrange {}-{}",
            random.one(PORTS),
            random.one(PORTS)
        ),
        6 => random
            .one(&[
                "ip", "ip6", "tcp", "udp", "icmp", "icmp6", "igmp", "pim", "vrrp", "ah", "esp", "sctp",
            ])
            .to_owned(),
        7 => format!(
            "{}proto {}",
            random.one(&["ip ", "ip6 ", ""]),
            random.one(PROTOCOLS)
        ),
        8 => format!(
            "{} {}",
            random.one(&["less", "greater"]),
            random.one(&[60, 64, 80, 90, 100])
        ),
        9 => random.one(&["ip multicast", "ip6 multicast"]).to_owned(),
        10 => {
            let flags = random.one(&[
                "tcp-syn",
                "tcp-ack",
                "(tcp-syn|tcp-fin)",
                "(tcp-rst|tcp-push)",
                "0x12",
            ]);
            format!("tcp[tcpflags] & {flags} {} 0", random.one(&["=", "!=", "=="]))
        }
        11..=13 => format!(
            "{} {} {}",
            arithmetic(random, 2),
            random.one(&["=", "!=", "<", ">", "<=", ">="]),
            arithmetic(random, 1)
        ),
        14 => format!("ip {end}host {}", random.one(V4)),
        15 => format!(
            "ether {}host {}",
            random.one(&["", "src ", "dst "]),
            random.one(MACS)
        ),
        16 => random
            .one(&[
                "broadcast",
                "multicast",
                "ether broadcast",
                "arp",
                "rarp",
                "stp",
                "isis",
                "iso",
                "esis",
                "clnp",
            ])
            .to_owned(),
        17 => format!(
            "ether proto {}",
            random.one(&[
                "0x800", "0x86dd", "0x88cc", "\\arp", "0x42", "0xfe", "1500", "1501"
            ])
        ),
        18 => format!("arp {end}host {}", random.one(V4)),
        19 => format!(
            "ether[{}] {} {}",
            random.below(70),
            random.one(&["=", ">", "<"]),
            random.below(256)
        ),
        20 => format!("arp[6:2] = {}", random.below(3)),
        _ => format!("port {} or {}", random.one(PORTS), random.one(PORTS)),
    }
}

fn arithmetic(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.below(3) == 0 {
        let protocol = random.one(&["ip", "ip", "ip6", "tcp", "udp", "icmp", "icmp6", "ether"]);
        let size = random.one(&["", ":1", ":2", ":4"]);
        return match random.below(5) {
            0 => random
                .one(&["0", "5", "0x45", "64", "0xffff", "010", "4294967295"])
                .to_owned(),
            1 => "len".to_owned(),
            2 => format!("{protocol}[{}{size}]", random.below(24)),
            3 => format!("{protocol}[ip[0] & 0xf{size}]"),
            _ => format!("{protocol}[{}{size}]", random.below(12)),
        };
    }
    // libpcap forgets to ask for the protocol of a right operand: `1 + tcp[0] > 3` is true of UDP as well. nslab asks.
    let right = match random.below(3) {
        0 => "len".to_owned(),
        1 => format!("ether[{}:2]", random.below(40)),
        _ => random.below(300).to_string(),
    };
    let left = arithmetic(random, depth - 1);
    match random.below(9) {
        0 => format!("({left} {} {})", random.one(&["<<", ">>"]), random.below(32)),
        1 => format!("({left} {} {})", random.one(&["/", "%"]), 1 + random.below(9)),
        2 => format!("-{left}"),
        3 => format!("{left} ^ {right}"),
        4 => format!("({left} - {right})"),
        5 => format!("{left} % 7 + {right}"),
        _ => format!("{left} {} {right}", random.one(&["+", "*", "&", "|"])),
    }
}

fn expression(random: &mut Random, link: LinkType, depth: usize) -> String {
    if depth == 0 || random.below(4) == 0 {
        let not = random.one(&["", "", "", "not ", "!"]);
        return format!("{not}{}", primitive(random, link));
    }
    let (left, right) = (
        expression(random, link, depth - 1),
        expression(random, link, depth - 1),
    );
    match random.below(6) {
        0 | 1 => format!("{left} {} {right}", random.one(&["and", "&&"])),
        2 | 3 => format!("{left} {} {right}", random.one(&["or", "||"])),
        4 => format!("not ({left}) or {right}"),
        _ => format!("({left}) and {right}"),
    }
}

/// The same with VLANs and labels in front.
fn tagged(random: &mut Random) -> String {
    let inner = expression(random, LinkType::Ethernet, 2);
    let (vlan, label) = (random.one(&["", " 5", " 6"]), random.one(&["", " 7", " 8"]));
    let behind = random.one(&[
        "ip",
        "ip6",
        "tcp port 179",
        "host 10.0.0.1",
        "udp[0:2] = 53",
        "net 2001:db8::/32",
    ]);
    match random.below(5) {
        0 => format!("vlan{vlan} and ({inner})"),
        1 => format!("({inner}) or vlan{vlan} and udp"),
        2 => format!("vlan{vlan} and vlan{vlan} and ({inner})"),
        3 => format!("mpls{label} and {behind}"),
        _ => format!("vlan{vlan} and mpls{label} and mpls and {behind}"),
    }
}

fn packet(random: &mut Random, link: LinkType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut kind = random.one(&[4u8, 4, 4, 6, 6, 6, 0, 1, 2]);
    if link == LinkType::Ethernet {
        bytes.extend(mac(random.one(MACS)));
        bytes.extend(mac(random.one(MACS)));
        for _ in 0..random.one(&[0, 0, 0, 1, 2]) {
            bytes.extend(random.one(&[0x8100u16, 0x88a8, 0x9100]).to_be_bytes());
            bytes.extend(random.one(&[5u16, 6, 0x2005]).to_be_bytes());
        }
        let labels = if kind > 2 { random.one(&[0, 0, 0, 1, 2]) } else { 0 };
        let ethertype = match kind {
            _ if labels > 0 => 0x8847,
            4 => 0x0800u16,
            6 => 0x86dd,
            0 => random.one(&[0x0806, 0x8035]),
            1 => random.one(&[38, 60, 1500]),
            _ => random.one(&[0x88cc, 1501, 0x0600]),
        };
        bytes.extend(ethertype.to_be_bytes());
        for label in 1..=labels {
            let bottom = if label == labels { 0x100 } else { 0 };
            bytes.extend((random.one(&[7u32, 8]) << 12 | bottom | 64).to_be_bytes());
        }
    } else if kind < 4 {
        kind = 4;
    }
    match kind {
        4 => v4(random, &mut bytes),
        6 => v6(random, &mut bytes),
        0 => arp(random, &mut bytes),
        1 => {
            bytes.extend(random.one(&[[0x42, 0x42, 3], [0xfe, 0xfe, 3], [0x42, 0xfe, 3]]));
            bytes.push(random.one(&[0x81, 0x82, 0x83, 0]));
        }
        _ => {}
    }
    let whole = random.one(&[60, 80, 100, 130]);
    while bytes.len() < whole {
        bytes.push(random.one(&[0, 1, 2, 0x10, 0xff, 22]));
    }
    bytes
}

fn mac(text: &str) -> Vec<u8> {
    text.split(':')
        .map(|part| u8::from_str_radix(part, 16).unwrap())
        .collect()
}

fn v4(random: &mut Random, bytes: &mut Vec<u8>) {
    let words = random.one(&[5u8, 5, 5, 6, 8]);
    let fragment = random.one(&[0u16, 0, 0, 0x4000, 0x2000, 0x2010, 0x0010]);
    bytes.extend([0x40 | words, 0, 0, 60, 0, 1]);
    bytes.extend(fragment.to_be_bytes());
    let protocol = random.one(PROTOCOLS);
    bytes.extend([64, protocol, 0, 0]);
    for _ in 0..2 {
        let address: std::net::Ipv4Addr = random.one(V4).parse().unwrap();
        bytes.extend(address.octets());
    }
    bytes.resize(bytes.len() + 4 * usize::from(words - 5), 1);
    transport(random, bytes);
}

fn v6(random: &mut Random, bytes: &mut Vec<u8>) {
    let next = random.one(PROTOCOLS);
    bytes.extend([0x60, 0, 0, 0, 0, 40, next, 64]);
    for _ in 0..2 {
        let address: std::net::Ipv6Addr = random.one(V6).parse().unwrap();
        bytes.extend(address.octets());
    }
    if next == 44 {
        bytes.extend([random.one(PROTOCOLS), 0, 0, 0, 0, 0, 0, 1]);
    }
    transport(random, bytes);
}

fn transport(random: &mut Random, bytes: &mut Vec<u8>) {
    bytes.extend(random.one(PORTS).to_be_bytes());
    bytes.extend(random.one(PORTS).to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50]);
    bytes.push(random.one(&[0x02, 0x12, 0x10, 0x11, 0x04, 0x18]));
}

fn arp(random: &mut Random, bytes: &mut Vec<u8>) {
    bytes.extend([0, 1, 8, 0, 6, 4, 0, random.one(&[1, 2])]);
    for _ in 0..2 {
        bytes.extend(mac(random.one(MACS)));
        let address: std::net::Ipv4Addr = random.one(V4).parse().unwrap();
        bytes.extend(address.octets());
    }
}

/// What libpcap makes of an expression: the program, or why not.
fn libpcap(expression: &str, link: LinkType) -> Result<Vec<Instruction>, String> {
    let link = match link {
        LinkType::Ethernet => "EN10MB",
        LinkType::RawIp => "RAW",
    };
    compiled(&["-O", "-ddd", "-y", link, "--", expression])
}

fn compiled(words: &[&str]) -> Result<Vec<Instruction>, String> {
    let output = Command::new("tcpdump")
        .args(words)
        .output()
        .expect("tcpdump, which Debian's package tcpdump has, is what this test compares with");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let instruction = |line: &str| {
        let numbers: Vec<u32> = line.split(' ').map(|it| it.parse().unwrap()).collect();
        Instruction {
            code: numbers[0] as u16,
            jt: numbers[1] as u8,
            jf: numbers[2] as u8,
            k: numbers[3],
        }
    };
    Ok(text.lines().skip(1).map(instruction).collect())
}

fn times(usual: usize) -> usize {
    std::env::var("NSLAB_ORACLE").map_or(usual, |it| it.parse().unwrap())
}

/// Both programs say the same of packets, whole and cut off.
fn compare(expression: &str, link: LinkType, random: &mut Random) -> bool {
    let theirs = match libpcap(expression, link) {
        Ok(program) => program,
        Err(error) => {
            // Its optimizer cannot see it; ours does.
            assert!(
                compile(expression, link).is_err(),
                "{expression}: libpcap says {error}"
            );
            return false;
        }
    };
    let ours = match compile(expression, link) {
        Ok(program) => program,
        Err(error) if error.message.contains("no packet at all") => return false,
        Err(error) => panic!("{expression}: {error}\n{}", error.excerpt(expression)),
    };
    // A load beyond the end of what was kept ends the program, so the order of loads shows where there are several.
    let is_single = !["and", "or", "not", "!", "&", "|", "net ", " proto "]
        .iter()
        .any(|it| expression.contains(it));
    let mut fits = false;
    for _ in 0..60 {
        let bytes = packet(random, link);
        let kept = match is_single && random.below(4) == 0 {
            true => random.below(bytes.len()),
            false => bytes.len(),
        };
        let packet = Packet {
            bytes: &bytes[..kept],
            length: bytes.len() as u32,
            direction: Direction::In,
            tag: None,
        };
        let (they, we) = (matches(&theirs, &packet) != 0, matches(&ours, &packet) != 0);
        assert_eq!(we, they, "{expression}\n{:02x?}\n{ours:?}", &bytes[..kept]);
        fits |= we;
    }
    fits
}

#[test]
fn random_expressions_mean_what_they_mean_to_libpcap() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut fitting = 0;
    let times = times(1200);
    for round in 0..times {
        let link = if round % 4 == 0 {
            LinkType::RawIp
        } else {
            LinkType::Ethernet
        };
        let depth = random.below(4);
        let text = match (link, round % 3) {
            (LinkType::Ethernet, 0) => tagged(&mut random),
            _ => expression(&mut random, link, depth),
        };
        fitting += usize::from(compare(&text, link, &mut random));
    }
    assert!(fitting > times / 3, "too few of them match anything: {fitting}");
}

#[test]
fn tags_beside_the_packet_mean_what_they_mean_to_libpcap() {
    let on_interface = |text: &str| compiled(&["-O", "-ddd", "-i", "lo", "--", text]);
    if let Err(error) = on_interface("vlan") {
        eprintln!("skipped: {error}");
        return;
    }
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut fitting = 0;
    for _ in 0..times(1200) / 12 {
        let text = tagged(&mut random);
        // There what follows has moved only where `vlan` was asked at all, and not, as in files and here, wherever it stands.
        if text.contains("or vlan") {
            continue;
        }
        let Ok(theirs) = on_interface(&text) else { continue };
        let ours = match compile_for_kernel(&text, LinkType::Ethernet, ALL) {
            Ok(program) => program,
            Err(error) if error.message.contains("no packet at all") => continue,
            Err(error) => panic!("{text}: {error}"),
        };
        for _ in 0..60 {
            let bytes = packet(&mut random, LinkType::Ethernet);
            let packet = Packet {
                bytes: &bytes,
                length: bytes.len() as u32,
                direction: Direction::In,
                tag: random.one(&[None, Some(5), Some(6), Some(0x2005)]),
            };
            let (they, we) = (matches(&theirs, &packet) != 0, matches(&ours, &packet) != 0);
            assert_eq!(we, they, "{text} {:?}\n{bytes:02x?}", packet.tag);
            fitting += usize::from(we);
        }
    }
    assert!(fitting > 100, "too few of them match anything: {fitting}");
}
