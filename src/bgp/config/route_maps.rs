//! Commands for route-maps.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::argument::Arguments;
use super::community;
use super::diagnostic::Refusal;
use super::edit::{Edit, Mode, Rows, option, said};
use super::lists::{action, extended, large_communities};
use super::policy::{
    Action, AddressMatch, Change, Family, Match, NextHop, OnMatch, Origin, PROTOCOLS, RouteMapEntry, Set,
};

/// Commands at the top.
pub(super) const ROUTE_MAPS: Rows = &[
    (
        "[no] route-map <name:word> (permit|deny) <sequence:1-65535>",
        route_map,
    ),
    ("no route-map <name:word>", |e, a| {
        e.config.route_maps.remove(&a.text("name")?);
        Ok(())
    }),
];

/// Commands in an entry.
pub(super) const ENTRY: Rows = &[
    ("description ~ <line>", |e, a| {
        said(&mut e.entry()?.description, a, || a.text("line"))
    }),
    ("call ~ <name:word>", |e, a| {
        if let Mode::RouteMap(own, _) = &*e.mode
            && a.get("name") == Some(own.as_str())
            && !a.no()
        {
            return Err(no_configuration());
        }
        option(&mut e.entry()?.call, a, "name")
    }),
    ("[no] on-match next", |e, a| on_match(e, a, OnMatch::Next)),
    ("on-match goto <sequence:1-65535>", goto),
    ("no on-match goto", goto),
    ("continue ~ <sequence:1-65535>", goto),
    ("match (ip|ipv6) address ~ <name:word>", |e, a| {
        prefix(e, a, "", AddressMatch::AccessList)
    }),
    ("match (ip|ipv6) address prefix-list ~ <name:word>", |e, a| {
        prefix(e, a, " prefix-list", AddressMatch::PrefixList)
    }),
    ("match ip address prefix-len ~ <length:0-32>", prefix_length),
    ("match ipv6 address prefix-len ~ <length:0-128>", prefix_length),
    ("[no] match ipv6 next-hop <address:ipv6>", next_hop_address),
    ("match (ip|ipv6) next-hop ~ <name:word>", |e, a| {
        next_hop(e, a, "", AddressMatch::AccessList)
    }),
    ("match (ip|ipv6) next-hop prefix-list ~ <name:word>", |e, a| {
        next_hop(e, a, " prefix-list", AddressMatch::PrefixList)
    }),
    ("match ip next-hop prefix-len ~ <length:0-32>", |e, a| {
        condition(e, a, "ip next-hop prefix-len", || {
            Ok(Match::NextHop(
                Family::Ipv4Unicast,
                AddressMatch::PrefixLength(a.value("length")?),
            ))
        })
    }),
    ("match ip next-hop address ~ <address:ipv4>", next_hop_address),
    ("match ipv6 next-hop address ~ <address:ipv6>", next_hop_address),
    ("match (ip|ipv6) next-hop type ~ blackhole", |e, a| {
        let family = family(a);
        condition(e, a, &format!("{} next-hop type", family.ip()), || {
            Ok(Match::NextHop(family, AddressMatch::Blackhole))
        })
    }),
    ("match ip route-source ~ <name:word>", |e, a| {
        condition(e, a, "ip route-source", || {
            Ok(Match::RouteSource(AddressMatch::AccessList(a.text("name")?)))
        })
    }),
    ("match ip route-source prefix-list ~ <name:word>", |e, a| {
        condition(e, a, "ip route-source prefix-list", || {
            Ok(Match::RouteSource(AddressMatch::PrefixList(a.text("name")?)))
        })
    }),
    ("match as-path ~ <name:word>", |e, a| {
        condition(e, a, "as-path", || Ok(Match::AsPath(a.text("name")?)))
    }),
    ("match community ~ <name:word> [exact-match]", |e, a| {
        condition(e, a, "community", || {
            Ok(Match::Community(a.text("name")?, a.has("exact-match")))
        })
    }),
    ("match large-community ~ <name:word> [exact-match]", |e, a| {
        condition(e, a, "large-community", || {
            Ok(Match::LargeCommunity(a.text("name")?, a.has("exact-match")))
        })
    }),
    ("match extcommunity ~ <name:word>", |e, a| {
        condition(e, a, "extcommunity", || Ok(Match::ExtCommunity(a.text("name")?)))
    }),
    ("match interface ~ <name:interface>", |e, a| {
        condition(e, a, "interface", || Ok(Match::Interface(a.text("name")?)))
    }),
    ("match local-preference ~ <value:0-4294967295>", |e, a| {
        condition(e, a, "local-preference", || {
            Ok(Match::LocalPreference(a.value("value")?))
        })
    }),
    ("match metric ~ <value:0-4294967295>", |e, a| {
        condition(e, a, "metric", || match a.value("value")? {
            0 => Err(Refusal::Bare([NO_METRIC; 2].join("\n"))),
            metric => Ok(Match::Metric(metric)),
        })
    }),
    ("match origin ~ (egp|igp|incomplete)", |e, a| {
        condition(e, a, "origin", || Ok(Match::Origin(origin(a))))
    }),
    ("match peer ~ (local|<name:peer>)", |e, a| {
        condition(e, a, "peer", || {
            Ok(Match::Peer(a.get("name").unwrap_or("local").to_owned()))
        })
    }),
    ("match probability ~ <value:0-100>", |e, a| {
        condition(e, a, "probability", || Ok(Match::Probability(a.value("value")?)))
    }),
    (
        "match source-protocol ~ (kernel|connected|static|rip|ripng|ospf|ospf6|isis|bgp|eigrp|nhrp|table|vnc|babel|openfabric)",
        |e, a| {
            condition(e, a, "source-protocol", || {
                Ok(Match::SourceProtocol(
                    a.one_of(&PROTOCOLS).unwrap_or_default().to_owned(),
                ))
            })
        },
    ),
    ("match tag ~ <value:1-4294967295>", |e, a| {
        condition(e, a, "tag", || Ok(Match::Tag(a.value("value")?)))
    }),
    ("set as-path prepend ~ <asn:1-4294967295>...", |e, a| {
        change(e, a, "as-path prepend", || {
            Ok(Set::AsPathPrepend(a.values("asn")?))
        })
    }),
    ("set as-path prepend last-as ~ <times:1-10>", |e, a| {
        change(e, a, "as-path prepend", || {
            Ok(Set::AsPathPrependLast(a.value("times")?))
        })
    }),
    ("set as-path exclude ~ <asn:1-4294967295>...", |e, a| {
        change(e, a, "as-path exclude", || {
            Ok(Set::AsPathExclude(a.values("asn")?))
        })
    }),
    ("set as-path replace ~ (any|<asn:1-4294967295>)", |e, a| {
        change(e, a, "as-path replace", || {
            Ok(Set::AsPathReplace(a.optional("asn")?))
        })
    }),
    ("set community ~ <value:word>...", |e, a| {
        change(e, a, "community", || communities(a))
    }),
    ("set comm-list ~ <name:word> delete", |e, a| {
        change(e, a, "comm-list", || Ok(Set::CommunityDelete(a.text("name")?)))
    }),
    (
        "set large-community ~ (none|<value:word>... [additive])",
        |e, a| {
            change(e, a, "large-community", || {
                Ok(Set::LargeCommunity(
                    large_communities(a).ok_or_else(malformed)?,
                    a.has("additive"),
                ))
            })
        },
    ),
    ("set large-comm-list ~ <name:word> delete", |e, a| {
        change(e, a, "large-comm-list", || {
            Ok(Set::LargeCommunityDelete(a.text("name")?))
        })
    }),
    ("set extcommunity rt ~ <value:word>...", |e, a| {
        change(e, a, "extcommunity rt", || {
            Ok(Set::RouteTarget(extended(a).ok_or_else(malformed)?))
        })
    }),
    ("set extcommunity soo ~ <value:word>...", |e, a| {
        change(e, a, "extcommunity soo", || {
            Ok(Set::SiteOfOrigin(extended(a).ok_or_else(malformed)?))
        })
    }),
    ("[no] set extcommunity none", |e, a| {
        change(e, a, "extcommunity none", || Ok(Set::ExtCommunityNone))
    }),
    ("set distance ~ <value:0-255>", |e, a| {
        change(e, a, "distance", || Ok(Set::Distance(a.value("value")?)))
    }),
    (
        "set ip next-hop ~ (<address:ipv4>|peer-address|unchanged)",
        |e, a| {
            change(e, a, "ip next-hop", || match next_hop_value(a)? {
                NextHop::<Ipv4Addr>::Address(address) if !is_next_hop(address) => Err(no_configuration()),
                next_hop => Ok(Set::NextHop(next_hop)),
            })
        },
    ),
    ("[no] set ipv6 next-hop global <address:ipv6>", |e, a| {
        change(e, a, "ipv6 next-hop global", || match next_hop_value(a)? {
            NextHop::<Ipv6Addr>::Address(address)
                if address.is_unspecified() || address.is_multicast() || address.is_unicast_link_local() =>
            {
                Err(no_configuration())
            }
            next_hop => Ok(Set::NextHop6(next_hop)),
        })
    }),
    ("[no] set ipv6 next-hop peer-address", |e, a| {
        change(e, a, "ipv6 next-hop global", || {
            Ok(Set::NextHop6(NextHop::PeerAddress))
        })
    }),
    ("set ipv6 next-hop local ~ <address:ipv6>", |e, a| {
        change(e, a, "ipv6 next-hop local", || {
            match a.value::<Ipv6Addr>("address")? {
                address if address.is_unicast_link_local() => Ok(Set::NextHop6Local(address)),
                _ => Err(no_configuration()),
            }
        })
    }),
    ("[no] set ipv6 next-hop prefer-global", |e, a| {
        change(e, a, "ipv6 next-hop prefer-global", || {
            Ok(Set::NextHop6PreferGlobal)
        })
    }),
    ("set local-preference ~ <value:word>", |e, a| {
        change(e, a, "local-preference", || {
            Ok(Set::LocalPreference(number(a, false)?))
        })
    }),
    ("set metric ~ <value:word>", |e, a| {
        change(e, a, "metric", || Ok(Set::Metric(number(a, true)?)))
    }),
    ("set origin ~ (egp|igp|incomplete)", |e, a| {
        change(e, a, "origin", || Ok(Set::Origin(origin(a))))
    }),
    ("set originator-id ~ <address:ipv4>", |e, a| {
        change(e, a, "originator-id", || {
            Ok(Set::OriginatorId(a.value("address")?))
        })
    }),
    ("set src ~ <address:address>", |e, a| {
        change(e, a, "src", || Ok(Set::Source(a.value("address")?)))
    }),
    ("set table ~ <value:1-4294967295>", |e, a| {
        change(e, a, "table", || Ok(Set::Table(a.value("value")?)))
    }),
    ("set tag ~ <value:1-4294967295>", |e, a| {
        change(e, a, "tag", || Ok(Set::Tag(a.value("value")?)))
    }),
    ("set weight ~ <value:0-4294967295>", |e, a| {
        change(e, a, "weight", || Ok(Set::Weight(a.value("value")?)))
    }),
    ("set aggregator as ~ <asn:1-4294967295> <address:ipv4>", |e, a| {
        change(e, a, "aggregator as", || {
            Ok(Set::Aggregator(a.value("asn")?, a.value("address")?))
        })
    }),
    ("[no] set atomic-aggregate", |e, a| {
        change(e, a, "atomic-aggregate", || Ok(Set::AtomicAggregate))
    }),
];

