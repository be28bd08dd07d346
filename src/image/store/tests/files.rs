//! Images from files, and what the dead leave.

use super::*;
use crate::error::Kind;

fn source(text: String) -> Source {
    text.parse().unwrap()
}

impl Scene {
    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// A store with one image, which is written into a file of each kind.
    fn exported() -> (Scene, Server) {
        let (scene, server) = (Scene::new(), Server::new());
        server.image("a/b", "1", &[layer("x", b"one"), layer("y", b"two")]);
        let name = server.name("a/b:1");
        scene.pull(&name).unwrap();
        for kind in ["oci", "oci-archive", "docker-archive"] {
            scene
                .store
                .export(&name, &source(format!("{kind}:{}", scene.path(kind))))
                .unwrap();
        }
        scene.store.remove(&name).unwrap();
        (scene, server)
    }
}

#[test]
fn what_is_exported_can_be_used() {
    let (scene, server) = Scene::exported();
    for kind in ["oci", "oci-archive", "docker-archive"] {
        let text = format!("{kind}:{}", scene.path(kind));
        let image = scene.pull(&text).unwrap();
        assert_eq!(image.name, text);
        assert_eq!(
            (file(&image, 0, "x"), file(&image, 1, "y")),
            (b"one".to_vec(), b"two".to_vec())
        );
        assert_eq!(image.config.env["A"], "b");
        let again = scene.ensure(&text, Pull::Never).unwrap();
        assert_eq!(again.layers, image.layers);
    }
    // The names that they have are names of registries.
    for kind in ["oci", "oci-archive", "docker-archive"] {
        let path = scene.directory.path().join(kind);
        let image = scene.store.import_file(&path, None, &|_| {}).unwrap();
        assert_eq!(image.name, server.name("a/b:1"), "{kind}");
        let named: Reference = "other/name:2".parse().unwrap();
        assert_eq!(
            scene
                .store
                .import_file(&path, Some(&named), &|_| {})
                .unwrap()
                .name,
            "docker.io/other/name:2"
        );
    }
    assert!(scene.ensure("other/name:2", Pull::Never).is_ok());
    assert_eq!(scene.count("tmp"), 0);
}

#[test]
fn a_file_that_changes_is_read_again() {
    let (scene, server) = Scene::exported();
    let text = format!("oci-archive:{}", scene.path("oci-archive"));
    assert_eq!(file(&scene.pull(&text).unwrap(), 0, "x"), b"one");
    server.image("c", "1", &[layer("x", b"changed")]);
    scene.pull(&server.name("c:1")).unwrap();
    scene
        .store
        .export(&server.name("c:1"), &source(text.clone()))
        .unwrap();
    assert_eq!(file(&scene.pull(&text).unwrap(), 0, "x"), b"changed");
}

#[test]
fn a_root_becomes_an_image() {
    let scene = Scene::new();
    let tar = layer("etc/x", b"one");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, &tar).unwrap();
    for (name, content) in [("plain", tar.clone()), ("gzip", gzip.finish().unwrap())] {
        let path = scene.directory.path().join(name);
        fs::write(&path, content).unwrap();
        assert_eq!(
            scene.store.import_file(&path, None, &|_| {}).unwrap_err().kind,
            Kind::Wrong
        );
        let named: Reference = "ceos:1".parse().unwrap();
        let image = scene.store.import_file(&path, Some(&named), &|_| {}).unwrap();
        assert_eq!(image.name, "docker.io/library/ceos:1");
        assert_eq!(file(&image, 0, "etc/x"), b"one");
    }
    assert_eq!(scene.count("tmp"), 0);
}

#[test]
fn a_directory_is_used_where_it_is() {
    let scene = Scene::new();
    fs::create_dir(scene.directory.path().join("root")).unwrap();
    let image = scene.pull(&format!("dir:{}", scene.path("root"))).unwrap();
    assert_eq!(
        image.layers,
        [fs::canonicalize(scene.directory.path().join("root")).unwrap()]
    );
    assert_eq!(scene.count("layers"), 0);
    assert!(scene.pull(&format!("dir:{}", scene.path("none"))).is_err());
}

