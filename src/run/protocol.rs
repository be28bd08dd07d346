//! What is said between commands, the supervisor and the nodes' inits: JSON in frames of `kernel::message`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::events::Event;
use crate::cilium::state::{NodeAnswer, Query};
use crate::engine::operator::NodeView;
use crate::failure::Failure;
use crate::kernel::mount::Shown;
use crate::lab::model::{Bind, File, Manifest, Stage};
use crate::lab::plan::Limits;
use crate::lab::rights::RightsStep;

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
    /// Take the lab down. Answered at once, with the supervisor's pidfd.
    Down,
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
    },
    /// The nodes.
    Status(Status),
    /// The interfaces of the nodes, in the same order.
    Interfaces(Vec<Vec<InterfaceStatus>>),
    /// One event; many may follow.
    Event(Event),
    /// The answer is being made. Sent every second, so that silence means that nobody is there.
    Alive,
    /// Objects were applied or deleted.
    Changed(Changed),
    /// Objects.
    Objects(Vec<serde_json::Value>),
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
    /// Its interfaces as the kernel has them now. [`Reply::Status`] has none: see [`Request::Interfaces`].
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
    /// It ended with this status, as a shell gives it.
    Ended(i32),
    /// It could not be executed, and why.
    NotStarted(String),
    /// The same of one that the lab goes on without.
    Exited(String),
}

/// What all inits of a lab have to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Common {
    /// The lab's cgroup, in whatever tree.
    pub cgroup: String,
    /// An empty directory of the host to build roots on, each in its own mount namespace.
    pub scratch: PathBuf,
    /// Another for the base of all roots.
    pub base: PathBuf,
    /// The host's mounts to show.
    pub shown: Vec<Shown>,
    /// The text of every /etc/hosts.
    pub hosts: String,
    /// The text of every /etc/resolv.conf.
    pub resolv_conf: String,
    /// Paths of what nodes are given, where the way there has to be made for all of them; see [`super::root::make_base`].
    pub given: Vec<PathBuf>,
}

/// What a node's init has to know besides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The node's name.
    pub node: String,
    /// What it calls itself.
    pub hostname: String,
    /// Files of the lab file and of the engine.
    pub files: Vec<File>,
    /// Symbolic links of the engine: path, and where it leads.
    pub links: Vec<(String, String)>,
    /// Binds of the lab file.
    pub binds: Vec<Bind>,
    /// Whether the node makes cgroups of its own.
    pub makes_cgroups: bool,
    /// Whether nslab's own program plays a part in it.
    pub needs_program: bool,
    /// What its processes may do.
    pub rights: RightsStep,
    /// Whether the network it is in is its own.
    pub own_network: bool,
    /// What it may use at most.
    pub limits: Limits,
}

/// The supervisor's orders to an init.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Start a program. Two descriptors follow: its output and its errors.
    Start {
        /// A number for it that the supervisor chose.
        id: u64,
        /// Program and arguments.
        argv: Vec<String>,
        /// Its whole environment.
        env: BTreeMap<String, String>,
        /// A user name or number.
        user: Option<String>,
        /// The directory it starts in.
        workdir: Option<String>,
        /// Whether it has the rights of the node's engine.
        #[serde(default)]
        engine: bool,
    },
    /// Send a signal to every process of the node.
    SignalAll {
        /// Which signal.
        signal: i32,
    },
}

/// What an init tells the supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// The root stands. The node's syslog socket follows.
    Up,
    /// The root could not be made.
    Failed(Failure),
    /// A program runs.
    Started {
        /// Which.
        id: u64,
    },
    /// A program could not be started.
    NotStarted {
        /// Which.
        id: u64,
        /// Why.
        reason: String,
        /// Exit status as a shell would give it: 126 or 127.
        status: i32,
    },
    /// A program ended.
    Ended {
        /// Which.
        id: u64,
        /// Exit status as a shell would give it.
        status: i32,
    },
    /// The node has no processes left after an order to all.
    Quiet,
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
