//! `nslab restart`, `nslab stop` and `nslab start`.

use super::select::{self, Several, Which};
use super::{complete, print, report};
use crate::failure::Failure;
use crate::run::client::Client;
use crate::run::protocol::Request;

/// How many nodes are asked for at a time: each is a connection to the supervisor.
const AT_ONCE: usize = 64;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab restart tor0\n  sudo nslab restart --kind router\n\n\
    The node's processes are killed and started as the lab file says, in a fresh root. Its interfaces,\n\
    addresses and routes stay. Commands of `exec` run again; one that fails now (an address exists\n\
    already) is told and does not stop the node."
)]
pub struct Args {
    #[command(flatten)]
    of: Nodes,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab stop tor0\n  sudo nslab stop --label rack=rack0\n\n\
    The node's processes are killed, and nothing is started in it until `nslab start`. Its interfaces, addresses\n\
    and routes stay: to cut off a link alone, `nslab link down NODE:INTERFACE`."
)]
pub struct StopArgs {
    #[command(flatten)]
    of: Nodes,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sudo nslab start tor0\n\nIt comes up as after `nslab restart`.")]
pub struct StartArgs {
    #[command(flatten)]
    of: Nodes,
}

#[derive(Debug, clap::Args)]
struct Nodes {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    several: Several,
    /// The nodes
    #[arg(
        value_name = "NODE",
        add = complete::nodes(),
        required_unless_present_any = ["all", "kind", "label"],
        conflicts_with_all = ["all", "kind", "label"]
    )]
    nodes: Vec<String>,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let ask = |node: String| Request::Restart { node };
    args.of.each(ask, "is ready again")
}

pub fn stop(args: StopArgs) -> Result<(), Failure> {
    args.of.each(|node| Request::Stop { node }, "is stopped")
}

pub fn start(args: StartArgs) -> Result<(), Failure> {
    args.of.each(|node| Request::Start { node }, "is ready")
}

impl Nodes {
    /// Asks for the same of all nodes, side by side, and says of each when it is done.
    fn each(&self, ask: impl Fn(String) -> Request, done: &str) -> Result<(), Failure> {
        let directory = super::run_directory()?;
        let nodes = select::nodes(&directory, &self.which, &self.nodes, &self.several)?;
        let mut failed: Option<Failure> = None;
        for nodes in nodes.chunks(AT_ONCE) {
            let mut asked = Vec::new();
            for (lab, node) in nodes {
                let begun = Client::connect(lab).and_then(|mut client| {
                    client.tell(&ask(node.clone()))?;
                    Ok(client)
                });
                asked.push((node, begun));
            }
            for (node, client) in asked {
                match client.and_then(|mut client| client.first_answer()) {
                    Ok(_) => print(&format!("{node} {done}\n")),
                    Err(failure) => {
                        failed.iter().for_each(report);
                        failed = Some(failure);
                    }
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}
