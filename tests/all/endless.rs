//! What has no end or is no file is refused or read up to a length, and never waited for.

use crate::common;
use crate::common::host;

use std::time::{Duration, Instant};

use common::{Done, Lab};
use host::do_aside;

const NODE: &str = "name = \"endless\"\n[nodes.a]\nkind = \"router\"\n";
/// Longer than any of this takes.
const SOON: Duration = Duration::from_secs(20);

#[track_caller]
fn refused(lab: &Lab, words: [&str; 3], said: &[&str]) {
    let began = Instant::now();
    lab.run(words.into_iter().filter(|word| !word.is_empty()))
        .refused(2, said);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

/// A FIFO beside the lab file, to which nobody writes, a socket and a sparse file.
fn prepare(lab: &Lab) {
    let fifo = lab.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::net::UnixListener::bind(lab.path("socket")).unwrap();
    let huge = std::fs::File::create(lab.path("huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
}

#[test]
fn files_that_are_copied_are_regular() {
    for (from, what) in [
        ("/dev/zero", "a device"),
        ("fifo", "a FIFO"),
        ("socket", "a socket"),
        ("/dev/tty", "a device"),
    ] {
        let lab = Lab::new(&format!("{NODE}files = {{ \"/x\" = {{ from = \"{from}\" }} }}\n"));
        prepare(&lab);
        for verb in ["validate", "up"] {
            refused(&lab, [verb, lab.file(), ""], &[what, "binds"]);
        }
    }
}

#[test]
fn configurations_that_are_no_regular_files_are_told_and_not_waited_for() {
    for (source, what) in [
        ("fifo", "is a FIFO"),
        ("socket", "is a socket"),
        ("/dev/zero", "is a device"),
        ("huge", "is longer than"),
    ] {
        let lab = Lab::new(&format!(
            "{NODE}binds = [\"{source}:/etc/frr/frr.conf\", \"{source}:/etc/frr/daemons\"]\nexec = [\"/usr/lib/frr/frrinit.sh start\"]\n"
        ));
        prepare(&lab);
        let began = Instant::now();
        let done = lab.run(["validate", lab.file()]);
        assert!(began.elapsed() < SOON, "{source}: {:?}", began.elapsed());
        assert_eq!(done.err.matches(what).count(), 1, "{source}: {done:?}");
        assert!(done.err.contains("not looked at"), "{source}: {done:?}");
    }
}

#[test]
fn a_file_larger_than_the_disk_is_told() {
    let lab = Lab::new(&format!(
        "{NODE}limits = {{ disk = \"8M\" }}\nfiles = {{ \"/x\" = {{ from = \"huge\" }} }}\n"
    ));
    prepare(&lab);
    let began = Instant::now();
    let done = lab.run(["up", "-d", lab.file()]);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.err.contains("/x") && done.err.contains("disk"), "{done:?}");
    assert!(began.elapsed() < SOON);
}

#[test]
fn what_reads_no_content_shows_anything() {
    let lab = Lab::new(&format!(
        "{NODE}binds = [\"fifo:/fifo\", \"socket:/socket\", \"/dev/zero:/zero\"]\nfiles = {{ \"/null\" = {{ from = \"/dev/null\" }}, \"/fifo2\" = {{ content = \"x\" }} }}\n"
    ));
    prepare(&lab);
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(
        lab.sh(
            "a",
            "test -p /fifo -a -S /socket -a -c /zero -a -f /null && wc -c < /null"
        ),
        "0\n"
    );
}

#[test]
fn directories_are_copied_with_what_is_in_them() {
    let lab = Lab::new(&format!("{NODE}files = {{ \"/d\" = {{ from = \"d\" }} }}\n"));
    let inside = lab.path("d/below");
    std::fs::create_dir_all(&inside).unwrap();
    std::os::unix::fs::symlink("..", inside.join("round")).unwrap();
    nix::unistd::mkfifo(&inside.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::write(inside.join("large"), vec![b'x'; 40 << 20]).unwrap();
    lab.ok(["up", "-d", lab.file()]);
    let line = "test -p /d/below/fifo && readlink /d/below/round && wc -c < /d/below/large";
    assert_eq!(lab.sh("a", line), "..\n41943040\n");
}

#[test]
fn configurations_and_manifests_are_files() {
    for path in ["/dev/zero", "fifo", "huge"] {
        let words: &[&str] = match path {
            "/dev/zero" => &["a device, not a file"],
            "huge" => &["longer than 16 MiB"],
            _ => &["pipe"],
        };
        let config = Lab::new(&format!("{NODE}config = {{ file = \"{path}\" }}\n"));
        let manifests = Lab::new(&format!(
            "name = \"endless\"\n[cilium]\nmanifests = [\"{path}\"]\n[nodes.a]\nkind = \"k8s\"\n"
        ));
        for lab in [config, manifests] {
            prepare(&lab);
            let began = Instant::now();
            lab.run(["validate", lab.file()]).refused(2, words);
            assert!(began.elapsed() < SOON * 2, "{:?}", began.elapsed());
        }
    }
}

#[test]
fn a_lab_file_is_read_from_a_pipe_and_not_waited_for_without_end() {
    let lab = Lab::new(NODE);
    prepare(&lab);
    refused(&lab, ["validate", "/dev/zero", ""], &["a device, not a file"]);
    let huge = lab.path("huge").display().to_string();
    refused(&lab, ["validate", &huge, ""], &["longer than 16 MiB"]);
    let fifo = lab.path("fifo").display().to_string();
    let began = Instant::now();
    lab.run(["validate", &fifo])
        .refused(2, &["did not end within 10 s"]);
    assert!(began.elapsed() < Duration::from_secs(40));
    let fed: Done = lab.feed(["validate", "/dev/stdin"], NODE.as_bytes());
    assert_eq!(fed.code, 0, "{fed:?}");
    let endless = do_aside(&lab, "yes | $NSLAB validate /dev/stdin");
    endless.refused(2, &["longer than 16 MiB"]);
}