fn route_map(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = arguments.text("name")?;
    let sequence: u16 = arguments.value("sequence")?;
    if arguments.no() {
        let Some(map) = edit.config.route_maps.get_mut(&name) else {
            return Ok(());
        };
        map.remove(&sequence);
        if map.is_empty() {
            edit.config.route_maps.remove(&name);
        }
        return Ok(());
    }
    let action = action(arguments);
    let known = edit
        .config
        .route_maps
        .get(&name)
        .and_then(|map| map.get(&sequence));
    if action == Action::Deny && known.is_some_and(|entry| entry.on_match.is_some()) {
        return Err(no_goto());
    }
    let map = edit.config.route_maps.last_or_default(&name);
    map.entry(sequence)
        .or_insert_with(|| RouteMapEntry::new(action))
        .action = action;
    *edit.mode = Mode::RouteMap(name, sequence);
    Ok(())
}

fn on_match(edit: &mut Edit, arguments: &Arguments, way: OnMatch) -> Result<(), Refusal> {
    let entry = edit.entry()?;
    if !arguments.no() && entry.action == Action::Deny {
        return Err(no_goto());
    }
    entry.on_match = (!arguments.no()).then_some(way);
    Ok(())
}

fn goto(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    if arguments.no() {
        edit.entry()?.on_match = None;
        return Ok(());
    }
    let to: u16 = arguments.value("sequence")?;
    if let Mode::RouteMap(_, own) = edit.mode
        && to <= *own
    {
        // Only a later entry can follow.
        return Err(no_configuration());
    }
    on_match(edit, arguments, OnMatch::Goto(to))
}

