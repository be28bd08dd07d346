//! Nodes that are images: what runs in them, and what of the host is not there.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Lab, has, image_root, run, until};

/// Two nodes of one image; `a` serves a page.
const WEB: &str = r#"
name = "images"

[defaults]
image = "dir:root"

[nodes.a]
kind = "host"
cmd = "httpd -f -p 80 -h /www"
healthcheck = { test = "wget -q -O - http://127.0.0.1/ | grep hello", interval = "1s" }
addresses = { eth0 = ["10.0.0.1/24"] }
env = { MODE = "lab" }
files = { "/etc/given" = { content = "given\n", owner = "web:web", mode = "0600" } }
binds = ["given:/mnt/given:ro"]
tmpfs = ["/scratch:size=1M"]
volumes = ["/data"]

[nodes.b]
kind = "host"
user = "web"
workdir = "/home/web"
entrypoint = ["sleep"]
cmd = ["1000000"]
exec = ["ping -c1 -W9 10.0.0.1"]
addresses = { eth0 = ["10.0.0.2/24"] }
wait_for = ["a"]

[[links]]
endpoints = ["a:eth0", "b:eth0"]

[[checks]]
name = "b reaches a"
node = "b"
ping = "10.0.0.1"

[[checks]]
name = "a answers"
node = "b"
tcp = "10.0.0.1:80"
"#;

fn lab(text: &str) -> Lab {
    let lab = Lab::new(text);
    image_root::busybox(&lab.path("root"));
    fs::create_dir(lab.path("given")).unwrap();
    fs::write(lab.path("given/file"), "of the host\n").unwrap();
    lab
}

#[test]
fn a_node_is_its_image_and_nothing_of_the_host() {
    if !has("busybox") {
        return;
    }
    let lab = lab(WEB);
    lab.ok(["up", "-d", lab.file()]);
    lab.ok(["check"]);
    assert_eq!(lab.sh("a", "cat /etc/own"), "of the image\n");
    assert_eq!(lab.sh("a", "cat /etc/hostname"), "a\n");
    assert!(lab.sh("a", "cat /etc/hosts").contains("10.0.0.2 b"));
    for path in [
        "/usr/bin/env",
        "/etc/debian_version",
        "/var",
        "/usr/sbin/nft",
        "/home/user",
    ] {
        assert!(Path::new(path).exists() || path.starts_with("/home"));
        lab.sh("a", &format!("! test -e {path}"));
    }
    // The image's own files are not written to.
    lab.sh("a", "echo changed > /etc/own; echo more > /www/more");
    assert_eq!(
        fs::read_to_string(lab.path("root/etc/own")).unwrap(),
        "of the image\n"
    );
    assert!(!lab.path("root/www/more").exists() && !lab.path("root/proc/1").exists());
    assert_eq!(lab.sh("b", "cat /etc/own"), "of the image\n");
}

#[test]
fn what_the_file_says_holds_in_an_image_as_in_any_node() {
    if !has("busybox") {
        return;
    }
    let lab = lab(WEB);
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(lab.sh("a", "echo $MODE $HOSTNAME"), "lab a\n");
    assert_eq!(
        lab.sh("a", "stat -c '%U %a' /etc/given; cat /etc/given"),
        "web 600\ngiven\n"
    );
    assert_eq!(lab.sh("a", "cat /mnt/given/file"), "of the host\n");
    lab.sh("a", "! touch /mnt/given/x 2>/dev/null");
    lab.sh("a", "mount | grep -q ' /scratch .*size=1024k'");
    lab.sh("a", "echo kept > /data/x; echo lost > /x");
    // As whom, and where.
    let who = lab.sh("b", "id -un; pwd; echo $HOME");
    assert_eq!(who, "web\n/home/web\n/home/web\n");
    assert_eq!(lab.ok(["exec", "-u", "root", "-w", "/", "b", "id", "-u"]), "0\n");
    let main = lab.program("b");
    assert!(main > 0);
    // Logs, copies, restarts.
    until("the health check's answer", || {
        lab.ok(["logs", "a"]).contains("hello")
    });
    lab.ok(["cp", "a:/etc/own", lab.path("copied").to_str().unwrap()]);
    assert_eq!(fs::read_to_string(lab.path("copied")).unwrap(), "of the image\n");
    lab.ok(["restart", "a"]);
    lab.sh("a", "test -e /data/x && ! test -e /x");
    lab.ok(["check"]);
}

