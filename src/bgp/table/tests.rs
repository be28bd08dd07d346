use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::wire::{AsPath, Attributes, Family, NextHop, Origin};

fn net() -> IpNet {
    "10.1.0.0/24".parse().unwrap()
}

fn route(id: u32, kind: SourceKind, change: impl FnOnce(&mut Attributes)) -> Route {
    let mut attributes = Attributes {
        as_path: "65010".parse().unwrap(),
        ..Attributes::default()
    };
    change(&mut attributes);
    let path = Path {
        source: Arc::new(Source {
            id: SourceId(id),
            kind,
            asn: attributes.as_path.first().unwrap_or(65000),
            router_id: Ipv4Addr::from(id),
            address: Some(IpAddr::from(Ipv4Addr::from(0x0a00_0000 + id))),
        }),
        attributes: Arc::new(attributes),
        next_hop: NextHop::V4(Ipv4Addr::from(0x0a00_0000 + id)),
        weight: 0,
        tag: 0,
        distance: None,
        table: None,
    };
    Route::new(Arc::new(path), 0, NextHopState::Reachable(0), Duration::ZERO)
}

/// The same route with another path.
fn with_path(route: Route, change: impl FnOnce(&mut Path)) -> Route {
    let mut path = Path::clone(route.path());
    change(&mut path);
    Route::new(
        Arc::new(path),
        route.path_id,
        route.next_hop_state(),
        route.since(),
    )
}

fn table() -> Table {
    Table::new(Family::Ipv4Unicast)
}

/// The prefixes that something is decided about.
fn decided(table: &mut Table, rules: &Rules) -> Vec<IpNet> {
    let ids = table.decide(rules);
    ids.into_iter().map(|id| table.prefix(id)).collect()
}

fn external(id: u32, change: impl FnOnce(&mut Attributes)) -> Route {
    route(id, SourceKind::External, change)
}

/// The best of these and those beside it, whatever the order they come in.
fn chosen(routes: &[Route], rules: &Rules) -> Vec<u32> {
    let ask = |routes: &mut dyn Iterator<Item = &Route>| {
        let mut table = self::table();
        routes.for_each(|route| table.insert(&net(), route.clone()));
        table.decide(rules);
        let destination = table.get(&net()).unwrap();
        destination
            .multipath()
            .map(|route| route.source.id.0)
            .collect::<Vec<u32>>()
    };
    let forward = ask(&mut routes.iter());
    assert_eq!(forward, ask(&mut routes.iter().rev()));
    forward
}

/// The second of two is better than the first.
#[track_caller]
fn second(first: Route, second: Route) {
    let best = second.source.id.0;
    assert_eq!(chosen(&[first, second], &Rules::default())[0], best);
}

#[test]
fn each_step_decides_before_those_after_it() {
    let heavy = external(2, |it| it.as_path = "1 2 3".parse().unwrap());
    let heavy = with_path(heavy, |path| path.weight = 1);
    second(external(1, |it| it.local_pref = Some(200)), heavy);
    second(
        route(1, SourceKind::Local, |_| {}),
        external(2, |it| {
            it.local_pref = Some(101);
            it.as_path = "1 2 3".parse().unwrap();
        }),
    );
    second(
        external(1, |it| it.as_path = Default::default()),
        route(2, SourceKind::Local, |_| {}),
    );
    second(
        external(1, |it| it.as_path = "1 2".parse().unwrap()),
        external(2, |it| it.origin = Origin::Incomplete),
    );
    second(
        external(1, |it| it.origin = Origin::Egp),
        external(2, |it| it.med = Some(7)),
    );
    second(external(1, |it| it.med = Some(7)), external(2, |_| {}));
    second(route(1, SourceKind::Internal, |_| {}), external(2, |_| {}));
    let mut far = route(1, SourceKind::Internal, |_| {});
    far.set_next_hop_state(NextHopState::Reachable(10));
    second(
        far,
        route(2, SourceKind::Internal, |it| {
            it.originator_id = Some(Ipv4Addr::BROADCAST)
        }),
    );
    second(
        route(1, SourceKind::Internal, |it| {
            it.cluster_list = [Ipv4Addr::LOCALHOST].into()
        }),
        route(2, SourceKind::Internal, |_| {}),
    );
    second(
        route(1, SourceKind::Internal, |it| {
            it.originator_id = Some(Ipv4Addr::new(9, 9, 9, 9))
        }),
        route(2, SourceKind::Internal, |_| {}),
    );
    second(external(2, |_| {}), external(1, |_| {}));
}

