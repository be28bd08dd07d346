//! Lists and route-maps as FRR prints them.

use std::fmt;

use super::community;
use super::model::Config;
use super::policy::{
    AccessRule, AddressMatch, Change, CommunityRule, Lists, Match, NextHop, OnMatch, PrefixRule,
    RouteMapEntry, Set,
};
use super::print::Page;

/// All lists.
pub(super) fn lists(page: &mut Page, config: &Config) {
    page.part(list("access-list", "remark", &config.access_lists));
    page.part(list("ip prefix-list", "description", &config.prefix_lists));
    page.part(list("ipv6 access-list", "remark", &config.access_lists6));
    page.part(list("ipv6 prefix-list", "description", &config.prefix_lists6));
    page.part(list("bgp as-path access-list", "", &config.as_path_lists));
    let mut lines = community_lists("bgp community-list", &config.community_lists);
    lines.extend(community_lists(
        "bgp extcommunity-list",
        &config.extcommunity_lists,
    ));
    lines.extend(community_lists(
        "bgp large-community-list",
        &config.large_community_lists,
    ));
    page.part(lines);
}

/// All route-maps, each entry by itself.
pub(super) fn route_maps(page: &mut Page, config: &Config) {
    for (name, map) in config.route_maps.iter() {
        for (sequence, entry) in map {
            page.part(entry_lines(name, *sequence, entry));
        }
    }
}

fn list<T: fmt::Display>(command: &str, remark: &str, lists: &Lists<T>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, list) in lists.iter() {
        lines.extend(
            list.description
                .iter()
                .map(|text| format!("{command} {name} {remark} {text}")),
        );
        for (sequence, (action, rule)) in &list.rules {
            lines.push(format!(
                "{command} {name} seq {sequence} {} {rule}",
                action.name()
            ));
        }
    }
    lines
}

fn community_lists<T>(command: &str, lists: &Lists<CommunityRule<T>>) -> Vec<String>
where
    CommunityRule<T>: fmt::Display,
{
    let mut lines = Vec::new();
    for (name, list) in lists.iter() {
        for (sequence, (action, rule)) in &list.rules {
            let kind = match rule {
                CommunityRule::Standard(_) => "standard ",
                CommunityRule::Expanded(_) => "expanded ",
            };
            let numbered = name
                .parse::<u16>()
                .is_ok_and(|number| (1..=500).contains(&number));
            let kind = if numbered { "" } else { kind };
            lines.push(format!(
                "{command} {kind}{name} seq {sequence} {} {rule}",
                action.name()
            ));
        }
    }
    lines
}

impl<T> CommunityRule<T> {
    fn text(&self, print: impl Fn(&T) -> String) -> String {
        match self {
            CommunityRule::Standard(values) => joined(values, print),
            CommunityRule::Expanded(text) => text.clone(),
        }
    }
}

impl fmt::Display for CommunityRule<u32> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.text(|value| community::print(*value)))
    }
}

impl fmt::Display for CommunityRule<(u32, u32, u32)> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.text(|value| community::print_large(*value)))
    }
}

impl fmt::Display for CommunityRule<String> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.text(String::clone))
    }
}

