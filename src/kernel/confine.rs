//! What a confined root shows of the kernel's views: its own network to be changed, everything else to be looked at, and
//! what speaks of the whole machine not at all (proc(5), sysfs(5)).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::error::{Attempt, Result};
use super::mount::{INERT, set_read_only};

/// Below /proc and /sys: what belongs to the network namespace of whoever looks.
const OWN_SYSCTLS: &str = "sys/net";
const OWN_DEVICES: &str = "devices/virtual/net";
/// Entries of /proc that belong to the processes or the network of whoever looks.
const OWN: [&str; 5] = ["net", "self", "sys", "sysvipc", "thread-self"];

/// Entries of /proc that are about the machine as a whole. They are the same in every PID namespace, so they are looked for
/// once for all nodes.
#[derive(Debug, Default)]
pub struct Machine {
    /// Files that can be written, or that only root may read.
    files: Vec<PathBuf>,
    /// Directories with files that can be written.
    directories: Vec<PathBuf>,
    /// Sysctls that every network shows, below /proc.
    shared_sysctls: Vec<PathBuf>,
}

impl Machine {
    /// Looks for them. Those `shared_sysctls`, below /proc/sys/net, that the machine has are among them.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub fn find(shared_sysctls: &[&str]) -> Result<Machine> {
        let shared = shared_sysctls
            .iter()
            .map(|name| Path::new(OWN_SYSCTLS).join(name));
        let mut machine = Machine {
            shared_sysctls: shared
                .filter(|path| Path::new("/proc").join(path).exists())
                .collect(),
            ..Machine::default()
        };
        for entry in fs::read_dir("/proc").attempt(|| "read /proc")?.flatten() {
            let name = entry.file_name();
            let of_process = name.as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
            if of_process || OWN.iter().any(|own| name == *own) {
                continue;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            let mode = metadata.permissions().mode();
            if metadata.is_dir() && has_writable(&entry.path(), DEPTH) {
                machine.directories.push(name.into());
            } else if metadata.is_file() && (mode & 0o222 != 0 || mode & 0o044 == 0) {
                machine.files.push(name.into());
            }
        }
        Ok(machine)
    }
}

/// How deep /proc's directories are looked into.
const DEPTH: u32 = 4;

fn has_writable(directory: &Path, depth: u32) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let Ok(metadata) = entry.metadata() else {
            return false;
        };
        match metadata.is_dir() {
            true => depth == 0 || has_writable(&entry.path(), depth - 1),
            false => metadata.is_file() && metadata.permissions().mode() & 0o222 != 0,
        }
    })
}

/// Confines a freshly mounted ([`INERT`]) /proc. `null` is a file that holds nothing. The sysctls of the network stay writable where that
/// is the node's own. Paths are best relative: this is a dozen calls for each node.
///
/// # Errors
/// The kernel refuses a mount.
pub fn proc(place: &Path, null: &Path, machine: &Machine, own_network: bool) -> Result<()> {
    let directories = machine.directories.iter().map(PathBuf::as_path);
    for directory in directories.chain([Path::new("sys")]) {
        let directory = place.join(directory);
        bind(&directory, &directory)?;
        if own_network && directory.ends_with("sys") {
            let sysctls = place.join(OWN_SYSCTLS);
            bind(&sysctls, &sysctls)?;
        }
        set_read_only(&directory, INERT)?;
    }
    let shared = machine.shared_sysctls.iter().filter(|_| own_network);
    for sysctl in shared.map(|path| place.join(path)) {
        // Another network may not show it.
        if sysctl.exists() {
            bind(&sysctl, &sysctl)?;
            set_read_only(&sysctl, INERT)?;
        }
    }
    for file in &machine.files {
        bind(null, &place.join(file))?;
    }
    Ok(())
}

/// Confines a freshly mounted /sys; see [`proc`].
///
/// # Errors
/// The kernel refuses a mount.
pub fn sys(place: &Path, own_network: bool) -> Result<()> {
    let devices = place.join(OWN_DEVICES);
    match own_network.then(|| bind(&devices, &devices)) {
        // There is none before a machine has its first such device, and a namespace begins with one: its loopback.
        Some(Err(error)) if error.errno != Errno::ENOENT => return Err(error),
        _ => {}
    }
    set_read_only(place, INERT)
}

/// In one call, where a detached copy takes three.
fn bind(source: &Path, target: &Path) -> Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .attempt(|| format!("bind on {}", target.display()))
}
