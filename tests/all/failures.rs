//! What goes wrong is told in a sentence with a cure and the right exit code, and leaves nothing behind. The hosts on
//! which it goes wrong are played: mounts, limits and capabilities are those of the one command.

use crate::common;
use crate::common::host;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Done, Host, Lab, run, until};
use host::{aside, do_aside, interfaces, ip};
use nix::sys::signal::{Signal, kill};

/// Something of everything: a command, a process, a bridge.
const BUSY: &str = r#"
name = "busy"
[nodes.a]
kind = "host"
exec = ["true"]
[nodes.b]
kind = "host"
run = [{ name = "s", command = "sleep infinity" }]
[nodes.sw]
kind = "bridge"
[[links]]
endpoints = ["a:eth0", "sw:p1"]
[[links]]
endpoints = ["b:eth0", "sw:p2"]
"#;

/// A lab of one node with these lines in its table.
fn one(lines: &str) -> Lab {
    Lab::new(&format!("name = \"one\"\n[nodes.a]\nkind = \"host\"\n{lines}\n"))
}

/// Everything of a lab that outlives a command: what is in its run directory, its cgroups, its processes.
fn remains(lab: &Lab) -> Vec<String> {
    let name = |name: &str| {
        let path = lab.run_directory().join(name);
        let directory = nslab::run::directory::LabDirectory {
            path,
            lab: name.to_owned(),
        };
        directory.cgroup()
    };
    let names = [name("busy"), name("one")];
    let mut found: Vec<String> = lab.left().iter().map(|path| path.display().to_string()).collect();
    for tree in ["", "unified", "memory", "cpu"] {
        let paths = names
            .iter()
            .map(|name| Path::new("/sys/fs/cgroup").join(tree).join(name));
        found.extend(
            paths
                .filter(|path| path.exists())
                .map(|path| path.display().to_string()),
        );
    }
    let needle = lab.run_directory();
    let needle = needle.to_str().unwrap();
    for pid in common::traces::pids() {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if String::from_utf8_lossy(&environment).contains(needle) {
            found.push(format!("process {pid}"));
        }
    }
    found
}

/// Insists on the exit code, on words, on a sentence without bare numbers, and on nothing being left.
#[track_caller]
fn refused(lab: &Lab, done: Done, code: i32, words: &[&str]) {
    assert!(
        done.err.contains("nslab: "),
        "no sentence of nslab's:\n{}",
        done.err
    );
    for never in ["os error", "panicked", "RUST_BACKTRACE", "EPERM", "ENOSPC"] {
        assert!(!done.err.contains(never), "{never:?} in:\n{}", done.err);
    }
    done.refused(code, words);
    until(&format!("nothing of {:?}", remains(lab)), || {
        remains(lab).is_empty()
    });
}

#[test]
fn a_full_disk() {
    let lab = Lab::new(BUSY);
    let done = do_aside(
        &lab,
        "mkdir $TEST/disk && mount -t tmpfs -o size=16k,mode=755 none $TEST/disk && \
        cat /dev/zero > $TEST/disk/fill 2>/dev/null; export NSLAB_RUN_DIR=$TEST/disk/run; \
        $NSLAB up -d $FILE; code=$?; ls -A $NSLAB_RUN_DIR | grep -v -e ^.lock$ >&2; exit $code",
    );
    assert!(
        !done.err.contains("busy\n"),
        "left on the full disk:\n{}",
        done.err
    );
    refused(&lab, done, 3, &["no space is left", "NSLAB_RUN_DIR"]);
}

