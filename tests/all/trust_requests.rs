//! Supervisors that do not answer, clients that do not behave, and versions that do not fit: what is asked of a lab is
//! answered, or told within seconds.

use crate::common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Lab, PAIR, Running, eventually, has, until};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nslab::kernel::message::{self, Assembler, Received};
use serde_json::{Value, json};

/// Nobody waits longer for a lab that does not answer. It is said after four seconds; machines may be slow.
const PROMPT: Duration = Duration::from_secs(12);

/// Words that need an answer of the lab's.
fn verbs(lab: &Lab) -> Vec<Vec<String>> {
    let manifest = common::in_package("labs/cilium-bgp-policy.yaml");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    let mut all: Vec<Vec<String>> = [
        "ps",
        "exec a true",
        "shell a",
        "events",
        "events -f",
        "check",
        "restart a",
        "cp a:/etc/hostname -",
        "kubeconfig",
        "get ciliumbgppeeringpolicies",
        "cilium bgp peers",
        "link show",
        "link down a:eth0",
        "flow show",
        "flow start --from a --to b",
        "timeline",
        "capture a:eth0 --duration 1s",
        "stop a",
        "start a",
    ]
    .map(words)
    .into();
    all[7][2] = lab.path("copied").to_str().unwrap().to_owned();
    all.push(vec![
        "apply".to_owned(),
        "-f".to_owned(),
        manifest.to_str().unwrap().to_owned(),
    ]);
    all
}

/// Insists on every verb's saying that the lab does not answer, and what to do.
#[track_caller]
fn says_so(lab: &Lab, name: &str) {
    // All at once: each waits for as long as it does alone.
    let began = Instant::now();
    let mut all: Vec<(Vec<String>, Running)> = verbs(lab)
        .into_iter()
        .map(|words| (words.clone(), lab.start(words)))
        .collect();
    for (words, running) in &mut all {
        let done = running.wait();
        assert!(
            [1, 125].contains(&done.code),
            "{words:?}: {}{}",
            done.out,
            done.err
        );
        assert!(done.err.contains("does not answer"), "{words:?}: {}", done.err);
        assert!(
            done.err.contains(&format!("nslab down {name}")),
            "{words:?}: {}",
            done.err
        );
    }
    assert!(began.elapsed() < PROMPT, "it took {:?}", began.elapsed());
}

const CHECKED: &str = r#"
[[checks]]
name = "holds"
node = "a"
run = "true"
"#;

#[test]
fn a_supervisor_that_is_stopped() {
    let lab = Lab::up(&(PAIR.to_owned() + CHECKED));
    let supervisor = lab.supervisor("pair");
    let mut following = lab.start(["events", "-f"]);
    following.until_said("ready");
    kill(supervisor, Signal::SIGSTOP).unwrap();
    says_so(&lab, "pair");
    // Whoever listened is told as well.
    following.wait().refused(1, &["does not answer", "is stopped"]);
    // What is in files needs no supervisor.
    lab.ok(["labs"]);
    lab.ok(["logs"]);
    lab.ok(["graph", "--lab", "pair"]);
    // It goes on as if nothing had been.
    kill(supervisor, Signal::SIGCONT).unwrap();
    lab.ok(["exec", "a", "true"]);
    lab.ok(["check"]);
    // Stopped again, it is taken down all the same, and so is one that is to be replaced.
    kill(supervisor, Signal::SIGSTOP).unwrap();
    let began = Instant::now();
    lab.ok(["up", "-d", "--reconfigure", lab.file()]);
    assert!(began.elapsed() < PROMPT && lab.supervisor("pair") != supervisor);
    lab.ok(["exec", "a", "true"]);
    let traces = lab.traces("pair");
    kill(lab.supervisor("pair"), Signal::SIGSTOP).unwrap();
    let began = Instant::now();
    lab.ok(["down", "pair"]);
    assert!(began.elapsed() < PROMPT);
    traces.gone();
    assert!(lab.left().is_empty());
}

/// Listens on a lab's socket and takes connections, but never says a word.
const DEAF: &str = "import socket,sys,time\ns=socket.socket(socket.AF_UNIX)\ns.bind('control.sock')\ns.listen(99)\n\
    print('listening',flush=True)\nheld=[]\nwhile True: held.append(s.accept())";

/// A lab that only seems to live: its directory, and its lock held by this process.
struct Fake {
    // Let go of first: then the lab is a dead one.
    _lock: Flock<File>,
    lab: Lab,
}

impl Fake {
    fn new(state: &Value) -> Fake {
        let lab = Lab::new(PAIR);
        fs::create_dir(lab.run_directory()).unwrap();
        lab.ok(["gc"]);
        let path = lab.run_directory().join("pair");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let lock = Flock::lock(
            File::create_new(path.join("lock")).unwrap(),
            FlockArg::LockExclusive,
        )
        .unwrap();
        fs::write(path.join("state.json"), state.to_string()).unwrap();
        Fake { _lock: lock, lab }
    }

