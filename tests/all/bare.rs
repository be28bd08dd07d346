//! A machine with nothing on it but nslab and a shell: what README shows works there, and so do the labs that ship.

#![allow(
    unsafe_code,
    reason = "a command moves into a root of its own before it begins"
)]

use crate::common;

use std::ffi::CStr;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Done, in_package, run};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, pivot_root};

const NSLAB: &str = env!("CARGO_BIN_EXE_nslab");
/// What somebody new types first; scripts/releases types it on other releases of Debian and Ubuntu.
const FIRST_COMMANDS: &str = include_str!("../data/first-commands");

/// A root with a shell, nslab, what the two are linked with, and the labs.
struct Bare(tempfile::TempDir);

impl Bare {
    fn new() -> Bare {
        let bare = Bare(tempfile::TempDir::new().unwrap());
        for directory in ["proc", "sys", "dev", "run", "tmp", "etc", "labs"] {
            fs::create_dir(bare.0.path().join(directory)).unwrap();
        }
        bare.put(Path::new("/bin/sh"), "bin/sh");
        bare.put(Path::new(NSLAB), "bin/nslab");
        for entry in fs::read_dir(in_package("labs")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            fs::copy(&path, bare.0.path().join("labs").join(name)).unwrap();
        }
        bare
    }

    /// A program, with its libraries where it looks for them.
    fn put(&self, program: &Path, place: &str) {
        let libraries = Command::new("ldd").arg(program).output().unwrap().stdout;
        let libraries = String::from_utf8(libraries).unwrap();
        let words = libraries.split_whitespace().filter(|word| word.starts_with('/'));
        let files = words.map(|word| (PathBuf::from(word), word.trim_start_matches('/').to_owned()));
        for (from, to) in files.chain([(program.to_owned(), place.to_owned())]) {
            let to = self.0.path().join(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(fs::canonicalize(from).unwrap(), to).unwrap();
        }
    }

    /// Runs lines of the shell with this root and a network of their own.
    fn sh(&self, lines: &str) -> Done {
        let root = self.0.path().to_owned();
        let mut command = Command::new("/bin/sh");
        command.args(["-euc", lines]);
        command.env_clear().env("PATH", "/bin");
        // SAFETY: system calls on what is allocated already, but for paths, in a process whose only thread this is.
        unsafe {
            command.pre_exec(move || Ok(move_in(&root)?));
        }
        run(&mut command)
    }
}

fn move_in(root: &Path) -> nix::Result<()> {
    const NONE: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    mount(Some(root), root, NONE, MsFlags::MS_BIND, NONE)?;
    mount(
        Some("proc"),
        &root.join("proc"),
        Some("proc"),
        MsFlags::empty(),
        NONE,
    )?;
    for shared in ["sys", "dev"] {
        let from = Path::new("/").join(shared);
        mount(
            Some(&from),
            &root.join(shared),
            NONE,
            MsFlags::MS_BIND | MsFlags::MS_REC,
            NONE,
        )?;
    }
    mount(
        Some("run"),
        &root.join("run"),
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )?;
    mount(
        Some("tmp"),
        &root.join("tmp"),
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=1777"),
    )?;
    let here: &CStr = c".";
    chdir(root)?;
    pivot_root(here, here)?;
    umount2(here, MntFlags::MNT_DETACH)?;
    chdir("/")
}

/// The lab file that README shows.
fn of_readme() -> String {
    let readme = fs::read_to_string(in_package("README.md")).unwrap();
    let from = readme.find("name = \"two\"").unwrap();
    let length = readme[from..].find("```").unwrap();
    readme[from..from + length].to_owned()
}

#[test]
fn the_first_ten_commands_of_the_readme_work_with_nothing_but_nslab() {
    let bare = Bare::new();
    fs::write(bare.0.path().join("two.toml"), of_readme()).unwrap();
    let readme = fs::read_to_string(in_package("README.md")).unwrap();
    let commands: Vec<&str> = FIRST_COMMANDS.lines().collect();
    for command in &commands[..6] {
        assert!(readme.contains(&format!("sudo {command}")), "{command}");
    }
    let more = "
        nslab exec a ping -c 2 -W 1 b
        nslab exec a nslab net addr
        nslab exec a nslab net neigh
        nslab exec a ip route && exit 1
        nslab exec a nonsense && exit 1
        nslab down
        nslab doctor";
    let lines: String = commands
        .iter()
        .map(|command| format!("echo '$ '\"{command}\"\n{command}\n"))
        .collect();
    let done = bare.sh(&(lines + more));
    assert_eq!(done.code, 0, "{}\n{}", done.out, done.err);
    for said in [
        "Displayed  12 routes",
        "1 packets transmitted, 1 received, 0% packet loss",
        "lab cilium-bgp is down",
        "1 check passed",
        "2 packets transmitted, 2 received",
        "eth0             up    10.0.0.1/24",
        "10.0.0.2 dev eth0 lladdr ",
    ] {
        assert!(done.out.contains(said), "{said} in\n{}\n{}", done.out, done.err);
    }
    for said in [
        "ip: command not found",
        "apt-get install iproute2",
        "nslab net addr",
        "nonsense: command not found",
    ] {
        assert!(done.err.contains(said), "{said} in\n{}", done.err);
    }
}

#[test]
fn the_labs_that_ship_need_no_program_on_builtin() {
    let bare = Bare::new();
    for lab in [
        "quickstart",
        "clos",
        "cilium-bgp",
        "cilium-bgp-v2",
        "all-ibgp",
        "all-ibgp-reflector",
    ] {
        let done = bare.sh(&format!("nslab test --engine builtin labs/{lab}.toml"));
        assert_eq!(done.code, 0, "{lab}\n{}\n{}", done.out, done.err);
        assert!(!done.out.contains("skipped"), "{lab}\n{}", done.out);
    }
}
