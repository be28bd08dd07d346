//! Labs of users who are not root: where they say that they live, what they cannot have, and what they go without. Each is in a
//! user namespace of its own, with an empty network in the place of the host's.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{node, outside, template};
use crate::failure::Failure;
use crate::kernel::rootless;
use crate::lab::plan::{Device, Plan};

/// Where root's labs usually say that they live.
pub const ROOTS: &str = "/run/nslab";

/// Of more processes nothing is asked.
const MOST_PROCESSES: usize = 20_000;

/// Where the labs of this user say that they live: in the user's runtime directory (file-hierarchy(7)), or where there is none in
/// /tmp.
pub fn run_directory() -> PathBuf {
    let user = nix::unistd::geteuid();
    let named = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty());
    let usual = || PathBuf::from(format!("/run/user/{user}"));
    let runtime = named.map_or_else(usual, PathBuf::from);
    match runtime.is_dir() {
        true => runtime.join("nslab"),
        false => PathBuf::from(format!("/tmp/nslab-{user}")),
    }
}

/// Whether this user is not root, and a run directory is root's.
pub fn is_roots(directory: &Path) -> bool {
    // A link may be anybody's.
    rootless::is_rootless()
        && fs::symlink_metadata(directory).is_ok_and(|found| found.is_dir() && found.uid() == 0)
}

/// For users who are not root: root's labs, as far as can be seen.
pub fn labs_of_root() -> Vec<String> {
    if !rootless::is_rootless() {
        return Vec::new();
    }
    let entries = fs::read_dir(ROOTS).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

/// For users who are not root: nodes of root's labs that run something, as lists of processes show them to everybody.
pub fn nodes_of_root() -> Vec<String> {
    if !rootless::is_rootless() {
        return Vec::new();
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let nodes = processes.take(MOST_PROCESSES).filter_map(|process| {
        let path = process.path();
        if fs::metadata(&path).ok()?.uid() != 0 {
            return None;
        }
        let line = fs::read(path.join("cmdline")).ok()?;
        let mut words = line.split(|byte| *byte == 0);
        let name = words.next()?.strip_prefix(template::NAME.as_bytes())?;
        (words.next()? == node::VERB.as_bytes()).then(|| String::from_utf8_lossy(name).into_owned())
    });
    nodes.collect()
}

/// Takes out of a plan what a lab without root goes without. Returns a sentence for each.
///
/// # Errors
/// The lab needs something that only root can make: all of it is told at once.
pub fn suit(plan: &mut Plan) -> Result<Vec<String>, Failure> {
    let needs = needs(plan);
    if !needs.is_empty() {
        let message = format!("lab {} needs root", plan.lab);
        let help = "start it with sudo; docs/security.md tells what labs without root cannot have";
        return Err(Failure::host(message).detail(needs.join("\n")).help(help));
    }
    let mut notes = Vec::new();
    let carrier = outside::find().filter(|_| outside::hindrance().is_none());
    if let Some(host) = &mut plan.host {
        match carrier.filter(|_| host.nat.is_some()) {
            Some(carrier) => notes.push(format!(
                "without root the nodes reach the outside through {}, and this host does not reach them",
                carrier.name()
            )),
            None => notes.push(without_outside(host.nat.take().is_some())),
        }
    }
    // Where the lab has a user namespace, there are no groups beyond that.
    let ranges = plan.namespaces.iter_mut().flat_map(|step| &mut step.sysctls);
    for (_, range) in ranges.filter(|(name, _)| name == "net/ipv4/ping_group_range") {
        *range = "0 65535".to_owned();
    }
    let mut limited = Vec::new();
    for node in &mut plan.nodes {
        if node.cpu.take().is_some() | node.memory.take().is_some() | node.limits.must_limit_processes {
            limited.push(node.name.as_str());
        }
        node.limits.processes = None;
        node.limits.must_limit_processes = false;
    }
    if !limited.is_empty() {
        notes.push(format!(
            "without root there are no limits of CPU, memory and processes: {}",
            limited.join(", ")
        ));
    }
    Ok(notes)
}

/// Why a management network leads nowhere else.
fn without_outside(is_wanted: bool) -> String {
    let alone = "without root the management network leads to the nodes alone, not to this host";
    let why = match (is_wanted, outside::find(), outside::hindrance()) {
        (false, ..) => return alone.to_owned(),
        (true, None, _) => "`apt-get install passt` lets them reach the outside".to_owned(),
        (true, Some(carrier), why) => {
            format!("{} cannot be used: {}", carrier.name(), why.unwrap_or_default())
        }
    };
    format!("{alone}; {why}")
}

/// What of a plan only root can make.
fn needs(plan: &Plan) -> Vec<String> {
    let nodes = plan.nodes.iter().filter_map(|node| {
        let why = if node.namespace.is_none() {
            "is in the host's network"
        } else if let Some(why) = node.engine.and_then(|engine| engine.traits().needs_root) {
            why
        } else if node.rights.first_id.is_some() {
            "has `user_namespace`; without root every node's root is nobody of the host's already"
        } else {
            return None;
        };
        Some(format!("{} {why}", node.name))
    });
    let management = plan.host.as_ref().map(|host| host.interface.as_str());
    let links = plan.links.iter().filter_map(|link| {
        let is_on_host = match &link.device {
            Device::Host { host_interface, .. } => management != Some(host_interface),
            other => other.is_on_host(),
        };
        is_on_host.then(|| format!("link {} ends in the host's network", link.label))
    });
    let ports = plan
        .host
        .iter()
        .flat_map(|host| host.ports.iter().chain(&host.udp_ports));
    let ports = ports.map(|(on_host, _)| format!("port {on_host} is the host's"));
    nodes.chain(links).chain(ports).collect()
}

/// Says of a failure what setting of the host's it comes from.
pub fn explain(failure: Failure) -> Failure {
    let how = match rootless::forbidden_by() {
        Some((name, value)) => {
            format!(
                "this host keeps users from making namespaces: `sudo sysctl {name}={value}` lets them, or start the lab with sudo"
            )
        }
        None => "mend that, or start the lab with sudo".to_owned(),
    };
    failure.help(how)
}
