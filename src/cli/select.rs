//! Which lab and which nodes a command means.

use std::path::Path;

use super::complete;
use crate::failure::Failure;
use crate::run::client::Client;
use crate::run::directory::{LabDirectory, RunDirectory};
use crate::run::protocol::{self, NodeStatus, Reply, Request, Status};
use crate::run::rootless;

/// The lab of a command.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Which {
    /// The lab, by its name or its file; not needed where one is running
    #[arg(long, value_name = "LAB", add = complete::labs())]
    lab: Option<String>,
    /// The same, as containerlab has it
    #[arg(short = 't', long = "topo", value_name = "FILE", conflicts_with = "lab")]
    topo: Option<String>,
}

impl Which {
    /// The lab of this name, where one is given.
    pub fn named(lab: Option<&str>) -> Which {
        Which {
            lab: lab.map(str::to_owned),
            topo: None,
        }
    }

    /// What was said of it, if anything was.
    pub fn word(&self) -> Option<&str> {
        self.lab.as_deref().or(self.topo.as_deref())
    }
}

/// Nodes by what they are.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Several {
    /// All nodes of the lab
    #[arg(short, long)]
    all: bool,
    /// The nodes of this kind: host, router, k8s, bridge, pod, or one that a file says; may be repeated
    #[arg(long, value_name = "KIND", add = complete::kinds())]
    kind: Vec<String>,
    /// The nodes with this label; may be repeated, and all must fit
    #[arg(short, long, value_name = "KEY[=VALUE]", add = complete::labels())]
    label: Vec<String>,
}

impl Several {
    /// Whether nodes are chosen that way.
    pub fn is_given(&self) -> bool {
        self.all || !self.kind.is_empty() || !self.label.is_empty()
    }

    /// The names of the nodes of a lab that are meant.
    ///
    /// # Errors
    /// The lab does not answer, or no node is meant.
    pub fn nodes(&self, lab: &LabDirectory) -> Result<Vec<String>, Failure> {
        let status = status(lab)?;
        let fits = |node: &&NodeStatus| self.fits(node);
        let names: Vec<String> = status
            .nodes
            .iter()
            .filter(fits)
            .map(|node| node.name.clone())
            .collect();
        if names.is_empty() {
            let message = format!("no node of lab {} is of that kind and has those labels", lab.lab);
            return Err(Failure::wrong(message).help("`nslab ps --wide` lists nodes, kinds and labels"));
        }
        Ok(names)
    }

    fn fits(&self, node: &NodeStatus) -> bool {
        let has = |label: &String| match label.split_once('=') {
            Some((key, value)) => node.labels.get(key).is_some_and(|it| it == value),
            None => node.labels.contains_key(label),
        };
        let is_of = |kind: &String| *kind == node.kind || node.of_kind.as_ref() == Some(kind);
        (self.kind.is_empty() || self.kind.iter().any(is_of)) && self.label.iter().all(has)
    }
}

/// What the nodes of a lab are and do.
///
/// # Errors
/// The lab does not answer.
pub fn status(lab: &LabDirectory) -> Result<Status, Failure> {
    match Client::connect(lab)?.ask(&Request::Status)? {
        (Reply::Status(status), _) => Ok(status),
        _ => Err(Failure::host("an unexpected answer from the lab")),
    }
}

/// The same with the interfaces and addresses that the kernel has now.
///
/// # Errors
/// The lab does not answer.
pub fn status_and_interfaces(lab: &LabDirectory) -> Result<Status, Failure> {
    let mut status = status(lab)?;
    let (Reply::Interfaces(all), _) = Client::connect(lab)?.ask(&Request::Interfaces)? else {
        return Err(Failure::host("an unexpected answer from the lab"));
    };
    for (node, interfaces) in status.nodes.iter_mut().zip(all) {
        if !interfaces.is_empty() {
            node.addresses = protocol::given(&interfaces);
            node.interfaces = interfaces;
        }
    }
    Ok(status)
}

