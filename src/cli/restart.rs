//! `nslab restart`.

use super::{print, select};
use crate::failure::Failure;
use crate::run::client::Client;
use crate::run::protocol::Request;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sudo nslab restart tor0\n\n\
    The node's processes are killed and started as the lab file says, in a fresh root. Its interfaces,\n\
    addresses and routes stay. Commands of `exec` run again; one that fails now (an address exists\n\
    already) is told and does not stop the node.")]
pub struct Args {
    /// The lab, where several have a node of that name
    #[arg(long, value_name = "LAB")]
    lab: Option<String>,
    /// The node
    #[arg(value_name = "NODE")]
    node: String,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    let lab = select::lab_of_node(&directory, args.lab.as_deref(), &args.node)?;
    Client::connect(&lab)?.ask(&Request::Restart {
        node: args.node.clone(),
    })?;
    print(&format!("{} is ready again\n", args.node));
    Ok(())
}