    fn directory(&self) -> PathBuf {
        self.lab.run_directory().join("pair")
    }
}

fn state(protocol: Option<u32>) -> Value {
    let mut state = json!({
        "lab": "pair", "file": "/x", "started": 1, "supervisor": 1, "detached": true, "named": [], "nodes": ["a", "b"]
    });
    if let Some(protocol) = protocol {
        state["protocol"] = protocol.into();
    }
    state
}

#[test]
fn a_supervisor_that_hangs() {
    if !has("python3") {
        return;
    }
    let fake = Fake::new(&state(Some(1)));
    let mut deaf = Running::start(
        Command::new("python3")
            .args(["-c", DEAF])
            .current_dir(fake.directory())
            .stdin(Stdio::null()),
    );
    deaf.until_said("listening");
    let began = Instant::now();
    for words in [["ps"].as_slice(), &["exec", "a", "true"], &["events", "-f"]] {
        let done = fake.lab.run(words);
        assert!(done.err.contains("does not answer"), "{words:?}: {}", done.err);
    }
    // Whoever takes connections but does not hold the lock is not killed.
    fake.lab.run(["down"]).refused(1, &["no supervisor"]);
    assert!(began.elapsed() < 5 * PROMPT && !deaf.is_over());
    // Stopped, it does not even take connections; the queue of such a one fills up.
    deaf.signal(Signal::SIGSTOP);
    let path = fake.directory().join("control.sock");
    let mut held = Vec::new();
    eventually("a full queue", || {
        let stream = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        stream.set_nonblocking(true).unwrap();
        let full = stream.connect(&socket2::SockAddr::unix(&path).unwrap()).is_err();
        held.push(stream);
        full.then_some(())
    });
    fake.lab.run(["ps"]).refused(1, &["does not answer"]);
}

/// Reads one frame.
fn read_frame(stream: &UnixStream) -> Option<(Value, Vec<OwnedFd>)> {
    let mut assembler = Assembler::default();
    loop {
        if let Some(frame) = assembler.frame().ok()? {
            return Some((serde_json::from_slice(&frame.bytes).ok()?, frame.fds));
        }
        if assembler.read(stream).ok()? == Received::End {
            return None;
        }
    }
}

#[test]
fn a_supervisor_of_another_version() {
    // One from before there were versions hangs up on what it does not understand; one of later times says so.
    for (protocol, answer) in [
        (None, None),
        (
            Some(7),
            Some(json!({ "failed": {
                "code": "NotReady", "message": "lab pair was started by another version of nslab: 7", "detail": null,
                "help": "nslab down pair" } })),
        ),
        (Some(7), Some(json!({ "new-kind-of-answer": 1 }))),
    ] {
        let fake = Fake::new(&state(protocol));
        let listener = UnixListener::bind(fake.directory().join("control.sock")).unwrap();
        let mut end = Running::start(Command::new("sleep").arg("infinity").stdin(Stdio::null()));
        let pidfd = nslab::kernel::process::pidfd(end.pid().as_raw()).unwrap();
        let heard = std::thread::spawn(move || {
            let mut heard = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let Some((request, _)) = read_frame(&stream) else {
                    continue;
                };
                if request == "down" {
                    message::send(&stream, b"\"done\"", &[pidfd.as_fd()]).unwrap();
                    return heard;
                }
                heard.push(request);
                if let Some(answer) = &answer {
                    let bytes = serde_json::to_vec(answer).unwrap();
                    message::send(&stream, &bytes, &[] as &[OwnedFd]).unwrap();
                }
            }
            heard
        });
        for words in [["ps"].as_slice(), &["restart", "a"], &["events"]] {
            fake.lab
                .run(words)
                .refused(1, &["started by another version of nslab", "nslab down pair"]);
        }
        // `down` is understood by all.
        let mut down = fake.lab.start(["down"]);
        let heard = heard.join().unwrap();
        assert!(heard.iter().all(|request| request["protocol"] == 1), "{heard:?}");
        end.signal(Signal::SIGKILL);
        end.wait();
        assert_eq!(down.wait().out, "lab pair is down\n");
    }
}

