//! Routing between networks of EVPN: VRFs, what comes into them, and what they tell.

use std::sync::Arc;

use super::*;
use crate::evpn::Overlay;
use crate::speaker::simulated_vrfs::{self, SVI, TABLE, leaves, mac, routed, vnis};
use crate::wire::EvpnRoute;

/// What a VRF has in the kernel, and what in its devices is not of VNI 10.
fn kernel(network: &Network, leaf: usize) -> (Vec<String>, Vec<Overlay>) {
    let speaker = &network.nodes[leaf].speaker;
    let vrf = speaker.vrf("red").unwrap();
    let mut routes: Vec<(IpNet, String)> = vrf
        .forwarded()
        .iter()
        .map(|(to, way)| {
            let hops = way.hops().iter();
            let hops: Vec<String> = hops
                .map(|hop| format!("{:?} {}", hop.via.unwrap(), hop.interface))
                .collect();
            (to, format!("{to} via {}", hops.join(", ")))
        })
        .collect();
    routes.sort();
    let overlay = speaker.overlay().filter(|it| it.vni() == 4001).collect();
    (routes.into_iter().map(|(_, route)| route).collect(), overlay)
}

fn routes_to(leaf: usize) -> Vec<String> {
    let host = format!("192.168.10.{}/32 via 10.0.1.{} {SVI}", leaf + 1, leaf + 1);
    let net = format!("192.168.20.0/24 via 10.0.1.{} {SVI}", leaf + 1);
    if leaf == 1 { vec![host, net] } else { vec![host] }
}

fn router(leaf: u8) -> Vec<Overlay> {
    let (vni, router_mac) = (4001, mac(0, leaf, 0x99));
    let vtep = IpAddr::from([10, 0, 1, leaf]);
    let entry = |ip| Overlay::Neighbor {
        vni,
        ip,
        mac: router_mac,
    };
    let mapped = match vtep {
        IpAddr::V4(it) => IpAddr::V6(it.to_ipv6_mapped()),
        IpAddr::V6(_) => vtep,
    };
    vec![
        Overlay::Mac {
            vni,
            mac: router_mac,
            vtep,
        },
        entry(vtep),
        entry(mapped),
    ]
}

fn change(network: &mut Network, leaf: usize, change: impl Fn(String) -> String) {
    let text = change(simulated_vrfs::configuration(leaf as u8 + 1));
    let (config, diagnostics) = Config::parse(&text);
    assert_eq!(diagnostics, []);
    network.handle_event(leaf, Event::Configure(Box::new(config)));
    network.run(2);
}

#[test]
fn prefixes_and_hosts_of_others_are_in_the_vrf() {
    let network = routed();
    assert_eq!(kernel(&network, 0), (routes_to(1), router(2)));
    assert_eq!(kernel(&network, 1), (routes_to(0), router(1)));
    // None of it is in the default VRF, and none of that in this.
    for node in &network.nodes {
        let table = node.speaker.table(Family::Ipv4Unicast);
        assert!(
            table
                .iter()
                .all(|(prefix, _)| prefix.to_string().starts_with("10."))
        );
    }
    // A host is told with both networks, the leaf's MAC address beside.
    let host = EvpnRoute::MacIp {
        tag: 0,
        mac: mac(10, 0, 2),
        ip: Some([192, 168, 10, 2].into()),
    };
    let mut found = network.nodes[0].speaker.evpn_table().of_route(&host);
    let best = found.next().unwrap().1.best().unwrap();
    assert_eq!((best.vni.0, best.l3vni.map(|it| it.0)), (10, Some(4001)));
    let communities: Vec<String> = best
        .route
        .attributes
        .extended_communities
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        communities.join(" "),
        "RT:65102:10 RT:65102:4001 ET:8 Rmac:02:00:00:00:02:99"
    );
}

#[test]
fn routes_go_into_the_table_of_the_vrf_and_leave_it() {
    let mut network = leaves();
    network.start();
    network.run(1);
    let mut told: Vec<(u32, String, Option<String>)> = Vec::new();
    let mut note = |actions: &[Action]| {
        for action in actions {
            if let Action::ForwardIn(table, to, way) = action {
                let way: Option<&Arc<Way>> = way.as_ref();
                told.push((*table, to.to_string(), way.map(|way| format!("{:?}", way.hops()))));
            }
        }
    };
    // The second leaf's are told; then the first one gets its devices, loses them, gets them again, and loses its VRF.
    network.handle_event(1, Event::Bridging(vnis(2, true)));
    network.run(2);
    let now = network.now;
    let speaker = &mut network.nodes[0].speaker;
    let hop = format!("[Hop {{ via: Some(10.0.1.2), interface: {SVI} }}]");
    note(&speaker.handle_event(Event::Bridging(vnis(1, false)), now));
    note(&speaker.handle_event(Event::Bridging(Vec::new()), now));
    note(&speaker.handle_event(Event::Bridging(vnis(1, false)), now));
    note(&speaker.handle_event(Event::Configure(Box::default()), now));
    let both = ["192.168.10.2/32", "192.168.20.0/24"];
    let expected: Vec<(u32, String, Option<String>)> = [true, false, true, false]
        .into_iter()
        .flat_map(|is_there| both.map(|to| (TABLE, to.to_owned(), is_there.then(|| hop.clone()))))
        .collect();
    told[..].chunks_mut(2).for_each(<[_]>::sort);
    assert_eq!(told, expected);
    assert_eq!(speaker.overlay().count(), 0);
}

