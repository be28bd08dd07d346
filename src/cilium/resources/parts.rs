//! What resources of both generations have in common: timers, graceful restart, families, path attributes.

use std::collections::BTreeSet;

use crate::bgp::config::community;
use crate::cilium::instance::{AddressFamily, Announced};
use crate::cilium::reading::{number, text, word};
use crate::yaml::Yaml;
use crate::yaml::reader::{Reader, Table};

/// What an AS number may be.
pub(super) const ASN: std::ops::RangeInclusive<i64> = 0..=4_294_967_295;
/// What a port may be.
pub(super) const PORT: std::ops::RangeInclusive<i64> = 1..=65_535;
/// What a TTL may be.
pub(super) const TTL: std::ops::RangeInclusive<i64> = 1..=255;

/// How often something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cilium) struct Timers {
    /// Seconds between attempts to connect.
    pub connect_retry: u32,
    /// Seconds until a silent neighbor is down.
    pub hold: u16,
    /// Seconds between keepalives.
    pub keepalive: u16,
}

impl Default for Timers {
    /// Cilium's.
    fn default() -> Self {
        Timers {
            connect_retry: 120,
            hold: 90,
            keepalive: 30,
        }
    }
}

/// Reads the three timers, which stand among other keys or in a table of their own.
pub(super) fn timers(reader: &mut Reader, table: &mut Table) -> Timers {
    let mut timers = Timers::default();
    let (retry, hold, keepalive) = (
        table.get("connectRetryTimeSeconds"),
        table.get("holdTimeSeconds"),
        table.get("keepAliveTimeSeconds"),
    );
    if let Some(yaml) = retry {
        let read = number(reader, yaml, "connectRetryTimeSeconds", 1..=2_147_483_647);
        timers.connect_retry = read.unwrap_or(timers.connect_retry);
    }
    if let Some(yaml) = hold {
        timers.hold = number(reader, yaml, "holdTimeSeconds", 3..=65_535).unwrap_or(timers.hold);
    }
    if let Some(yaml) = keepalive {
        let read = number(reader, yaml, "keepAliveTimeSeconds", 1..=65_535);
        timers.keepalive = read.unwrap_or(timers.keepalive);
    }
    if let Some(yaml) = keepalive.or(hold).filter(|_| timers.keepalive > timers.hold) {
        let message = format!(
            "`keepAliveTimeSeconds` ({}) is greater than `holdTimeSeconds` ({})",
            timers.keepalive, timers.hold
        );
        let help = "give both; a third of the hold time is usual";
        reader.wrong(yaml.span.clone(), message, help);
    }
    timers
}

/// Reads `gracefulRestart`: seconds, if it is on.
pub(super) fn graceful_restart(reader: &mut Reader, yaml: &Yaml) -> Option<u16> {
    let mut table = reader.table(yaml, "gracefulRestart", "`gracefulRestart`")?;
    let enabled = table
        .get("enabled")
        .and_then(|yaml| reader.boolean(yaml, "enabled"));
    let time = table
        .get("restartTimeSeconds")
        .and_then(|yaml| number(reader, yaml, "restartTimeSeconds", 1..=4095));
    table.finish(reader);
    enabled.is_some_and(|it| it.value).then_some(time.unwrap_or(120))
}

const AFIS: &[(&str, Option<AddressFamily>)] = &[
    ("ipv4", Some(AddressFamily::Ipv4)),
    ("ipv6", Some(AddressFamily::Ipv6)),
    ("l2vpn", None),
    ("ls", None),
    ("opaque", None),
];
const SAFIS: &[(&str, bool)] = &[
    ("unicast", true),
    ("multicast", false),
    ("mpls_label", false),
    ("encapsulation", false),
    ("vpls", false),
    ("evpn", false),
    ("ls", false),
    ("sr_policy", false),
    ("mup", false),
    ("mpls_vpn", false),
    ("mpls_vpn_multicast", false),
    ("route_target_constraints", false),
    ("flowspec_unicast", false),
    ("flowspec_vpn", false),
    ("key_value", false),
];

/// Reads `afi` and `safi`.
pub(super) fn family(reader: &mut Reader, table: &mut Table) -> Option<AddressFamily> {
    let (afi, safi) = (table.get("afi"), table.get("safi"));
    for (key, yaml) in [("afi", afi), ("safi", safi)] {
        if yaml.is_none() {
            let message = format!("`{key}` is missing");
            reader.wrong(
                crate::cilium::reading::head(table),
                message,
                "write `{ afi: ipv4, safi: unicast }`",
            );
        }
    }
    let (afi, safi) = (afi?, safi?);
    let family = word(reader, afi, "afi", AFIS)?;
    let unicast = word(reader, safi, "safi", SAFIS)?;
    let help = "only `{ afi: ipv4, safi: unicast }` and `{ afi: ipv6, safi: unicast }` are spoken here";
    if family.is_none() {
        reader.wrong(afi.span.clone(), "this family is not yet supported", help);
    } else if !unicast {
        reader.wrong(safi.span.clone(), "this family is not yet supported", help);
    }
    family.filter(|_| unicast)
}

