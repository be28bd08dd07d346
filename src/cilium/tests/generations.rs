//! What both generations of resources come to.

use super::*;

#[test]
fn a_policy_of_a_rack_is_obeyed_in_that_rack() {
    let desired = all(RACK);
    for (number, desired) in desired.iter().enumerate() {
        if number >= 2 {
            assert_eq!(*desired, Desired::default());
            continue;
        }
        let [router] = desired.instances.as_slice() else {
            panic!()
        };
        assert_eq!((router.asn, router.local_port), (65010, None));
        assert_eq!(router.router_id.to_string(), format!("10.0.{}.2", number + 1));
        let peer = &router.peers[0];
        assert_eq!(peer.address, PeerAddress::Fixed("10.0.0.1".parse().unwrap()));
        assert_eq!((peer.port, peer.hold, peer.keepalive), (179, 90, 30));
        assert_eq!(peer.families.len(), 2);
        assert_eq!(
            told(desired, 0),
            [
                format!("10.1.{number}.0/24"),
                format!("fd00:10:0:{}::/64", number + 1)
            ]
        );
    }
}

#[test]
fn nodes_are_selected_by_expressions() {
    let by = |expression: &str| {
        let policy = RACK.replace(
            "    matchLabels:\n      rack: rack0",
            &format!("    matchExpressions: [{expression}]"),
        );
        let desired = all(&policy);
        desired.iter().map(|it| it.instances.len()).collect::<Vec<_>>()
    };
    assert_eq!(
        by("{ key: rack, operator: In, values: [rack1, x] }"),
        [0, 0, 1, 1]
    );
    assert_eq!(
        by("{ key: rack, operator: NotIn, values: [rack1] }"),
        [1, 1, 0, 0]
    );
    assert_eq!(by("{ key: rack, operator: Exists }"), [1, 1, 1, 1]);
    assert_eq!(by("{ key: rack, operator: DoesNotExist }"), [0, 0, 0, 0]);
}

#[test]
fn two_policies_for_a_node_exclude_each_other() {
    let other = RACK
        .replace("name: rack0", "name: other")
        .replace("rack: rack0", "rack: rack0 ");
    let conflicts = desired(&store(&format!("{RACK}---{other}")), &nodes()).unwrap_err();
    assert_eq!(conflicts.len(), 2, "{conflicts:?}");
    assert!(conflicts[0].contains("both select node node0"), "{conflicts:?}");
}

#[test]
fn a_nodes_annotation_says_what_is_different_there() {
    let node = "
---
apiVersion: v1
kind: Node
metadata:
  name: node3
  labels: { rack: rack0 }
  annotations: { cilium.io/bgp-virtual-router.65010: 'router-id=192.0.2.9,local-port=1790' }
";
    let desired = all(&format!("{RACK}{node}"));
    let router = &desired[3].instances[0];
    assert_eq!(router.router_id.to_string(), "192.0.2.9");
    assert_eq!(router.local_port, Some(1790));
    assert!(desired[2].instances.is_empty());
}

