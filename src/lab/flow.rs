//! Flows: numbered packets from one node to another, of which it is known what becomes of them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::Family;
use nslab_flow::{LEAST, MOST, MOST_PPS};

/// No lab has more flows.
pub const MOST_FLOWS: usize = 4096;
/// All flows of a lab have no more packets a second together.
pub const MOST_PPS_OF_ALL: u64 = 200_000;
/// Packets a second unless something else is said.
pub const PPS: u32 = 100;
/// Bytes of a packet unless something else is said.
pub const SIZE: u32 = 64;
/// What takes longer is late unless something else is said.
pub const LATE_AFTER: Duration = Duration::from_secs(1);
/// The longest name.
const LONGEST_NAME: usize = 64;
/// Names of code points (RFC 2474, RFC 2597, RFC 3246, RFC 5865, RFC 8622).
const CODE_POINTS: [(&str, u8); 24] = [
    ("default", 0),
    ("cs0", 0),
    ("le", 1),
    ("cs1", 8),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("cs2", 16),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("cs3", 24),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("cs4", 32),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("cs5", 40),
    ("va", 44),
    ("ef", 46),
    ("cs6", 48),
    ("cs7", 56),
];

/// One entry of `[[flows]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Its name.
    pub name: String,
    /// Who sends.
    pub from: Place,
    /// Who receives.
    pub to: Target,
    /// What the packets are.
    pub proto: Proto,
    /// Packets a second; none for a transfer as fast as it goes.
    pub pps: Option<u32>,
    /// Bytes of a packet behind the headers of IP and of the protocol.
    pub size: u32,
    /// The code point of differentiated services.
    pub dscp: u8,
    /// The address family; none for IPv4 where both ends have it, and else IPv6.
    pub family: Option<Family>,
    /// The receiver's port; none for one that follows from the name.
    pub port: Option<u16>,
    /// What takes longer is late, and what has not arrived by then is lost.
    pub late_after: Duration,
    /// Whether it starts when the lab is ready.
    pub start: bool,
}

/// A node, perhaps one of its interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The node.
    pub node: String,
    /// The interface whose address is meant.
    pub interface: Option<String>,
}

/// Where a flow leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A node.
    Node(Place),
    /// An address, whoever has it.
    Address(IpAddr),
}

/// What the packets of a flow are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proto {
    /// Datagrams, counted where they arrive.
    #[default]
    Udp,
    /// Messages on a connection; without a pace a transfer.
    Tcp,
    /// Echo requests, counted by the replies.
    Icmp,
}

impl Proto {
    /// All, by their names.
    pub const ALL: &[(&str, Proto)] = &[("udp", Proto::Udp), ("tcp", Proto::Tcp), ("icmp", Proto::Icmp)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Proto::ALL
            .iter()
            .find(|(_, it)| *it == self)
            .map_or("", |it| it.0)
    }
}

impl Place {
    /// Reads `node` or `node:interface`.
    pub fn parse(text: &str) -> Place {
        match text.split_once(':') {
            Some((node, interface)) => Place {
                node: node.to_owned(),
                interface: Some(interface.to_owned()),
            },
            None => Place {
                node: text.to_owned(),
                interface: None,
            },
        }
    }
}

