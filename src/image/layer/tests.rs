use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use proptest::prelude::*;
use rustix::fs::{Mode, OFlags, open};
use tar::{EntryType, Header};

use super::*;

/// A tar file in the making.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn raw(&mut self, name: &[u8], kind: EntryType, link: &[u8], data: &[u8]) -> &mut Self {
        self.with(name, kind, link, data, |_| {})
    }

    fn with(
        &mut self,
        name: &[u8],
        kind: EntryType,
        link: &[u8],
        data: &[u8],
        change: impl Fn(&mut Header),
    ) -> &mut Self {
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        for (field, value) in [(&mut old.name, name), (&mut old.linkname, link)] {
            let count = value.len().min(field.len());
            field[..count].copy_from_slice(&value[..count]);
        }
        header.set_mode(if kind == EntryType::Directory {
            0o755
        } else {
            0o644
        });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000);
        header.set_size(data.len() as u64);
        header.set_entry_type(kind);
        change(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(&mut self, name: &str, data: &str) -> &mut Self {
        self.raw(name.as_bytes(), EntryType::Regular, b"", data.as_bytes())
    }

    fn directory(&mut self, name: &str) -> &mut Self {
        self.raw(name.as_bytes(), EntryType::Directory, b"", b"")
    }

    fn symlink(&mut self, name: &str, to: &str) -> &mut Self {
        self.raw(name.as_bytes(), EntryType::Symlink, to.as_bytes(), b"")
    }

    fn link(&mut self, name: &str, to: &str) -> &mut Self {
        self.raw(name.as_bytes(), EntryType::Link, to.as_bytes(), b"")
    }

    fn pax(&mut self, records: &[(&str, &[u8])]) -> &mut Self {
        let mut text = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            text.extend_from_slice(format!("{length} {key}=").as_bytes());
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        self.raw(b"pax", EntryType::XHeader, b"", &text)
    }

    fn whole(&self) -> Vec<u8> {
        [self.0.as_slice(), &[0; 1024]].concat()
    }
}

/// A place for a layer, with something beside it that nobody may touch.
struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("root")).unwrap();
        fs::write(directory.path().join("secret"), "untouched").unwrap();
        Scene { directory }
    }

    fn root(&self) -> std::path::PathBuf {
        self.directory.path().join("root")
    }

    fn unpack(&self, stream: &[u8], limits: Limits) -> Result<Outcome> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = open(self.root(), flags, Mode::empty()).unwrap();
        let mut content = Vec::new();
        let expected = compression::open(stream)
            .and_then(|mut it| it.read_to_end(&mut content))
            .map_or_else(|_| Digest::of(b""), |_| Digest::of(&content));
        // Attributes of `user` may be set by those who are not root as well.
        unpack(stream, fd, &expected, true, limits)
    }

    fn is_untouched(&self) {
        let mut names: Vec<_> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|it| it.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["root", "secret"]);
        let secret = self.directory.path().join("secret");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "untouched");
        assert_eq!(fs::metadata(&secret).unwrap().nlink(), 1);
        assert_eq!(
            fs::metadata(&secret).unwrap().permissions().mode() & 0o7777,
            0o644
        );
    }
}

fn unpacked(tar: &Tar) -> Scene {
    let scene = Scene::new();
    scene.unpack(&tar.whole(), Limits::default()).unwrap();
    scene.is_untouched();
    scene
}

