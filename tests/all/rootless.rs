//! Labs of a user who is not root: they come up, answer and go like root's, and leave the host as it was. The user is one of these
//! tests' own, whom only the files in a mount namespace of each command know.

use crate::common;
use crate::common::host;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::registry::{Images, Registry, Wants, has_registry};
use common::{Done, Host, Lab, Running, has, image_root, run, until};
use host::{aside, interfaces};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What every command of the user's begins with: it is known, and has ids. All of /etc is made another's, so that nothing is
/// mounted below it.
const KNOWN: &str = "cp -a /etc $TEST/etc.$$ && mount --bind $TEST/etc.$$ /etc && \
    echo tester:x:$USER_ID:$USER_ID::/:/bin/sh >> /etc/passwd && echo tester:x:$USER_ID: >> /etc/group && \
    echo tester:$FIRST:65536 > /etc/subuid && echo tester:$FIRST:65536 > /etc/subgid";
/// The rest.
const BECOME: &str = "exec setpriv --reuid $USER_ID --regid $USER_ID --clear-groups \
    env -u NSLAB_RUN_DIR XDG_RUNTIME_DIR=$TEST/user NSLAB_IMAGE_DIR=$TEST/user/images";

const PAIR: &str = r#"
name = "pair"
[nodes.a]
kind = "host"
addresses = { eth0 = ["10.0.0.1/24"] }
files = { "/etc/hostname" = { content = "mine" }, "/usr/share/made/for-a" = { content = "text", mode = "0600", owner = "daemon" } }
[nodes.b]
kind = "host"
addresses = { eth0 = ["10.0.0.2/24"] }
run = [{ name = "s", command = "sleep infinity" }]
[[links]]
endpoints = ["a:eth0", "b:eth0"]
"#;

/// A place where the user may look, with a directory for what it runs, and nslab.
pub struct User {
    pub lab: Lab,
    /// Its id, which no other test's has.
    id: u32,
    /// The first of the ids set aside for it.
    first: u32,
}

/// How many ids are set aside.
const IDS: u32 = 65_536;

impl User {
    pub fn new(text: &str) -> User {
        let lab = Lab::new(text).on(Host::new());
        let own = lab.path("user");
        fs::create_dir(&own).unwrap();
        let number = std::process::id() % 10_000;
        let (id, first) = (2_000_000 + number, 100_000_000 + number * IDS);
        chown(&own, Some(id), Some(id)).unwrap();
        fs::set_permissions(&own, Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(lab.path(""), Permissions::from_mode(0o755)).unwrap();
        let binary = env!("CARGO_BIN_EXE_nslab");
        if fs::hard_link(binary, lab.path("nslab")).is_err() {
            fs::copy(binary, lab.path("nslab")).unwrap();
        }
        User { lab, id, first }
    }

    /// A shell's lines as root, where the user is known.
    pub fn aside(&self, lines: &str) -> Command {
        let mut command = aside(&self.lab, lines);
        // Not UID, which bash does not let anybody set.
        command
            .env("USER_ID", self.id.to_string())
            .env("FIRST", self.first.to_string());
        command
    }

    pub fn own(&self) -> PathBuf {
        self.lab.path("user")
    }

    /// A shell's lines as the user; `nslab` is nslab.
    pub fn command(&self, lines: &str) -> Command {
        self.prepared("true", lines)
    }

    /// The same after lines of root's, which change what the user sees of the host.
    pub fn prepared(&self, before: &str, lines: &str) -> Command {
        let all =
            format!("{before} && {KNOWN} && {BECOME} sh -c 'nslab() {{ $TEST/nslab \"$@\"; }}; '\"$LINES\"");
        let mut command = self.aside(&all);
        command.env("LINES", lines);
        command
    }

    #[track_caller]
    pub fn sh(&self, lines: &str) -> Done {
        run(&mut self.command(lines))
    }

    #[track_caller]
    pub fn ok(&self, lines: &str) -> String {
        self.sh(lines).expect(0)
    }

    pub fn supervisor(&self) -> Pid {
        let state = fs::read(self.own().join("nslab/pair/state.json")).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
        Pid::from_raw(state["supervisor"].as_i64().unwrap().try_into().unwrap())
    }

    /// What is left in the user's run directory.
    pub fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.own().join("nslab")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != ".lock").collect()
    }

    /// Processes that run as the user, or as one of the ids set aside for it.
    pub fn processes(&self) -> Vec<i32> {
        let is_users = |pid: &i32| {
            let user = fs::metadata(format!("/proc/{pid}")).map_or(0, |it| it.uid());
            user == self.id || (self.first..self.first + IDS).contains(&user)
        };
        common::traces::pids().filter(is_users).collect()
    }
}

