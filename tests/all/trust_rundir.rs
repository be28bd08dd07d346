//! Run directories that are not nslab's, or in which somebody has written what root is to believe: nothing outside of labs
//! is deleted, killed, written or waited for on their account.

use crate::common;
use crate::common::hostile;

use std::fs::{self, File, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use common::{Host, Lab, PAIR, Running, run, until};
use hostile::{
    LAB_MARK, LOCKS, MARK, PROMPT, Rng, STRANGER, TRAPS, dead_lab, give_away, hostile, make_dir, nslab,
    refuses, state, write,
};
use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

#[test]
fn a_hundred_directories_that_are_not_nslabs() {
    let lab = Lab::new(PAIR);
    let verbs: [&[&str]; 9] = [
        &["labs"],
        &["gc"],
        &["down", "--all"],
        &["up", "-d", lab.file()],
        &["test", lab.file()],
        &["ps"],
        &["restart", "a"],
        &["check"],
        &["logs"],
    ];
    for number in 0..100 {
        let mut rng = Rng(number as u64 * 7919 + 1);
        let (place, run, aside) = hostile(&lab, number);
        let mut what = Vec::new();
        // Each trap once alone, then several at a time.
        match TRAPS.get(number) {
            Some((name, set)) => {
                set(&run, &aside);
                what.push(*name);
            }
            None => {
                let (name, set) = TRAPS[rng.below(TRAPS.len())];
                set(&run, &aside);
                what.push(name);
                if rng.below(2) == 0 && !run.join("documents").exists() {
                    TRAPS[0].1(&run, &aside);
                }
            }
        }
        let lock = run.join(".lock");
        match rng.below(4) {
            0 => write(&lock, MARK, 0o600),
            1 => write(&lock, "", 0o600),
            2 => {
                let (name, set) = LOCKS[rng.below(LOCKS.len())];
                set(&run, &aside);
                what.push(name);
            }
            _ => {}
        }
        let what = what.join(", ");
        let first = verbs[rng.below(verbs.len())];
        for words in [first, verbs[1]] {
            refuses(&run, &place, words, &what);
        }
        if number % 10 == 0 {
            let done = nslab(&run, &["exec", "a", "true"]);
            assert_eq!(done.code, 125, "{what}: {}", done.err);
        }
        fs::remove_dir_all(place).unwrap();
    }
}

#[test]
fn locks_that_are_not_nslabs() {
    let lab = Lab::new(PAIR);
    for (number, (what, set)) in LOCKS.iter().enumerate() {
        let (place, run, aside) = hostile(&lab, number);
        set(&run, &aside);
        refuses(&run, &place, &["labs"], what);
        refuses(&run, &place, &["up", "-d", lab.file()], what);
    }
}

/// What it is called, the way from the place on, and what makes it so.
type Way = (&'static str, &'static str, fn(&Path));

/// What it is called, and what makes it so.
type Change<'a> = (&'a str, &'a dyn Fn(&Path));

#[test]
fn ways_that_others_can_change() {
    let lab = Lab::new(PAIR);
    // A way, from the place on, and what makes it changeable.
    let ways: [Way; 5] = [
        ("a directory of another user", "home/run", |place| {
            make_dir(&place.join("home/run"), 0o755);
            give_away(&place.join("home"));
        }),
        (
            "a directory that is not there yet, in another user's",
            "home/deep/run",
            |place| {
                make_dir(&place.join("home"), 0o755);
                give_away(&place.join("home"));
            },
        ),
        ("a directory in which everybody may write", "open/run", |place| {
            make_dir(&place.join("open/run"), 0o755);
            fs::set_permissions(place.join("open"), Permissions::from_mode(0o777)).unwrap();
        }),
        (
            "another user's link in a directory like /tmp",
            "open/link",
            |place| {
                make_dir(&place.join("run"), 0o755);
                make_dir(&place.join("open"), 0o1777);
                symlink(place.join("run"), place.join("open/link")).unwrap();
                lchown(place.join("open/link"), Some(STRANGER), None).unwrap();
            },
        ),
        (
            "a link of root's into another user's directory",
            "link",
            |place| {
                make_dir(&place.join("home/run"), 0o755);
                give_away(&place.join("home"));
                symlink("home/run", place.join("link")).unwrap();
            },
        ),
    ];
    for (number, (what, way, make)) in ways.into_iter().enumerate() {
        let place = lab.path(&format!("way-{number}"));
        make_dir(&place, 0o755);
        make(&place);
        for words in [["labs"].as_slice(), &["up", "-d", lab.file()]] {
            refuses(&place.join(way), &place, words, what);
        }
    }
    // Root's own link, and a directory of root's in one like /tmp, are fine.
    let place = lab.path("fine");
    make_dir(&place.join("open"), 0o1777);
    symlink("open/run", place.join("link")).unwrap();
    let run = place.join("link");
    fs::create_dir(place.join("open/run")).unwrap();
    nslab(&run, &["up", "-d", lab.file()]).expect(0);
    nslab(&run, &["down"]).expect(0);
}

#[test]
fn directories_of_an_older_nslab() {
    let lab = Lab::new(PAIR);
    let (_, run, aside) = hostile(&lab, 0);
    // It left locks without marks, and tests' directories alike.
    write(&run.join(".lock"), "", 0o600);
    let dead = dead_lab(&run, "old", &state("old", 1, &[]));
    write(&dead.join("lock"), "", 0o600);
    make_dir(&run.join(".host"), 0o755);
    make_dir(&run.join(".tests/x-1-0"), 0o755);
    write(&run.join(".tests/x-1-0/.owner"), "", 0o600);
    write(&run.join(".tests/x-1-0/.lock"), "", 0o600);
    let kept = aside.join("file");
    assert_eq!(nslab(&run, &["gc"]).expect(0), "swept what lab old left\n");
    assert!(!dead.exists() && !run.join(".tests").exists() && run.join(".host").exists());
    assert_eq!(fs::read_to_string(run.join(".lock")).unwrap(), MARK);
    assert_eq!(fs::read_to_string(kept).unwrap(), "precious");
    // Births and removals that were cut short, in a directory that is nslab's for certain.
    make_dir(&run.join("unborn"), 0o700);
    make_dir(&run.join("born"), 0o700);
    write(&run.join("born/lock"), &LAB_MARK[..7], 0o600);
    make_dir(&run.join("half-gone"), 0o700);
    make_dir(&run.join("half-gone/logs"), 0o755);
    make_dir(&run.join(".tests/y"), 0o755);
    nslab(&run, &["gc"]).expect(0);
    assert_eq!(
        fs::read_dir(&run).unwrap().count(),
        2,
        "all but .lock and .host is gone"
    );
}

/// Links outside of the test's own directory. They go with this value.
struct Links<'a>(Vec<(PathBuf, &'a str)>);

