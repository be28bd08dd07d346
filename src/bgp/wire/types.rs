//! Small values that messages are made of.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Stands for an AS number that two octets cannot hold (RFC 6793 section 2).
pub const AS_TRANS: u16 = 23456;

/// A text that is not what it was taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotThat {
    /// What it was taken for: `a community`.
    pub what: &'static str,
    /// The text.
    pub text: String,
}

impl NotThat {
    pub(super) fn new(what: &'static str, text: &str) -> Self {
        NotThat {
            what,
            text: text.to_owned(),
        }
    }
}

impl fmt::Display for NotThat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.text, self.what)
    }
}

impl std::error::Error for NotThat {}

/// A family of routes by its numbers (RFC 4760 section 3), whether this speaker knows it or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AfiSafi {
    /// Address Family Identifier.
    pub afi: u16,
    /// Subsequent Address Family Identifier.
    pub safi: u8,
}

/// A family of routes that this speaker carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// AFI 1, SAFI 1.
    Ipv4Unicast,
    /// AFI 2, SAFI 1.
    Ipv6Unicast,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 2] = [Family::Ipv4Unicast, Family::Ipv6Unicast];

    /// Address Family Identifier.
    pub fn afi(self) -> u16 {
        match self {
            Family::Ipv4Unicast => 1,
            Family::Ipv6Unicast => 2,
        }
    }

    /// Subsequent Address Family Identifier.
    pub fn safi(self) -> u8 {
        1
    }

    /// The prefix that everything of the family is in.
    pub fn default_route(self) -> IpNet {
        match self {
            Family::Ipv4Unicast => IpNet::V4(Ipv4Net::default()),
            Family::Ipv6Unicast => IpNet::V6(Ipv6Net::default()),
        }
    }

    /// `ipv4` or `ipv6`, as in FRR's `address-family`.
    pub fn name(self) -> &'static str {
        match self {
            Family::Ipv4Unicast => "ipv4",
            Family::Ipv6Unicast => "ipv6",
        }
    }

    /// FRR's keyword of its addresses, `ip` or `ipv6`.
    pub fn ip(self) -> &'static str {
        match self {
            Family::Ipv4Unicast => "ip",
            Family::Ipv6Unicast => "ipv6",
        }
    }
}

impl From<Family> for AfiSafi {
    fn from(family: Family) -> Self {
        AfiSafi {
            afi: family.afi(),
            safi: family.safi(),
        }
    }
}

impl TryFrom<AfiSafi> for Family {
    type Error = AfiSafi;

    fn try_from(numbers: AfiSafi) -> Result<Self, AfiSafi> {
        Family::ALL
            .into_iter()
            .find(|family| AfiSafi::from(*family) == numbers)
            .ok_or(numbers)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Ipv4Unicast => "IPv4 Unicast",
            Family::Ipv6Unicast => "IPv6 Unicast",
        })
    }
}

impl FromStr for Family {
    type Err = NotThat;

    fn from_str(text: &str) -> Result<Self, NotThat> {
        Family::ALL
            .into_iter()
            .find(|family| family.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| NotThat::new("an address family", text))
    }
}

/// Where the prefix came from, the lower the better (RFC 4271 section 5.1.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// Interior to the originating AS.
    #[default]
    Igp,
    /// Learned by EGP.
    Egp,
    /// Learned in another way.
    Incomplete,
}

impl Origin {
    /// From its number on the wire.
    pub fn from_number(number: u8) -> Option<Self> {
        [Origin::Igp, Origin::Egp, Origin::Incomplete]
            .into_iter()
            .find(|origin| origin.number() == number)
    }