/// Whether this host has what labs without root need.
pub fn can() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let is_new = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 6);
    let can = is_new && has("newuidmap") && nslab::kernel::rootless::forbidden_by().is_none();
    if !can {
        eprintln!("skipped: this host has no newuidmap, an old kernel, or forbids it");
    }
    can
}

#[test]
fn users_are_offered_the_names_of_roots_nodes() {
    if !can() {
        return;
    }
    let user = User::new("");
    let roots = Lab::up(
        "name = \"roots-own\"\n[nodes.roots-own-node]\nkind = \"host\"\nrun = [{ name = \"s\", command = \"sleep infinity\" }]\n",
    );
    let ask = "NSLAB_COMPLETE=bash _CLAP_COMPLETE_INDEX=2 _CLAP_COMPLETE_COMP_TYPE=9 _CLAP_IFS=' ' $TEST/nslab -- nslab exec roots-own-n";
    let done = user.sh(ask);
    assert_eq!((done.out.trim(), done.err.as_str()), ("roots-own-node", ""));
    roots.ok(["down"]);
    let done = user.sh(ask);
    assert_eq!((done.out.trim(), done.err.as_str(), done.code), ("", "", 0));
}

#[test]
fn a_life() {
    if !can() {
        return;
    }
    let user = User::new(PAIR);
    let before = interfaces(user.lab.host());
    let said = user.ok("nslab up -d $FILE 2>&1");
    assert!(said.contains("nslab exec") && !said.contains("sudo"), "{said}");
    assert_eq!(
        user.ok("nslab exec a -- ping -c1 -W5 10.0.0.2 >&2; nslab exec b whoami"),
        "root\n"
    );
    let states = user.ok("nslab ps");
    assert_eq!(states.matches(" ready ").count(), 2, "{states}");
    assert!(user.ok("nslab labs").contains("pair"));
    // What the lab file puts into it, in directories of the host's that are not the user's.
    assert_eq!(
        user.ok("nslab exec a cat /etc/hostname /usr/share/made/for-a"),
        "minetext"
    );
    assert_eq!(
        user.ok("nslab exec a stat -c \"%U %a\" /usr/share/made/for-a"),
        "daemon 600\n"
    );
    user.ok("nslab exec a -- sh -c \"touch /etc/x /var/lib/y /tmp/z && rm /etc/x && echo >> /etc/hosts\"");
    // Both ways, and whose it is then.
    user.ok("echo words > $TEST/user/to && nslab cp $TEST/user/to a:/tmp/to && nslab cp a:/tmp/to $TEST/user/from");
    let from = fs::metadata(user.own().join("from")).unwrap();
    assert_eq!((from.uid(), from.gid()), (user.id, user.id));
    assert_eq!(fs::read_to_string(user.own().join("from")).unwrap(), "words\n");
    // A terminal, as a program of the user's own would have it.
    let tty = user.ok("script -qec \"$TEST/nslab exec a tty\" /dev/null < /dev/null");
    assert!(tty.contains("/dev/pts/0"), "{tty}");
    user.ok("nslab restart b && nslab exec b true && nslab logs b && nslab events >&2");
    assert_eq!(interfaces(user.lab.host()), before);
    user.ok("nslab down");
    assert_eq!(user.left(), [] as [String; 0]);
    until("the end of all processes", || user.processes().is_empty());
}

