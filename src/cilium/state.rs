//! What agents tell of themselves, in the words of Cilium's own API.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::instance::AddressFamily;

/// What is asked of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Query {
    /// Its neighbors.
    Peers,
    /// Routes of a family.
    Routes(Table, AddressFamily),
}

/// Which routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Table {
    /// All that are known.
    Available,
    /// Those that neighbors were told.
    Advertised,
}

/// An agent's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Its neighbors.
    Peers(Vec<PeerState>),
    /// Its routes.
    Routes(Vec<RouteState>),
}

/// A neighbor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are those of Cilium's BgpPeer")]
pub struct PeerState {
    pub local_asn: u32,
    pub peer_asn: u32,
    pub peer_address: IpAddr,
    pub peer_port: u16,
    pub session_state: String,
    pub uptime_nanoseconds: u64,
    pub ebgp_multihop_ttl: u8,
    pub connect_retry_time_seconds: u32,
    pub configured_hold_time_seconds: u16,
    pub applied_hold_time_seconds: u16,
    pub configured_keep_alive_time_seconds: u16,
    pub applied_keep_alive_time_seconds: u16,
    pub graceful_restart: RestartState,
    pub tcp_password_enabled: bool,
    pub families: Vec<FamilyState>,
}

/// Graceful restart with a neighbor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are those of Cilium's BgpGracefulRestart")]
pub struct RestartState {
    pub enabled: bool,
    pub restart_time_seconds: u16,
}

/// How many routes of a family there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are those of Cilium's BgpPeerFamilies")]
pub struct FamilyState {
    pub afi: String,
    pub safi: String,
    pub received: usize,
    pub accepted: usize,
    pub advertised: usize,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RouteState {
    /// The AS of the virtual router.
    pub router_asn: u32,
    /// Who was told it, or has told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbor: Option<IpAddr>,
    /// Where to.
    pub prefix: IpNet,
    /// By whom.
    pub next_hop: IpAddr,
    /// For how long.
    pub age_nanoseconds: u64,
    /// Whether it is the best of those to this prefix.
    pub best: bool,
    /// Its attributes, as GoBGP writes them.
    pub path_attributes: Vec<String>,
}

/// A node and its agent's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeAnswer {
    /// Its name in its cluster.
    pub node: String,
    /// What its agent says.
    pub answer: Answer,
}
