//! A lab is a test: `nslab test` brings labs up, makes their checks, reports, and leaves nothing.

use crate::common;

use std::fs;
use std::path::PathBuf;

use common::{Lab, Running, until};
use nix::sys::signal::Signal;
use serde_json::Value;

const GOOD: &str = r#"
name = "twin"
[nodes.a]
kind = "host"
addresses = { lo = ["10.0.0.1/32"] }
[[checks]]
name = "itself"
node = "a"
ping = "10.0.0.1"
"#;

const BAD: &str = r#"
name = "twin"
[nodes.a]
kind = "host"
run = [{ name = "talker", command = "sh -c 'echo I was here; sleep infinity'" }]
[[checks]]
name = "holds"
node = "a"
run = "true"
[[checks]]
name = "does not"
node = "a"
run = "sh -c 'printf \"<&>\\\\n\"; exit 3'"
"#;

/// Files beside the lab's own.
fn file(lab: &Lab, name: &str, text: &str) -> String {
    let path = lab.path(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What is left in the run directory but its own lock.
fn left(lab: &Lab) -> Vec<PathBuf> {
    let entries = fs::read_dir(lab.run_directory()).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| !path.ends_with(".lock"))
        .collect()
}

#[test]
fn a_lab_passes_or_fails() {
    let lab = Lab::new(GOOD);
    let said = lab.run(["test", lab.file()]).expect(0);
    assert!(said.contains("ok    a: itself"), "{said}");
    assert!(said.contains("1 lab: 1 check passed"), "{said}");
    let bad = file(&lab, "bad.toml", BAD);
    let said = lab.run(["test", &bad]).expect(1);
    assert!(said.contains("FAIL  a: does not"), "{said}");
    assert!(said.contains("status 3 instead of 0"), "{said}");
    // With several labs the failed one's place is said again at the end.
    let said = lab.run(["test", &bad, lab.file()]).expect(1);
    let end = format!("\nFAILED {bad}:10: a: does not\n2 labs: 2 checks passed, 1 failed");
    assert!(said.contains(&end), "{said}");
    assert_eq!(left(&lab), Vec::<PathBuf>::new());
}

#[test]
fn labs_of_one_name_are_tested_side_by_side() {
    let lab = Lab::new(GOOD);
    let bad = file(&lab, "bad.toml", BAD);
    let done = lab.run([
        "test",
        "-j",
        "3",
        "--format",
        "json",
        lab.file(),
        &bad,
        lab.file(),
    ]);
    assert_eq!(done.code, 1, "{done:?}");
    let report: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(report["passed"], false);
    let labs = report["labs"].as_array().unwrap();
    let failed = |lab: &Value| {
        let checks = lab["checks"].as_array().unwrap();
        checks.iter().filter(|check| check["outcome"] == "failed").count()
    };
    assert_eq!(labs.iter().map(failed).collect::<Vec<_>>(), [0, 1, 0]);
    assert_eq!(left(&lab), Vec::<PathBuf>::new());
}

#[test]
fn a_report_for_ci_is_read_by_others() {
    let lab = Lab::new(GOOD);
    let bad = file(&lab, "bad.toml", BAD);
    let junit = lab.path("report.xml");
    let logs = lab.path("logs");
    let words = [
        "test",
        "--junit",
        junit.to_str().unwrap(),
        "--logs",
        logs.to_str().unwrap(),
        &bad,
        lab.file(),
    ];
    lab.run(words).expect(1);
    let report = quick_junit::Report::deserialize_from_str(&fs::read_to_string(&junit).unwrap()).unwrap();
    assert_eq!((report.tests, report.failures, report.errors), (5, 1, 0));
    let cases = &report.test_suites[0].test_cases;
    let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names, ["the lab comes up", "a: holds", "a: does not"]);
    // Of the lab that failed only, and with what its processes said.
    assert!(
        fs::read_to_string(logs.join("twin/a.log"))
            .unwrap()
            .contains("I was here")
    );
    assert!(logs.join("twin/events.txt").exists() && logs.join("twin/report.txt").exists());
}

#[test]
fn labs_of_one_name_do_not_overwrite_each_others_logs() {
    let lab = Lab::new(BAD);
    let logs = lab.path("logs");
    lab.run([
        "test",
        "-j2",
        "--logs",
        logs.to_str().unwrap(),
        lab.file(),
        lab.file(),
    ])
    .expect(1);
    for name in ["twin", "twin-2"] {
        assert!(logs.join(name).join("report.txt").exists(), "{name}");
    }
}

