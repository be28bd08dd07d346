//! Router advertisements as octets (RFC 4861 section 4.2), as FRR writes them.

use std::net::IpAddr;

use ipnet::Ipv6Net;

use crate::bgp::config::{self, AdvertisedPrefix, NeighborDiscovery, RouterPreference};
use crate::bgp::speaker::Interface;

const ADVERTISEMENT: u8 = 134;
/// The hop limit that hosts are to use: that of RFC 1700.
const HOP_LIMIT: u8 = 64;
/// Longest that is sent: options that do not fit are left out, as with FRR.
const LONGEST: usize = 4096;

/// Flags (RFC 4861 section 4.2, RFC 6275 section 7.1, RFC 4191 section 2.2).
const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;
const HOME_AGENT: u8 = 0x20;
const HIGH: u8 = 0x08;
const LOW: u8 = 0x18;

/// What is said on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    /// How the interface is configured.
    said: NeighborDiscovery,
    /// Prefixes of the interface's addresses, and others that are configured.
    prefixes: Vec<(Ipv6Net, AdvertisedPrefix)>,
    /// Milliseconds between two.
    interval: u32,
    /// How long this router is a default router, seconds.
    lifetime: u16,
    link_layer: Vec<u8>,
}

impl Advertisement {
    /// What an interface says that is configured like this, or not at all. Times in milliseconds and seconds.
    pub fn new(
        interface: &Interface,
        settings: Option<&config::Interface>,
        (interval, lifetime): (u32, u16),
        link_layer: Vec<u8>,
    ) -> Advertisement {
        let said = settings
            .map(|it| it.neighbor_discovery.clone())
            .unwrap_or_default();
        let own = interface.addresses.iter().filter_map(|net| match net {
            ipnet::IpNet::V6(net) if tells(net) => Some(net.trunc()),
            _ => None,
        });
        let mut all: std::collections::BTreeMap<(u8, Ipv6Net), AdvertisedPrefix> = own
            .map(|net| ((net.prefix_len(), net), AdvertisedPrefix::default()))
            .collect();
        all.extend(
            said.prefixes
                .iter()
                .map(|(net, how)| ((net.prefix_len(), *net), *how)),
        );
        let prefixes = all.into_iter().map(|((_, net), how)| (net, how)).collect();
        Advertisement {
            said,
            prefixes,
            interval,
            lifetime,
            link_layer,
        }
    }

    /// Its octets. The checksum is the kernel's work (RFC 3542 section 3.1).
    pub fn octets(&self) -> Vec<u8> {
        self.with_lifetime(self.lifetime)
    }

    /// The same of a router that goes (RFC 4861 section 6.2.5).
    pub fn farewell(&self) -> Vec<u8> {
        self.with_lifetime(0)
    }

    fn with_lifetime(&self, lifetime: u16) -> Vec<u8> {
        let said = &self.said;
        let mut out = vec![ADVERTISEMENT, 0, 0, 0, said.hop_limit.unwrap_or(HOP_LIMIT)];
        out.push(self.flags(lifetime));
        out.extend(lifetime.to_be_bytes());
        out.extend(said.reachable.unwrap_or(0).to_be_bytes());
        out.extend(said.retransmit.unwrap_or(0).to_be_bytes());
        for option in self.options() {
            if out.len() + option.len() <= LONGEST {
                out.extend(option);
            }
        }
        out
    }

    fn flags(&self, lifetime: u16) -> u8 {
        let said = &self.said;
        let preference = match said.preference {
            // One that is no default router is preferred like others (RFC 4191 section 2.2).
            _ if lifetime == 0 => 0,
            Some(RouterPreference::High) => HIGH,
            Some(RouterPreference::Low) => LOW,
            None => 0,
        };
        let set = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        preference | set(said.managed, MANAGED) | set(said.other, OTHER) | set(said.home_agent, HOME_AGENT)
    }

    /// Three intervals, in seconds.
    fn while_told(&self) -> u32 {
        (self.interval.saturating_mul(3) / 1000).max(1)
    }

    fn options(&self) -> Vec<Vec<u8>> {
        let said = &self.said;
        let mut all = Vec::new();
        let is_said = said.home_agent_preference.is_some() || said.home_agent_lifetime.is_some();
        if said.home_agent && is_said {
            let lifetime = said.home_agent_lifetime.unwrap_or(self.lifetime);
            let mut option = vec![8, 1, 0, 0];
            option.extend(said.home_agent_preference.unwrap_or(0).to_be_bytes());
            option.extend(lifetime.to_be_bytes());
            all.push(option);
        }
        if said.tells_interval {
            let mut option = vec![7, 1, 0, 0];
            option.extend(self.interval.to_be_bytes());
            all.push(option);
        }
        all.extend(self.prefixes.iter().map(|(net, how)| prefix(net, how)));
        // So that nobody has to ask for it (RFC 4861 section 4.6.1).
        if self.link_layer.len() == 6 {
            let mut option = vec![1, 1];
            option.extend(&self.link_layer);
            all.push(option);
        }
        if let Some(mtu) = said.mtu {
            let mut option = vec![5, 1, 0, 0];
            option.extend(u32::from(mtu).to_be_bytes());
            all.push(option);
        }
        for (server, lifetime) in &said.name_servers {
            let mut option = vec![25, 3, 0, 0];
            option.extend(lifetime.unwrap_or(self.while_told()).to_be_bytes());
            option.extend(server.octets());
            all.push(option);
        }
        for (suffix, lifetime) in &said.search_domains {
            all.push(search(suffix, lifetime.unwrap_or(self.while_told())));
        }
        all
    }
}

/// Whether an address' prefix is told.
fn tells(net: &Ipv6Net) -> bool {
    let address = net.addr();
    !address.is_unicast_link_local()
        && !address.is_loopback()
        && IpAddr::V6(address) != IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)
}

