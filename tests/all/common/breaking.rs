//! Labs whose checks are broken by hand, one after the other.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::{Host, Lab, in_package, until};

/// A lab, what has to be on the host for it, and for each check: the node and line that break it, and those that mend it.
pub type Breakers = &'static [(&'static str, [&'static str; 2], [&'static str; 2])];

/// Brings a shipped lab up, breaks each of its checks once, and sees that one fail and pass again.
pub fn break_each(name: &str, breakers: Breakers) {
    // With a host of its own, whose networks are nobody else's.
    let lab = Lab::of_file(&in_package(&format!("labs/{name}.toml"))).on(Host::new());
    lab.ok(["up", "-d", "--hold-manifests", lab.file()]);
    let state = fs::read_to_string(lab.run_directory().join(name).join("checks.json")).unwrap();
    let checks: Vec<Value> = serde_json::from_str(&state).unwrap();
    let known: BTreeSet<&str> = checks
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    let broken: BTreeSet<&str> = breakers.iter().map(|(check, ..)| *check).collect();
    assert_eq!(known, broken, "each check of {name} has something that breaks it");
    for phase in ["before", "after"] {
        let of_phase = |name: &str| {
            let mut checks = checks.iter();
            checks.any(|check| check["name"] == name && check["phase"] == phase)
        };
        if phase == "after" {
            lab.ok(["apply"]);
        }
        if !checks.iter().any(|check| check["phase"] == phase) {
            continue;
        }
        lab.run(["check", "--phase", phase]).expect(0);
        for (check, [node, line], [mender, mend]) in breakers.iter().filter(|(check, ..)| of_phase(check)) {
            lab.sh(node, line);
            until(&format!("the failing of {check:?}"), || {
                let words = ["check", "--phase", phase, "--within", "0s", "--name", check];
                lab.run(words).code == 1
            });
            if !mend.is_empty() {
                lab.sh(mender, mend);
            }
            let done = lab.run(["check", "--phase", phase, "--name", check]);
            assert_eq!(done.code, 0, "{check:?} after `{mend}`: {}{}", done.out, done.err);
        }
    }
}
