//! Volumes: directories of the lab's that nodes share and that outlive their restarts.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::traces::template;
use crate::common::{Lab, until};

const SHARED: &str = r#"
name = "volumes"
[nodes.a]
kind = "host"
volumes = ["shared:/data", "/etc/apt", "/own"]
limits = { disk = "unlimited" }
[nodes.b]
kind = "host"
volumes = ["shared:/elsewhere", "shared:/new/place"]
user_namespace = true
limits = { disk = "64M" }
[nodes.c]
kind = "host"
volumes = ["other:/data"]
limits = { disk = "48M" }
"#;

#[test]
fn volumes_begin_empty_and_each_has_the_room_of_its_least_node() {
    let lab = Lab::up(SHARED);
    assert_eq!(
        lab.sh("a", "ls -A /data /etc/apt /own | grep -v :; true").trim(),
        ""
    );
    let room = |node: &str, path: &str| {
        let line = format!("stat -fc '%b %S' {path}");
        let said = lab.sh(node, &line);
        let (blocks, size) = said.trim().split_once(' ').unwrap();
        (blocks.parse::<u64>().unwrap() * size.parse::<u64>().unwrap()) >> 20
    };
    assert_eq!(room("a", "/data"), 64);
    assert_eq!(room("b", "/elsewhere"), 64);
    assert_eq!(room("c", "/data"), 48);
    // No limit of its own is none.
    assert_eq!(room("a", "/own"), 0);
    lab.run(["exec", "b", "dd", "if=/dev/zero", "of=/elsewhere/big", "bs=1M"])
        .refused(1, &["No space left"]);
    // Only that volume is full.
    lab.sh("c", "dd if=/dev/zero of=/data/x bs=1M count=40 2>/dev/null");
    lab.sh("a", "dd if=/dev/zero of=/own/x bs=1M count=80 2>/dev/null; dd if=/dev/zero of=/etc/apt/x bs=1M count=1 2>/dev/null");
    lab.run([
        "exec",
        "a",
        "dd",
        "if=/dev/zero",
        "of=/data/x",
        "bs=1M",
        "count=1",
    ])
    .refused(1, &["No space left"]);
    lab.run([
        "exec",
        "c",
        "dd",
        "if=/dev/zero",
        "of=/data/x",
        "bs=1M",
        "count=60",
    ])
    .refused(1, &["No space left"]);
}

#[test]
fn a_volumes_files_are_the_roots_of_every_node_that_has_it() {
    let lab = Lab::up(SHARED);
    lab.sh(
        "b",
        "touch /elsewhere/of-b && chown nobody /elsewhere/of-b && mkdir /new/beside",
    );
    lab.sh("a", "touch /data/of-a");
    let owners =
        |node: &str, path: &str| lab.sh(node, &format!("cd {path} && stat -c '%n %U %a' . of-a of-b"));
    let expected = ". root 755\nof-a root 644\nof-b nobody 644\n";
    for (node, path) in [("a", "/data"), ("b", "/elsewhere"), ("b", "/new/place")] {
        assert_eq!(owners(node, path), expected, "{node}:{path}");
    }
    lab.sh("b", "rm /elsewhere/of-a && test $(stat -c %U /new) = root");
    lab.ok(["restart", "b"]);
    assert_eq!(lab.sh("b", "ls /new/place"), "of-b\n");
}

#[test]
fn what_is_within_a_shared_volume_leads_nowhere_out_of_the_node() {
    let lab = Lab::up(
        r#"
name = "within"
[nodes.a]
kind = "host"
volumes = ["shared:/data"]
[nodes.b]
kind = "host"
volumes = ["shared:/data", "inner:/data/deep/volume"]
tmpfs = ["/data/deep/memory"]
[nodes.u]
kind = "host"
volumes = ["shared:/data", "inner:/data/of-u/volume"]
user_namespace = true
"#,
    );
    lab.sh(
        "b",
        "touch /data/deep/volume/file && test ! -e /data/deep/memory/file",
    );
    assert_eq!(
        lab.sh("a", "ls /data/deep; ls /data/deep/volume"),
        "memory\nvolume\n"
    );
    assert_eq!(
        lab.sh("u", "ls /data/of-u/volume; stat -c %U /data/of-u"),
        "file\nroot\n"
    );
    // Another node replaces the way there.
    for link in ["/proc/self/fd/0", "/proc/self/root", "/proc/1/cwd"] {
        lab.sh("a", &format!("rm -rf /data/deep && ln -s {link} /data/deep"));
        let done = lab.run(["restart", "b"]);
        let said = "one of /proc's own links, or leads through one";
        assert!(done.code != 0 && done.err.contains(said), "{link}: {done:?}");
    }
    // A link to a place of the node's leads there, whether there is something or not.
    lab.sh("a", "rm /data/deep && ln -s /srv/far /data/deep");
    lab.ok(["restart", "b"]);
    assert_eq!(lab.sh("b", "ls /srv/far/volume"), "file\n");
}

/// They are the lab's, and no process's that may end before it: also when no node has one at that moment.
#[test]
fn volumes_outlive_the_process_that_nodes_begin_as() {
    let lab = Lab::up(SHARED);
    lab.sh("a", "echo kept > /data/file; echo own > /own/file");
    for round in 0..2 {
        let first = template(&lab, "volumes").unwrap();
        kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
        until("its end", || template(&lab, "volumes").is_none());
        match round {
            0 => drop(lab.ok(["restart", "a"])),
            _ => {
                lab.ok(["stop", "a", "b", "c"]);
                lab.ok(["start", "a", "b", "c"]);
            }
        }
        assert_eq!(lab.sh("a", "cat /data/file /own/file"), "kept\nown\n");
        assert_eq!(lab.sh("b", "cat /new/place/file"), "kept\n");
        assert_eq!(lab.sh("a", "grep -c ' /data ' /proc/self/mountinfo").trim(), "1");
    }
    let traces = lab.traces("volumes");
    lab.ok(["down", "volumes"]);
    traces.gone();
    assert!(lab.left().is_empty(), "{:?}", lab.left());
}
