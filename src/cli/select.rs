//! Which lab and which node a command means.

use crate::failure::Failure;
use crate::run::directory::{LabDirectory, RunDirectory};
use crate::run::rootless;

/// The lab a command means: the one named, or the only one.
///
/// # Errors
/// There is none, or several.
pub fn lab(directory: &RunDirectory, name: Option<&str>) -> Result<LabDirectory, Failure> {
    one_of(directory.living(), name)
}

fn one_of(mut labs: Vec<LabDirectory>, name: Option<&str>) -> Result<LabDirectory, Failure> {
    if let Some(name) = name {
        let found = labs.iter().position(|lab| lab.lab == name);
        return found
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
    let labs = directory.living();
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
            .help("`nslab labs` lists the labs, `nslab ps --lab NAME` their nodes")),
        1 => Ok(found.remove(0)),
        _ => Err(
            Failure::wrong(format!("node {node} stands in several labs: {}", names(&found)))
                .help("say which with `--lab NAME`"),
        ),
    }
}

fn none_named(name: &str, labs: &[LabDirectory]) -> Failure {
    let failure = Failure::wrong(format!("no lab {name:?} is running"));
    if labs.is_empty() {
        return failure.help(start_one());
    }
    failure.help(format!("running: {}", names(labs)))
}

/// What to do where this user has no lab.
fn start_one() -> String {
    match rootless::labs_of_root().as_slice() {
        [] => "`nslab up FILE` starts one".to_owned(),
        labs => format!("root runs {}: {}", labs.join(", "), super::with_sudo()),
    }
}

fn names(labs: &[LabDirectory]) -> String {
    labs.iter()
        .map(|lab| lab.lab.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}
