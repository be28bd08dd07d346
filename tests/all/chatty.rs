//! Processes that print much: their logs have a length, and nobody else has to wait.

use crate::common;

use std::fs;
use std::time::{Duration, Instant};

use common::{Lab, until};

/// A quiet node and so many that print without end, each these lines.
fn chatty(count: usize, lines: &str) -> Lab {
    let mut text = "name = \"chatty\"\n[nodes.quiet]\nkind = \"host\"\n".to_owned();
    for number in 0..count {
        text.push_str(&format!("[nodes.n{number}]\nkind = \"host\"\n{lines}\n"));
    }
    Lab::up(&text)
}

/// The times of some `exec`s, the shortest first.
fn times(lab: &Lab, count: usize) -> Vec<Duration> {
    let one = |_| {
        let began = Instant::now();
        assert_eq!(lab.ok(["exec", "quiet", "echo", "here"]), "here\n");
        began.elapsed()
    };
    let mut times: Vec<Duration> = (0..count).map(one).collect();
    times.sort();
    times
}

/// Bytes of the logs of all nodes, the longest file first.
fn sizes(lab: &Lab) -> Vec<u64> {
    let entries = fs::read_dir(lab.run_directory().join("chatty/logs"))
        .unwrap()
        .flatten();
    let mut sizes: Vec<u64> = entries
        .map(|entry| entry.metadata().map_or(0, |it| it.len()))
        .collect();
    sizes.sort_by(|a, b| b.cmp(a));
    sizes
}

const YES: &str = "run = [{ name = \"y\", command = \"yes\" }]";
/// A flood of datagrams to /dev/log.
const LOGGER: &str = "run = [{ name = \"l\", shell = \"yes | logger\" }]";

#[test]
fn nobody_waits_for_those_that_print_without_end() {
    let lab = chatty(20, YES);
    let times = times(&lab, 21);
    // Generous, as tests run beside others.
    assert!(times[10] < Duration::from_millis(500), "{times:?}");
    let began = Instant::now();
    lab.ok(["ps"]);
    lab.ok(["down"]);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn nobody_waits_for_those_that_log_without_end() {
    let lab = chatty(10, LOGGER);
    let times = times(&lab, 11);
    assert!(times[5] < Duration::from_millis(500), "{times:?}");
    // Another process of such a node is heard as well. What it says is not known at once, and the others' lines take its place soon:
    // it says it again.
    until("the word", || {
        lab.ok(["exec", "n0", "logger", "-t", "other", "a word"]);
        lab.run(["logs", "n0/other"]).out.contains("a word")
    });
}

#[test]
fn a_log_has_a_length_and_can_be_read_all_the_while() {
    let lab = chatty(1, &format!("{YES}\nlimits = {{ log = \"1M\" }}"));
    let mut follower = lab.start(["logs", "-f", "n0"]);
    follower.until_said("y: y");
    let inode = || {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(lab.run_directory().join("chatty/logs/n0.log"))
            .ok()
            .map(|it| it.ino())
    };
    // Set aside three times.
    for _ in 0..3 {
        let before = inode();
        until("the log to be set aside", || inode() != before);
        assert!(
            sizes(&lab).iter().all(|size| *size <= 512 << 10),
            "{:?}",
            sizes(&lab)
        );
    }
    let all = lab.ok(["logs", "n0"]);
    assert!(all.lines().count() > 10_000 && all.lines().all(|line| line.ends_with("y: y")));
    assert_eq!(lab.ok(["logs", "--tail", "5", "n0"]).lines().count(), 5);
    let before = follower.out().len();
    until("the follower to go on", || follower.out().len() > before);
    assert!(
        follower
            .out()
            .lines()
            .rev()
            .skip(1)
            .take(1000)
            .all(|line| line.ends_with("y: y"))
    );
}

#[test]
fn nothing_is_lost_of_what_a_command_prints() {
    let lab = Lab::up(
        "name = \"chatty\"\n[nodes.a]\nkind = \"host\"\nexec = [\"seq 1 200000\"]\n\
         [nodes.b]\nkind = \"host\"\nexec = [{ shell = \"yes & echo done\" }]\n",
    );
    let said = lab.ok(["logs", "a"]);
    let numbers: Vec<u32> = said
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(numbers.iter().copied().eq(1..=200_000), "{} lines", numbers.len());
}

#[test]
fn a_line_without_an_end_is_cut_and_does_not_grow() {
    let lab = chatty(
        1,
        "run = [{ name = \"z\", shell = \"tr '\\\\0' x < /dev/zero\" }]\nlimits = { log = \"1M\" }",
    );
    until("some of it", || {
        sizes(&lab).first().is_some_and(|size| *size > 100 << 10)
    });
    assert!(
        sizes(&lab).iter().all(|size| *size <= 512 << 10),
        "{:?}",
        sizes(&lab)
    );
    assert!(times(&lab, 5)[2] < Duration::from_millis(500));
}

#[test]
fn a_process_cannot_write_anothers_lines() {
    if !common::has("python3") {
        return;
    }
    let lab = chatty(1, "");
    let forged = "printf '<13>x: one\\n1\\tbgpd\\tforged' | python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(\"/dev/log\"); s.send(sys.stdin.buffer.read())'";
    lab.sh("n0", forged);
    until("the lines", || lab.ok(["logs", "n0"]).contains("one"));
    lab.run(["logs", "n0/bgpd"]).refused(2, &["no process \"bgpd\""]);
    assert!(
        lab.ok(["logs", "n0"])
            .lines()
            .all(|line| !line.starts_with("bgpd"))
    );
}

#[test]
fn logs_of_a_failed_lab_hold_both_parts() {
    let lab = Lab::new(
        "name = \"chatty\"\n[nodes.a]\nkind = \"host\"\nlimits = { log = \"64K\" }\nexec = [\"seq 1 10000\"]\n\
         [[checks]]\nname = \"no\"\nnode = \"a\"\nrun = \"false\"\n",
    );
    let logs = lab.path("kept").display().to_string();
    lab.run(["test", "--logs", &logs, lab.file()]).expect(1);
    let part = |name: &str| fs::read_to_string(lab.path("kept/chatty").join(name)).unwrap();
    assert!(part("a.log").ends_with("10000\n"), "{}", part("a.log").len());
    assert!(!part("a.log.1").is_empty());
}
