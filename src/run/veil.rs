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

/// Hidden whatever their permissions are: people's own files, nslab's, and what other tools keep of their machines.
const ALWAYS: [&str; 7] = [
    "/home",
    "/root",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/lib/nslab",
];
/// Where permissions are looked at, and how deep: where systems keep their configuration and state.
const SEARCHED: [(&str, u32); 10] = [
    ("/", 1),
    ("/boot", 2),
    ("/etc", 8),
    ("/mnt", 1),
    ("/opt", 2),
    ("/srv", 2),
    ("/usr/local", 2),
    ("/var", 1),
    ("/var/lib", 2),
    ("/var/spool", 3),
];
/// Shown all the same: programs that nodes use ask for them, and they hold no secret.
const SPARED: [&str; 2] = ["/etc/sudoers", "/etc/sudoers.d"];
/// How many entries are looked at; a directory that is reached later is hidden as a whole.
const MOST: usize = 50_000;

const SHADOW: &str = "/etc/shadow";

/// Hides from confined nodes what they are not to see. Returns the directories that are hidden.
///
/// # Errors
/// Memory is short.
pub fn draw(base: &Base) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Found::default();
    for path in ALWAYS.map(Path::new) {
        if path.is_dir() {
            found.directories.insert(path.to_owned());
        }
    }
    for (path, depth) in SEARCHED {
        found.search(Path::new(path), depth);
    }
    if found.files.remove(Path::new(SHADOW)) {
        stand_in(base)?;
    }
    for path in found.directories.iter().chain(&found.files) {
        base.hide(path)?;
    }
    Ok(found.directories.into_iter().collect())
}

#[derive(Default)]
struct Found {
    directories: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    seen: usize,
}

impl Found {
    fn search(&mut self, directory: &Path, depth: u32) {
        if self.directories.contains(directory) {
            return;
        }
        if self.seen > MOST {
            self.directories.insert(directory.to_owned());
            return;
        }
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            self.seen += 1;
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else { continue };
            if SPARED.iter().any(|spared| path == Path::new(spared)) || !is_of_files(&path) {
                continue;
            }
            if metadata.is_dir() {
                if is_closed(&metadata, 0o001) {
                    self.directories.insert(path);
                } else if depth > 1 {
                    self.search(&path, depth - 1);
                }
            } else if metadata.is_file() && is_closed(&metadata, 0o004) {
                self.files.insert(path);
            }
        }
    }
}

/// Whether others than its owner and group lack this permission.
fn is_closed(metadata: &Metadata, permission: u32) -> bool {
    metadata.permissions().mode() & permission == 0
}

/// Whether what nodes see there is the host's at all.
fn is_of_files(path: &Path) -> bool {
    let is_own = super::root::hides(path);
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
