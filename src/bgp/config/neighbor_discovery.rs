//! What router advertisements say (`ipv6 nd`; RFC 4861 section 4.2).

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::argument::Arguments;
use super::diagnostic::Refusal;
use super::edit::{Edit, Rows, option, said, switch};

/// What router advertisements on an interface say beside the router's lifetime.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NeighborDiscovery {
    /// `managed-config-flag`: addresses come by DHCPv6.
    pub managed: bool,
    /// `other-config-flag`: other things come by DHCPv6.
    pub other: bool,
    /// `home-agent-config-flag` (RFC 6275 section 7.1).
    pub home_agent: bool,
    /// `home-agent-lifetime`, seconds.
    pub home_agent_lifetime: Option<u16>,
    /// `home-agent-preference`.
    pub home_agent_preference: Option<u16>,
    /// `adv-interval-option` (RFC 6275 section 7.3).
    pub tells_interval: bool,
    /// `no ra-fast-retrans`.
    pub answers_slowly: bool,
    /// `ra-hop-limit`, where it is not 64.
    pub hop_limit: Option<u8>,
    /// `ra-retrans-interval`, milliseconds.
    pub retransmit: Option<u32>,
    /// `reachable-time`, milliseconds.
    pub reachable: Option<u32>,
    /// `router-preference`, where it is not medium (RFC 4191 section 2.1).
    pub preference: Option<RouterPreference>,
    /// `mtu`.
    pub mtu: Option<u16>,
    /// `prefix`, beside those of the interface's addresses.
    pub prefixes: BTreeMap<Ipv6Net, AdvertisedPrefix>,
    /// `rdnss`: name servers and how long they may be used, three intervals where nothing is said (RFC 8106 section 5.1).
    /// Told in this order.
    pub name_servers: Vec<(Ipv6Addr, Option<u32>)>,
    /// `dnssl`: domains that names are looked for in (RFC 8106 section 5.2).
    pub search_domains: Vec<(String, Option<u32>)>,
}

/// How much a router is to be preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterPreference {
    /// Before others.
    High,
    /// After others.
    Low,
}

/// What is said about a prefix (RFC 4861 section 4.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdvertisedPrefix {
    /// How long it may be used, seconds; `u32::MAX` is for ever.
    pub valid: u32,
    /// How long addresses in it are to be preferred.
    pub preferred: u32,
    /// Addresses in it are on the link.
    pub on_link: bool,
    /// Hosts make addresses of it.
    pub autonomous: bool,
    /// It is an address of the router (RFC 6275 section 7.2).
    pub is_router: bool,
}

impl Default for AdvertisedPrefix {
    /// What FRR says where nothing is configured: thirty days, and seven.
    fn default() -> Self {
        AdvertisedPrefix {
            valid: 2_592_000,
            preferred: 604_800,
            on_link: true,
            autonomous: true,
            is_router: false,
        }
    }
}

/// Commands in an interface's block.
pub(super) const NEIGHBOR_DISCOVERY: Rows = &[
    ("[no] ipv6 nd managed-config-flag", |e, a| {
        switch(&mut nd(e)?.managed, a)
    }),
    ("[no] ipv6 nd other-config-flag", |e, a| {
        switch(&mut nd(e)?.other, a)
    }),
    ("[no] ipv6 nd home-agent-config-flag", |e, a| {
        switch(&mut nd(e)?.home_agent, a)
    }),
    ("ipv6 nd home-agent-lifetime ~ <seconds:0-65520>", |e, a| {
        option(&mut nd(e)?.home_agent_lifetime, a, "seconds")
    }),
    ("ipv6 nd home-agent-preference ~ <preference:0-65535>", |e, a| {
        let nd = nd(e)?;
        option(&mut nd.home_agent_preference, a, "preference")?;
        nd.home_agent_preference = nd.home_agent_preference.filter(|it| *it != 0);
        Ok(())
    }),
    ("[no] ipv6 nd adv-interval-option", |e, a| {
        switch(&mut nd(e)?.tells_interval, a)
    }),
    ("[no] ipv6 nd ra-fast-retrans", |e, a| {
        nd(e)?.answers_slowly = a.no();
        Ok(())
    }),
    ("ipv6 nd ra-hop-limit ~ <hops:0-255>", |e, a| {
        let nd = nd(e)?;
        option(&mut nd.hop_limit, a, "hops")?;
        nd.hop_limit = nd.hop_limit.filter(|hops| *hops != 64);
        Ok(())
    }),
    (
        "ipv6 nd ra-retrans-interval ~ <milliseconds:0-4294967295>",
        |e, a| {
            let nd = nd(e)?;
            option(&mut nd.retransmit, a, "milliseconds")?;
            nd.retransmit = nd.retransmit.filter(|it| *it != 0);
            Ok(())
        },
    ),
    ("ipv6 nd reachable-time ~ <milliseconds:1-3600000>", |e, a| {
        option(&mut nd(e)?.reachable, a, "milliseconds")
    }),
    ("ipv6 nd router-preference ~ (high|medium|low)", |e, a| {
        let how = match a.one_of(&["high", "low"]).filter(|_| !a.no()) {
            Some("high") => Some(RouterPreference::High),
            Some(_) => Some(RouterPreference::Low),
            None => None,
        };
        nd(e)?.preference = how;
        Ok(())
    }),
    ("ipv6 nd mtu ~ <octets:1-65535>", |e, a| {
        option(&mut nd(e)?.mtu, a, "octets")
    }),
    (
        "[no] ipv6 nd prefix <prefix6> [(<valid:0-4294967295>|infinite) (<preferred:0-4294967295>|infinite)] [{off-link|no-autoconfig|router-address}]",
        prefix,
    ),
    (
        "[no] ipv6 nd rdnss <server:ipv6> [(<seconds:0-4294967295>|infinite)]",
        |e, a| {
            let (server, lifetime) = (a.value("server")?, lifetime(a)?);
            put(&mut nd(e)?.name_servers, (server, lifetime), a);
            Ok(())
        },
    ),
    (
        "[no] ipv6 nd dnssl <suffix:word> [(<seconds:0-4294967295>|infinite)]",
        search_domain,
    ),
];

