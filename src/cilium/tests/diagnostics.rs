//! What is wrong with manifests, told with its place.

use super::*;
use crate::lab::Diagnostic;

/// What is wrong with a text: the places, and what is said of each.
fn diagnostics(text: &str) -> Vec<(String, String)> {
    let read = manifest::read([("test.yaml".to_owned(), text.to_owned())]);
    let told = read.diagnostics.iter().map(|diagnostic| {
        let place = diagnostic.labels[0].span.clone();
        (text[place].to_owned(), diagnostic.message.clone())
    });
    told.collect()
}

/// What is wrong with the policy with something replaced.
fn wrong(from: &str, to: &str) -> Vec<(String, String)> {
    assert!(RACK.contains(from), "{from}");
    diagnostics(&RACK.replace(from, to))
}

#[test]
fn rules_of_the_policy() {
    let peer = "peerASN: 65010";
    for (from, to, place, message) in [
        (
            "localASN: 65010",
            "localASN: 4294967296",
            "4294967296",
            "out of range",
        ),
        (
            "localASN: 65010",
            "localASN: '65010'",
            "'65010'",
            "in quotes it is text",
        ),
        (
            "localASN: 65010",
            "localAsn: 65010",
            "localAsn",
            "has no key `localAsn`",
        ),
        ("'10.0.0.1/32'", "10.0.0.1", "10.0.0.1", "not in CIDR form"),
        ("'10.0.0.1/32'", "tor0", "tor0", "not in CIDR form"),
        ("true", "maybe", "maybe", "must be true or false"),
        (peer, "peerASN: 65010\n      peerPort: 0", "0", "out of range"),
        (
            peer,
            "peerASN: 65010\n      eBGPMultihopTTL: 256",
            "256",
            "out of range",
        ),
        (
            peer,
            "peerASN: 65010\n      holdTimeSeconds: 2",
            "2",
            "out of range",
        ),
        (
            peer,
            "peerASN: 65010\n      keepAliveTimeSeconds: 91",
            "91",
            "greater than `holdTimeSeconds`",
        ),
        (
            peer,
            "peerASN: 65010\n      families: [{ afi: l2vpn, safi: evpn }]",
            "l2vpn",
            "not yet supported",
        ),
        (
            peer,
            "peerASN: 65010\n      gracefulRestart: { enabled: true, restartTimeSeconds: 4096 }",
            "4096",
            "out of range",
        ),
        (
            peer,
            "peerASN: 65010\n      advertisedPathAttributes: [{ selectorType: PodCidr }]",
            "PodCidr",
            "cannot be `PodCidr`",
        ),
        (
            peer,
            "peerASN: 65010\n      advertisedPathAttributes: [{ selectorType: PodCIDR, communities: { standard: [no-export] } }]",
            "no-export",
            "no community of `standard`",
        ),
        (
            "v2alpha1",
            "v2",
            "cilium.io/v2",
            "there is no CiliumBGPPeeringPolicy in",
        ),
        (
            "CiliumBGPPeeringPolicy",
            "CiliumBGPPeeringPolcy",
            "CiliumBGPPeeringPolcy",
            "not yet supported",
        ),
        (
            "name: rack0",
            "name: Rack_0",
            "Rack_0",
            "is no name to Kubernetes",
        ),
        ("rack: rack0", "rack: 0", "0", "must be text"),
    ] {
        let told = wrong(from, to);
        let found = |it: &(String, String)| it.0 == place && it.1.contains(message);
        assert!(told.iter().any(found), "{to}: {told:?}");
    }
}