const SERVICES: &str = "
---
apiVersion: cilium.io/v2alpha1
kind: CiliumLoadBalancerIPPool
metadata: { name: blue, labels: { color: blue } }
spec: { blocks: [{ start: 192.0.2.10, stop: 192.0.2.20 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web, labels: { app: web } }
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.10
  externalIPs: [198.51.100.7]
  ports: [{ port: 80 }]
---
apiVersion: v1
kind: Service
metadata: { name: hidden, labels: { app: hidden } }
spec: { type: LoadBalancer, ports: [{ port: 80 }] }
";

#[test]
fn services_are_announced_with_the_attributes_of_their_pool() {
    let policy = RACK.replace(
        "    neighbors:",
        "    serviceSelector: { matchExpressions: [{ key: app, operator: NotIn, values: [hidden] }] }\n    neighbors:",
    );
    let policy = policy.replace(
        "peerASN: 65010",
        "peerASN: 65010
      families: [{ afi: ipv4, safi: unicast }]
      advertisedPathAttributes:
      - selectorType: CiliumLoadBalancerIPPool
        selector: { matchLabels: { color: blue } }
        communities: { standard: ['65010:99'] }
      - selectorType: CiliumLoadBalancerIPPool
        selector: { matchLabels: { color: red } }
        communities: { standard: ['65010:66'] }
      - selectorType: PodCIDR
        localPreference: 150",
    );
    let desired = all(&format!("{policy}{SERVICES}"));
    assert_eq!(
        told(&desired[0], 0),
        ["10.1.0.0/24  150", "192.0.2.11/32 65010:99"]
    );
}

const CLUSTER: &str = "
apiVersion: cilium.io/v2
kind: CiliumBGPClusterConfig
metadata: { name: rack0 }
spec:
  nodeSelector: { matchLabels: { rack: rack0 } }
  bgpInstances:
  - name: instance-65010
    localASN: 65010
    peers:
    - name: tor0
      peerASN: 65010
      peerAddress: 10.0.0.1
      peerConfigRef: { name: cilium-peer }
    - name: gateway
      peerASN: 65000
      autoDiscovery: { mode: DefaultGateway, defaultGateway: { addressFamily: ipv4 } }
      peerConfigRef: { name: cilium-peer }
---
apiVersion: cilium.io/v2
kind: CiliumBGPPeerConfig
metadata: { name: cilium-peer }
spec:
  timers: { holdTimeSeconds: 9, keepAliveTimeSeconds: 3, connectRetryTimeSeconds: 5 }
  ebgpMultihop: 4
  gracefulRestart: { enabled: true, restartTimeSeconds: 15 }
  families:
  - afi: ipv4
    safi: unicast
    advertisements: { matchLabels: { advertise: bgp } }
---
apiVersion: cilium.io/v2
kind: CiliumBGPAdvertisement
metadata: { name: bgp-advertisements, labels: { advertise: bgp } }
spec:
  advertisements:
  - advertisementType: PodCIDR
    attributes: { communities: { standard: ['65000:99'] }, localPreference: 99 }
  - advertisementType: PodCIDR
    attributes: { communities: { wellKnown: [no-export] } }
  - advertisementType: Service
    service: { addresses: [LoadBalancerIP, ClusterIP, ExternalIP] }
    selector: { matchExpressions: [{ key: app, operator: In, values: [web] }] }
  - advertisementType: CiliumPodIPPool
    selector: { matchLabels: { io.cilium.podippool.name: default } }
---
apiVersion: cilium.io/v2alpha1
kind: CiliumPodIPPool
metadata: { name: default }
spec: { ipv4: { cidrs: [10.8.0.0/24, 10.9.0.0/16], maskSize: 24 } }
---
apiVersion: cilium.io/v2
kind: CiliumBGPNodeConfigOverride
metadata: { name: node1 }
spec:
  bgpInstances:
  - name: instance-65010
    routerID: 192.0.2.1
    localPort: 1790
    peers: [{ name: tor0, localAddress: 10.0.2.2 }]
";

#[test]
fn the_newer_resources_say_the_same_and_more() {
    let desired = all(&format!("{CLUSTER}{SERVICES}"));
    let router = &desired[0].instances[0];
    assert_eq!(router.name, "instance-65010");
    let [tor, gateway] = router.peers.as_slice() else {
        panic!()
    };
    assert_eq!((tor.hold, tor.keepalive, tor.connect_retry), (9, 3, 5));
    assert_eq!((tor.multihop, tor.restart), (4, Some(15)));
    assert_eq!(gateway.address, PeerAddress::DefaultGateway(AddressFamily::Ipv4));
    assert_eq!(
        told(&desired[0], 0),
        [
            "10.1.0.0/24 65000:99,no-export 99",
            "10.8.0.0/24",
            "10.96.0.10/32",
            "192.0.2.11/32",
            "198.51.100.7/32"
        ]
    );
    let router = &desired[1].instances[0];
    assert_eq!(
        (router.router_id.to_string().as_str(), router.local_port),
        ("192.0.2.1", Some(1790))
    );
    assert_eq!(
        router.peers[0].source,
        Some(Source::Address("10.0.2.2".parse().unwrap()))
    );
    assert!(told(&desired[1], 0).contains(&"10.9.0.0/24".to_owned()));
    assert!(desired[2].instances.is_empty());
}

#[test]
fn a_gateway_is_a_peer_once_the_node_has_one() {
    let instance = &all(CLUSTER)[0].instances[0];
    let neighbors = |gateway: Option<&str>| {
        let gateway = gateway.map(|it| it.parse().unwrap());
        let config = configuration::config(instance, |_| gateway);
        let bgp = config.bgp.unwrap();
        bgp.neighbors
            .iter()
            .map(|it| it.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(neighbors(None), ["10.0.0.1"]);
    assert_eq!(neighbors(Some("10.0.1.1")), ["10.0.0.1", "10.0.1.1"]);
    assert_eq!(neighbors(Some("10.0.0.1")), ["10.0.0.1"]);
}

#[test]
fn a_peer_without_its_configuration_waits() {
    let desired = all(&CLUSTER.replace("metadata: { name: cilium-peer }", "metadata: { name: other }"));
    assert!(desired[0].instances[0].peers.is_empty());
    assert!(desired[0].warnings[0].contains("no CiliumBGPPeerConfig cilium-peer"));
}

#[test]
fn a_node_with_a_policy_obeys_that_alone() {
    let desired = all(&format!("{RACK}---{CLUSTER}"));
    assert_eq!(desired[0].instances[0].name, "65010");
    assert_eq!(desired[0].instances.len(), 1);
}