fn nd<'e>(edit: &'e mut Edit) -> Result<&'e mut NeighborDiscovery, Refusal> {
    Ok(&mut edit.interface()?.neighbor_discovery)
}

/// A lifetime in seconds; none where none is given.
fn lifetime(arguments: &Arguments) -> Result<Option<u32>, Refusal> {
    let mut lifetime = None;
    said(&mut lifetime, arguments, || arguments.optional("seconds"))?;
    let endless = arguments.has("infinite").then_some(u32::MAX);
    Ok(lifetime.flatten().or(endless))
}

fn prefix(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let prefix: Ipv6Net = arguments.value("prefix6")?;
    let (valid, preferred) = (arguments.optional("valid")?, arguments.optional("preferred")?);
    let default = AdvertisedPrefix::default();
    let endless = arguments.has("infinite");
    // Where one is a number the other one, which is none, is `infinite`.
    let or_endless = |value: Option<u32>, default| match endless {
        true => value.unwrap_or(u32::MAX),
        false => value.unwrap_or(default),
    };
    let said = AdvertisedPrefix {
        valid: or_endless(valid, default.valid),
        preferred: or_endless(preferred, default.preferred),
        on_link: !arguments.has("off-link"),
        autonomous: !arguments.has("no-autoconfig"),
        is_router: arguments.has("router-address"),
    };
    let prefixes = &mut nd(edit)?.prefixes;
    if arguments.no() {
        prefixes.remove(&prefix.trunc());
        return Ok(());
    }
    if said.preferred > said.valid {
        return Err(Refusal::invalid("Invalid preferred lifetime"));
    }
    prefixes.insert(prefix.trunc(), said);
    Ok(())
}

fn search_domain(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let (suffix, lifetime) = (arguments.text("suffix")?, lifetime(arguments)?);
    let is_label = |label: &str| (1..=63).contains(&label.len());
    if suffix.len() > 253 || !suffix.split('.').all(is_label) {
        let span = arguments.span("suffix");
        return Err(Refusal::Invalid("Malformed DNS search domain".to_owned(), span));
    }
    put(&mut nd(edit)?.search_domains, (suffix, lifetime), arguments);
    Ok(())
}

/// Puts one into a list, at its end or in the place of the same, or takes it out with `no`.
fn put<T: PartialEq>(all: &mut Vec<(T, Option<u32>)>, one: (T, Option<u32>), arguments: &Arguments) {
    match all.iter_mut().find(|(known, _)| *known == one.0) {
        _ if arguments.no() => all.retain(|(known, _)| *known != one.0),
        Some(known) => known.1 = one.1,
        None => all.push(one),
    }
}

