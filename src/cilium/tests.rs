mod diagnostics;
mod generations;

use super::*;
use crate::cilium::manifest::Manifests;

/// The objects of a text without errors.
fn objects(text: &str) -> Vec<Object> {
    let Manifests {
        objects, diagnostics, ..
    } = manifest::read([("test.yaml".to_owned(), text.to_owned())]);
    assert_eq!(diagnostics, [], "{text}");
    objects
}

fn store(text: &str) -> Store {
    let mut store = Store::default();
    store.apply(objects(text));
    store
}

/// Four nodes, two a rack, each with a /24 and a /64.
fn nodes() -> Vec<Facts> {
    let node = |number: u8| Facts {
        name: format!("node{number}"),
        labels: [("rack".to_owned(), format!("rack{}", number / 2))].into(),
        addresses: vec![format!("10.0.{}.2", number + 1).parse().unwrap()],
        pod_cidrs: vec![
            format!("10.1.{number}.0/24").parse().unwrap(),
            format!("fd00:10:0:{}::/64", number + 1).parse().unwrap(),
        ],
        ..Facts::default()
    };
    (0..4).map(node).collect()
}

fn all(text: &str) -> Vec<Desired> {
    desired(&store(text), &nodes()).unwrap()
}

/// What a peer of the first router of a node is told.
fn told(desired: &Desired, peer: usize) -> Vec<String> {
    let routes = desired.instances[0].peers[peer].routes.iter();
    let attributes = |it: &Announced| {
        let communities: Vec<String> = it
            .communities
            .iter()
            .map(|it| crate::bgp::config::community::print(*it))
            .collect();
        let preference = it.local_preference.map(|it| format!(" {it}")).unwrap_or_default();
        format!("{}{preference}", communities.join(","))
    };
    routes
        .map(|(prefix, it)| format!("{prefix} {}", attributes(it)).trim_end().to_owned())
        .collect()
}

const RACK: &str = "
apiVersion: cilium.io/v2alpha1
kind: CiliumBGPPeeringPolicy
metadata:
  name: rack0
spec:
  nodeSelector:
    matchLabels:
      rack: rack0
  virtualRouters:
  - localASN: 65010
    exportPodCIDR: true
    neighbors:
    - peerAddress: '10.0.0.1/32'
      peerASN: 65010
";

#[test]
fn objects_come_change_and_go() {
    let mut store = Store::default();
    let lines = |applied: Vec<Applied>| applied.iter().map(Applied::line).collect::<Vec<_>>();
    let name = "ciliumbgppeeringpolicy.cilium.io/rack0";
    assert_eq!(lines(store.apply(objects(RACK))), [format!("{name} created")]);
    assert_eq!(lines(store.apply(objects(RACK))), [format!("{name} unchanged")]);
    let changed = RACK.replace("true", "false");
    assert_eq!(
        lines(store.apply(objects(&changed))),
        [format!("{name} configured")]
    );
    let reference = objects(RACK)[0].reference.clone();
    assert_eq!(
        lines(store.delete([reference.clone(), reference])),
        [
            "ciliumbgppeeringpolicy.cilium.io \"rack0\" deleted",
            "Error from server (NotFound): ciliumbgppeeringpolicies.cilium.io \"rack0\" not found"
        ]
    );
    let kind = objects(RACK)[0].reference.kind;
    assert!(store.of_kind(kind).next().is_none());
}

#[test]
fn kinds_are_meant_by_many_words() {
    for word in [
        "CiliumBGPPeeringPolicy",
        "ciliumbgppeeringpolicies",
        "ciliumbgppeeringpolicy",
        "bgpp",
        "ciliumbgppeeringpolicies.cilium.io",
    ] {
        assert_eq!(Kind::meant(word), Some(Kind::PeeringPolicy), "{word}");
    }
    assert_eq!(Kind::meant("svc"), Some(Kind::Service));
    assert_eq!(Kind::meant("deployments"), None);
}

