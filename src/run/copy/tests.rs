use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::receive::{Destination, Receiver};
use super::remarks::Remarks;
use super::send::send;
use super::stream::{About, Speaker, Word};
use super::*;
use crate::kernel::tree::{Directory, Kind};

fn sent(source: &Path) -> Vec<u8> {
    let mut stream = Vec::new();
    send(source, Trust::Host, &mut stream).unwrap();
    stream
}

/// What is told of a stream that is received into a directory under a name.
fn received(stream: &[u8], into: &Path, name: impl AsRef<OsStr>) -> Remarks {
    let mut told = Remarks::new("a:/x".to_owned());
    told.goes_to(into.display().to_string());
    let directory = Directory::open(into, Trust::Host).unwrap();
    Receiver::new(stream, None, &mut told).receive(&directory, name.as_ref());
    told
}

/// Copies as the two sides do.
fn copied(source: &Path, into: &Path, name: &str) -> Remarks {
    received(&sent(source), into, name)
}

fn two() -> (TempDir, PathBuf, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    fs::create_dir(&from).unwrap();
    fs::create_dir(&to).unwrap();
    (place, from, to)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn mkfifo(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
}

#[test]
fn a_tree_arrives_without_what_has_no_place_on_the_other_side() {
    let (_place, from, to) = two();
    let odd = OsString::from_vec(b"bad\xff\nname\x1b]0;x\x07".to_vec());
    fs::write(from.join(&odd), "odd").unwrap();
    fs::create_dir_all(from.join("deep/empty")).unwrap();
    fs::write(from.join("deep/tool"), "tool").unwrap();
    set_mode(&from.join("deep/tool"), 0o6755);
    set_mode(&from.join("deep"), 0o1777);
    symlink("/nowhere", from.join("deep/link")).unwrap();
    mkfifo(&from.join("deep/fifo"));
    let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
    let told = copied(&from, &to, "x");
    assert!(told.is_whole());
    assert_eq!(
        told.text(),
        "a:/x/deep/fifo is a FIFO; it was left out\na:/x/socket is a socket; it was left out\n"
    );
    let x = to.join("x");
    assert_eq!(fs::read(x.join(&odd)).unwrap(), b"odd");
    assert_eq!(
        (mode(&x.join("deep/tool")), mode(&x.join("deep"))),
        (0o755, 0o777)
    );
    assert_eq!(fs::read_link(x.join("deep/link")).unwrap(), Path::new("/nowhere"));
    assert!(x.join("deep/empty").is_dir() && !x.join("deep/fifo").exists());
    assert_eq!(
        fs::metadata(x.join(&odd)).unwrap().mtime(),
        fs::metadata(from.join(&odd)).unwrap().mtime()
    );
    // A second time over the first.
    fs::write(from.join(&odd), "other").unwrap();
    assert!(copied(&from, &to, "x").is_whole());
    assert_eq!(fs::read(x.join(&odd)).unwrap(), b"other");
}

#[test]
fn what_cannot_be_copied_is_said_at_once() {
    let (_place, from, to) = two();
    mkfifo(&from.join("fifo"));
    for (source, why) in [
        (from.join("fifo"), "a:/x is a FIFO, which cannot be copied"),
        ("/dev/zero".into(), "a:/x is a device, which cannot be copied"),
        (from.join("none"), "a:/x: No such file or directory"),
    ] {
        let told = copied(&source, &to, "x");
        assert!(!told.is_whole());
        assert_eq!(told.text(), format!("{why}\n"));
    }
    let mut stream = Vec::new();
    send(Path::new("/proc/self/root/etc"), Trust::Node, &mut stream).unwrap();
    assert!(received(&stream, &to, "x").text().contains("one of /proc's own"));
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
}

#[test]
fn files_of_proc_have_what_can_be_read() {
    let (_place, _from, to) = two();
    let told = copied(Path::new("/proc/self/status"), &to, "x");
    assert!(told.is_whole(), "{}", told.text());
    assert!(fs::read_to_string(to.join("x")).unwrap().starts_with("Name:"));
}

/// Changes a file whenever something of it has been sent.
struct Meddler<'f>(Vec<u8>, &'f File, fn(&File));