#[test]
fn what_is_told_and_taken_is_as_configured() {
    let mut network = routed();
    let of_type_5 = |network: &Network| -> Vec<String> {
        let table = network.nodes[0].speaker.evpn_table().iter();
        let foreign =
            table.filter(|(key, it)| key.route.kind() == 5 && it.best().unwrap().route.source.id != OWN);
        foreign
            .map(|(key, _)| format!("{} {}", key.rd, key.route))
            .collect()
    };
    assert_eq!(of_type_5(&network).len(), 2);
    let says = |more: &'static str| {
        move |text: String| {
            text.replace(
                "  advertise ipv4 unicast\n",
                &format!("  advertise ipv4 unicast{more}\n"),
            )
        }
    };
    // Targets that the other does not take, and a distinguisher.
    change(&mut network, 1, says("\n  rd 7:7\n  route-target export 9:9"));
    assert_eq!(
        of_type_5(&network),
        [
            "7:7 [5]:[0]:[24]:[192.168.10.0]",
            "7:7 [5]:[0]:[24]:[192.168.20.0]"
        ]
    );
    assert_eq!(kernel(&network, 0), (Vec::new(), Vec::new()));
    change(&mut network, 0, says("\n  route-target import 9:9"));
    assert_eq!(kernel(&network, 0).0, routes_to(1));
    change(&mut network, 0, says(""));
    // A route-map chooses and changes; a default route.
    change(&mut network, 1, |text| {
        let told = says(" route-map M\n  default-originate ipv4")(text);
        format!(
            "{told}ip prefix-list TWENTY permit 192.168.20.0/24\nroute-map M permit 10\n match ip address prefix-list TWENTY\n set metric 77\n"
        )
    });
    assert_eq!(
        of_type_5(&network),
        [
            "192.168.10.252:2 [5]:[0]:[0]:[0.0.0.0]",
            "192.168.10.252:2 [5]:[0]:[24]:[192.168.20.0]"
        ]
    );
    let vrf = network.nodes[0].speaker.vrf("red").unwrap();
    let med = |prefix: &str| {
        let destination = vrf
            .table(Family::Ipv4Unicast)
            .get(&prefix.parse().unwrap())
            .unwrap();
        destination.best().unwrap().attributes.med
    };
    assert_eq!((med("192.168.20.0/24"), med("0.0.0.0/0")), (Some(77), None));
    // Hosts are not told with a VRF of prefixes alone.
    change(&mut network, 1, |text| {
        text.replace(" vni 4001\n", " vni 4001 prefix-routes-only\n")
    });
    assert_eq!(kernel(&network, 0).0, routes_to(1)[1..]);
    // Nothing is told without the family.
    change(&mut network, 1, |text| {
        text.replace("  advertise ipv4 unicast\n", "")
    });
    assert_eq!(of_type_5(&network), [""; 0]);
}

#[test]
fn routes_of_a_vrf_go_with_the_tunnel_and_the_session() {
    let mut network = routed();
    network.set(0, false);
    network.run(15);
    assert_eq!(kernel(&network, 0), (Vec::new(), Vec::new()));
    network.set(0, true);
    network.run(30);
    assert_eq!(kernel(&network, 0), (routes_to(1), router(2)));
    // The bridge leaves the VRF: there is no way any more, and the leaf tells nothing of it.
    network.nodes[0].interfaces[3].link.master = None;
    network.handle_event(0, Event::Interfaces(network.nodes[0].interfaces.clone()));
    network.run(2);
    assert_eq!(kernel(&network, 0), (Vec::new(), Vec::new()));
    assert_eq!(kernel(&network, 1), (Vec::new(), Vec::new()));
}

#[test]
fn a_vrf_takes_its_own_networks_first_and_tells_none_that_came_by_evpn() {
    let network = routed();
    let vrf = network.nodes[0].speaker.vrf("red").unwrap();
    let both = vrf
        .table(Family::Ipv4Unicast)
        .get(&"192.168.10.0/24".parse().unwrap())
        .unwrap();
    assert_eq!(both.routes().len(), 2);
    assert!(!both.best().unwrap().is_imported());
    let table = network.nodes[1].speaker.evpn_table();
    let of_first = table
        .iter()
        .filter(|(key, _)| key.rd.to_string() == "192.168.10.251:2");
    let routes: Vec<String> = of_first.map(|(key, _)| key.route.to_string()).collect();
    assert_eq!(routes, ["[5]:[0]:[24]:[192.168.10.0]"]);
}
