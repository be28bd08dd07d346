//! Words and what they stand for.

use super::syntax::Protocol;

/// Protocols that have a word of their own.
pub const PROTOCOLS: &[(&str, Protocol)] = &[
    ("ether", Protocol::Ether),
    ("link", Protocol::Ether),
    ("ip", Protocol::Ip),
    ("ip6", Protocol::Ip6),
    ("arp", Protocol::Arp),
    ("rarp", Protocol::Rarp),
    ("tcp", Protocol::Tcp),
    ("udp", Protocol::Udp),
    ("sctp", Protocol::Sctp),
    ("icmp", Protocol::Icmp),
    ("icmp6", Protocol::Icmp6),
    ("igmp", Protocol::Igmp),
    ("igrp", Protocol::Igrp),
    ("pim", Protocol::Pim),
    ("vrrp", Protocol::Vrrp),
    ("carp", Protocol::Carp),
    ("ah", Protocol::Ah),
    ("esp", Protocol::Esp),
    ("iso", Protocol::Iso),
    ("isis", Protocol::Isis),
    ("is-is", Protocol::Isis),
    ("esis", Protocol::Esis),
    ("es-is", Protocol::Esis),
    ("clnp", Protocol::Clnp),
    ("stp", Protocol::Stp),
];

/// Words of pcap-filter(7) that nslab does not know.
pub const UNSUPPORTED: &[&str] = &[
    "gateway",
    "protochain",
    "fddi",
    "tr",
    "wlan",
    "ppp",
    "slip",
    "aarp",
    "atalk",
    "decnet",
    "lat",
    "sca",
    "moprc",
    "mopdl",
    "ipx",
    "netbeui",
    "csnp",
    "psnp",
    "lsp",
    "snp",
    "iih",
    "l1",
    "l2",
    "llc",
    "pppoed",
    "pppoes",
    "geneve",
    "ifindex",
    "ifname",
    "on",
    "rnr",
    "rulenum",
    "srnr",
    "subrulenum",
    "reason",
    "rset",
    "ruleset",
    "action",
    "type",
    "subtype",
    "direction",
    "addr1",
    "addr2",
    "addr3",
    "addr4",
    "ra",
    "ta",
    "byte",
    "radio",
    "vpi",
    "vci",
    "lane",
    "oam",
    "oamf4",
    "bcc",
    "sc",
    "ilmic",
    "metac",
    "connectmsg",
    "metaconnect",
    "sio",
    "opc",
    "dpc",
    "sls",
    "fisu",
    "lssu",
    "lsu",
    "msu",
    "hfisu",
    "hlssu",
    "hmsu",
];

/// Words that are no names of hosts.
pub const KEYWORDS: &[&str] = &[
    "and",
    "or",
    "not",
    "src",
    "dst",
    "host",
    "net",
    "port",
    "portrange",
    "proto",
    "mask",
    "len",
    "length",
    "broadcast",
    "multicast",
    "less",
    "greater",
    "inbound",
    "outbound",
    "vlan",
    "mpls",
];

/// Numbers that have names: offsets in headers, and what stands there.
pub const NUMBERS: &[(&str, u32)] = &[
    ("tcpflags", 13),
    ("tcp-fin", 0x01),
    ("tcp-syn", 0x02),
    ("tcp-rst", 0x04),
    ("tcp-push", 0x08),
    ("tcp-ack", 0x10),
    ("tcp-urg", 0x20),
    ("tcp-ece", 0x40),
    ("tcp-cwr", 0x80),
    ("icmptype", 0),
    ("icmpcode", 1),
    ("icmp-echoreply", 0),
    ("icmp-unreach", 3),
    ("icmp-sourcequench", 4),
    ("icmp-redirect", 5),
    ("icmp-echo", 8),
    ("icmp-routeradvert", 9),
    ("icmp-routersolicit", 10),
    ("icmp-timxceed", 11),
    ("icmp-paramprob", 12),
    ("icmp-tstamp", 13),
    ("icmp-tstampreply", 14),
    ("icmp-ireq", 15),
    ("icmp-ireqreply", 16),
    ("icmp-maskreq", 17),
    ("icmp-maskreply", 18),
    ("icmp6type", 0),
    ("icmp6code", 1),
    ("icmp6-destinationunreach", 1),
    ("icmp6-packettoobig", 2),
    ("icmp6-timeexceeded", 3),
    ("icmp6-parameterproblem", 4),
    ("icmp6-echo", 128),
    ("icmp6-echoreply", 129),
    ("icmp6-multicastlistenerquery", 130),
    ("icmp6-multicastlistenerreportv1", 131),
    ("icmp6-multicastlistenerdone", 132),
    ("icmp6-routersolicit", 133),
    ("icmp6-routeradvert", 134),
    ("icmp6-neighborsolicit", 135),
    ("icmp6-neighboradvert", 136),
    ("icmp6-redirect", 137),
    ("icmp6-multicastlistenerreportv2", 143),
];

