//! Routes of this router's own: `network` and `redistribute`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::{Interface, KernelRoute, OWN, REDISTRIBUTED, Speaker, family_of};
use crate::config::{Bgp, Redistribute, Source as Redistributed};
use crate::policy::{Context, Direction, NextHopChange, Subject, Verdict};
use crate::session::Time;
use crate::table::{NextHopState, Path, Route, SourceId};
use crate::wire::{Attributes, Community, Family, NextHop, Origin};

/// What FRR gives to its own routes.
pub(super) const WEIGHT: u32 = 32768;

/// Routes of this router's own: of one prefix there may be one of `network` and one of `redistribute`, and the former came first.
pub(super) type Owns = BTreeMap<(IpNet, Kind), Own>;

/// Why there is a route of this router's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// `network`.
    Network,
    /// `redistribute`.
    Redistributed,
}

impl Kind {
    fn source(self) -> SourceId {
        match self {
            Kind::Network => OWN,
            Kind::Redistributed => REDISTRIBUTED,
        }
    }
}

/// A route of this router's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    attributes: Arc<Attributes>,
    next_hop: NextHop,
    weight: u32,
    tag: u32,
    /// Whether it may be used.
    is_known: bool,
    /// What it is redistributed from.
    redistributed: Option<Redistributed>,
}

impl Own {
    fn from(self, source: Redistributed) -> Own {
        Own {
            redistributed: Some(source),
            ..self
        }
    }
}

/// Why this router has a route of its own.
struct Reason<'a> {
    origin: Origin,
    med: Option<u32>,
    /// The next hop, where the route has one that can be told.
    via: Option<IpAddr>,
    /// The interface packets leave by.
    interface: Option<&'a str>,
    blackhole: bool,
    tag: u32,
    route_map: Option<&'a str>,
}

impl Interface {
    /// Networks this router is in; of the loopback's own none can be told.
    pub(super) fn networks(&self) -> impl Iterator<Item = IpNet> {
        let told = |net: &IpNet| match net.addr() {
            IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
            IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
        };
        self.nets().filter(told).map(|net| net.trunc())
    }
}

impl Speaker {
    /// Puts the routes of its own into the tables, and takes out those it has no longer.
    pub(super) fn originate(&mut self, now: Time) {
        let mut wanted = BTreeMap::new();
        if let Some(bgp) = &self.config.bgp {
            for family in Family::ALL {
                self.redistribute(family, bgp, &mut wanted);
                self.networks(family, bgp, &mut wanted);
            }
        }
        let before = std::mem::take(&mut self.own);
        for (prefix, kind) in before.keys().filter(|key| !wanted.contains_key(*key)) {
            let table = self.tables.get_mut(family_of(prefix));
            table.remove(prefix, kind.source(), 0);
        }
        let sources = [OWN, REDISTRIBUTED].map(|source| self.own_source(source));
        let (late, early): (Vec<_>, Vec<_>) = wanted
            .iter()
            .partition(|((prefix, kind), _)| self.comes_second(*prefix, *kind, &wanted));
        let in_order = early.into_iter().map(|it| (it, Duration::ZERO));
        let in_order = in_order.chain(late.into_iter().map(|it| (it, Duration::from_nanos(1))));
        for (((prefix, kind), own), after) in in_order {
            let path = Path {
                source: Arc::clone(&sources[usize::from(*kind == Kind::Redistributed)]),
                attributes: Arc::clone(&own.attributes),
                next_hop: own.next_hop,
                weight: own.weight,
                tag: own.tag,
                distance: None,
                table: None,
            };
            let state = match own.is_known {
                true => NextHopState::Reachable(0),
                false => NextHopState::Unreachable,
            };
            let route = Route::new(Arc::new(path), 0, state, now + after);
            self.tables.get_mut(family_of(prefix)).insert(prefix, route);
        }
        self.own = wanted;
    }

    /// Whether of two routes of its own to one prefix this one came second: that of the line that stands behind the other.
    fn comes_second(&self, prefix: IpNet, kind: Kind, wanted: &Owns) -> bool {
        let bgp = self.config.bgp.as_ref();
        let network = bgp.and_then(|bgp| bgp.family(family_of(&prefix)).networks.get(&prefix));
        let other = wanted.get(&(prefix, Kind::Redistributed));
        let source = other.and_then(|other| other.redistributed);
        let is_first = network
            .zip(source)
            .map(|(network, source)| !network.earlier.0.contains(&source));
        match kind {
            Kind::Network => is_first == Some(false),
            Kind::Redistributed => is_first == Some(true),
        }
    }

    /// `redistribute connected`, `static` and `kernel`.
    fn redistribute(&self, family: Family, bgp: &Bgp, wanted: &mut Owns) {
        let key = |prefix: IpNet| (prefix, Kind::Redistributed);
        let table = bgp.family(family);
        if let Some(how) = table.redistribute.get(&Redistributed::Connected) {
            for interface in self.interfaces.iter().filter(|it| it.up) {
                let reason = redistributed(how, 0, None, Some(&interface.name), false);
                for prefix in interface.networks().filter(|it| family_of(it) == family) {
                    let own = self.own(bgp, prefix, &reason);
                    let own = own.map(|own| own.from(Redistributed::Connected));
                    wanted.extend(own.map(|own| (key(prefix), own)));
                }
            }
        }
        for (kind, is_static) in [(Redistributed::Static, true), (Redistributed::Kernel, false)] {
            let Some(how) = table.redistribute.get(&kind) else {
                continue;
            };
            let routes = self.routes.iter();
            for route in routes.filter(|it| it.is_static == is_static && family_of(&it.to) == family) {
                let own = self.redistributed_route(bgp, how, route);
                let own = own.map(|own| own.from(kind));
                wanted.extend(own.map(|own| (key(route.to), own)));
            }
        }
    }