#[test]
fn files_that_are_no_images_are_refused() {
    let (scene, _server) = Scene::exported();
    fs::write(scene.path("junk"), noise(4096)).unwrap();
    fs::create_dir(scene.path("empty")).unwrap();
    for text in [
        "oci:empty",
        "oci-archive:junk",
        "docker-archive:junk",
        "oci:none",
        "oci:oci:other",
        "docker-archive:docker-archive:x/y",
        "oci-archive:docker-archive",
    ] {
        let (kind, rest) = text.split_once(':').unwrap();
        let error = scene.pull(&format!("{kind}:{}", scene.path(rest))).unwrap_err();
        assert!(
            error.help.is_some()
                || error.message.contains("not a tar file")
                || error.message.contains("cannot find"),
            "{text}: {error}"
        );
    }
    // A content that is not that of its name.
    let blobs = scene.directory.path().join("oci/blobs/sha256");
    for entry in fs::read_dir(blobs).unwrap().flatten() {
        let mut content = fs::read(entry.path()).unwrap();
        let last = content.len() - 1;
        content[last] ^= 1;
        fs::write(entry.path(), content).unwrap();
    }
    assert!(scene.pull(&format!("oci:{}", scene.path("oci"))).is_err());
    assert_eq!((scene.count("layers"), scene.count("tmp")), (0, 0));
}

#[test]
fn what_the_dead_leave_is_swept() {
    let (scene, server) = (Scene::new(), Server::new());
    server.image("a", "1", &[layer("x", b"one")]);
    let root = scene.store.path();
    fs::create_dir_all(root.join("tmp/1-2-3/abc/root/etc")).unwrap();
    fs::write(root.join("tmp/file"), "").unwrap();
    fs::write(root.join("partial").join(Digest::of(b"gone").hex()), "part").unwrap();
    let alive = scene.store.work().unwrap();
    scene.pull(&server.name("a:1")).unwrap();
    assert_eq!(scene.count("tmp"), 1);
    assert!(alive.path().exists());
    fs::create_dir_all(root.join("layers").join(Digest::of(b"layer").hex())).unwrap();
    fs::write(root.join("blobs/sha256").join(Digest::of(b"blob").hex()), "blob").unwrap();
    let collected = scene.store.collect(false).unwrap();
    assert_eq!((collected.blobs, collected.layers, collected.bytes), (2, 1, 8));
    assert_eq!((scene.count("partial"), scene.count("layers")), (0, 1));
    drop(alive);
    assert_eq!(scene.count("tmp"), 0);
}

#[test]
fn what_is_missing_is_brought_again() {
    let (scene, server) = (Scene::new(), Server::new());
    server.image("a", "1", &[layer("x", b"one")]);
    let name = server.name("a:1");
    let image = scene.pull(&name).unwrap();
    let place = image.layers[0].parent().unwrap().to_owned();
    drop(image);
    fs::remove_dir_all(&place).unwrap();
    assert_eq!(file(&scene.pull(&name).unwrap(), 0, "x"), b"one");
    // A content that the disk has damaged is noticed when it is unpacked anew, and brought again after that.
    fs::remove_dir_all(&place).unwrap();
    for entry in fs::read_dir(scene.store.path().join("blobs/sha256"))
        .unwrap()
        .flatten()
    {
        let mut content = fs::read(entry.path()).unwrap();
        if content.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let middle = content.len() / 2;
            content[middle] ^= 0xff;
            fs::write(entry.path(), content).unwrap();
        }
    }
    let error = scene.pull(&name).unwrap_err();
    assert!(error.message.contains("is damaged"), "{error}");
    assert_eq!(file(&scene.pull(&name).unwrap(), 0, "x"), b"one");
}

#[test]
fn a_store_is_its_owners() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(error.help.unwrap().contains("NSLAB_IMAGE_DIR"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Store::open(&path).unwrap();
    let open = directory.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Store::open(&open.join("store")).is_err());
    assert!(!open.join("store").exists());
}

