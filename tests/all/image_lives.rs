//! Programs of images over time: their health, their volumes, their terminals, and systemd with the rights of any node.

use std::fs;

use crate::common::registry::Images;
use crate::common::{Lab, has, image_root, run, until};

const HEALTH: &str = r#"
name = "health"
[nodes.w]
kind = "host"
image = "dir:root"
cmd = "sleep 1000000"
healthcheck = { test = "test -e /well || { echo no /well; exit 1; }", interval = "100ms", timeout = "300ms", retries = 2 }
files = { "/well" = { content = "" } }
"#;

#[test]
fn a_program_that_becomes_unwell_is_told() {
    if !has("busybox") {
        return;
    }
    let lab = Lab::new(HEALTH);
    image_root::busybox(&lab.path("root"));
    lab.ok(["up", "-d", lab.file()]);
    let state = || lab.node("w")["state"].as_str().unwrap().to_owned();
    let events = |words: &str| lab.ok(["events"]).contains(words);
    assert_eq!(state(), "ready");
    lab.sh("w", "rm /well");
    until("its illness", || state() == "unhealthy: main");
    assert!(lab.ok(["ps", "--wide"]).contains("main (unhealthy: no /well)"));
    lab.sh("w", "touch /well");
    until("its recovery", || state() == "ready");
    until("both events", || {
        events("w: main is unhealthy: no /well") && events("w: main is well again")
    });
    // A check that hangs is ended, and counts.
    let hanging = HEALTH.replace(
        "test -e /well ||",
        "test ! -e /hang || exec sleep 77; test -e /well ||",
    );
    lab.ok(["down", "health"]);
    let lab = Lab::new(&hanging);
    image_root::busybox(&lab.path("root"));
    lab.ok(["up", "-d", lab.file()]);
    lab.sh("w", "touch /hang");
    until("its silence", || {
        lab.ok(["ps", "--wide"])
            .contains("unhealthy: no answer within 0.3 s")
    });
    until("no check that is left", || {
        lab.sh("w", "rm -f /hang; ps | grep -c '[s]leep 77'; true") == "0\n"
    });
    until("its recovery", || lab.node("w")["state"] == "ready");
}

#[test]
fn volumes_of_an_image_begin_with_what_it_has_and_outlive_a_restart() {
    if !has("busybox") || !has("umoci") {
        return;
    }
    let lab = Lab::new(
        r#"
name = "seeded"
[nodes.w]
kind = "host"
image = "oci:images:data"
limits = { disk = "32M" }
[nodes.own]
kind = "host"
image = "oci:images:data"
volumes = ["/srv/data"]
[nodes.users]
kind = "host"
image = "oci:images:data"
user_namespace = true
"#,
    );
    let root = lab.path("root");
    image_root::busybox(&root);
    fs::create_dir_all(root.join("srv/data/sub")).unwrap();
    fs::write(root.join("srv/data/sub/file"), "the image's\n").unwrap();
    fs::write(root.join("srv/data/sub/big"), vec![1; 200 << 10]).unwrap();
    std::os::unix::fs::chown(root.join("srv/data/sub/file"), Some(1000), Some(1001)).unwrap();
    std::os::unix::fs::symlink("sub/file", root.join("srv/data/link")).unwrap();
    let words = [
        "--config.cmd=sleep",
        "--config.cmd=1000000",
        "--config.volume=/srv/data",
        "--config.volume=/proc/sys",
        "--config.volume=/srv/../etc",
    ];
    Images::new(&lab)
        .begin("data")
        .layer("data", &root)
        .config("data", &words);
    lab.ok(["up", "-d", lab.file()]);
    for node in ["w", "users"] {
        assert_eq!(lab.sh(node, "cat /srv/data/link"), "the image's\n", "{node}");
        assert_eq!(
            lab.sh(node, "stat -c '%u:%g' /srv/data/sub/file"),
            "1000:1001\n",
            "{node}"
        );
        assert!(
            lab.sh(node, "grep ' /srv/data ' /proc/mounts")
                .starts_with("tmpfs ")
        );
        lab.sh(
            node,
            "rm /srv/data/sub/*; echo kept > /srv/data/more; echo gone > /srv/more",
        );
        lab.ok(["restart", node]);
        assert_eq!(
            lab.sh(
                node,
                "cd /srv; find data | sort; ls more 2>/dev/null; cat data/more; true"
            ),
            "data\ndata/link\ndata/more\ndata/sub\nkept\n",
            "{node}"
        );
    }
    // What the lab file says of the place goes before.
    assert_eq!(lab.sh("own", "ls /srv/data"), "");
    // It has a bound.
    lab.run([
        "exec",
        "w",
        "dd",
        "if=/dev/zero",
        "of=/srv/data/x",
        "bs=1M",
        "count=64",
    ])
    .refused(1, &["No space left"]);
    lab.ok(["down", "seeded"]);
    // What does not fit is told.
    let text = fs::read_to_string(lab.file()).unwrap().replace("32M", "64K");
    fs::write(lab.file(), text).unwrap();
    lab.run(["up", "-d", lab.file()]).refused(
        3,
        &["w: cannot fill the volume /srv/data", "no space is left", "disk"],
    );
}

