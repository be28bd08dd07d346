//! What is said between commands, the supervisor and the nodes' inits: JSON in frames of `kernel::message`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use flows::*;
pub use links::*;
pub use orders::*;
pub use status::*;

use super::events::Event;
use super::timeline::{Piece, Rest};
use crate::cilium::state::{NodeAnswer, Query};
use crate::failure::Failure;
use crate::lab::model::Manifest;
use crate::lab::rights::RightsStep;

mod flows;
mod links;
mod orders;
mod status;

/// The version of what commands and supervisors say to each other: to be counted up when one of them would take the other's
/// words for something else. These stay as they are in all versions: the envelope's `protocol`, [`DOWN`] with its answer
/// `"done"`, and `{"failed": {"code", "message", "detail", "help"}}`.
pub const VERSION: u32 = 1;
/// No request is longer, in bytes. Manifests are the longest.
pub const LONGEST: usize = 16 << 20;
/// The request to take the lab down. It has no envelope, so that every version understands it.
pub const DOWN: &[u8] = b"\"down\"";

/// A request with the version of the protocol it is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// [`VERSION`] of the command.
    pub protocol: u32,
    /// What is asked.
    pub request: T,
}

impl<T> Envelope<T> {
    /// One of this version.
    pub fn of(request: T) -> Envelope<T> {
        Envelope {
            protocol: VERSION,
            request,
        }
    }
}

/// Reads what a command of whatever version has sent to a lab.
///
/// # Errors
/// It is of another version, or no request at all: what to answer.
pub fn request(lab: &str, bytes: &[u8]) -> Result<Request, Failure> {
    if bytes == DOWN {
        return Ok(Request::Down);
    }
    let nonsense = |error: serde_json::Error| Failure::wrong(format!("that is no request to a lab: {error}"));
    let mut value: serde_json::Value = serde_json::from_slice(bytes).map_err(nonsense)?;
    let version = value.get("protocol").map_or(Some(0), serde_json::Value::as_u64);
    let Some(version) = version.and_then(|version| u32::try_from(version).ok()) else {
        return Err(Failure::wrong(
            "that is no request to a lab: its version is no number",
        ));
    };
    if version != VERSION {
        let message = format!(
            "lab {lab} was started by another version of nslab: it speaks version {VERSION} of the control protocol, and \
             this command version {version}"
        );
        return Err(Failure::not_ready(message).help(replace(lab)));
    }
    let request = value.get_mut("request").map(serde_json::Value::take);
    serde_json::from_value(request.unwrap_or_default()).map_err(nonsense)
}

/// What a command says of a lab whose supervisor speaks another version than it.
pub fn other_version(lab: &str, version: u32) -> Failure {
    let message = format!(
        "lab {lab} was started by another version of nslab: it speaks version {version} of the control protocol, and this \
         command version {VERSION}"
    );
    Failure::not_ready(message).help(replace(lab))
}

fn replace(lab: &str) -> String {
    format!("use the nslab that started it, or end it with `nslab down {lab}`, which any version can")
}

/// A command's wish, sent to the control socket. One a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// A descriptor to enter a node with; its init is started if it has none.
    Enter {
        /// The node.
        node: String,
    },
    /// What the nodes are and do.
    Status,
    /// The interfaces of all nodes, as the kernel has them now.
    Interfaces,
    /// Everything that happened, and what happens from now on.
    Events {
        /// Whether the connection stays open.
        follow: bool,
    },
    /// All of the timeline in pieces, and then what comes.
    Timeline {
        /// Whether the connection stays open.
        follow: bool,
    },
    /// Mark this time in the timeline.
    Mark {
        /// What it is called.
        name: String,
    },
    /// Wait until no route, interface or session changes any more.
    Rest {
        /// The earliest time from which it counts; none is now.
        since: Option<u64>,
        /// For how long nothing must change.
        span_ms: u64,
        /// How long is waited at most.
        most_ms: u64,
    },
    /// Kill a node's processes and start it again.
    Restart {
        /// The node.
        node: String,
    },
    /// Kill a node's processes, and start nothing in it until that is asked for.
    Stop {
        /// The node.
        node: String,
    },
    /// Start a node that was stopped.
    Start {
        /// The node.
        node: String,
    },
    /// Send a signal to processes of a node.
    Signal {
        /// The node.
        node: String,
        /// Which of its processes.
        whom: Whom,
        /// The signal's number.
        signal: i32,
    },
    /// Apply objects to the cluster; without manifests those of the lab file that were held back.
    Apply {
        /// The files, all of which are right or none is applied.
        manifests: Vec<Manifest>,
    },
    /// Delete objects of the cluster.
    Delete {
        /// Files that name them.
        manifests: Vec<Manifest>,
    },
    /// Objects of the cluster.
    Get {
        /// Their kind.
        kind: String,
        /// The name of the only one that is wanted.
        name: Option<String>,
    },
    /// What the agents of the cluster's nodes know.
    Cilium {
        /// The only node that is wanted, by its name in the lab or in its cluster.
        node: Option<String>,
        /// What is asked.
        query: Query,
    },
    /// Start, stop and show flows.
    Flow(FlowRequest),
    /// Do something to a link.
    Link {
        /// One of its ends, `node:interface`.
        endpoint: String,
        /// What.
        action: LinkAction,
    },
    /// What is asked of links, and what is there.
    Links {
        /// An end of the only one that is wanted.
        endpoint: Option<String>,
    },
    /// Take the lab down. Answered at once, with the supervisor's pidfd.
    Down,
}

