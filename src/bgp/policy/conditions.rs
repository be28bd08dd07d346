//! Conditions of route-maps.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Policy;
use super::subject::{Context, Direction, Subject};
use crate::config::{AddressMatch, Match, PeerName};
use crate::rng::Rng;
use crate::wire::{Family, NextHop};

/// Whether a condition holds. A list that does not exist matches nothing.
pub(super) fn holds(policy: &Policy, condition: &Match, subject: &Subject, context: &Context) -> bool {
    let attributes = &subject.attributes;
    match condition {
        Match::Address(family, by) => {
            subject.family() == *family && prefix_matches(policy, by, *family, &subject.prefix, context)
        }
        Match::NextHop(family, by) => next_hop_matches(policy, by, *family, subject, context),
        Match::RouteSource(by) => context.peer_address.is_some_and(|address| {
            let family = family_of(address);
            prefix_matches(policy, by, family, &IpNet::from(address), context)
        }),
        Match::AsPath(name) => policy.as_path_list_permits(name, &attributes.as_path),
        Match::Community(name, exact) => {
            let list = policy.community_lists.get(name);
            list.is_some_and(|list| list.permits(&attributes.communities, *exact))
        }
        Match::LargeCommunity(name, exact) => {
            let list = policy.large_community_lists.get(name);
            list.is_some_and(|list| list.permits(&attributes.large_communities, *exact))
        }
        Match::ExtCommunity(name) => {
            let list = policy.extcommunity_lists.get(name);
            list.is_some_and(|list| list.permits(&attributes.extended_communities, false))
        }
        Match::Interface(name) => context.interface == Some(name.as_str()),
        // What is not there counts as 0 here, not as the default that decisions take.
        Match::LocalPreference(value) => attributes.local_pref.unwrap_or(0) == *value,
        Match::Metric(value) => attributes.med.unwrap_or(0) == *value,
        Match::Origin(origin) => attributes.origin == *origin,
        Match::Peer(name) => peer_matches(name, context),
        Match::Probability(percent) => chance(*percent, subject, context),
        // Only zebra knows protocols: bgpd takes the line, and it always holds.
        Match::SourceProtocol(_) => true,
        Match::Tag(tag) => subject.tag == *tag,
    }
}

fn prefix_matches(
    policy: &Policy,
    by: &AddressMatch,
    family: Family,
    prefix: &IpNet,
    context: &Context,
) -> bool {
    match by {
        AddressMatch::AccessList(name) => policy.access_list_permits(name, family, prefix),
        AddressMatch::PrefixList(name) => {
            // Otherwise than for a neighbor, a list without rules matches nothing here (FRR).
            let list = policy.prefix_lists.get(family).get(name);
            list.is_some_and(|list| !list.is_empty() && list.permits(prefix))
        }
        AddressMatch::PrefixLength(length) => prefix.prefix_len() == *length,
        AddressMatch::Address(address) => prefix.addr() == *address,
        AddressMatch::Blackhole => context.blackhole,
    }
}

fn next_hop_matches(
    policy: &Policy,
    by: &AddressMatch,
    family: Family,
    subject: &Subject,
    context: &Context,
) -> bool {
    let addresses = match subject.next_hop {
        NextHop::V4(address) => vec![IpAddr::V4(address)],
        NextHop::V6 { global, link_local } => {
            let local = link_local.map(IpAddr::V6);
            std::iter::once(IpAddr::V6(global)).chain(local).collect()
        }
    };
    let of_family = addresses.into_iter().filter(|it| family_of(*it) == family);
    match by {
        // Any of the addresses may be named; lists are asked for the first.
        AddressMatch::Address(wanted) => of_family.into_iter().any(|it| it == *wanted),
        by => of_family
            .into_iter()
            .next()
            .is_some_and(|it| prefix_matches(policy, by, family, &IpNet::from(it), context)),
    }
}

/// `match peer`: an address, an interface or `local`, which only this router's own routes come from.
fn peer_matches(name: &str, context: &Context) -> bool {
    if name == "local" {
        return context.direction == Direction::Own;
    }
    // FRR's route-maps for what goes out are asked once for all neighbors alike, and know none of them.
    if context.direction == Direction::Out {
        return false;
    }
    match context.peer {
        Some(PeerName::Interface(interface)) => interface == name,
        Some(PeerName::Address(_)) | None => {
            let wanted: Option<IpAddr> = name.parse().ok();
            wanted.is_some() && wanted == context.peer_address
        }
    }
}

/// The same route has the same luck for the same seed.
fn chance(percent: u8, subject: &Subject, context: &Context) -> bool {
    let (address, length) = (subject.prefix.addr(), subject.prefix.prefix_len());
    let octets = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let mixed = octets
        .iter()
        .fold(context.seed ^ u64::from(length), |sum, octet| {
            (sum.rotate_left(8) ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    Rng::new(mixed).roll(100) < u64::from(percent)
}

fn family_of(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::Ipv4Unicast,
        IpAddr::V6(_) => Family::Ipv6Unicast,
    }
}
