//! What labs change on the host that hangs on no socket or descriptor: sysctls, and rules in other programs' chains.
//!
//! It is noted before it is made, in a file that all labs of this network namespace share, whatever run directory they are
//! in; when the last lab that needs it is gone, whoever sweeps puts it back. Only what is still as labs made it is put back:
//! whatever another program has set since is that program's.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::directory::LabDirectory;
use super::management::PREFIX;
use super::{nat, neighbors, trust};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::namespace::Namespace;
use crate::kernel::rootless::is_rootless;
use crate::kernel::sysctl::{self, Sysctls};

/// Where the shared notes are. Not below `NSLAB_RUN_DIR`: labs of different run directories share the host.
const PLACE: &str = "/run/nslab/.host";
/// What new interfaces get of it, and one that is always there and needs none.
const WITNESSES: [&str; 2] = ["net/ipv6/conf/default/forwarding", "net/ipv6/conf/lo/forwarding"];
/// Notes are never longer: a line a lab, and one an interface.
const LONGEST: u64 = 16 << 20;

/// What a lab needs of the host.
#[derive(Debug, Default)]
pub struct HostRequest {
    /// The interface by which rules in others' chains are told, where there may be any.
    pub interface: Option<String>,
    /// Sysctls that must be on.
    pub on: Vec<String>,
    /// Entries of each neighbor table.
    pub neighbors: u32,
}

/// What labs write to a sysctl that has to be on. Any number but 0 is on; this one tells what labs have turned on from what
/// another program has, which writes 1.
const ON: &str = "2";
/// How many values a note has at most: what was made last, and what was made before, which is still there if whoever
/// was to change it was killed in between.
const MADE: usize = 2;

/// What labs have changed on this host, and who still needs it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Notes {
    users: Vec<User>,
    /// Sysctls, in the order in which they are put back.
    sysctls: Vec<Noted>,
}

/// A sysctl that labs have changed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(from = "NotedForm")]
struct Noted {
    path: String,
    /// What it was.
    before: String,
    /// What labs have made of it, the latest last.
    made: Vec<String>,
}

/// A note as it is read: one of an earlier version has no values that labs made.
#[derive(Deserialize)]
#[serde(untagged)]
enum NotedForm {
    Whole {
        path: String,
        before: String,
        made: Vec<String>,
    },
    Earlier(String, String),
}

impl From<NotedForm> for Noted {
    fn from(form: NotedForm) -> Noted {
        match form {
            NotedForm::Whole { path, before, made } => Noted { path, before, made },
            NotedForm::Earlier(path, before) => {
                // Forwarding was turned on by 1, and limits are as labs raised them last.
                let made = match neighbors::is_limit(&path) {
                    true => sysctl::read(&path).into_iter().collect(),
                    false => vec!["1".to_owned()],
                };
                Noted { path, before, made }
            }
        }
    }
}

impl Noted {
    /// Notes that a value is about to be written.
    fn make(&mut self, value: &str) {
        if self.made.last().is_none_or(|last| last != value) {
            self.made.push(value.to_owned());
            if self.made.len() > MADE {
                self.made.remove(0);
            }
        }
    }

    /// Whether it is as labs made it. An interface that is gone has taken its sysctls along.
    fn is_ours(&self) -> bool {
        sysctl::read(&self.path).is_ok_and(|now| self.made.contains(&now))
    }
}

/// Whether a sysctl is on because labs turned it on, and nobody else has since.
pub fn is_on_for_labs(path: &str) -> bool {
    sysctl::read(path).is_ok_and(|value| value == ON)
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
    /// The neighbors it may have. The name in the file is that of earlier versions, which read it as well.
    #[serde(default, rename = "neighbours")]
    neighbors: u32,
}

