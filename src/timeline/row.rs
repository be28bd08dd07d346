//! What changed, a row each, with words for it.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Somebody marked the time.
    Mark,
    /// A node, or a process of one.
    Node,
    /// An interface.
    Link,
    /// An address.
    Address,
    /// A neighbor on a link.
    Neighbor,
    /// A route.
    Route,
    /// A router's session.
    Session,
    /// What was not heard.
    Gap,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 8] = [
        Kind::Mark,
        Kind::Node,
        Kind::Link,
        Kind::Address,
        Kind::Neighbor,
        Kind::Route,
        Kind::Session,
        Kind::Gap,
    ];

    /// Whether the lab is not quiet while such rows come.
    pub fn is_unrest(self) -> bool {
        matches!(self, Kind::Link | Kind::Route | Kind::Session)
    }
}

/// A way that a route leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Way {
    /// The interface, or `blackhole`, `unreachable`, `prohibit`, `throw`.
    pub interface: String,
    /// The gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.interface)?;
        match self.gateway {
            // Of a link's own addresses there are as many as links: the interface says as much.
            Some(IpAddr::V6(gateway)) if gateway.is_unicast_link_local() => Ok(()),
            Some(gateway) => write!(f, " ({gateway})"),
            None => Ok(()),
        }
    }
}

/// What became of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteChange {
    /// The destination.
    pub prefix: IpNet,
    /// The table, where it is not the main one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// Whose route it is (rtm_protocol), by the name that iproute2 has for it or its number.
    pub protocol: String,
    /// Ways it leads no longer.
    pub lost: Vec<Way>,
    /// Ways it leads since then.
    pub gained: Vec<Way>,
    /// Ways it leads as before.
    pub stays: Vec<Way>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Seconds since 1970.
    pub time: f64,
    /// Nanoseconds of CLOCK_MONOTONIC.
    pub monotonic: u64,
    /// Its place among all entries; several rows may come of one.
    pub number: u64,
    /// The node; none for marks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What it is about.
    pub kind: Kind,
    /// What happened, in a word: `lost`, `gained`, `moved`, `up`, `down` …
    pub change: String,
    /// What became of a route.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteChange>,
    /// The interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The neighbor of a session or on a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbor: Option<String>,
    /// Whether it was not announced, but found by looking after announcements were lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub found: bool,
    /// All of it in words, without the node.
    pub text: String,
}

/// The name of a route's protocol, as iproute2 and FRR have it (rtnetlink.h, RTPROT_*).
pub fn protocol(number: u8) -> String {
    let name = match number {
        0 => "unspec",
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        9 => "ra",
        11 => "zebra",
        12 => "bird",
        16 => "dhcp",
        18 => "keepalived",
        42 => "babel",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        190 => "ripng",
        191 => "nhrp",
        192 => "eigrp",
        193 => "ldp",
        194 => "sharp",
        195 => "pbr",
        196 => "zstatic",
        197 => "openfabric",
        198 => "srte",
        other => return other.to_string(),
    };
    name.to_owned()
}

impl RouteChange {
    /// The word for it.
    pub fn change(&self) -> &'static str {
        match (self.lost.is_empty(), self.gained.is_empty()) {
            (false, true) => "lost",
            (false, false) => "moved",
            _ => "gained",
        }
    }

    /// It in words.
    pub fn text(&self) -> String {
        let list = |ways: &[Way]| {
            let ways: Vec<String> = ways.iter().map(ToString::to_string).collect();
            ways.join(", ")
        };
        let (lost, gained) = (list(&self.lost), list(&self.gained));
        let mut text = match self.change() {
            "lost" => format!("lost {} via {lost}", self.prefix),
            "moved" => format!("moved {} from {lost} to {gained}", self.prefix),
            _ => format!("gained {} via {gained}", self.prefix),
        };
        if !self.stays.is_empty() {
            text += &format!("; {} stays", list(&self.stays));
        }
        if let Some(table) = self.table {
            text += &format!(" in table {table}");
        }
        text
    }
}
