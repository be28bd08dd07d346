//! What decided for the best route, in FRR's words.

use std::cmp::Ordering;

use super::decision::{self, Rules};
use super::route::{Route, SourceId, SourceKind};

/// The step of the decision that told the best route from the last one it was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There is no other.
    Only,
    /// Cisco's weight.
    Weight,
    /// LOCAL_PREF.
    LocalPreference,
    /// It is this router's own.
    Local,
    /// The length of AS_PATH.
    AsPath,
    /// ORIGIN.
    Origin,
    /// MULTI_EXIT_DISC.
    Med,
    /// It comes from another AS.
    PeerType,
    /// The cost of the way to its next hop.
    Cost,
    /// The length of CLUSTER_LIST.
    ClusterLength,
    /// It was in use before.
    Older,
    /// The identifier of whoever brought it into the AS.
    RouterId,
    /// The neighbor's address.
    NeighborAddress,
    /// Both are this router's own.
    Configured,
    /// Nothing was left to compare.
    Nothing,
}

impl Reason {
    /// FRR's words for it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Only => "First path received",
            Reason::Weight => "Weight",
            Reason::LocalPreference => "Local Pref",
            Reason::Local => "Local Route",
            Reason::AsPath => "AS Path",
            Reason::Origin => "Origin",
            Reason::Med => "MED",
            Reason::PeerType => "Peer Type",
            Reason::Cost => "IGP Metric",
            Reason::ClusterLength => "Cluster length",
            Reason::Older => "Older Path",
            Reason::RouterId => "Router ID",
            Reason::NeighborAddress => "Neighbor IP",
            Reason::Configured => "Locally configured route",
            Reason::Nothing => "Nothing left to compare",
        }
    }
}

/// Why a route is the best of these, which are in the order in which they came. FRR goes through the best ones of each neighboring
/// AS from the newest to the oldest, or through all where they are of one AS, and keeps what the last comparison ended with.
pub(super) fn of(routes: &[Route], current: Option<(SourceId, u32)>, rules: &Rules) -> Reason {
    if routes.len() == 1 {
        return Reason::Only;
    }
    let winners = decision::best_of_each(routes, current, rules, rules.always_compare_med);
    let is_one = winners.len() < 2;
    let is_winner = |route: &Route| winners.iter().any(|winner| winner.key() == route.key());
    let newest_first = routes.iter().rev().filter(|route| decision::is_usable(route));
    let mut reason = Reason::Only;
    let mut best: Option<&Route> = None;
    for route in newest_first.filter(|route| is_one || is_winner(route)) {
        let Some(known) = best else {
            best = Some(route);
            continue;
        };
        reason = between(route, known, current, rules);
        if decision::compare(route, known, current, rules).is_lt() {
            best = Some(route);
        }
    }
    reason
}

pub(crate) fn between(a: &Route, b: &Route, current: Option<(SourceId, u32)>, rules: &Rules) -> Reason {
    let preference = |route: &Route| route.attributes.local_pref.unwrap_or(rules.local_preference);
    let length = |route: &Route| match rules.ignore_as_path {
        true => 0,
        false => route.attributes.as_path.length(),
    };
    let both_internal = a.source.kind == SourceKind::Internal && b.source.kind == SourceKind::Internal;
    let clusters = decision::cluster_length(a).cmp(&decision::cluster_length(b));
    let inner_clusters = if both_internal { clusters } else { Ordering::Equal };
    let steps = [
        (Reason::Weight, a.weight.cmp(&b.weight)),
        (Reason::LocalPreference, preference(a).cmp(&preference(b))),
        (
            Reason::Local,
            decision::is_foreign(a).cmp(&decision::is_foreign(b)),
        ),
        (Reason::AsPath, length(a).cmp(&length(b))),
        (Reason::Origin, a.attributes.origin.cmp(&b.attributes.origin)),
        (Reason::Med, decision::med(a, b, rules)),
        (
            Reason::PeerType,
            decision::is_internal(a).cmp(&decision::is_internal(b)),
        ),
        (Reason::Cost, decision::cost(a).cmp(&decision::cost(b))),
        (Reason::ClusterLength, inner_clusters),
        (Reason::Older, decision::in_use(a, b, current, rules)),
        (
            Reason::RouterId,
            decision::originator(a).cmp(&decision::originator(b)),
        ),
        (Reason::ClusterLength, clusters),
        (Reason::NeighborAddress, a.source.address.cmp(&b.source.address)),
    ];
    let decisive = steps.into_iter().find(|(_, ordering)| ordering.is_ne());
    let undecided = match decision::is_foreign(a) {
        true => Reason::Nothing,
        false => Reason::Configured,
    };
    decisive.map_or(undecided, |(reason, _)| reason)
}