#[test]
fn an_image_without_a_shell_is_a_node_like_others() {
    if !has("busybox") {
        return;
    }
    let lab = Lab::new(
        r#"
name = "shellless"
[defaults]
kind = "host"
image = "dir:root"
[nodes.a]
cmd = ["/sbin/httpd", "-f", "-p", "80"]
addresses = { eth0 = ["10.0.0.1/24"] }
[nodes.b]
addresses = { eth0 = ["10.0.0.2/24"] }
[[links]]
endpoints = ["a:eth0", "b:eth0"]
[[checks]]
name = "it answers"
node = "b"
tcp = "10.0.0.1:80"
within = "60s"
[[checks]]
name = "it is reached"
node = "b"
ping = "10.0.0.1"
"#,
    );
    let root = lab.path("root");
    fs::create_dir(&root).unwrap();
    image_root::copy_program("busybox", "/busybox", &root);
    // busybox is the applet by whose name it is called.
    fs::create_dir(root.join("sbin")).unwrap();
    fs::rename(root.join("busybox"), root.join("sbin/httpd")).unwrap();
    lab.ok(["up", "-d", lab.file()]);
    lab.ok(["check"]);
    lab.ok(["exec", "b", "ping", "-c1", "-W9", "10.0.0.1"]);
    assert!(lab.ok(["exec", "b", "nslab", "net", "addr"]).contains("10.0.0.2"));
    lab.run(["exec", "b", "sh", "-c", "true"])
        .refused(127, &["sh: command not found"]);
    assert!(lab.ok(["ps"]).contains("ready"));
}

#[test]
fn a_program_that_is_not_there_is_told() {
    if !has("busybox") {
        return;
    }
    let lab = lab(&WEB.replace("httpd -f", "nonesuch -f"));
    lab.run(["up", "-d", lab.file()])
        .refused(1, &["main of a could not be started", "nonesuch"]);
}

#[test]
fn users_of_an_image_can_be_its_own() {
    if !has("busybox") {
        return;
    }
    let lab = lab(&WEB
        .replace("[nodes.a]", "[nodes.a]\nuser_namespace = true")
        .replace("[nodes.b]", "[nodes.b]\nuser_namespace = true"));
    lab.ok(["up", "-d", lab.file()]);
    lab.ok(["check"]);
    assert_eq!(lab.sh("a", "stat -c %u /etc/own /bin/busybox"), "0\n0\n");
    assert_ne!(lab.sh("a", "awk '{ print $2 }' /proc/self/uid_map").trim(), "0");
    assert_eq!(lab.sh("b", "id -un"), "web\n");
}

/// An image may have links of its own where a directory of the lab's is copied to.
#[test]
fn what_is_copied_into_an_image_stays_in_it() {
    if !has("busybox") {
        return;
    }
    let text = r#"
name = "links"
[nodes.a]
kind = "host"
image = "dir:root"
cmd = "sleep 1000000"
files = { "/etc/tool" = { from = "given" } }
"#;
    let lab = lab(text);
    fs::create_dir_all(lab.path("given/sub")).unwrap();
    fs::write(lab.path("given/sub/file"), "given\n").unwrap();
    fs::create_dir_all(lab.path("root/etc/tool")).unwrap();
    let link = lab.path("root/etc/tool/sub");
    for place in ["/proc/self/cwd/..", "/proc/self/fd/5/..", "/proc/self/root/tmp"] {
        std::os::unix::fs::symlink(place, &link).unwrap();
        lab.run(["up", "-d", lab.file()])
            .refused(3, &["is one of /proc's own links, or leads through one"]);
        fs::remove_file(&link).unwrap();
    }
    std::os::unix::fs::symlink("/www", &link).unwrap();
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(lab.sh("a", "cat /www/file /etc/tool/sub/file"), "given\ngiven\n");
    assert!(!lab.path("root/www/file").exists());
}

#[test]
fn the_hosts_own_root_is_no_image() {
    for place in ["/", "/etc/..", "/proc/self/root"] {
        let text = format!("name = \"own\"\n[nodes.a]\nkind = \"host\"\nimage = \"dir:{place}\"\n");
        let lab = Lab::new(&text);
        lab.run(["up", "-d", lab.file()])
            .refused(2, &["the host's own root is no image"]);
    }
}

#[test]
fn homes_and_groups_are_as_under_other_runtimes() {
    if !has("busybox") {
        return;
    }
    let text = r#"
name = "homes"
[defaults]
kind = "host"
image = "dir:root"
cmd = "sleep 1000000"
[nodes.root]
[nodes.web]
user = "web"
[nodes.own]
user = "web"
env = { HOME = "/opt" }
[nodes.number]
user = "1234"
terminal = false
"#;
    let lab = lab(text);
    lab.ok(["up", "-d", lab.file()]);
    for (node, home) in [
        ("root", "/root"),
        ("web", "/home/web"),
        ("own", "/opt"),
        ("number", "/"),
    ] {
        assert_eq!(lab.sh(node, "echo $HOME"), format!("{home}\n"), "{node}");
        let main = "tr '\\0' '\\n' < /proc/$(pidof sleep | cut -d' ' -f1)/environ | grep ^HOME=";
        assert_eq!(lab.sh(node, main), format!("HOME={home}\n"), "{node}");
    }
    assert_eq!(lab.sh("number", "id -u; id -g"), "1234\n0\n");
    assert_eq!(lab.sh("web", "echo $USER"), "\n");
}