/// Path attributes that a rule sets.
pub(in crate::cilium) type Attributes = Announced;

const WELL_KNOWN: &[(&str, u32)] = &[
    ("internet", 0x0000_0000),
    ("planned-shut", 0xffff_0000),
    ("accept-own", 0xffff_0001),
    ("route-filter-translated-v4", 0xffff_0002),
    ("route-filter-v4", 0xffff_0003),
    ("route-filter-translated-v6", 0xffff_0004),
    ("route-filter-v6", 0xffff_0005),
    ("llgr-stale", 0xffff_0006),
    ("no-llgr", 0xffff_0007),
    ("blackhole", 0xffff_029a),
    ("no-export", 0xffff_ff01),
    ("no-advertise", 0xffff_ff02),
    ("no-export-subconfed", 0xffff_ff03),
    ("no-peer", 0xffff_ff04),
];

/// Reads `communities` and `localPreference`.
pub(super) fn attributes(reader: &mut Reader, table: &mut Table) -> Attributes {
    let mut attributes = Attributes::default();
    if let Some(yaml) = table.get("communities") {
        communities(reader, yaml, &mut attributes);
    }
    attributes.local_preference = table
        .get("localPreference")
        .and_then(|yaml| number(reader, yaml, "localPreference", ASN));
    attributes
}

fn communities(reader: &mut Reader, yaml: &Yaml, attributes: &mut Attributes) {
    let Some(mut table) = reader.table(yaml, "communities", "`communities`") else {
        return;
    };
    let standard = table.get("standard").and_then(|yaml| {
        reader.list(yaml, "standard", "\"65000:100\"", |reader, yaml| {
            let read =
                |text: &str| (!text.starts_with(char::is_alphabetic)).then(|| community::parse(text))?;
            community(reader, yaml, "standard", "65000:100", read)
        })
    });
    let well_known = table.get("wellKnown").and_then(|yaml| {
        reader.list(yaml, "wellKnown", "no-export", |reader, yaml| {
            word(reader, yaml, "wellKnown", WELL_KNOWN)
        })
    });
    let large = table.get("large").and_then(|yaml| {
        reader.list(yaml, "large", "\"65000:1:2\"", |reader, yaml| {
            community(reader, yaml, "large", "65000:1:2", community::parse_large)
        })
    });
    table.finish(reader);
    attributes.communities.extend(standard.into_iter().flatten());
    attributes.communities.extend(well_known.into_iter().flatten());
    attributes.large_communities.extend(large.into_iter().flatten());
}

fn community<T>(
    reader: &mut Reader,
    yaml: &Yaml,
    key: &str,
    example: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let written = text(reader, yaml, key, &format!("[\"{example}\"]"))?;
    let community = read(&written);
    if community.is_none() {
        let message = format!("`{}` is no community of `{key}`", written.escape_debug());
        reader.wrong(yaml.span.clone(), message, format!("for example `\"{example}\"`"));
    }
    community
}

/// Which of a service's addresses are announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cilium) enum ServiceAddress {
    LoadBalancer,
    Cluster,
    External,
}

const ADDRESSES: &[(&str, ServiceAddress)] = &[
    ("LoadBalancerIP", ServiceAddress::LoadBalancer),
    ("ClusterIP", ServiceAddress::Cluster),
    ("ExternalIP", ServiceAddress::External),
];

/// Reads a list of them.
pub(super) fn service_addresses(reader: &mut Reader, yaml: &Yaml, key: &str) -> BTreeSet<ServiceAddress> {
    let read = reader.list(yaml, key, "LoadBalancerIP", |reader, yaml| {
        word(reader, yaml, key, ADDRESSES)
    });
    read.into_iter().flatten().collect()
}

/// Reads a reference to an object by `name`.
pub(super) fn reference(
    reader: &mut Reader,
    yaml: &Yaml,
    key: &'static str,
    ignored: &[&'static str],
) -> Option<String> {
    let mut table = reader.table(yaml, key, format!("`{key}`"))?;
    let name = table.get("name");
    let read = name.and_then(|yaml| text(reader, yaml, "name", "peer"));
    let read = crate::cilium::reading::required(reader, &table, "name", "peer", read, name.is_some());
    table.ignore(ignored, reader);
    table.finish(reader);
    read
}

/// Reads `name`, which has to be there.
pub(super) fn name(reader: &mut Reader, table: &mut Table, example: &str) -> Option<String> {
    let said = table.get("name");
    let name = said.and_then(|yaml| {
        let name = text(reader, yaml, "name", example)?;
        let fits = (1..=255).contains(&name.len());
        if !fits {
            reader.wrong(yaml.span.clone(), "`name` has 1 to 255 characters", "shorten it");
        }
        fits.then_some(name)
    });
    crate::cilium::reading::required(reader, table, "name", example, name, said.is_some())
}