#[test]
fn a_first_process_has_a_terminal_unless_the_file_says_otherwise() {
    if !has("busybox") {
        return;
    }
    let lab = Lab::new(
        r#"
name = "first-terminal"
[defaults]
kind = "host"
image = "dir:root"
init = "image"
cmd = ["/bin/sh", "-c", "tty; id -u; echo to stdout > /dev/stdout; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
[nodes.root]
[nodes.web]
user = "web"
[nodes.users]
user_namespace = true
user = "web"
[nodes.none]
terminal = false
"#,
    );
    image_root::busybox(&lab.path("root"));
    lab.ok(["up", "-d", lab.file()]);
    let said = |node: &str| lab.ok(["logs", node]);
    for node in ["root", "web", "users"] {
        until(node, || {
            said(node).contains("/dev/pts/") && said(node).contains("to stdout")
        });
        assert_eq!(
            lab.sh(node, "cut -d' ' -f7 /proc/1/stat | grep -c '^0$'; true"),
            "0\n"
        );
    }
    until("none", || said("none").contains("not a tty"));
    // It has no way to what is nslab's.
    lab.sh("root", "! ls /proc/*/exe | grep -q nslab");
    lab.ok(["down", "first-terminal"]);
}

#[test]
fn systemd_runs_without_privileges_and_rules_its_own_cgroups_alone() {
    let made = run(std::process::Command::new(crate::common::in_package("scripts/images")).arg("--if-there"));
    if made.code != 0 {
        eprintln!("skipped: {}", made.err);
        return;
    }
    let lab = Lab::new(&format!(
        r#"
name = "systemd"
[defaults]
kind = "host"
image = "oci:{}:systemd"
[nodes.m]
limits = {{ processes = 500 }}
[nodes.users]
user_namespace = true
"#,
        made.out.trim()
    ))
    .on(crate::common::Host::new());
    lab.ok(["up", "-d", lab.file()]);
    let state = |node: &str| lab.run(["exec", node, "systemctl", "is-system-running"]).out;
    for round in ["first", "after a restart"] {
        for node in ["m", "users"] {
            until(&format!("systemd in {node}, {round}"), || {
                state(node) == "running\n"
            });
            // Services are in cgroups of their own, which systemd has made.
            lab.sh(
                node,
                "systemctl is-active systemd-journald && test -d /sys/fs/cgroup/system.slice/systemd-journald.service",
            );
            // It sees nothing above its own.
            assert_eq!(lab.sh(node, "tail -n1 /proc/1/cgroup"), "0::/init.scope\n");
            lab.run(["exec", node, "mount", "-t", "tmpfs", "none", "/mnt"])
                .refused(32, &["mount"]);
            lab.sh(node, "test ! -e /sys/fs/cgroup/cgroup.procs/../../../node-m");
            if round == "first" {
                lab.ok(["restart", node]);
            }
        }
    }
    let traces = lab.traces("systemd");
    lab.ok(["down", "systemd"]);
    lab.swept(&traces);
}

#[test]
fn a_lab_that_runs_is_told_before_images_are_brought() {
    let lab = Lab::up("name = \"twice\"\n[nodes.a]\nkind = \"host\"\n");
    let text = "name = \"twice\"\n[nodes.a]\nkind = \"host\"\nimage = \"127.0.0.1:1/nowhere\"\n";
    fs::write(lab.file(), text).unwrap();
    lab.run(["up", "-d", lab.file()])
        .refused(2, &["lab twice is running already"]);
}