impl Write for Meddler<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.2(self.1);
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn files_that_grow_or_shrink_meanwhile_are_copied() {
    let (_place, from, to) = two();
    let meddled = |meddle: fn(&File)| {
        let path = from.join("log");
        fs::write(&path, vec![b'A'; 1 << 20]).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let mut out = Meddler(Vec::new(), &file, meddle);
        send(&path, Trust::Host, &mut out).unwrap();
        let told = received(&out.0, &to, "log");
        assert!(told.is_whole(), "{}", told.text());
        fs::metadata(to.join("log")).unwrap().len()
    };
    let grow = |file: &File| {
        let end = file.metadata().unwrap().len();
        file.write_all_at(&[b'B'; 4096], end).unwrap();
    };
    assert_eq!(meddled(grow), 1 << 20);
    assert_eq!(meddled(|file| file.set_len(300 << 10).unwrap()), 300 << 10);
    assert!(
        fs::read(to.join("log"))
            .unwrap()
            .iter()
            .all(|byte| *byte == b'A' || *byte == 0)
    );
}

#[test]
fn holes_stay_holes_and_what_does_not_fit_is_refused() {
    let (_place, from, to) = two();
    let path = from.join("sparse");
    let file = File::create(&path).unwrap();
    file.write_all_at(b"middle", 64 << 20).unwrap();
    file.set_len(128 << 20).unwrap();
    assert!(sent(&path).len() < 1 << 20);
    assert!(copied(&path, &to, "x").is_whole());
    let copy = fs::metadata(to.join("x")).unwrap();
    assert_eq!(copy.len(), 128 << 20);
    assert!(copy.blocks() < 2048, "{}", copy.blocks());
    // What follows a file that does not fit is not copied either; nothing is left of it.
    let about = About {
        mode: 0o644,
        modified: (0, 0),
        size: u64::MAX / 2,
    };
    let mut stream = Speaker(Vec::new());
    stream.word(&Word::File(OsString::new(), about)).unwrap();
    stream.last(u64::MAX / 2, 0).unwrap();
    stream.word(&Word::End).unwrap();
    let told = received(&stream.0, &to, "y");
    assert!(told.text().contains("do not fit"), "{}", told.text());
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
}

#[test]
fn nothing_goes_through_links() {
    let (place, from, to) = two();
    let outside = place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "kept").unwrap();
    // The first copy leaves links, the second brings what would go through them.
    symlink(&outside, from.join("l")).unwrap();
    symlink(outside.join("file"), from.join("f")).unwrap();
    assert!(copied(&from, &to, "e").is_whole());
    fs::remove_file(from.join("l")).unwrap();
    fs::create_dir(from.join("l")).unwrap();
    fs::write(from.join("l/pwn"), "pwn").unwrap();
    fs::remove_file(from.join("f")).unwrap();
    fs::write(from.join("f"), "mine").unwrap();
    let told = copied(&from, &to, "e");
    assert!(!told.is_whole());
    assert!(
        told.text()
            .contains("e/l: a symbolic link is there, where a directory is to be"),
        "{}",
        told.text()
    );
    assert!(!outside.join("pwn").exists());
    assert_eq!(fs::read_to_string(to.join("e/f")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "kept");
    // A link as the target itself.
    let shown = |path: &Path| path.display().to_string();
    let at = |path: &str| Destination::of(&to.join(path), OsStr::new("x"), Trust::Host, shown);
    let Err(why) = at("e/l") else {
        panic!("a link was taken")
    };
    assert!(why.contains("is a symbolic link"), "{why}");
    assert_eq!(at("e/l/").map(|it| it.name), Ok("x".into()));
    assert_eq!(at("e/new").map(|it| it.name), Ok("new".into()));
    let Err(why) = at("no/such") else {
        panic!("a directory from nowhere")
    };
    assert!(why.contains("there is no directory"), "{why}");
}

#[test]
fn devices_and_directories_stay() {
    let (_place, from, to) = two();
    fs::write(from.join("file"), "x").unwrap();
    fs::create_dir(to.join("directory")).unwrap();
    mkfifo(&to.join("fifo"));
    for name in ["directory", "fifo"] {
        let told = copied(&from.join("file"), &to, name);
        assert!(told.text().contains("is there, and stays"), "{}", told.text());
    }
}