/// Nodes with their labs, by their names (`a`, `a,b`) or by what they are.
///
/// # Errors
/// There is no such lab or node, or a name stands in several labs.
pub fn nodes(
    directory: &RunDirectory,
    which: &Which,
    words: &[String],
    several: &Several,
) -> Result<Vec<(LabDirectory, String)>, Failure> {
    if several.is_given() {
        let lab = lab(directory, which.word())?;
        let nodes = several.nodes(&lab)?;
        return Ok(nodes.into_iter().map(|node| (lab.clone(), node)).collect());
    }
    let names = words.iter().flat_map(|word| word.split(','));
    let names = names.filter(|name| !name.is_empty());
    let named = |name: &str| {
        let lab = lab_of_node(directory, which.word(), name);
        let is_node = |lab: &LabDirectory| {
            lab.state()
                .is_none_or(|state| state.nodes.iter().any(|node| node == name))
        };
        if !lab.as_ref().is_ok_and(is_node) && directory.visible().iter().any(|lab| lab.lab == name) {
            return Err(
                Failure::wrong(format!("{name} is a lab, not a node")).help(format!(
                    "`nslab down {name}` takes it down; `--all --lab {name}` means all its nodes"
                )),
            );
        }
        Ok((lab?, name.to_owned()))
    };
    let found: Vec<_> = names.map(named).collect::<Result<_, Failure>>()?;
    match found.is_empty() {
        true => Err(Failure::wrong("no node is named").help("name some, or say `--all`")),
        false => Ok(found),
    }
}

/// The lab a command means: the one named, or the only one.
///
/// # Errors
/// There is none, or several.
pub fn lab(directory: &RunDirectory, name: Option<&str>) -> Result<LabDirectory, Failure> {
    one_of(directory.visible(), name)
}

/// The labs a listing is of: the one named, or all.
///
/// # Errors
/// There is none.
pub fn labs(directory: &RunDirectory, name: Option<&str>) -> Result<Vec<LabDirectory>, Failure> {
    let labs = directory.visible();
    match name {
        None if labs.len() > 1 => Ok(labs),
        _ => Ok(vec![one_of(labs, name)?]),
    }
}

/// Whether a word on the command line names a file and no lab: names of labs have no dots and slashes.
pub fn is_file(word: &str) -> bool {
    word.contains('/') || word.contains('.') || word == "-"
}

/// Whether a lab came from this file.
fn came_from(lab: &LabDirectory, file: &Path) -> bool {
    let whole = |path: &Path| std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    let Some(state) = lab.state() else { return false };
    matches!((whole(&state.file), whole(file)), (Ok(a), Ok(b)) if a == b)
}

fn one_of(mut labs: Vec<LabDirectory>, name: Option<&str>) -> Result<LabDirectory, Failure> {
    if let Some(name) = name {
        let by_name = labs.iter().position(|lab| lab.lab == name);
        let by_file = || {
            is_file(name)
                .then(|| labs.iter().position(|lab| came_from(lab, Path::new(name))))
                .flatten()
        };
        return by_name
            .or_else(by_file)
            .map(|position| labs.swap_remove(position))
            .ok_or_else(|| none_named(name, &labs));
    }
    match labs.len() {
        0 => Err(Failure::wrong("no lab is running").help(start_one())),
        1 => Ok(labs.remove(0)),
        _ => Err(
            Failure::wrong(format!("several labs are running: {}", names(&labs)))
                .help("say which with `--lab NAME`"),
        ),
    }
}

/// The lab that has a node of this name; with several labs running, the only one that has.
///
/// # Errors
/// There is no such node, or it stands in several labs.
pub fn lab_of_node(
    directory: &RunDirectory,
    name: Option<&str>,
    node: &str,
) -> Result<LabDirectory, Failure> {
    let labs = directory.visible();
    if name.is_some() || labs.len() < 2 {
        return one_of(labs, name);
    }
    let has = |lab: &LabDirectory| {
        lab.state()
            .is_some_and(|state| state.nodes.iter().any(|candidate| candidate == node))
    };
    let mut found: Vec<LabDirectory> = labs.into_iter().filter(has).collect();
    match found.len() {
        0 => Err(Failure::wrong(format!("no running lab has a node {node:?}"))
            .help("`nslab ps` lists the nodes of all labs")),
        1 => Ok(found.remove(0)),
        _ => Err(
            Failure::wrong(format!("node {node} stands in several labs: {}", names(&found)))
                .help("say which with `--lab NAME`"),
        ),
    }
}

fn none_named(name: &str, labs: &[LabDirectory]) -> Failure {
    let failure = match is_file(name) {
        true if !Path::new(name).exists() => Failure::wrong(format!("there is no file {name}")),
        true => Failure::wrong(format!("no lab of {name} is running")),
        false => Failure::wrong(format!("no lab {name:?} is running")),
    };
    if labs.is_empty() {
        return failure.help(start_one());
    }
    failure.help(format!("running: {}", names(labs)))
}

/// What to do where this user has no lab.
fn start_one() -> String {
    match rootless::labs_of_root().as_slice() {
        [] => format!("`{} up FILE` starts one", super::call()),
        labs => format!("root runs {}: {}", labs.join(", "), super::with_sudo()),
    }
}

fn names(labs: &[LabDirectory]) -> String {
    labs.iter()
        .map(|lab| lab.lab.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}
