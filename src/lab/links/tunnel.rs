//! Tunnels of packets in packets: GRE (RFC 2784, RFC 2890), IP in IP (RFC 2003), IPv6 in IPv4 (RFC 4213), and what there is in IPv6
//! (RFC 2473).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Attribute, Below, Keys, MacRule, Making, PLAIN, Sort, Type};

/// A tunnel end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Its place in [`SORTS`].
    pub kind: usize,
    /// The other end.
    pub remote: IpAddr,
    /// This end.
    pub local: IpAddr,
    /// What tells GRE tunnels between the same ends apart.
    pub key: Option<u32>,
    /// Hops that its packets may take; 0 for as many as what they carry.
    pub ttl: u8,
}

const fn sort(
    name: &'static str,
    about: &'static str,
    module: &'static str,
    config: &'static str,
    reserved: &'static [&'static str],
) -> Sort {
    Sort {
        name,
        about,
        module,
        config,
        below: Below::Possible,
        mac: MacRule::None,
        reserved,
        ..PLAIN
    }
}

static SORTS: &[Sort] = &[
    sort("gre", "A tunnel for packets in IPv4, with GRE.", "ip_gre", "NET_IPGRE", &["gre0", "gretap0", "erspan0"]),
    Sort {
        mac: MacRule::Derived,
        ..sort("gretap", "A tunnel for frames in IPv4, with GRE.", "ip_gre", "NET_IPGRE", &["gre0", "gretap0", "erspan0"])
    },
    sort("ipip", "A tunnel for IPv4 in IPv4.", "ipip", "NET_IPIP", &["tunl0"]),
    sort("sit", "A tunnel for IPv6 in IPv4.", "sit", "IPV6_SIT", &["sit0"]),
    sort("ip6gre", "A tunnel for packets in IPv6, with GRE.", "ip6_gre", "IPV6_GRE", &["ip6gre0"]),
    Sort {
        mac: MacRule::Derived,
        ..sort("ip6gretap", "A tunnel for frames in IPv6, with GRE.", "ip6_gre", "IPV6_GRE", &["ip6gre0"])
    },
    sort("ip6tnl", "A tunnel for IPv4 and IPv6 in IPv6.", "ip6_tunnel", "IPV6_TUNNEL", &["ip6tnl0"]),
];

const IFLA_GRE_LINK: u16 = 1;
const IFLA_GRE_IFLAGS: u16 = 2;
const IFLA_GRE_OFLAGS: u16 = 3;
const IFLA_GRE_IKEY: u16 = 4;
const IFLA_GRE_OKEY: u16 = 5;
const IFLA_GRE_LOCAL: u16 = 6;
const IFLA_GRE_REMOTE: u16 = 7;
const IFLA_GRE_TTL: u16 = 8;
const IFLA_GRE_FLAGS: u16 = 13;
const GRE_KEY: u16 = 0x2000;
const IFLA_IPTUN_LINK: u16 = 1;
const IFLA_IPTUN_LOCAL: u16 = 2;
const IFLA_IPTUN_REMOTE: u16 = 3;
const IFLA_IPTUN_TTL: u16 = 4;
const IFLA_IPTUN_FLAGS: u16 = 8;
/// No header that limits how deep tunnels may be in each other: eight octets that nobody expects.
const IP6_TNL_F_IGN_ENCAP_LIMIT: u32 = 1;
/// As `ip` has it for tunnels in IPv6.
const HOP_LIMIT: u8 = 64;

impl Tunnel {
    fn is_gre(&self) -> bool {
        self.name().contains("gre")
    }

    fn is_in_v6(&self) -> bool {
        is_in_v6(self.name())
    }
}

fn is_in_v6(name: &str) -> bool {
    name.starts_with("ip6")
}