fn refused(tar: &Tar, why: &str) {
    let scene = Scene::new();
    let error = scene.unpack(&tar.whole(), Limits::default()).unwrap_err();
    assert!(error.message.contains(why), "{}", error.message);
    scene.is_untouched();
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn opaque(path: &Path) -> bool {
    let mut buffer = [0; 8];
    rustix::fs::getxattr(path, "user.overlay.opaque", &mut buffer).is_ok_and(|count| &buffer[..count] == b"y")
}

#[test]
fn what_an_image_has_is_unpacked() {
    let mut tar = Tar::default();
    tar.directory("./")
        .directory("bin/")
        .file("./bin/a", "one")
        .link("bin/b", "bin/a")
        .link("bin/c", "/bin/a");
    tar.symlink("bin/d", "/../../secret")
        .raw(b"pipe", EntryType::Fifo, b"", b"");
    tar.with(b"bin/s", EntryType::Regular, b"", b"x", |header| {
        header.set_mode(0o4755)
    });
    tar.pax(&[("path", "long/".repeat(60).as_bytes()), ("mtime", b"5.25")]);
    tar.raw(b"short", EntryType::Directory, b"", b"");
    tar.pax(&[
        ("path", b"x/y".as_slice()),
        ("SCHILY.xattr.user.color", b"blue\n\0"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
    ]);
    tar.raw(b"z", EntryType::Directory, b"", b"");
    tar.raw(
        b"././@LongLink",
        EntryType::GNULongName,
        b"",
        [b"n".repeat(200), vec![0]].concat().as_slice(),
    );
    tar.file("n", "long");
    tar.raw(b"dev/null", EntryType::Char, b"", b"");
    let scene = unpacked(&tar);
    let at = |name: &str| scene.root().join(name);
    assert_eq!(read(&at("bin/c")), "one");
    assert_eq!(fs::metadata(at("bin/a")).unwrap().nlink(), 3);
    assert_eq!(fs::metadata(at("bin/a")).unwrap().mtime(), 1_000_000);
    assert_eq!(fs::read_link(at("bin/d")).unwrap(), Path::new("/../../secret"));
    assert!(fs::symlink_metadata(at("pipe")).unwrap().file_type().is_fifo());
    assert_eq!(
        fs::metadata(at("bin/s")).unwrap().permissions().mode() & 0o7777,
        0o4755
    );
    assert_eq!(fs::metadata(at(&"long/".repeat(60))).unwrap().mtime(), 5);
    let mut value = [0; 16];
    let count = rustix::fs::getxattr(at("x/y"), "user.color", &mut value).unwrap();
    assert_eq!(&value[..count], b"blue\n\0");
    assert!(!opaque(&at("x/y")));
    assert_eq!(read(&at(&"n".repeat(200))), "long");
    assert!(!at("dev/null").exists());
}

#[test]
fn removals_are_in_the_words_of_overlay() {
    let mut tar = Tar::default();
    tar.file("d/.wh..wh..opq", "")
        .file("d/x", "1")
        .file("d/.wh.gone", "")
        .file(".wh.e", "")
        .file(".wh..wh.plnk", "");
    // Removed, and there again: as a directory, and the other way round.
    tar.file(".wh.f", "")
        .file("f/g", "")
        .directory("h")
        .file(".wh.h", "")
        .file("i", "")
        .file(".wh.i", "");
    let scene = unpacked(&tar);
    let kind = |name: &str| fs::symlink_metadata(scene.root().join(name)).unwrap();
    assert!(opaque(&scene.root().join("d")));
    for name in ["d/gone", "e"] {
        assert!(
            kind(name).file_type().is_char_device() && kind(name).rdev() == 0,
            "{name}"
        );
    }
    assert!(opaque(&scene.root().join("f")) && opaque(&scene.root().join("h")));
    assert!(kind("i").is_file());
    assert!(!scene.root().join(".wh..wh.plnk").exists());
}

#[test]
fn sparse_files_of_every_form_are_unpacked() {
    let mut tar = Tar::default();
    let data = [[b'a'; 512], [b'b'; 512]].concat();
    tar.with(b"old", EntryType::GNUSparse, b"", &data, |header| {
        let gnu = header.as_gnu_mut().unwrap();
        for (at, (offset, length)) in [(4096, 512), (8192, 512), (10000, 0)].iter().enumerate() {
            gnu.sparse[at]
                .offset
                .copy_from_slice(format!("{offset:011o}\0").as_bytes());
            gnu.sparse[at]
                .numbytes
                .copy_from_slice(format!("{length:011o}\0").as_bytes());
        }
        gnu.realsize
            .copy_from_slice(format!("{:011o}\0", 10000).as_bytes());
    });
    tar.pax(&[
        ("GNU.sparse.size", b"10000".as_slice()),
        ("GNU.sparse.offset", b"4096"),
        ("GNU.sparse.numbytes", b"512"),
        ("GNU.sparse.offset", b"8192"),
        ("GNU.sparse.numbytes", b"512"),
    ]);
    tar.raw(b"zero", EntryType::Regular, b"", &data);
    tar.pax(&[
        ("GNU.sparse.name", b"one".as_slice()),
        ("GNU.sparse.size", b"10000"),
        ("GNU.sparse.map", b"4096,512,8192,512"),
    ]);
    tar.raw(b"x", EntryType::Regular, b"", &data);
    let mut map = b"2\n4096\n512\n8192\n512\n".to_vec();
    map.resize(512, 0);
    tar.pax(&[
        ("GNU.sparse.major", b"1".as_slice()),
        ("GNU.sparse.name", b"ten"),
        ("GNU.sparse.realsize", b"10000"),
    ]);
    tar.raw(b"y", EntryType::Regular, b"", &[map, data].concat());
    let scene = unpacked(&tar);
    for name in ["old", "zero", "one", "ten"] {
        let content = fs::read(scene.root().join(name)).unwrap();
        assert_eq!(content.len(), 10000, "{name}");
        let letters = |at: usize| {
            content[at..at + 512]
                .iter()
                .all(|it| *it == content[at])
                .then_some(content[at])
        };
        assert_eq!(
            (letters(0), letters(4096), letters(8192), content[9999]),
            (Some(0), Some(b'a'), Some(b'b'), 0),
            "{name}"
        );
    }
}

#[test]
fn what_would_lead_out_is_refused_by_name() {
    let of = |fill: &dyn for<'a> Fn(&'a mut Tar) -> &'a mut Tar| {
        let mut tar = Tar::default();
        fill(&mut tar);
        tar
    };
    refused(&of(&|it| it.file("../secret", "x")), "`../secret`");
    refused(&of(&|it| it.file("a/../../secret", "x")), "`a/../../secret`");
    refused(&of(&|it| it.file("/secret", "x")), "`/secret`");
    refused(&of(&|it| it.directory("..").file("x", "")), "`..`");
    refused(
        &of(&|it| it.symlink("a", "..").file("a/secret", "x")),
        "`a` leads through a symbolic link",
    );
    refused(
        &of(&|it| it.symlink("a", "/").file("a/b/c", "x")),
        "symbolic link",
    );
    refused(
        &of(&|it| it.symlink("a", "..").directory("b").file("a/.wh.secret", "")),
        "symbolic link",
    );
    refused(
        &of(&|it| it.symlink("a", "..").file("a/.wh..wh..opq", "")),
        "symbolic link",
    );
    refused(
        &of(&|it| it.symlink("a", "..").link("b", "a/secret")),
        "symbolic link",
    );
    refused(&of(&|it| it.link("b", "../secret")), "`../secret`");
    refused(
        &of(&|it| it.link("b", "/etc/passwd")),
        "`etc/passwd`, which is not a file of the layer",
    );
    refused(
        &of(&|it| it.directory("d").link("b", "d")),
        "not a file of the layer",
    );
    refused(&of(&|it| it.file(".wh...", "")), "`.wh...`");
    refused(&of(&|it| it.file(".wh..", "")), "`.wh..`");
    refused(&of(&|it| it.file(".wh.", "")), "`.wh.`");
    refused(&of(&|it| it.file("f", "").file("f/x", "")), "not a directory");
    refused(
        &of(&|it| it.directory("f").file("f/x", "").file("f", "")),
        "a directory and something else",
    );
    refused(
        &of(&|it| it.pax(&[("path", b"a\0b".as_slice())]).file("x", "")),
        "zero byte",
    );
    refused(
        &of(&|it| it.pax(&[("path", &b"a/".repeat(300))]).file("x", "")),
        "too deep",
    );
    refused(
        &of(&|it| it.pax(&[("path", &b"a".repeat(300))]).file("x", "")),
        "too long",
    );
    refused(&of(&|it| it.symlink("a", "")), "symbolic link to no name");
    refused(&of(&|it| it.file("", "x")), "root is not a directory");
}