#[test]
fn what_is_missing_is_told() {
    for (from, message) in [
        ("kind: CiliumBGPPeeringPolicy\n", "`kind` is missing"),
        ("apiVersion: cilium.io/v2alpha1\n", "`apiVersion` is missing"),
        ("metadata:\n  name: rack0\n", "`metadata` is missing"),
        ("- localASN: 65010\n    e", "`localASN` is missing"),
        ("\n      peerASN: 65010", "`peerASN` is missing"),
    ] {
        let to = if from.starts_with('-') { "- e" } else { "" };
        let told = wrong(from, to);
        assert!(told.iter().any(|it| it.1 == message), "{message}: {told:?}");
    }
    let twice = format!("{RACK}    - peerAddress: 10.0.0.1/32\n      peerASN: 1\n");
    assert!(diagnostics(&twice)[0].1.contains("stands twice"));
}

#[test]
fn rules_of_the_newer_resources() {
    let object = |kind: &str, spec: &str| {
        format!("apiVersion: cilium.io/v2alpha1\nkind: {kind}\nmetadata: {{ name: a }}\nspec: {spec}\n")
    };
    for (kind, spec, message) in [
        ("CiliumBGPClusterConfig", "{}", "`bgpInstances` is missing"),
        (
            "CiliumBGPClusterConfig",
            "{ bgpInstances: [{ name: a, localASN: 0 }] }",
            "out of range",
        ),
        (
            "CiliumBGPClusterConfig",
            "{ bgpInstances: [{ name: a, localASN: 1, peers: [{ name: b, peerASN: 1 }] }] }",
            "nothing says where this peer is",
        ),
        (
            "CiliumBGPPeerConfig",
            "{ timers: { holdTimeSeconds: 9 } }",
            "greater than `holdTimeSeconds`",
        ),
        ("CiliumBGPPeerConfig", "{ ebgpMultihop: 0 }", "out of range"),
        (
            "CiliumBGPAdvertisement",
            "{ advertisements: [{ advertisementType: Interface, interface: { name: lo } }] }",
            "not yet supported",
        ),
        (
            "CiliumBGPAdvertisement",
            "{ advertisements: [{ advertisementType: PodCIDR, selector: {} }] }",
            "takes no `selector`",
        ),
        (
            "CiliumBGPAdvertisement",
            "{ advertisements: [{ advertisementType: Service, selector: {} }] }",
            "which addresses",
        ),
        (
            "CiliumBGPNodeConfigOverride",
            "{ bgpInstances: [{ name: a, routerID: '::1' }] }",
            "not an IPv4 address",
        ),
        (
            "CiliumLoadBalancerIPPool",
            "{ blocks: [{ start: 192.0.2.9, stop: 192.0.2.1 }] }",
            "cannot go from",
        ),
        (
            "CiliumPodIPPool",
            "{ ipv4: { cidrs: [10.0.0.0/24], maskSize: 16 } }",
            "cannot be cut",
        ),
    ] {
        let told = diagnostics(&object(kind, spec));
        assert!(
            told.iter().any(|it| it.1.contains(message)),
            "{kind} {spec}: {told:?}"
        );
    }
}