/// What bgpd says of a value that it cannot read.
pub(super) fn malformed() -> Refusal {
    Refusal::invalid("[BGP] Argument form is unsupported or malformed.")
}

/// An entry that denies cannot go on elsewhere.
fn no_goto() -> Refusal {
    no_configuration()
}

/// What FRR says where its model of route-maps has no such thing.
pub(super) fn no_configuration() -> Refusal {
    Refusal::Bare("% Configuration failed.\n\nError type: validation".to_owned())
}

/// Puts in a condition, or takes out the one of this stem.
fn condition(
    edit: &mut Edit,
    arguments: &Arguments,
    stem: &str,
    make: impl FnOnce() -> Result<Match, Refusal>,
) -> Result<(), Refusal> {
    let new = if arguments.no() { None } else { Some(make()?) };
    replace(&mut edit.entry()?.matches, stem, Match::stem, new);
    Ok(())
}

/// What each of two daemons says of `match metric 0`.
const NO_METRIC: &str = "% Failed to edit configuration.\n\nYANG error(s):\n Unsatisfied range - value \"0\" is out of the \
    allowed range.\n YANG path: Schema location \"/frr-route-map:lib/route-map/entry/match-condition/rmap-match-condition/\
    match-condition/match-metric/metric\".";

/// Puts in a change, or takes out the one of this stem.
fn change(
    edit: &mut Edit,
    arguments: &Arguments,
    stem: &str,
    make: impl FnOnce() -> Result<Set, Refusal>,
) -> Result<(), Refusal> {
    let new = if arguments.no() { None } else { Some(make()?) };
    replace(&mut edit.entry()?.sets, stem, |set| set.stem().to_owned(), new);
    Ok(())
}

