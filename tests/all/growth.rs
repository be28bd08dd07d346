//! Labs that come and go, one after the other, leave the host as it was.

use crate::common;

use std::fs;
use std::path::Path;

use common::traces::pids;
use common::{Host, Lab, until};

const ROUNDS: usize = 30;

const BUSY: &str = r#"
name = "again"

[nodes.sw]
kind = "bridge"

[nodes.a]
kind = "host"
addresses = { eth0 = ["10.0.0.1/24"] }
exec = ["true"]
run = [{ name = "beat", command = "sleep infinity", restart = "always" }]

[nodes.b]
kind = "host"
addresses = { eth0 = ["10.0.0.2/24"] }
wait_for = ["a"]

[[links]]
endpoints = ["a:eth0", "sw:p0"]
[[links]]
endpoints = ["b:eth0", "sw:p1"]
[[links]]
type = "host"
endpoints = ["b:out"]
host_interface = "again0"
"#;

/// How many descriptors this process holds.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How many processes are this one's children.
fn children() -> usize {
    let own = std::process::id().to_string();
    pids()
        .filter(|pid| common::traces::stat(*pid, 1).as_deref() == Some(own.as_str()))
        .count()
}

fn cgroups(lab: &Lab) -> Vec<std::path::PathBuf> {
    let directory = nslab::run::directory::LabDirectory {
        path: lab.run_directory().join("again"),
        lab: "again".to_owned(),
    };
    common::traces::cgroups(Path::new("/sys/fs/cgroup"), &directory.cgroup())
}

#[test]
fn thirty_ups_and_downs_leave_the_host_as_it_was() {
    let lab = Lab::new(BUSY).on(Host::new());
    let host = || {
        (
            lab.host().ip(["-br", "link"]),
            descriptors(),
            children(),
            lab.left(),
            cgroups(&lab),
        )
    };
    let before = host();
    let mut sizes = Vec::new();
    for round in 0..ROUNDS {
        // In turns: by `down`, by a signal to the terminal's process.
        let traces = if round % 2 == 0 {
            lab.ok(["up", "-d", lab.file()]);
            lab.ok(["exec", "b", "ping", "-c1", "-W5", "a"]);
            let traces = lab.traces("again");
            lab.ok(["down"]);
            traces
        } else {
            let mut up = lab.start(["up", lab.file()]);
            up.until_said("is ready in ");
            lab.ok(["exec", "b", "true"]);
            let traces = lab.traces("again");
            up.signal(nix::sys::signal::SIGINT);
            up.wait().expect(0);
            traces
        };
        sizes.push((traces.processes(), traces.cgroups()));
        traces.gone();
        until("the host to be as before", || host() == before);
    }
    // Each lab was the same as the first: same processes, same cgroups.
    let (processes, cgroups): (Vec<usize>, Vec<usize>) = sizes.iter().copied().unzip();
    assert!(cgroups.iter().all(|count| *count == cgroups[0]), "{sizes:?}");
    assert!(
        processes.iter().all(|count| count.abs_diff(processes[0]) <= 1),
        "{sizes:?}"
    );
}

#[test]
fn a_living_lab_does_not_grow_with_what_is_done_to_it() {
    let lab = Lab::up(
        &BUSY
            .replace("[[links]]\ntype", "[nodes.c]\nkind = \"host\"\n[[links]]\ntype")
            .replace(
                "type = \"host\"\nendpoints = [\"b:out\"]\nhost_interface = \"again0\"",
                "endpoints = [\"b:out\", \"c:out\"]",
            ),
    );
    let supervisor = lab.supervisor("again").as_raw();
    let open = || fs::read_dir(format!("/proc/{supervisor}/fd")).unwrap().count();
    let once = || {
        lab.ok(["exec", "b", "true"]);
        lab.ok(["ps"]);
        lab.ok(["events"]);
        lab.ok(["restart", "a"]);
        lab.run(["exec", "nobody", "true"]).expect(125);
        lab.sh("a", "pkill -x sleep");
        until("the next beat", || {
            let beat = &lab.node("a")["services"][0];
            beat["restarts"] == 1 && beat["state"] == "running"
        });
    };
    once();
    let before = open();
    for _ in 0..20 {
        once();
    }
    // Connections that are just being closed count for a moment.
    until("the supervisor's descriptors to be as many as before", || {
        open() <= before
    });
    assert_eq!(lab.node("a")["processes"], 1);
}

/// The kernel's tables of neighbors are one for all namespaces.
#[test]
fn a_large_lab_has_room_for_its_neighbors_and_the_host_is_as_it_was() {
    let limit = || std::fs::read_to_string("/proc/sys/net/ipv6/neigh/default/gc_thresh3");
    let Ok(before) = limit() else {
        eprintln!("skipped: the limit is not to be seen in this network namespace");
        return;
    };
    let number = |text: &str| text.trim().parse::<u32>().unwrap();
    let nodes: String = (0..100)
        .map(|node| format!("[nodes.n{node}]\nkind = \"host\"\n"))
        .collect();
    let links: String = (0..100)
        .map(|node| {
            format!(
                "[[links]]\nendpoints = [\"n{node}:right\", \"n{}:left\"]\n",
                (node + 1) % 100
            )
        })
        .collect();
    let lab = Lab::new(&format!("name = \"crowd\"\n{nodes}{links}"));
    lab.ok(["up", "-d", lab.file()]);
    assert!(number(&limit().unwrap()) >= number(&before) + 4 * 200);
    lab.ok(["down", "crowd"]);
    until("the limit is what it was", || limit().unwrap() == before);
}