/// Prefix information (RFC 4861 section 4.6.2).
fn prefix(net: &Ipv6Net, how: &AdvertisedPrefix) -> Vec<u8> {
    let set = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let flags = set(how.on_link, 0x80) | set(how.autonomous, 0x40) | set(how.is_router, 0x20);
    let mut option = vec![3, 4, net.prefix_len(), flags];
    option.extend(how.valid.to_be_bytes());
    option.extend(how.preferred.to_be_bytes());
    option.extend([0; 4]);
    option.extend(net.addr().octets());
    option
}

/// A DNS search list (RFC 8106 section 5.2): one name, as DNS writes it, filled up to whole eights of octets.
fn search(suffix: &str, lifetime: u32) -> Vec<u8> {
    let mut option = vec![31, 0, 0, 0];
    option.extend(lifetime.to_be_bytes());
    for label in suffix.split('.') {
        // Longer ones are refused when they are read.
        option.push(label.len().min(63) as u8);
        option.extend(label.bytes().take(63));
    }
    option.push(0);
    option.resize(option.len().next_multiple_of(8), 0);
    option[1] = (option.len() / 8) as u8;
    option
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bgp::config::Config;

    /// What FRR 8.4.4 said with these lines on an interface with an address, all four seconds; its own link-layer address is
    /// left out.
    const RECORDED: [(&str, &str, &str); 7] = [
        (
            "",
            "8600000040 00 000c 00000000 00000000",
            "030440c000278d0000093a800000000020010db8000900000000000000000000",
        ),
        (
            "ipv6 nd managed-config-flag\nipv6 nd other-config-flag\n",
            "8600000040 c0 000c 00000000 00000000",
            "030440c000278d0000093a800000000020010db8000900000000000000000000",
        ),
        (
            "ipv6 nd prefix 2001:db8:9::/64 100 50 off-link\n",
            "8600000040 00 000c 00000000 00000000",
            "0304404000000064000000320000000020010db8000900000000000000000000",
        ),
        (
            "ipv6 nd prefix 2001:db8:98::/64 no-autoconfig\nipv6 nd prefix 2001:db8:97::5/64 router-address\n\
             ipv6 nd prefix 2001:db8:96::/64 off-link no-autoconfig\n",
            "8600000040 00 000c 00000000 00000000",
            "030440c000278d0000093a800000000020010db8000900000000000000000000\
             0304400000278d0000093a800000000020010db8009600000000000000000000\
             030440e000278d0000093a800000000020010db8009700000000000000000000\
             0304408000278d0000093a800000000020010db8009800000000000000000000",
        ),
        (
            "ipv6 nd mtu 1400\nipv6 nd reachable-time 1000\nipv6 nd router-preference high\nipv6 nd ra-lifetime 0\n",
            "8600000040 00 0000 000003e8 00000000",
            "030440c000278d0000093a800000000020010db80009000000000000000000000501000000000578",
        ),
        (
            "ipv6 nd home-agent-config-flag\nipv6 nd home-agent-lifetime 5\nipv6 nd home-agent-preference 3\n\
             ipv6 nd adv-interval-option\n",
            "8600000040 20 000c 00000000 00000000",
            "08010000000300050701000000000fa0\
             030440c000278d0000093a800000000020010db8000900000000000000000000",
        ),
        (
            "ipv6 nd rdnss 2001:db8::53\nipv6 nd rdnss 2001:db8::54 300\nipv6 nd dnssl example.com infinite\n\
             ipv6 nd dnssl a.b.example 60\n",
            "8600000040 00 000c 00000000 00000000",
            "030440c000278d0000093a800000000020010db8000900000000000000000000\
             190300000000000c20010db8000000000000000000000053\
             190300000000012c20010db8000000000000000000000054\
             1f030000ffffffff076578616d706c6503636f6d00000000\
             1f0300000000003c01610162076578616d706c6500000000",
        ),
    ];

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    fn interface() -> Interface {
        Interface {
            index: 2,
            name: "e0".to_owned(),
            up: true,
            addresses: ["2001:db8:9::1/64", "fe80::1/64", "10.0.0.1/24"]
                .map(|net| net.parse().unwrap())
                .to_vec(),
            ..Interface::default()
        }
    }

    #[test]
    fn advertisements_are_frrs() {
        for (lines, head, options) in RECORDED {
            let (config, diagnostics) = Config::parse(&format!("interface e0\n{lines}"));
            assert!(diagnostics.is_empty(), "{diagnostics:?}");
            let settings = config.interfaces.get("e0");
            let lifetime = settings.and_then(|it| it.ra_lifetime).unwrap_or(12);
            let said = Advertisement::new(&interface(), settings, (4000, lifetime), Vec::new());
            let wanted = octets(&format!("{head}{options}"));
            assert_eq!(said.octets(), wanted, "{lines}");
        }
    }

    #[test]
    fn a_router_that_goes_says_so_and_who_it_is() {
        let said = Advertisement::new(&interface(), None, (4000, 12), vec![2, 0, 0, 0, 0, 1]);
        let octets = said.farewell();
        assert_eq!(octets[6..8], [0, 0]);
        assert_eq!(octets[octets.len() - 8..], [1, 1, 2, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn too_much_is_left_out() {
        let lines: String = (0..1000)
            .map(|at| format!("ipv6 nd rdnss 2001:db8::{at}\n"))
            .collect();
        let (config, _) = Config::parse(&format!("interface e0\n{lines}"));
        let said = Advertisement::new(&interface(), config.interfaces.get("e0"), (4000, 12), Vec::new());
        let octets = said.octets();
        assert!(octets.len() <= LONGEST && octets.len() > LONGEST - 24);
    }
}
