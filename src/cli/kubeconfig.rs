//! `nslab kubeconfig`.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::{complete, print, select};
use crate::engine::kubelet;
use crate::engine::kubelet::kubeconfig::Access;
use crate::failure::Failure;
use crate::lab::model::EngineChoice;
use crate::run::client::Client;
use crate::run::directory::LabDirectory;
use crate::run::enter;
use crate::run::protocol::{NodeStatus, Reply, Request};
use crate::run::user_files;

/// The interface on the management network.
const MANAGEMENT: &str = "eth0";
/// The administrator's file in a node is no longer than this, in bytes.
const LONGEST: u64 = 64 << 10;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sudo nslab kubeconfig -o ~/.kube/nslab && kubectl --kubeconfig ~/.kube/nslab get nodes\n\n\
    Inside of any of the cluster's nodes kubectl needs none: sudo nslab exec server0 kubectl get nodes\n\
    From this machine the API server is reached over the management network, on which its node has to be (`mgmt = true`).")]
pub struct Args {
    /// The file to write, readable by its owner alone; printed where none is given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The lab, where several are running
    #[arg(long, value_name = "LAB", add = complete::labs())]
    lab: Option<String>,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    let lab = select::lab(&directory, args.lab.as_deref())?;
    let (reply, _) = Client::connect(&lab)?.ask(&Request::Status)?;
    let Reply::Status(status) = reply else {
        return Err(Failure::host("the lab does not tell its nodes"));
    };
    let is_member =
        |node: &&NodeStatus| EngineChoice::of(&node.engine).is_some_and(EngineChoice::is_kubernetes);
    let members = status.nodes.iter().filter(is_member);
    let found = members
        .filter_map(|node| Some((node, read(&lab, &node.name)?)))
        .next();
    let (node, access) = found.ok_or_else(|| {
        Failure::not_ready(format!("lab {} has no control plane", lab.lab))
            .help("`nslab up --engine kubelet` starts one in the first Kubernetes node")
    })?;
    let Some(address) = management_address(node) else {
        return Err(
            Failure::wrong(format!("{} is not on the management network", node.name)).help(format!(
                "add `mgmt = true` to it, or use it in the lab: `nslab exec {} kubectl …`",
                node.name
            )),
        );
    };
    let server = SocketAddr::new(address, kubelet::PORT);
    let text = format!("{:#}\n", access.kubeconfig(&format!("https://{server}")));
    match &args.output {
        None => print(&text),
        Some(path) => {
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                user_files::make_directory(parent)?;
            }
            user_files::write(path, text.as_bytes(), user_files::SECRET)?;
        }
    }
    Ok(())
}

/// The administrator's way to the API server, as it stands in the node that has one. What root in the node made of the file
/// does nothing here: see [`Access::read`].
fn read(lab: &LabDirectory, node: &str) -> Option<Access> {
    let root = enter::door(lab, node).ok()?.root().ok()?;
    Access::read(&root.read(Path::new(kubelet::ADMIN), LONGEST).ok()?)
}

fn management_address(node: &NodeStatus) -> Option<IpAddr> {
    let mut addresses = node
        .addresses
        .iter()
        .filter(|(interface, _)| interface == MANAGEMENT);
    addresses.find_map(|(_, net)| net.split('/').next()?.parse().ok())
}
