//! Limits hold, are shown, and when one is hit it is said why.

use crate::common;

use common::{Lab, until};
use serde_json::Value;

/// A line for the shell that wants ever more memory.
const HOG: &str = "a=xxxxxxxxxxxxxxxx; while :; do a=$a$a; done";

fn lab(lines: &str) -> Lab {
    Lab::new(&format!(
        "name = \"limits\"\n[nodes.a]\nkind = \"host\"\nmemory = \"32M\"\n{lines}\n"
    ))
}

/// The events of one sort.
fn events(lab: &Lab, kind: &str) -> Vec<Value> {
    let text = lab.ok(["events", "--format", "json"]);
    let all = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|event| event["event"] == kind).collect()
}

#[test]
fn a_process_killed_for_its_memory_is_started_again_and_it_is_said_why() {
    // It asks for too much the first time only.
    let line = format!("test -e /run/once && exec sleep infinity; touch /run/once; {HOG}");
    let lab = lab(&format!(
        "run = [{{ name = \"hog\", shell = \"{line}\", ready = {{ exec = \"pgrep sleep\" }} }}]"
    ));
    lab.ok(["up", "-d", lab.file()]);
    let ended = events(&lab, "process-ended");
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0]["restarting"], true);
    assert_eq!(ended[0]["reason"], "the node reached its memory limit of 32 MiB");
    // The probe may be killed with it, where the kernel takes its time to free the memory.
    until("the kernel's signal", || {
        !events(&lab, "out-of-memory").is_empty()
    });
    // The node itself has lost nothing.
    assert!(events(&lab, "node-died").is_empty());
    let said = lab.ok(["events"]);
    assert!(said.contains("its memory limit of 32.0 MiB"), "{said}");
}

#[test]
fn one_that_is_not_started_again_fails_the_lab_with_the_reason() {
    let lab = lab(&format!(
        "run = [{{ name = \"hog\", restart = \"no\", shell = \"{HOG}\", ready = {{ file = \"/run/never\" }} }}]"
    ));
    let words = [
        "process hog of a ended with status 137",
        "memory limit of 32 MiB",
        "more `memory`",
    ];
    lab.run(["up", "-d", lab.file()]).refused(1, &words);
}

#[test]
fn what_is_run_by_hand_counts_as_well() {
    let lab = lab("");
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(lab.run(["exec", "a", "sh", "-c", HOG]).code, 137);
    until("the event", || {
        events(&lab, "out-of-memory")
            .iter()
            .any(|event| event["node"] == "a" && event["killed"] == 1)
    });
    // The node lives on.
    assert_eq!(lab.sh("a", "echo here"), "here\n");
}

#[test]
fn a_node_that_may_use_little_of_a_cpu_is_held_back() {
    let lab = lab("cpu = 0.05\nrun = [{ name = \"busy\", shell = \"while :; do :; done\" }]");
    lab.ok(["up", "-d", lab.file()]);
    // Each period in which the kernel made it wait is counted.
    until("the node's being held back", || {
        let text = lab.limit("a", "cpu", "cpu.stat", "cpu.stat");
        let line = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        line.is_some_and(|count| count.trim().parse::<u64>().unwrap() > 2)
    });
}

#[test]
fn limits_are_shown() {
    let lab = lab("cpu = 0.5\nrun = [{ name = \"s\", command = \"sleep infinity\" }]");
    lab.ok(["up", "-d", lab.file()]);
    let node = lab.node("a");
    assert_eq!(node["memory_limit"], 32 << 20);
    assert_eq!(node["cpu"], 0.5);
    let table = lab.ok(["ps", "--wide"]);
    assert!(
        table.contains(" of 32.0 MiB") && table.contains("CPU") && table.contains("0.5"),
        "{table}"
    );
    // Its log and its open files, too, once there are some.
    let open = "exec 3</dev/null 4<&3 5<&3 6<&3 7<&3 8<&3 9<&3; echo ready; exec sleep 1000";
    let mut reader = lab.start(["exec", "a", "bash", "-c", open]);
    reader.until_said("ready");
    lab.ok(["exec", "a", "logger", "text"]);
    until("the log", || lab.node("a")["log"].as_u64().unwrap() > 0);
    let files = lab.node("a")["open_files"].as_u64().unwrap();
    assert!((10..30).contains(&files), "{files}");
    let table = lab.ok(["ps", "--wide"]);
    assert!(
        table.contains(" B of 10.0 MiB") && table.contains(&format!("{files} of 1024")),
        "{table}"
    );
}

