//! `nslab graph`.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::Value;

use super::import_args::ImportArgs;
use super::{color, complete, imported, print, select};
use crate::failure::Failure;
use crate::kernel::output;
use crate::lab::Lab;
use crate::lab::model::Kind;
use crate::run::directory::LabDirectory;
use crate::scenario::topology;
use crate::view;
use crate::view::graph::{self, Alive, Session};

/// How long a router may take to tell its sessions.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nslab graph labs/quickstart.toml\n  \
    nslab graph --format dot labs/cilium-bgp.toml | dot -Tsvg > lab.svg\n  \
    sudo nslab graph                              the lab that is running, and what of it is down\n  \
    sudo nslab graph --bgp                        with the BGP sessions of its routers")]
pub struct Args {
    /// The lab file, or files of other tools; the running lab's where none is given
    #[arg(value_name = "FILE", add = complete::files())]
    files: Vec<PathBuf>,
    #[command(flatten)]
    import: ImportArgs,
    /// The running lab, where several are
    #[arg(long, value_name = "LAB", conflicts_with = "files", add = complete::labs())]
    lab: Option<String>,
    /// With the BGP sessions of a running lab's routers
    #[arg(long, conflicts_with = "files")]
    bgp: bool,
    /// What is drawn
    #[arg(long, value_enum, default_value = "text")]
    format: Drawing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Drawing {
    /// A tree for the terminal
    Text,
    /// Graphviz
    Dot,
    /// Mermaid, for Markdown
    Mermaid,
    /// The resolved lab, for programs
    Json,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let first = args.import.files(&args.files).into_iter().next();
    let (lab, alive) = match first {
        None => running(args.lab.as_deref(), args.bgp)?,
        Some((first, _)) => {
            let loaded = imported::load(&args.files, &args.import, color());
            let loaded = loaded.map_err(|refusal| refusal.into_failure(&first))?;
            (loaded.lab, Alive::default())
        }
    };
    match args.format {
        Drawing::Text => print(&graph::text(&lab, &alive)),
        Drawing::Dot => print(&graph::dot(&lab, &alive)),
        Drawing::Mermaid => print(&graph::mermaid(&lab, &alive)),
        Drawing::Json => super::print_json(&lab)?,
    }
    Ok(())
}

/// A running lab as it was meant when it was started, from however many files, and what has become of it.
fn running(lab: Option<&str>, bgp: bool) -> Result<(Lab, Alive), Failure> {
    let directory = super::run_directory()?;
    let directory = select::lab(&directory, lab)?;
    let lab = topology::of(&directory)?;
    let mut alive = Alive::default();
    let status = match select::status_and_interfaces(&directory) {
        Ok(status) => status,
        // What is in its files needs no answer.
        Err(failure) => {
            view::tell(&format!(
                "note: {failure}: it is drawn as it was meant, not as it is now\n"
            ));
            return Ok((lab, alive));
        }
    };
    for node in status
        .nodes
        .into_iter()
        .filter(|node| !node.interfaces.is_empty())
    {
        let states = node.interfaces.into_iter().map(|it| (it.name, it.state));
        alive.interfaces.insert(node.name, states.collect());
    }
    let routers = lab.nodes.iter().filter(|node| bgp && node.kind == Kind::Router);
    for router in routers {
        alive
            .sessions
            .insert(router.name.clone(), sessions(&directory, &router.name)?);
    }
    Ok((lab, alive))
}

/// The BGP sessions of a router; none where it does not speak BGP.
fn sessions(lab: &LabDirectory, node: &str) -> Result<Vec<Session>, Failure> {
    let mut command = Command::new("/proc/self/exe");
    command.args([
        "exec",
        "-T",
        "--lab",
        &lab.lab,
        node,
        "vtysh",
        "-c",
        "show bgp summary json",
    ]);
    command.env("NSLAB_RUN_DIR", lab.path.parent().unwrap_or(&lab.path));
    let done = output::run(&mut command, Instant::now() + PATIENCE, None::<&File>)?;
    let summary: Value = serde_json::from_slice(&done.out).unwrap_or_default();
    let families = summary
        .as_object()
        .into_iter()
        .flat_map(|families| families.values());
    let peers = families
        .filter_map(|family| family["peers"].as_object())
        .flatten();
    // One with several families stands there for each.
    let peers: BTreeMap<&String, &Value> = peers.collect();
    let session = |(neighbor, peer): (&String, &Value)| Session {
        neighbor: neighbor.clone(),
        remote_as: peer["remoteAs"].as_u64().unwrap_or_default(),
        state: peer["state"].as_str().unwrap_or("?").to_owned(),
    };
    Ok(peers.into_iter().map(session).collect())
}