#[test]
fn med_counts_within_one_as_only_unless_told_otherwise() {
    let routes = [
        external(1, |it| {
            it.as_path = "65011 1".parse().unwrap();
            it.med = Some(100);
        }),
        external(2, |it| {
            it.as_path = "65012 1".parse().unwrap();
            it.med = Some(10);
        }),
        external(3, |it| {
            it.as_path = "65011 1".parse().unwrap();
            it.med = Some(50);
        }),
    ];
    // 1 loses to 3, which has the same AS; of 2 and 3 the identifier decides.
    assert_eq!(chosen(&routes, &Rules::default()), [2]);
    let rules = Rules {
        always_compare_med: true,
        ..Rules::default()
    };
    assert_eq!(chosen(&routes[..2], &rules), [2]);
    let missing = external(4, |it| it.as_path = "65012 1".parse().unwrap());
    assert_eq!(
        chosen(&[routes[1].clone(), missing.clone()], &Rules::default()),
        [4]
    );
    let rules = Rules {
        missing_med_is_worst: true,
        ..Rules::default()
    };
    assert_eq!(chosen(&[routes[1].clone(), missing], &rules), [2]);
}

#[test]
fn packets_are_shared_among_routes_that_are_alike() {
    let same = [
        external(1, |_| {}),
        external(2, |_| {}),
        external(3, |it| it.med = Some(1)),
    ];
    assert_eq!(chosen(&same, &Rules::default()), [1, 2]);
    let other = [
        external(1, |_| {}),
        external(2, |it| it.as_path = "65011".parse().unwrap()),
    ];
    assert_eq!(chosen(&other, &Rules::default()), [1]);
    let relaxed = Rules {
        multipath: MultipathRule::SameLength,
        ..Rules::default()
    };
    assert_eq!(chosen(&other, &relaxed), [1, 2]);
    let one = Rules {
        maximum_paths: 1,
        ..Rules::default()
    };
    assert_eq!(chosen(&same, &one), [1]);
}

#[test]
fn the_route_in_use_stays_among_equals() {
    let mut table = self::table();
    let rules = Rules {
        maximum_paths: 1,
        ..Rules::default()
    };
    table.insert(&net(), external(2, |_| {}));
    table.decide(&rules);
    table.insert(&net(), external(1, |_| {}));
    table.decide(&rules);
    assert_eq!(table.get(&net()).unwrap().best().unwrap().source.id, SourceId(2));
    let rules = Rules {
        compare_router_id: true,
        ..rules
    };
    table.reconsider();
    table.decide(&rules);
    assert_eq!(table.get(&net()).unwrap().best().unwrap().source.id, SourceId(1));
}

#[test]
fn routes_come_change_and_go() {
    let mut table = self::table();
    let rules = Rules::default();
    table.insert(&net(), external(1, |_| {}));
    assert_eq!(decided(&mut table, &rules), [net()]);
    table.insert(&net(), external(1, |_| {}));
    assert!(table.decide(&rules).is_empty(), "the same again changes nothing");
    table.insert(&net(), external(1, |it| it.med = Some(5)));
    assert_eq!(decided(&mut table, &rules), [net()]);
    table.resolve(|_, _| Some(NextHopState::Unreachable));
    assert_eq!(decided(&mut table, &rules), [net()]);
    assert!(table.get(&net()).unwrap().best().is_none());
    assert!(!table.remove(&net(), SourceId(9), 0));
    table.remove_source(SourceId(1));
    assert_eq!(decided(&mut table, &rules), [net()]);
    assert!(table.is_empty());
}

