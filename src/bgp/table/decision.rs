//! Which of several routes is best (RFC 4271 section 9.1.2.2), with the steps and in the order of FRR.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

use super::route::{NextHopState, Route, SourceId, SourceKind};

/// What a route without LOCAL_PREF has (FRR's `bgp default local-preference` changes it).
const LOCAL_PREFERENCE: u32 = 100;

/// How decisions are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// LOCAL_PREF of routes that have none.
    pub local_preference: u32,
    /// `bgp always-compare-med`: also between routes from different ASs.
    pub always_compare_med: bool,
    /// `bgp bestpath med missing-as-worst`.
    pub missing_med_is_worst: bool,
    /// `bgp bestpath as-path ignore`.
    pub ignore_as_path: bool,
    /// `bgp bestpath compare-routerid`: of external routes that are alike otherwise the lower identifier wins, not the one
    /// in use.
    pub compare_router_id: bool,
    /// Which external routes may be used beside the best.
    pub multipath: MultipathRule,
    /// `maximum-paths`.
    pub maximum_paths: usize,
    /// `maximum-paths ibgp`.
    pub maximum_paths_internal: usize,
}

/// Which external routes may be used beside the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultipathRule {
    /// Those from the same AS.
    SameNeighborAs,
    /// Those whose paths are as long (`bgp bestpath as-path multipath-relax`).
    SameLength,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            local_preference: LOCAL_PREFERENCE,
            always_compare_med: false,
            missing_med_is_worst: false,
            ignore_as_path: false,
            compare_router_id: false,
            multipath: MultipathRule::SameNeighborAs,
            maximum_paths: 256,
            maximum_paths_internal: 256,
        }
    }
}

/// Which routes to a prefix are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    /// The best one's source and path identifier.
    pub(super) best: (SourceId, u32),
    /// Those that packets are shared among beside it, the better first.
    pub(super) beside: Vec<(SourceId, u32)>,
}

/// The best route and those used beside it. `current` is the best so far.
pub(super) fn select(routes: &[Route], current: Option<(SourceId, u32)>, rules: &Rules) -> Option<Selection> {
    match routes {
        [] => return None,
        [only] => {
            return is_usable(only).then(|| Selection {
                best: only.key(),
                beside: Vec::new(),
            });
        }
        _ => {}
    }
    // MED counts among routes from one AS only, which is no total order: the best of each AS is found first, so that the
    // outcome does not hang on the order in which routes came (RFC 4271 section 9.1.2.2 c; `bgp deterministic-med`).
    let mut groups = best_of_each(routes, current, rules, rules.always_compare_med).into_iter();
    let first = groups.next()?;
    let best = groups.fold(first, |best, route| {
        if compare(route, best, current, rules).is_lt() {
            route
        } else {
            best
        }
    });
    let mut beside: Vec<&Route> = routes
        .iter()
        .filter(|route| is_usable(route) && route.key() != best.key() && shares(route, best, rules))
        .collect();
    beside.sort_by(|a, b| compare(a, b, current, rules));
    let limit = match best.source.kind {
        SourceKind::Internal => rules.maximum_paths_internal,
        SourceKind::Local | SourceKind::External => rules.maximum_paths,
    };
    let beside = beside.into_iter().take(limit.max(1) - 1);
    Some(Selection {
        best: best.key(),
        beside: beside.map(Route::key).collect(),
    })
}

/// The best route of each neighboring AS, or of all of them together.
pub(super) fn best_of_each<'r>(
    routes: &'r [Route],
    current: Option<(SourceId, u32)>,
    rules: &Rules,
    together: bool,
) -> Vec<&'r Route> {
    let mut best_of: BTreeMap<Option<u32>, &Route> = BTreeMap::new();
    for route in routes.iter().filter(|route| is_usable(route)) {
        let group = if together {
            None
        } else {
            route.attributes.as_path.first()
        };
        let best = best_of.entry(group).or_insert(route);
        if compare(route, best, current, rules).is_lt() {
            *best = route;
        }
    }
    best_of.into_values().collect()
}

pub(super) fn is_usable(route: &Route) -> bool {
    route.is_reachable()
}

/// `Less` where the first is better.
pub(crate) fn compare(a: &Route, b: &Route, current: Option<(SourceId, u32)>, rules: &Rules) -> Ordering {
    before_ties(a, b, rules)
        .then_with(|| in_use(a, b, current, rules))
        .then_with(|| originator(a).cmp(&originator(b)))
        .then_with(|| cluster_length(a).cmp(&cluster_length(b)))
        .then_with(|| a.source.address.cmp(&b.source.address))
        .then_with(|| newest_own(a, b))
        .then_with(|| a.key().cmp(&b.key()))
}