/// Two nodes on a link; `a` has these lines, `b` answers.
fn beside(lines: &str) -> Lab {
    let text = format!(
        "name = \"beside\"\n[nodes.a]\nkind = \"host\"\n{lines}\n[nodes.b]\nkind = \"host\"\n\
         [[links]]\nendpoints = [{{ node = \"a\", interface = \"eth0\", ipv4 = \"10.0.0.1/24\" }}, \
         {{ node = \"b\", interface = \"eth0\", ipv4 = \"10.0.0.2/24\" }}]\n"
    );
    Lab::up(&text)
}

#[track_caller]
fn others_answer(lab: &Lab) {
    assert_eq!(
        lab.sh(
            "b",
            "echo x > /file && cat /file && ping -c1 -W5 -q 10.0.0.2 > /dev/null"
        ),
        "x\n"
    );
}

/// A bomb that stops growing where it may not: every process starts others until one is refused.
fn bomb(count: u32) -> String {
    format!("i=0; while [ $i -lt {count} ]; do sleep 1000 & i=$((i+1)); done; echo all")
}

#[test]
fn a_fork_bomb_stays_in_its_node() {
    for (lines, limit) in [("limits = { processes = 64 }", 64), ("", 1024)] {
        let lab = beside(lines);
        let done = lab.run(["exec", "a", "sh", "-c", &bomb(limit + 50)]);
        assert!(done.code != 0 && !done.out.contains("all"), "{done:?}");
        let node = lab.node("a");
        let count = node["processes"].as_u64().unwrap();
        assert!(
            count > u64::from(limit) / 2 && count <= u64::from(limit),
            "{count}"
        );
        assert_eq!(node["process_limit"], limit);
        others_answer(&lab);
        assert!(lab.ok(["ps", "--wide"]).contains(&format!(" of {limit}")));
        // The node is told why nothing more starts in it, and comes back.
        assert_ne!(lab.run(["exec", "a", "sh", "-c", "true & wait"]).code, 0);
        lab.ok(["restart", "a"]);
        assert_eq!(lab.sh("a", "echo back"), "back\n");
    }
}

#[test]
fn a_node_without_a_limit_of_processes_has_none() {
    let lab = beside("limits = { processes = \"unlimited\" }");
    assert_eq!(lab.ok(["exec", "a", "sh", "-c", &bomb(1100)]), "all\n");
    assert_eq!(lab.node("a")["process_limit"], Value::Null);
}

#[test]
fn a_full_disk_is_the_nodes_own() {
    let lab = beside("limits = { disk = \"16M\" }");
    for (place, most) in [
        ("/f", 16 << 20),
        ("/tmp/f", 16 << 20),
        ("/run/f", 16 << 20),
        ("/dev/shm/f", 4 << 20),
    ] {
        let line = format!(
            "dd if=/dev/zero of={place} bs=64k count=1000 2>&1 && echo whole; wc -c < {place}; rm {place}"
        );
        let said = lab.sh("a", &line);
        let size: u64 = said.lines().last().unwrap().trim().parse().unwrap();
        assert!(
            said.contains("No space left") && !said.contains("whole"),
            "{said}"
        );
        assert!(size > most / 2 && size <= most, "{place}: {size}");
    }
    others_answer(&lab);
    lab.sh("a", "dd if=/dev/zero of=/f bs=1M count=8 2> /dev/null");
    assert!(lab.node("a")["disk"].as_u64().unwrap() >= 8 << 20);
    assert!(lab.ok(["ps", "--wide"]).contains("MiB of 16.0 MiB"));
    // Files that hold nothing are counted, too.
    let many = "mkdir /many; cd /many; touch $(seq 6000) 2> /dev/null; ls | wc -l";
    let said = lab.sh("a", many);
    let count: u32 = said.lines().last().unwrap().trim().parse().unwrap();
    assert!(count > 1000 && count < 5000, "{said}");
    others_answer(&lab);
}

