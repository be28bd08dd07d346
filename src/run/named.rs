//! Names for `ip netns`: symbolic links to the supervisor's descriptors. They need no mounts, and dangle
//! (until they are swept) when the lab is gone.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::client::Client;
use super::directory::LabDirectory;
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
    let (Reply::Status(status), Some(mut state)) = (reply, lab.state()) else {
        return Err(Failure::host("the lab does not tell its namespaces"));
    };
    let names = status.nodes.iter().filter_map(|node| {
        let target = PathBuf::from(format!("/proc/{}/fd/{}", state.supervisor, node.network_fd?));
        Some((
            Path::new(DIRECTORY).join(format!("{}-{}", lab.lab, names::place(&node.name))),
            target,
        ))
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
