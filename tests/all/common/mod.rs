//! What the tests of living labs share: a lab of its own for every test, in a run directory of its own, taken
//! down whatever happens.

pub mod both;
pub mod breaking;
pub mod host;
pub mod hostile;
pub mod image_root;
pub mod raw_peer;
pub mod registry;
pub mod traces;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use traces::Traces;

/// What is waited for takes no longer than this, unless something is wrong.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Two hosts on one link; `a` has 10.0.0.1, `b` has 10.0.0.2.
pub const PAIR: &str = r#"
name = "pair"

[nodes.a]
kind = "host"
addresses = { eth0 = ["10.0.0.1/24"] }

[nodes.b]
kind = "host"
addresses = { eth0 = ["10.0.0.2/24"] }

[[links]]
endpoints = ["a:eth0", "b:eth0"]
"#;

/// Waits until there is an answer. Says what it waited for if there is none in time.
pub fn eventually<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until something is true.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, || holds().then_some(()));
}

/// Whether FRR is here. Prints why the test is skipped where it is not.
pub fn has_frr() -> bool {
    has("/usr/lib/frr/zebra")
}

/// Whether a program is here, by its path or on PATH. Prints why the test is skipped where it is not.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// Whether all programs of a Kubernetes are here. Prints why the test is skipped where they are not.
pub fn has_kubernetes() -> bool {
    let found = nslab::engine::kubelet::Programs::of(&Default::default()).all();
    if let Err(failure) = &found {
        eprintln!("skipped: {failure}");
    }
    found.is_ok()
}

/// A file of the package.
pub fn in_package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A command that has ended.
#[derive(Debug)]
pub struct Done {
    /// Its exit code; minus the signal's number where one killed it.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it complained about.
    pub err: String,
    /// What it printed, to the byte.
    pub bytes: Vec<u8>,
}

impl Done {
    /// Insists on an exit code. Returns what was printed.
    #[track_caller]
    pub fn expect(self, code: i32) -> String {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self.out
    }

    /// Insists on an exit code and on words among the complaints.
    #[track_caller]
    pub fn refused(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in:\n{}", self.err);
        }
    }
}

/// A command that runs, its output going to files so that it never has to wait for a reader.
pub struct Running {
    child: Child,
    out: File,
    err: File,
    ended: Option<ExitStatus>,
}

impl Running {
    /// Starts a command. Its input is what the command says, or nothing.
    pub fn start(command: &mut Command) -> Running {
        let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        command
            .stdout(out.try_clone().unwrap())
            .stderr(err.try_clone().unwrap());
        let child = command.spawn().expect("the command starts");
        Running {
            child,
            out,
            err,
            ended: None,
        }
    }

    /// Its input, where the command has a pipe for it. It ends when it is dropped.
    pub fn input(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a pipe for its input")
    }