#[test]
fn a_first_process_that_cannot_be_started_is_told_each_time() {
    if !has("busybox") {
        return;
    }
    let lab = lab(&OWN_INIT.replace("/bin/sh\", \"-c", "/bin/nonesuch\", \"-c"));
    lab.run(["up", "-d", lab.file()]).refused(
        1,
        &[
            "main of w could not be started",
            "/bin/nonesuch: command not found",
        ],
    );
}

#[test]
fn what_is_for_images_is_refused_elsewhere() {
    let refused = |node: &str, words: &[&str]| {
        let text = format!("name = \"x\"\n[nodes.a]\n{node}\n");
        let lab = Lab::new(&text);
        fs::create_dir(lab.path("root")).unwrap();
        lab.run(["validate", lab.file()]).refused(2, words);
    };
    for key in [
        "cmd = \"a\"",
        "entrypoint = [\"a\"]",
        "user = \"web\"",
        "workdir = \"/\"",
        "image_pull = \"never\"",
        "init = \"image\"",
        "stop_signal = \"SIGTERM\"",
        "healthcheck = false",
        "restart = \"no\"",
        "terminal = true",
    ] {
        let name = key.split(' ').next().unwrap();
        refused(
            &format!("kind = \"host\"\n{key}"),
            &[&format!("`{name}` is for nodes that are images"), "lab.toml:4"],
        );
    }
    let image = "image = \"dir:root\"";
    refused(&format!("kind = \"k8s\"\n{image}"), &["cannot be an image"]);
    refused(
        &format!("kind = \"router\"\nengine = \"builtin\"\n{image}"),
        &["the built-in speaker is no part of an image"],
    );
    refused(
        &format!("kind = \"host\"\nshow_host = [\"/home\"]\n{image}"),
        &["binds"],
    );
    refused("kind = \"host\"\nimage = \"dir:nonesuch\"", &["nonesuch"]);
    refused("kind = \"host\"\nimage = \"\"", &["no image's name"]);
    refused(
        &format!("kind = \"host\"\n{image}\nstop_signal = \"SIGNONE\""),
        &["SIGNONE", "signal(7)"],
    );
    refused(
        &format!("kind = \"host\"\n{image}\nhealthcheck = {{ interval = \"1s\" }}"),
        &["test"],
    );
}

/// `w` counts its lives by what is in its volume.
const OWN_INIT: &str = r#"
name = "own-init"
[nodes.w]
kind = "host"
image = "dir:root"
init = "image"
cmd = ["/bin/sh", "-c", "echo life >> /kept/lives; trap 'echo bye >> /kept/lives; exit 3' INT; while :; do sleep 0.1; done"]
stop_signal = "SIGINT"
restart = "always"
volumes = ["/kept"]
exec = ["touch /made"]
run = [{ name = "other", command = "sleep 1000000" }]
"#;

#[test]
fn an_images_program_can_be_the_first_process() {
    if !has("busybox") {
        return;
    }
    let lab = lab(OWN_INIT);
    lab.ok(["up", "-d", lab.file()]);
    assert!(
        lab.sh("w", "cat /proc/1/cmdline | tr '\\0' ' '")
            .starts_with("/bin/sh -c echo life")
    );
    lab.sh("w", "test -e /made && pidof sleep");
    // It has no more rights than any program of a node.
    let bounds = |pid: &str| lab.sh("w", &format!("grep -E 'CapBnd|Seccomp:' /proc/{pid}/status"));
    assert_eq!(bounds("1"), bounds("self"));
    // Its own root, and nothing of the node's init.
    lab.sh("w", "! ls /proc/*/exe | grep -q nslab");
    // With it the node begins anew.
    lab.run(["exec", "w", "kill", "-INT", "1"]);
    until("a second life", || {
        lab.run(["exec", "w", "cat", "/kept/lives"]).out == "life\nbye\nlife\n"
    });
    // Asked to end, it hears its own signal.
    lab.ok(["restart", "w"]);
    until("a third life", || {
        lab.run(["exec", "w", "cat", "/kept/lives"]).out == "life\nbye\nlife\nbye\nlife\n"
    });
    let traces = lab.traces("own-init");
    lab.ok(["down", "own-init"]);
    lab.swept(&traces);
}

