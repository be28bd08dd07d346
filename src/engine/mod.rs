//! What brings a node to life beyond its network: one file an engine, behind one small trait.

use std::collections::BTreeMap;
use std::future::Future;

use crate::bgp::config::Own;
use crate::failure::Failure;
use crate::lab::model::{File, Probe, Process};
use crate::lab::plan::{self, NodeStep};

pub mod agent;
pub mod cni;
mod configuration;
pub mod dns;
pub mod frr;
pub mod kubelet;
pub mod operator;
pub mod own_start;
mod socket;
pub mod speaker;

/// Where nodes that need nslab's own program have it: not /proc/1/exe, since nothing in a node may look into its init.
pub const ITSELF: &str = "/usr/lib/nslab/nslab";

/// Where programs in nodes look for others.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Exit status as a shell gives it.
    pub status: i32,
    /// The end of its output and errors.
    pub output: String,
}

/// The inside of a node, as an engine uses it.
pub trait Inside {
    /// Runs a command to its end.
    fn command(&self, name: &str, argv: &[String]) -> impl Future<Output = Result<Finished, Failure>>;
    /// Asks a command for all it prints, up to `most` octets, and logs nothing of it.
    fn answer(
        &self,
        name: &str,
        argv: &[String],
        most: usize,
    ) -> impl Future<Output = Result<Finished, Failure>>;
    /// Starts a process that is watched, logged and started again as it says.
    fn service(&self, process: Process);
    /// Waits until a condition of the node holds.
    fn until(&self, probe: &Probe) -> impl Future<Output = ()>;
    /// Says what is waited for from now on.
    fn waits(&self, what: &str);
    /// Returns once it makes no sense to wait any longer, because a service cannot be started or keeps ending; with its own words.
    fn hopeless(&self) -> impl Future<Output = Failure>;
    /// The node's name.
    fn node(&self) -> &str;
}

/// A program that plays a node.
pub trait Engine {
    /// Whether this host and this program take the node, which has these addresses, as it is; asked before anything is made.
    ///
    /// # Errors
    /// What is missing, or what is wrong with the configuration.
    fn preflight(&self, node: &NodeStep, own: &Own) -> Result<(), Failure>;
    /// Files it wants in the node's root, before the lab file's own.
    fn files(&self, node: &NodeStep) -> Vec<File>;
    /// Symbolic links it wants there: path, and where it leads.
    fn links(&self, _node: &NodeStep) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }
    /// Starts everything and returns when it answers with the node's configuration loaded. What it started
    /// ends with the node.
    ///
    /// # Errors
    /// A program did not start or refused the configuration.
    fn start(&self, node: &NodeStep, inside: &impl Inside) -> impl Future<Output = Result<(), Failure>>;
}

/// An engine of those there are.
pub enum Router {
    /// FRR's daemons.
    Frr(frr::Frr),
    /// nslab's own speaker.
    Builtin(speaker::Builtin),
    /// A kubelet.
    Kubelet(kubelet::Kubelet),
}

/// The engine of a node; none for nodes the kernel plays alone.
pub fn of(node: &NodeStep) -> Option<Router> {
    node.engine.map(|engine| match engine {
        plan::Engine::Frr => Router::Frr(frr::Frr),
        plan::Engine::Builtin => Router::Builtin(speaker::Builtin),
        plan::Engine::Kubelet => Router::Kubelet(kubelet::Kubelet),
    })
}

impl Engine for Router {
    fn preflight(&self, node: &NodeStep, own: &Own) -> Result<(), Failure> {
        match self {
            Router::Frr(engine) => engine.preflight(node, own),
            Router::Builtin(engine) => engine.preflight(node, own),
            Router::Kubelet(engine) => engine.preflight(node, own),
        }
    }

    fn files(&self, node: &NodeStep) -> Vec<File> {
        match self {
            Router::Frr(engine) => engine.files(node),
            Router::Builtin(engine) => engine.files(node),
            Router::Kubelet(engine) => engine.files(node),
        }
    }

    fn links(&self, node: &NodeStep) -> Vec<(&'static str, &'static str)> {
        match self {
            Router::Frr(engine) => engine.links(node),
            Router::Builtin(engine) => engine.links(node),
            Router::Kubelet(engine) => engine.links(node),
        }
    }

    async fn start(&self, node: &NodeStep, inside: &impl Inside) -> Result<(), Failure> {
        match self {
            Router::Frr(engine) => engine.start(node, inside).await,
            Router::Builtin(engine) => engine.start(node, inside).await,
            Router::Kubelet(engine) => engine.start(node, inside).await,
        }
    }
}

/// The environment every program in a node starts with, before the lab file's own.
pub fn environment(node: &NodeStep) -> BTreeMap<String, String> {
    let usual = [("PATH", PATH)];
    // What the host is used to says nothing of an image, whose own users have their homes.
    let of_host = [
        ("HOME", "/root"),
        ("USER", "root"),
        ("LOGNAME", "root"),
        ("LANG", "C.UTF-8"),
    ];
    let of_host = of_host.into_iter().filter(|_| node.image.is_none());
    let mut env: BTreeMap<String, String> = usual
        .into_iter()
        .chain(of_host)
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    env.insert("HOSTNAME".to_owned(), node.hostname.clone());
    env.extend(node.env.clone());
    env
}