/// The steps that say something about routes; the further ones only break ties.
fn before_ties(a: &Route, b: &Route, rules: &Rules) -> Ordering {
    let preference = |route: &Route| route.attributes.local_pref.unwrap_or(rules.local_preference);
    let length = |route: &Route| {
        if rules.ignore_as_path {
            0
        } else {
            route.attributes.as_path.length()
        }
    };
    Reverse(a.weight)
        .cmp(&Reverse(b.weight))
        .then_with(|| preference(b).cmp(&preference(a)))
        .then_with(|| is_foreign(a).cmp(&is_foreign(b)))
        .then_with(|| length(a).cmp(&length(b)))
        .then_with(|| a.attributes.origin.cmp(&b.attributes.origin))
        .then_with(|| med(a, b, rules))
        .then_with(|| is_internal(a).cmp(&is_internal(b)))
        .then_with(|| cost(a).cmp(&cost(b)))
        .then_with(|| match (a.source.kind, b.source.kind) {
            (SourceKind::Internal, SourceKind::Internal) => cluster_length(a).cmp(&cluster_length(b)),
            _ => Ordering::Equal,
        })
}

pub(super) fn med(a: &Route, b: &Route, rules: &Rules) -> Ordering {
    if !rules.always_compare_med && a.attributes.as_path.first() != b.attributes.as_path.first() {
        return Ordering::Equal;
    }
    let missing = if rules.missing_med_is_worst { u32::MAX } else { 0 };
    let value = |route: &Route| route.attributes.med.unwrap_or(missing);
    value(a).cmp(&value(b))
}

/// Of external routes that are alike the one in use stays, so that routers do not flap between them (RFC 5004).
pub(super) fn in_use(a: &Route, b: &Route, current: Option<(SourceId, u32)>, rules: &Rules) -> Ordering {
    let external = |route: &Route| route.source.kind == SourceKind::External;
    if rules.compare_router_id || !external(a) || !external(b) {
        return Ordering::Equal;
    }
    let is_not = |route: &Route| current != Some(route.key());
    is_not(a).cmp(&is_not(b))
}

/// Of this router's own routes (`network`, `redistribute`, `aggregate-address`) the newest wins; they have no address that could
/// decide. What came at once came in the order of their sources.
fn newest_own(a: &Route, b: &Route) -> Ordering {
    match (a.source.kind, b.source.kind) {
        (SourceKind::Local, SourceKind::Local) => (b.since(), b.key()).cmp(&(a.since(), a.key())),
        _ => Ordering::Equal,
    }
}

/// Whether packets may be shared between a route and the best one.
fn shares(route: &Route, best: &Route, rules: &Rules) -> bool {
    if route.source.kind != best.source.kind || before_ties(route, best, rules).is_ne() {
        return false;
    }
    // Nothing is gained by another route that leads to the same router (FRR).
    if leads_alike(route, best) {
        return false;
    }
    match route.source.kind {
        SourceKind::Local => false,
        SourceKind::Internal => route.attributes.as_path == best.attributes.as_path,
        SourceKind::External => match rules.multipath {
            MultipathRule::SameNeighborAs => route.source.asn == best.source.asn,
            MultipathRule::SameLength => true,
        },
    }
}

/// Whether the next hop is the same; where both have a link-local address it is that which counts.
fn leads_alike(a: &Route, b: &Route) -> bool {
    match (a.next_hop.link_local(), b.next_hop.link_local()) {
        (Some(a), Some(b)) => a == b,
        _ => a.next_hop == b.next_hop,
    }
}

pub(super) fn is_foreign(route: &Route) -> bool {
    route.source.kind != SourceKind::Local
}

pub(super) fn is_internal(route: &Route) -> bool {
    route.source.kind == SourceKind::Internal
}

pub(super) fn cost(route: &Route) -> u32 {
    match route.next_hop_state() {
        NextHopState::Reachable(cost) => cost,
        NextHopState::Unreachable => u32::MAX,
    }
}

/// The identifier of whoever brought the route into the AS (RFC 4456 section 9).
pub(super) fn originator(route: &Route) -> std::net::Ipv4Addr {
    route.attributes.originator_id.unwrap_or(route.source.router_id)
}

pub(super) fn cluster_length(route: &Route) -> usize {
    route.attributes.cluster_list.len()
}