impl Drop for Links<'_> {
    fn drop(&mut self) {
        for (link, _) in &self.0 {
            let _ = fs::remove_file(link);
        }
    }
}

#[test]
fn files_of_dead_labs_reach_nothing_outside() {
    let lab = Lab::new(PAIR);
    let host = Host::new();
    host.ip([
        "link", "add", "canary0", "type", "veth", "peer", "name", "canary1",
    ]);
    let of_canary: serde_json::Value =
        serde_json::from_str(&host.ip(["-json", "link", "show", "canary0"])).unwrap();
    let address: Vec<u8> = of_canary[0]["address"]
        .as_str()
        .unwrap()
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect();
    let links =
        serde_json::json!([{ "name": "canary0", "index": of_canary[0]["ifindex"], "address": address }]);
    let (_, run_directory, aside) = hostile(&lab, 0);
    write(&run_directory.join(".lock"), MARK, 0o600);
    // Names for `ip netns` that are not the lab's own, or lead somewhere else.
    fs::create_dir_all("/run/netns").unwrap();
    let process = std::process::id();
    let own = |name: &str| PathBuf::from(format!("/run/netns/dead{process}-{name}"));
    let net = File::open("/proc/self/ns/net").unwrap();
    let works = format!("/proc/{process}/fd/{}", net.as_raw_fd());
    let netns = Links(vec![
        (own("a"), works.as_str()),
        (own("b"), "/proc/1/fd/0"),
        (
            PathBuf::from(format!("/run/netns/other{process}-a")),
            "/proc/1/fd/0",
        ),
    ]);
    for (link, target) in &netns.0 {
        symlink(target, link).unwrap();
    }
    let mut named: Vec<&Path> = netns.0.iter().map(|(link, _)| link.as_path()).collect();
    let link = aside.join("link");
    named.push(&link);
    let name = format!("dead{process}");
    let honest = state(&name, process.cast_signed(), &named);
    let states: [Change<'_>; 8] = [
        ("names that are not its own", &|_| {}),
        ("another lab's state", &|path| {
            fs::write(path, state("other", 1, &named)).unwrap()
        }),
        ("no JSON", &|path| fs::write(path, "{ \"lab\": \"").unwrap()),
        ("nothing", &|path| fs::write(path, "").unwrap()),
        ("nested without end", &|path| {
            fs::write(path, "[".repeat(100_000)).unwrap()
        }),
        ("a terabyte", &|path| {
            File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(1 << 40)
                .unwrap();
        }),
        ("another user's", &|path| give_away(path)),
        ("a pipe", &|path| {
            fs::remove_file(path).unwrap();
            mkfifo(path, Mode::from_bits_truncate(0o600)).unwrap();
        }),
    ];
    for (what, damage) in states {
        let dead = dead_lab(&run_directory, &name, &honest);
        write(&dead.join("host-links.json"), &links.to_string(), 0o600);
        damage(&dead.join("state.json"));
        let began = Instant::now();
        let mut command = host.command(env!("CARGO_BIN_EXE_nslab"));
        let done = run(command.env("NSLAB_RUN_DIR", &run_directory).arg("gc"));
        assert!(began.elapsed() < PROMPT, "{what}");
        assert!(!dead.exists(), "{what}: {}{}", done.out, done.err);
        for (link, target) in &netns.0 {
            let there = fs::read_link(link).ok();
            assert_eq!(
                there.as_deref(),
                Some(Path::new(target)),
                "{what}: {}",
                link.display()
            );
        }
        assert!(fs::symlink_metadata(&link).is_ok(), "{what}");
        host.ip(["link", "show", "canary0"]);
    }
    // A note of links that is a link itself is nothing of nslab's: the lab stays, and so does what it leads to.
    let dead = dead_lab(&run_directory, &name, &honest);
    symlink(aside.join("file"), dead.join("host-links.json")).unwrap();
    nslab(&run_directory, &["gc"]).refused(3, &["nslab did not make", "host-links.json"]);
    assert_eq!(fs::read_to_string(aside.join("file")).unwrap(), "precious");
}