fn joined<T>(values: &[T], print: impl Fn(&T) -> String) -> String {
    values.iter().map(print).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for PrefixRule {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self.prefix {
            Some(prefix) => write!(formatter, "{prefix}")?,
            None => formatter.write_str("any")?,
        }
        for (word, length) in [("ge", self.ge), ("le", self.le)] {
            if let Some(length) = length {
                write!(formatter, " {word} {length}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for AccessRule {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            AccessRule::Any => formatter.write_str("any"),
            AccessRule::Prefix { prefix, exact: true } => write!(formatter, "{prefix} exact-match"),
            AccessRule::Prefix { prefix, exact: false } => write!(formatter, "{prefix}"),
            AccessRule::Wildcard(address, wildcard) if wildcard.is_unspecified() => {
                write!(formatter, "{address}")
            }
            AccessRule::Wildcard(address, wildcard) => write!(formatter, "{address} {wildcard}"),
        }
    }
}

/// As in FRR the lines between are sorted.
fn entry_lines(name: &str, sequence: u16, entry: &RouteMapEntry) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    lines.extend(entry.call.iter().map(|name| format!(" call {name}")));
    lines.extend(
        entry
            .description
            .iter()
            .map(|text| format!(" description {text}")),
    );
    lines.extend(
        entry
            .matches
            .iter()
            .map(|condition| format!(" match {condition}")),
    );
    lines.extend(entry.on_match.map(|way| match way {
        OnMatch::Next => " on-match next".to_owned(),
        OnMatch::Goto(sequence) => format!(" on-match goto {sequence}"),
    }));
    lines.extend(entry.sets.iter().map(|change| format!(" set {change}")));
    lines.sort();
    lines.insert(0, format!("route-map {name} {} {sequence}", entry.action.name()));
    lines.push("exit".to_owned());
    lines
}

impl AddressMatch {
    /// The words before the value, and the value.
    fn words(&self) -> (&'static str, String) {
        match self {
            AddressMatch::AccessList(name) => ("", name.clone()),
            AddressMatch::PrefixList(name) => (" prefix-list", name.clone()),
            AddressMatch::PrefixLength(length) => (" prefix-len", length.to_string()),
            AddressMatch::Address(address) => (" address", address.to_string()),
            AddressMatch::Blackhole => (" type", "blackhole".to_owned()),
        }
    }
}

impl Match {
    /// The words before the value: an entry has only one condition of each.
    pub(super) fn stem(&self) -> String {
        match self {
            Match::Address(family, by) => format!("{} address{}", family.ip(), by.words().0),
            Match::NextHop(family, by) => format!("{} next-hop{}", family.ip(), by.words().0),
            Match::RouteSource(by) => format!("ip route-source{}", by.words().0),
            Match::AsPath(_) => "as-path".to_owned(),
            Match::Community(..) => "community".to_owned(),
            Match::LargeCommunity(..) => "large-community".to_owned(),
            Match::ExtCommunity(_) => "extcommunity".to_owned(),
            Match::Interface(_) => "interface".to_owned(),
            Match::LocalPreference(_) => "local-preference".to_owned(),
            Match::Metric(_) => "metric".to_owned(),
            Match::Origin(_) => "origin".to_owned(),
            Match::Peer(_) => "peer".to_owned(),
            Match::Probability(_) => "probability".to_owned(),
            Match::SourceProtocol(_) => "source-protocol".to_owned(),
            Match::Tag(_) => "tag".to_owned(),
        }
    }

    fn value(&self) -> String {
        let exact = |name: &str, exact: bool| format!("{name}{}", if exact { " exact-match" } else { "" });
        match self {
            Match::Address(_, by) | Match::NextHop(_, by) | Match::RouteSource(by) => by.words().1,
            Match::Community(name, only) | Match::LargeCommunity(name, only) => exact(name, *only),
            Match::AsPath(text) | Match::ExtCommunity(text) | Match::Interface(text) => text.clone(),
            Match::Peer(text) | Match::SourceProtocol(text) => text.clone(),
            Match::LocalPreference(number) | Match::Metric(number) | Match::Tag(number) => number.to_string(),
            Match::Origin(origin) => origin.name().to_owned(),
            Match::Probability(percent) => percent.to_string(),
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{} {}", self.stem(), self.value())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Change::To(number) => write!(formatter, "{number}"),
            Change::Add(number) => write!(formatter, "+{number}"),
            Change::Subtract(number) => write!(formatter, "-{number}"),
            Change::RoundTrip(None) => formatter.write_str("rtt"),
            Change::RoundTrip(Some(true)) => formatter.write_str("+rtt"),
            Change::RoundTrip(Some(false)) => formatter.write_str("-rtt"),
        }
    }
}

impl<A: fmt::Display> fmt::Display for NextHop<A> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            NextHop::Address(address) => write!(formatter, "{address}"),
            NextHop::PeerAddress => formatter.write_str("peer-address"),
            NextHop::Unchanged => formatter.write_str("unchanged"),
        }
    }
}