#[test]
fn a_first_process_that_is_not_to_be_started_again_leaves_a_node_that_says_so() {
    if !has("busybox") {
        return;
    }
    let text = OWN_INIT
        .replace("restart = \"always\"", "restart = \"no\"")
        .replace("run = ", "# ");
    let lab = lab(&text);
    lab.ok(["up", "-d", lab.file()]);
    lab.run(["exec", "w", "kill", "-INT", "1"]);
    until("its end", || lab.ok(["ps", "--wide"]).contains("main (ended 3)"));
    lab.run(["exec", "w", "true"])
        .refused(125, &["the first process of w has ended", "nslab restart w"]);
    lab.ok(["restart", "w"]);
    lab.ok(["exec", "w", "true"]);
}

/// Makes an image of so many layers in the image layout: a root, and layers with a file of their own that replace another.
const MANY: &str = r#"
import hashlib, io, json, pathlib, sys, tarfile
root, place, count = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
blobs = place / "blobs/sha256"
blobs.mkdir(parents=True)
def blob(content):
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return {"digest": "sha256:" + digest, "size": len(content)}
def layer(fill):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        fill(archive)
    return out.getvalue()
def small(number):
    def fill(archive):
        directory = tarfile.TarInfo("n")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(directory)
        for name in (f"n/{number}", "last"):
            entry = tarfile.TarInfo(name)
            text = f"{number}
".encode()
            entry.size, entry.mode = len(text), 0o644
            archive.addfile(entry, io.BytesIO(text))
    return fill
layers = [layer(lambda archive: archive.add(root, "."))] + [layer(small(number)) for number in range(1, count)]
kind = "application/vnd.oci.image."
described = [{"mediaType": kind + "layer.v1.tar", **blob(it)} for it in layers]
machine = {"x86_64": "amd64", "aarch64": "arm64"}
import platform
config = {"os": "linux", "architecture": machine.get(platform.machine(), platform.machine()), "config": {"Cmd": ["sleep", "1000000"]},
          "rootfs": {"type": "layers", "diff_ids": [it["digest"] for it in described]}}
manifest = {"schemaVersion": 2, "mediaType": kind + "manifest.v1+json", "layers": described,
            "config": {"mediaType": kind + "config.v1+json", **blob(json.dumps(config).encode())}}
index = {"schemaVersion": 2, "manifests": [{"mediaType": kind + "manifest.v1+json", **blob(json.dumps(manifest).encode())}]}
(place / "index.json").write_text(json.dumps(index))
(place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
"#;

#[test]
fn an_image_has_as_many_layers_as_the_kernel_takes() {
    if !has("busybox") || !has("python3") {
        return;
    }
    let lab = lab("name = \"many\"\n[nodes.a]\nkind = \"host\"\nimage = \"oci:many\"\n");
    let make = |place: &str, count: &str| {
        let mut python = Command::new("python3");
        python
            .args(["-c", MANY])
            .arg(lab.path("root"))
            .arg(lab.path(place))
            .arg(count);
        run(&mut python).expect(0);
    };
    make("many", "498");
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(
        lab.sh("a", "ls /n | wc -l; cat /last; cat /n/1 /n/497"),
        "497\n497\n1\n497\n"
    );
    // It is a root like others: written to, and empty again after a restart.
    lab.sh("a", "echo x > /n/1; rm /last");
    assert_eq!(lab.sh("a", "cat /n/1; ls /last 2>&1 | wc -l"), "x\n1\n");
    lab.ok(["restart", "a"]);
    assert_eq!(lab.sh("a", "cat /n/1 /last"), "1\n497\n");
    make("more", "499");
    let text = "name = \"more\"\n[nodes.a]\nkind = \"host\"\nimage = \"oci:more\"\n";
    fs::write(lab.path("more.toml"), text).unwrap();
    let more = lab.path("more.toml");
    lab.run(["up", "-d", more.to_str().unwrap()])
        .refused(2, &["it has 499 layers; an image may have 498"]);
}

#[test]
fn a_lab_that_runs_is_told_before_images_are_brought() {
    if !has("busybox") {
        return;
    }
    let lab =
        lab("name = \"once\"\n[nodes.a]\nkind = \"host\"\nimage = \"dir:root\"\ncmd = \"sleep 1000000\"\n");
    lab.ok(["up", "-d", lab.file()]);
    // An image that cannot be had is not looked for.
    let other = "name = \"once\"\n[nodes.a]\nkind = \"host\"\nimage = \"127.0.0.1:9/nowhere:1\"\n";
    fs::write(lab.file(), other).unwrap();
    let run = lab.run(["up", "-d", lab.file()]);
    assert!(!run.err.contains("nowhere"), "{}", run.err);
    run.refused(2, &["once", "running already"]);
    lab.ok(["down", "once"]);
    lab.run(["up", "-d", lab.file()]).refused(3, &["127.0.0.1:9"]);
}
