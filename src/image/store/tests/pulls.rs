//! Pulls from registries that do well, and from others.

use super::*;

#[test]
fn an_image_is_pulled_once() {
    let (scene, server) = (Scene::new(), Server::new());
    let put = server.image(
        "a/b",
        "1",
        &[layer("x", b"one"), layer("y", b"two"), layer("x", b"one")],
    );
    let image = scene.pull(&server.name("a/b:1")).unwrap();
    assert_eq!(image.digest, Digest::of(&put.manifest).to_string());
    // A content that is there twice is one layer, where its uppermost occurrence was: overlay takes none twice.
    assert_eq!(image.layers.len(), 2);
    assert_eq!(
        (file(&image, 0, "y"), file(&image, 1, "x")),
        (b"two".to_vec(), b"one".to_vec())
    );
    assert_eq!(image.config.cmd, ["sh"]);
    server.forget();
    let again = scene.pull(&server.name("a/b:1")).unwrap();
    assert_eq!(again.layers, image.layers);
    assert!(scene.ensure(&server.name("a/b:1"), Pull::Never).is_ok());
    assert!(scene.pull(&server.name(&format!("a/b@{}", image.digest))).is_ok());
    assert_eq!(server.asked().len(), 0);
    // What has not changed is only asked for.
    scene.ensure(&server.name("a/b:1"), Pull::Always).unwrap();
    assert_eq!((server.asked_for("manifests"), server.asked_for("blobs")), (1, 0));
    let missing = scene.ensure(&server.name("a/b:2"), Pull::Never).unwrap_err();
    assert_eq!(missing.kind, Kind::Missing);
}

#[test]
fn the_image_of_an_index_is_the_hosts() {
    let (scene, server) = (Scene::new(), Server::new());
    let put = server.image("a", "1", &[layer("x", b"one")]);
    let image = scene.pull(&server.name("a:1-index")).unwrap();
    assert_eq!(image.digest, Digest::of(&put.index).to_string());
    let by_digest = scene
        .pull(&server.name(&format!("a@{}", Digest::of(&put.index))))
        .unwrap();
    assert_eq!(by_digest.layers, image.layers);
    let none = serde_json::json!({"schemaVersion": 2, "manifests": [
        {"mediaType": MANIFEST, "digest": Digest::of(b"x"), "size": 1, "platform": {"os": "linux", "architecture": "mips"}}]});
    server.document("a", "none", "", &serde_json::to_vec(&none).unwrap());
    let error = scene.pull(&server.name("a:none")).unwrap_err();
    assert!(error.message.contains("there is for linux/mips"), "{error}");
}

#[test]
fn a_tag_that_moves_is_followed_when_it_is_wanted() {
    let (scene, server) = (Scene::new(), Server::new());
    server.image("a", "1", &[layer("x", b"old")]);
    let old = scene.pull(&server.name("a:1")).unwrap();
    server.image("a", "1", &[layer("x", b"new")]);
    assert_eq!(file(&scene.pull(&server.name("a:1")).unwrap(), 0, "x"), b"old");
    assert_eq!(
        file(&scene.ensure(&server.name("a:1"), Pull::Always).unwrap(), 0, "x"),
        b"new"
    );
    // The old one stays as long as somebody has it.
    scene.store.collect(false).unwrap();
    assert_eq!(file(&old, 0, "x"), b"old");
    let place = old.layers[0].clone();
    drop(old);
    assert_eq!(scene.store.collect(false).unwrap().layers, 1);
    assert!(!place.exists());
}

