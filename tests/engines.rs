//! The same labs hold on nslab's own speaker: those that ship, and one for each feature of the dialect.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says so by panicking")]

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Host, Lab, PAIR, has, in_package};

/// Feature labs that the speaker does not pass yet, and what it lacks for them.
const NOT_YET: [(&str, &str); 3] = [
    ("capabilities", "every neighbour is offered capabilities"),
    (
        "graceful-restart",
        "the time and families of a restart are not said",
    ),
    ("shutdown", "a neighbour's words at its shutdown are not shown"),
];

/// Tests labs on the builtin engine, some at a time, on a host of their own.
fn pass(files: &[PathBuf]) {
    assert!(!files.is_empty());
    let lab = Lab::new(PAIR).on(Host::new());
    let mut words = vec!["test", "-j", "4", "--engine", "builtin"];
    words.extend(files.iter().map(|file| file.to_str().unwrap()));
    let done = lab.run(words);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
}

#[test]
fn labs_that_ship() {
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
    let files: Vec<PathBuf> = names
        .iter()
        .map(|name| in_package(&format!("labs/{name}.toml")))
        .collect();
    pass(&files);
}

#[test]
fn labs_of_features() {
    let mut files: Vec<PathBuf> = fs::read_dir(in_package("tests/labs/compare"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .collect();
    files.sort();
    for (name, lack) in NOT_YET {
        let named = |path: &PathBuf| path.file_stem().is_some_and(|stem| stem == name);
        assert!(files.iter().any(named), "{name}, not taken as {lack}, is no lab");
        files.retain(|path| !named(path));
    }
    pass(&files);
}
