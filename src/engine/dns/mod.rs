//! The DNS server of a Kubernetes cluster in one of its nodes: it answers its pods for services and pods, and asks others for
//! other names, as CoreDNS does.
//!
//! On real kubelets it watches the API server; else the supervisor tells it over its socket what there is, which is remembered
//! in the node for the case that it is started again.

mod api;
mod connections;
mod forward;
mod hosts;
mod process;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use api::slices_of;
pub use process::main;

use crate::dns::Contents;
use crate::lab::model::{Probe, Process};

/// The hidden verb of a server. The address to listen at follows, and, where an API server is to be watched, the version of
/// EndpointSlices there.
pub const VERB: &str = "cluster-dns";
/// Where it listens for the supervisor; there once it answers.
pub const SOCKET: &str = "/run/nslab-dns/socket";
/// What it was told last.
const MEMORY: &str = "/run/nslab-dns/contents.json";
/// Its way to the API server.
pub const ACCESS: &str = "/etc/kubernetes/dns.conf";
/// Who it is to the API server.
pub const USER: &str = "nslab:cluster-dns";

/// What a server is told, a line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// This is what there is, and nothing else.
    Know(Contents),
}

/// What it answers, a line of JSON each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// From now on it answers so.
    Known,
}

/// The process of a server that is told what there is.
pub fn process(address: IpAddr) -> Process {
    server(address, &[])
}

/// The process of a server that asks the API server of a Kubernetes of this minor version.
pub fn watching(address: IpAddr, minor: u32) -> Process {
    server(address, &[slices_of(minor)])
}

fn server(address: IpAddr, more: &[&str]) -> Process {
    let address = address.to_string();
    let words = [super::ITSELF, VERB, &address]
        .into_iter()
        .chain(more.iter().copied());
    Process::service(VERB, words.map(str::to_owned).collect())
}

/// What is true once it answers.
pub fn ready() -> Probe {
    Probe::File(SOCKET.to_owned())
}
