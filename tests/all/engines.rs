//! The same labs hold on nslab's own speaker, and it answers as FRR does: on the labs that ship, and on one for each feature
//! of the dialect.

use crate::common;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{Host, Lab, PAIR, has, in_package};

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
    let done = Command::new(in_package("scripts/compare-engines"))
        .args(["-j", "2", "--binary", env!("CARGO_BIN_EXE_nslab")])
        .args(files)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&done.stdout);
    let err = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{out}{err}");
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