#[test]
fn root_in_a_node_is_the_user() {
    if !can() {
        return;
    }
    let user = User::new(PAIR);
    user.ok("nslab up -d $FILE");
    let maps = user.ok("nslab exec a cat /proc/self/uid_map");
    assert_eq!(
        maps.split_whitespace().collect::<Vec<_>>(),
        ["0", "0", "1", "1", "1", "65535"]
    );
    let supervisor = user.supervisor();
    let map = fs::read_to_string(format!("/proc/{supervisor}/uid_map")).unwrap();
    let (id, first) = (user.id.to_string(), user.first.to_string());
    let wanted = ["0", &id, "1", "1", &first, "65535"];
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), wanted);
    // Nothing of root's, and not the user's own secrets either.
    for line in [
        "! grep -q '[$]' /etc/shadow",
        "test -z \"$(ls -A /root /home | grep -v :)\"",
        "! echo x > /proc/sys/kernel/core_pattern",
        "! dmesg",
        "! mknod /tmp/disk b 8 0",
        "! chown daemon /usr/bin/env",
        "! touch /usr/bin/env",
    ] {
        fs::write(user.lab.path("line"), line).unwrap();
        let done = user.sh("nslab exec a -- sh -c \"$(cat $TEST/line)\"");
        assert_eq!(done.code, 0, "{line}: {}{}", done.out, done.err);
    }
    user.ok("nslab down");
}

#[test]
fn a_killed_supervisor_leaves_nothing() {
    if !can() {
        return;
    }
    let user = User::new(PAIR);
    user.ok("nslab up -d $FILE");
    let supervisor = user.supervisor();
    kill(supervisor, Signal::SIGKILL).unwrap();
    until("the sweep by the watcher", || user.left().is_empty());
    until("the end of all processes", || user.processes().is_empty());
    assert_eq!(user.ok("nslab labs"), "no lab is running\n");
}

#[test]
fn mounts_below_a_directory_are_no_hindrance() {
    if !can() {
        return;
    }
    let user = User::new(PAIR);
    let lines = format!(
        "mkdir -p $TEST/disk && echo seen > $TEST/disk/file && echo found > $TEST/hosts && {KNOWN} && \
        mount --bind $TEST/hosts /etc/issue && mkdir -p /etc/deep/down && mount --bind $TEST/disk /etc/deep/down && \
        {BECOME} sh -c '$TEST/nslab up -d $FILE && $TEST/nslab exec a cat /etc/issue /etc/deep/down/file /etc/hostname && \
        $TEST/nslab exec a -- sh -c \"touch /etc/mine /etc/deep/mine\" && $TEST/nslab down'"
    );
    let said = run(&mut user.aside(&lines)).expect(0);
    assert!(said.contains("\nfound\nseen\nmine"), "{said}");
}

#[test]
fn what_is_hidden_from_nodes_needs_no_place() {
    if !can() {
        return;
    }
    let user = User::new(PAIR);
    // Too large to be copied, and not for everybody to read; and one that nobody but root may read is a mount.
    let lines = format!(
        "{KNOWN} && mkdir /etc/made && head -c 300000 /dev/zero > /etc/made/large && chmod 600 /etc/made/large && \
        cp /etc/made/large /etc/made/open && chmod 644 /etc/made/open && echo > /etc/made/small && chmod 600 /etc/made/small && \
        mount --bind /etc/made/small /etc/made/small && {BECOME} sh -c '$TEST/nslab up -d $FILE && \
        $TEST/nslab exec a -- sh -c \"ls /etc/made && wc -c < /etc/made/open\" && $TEST/nslab down'"
    );
    let said = run(&mut user.aside(&lines)).expect(0);
    assert!(
        said.contains("open\n300000\n") && !said.contains("large"),
        "{said}"
    );
}

#[test]
fn links_on_the_way_to_files_stay_links() {
    if !can() {
        return;
    }
    let user = User::new(
        r##"
name = "links"
[nodes.a]
kind = "host"
files = { "/bin/made" = { content = "#!/bin/sh\necho made", mode = "0755" }, "/var/run/made" = { content = "run" } }
binds = ["/etc/hostname:/lib/bound/hostname:ro"]
[nodes.b]
kind = "host"
"##,
    );
    user.ok("nslab up -d $FILE");
    for node in ["a", "b"] {
        assert_eq!(
            user.ok(&format!("nslab exec {node} readlink /bin /lib")),
            "usr/bin\nusr/lib\n"
        );
    }
    assert_eq!(user.ok("nslab exec a made"), "made\n");
    assert_eq!(user.ok("nslab exec a cat /run/made"), "run");
    user.ok("nslab exec a test -s /usr/lib/bound/hostname && nslab down");
}

