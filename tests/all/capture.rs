//! Captures of living labs: what is in them, what they cost, and what becomes of them when something goes wrong.

use crate::common;
use crate::rootless::{User, can};

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::process::Command;

use common::{Done, Lab, PAIR, Running, has, run, until};
use nix::sys::signal::Signal;
use nslab::capture::filter::Direction;
use nslab::capture::pcapng::{self, Block, PacketRead};
use serde_json::Value;

/// A capture that has begun.
pub fn begun(lab: &Lab, words: &[&str]) -> Running {
    let mut capture = lab.start([&["capture"], words].concat());
    capture.until_said("capturing on");
    capture
}

/// Ends it as Ctrl-C does.
#[track_caller]
pub fn ended(mut capture: Running) -> Done {
    capture.signal(Signal::SIGINT);
    capture.wait()
}

pub fn text_path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What nslab's own reader finds: names of interfaces, packets, packets lost, comments that stand at the end.
pub struct Found {
    pub interfaces: Vec<String>,
    pub packets: Vec<PacketRead>,
    pub last: Vec<String>,
    pub has_end: bool,
}

pub fn read(path: &Path) -> Found {
    let bytes = fs::read(path).unwrap();
    let mut found = Found {
        interfaces: Vec::new(),
        packets: Vec::new(),
        last: Vec::new(),
        has_end: false,
    };
    for block in pcapng::read(&bytes).unwrap() {
        match block {
            Block::Section { .. } => {}
            Block::Interface { name, .. } => found.interfaces.push(name),
            Block::Packet(packet) => found.packets.push(packet),
            Block::Statistics { comments, .. } => {
                found.last.extend(comments);
                found.has_end = true;
            }
        }
    }
    found
}