#[test]
fn trees_have_a_greatest_depth() {
    let (_place, from, to) = two();
    let mut deep = from.clone();
    for _ in 0..DEEPEST + 20 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    let told = copied(&from, &to, "x");
    assert!(told.text().contains("directories deep"), "{}", told.text());
    assert!(told.text().len() < 1000);
}

#[test]
fn what_is_told_is_bounded_and_clean() {
    let mut told = Remarks::new("a:/x".to_owned());
    told.goes_to("here".to_owned());
    for number in 0..10_000 {
        let name = format!("x/{}\u{1b}[2J\n{number}", "y".repeat(255));
        told.skipped(Path::new(&name), Kind::Fifo);
    }
    told.failed(Path::new("x"), &io::Error::other("the end"));
    let text = told.text();
    assert!(text.len() < super::remarks::LONGEST && !told.is_whole());
    assert!(!text.chars().any(|it| it.is_control() && it != '\n'));
    assert!(text.ends_with("here/x: the end\nand 9951 more\n"), "{text}");
}

/// Everything below a directory: what it is, and what it holds.
fn everything(place: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut open = vec![place.to_owned()];
    while let Some(directory) = open.pop() {
        // Without root, what was made without permissions cannot be looked into.
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = match metadata.file_type() {
                kind if kind.is_dir() => {
                    open.push(path.clone());
                    Vec::new()
                }
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_vec(),
                // What the stream made may be as long as the disk.
                kind if kind.is_file() && metadata.len() < 1 << 20 => fs::read(&path).unwrap(),
                _ => Vec::new(),
            };
            all.insert(path, (metadata.mode(), content));
        }
    }
    all
}

/// Some bytes that a node might send: words that make sense, words that make none, archives, noise.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        4 => Just(b"".to_vec()),
        2 => Just(b"inner".to_vec()),
        2 => Just(b"link".to_vec()),
        1 => Just(b"file".to_vec()),
        1 => Just(b"..".to_vec()),
        1 => Just(b".".to_vec()),
        1 => Just(b"../canary".to_vec()),
        1 => Just(b"/etc/canary".to_vec()),
        1 => Just(b"link/canary".to_vec()),
        1 => Just(b"a\0b".to_vec()),
        1 => Just(vec![b'n'; 256]),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    let size = prop_oneof![Just(0u64), Just(3), Just(100), Just(1 << 40), any::<u64>()];
    let about = (any::<u32>(), any::<i64>(), any::<u32>(), size.clone()).prop_map(
        |(mode, seconds, nanoseconds, size)| About {
            mode,
            modified: (seconds, nanoseconds),
            size,
        },
    );
    let target = prop_oneof![Just("../outside"), Just("/"), Just("../canary"), Just("")];
    let word = (
        0..9u8,
        name,
        about,
        target,
        size,
        prop::collection::vec(any::<u8>(), 0..64),
    )
        .prop_map(|(kind, name, about, target, place, data)| {
            let name = OsString::from_vec(name);
            let mut out = Speaker(Vec::new());
            let word = match kind {
                0 | 1 => Word::Directory(name, about),
                2 => Word::Leave,
                3 | 4 => Word::File(name, about),
                5 => Word::Link(name, target.into()),
                6 => Word::Skipped(name, Kind::Device),
                7 => Word::Failed(name, about.mode as i32),
                _ => Word::End,
            };
            out.word(&word).unwrap();
            if matches!(word, Word::File(..)) {
                out.data(0, &data).unwrap();
                out.data(place, &data).unwrap();
                out.last(place.max(data.len() as u64), 0).unwrap();
            }
            out.0
        });
    let archive = || {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(4);
        header.set_mode(0o4755);
        header.set_path(".bashrc").unwrap();
        header.set_cksum();
        archive.append(&header, &b"evil"[..]).unwrap();
        archive.into_inner().unwrap()
    };
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => Just(archive()),
        8 => (prop::collection::vec(word, 0..12), any::<bool>(), prop::option::of((any::<prop::sample::Index>(), any::<u8>())))
            .prop_map(move |(words, with_archive, change)| {
                let mut stream = words.concat();
                if with_archive {
                    stream.extend(archive());
                }
                if let (Some((at, byte)), false) = (change, stream.is_empty()) {
                    let at = at.index(stream.len());
                    stream[at] = byte;
                }
                stream
            }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_only_what_was_asked_for_is_written(stream in hostile(), name in prop::sample::select(vec!["new", "link", "file", "inner", "to-file"])) {
        let place = tempfile::tempdir().unwrap();
        let to = place.path().join("to");
        fs::create_dir_all(to.join("inner")).unwrap();
        fs::create_dir(place.path().join("outside")).unwrap();
        fs::write(place.path().join("outside/canary"), "alive").unwrap();
        fs::write(place.path().join("canary"), "alive").unwrap();
        fs::write(to.join("file"), "mine").unwrap();
        fs::write(to.join(".bashrc"), "mine").unwrap();
        symlink("../../outside", to.join("inner/link")).unwrap();
        symlink("../outside", to.join("link")).unwrap();
        symlink("../canary", to.join("to-file")).unwrap();
        let before = everything(place.path());
        let told = received(&stream, &to, name);
        let after = everything(place.path());
        let asked = to.join(name);
        for (path, was) in &before {
            if !path.starts_with(&asked) {
                prop_assert_eq!(Some(was), after.get(path), "{:?}", path);
            }
        }
        for (path, (mode, _)) in &after {
            prop_assert!(before.contains_key(path) || path.starts_with(&asked), "{:?}", path);
            prop_assert!(!path.file_name().unwrap().as_bytes().starts_with(b".nslab"), "{:?}", path);
            prop_assert_eq!(mode & 0o7000, 0, "{:?}", path);
        }
        prop_assert!(!told.text().chars().any(|it| it.is_control() && it != '\n'));
        prop_assert!(told.text().len() < super::remarks::LONGEST);
    }
}

