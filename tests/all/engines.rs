//! The same labs hold on nslab's own speaker, and it answers as FRR does: on the labs that ship, and on one for each feature
//! of the dialect.

use crate::common;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::both::Both;
use common::{Host, Lab, PAIR, Running, has, has_frr, in_package};

/// How many parts the feature labs are compared in, so that each has an end in sight.
const PARTS: usize = 4;

fn labs_that_ship() -> Vec<PathBuf> {
    let mut names = vec![
        "quickstart",
        "cilium-bgp",
        "cilium-bgp-v2",
        "all-ibgp",
        "all-ibgp-reflector",
        "clos",
    ];
    if has("gobgpd") {
        names.push("interop-gobgp");
    }
    let files = names.iter().map(|name| in_package(&format!("labs/{name}.toml")));
    files.collect()
}

fn labs_of_features() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(in_package("tests/labs/compare"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .collect();
    files.sort();
    files
}

/// Tests labs on the builtin engine, some at a time, on a host of their own.
#[test]
fn labs_that_ship_pass_without_frr() {
    let lab = Lab::new(PAIR).on(Host::new());
    let files = labs_that_ship();
    let mut words = vec!["test", "-j", "4", "--engine", "builtin"];
    words.extend(files.iter().map(|file| file.to_str().unwrap()));
    let done = lab.run(words);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
}

/// Runs labs on both engines: their checks pass on either, and all routers' answers and kernel tables are the same.
fn compare(files: &[PathBuf]) {
    assert!(!files.is_empty());
    if !common::has_frr() {
        return;
    }
    let mut command = Command::new(in_package("scripts/compare-engines"));
    succeeds(command.args(["-j", "2"]).args(files));
}

/// Runs a script that compares engines. The test runner bounds how long it takes.
fn succeeds(script: &mut Command) {
    let script = script.args(["--binary", env!("CARGO_BIN_EXE_nslab")]);
    let mut running = Running::start(script.stdin(Stdio::null()));
    running.wait_within(Duration::from_secs(3600)).expect(0);
}

fn compare_part(part: usize) {
    let files = labs_of_features().into_iter();
    let taken: Vec<PathBuf> = files.skip(part).step_by(PARTS).collect();
    compare(&taken);
}

#[test]
fn labs_that_ship_look_the_same_on_both_engines() {
    compare(&labs_that_ship());
}

#[test]
fn features_look_the_same_on_both_engines_1() {
    compare_part(0);
}

#[test]
fn features_look_the_same_on_both_engines_2() {
    compare_part(1);
}

#[test]
fn features_look_the_same_on_both_engines_3() {
    compare_part(2);
}

#[test]
fn features_look_the_same_on_both_engines_4() {
    compare_part(3);
}

/// Lines by chance, in range and out of it, where they belong and where not: both engines take and refuse the same with the same
/// words, and have the same configuration then.
#[test]
fn lines_by_chance_are_taken_and_refused_alike() {
    if !has_frr() {
        return;
    }
    succeeds(Command::new(in_package("scripts/compare-lines")).args(["-n", "150"]));
}

/// Two settings that exclude each other, of a neighbor and of its group, in every order of three commands: what is refused, and what
/// stands in the configuration then, is the same.
#[test]
fn hops_are_what_they_are_with_frr_in_every_order() {
    if !has_frr() {
        return;
    }
    let settings = ["ttl-security hops 3", "ebgp-multihop 5"];
    let mut commands = Vec::new();
    for who in ["10.9.0.2", "G"] {
        for setting in settings {
            commands.extend(["", "no "].map(|no| format!("{no}neighbor {who} {setting}")));
        }
    }
    commands.extend(["", "no "].map(|no| format!("{no}neighbor 10.9.0.2 peer-group G")));
    let mut orders = Vec::new();
    for first in &commands {
        for second in commands.iter().filter(|it| *it != first) {
            orders.extend(
                commands
                    .iter()
                    .map(|third| format!("{first}\n{second}\n{third}\n")),
            );
        }
    }
    let both = Both::up(
        "name = \"orders\"\n[nodes.r]\nkind = \"router\"\nconfig = \"router bgp 65000\"\n\
         addresses = { lo = [\"10.0.0.1/32\"] }\n",
    );
    let begin = "no neighbor 10.9.0.2\nno neighbor G peer-group\nneighbor G peer-group\nneighbor 10.9.0.2 remote-as 65001\n";
    // So many at a time that what is typed fits where nobody has read it yet.
    for some in orders.chunks(50) {
        let all = some
            .iter()
            .map(|order| format!("{begin}{order}do show running-config\n"));
        let lines = format!(
            "configure terminal\nrouter bgp 65000\n{}",
            all.collect::<String>()
        );
        let [frr, builtin] = both.typed("r", &lines);
        let of_order = |said: &str| -> Vec<String> {
            let orders = said.split("no neighbor G peer-group").skip(1);
            let told = |line: &&str| line.starts_with(" neighbor") || line.starts_with('%');
            orders
                .map(|order| order.lines().filter(told).collect::<Vec<_>>().join("\n"))
                .collect()
        };
        let (frr, builtin) = (of_order(&frr), of_order(&builtin));
        assert_eq!((frr.len(), builtin.len()), (some.len(), some.len()));
        for ((order, frr), builtin) in some.iter().zip(frr).zip(builtin) {
            assert_eq!(builtin, frr, "after\n{order}");
        }
    }
}