/// Ports, as far as labs have them. A name stands for its number, whatever the transport is.
const PORTS: &[(&str, u16)] = &[
    ("ftp-data", 20),
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("http", 80),
    ("ntp", 123),
    ("snmp", 161),
    ("snmp-trap", 162),
    ("bgp", 179),
    ("ldap", 389),
    ("https", 443),
    ("syslog", 514),
    ("rip", 520),
    ("ripng", 521),
    ("dhcpv6-client", 546),
    ("dhcpv6-server", 547),
    ("ldp", 646),
    ("etcd-client", 2379),
    ("etcd-server", 2380),
    ("iperf3", 5201),
    ("bfd-control", 3784),
    ("bfd-echo", 3785),
    ("bfd-multi-ctl", 4784),
    ("vxlan", 4789),
    ("geneve", 6081),
    ("wireguard", 51820),
];

/// Protocols above IP by the names of /etc/protocols.
const IP_PROTOCOLS: &[(&str, u32)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("ipencap", 4),
    ("ipip", 4),
    ("tcp", 6),
    ("igp", 9),
    ("igrp", 9),
    ("udp", 17),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmp6", 58),
    ("ipv6-icmp", 58),
    ("eigrp", 88),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("sctp", 132),
];

/// Protocols above Ethernet.
const ETHER_PROTOCOLS: &[(&str, u32)] = &[
    ("ip", 0x0800),
    ("arp", 0x0806),
    ("rarp", 0x8035),
    ("ip6", 0x86dd),
    ("mpls", 0x8847),
    ("lldp", 0x88cc),
    ("stp", 0x42),
    ("iso", 0xfe),
];

fn in_table<T: Copy>(table: &[(&str, T)], word: &str) -> Option<T> {
    table
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, value)| *value)
}

/// The protocol of a word.
pub fn protocol(word: &str) -> Option<Protocol> {
    in_table(PROTOCOLS, word)
}

/// The number of a word in arithmetic.
pub fn number(word: &str) -> Option<u32> {
    in_table(NUMBERS, word)
}

/// The port of a name.
pub fn port(word: &str) -> Option<u16> {
    in_table(PORTS, word)
}

/// The ports that have names, for messages.
pub fn ports() -> impl Iterator<Item = &'static str> {
    PORTS.iter().map(|(name, _)| *name)
}

/// A protocol above IP.
pub fn ip_protocol(word: &str) -> Option<u32> {
    in_table(IP_PROTOCOLS, word)
}

/// A protocol above Ethernet.
pub fn ether_protocol(word: &str) -> Option<u32> {
    in_table(ETHER_PROTOCOLS, word)
}

/// The word that is nearest to one that is not known, if one is near.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let best = known.max_by(|a, b| strsim::jaro(a, word).total_cmp(&strsim::jaro(b, word)))?;
    (strsim::jaro(best, word) > 0.8).then_some(best)
}

/// What to do about a word that is not known.
pub fn cure(word: &str) -> String {
    let known = PROTOCOLS.iter().map(|(name, _)| *name);
    match nearest(word, known.chain(KEYWORDS.iter().copied())) {
        Some(near) => format!("did you mean {near}?"),
        None => "names are not looked up: write the address".to_owned(),
    }
}