#[test]
fn directories_keep_owner_and_mode_where_a_layer_says_nothing_of_them() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let (scene, server) = (Scene::new(), Server::new());
    let mut base = tar::Builder::new(Vec::new());
    for (name, mode, uid) in [
        ("home/", 0o711, 5),
        ("home/me/", 0o700, 7),
        ("tmp/", 0o1777, 0),
        ("gone/", 0o700, 7),
        ("usual/", 0o755, 0),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(uid);
        header.set_mtime(0);
        base.append_data(&mut header, name, &[][..]).unwrap();
    }
    let base = base.into_inner().unwrap();
    let plain = [layer("usual/x", b"1")];
    server.image("plain", "1", &[base.clone(), plain[0].clone()]);
    assert_eq!(scene.pull(&server.name("plain:1")).unwrap().layers.len(), 2);
    let more = [
        layer("home/me/x", b"1"),
        layer("tmp/x", b"2"),
        layer(".wh.gone", b""),
        layer("gone/x", b"3"),
    ];
    let all: Vec<_> = std::iter::once(base).chain(more).collect();
    server.image("a", "1", &all);
    let image = scene.pull(&server.name("a:1")).unwrap();
    assert_eq!(image.layers.len(), 6);
    let top = |name: &str| {
        let facts = fs::metadata(image.layers[5].join(name)).ok()?;
        Some((facts.permissions().mode() & 0o7777, facts.uid()))
    };
    assert_eq!(
        (top("home"), top("home/me"), top("tmp")),
        (Some((0o711, 5)), Some((0o700, 7)), Some((0o1777, 0)))
    );
    assert_eq!(
        (top("gone"), top("usual"), top("")),
        (None, None, Some((0o755, 0)))
    );
    // It goes with the image, and not before.
    scene.store.collect(false).unwrap();
    assert!(image.layers[5].exists());
    drop(image);
    assert_eq!(scene.pull(&server.name("a:1")).unwrap().layers.len(), 6);
    scene.store.collect(true).unwrap();
    assert_eq!(scene.count("layers"), 0);
}

#[test]
fn a_content_is_a_layer_once() {
    let (scene, server) = (Scene::new(), Server::new());
    let [empty, x, y] = [layer("e", b""), layer("x", b"one"), layer("y", b"two")];
    for (tag, all, files) in [
        ("1", vec![&empty, &x, &empty, &y, &empty], vec!["x", "y", "e"]),
        ("2", vec![&x, &x, &y, &x], vec!["y", "x"]),
        ("3", vec![&x, &y, &y, &x, &y], vec!["x", "y"]),
        ("4", vec![&empty; MOST_LAYERS], vec!["e"]),
    ] {
        let all: Vec<Vec<u8>> = all.into_iter().cloned().collect();
        server.image("a", tag, &all);
        let name = server.name(&format!("a:{tag}"));
        let sources = [name.clone(), format!("docker-archive:{}", scene.path(tag))];
        scene.pull(&name).unwrap();
        scene.store.export(&name, &source(sources[1].clone())).unwrap();
        for text in sources {
            let image = scene.pull(&text).unwrap();
            assert_eq!(image.layers.len(), files.len(), "{text}");
            for (at, name) in files.iter().enumerate() {
                assert!(image.layers[at].join(name).is_file(), "{text}: {name} at {at}");
            }
        }
    }
}

/// A tar file with these members, as `docker save` writes it.
fn saved(members: &[(&str, &[u8])], links: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    for (name, target) in links {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, name, target).unwrap();
    }
    archive.into_inner().unwrap()
}

#[test]
fn what_decompresses_to_much_is_refused() {
    let mut scene = Scene::new();
    scene.store.limits.archive = 4 << 20;
    let plain = layer("etc/x", &vec![0; 16 << 20]);
    let named: Reference = "ceos:1".parse().unwrap();
    for program in ["gzip", "zstd", "xz", "bzip2"] {
        let path = scene.directory.path().join(program);
        let compressed = match program {
            "gzip" => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                std::io::Write::write_all(&mut gzip, &plain).unwrap();
                gzip.finish().unwrap()
            }
            "zstd" => zstd::encode_all(plain.as_slice(), 1).unwrap(),
            program => {
                fs::write(scene.path("plain"), &plain).unwrap();
                let run = std::process::Command::new(program)
                    .args(["-c", &scene.path("plain")])
                    .output();
                // Hosts without the program cannot make such a file either.
                let Ok(output) = run else { continue };
                output.stdout
            }
        };
        fs::write(&path, compressed).unwrap();
        let import = |scene: &Scene| scene.store.import_file(&path, Some(&named), &|_| {});
        let error = import(&scene).unwrap_err();
        assert_eq!(error.kind, Kind::Wrong);
        assert!(
            error.message.contains("more than 4194304 bytes") && error.message.contains(program),
            "{error}"
        );
        let error = scene
            .pull(&format!("docker-archive:{}", path.display()))
            .unwrap_err();
        assert!(error.message.contains("more than 4194304 bytes"), "{error}");
        assert_eq!((scene.count("tmp"), scene.count("layers")), (0, 0));
        scene.store.limits.archive = plain.len() as u64;
        assert_eq!(
            file(&import(&scene).unwrap(), 0, "etc/x").len(),
            16 << 20,
            "{program}"
        );
        scene.store.limits.archive = 4 << 20;
        scene.store.collect(true).unwrap();
    }
}

