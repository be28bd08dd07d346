//! What labs change on the host that hangs on no socket or descriptor: sysctls, and rules in other programs' chains.
//!
//! It is noted before it is made, in a file that all labs of this network namespace share, whatever run directory they are
//! in; when the last lab that needs it is gone, whoever sweeps puts it back.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::directory::LabDirectory;
use super::management::PREFIX;
use super::{nat, neighbours, trust};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::namespace::Namespace;
use crate::kernel::rootless::is_rootless;
use crate::kernel::sysctl::{self, Sysctls};

/// Where the shared notes are. Not below `NSLAB_RUN_DIR`: labs of different run directories share the host.
const PLACE: &str = "/run/nslab/.host";
/// Notes are never longer: a line a lab, and one an interface.
const LONGEST: u64 = 16 << 20;

/// What a lab needs of the host.
#[derive(Debug, Default)]
pub struct Wish {
    /// The interface by which rules in others' chains are told, where there may be any.
    pub interface: Option<String>,
    /// Sysctls that must be on.
    pub on: Vec<String>,
    /// Entries of each neighbour table.
    pub neighbours: u32,
}

/// What labs have changed on this host, and who still needs it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Notes {
    users: Vec<User>,
    /// Sysctls as they were, in the order in which they are put back.
    sysctls: Vec<(String, String)>,
}

/// A lab that needs it.
#[derive(Debug, Serialize, Deserialize)]
struct User {
    directory: LabDirectory,
    /// Its interface on the host, which is also the comment of its rules in others' chains.
    #[serde(default)]
    interface: Option<String>,
    /// The sysctls it needs on.
    needs: Vec<String>,
    /// The neighbours it may have.
    #[serde(default)]
    neighbours: u32,
}

impl Notes {
    /// Whether this is what labs note: the sysctls that they change and no others, numbers for values, and interfaces of labs.
    fn is_sound(&self) -> bool {
        let is_number = |value: &str| value.len() <= 10 && value.bytes().all(|byte| byte.is_ascii_digit());
        let sysctls = |(path, value): &(String, String)| may_change(path) && is_number(value);
        let interface = |name: &String| name.starts_with(PREFIX);
        let user = |user: &User| {
            user.needs.iter().all(|path| may_change(path)) && user.interface.iter().all(interface)
        };
        self.sysctls.iter().all(sysctls) && self.users.iter().all(user)
    }

    fn note(&mut self, path: String) -> Result<(), Failure> {
        if !self.sysctls.iter().any(|(noted, _)| *noted == path) {
            let value = sysctl::read(&path)?;
            self.sysctls.push((path, value));
        }
        Ok(())
    }

    /// What each noted limit of neighbours has to be.
    fn limits(&self) -> Vec<(&str, String)> {
        let wanted: u32 = self
            .users
            .iter()
            .fold(0, |sum, user| sum.saturating_add(user.neighbours));
        let limits = self.sysctls.iter().filter(|(path, _)| neighbours::is_limit(path));
        limits
            .map(|(path, before)| (path.as_str(), neighbours::raised(before, wanted)))
            .collect()
    }

    /// Whether somebody needs a sysctl changed; IPv6 is forwarded on all interfaces at once.
    fn is_needed(&self, path: &str) -> bool {
        if neighbours::is_limit(path) {
            return self.users.iter().any(|user| user.neighbours > 0);
        }
        let path = if path.starts_with("net/ipv6/") {
            nat::ALL_V6
        } else {
            path
        };
        self.users
            .iter()
            .flat_map(|user| &user.needs)
            .any(|need| need == path)
    }
}

/// Whether a sysctl is one of those that labs change: forwarding by an interface, and the limits of neighbors.
fn may_change(path: &str) -> bool {
    let interface = ["net/ipv4/conf/", "net/ipv6/conf/"]
        .iter()
        .find_map(|start| path.strip_prefix(start)?.strip_suffix("/forwarding"));
    let is_name = |name: &str| !name.is_empty() && !name.contains('/') && ![".", ".."].contains(&name);
    interface.map_or_else(|| neighbours::is_limit(path), is_name)
}

/// Notes what a lab needs of the host, and makes it so. Returns the sysctls that are changed for labs, as they were.
///
/// # Errors
/// The note cannot be written, or the kernel refuses.
pub fn reserve(directory: &LabDirectory, wish: Wish) -> Result<Vec<(String, String)>, Failure> {
    let place = Place::find()?;
    let _guard = place.lock()?;
    let mut notes = place.read()?.unwrap_or_default();
    let mut open = wish.on.clone();
    open.retain(|path| sysctl::read(path).is_ok_and(|value| value != "1"));
    for path in &open {
        // Turned on for all, IPv6 is turned on for each, and each may have been otherwise.
        let each = if path == nat::ALL_V6 { all_v6() } else { Vec::new() };
        for path in std::iter::once(path.clone()).chain(each) {
            notes.note(path)?;
        }
    }
    if wish.neighbours > 0 {
        for path in neighbours::limits() {
            notes.note(path)?;
        }
    }
    // A lab that was killed and comes again before anybody has swept has one entry all the same.
    notes.users.retain(|user| user.directory.path != directory.path);
    notes.users.push(User {
        directory: directory.clone(),
        interface: wish.interface,
        needs: wish.on,
        neighbours: wish.neighbours,
    });
    place.write(&notes)?;
    let sysctls = Sysctls::usual()?;
    for path in &open {
        sysctls.write(path, "1")?;
    }
    for (path, value) in notes.limits() {
        sysctls.write(path, &value)?;
    }
    Ok(notes.sysctls)
}

