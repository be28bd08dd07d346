//! Images: pulled from a real registry, unpacked, listed, removed, and what a kill or a full disk leaves.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::registry::{Images, Registry, Wants, has_registry, lab};
use crate::common::{Lab, Running, has, image_root, run, until};

/// An image of busybox with more layers, in which things are removed and replaced.
pub fn layered(lab: &Lab, tag: &str) {
    let (images, base) = (Images::new(lab), lab.path("base"));
    image_root::busybox(&base);
    for name in ["gone", "kept/old", "replaced/old", "file"] {
        let path = base.join("data").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "of the first layer\n").unwrap();
    }
    let (second, third) = (lab.path("second"), lab.path("third"));
    fs::create_dir_all(second.join("data/replaced")).unwrap();
    for name in [
        "data/.wh.gone",
        "data/replaced/.wh..wh..opq",
        "data/replaced/new",
        "data/more",
    ] {
        fs::write(second.join(name), "of the second layer\n").unwrap();
    }
    fs::create_dir_all(third.join("data")).unwrap();
    fs::write(third.join("data/file"), "of the third layer\n").unwrap();
    images
        .begin(tag)
        .layer(tag, &base)
        .layer(tag, &second)
        .layer(tag, &third);
    images.config(
        tag,
        &[
            "--config.cmd",
            "/bin/sleep",
            "--config.cmd",
            "1000000",
            "--config.env",
            "COLOR=blue",
        ],
    );
}

/// Where the layers of an image are, the bottom first.
pub fn layers(lab: &Lab, name: &str) -> Vec<String> {
    let image = lab.json(["image", "inspect", "--format", "json", name]);
    let all = image["layers"].as_array().unwrap().iter();
    all.map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// What a shell's line prints where the image is the directory `$ROOT`.
pub fn in_image(lab: &Lab, name: &str, line: &str) -> String {
    let lower: Vec<String> = layers(lab, name).into_iter().rev().collect();
    let root = lab.path("merged");
    fs::create_dir_all(&root).unwrap();
    let mount = format!(
        "mount -t overlay -o ro,lowerdir={}:{} none $ROOT && {line}",
        lower.join(":"),
        lab.path("empty").display()
    );
    fs::create_dir_all(lab.path("empty")).unwrap();
    let mut command = lab.command("unshare");
    run(command.args(["-m", "sh", "-c", &mount]).env("ROOT", root)).expect(0)
}

pub fn store(lab: &Lab) -> PathBuf {
    lab.path("store")
}

pub fn entries(path: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|it| it.file_name().into_string().unwrap()).collect()
}