#[test]
fn a_broken_file_of_a_vendors_is_refused() {
    let scene = Scene::new();
    let named: Reference = "ceos:1".parse().unwrap();
    for start in [&b"\xfd7zXZ\0"[..], b"BZh9", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"] {
        let path = scene.directory.path().join("file");
        fs::write(&path, [start, &noise(4096)].concat()).unwrap();
        let error = scene.store.import_file(&path, Some(&named), &|_| {}).unwrap_err();
        assert!(error.message.contains("decompress"), "{error}");
        assert_eq!(scene.count("tmp"), 0);
    }
}

#[test]
fn a_member_that_is_many_layers_is_copied_once() {
    let tar = layer("x", &vec![7; 1 << 20]);
    let packed = zstd::encode_all(tar.as_slice(), 1).unwrap();
    let count = 50;
    let config = config(&vec![Digest::of(&tar); count]);
    let links: Vec<String> = (0..count).map(|it| format!("{it}/layer.tar")).collect();
    for (name, content) in [("plain", &tar), ("packed", &packed)] {
        let scene = Scene::new();
        let list =
            serde_json::json!([{"Config": "config.json", "RepoTags": ["a:1"], "Layers": links}]).to_string();
        let members = [
            ("config.json", config.as_slice()),
            ("manifest.json", list.as_bytes()),
            ("one.tar", content.as_slice()),
        ];
        let links: Vec<_> = links.iter().map(|it| (it.as_str(), "../one.tar")).collect();
        fs::write(scene.path(name), saved(&members, &links)).unwrap();
        // What is in the directory of work when the layers are about to be copied.
        let work = std::cell::Cell::new(0);
        let tmp = scene.store.path().join("tmp");
        let look = |progress| {
            if let Progress::Planned { .. } = progress {
                let works = fs::read_dir(&tmp).unwrap().flatten();
                work.set(works.flat_map(|it| fs::read_dir(it.path()).unwrap()).count());
            }
        };
        let text = source(format!("docker-archive:{}", scene.path(name)));
        let image = scene
            .store
            .ensure(&text, Pull::Missing, &scene.registries, &look)
            .unwrap();
        assert_eq!((image.layers.len(), work.get()), (1, 1), "{name}");
    }
}

#[test]
fn directories_of_which_nothing_is_said_have_limits() {
    let server = Server::new();
    let apart: Vec<_> = (0..20).map(|it| layer(&format!("{it}/a/b/c/x"), b"1")).collect();
    let same = vec![layer("a/b/c/x", b"1"); 200];
    server.image("a", "apart", &apart);
    server.image("a", "same", &same);
    let limits = crate::layer::Limits::default();
    let few_looks = crate::layer::Limits { looks: 100, ..limits };
    let few_names = crate::layer::Limits {
        implied: 4000,
        ..limits
    };
    for (limits, why) in [
        (few_looks, "more than 100 looks"),
        (few_names, "more than 4000 bytes"),
    ] {
        let mut scene = Scene::new();
        scene.store.limits = limits;
        let error = scene.pull(&server.name("a:apart")).unwrap_err();
        assert!(
            error.message.contains(why) && error.message.contains("a:apart"),
            "{error}"
        );
        assert_eq!((error.kind, scene.count("tmp")), (Kind::Wrong, 0));
        assert!(scene.ensure(&server.name("a:apart"), Pull::Never).is_err());
        // A content that is repeated is looked into once.
        assert_eq!(scene.pull(&server.name("a:same")).unwrap().layers.len(), 1);
        scene.store.limits = crate::layer::Limits::default();
        assert_eq!(scene.pull(&server.name("a:apart")).unwrap().layers.len(), 20);
    }
}
