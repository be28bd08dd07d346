//! What an image's own first process can do with the cgroups that it rules: a hostile one, as root of its node.

use std::fs;

use crate::common::{Lab, has, image_root, in_package, until};

/// What the document says cannot be done.
fn documented() -> Vec<String> {
    let text = fs::read_to_string(in_package("docs/security.md")).unwrap();
    let (_, rest) = text.split_once("tries with its cgroups").unwrap();
    let rows = rest
        .lines()
        .skip(2)
        .map_while(|line| line.strip_prefix("| ")?.strip_suffix(" | no |"));
    rows.map(str::to_owned).collect()
}

const LAB: &str = r#"
name = "ruled"
[nodes.m]
kind = "host"
image = "dir:root"
init = "image"
terminal = false
cmd = ["/bin/sh", "-c", "trap : TERM; while :; do sleep 0.1; done"]
limits = { processes = 64 }
"#;

/// Each row of the document, and what is tried: a script that ends with 0 where it did not work.
const TRIES: [(&str, &str); 3] = [
    (
        "see or enter cgroups of the host, of other nodes, or that of its own node",
        "test $(tail -n1 /proc/self/cgroup | grep -c node-) = 0 || exit 1; cd /sys/fs/cgroup
         for up in .. ../.. ../../..; do test ! -e $up/node-m || exit 1; test ! -e $up/machine || exit 1; done
         test $(find /sys/fs/cgroup -name 'node-*' -o -name machine | wc -l) = 0",
    ),
    (
        "make more than 4,096 cgroups, or more than 32 in each other",
        "cd /sys/fs/cgroup; i=0; while mkdir many$i 2>/dev/null; do i=$((i+1)); test $i -lt 4200 || exit 1; done
         rmdir many* 2>/dev/null; i=0; while mkdir deep 2>/dev/null; do cd deep; i=$((i+1)); test $i -lt 40 || exit 1; done; true",
    ),
    (
        "give itself more than the limits of its node",
        "cd /sys/fs/cgroup; for file in pids.max memory.max cpu.max cgroup.max.descendants cgroup.max.depth; do
         test ! -e $file || echo max > $file; done
         i=0; while test $i -lt 200; do sleep 77 & i=$((i+1)); done 2>/dev/null; wait 2>/dev/null; exit 1",
    ),
];

#[test]
fn a_first_process_that_rules_cgroups_is_ruled_by_its_nodes() {
    if !has("busybox") {
        return;
    }
    let lab = Lab::new(LAB);
    image_root::busybox(&lab.path("root"));
    lab.ok(["up", "-d", lab.file()]);
    if lab
        .run(["exec", "m", "test", "-e", "/sys/fs/cgroup/cgroup.procs"])
        .code
        != 0
    {
        eprintln!("skipped: this host has no tree of cgroups of version 2 that nodes can have a part of");
        return;
    }
    let mut rows: Vec<String> = TRIES.iter().map(|(row, _)| (*row).to_owned()).collect();
    rows.push("keep `restart`, `down` or the end of its lab waiting, frozen or not".to_owned());
    let mut documented = documented();
    documented.sort();
    rows.sort();
    assert_eq!(rows, documented, "the rows are those of the document");
    for (row, script) in &TRIES[..2] {
        lab.sh("m", script);
        assert!(lab.run(["exec", "m", "true"]).code == 0, "{row}");
    }
    // Children beyond the limit are refused, which ends the shell that wants them.
    let (row, script) = TRIES[2];
    let tried = lab.run(["exec", "m", "timeout", "5", "sh", "-c", script]);
    assert_ne!(tried.code, 0, "{row}");
    let most = lab.run(["exec", "m", "sh", "-c", "ls -d /proc/[0-9]* | wc -l"]);
    if most.code == 0 {
        assert!(
            most.out.trim().parse::<u32>().unwrap() <= 64,
            "{row}: {}",
            most.out
        );
    }
    // It freezes all that is its own, itself included.
    lab.ok(["restart", "m"]);
    let freeze = "echo 1 > /sys/fs/cgroup/cgroup.freeze";
    lab.run(["exec", "m", "sh", "-c", freeze]);
    lab.ok(["restart", "m"]);
    until("the node, thawed", || lab.run(["exec", "m", "true"]).code == 0);
    lab.run(["exec", "m", "sh", "-c", freeze]);
    let traces = lab.traces("ruled");
    lab.ok(["down", "ruled"]);
    lab.swept(&traces);
}