#[test]
fn an_image_comes_from_a_registry_with_all_its_layers() {
    if !has_registry() {
        return;
    }
    let lab = lab("");
    let registry = Registry::start(&lab, Wants::Nothing);
    layered(&lab, "many");
    let images = Images::new(&lab);
    let name = format!("{}/test/many:1", registry.place);
    registry.push(&lab, &images.place("many"), "test/many:1", &[]);
    registry.push(
        &lab,
        &images.place("many"),
        "test/many:docker",
        &["--format", "v2s2"],
    );
    registry.push(
        &lab,
        &images.place("many"),
        "test/many:zstd",
        &["--dest-compress-format", "zstd"],
    );
    for tag in ["1", "docker", "zstd"] {
        let name = format!("{}/test/many:{tag}", registry.place);
        let out = lab.ok(["image", "pull", &name]);
        assert!(out.starts_with(&format!("{name} sha256:")), "{out}");
        let told = in_image(
            &lab,
            &name,
            "cd $ROOT/data && find . | sort && cat file replaced/new",
        );
        let wanted = ". ./file ./kept ./kept/old ./more ./replaced ./replaced/new";
        let wanted = wanted.replace(' ', "\n") + "\nof the third layer\nof the second layer\n";
        assert_eq!(told, wanted, "{tag}");
    }
    // All three have the same content, which is unpacked once.
    assert_eq!(entries(&store(&lab).join("layers")).len(), 3);
    let listed = lab.json(["image", "ls", "--format", "json"]);
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert_eq!(listed[0]["layers"], 3);
    let text = lab.ok(["image", "inspect", &name]);
    assert!(
        text.contains("cmd          /bin/sleep 1000000\n") && text.contains("env          COLOR=blue\n"),
        "{text}"
    );
    // Others read the store as well.
    for tag in ["1", "docker", "zstd"] {
        let place = format!("{}:{}/test/many:{tag}", store(&lab).display(), registry.place);
        let mut command = lab.command("skopeo");
        let seen = run(command.args(["inspect", "--config", &format!("oci:{place}")])).expect(0);
        assert!(seen.contains("COLOR=blue"), "{seen}");
        let bundle = lab.path(&format!("bundle-{tag}"));
        run(lab
            .command("umoci")
            .args(["unpack", "--image", &place])
            .arg(&bundle))
        .expect(0);
        assert!(bundle.join("rootfs/data/replaced/new").exists());
    }
    // A repository that is not there, a tag that is not, a registry that is not.
    lab.run(["image", "pull", &format!("{}/none", registry.place)])
        .refused(2, &["answers 404"]);
    lab.run(["image", "pull", "127.0.0.1:1/none"])
        .refused(3, &["127.0.0.1:1 cannot be reached"]);
    lab.run(["image", "pull", "No/Such/Name"])
        .refused(2, &["is not the name of an image"]);
    // What is removed is gone, with all that it alone needed.
    lab.ok([
        "image",
        "rm",
        &name,
        &format!("{}/test/many:docker", registry.place),
    ]);
    assert_eq!(entries(&store(&lab).join("layers")).len(), 3);
    lab.ok(["image", "rm", &format!("{}/test/many:zstd", registry.place)]);
    for below in ["layers", "blobs/sha256", "leases", "tmp", "partial"] {
        assert_eq!(entries(&store(&lab).join(below)), BTreeSet::new(), "{below}");
    }
    lab.run(["image", "rm", &name])
        .refused(2, &["is not in the store"]);
    assert_eq!(lab.ok(["image", "ls"]), "there are no images\n");
}

#[test]
fn an_index_has_an_image_for_each_platform() {
    if !has_registry() {
        return;
    }
    let lab = lab("");
    let registry = Registry::start(&lab, Wants::Nothing);
    let images = Images::new(&lab);
    let mut manifests = Vec::new();
    for architecture in ["amd64", "arm64", "riscv64"] {
        let root = lab.path(architecture);
        fs::create_dir(&root).unwrap();
        fs::write(root.join("architecture"), architecture).unwrap();
        images.begin(architecture).layer(architecture, &root);
        images.config(architecture, &["--architecture", architecture]);
    }
    let index = lab.path("images/index.json");
    let mut all: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    for one in all["manifests"].as_array().unwrap() {
        let tag = one["annotations"]["org.opencontainers.image.ref.name"]
            .as_str()
            .unwrap();
        let mut one = one.clone();
        one["platform"] = json!({"os": "linux", "architecture": tag});
        one.as_object_mut().unwrap().remove("annotations");
        manifests.push(one);
    }
    let list = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}).to_string();
    let digest = run(std::process::Command::new("sh").args([
        "-c",
        "printf %s \"$1\" | sha256sum | cut -c1-64",
        "-",
        &list,
    ]))
    .expect(0);
    fs::write(lab.path("images/blobs/sha256").join(digest.trim()), &list).unwrap();
    all["manifests"].as_array_mut().unwrap().push(json!({
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": format!("sha256:{}", digest.trim()), "size": list.len(),
        "annotations": {"org.opencontainers.image.ref.name": "all"}}));
    fs::write(&index, all.to_string()).unwrap();
    registry.push(&lab, &images.place("all"), "all:1", &["--all"]);
    let host = if cfg!(target_arch = "x86_64") {
        "amd64"
    } else {
        "arm64"
    };
    let name = format!("{}/all:1", registry.place);
    for place in [name.clone(), format!("oci:{}", images.place("all"))] {
        lab.ok(["image", "pull", &place]);
        assert_eq!(in_image(&lab, &place, "cat $ROOT/architecture"), host);
    }
    let pinned = format!("{}/all@sha256:{}", registry.place, digest.trim());
    lab.ok(["image", "pull", "--missing", &pinned]);
    // One that is for others only is taken, and told.
    let other = if host == "amd64" { "arm64" } else { "amd64" };
    registry.push(&lab, &images.place(other), "other:1", &[]);
    let done = lab.run(["image", "pull", &format!("{}/other:1", registry.place)]);
    assert!(
        done.err.contains(&format!("it is for linux/{other}")),
        "{}",
        done.err
    );
    done.expect(0);
}