impl Target {
    /// Reads an address, or what [`Place::parse`] reads.
    pub fn parse(text: &str) -> Target {
        match text.parse() {
            Ok(address) => Target::Address(address),
            Err(_) => Target::Node(Place::parse(text)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interface {
            Some(interface) => write!(f, "{}:{interface}", self.node),
            None => write!(f, "{}", self.node),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Node(place) => write!(f, "{place}"),
            Target::Address(address) => write!(f, "{address}"),
        }
    }
}

/// Whether a flow can have a name; if not, what is wrong with it, and how it would be right.
///
/// # Errors
/// It is empty, long, or has characters that words on a command line do not have.
pub fn name(text: &str) -> Result<(), (String, &'static str)> {
    let help = "use letters, digits, `-`, `_`, `.` and `:`, 64 at most: `h0-h3`";
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    match text.chars().find(|c| !is_legal(*c)) {
        Some(illegal) => Err((format!("a flow's name contains {illegal:?}"), help)),
        None if text.is_empty() => Err(("a flow has no name".into(), help)),
        None if text.len() > LONGEST_NAME => {
            Err((format!("a flow's name is {} characters long", text.len()), help))
        }
        None if text.starts_with('-') => Err(("a flow's name begins with `-`".into(), help)),
        None => Ok(()),
    }
}

/// A code point by its name or number.
pub fn code_point(text: &str) -> Option<u8> {
    let lower = text.to_ascii_lowercase();
    let named = CODE_POINTS.iter().find(|(name, _)| *name == lower);
    let number = || text.parse().ok().filter(|number| *number < 64);
    named.map(|(_, number)| *number).or_else(number)
}

/// An error in what is said of a flow: the key that is wrong, the error, and its cure.
pub type Wrong = (&'static str, String, String);

impl Flow {
    /// What cannot be, of what is said.
    pub fn diagnostics(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let mut tell = |key, message: String, help: &str| wrong.push((key, message, help.to_owned()));
        if self.proto == Proto::Icmp && self.port.is_some() {
            tell(
                "port",
                "icmp has no ports".into(),
                "remove it, or take udp or tcp",
            );
        }
        if self.proto != Proto::Tcp && self.pps.is_none() {
            let message = format!("{} has no transfers: it needs a pace", self.proto.name());
            tell("pps", message, "say how many packets a second: `pps = 100`");
        }
        if self.pps.is_some_and(|pps| pps == 0 || pps > MOST_PPS) {
            let message = format!("a flow has 1 to {MOST_PPS} packets a second");
            tell("pps", message, "give another number: `pps = 100`");
        }
        if !(LEAST..=MOST).contains(&(self.size as usize)) {
            let message = format!("a packet of a flow has {LEAST} to {MOST} bytes");
            tell("size", message, "give another number: `size = 64`");
        }
        if let (Target::Address(address), Some(family)) = (&self.to, self.family)
            && address.is_ipv4() != (family == Family::Ipv4)
        {
            let message = format!("{address} is not of the family that is asked for");
            tell("family", message, "remove `family`: the address says it");
        }
        if let Target::Address(address) = &self.to
            && (address.is_multicast() || address.is_unspecified() || address.is_loopback())
        {
            let message = format!("{address} is no address of a node");
            tell("to", message, "name a node, or the address of one: `to = \"b\"`");
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow {
        Flow {
            name: "a-b".into(),
            from: Place::parse("a"),
            to: Target::parse("b"),
            proto: Proto::Udp,
            pps: Some(PPS),
            size: SIZE,
            dscp: 0,
            family: None,
            port: None,
            late_after: LATE_AFTER,
            start: false,
        }
    }

    #[test]
    fn targets_are_addresses_nodes_and_interfaces() {
        assert_eq!(
            Target::parse("10.0.0.1"),
            Target::Address("10.0.0.1".parse().unwrap())
        );
        assert_eq!(
            Target::parse("fd00::1"),
            Target::Address("fd00::1".parse().unwrap())
        );
        assert_eq!(Target::parse("b:eth1").to_string(), "b:eth1");
        assert_eq!(Place::parse("b").interface, None);
    }

    #[test]
    fn code_points_have_names() {
        assert_eq!(code_point("EF"), Some(46));
        assert_eq!(code_point("46"), Some(46));
        assert_eq!(code_point("64"), None);
        assert_eq!(code_point("no"), None);
    }

    #[test]
    fn what_cannot_be_is_told() {
        assert_eq!(flow().diagnostics(), []);
        let keys = |flow: Flow| flow.diagnostics().into_iter().map(|it| it.0).collect::<Vec<_>>();
        assert_eq!(keys(Flow { pps: None, ..flow() }), ["pps"]);
        assert_eq!(
            keys(Flow {
                pps: Some(0),
                ..flow()
            }),
            ["pps"]
        );
        assert_eq!(keys(Flow { size: 23, ..flow() }), ["size"]);
        let icmp = Flow {
            proto: Proto::Icmp,
            port: Some(7),
            ..flow()
        };
        assert_eq!(keys(icmp), ["port"]);
        let tcp = Flow {
            proto: Proto::Tcp,
            pps: None,
            ..flow()
        };
        assert_eq!(keys(tcp), [] as [&str; 0]);
        let six = Flow {
            to: Target::parse("10.0.0.1"),
            family: Some(Family::Ipv6),
            ..flow()
        };
        assert_eq!(keys(six), ["family"]);
        let all = Flow {
            to: Target::parse("224.0.0.1"),
            ..flow()
        };
        assert_eq!(keys(all), ["to"]);
    }

    #[test]
    fn names_are_words() {
        assert!(name("h0-h3").is_ok());
        for wrong in ["", "-x", "a b", "a,b", "*", "é", &"x".repeat(65)] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
