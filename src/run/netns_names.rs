//! Names for `ip netns`: symbolic links to the supervisor's descriptors. They need no mounts, and dangle
//! (until they are swept) when the lab is gone.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::client::Client;
use super::directory::{LabDirectory, State};
use super::protocol::{Reply, Request};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::lab::names;

const DIRECTORY: &str = "/run/netns";

/// Makes `/run/netns/LAB-NODE` for each node, and notes them in the lab's state for whoever sweeps.
///
/// # Errors
/// The lab has gone, or the directory cannot be written.
pub fn link(mut client: Client, lab: &LabDirectory) -> Result<(), Failure> {
    let (reply, _) = client.ask(&Request::Status)?;
    let (Reply::Status(status), Some(mut state)) = (reply, lab.read_state()?) else {
        return Err(Failure::host("the lab does not tell its namespaces"));
    };
    let supervisor = client.supervisor();
    let names = status.nodes.iter().filter_map(|node| {
        let target = PathBuf::from(format!("/proc/{supervisor}/fd/{}", node.network_fd?));
        Some((path(&lab.lab, &node.name), target))
    });
    let names: Vec<_> = names.collect();
    // Noted first: what is made is then always swept.
    state.named = names.iter().map(|(name, _)| name.clone()).collect();
    lab.write_state(&state)?;
    fs::create_dir_all(DIRECTORY).attempt(|| format!("make {DIRECTORY}"))?;
    for (name, target) in names {
        match symlink(target, &name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Failure::host(format!(
                    "{} exists already and is not this lab's",
                    name.display()
                )));
            }
            other => other.attempt(|| format!("make {}", name.display()))?,
        }
    }
    Ok(())
}

fn path(lab: &str, node: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{lab}-{}", names::place(node)))
}

/// Removes the names that a dead lab has noted: those of its own nodes that lead to its own supervisor, and nothing else.
pub fn unlink(state: &State) {
    for node in &state.nodes {
        let path = path(&state.lab, node);
        if state.named.contains(&path) {
            unlink_one(&path, state.supervisor);
        }
    }
}

/// Removes all names of a lab whose supervisor, known by its PID, has ended.
pub fn unlink_all(lab: &str, supervisor: i32) {
    let prefix = format!("{lab}-");
    for entry in fs::read_dir(DIRECTORY).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            unlink_one(&entry.path(), supervisor);
        }
    }
}

/// Removes a name that leads to a descriptor of that process which is of no network namespace any more.
fn unlink_one(path: &Path, supervisor: i32) {
    let Ok(target) = fs::read_link(path) else {
        return;
    };
    let start = format!("/proc/{supervisor}/fd/");
    let number = target.to_str().and_then(|target| target.strip_prefix(&start));
    let is_descriptor =
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    // What works is in use: the PID may have become another process's since.
    let works = fs::read_link(&target).is_ok_and(|it| it.to_string_lossy().starts_with("net:["));
    if is_descriptor && !works {
        let _ = fs::remove_file(path);
    }
}