impl Set {
    /// The words before the value: an entry has only one change of each.
    pub(super) fn stem(&self) -> &'static str {
        match self {
            Set::AsPathPrepend(_) | Set::AsPathPrependLast(_) => "as-path prepend",
            Set::AsPathExclude(_) => "as-path exclude",
            Set::AsPathReplace(_) => "as-path replace",
            Set::Community(..) => "community",
            Set::CommunityDelete(_) => "comm-list",
            Set::LargeCommunity(..) => "large-community",
            Set::LargeCommunityDelete(_) => "large-comm-list",
            Set::RouteTarget(_) => "extcommunity rt",
            Set::SiteOfOrigin(_) => "extcommunity soo",
            Set::ExtCommunityNone => "extcommunity none",
            Set::Distance(_) => "distance",
            Set::NextHop(_) => "ip next-hop",
            Set::NextHop6(_) => "ipv6 next-hop global",
            Set::NextHop6Local(_) => "ipv6 next-hop local",
            Set::NextHop6PreferGlobal => "ipv6 next-hop prefer-global",
            Set::LocalPreference(_) => "local-preference",
            Set::Metric(_) => "metric",
            Set::Origin(_) => "origin",
            Set::OriginatorId(_) => "originator-id",
            Set::Source(_) => "src",
            Set::Table(_) => "table",
            Set::Tag(_) => "tag",
            Set::Weight(_) => "weight",
            Set::Aggregator(..) => "aggregator as",
            Set::AtomicAggregate => "atomic-aggregate",
        }
    }

    fn value(&self) -> String {
        let added = |text: String, additive: bool| match (text.is_empty(), additive) {
            (true, _) => "none".to_owned(),
            (false, true) => format!("{text} additive"),
            (false, false) => text,
        };
        match self {
            Set::AsPathPrepend(path) | Set::AsPathExclude(path) => joined(path, u32::to_string),
            Set::AsPathPrependLast(times) => format!("last-as {times}"),
            Set::AsPathReplace(asn) => asn.map_or("any".to_owned(), |asn| asn.to_string()),
            Set::Community(values, additive) => {
                added(joined(values, |value| community::print(*value)), *additive)
            }
            Set::LargeCommunity(values, additive) => {
                added(joined(values, |value| community::print_large(*value)), *additive)
            }
            Set::CommunityDelete(name) | Set::LargeCommunityDelete(name) => format!("{name} delete"),
            Set::RouteTarget(values) | Set::SiteOfOrigin(values) => values.join(" "),
            Set::ExtCommunityNone | Set::NextHop6PreferGlobal | Set::AtomicAggregate => String::new(),
            Set::Distance(distance) => distance.to_string(),
            Set::NextHop(next_hop) => next_hop.to_string(),
            Set::NextHop6(next_hop) => next_hop.to_string(),
            Set::NextHop6Local(address) => address.to_string(),
            Set::LocalPreference(change) | Set::Metric(change) => change.to_string(),
            Set::Origin(origin) => origin.name().to_owned(),
            Set::OriginatorId(address) => address.to_string(),
            Set::Source(address) => address.to_string(),
            Set::Table(number) | Set::Tag(number) | Set::Weight(number) => number.to_string(),
            Set::Aggregator(asn, address) => format!("{asn} {address}"),
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        // The keyword `global` stands before an address only.
        if let Set::NextHop6(next_hop @ (NextHop::PeerAddress | NextHop::Unchanged)) = self {
            return write!(formatter, "ipv6 next-hop {next_hop}");
        }
        match self.value() {
            value if value.is_empty() => formatter.write_str(self.stem()),
            value => write!(formatter, "{} {value}", self.stem()),
        }
    }
}
