//! WireGuard tunnels.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::secret::base64;
use super::{Attribute, End, Keys, MacRule, Making, PLAIN, Secret, Sort, Type};
use crate::file::Span;
use crate::file::reader::Wrong;

/// A tunnel to some peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wireguard {
    /// Its private key; without one, it gets one when it is made.
    pub private_key: Option<Secret>,
    /// The UDP port it listens on.
    pub listen_port: Option<u16>,
    /// The mark of its packets, for rules.
    pub fwmark: Option<u32>,
    /// Whom it speaks to.
    pub peers: Vec<Peer>,
}

/// Whom a tunnel leads to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// Who that is.
    pub who: Who,
    /// A key that both have beside their own.
    pub preshared_key: Option<Secret>,
    /// Where it is; without a port, at the port of the interface that it is.
    pub endpoint: Option<(IpAddr, Option<u16>)>,
    /// Where that is written.
    #[serde(skip)]
    pub endpoint_span: Span,
    /// What is sent to it and taken from it.
    pub allowed_ips: Vec<IpNet>,
    /// How often it hears something at least, in seconds.
    pub persistent_keepalive: Option<u16>,
}

/// A peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// An interface of the lab, whose key nslab knows.
    Inside(End),
    /// Somebody else, by the public key.
    Outside(Vec<u8>),
}

/// Octets of a key (Curve25519).
pub const KEY: usize = 32;

impl Type for Wireguard {
    fn sorts() -> &'static [Sort] {
        &[Sort {
            name: "wireguard",
            about: "An encrypted tunnel to some peers.",
            module: "wireguard",
            config: "WIREGUARD",
            mac: MacRule::None,
            ..PLAIN
        }]
    }

    fn read(_: &'static Sort, keys: &mut Keys) -> Option<Wireguard> {
        let listen_port = keys.integer(
            "listen_port",
            1..=65535,
            "The UDP port it listens on (default: any).",
        );
        let private_key = keys.text(
            "private_key",
            "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
            "Its private key in base64 (default: one made when the lab starts, and shown nowhere).",
            key,
        );
        let fwmark = keys.integer(
            "fwmark",
            0..=i64::from(u32::MAX),
            "The mark of its packets, for `ip rule`.",
        );
        let example = "{ peer = \"b:wg0\", endpoint = \"192.0.2.1\", allowed_ips = [\"10.0.0.2/32\"] }";
        let peers = keys.tables("peers", "a peer", example, "Whom it speaks to.", peer);
        Some(Wireguard {
            private_key: private_key.map(Secret),
            listen_port,
            fwmark,
            peers: peers?,
        })
    }

    fn name(&self) -> &'static str {
        "wireguard"
    }

    fn label(&self) -> String {
        let names: Vec<String> = self
            .peers
            .iter()
            .filter_map(|peer| match &peer.who {
                Who::Inside(end) => Some(format!("{}:{}", end.node, end.interface)),
                Who::Outside(_) => None,
            })
            .collect();
        match names.as_slice() {
            [] => "wireguard".to_owned(),
            names => format!("wireguard to {}", names.join(", ")),
        }
    }

    fn making(&self, _: Option<u32>) -> Making {
        Making::Link(None, Vec::new())
    }

    fn ends(&mut self) -> Vec<&mut End> {
        self.peers
            .iter_mut()
            .filter_map(|peer| match &mut peer.who {
                Who::Inside(end) => Some(end),
                Who::Outside(_) => None,
            })
            .collect()
    }
}

fn peer(keys: &mut Keys) -> Option<Peer> {
    let inside = keys.end("peer", "The interface of the lab that it is: NODE:INTERFACE.");
    let outside = keys.text(
        "public_key",
        "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
        "The public key of a peer that is not in the lab.",
        key,
    );
    let preshared_key = keys.text(
        "preshared_key",
        "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
        "A key that both ends have beside their own, in base64.",
        key,
    );
    let endpoint = keys.text(
        "endpoint",
        "192.0.2.1:51820",
        "Where it is: an address, with the port of a peer that is not in the lab.",
        endpoint,
    );
    let allowed_ips = keys.nets("allowed_ips", "10.0.0.2/32", "What is sent to it and taken from it.");
    let persistent_keepalive = keys.integer(
        "persistent_keepalive",
        1..=65535,
        "Seconds after which it hears something at least.",
    );
    let who = match (inside, outside) {
        (Some(end), None) => Who::Inside(end),
        (None, Some(key)) => Who::Outside(key),
        (Some(_), Some(_)) => {
            let message = "`peer` is an interface of the lab, whose public key nslab knows";
            keys.wrong("public_key", message, "remove `peer` or `public_key`");
            return None;
        }
        (None, None) => {
            let help = "add `peer = \"b:wg0\"`, or `public_key = \"…\"` of one that is not in the lab";
            if !keys.has("peer") && !keys.has("public_key") {
                keys.wrong("peer", "this peer does not say who it is", help);
            }
            return None;
        }
    };
    if matches!((&who, endpoint), (Who::Outside(_), Some((_, None)))) {
        let help = "write `192.0.2.1:51820`, or `[2001:db8::1]:51820`";
        keys.wrong("endpoint", "the endpoint of a peer that is not in the lab has a port", help);
    }
    Some(Peer {
        endpoint_span: keys.span("endpoint"),
        who,
        preshared_key: preshared_key.map(Secret),
        endpoint,
        allowed_ips,
        persistent_keepalive,
    })
}

