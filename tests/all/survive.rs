//! `nslab survive`: every failure of a lab in turn, and what does not heal.

use crate::common;

use common::{Host, Lab, until};
use nix::sys::signal::Signal;

/// Three routers in a triangle; from `c` a host hangs on one link.
const TRIANGLE: &str = r#"
name = "triangle"
[defaults]
engine = "builtin"
[nodes.a]
kind = "router"
addresses = { lo = ["10.0.0.1/32"], h = ["10.1.0.1/24"] }
config = """
router bgp 65001
 no bgp ebgp-requires-policy
 neighbor b interface remote-as external
 neighbor c interface remote-as external
 address-family ipv4 unicast
  redistribute connected
 exit-address-family
"""
[nodes.b]
kind = "router"
addresses = { lo = ["10.0.0.2/32"] }
config = """
router bgp 65002
 no bgp ebgp-requires-policy
 neighbor a interface remote-as external
 neighbor c interface remote-as external
"""
[nodes.c]
kind = "router"
addresses = { lo = ["10.0.0.3/32"], h = ["10.1.1.1/24"] }
config = """
router bgp 65003
 no bgp ebgp-requires-policy
 neighbor a interface remote-as external
 neighbor b interface remote-as external
 address-family ipv4 unicast
  redistribute connected
 exit-address-family
"""
[nodes.ha]
kind = "host"
addresses = { eth0 = ["10.1.0.2/24"] }
routes = [{ to = "default", via = "10.1.0.1" }]
[nodes.hc]
kind = "host"
addresses = { eth0 = ["10.1.1.2/24"] }
routes = [{ to = "default", via = "10.1.1.1" }]
[[links]]
endpoints = ["a:b", "b:a"]
[[links]]
endpoints = ["b:c", "c:b"]
[[links]]
endpoints = ["a:c", "c:a"]
[[links]]
endpoints = ["a:h", "ha:eth0"]
[[links]]
endpoints = ["c:h", "hc:eth0"]
"#;

#[test]
fn a_triangle_survives_each_link_and_each_node() {
    let lab = Lab::new(TRIANGLE);
    let try_all = |fail: &str| {
        let words = [
            "survive",
            lab.file(),
            "--fail",
            fail,
            "--within",
            "20s",
            "--format",
            "json",
        ];
        lab.json(words)
    };
    let survey = try_all("nodes=1");
    assert_eq!(
        (&survey["healed"], &survey["sets"]),
        (&true.into(), &3.into()),
        "{survey:#}"
    );
    assert!(
        survey["spared"][0].as_str().unwrap().contains("ha hc"),
        "{survey:#}"
    );
    let survey = try_all("links=1");
    assert_eq!(
        (&survey["healed"], &survey["sets"]),
        (&true.into(), &5.into()),
        "{survey:#}"
    );
    assert_eq!((&survey["tried"], &survey["left_out"]), (&5.into(), &0.into()));
    let trials = survey["trials"].as_array().unwrap();
    // A host whose only link is down has nobody to speak to; so nothing is expected of it.
    let cut = trials.iter().find(|trial| trial["only"] == "a:h").unwrap();
    assert_eq!(
        (&cut["connected"], &cut["cut_off"]),
        (&0.into(), &2.into()),
        "{cut:#}"
    );
    let way = trials.iter().find(|trial| trial["only"] == "a:c").unwrap();
    assert_eq!(
        (&way["connected"], &way["cut_off"]),
        (&2.into(), &0.into()),
        "{way:#}"
    );
    assert!(trials.iter().all(|trial| trial["back_ns"].is_u64()), "{survey:#}");
}