#[test]
fn dockers_manifests_become_ocis() {
    let (scene, server) = (Scene::new(), Server::new());
    let tar = layer("x", b"one");
    let config = config(&[Digest::of(&tar)]);
    let kinds = [
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.container.image.v1+json",
    ];
    let put = |tag: &str, layer_kind: &str| {
        let text = manifest(
            kinds[0],
            kinds[1],
            &config,
            layer_kind,
            std::slice::from_ref(&tar),
        );
        server.document("a", tag, kinds[0], &text);
        Digest::of(&text)
    };
    for content in [&tar, &config] {
        server.put(&format!("a/blobs/{}", Digest::of(content)), "", content);
    }
    let digest = put("1", "application/vnd.docker.image.rootfs.diff.tar.gzip");
    let image = scene.pull(&server.name("a:1")).unwrap();
    assert_eq!(image.digest, digest.to_string());
    let listed = scene.store.named(&server.name("a:1")).unwrap();
    let text = fs::read_to_string(scene.store.blob(&listed.manifest.parse().unwrap())).unwrap();
    assert!(
        text.contains(LAYER) && text.contains(CONFIG) && !text.contains("docker"),
        "{text}"
    );
    put(
        "foreign",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    );
    assert!(
        scene
            .pull(&server.name("a:foreign"))
            .unwrap_err()
            .message
            .contains("foreign layer")
    );
    put("odd", "application/x-odd");
    assert!(
        scene
            .pull(&server.name("a:odd"))
            .unwrap_err()
            .message
            .contains("`application/x-odd`")
    );
}

