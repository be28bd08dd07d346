//! What nslab hands over: copies from nodes, files for the user, words for the terminal. Whoever it comes from, nothing of
//! it reaches further than was asked for.

use crate::common;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Done, Lab, PAIR, run, until};

/// Who called sudo, in these tests.
const USER: u32 = 54321;
const GROUP: u32 = 54322;

fn as_user(command: &mut Command) -> &mut Command {
    command
        .env("SUDO_UID", USER.to_string())
        .env("SUDO_GID", GROUP.to_string())
}

/// `nslab cp` as the user, in a directory of the lab's.
fn copy(lab: &Lab, directory: &Path, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> Done {
    let mut command = lab.nslab(["cp"]);
    run(as_user(command.arg(from).arg(to).current_dir(directory)))
}

fn belongs(path: &Path) -> (u32, u32, u32) {
    let it = fs::symlink_metadata(path).unwrap();
    (it.uid(), it.gid(), it.mode() & 0o7777)
}

#[test]
fn a_copy_from_a_node_is_what_was_asked_for_and_the_users() {
    // Only a node with this right makes device files.
    let lab = Lab::up(&PAIR.replace("kind =", "capabilities = [\"MKNOD\"]\nkind ="));
    let home = lab.path("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join(".bashrc"), "mine").unwrap();
    lab.sh(
        "a",
        "mkdir -p /d/sub && cd /d && ln -s /etc/shadow sh && ln -s ../../../../tmp up && mkfifo ff && mknod nul c 1 3 && \
         touch \"$(printf 'x\\033]0;OWNED\\007')\" -- -rf \"$(printf 'two\\nlines')\" \"$(printf 'bad\\377')\" && \
         echo x > suid && chmod 6755 suid && chmod 1777 sub && echo s > sub/file",
    );
    let done = copy(&lab, &home, "a:/d", ".");
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(
        done.err,
        "nslab: a:/d/ff is a FIFO; it was left out\nnslab: a:/d/nul is a device; it was left out\n"
    );
    let d = home.join("d");
    assert_eq!(belongs(&d.join("suid")), (USER, GROUP, 0o755));
    assert_eq!(belongs(&d.join("sub")), (USER, GROUP, 0o777));
    for name in ["", "sub/file", "sh", "-rf", "two\nlines", "x\u{1b}]0;OWNED\u{7}"] {
        let (user, group, _) = belongs(&d.join(name));
        assert_eq!((user, group), (USER, GROUP), "{name:?}");
    }
    assert!(d.join(OsStr::from_bytes(b"bad\xff")).exists());
    // Such a name can be asked for as well.
    let odd = OsString::from_vec(b"a:/d/bad\xff".to_vec());
    assert_eq!(copy(&lab, &home, odd, "odd").code, 0);
    assert_eq!(fs::read_to_string(home.join(".bashrc")).unwrap(), "mine");
    assert!(!d.join("ff").exists() && !d.join("nul").exists());
    // What was the user's home's stays as it was.
    assert_eq!(belongs(&home).0, 0);
}

#[test]
fn what_has_no_end_is_refused_at_once_and_proc_can_be_read() {
    let lab = Lab::up(PAIR);
    let home = lab.path("home");
    fs::create_dir(&home).unwrap();
    lab.sh(
        "a",
        "mkfifo /ff; truncate -s 1T /sparse; ln -s /proc/self/root /door",
    );
    for (from, why) in [
        ("a:/ff", "is a FIFO, which cannot be copied"),
        ("a:/dev/zero", "is a device, which cannot be copied"),
        ("a:/sparse", "do not fit"),
        ("a:/door/etc", "one of /proc's own"),
        ("a:/proc/self/fd", "a:/proc/self/fd"),
    ] {
        let done = copy(&lab, &home, from, "x");
        if from == "a:/proc/self/fd" {
            // Only links, which are copied as such.
            assert!(fs::read_dir(&home).unwrap().count() <= 1);
            let _ = fs::remove_dir_all(home.join("x"));
            continue;
        }
        done.refused(1, &[why, "was not copied whole"]);
    }
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
    assert_eq!(copy(&lab, &home, "a:/proc/meminfo", "x").code, 0);
    assert!(fs::read_to_string(home.join("x")).unwrap().contains("MemTotal"));
    // Not over what is no file, and not below a link of /proc.
    copy(&lab, &home, "x", "a:/dev/null").refused(1, &["a:/dev/null", "a device is there, and stays"]);
    copy(&lab, &home, "x", "a:/proc/1/root/zz").refused(1, &["a:/proc/1/root"]);
    lab.sh("a", "test -c /dev/null && test ! -e /zz");
}

#[test]
fn a_log_that_grows_by_headers_of_archives_is_a_log() {
    let lab = Lab::up(PAIR);
    let home = lab.path("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join(".bashrc"), "mine").unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(4);
    header.set_mode(0o4755);
    header.set_path(".bashrc").unwrap();
    header.set_cksum();
    fs::write(lab.path("header"), header.as_bytes()).unwrap();
    lab.ok(["cp", lab.path("header").to_str().unwrap(), "a:/header"]);
    lab.sh("a", "head -c 20M /dev/zero > /log");
    let mut writer = lab.start(["exec", "a", "sh", "-c", "while :; do cat /header; done >> /log"]);
    until("the log to grow", || {
        lab.sh("a", "stat -c %s /log").trim() > "20971520"
    });
    for _ in 0..3 {
        let done = copy(&lab, &home, "a:/log", ".");
        assert_eq!(done.code, 0, "{}", done.err);
    }
    writer.signal(nix::sys::signal::Signal::SIGTERM);
    writer.wait();
    let mut names: Vec<_> = fs::read_dir(&home)
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, [".bashrc", "log"]);
    assert_eq!(fs::read_to_string(home.join(".bashrc")).unwrap(), "mine");
}

#[test]
fn links_lead_nowhere_on_either_side() {
    let lab = Lab::up(PAIR);
    let home = lab.path("home");
    let outside = lab.path("outside");
    fs::create_dir(&home).unwrap();
    fs::create_dir(&outside).unwrap();
    // The first copy brings a link, the second what would go through it.
    lab.sh("a", &format!("mkdir /e && ln -s {} /e/l", outside.display()));
    assert_eq!(copy(&lab, &home, "a:/e", ".").code, 0);
    lab.sh("a", "rm /e/l; mkdir /e/l; echo pwn > /e/l/pwn");
    copy(&lab, &home, "a:/e", ".").refused(1, &["./e/l", "a symbolic link is there"]);
    copy(&lab, &home, "a:/e", "e/l").refused(1, &["e/l is a symbolic link", "e/l/"]);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    // The same on the way into a node, and between two.
    lab.sh("b", "mkdir -p /srv/e /elsewhere; ln -s /elsewhere /srv/e/l");
    copy(&lab, &home, "a:/e", "b:/srv").refused(1, &["b:/srv/e/l", "a symbolic link is there"]);
    fs::remove_file(home.join("e/l")).unwrap();
    fs::create_dir(home.join("e/l")).unwrap();
    fs::write(home.join("e/l/file"), "x").unwrap();
    copy(&lab, &home, "e", "b:/srv").refused(1, &["b:/srv/e/l", "a symbolic link is there"]);
    assert_eq!(lab.sh("b", "ls /elsewhere"), "");
    assert_eq!(copy(&lab, &home, "e", "b:/srv/other").code, 0);
    assert_eq!(
        lab.sh("b", "stat -c %U /srv/other/l/file; cat /srv/other/l/file"),
        "root\nx"
    );
}

const TOPOLOGY: &str = "name: x\ntopology:\n  nodes:\n    a: { kind: linux, image: alpine }\n";

#[test]
fn files_for_the_user_are_the_users_and_never_go_through_links() {
    let lab = Lab::new(PAIR);
    fs::write(lab.path("x.clab.yml"), TOPOLOGY).unwrap();
    let output = lab.path("out.toml");
    let import = |output: &Path| {
        let mut command = lab.nslab(["import"]);
        run(as_user(command.arg(lab.path("x.clab.yml")).arg("-o").arg(output)))
    };
    let done = import(&output);
    assert_eq!(done.code, 0, "{}", done.err);
    let (user, group, mode) = belongs(&output);
    assert_eq!((user, group, mode & 0o7111), (USER, GROUP, 0));
    import(&output).refused(2, &["is there already"]);
    fs::write(lab.path("roots"), "kept").unwrap();
    symlink(lab.path("roots"), lab.path("link")).unwrap();
    import(&lab.path("link")).refused(2, &["is there already"]);
    symlink(lab.path("nowhere"), lab.path("dangling")).unwrap();
    import(&lab.path("dangling")).refused(2, &["is there already"]);
    assert!(!lab.path("nowhere").exists());
    assert_eq!(fs::read_to_string(lab.path("roots")).unwrap(), "kept");
    assert_eq!(belongs(&lab.path("roots")).0, 0);
}

#[test]
fn reports_and_logs_are_handed_over_and_nothing_else() {
    let text = format!(
        "{PAIR}\n[[checks]]\nname = \"never\"\nnode = \"a\"\nrun = \"false\"\nexpect = {{ exit = 0 }}\n"
    );
    let lab = Lab::new(&text);
    let logs = lab.path("logs");
    fs::create_dir(&logs).unwrap();
    fs::write(logs.join("roots"), "kept").unwrap();
    fs::create_dir_all(logs.join("pair/deep")).unwrap();
    fs::write(lab.path("elsewhere"), "kept").unwrap();
    symlink(lab.path("elsewhere"), logs.join("link")).unwrap();
    let junit = lab.path("report.xml");
    fs::write(&junit, "old").unwrap();
    let mut command = lab.nslab(["test", lab.file()]);
    let test = |command: &mut Command| {
        run(as_user(
            command.arg("--logs").arg(&logs).arg("--junit").arg(&junit),
        ))
    };
    assert_eq!(test(&mut command).code, 1);
    for name in ["", "roots", "link", "pair", "pair/deep"] {
        assert_eq!(belongs(&logs.join(name)).0, 0, "{name}");
    }
    for name in ["report.txt", "events.txt", "ps.txt"] {
        assert_eq!(belongs(&logs.join("pair").join(name)).0, USER, "{name}");
    }
    assert_eq!(belongs(&junit).0, USER);
    assert!(fs::read_to_string(&junit).unwrap().contains("never"));
    // Over a link that somebody put there.
    fs::remove_file(&junit).unwrap();
    symlink(lab.path("elsewhere"), &junit).unwrap();
    test(&mut lab.nslab(["test", lab.file()])).refused(2, &["report.xml: it is a symbolic link"]);
    assert_eq!(fs::read_to_string(lab.path("elsewhere")).unwrap(), "kept");
    assert_eq!(belongs(&lab.path("elsewhere")).0, 0);
    // Directories that were missing are the user's as well.
    let mut command = lab.nslab(["test", lab.file(), "--logs"]);
    run(as_user(command.arg(lab.path("new/logs"))));
    for name in ["new", "new/logs", "new/logs/pair", "new/logs/pair/report.txt"] {
        assert_eq!(belongs(&lab.path(name)).0, USER, "{name}");
    }
}

/// A command on a terminal of its own; what the terminal was sent.
fn on_terminal(lab: &Lab, words: &[&str]) -> String {
    let line = shell_words::join([env!("CARGO_BIN_EXE_nslab")].iter().chain(words));
    let mut command = lab.command("script");
    let done = run(command
        .args(["-qec", &line, "/dev/null"])
        .current_dir(lab.path("")));
    String::from_utf8_lossy(&done.bytes).into_owned()
}

/// Sequences that only what is foreign has: titles, clipboards, cleared screens, bidirectional marks.
fn assert_clean(text: &str) {
    for bad in ["\u{1b}]", "\u{1b}[2J", "\u{7}", "\u{9b}", "\u{202e}", "\u{200b}"] {
        assert!(!text.contains(bad), "{bad:?} in {text:?}");
    }
}

const ESCAPES: &str = r#"
name = "esc"

[nodes.a]
kind = "host"
exec = [{ shell = "printf '\\033]0;OWNED-TITLE\\007\\033[2JEXEC-OUT\\n'; exit 3", may_fail = true }]
run = [{ name = "p", shell = "printf '\\033]52;c;b3duZWQ=\\007\\033[2J\\302\\233LOG\\342\\200\\256\\r\\n'; exec sleep infinity" }]

[[checks]]
name = "c"
node = "a"
shell = "printf '\\033]0;CHK\\007bad\\033[2J'; exit 1"
expect = { exit = 0 }
"#;

#[test]
fn what_comes_from_nodes_is_shown_to_a_terminal_as_text() {
    let lab = Lab::new(ESCAPES);
    let up = on_terminal(&lab, &["up", "-d", lab.file()]);
    assert!(up.contains("\\x1b]0;OWNED-TITLE\\x07\\x1b[2JEXEC-OUT"), "{up:?}");
    assert_clean(&up);
    until("the log", || lab.ok(["logs"]).contains("LOG"));
    let logs = on_terminal(&lab, &["logs"]);
    assert!(
        logs.contains("\\x1b]52;c;b3duZWQ=\\x07\\x1b[2J\\x9bLOG\\u{202e}"),
        "{logs:?}"
    );
    assert!(
        logs.contains("\u{1b}[3"),
        "the names of nodes have colors: {logs:?}"
    );
    assert_clean(&logs);
    let check = on_terminal(&lab, &["check", "--within", "100ms"]);
    assert!(check.contains("bad"), "{check:?}");
    let events = on_terminal(&lab, &["events"]);
    assert!(events.contains("EXEC-OUT"), "{events:?}");
    for text in [
        check,
        events,
        on_terminal(&lab, &["logs", "--format", "json"]),
        on_terminal(&lab, &["events", "--format", "json"]),
    ] {
        assert_clean(&text);
    }
    // For a program it is what the node has printed.
    assert!(
        lab.ok(["logs"])
            .contains("\u{1b}]52;c;b3duZWQ=\u{7}\u{1b}[2J\u{9b}LOG\u{202e}")
    );
    assert!(lab.ok(["events"]).contains("\u{1b}]0;OWNED-TITLE"));
    // What runs in a node has the terminal to itself.
    assert!(on_terminal(&lab, &["exec", "a", "printf", "\\033]0;own\\007"]).contains("\u{1b}]0;own\u{7}"));
}

#[test]
fn what_stands_in_files_is_shown_as_text() {
    let lab = Lab::new(
        "name = \"x\"\n[nodes.a]\nkind = \"host\"\n\"\\u001b]0;T\\u0007\" = 1 # \u{1b}]0;OWNED\u{7}\u{202e}\u{9b}2J\n",
    );
    let odd = "od\u{1b}]0;d\u{7}.toml";
    fs::copy(lab.file(), lab.path(odd)).unwrap();
    for file in [lab.file(), odd, "no\u{1b}]0;such\u{7}.toml"] {
        assert_clean(&on_terminal(&lab, &["validate", file]));
    }
    let colored = on_terminal(&lab, &["validate", lab.file()]);
    assert!(
        colored.contains("\u{1b}[31m") || colored.contains("\u{1b}[31;1m"),
        "{colored:?}"
    );
    assert!(
        colored.contains("\\x1b]0;OWNED\\x07\\u{202e}\\x9b2J"),
        "{colored:?}"
    );
    // Not even into a file or a web page, which somebody will show on a terminal.
    assert_clean(&lab.run(["validate", lab.file()]).err);
    assert_clean(&on_terminal(&lab, &["validate", "--\u{1b}]0;x\u{7}"]));
}

#[test]
fn files_that_are_too_much_are_refused_in_little_time_and_few_words() {
    let lab = Lab::new(PAIR);
    let files = [
        (
            "column.toml",
            format!(
                "name = \"l\"\nnodes = {{ a = {{ kind = \"host\", labels = {{ x = \"{}\" }}, odd = 1 }} }}\n",
                "y".repeat(70_000)
            ),
        ),
        ("line.toml", format!("name = \"{}\"\n", "x".repeat(14 << 20))),
        ("long.toml", "#".repeat(28 << 20)),
        (
            "many.toml",
            format!(
                "name = \"x\"\n[nodes.a]\nkind = \"host\"\n{}",
                (0..100_000).map(|it| format!("k{it} = 1\n")).collect::<String>()
            ),
        ),
        ("deep.toml", format!("name = {}", "[".repeat(1 << 20))),
        (
            "tables.toml",
            format!("name = \"x\"\n[{}]\n", vec!["a"; 100_000].join(".")),
        ),
        ("deep.yaml", format!("name: x\ntopology: {}", "[".repeat(1 << 20))),
        (
            "block.yaml",
            (0..5_000)
                .map(|it| format!("{}a:\n", " ".repeat(it % 2_000)))
                .collect(),
        ),
        (
            "line.yaml",
            format!("name: x\ntopology: {{ {} }}\n", "y".repeat(7 << 20)),
        ),
        (
            "many.yaml",
            format!(
                "name: x\ntopology:\n  nodes:\n    a:\n      kind: linux\n{}",
                (0..100_000)
                    .map(|it| format!("      k{it}: 1\n"))
                    .collect::<String>()
            ),
        ),
    ];
    for (name, text) in files {
        fs::write(lab.path(name), text).unwrap();
        let began = Instant::now();
        let done = lab.run(["validate", lab.path(name).to_str().unwrap()]);
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "{name}: {:?}",
            began.elapsed()
        );
        assert_eq!(
            done.code,
            2,
            "{name}: {}",
            &done.err[..done.err.floor_char_boundary(2_000)]
        );
        assert!(!done.err.contains("panicked"), "{name}: {}", done.err);
        assert!(done.err.len() < 100_000, "{name}: {} bytes", done.err.len());
        if name.starts_with("many") {
            assert!(
                done.err.contains("and 999") && done.err.contains("errors in"),
                "{name}: {}",
                done.err
            );
        }
    }
}

#[test]
fn the_manifests_that_a_lab_names_are_judged_as_well() {
    let lab = Lab::new(PAIR);
    fs::write(
        lab.path("lab.toml"),
        "name = \"x\"\n[nodes.a]\nkind = \"k8s\"\n[cilium]\nmanifests = [\"policy.yaml\"]\n",
    )
    .unwrap();
    for wrong in [
        "apiVersion: cilium.io/v2\nkind: Nonsense\nmetadata: { name: x }\n",
        "apiVersion: cilium.io/v2alpha1\nkind: CiliumBGPPeeringPolicy\nmetadata: { name: x }\nspec: { virtualRouters: 7 }\n",
        "kind: [\n",
        "apiVersion: v1\nkind: Service\nspec: {}\n",
    ] {
        fs::write(lab.path("policy.yaml"), wrong).unwrap();
        lab.run(["validate", lab.file()])
            .refused(2, &["policy.yaml", "error"]);
    }
    fs::write(lab.path("policy.yaml"), "").unwrap();
    lab.ok(["validate", lab.file()]);
}

#[test]
fn times_beyond_all_measure_are_refused() {
    let lab = Lab::new(PAIR);
    for time in [
        "25h",
        "1e9h",
        "18446744073709551615s",
        "99999999999999999999h",
        "-1s",
        "nan",
    ] {
        let option = format!("--timeout={time}");
        lab.run(["up", "--dry-run", &option, lab.file()])
            .refused(2, &["is not a time"]);
        lab.run(["test", &option, lab.file()])
            .refused(2, &["is not a time"]);
        lab.run(["check", &format!("--within={time}")])
            .refused(2, &["is not a time"]);
        for key in [
            "startup_delay = ",
            "[[checks]]\nname = \"c\"\nnode = \"a\"\nrun = \"x\"\nwithin = ",
        ] {
            let text = format!("name = \"x\"\n[nodes.a]\nkind = \"host\"\n{key}\"{time}\"\n");
            fs::write(lab.path("time.toml"), text).unwrap();
            lab.run(["validate", lab.path("time.toml").to_str().unwrap()])
                .refused(2, &["time.toml", "error"]);
        }
    }
}

/// Watches node a from inside: prints the command line of each process of nslab's that comes there, and does this to it.
fn watcher(lab: &Lab, deed: &str) -> common::Running {
    let line = format!(
        "import os, signal, sys\nseen = set()\nprint('ready', flush=True)\nwhile True:\n  for p in os.listdir('/proc'):\n    \
         if not p.isdigit() or p == '1': continue\n    try:\n      if open(f'/proc/{{p}}/comm').read() != 'nslab\\n': continue\n      \
         words = open(f'/proc/{{p}}/cmdline').read()\n      \
         if p not in seen: print('visitor', repr(words), flush=True)\n      {deed}\n      seen.add(p)\n    \
         except OSError: pass"
    );
    let mut running = lab.start(["exec", "a", "python3", "-c", &line]);
    running.until_said("ready");
    running
}

/// A file on the host that takes a while to be copied.
fn large(lab: &Lab) -> String {
    let path = lab.path("hunter2");
    fs::write(&path, vec![7; 64 << 20]).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_node_does_not_see_what_was_typed_on_the_host() {
    let lab = Lab::up(PAIR);
    let file = large(&lab);
    let watcher = watcher(&lab, "pass");
    until("a visitor", || {
        lab.ok(["cp", &file, "a:/file"]);
        watcher.out().contains("visitor")
    });
    until("another", || {
        lab.ok(["exec", "--env", "A=hunter2", "a", "true"]);
        watcher.out().matches("visitor").count() > 3
    });
    assert!(!watcher.out().contains("hunter2"), "{}", watcher.out());
}

#[test]
fn a_copy_goes_on_when_it_is_stopped_in_the_node() {
    let lab = Lab::up(PAIR);
    let file = large(&lab);
    let watcher = watcher(&lab, "if p not in seen: os.kill(int(p), signal.SIGSTOP)");
    until("a visitor", || {
        lab.ok(["cp", &file, "a:/file"]);
        watcher.out().contains("visitor")
    });
}

#[test]
fn a_copy_that_is_stopped_again_and_again_is_given_up() {
    let lab = Lab::up(PAIR);
    let file = large(&lab);
    lab.ok(["cp", &file, "a:/file"]);
    let home = lab.path("home");
    fs::create_dir(&home).unwrap();
    let _watcher = watcher(&lab, "os.kill(int(p), signal.SIGSTOP)");
    for (from, to) in [(file.as_str(), "a:/other"), ("a:/file", ".")] {
        until("the end of patience", || {
            let done = copy(&lab, &home, from, to);
            done.code != 0 && done.err.contains("a process in a stops the copy again and again")
        });
    }
}
