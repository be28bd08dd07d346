//! What nodes do not see of the host's files: what the host keeps from its own users is kept from nodes, in which everybody
//! may be root.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::kernel::overlay::Base;
use crate::kernel::users;
use crate::lab::own_directories;

/// Hidden whatever their permissions are: people's own files, nslab's, and what other tools keep of their machines.
pub const ALWAYS: [&str; 10] = [
    "/home",
    "/root",
    "/var/backups",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/lib/nslab",
    "/var/mail",
    "/var/tmp",
];
/// Of what these hold only the directories themselves are shown, which services expect to be there.
const EMPTIED: [&str; 2] = ["/var/cache", "/var/spool"];
/// Directories of the file system hierarchy standard and of package managers, which are looked at as the others here say, or are not
/// people's.
const STANDARD: [&str; 20] = [
    "bin", "boot", "dev", "etc", "gnu", "home", "lib", "lib64", "media", "mnt", "nix", "opt", "proc", "root",
    "run", "sbin", "srv", "sys", "tmp", "usr",
];
/// How deep others that are directly below `/` are looked at: people keep data there.
const DATA: u32 = 2;
/// Ids from which on accounts are people's, and the one that is nobody's (adduser.conf(5)).
const PEOPLE: std::ops::Range<u32> = 1000..65_534;
/// Where permissions are looked at, and how deep: where systems keep their configuration and state.
const SEARCHED: [(&str, u32); 9] = [
    ("/", 1),
    ("/boot", 2),
    ("/etc", 8),
    ("/mnt", 1),
    ("/opt", 2),
    ("/srv", 2),
    ("/usr/local", 2),
    ("/var", 1),
    (STATES, 1),
];
/// Where programs keep their state: each one's directory is looked at as deep as it goes.
const STATES: &str = "/var/lib";
const DEEPEST: u32 = 16;
/// Where everything may be read, and there is much of it.
const PUBLIC: [&str; 3] = ["/var/lib/apt", "/var/lib/dpkg", "/var/lib/rpm"];
/// Shown all the same: programs that nodes use ask for them, and they hold no secret.
const SPARED: [&str; 2] = ["/etc/sudoers", "/etc/sudoers.d"];
/// How many entries are looked at in the configuration, and in the state of one program; a directory that is reached later is
/// hidden as a whole.
const MOST: usize = 50_000;
const MOST_OF_ONE: usize = 20_000;
/// How many entries of all of them are looked at. So what nodes see does not depend on how busy the machine is.
const MOST_OF_STATES: usize = 100_000;

const SHADOW: &str = "/etc/shadow";

/// Hides from confined nodes what they are not to see, and nslab's `own` directories. Returns the directories that are hidden.
///
/// # Errors
/// Memory is short.
pub fn draw(base: &Base, own: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Found {
        directories: BTreeSet::new(),
        files: BTreeSet::new(),
        left: MOST,
    };
    let always = ALWAYS.map(PathBuf::from).into_iter().chain(homes());
    for path in always.chain(own.iter().cloned()) {
        if path.is_dir() && is_of_files(&path) {
            found.directories.insert(path);
        }
    }
    for path in EMPTIED {
        found.empty(Path::new(path));
    }
    for (path, depth) in SEARCHED {
        found.search(Path::new(path), depth, false);
    }
    for path in data() {
        found.descend(path, DATA);
    }
    found.search_states();
    if found.files.remove(Path::new(SHADOW)) {
        stand_in(base)?;
    }
    for path in found.directories.iter().chain(&found.files) {
        // Names in a hidden directory are hidden with it.
        let mut above = path.ancestors().skip(1);
        if !above.any(|above| found.directories.contains(above)) {
            base.hide(path)?;
        }
    }
    Ok(found.directories.into_iter().collect())
}

/// The homes of people's accounts, wherever they are; but not where one is a part of the system.
fn homes() -> Vec<PathBuf> {
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let home = |line: &str| {
        let mut fields = line.split(':');
        let id: u32 = fields.nth(2)?.parse().ok()?;
        let home = PathBuf::from(fields.nth(2)?);
        (PEOPLE.contains(&id) && !is_part_of_system(&home)).then_some(home)
    };
    accounts.lines().filter_map(home).collect()
}