#[test]
fn the_labs_that_ship_pass() {
    if !can() || !common::has_frr() {
        return;
    }
    let user = User::new(PAIR);
    let labs = user.lab.path("labs");
    run(Command::new("cp")
        .arg("-r")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("labs"))
        .arg(&labs))
    .expect(0);
    // interop-gobgp needs a program that not every host has, kubernetes a kubelet.
    let names = [
        "quickstart",
        "ospf",
        "vrrp",
        "clos",
        "all-ibgp",
        "all-ibgp-reflector",
        "cilium-bgp",
        "cilium-bgp-v2",
    ];
    let files: Vec<String> = names
        .iter()
        .map(|name| format!("$TEST/labs/{name}.toml"))
        .collect();
    // Where FRR is installed, its programs are in the place of the built-in engine's.
    user.ok("nslab test --engine builtin $TEST/labs/cilium-bgp.toml >&2");
    // Eight labs take their time where other tests run as well.
    let mut tests = Running::start(&mut user.command(&format!("nslab test -j 2 {} 2>&1", files.join(" "))));
    let said = tests.wait_within(Duration::from_secs(170)).expect(0);
    assert!(
        said.contains(&format!("{} labs:", names.len())) && !said.contains("FAIL"),
        "{said}"
    );
    assert_eq!(user.left(), [] as [String; 0]);
}

#[test]
fn what_takes_root_is_refused_all_at_once() {
    if !can() {
        return;
    }
    let user = User::new(
        r#"
name = "much"
[mgmt]
ipv4_subnet = "172.31.77.0/24"
[nodes.a]
kind = "host"
mgmt = true
ports = ["127.0.0.1:8080:80"]
[nodes.b]
kind = "host"
user_namespace = true
[nodes.c]
kind = "host"
network = "host"
[[links]]
endpoints = ["b:eth1", "host:out0"]
"#,
    );
    let words = [
        "needs root",
        "port 127.0.0.1:8080",
        "b has `user_namespace`",
        "c is in the host's network",
        "host:out0",
        "sudo",
    ];
    user.sh("nslab up -d $FILE").refused(3, &words);
    assert!(!user.own().join("nslab").exists());
}

#[test]
fn limits_and_the_way_outside_are_told_to_be_missing() {
    if !can() {
        return;
    }
    let user = User::new(
        r#"
name = "less"
[mgmt]
ipv4_subnet = "172.31.78.0/24"
[nodes.a]
kind = "host"
mgmt = true
memory = "100M"
[nodes.b]
kind = "host"
mgmt = true
"#,
    );
    let done = user.sh("nslab up -d $FILE && nslab exec a ping -c1 -W5 b && nslab down");
    for words in [
        "without root there are no limits of CPU, memory and processes: a",
        "not to this host",
    ] {
        assert!(done.err.contains(words), "{}", done.err);
    }
    done.expect(0);
}

#[test]
fn what_a_host_lacks_is_named() {
    if !can() {
        return;
    }
    let user = User::new(PAIR);
    let up = |before: &str, with: &str| {
        let lines = format!("{KNOWN} && {before} {BECOME} {with} $TEST/nslab up -d $FILE");
        run(&mut user.aside(&lines))
    };
    up(": > /etc/subuid;", "").refused(3, &["/etc/subuid", "tester", "usermod --add-subuids", "sudo"]);
    up("echo tester:5:7 > /etc/subgid;", "").refused(3, &["/etc/subgid", "tester"]);
    up("", "PATH=/nowhere").refused(3, &["newuidmap is missing", "apt-get install uidmap"]);
    up("mount --bind /bin/false $(command -v newuidmap);", "").refused(3, &["newuidmap says"]);
    // As Ubuntu has it since 23.10.
    let ubuntu = "mount -t tmpfs none /proc/sys/kernel && \
        echo 1 > /proc/sys/kernel/apparmor_restrict_unprivileged_userns &&";
    up(&format!(": > /etc/subuid; {ubuntu}"), "")
        .refused(3, &["sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"]);
    let done = run(&mut user.aside(&format!("{ubuntu} $NSLAB doctor")));
    let named = "kernel.apparmor_restrict_unprivileged_userns";
    assert!(done.out.contains(named), "{}", done.out);
    user.sh("nslab up -d --named $FILE")
        .refused(3, &["/run/netns", "--named"]);
}

