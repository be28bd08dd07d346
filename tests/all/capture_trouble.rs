//! Captures when something goes wrong: readers that stop, disks that are full, kills, labs and links that go.

use crate::capture::{begun, ended, read, text_path};
use crate::common;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::{Lab, PAIR, Running, until};
use nix::sys::signal::Signal;
use nslab::capture::pcapng::{self, Block};

/// Sends much more than a capture has room for.
fn flood(lab: &Lab) {
    lab.sh("a", "ping -q -f -s 60000 -c 1500 -w 50 10.0.0.2");
}

#[test]
fn a_reader_that_stops_loses_packets_and_is_told() {
    let lab = Lab::up(PAIR);
    let mut command = lab.nslab(["capture", "*", "-w", "-"]);
    let errors = lab.path("errors");
    let mut capture = command
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let said = |words: &str| fs::read_to_string(&errors).unwrap().contains(words);
    until("the capture", || said("capturing on"));
    // Nobody reads, and the lab goes on.
    flood(&lab);
    flood(&lab);
    until("that packets are lost", || {
        said("what reads the capture does not keep up")
    });
    // Who reads again gets whole blocks, and how many are missing.
    let mut bytes = Vec::new();
    let mut out = capture.stdout.take().unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(capture.id().cast_signed()),
        Signal::SIGINT,
    )
    .unwrap();
    out.read_to_end(&mut bytes).unwrap();
    assert_eq!(
        capture.wait().unwrap().code(),
        Some(0),
        "{}",
        fs::read_to_string(&errors).unwrap()
    );
    let blocks = pcapng::read(&bytes).unwrap();
    let lost: u64 = blocks
        .iter()
        .filter_map(|it| match it {
            Block::Statistics { dropped, .. } => Some(*dropped),
            _ => None,
        })
        .sum();
    assert!(lost > 1000 && said(&format!("{lost} lost")), "{lost}");
}

#[test]
fn a_reader_that_never_comes_back_or_has_gone_holds_up_nothing() {
    let lab = Lab::up(PAIR);
    let errors = lab.path("errors");
    let start = || {
        let mut command = lab.nslab(["capture", "*", "-w", "-"]);
        command
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&errors).unwrap());
        let capture = command.spawn().unwrap();
        until("the capture", || {
            fs::read_to_string(&errors).unwrap().contains("capturing on")
        });
        capture
    };
    let mut capture = start();
    flood(&lab);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(capture.id().cast_signed()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(capture.wait().unwrap().code(), Some(1));
    let said = fs::read_to_string(&errors).unwrap();
    assert!(said.contains("bytes did not arrive"), "{said}");

    let mut capture = start();
    let mut out = BufReader::new(capture.stdout.take().unwrap());
    assert!(!out.fill_buf().unwrap().is_empty());
    drop(out);
    lab.sh("a", "ping -c3 -i0.2 -W5 10.0.0.2");
    assert_eq!(capture.wait().unwrap().code(), Some(1));
    let said = fs::read_to_string(&errors).unwrap();
    assert_eq!(said, "capturing on 2 interfaces of lab pair\n");
}

#[test]
fn a_full_disk_ends_it_with_a_file_that_can_be_read() {
    let lab = Lab::up(PAIR);
    let (small, copy) = (lab.path("small"), lab.path("copy"));
    fs::create_dir(&small).unwrap();
    let nslab = env!("CARGO_BIN_EXE_nslab");
    let line = format!(
        "mount -t tmpfs -o size=64k none {0} && {{ {nslab} capture '*' -w {0}/x; code=$?; cp {0}/x {1}; exit $code; }}",
        small.display(),
        copy.display()
    );
    let mut capture = Running::start(lab.command("unshare").args(["-m", "sh", "-c", &line]));
    capture.until_said("capturing on");
    lab.sh("a", "ping -q -f -s 1000 -c 200 -w 50 10.0.0.2");
    let done = capture.wait();
    assert!(
        done.err.contains("what was written before that can be read"),
        "{}",
        done.err
    );
    done.refused(3, &["cannot write the capture", "No space left"]);
    let found = read(&copy);
    assert!(
        found.packets.len() > 20 && !found.has_end,
        "{}",
        found.packets.len()
    );

    // A limit of size is no other.
    let line = format!("ulimit -f 32; exec {nslab} capture '*' -w {}", copy.display());
    let mut capture = Running::start(lab.command("bash").args(["-c", &line]));
    capture.until_said("capturing on");
    lab.sh("a", "ping -q -f -s 1000 -c 200 -w 50 10.0.0.2");
    capture.wait().refused(3, &["File too large"]);
    assert!(read(&copy).packets.len() > 10);
}

/// The packet sockets of a node.
fn sockets(lab: &Lab, node: &str) -> usize {
    lab.sh(node, "cat /proc/net/packet").lines().count() - 1
}

