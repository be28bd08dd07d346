//! The GitHub action does what it says: its own scripts install a release, run labs, and leave a report.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says so by panicking")]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use common::{Done, Lab, in_package, run};

const LABS: &str = "name = \"good\"\n[nodes.a]\nkind = \"host\"\n[[checks]]\nname = \"itself\"\nnode = \"a\"\nping = \"127.0.0.1\"\n";

/// A step's script, as the action calls it.
fn step(lab: &Lab, script: &str, environment: &[(&str, &str)]) -> Done {
    let directory = in_package(".github/actions/nslab");
    let action = fs::read_to_string(directory.join("action.yml")).unwrap();
    assert!(
        action.contains(&format!("\"$GITHUB_ACTION_PATH/{script}\"")),
        "no step runs {script}"
    );
    for (name, _) in environment {
        assert!(
            action.contains(&format!("{name}: ${{{{")) || ["NSLAB_PREFIX", "NSLAB_RAISE"].contains(name),
            "the action does not set {name}"
        );
    }
    let mut command: Command = lab.command(directory.join(script));
    command
        .current_dir(lab.path(""))
        .env("NSLAB_PREFIX", lab.path("prefix"));
    run(command.envs(environment.iter().copied()))
}

/// A tarball as scripts/release packs it, of the binary under test.
fn tarball(lab: &Lab) -> PathBuf {
    let tree = lab.path("nslab-0-x");
    fs::create_dir(&tree).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_nslab"), tree.join("nslab")).unwrap();
    let path = lab.path("nslab.tar.gz");
    run(Command::new("tar")
        .arg("-czf")
        .arg(&path)
        .arg("-C")
        .arg(lab.path(""))
        .arg("nslab-0-x"))
    .expect(0);
    path
}

#[test]
fn installs_tests_and_reports() {
    let lab = Lab::new(LABS);
    let path = tarball(&lab);
    let said = step(&lab, "install", &[("NSLAB_TARBALL", path.to_str().unwrap())]).expect(0);
    assert!(said.starts_with("nslab "), "{said}");
    step(&lab, "prepare", &[("NSLAB_PACKAGES", ""), ("NSLAB_RAISE", "no")]).expect(0);
    fs::write(
        lab.path("bad-1.toml"),
        LABS.replace("\"good\"", "\"bad\"")
            .replace("ping = \"127.0.0.1\"", "run = \"false\""),
    )
    .unwrap();
    fs::write(lab.path("good-1.toml"), LABS).unwrap();
    let environment = |files| {
        [
            ("NSLAB_FILES", files),
            ("NSLAB_JOBS", "2"),
            ("NSLAB_JUNIT", "r.xml"),
            ("NSLAB_LOGS", "logs"),
            ("NSLAB_ARGUMENTS", ""),
        ]
    };
    step(&lab, "test", &environment("good-*.toml")).expect(0);
    assert!(
        fs::read_to_string(lab.path("r.xml"))
            .unwrap()
            .contains("failures=\"0\"")
    );
    step(&lab, "test", &environment("good-*.toml bad-*.toml")).expect(1);
    assert!(
        fs::read_to_string(lab.path("r.xml"))
            .unwrap()
            .contains("failures=\"1\"")
    );
    assert!(lab.path("logs/bad/report.txt").exists());
}

#[test]
fn a_missing_tarball_is_told() {
    let lab = Lab::new(LABS);
    step(&lab, "install", &[("NSLAB_TARBALL", "/nowhere.tar.gz")]).refused(3, &["/nowhere.tar.gz"]);
}
