//! `show bgp statistics`.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::View;
use super::json::{Json, Object, significant};
use super::scope::{Scope, key};
use crate::config::Arguments;
use crate::wire::{AsPath, Family};

/// What is counted of a table.
#[derive(Default)]
struct Statistics {
    paths: usize,
    prefixes: usize,
    lengths: BTreeMap<u8, usize>,
    /// Prefixes that lie in no other, but for the one that holds all.
    apart: usize,
    aggregates: usize,
    space: f64,
    longest: usize,
    hops: usize,
    largest: usize,
    octets: usize,
    highest: u32,
}

impl Statistics {
    fn of(view: &View, family: Family) -> Statistics {
        let mut it = Statistics::default();
        let table = view.speaker.table(family);
        for (prefix, destination) in table.iter() {
            it.prefixes += 1;
            *it.lengths.entry(prefix.prefix_len()).or_default() += 1;
            let mut wider = std::iter::successors(prefix.supernet(), IpNet::supernet);
            if !wider.any(|it| it.prefix_len() > 0 && table.get(&it).is_some()) {
                it.apart += 1;
                it.space += f64::from(prefix.max_prefix_len() - prefix.prefix_len()).exp2();
            }
            for route in destination.routes() {
                let attributes = &route.attributes;
                it.paths += 1;
                it.aggregates += usize::from(attributes.atomic_aggregate);
                it.count_path(&attributes.as_path);
            }
        }
        it
    }

    fn count_path(&mut self, path: &AsPath) {
        let hops = path.length();
        let octets: usize = path
            .segments
            .iter()
            .map(|segment| 2 + 4 * segment.asns().len())
            .sum();
        self.longest = self.longest.max(hops);
        self.hops += hops;
        self.largest = self.largest.max(octets);
        self.octets += octets;
        let public = path
            .asns()
            .filter(|asn| !matches!(asn, 64512..=65535 | 4_200_000_000..));
        self.highest = self.highest.max(public.max().unwrap_or(0));
    }

    fn average_length(&self) -> f64 {
        let sum: usize = self
            .lengths
            .iter()
            .map(|(length, count)| usize::from(*length) * count)
            .sum();
        average(sum, self.prefixes)
    }

    /// The space as so many prefixes of a length.
    fn equivalent(&self, family: Family, length: u8) -> f64 {
        let bits = match family {
            Family::Ipv4Unicast | Family::L2vpnEvpn => 32 - length,
            Family::Ipv6Unicast => 128 - length,
        };
        self.space / f64::from(bits).exp2()
    }
}

fn average(sum: usize, count: usize) -> f64 {
    match count {
        0 => 0.0,
        count => sum as f64 / count as f64,
    }
}

/// `show bgp [ipv4|ipv6] [unicast] statistics [json]`.
pub(super) fn statistics(view: &View, arguments: &Arguments) -> String {
    let scope = Scope::of(arguments);
    if let Some(refusal) = scope.refusal_in_words(view) {
        return refusal;
    }
    let family = scope.table();
    let it = Statistics::of(view, family);
    match arguments.has("json") {
        true => {
            let facts = vec![Json::from(as_json(&it, family))];
            Object::new().with(key(family), facts).pretty() + "\n"
        }
        false => as_text(&it, family),
    }
}

/// `show bgp statistics-all [json]`.
pub(super) fn of_all(view: &View, arguments: &Arguments) -> String {
    let scope = Scope::of(arguments);
    if let Some(refusal) = scope.refusal_in_words(view) {
        return refusal;
    }
    let tables = Family::UNICAST.map(|family| (family, Statistics::of(view, family)));
    let none = Statistics::default();
    let mut all = Vec::new();
    for (family, own) in &tables {
        let (name, key) = match family {
            Family::Ipv4Unicast | Family::L2vpnEvpn => ("IPv4", "ipv4"),
            Family::Ipv6Unicast => ("IPv6", "ipv6"),
        };
        for (kind, short, has_own) in OF_ALL {
            let it = if has_own { own } else { &none };
            all.push((format!("{name} {kind}"), format!("{key}{short}"), *family, it));
        }
    }
    all.push((
        "L2VPN EVPN".to_owned(),
        "l2VpnEvpn".to_owned(),
        Family::Ipv4Unicast,
        &none,
    ));
    if arguments.has("json") {
        let all = all.iter().fold(Object::new(), |object, (_, key, family, it)| {
            object.with(key.clone(), vec![Json::from(as_json(it, *family))])
        });
        return all.pretty() + "\n";
    }
    let texts = all
        .iter()
        .map(|(name, _, family, it)| named_text(it, name, *family));
    texts.collect()
}