#[test]
fn who_waits_for_a_lock_is_told_whose_it_is() {
    let lab = Lab::up(PAIR);
    let lock = File::open(lab.run_directory().join(".lock")).unwrap();
    let lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    let mut waiting = lab.start(["labs"]);
    waiting.until_said(&format!("which process {} (", std::process::id()));
    drop(lock);
    waiting.wait().expect(0);
}

#[test]
fn a_stranger_who_holds_a_lock() {
    let lab = Lab::new(PAIR);
    let (_, run, _) = hostile(&lab, 0);
    let mut canary = Running::start(Command::new("sleep").arg("infinity"));
    for mark in [LAB_MARK, ""] {
        let held = dead_lab(&run, "lab", &state("lab", canary.pid().as_raw(), &[]));
        write(&held.join("lock"), mark, 0o600);
        write(&run.join(".lock"), "", 0o600);
        let lock = File::open(held.join("lock")).unwrap();
        let lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
        // Who holds it is no supervisor, and the process it names holds nothing.
        assert!(nslab(&run, &["labs"]).expect(0).contains("lab"));
        let began = Instant::now();
        nslab(&run, &["down", "lab"]).refused(1, &["does not answer", "no supervisor", "fuser"]);
        nslab(&run, &["up", "-d", "--reconfigure", &own_file(&lab)]).refused(1, &["no supervisor"]);
        nslab(&run, &["ps"]).refused(3, &["reach lab lab"]);
        assert!(began.elapsed() < 3 * PROMPT);
        assert!(!canary.is_over() && held.join("state.json").exists());
        drop(lock);
        nslab(&run, &["gc"]).expect(0);
        assert!(!held.exists());
    }
    assert!(!canary.is_over());
}