#[test]
fn a_kill_at_any_moment_leaves_nothing_that_is_taken_for_whole() {
    if !has_registry() {
        return;
    }
    let lab = lab("");
    let registry = Registry::start(&lab, Wants::Nothing);
    let images = Images::new(&lab);
    images.begin("large");
    for number in 0..3 {
        let root = lab.path(&format!("large-{number}"));
        fs::create_dir(&root).unwrap();
        let line = format!(
            "for i in $(seq 400); do echo $i > f$i; done; head -c 5000000 /dev/urandom > noise{number}"
        );
        run(std::process::Command::new("sh")
            .args(["-c", &line])
            .current_dir(&root))
        .expect(0);
        images.layer("large", &root);
    }
    registry.push(&lab, &images.place("large"), "large:1", &[]);
    let name = format!("{}/large:1", registry.place);
    let pull = || Running::start(&mut lab.nslab(["image", "pull", &name]));
    // Moments that can be told apart: bytes have come, a layer is being unpacked, one is there, all are; and some between them.
    let store = store(&lab);
    let count = |below: &str| entries(&store.join(below)).len();
    let moments: [&dyn Fn() -> bool; 6] = [
        &|| count("locks") > 0,
        &|| count("partial") > 0,
        &|| count("blobs/sha256") > 2,
        &|| {
            entries(&store.join("tmp"))
                .iter()
                .any(|it| !entries(&store.join("tmp").join(it)).is_empty())
        },
        &|| count("blobs/sha256") > 4,
        &|| count("layers") > 0,
    ];
    for round in 0..2 {
        for (number, moment) in moments.iter().enumerate() {
            let mut running = pull();
            until("the moment", || moment() || running.is_over());
            for _ in 0..round * 20_000 {
                std::hint::spin_loop();
            }
            if !running.is_over() {
                running.signal(Signal::SIGKILL);
            }
            running.wait();
            // Each layer that is there is whole.
            for layer in entries(&store.join("layers")) {
                let root = entries(&store.join("layers").join(layer).join("root"));
                assert_eq!(root.len(), 401, "after moment {number}");
            }
            if number % 2 == 1 {
                lab.ok(["image", "gc", "--all"]);
                for below in ["layers", "blobs/sha256", "partial", "tmp", "locks", "leases"] {
                    assert_eq!(
                        entries(&store.join(below)),
                        BTreeSet::new(),
                        "{below} after moment {number}"
                    );
                }
            }
        }
    }
    // The next command finishes what the others began.
    let half = pull();
    until("some of it", || count("partial") > 0 || count("layers") > 0);
    half.signal(Signal::SIGKILL);
    drop(half);
    lab.ok(["image", "pull", &name]);
    assert_eq!((count("tmp"), count("partial"), count("layers")), (0, 0, 3));
    for number in 0..3 {
        let root = lab.path(&format!("large-{number}"));
        let place = &layers(&lab, &name)[number];
        run(std::process::Command::new("diff").arg("-r").arg(root).arg(place)).expect(0);
    }
}

