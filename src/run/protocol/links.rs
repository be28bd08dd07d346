//! What is asked of links, and what is told of them.

use serde::{Deserialize, Serialize};

use crate::impair::packets::Counts;
use crate::lab::impair::{Impairment, Impairments};
pub use crate::lab::scenario::Way as Direction;

/// What is done to a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkAction {
    /// Both ends lose their carrier, as when the cable is pulled.
    Down,
    /// They have it again, and what was silent is heard.
    Up,
    /// Everything is lost in both directions; the carrier stays.
    Silence,
    /// Down and up, again and again.
    Flap {
        /// How often.
        count: u32,
        /// Milliseconds that it is down each time.
        down_ms: u64,
        /// Milliseconds that it is up in between.
        up_ms: u64,
    },
    /// Packets are treated like this from now on, in place of what was said before.
    Set {
        /// What is done to them.
        impairment: Impairment,
        /// To which.
        direction: Direction,
    },
    /// Nothing is done to the link any more, also not what the lab file says.
    Clear,
    /// It is as the lab file says.
    Reset,
}

impl LinkAction {
    /// It in a word.
    pub fn word(&self) -> &'static str {
        match self {
            LinkAction::Down => "down",
            LinkAction::Up => "up",
            LinkAction::Silence => "silence",
            LinkAction::Flap { .. } => "flap",
            LinkAction::Set { .. } => "set",
            LinkAction::Clear => "clear",
            LinkAction::Reset => "reset",
        }
    }
}

/// A link of a living lab: what is asked of it, and what the kernel has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkReport {
    /// Its first end, `node:interface`.
    pub a: String,
    /// The second; `host:interface` where that is on the host, none where it is nowhere.
    pub b: Option<String>,
    /// The type of the link.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is asked.
    pub asked: LinkAsked,
    /// What is there.
    pub there: LinkThere,
    /// Whether it is asked to be as the lab file says.
    pub as_planned: bool,
}

/// What is asked of a link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAsked {
    /// Whether it has no carrier.
    pub down: bool,
    /// Whether it loses everything.
    pub silent: bool,
    /// What is done to packets.
    pub impair: Impairments,
}

/// What the kernel has of a link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkThere {
    /// `up`, `down`, `no-carrier`, or `gone`.
    pub a: String,
    /// The same of the second end, where that is in a node.
    pub b: Option<String>,
    /// What is attached to the ends: `a:clsact`, `b:tbf`, `a:tap`.
    pub attached: Vec<String>,
    /// How what the first end sends is treated: `netem` or `own`.
    pub a_to_b: Option<LinkWay>,
    /// How what the second end sends is treated.
    pub b_to_a: Option<LinkWay>,
}

/// How packets of one direction are treated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkWay {
    /// `netem` or `own`.
    pub way: String,
    /// What has become of packets, where nslab's own queue has them.
    pub counts: Option<Counts>,
}
