//! `nslab shell`.

use super::complete;
use super::select;
use crate::failure::Failure;
use crate::run::enter::{self, Visit};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sudo nslab shell tor0")]
pub struct Args {
    /// The lab, where several have a node of that name
    #[arg(long, value_name = "LAB", add = complete::labs())]
    lab: Option<String>,
    /// The user it runs as: a name the node knows, or a number
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// The node
    #[arg(value_name = "NODE", add = complete::nodes())]
    node: String,
}

/// The best shell the node has.
const SHELL: &str = "if command -v bash >/dev/null; then exec bash; else exec sh; fi";

pub fn run(args: Args) -> Result<i32, Failure> {
    let directory = super::run_directory()?;
    let lab = select::lab_of_node(&directory, args.lab.as_deref(), &args.node)?;
    let argv = ["sh", "-c", SHELL].map(str::to_owned).to_vec();
    let workdir = Some(if args.user.is_none() { "/root" } else { "/" }.to_owned());
    enter::run(
        &lab,
        &args.node,
        &Visit {
            argv,
            user: args.user,
            workdir,
            ..Visit::default()
        },
    )
}
