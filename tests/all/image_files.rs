//! Images beside registries: digests that are written down, files, and Podman's store.

use std::fs;

use crate::common::registry::{Images, Registry, Wants, has_registry, lab};
use crate::common::{has, image_root, run};
use crate::images::{entries, in_image, layered};

#[test]
fn a_lab_holds_to_the_digests_that_were_written_down() {
    if !has_registry() {
        return;
    }
    let lab = lab("name = \"locked\"\n[nodes.a]\nkind = \"host\"\nimage = \"127.0.0.1:5000/many:1\"\n");
    let registry = Registry::start(&lab, Wants::Nothing);
    layered(&lab, "many");
    let images = Images::new(&lab);
    registry.push(&lab, &images.place("many"), "many:1", &[]);
    let out = lab.ok(["image", "lock", lab.file()]);
    let digest = out.trim().rsplit(' ').next().unwrap();
    let text = fs::read_to_string(lab.path("lab.lock.toml")).unwrap();
    assert!(
        text.contains(&format!("\"127.0.0.1:5000/many:1\" = \"{digest}\"")),
        "{text}"
    );
    // The tag moves on, and the lab does not.
    let newer = lab.path("newer");
    fs::create_dir_all(newer.join("data")).unwrap();
    fs::write(newer.join("data/file"), "of a newer layer\n").unwrap();
    images.layer("many", &newer);
    registry.push(&lab, &images.place("many"), "many:1", &[]);
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(lab.sh("a", "cat /data/file"), "of the third layer\n");
    lab.ok(["down", "locked"]);
    lab.ok(["image", "lock", lab.file()]);
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(lab.sh("a", "cat /data/file"), "of a newer layer\n");
    lab.ok(["down", "locked"]);
    fs::write(lab.path("lab.lock.toml"), "version = 9\n").unwrap();
    lab.run(["up", "-d", lab.file()])
        .refused(2, &["lab.lock.toml", "version 9"]);
    fs::write(lab.path("lab.lock.toml"), "version = 1\n").unwrap();
    let done = lab.run(["up", "-d", lab.file()]);
    assert!(
        done.err.contains("127.0.0.1:5000/many:1 is not in"),
        "{}",
        done.err
    );
    done.expect(0);
}

#[test]
fn images_are_passed_on_in_files() {
    if !has_registry() {
        return;
    }
    let lab = lab("");
    layered(&lab, "many");
    let images = Images::new(&lab);
    let (docker, oci) = (lab.path("docker.tar"), lab.path("oci.tar"));
    for place in [
        format!("docker-archive:{}:vendor/router:1", docker.display()),
        format!("oci-archive:{}:vendor/switch:1", oci.display()),
    ] {
        run(lab
            .command("skopeo")
            .args(["copy", "-q", &format!("oci:{}", images.place("many")), &place]))
        .expect(0);
    }
    run(lab.command("gzip").arg("-k").arg(&docker)).expect(0);
    for (file, name) in [
        (docker.clone(), "docker.io/vendor/router:1"),
        (lab.path("docker.tar.gz"), "docker.io/vendor/router:1"),
        (oci, "docker.io/vendor/switch:1"),
    ] {
        let out = lab.ok(["image", "import", file.to_str().unwrap()]);
        assert!(out.starts_with(name), "{out}");
        assert_eq!(
            in_image(&lab, name, "cat $ROOT/data/file"),
            "of the third layer\n"
        );
    }
    // A root that `docker import` would take, as cEOS is passed on.
    let root = images.tar(&lab.path("base"));
    run(lab.command("xz").arg("-0").arg(&root)).expect(0);
    let root = format!("{}.xz", root.display());
    lab.run(["image", "import", &root]).refused(2, &["has no name"]);
    lab.ok(["image", "import", &root, "ceos:4.32.0F"]);
    assert_eq!(
        in_image(&lab, "ceos:4.32.0F", "cat $ROOT/etc/own"),
        "of the image\n"
    );
    lab.run(["image", "import", lab.file(), "x"])
        .refused(2, &["has nothing in it"]);
    fs::write(lab.file(), "name = \"x\"").unwrap();
    lab.run(["image", "import", lab.file(), "x"])
        .refused(2, &["is not a tar file"]);
    // Written, and read by others.
    let out = lab.path("out.tar");
    lab.ok([
        "image",
        "export",
        "vendor/router:1",
        &format!("docker-archive:{}", out.display()),
    ]);
    let seen = run(lab.command("skopeo").args([
        "inspect",
        "--config",
        &format!("docker-archive:{}", out.display()),
    ]))
    .expect(0);
    assert!(seen.contains("COLOR=blue"));
    lab.ok([
        "image",
        "export",
        "vendor/router:1",
        lab.path("layout.tar").to_str().unwrap(),
    ]);
    let place = format!("oci-archive:{}", lab.path("layout.tar").display());
    run(lab.command("skopeo").args(["inspect", "--config", &place])).expect(0);
    let left = entries(lab.path("").as_path());
    assert!(!left.iter().any(|it| it.contains(".new-")), "{left:?}");
}

#[test]
fn images_come_from_podmans_store() {
    if !has("podman") || !has("busybox") {
        return;
    }
    let lab = lab("");
    let root = lab.path("root");
    image_root::busybox(&root);
    let tar = lab.path("root.tar");
    run(lab
        .command("tar")
        .arg("-C")
        .arg(&root)
        .arg("-cf")
        .arg(&tar)
        .arg("."))
    .expect(0);
    let (config, kept) = (lab.path("storage.conf"), lab.path("podman"));
    let text = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/root\"\nrunroot = \"{0}/run\"\n",
        kept.display()
    );
    fs::write(&config, text).unwrap();
    let with = |mut command: std::process::Command| run(command.env("CONTAINERS_STORAGE_CONF", &config));
    let mut import = lab.command("podman");
    import.args(["import", "-q"]).arg(&tar).arg("vendor/router:1");
    with(import).expect(0);
    let name = "containers-storage:localhost/vendor/router:1";
    // The second time podman is asked only whether it is the same.
    for _ in 0..2 {
        let out = with(lab.nslab(["image", "pull", name])).expect(0);
        assert!(out.starts_with(name), "{out}");
    }
    assert_eq!(in_image(&lab, name, "cat $ROOT/etc/own"), "of the image\n");
    with(lab.nslab(["image", "import", name, "vendor/router:2"])).expect(0);
    assert!(lab.ok(["image", "ls"]).contains("docker.io/vendor/router:2"));
    with(lab.nslab(["image", "pull", "containers-storage:none"])).refused(2, &["podman says", "none"]);
    lab.run(["image", "pull", "containers-storage:--help"])
        .refused(2, &["is not the name of an image"]);
}