    /// Its number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Origin::Igp => 0,
            Origin::Egp => 1,
            Origin::Incomplete => 2,
        }
    }

    /// Its keyword in FRR's language.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Igp => "igp",
            Origin::Egp => "egp",
            Origin::Incomplete => "incomplete",
        }
    }

    /// The letter in tables: `i`, `e` or `?`.
    pub fn letter(self) -> char {
        match self {
            Origin::Igp => 'i',
            Origin::Egp => 'e',
            Origin::Incomplete => '?',
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Igp => "IGP",
            Origin::Egp => "EGP",
            Origin::Incomplete => "incomplete",
        })
    }
}

impl FromStr for Origin {
    type Err = NotThat;

    fn from_str(text: &str) -> Result<Self, NotThat> {
        [Origin::Igp, Origin::Egp, Origin::Incomplete]
            .into_iter()
            .find(|origin| origin.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| NotThat::new("an origin", text))
    }
}

/// The next hop of MP_REACH_NLRI (RFC 4760 section 3, RFC 2545 section 3, RFC 8950 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// Four octets.
    V4(Ipv4Addr),
    /// Sixteen or, with a link-local address, thirty-two octets.
    V6 {
        /// The first address as it was sent: global, or `::` or link-local where the sender has no other.
        global: Ipv6Addr,
        /// The second address.
        link_local: Option<Ipv6Addr>,
    },
}

impl NextHop {
    /// The address of widest scope: the global one, else the link-local one.
    pub fn address(self) -> IpAddr {
        match self {
            NextHop::V4(address) => IpAddr::V4(address),
            NextHop::V6 {
                global,
                link_local: Some(local),
            } if global.is_unspecified() => IpAddr::V6(local),
            NextHop::V6 { global, .. } => IpAddr::V6(global),
        }
    }

    /// The link-local address, wherever it stood.
    pub fn link_local(self) -> Option<Ipv6Addr> {
        match self {
            NextHop::V4(_) => None,
            NextHop::V6 { global, link_local } => {
                link_local.or_else(|| global.is_unicast_link_local().then_some(global))
            }
        }
    }

    /// Whether it may be a host's address at all (RFC 4271 section 6.3).
    pub fn is_host(self) -> bool {
        match self.address() {
            IpAddr::V4(address) => matches!(address.octets()[0], 1..=126 | 128..=223),
            IpAddr::V6(address) => {
                !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
            }
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_their_numbers() {
        assert_eq!(
            Family::try_from(AfiSafi { afi: 2, safi: 1 }),
            Ok(Family::Ipv6Unicast)
        );
        assert!(Family::try_from(AfiSafi { afi: 1, safi: 128 }).is_err());
        assert_eq!("ipv4 unicast".parse(), Ok(Family::Ipv4Unicast));
        assert_eq!(
            "vpn".parse::<Family>().unwrap_err().to_string(),
            "`vpn` is not an address family"
        );
    }

    #[test]
    fn origins_are_read_and_printed() {
        for (number, text, letter) in [(0, "IGP", 'i'), (1, "EGP", 'e'), (2, "incomplete", '?')] {
            let origin = Origin::from_number(number).unwrap();
            assert_eq!((origin.to_string().as_str(), origin.letter()), (text, letter));
            assert_eq!(text.parse(), Ok(origin));
        }
        assert_eq!(Origin::from_number(3), None);
    }

    #[test]
    fn next_hops_give_the_address_to_use() {
        let local: Ipv6Addr = "fe80::1".parse().unwrap();
        let global: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let next_hop = |global, link_local| NextHop::V6 { global, link_local };
        assert_eq!(next_hop(Ipv6Addr::UNSPECIFIED, Some(local)).address(), local);
        assert_eq!(next_hop(global, Some(local)).address(), global);
        assert_eq!(next_hop(local, None).link_local(), Some(local));
        assert_eq!(next_hop(global, None).link_local(), None);
        assert!(!next_hop(Ipv6Addr::UNSPECIFIED, None).is_host());
        assert!(NextHop::V4(Ipv4Addr::new(10, 0, 0, 1)).is_host());
        assert!(!NextHop::V4(Ipv4Addr::new(240, 0, 0, 1)).is_host());
    }
}