#[test]
fn a_link_is_replaced_and_not_followed() {
    let mut tar = Tar::default();
    tar.symlink("a", "../secret")
        .file("a", "new")
        .symlink("b", "..")
        .directory("b")
        .file("b/secret", "own");
    let scene = unpacked(&tar);
    assert_eq!(read(&scene.root().join("a")), "new");
    assert_eq!(read(&scene.root().join("b/secret")), "own");
}

#[test]
fn layers_have_limits() {
    let limited = |tar: &Tar, limits: Limits| Scene::new().unpack(&tar.whole(), limits).unwrap_err().message;
    let mut tar = Tar::default();
    tar.file("a", &"x".repeat(100_000)).file("b", "");
    let small = Limits {
        bytes: 50_000,
        ..Limits::default()
    };
    assert!(limited(&tar, small).contains("more in it"));
    assert!(
        limited(
            &tar,
            Limits {
                entries: 1,
                ..Limits::default()
            }
        )
        .contains("more than 1 entries")
    );
    let mut huge = Tar::default();
    huge.pax(&[
        ("GNU.sparse.size", b"9000000000000000000".as_slice()),
        ("GNU.sparse.map", b"0,0"),
    ])
    .file("x", "");
    assert!(limited(&huge, Limits::default()).contains("longer than a file may be"));
    // What decompresses to much is stopped on the way.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    bomb.write_all(&Tar::default().file("a", &"x".repeat(4 << 20)).0)
        .unwrap();
    let error = Scene::new().unpack(&bomb.finish().unwrap(), small).unwrap_err();
    assert!(error.message.contains("more in it"), "{error}");
}