    /// Its process ID.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// What it has printed so far.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&contents(&self.out)).into_owned()
    }

    /// What it has complained about so far.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&contents(&self.err)).into_owned()
    }

    /// Whether it has ended.
    pub fn is_over(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended.is_some()
    }

    /// Waits until it has printed something (on either of the two).
    #[track_caller]
    pub fn until_said(&mut self, words: &str) {
        let end = Instant::now() + DEADLINE;
        while !self.out().contains(words) && !self.err().contains(words) {
            let over = self.is_over() && !self.out().contains(words) && !self.err().contains(words);
            let late = Instant::now() > end;
            assert!(
                !over && !late,
                "it never said {words:?}:\n{}\n{}",
                self.out(),
                self.err()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> Done {
        self.wait_within(DEADLINE)
    }

    /// Waits for its end, so long at most.
    #[track_caller]
    pub fn wait_within(&mut self, most: Duration) -> Done {
        let end = Instant::now() + most;
        while !self.is_over() {
            let late = Instant::now() > end;
            assert!(!late, "it did not end:\n{}\n{}", self.out(), self.err());
            std::thread::sleep(Duration::from_millis(1));
        }
        let status = self.ended.expect("it is over");
        let bytes = contents(&self.out);
        Done {
            code: status
                .code()
                .or(status.signal().map(|signal| -signal))
                .unwrap_or(i32::MIN),
            out: String::from_utf8_lossy(&bytes).into_owned(),
            err: self.err(),
            bytes,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// All a file holds. Opened anew: the command goes on writing where its own descriptor stands.
fn contents(file: &File) -> Vec<u8> {
    let mut own = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    own.seek(SeekFrom::Start(0)).unwrap();
    let mut bytes = Vec::new();
    own.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A network namespace that plays the host, for tests that touch the host's interfaces. It goes with this value.
pub struct Host {
    namespace: File,
}

impl Host {
    /// Makes one, with its loopback up.
    pub fn new() -> Host {
        // Only the thread that asks moves into the new namespace.
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: the tests need root");
            File::open("/proc/thread-self/ns/net").unwrap()
        };
        let namespace = std::thread::spawn(make).join().unwrap();
        let host = Host { namespace };
        host.ip(["link", "set", "lo", "up"]);
        host
    }

    /// A path by which others find it.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd())
    }

    /// A command that will run in it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.path()))
            .arg("--")
            .arg(program);
        command
    }

    /// Runs `ip` in it, and returns what it printed.
    #[track_caller]
    pub fn ip(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
        run(self.command("ip").args(words)).expect(0)
    }
}

/// Runs a command to its end, without input unless it has been given some.
#[track_caller]
pub fn run(command: &mut Command) -> Done {
    Running::start(command.stdin(Stdio::null())).wait()
}

/// A run directory with a lab file, and the labs that were brought up in it. Takes them down when it goes.
pub struct Lab {
    directory: TempDir,
    file: PathBuf,
    host: Option<Host>,
}

impl Lab {
    /// A lab file that is not up yet.
    pub fn new(text: &str) -> Lab {
        let mut lab = Lab::of_file(Path::new("lab.toml"));
        lab.file = lab.path("lab.toml");
        fs::write(&lab.file, text).unwrap();
        lab
    }

    /// A lab file that is somewhere already, and not up yet.
    pub fn of_file(file: &Path) -> Lab {
        let directory = tempfile::Builder::new().prefix("nslab-test-").tempdir().unwrap();
        Lab {
            directory,
            file: file.to_owned(),
            host: None,
        }
    }

    /// A lab that is up, in the background.
    #[track_caller]
    pub fn up(text: &str) -> Lab {
        let lab = Lab::new(text);
        lab.ok(["up", "-d", lab.file()]);
        lab
    }

    /// The same, with a network namespace of its own for a host.
    pub fn on(mut self, host: Host) -> Lab {
        self.host = Some(host);
        self
    }

    /// The lab file.
    pub fn file(&self) -> &str {
        self.file.to_str().unwrap()
    }

    /// The run directory.
    pub fn run_directory(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// A directory for the test's own files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The network namespace that plays the host.
    pub fn host(&self) -> &Host {
        self.host.as_ref().expect("the lab was given a host")
    }

    /// A command with the run directory in its environment, on the lab's host.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match &self.host {
            Some(host) => host.command(program),
            None => Command::new(program),
        };
        command
            .env("NSLAB_RUN_DIR", self.run_directory())
            .env("NSLAB_IMAGE_DIR", self.path("store"))
            .stdin(Stdio::null());
        command
    }

    /// nslab with these words.
    pub fn nslab(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_nslab"));
        command.args(words);
        command
    }

    /// Starts nslab with these words.
    pub fn start(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Running {
        Running::start(&mut self.nslab(words))
    }

    /// Runs nslab with these words.
    #[track_caller]
    pub fn run(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Done {
        self.start(words).wait()
    }

    /// Runs nslab with these words, and with this input.
    #[track_caller]
    pub fn feed(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>, input: &[u8]) -> Done {
        let mut running = Running::start(self.nslab(words).stdin(Stdio::piped()));
        let mut pipe = running.input();
        // A command need not read it all.
        let _ = pipe.write_all(input);
        drop(pipe);
        running.wait()
    }

    /// Runs nslab with these words, insists on success, and returns what it printed.
    #[track_caller]
    pub fn ok(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
        self.run(words).expect(0)
    }

    /// Runs a shell's line in a node, insists on success, and returns what it printed.
    #[track_caller]
    pub fn sh(&self, node: &str, line: &str) -> String {
        self.ok(["exec", node, "sh", "-c", line])
    }

    /// Runs nslab with these words and reads the JSON it prints.
    #[track_caller]
    pub fn json(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Value {
        let text = self.ok(words);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
    }

    /// The first program a node's init has started, by its number on the host.
    pub fn program(&self, node: &str) -> i32 {
        let init = self.node(node)["init_pid"].as_i64().unwrap();
        eventually("a program of the node's", || {
            let children = fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap();
            children.split_whitespace().next()?.parse().ok()
        })
    }

    /// What the kernel says of a node's limits: a file of the cgroup its programs are in, of whichever version.
    pub fn limit(&self, node: &str, controller: &str, unified: &str, legacy: &str) -> String {
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", self.program(node))).unwrap();
        let of = |name: &str| {
            groups.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let mut controllers = parts.next()?.split(',');
                controllers.any(|one| one == name).then(|| parts.next())?
            })
        };
        let path = match of(controller) {
            Some(path) => format!("/sys/fs/cgroup/{controller}{path}/{legacy}"),
            None => format!("/sys/fs/cgroup{}/{unified}", of("").unwrap()),
        };
        fs::read_to_string(path).unwrap()
    }

    /// What `nslab ps` says of a node.
    #[track_caller]
    pub fn node(&self, name: &str) -> Value {
        let status = self.json(["ps", "--format", "json"]);
        let mut nodes = status["nodes"].as_array().unwrap().iter();
        nodes
            .find(|node| node["name"] == name)
            .expect("such a node")
            .clone()
    }

    /// What the lab says about itself in the run directory.
    pub fn state(&self, lab: &str) -> Option<Value> {
        let text = fs::read(self.run_directory().join(lab).join("state.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The PID of a living lab's supervisor.
    #[track_caller]
    pub fn supervisor(&self, lab: &str) -> Pid {
        eventually("the supervisor", || {
            let pid = self.state(lab)?["supervisor"].as_i64().filter(|&pid| pid > 1)?;
            Some(Pid::from_raw(i32::try_from(pid).unwrap()))
        })
    }

    /// Everything that lives because a lab does, to be compared once it is gone.
    #[track_caller]
    pub fn traces(&self, lab: &str) -> Traces {
        Traces::of(self, lab)
    }

    /// Has commands sweep what outlives a kill, until nothing of it is left. One sweep may come too early: the lab's lock is
    /// free only when the last process that inherited it has ended, and a busy machine takes its time with that.
    #[track_caller]
    pub fn swept(&self, traces: &Traces) {
        until("the end of all that outlives a kill", || {
            let swept = self.run(["labs"]);
            assert!(
                swept.err.is_empty() || swept.err.contains("cgroup"),
                "{}",
                swept.err
            );
            traces.are_gone() && self.left().is_empty()
        });
    }

    /// What is in the run directory, but for the lock on itself.
    pub fn left(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.run_directory()).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| !path.ends_with(".lock"))
            .collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for words in [
                ["labs"].as_slice(),
                &["ps", "--wide"],
                &["events"],
                &["logs", "--tail", "50"],
            ] {
                let told = self.nslab(words).output().unwrap();
                let text = String::from_utf8_lossy(&told.stdout).into_owned();
                eprintln!("--- nslab {}\n{text}", words.join(" "));
            }
        }
        let _ = self.nslab(["down", "--all"]).output();
    }
}
