//! Aggregates: one route for all those that lie in a prefix (RFC 4271 section 9.2.2.2), and which of those it hides.

use std::net::Ipv6Addr;
use std::sync::Arc;

use ipnet::IpNet;

use super::local::WEIGHT;
use super::{Peer, Speaker, aggregate_path};
use crate::config::{Aggregate, Bgp};
use crate::policy::{NextHopChange, Subject, Verdict};
use crate::session::Time;
use crate::table::{NextHopState, PrefixId, Route, Source, SourceId, SourceKind};
use crate::wire::{Attributes, Community, Family, NextHop, Origin};

/// The source of aggregates.
pub const AGGREGATE: SourceId = SourceId(u32::MAX);

impl Speaker {
    /// Makes the aggregates that what has changed has a part in; all of them if so wanted. Returns prefixes about which
    /// neighbors have to be told something else though nothing of their own has changed.
    pub(super) fn aggregate(
        &mut self,
        family: Family,
        changed: &[PrefixId],
        all: bool,
        now: Time,
    ) -> Vec<PrefixId> {
        let configured = self
            .config
            .bgp
            .as_ref()
            .map(|bgp| bgp.family(family).aggregates.clone());
        let configured = configured.unwrap_or_default();
        let active = self.aggregates.get(family);
        if configured.is_empty() && active.is_empty() {
            return Vec::new();
        }
        self.keep_order(family);
        let active = self.aggregates.get(family);
        let gone: Vec<IpNet> = active
            .iter()
            .filter(|it| !configured.contains_key(*it))
            .copied()
            .collect();
        let mut again = Vec::new();
        for prefix in gone {
            self.put_aggregate(family, prefix, None, &mut again);
        }
        for (prefix, how) in &configured {
            let prefix = prefix.trunc();
            let table = self.tables.get(family);
            if all || changed.iter().any(|it| covers(&prefix, &table.prefix(*it))) {
                let route = self.make_aggregate(family, prefix, how, now);
                self.put_aggregate(family, prefix, route, &mut again);
            }
        }
        again
    }

    /// With each change it is looked which prefixes lie in an aggregate, and which is the first that a default route needs.
    pub(super) fn keep_order(&mut self, family: Family) {
        let bgp = self.config.bgp.as_ref();
        let has_aggregates = bgp.is_some_and(|bgp| !bgp.family(family).aggregates.is_empty());
        let looks = |peer: &Peer| {
            let originate = peer.family(family).default_originate.as_ref();
            originate.is_some_and(|originate| originate.route_map.is_some())
        };
        let keeps = has_aggregates || self.peers.values().any(looks);
        self.tables.get_mut(family).keep_order(keeps);
    }

    /// Puts an aggregate into the table or takes it out; what it hides comes and goes with it.
    fn put_aggregate(
        &mut self,
        family: Family,
        prefix: IpNet,
        route: Option<Route>,
        again: &mut Vec<PrefixId>,
    ) {
        let table = self.tables.get_mut(family);
        let active = self.aggregates.get_mut(family);
        let turned = match route {
            Some(route) => {
                table.insert(&prefix, route);
                active.insert(prefix)
            }
            None => {
                table.remove(&prefix, AGGREGATE, 0);
                active.remove(&prefix)
            }
        };
        if turned {
            let parts = table.within(prefix).map(|(part, _)| part);
            again.extend(
                parts
                    .filter(|part| *part != prefix)
                    .filter_map(|part| table.id(&part)),
            );
        }
    }