impl Type for Tunnel {
    fn sorts() -> &'static [Sort] {
        SORTS
    }

    fn read(sort: &'static Sort, keys: &mut Keys) -> Option<Tunnel> {
        let in_v6 = is_in_v6(sort.name);
        let (example, other) = match in_v6 {
            true => ("fd00::1", "fd00::2"),
            false => ("192.0.2.1", "192.0.2.2"),
        };
        let remote = keys.required().ip("remote", example, "The other end's address.");
        let local = keys.required().ip("local", other, "This end's address.");
        let ttl = keys.integer(
            "ttl",
            1..=255,
            "Hops that its packets may take (default: as many as what they carry; 64 in IPv6).",
        );
        let key = match sort.name.contains("gre") {
            true => keys.integer(
                "key",
                0..=i64::from(u32::MAX),
                "What tells tunnels between the same ends apart.",
            ),
            false => None,
        };
        for (name, address) in [("remote", remote), ("local", local)] {
            if address.is_some_and(|it| it.is_ipv6() != in_v6) {
                let family = if in_v6 { "IPv6" } else { "IPv4" };
                let message = format!("the ends of {} tunnels are {family} addresses", sort.name);
                keys.wrong(name, message, format!("for example `{name} = \"{example}\"`"));
                return None;
            }
        }
        judge_ends(keys, remote, local, false);
        Some(Tunnel {
            kind: SORTS.iter().position(|it| it.name == sort.name)?,
            remote: remote?,
            local: local?,
            key,
            ttl: ttl.unwrap_or(if in_v6 { HOP_LIMIT } else { 0 }),
        })
    }

    fn name(&self) -> &'static str {
        SORTS.get(self.kind).map_or("", |it| it.name)
    }

    fn label(&self) -> String {
        format!("{} to {}", self.name(), self.remote)
    }

    fn making(&self, link: Option<u32>) -> Making {
        let mut data = Vec::new();
        let flags = self
            .is_in_v6()
            .then_some(IP6_TNL_F_IGN_ENCAP_LIMIT);
        if self.is_gre() {
            data.extend(link.map(|it| Attribute::U32(IFLA_GRE_LINK, it)));
            data.push(Attribute::ip(IFLA_GRE_LOCAL, self.local));
            data.push(Attribute::ip(IFLA_GRE_REMOTE, self.remote));
            data.push(Attribute::U8(IFLA_GRE_TTL, self.ttl));
            if let Some(key) = self.key {
                data.push(Attribute::Be16(IFLA_GRE_IFLAGS, GRE_KEY));
                data.push(Attribute::Be16(IFLA_GRE_OFLAGS, GRE_KEY));
                data.push(Attribute::Be32(IFLA_GRE_IKEY, key));
                data.push(Attribute::Be32(IFLA_GRE_OKEY, key));
            }
            data.extend(flags.map(|it| Attribute::U32(IFLA_GRE_FLAGS, it)));
        } else {
            data.extend(link.map(|it| Attribute::U32(IFLA_IPTUN_LINK, it)));
            data.push(Attribute::ip(IFLA_IPTUN_LOCAL, self.local));
            data.push(Attribute::ip(IFLA_IPTUN_REMOTE, self.remote));
            data.push(Attribute::U8(IFLA_IPTUN_TTL, self.ttl));
            data.extend(flags.map(|it| Attribute::U32(IFLA_IPTUN_FLAGS, it)));
        }
        Making::Link(None, data)
    }
}

/// Addresses a tunnel can be between. Only of some the other end may be a multicast group.
pub(super) fn judge_ends(
    keys: &mut Keys,
    remote: Option<IpAddr>,
    local: Option<IpAddr>,
    groups: bool,
) {
    for (name, end) in [("remote", remote), ("local", local)] {
        if let Some(end) = end.filter(IpAddr::is_unspecified) {
            let message = format!("a tunnel has no end at {end}");
            keys.wrong(name, message, "write the address of a machine");
        }
    }
    if let Some(remote) = remote.filter(|it| it.is_multicast() && !groups) {
        let message = format!("a tunnel of this type does not lead to the multicast address {remote}");
        keys.wrong("remote", message, "write the address of the other end");
    }
    let Some(local) = local else { return };
    if let Some(remote) = remote {
        if local.is_ipv4() != remote.is_ipv4() {
            let message = "the ends of a tunnel are of one family, IPv4 or IPv6";
            keys.wrong("local", message, "write both addresses in the same family");
        } else if local == remote {
            let message = format!("both ends of the tunnel are {local}");
            let help = "`remote` is the other machine's address, `local` this one's";
            keys.wrong("local", message, help);
        }
    }
    if local.is_multicast() {
        let message = format!("packets cannot be sent from the multicast address {local}");
        let help = "a multicast group is a `remote`; `local` is this end's own address";
        keys.wrong("local", message, help);
    }
}