/// `/`, what is directly below it, and all in which programs are.
fn is_part_of_system(path: &Path) -> bool {
    const PROGRAMS: [&str; 12] = [
        "bin", "boot", "dev", "etc", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "usr",
    ];
    let is_odd = path
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    let mut parts = path.strip_prefix("/").unwrap_or(path).iter();
    let is_programs = parts
        .next()
        .is_none_or(|first| PROGRAMS.iter().any(|it| first == *it));
    is_odd || is_programs || parts.next().is_none()
}

/// What is directly below `/` and not of the standard.
fn data() -> Vec<PathBuf> {
    let entries = fs::read_dir("/").into_iter().flatten().flatten();
    let is_data = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let is_standard = name == "var" || STANDARD.iter().any(|standard| name == *standard);
        !is_standard && entry.file_type().is_ok_and(|kind| kind.is_dir())
    };
    entries.filter(is_data).map(|entry| entry.path()).collect()
}

struct Found {
    directories: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    /// Entries that may still be looked at.
    left: usize,
}

impl Found {
    fn is_exhausted(&self) -> bool {
        self.left == 0
    }

    /// Looks for what is closed. An inner directory is left when no more may be looked at: it is then hidden as a whole.
    fn search(&mut self, directory: &Path, depth: u32, is_inner: bool) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if is_inner && self.is_exhausted() {
                break;
            }
            self.left = self.left.saturating_sub(1);
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else { continue };
            if SPARED.iter().any(|spared| path == Path::new(spared)) || !is_of_files(&path) {
                continue;
            }
            if metadata.is_dir() {
                if is_closed(&metadata, 0o001) {
                    self.directories.insert(path);
                } else if depth > 1 {
                    self.descend(path, depth - 1);
                }
            } else if metadata.is_file() && is_closed(&metadata, 0o004) {
                self.files.insert(path);
            }
        }
    }

    fn descend(&mut self, directory: PathBuf, depth: u32) {
        if self.directories.contains(&directory) {
            return;
        }
        if !self.is_exhausted() {
            self.search(&directory, depth, true);
        }
        if self.is_exhausted() {
            // What was found in it does not matter then.
            self.files.retain(|file| !file.starts_with(&directory));
            self.directories.retain(|inner| !inner.starts_with(&directory));
            self.directories.insert(directory);
        }
    }

    fn search_states(&mut self) {
        let mut left = MOST_OF_STATES;
        for entry in fs::read_dir(STATES).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_public = PUBLIC.iter().any(|public| path == Path::new(public));
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let share = MOST_OF_ONE.min(left);
                self.left = share;
                self.descend(path, if is_public { 1 } else { DEEPEST });
                left -= share - self.left;
            }
        }
    }

    fn empty(&mut self, place: &Path) {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => self.directories.insert(entry.path()),
                false => self.files.insert(entry.path()),
            };
        }
    }
}

/// Whether others than its owner and group lack this permission.
fn is_closed(metadata: &Metadata, permission: u32) -> bool {
    metadata.permissions().mode() & permission == 0
}

/// Whether what nodes see there is the host's at all.
fn is_of_files(path: &Path) -> bool {
    let is_own = own_directories::hides(path);
    !is_own
        && !["/dev", "/proc", "/sys"]
            .iter()
            .any(|view| path.starts_with(view))
}

/// Programs that look up accounts find one for everybody, with no password that fits (shadow(5)).
fn stand_in(base: &Base) -> Result<(), Failure> {
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let names = accounts.lines().filter_map(|line| line.split(':').next());
    let mut text = String::new();
    for name in names {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}:*:19000:0:99999:7:::");
    }
    let group = users::group(Path::new("/"), "shadow").unwrap_or(0);
    Ok(base.replace(Path::new(SHADOW), &text, 0o640, group)?)
}