fn arbitrary_route() -> impl Strategy<Value = Route> {
    let kind = prop_oneof![
        Just(SourceKind::Local),
        Just(SourceKind::Internal),
        Just(SourceKind::External)
    ];
    let attributes = (0..3u32, 0..3usize, 0..2u8, proptest::option::of(0..3u32), 0..2u32);
    (0..6u32, kind, attributes, 0..3u32, 0..2u32).prop_map(
        |(id, kind, (preference, length, origin, med, first), cost, weight)| {
            let mut made = route(id, kind, |it| {
                it.local_pref = (preference > 0).then_some(preference * 50);
                it.as_path = AsPathOf(65010 + first, length).into();
                it.origin = Origin::from_number(origin).unwrap();
                it.med = med;
            });
            made.set_next_hop_state(NextHopState::Reachable(cost));
            with_path(made, |path| path.weight = weight)
        },
    )
}

/// A path that begins with an AS and is so long.
struct AsPathOf(u32, usize);

impl From<AsPathOf> for crate::wire::AsPath {
    fn from(AsPathOf(first, length): AsPathOf) -> Self {
        let rest = (0..length as u32).map(|number| 100 + number);
        crate::wire::AsPath::sequence(std::iter::once(first).chain(rest).collect::<Vec<u32>>())
    }
}

proptest! {
    /// The outcome hangs on what is said, not on the order in which it was said.
    #[test]
    fn order_does_not_matter(
        routes in prop::collection::vec(arbitrary_route(), 1..8),
        swaps in prop::collection::vec(any::<(u8, u8)>(), 0..16),
    ) {
        let mut seen = std::collections::HashSet::new();
        let routes: Vec<Route> = routes.into_iter().filter(|it| seen.insert(it.source.id)).collect();
        let mut shuffled = routes.clone();
        for (a, b) in swaps {
            let length = shuffled.len();
            shuffled.swap(usize::from(a) % length, usize::from(b) % length);
        }
        let rules = Rules::default();
        let best = decision::select(&routes, None, &rules);
        prop_assert_eq!(decision::select(&shuffled, None, &rules), best);
    }
}

#[test]
fn prefixes_that_change_again_and_again_undecided_take_no_more_room() {
    let mut table = self::table();
    let route = external(1, |_| {});
    for _ in 0..10_000 {
        table.insert(&net(), route.clone());
        table.remove(&net(), route.source.id, 0);
    }
    assert_eq!(table.pending.len(), 1);
    assert_eq!(decided(&mut table, &Rules::default()), [net()]);
    assert!(table.is_empty());
}

#[test]
fn packets_are_not_shared_among_routes_that_lead_alike() {
    let by = |id: u32, hop: u32| {
        with_path(external(id, |_| {}), |path| {
            path.next_hop = NextHop::V4(Ipv4Addr::from(hop))
        })
    };
    assert_eq!(chosen(&[by(1, 7), by(2, 7), by(3, 8)], &Rules::default()), [1, 3]);
    assert_eq!(chosen(&[by(1, 7), by(2, 7)], &Rules::default()), [1]);
}

#[test]
fn of_the_routers_own_routes_that_are_alike_the_newest_wins() {
    let own = |id: u32, since: u64| {
        let own = route(id, SourceKind::Local, |attributes| {
            attributes.as_path = AsPath::default()
        });
        let mut path = Path::clone(own.path());
        path.source = Arc::new(Source {
            id: SourceId(id),
            kind: SourceKind::Local,
            asn: 65000,
            router_id: Ipv4Addr::LOCALHOST,
            address: None,
        });
        let since = Duration::from_nanos(since);
        Route::new(Arc::new(path), 0, NextHopState::Reachable(0), since)
    };
    assert_eq!(chosen(&[own(1, 5), own(2, 5)], &Rules::default()), [2]);
    assert_eq!(chosen(&[own(1, 6), own(2, 5)], &Rules::default()), [1]);
    let mut table = self::table();
    table.insert(&net(), own(1, 5));
    table.insert(&net(), own(2, 5));
    table.decide(&Rules::default());
    assert_eq!(table.get(&net()).unwrap().reason(), Some(Reason::Configured));
}