#[test]
fn labs_of_root_are_named() {
    if !can() {
        return;
    }
    let user = User::new(PAIR);
    let lines = format!(
        "mount -t tmpfs -o mode=755 none /run && mkdir -p /run/nslab/roots && {KNOWN} && \
        {BECOME} sh -c '$TEST/nslab labs; $TEST/nslab exec a true'"
    );
    let done = run(&mut user.aside(&lines));
    assert!(done.err.contains("root runs roots: sudo "), "{}", done.err);
}

/// What the kernel lacks is told before anything is made, as root is told.
#[test]
fn interfaces_that_the_kernel_lacks_are_told_to_users_as_to_root() {
    if !can() {
        return;
    }
    let kinds = ["dummy", "vrf", "bond", "macvlan", "vlan", "bridge"];
    let interface = |kind: &&str| match *kind {
        "vrf" => "vrf = { type = \"vrf\", table = 10 }".to_owned(),
        "macvlan" => "macvlan = { type = \"macvlan\", link = \"eth0\" }".to_owned(),
        "vlan" => "vlan = { type = \"vlan\", link = \"eth0\", id = 5 }".to_owned(),
        kind => format!("{kind} = {{ type = \"{kind}\" }}"),
    };
    let all: Vec<String> = kinds.iter().map(interface).collect();
    let text = format!(
        "name = \"pair\"\n[nodes.a]\nkind = \"host\"\n[nodes.a.interfaces]\n{}\n[nodes.b]\nkind = \"host\"\n\
         [[links]]\nendpoints = [\"a:eth0\", \"b:eth0\"]\n",
        all.join("\n")
    );
    let user = User::new(&text);
    let mine = user.sh("nslab up -d $FILE");
    let root = user.lab.run(["up", "-d", user.lab.file()]);
    assert_eq!(mine.code, root.code, "{mine:?} {root:?}");
    if root.code == 0 {
        user.lab.ok(["down"]);
        user.ok("nslab down");
        return;
    }
    let said = |done: &Done| {
        let lines = done.err.lines().map(str::trim);
        let lines: Vec<String> = lines
            .filter(|it| it.contains("kernel cannot"))
            .map(str::to_owned)
            .collect();
        lines
    };
    assert!(!said(&root).is_empty(), "{root:?}");
    assert_eq!(said(&mine), said(&root));
    // Told before there was anything to make a directory for.
    assert!(!user.own().join("nslab/pair").exists());
}

#[test]
fn images_come_and_are_nodes() {
    if !can() || !has_registry() {
        return;
    }
    let user = User::new("name = \"images\"\n[nodes.a]\nkind = \"host\"\nimage = \"127.0.0.1:5000/own:1\"\n");
    let registry = Registry::start(&user.lab, Wants::Nothing);
    let (images, base, more) = (
        Images::new(&user.lab),
        user.lab.path("base"),
        user.lab.path("more"),
    );
    image_root::busybox(&base);
    fs::write(base.join("removed"), "").unwrap();
    fs::write(base.join("far"), "").unwrap();
    chown(base.join("home/web"), Some(1000), Some(1000)).unwrap();
    chown(base.join("far"), Some(4_000_000), Some(0)).unwrap();
    fs::create_dir(&more).unwrap();
    fs::write(more.join(".wh.removed"), "").unwrap();
    images.begin("own").layer("own", &base).layer("own", &more);
    images.config("own", &["--config.cmd", "/bin/sleep", "--config.cmd", "1000000"]);
    registry.push(&user.lab, &images.place("own"), "own:1", &[]);
    let done = user.sh("nslab up -d $TEST/lab.toml");
    assert!(done.err.contains("1 files belong to root"), "{}", done.err);
    done.expect(0);
    let told = user.ok("nslab exec a sh -c 'stat -c %u /home/web /far; ls -d /removed || cat /etc/own'");
    assert_eq!(told, "1000\n0\nof the image\n");
    user.sh("nslab image rm 127.0.0.1:5000/own:1")
        .refused(1, &["in use"]);
    assert!(user.ok("nslab image ls").contains("127.0.0.1:5000/own:1"));
    user.ok("nslab down images && nslab image gc --all");
    assert_eq!(fs::read_dir(user.own().join("images/layers")).unwrap().count(), 0);
}