#[test]
fn pulls_at_once_share_the_work() {
    if !has_registry() {
        return;
    }
    let lab = lab("");
    let registry = Registry::start(&lab, Wants::Nothing);
    layered(&lab, "many");
    registry.push(&lab, &Images::new(&lab).place("many"), "many:1", &[]);
    let name = format!("{}/many:1", registry.place);
    let mut pulls: Vec<Running> = (0..5).map(|_| lab.start(["image", "pull", &name])).collect();
    let said: BTreeSet<String> = pulls.iter_mut().map(|it| it.wait().expect(0)).collect();
    assert_eq!(said.len(), 1);
    assert_eq!(entries(&store(&lab).join("layers")).len(), 3);
    assert_eq!(lab.ok(["image", "gc"]), "nothing was left\n");
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    if !has_registry() {
        return;
    }
    let lab = lab("");
    let registry = Registry::start(&lab, Wants::Nothing);
    let (images, root) = (Images::new(&lab), lab.path("root"));
    fs::create_dir(&root).unwrap();
    run(std::process::Command::new("sh")
        .args([
            "-c",
            "head -c 3000000 /dev/urandom > noise; head -c 9000000 /dev/zero > zeros",
        ])
        .current_dir(&root))
    .expect(0);
    images.begin("large").layer("large", &root);
    registry.push(&lab, &images.place("large"), "large:1", &[]);
    // One that is full before all has come, and one that is while it is unpacked.
    for size in ["2M", "8M"] {
        let line = format!(
            "mkdir -p $NSLAB_IMAGE_DIR && mount -t tmpfs -o size={size},mode=755 none $NSLAB_IMAGE_DIR && \
             ! $NSLAB image pull {}/large:1 && find $NSLAB_IMAGE_DIR/layers $NSLAB_IMAGE_DIR/tmp -mindepth 1",
            registry.place
        );
        let mut command = lab.command("unshare");
        let done = run(command
            .args(["-m", "sh", "-c", &line])
            .env("NSLAB", env!("CARGO_BIN_EXE_nslab")));
        assert!(
            done.err.contains("No space left on device") && done.err.contains("nslab image gc"),
            "{}",
            done.err
        );
        assert_eq!(done.expect(0), "");
    }
}

#[test]
fn an_image_that_a_lab_uses_stays() {
    if !has_registry() {
        return;
    }
    let lab = lab("name = \"used\"\n[nodes.a]\nkind = \"host\"\nimage = \"127.0.0.1:5000/many:1\"\n");
    let registry = Registry::start(&lab, Wants::Nothing);
    layered(&lab, "many");
    registry.push(&lab, &Images::new(&lab).place("many"), "many:1", &[]);
    let name = format!("{}/many:1", registry.place);
    // From an empty store, and again without the registry.
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(
        lab.sh("a", "cat /data/file; echo $COLOR"),
        "of the third layer\nblue\n"
    );
    lab.run(["image", "rm", &name])
        .refused(1, &["in use", "nslab labs"]);
    assert_eq!(lab.ok(["image", "gc", "--all"]), "nothing was left\n");
    assert!(lab.ok(["image", "ls"]).contains("yes"));
    lab.ok(["down", "used"]);
    drop(registry);
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(lab.sh("a", "ls /data/kept"), "old\n");
    lab.ok(["down", "used"]);
    lab.ok(["image", "rm", &name]);
    lab.run(["up", "-d", lab.file()])
        .refused(3, &["many:1", "cannot be reached"]);
}

#[test]
fn an_image_without_a_shell_is_one() {
    if !has_registry() || !has("busybox") {
        return;
    }
    let lab = lab("");
    let (images, root) = (Images::new(&lab), lab.path("root"));
    image_root::copy_program("busybox", "/sleep", &root);
    images
        .begin("bare")
        .layer("bare", &root)
        .config("bare", &["--config.entrypoint", "/sleep", "--config.cmd", "9"]);
    let place = format!("oci:{}", images.place("bare"));
    lab.ok(["image", "pull", &place]);
    let image = lab.json(["image", "inspect", "-f", "json", &place]);
    assert_eq!(
        (&image["config"]["entrypoint"], &image["config"]["cmd"]),
        (&json!(["/sleep"]), &json!(["9"]))
    );
}

#[test]
fn a_store_that_others_may_change_is_refused() {
    let lab = Lab::new("");
    let place = lab.path("store");
    fs::create_dir(&place).unwrap();
    run(std::process::Command::new("chmod").arg("777").arg(&place)).expect(0);
    lab.run(["image", "ls"])
        .refused(3, &["somebody else may change", "NSLAB_IMAGE_DIR"]);
}