fn all_v6() -> Vec<String> {
    let entries = fs::read_dir("/proc/sys/net/ipv6/conf")
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name != "all" && !name.starts_with(PREFIX))
        .map(|name| format!("net/ipv6/conf/{name}/forwarding"))
        .collect()
}

/// Undoes what dead labs had asked for.
///
/// # Errors
/// The notes cannot be opened, or the kernel refuses.
pub fn sweep() -> Result<(), Failure> {
    // Only root's labs change the host, and only root can put it back.
    if is_rootless() {
        return Ok(());
    }
    let place = Place::find()?;
    match fs::symlink_metadata(&place.notes) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        _ => {}
    }
    let _guard = place.lock()?;
    let Some(mut notes) = place.read()? else {
        return Ok(());
    };
    let users = std::mem::take(&mut notes.users);
    let (living, dead): (Vec<User>, Vec<User>) = users.into_iter().partition(|user| user.directory.alive());
    let interfaces: Vec<String> = dead.into_iter().filter_map(|user| user.interface).collect();
    nat::delete_rules(&interfaces)?;
    notes.users = living;
    let noted = std::mem::take(&mut notes.sysctls);
    let (needed, over): (Vec<_>, Vec<_>) = noted.into_iter().partition(|(path, _)| notes.is_needed(path));
    notes.sysctls = needed;
    let sysctls = Sysctls::usual()?;
    let limits = notes.limits();
    let over = over.iter().map(|(path, value)| (path.as_str(), value.clone()));
    for (path, value) in over.chain(limits) {
        // An interface that is gone takes its sysctls along; one that is right already need not be told (for IPv6 each
        // write concerns routes).
        if sysctl::read(path).is_ok_and(|now| now != value) {
            sysctls.write(path, &value)?;
        }
    }
    if !notes.users.is_empty() {
        return place.write(&notes);
    }
    fs::remove_file(&place.notes).attempt(|| format!("remove {}", place.notes.display()))?;
    Ok(())
}

/// Where the notes of this network namespace are.
struct Place {
    notes: PathBuf,
}

impl Place {
    fn find() -> Result<Place, Failure> {
        let cookie = Namespace::cookie()?;
        Ok(Place {
            notes: Path::new(PLACE).join(format!("{cookie:x}.json")),
        })
    }

    fn lock(&self) -> Result<File, Failure> {
        let what = || format!("write {PLACE}");
        trust::directory(Path::new(PLACE), true)?;
        let path = Path::new(PLACE).join("lock");
        let file = match trust::open_to_write(&path)? {
            Some(file) => file,
            None => match trust::create(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => trust::open_to_write(&path)?
                    .ok_or_else(|| Failure::host(format!("{} comes and goes", path.display())))?,
                other => other.attempt(what)?,
            },
        };
        trust::lock(&file, &path)?;
        Ok(file)
    }

    /// What was noted. Notes that are not as labs write them are not gone by, and stay: they may say what the host was like.
    fn read(&self) -> Result<Option<Notes>, Failure> {
        let cure = "compare the sysctls in it with those of the host (`sysctl`), then delete it";
        let notes: Option<Notes> =
            trust::read_json(&self.notes, LONGEST).map_err(|failure| failure.help(cure))?;
        match notes {
            Some(notes) if !notes.is_sound() => {
                Err(trust::damaged(&self.notes, "has what labs do not note").help(cure))
            }
            other => Ok(other),
        }
    }

    /// In one step: a note that is half written would lose what the host was like.
    fn write(&self, notes: &Notes) -> Result<(), Failure> {
        let text = serde_json::to_vec(notes).map_err(|error| Failure::host(error.to_string()))?;
        trust::replace(&self.notes, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_labs_change_is_ever_written() {
        for path in [
            "net/ipv4/conf/eth0.100/forwarding",
            "net/ipv6/conf/all/forwarding",
            "net/ipv6/neigh/default/gc_thresh3",
        ] {
            assert!(may_change(path), "{path}");
        }
        for path in [
            "kernel/core_pattern",
            "net/ipv4/ip_forward",
            "net/ipv4/conf/../../../kernel/core_pattern",
            "net/ipv4/conf/../forwarding",
            "net/ipv4/conf/eth0/../../../../kernel/x/forwarding",
            "net/ipv4/conf//forwarding",
            "net/ipv4/conf/forwarding",
            "kernel/neigh/default/../../core_pattern",
            "net/ipv4/neigh/default/gc_thresh1",
            "/net/ipv6/conf/all/forwarding",
            "",
        ] {
            assert!(!may_change(path), "{path}");
        }
    }

    #[test]
    fn notes_with_anything_else_are_unsound() {
        let user = |interface: &str, need: &str| User {
            directory: LabDirectory {
                path: "/run/nslab/x".into(),
                lab: "x".to_owned(),
            },
            interface: Some(interface.to_owned()),
            needs: vec![need.to_owned()],
            neighbours: 0,
        };
        let notes = |users: Vec<User>, path: &str, value: &str| Notes {
            users,
            sysctls: vec![(path.to_owned(), value.to_owned())],
        };
        let path = "net/ipv4/conf/eth0/forwarding";
        assert!(notes(vec![user("nslab-1", path)], path, "0").is_sound());
        assert!(!notes(vec![user("docker0", path)], path, "0").is_sound());
        assert!(!notes(vec![user("nslab-1", "kernel/panic")], path, "0").is_sound());
        assert!(!notes(Vec::new(), path, "|/tmp/evil").is_sound());
        assert!(!notes(Vec::new(), "kernel/panic", "1").is_sound());
    }
}
