//! What is asked of a cluster's DNS, and what it answers.

use std::net::IpAddr;

use proptest::prelude::*;

use super::names::{Contents, Endpoint, Port, Service, Zone};
use super::wire::{self, Data, Message, Name, Query, Rcode, Unread};
use super::{Verdict, judge};

fn port(name: &str, protocol: &str, number: u16) -> Port {
    Port {
        name: name.to_owned(),
        protocol: protocol.to_owned(),
        number,
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn endpoint(text: &str, hostname: Option<&str>, number: u16) -> Endpoint {
    Endpoint {
        address: address(text),
        hostname: hostname.map(str::to_owned),
        ports: vec![port("http", "tcp", number)],
    }
}

fn service(name: &str, addresses: &[&str]) -> Service {
    Service {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        addresses: addresses.iter().map(|it| address(it)).collect(),
        ports: vec![port("http", "tcp", 80)],
        ..Service::default()
    }
}

fn zone() -> Zone {
    let web = Service {
        endpoints: vec![endpoint("10.1.0.2", None, 8080), endpoint("10.1.1.2", None, 8080)],
        ..service("web", &["10.96.0.11", "fd00:96::b"])
    };
    let db = Service {
        endpoints: vec![
            endpoint("10.1.0.3", Some("db-0"), 5432),
            endpoint("fd00:1::3", None, 5432),
        ],
        ..service("db", &[])
    };
    let alias = |name: &str, target: &str| Service {
        external: Some(target.to_owned()),
        ..service(name, &[])
    };
    let contents = Contents {
        namespaces: ["kube-system".to_owned()].into(),
        services: vec![
            web,
            db,
            service("nobody", &[]),
            alias("outside", "Example.Test"),
            alias("inside", "web.default.svc.cluster.local"),
            alias("round", "round.default.svc.cluster.local"),
        ],
    };
    Zone::new(contents, vec![address("10.96.0.10")], 7)
}

fn ask(name: &str, kind: u16) -> Verdict {
    judge(&zone(), &Query::new(0, Name::of(name).unwrap(), kind))
}

fn message(name: &str, kind: u16) -> Message {
    match ask(name, kind) {
        Verdict::Answer(message) => message,
        other => panic!("{name}: {other:?}"),
    }
}

/// What is answered, in words; a word alone where nothing is.
fn told(name: &str, kind: u16) -> Vec<String> {
    let message = message(name, kind);
    let start = message.authority.first().map(|it| it.data.is_of(wire::SOA));
    match (message.rcode, message.answers.is_empty()) {
        (Rcode::NoSuchName, _) => {
            assert_eq!(start, Some(true), "{name}");
            return vec!["NXDOMAIN".to_owned()];
        }
        (Rcode::NoError, true) => {
            assert_eq!(start, Some(true), "{name}");
            return vec!["NODATA".to_owned()];
        }
        _ => {}
    }
    let word = |data: &Data| match data {
        Data::A(address) => address.to_string(),
        Data::Aaaa(address) => address.to_string(),
        Data::Ptr(name) | Data::Cname(name) | Data::Ns(name) => name.text().unwrap(),
        Data::Srv { weight, port, target } => format!("{weight} {port} {}", target.text().unwrap()),
        Data::Soa { serial, .. } => format!("serial {serial}"),
        Data::Txt(text) => text.clone(),
    };
    message.answers.iter().map(|it| word(&it.data)).collect()
}

#[test]
fn services_have_their_addresses() {
    for (name, kind, all) in [
        ("web.default.svc.cluster.local", wire::A, &["10.96.0.11"][..]),
        ("WEB.Default.SVC.cluster.LOCAL.", wire::A, &["10.96.0.11"]),
        ("web.default.svc.cluster.local", wire::AAAA, &["fd00:96::b"]),
        ("web.default.svc.cluster.local", wire::TXT, &["NODATA"]),
        ("web.default.svc.cluster.local", 65, &["NODATA"]),
        ("nosuch.default.svc.cluster.local", wire::A, &["NXDOMAIN"]),
        ("web.nosuch.svc.cluster.local", wire::A, &["NXDOMAIN"]),
        ("web.kube-system.svc.cluster.local", wire::A, &["NXDOMAIN"]),
        ("default.svc.cluster.local", wire::A, &["NODATA"]),
        ("kube-system.svc.cluster.local", wire::A, &["NODATA"]),
        ("nosuch.svc.cluster.local", wire::A, &["NXDOMAIN"]),
        ("svc.cluster.local", wire::A, &["NODATA"]),
        ("example.com.default.svc.cluster.local", wire::A, &["NXDOMAIN"]),
        ("example.com.svc.cluster.local", wire::A, &["NXDOMAIN"]),
        ("example.com.cluster.local", wire::A, &["NXDOMAIN"]),
        ("a.b.c.web.default.svc.cluster.local", wire::A, &["NXDOMAIN"]),
        ("cluster.local", wire::SOA, &["serial 7"]),
        ("cluster.local", wire::NS, &["ns.dns.cluster.local"]),
        ("cluster.local", wire::A, &["NODATA"]),
        ("ns.dns.cluster.local", wire::A, &["10.96.0.10"]),
        ("dns-version.cluster.local", wire::TXT, &["1.1.0"]),
    ] {
        assert_eq!(told(name, kind), all, "{name} {kind}");
    }
}

#[test]
fn headless_services_have_those_of_their_endpoints() {
    for (name, kind, all) in [
        ("db.default.svc.cluster.local", wire::A, &["10.1.0.3"][..]),
        ("db.default.svc.cluster.local", wire::AAAA, &["fd00:1::3"]),
        ("db-0.db.default.svc.cluster.local", wire::A, &["10.1.0.3"]),
        ("db-0.db.default.svc.cluster.local", wire::AAAA, &["NODATA"]),
        (
            "fd00-1--3.db.default.svc.cluster.local",
            wire::AAAA,
            &["fd00:1::3"],
        ),
        ("10-1-0-3.db.default.svc.cluster.local", wire::A, &["NXDOMAIN"]),
        ("10-1-1-2.web.default.svc.cluster.local", wire::A, &["10.1.1.2"]),
        // Nobody is ready to answer.
        ("nobody.default.svc.cluster.local", wire::A, &["NXDOMAIN"]),
    ] {
        assert_eq!(told(name, kind), all, "{name} {kind}");
    }
}

#[test]
fn ports_have_hosts() {
    let web = "web.default.svc.cluster.local";
    assert_eq!(
        told(&format!("_http._tcp.{web}"), wire::SRV),
        [format!("100 80 {web}")]
    );
    assert_eq!(told(web, wire::SRV), [format!("100 80 {web}")]);
    assert_eq!(told(&format!("_http._tcp.{web}"), wire::A), ["10.96.0.11"]);
    assert_eq!(told(&format!("_tcp.{web}"), wire::SRV), ["NODATA"]);
    for other in ["_https._tcp", "_http._udp", "_._tcp", "http.tcp", "_udp"] {
        assert_eq!(
            told(&format!("{other}.{web}"), wire::SRV),
            ["NXDOMAIN"],
            "{other}"
        );
    }
    let db = "db.default.svc.cluster.local";
    let asked = message(&format!("_http._tcp.{db}"), wire::SRV);
    assert_eq!(
        told(&format!("_http._tcp.{db}"), wire::SRV),
        [format!("50 5432 db-0.{db}"), format!("50 5432 fd00-1--3.{db}")]
    );
    let additional: Vec<String> = asked
        .additional
        .iter()
        .map(|it| it.name.text().unwrap())
        .collect();
    assert_eq!(additional, [format!("db-0.{db}"), format!("fd00-1--3.{db}")]);
}

#[test]
fn addresses_have_names() {
    for (name, all) in [
        ("11.0.96.10.in-addr.arpa", "web.default.svc.cluster.local"),
        ("3.0.1.10.in-addr.arpa", "db-0.db.default.svc.cluster.local"),
        ("2.1.1.10.in-addr.arpa", "10-1-1-2.web.default.svc.cluster.local"),
        (
            "b.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.0.d.f.ip6.arpa",
            "web.default.svc.cluster.local",
        ),
    ] {
        assert_eq!(told(name, wire::PTR), [all]);
    }
    for other in [
        "1.2.0.192.in-addr.arpa",
        "96.10.in-addr.arpa",
        "in-addr.arpa",
        "1.11.0.96.10.in-addr.arpa",
        "011.0.96.10.in-addr.arpa",
        "b.0.ip6.arpa",
        "router0",
        "example.com",
        "notcluster.local",
    ] {
        assert_eq!(ask(other, wire::PTR), Verdict::Elsewhere, "{other}");
    }
}

#[test]
fn pods_are_known_by_their_addresses() {
    assert_eq!(told("10-1-0-2.default.pod.cluster.local", wire::A), ["10.1.0.2"]);
    assert_eq!(
        told("fd00-1--2.default.pod.cluster.local", wire::AAAA),
        ["fd00:1::2"]
    );
    for other in ["web", "10-1-0", "10-1-0-2-3", "300-1-1-1", "--1-"] {
        assert_eq!(
            told(&format!("{other}.default.pod.cluster.local"), wire::A),
            ["NXDOMAIN"],
            "{other}"
        );
    }
    assert_eq!(told("10-1-0-2.nosuch.pod.cluster.local", wire::A), ["NXDOMAIN"]);
}

#[test]
fn aliases_are_followed() {
    let inside = "inside.default.svc.cluster.local";
    assert_eq!(
        told(inside, wire::A),
        ["web.default.svc.cluster.local", "10.96.0.11"]
    );
    assert_eq!(told(inside, wire::CNAME), ["web.default.svc.cluster.local"]);
    let Verdict::Alias(message, target) = ask("outside.default.svc.cluster.local", wire::A) else {
        panic!("no alias");
    };
    assert_eq!(message.answers.len(), 1);
    assert_eq!(target.text().unwrap(), "example.test");
    assert_eq!(message.answers[0].data, Data::Cname(target));
    let round = super::tests::message("round.default.svc.cluster.local", wire::A);
    assert_eq!(round.rcode, Rcode::ServerFailure);
}

#[test]
fn other_classes_and_versions_are_refused() {
    let mut query = Query::new(1, Name::of("version.bind").unwrap(), wire::TXT);
    query.class = 3;
    assert_eq!(
        judge(&zone(), &query),
        Verdict::Answer(Message::failure(Rcode::Refused))
    );
    query.edns = Some(wire::Edns {
        largest: 4096,
        version: 1,
    });
    let refused = Message::failure(Rcode::BadVersion);
    assert_eq!(judge(&zone(), &query), Verdict::Answer(refused.clone()));
    let octets = query.answer(&refused, 512);
    // The rcode is 16: none of it is in the header, and its rest in the extension.
    assert_eq!((octets[3] & 0xf, octets[octets.len() - 6]), (0, 1));
}

/// A query in octets.
fn octets(name: &str, kind: u16, largest: Option<u16>) -> Vec<u8> {
    let mut octets = Query::new(0x1234, Name::of(name).unwrap(), kind).write();
    if let Some(largest) = largest {
        octets[11] = 1;
        octets.extend([0, 0, 41]);
        octets.extend(largest.to_be_bytes());
        octets.extend([0; 6]);
    }
    octets
}

#[test]
fn what_is_written_is_read() {
    for largest in [None, Some(100), Some(900), Some(4096)] {
        let query = wire::read(&octets("web.default.svc.cluster.local", wire::A, largest)).unwrap();
        assert_eq!(query.edns.as_ref().map(|it| it.largest), largest);
        assert_eq!(
            query.largest(),
            match largest {
                None | Some(100) => 512,
                Some(900) => 900,
                _ => 1232,
            }
        );
        let Verdict::Answer(message) = judge(&zone(), &query) else {
            panic!("no answer");
        };
        let answer = query.answer(&message, query.largest());
        assert!(query.is_answered_by(&answer));
        assert_eq!(query.records_of(&answer), message.answers);
        // An answer is none to another question, and no query.
        let other = Query {
            id: 1,
            ..query.clone()
        };
        assert!(!other.is_answered_by(&answer));
        assert_eq!(wire::read(&answer), Err(Unread::Silence));
    }
}

#[test]
fn what_does_not_fit_is_truncated() {
    let mut many = service("many", &[]);
    many.endpoints = (0..2000u32)
        .map(|at| {
            endpoint(
                &IpAddr::from((0x0a01_0000 + at).to_be_bytes()).to_string(),
                None,
                80,
            )
        })
        .collect();
    let contents = Contents {
        services: vec![many],
        ..Contents::default()
    };
    let zone = Zone::new(contents, Vec::new(), 1);
    for (largest, fits) in [(512, false), (1232, false), (65535, true)] {
        let query = wire::read(&octets("many.default.svc.cluster.local", wire::A, Some(1232))).unwrap();
        let Verdict::Answer(message) = judge(&zone, &query) else {
            panic!("no answer");
        };
        let answer = query.answer(&message, largest);
        assert!(answer.len() <= largest, "{}", answer.len());
        assert_eq!(answer[2] & 2 == 0, fits, "{largest}");
        assert!(query.is_answered_by(&answer));
    }
}

#[test]
fn messages_that_are_no_queries_get_no_records() {
    let good = octets("web.default.svc.cluster.local", wire::A, Some(1232));
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut octets = good.clone();
        change(&mut octets);
        wire::read(&octets)
    };
    let rcode = |read: Result<Query, Unread>| match read {
        Err(Unread::Refusal(answer)) => {
            assert_eq!((answer.len(), &answer[..2]), (12, &[0x12, 0x34][..]));
            answer[3] & 0xf
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(wire::read(&good[..11]), Err(Unread::Silence));
    assert_eq!(rcode(with(&|it| it[2] |= 0x28)), 4);
    assert_eq!(rcode(with(&|it| it[5] = 2)), 1);
    assert_eq!(rcode(with(&|it| it[5] = 0)), 1);
    assert_eq!(rcode(with(&|it| it[7] = 200)), 1);
    assert_eq!(rcode(with(&|it| it.truncate(20))), 1);
    // Two extensions, names that lead forth or to themselves, labels of unknown types.
    assert_eq!(
        rcode(with(&|it| {
            it[11] = 2;
            it.extend([0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0]);
        })),
        1
    );
    assert_eq!(
        rcode(with(&|it| it.splice(12.., [0xc0, 12, 0, 1, 0, 1]).for_each(drop))),
        1
    );
    assert_eq!(
        rcode(with(&|it| it.splice(12.., [0xc0, 20, 0, 1, 0, 1]).for_each(drop))),
        1
    );
    assert_eq!(
        rcode(with(&|it| it
            .splice(12.., [0x80, 1, 0, 0, 1, 0, 1])
            .for_each(drop))),
        1
    );
    let long: Vec<u8> = std::iter::repeat_n([1, b'a'], 200)
        .flatten()
        .chain([0, 0, 1, 0, 1])
        .collect();
    assert_eq!(rcode(with(&|it| it.splice(12.., long.clone()).for_each(drop))), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_is_answered_within_bounds(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        whatever(&octets);
    }

    #[test]
    fn queries_with_faults_are_answered_within_bounds(
        at in 0usize..70, by in any::<u8>(), cut in 0usize..80, more in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut octets = octets("_http._tcp.db.default.svc.cluster.local", wire::SRV, Some(1232));
        let length = octets.len();
        octets[at % length] = by;
        octets.truncate(length.saturating_sub(cut / 2));
        octets.extend(more);
        whatever(&octets);
    }
}

fn whatever(octets: &[u8]) {
    let query = match wire::read(octets) {
        Ok(query) => query,
        Err(Unread::Silence) => return,
        Err(Unread::Refusal(answer)) => return assert_eq!(answer.len(), 12),
    };
    assert!(query.records_of(octets).is_empty());
    let message = match judge(&zone(), &query) {
        Verdict::Answer(message) | Verdict::Alias(message, _) => message,
        Verdict::Elsewhere => return,
    };
    let answer = query.answer(&message, query.largest());
    assert!(answer.len() <= query.largest());
    assert!(query.is_answered_by(&answer));
}

#[test]
fn large_headless_services_are_answered_quickly() {
    let one = |at: u32| Endpoint {
        ports: vec![port("http", "tcp", 80), port("more", "tcp", 81)],
        ..endpoint(&std::net::Ipv4Addr::from(0x0a00_0000 + at).to_string(), None, 80)
    };
    let big = Service {
        endpoints: (0..20_000).map(one).collect(),
        ..service("big", &[])
    };
    let contents = Contents {
        services: vec![big],
        ..Contents::default()
    };
    let zone = Zone::new(contents, Vec::new(), 1);
    let began = std::time::Instant::now();
    let count = |name: &str, kind: u16| match judge(&zone, &Query::new(0, Name::of(name).unwrap(), kind)) {
        Verdict::Answer(message) => (message.answers.len(), message.additional.len()),
        other => panic!("{name}: {other:?}"),
    };
    let name = "big.default.svc.cluster.local";
    assert_eq!(count(name, wire::A), (20_000, 0));
    assert_eq!(count(name, wire::SRV), (40_000, 20_000));
    assert_eq!(count(&format!("_http._tcp.{name}"), wire::SRV), (20_000, 20_000));
    assert_eq!(count(&format!("10-0-0-5.{name}"), wire::A), (1, 0));
    // Comparing each host with each took many seconds.
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}
