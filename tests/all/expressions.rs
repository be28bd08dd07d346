//! Expressions of checks end, whatever they say and whatever they are asked of, and nothing else suffers.

use crate::common;

use std::time::{Duration, Instant};

use common::traces::{pids, stat};
use common::{Lab, until};
use nix::sys::signal::Signal;

/// A lab of one node, with checks: a name and lines.
fn lab(checks: &[(&str, &str)]) -> Lab {
    let mut text = "name = \"expressions\"\n[nodes.a]\nkind = \"host\"\n".to_owned();
    for (name, lines) in checks {
        text.push_str(&format!("[[checks]]\nname = \"{name}\"\nnode = \"a\"\n{lines}\n"));
    }
    Lab::new(&text)
}

#[test]
fn one_that_would_end_nslab_is_refused_when_the_file_is_read() {
    for word in [
        "halt",
        "halt_error",
        "input",
        "inputs",
        "debug",
        "env",
        "$ENV",
        "input_filename",
        "stderr",
    ] {
        let lab = lab(&[("c", &format!("run = \"echo 1\"\nexpect = {{ jq = '{word}' }}"))]);
        let words = [format!("`{word}` is not for checks"), "expect".to_owned()];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        lab.run(["validate", lab.file()]).refused(2, &words);
        lab.run(["test", lab.file()]).refused(2, &words);
    }
    let long = format!("run = \"echo 1\"\nexpect = {{ jq = '{}' }}", ".|".repeat(40_000));
    let long = lab(&[("c", &long)]);
    long.run(["validate", long.file()]).refused(2, &["longer than"]);
    let deep = format!(
        "run = \"echo 1\"\nexpect = {{ jq = '{}1{}' }}",
        "[".repeat(1000),
        "]".repeat(1000)
    );
    let deep = lab(&[("c", &deep)]);
    deep.ok(["validate", deep.file()]);
}

#[test]
fn those_that_want_too_much_fail_and_the_others_are_made() {
    let one = |jq: &str| format!("run = \"echo 1\"\nexpect = {{ jq = '{jq}' }}");
    let greedy = [
        ("calls itself", one("def f: f; f"), "no value after"),
        ("counts", one("last(range(1e12))"), "no value after"),
        ("collects", one("[range(1e9)]"), ""),
        ("prints much", one("[range(3e6)]"), ""),
        ("goes deep", one("reduce range(1e7) as $x (0; [.])"), ""),
        ("recurses", one("def f: 1 + f; f"), ""),
    ];
    let deep = "shell = \"head -c 3000000 /dev/zero | tr '\\\\0' '['\"\nexpect = { jq = '.' }".to_owned();
    let regex = "shell = \"head -c 3000000 /dev/zero | tr '\\\\0' a\"\nexpect = { matches = '(a|aa|aaa){0,900}[ab]{0,900}c' }";
    let mut checks: Vec<(&str, &str)> = greedy
        .iter()
        .map(|(name, text, _)| (*name, text.as_str()))
        .collect();
    checks.push(("a deep answer", &deep));
    checks.push(("a long match", regex));
    let last = one(". == 1");
    checks.push(("the last", &last));
    let lab = lab(&checks);
    let began = Instant::now();
    let done = lab.run(["test", lab.file()]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(began.elapsed() < Duration::from_secs(50), "{:?}", began.elapsed());
    for (name, _, words) in &greedy {
        let line = done
            .out
            .lines()
            .position(|line| line.contains("FAIL") && line.contains(name));
        assert!(line.is_some(), "{name} did not fail in:\n{}", done.out);
        let said: Vec<&str> = done.out.lines().skip(line.unwrap()).take(3).collect();
        assert!(said.join("\n").contains(words), "{said:?}");
    }
    assert!(done.out.contains("nested deeper than"), "{}", done.out);
    let passed = done
        .out
        .lines()
        .any(|line| line.contains("the last") && !line.contains("FAIL"));
    assert!(passed, "{}", done.out);
}

/// The processes that evaluate for this one.
fn evaluating(parent: i32) -> Vec<i32> {
    let is_one = |pid: &i32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        text.contains("\0evaluate\0") && stat(*pid, 1).is_some_and(|it| it == parent.to_string())
    };
    pids().filter(is_one).collect()
}

#[test]
fn an_interrupt_ends_it_at_once() {
    let endless = "run = \"echo 1\"\nexpect = { jq = \"def f: f; f\" }\nwithin = \"60s\"";
    let lab = lab(&[("endless", endless)]);
    let mut test = lab.start(["test", lab.file()]);
    let pid = test.pid().as_raw();
    until("the evaluation", || !evaluating(pid).is_empty());
    let began = Instant::now();
    test.signal(Signal::SIGINT);
    let done = test.wait();
    assert_eq!(done.code, 1, "{done:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(evaluating(pid).is_empty());
}

#[test]
fn what_kills_one_lab_does_not_end_the_others() {
    let bad = "shell = \"head -c 3000000 /dev/zero | tr '\\\\0' '['\"\nexpect = { jq = \".\" }";
    let (bad, good) = (
        lab(&[("deep", bad)]),
        lab(&[("fine", "run = \"echo 1\"\nexpect = { jq = \". == 1\" }")]),
    );
    let done = bad.run(["test", "-j", "2", bad.file(), good.file()]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.out.contains("ok    a: fine"), "{}", done.out);
}