#[test]
fn a_disk_has_a_limit_though_nobody_says_so() {
    let lab = beside("");
    let node = lab.node("b");
    let limit = node["disk_limit"].as_u64().unwrap();
    assert!(limit > 0 && limit <= 1 << 30, "{limit}");
    let size = |path: &str| -> u64 {
        let line = format!("stat -f -c '%b %S' {path}");
        let text = lab.sh("b", &line);
        text.split_whitespace()
            .map(|number| number.parse::<u64>().unwrap())
            .product()
    };
    assert_eq!(size("/"), limit);
    assert_eq!(size("/dev/shm"), limit / 4);
    let files: u64 = lab.sh("b", "stat -f -c %c /").trim().parse().unwrap();
    assert!(files > 10_000 && files < 1_000_000, "{files}");
}

#[test]
fn open_files_are_limited_for_everything_in_the_node() {
    let text = "limits = { open_files = 100 }\nrun = [{ name = \"s\", shell = \"ulimit -n > /run/soft; ulimit -Hn > /run/hard; exec sleep infinity\", ready = { file = \"/run/hard\" } }]";
    let lab = beside(text);
    assert_eq!(
        lab.sh("a", "cat /run/soft /run/hard; ulimit -n; ulimit -Hn"),
        "100\n100\n100\n100\n"
    );
    assert_eq!(lab.sh("b", "ulimit -n"), "1024\n");
    assert_eq!(lab.node("a")["open_files_limit"], 100);
}

#[test]
fn more_open_files_than_the_host_gives_are_given_or_refused() {
    let lab = Lab::new("name = \"files\"\n[nodes.a]\nkind = \"host\"\nlimits = { open_files = 900 }\n");
    let mut up = lab.command("prlimit");
    up.args([
        "--nofile=500:500",
        env!("CARGO_BIN_EXE_nslab"),
        "up",
        "-d",
        lab.file(),
    ]);
    let done = common::run(&mut up);
    match done.code {
        // Where root may raise its own limits.
        0 => assert_eq!(lab.sh("a", "ulimit -n"), "900\n"),
        _ => done.refused(
            3,
            &[
                "a is to have 900 open files, and nslab may give 500",
                "limits.open_files",
            ],
        ),
    }
}

#[test]
fn limits_are_inherited_one_by_one() {
    let lab = Lab::up(
        "name = \"inherit\"\n[defaults]\nlimits = { processes = 100, open_files = 200 }\n[groups.g]\nlimits = { processes = 50 }\n\
         [nodes.a]\nkind = \"host\"\ngroup = \"g\"\nlimits = { log = \"1M\" }\n",
    );
    let node = lab.node("a");
    let seen = ["process_limit", "open_files_limit", "log_limit"].map(|key| node[key].as_u64().unwrap());
    assert_eq!(seen, [50, 200, 1 << 20]);
}

#[test]
fn limits_that_are_none_are_told() {
    for (line, words) in [
        ("limits = { processes = 0 }", "`processes` is out of range"),
        ("limits = { processes = \"many\" }", "`many` is not a number"),
        ("limits = { disk = \"1Q\" }", "`1Q` is not an amount of bytes"),
        ("limits = { disk = 5 }", "`disk` is out of range"),
        ("limits = { log = true }", "`log`"),
        ("limits = { procesess = 5 }", "processes"),
        ("limits = 5", "`limits`"),
    ] {
        let lab = Lab::new(&format!("name = \"wrong\"\n[nodes.a]\nkind = \"host\"\n{line}\n"));
        lab.run(["validate", lab.file()]).refused(2, &[words]);
    }
}

#[test]
fn many_nodes_with_few_open_files_come_up_side_by_side() {
    // What a node may open is no limit of the descriptors that all of them send to their lab at once.
    let nodes: String = (0..120)
        .map(|number| format!("[nodes.n{number}]\nkind = \"host\"\nexec = [\"true\"]\n"))
        .collect();
    let lab = Lab::up(&format!(
        "name = \"few\"\n[defaults]\nlimits = {{ open_files = 16 }}\n{nodes}"
    ));
    assert_eq!(lab.sh("n7", "ulimit -n"), "16\n");
}
