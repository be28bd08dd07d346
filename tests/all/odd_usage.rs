//! What people do to a program without meaning harm: odd places, closed streams, stopped terminals, labs in labs.

use crate::common;
use crate::common::host;

use std::fs;

use common::traces::stat;
use common::{Lab, PAIR, run, until};
use host::{aside, do_aside};
use nix::sys::signal::Signal;

/// Brings the lab up in the run directory of the environment, uses it, and takes it down.
const USE: &str = "$NSLAB up -d $FILE >&2 && $NSLAB exec a cat /etc/hostname && $NSLAB ps >&2 && \
    $NSLAB logs >&2 && $NSLAB restart a >&2 && $NSLAB down >&2 && ls -A \"$NSLAB_RUN_DIR\"";

#[test]
fn run_directories_of_every_shape() {
    let lab = Lab::new(PAIR);
    let long = format!("{0}/{0}/run", "d".repeat(120));
    for name in [
        long.as_str(),
        "o,d:d \\ \"'$x é",
        "new\nline",
        "-dash",
        "trailing/",
        "a/../b/./c",
    ] {
        let mut command = aside(&lab, USE);
        command.env("NSLAB_RUN_DIR", lab.path(name));
        assert_eq!(run(&mut command).expect(0), "a\n.lock\n", "{name:?}");
    }
}

#[test]
fn a_relative_run_directory() {
    let lab = Lab::new(PAIR);
    let mut command = aside(&lab, &format!("cd $TEST; {USE}; test -d here/run"));
    command.env("NSLAB_RUN_DIR", "here/run");
    assert_eq!(run(&mut command).expect(0), "a\n.lock\n");
}

#[test]
fn lab_files_from_every_direction() {
    let lab = Lab::new(PAIR);
    let odd = lab.path("o,d:d $(x) é.toml");
    fs::copy(lab.file(), &odd).unwrap();
    std::os::unix::fs::symlink(&odd, lab.path("link.toml")).unwrap();
    for file in [odd, lab.path("link.toml")] {
        lab.ok(["up", "-d", file.to_str().unwrap()]);
        assert!(lab.ok(["labs"]).contains(file.to_str().unwrap()));
        lab.ok(["down"]);
    }
    let piped = "cat $FILE | $NSLAB up -d /dev/stdin >&2 && $NSLAB exec a hostname && $NSLAB down >&2";
    assert_eq!(do_aside(&lab, piped).expect(0), "a\n");
    lab.run(["up", lab.path("none.toml").to_str().unwrap()])
        .refused(2, &["there is no file", "none.toml"]);
    lab.run(["up", lab.path("").to_str().unwrap()])
        .refused(2, &["is a directory"]);
}

#[test]
fn a_working_directory_that_is_deleted() {
    let lab = Lab::new(PAIR);
    let gone = "mkdir $TEST/gone && cd $TEST/gone && rmdir $TEST/gone && ";
    assert_eq!(do_aside(&lab, &(gone.to_owned() + USE)).expect(0), "a\n.lock\n");
}

#[test]
fn a_terminal_that_is_stopped_does_not_stop_the_lab() {
    let lab = Lab::new(PAIR);
    let mut up = lab.start(["up", lab.file()]);
    up.until_said("is ready");
    up.signal(Signal::SIGTSTP);
    until("the stop", || {
        stat(up.pid().as_raw(), 0).is_some_and(|state| state == "T")
    });
    lab.ok(["exec", "a", "ping", "-c1", "-W5", "10.0.0.2"]);
    for _ in 0..3 {
        lab.ok(["restart", "b"]);
    }
    lab.ok(["down"]);
    assert!(lab.left().is_empty(), "{:?}", lab.left());
    up.signal(Signal::SIGCONT);
    let done = up.wait();
    // Of two nodes, two are ready, however often one was started again.
    assert!(!done.err.contains("(3/2)"), "{}", done.err);
    done.expect(0);
}

#[test]
fn a_lab_in_a_node_of_a_lab() {
    // That takes what the host keeps from other nodes.
    let lab = Lab::new(&PAIR.replacen("kind =", "privileged = true\nkind =", 1));
    lab.ok(["up", "-d", lab.file()]);
    // /tmp is the node's own (and may be where all this was built), so both go in by way of nslab.
    let nslab = "/run/nslab-of-the-host";
    lab.ok(["cp", env!("CARGO_BIN_EXE_nslab"), &format!("a:{nslab}")]);
    let text = fs::read(lab.file()).unwrap();
    let inner = format!(
        "cat > /tmp/lab.toml && {nslab} up -d /tmp/lab.toml >&2 && {nslab} exec b hostname && {nslab} labs >&2"
    );
    assert_eq!(
        lab.feed(["exec", "a", "sh", "-c", &inner], &text).expect(0),
        "b\n"
    );
    // It is a lab of the node's: the host does not know it, and it goes with the node.
    assert_eq!(lab.ok(["labs", "--format", "json"]).matches("\"lab\"").count(), 1);
    let traces = lab.traces("pair");
    lab.ok(["down"]);
    traces.gone();
}

#[test]
fn nodes_called_like_files_of_the_kernel() {
    let names = [
        "cgroup.procs",
        "cgroup.kill",
        "memory.max",
        "tasks",
        "0",
        "root",
        "x.",
    ];
    let node =
        |name: &&str| format!("[nodes.\"{name}\"]\nkind = \"host\"\nexec = [\"true\"]\nmemory = \"64M\"\n");
    let nodes: String = names.iter().map(node).collect();
    let lab = Lab::up(&format!("name = \"lock\"\n{nodes}"));
    for name in names {
        assert_eq!(lab.sh(name, "hostname"), format!("{name}\n"));
    }
    let traces = lab.traces("lock");
    lab.ok(["down"]);
    traces.gone();
}