/// The lines of an entry are kept in the order in which FRR prints them, which is that of their text.
fn replace<T: fmt::Display>(all: &mut Vec<T>, stem: &str, of: impl Fn(&T) -> String, new: Option<T>) {
    all.retain(|known| of(known) != stem);
    all.extend(new);
    all.sort_by_cached_key(ToString::to_string);
}

/// Communities that are set, in FRR's grammar: `none`, or some, and `additive` anywhere.
fn communities(arguments: &Arguments) -> Result<Set, Refusal> {
    let words: Vec<&str> = arguments.all("value").collect();
    let additive = words.contains(&"additive");
    let rest: Vec<&str> = words.iter().copied().filter(|word| *word != "additive").collect();
    if rest == ["none"] && !additive {
        return Ok(Set::Community(Vec::new(), false));
    }
    let read: Option<Vec<u32>> = rest.iter().map(|word| community::parse(word)).collect();
    match read.filter(|read| !read.is_empty()) {
        Some(mut read) => {
            read.sort_unstable();
            read.dedup();
            Ok(Set::Community(read, additive))
        }
        None => {
            let message = format!("Malformed communities attribute '{}'", rest.join(" "));
            Err(Refusal::Invalid(message, arguments.span("value")))
        }
    }
}

fn is_next_hop(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_multicast() || address.is_broadcast())
}

fn family(arguments: &Arguments) -> Family {
    match arguments.has("ipv6") {
        true => Family::Ipv6Unicast,
        false => Family::Ipv4Unicast,
    }
}

fn prefix(
    edit: &mut Edit,
    arguments: &Arguments,
    by: &str,
    make: fn(String) -> AddressMatch,
) -> Result<(), Refusal> {
    let family = family(arguments);
    let stem = format!("{} address{by}", family.ip());
    condition(edit, arguments, &stem, || {
        Ok(Match::Address(family, make(arguments.text("name")?)))
    })
}

fn prefix_length(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let family = family(arguments);
    let stem = format!("{} address prefix-len", family.ip());
    condition(edit, arguments, &stem, || {
        Ok(Match::Address(
            family,
            AddressMatch::PrefixLength(arguments.value("length")?),
        ))
    })
}

fn next_hop(
    edit: &mut Edit,
    arguments: &Arguments,
    by: &str,
    make: fn(String) -> AddressMatch,
) -> Result<(), Refusal> {
    let family = family(arguments);
    let stem = format!("{} next-hop{by}", family.ip());
    condition(edit, arguments, &stem, || {
        Ok(Match::NextHop(family, make(arguments.text("name")?)))
    })
}

fn next_hop_address(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let family = family(arguments);
    let stem = format!("{} next-hop address", family.ip());
    condition(edit, arguments, &stem, || {
        Ok(Match::NextHop(
            family,
            AddressMatch::Address(arguments.value("address")?),
        ))
    })
}

fn next_hop_value<A: std::str::FromStr>(arguments: &Arguments) -> Result<NextHop<A>, Refusal> {
    Ok(match arguments.optional("address")? {
        Some(address) => NextHop::Address(address),
        None if arguments.has("peer-address") => NextHop::PeerAddress,
        None => NextHop::Unchanged,
    })
}

/// The origin a command names.
pub(super) fn origin(arguments: &Arguments) -> Origin {
    match arguments.one_of(&["igp", "egp"]) {
        Some("igp") => Origin::Igp,
        Some(_) => Origin::Egp,
        None => Origin::Incomplete,
    }
}

fn number(arguments: &Arguments, round_trip: bool) -> Result<Change, Refusal> {
    let text = arguments.text("value")?;
    let change = match text.as_str() {
        "rtt" if round_trip => Some(Change::RoundTrip(None)),
        "+rtt" if round_trip => Some(Change::RoundTrip(Some(true))),
        "-rtt" if round_trip => Some(Change::RoundTrip(Some(false))),
        text => match text.split_at_checked(1) {
            Some(("+", number)) => number.parse().ok().map(Change::Add),
            Some(("-", number)) => number.parse().ok().map(Change::Subtract),
            _ => text.parse().ok().map(Change::To),
        },
    };
    change.ok_or_else(|| match round_trip {
        true => Refusal::Unknown,
        false => malformed(),
    })
}