#[test]
fn services_keep_their_addresses() {
    let pool = "
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: { name: blue }
spec:
  blocks: [{ cidr: 192.0.2.0/30 }, { cidr: '2001:db8::/126' }]
  allowFirstLastIPs: \"No\"
";
    let service = |name: &str, more: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{ name: {name} }}\nspec:\n  type: LoadBalancer\n  ports: [{{ \
             port: 80 }}]\n{more}"
        )
    };
    let mut store = store(pool);
    store.apply(objects(&service("web", "")));
    let of = |store: &Store, name: &str| {
        let mut services = store.of_kind(Kind::Service);
        let found = services.find(|it| it.reference.name == name).unwrap();
        let shown = store.shown(found);
        let ingress = shown["status"]["loadBalancer"]["ingress"].as_array().cloned();
        let addresses = ingress.unwrap_or_default();
        addresses
            .iter()
            .map(|it| it["ip"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&store, "web"), ["192.0.2.1"]);
    // One whose name comes first takes nothing away.
    store.apply(objects(&service("api", "  ipFamilyPolicy: PreferDualStack\n")));
    assert_eq!(of(&store, "web"), ["192.0.2.1"]);
    assert_eq!(of(&store, "api"), ["192.0.2.2", "2001:db8::1"]);
    // The pool has no more.
    store.apply(objects(&service("third", "")));
    assert!(of(&store, "third").is_empty());
    let web = store
        .of_kind(Kind::Service)
        .find(|it| it.reference.name == "web")
        .unwrap()
        .reference
        .clone();
    store.delete([web]);
    assert_eq!(of(&store, "third"), ["192.0.2.1"]);
    store.apply(objects(&pool.replace("192.0.2.0/30", "198.51.100.0/30")));
    assert_eq!(of(&store, "third"), ["198.51.100.2"]);
}

#[test]
fn a_password_is_what_the_secret_says() {
    let policy = RACK.replace("peerASN: 65010", "peerASN: 65010\n      authSecretRef: tor");
    let secret = "
---
apiVersion: v1
kind: Secret
metadata: { name: tor, namespace: kube-system }
stringData: { password: keep-out }
";
    let with = all(&format!("{policy}{secret}"));
    let password = |desired: &[Desired]| desired[0].instances[0].peers[0].password.clone();
    assert_eq!(password(&with).as_deref(), Some("keep-out"));
    let without = all(&policy);
    assert_eq!(password(&without), None);
    assert!(
        without[0].warnings[0].contains("no secret tor"),
        "{:?}",
        without[0].warnings
    );
}

#[test]
fn the_speaker_is_told_so() {
    let policy = RACK.replace(
        "peerASN: 65010",
        "peerASN: 65010
      advertisedPathAttributes:
      - selectorType: PodCIDR
        communities: { standard: ['65010:100'], wellKnown: [no-export], large: ['65010:1:2'] }
        localPreference: 150
    - peerAddress: 192.0.2.1/32
      peerPort: 1790
      peerASN: 65000
      eBGPMultihopTTL: 3
      families: [{ afi: ipv4, safi: unicast }]
      gracefulRestart: { enabled: true, restartTimeSeconds: 60 }
",
    );
    let instance = &all(&policy)[1].instances[0];
    let config = configuration::config(instance, |_| None);
    let bgp = config.bgp.as_ref().unwrap();
    assert_eq!(bgp.router_id, Some("10.0.2.2".parse().unwrap()));
    let [tor, far] = bgp.neighbors.as_slice() else {
        panic!()
    };
    let tor = config.effective(bgp, tor);
    assert!(tor.ipv4.activate && tor.ipv6.activate);
    assert_eq!(tor.ebgp_multihop, None);
    assert_eq!(
        (tor.timers.hold, tor.timers.keepalive, tor.connect_retry),
        (90, 30, 120)
    );
    let far = config.effective(bgp, far);
    assert!(far.ipv4.activate && !far.ipv6.activate);
    assert_eq!((far.port, far.ebgp_multihop), (1790, Some(3)));
    assert_eq!(bgp.graceful_restart.restart_time, 60);
    let text = config.print();
    for line in [
        " network 10.1.1.0/24",
        " set community 65010:100 no-export",
        " set large-community 65010:1:2",
        " set local-preference 150",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}