impl Notes {
    /// Whether this is what labs note: the sysctls that they change and no others, numbers for values, and interfaces of labs.
    fn is_sound(&self) -> bool {
        let is_number = |value: &str| value.len() <= 10 && value.bytes().all(|byte| byte.is_ascii_digit());
        let sysctls = |noted: &Noted| {
            let values = std::iter::once(&noted.before).chain(&noted.made);
            may_change(&noted.path) && noted.made.len() <= MADE && values.into_iter().all(|it| is_number(it))
        };
        let interface = |name: &String| name.starts_with(PREFIX);
        let user = |user: &User| {
            user.needs.iter().all(|path| may_change(path)) && user.interface.iter().all(interface)
        };
        self.sysctls.iter().all(sysctls) && self.users.iter().all(user)
    }

    /// Notes what a sysctl is, if it is not noted.
    fn note(&mut self, path: String) -> Result<&mut Noted, Failure> {
        let at = match self.sysctls.iter().position(|noted| noted.path == path) {
            Some(at) => at,
            None => {
                let before = sysctl::read(&path)?;
                let made = Vec::new();
                self.sysctls.push(Noted { path, before, made });
                self.sysctls.len() - 1
            }
        };
        Ok(&mut self.sysctls[at])
    }

    /// What each noted limit of neighbors has to be. It is noted as made.
    fn limits(&mut self) -> Vec<(String, String)> {
        let wanted: u32 = self
            .users
            .iter()
            .fold(0, |sum, user| sum.saturating_add(user.neighbors));
        let limits = self
            .sysctls
            .iter_mut()
            .filter(|noted| neighbors::is_limit(&noted.path));
        limits
            .map(|noted| {
                let value = neighbors::raised(&noted.before, wanted);
                noted.make(&value);
                (noted.path.clone(), value)
            })
            .collect()
    }