#[test]
fn pools_may_not_have_addresses_in_common() {
    let pool = |name: &str, cidr: &str| {
        format!(
            "apiVersion: cilium.io/v2alpha1\nkind: CiliumLoadBalancerIPPool\nmetadata: {{ name: {name} }}\nspec: {{ \
             blocks: [{{ cidr: {cidr} }}] }}\n---\n"
        )
    };
    let both = |a: &str, b: &str| desired(&store(&(pool("a", a) + &pool("b", b))), &nodes());
    assert!(both("192.0.2.0/24", "198.51.100.0/24").is_ok());
    let conflicts = both("192.0.2.0/24", "192.0.2.128/25").unwrap_err();
    assert!(conflicts[0].contains("addresses in common"), "{conflicts:?}");
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_file() {
    let read = manifest::read([
        ("a.yaml".to_owned(), RACK.replace("65010", "none")),
        (
            "b.yaml".to_owned(),
            "kind: List\nitems: [{ kind: Pod }]\n".to_owned(),
        ),
        ("c.yaml".to_owned(), "a: [\n".to_owned()),
    ]);
    let sorted = read.files.sorted(read.diagnostics);
    let counts: Vec<_> = sorted
        .iter()
        .map(|(file, diagnostics)| (file.name.as_str(), diagnostics.len()))
        .collect();
    assert_eq!(counts, [("a.yaml", 2), ("b.yaml", 1), ("c.yaml", 1)]);
}

/// What is said of a text that can be used as it is.
fn warnings(text: &str) -> Vec<String> {
    let read = manifest::read([("test.yaml".to_owned(), text.to_owned())]);
    assert!(read.diagnostics.is_empty(), "{:?}", read.diagnostics);
    read.lines(&read.warnings)
}

#[test]
fn a_namespace_that_is_none_of_a_kind_is_a_warning() {
    for kind in Kind::ALL {
        let text = format!(
            "apiVersion: {}{}\nkind: {}\nmetadata: {{ name: it, namespace: kube-system }}\nspec: {{}}\n",
            if kind.group().is_empty() { "" } else { "cilium.io/" },
            kind.versions()[0],
            kind.name()
        );
        let read = manifest::read([("test.yaml".to_owned(), text)]);
        let is_told = |it: &Diagnostic| it.message.contains("is in no namespace");
        assert_eq!(
            read.warnings.iter().any(is_told),
            !kind.is_namespaced(),
            "{kind:?}"
        );
        assert!(!read.diagnostics.iter().any(is_told), "{:?}", read.diagnostics);
        for object in &read.objects {
            assert_eq!(object.reference.namespace.is_empty(), !kind.is_namespaced());
        }
    }
}

#[test]
fn an_advertisement_that_selects_nothing_is_a_warning() {
    let advert = |item: &str| {
        format!(
            "apiVersion: cilium.io/v2alpha1\nkind: CiliumBGPAdvertisement\nmetadata: {{ name: it }}\nspec:\n  \
             advertisements:\n  - {item}\n"
        )
    };
    let services = "{ advertisementType: Service, service: { addresses: [ClusterIP] } }";
    let pools = "{ advertisementType: CiliumPodIPPool }";
    for item in [services, pools] {
        let told = warnings(&advert(item));
        assert!(
            told[0].starts_with("test.yaml, line 6: without a `selector`"),
            "{told:?}"
        );
    }
    for item in [
        "{ advertisementType: PodCIDR }",
        "{ advertisementType: CiliumPodIPPool, selector: {} }",
    ] {
        assert!(warnings(&advert(item)).is_empty());
    }
}

#[test]
fn objects_without_a_meaning_are_kept_in_their_order() {
    let object = |version: &str, kind: &str| {
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{ name: it }}\nspec: {{ x: 1 }}\n---\n")
    };
    let text = object("v1", "Namespace")
        + RACK
        + "\n---\n"
        + &object("apps/v1", "Deployment")
        + &object("cilium.io/v2", "CiliumNetworkPolicy");
    let read = manifest::read([("test.yaml".to_owned(), text)]);
    assert!(read.diagnostics.is_empty(), "{:?}", read.diagnostics);
    let kinds: Vec<_> = read.written().iter().map(|it| it["kind"].clone()).collect();
    assert_eq!(
        kinds,
        [
            "Namespace",
            "CiliumBGPPeeringPolicy",
            "Deployment",
            "CiliumNetworkPolicy"
        ]
    );
    assert!(
        read.foreign[1]
            .without_effect()
            .starts_with("Deployment it has no effect")
    );
}

#[test]
fn a_slip_of_the_pen_makes_no_object_without_a_meaning() {
    for (version, kind) in [
        ("v1", "Servce"),
        ("v1", "Secrets"),
        ("v1", "node"),
        ("v2", "Service"),
        ("cilium.io/v2alpha1", "CiliumBGPPeeringPolcy"),
        ("cilium.io/v2alpha1", "Deployment"),
        ("cilium.io/v1", "CiliumBGPPeeringPolicy"),
        ("v1", "\"a b\""),
    ] {
        let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{ name: it }}\nspec: {{}}\n");
        assert!(!diagnostics(&text).is_empty(), "{version} {kind}");
    }
}