#[test]
fn a_directory_has_its_name_when_it_is_whole() {
    let (_place, from, to) = two();
    fs::create_dir_all(from.join("deep/er")).unwrap();
    fs::write(from.join("deep/er/file"), "text").unwrap();
    set_mode(&from, 0o755);
    let stream = sent(&from);
    // The ends of two directories and of all.
    let unfinished = stream.len() - 3;
    // What a copy that was killed, of a process of the same number, has left.
    for number in 0..20 {
        fs::create_dir(to.join(format!(".nslab-{}-{number}", std::process::id()))).unwrap();
    }
    fs::create_dir(to.join("there")).unwrap();
    for name in ["x", "there"] {
        let (reader, mut writer) = io::pipe().unwrap();
        let (directory, name) = (to.clone(), name.to_owned());
        let place = match name.as_str() {
            "there" => to.join("there/deep"),
            _ => to.join("x"),
        };
        let receiving = std::thread::spawn(move || {
            let mut told = Remarks::new("a:/x".to_owned());
            let into = Directory::open(&directory, Trust::Host).unwrap();
            Receiver::new(BufReader::new(reader), None, &mut told).receive(&into, name.as_ref());
            assert!(told.is_whole(), "{}", told.text());
        });
        let (begin, rest) = stream.split_at(unfinished);
        writer.write_all(begin).unwrap();
        let file = |directory: &Path| {
            let names = fs::read_dir(directory)
                .unwrap()
                .map(|entry| entry.unwrap().path());
            names
                .into_iter()
                .any(|path| path.join("deep/er/file").exists() || path.join("er/file").exists())
        };
        while !file(place.parent().unwrap()) {
            std::thread::yield_now();
        }
        assert!(!place.exists());
        writer.write_all(rest).unwrap();
        drop(writer);
        receiving.join().unwrap();
        assert_eq!(mode(&place), 0o755);
    }
    // One that ends early has what came, with its permissions.
    let told = received(&stream[..unfinished], &to, "y");
    assert!(!told.is_whole());
    assert_eq!(mode(&to.join("y")), 0o755);
    assert_eq!(fs::read_dir(&to).unwrap().count(), 23);
}