/// What tshark finds: the fields of each packet.
fn tshark(path: &Path, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command
        .arg("-r")
        .arg(path)
        .args(["-T", "fields", "-E", "separator=;"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let lines = run(&mut command).expect(0);
    lines
        .lines()
        .map(|line| line.split(';').map(str::to_owned).collect())
        .collect()
}

#[test]
fn one_file_has_all_ends_in_order_and_what_happened() {
    let lab = Lab::up(PAIR);
    let file = lab.path("x.pcapng");
    let capture = begun(&lab, &["*", "--filter", "icmp", "-w", text_path(&file)]);
    lab.sh("a", "ping -c1 -W5 10.0.0.2");
    lab.sh("a", "ip link set eth0 down && ip link set eth0 up");
    until("the events", || lab.ok(["events"]).contains("eth0 is up"));
    lab.sh("a", "ping -c2 -i0.2 -W5 10.0.0.2");
    let done = ended(capture);
    assert_eq!((done.code, done.out.as_str()), (0, ""));
    assert!(done.err.contains("12 packets, 0 lost"), "{}", done.err);

    let found = read(&file);
    assert_eq!(found.interfaces, ["a:eth0", "b:eth0"]);
    let ways: Vec<_> = found
        .packets
        .iter()
        .map(|it| (it.interface, it.direction.unwrap()))
        .collect();
    let there = [
        (0, Direction::Out),
        (1, Direction::In),
        (1, Direction::Out),
        (0, Direction::In),
    ];
    assert_eq!(ways, there.repeat(3));
    assert!(found.packets.is_sorted_by_key(|it| it.time));
    let comments: Vec<_> = found.packets.iter().map(|it| it.comments.join("\n")).collect();
    assert!(comments[4].contains("a: eth0 is down"), "{comments:?}");
    assert!(comments[4].contains("eth0 has no carrier"), "{comments:?}");
    assert!(
        comments
            .iter()
            .enumerate()
            .all(|(at, it)| at == 4 || it.is_empty()),
        "{comments:?}"
    );

    if !has("tshark") {
        return;
    }
    let fields = [
        "frame.interface_name",
        "frame.packet_flags_direction",
        "icmp.type",
        "frame.comment",
    ];
    let seen = tshark(&file, &fields);
    assert_eq!(seen.len(), 12);
    assert_eq!(seen[0][..3], ["a:eth0", "0x00000002", "8"]);
    assert_eq!(seen[1][..3], ["b:eth0", "0x00000001", "8"]);
    assert!(seen[4][3].contains("a: eth0 is down"), "{seen:?}");
    let facts = run(Command::new("capinfos").arg(&file)).expect(0);
    for fact in [
        "nanoseconds (9)",
        "Strict time order:   True",
        "Name = a:eth0",
        "Filter string = icmp",
        "Capture comment:     lab pair",
    ] {
        assert!(facts.contains(fact), "no {fact:?} in\n{facts}");
    }
}

#[test]
fn lines_tell_packets_and_events() {
    let lab = Lab::up(PAIR);
    let capture = begun(&lab, &["a:eth0", "--filter", "icmp and dst host 10.0.0.2"]);
    lab.sh("a", "ping -c1 -W5 10.0.0.2; ip link set lo down");
    until("the event", || lab.ok(["events"]).contains("lo is down"));
    let out = ended(capture).expect(0);
    let lines: Vec<&str> = out.lines().collect();
    assert!(
        lines[0].contains("a:eth0 out 10.0.0.1 > 10.0.0.2 ICMP echo request 1 length 98"),
        "{out}"
    );
    assert!(lines[1].contains("-- a: lo is down"), "{out}");
    assert_eq!(lines.len(), 2);

    // For programs.
    let mut capture = begun(
        &lab,
        &[
            "b:*",
            "--count",
            "2",
            "--format",
            "json",
            "--no-events",
            "--snaplen",
            "60",
            // IPv6 speaks when it likes.
            "--filter",
            "arp or icmp",
        ],
    );
    lab.sh("a", "ip neigh flush all; ping -c1 -W5 10.0.0.2");
    let out = capture.wait().expect(0);
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert_eq!(lines[0]["protocol"], "ARP");
    assert_eq!(lines[0]["direction"], "in");
    assert_eq!(lines[0]["interface"], "b:eth0");
    assert_eq!(lines[2]["packets"], 2);
    assert_eq!(lines[2]["interfaces"][0]["lost"], 0);
    // What is in the file may be bounded.
    let file = lab.path("bounded");
    let mut capture = begun(&lab, &["*", "--max-size", "20K", "-w", text_path(&file)]);
    lab.sh("a", "ping -q -f -s 1000 -c 100 -w 50 10.0.0.2");
    assert!(capture.wait().err.contains("has the size it may have"));
    let size = fs::metadata(&file).unwrap().len();
    assert!((18_000..=20 << 10).contains(&size), "{size}");
    assert!(read(&file).has_end);
    // And without a packet, it ends in time.
    let done = lab.run([
        "capture",
        "a:eth0",
        "--filter",
        "tcp port 1",
        "--duration",
        "100ms",
    ]);
    assert_eq!((done.code, done.out.as_str()), (0, ""));
}

#[test]
fn a_short_snaplen_keeps_heads_and_tells_lengths() {
    let lab = Lab::up(PAIR);
    let file = lab.path("x");
    let capture = begun(
        &lab,
        &[
            "a:eth0",
            "--filter",
            "icmp",
            "--snaplen",
            "60",
            "-w",
            text_path(&file),
        ],
    );
    lab.sh("a", "ping -c1 -W5 -s 1000 10.0.0.2");
    ended(capture).expect(0);
    let packets = read(&file).packets;
    let sizes: Vec<_> = packets.iter().map(|it| (it.bytes.len(), it.length)).collect();
    assert_eq!(sizes, [(60, 1042); 2]);
}

#[test]
fn what_is_not_meant_or_wrong_is_refused_before_anything_is_made() {
    let lab = Lab::up(PAIR);
    let file = lab.path("none");
    for (words, code, said) in [
        (
            &["a:eth9"][..],
            2,
            &["a has no interface \"eth9\"", "did you mean `eth0`?"][..],
        ),
        (&["c:eth0"], 2, &["no node \"c\""]),
        (&["a"], 2, &["a:* means all of a node's"]),
        (&["*:eth7"], 2, &["no node of lab pair has an interface \"eth7\""]),
        (
            &["a:eth0", "--filter", "host b"],
            2,
            &["names of hosts and networks are not looked up", "     ^"],
        ),
        (&["a:eth0", "--filter", "tcp prot 5"], 2, &["did you mean proto?"]),
        (
            &["a:eth0", "--filter", "port 80 or gateway 10.0.0.1"],
            2,
            &["\"gateway\" is not supported"],
        ),
        (&["a:eth0", "--filter", "ip and arp"], 2, &["matches no packet"]),
        (&["a:eth0", "--snaplen", "0"], 2, &["14..=262144"]),
        (&["a:eth0", "--count", "0"], 2, &["0 is not in"]),
        (&[], 2, &["<NODE:INTERFACE>"]),
    ] {
        let mut all = vec!["capture"];
        all.extend(words);
        all.extend(["-w", text_path(&file)]);
        lab.run(all).refused(code, said);
    }
    let deep = "(".repeat(10_000);
    let long = "port 1 or ".repeat(10_000);
    let escape = "host \u{1b}]0;x\u{7}";
    for filter in [deep.as_str(), &long, escape, "\\", "ip[", "-", "tcp[0:", "😀"] {
        let done = lab.run([
            "capture",
            "a:eth0",
            &format!("--filter={filter}"),
            "-w",
            text_path(&file),
        ]);
        assert_eq!(done.code, 2, "{filter:.40}: {}", done.err);
        assert!(
            !done.err.contains('\u{1b}') && done.err.len() < 1000,
            "{}",
            done.err
        );
    }
    assert!(!file.exists());
    if has("script") {
        let nslab = env!("CARGO_BIN_EXE_nslab");
        let line = format!("{nslab} capture a:eth0 -w -");
        let done = run(lab.command("script").args(["-qec", &line, "/dev/null"]));
        assert_eq!(done.code, 2);
        assert!(done.out.contains("nothing for a terminal"), "{}", done.out);
    }
}

#[test]
fn files_follow_the_rules_of_files() {
    let lab = Lab::up(PAIR);
    let (file, link) = (lab.path("x"), lab.path("link"));
    fs::write(&file, "old").unwrap();
    symlink(&file, &link).unwrap();
    lab.run(["capture", "a:eth0", "-w", text_path(&link)])
        .refused(2, &["symbolic link"]);
    lab.run(["capture", "a:eth0", "-w", text_path(&lab.path(""))])
        .refused(2, &["a directory"]);
    lab.run(["capture", "a:eth0", "-w", "/nosuch/x"])
        .refused(3, &["No such file"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    let words = ["capture", "a:eth0", "--duration", "10ms", "-w", text_path(&file)];
    let mut command = lab.nslab(words);
    command.env("SUDO_UID", "1234").env("SUDO_GID", "1234");
    run(&mut command).expect(0);
    let facts = fs::metadata(&file).unwrap();
    assert_eq!((facts.uid(), facts.gid()), (1234, 1234));
    assert_eq!(read(&file).interfaces, ["a:eth0"]);
    // It is there while the capture goes on, and whole.
    let capture = begun(&lab, &["a:eth0", "-w", text_path(&file)]);
    lab.sh("a", "ping -c1 -W5 10.0.0.2");
    until("packets in the file", || {
        pcapng::read(&fs::read(&file).unwrap()).is_ok_and(|blocks| blocks.len() > 3)
    });
    ended(capture).expect(0);
    assert!(read(&file).has_end);
}

/// Sends a frame with a VLAN tag, as it is.
const TAGGED: &str = r#"
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
ip = bytes.fromhex("450000200001000040110000") + bytes([10, 2, 0, 1, 10, 2, 0, 2])
s.send(bytes.fromhex("ffffffffffff02000000000181000005") + b"\x08\x00" + ip + bytes.fromhex("0035003500080000") + bytes(40))
"#;

#[test]
fn tags_are_where_they_were() {
    let lab = Lab::up(PAIR);
    let file = lab.path("x");
    // Among the bytes where it leaves; where it arrives the kernel has it beside the packet.
    for (filter, count) in [
        ("vlan 5 and udp port 53", 2),
        ("vlan and src host 10.2.0.1", 2),
        ("vlan 6", 0),
        ("vlan and vlan", 0),
    ] {
        let capture = begun(&lab, &["*", "--filter", filter, "-w", text_path(&file)]);
        lab.ok(["exec", "a", "python3", "-c", TAGGED]);
        ended(capture).expect(0);
        let packets = read(&file).packets;
        assert_eq!(packets.len(), count, "{filter}");
        for packet in packets {
            assert_eq!(packet.bytes[12..19], [0x81, 0, 0, 5, 8, 0, 0x45], "{filter}");
            assert_eq!((packet.bytes.len(), packet.length), (86, 86));
        }
    }
    let capture = begun(&lab, &["b:eth0", "--filter", "vlan 5"]);
    lab.ok(["exec", "a", "python3", "-c", TAGGED]);
    let out = ended(capture).expect(0);
    assert!(
        out.contains("b:eth0 in  10.2.0.1:53 > 10.2.0.2:53 vlan 5 DNS 0 bytes"),
        "{out}"
    );
}

/// Makes an interface without an Ethernet header, and has packets arrive at it.
const TUN: &str = r#"
import fcntl, os, struct, subprocess, time
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack("16sH22x", b"tun9", 0x1001))
subprocess.run(["ip", "link", "set", "tun9", "up"], check=True)
print("made", flush=True)
while True:
    ip = bytes.fromhex("450000200001000040110000") + bytes([10, 2, 0, 1, 10, 2, 0, 2])
    os.write(tun, ip + bytes.fromhex("00350035000c000061626364"))
    time.sleep(0.02)
"#;

#[test]
fn tunnels_have_no_ethernet() {
    let lab = Lab::up(PAIR);
    let mut tun = lab.start(["exec", "a", "python3", "-c", TUN]);
    tun.until_said("made");
    let file = lab.path("x");
    let filter = "udp port 53 and ip[20:2] = 53 and len = 32";
    let words = [
        "capture",
        "a:tun9",
        "a:eth0",
        "--filter",
        filter,
        "--count",
        "3",
        "-w",
        text_path(&file),
    ];
    lab.ok(words);
    let found = read(&file);
    assert_eq!(found.interfaces, ["a:tun9", "a:eth0"]);
    for packet in &found.packets {
        assert_eq!((packet.interface, packet.bytes[0], packet.length), (0, 0x45, 32));
    }
    if has("tshark") {
        let seen = tshark(&file, &["frame.interface_name", "ip.src", "udp.dstport"]);
        assert_eq!(seen, vec![vec!["a:tun9", "10.2.0.1", "53"]; 3]);
    }
    let out = lab.ok(["capture", "a:tun9", "--count", "1"]);
    assert!(
        out.contains("a:tun9 in  10.2.0.1:53 > 10.2.0.2:53 DNS 4 bytes length 32"),
        "{out}"
    );
    // Of what has no Ethernet header nothing is asked that is in one, and no file is touched then.
    let before = fs::read(&file).unwrap();
    let words = [
        "a:eth0",
        "a:tun9",
        "--filter",
        "ether host 02:00:00:00:00:01",
        "-w",
        text_path(&file),
    ];
    lab.run([&["capture"][..], &words].concat())
        .refused(2, &["no Ethernet header", "a:tun9"]);
    assert!(fs::read(&file).unwrap() == before);
    let names = fs::read_dir(lab.path(""))
        .unwrap()
        .map(|it| it.unwrap().file_name());
    assert!(
        names
            .into_iter()
            .all(|name| !name.to_str().unwrap().starts_with(".nslab"))
    );
}

#[test]
fn interfaces_are_offered_to_shells() {
    let lab = Lab::up(PAIR);
    let offered = |word: &str| {
        let mut command = lab.nslab(["--", "nslab", "capture", word]);
        command
            .env("NSLAB_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", "2")
            .env("_CLAP_COMPLETE_COMP_TYPE", "9")
            .env("_CLAP_IFS", " ");
        run(&mut command).expect(0).trim().to_owned()
    };
    assert_eq!(offered("a"), "a:");
    assert_eq!(offered("b:e"), "b:eth0");
}

#[test]
fn users_capture_their_own_labs() {
    if !can() {
        return;
    }
    let user = User::new(PAIR);
    user.ok("nslab up -d $FILE >&2");
    let file = user.own().join("x");
    let line = "nslab exec a -- ping -i 0.2 -w 30 10.0.0.2 >&2 & \
        nslab capture a:eth0 b:eth0 --filter icmp --count 4 -w $TEST/user/x; code=$?; kill $!; wait; exit $code";
    user.ok(line);
    assert_eq!(read(&file).packets.len(), 4);
    let (own, found) = (fs::metadata(user.own()).unwrap(), fs::metadata(&file).unwrap());
    assert_eq!((found.uid(), found.gid()), (own.uid(), own.gid()));
    user.ok("nslab down");
    until("the end of all processes", || user.processes().is_empty());
}