    /// Whether somebody needs a sysctl changed; IPv6 is forwarded on all interfaces at once.
    fn is_needed(&self, path: &str) -> bool {
        if neighbors::is_limit(path) {
            return self.users.iter().any(|user| user.neighbors > 0);
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
    interface.map_or_else(|| neighbors::is_limit(path), is_name)
}

/// Notes what a lab needs of the host, and makes it so. Returns the sysctls that are on for labs alone.
///
/// # Errors
/// The note cannot be written, or the kernel refuses.
pub fn reserve(directory: &LabDirectory, request: HostRequest) -> Result<Vec<String>, Failure> {
    let place = Place::find()?;
    let _guard = place.lock()?;
    let mut notes = place.read()?.unwrap_or_default();
    notes.sysctls.retain(Noted::is_ours);
    let mut open = request.on.clone();
    open.retain(|path| sysctl::read(path).is_ok_and(|value| value == "0"));
    for path in &open {
        // Turned on for all, IPv6 is turned on for each, and each may have been otherwise.
        let each = if path == nat::ALL_V6 {
            each_v6()
        } else {
            Vec::new()
        };
        for path in std::iter::once(path.clone()).chain(each) {
            notes.note(path)?.make(ON);
        }
    }
    if request.neighbors > 0 {
        for path in neighbors::limits() {
            notes.note(path)?;
        }
    }
    // A lab that was killed and comes again before anybody has swept has one entry all the same.
    notes.users.retain(|user| user.directory.path != directory.path);
    notes.users.push(User {
        directory: directory.clone(),
        interface: request.interface,
        needs: request.on,
        neighbors: request.neighbors,
    });
    let limits = notes.limits();
    place.write(&notes)?;
    let sysctls = Sysctls::usual()?;
    for path in &open {
        turn_on(&sysctls, path)?;
    }
    for (path, value) in &limits {
        sysctls.write(path, value)?;
    }
    let paths = notes.sysctls.into_iter().map(|noted| noted.path);
    Ok(paths.filter(|path| is_on_for_labs(path)).collect())
}

/// Turns a sysctl on for labs. Of IPv6, the default and the loopback stay as they were, and so do interfaces that come later:
/// another program that turns forwarding on for all turns these two on, of which the kernel tells. (Of what is on already it does
/// not tell, whatever number is written.)
fn turn_on(sysctls: &Sysctls, path: &str) -> Result<(), Failure> {
    let witnesses = WITNESSES.map(|path| (path, sysctls.read(path)));
    sysctls.write(path, ON)?;
    for (witness, value) in witnesses {
        if let Some(value) = value.filter(|_| path == nat::ALL_V6) {
            sysctls.write(witness, &value)?;
        }
    }
    Ok(())
}

/// The IPv6 forwarding of each interface there is.
fn each_v6() -> Vec<String> {
    let entries = fs::read_dir("/proc/sys/net/ipv6/conf")
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| !["all", "default"].contains(&name.as_str()) && !name.starts_with(PREFIX))
        .map(|name| format!("net/ipv6/conf/{name}/forwarding"))
        .collect()
}

/// Puts back what no lab needs any longer, unless another program has set it since.
fn put_back(sysctls: &Sysctls, over: &[Noted]) -> Result<(), Failure> {
    let ours: Vec<&Noted> = over.iter().filter(|noted| noted.is_ours()).collect();
    // Turned off for all, IPv6 is turned off for each: what others have set for one is set again.
    let all = ours.iter().any(|noted| noted.path == nat::ALL_V6);
    let each = if all { each_v6() } else { Vec::new() };
    let others: Vec<(String, String)> = each
        .into_iter()
        .chain(WITNESSES.map(str::to_owned))
        .filter(|_| all)
        .filter_map(|path| sysctls.read(&path).map(|value| (path, value)))
        .filter(|(_, value)| value != ON)
        .collect();
    let noted = ours.iter().map(|noted| (&noted.path, &noted.before));
    for (path, value) in noted.chain(others.iter().map(|(path, value)| (path, value))) {
        // One that is right already need not be told: for IPv6 each write concerns routes.
        if sysctls.read(path).is_some_and(|now| now != *value) {
            sysctls.write(path, value)?;
        }
    }
    Ok(())
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
    let before = text(&notes)?;
    let users = std::mem::take(&mut notes.users);
    let (living, dead): (Vec<User>, Vec<User>) = users.into_iter().partition(|user| user.directory.alive());
    let interfaces: Vec<String> = dead.into_iter().filter_map(|user| user.interface).collect();
    nat::delete_rules(&interfaces)?;
    notes.users = living;
    let noted = std::mem::take(&mut notes.sysctls);
    let (needed, over): (Vec<_>, Vec<_>) = noted.into_iter().partition(|noted| notes.is_needed(&noted.path));
    notes.sysctls = needed;
    notes.sysctls.retain(Noted::is_ours);
    let sysctls = Sysctls::usual()?;
    put_back(&sysctls, &over)?;
    let limits = notes.limits();
    // Every command sweeps, and mostly there is nothing new to be noted.
    if !notes.users.is_empty() && text(&notes)? != before {
        // Before they are lowered: whoever is killed in between must leave a note of both.
        place.write(&notes)?;
    }
    for (path, value) in limits {
        if sysctls.read(&path).is_some_and(|now| now != value) {
            sysctls.write(&path, &value)?;
        }
    }
    if !notes.users.is_empty() {
        return Ok(());
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
        trust::replace(&self.notes, &text(notes)?)
    }
}

/// Notes as they are written.
fn text(notes: &Notes) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(notes).map_err(|error| Failure::host(error.to_string()))
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
            neighbors: 0,
        };
        let notes = |users: Vec<User>, path: &str, value: &str| Notes {
            users,
            sysctls: vec![Noted {
                path: path.to_owned(),
                before: value.to_owned(),
                made: vec![ON.to_owned()],
            }],
        };
        let path = "net/ipv4/conf/eth0/forwarding";
        assert!(notes(vec![user("nslab-1", path)], path, "0").is_sound());
        assert!(!notes(vec![user("docker0", path)], path, "0").is_sound());
        assert!(!notes(vec![user("nslab-1", "kernel/panic")], path, "0").is_sound());
        assert!(!notes(Vec::new(), path, "|/tmp/evil").is_sound());
        assert!(!notes(Vec::new(), "kernel/panic", "1").is_sound());
    }
}