fn connect(lab: &Lab) -> UnixStream {
    let directory = File::open(lab.run_directory().join("pair")).unwrap();
    let stream = UnixStream::connect(nslab::run::client::through(&directory, "control.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn say(stream: &UnixStream, words: &str) {
    message::send(stream, words.as_bytes(), &[] as &[OwnedFd]).unwrap();
}

#[test]
fn commands_of_another_version() {
    let lab = Lab::up(PAIR);
    for words in [
        r#""status""#,
        r#"{"enter":{"node":"a"}}"#,
        r#"{"protocol":2,"request":"status"}"#,
        r#"{"protocol":99,"request":{"fly":{"to":"moon"}}}"#,
    ] {
        let stream = connect(&lab);
        say(&stream, words);
        let (answer, _) = read_frame(&stream).unwrap();
        let message = answer["failed"]["message"].as_str().unwrap();
        assert!(message.contains("another version of nslab"), "{message}");
    }
    let traces = lab.traces("pair");
    let stream = connect(&lab);
    say(&stream, r#""down""#);
    let (answer, fds) = read_frame(&stream).unwrap();
    assert_eq!((answer, fds.len()), (Value::from("done"), 1));
    traces.gone();
}

/// Whether the other side has closed a connection.
fn is_closed(mut stream: &UnixStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
}

#[test]
fn clients_that_do_not_behave() {
    let lab = Lab::up(PAIR);
    let answers = |what: &str| {
        let began = Instant::now();
        lab.ok(["ps"]);
        lab.ok(["exec", "a", "true"]);
        assert!(
            began.elapsed() < PROMPT,
            "with {what} it took {:?}",
            began.elapsed()
        );
    };
    // Nonsense that ends the connection.
    let header = |length: u32, fds: u32| [length.to_ne_bytes(), fds.to_ne_bytes()].concat();
    let file = File::open("/dev/null").unwrap();
    let rejected: [(&str, Vec<u8>); 5] = [
        ("a frame that is too long", header(17 << 20, 0)),
        ("a frame of 4 GiB", header(u32::MAX, 0)),
        ("too many descriptors", header(2, u32::MAX)),
        ("no frame at all", vec![0xff; 4096]),
        (
            "a descriptor that never comes",
            [header(2, 1), b"{}".to_vec()].concat(),
        ),
    ];
    for (what, bytes) in &rejected {
        let mut stream = connect(&lab);
        stream.write_all(bytes).unwrap();
        until(&format!("the end of a connection with {what}"), || {
            is_closed(&stream)
        });
    }
    let stream = connect(&lab);
    message::send(&stream, b"{}", &[&file, &file]).unwrap();
    until("the end of a connection with descriptors", || is_closed(&stream));
    // Nonsense that is answered.
    for words in [
        "",
        "{",
        "null",
        &"[".repeat(100_000),
        r#"{"protocol":1,"request":{"enter":5}}"#,
    ] {
        let stream = connect(&lab);
        say(&stream, words);
        let (answer, _) = read_frame(&stream).unwrap();
        let message = answer["failed"]["message"].as_str().unwrap();
        assert!(
            message.contains("no request") || message.contains("version"),
            "{message}"
        );
    }
    answers("nonsense");
    // Half of a frame: those who begin have to come to an end.
    let half: Vec<UnixStream> = (0..50)
        .map(|_| {
            let mut stream = connect(&lab);
            stream.write_all(&header(1000, 0)).unwrap();
            stream.write_all(b"{\"protocol\":1").unwrap();
            stream
        })
        .collect();
    answers("half a frame");
    until("the end of those who do not go on", || half.iter().all(is_closed));
    // Those who never read, who ask for everything and follow.
    let deaf: Vec<UnixStream> = (0..50)
        .map(|_| {
            let stream = connect(&lab);
            say(&stream, r#"{"protocol":1,"request":{"events":{"follow":true}}}"#);
            stream
        })
        .collect();
    for _ in 0..5 {
        lab.ok(["restart", "b"]);
    }
    answers("clients that do not read");
    drop(deaf);
    // More than a lab takes, who say nothing.
    let idle: Vec<UnixStream> = (0..700).map(|_| connect(&lab)).collect();
    answers("idle clients");
    until("the end of the first that said nothing", || is_closed(&idle[0]));
    drop(idle);
    answers("nobody");
    let traces = lab.traces("pair");
    lab.ok(["down"]);
    traces.gone();
}

#[test]
fn what_takes_long_is_waited_for() {
    // Longer than a supervisor that answers at once may be silent.
    let slow =
        "name = \"slow\"\n[nodes.a]\nkind = \"host\"\nexec = [\"sleep 6\"]\n[nodes.b]\nkind = \"host\"\n";
    let lab = Lab::new(slow);
    let mut up = lab.start(["up", "-d", lab.file()]);
    lab.supervisor("slow");
    // It answers before it is ready, and whoever follows is not told that it does not.
    let mut following = eventually("an answer", || {
        let mut following = lab.start(["events", "-f"]);
        until("a word", || following.is_over() || !following.out().is_empty());
        (!following.is_over()).then_some(following)
    });
    up.wait().expect(0);
    lab.ok(["restart", "a"]);
    assert!(!following.is_over());
    lab.ok(["down"]);
    following.wait().expect(0);
}