    fn redistributed_route(&self, bgp: &Bgp, how: &Redistribute, route: &KernelRoute) -> Option<Own> {
        let hop = route.hops.first();
        let via = hop.and_then(|hop| hop.via);
        let via = via.filter(|via| via.is_ipv4() == route.to.addr().is_ipv4());
        let out = hop.and_then(|hop| self.interfaces.iter().find(|it| it.index == hop.interface));
        let interface = out.map(|it| it.name.as_str());
        let reason = Reason {
            tag: route.tag,
            ..redistributed(how, route.metric, via, interface, hop.is_none())
        };
        self.own(bgp, route.to, &reason)
    }

    /// `network`.
    fn networks(&self, family: Family, bgp: &Bgp, wanted: &mut Owns) {
        let up = || self.interfaces.iter().filter(|it| it.up);
        for (prefix, network) in &bgp.family(family).networks {
            let connected = || up().flat_map(Interface::networks).any(|net| net == *prefix);
            let known = || self.routes.iter().any(|route| route.to == *prefix);
            // One that is not known here is shown, and not used.
            let is_known = !bgp.flags.import_check || connected() || known();
            let reason = Reason {
                origin: Origin::Igp,
                med: self.behavior.network_med(),
                via: None,
                interface: None,
                blackhole: false,
                tag: 0,
                route_map: network.route_map.as_deref(),
            };
            let own = self.own(bgp, *prefix, &reason);
            let own = own.map(|own| Own { is_known, ..own });
            wanted.extend(own.map(|own| ((*prefix, Kind::Network), own)));
        }
    }

    /// A route as its route-map lets it pass; none if it does not.
    fn own(&self, bgp: &Bgp, prefix: IpNet, reason: &Reason) -> Option<Own> {
        let attributes = Attributes {
            origin: reason.origin,
            med: reason.med,
            ..Attributes::default()
        };
        let mut subject = Subject {
            prefix,
            attributes: Arc::new(attributes),
            next_hop: next_hop(&prefix, reason.via),
            next_hop_change: NextHopChange::None,
            weight: WEIGHT,
            tag: reason.tag,
            distance: None,
            table: None,
            source: None,
        };
        if let Some(name) = reason.route_map {
            let context = self.context_own(bgp, reason.interface, reason.blackhole);
            if self.policy.apply(name, &mut subject, &context) == Verdict::Deny {
                return None;
            }
        }
        lower_if_shutting_down(bgp, &mut subject.attributes);
        Some(Own {
            attributes: subject.attributes,
            next_hop: subject.next_hop,
            weight: subject.weight,
            tag: subject.tag,
            is_known: true,
            redistributed: None,
        })
    }

    /// What a route-map for a route of this router's own may ask about.
    pub(super) fn context_own<'a>(
        &self,
        bgp: &Bgp,
        interface: Option<&'a str>,
        blackhole: bool,
    ) -> Context<'a> {
        Context {
            direction: Direction::Own,
            own_as: bgp.asn,
            peer: None,
            peer_address: None,
            interface,
            blackhole,
            seed: self.seed,
        }
    }
}

fn redistributed<'a>(
    how: &'a Redistribute,
    metric: u32,
    via: Option<IpAddr>,
    interface: Option<&'a str>,
    blackhole: bool,
) -> Reason<'a> {
    Reason {
        origin: Origin::Incomplete,
        med: Some(how.metric.unwrap_or(metric)),
        via,
        interface,
        blackhole,
        tag: 0,
        route_map: how.route_map.as_deref(),
    }
}

fn next_hop(prefix: &IpNet, via: Option<IpAddr>) -> NextHop {
    match via {
        Some(IpAddr::V4(address)) => NextHop::V4(address),
        Some(IpAddr::V6(global)) => NextHop::V6 {
            global,
            link_local: None,
        },
        None if family_of(prefix) == Family::Ipv4Unicast => NextHop::V4(Ipv4Addr::UNSPECIFIED),
        None => NextHop::V6 {
            global: Ipv6Addr::UNSPECIFIED,
            link_local: None,
        },
    }
}

/// Routes of a router that is about to shut down are the last to be used, and say so (RFC 8326 section 4).
pub(super) fn lower_if_shutting_down(bgp: &Bgp, attributes: &mut Arc<Attributes>) {
    if !bgp.flags.graceful_shutdown {
        return;
    }
    let attributes = Arc::make_mut(attributes);
    attributes.local_pref = Some(0);
    attributes.communities.push(Community::GRACEFUL_SHUTDOWN);
    attributes.communities.sort_unstable();
    attributes.communities.dedup();
}