    /// An aggregate of what there is; none if there is nothing, or nothing that goes together.
    fn make_aggregate(&self, family: Family, prefix: IpNet, how: &Aggregate, now: Time) -> Option<Route> {
        let bgp = self.config.bgp.as_ref()?;
        let parts: Vec<&Route> = self
            .tables
            .get(family)
            .within(prefix)
            .filter(|(part, _)| *part != prefix)
            .flat_map(|(_, destination)| destination.routes())
            .filter(|route| is_part(route))
            .collect();
        let first = parts.first()?;
        let med = |route: &Route| route.attributes.med.unwrap_or(0);
        if how.matching_med_only && parts.iter().any(|part| med(part) != med(first)) {
            return None;
        }
        // Of IPv4, too: that is what FRR shows of it.
        let next_hop = NextHop::V6 {
            global: Ipv6Addr::UNSPECIFIED,
            link_local: None,
        };
        let mut subject = Subject {
            prefix,
            attributes: Arc::new(self.joined(bgp, &parts, how)),
            next_hop,
            next_hop_change: NextHopChange::None,
            weight: WEIGHT,
            tag: 0,
            distance: None,
            table: None,
            source: None,
        };
        if let Some(name) = &how.route_map {
            let context = self.context_own(bgp, None, false);
            if self.policy.apply(name, &mut subject, &context) == Verdict::Deny {
                return None;
            }
        }
        super::local::lower_if_shutting_down(bgp, &mut subject.attributes);
        let path = subject.into_path(self.own_source(AGGREGATE));
        Some(Route::new(Arc::new(path), 0, NextHopState::Reachable(0), now))
    }

    /// What the parts' attributes amount to: the worst origin, and with `as-set` all their ASs and communities.
    fn joined(&self, bgp: &Bgp, parts: &[&Route], how: &Aggregate) -> Attributes {
        let attributes = || parts.iter().map(|part| &part.attributes);
        let worst = attributes().map(|it| it.origin).max().unwrap_or(Origin::Igp);
        let mut joined = Attributes {
            origin: how.origin.unwrap_or(worst),
            med: Some(0),
            aggregator: Some((bgp.asn, self.router_id())),
            atomic_aggregate: !how.as_set || attributes().any(|it| it.atomic_aggregate),
            ..Attributes::default()
        };
        if how.as_set {
            joined.as_path = aggregate_path::join(attributes().map(|it| &it.as_path));
            joined.communities = union(attributes().map(|it| &it.communities[..]));
            joined
                .communities
                .retain(|it| *it != Community::GRACEFUL_SHUTDOWN);
            joined.extended_communities = union(attributes().map(|it| &it.extended_communities[..])).into();
            joined.large_communities = union(attributes().map(|it| &it.large_communities[..])).into();
        }
        joined
    }

    /// Whether an aggregate hides a route from neighbors (`summary-only`, `suppress-map`).
    pub fn is_suppressed(&self, family: Family, prefix: &IpNet, route: &Route) -> bool {
        let active = self.aggregates.get(family);
        let Some(bgp) = self.config.bgp.as_ref().filter(|_| !active.is_empty()) else {
            return false;
        };
        let around = active.iter().filter(|it| covers(it, prefix));
        let mut how = around.filter_map(|it| bgp.family(family).aggregates.get(it));
        is_part(route) && how.any(|how| how.summary_only || self.is_hidden_by_map(bgp, how, prefix, route))
    }

    fn is_hidden_by_map(&self, bgp: &Bgp, how: &Aggregate, prefix: &IpNet, route: &Route) -> bool {
        let context = self.context_own(bgp, None, false);
        let subject = Subject::of(*prefix, route);
        let map = how.suppress_map.as_ref();
        map.is_some_and(|name| self.policy.permits(name, &subject, &context))
    }

    /// This router as the source of routes.
    pub(super) fn own_source(&self, id: SourceId) -> Arc<Source> {
        Arc::new(Source {
            id,
            kind: SourceKind::Local,
            asn: self.config.bgp.as_ref().map_or(0, |bgp| bgp.asn),
            router_id: self.router_id(),
            address: None,
        })
    }
}

/// Whether a prefix lies in another and is longer.
fn covers(prefix: &IpNet, part: &IpNet) -> bool {
    prefix.contains(part) && prefix.prefix_len() < part.prefix_len()
}

/// Aggregates are no parts of others, nor are routes that cannot be used.
fn is_part(route: &Route) -> bool {
    route.source.id != AGGREGATE && route.is_reachable()
}

fn union<'a, T: Ord + Clone + 'a>(all: impl Iterator<Item = &'a [T]>) -> Vec<T> {
    let mut union: Vec<T> = all.flatten().cloned().collect();
    union.sort_unstable();
    union.dedup();
    union
}