#[test]
fn a_disk_that_fills_up_later_does_not_end_the_lab() {
    let lab =
        one(r#"exec = [{ shell = "head -c 300000 /dev/zero | tr '\\0' '\\n'; echo said > /run/said" }]"#);
    let done = do_aside(
        &lab,
        "mkdir $NSLAB_RUN_DIR && mount -t tmpfs -o size=64k,mode=755 none $NSLAB_RUN_DIR && $NSLAB up -d $FILE >&2 && \
        $NSLAB exec a cat /run/said && $NSLAB down >&2; code=$?; ls -A $NSLAB_RUN_DIR; exit $code",
    );
    assert_eq!(done.expect(0), "said\n.lock\n");
}

#[test]
fn a_run_directory_that_cannot_be_written() {
    let lab = Lab::new(BUSY);
    let read_only =
        "mkdir $NSLAB_RUN_DIR; mount -t tmpfs -o ro,mode=755 none $NSLAB_RUN_DIR && exec $NSLAB up -d $FILE";
    refused(
        &lab,
        do_aside(&lab, read_only),
        3,
        &["read-only", "NSLAB_RUN_DIR"],
    );
    fs::remove_dir(lab.run_directory()).unwrap();
    fs::write(lab.run_directory(), "").unwrap();
    let done = lab.run(["up", "-d", lab.file()]);
    refused(&lab, done, 3, &["not a directory", "NSLAB_RUN_DIR"]);
}

#[test]
fn a_user_who_is_not_root() {
    let lab = Lab::new(BUSY);
    // The file has to be readable by all, and so has the way to it.
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(lab.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = lab.path("nslab");
    fs::copy(env!("CARGO_BIN_EXE_nslab"), &binary).unwrap();
    fs::create_dir(lab.run_directory()).unwrap();
    for words in [
        ["up", "-d", lab.file()].as_slice(),
        &["ps"],
        &["down", "--all"],
        &["exec", "a", "true"],
    ] {
        let mut command = lab.command("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&binary)
            .args(words);
        let line = format!("sudo {} {}", binary.display(), words.join(" "));
        refused(&lab, run(&mut command), 3, &["are root's", &line]);
    }
    // What makes nothing needs no root.
    let mut command = lab.command("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .args(["validate", lab.file()]);
    run(&mut command).expect(0);
}

#[test]
fn root_without_capabilities() {
    let lab = Lab::new(BUSY);
    for dropped in ["-all", "-sys_admin", "-net_admin"] {
        let mut command = lab.command("setpriv");
        command
            .args([
                format!("--bounding-set={dropped}"),
                format!("--inh-caps={dropped}"),
            ])
            .arg(env!("CARGO_BIN_EXE_nslab"))
            .args(["up", "-d", lab.file()]);
        refused(
            &lab,
            run(&mut command),
            3,
            &["does not permit", "CAP_SYS_ADMIN", "privileged"],
        );
    }
}

#[test]
fn a_limit_of_namespaces() {
    // The limits of a user namespace are its own; within, this is root. (Nodes' own kinds come later, and a user
    // namespace may not prepare their roots.)
    for kind in ["net", "mnt", "pid"] {
        let lab = one("exec = [\"true\"]");
        let mut command = lab.command("unshare");
        let lines = format!("echo 0 > /proc/sys/user/max_{kind}_namespaces && exec \"$0\" up -d \"$1\"");
        command
            .args([
                "--user",
                "--map-root-user",
                "--net",
                "--mount",
                "sh",
                "-c",
                &lines,
            ])
            .arg(env!("CARGO_BIN_EXE_nslab"))
            .arg(lab.file());
        refused(
            &lab,
            run(&mut command),
            3,
            &["a limit of the kernel is reached", "max_net_namespaces"],
        );
    }
}

#[test]
fn the_last_words_of_a_supervisor_are_told_however_much_it_has_said() {
    use std::io::Write as _;
    let lab = Lab::new(common::PAIR);
    let mut up = lab.start(["up", lab.file()]);
    up.until_said("ready");
    let log = lab.run_directory().join("pair/supervisor.log");
    let mut log = std::fs::File::options().append(true).open(log).unwrap();
    let text = "x".repeat(99) + "\n";
    log.write_all(text.repeat(20_000).as_bytes()).unwrap();
    log.write_all(b"the reason\n").unwrap();
    nix::sys::signal::kill(lab.supervisor("pair"), nix::sys::signal::Signal::SIGKILL).unwrap();
    up.wait().refused(1, &["was killed", "the reason"]);
}

#[test]
fn a_show_host_path_that_is_missing_is_found_before_anything_is_made() {
    let lab =
        Lab::new("name = \"missing\"\n[nodes.a]\nkind = \"host\"\nshow_host = [\"/etc\", \"/no/such\"]\n");
    lab.run(["up", "-d", lab.file()])
        .refused(2, &["a is to see /no/such of this host", "show_host"]);
    assert!(lab.left().is_empty());
}

#[test]
fn a_limit_of_open_files() {
    // Every limit from far too low to enough, so that each descriptor is once the one too many.
    let lab = Lab::new(BUSY);
    let mut refusals = 0;
    for limit in 8.. {
        let done = do_aside(
            &lab,
            &format!("ulimit -n {limit}; exec $NSLAB up -d --timeout 20s $FILE"),
        );
        eprintln!("with {limit} descriptors: {}", done.err);
        if done.code == 0 {
            lab.run(["down", "busy"]).expect(0);
            break;
        }
        // With hardly any descriptors it cannot even clean up; the next command does.
        lab.ok(["gc"]);
        // Whether the lab could not be made, or one of its processes not be started, is a matter of who was the last.
        let code = if done.code == 1 { 1 } else { 3 };
        refused(&lab, done, code, &["too many open files", "ulimit -n"]);
        refusals += 1;
    }
    assert!(refusals > 8, "only {refusals} limits were too low");
}

/// A cgroup in which only so many processes may live. It goes with this value.
struct Crowded(PathBuf);

impl Crowded {
    fn new(lab: &Lab, most: u32) -> Option<Crowded> {
        let version_1 = Path::new("/sys/fs/cgroup/pids");
        let root = if version_1.exists() {
            version_1
        } else {
            Path::new("/sys/fs/cgroup")
        };
        let name = lab.path("").file_name().unwrap().to_owned();
        let path = root.join(format!("crowded-{most}-{}", name.to_str().unwrap()));
        fs::create_dir(&path).ok()?;
        let made = Crowded(path);
        fs::write(made.0.join("pids.max"), most.to_string()).ok()?;
        Some(made)
    }
}

impl Drop for Crowded {
    fn drop(&mut self) {
        until("the end of all in the cgroup", || fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn a_limit_of_processes() {
    let lab = Lab::new(BUSY);
    for most in [1, 3] {
        let Some(crowded) = Crowded::new(&lab, most) else {
            eprintln!("skipped: there is no pids controller");
            return;
        };
        let line = format!(
            "echo $$ > {}/cgroup.procs; exec $NSLAB up -d $FILE",
            crowded.0.display()
        );
        refused(&lab, do_aside(&lab, &line), 3, &["no more processes", "pids.max"]);
    }
}

/// Lines after which the root is an overlay, in an overlay, and so on. `in_it` is nslab there.
fn overlays(depth: usize) -> String {
    let mut lines = "cp $NSLAB $TEST/nslab; mkdir $TEST/deep; at=; place=$TEST/deep;".to_owned();
    for _ in 0..depth {
        lines += "mount -t tmpfs none $place; mkdir $place/u $place/w $place/m;
            mount -t overlay none -o lowerdir=$at/,upperdir=$place/u,workdir=$place/w $place/m || exit 99;
            at=$place/m; place=$place/m/opt;";
    }
    lines
        + "for it in proc sys dev tmp; do mount --rbind /$it $at/$it; done; mount -t tmpfs none $at/run;
        cd $at && pivot_root . mnt && cd / && umount -l /mnt; export NSLAB_RUN_DIR=/run/lab;"
}

#[test]
fn a_root_that_is_an_overlay_already() {
    let lab = Lab::new(BUSY);
    let nslab = lab.path("nslab");
    let nslab = nslab.to_str().unwrap();
    let one = format!("{nslab} up -d $FILE >&2 && {nslab} exec a cat /etc/hostname && {nslab} down >&2");
    assert_eq!(do_aside(&lab, &(overlays(1) + &one)).expect(0), "a\n");
    let lab = Lab::new(BUSY);
    let two = overlays(2) + "$TEST/nslab up -d $FILE; code=$?; ls /run/lab; exit $code";
    let done = do_aside(&lab, &two);
    assert_eq!(done.out, "", "left in the run directory");
    refused(&lab, done, 3, &["overlay in an overlay", "no third"]);
}

#[test]
fn a_failing_exec_line() {
    let lab = one(
        "exec = [\"echo fine\",\n { shell = \"echo first words; echo last words >&2; exit 7\" },\n \"echo never\"]",
    );
    let done = lab.run(["up", "-d", lab.file()]);
    refused(
        &lab,
        done,
        1,
        &["status 7", "first words", "last words", "line 5", "may_fail"],
    );
    let lab = one("exec = [\"nosuchprogram -x\"]");
    let done = lab.run(["up", "-d", lab.file()]);
    refused(&lab, done, 1, &["nosuchprogram: command not found"]);
    // In the foreground likewise.
    let done = lab.run(["up", lab.file()]);
    refused(&lab, done, 1, &["nosuchprogram: command not found"]);
}

#[test]
fn a_failing_exec_line_that_may() {
    let lab = one(
        "exec = [{ command = \"false\", may_fail = true }, { shell = \"exit 3\", may_fail = true }, \"touch /run/on\"]",
    );
    let done = lab.run(["up", "-d", lab.file()]);
    assert!(done.err.contains("status 3 (may fail)"), "{}", done.err);
    done.expect(0);
    lab.sh("a", "test -e /run/on");
}

#[test]
fn a_process_that_cannot_be_started() {
    for (process, words) in [
        ("command = \"nosuchprogram\"", "nosuchprogram: command not found"),
        (
            "command = \"sleep 1\", workdir = \"/nosuchplace\"",
            "its directory /nosuchplace is not there",
        ),
        ("command = \"/etc/passwd\"", "Permission denied"),
        (
            "command = \"sleep 1\", user = \"nosuchuser\"",
            "no user \"nosuchuser\"",
        ),
        (
            "command = \"false\", restart = \"no\", ready = { tcp = 1 }",
            "process web of a ended with status 1",
        ),
    ] {
        let lab = one(&format!("run = [{{ name = \"web\", {process} }}]"));
        let done = lab.run(["up", "-d", lab.file()]);
        refused(&lab, done, 1, &["web", words]);
    }
}

#[test]
fn a_process_whose_command_never_says_that_it_is_ready() {
    for (command, answer) in [
        ("echo not today; false", "it last answered: status 1: not today"),
        ("false", "it last answered: status 1, and nothing else"),
        ("sleep infinity", "it last answered: nothing yet"),
    ] {
        let lab = one(&format!(
            "run = [{{ name = \"web\", command = \"sleep infinity\", ready = {{ exec = \"sh -c '{command}'\" }} }}]"
        ));
        let done = lab.run(["up", "-d", "--timeout", "2s", lab.file()]);
        refused(
            &lab,
            done,
            1,
            &["not ready within 2 s", "a waits for process web", answer],
        );
    }
}

#[test]
fn a_process_that_is_never_ready() {
    let lab = one("run = [{ name = \"web\", command = \"sleep infinity\", ready = { tcp = 80 } }]");
    let done = lab.run(["up", "-d", "--timeout", "300ms", lab.file()]);
    refused(
        &lab,
        done,
        1,
        &[
            "not ready within 0.3 s",
            "a waits for process web",
            "TCP port 80",
            "--timeout",
        ],
    );
}

#[test]
fn what_a_bind_shows_vanishes() {
    let lab = one(
        "wait_for = [\"b\"]\nbinds = [\"data:/data\"]\nexec = [\"true\"]\n[nodes.b]\nkind = \"host\"\nbinds = [\"way:/way\"]\nexec = [\"rmdir /way/data\"]",
    );
    fs::create_dir(lab.path("data")).unwrap();
    std::os::unix::fs::symlink(".", lab.path("way")).unwrap();
    let done = lab.run(["up", "-d", lab.file()]);
    let data = lab.path("data");
    refused(&lab, done, 3, &["a: ", data.to_str().unwrap(), "No such file"]);
}

#[test]
fn an_owner_the_node_does_not_know() {
    let lab = one("files = { \"/etc/x\" = { content = \"\", owner = \"nosuchuser\" } }\nexec = [\"true\"]");
    let done = lab.run(["up", "-d", lab.file()]);
    refused(&lab, done, 2, &["a: the node has no user \"nosuchuser\""]);
}

#[test]
fn a_host_interface_that_is_taken() {
    let host = Host::new();
    ip(&host, "link add taken0 type bridge");
    let second = "[[links]]\ntype = \"host\"\nendpoints = [\"a:eth1\"]\nhost_interface = \"taken0\"";
    let lab = one(&format!(
        "[[links]]\ntype = \"host\"\nendpoints = [\"a:eth0\"]\nhost_interface = \"free0\"\n{second}"
    ))
    .on(host);
    let done = lab.run(["up", "-d", lab.file()]);
    refused(
        &lab,
        done,
        3,
        &["taken0", "already has an interface of that name"],
    );
    until("the end of free0", || interfaces(lab.host()) == ["lo", "taken0"]);
}

#[test]
fn a_host_interface_that_is_missing() {
    let lab = one("[[links]]\ntype = \"macvlan\"\nendpoints = [\"a:eth0\"]\nhost_interface = \"nosuch0\"")
        .on(Host::new());
    let done = lab.run(["up", "-d", lab.file()]);
    refused(&lab, done, 3, &["no interface nosuch0", "it has lo"]);
}

#[test]
fn a_program_the_lab_requires_is_missing() {
    let lab =
        Lab::new("name = \"one\"\nrequires = [\"sh\", \"nosuchprogram\"]\n[nodes.a]\nkind = \"host\"\n");
    let done = lab.run(["up", "-d", lab.file()]);
    refused(&lab, done, 3, &["nosuchprogram", "apt-get install"]);
}

#[test]
fn a_supervisor_that_is_killed_before_the_lab_is_ready() {
    let lab = one("exec = [\"sleep infinity\"]");
    let mut up = lab.start(["up", "-d", lab.file()]);
    let supervisor = lab.supervisor("one");
    until("the command", || lab.traces("one").processes() >= 3);
    kill(supervisor, Signal::SIGKILL).unwrap();
    refused(
        &lab,
        up.wait(),
        1,
        &["supervisor", "killed", "nothing of the lab is left"],
    );
}

#[test]
fn an_up_that_is_interrupted() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
        let lab = one("exec = [\"sleep infinity\"]");
        let mut up = lab.start(["up", "-d", lab.file()]);
        until("the command", || lab.traces("one").processes() >= 3);
        let traces = lab.traces("one");
        up.signal(signal);
        let done = up.wait();
        if signal == Signal::SIGKILL {
            traces.processes_gone();
            lab.swept(&traces);
            assert!(remains(&lab).is_empty(), "{:?}", remains(&lab));
        } else {
            refused(&lab, done, 1, &["interrupted before the lab was ready"]);
        }
        traces.gone();
    }
}

#[test]
fn a_watcher_that_hears_nobody() {
    // Whoever looks at nothing of what up says gets his lab all the same.
    let lab = Lab::new(BUSY);
    for redirection in [">&-", "2>&-", "<&- >&- 2>&-", "2> /dev/full", "2>&1 | true"] {
        let mut command = aside(
            &lab,
            &format!("$NSLAB up -d $FILE {redirection}; $NSLAB exec a true"),
        );
        run(&mut command).expect(0);
        lab.ok(["down"]);
    }
}

#[test]
fn a_configuration_with_thousands_of_unknown_lines_is_refused() {
    if !common::has_frr() {
        return;
    }
    let lines = "nonsense of which vtysh has something to say\n".repeat(5000);
    let text = format!(
        "name = \"one\"\n[nodes.a]\nkind = \"router\"\nengine = \"frr\"\nconfig = \"\"\"\n{lines}\"\"\"\n"
    );
    let lab = Lab::new(&text);
    for words in [["validate", lab.file()].as_slice(), &["up", "-d", lab.file()]] {
        lab.run(words).refused(2, &["Unknown command"]);
    }
}

/// A supervisor that was killed holds its lock for as long as the kernel takes to close its files.
#[test]
fn a_lab_comes_up_again_at_once_after_its_supervisor_was_killed() {
    let lab = Lab::new(&common::PAIR.replace("\"pair\"", "\"again\""));
    for _ in 0..10 {
        lab.ok(["up", "-d", lab.file()]);
        kill(lab.supervisor("again"), Signal::SIGKILL).unwrap();
    }
    lab.ok(["up", "-d", lab.file()]);
    lab.ok(["down"]);
}