#[test]
fn a_lab_that_failed_is_kept_for_a_look() {
    let lab = Lab::new(BAD);
    let said = lab.run(["test", "--keep", lab.file()]).expect(1);
    let variable = said
        .lines()
        .find_map(|line| line.split_once("NSLAB_RUN_DIR=")?.1.split(' ').next())
        .unwrap_or_else(|| panic!("{said}"));
    let aside = |words: &[&str]| {
        let mut command = lab.nslab(words);
        common::run(command.env("NSLAB_RUN_DIR", variable))
    };
    assert_eq!(aside(&["exec", "a", "hostname"]).expect(0), "a\n");
    // It stays through sweeps, and goes when it is taken down.
    lab.ok(["gc"]);
    aside(&["check"]).expect(1);
    aside(&["down", "twin"]).expect(0);
    lab.ok(["gc"]);
    assert_eq!(left(&lab), Vec::<PathBuf>::new());
    // One that passed is not kept.
    let good = file(&lab, "good.toml", GOOD);
    lab.run(["test", "--keep", &good]).expect(0);
    assert_eq!(left(&lab), Vec::<PathBuf>::new());
}

#[test]
fn a_wrong_file_stops_all_before_anything_is_made() {
    let lab = Lab::new(GOOD);
    let wrong = file(
        &lab,
        "wrong.toml",
        "name = \"x\"\n[[checks]]\nname = \"c\"\nnode = \"q\"\nping = \"q\"\n",
    );
    lab.run(["test", lab.file(), &wrong])
        .refused(2, &["`q` is not in the lab", "wrong.toml"]);
    lab.run(["test", "/nowhere.toml"]).refused(2, &["/nowhere.toml"]);
}

#[test]
fn a_lab_that_needs_frr_is_skipped_where_the_built_in_speaker_plays() {
    let text = "name = \"wants-more\"\n[nodes.r]\nkind = \"router\"\nconfig = \"router ospf\\n\"\n";
    let lab = Lab::new(text);
    let said = lab.ok(["test", "--engine", "builtin", lab.file()]);
    assert!(said.contains("skipped: r needs the frr engine"), "{said}");
    // What is wrong for either is an error.
    let lab = Lab::new(&text.replace("router ospf", "router osfp"));
    let done = lab.run(["test", "--engine", "builtin", lab.file()]);
    assert_eq!(done.code, 2, "{}{}", done.out, done.err);
}

#[test]
fn a_lab_whose_program_is_missing_is_skipped() {
    let lab = Lab::new(&format!("requires = [\"nosuchprogram\"]\n{GOOD}"));
    let said = lab.run(["test", lab.file()]).expect(0);
    assert!(said.contains("skipped: requires nosuchprogram"), "{said}");
}

#[test]
fn a_lab_that_does_not_come_up_has_failed() {
    let lab = Lab::new("name = \"x\"\n[nodes.a]\nkind = \"host\"\nexec = [\"sh -c 'echo why; exit 4'\"]\n");
    let said = lab.run(["test", lab.file()]).expect(1);
    assert!(
        said.contains("FAILED") && said.contains("status 4") && said.contains("| why"),
        "{said}"
    );
    assert!(said.contains("1 lab did not come up"), "{said}");
    assert_eq!(left(&lab), Vec::<PathBuf>::new());
}

/// A lab whose only check waits for what never comes.
fn waiting() -> (Lab, Running) {
    let lab = Lab::new(
        "name = \"x\"\n[nodes.a]\nkind = \"host\"\nrun = [{ name = \"s\", command = \"sleep 100000\" }]\n\
         [[checks]]\nname = \"never\"\nnode = \"a\"\nrun = \"test -e /run/never\"\nwithin = \"1h\"\n",
    );
    let mut running = lab.start(["test", lab.file()]);
    until("the lab's being up", || {
        assert!(!running.is_over(), "{}", running.err());
        running.out().contains("ready in")
    });
    (lab, running)
}

#[test]
fn an_interrupted_test_leaves_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (lab, mut running) = waiting();
        running.signal(signal);
        let done = running.wait();
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.err.contains("interrupted"), "{done:?}");
        assert_eq!(left(&lab), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_killed_test_takes_its_labs_along() {
    let (lab, mut running) = waiting();
    running.signal(Signal::SIGKILL);
    running.wait();
    until("nothing left", || {
        lab.ok(["gc"]);
        left(&lab).is_empty()
    });
}
