//! nslab's own speaker with others, real ones: FRR, BIRD, GoBGP, ExaBGP, OpenBGPD. What passes between them stands in the checks
//! of a lab for each, tests/labs/interop. And a suite of tests by others, bgp-test-framework, which says what no speaker should.

use crate::common;

use std::process::Command;
use std::time::Duration;

use common::{Host, Lab, PAIR, has, has_frr, in_package, run, until};

const LONG: Duration = Duration::from_secs(170);

fn pass(name: &str) {
    let file = in_package(&format!("tests/labs/interop/{name}.toml"));
    let lab = Lab::new(PAIR).on(Host::new());
    // Ten thousand routes go through five programs, which takes its time where other tests run as well.
    let done = lab.start(["test", file.to_str().unwrap()]).wait_within(LONG);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert!(!done.out.contains("skip"), "{}", done.out);
}

#[test]
fn frr() {
    if has_frr() {
        pass("frr");
    }
}

#[test]
fn bird() {
    if has("bird") {
        pass("bird");
    }
}

#[test]
fn gobgp() {
    if has("gobgpd") {
        pass("gobgp");
    }
}

#[test]
fn exabgp() {
    if has("exabgp") {
        pass("exabgp");
    }
}

#[test]
fn openbgpd() {
    if has("bgpctl") {
        pass("openbgpd");
    }
}

/// What the suite counted when it was taken in; fewer are a suite that did not run.
const TRIED: usize = 23;

#[test]
fn bgp_test_framework() {
    let there = run(Command::new(in_package("scripts/bgp-test-framework")).arg("--if-there"));
    if there.code != 0 || !has("python3") {
        eprintln!("skipped: {}", there.err);
        return;
    }
    let lab = Lab::up(&format!(
        r#"
name = "framework"
[nodes.r]
kind = "router"
engine = "builtin"
addresses = {{ eth0 = ["10.0.0.1/24"], eth1 = ["10.0.1.1/24"] }}
config = """
router bgp 65001
 bgp router-id 10.0.0.1
 neighbor 10.0.0.2 remote-as 65002
 neighbor 10.0.0.2 passive
 neighbor 10.0.1.2 remote-as 65003
"""
[nodes.s]
kind = "router"
engine = "builtin"
addresses = {{ eth0 = ["10.0.1.2/24"] }}
config = """
router bgp 65003
 bgp router-id 10.0.1.2
 neighbor 10.0.1.1 remote-as 65001
"""
[nodes.t]
kind = "host"
addresses = {{ eth0 = ["10.0.0.2/24"] }}
binds = ["{}:/opt/framework:ro"]
[[links]]
endpoints = ["r:eth0", "t:eth0"]
[[links]]
endpoints = ["r:eth1", "s:eth0"]
"#,
        there.out.trim()
    ));
    let third = || {
        let said = lab.json(["exec", "r", "vtysh", "-c", "show bgp neighbors 10.0.1.2 json"]);
        let of = &said["10.0.1.2"];
        (of["bgpState"].as_str() == Some("Established")).then(|| of["connectionsDropped"].as_u64())
    };
    until("the session of somebody else", || third() == Some(Some(0)));
    let words = "cd /srv && PYTHONPATH=/opt/framework python3 -m bgp_test_framework.cli --target 10.0.0.1 --as-number 65002 \
        --source-ip 10.0.0.2 --bgp-id 10.0.0.2 --timeout 5 --delay 0 --output /srv/report.json >/srv/said 2>&1";
    let tried = lab.run(["exec", "t", "timeout", "100", "sh", "-c", words]);
    assert_ne!(tried.code, 124, "{}", lab.sh("t", "cat /srv/said"));
    let report: serde_json::Value = serde_json::from_str(&lab.sh("t", "cat /srv/report.json")).unwrap();
    let results = report["results"].as_array().unwrap();
    let failed: Vec<_> = results.iter().filter(|it| it["passed"] != true).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(results.len() >= TRIED, "{} tests ran", results.len());
    assert_eq!(third(), Some(Some(0)), "the session of somebody else has dropped");
}
