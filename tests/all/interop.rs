//! nslab's own speaker with others, real ones: FRR, BIRD, GoBGP, ExaBGP, OpenBGPD. What passes between them stands in the checks
//! of a lab for each, tests/labs/interop.

use crate::common;

use std::time::Duration;

use common::{Host, Lab, PAIR, has, has_frr, in_package};

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
