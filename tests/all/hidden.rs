//! What nodes do not see of the host's files, wherever the host keeps it.

use crate::common;
use crate::common::host;

use common::Lab;
use host::do_aside;

#[test]
fn what_the_host_keeps_for_itself_is_hidden_wherever_it_is() {
    let place = |parent: &str| {
        tempfile::Builder::new()
            .prefix("nslab-test-")
            .tempdir_in(parent)
            .unwrap()
    };
    let open = |path: &std::path::Path, mode: u32| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    // As other programs leave their state: in directories that everybody may enter, deep down.
    let state = place("/var/lib");
    let deep = state.path().join("a/b/c/d/e");
    std::fs::create_dir_all(&deep).unwrap();
    open(state.path(), 0o755);
    for (name, mode) in [("secret", 0o600), ("public", 0o644)] {
        std::fs::write(deep.join(name), "text").unwrap();
        open(&deep.join(name), mode);
    }
    let many = place("/var/lib");
    open(many.path(), 0o755);
    std::fs::create_dir_all(many.path().join("inner")).unwrap();
    for number in 0..21_000 {
        std::fs::write(many.path().join(format!("inner/{number}")), "").unwrap();
    }
    std::fs::write(many.path().join("outer"), "").unwrap();
    let others = ["/var/tmp", "/var/backups", "/var/cache", "/var/spool"].map(|parent| {
        let place = place(parent);
        open(place.path(), 0o755);
        std::fs::write(place.path().join("everybodys"), "").unwrap();
        place
    });
    // And nslab's own, where the rest of the directory is seen.
    let seen = place("/opt");
    open(seen.path(), 0o755);
    std::fs::write(seen.path().join("file"), "").unwrap();
    let run = seen.path().join("run");
    let lab = Lab::new(
        "name = \"hidden\"\n[nodes.a]\nkind = \"host\"\n[nodes.b]\nkind = \"host\"\nshow_host = [\"/var/cache\"]\n",
    );
    let nslab = |words: &[&str]| common::run(lab.nslab(words).env("NSLAB_RUN_DIR", &run));
    nslab(&["up", "-d", lab.file()]).expect(0);
    let sees = |node: &str, path: &std::path::Path| {
        nslab(&["exec", node, "test", "-e", path.to_str().unwrap()]).code == 0
    };
    let mut wrong = Vec::new();
    for (path, expected) in [
        (deep.join("secret"), false),
        (deep.join("public"), true),
        (many.path().join("outer"), false),
        (many.path().join("inner/1"), false),
        (seen.path().join("file"), true),
        (run.join("hidden"), false),
    ] {
        if sees("a", &path) != expected {
            wrong.push(path);
        }
    }
    wrong.extend(
        others
            .iter()
            .map(|it| it.path().join("everybodys"))
            .filter(|path| sees("a", path)),
    );
    let kept = others[2].path();
    if !sees("a", kept) || !sees("b", &kept.join("everybodys")) {
        wrong.push(kept.to_owned());
    }
    let writes = nslab(&[
        "exec",
        "a",
        "sh",
        "-c",
        "echo x > /var/tmp/x && stat -c %a /var/tmp",
    ]);
    nslab(&["down", "--all"]).expect(0);
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(writes.expect(0), "1777\n");
}

#[test]
fn a_store_of_images_is_hidden_wherever_it_is() {
    let lab = Lab::new("name = \"store\"\n[nodes.a]\nkind = \"host\"\n");
    let done = do_aside(
        &lab,
        "mount -t tmpfs -o mode=755 none /mnt && mkdir -p /mnt/a/b/c/d/images /mnt/a/b/c/d/other && \
        echo mine > /mnt/a/b/c/d/images/file && echo open > /mnt/a/b/c/d/other/file && \
        NSLAB_IMAGE_DIR=/mnt/a/b/c/d/images $NSLAB up -d $FILE >&2 && \
        $NSLAB exec a -- sh -c 'cat /mnt/a/b/c/d/other/file /mnt/a/b/c/d/images/file'; $NSLAB down >&2",
    );
    assert!(done.err.contains("images/file"), "{}", done.err);
    assert_eq!(done.out, "open\n");
}

#[test]
fn homes_and_closed_files_are_hidden_wherever_they_are() {
    let lab = Lab::new("name = \"homes\"\n[nodes.a]\nkind = \"host\"\n");
    // A host with people outside of /home, and data of their own.
    let done = do_aside(
        &lab,
        "cp /etc/passwd $TEST/passwd && echo alice:x:1077:1077::/mnt/people/alice:/bin/sh >> $TEST/passwd && \
        mount --bind $TEST/passwd /etc/passwd && mount -t tmpfs -o mode=755 none /mnt && \
        mkdir -p /mnt/people/alice/.ssh /mnt/people/shared && echo key > /mnt/people/alice/.ssh/id && \
        echo open > /mnt/people/shared/open && mkdir -m 700 /mnt/closed && echo closed > /mnt/closed/file && \
        $NSLAB up -d $FILE >&2 && $NSLAB exec a -- sh -c 'cat /mnt/people/shared/open; ls -A /mnt/people/alice; cat /mnt/closed/file'; \
        $NSLAB down >&2",
    );
    assert!(done.err.contains("/mnt/closed/file"), "{}", done.err);
    assert_eq!(done.out, "open\n");
}