#[test]
fn what_does_not_heal_is_found_and_can_be_tried_again() {
    // Without its session to b, a has no other way.
    let text = TRIANGLE.replacen(" neighbor b interface remote-as external\n", "", 1);
    let lab = Lab::new(&text);
    let done = lab.run(["survive", lab.file(), "--within", "5s"]);
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    for words in [
        "smallest that does not heal: link a:c – c:a",
        "--only a:c",
        "5 of 5 sets",
        "1 did not heal",
        "no way for ha:hc, hc:ha",
    ] {
        assert!(done.out.contains(words), "{words}: {}", done.out);
    }
    let again = done
        .out
        .lines()
        .find_map(|line| line.trim().strip_prefix("again: nslab "))
        .unwrap();
    let words: Vec<&str> = again.split(' ').collect();
    let done = lab.run(words);
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    assert!(done.out.contains("1 of 1 sets"), "{}", done.out);
}

#[test]
fn a_limit_leaves_out_and_says_so() {
    let lab = Lab::new(TRIANGLE);
    let survey = lab.json([
        "survive",
        lab.file(),
        "--fail",
        "links=3",
        "--limit",
        "1ms",
        "--seed",
        "7",
        "-j",
        "2",
        "--format",
        "json",
    ]);
    assert_eq!(
        (&survey["sets"], &survey["seed"]),
        (&25.into(), &7.into()),
        "{survey:#}"
    );
    let (tried, left) = (
        survey["tried"].as_u64().unwrap(),
        survey["left_out"].as_u64().unwrap(),
    );
    assert_eq!(tried + left, 25, "{survey:#}");
    assert!(left > 0, "{survey:#}");
}

#[test]
fn what_cannot_be_tried_is_told() {
    let lab = Lab::new(TRIANGLE);
    let file = lab.file();
    for (words, told) in [
        (["--fail", "cables=1"], "is not what may fail"),
        (["--only", "a:x"], "neither a node nor the end of a link"),
        (["--pairs", "ha-hc"], "is not a pair"),
        (["--pairs", "ha:nobody"], "there is no node \"nobody\""),
    ] {
        lab.run(["survive", file].into_iter().chain(words))
            .refused(2, &[told]);
    }
    // A lab that does not work without any failure tells nothing.
    let text = TRIANGLE.replace("[\"10.1.1.2/24\"]", "[\"10.1.1.99/32\"]");
    let broken = Lab::new(&text);
    let done = broken.run(["survive", broken.file(), "--within", "1s"]);
    assert_ne!(done.code, 0, "{}{}", done.out, done.err);
}

#[test]
fn a_survey_that_is_ended_leaves_nothing() {
    let lab = Lab::new(TRIANGLE);
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let mut running = lab.start(["survive", lab.file(), "--fail", "links=3"]);
        let tests = lab.run_directory().join(".tests");
        until("a lab lives", || tests.exists() && lab.run_directory().exists());
        until("it is there", || {
            std::fs::read_dir(&tests).is_ok_and(|mut entries| entries.next().is_some())
        });
        running.signal(signal);
        running.wait();
        until("nothing is left", || {
            lab.run(["labs"]);
            std::fs::read_dir(&tests).map_or(true, |mut entries| entries.next().is_none())
        });
    }
}

#[test]
fn pods_of_a_cluster_are_pairs_too() {
    let lab = Lab::of_file(&common::in_package("labs/cilium-bgp.toml")).on(Host::new());
    let survey = |link: &str| {
        let words = [
            "survive",
            lab.file(),
            "--engine",
            "builtin",
            "--only",
            link,
            "--within",
            "30s",
            "--format",
            "json",
        ];
        let done = lab.run(words);
        let survey: serde_json::Value = serde_json::from_str(&done.expect(0)).unwrap();
        survey["trials"][0].clone()
    };
    // The racks are cut off from each other; all that is on one side still speaks.
    let trial = survey("router0:net0");
    assert_eq!(trial["healed"], true, "{trial}");
    for key in ["connected", "cut_off"] {
        assert!(trial[key].as_u64() > Some(0), "{key}: {trial}");
    }
    assert!(trial["back_ns"].as_u64() > Some(0), "{trial}");
}