fn key(text: &str) -> Result<Vec<u8>, Wrong> {
    base64(text, KEY).ok_or_else(|| {
        Wrong::new(
            "this is not a key of WireGuard's",
            "a key is 32 octets in base64, 44 characters, as `wg genkey` and `wg pubkey` print them",
        )
    })
}

fn endpoint(text: &str) -> Result<(IpAddr, Option<u16>), Wrong> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok((address.ip(), Some(address.port())));
    }
    text.parse().map(|address| (address, None)).map_err(|_| {
        Wrong::new(
            format!("`{}` is not an endpoint", text.escape_debug()),
            "write an address, perhaps with a port: `192.0.2.1`, `192.0.2.1:51820`, `[2001:db8::1]:51820`",
        )
    })
}

/// The message that configures an interface: its own key, its port and its mark.
pub fn own(index: u32, private_key: &[u8], device: &Wireguard) -> Vec<Attribute> {
    let mut attributes = vec![
        Attribute::U32(WGDEVICE_A_IFINDEX, index),
        Attribute::Octets(WGDEVICE_A_PRIVATE_KEY, private_key.to_vec()),
    ];
    attributes.extend(
        device
            .listen_port
            .map(|it| Attribute::U16(WGDEVICE_A_LISTEN_PORT, it)),
    );
    attributes.extend(device.fwmark.map(|it| Attribute::U32(WGDEVICE_A_FWMARK, it)));
    attributes
}

/// The message that gives an interface a peer, of which key and endpoint are known.
pub fn with_peer(index: u32, public_key: &[u8], endpoint: Option<SocketAddr>, peer: &Peer) -> Vec<Attribute> {
    let mut inner = vec![Attribute::Octets(WGPEER_A_PUBLIC_KEY, public_key.to_vec())];
    inner.extend(
        peer.preshared_key
            .as_ref()
            .map(|it| Attribute::Octets(WGPEER_A_PRESHARED_KEY, it.0.clone())),
    );
    inner.extend(endpoint.map(|it| Attribute::Octets(WGPEER_A_ENDPOINT, socket_address(it))));
    inner.extend(
        peer.persistent_keepalive
            .map(|it| Attribute::U16(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, it)),
    );
    let allowed = peer.allowed_ips.iter().map(|net| {
        let family = if net.addr().is_ipv4() { AF_INET } else { AF_INET6 };
        let one = vec![
            Attribute::U16(WGALLOWEDIP_A_FAMILY, family),
            Attribute::ip(WGALLOWEDIP_A_IPADDR, net.trunc().addr()),
            Attribute::U8(WGALLOWEDIP_A_CIDR_MASK, net.prefix_len()),
        ];
        Attribute::Nest(0, one)
    });
    inner.push(Attribute::Nest(WGPEER_A_ALLOWEDIPS, allowed.collect()));
    vec![
        Attribute::U32(WGDEVICE_A_IFINDEX, index),
        Attribute::Nest(WGDEVICE_A_PEERS, vec![Attribute::Nest(0, inner)]),
    ]
}

/// `struct sockaddr_in` or `sockaddr_in6`.
fn socket_address(address: SocketAddr) -> Vec<u8> {
    let port = address.port().to_be_bytes();
    match address.ip() {
        IpAddr::V4(ip) => [&AF_INET.to_ne_bytes()[..], &port, &ip.octets(), &[0; 8]].concat(),
        IpAddr::V6(ip) => [&AF_INET6.to_ne_bytes()[..], &port, &[0; 4], &ip.octets(), &[0; 4]].concat(),
    }
}

/// The generic netlink family, and its requests (linux/wireguard.h).
pub const FAMILY: &str = "wireguard";
/// Asks what an interface is like.
pub const GET_DEVICE: u8 = 0;
/// Changes it.
pub const SET_DEVICE: u8 = 1;
/// The attribute of an answer that is the public key.
pub const PUBLIC_KEY: u16 = 4;
const WGDEVICE_A_IFINDEX: u16 = 1;
const WGDEVICE_A_PRIVATE_KEY: u16 = 3;
const WGDEVICE_A_LISTEN_PORT: u16 = 6;
const WGDEVICE_A_FWMARK: u16 = 7;
const WGDEVICE_A_PEERS: u16 = 8;
const WGPEER_A_PUBLIC_KEY: u16 = 1;
const WGPEER_A_PRESHARED_KEY: u16 = 2;
const WGPEER_A_ENDPOINT: u16 = 4;
const WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL: u16 = 5;
const WGPEER_A_ALLOWEDIPS: u16 = 9;
const WGALLOWEDIP_A_FAMILY: u16 = 1;
const WGALLOWEDIP_A_IPADDR: u16 = 2;
const WGALLOWEDIP_A_CIDR_MASK: u16 = 3;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