#[test]
fn names_that_are_kept_have_a_limit() {
    let mut tar = Tar::default();
    let long = "d".repeat(250);
    // Each of these makes many directories more.
    for number in 0..2500 {
        let path = format!("{number}/{}", format!("{long}/").repeat(15));
        tar.pax(&[("path", format!("{path}x").as_bytes())]).file("x", "");
    }
    refused(&tar, "the names of its directories");
}

#[test]
fn what_is_broken_is_refused() {
    let mut tar = Tar::default();
    tar.file("a", "hello").file("b", "world");
    let whole = tar.whole();
    for cut in [100, 512, 514, 1030] {
        let result = Scene::new().unpack(&whole[..cut], Limits::default());
        assert!(result.is_err() || cut == 512, "{cut}");
    }
    let root = Scene::new();
    let fd = open(root.root(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let error = unpack(
        whole.as_slice(),
        fd,
        &Digest::of(b"other"),
        true,
        Limits::default(),
    )
    .unwrap_err();
    assert!(error.message.contains("should have"), "{error}");
}

#[test]
fn every_compression_is_understood() {
    let mut tar = Tar::default();
    tar.file("a", &"hello".repeat(10_000));
    let whole = tar.whole();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&whole[..1000]).unwrap();
    let mut second = flate2::write::GzEncoder::new(gzip.finish().unwrap(), flate2::Compression::default());
    second.write_all(&whole[1000..]).unwrap();
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    let zstd = zstd::encode_all(whole.as_slice(), 3).unwrap();
    for stream in [
        whole,
        second.finish().unwrap(),
        zstd.clone(),
        [skippable.as_slice(), &zstd].concat(),
    ] {
        let scene = Scene::new();
        scene.unpack(&stream, Limits::default()).unwrap();
        assert_eq!(read(&scene.root().join("a")).len(), 50_000);
    }
    let error = Scene::new()
        .unpack(b"\xfd7zXZ\0rest", Limits::default())
        .unwrap_err();
    assert!(error.message.contains("xz"), "{error}");
}

/// One entry of a stream that may be hostile.
fn entry() -> impl Strategy<Value = (Vec<u8>, u8, Vec<u8>, Vec<u8>)> {
    let part = prop::sample::select(vec![
        "a",
        "b",
        "..",
        ".",
        "",
        "/",
        "secret",
        ".wh.a",
        ".wh..wh..opq",
        ".wh...",
        "root",
    ]);
    let name = prop::collection::vec(part, 0..4).prop_map(|parts| parts.join("/").into_bytes());
    let kinds = prop::sample::select(b"0123456S7gxLK\0".to_vec());
    (
        name.clone(),
        kinds,
        name,
        prop::collection::vec(any::<u8>(), 0..40),
    )
}

/// How many streams are tried: PROPTEST_CASES, or so many that it takes some seconds.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|it| it.parse().ok()).unwrap_or(2000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// Whatever a stream has, nothing outside of the layer is touched.
    #[test]
    fn no_stream_leads_out(entries in prop::collection::vec(entry(), 1..12), flips in prop::collection::vec((any::<usize>(), any::<u8>()), 0..3), fix in any::<bool>()) {
        let mut tar = Tar::default();
        for (name, kind, link, data) in &entries {
            tar.raw(name, EntryType::new(*kind), link, data);
        }
        let mut stream = tar.whole();
        for (at, value) in flips {
            let at = at % stream.len();
            stream[at] = value;
            if fix {
                // A wrong checksum would keep the rest from being read.
                let start = at / 512 * 512;
                let mut header = Header::from_byte_slice(&stream[start..start + 512]).clone();
                header.set_cksum();
                stream[start..start + 512].copy_from_slice(header.as_bytes());
            }
        }
        let scene = Scene::new();
        drop(scene.unpack(&stream, Limits::default()));
        scene.is_untouched();
    }
}
