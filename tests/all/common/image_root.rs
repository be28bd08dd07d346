//! Roots for nodes that are images: small ones, made of the host's busybox, and nothing else of the host's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// Makes a root with busybox, a user `web` (1000) and no `ping`.
pub fn busybox(root: &Path) {
    for directory in ["bin", "etc", "root", "home/web", "www"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    copy_program("busybox", "/bin/busybox", root);
    let listed = Command::new("busybox").arg("--list").output().unwrap();
    for applet in String::from_utf8(listed.stdout).unwrap().lines() {
        if !["busybox", "ping", "ping6"].contains(&applet) {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n",
    )
    .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nweb:x:1000:\n").unwrap();
    fs::write(root.join("etc/own"), "of the image\n").unwrap();
    fs::write(root.join("www/index.html"), "hello\n").unwrap();
}

/// Copies a program of the host's, and the libraries that it is linked to.
pub fn copy_program(name: &str, place: &str, root: &Path) {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|directory| directory.join(name));
    let found = found.into_iter().find(|path| path.is_file()).unwrap();
    put(&found, place, root);
    // One that is linked statically has none, and the command says so by failing.
    let linked = Command::new("ldd").arg(&found).output().unwrap();
    let linked = String::from_utf8(linked.stdout).unwrap();
    for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
        put(Path::new(library), library, root);
    }
}

fn put(source: &Path, place: &str, root: &Path) {
    let place = root.join(place.trim_start_matches('/'));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::copy(source, place).unwrap();
}