/// A lab file for a lab that is called `lab`.
fn own_file(lab: &Lab) -> String {
    let path = lab.path("named-lab.toml");
    fs::write(&path, PAIR.replace("\"pair\"", "\"lab\"")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_state_that_names_somebody_else() {
    // The lab is a living one; what its state says of its supervisor is not true, and nobody else is killed for it.
    let lab = Lab::up(PAIR);
    let mut canary = Running::start(Command::new("sleep").arg("infinity"));
    let path = lab.run_directory().join("pair/state.json");
    let supervisor = lab.supervisor("pair");
    let traces = lab.traces("pair");
    for text in [state("pair", canary.pid().as_raw(), &[]), "damaged".to_owned()] {
        write(&path, &text, 0o600);
        let told = lab.run(["labs"]);
        assert_eq!(told.code, 0);
        assert_eq!(told.err.contains("is damaged"), text == "damaged", "{}", told.err);
        lab.ok(["exec", "a", "true"]);
    }
    // Without a socket it has to be found by the lock it holds.
    write(&path, &state("pair", canary.pid().as_raw(), &[]), 0o600);
    fs::remove_file(lab.run_directory().join("pair/control.sock")).unwrap();
    kill(supervisor, Signal::SIGSTOP).unwrap();
    lab.ok(["down"]);
    traces.gone();
    assert!(!canary.is_over());
}

#[test]
fn notes_name_only_what_labs_change() {
    let lab = Lab::new(PAIR).on(Host::new());
    let namespace = File::open(lab.host().path()).unwrap();
    let cookie = std::thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        ::nslab::kernel::namespace::Namespace::cookie().unwrap()
    });
    let place = Path::new("/run/nslab/.host");
    fs::create_dir_all(place).unwrap();
    let notes = place.join(format!("{:x}.json", cookie.join().unwrap()));
    let ttl = || run(lab.host().command("cat").arg("/proc/sys/net/ipv4/ip_default_ttl")).out;
    let before = ttl();
    let user = |interface: &str, need: &str| {
        let directory = serde_json::json!({ "path": "/nowhere", "lab": "x" });
        serde_json::json!({ "directory": directory, "interface": interface, "needs": [need], "neighbors": 0 })
    };
    let fine = "net/ipv4/conf/lo/forwarding";
    let noted = |path: &str, before: &str, made: &[&str]| {
        let sysctl = serde_json::json!({ "path": path, "before": before, "made": made });
        serde_json::json!({ "users": [], "sysctls": [sysctl] }).to_string()
    };
    // The present value as what labs made: only the path is wrong.
    let now = before.trim();
    let texts = [
        noted("net/ipv4/ip_default_ttl", "13", &[now]),
        noted("net/ipv4/conf/../ip_default_ttl", "13", &[now]),
        noted(fine, "1\n2", &["2"]),
        noted(fine, "1", &["2", "|/tmp/evil"]),
        noted(fine, "1", &["2"; 3]),
        serde_json::json!({ "users": [user("docker0", fine)], "sysctls": [] }).to_string(),
        serde_json::json!({ "users": [user("nslab-1", "kernel/panic")], "sysctls": [] }).to_string(),
        "{ \"users\"".to_owned(),
    ];
    for text in texts {
        write(&notes, &text, 0o600);
        let done = lab.run(["gc"]);
        let (kept, now) = (fs::read_to_string(&notes).unwrap(), ttl());
        fs::remove_file(&notes).unwrap();
        assert_eq!((kept, now), (text, before.clone()));
        done.refused(3, &[notes.to_str().unwrap(), "delete it"]);
    }
    // A link is not followed, neither for reading nor for writing.
    let canary = lab.path("canary");
    write(&canary, "{\"users\":[],\"sysctls\":[]}", 0o644);
    symlink(&canary, &notes).unwrap();
    let done = lab.run(["gc"]);
    fs::remove_file(&notes).unwrap();
    done.refused(3, &["is not a plain file"]);
    assert!(canary.exists());
    lab.ok(["gc"]);
}

