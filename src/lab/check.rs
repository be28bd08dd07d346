//! Checks: what a lab file says must be true of the living lab.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::model::Command;

/// One entry of `[[checks]]`, for one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name in reports.
    pub name: String,
    /// The node it is made in.
    pub node: String,
    /// What is asked.
    pub question: Question,
    /// How long the answer may take to become right; asked once where it is zero.
    pub within: Duration,
    /// How long it must then stay right.
    pub stays: Duration,
    /// Whether the opposite is wanted.
    pub not: bool,
    /// When `nslab test` makes it.
    pub phase: Phase,
    /// The line of the lab file it stands in (1-based).
    pub line: usize,
}

/// When a check is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Ahead of the manifests, in `nslab test` only.
    Before,
    /// When everything is there.
    After,
}

/// What a check asks, and the answer it wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// A command in the node.
    Run {
        /// What to run.
        command: Command,
        /// What it must do.
        expect: Expect,
    },
    /// An ICMP echo request must be answered.
    Ping {
        /// The destination.
        to: IpAddr,
        /// The source, or the kernel's choice.
        from: Option<IpAddr>,
    },
    /// A TCP connection must be accepted.
    Tcp(SocketAddr),
    /// The kernel must have a route.
    Route(RouteWanted),
    /// A BGP neighbor must be in a state.
    Bgp(BgpWanted),
}

/// What is expected of a command; all that is given must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Expect {
    /// Exit status, as a shell gives it.
    pub exit: i32,
    /// All of standard output, but for white space at both ends.
    pub stdout: Option<String>,
    /// Texts in standard output.
    pub contains: Vec<String>,
    /// A regular expression that must match somewhere in standard output; `^` and `$` match at lines.
    pub matches: Option<String>,
    /// A jq filter on standard output.
    pub jq: Option<String>,
    /// What the filter must give; `true` where nothing is said.
    pub equals: Option<serde_json::Value>,
}

/// A route as the kernel has it. What is not given may be anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteWanted {
    /// The exact destination.
    pub to: IpNet,
    /// A next hop's gateway.
    pub via: Option<IpAddr>,
    /// A next hop's interface.
    pub dev: Option<String>,
    /// Who installed it, as `ip route` says: `bgp`, `ospf`, `static`, `kernel`, or a number.
    pub proto: Option<String>,
    /// How many next hops it has.
    pub nexthops: Option<usize>,
    /// Its priority.
    pub metric: Option<u32>,
    /// Its table; main (254) where none is given.
    pub table: u32,
}

/// A BGP neighbor as the router's `show bgp summary json` has it. What is not given may be anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BgpWanted {
    /// Its address, interface, or host name.
    pub neighbor: String,
    /// The address family; the first that has the neighbor where none is given.
    pub family: Option<Family>,
    /// The session's state.
    pub state: Option<String>,
    /// Its AS number.
    pub remote_as: Option<u32>,
    /// Prefixes received.
    pub received: Option<u64>,
    /// Prefixes sent.
    pub sent: Option<u64>,
}

/// An address family of BGP, unicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// Its key in FRR's JSON.
    pub fn key(self) -> &'static str {
        match self {
            Family::Ipv4 => "ipv4Unicast",
            Family::Ipv6 => "ipv6Unicast",
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::Run { command, .. } => write!(f, "{command}"),
            Question::Ping { to, .. } => write!(f, "ping {to}"),
            Question::Tcp(to) => write!(f, "tcp {to}"),
            Question::Route(wanted) => write!(f, "route {}", wanted.to),
            Question::Bgp(wanted) => write!(f, "bgp neighbor {}", wanted.neighbor),
        }
    }
}
