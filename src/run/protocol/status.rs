//! What a lab tells of itself: its nodes, their interfaces and processes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::engine::operator::NodeView;
use crate::lab::model::{Command, Stage};

/// A living lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub lab: String,
    /// Its nodes, in the order of the file.
    pub nodes: Vec<NodeStatus>,
}

/// A node of a living lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// host, router, bridge.
    pub kind: String,
    /// frr, builtin, kernel (nothing but the kernel plays it).
    pub engine: String,
    /// The kind whose file says what it has, where that is none of nslab's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_kind: Option<String>,
    /// The image that it is, as the file names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What keeps the configuration that runs in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save: Option<Command>,
    /// The stage it has reached.
    pub stage: Option<Stage>,
    /// In words: `idle`, `ready`, `starting`, `restarting`, `stopped`, `failed`.
    pub state: String,
    /// Seconds since it became ready.
    pub uptime: Option<f64>,
    /// How often it was started again.
    pub restarts: u32,
    /// The supervisor's descriptor of its network namespace.
    pub network_fd: Option<i32>,
    /// PID of its init as the host sees it.
    pub init_pid: Option<i32>,
    /// How many processes it has, its init not counted.
    pub processes: usize,
    /// Bytes of memory its processes take, shared pages counted by share.
    pub memory: u64,
    /// Bytes it may take.
    pub memory_limit: Option<u64>,
    /// Cores it may use.
    pub cpu: Option<f64>,
    /// Whether nothing is withheld from it, so that it can do to the host what root can.
    #[serde(default)]
    pub privileged: bool,
    /// Capabilities of its processes beyond the usual ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Paths of the host that it sees beside what all nodes see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub show_host: Vec<PathBuf>,
    /// The id on the host of its root, where its users are its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_id: Option<u32>,
    /// Processes and threads it may have.
    pub process_limit: Option<u64>,
    /// Bytes of its own on its file system.
    pub disk: u64,
    /// Bytes it may have there.
    pub disk_limit: Option<u64>,
    /// Bytes its log has, both halves.
    #[serde(default)]
    pub log: u64,
    /// Bytes it may have.
    pub log_limit: Option<u64>,
    /// Files that the process has open that has most of them.
    #[serde(default)]
    pub open_files: u64,
    /// Files each of its processes may have open, unless it asks for more.
    pub open_files_limit: Option<u64>,
    /// Its long-running processes.
    pub services: Vec<ServiceStatus>,
    /// Interface and address: those of the lab file, or, where its interfaces are given, those that the kernel has now without
    /// the loopback's own and those that IPv6 makes of MAC addresses.
    pub addresses: Vec<(String, String)>,
    /// Its interfaces as the kernel has them now. [`super::Reply::Status`] has none: see [`super::Request::Interfaces`].
    #[serde(default)]
    pub interfaces: Vec<InterfaceStatus>,
    /// Its group.
    pub group: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// As its cluster sees it, where a real Kubernetes runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<NodeView>,
}

/// An interface of a node, as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// What the kernel calls its kind (`veth`, `bridge`, …); none for the loopback.
    pub kind: Option<String>,
    /// `up`, `down` (nobody has raised it), or `no-carrier` (it is raised, and its other end is not).
    pub state: LinkState,
    /// What is at its other end, as `NODE:INTERFACE`, where that is known.
    pub peer: Option<String>,
    /// The interface of its node that it is on top of.
    #[serde(default)]
    pub link: Option<String>,
    /// The bridge, bond or VRF of its node that it is in.
    #[serde(default)]
    pub master: Option<String>,
    /// Its MAC address.
    pub mac: Option<String>,
    /// Bytes of the largest packet.
    pub mtu: u32,
    /// All its addresses.
    pub addresses: Vec<String>,
    /// Bytes received since it was made.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets received or to be sent that were dropped or damaged.
    pub lost_packets: u64,
}

/// Whether an interface carries packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// It does.
    Up,
    /// Nobody has raised it.
    Down,
    /// It is raised, and what is at its other end is not.
    NoCarrier,
}

impl LinkState {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            LinkState::Up => "up",
            LinkState::Down => "down",
            LinkState::NoCarrier => "no-carrier",
        }
    }
}

/// The addresses that somebody gave: not the loopback's own, and not those that the kernel makes of MAC addresses.
pub fn given(interfaces: &[InterfaceStatus]) -> Vec<(String, String)> {
    let all = interfaces.iter().flat_map(|interface| {
        let nets = interface.addresses.iter();
        nets.map(move |net| (interface.name.clone(), net.clone()))
    });
    all.filter(|(_, net)| net.parse::<IpNet>().is_ok_and(|net| is_given(net.addr())))
        .collect()
}

fn is_given(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    }
}

/// A long-running process of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub state: ServiceState,
    /// How often it was started again.
    pub restarts: u32,
    /// Why it was killed last, where the kernel says.
    pub reason: Option<String>,
}

/// Where a process is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// Not yet executed.
    Starting,
    /// It runs.
    Running,
    /// It runs, and what shows that it is ready is true.
    Ready,
    /// It runs, and its health check fails: what that said.
    Unhealthy(String),
    /// It ended with this status, as a shell gives it.
    Ended(i32),
    /// It could not be executed, and why.
    NotStarted(String),
    /// The same of one that the lab goes on without.
    Exited(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_gave_is_left_out() {
        let given = |text: &str| is_given(text.parse().unwrap());
        assert!(given("10.0.0.1") && given("fd00::1") && given("2001:db8::1"));
        assert!(!given("127.0.0.1") && !given("::1") && !given("fe80::1"));
    }
}
