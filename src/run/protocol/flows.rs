//! What is said of flows.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::Figures;
use crate::lab::flow::{Flow, Proto};

/// A wish that concerns flows. Names that are not given mean all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowRequest {
    /// Start flows of the lab file.
    Start {
        /// Their names.
        names: Vec<String>,
    },
    /// Start flows that no file names.
    Run {
        /// The flows.
        flows: Vec<Flow>,
    },
    /// Stop flows, and tell what became of them.
    Stop {
        /// Their names.
        names: Vec<String>,
    },
    /// Tell what has become of flows so far.
    Report {
        /// Their names.
        names: Vec<String>,
        /// Whether what was sent and received over time is told, too.
        series: bool,
        /// Whether the way of their packets is found out anew.
        path: bool,
    },
}

/// What a flow does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowState {
    /// It was not started.
    Idle,
    /// It sends.
    Running,
    /// It sends no more; what is on its way is waited for.
    Stopping,
    /// It is over.
    Stopped,
}

impl FlowState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            FlowState::Idle => "idle",
            FlowState::Running => "running",
            FlowState::Stopping => "stopping",
            FlowState::Stopped => "stopped",
        }
    }
}

/// The interfaces that carry the packets of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowPath {
    /// When that was found out (CLOCK_MONOTONIC).
    pub at_ns: u64,
    /// Both ends of every link on the way, as `node:interface`.
    pub interfaces: Vec<String>,
    /// Why it is not the whole way, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<String>,
}

/// What has become of a flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowReport {
    /// Its name.
    pub name: String,
    /// Who sends, as it was said.
    pub from: String,
    /// Who receives, as it was said.
    pub to: String,
    /// What the packets are.
    pub proto: Proto,
    /// Packets a second; none for a transfer.
    pub pps: Option<u32>,
    /// Bytes of a packet.
    pub size: u32,
    /// Its code point of differentiated services.
    pub dscp: u8,
    /// What it does.
    pub state: FlowState,
    /// The packets' source; none where it was not started.
    pub source: Option<IpAddr>,
    /// Their destination.
    pub destination: Option<IpAddr>,
    /// The sender's port, where it has one.
    pub source_port: Option<u16>,
    /// The receiver's port, where it has one.
    pub port: Option<u16>,
    /// Whether packets are counted, and times taken, there and back.
    pub round_trip: bool,
    /// What became of the packets.
    #[serde(flatten)]
    pub figures: Figures,
    /// The way of the packets when the flow started.
    pub path_before: Option<FlowPath>,
    /// Their way when it was found out last: at the end of an outage, or when it was asked for.
    pub path_after: Option<FlowPath>,
    /// Every way that differed from the one before, in their order: looked for at the start, at both ends of every outage, and
    /// when it is asked for. Of many the last.
    #[serde(default)]
    pub paths: Vec<FlowPath>,
    /// How often the connection was made anew.
    pub reconnected: u64,
    /// What the sender's kernel said last, where it refused a packet or a connection.
    pub error: Option<String>,
    /// By how much CLOCK_REALTIME is ahead of the clock of all times here.
    pub realtime_offset_ns: u64,
}

impl FlowReport {
    /// What is known of a flow that was not started.
    pub fn idle(flow: &Flow) -> FlowReport {
        FlowReport {
            name: flow.name.clone(),
            from: flow.from.to_string(),
            to: flow.to.to_string(),
            proto: flow.proto,
            pps: flow.pps,
            size: flow.size,
            dscp: flow.dscp,
            state: FlowState::Idle,
            source: None,
            destination: None,
            source_port: None,
            port: flow.port,
            round_trip: flow.proto == Proto::Icmp,
            figures: Figures {
                trouble: Some(crate::flow::Trouble::NeverRan),
                ..Figures::default()
            },
            path_before: None,
            path_after: None,
            paths: Vec::new(),
            reconnected: 0,
            error: None,
            realtime_offset_ns: crate::kernel::clock::offset(),
        }
    }
}