/// Processes of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whom {
    /// Its init.
    Init,
    /// All but its init.
    All,
    /// Those whose program has this name (`comm` of proc(5)).
    Named(String),
}

/// The supervisor's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Descriptors follow: the init's pidfd, the node's user namespace if it has one of its own, and its cgroup's directory if
    /// it has one.
    Enter {
        /// The node's environment.
        env: BTreeMap<String, String>,
        /// What its processes may do.
        rights: RightsStep,
        /// Whether they are in a user namespace.
        users: bool,
        /// The user that they run as unless another is asked for; root where none is given.
        #[serde(default)]
        user: Option<String>,
        /// Where they start; `/` where none is given.
        #[serde(default)]
        workdir: Option<String>,
        /// Whether the node is an image.
        #[serde(default)]
        image: bool,
    },
    /// The nodes.
    Status(Status),
    /// The interfaces of the nodes, in the same order.
    Interfaces(Vec<Vec<InterfaceStatus>>),
    /// Links.
    Links(Vec<LinkReport>),
    /// One event; many may follow.
    Event(Event),
    /// Some of the timeline; more may follow, and [`Reply::Done`] where all is told that there was.
    Timeline(Piece),
    /// It is marked.
    Marked {
        /// The time, in nanoseconds of CLOCK_MONOTONIC.
        time: u64,
    },
    /// What became of waiting for rest.
    Rested(Rest),
    /// The answer is being made. Sent every second, so that silence means that nobody is there.
    Alive,
    /// Objects were applied or deleted.
    Changed(Changed),
    /// Objects.
    Objects(Vec<serde_json::Value>),
    /// What has become of flows.
    Flows(Vec<FlowReport>),
    /// What agents say.
    Cilium(Vec<NodeAnswer>),
    /// It is done. For [`Request::Down`], the supervisor's pidfd follows.
    Done,
    /// It cannot be done.
    Failed(Failure),
}

/// What became of objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// A line each, as kubectl prints it.
    pub lines: Vec<String>,
    /// What may not be as it was meant.
    pub warnings: Vec<String>,
    /// Whether one that was to be deleted was not there.
    pub missing: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_this_version_are_understood() {
        for asked in [
            Request::Status,
            Request::Down,
            Request::Enter { node: "a".to_owned() },
            Request::Apply {
                manifests: Vec::new(),
            },
        ] {
            let bytes = serde_json::to_vec(&Envelope::of(&asked)).unwrap();
            assert_eq!(request("x", &bytes), Ok(asked));
        }
    }

    #[test]
    fn every_version_can_take_a_lab_down() {
        assert_eq!(request("x", b"\"down\""), Ok(Request::Down));
        assert_eq!(serde_json::to_string(&Reply::Done).unwrap(), "\"done\"");
        let failed = Reply::Failed(Failure::wrong("no"));
        assert_eq!(
            serde_json::to_value(failed).unwrap(),
            serde_json::json!({"failed": {"code": "Wrong", "message": "no", "detail": null, "help": null}})
        );
    }

    #[test]
    fn other_versions_are_told_so() {
        for (bytes, version) in [
            (br#""status""#.as_slice(), "version 0"),
            (br#"{"enter":{"node":"a"}}"#, "version 0"),
            (br#"{"protocol":2,"request":{"fly":{"to":"moon"}}}"#, "version 2"),
        ] {
            let failure = request("x", bytes).unwrap_err();
            assert!(failure.message.contains("another version of nslab"), "{failure}");
            assert!(failure.message.contains(version), "{failure}");
            assert!(failure.help.unwrap().contains("nslab down x"));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bytes in [
            b"".as_slice(),
            b"\xff\xfe",
            b"[",
            br#"{"protocol":"1","request":"status"}"#,
            br#"{"protocol":-1,"request":"status"}"#,
            br#"{"protocol":99999999999,"request":"status"}"#,
            br#"{"protocol":1}"#,
            br#"{"protocol":1,"request":{"enter":{}}}"#,
            &[b'['; 10_000],
        ] {
            let failure = request("x", bytes).unwrap_err();
            assert!(failure.message.contains("no request"), "{failure}");
        }
    }
}