#[test]
fn a_killed_capture_leaves_nothing_and_a_lab_that_goes_ends_it() {
    let lab = Lab::up(PAIR);
    let file: PathBuf = lab.path("x");
    let before = sockets(&lab, "a");
    let mut capture = begun(&lab, &["a:eth0", "b:eth0", "-w", text_path(&file)]);
    assert_eq!(sockets(&lab, "a"), before + 1);
    lab.sh("a", "ping -c1 -W5 10.0.0.2");
    until("packets in the file", || {
        fs::metadata(&file).unwrap().len() > 1000
    });
    capture.signal(Signal::SIGKILL);
    assert_eq!(capture.wait().code, -9);
    assert_eq!(sockets(&lab, "a"), before);
    assert!(!read(&file).packets.is_empty());

    let mut capture = begun(&lab, &["*", "-w", text_path(&file)]);
    let traces = lab.traces("pair");
    lab.ok(["down"]);
    let done = capture.wait();
    assert!(done.err.contains("the lab is over"), "{}", done.err);
    done.expect(0);
    let found = read(&file);
    let all: Vec<&String> = found
        .packets
        .iter()
        .flat_map(|it| &it.comments)
        .chain(&found.last)
        .collect();
    assert!(
        all.iter().any(|it| it.contains("the lab is taken down")),
        "{all:?}"
    );
    lab.swept(&traces);
}

#[test]
fn a_node_that_restarts_and_links_that_go_do_not_end_it() {
    let lab = Lab::up(PAIR);
    let capture = begun(
        &lab,
        &["a:eth0", "b:eth0", "--filter", "icmp[icmptype] = icmp-echo"],
    );
    lab.ok(["restart", "a"]);
    lab.sh("a", "ping -c1 -W5 10.0.0.2");
    lab.sh(
        "b",
        "ip link add gone0 type veth peer gone1 && ip link set gone0 up",
    );
    let mut gone = begun(&lab, &["b:gone0"]);
    lab.sh("b", "ip link delete gone0");
    lab.sh("a", "ping -c1 -W5 10.0.0.2");
    assert!(!gone.is_over());
    ended(gone).expect(0);
    let out = ended(capture).expect(0);
    assert_eq!(out.matches("ICMP echo request").count(), 4, "{out}");
    assert!(out.contains("-- a: is started again"), "{out}");
}

#[test]
fn labs_whose_checks_fail_keep_a_capture() {
    let text = PAIR.replacen("name = \"pair\"", "name = \"pair\"\ncapture = true", 1);
    let check = |to: &str| {
        format!("[[checks]]\nname = \"a reaches {to}\"\nnode = \"a\"\nping = \"{to}\"\nwithin = \"1s\"\n")
    };
    let failing = Lab::new(&(text.clone() + &check("10.0.0.2") + &check("10.0.0.9")));
    let logs = failing.path("logs");
    let words = ["test", "--logs", text_path(&logs), failing.file()];
    failing.run(words).expect(1);
    let file = logs.join("pair/capture.pcapng");
    let found = read(&file);
    assert_eq!(found.interfaces, ["a:eth0", "b:eth0"]);
    assert!(found.has_end);
    // Echo requests in both, and who has 10.0.0.9 in vain.
    let of_type = |kind: u8| {
        found
            .packets
            .iter()
            .filter(|it| it.bytes.get(34) == Some(&kind) && it.bytes[23] == 1)
            .count()
    };
    assert!(of_type(8) >= 2 && of_type(0) >= 2, "{}", found.packets.len());
    assert!(
        found
            .packets
            .iter()
            .any(|it| it.bytes[12..14] == [8, 6] && it.bytes[38..42] == [10, 0, 0, 9])
    );
    assert_eq!(failing.left(), [] as [PathBuf; 0]);

    let passing = Lab::new(&(text + &check("10.0.0.2")));
    let logs = passing.path("logs");
    passing
        .run(["test", "--logs", text_path(&logs), passing.file()])
        .expect(0);
    assert!(!logs.join("pair").exists());
    passing.run(["validate", passing.file()]).expect(0);
    let wrong = Lab::new(&PAIR.replacen("name = \"pair\"", "name = \"pair\"\ncapture = \"yes\"", 1));
    wrong
        .run(["validate", wrong.file()])
        .refused(2, &["capture", "true or false"]);
}

#[test]
fn scenarios_that_fail_keep_a_capture() {
    let scenario = |name: &str, capture: bool, lost: u32| {
        format!(
            "[[scenarios]]\nname = \"{name}\"\nflows = \"f\"\ncapture = {capture}\n\
             steps = [{{ silence = \"a:eth0\" }}, {{ wait = \"300ms\" }}, {{ clear = \"a:eth0\" }}, {{ wait = \"200ms\" }}]\n\
             expect = {{ lost = {lost} }}\n"
        )
    };
    let text = format!(
        "{PAIR}[[flows]]\nname = \"f\"\nfrom = \"a\"\nto = \"b\"\npps = 100\n{}{}{}",
        scenario("it's lost", true, 0),
        scenario("enough", true, 1_000_000),
        scenario("lost and gone", false, 0)
    );
    let kept = |directory: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".pcapng")).collect()
    };
    let lab = Lab::new(&text);
    let logs = lab.path("logs");
    lab.run(["test", "--logs", text_path(&logs), lab.file()])
        .expect(1);
    assert_eq!(kept(&logs.join("pair")), ["scenario-1-it-s-lost.pcapng"]);
    let found = read(&logs.join("pair/scenario-1-it-s-lost.pcapng"));
    assert_eq!(found.interfaces, ["a:eth0", "b:eth0"]);
    assert!(
        found.has_end && found.packets.len() > 10,
        "{}",
        found.packets.len()
    );
    // Of a living lab it is beside the report.
    lab.ok(["up", "-d", lab.file()]);
    let pages = lab.path("pages");
    lab.run(["scenario", "run", "--go-on", "--report", text_path(&pages)])
        .expect(1);
    assert_eq!(kept(&pages), ["scenario-1-it-s-lost.pcapng"]);
}
