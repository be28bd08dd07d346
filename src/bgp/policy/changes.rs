//! Changes that route-maps make.

use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU8, NonZeroU32};

use super::Policy;
use super::communities::sorted;
use super::subject::{Context, Direction, NextHopChange, Subject};
use thin_vec::ThinVec;

use crate::config::{Change, NextHop as NextHopValue, Set};
use crate::wire::{AsPath, Attributes, Community, ExtendedCommunity, LargeCommunity, NextHop};

/// Makes a change.
pub(super) fn apply(policy: &Policy, set: &Set, subject: &mut Subject, context: &Context) {
    match set {
        Set::NextHop(value) => next_hop4(*value, subject, context),
        Set::NextHop6(value) => next_hop6(*value, subject, context),
        Set::NextHop6Local(address) => link_local(*address, subject),
        Set::NextHop6PreferGlobal => prefer_global(subject),
        Set::Weight(weight) => subject.weight = *weight,
        Set::Tag(tag) => subject.tag = *tag,
        Set::Distance(distance) => subject.distance = NonZeroU8::new(*distance),
        Set::Source(address) => subject.source = Some(*address),
        Set::Table(table) => subject.table = NonZeroU32::new(*table),
        set => attribute(policy, set, subject.attributes_mut(), context),
    }
}

fn attribute(policy: &Policy, set: &Set, attributes: &mut Attributes, context: &Context) {
    match set {
        Set::LocalPreference(change) => {
            attributes.local_pref = Some(changed(attributes.local_pref, *change));
        }
        Set::Metric(change) => attributes.med = Some(changed(attributes.med, *change)),
        Set::Origin(origin) => attributes.origin = *origin,
        Set::OriginatorId(id) => attributes.originator_id = Some(*id),
        Set::Aggregator(asn, id) => attributes.aggregator = Some((*asn, *id)),
        Set::AtomicAggregate => attributes.atomic_aggregate = true,
        Set::AsPathPrepend(asns) => prepend(&mut attributes.as_path, asns),
        Set::AsPathPrependLast(times) => {
            let first = attributes.as_path.asns().next();
            if let Some(asn) = first {
                attributes.as_path.prepend(asn, usize::from(*times));
            }
        }
        Set::AsPathExclude(asns) => {
            attributes.as_path = attributes.as_path.retained(|asn| !asns.contains(&asn));
        }
        Set::AsPathReplace(which) => {
            let goes = |asn: u32| which.is_none_or(|which| which == asn);
            let path = &attributes.as_path;
            attributes.as_path = path.mapped(|asn| if goes(asn) { context.own_as } else { asn });
        }
        set => communities(policy, set, attributes),
    }
}

fn communities(policy: &Policy, set: &Set, attributes: &mut Attributes) {
    match set {
        Set::Community(values, additive) => {
            let new = values.iter().copied().map(Community);
            put(&mut attributes.communities, new, *additive);
        }
        Set::LargeCommunity(values, additive) => {
            let new = values.iter().map(|(global, local1, local2)| LargeCommunity {
                global: *global,
                local1: *local1,
                local2: *local2,
            });
            put(&mut attributes.large_communities, new, *additive);
        }
        Set::CommunityDelete(name) => {
            if let Some(list) = policy.community_lists.get(name) {
                attributes.communities.retain(|it| !list.names(it));
            }
        }
        Set::LargeCommunityDelete(name) => {
            if let Some(list) = policy.large_community_lists.get(name) {
                attributes.large_communities.retain(|it| !list.names(it));
            }
        }
        Set::RouteTarget(values) => extend(&mut attributes.extended_communities, "rt", values),
        Set::SiteOfOrigin(values) => extend(&mut attributes.extended_communities, "soo", values),
        Set::ExtCommunityNone => attributes.extended_communities.clear(),
        _ => {}
    }
}

/// FRR keeps communities in order, each once.
fn put<T: Ord, L>(all: &mut L, new: impl Iterator<Item = T>, additive: bool)
where
    L: Default + IntoIterator<Item = T> + From<Vec<T>>,
{
    let before = std::mem::take(all).into_iter().filter(|_| additive);
    *all = sorted(before.chain(new)).into();
}

/// Extended communities are added to those there are.
fn extend(all: &mut ThinVec<ExtendedCommunity>, kind: &str, values: &[String]) {
    let new = values
        .iter()
        .filter_map(|value| format!("{kind}:{value}").parse().ok());
    put(all, new, true);
}

/// What is not there counts as 0. Round-trip times are not measured: they count as 0, too.
fn changed(current: Option<u32>, change: Change) -> u32 {
    let current = current.unwrap_or(0);
    match change {
        Change::To(value) => value,
        Change::Add(value) => current.saturating_add(value),
        Change::Subtract(value) => current.saturating_sub(value),
        Change::RoundTrip(None) => 0,
        Change::RoundTrip(Some(_)) => current,
    }
}

fn prepend(path: &mut AsPath, asns: &[u32]) {
    for asn in asns.iter().rev() {
        path.prepend(*asn, 1);
    }
}

fn next_hop4(value: NextHopValue<std::net::Ipv4Addr>, subject: &mut Subject, context: &Context) {
    match value {
        NextHopValue::Address(address) => {
            subject.next_hop = NextHop::V4(address);
            subject.next_hop_change = NextHopChange::Set;
        }
        NextHopValue::Unchanged => subject.next_hop_change = NextHopChange::Unchanged,
        NextHopValue::PeerAddress => match (context.direction, context.peer_address) {
            (Direction::In, Some(IpAddr::V4(address))) => subject.next_hop = NextHop::V4(address),
            (Direction::Out, _) => subject.next_hop_change = NextHopChange::PeerAddress,
            _ => {}
        },
    }
}

fn next_hop6(value: NextHopValue<Ipv6Addr>, subject: &mut Subject, context: &Context) {
    let link_local = subject.next_hop.link_local();
    match value {
        NextHopValue::Address(global) => {
            subject.next_hop = NextHop::V6 { global, link_local };
            subject.next_hop_change = NextHopChange::Set;
        }
        NextHopValue::Unchanged => subject.next_hop_change = NextHopChange::Unchanged,
        NextHopValue::PeerAddress => match (context.direction, context.peer_address) {
            (Direction::In, Some(IpAddr::V6(global))) => {
                let link_local = global.is_unicast_link_local().then_some(global);
                subject.next_hop = NextHop::V6 { global, link_local };
            }
            (Direction::Out, _) => subject.next_hop_change = NextHopChange::PeerAddress,
            _ => {}
        },
    }
}

fn link_local(address: Ipv6Addr, subject: &mut Subject) {
    if let NextHop::V6 { link_local, .. } = &mut subject.next_hop {
        *link_local = Some(address);
        subject.next_hop_change = NextHopChange::Set;
    }
}

/// Packets go to the global address where there is one beside the link-local one.
fn prefer_global(subject: &mut Subject) {
    if let NextHop::V6 { global, link_local } = &mut subject.next_hop
        && !global.is_unspecified()
        && !global.is_unicast_link_local()
    {
        *link_local = None;
    }
}