#[test]
fn what_is_no_image_is_refused() {
    let (scene, server) = (Scene::new(), Server::new());
    let tar = layer("x", b"one");
    let right = config(&[Digest::of(&tar)]);
    let wrong = config(&[Digest::of(b"other")]);
    let few = config(&[]);
    for content in [&tar, &right, &wrong, &few] {
        server.put(&format!("a/blobs/{}", Digest::of(content)), "", content);
    }
    let put = |tag: &str, text: &[u8]| server.document("a", tag, MANIFEST, text);
    put("schema1", br#"{"schemaVersion":1,"fsLayers":[]}"#);
    put("both", br#"{"schemaVersion":2,"manifests":[],"layers":[]}"#);
    put("list", b"[]");
    put("nothing", b"");
    put("long", &vec![b' '; 5 << 20]);
    put(
        "chart",
        &manifest(
            MANIFEST,
            "application/vnd.cncf.helm.config.v1+json",
            &right,
            LAYER,
            &[],
        ),
    );
    put(
        "many",
        &manifest(
            MANIFEST,
            CONFIG,
            &right,
            LAYER,
            &vec![tar.clone(); MOST_LAYERS + 1],
        ),
    );
    put(
        "few",
        &manifest(MANIFEST, CONFIG, &few, LAYER, std::slice::from_ref(&tar)),
    );
    put(
        "diff",
        &manifest(MANIFEST, CONFIG, &wrong, LAYER, std::slice::from_ref(&tar)),
    );
    for (tag, why) in [
        ("schema1", "schema 1"),
        ("both", "ambiguous"),
        ("list", "not what it should be"),
        ("nothing", "not what it should be"),
        ("long", "more than"),
        ("chart", "not a container image"),
        ("many", "it has 499 layers; an image may have 498"),
        ("few", "1 layers, and its configuration names 0"),
        ("diff", "should have"),
        ("absent", "answers 404"),
    ] {
        let error = scene.refusal(&server.name(&format!("a:{tag}")));
        assert!(error.message.contains(why), "{tag}: {error}");
        assert!(error.message.contains(&server.host), "{tag}: {error}");
    }
}

#[test]
fn what_breaks_off_goes_on_where_it_was() {
    let (scene, server) = (Scene::new(), Server::new());
    let put = server.image("a", "1", &[layer("x", &noise(3 << 20))]);
    let whole = put.layers[0].clone();
    server.fault(move |asked| {
        let is_first =
            asked.path.contains("blobs") && !asked.headers.contains_key("range") && asked.before == 0;
        (is_first && asked.path.contains(Digest::of(&whole).hex())).then(|| Reply {
            body: whole.clone(),
            cut: Some(2 << 20),
            ..Reply::status(200)
        })
    });
    scene.pull(&server.name("a:1")).unwrap();
    let ranges: Vec<_> = server
        .asked()
        .iter()
        .filter_map(|it| it.headers.get("range").cloned())
        .collect();
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    assert!(ranges[0] != "bytes=0-", "{ranges:?}");
}

#[test]
fn what_an_earlier_command_left_is_used() {
    let (scene, server) = (Scene::new(), Server::new());
    let put = server.image(
        "a",
        "1",
        &[layer("x", &noise(1 << 20)), layer("y", &noise(1 << 19))],
    );
    let partial = |content: &[u8]| scene.store.path().join("partial").join(Digest::of(content).hex());
    // A right beginning, and a wrong one.
    fs::write(partial(&put.layers[0]), &put.layers[0][..500_000]).unwrap();
    fs::write(partial(&put.layers[1]), vec![7; 100_000]).unwrap();
    scene.pull(&server.name("a:1")).unwrap();
    let asked = server.asked();
    let ranges: Vec<_> = asked.iter().filter_map(|it| it.headers.get("range")).collect();
    assert!(ranges.contains(&&"bytes=500000-".to_owned()) && ranges.contains(&&"bytes=100000-".to_owned()));
    assert_eq!(scene.count("partial"), 0);
}

#[test]
fn registries_without_ranges_begin_anew() {
    let (scene, server) = (Scene::new(), Server::new());
    let put = server.image("a", "1", &[layer("x", &noise(1 << 20))]);
    server.without_ranges();
    let content = &put.layers[0];
    fs::write(
        scene.store.path().join("partial").join(Digest::of(content).hex()),
        &content[..1000],
    )
    .unwrap();
    scene.pull(&server.name("a:1")).unwrap();
}

/// A pull where something is answered in place of a layer, each time.
fn with_fault(
    fault: impl Fn(&[u8], usize) -> Option<Reply> + Send + Sync + 'static,
) -> (Scene, Server, Result<Image>) {
    let (scene, server) = (Scene::new(), Server::new());
    let put = server.image("a", "1", &[layer("x", &noise(1 << 20))]);
    let content = put.layers[0].clone();
    server.fault(
        move |asked| match asked.path.contains(Digest::of(&content).hex()) {
            true => fault(&content, asked.before),
            false => None,
        },
    );
    let result = scene.pull(&server.name("a:1"));
    if result.is_err() {
        assert_eq!((scene.count("layers"), scene.count("tmp")), (0, 0));
        // Config and manifest; the layer is not there.
        assert_eq!(scene.count("blobs/sha256"), 2);
        // And the next one, where all is well, works.
        server.fault(|_| None);
        scene.pull(&server.name("a:1")).unwrap();
    }
    (scene, server, result)
}

#[test]
fn contents_are_what_they_should_be() {
    let refused = |why: &str, fault: fn(&[u8], usize) -> Option<Reply>| {
        let error = with_fault(fault).2.unwrap_err();
        assert!(error.message.contains(why), "{error}");
    };
    refused("has not the digest", |content, _| {
        let mut body = content.to_vec();
        body[1000] ^= 1;
        Some(Reply {
            body,
            ..Reply::status(200)
        })
    });
    refused("where the manifest says", |content, _| {
        Some(Reply {
            body: content[..1000].to_vec(),
            ..Reply::status(200)
        })
    });
    refused("where the manifest says", |content, _| {
        Some(Reply {
            body: [content, b"more"].concat(),
            ..Reply::status(200)
        })
    });
    refused("breaks off", |content, _| {
        Some(Reply {
            body: content.to_vec(),
            cut: Some(100),
            ..Reply::status(200)
        })
    });
    refused("too slow", |content, _| {
        Some(Reply {
            body: content.to_vec(),
            stall: Some(100),
            ..Reply::status(200)
        })
    });
    refused("answers 206", |content, _| {
        Some(Reply {
            body: content.to_vec(),
            ..Reply::status(206)
        })
    });
    refused("answers 500", |_, _| Some(Reply::status(500)));
    refused("answers 403", |_, _| Some(Reply::status(403)));
    refused("answers 404", |_, _| Some(Reply::status(404)));
    refused("in a circle", |content, _| {
        Some(Reply::status(307).with("Location", &format!("/v2/a/blobs/{}", Digest::of(content))))
    });
}

#[test]
fn passing_troubles_pass() {
    let (_, server, result) =
        with_fault(|_, before| (before < 3).then(|| Reply::status([500, 503, 429][before])));
    result.unwrap();
    assert_eq!(server.asked_for("blobs"), 1 + 4);
    let began = Instant::now();
    let (_, _, result) =
        with_fault(|_, before| (before == 0).then(|| Reply::status(429).with("Retry-After", "1")));
    result.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    // Who asks for more patience than there is gets none.
    let (_, server, result) = with_fault(|_, _| Some(Reply::status(429).with("Retry-After", "3600")));
    let error = result.unwrap_err();
    assert!(error.help.unwrap().contains("3600 s"));
    assert!(server.asked_for("blobs") < 6);
}

#[test]
fn two_pulls_at_once_bring_it_once() {
    let (scene, server) = (Scene::new(), Server::new());
    let put = server.image("a", "1", &[layer("x", &noise(1 << 20)), layer("y", b"two")]);
    let name = server.name("a:1");
    std::thread::scope(|scope| {
        let pulls: Vec<_> = (0..6)
            .map(|_| {
                let (name, directory) = (name.clone(), scene.directory.path());
                scope.spawn(move || {
                    let store = store(directory);
                    let source = name.parse().unwrap();
                    store
                        .ensure(&source, Pull::Missing, &Registries::default(), &|_| {})
                        .unwrap()
                        .layers
                })
            })
            .collect();
        let all: Vec<_> = pulls.into_iter().map(|it| it.join().unwrap()).collect();
        assert!(all.windows(2).all(|it| it[0] == it[1]));
    });
    for content in &put.layers {
        assert_eq!(server.asked_for(Digest::of(content).hex()), 1);
    }
    assert_eq!((scene.count("tmp"), scene.count("partial")), (0, 0));
}

#[test]
fn images_that_are_used_stay() {
    let (scene, server) = (Scene::new(), Server::new());
    server.image("a", "1", &[layer("x", b"one")]);
    let name = server.name("a:1");
    let image = scene.pull(&name).unwrap();
    let listed = || scene.store.list().unwrap().into_iter().next().unwrap();
    assert!(listed().in_use);
    assert_eq!(scene.store.remove(&name).unwrap_err().kind, Kind::Busy);
    assert!(scene.store.collect(true).unwrap().images.is_empty());
    assert_eq!(file(&image, 0, "x"), b"one");
    // The lock is the descriptor's: whoever has a copy keeps the image.
    let copy = image.lease.into_fd().try_clone().unwrap();
    assert!(listed().in_use);
    drop(copy);
    assert!(!listed().in_use);
    scene.store.remove(&name).unwrap();
    for below in ["layers", "blobs/sha256", "leases", "tmp", "partial"] {
        assert_eq!(scene.count(below), 0, "{below}");
    }
    assert_eq!(scene.store.remove(&name).unwrap_err().kind, Kind::Missing);
}

#[test]
fn pulls_and_collections_do_not_harm_each_other() {
    let (scene, server) = (Scene::new(), Server::new());
    let common = layer("common", &noise(1 << 16));
    for tag in ["1", "2", "3"] {
        server.image("a", tag, &[common.clone(), layer("x", tag.as_bytes())]);
    }
    let until = Instant::now() + Duration::from_secs(3);
    std::thread::scope(|scope| {
        for tag in ["1", "2", "3"] {
            let (name, directory) = (server.name(&format!("a:{tag}")), scene.directory.path());
            scope.spawn(move || {
                let store = store(directory);
                let source = name.parse().unwrap();
                while Instant::now() < until {
                    let image = store
                        .ensure(&source, Pull::Missing, &Registries::default(), &|_| {})
                        .unwrap();
                    assert_eq!(file(&image, 1, "x"), tag.as_bytes());
                    assert_eq!(file(&image, 0, "common").len(), 1 << 16);
                }
            });
        }
        let directory = scene.directory.path();
        scope.spawn(move || {
            let store = store(directory);
            while Instant::now() < until {
                store.collect(true).unwrap();
            }
        });
    });
    scene.store.collect(true).unwrap();
    assert_eq!(
        (
            scene.count("layers"),
            scene.count("tmp"),
            scene.count("blobs/sha256")
        ),
        (0, 0, 0)
    );
}