/// FRR compares the best routes of several ASs with each other, and says what told the last two apart.
#[test]
fn the_reason_is_that_of_the_last_comparison() {
    let of = |id: u32, path: &str, weight: u32| {
        let made = external(id, |attributes| attributes.as_path = path.parse().unwrap());
        with_path(made, |path| path.weight = weight)
    };
    let reason = |routes: &[Route]| {
        let mut table = self::table();
        routes
            .iter()
            .for_each(|route| table.insert(&net(), route.clone()));
        table.decide(&Rules::default());
        table.get(&net()).unwrap().reason().unwrap()
    };
    // The first two are of one AS: of them only the better one is compared with the third.
    assert_eq!(
        reason(&[of(1, "65010", 5), of(2, "65010 65020", 5), of(3, "65030", 0)]),
        Reason::Weight
    );
    assert_eq!(
        reason(&[of(1, "65010", 5), of(2, "65010 65020", 5)]),
        Reason::AsPath
    );
}

/// Numbers are given again, and not while somebody needs them.
#[test]
fn numbers_of_prefixes_without_routes_are_given_again() {
    let mut table = table();
    let nets = || (0..4 * FEW as u32).map(|it| IpNet::new_assert(IpAddr::from(Ipv4Addr::from(it << 8)), 24));
    let kept = nets().nth(7).unwrap();
    let kept_id = {
        nets().for_each(|net| table.insert(&net, external(1, |_| {})));
        table.decide(&Rules::default());
        table.id(&kept).unwrap()
    };
    table.remove_source(SourceId(1));
    table.release_vacant(|_| false);
    assert!(table.id(&kept).is_some(), "it is still to be decided about");
    table.decide(&Rules::default());
    table.release_vacant(|_| false);
    assert!(table.id(&kept).is_some(), "nobody wants another number");
    let other = "192.0.2.0/24".parse().unwrap();
    table.insert(&other, external(1, |_| {}));
    table.decide(&Rules::default());
    table.release_vacant(|id| id == kept_id);
    assert_eq!((table.id(&kept), table.vacant.len()), (Some(kept_id), 1));
    assert_eq!(nets().filter(|net| table.id(net).is_some()).count(), 1);
    let before = table.numbers();
    nets().for_each(|net| table.insert(&net, external(1, |_| {})));
    assert_eq!((table.numbers(), table.len()), (before, 4 * FEW + 1));
    table.decide(&Rules::default());
    assert!(table.iter().map(|(net, _)| net).eq(nets().chain([other])));
}

#[test]
fn order_is_the_same_whether_it_is_kept_or_made() {
    let mut table = table();
    let nets = [
        "10.2.0.0/16",
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.0.0/24",
        "9.0.0.0/8",
    ];
    let ask = |table: &Table| {
        let all: Vec<IpNet> = table.iter().map(|(net, _)| net).collect();
        let within = table.within("10.0.0.0/8".parse().unwrap());
        (all, within.map(|(net, _)| net).collect::<Vec<IpNet>>())
    };
    table.insert(&nets[0].parse().unwrap(), external(1, |_| {}));
    table.keep_order(true);
    for net in &nets[1..] {
        table.insert(&net.parse().unwrap(), external(1, |_| {}));
    }
    table.remove(&nets[3].parse().unwrap(), SourceId(1), 0);
    let kept = ask(&table);
    table.keep_order(false);
    assert_eq!(kept, ask(&table));
    assert_eq!((kept.0.len(), kept.1.len()), (4, 3));
}