impl NeighborDiscovery {
    /// Its lines, as FRR prints them, in any order.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut put = |text: String| lines.push(format!(" ipv6 nd {text}"));
        for (is_on, text) in [
            (self.managed, "managed-config-flag"),
            (self.other, "other-config-flag"),
            (self.home_agent, "home-agent-config-flag"),
            (self.tells_interval, "adv-interval-option"),
        ] {
            if is_on {
                put(text.to_owned());
            }
        }
        for (value, text) in [
            (self.home_agent_lifetime.map(u32::from), "home-agent-lifetime"),
            (self.home_agent_preference.map(u32::from), "home-agent-preference"),
            (self.hop_limit.map(u32::from), "ra-hop-limit"),
            (self.retransmit, "ra-retrans-interval"),
            (self.reachable, "reachable-time"),
            (self.mtu.map(u32::from), "mtu"),
        ] {
            if let Some(value) = value {
                put(format!("{text} {value}"));
            }
        }
        match self.preference {
            Some(RouterPreference::High) => put("router-preference high".to_owned()),
            Some(RouterPreference::Low) => put("router-preference low".to_owned()),
            None => {}
        }
        for (prefix, said) in &self.prefixes {
            put(format!("prefix {prefix}{}", said.words()));
        }
        for (server, lifetime) in &self.name_servers {
            put(format!("rdnss {server}{}", seconds(*lifetime)));
        }
        for (suffix, lifetime) in &self.search_domains {
            put(format!("dnssl {suffix}{}", seconds(*lifetime)));
        }
        if self.answers_slowly {
            lines.push(" no ipv6 nd ra-fast-retrans".to_owned());
        }
        lines
    }
}

impl AdvertisedPrefix {
    fn words(&self) -> String {
        let default = AdvertisedPrefix::default();
        let mut words = String::new();
        if (self.valid, self.preferred) != (default.valid, default.preferred) {
            words += &seconds(Some(self.valid));
            words += &seconds(Some(self.preferred));
        }
        for (is_said, word) in [
            (!self.on_link, " off-link"),
            (!self.autonomous, " no-autoconfig"),
            (self.is_router, " router-address"),
        ] {
            if is_said {
                words += word;
            }
        }
        words
    }
}

fn seconds(lifetime: Option<u32>) -> String {
    match lifetime {
        None => String::new(),
        Some(u32::MAX) => " infinite".to_owned(),
        Some(seconds) => format!(" {seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Config;

    /// As FRR 8.4.4 prints it.
    const BLOCK: &str = "interface e0
 ipv6 nd adv-interval-option
 ipv6 nd dnssl a.b.example 60
 ipv6 nd dnssl example.com infinite
 ipv6 nd home-agent-config-flag
 ipv6 nd home-agent-lifetime 5
 ipv6 nd home-agent-preference 3
 ipv6 nd managed-config-flag
 ipv6 nd mtu 1400
 ipv6 nd other-config-flag
 ipv6 nd prefix 2001:db8:3::/64 100 50 off-link
 ipv6 nd prefix 2001:db8:94::/64 infinite 7
 ipv6 nd prefix 2001:db8:95::/64 infinite infinite
 ipv6 nd prefix 2001:db8:96::/64 off-link no-autoconfig
 ipv6 nd prefix 2001:db8:97::/64 router-address
 ipv6 nd ra-hop-limit 33
 ipv6 nd ra-interval msec 500
 ipv6 nd ra-lifetime 0
 ipv6 nd ra-retrans-interval 2000
 ipv6 nd rdnss 2001:db8::53
 ipv6 nd rdnss 2001:db8::54 300
 ipv6 nd reachable-time 1000
 ipv6 nd router-preference high
 no ipv6 nd ra-fast-retrans
 no ipv6 nd suppress-ra
exit
";

    #[test]
    fn every_line_is_read_and_printed() {
        let (config, diagnostics) = Config::parse(BLOCK);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let printed = config.print();
        assert!(printed.contains(BLOCK), "{printed}");
        // Each is gone with `no`, with its value or, where it has one alone, without.
        let mut text = BLOCK.replace("exit\n", "");
        for line in BLOCK.lines().filter(|line| line.starts_with(" ")) {
            let line = line.trim();
            text += &match line.strip_prefix("no ") {
                Some(line) => format!(" {line}\n"),
                None => format!(" no {line}\n"),
            };
        }
        let (config, diagnostics) = Config::parse(&text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        assert!(config.interfaces.is_empty(), "{:?}", config.interfaces);
        let short = "interface e0\n ipv6 nd mtu 1400\n ipv6 nd router-preference low\n no ipv6 nd mtu\n no ipv6 nd \
                     router-preference\n";
        let (config, diagnostics) = Config::parse(short);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        assert!(config.interfaces.is_empty(), "{:?}", config.interfaces);
    }

    #[test]
    fn what_frr_refuses_is_refused() {
        for line in [
            "ipv6 nd prefix 2001:db8::/64 5 6",
            "ipv6 nd prefix 2001:db8::/64 5",
            "ipv6 nd dnssl a..b",
            "ipv6 nd router-preference best",
            "ipv6 nd mtu 0",
        ] {
            let (_, diagnostics) = Config::parse(&format!("interface e0\n {line}\n"));
            assert_eq!(diagnostics.len(), 1, "{line}");
        }
    }
}
