//! Communities (RFC 1997) and large communities (RFC 8092).

use std::fmt;
use std::str::FromStr;

use super::types::NotThat;

/// A community.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Community(pub u32);

impl Community {
    /// Every router belongs to it.
    pub const INTERNET: Community = Community(0);
    /// The sender is about to shut down (RFC 8326 section 4).
    pub const GRACEFUL_SHUTDOWN: Community = Community(0xffff_0000);
    /// Accept own routes (RFC 7611 section 2).
    pub const ACCEPT_OWN: Community = Community(0xffff_0001);
    /// Kept beyond the graceful restart (RFC 9494 section 3.1).
    pub const LLGR_STALE: Community = Community(0xffff_0006);
    /// Not to be kept beyond the graceful restart (RFC 9494 section 3.2).
    pub const NO_LLGR: Community = Community(0xffff_0007);
    /// Drop the traffic (RFC 7999 section 5).
    pub const BLACKHOLE: Community = Community(0xffff_029a);
    /// Not beyond the AS or confederation (RFC 1997, Well-known Communities).
    pub const NO_EXPORT: Community = Community(0xffff_ff01);
    /// Not to any peer (RFC 1997, Well-known Communities).
    pub const NO_ADVERTISE: Community = Community(0xffff_ff02);
    /// Not beyond the confederation's member AS (RFC 1997, NO_EXPORT_SUBCONFED).
    pub const LOCAL_AS: Community = Community(0xffff_ff03);
    /// Not over bilateral peerings (RFC 3765 section 4).
    pub const NO_PEER: Community = Community(0xffff_ff04);

    /// The community `high:low`.
    pub fn new(high: u16, low: u16) -> Self {
        Community(u32::from(high) << 16 | u32::from(low))
    }

    /// The AS number in front of the colon.
    pub fn high(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The number behind the colon.
    pub fn low(self) -> u16 {
        self.0 as u16
    }
}

/// Names as FRR has them.
const NAMES: [(Community, &str); 15] = [
    (Community::INTERNET, "internet"),
    (Community::NO_EXPORT, "no-export"),
    (Community::NO_ADVERTISE, "no-advertise"),
    (Community::LOCAL_AS, "local-AS"),
    (Community::GRACEFUL_SHUTDOWN, "graceful-shutdown"),
    (Community::BLACKHOLE, "blackhole"),
    (Community::LLGR_STALE, "llgr-stale"),
    (Community::NO_LLGR, "no-llgr"),
    (Community::ACCEPT_OWN, "accept-own"),
    (Community::NO_PEER, "no-peer"),
    // Registered, and of no effect here.
    (Community(0xffff_0002), "route-filter-translated-v4"),
    (Community(0xffff_0003), "route-filter-v4"),
    (Community(0xffff_0004), "route-filter-translated-v6"),
    (Community(0xffff_0005), "route-filter-v6"),
    (Community(0xffff_0008), "accept-own-nexthop"),
];

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(community, _)| community == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}:{}", self.high(), self.low()),
        }
    }
}

impl FromStr for Community {
    type Err = NotThat;

    /// A well-known name, `65000:1` or the number as a whole.
    fn from_str(text: &str) -> Result<Self, NotThat> {
        let named = NAMES.iter().find(|(_, name)| *name == text);
        if let Some((community, _)) = named {
            return Ok(*community);
        }
        let community = match text.split_once(':') {
            Some((high, low)) => number(high).zip(number(low)).map(|(h, l)| Community::new(h, l)),
            None => number(text).map(Community),
        };
        community.ok_or_else(|| NotThat::new("a community", text))
    }
}

/// A large community.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LargeCommunity {
    /// Global Administrator, an AS number.
    pub global: u32,
    /// Local Data Part 1.
    pub local1: u32,
    /// Local Data Part 2.
    pub local2: u32,
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local1, self.local2)
    }
}

impl FromStr for LargeCommunity {
    type Err = NotThat;

    fn from_str(text: &str) -> Result<Self, NotThat> {
        let parts: Vec<Option<u32>> = text.splitn(4, ':').map(number).collect();
        match parts[..] {
            [Some(global), Some(local1), Some(local2)] => Ok(LargeCommunity {
                global,
                local1,
                local2,
            }),
            _ => Err(NotThat::new("a large community", text)),
        }
    }
}

/// A number in digits alone; the standard library would take a sign, too.
pub(super) fn number<T: FromStr>(text: &str) -> Option<T> {
    if text.starts_with('+') {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_are_printed_and_read() {
        for text in [
            "65000:1",
            "0:1",
            "internet",
            "no-export",
            "no-advertise",
            "local-AS",
            "graceful-shutdown",
            "blackhole",
            "llgr-stale",
            "no-llgr",
            "accept-own",
            "no-peer",
        ] {
            assert_eq!(text.parse::<Community>().unwrap().to_string(), text);
        }
        assert_eq!("65535:65281".parse(), Ok(Community::NO_EXPORT));
        assert_eq!("4259840001".parse(), Ok(Community::new(65000, 1)));
        for text in ["", "65000", "65536:1", "1:2:3", "+1:2", "no-such"] {
            assert_eq!(text.parse::<Community>().is_err(), text != "65000", "{text}");
        }
    }

    #[test]
    fn large_communities_are_printed_and_read() {
        let community: LargeCommunity = "4200000000:1:2".parse().unwrap();
        assert_eq!(
            community,
            LargeCommunity {
                global: 4_200_000_000,
                local1: 1,
                local2: 2
            }
        );
        assert_eq!(community.to_string(), "4200000000:1:2");
        for text in ["1:2", "1:2:3:4", "1::2", "a:b:c"] {
            assert!(text.parse::<LargeCommunity>().is_err(), "{text}");
        }
    }
}