#[test]
fn a_living_lab_survives_looks_that_fail() {
    let lab = Lab::up(PAIR);
    let directory = lab.run_directory().join("pair");
    // Every limit of descriptors, so that each open is once the one that fails.
    for limit in 3..24 {
        let line = format!("ulimit -n {limit}; exec \"$0\" gc");
        run(lab.command("sh").args(["-c", &line, env!("CARGO_BIN_EXE_nslab")]));
        assert!(directory.join("lock").exists(), "with {limit} descriptors");
    }
    // Nor does it die of a lock that may not be opened.
    fs::set_permissions(directory.join("lock"), Permissions::from_mode(0o000)).unwrap();
    let mut command = lab.command("setpriv");
    let dropped = "-dac_override,-dac_read_search";
    command.args([
        format!("--bounding-set={dropped}"),
        format!("--inh-caps={dropped}"),
    ]);
    let done = run(command.arg(env!("CARGO_BIN_EXE_nslab")).arg("gc"));
    assert_eq!(done.code, 3, "{}{}", done.out, done.err);
    fs::set_permissions(directory.join("lock"), Permissions::from_mode(0o600)).unwrap();
    lab.ok(["exec", "a", "ping", "-c1", "-W5", "10.0.0.2"]);
}

#[test]
fn a_lab_whose_directory_is_deleted_ends() {
    type Deed = fn(&Path);
    let deeds: [(&str, Deed); 4] = [
        ("the lab's directory", |run| {
            fs::remove_dir_all(run.join("pair")).unwrap()
        }),
        ("the run directory", |run| fs::remove_dir_all(run).unwrap()),
        ("the lock", |run| fs::remove_file(run.join("pair/lock")).unwrap()),
        ("a move of the run directory", |run| {
            fs::rename(run, run.with_extension("moved")).unwrap();
        }),
    ];
    // With a limit, so that there are cgroups to be left.
    let text = PAIR.replacen(
        "kind = \"host\"",
        "kind = \"host\"\nmemory = \"64M\"\nexec = [\"true\"]",
        1,
    );
    for (what, deed) in deeds {
        for detached in [true, false] {
            let lab = Lab::new(&text);
            let mut up = match detached {
                true => lab.start(["up", "-d", lab.file()]),
                false => lab.start(["up", lab.file()]),
            };
            up.until_said("is ready");
            if detached {
                up.wait().expect(0);
            }
            let traces = lab.traces("pair");
            assert!(traces.cgroups() > 0);
            deed(&lab.run_directory());
            if !detached {
                up.wait().refused(1, &["was deleted or moved", "nslab down pair"]);
            }
            traces.gone();
            eprintln!("gone with {what}, detached: {detached}");
            until("a run directory for others", || {
                lab.run(["up", "-d", lab.file()]).code == 0
            });
        }
    }
}