/// What bgpd has a table for, labeled or not the same.
const OF_ALL: [(&str, &str, bool); 6] = [
    ("Unicast", "Unicast", true),
    ("Multicast", "Multicast", false),
    ("VPN", "Vpn", false),
    ("Encap", "Encap", false),
    ("Labeled Unicast", "LabeledUnicast", true),
    ("Flowspec", "Flowspec", false),
];

fn as_text(it: &Statistics, family: Family) -> String {
    named_text(it, &family.to_string(), family)
}

fn named_text(it: &Statistics, name: &str, family: Family) -> String {
    let mut out = format!("BGP {name} RIB statistics (VRF default)\n");
    let mut line = |name: &str, value: String| out += &format!("{name:<30}: {value:>12}\n");
    line("Total Advertisements", it.paths.to_string());
    line("Total Prefixes", it.prefixes.to_string());
    line("Average prefix length", format!("{:.2}", it.average_length()));
    line("Unaggregateable prefixes", it.apart.to_string());
    line(
        "Maximum aggregateable prefixes",
        (it.prefixes - it.apart).to_string(),
    );
    line("BGP Aggregate advertisements", it.aggregates.to_string());
    line("Address space advertised", significant(it.space, 6));
    out += &space_lines(it, family);
    out += "\n";
    let mut line = |name: &str, value: String| out += &format!("{name:<30}: {value:>12}\n");
    line("Advertisements with paths", it.paths.to_string());
    line("Longest AS-Path (hops)", it.longest.to_string());
    line(
        "Average AS-Path length (hops)",
        format!("{:.2}", average(it.hops, it.paths)),
    );
    line("Largest AS-Path (bytes)", it.largest.to_string());
    line(
        "Average AS-Path size (bytes)",
        format!("{:.2}", average(it.octets, it.paths)),
    );
    line("Highest public ASN", it.highest.to_string());
    out
}

/// For IPv6 FRR prints its own format, with the line's end in it.
fn space_lines(it: &Statistics, family: Family) -> String {
    let shares = |lengths: [u8; 2]| lengths.map(|length| (length, it.equivalent(family, length)));
    match family {
        Family::Ipv4Unicast | Family::L2vpnEvpn => {
            let all = it.equivalent(family, 0) * 100.0;
            let mut out = format!("{:>30}: {all:>12.2}\n", "% announced ");
            for (length, share) in shares([8, 24]) {
                out += &format!("{:>30}: {share:>12.2}\n", format!("/{length} equivalent "));
            }
            out
        }
        Family::Ipv6Unicast => {
            let lines = shares([32, 48]).map(|(length, share)| {
                let name = format!("/{length} equivalent %s\n");
                format!("{name:>30}: {:>12}\n", significant(share, 6))
            });
            lines.concat()
        }
    }
}

fn as_json(it: &Statistics, family: Family) -> Object {
    let mut object = Object::new()
        .with("instance", "VRF default")
        .with("totalAdvertisements", it.paths)
        .with("totalPrefixes", it.prefixes)
        .with("averagePrefixLength", it.average_length())
        .with("unaggregateablePrefixes", it.apart)
        .with("maximumAggregateablePrefixes", it.prefixes - it.apart)
        .with("bgpAggregateAdvertisements", it.aggregates)
        .with("addressSpaceAdvertised", it.space);
    let lengths = match family {
        Family::Ipv4Unicast | Family::L2vpnEvpn => {
            object.put("%announced", it.equivalent(family, 0) * 100.0);
            [8, 24]
        }
        Family::Ipv6Unicast => [32, 48],
    };
    for length in lengths {
        object.put(format!("/{length}equivalent"), it.equivalent(family, length));
    }
    object.put("advertisementsWithPaths", it.paths);
    object.put("longestAsPath", it.longest);
    object.put("averageAsPathLengthHops", average(it.hops, it.paths));
    object.put("largestAsPath", it.largest);
    object.put("averageAsPathSizeBytes", average(it.octets, it.paths));
    object.put("highestPublicAsn", it.highest);
    let lengths = it
        .lengths
        .iter()
        .map(|(length, count)| Object::new().with(length.to_string(), *count).into());
    object.put("prefixLength", lengths.collect::<Vec<Json>>());
    object
}
