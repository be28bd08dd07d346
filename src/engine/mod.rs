//! What brings a node to life beyond its network: a folder an engine, behind one trait, with a line in the registry.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;

use crate::bgp::config::Own;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::lab::engines::Engine as Chosen;
use crate::lab::model::{Cluster, File, Kind, Node, Probe, Process};
use crate::lab::plan::{NodeStep, Plan};

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

/// What plays a node: all that others may ask of it, beside what [`lab::engines`](crate::lab::engines) says.
pub trait Engine {
    /// What of it this host lacks, for a cluster with these settings where it concerns one.
    fn lacks(&self, _cluster: &Cluster) -> Option<Failure> {
        None
    }
    /// Asks about a router's configuration, before there is a plan. False where there is nobody to ask.
    ///
    /// # Errors
    /// What it does not take.
    fn judge(&self, _node: &Node, _config: &str) -> Result<bool, Failure> {
        Ok(true)
    }
    /// The engine that a configuration is for which this one does not take, where another does.
    fn better(&self, _config: &str) -> Option<Chosen> {
        None
    }
    /// Says in a lab what its nodes are to have on it, before there is a plan.
    fn manage(&self, _lab: &mut Lab) {}
    /// Adds to a plan what its nodes need of each other; `etcd` is where etcd keeps what it knows, where the lab file does not say. Returns what is not done as the lab file has it, a sentence each.
    ///
    /// # Errors
    /// What is missing on this host, or wrong in the lab.
    fn plan(&self, _plan: &mut Plan, _cluster: &Cluster, _etcd: &Path) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }
    /// Whether this host and this program take the node, which has these addresses, as it is; asked before anything is made.
    ///
    /// # Errors
    /// What is missing, or what is wrong with the configuration.
    fn preflight(&self, _node: &NodeStep, _own: &Own) -> Result<(), Failure> {
        Ok(())
    }
    /// Files it wants in the node's root, before the lab file's own.
    fn files(&self, _node: &NodeStep) -> Vec<File> {
        Vec::new()
    }
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

/// The registry: calls the engine that was chosen.
macro_rules! ask {
    ($chosen:expr, $engine:ident => $call:expr) => {
        match $chosen {
            Chosen::Frr => {
                let $engine = frr::Frr;
                $call
            }
            Chosen::Builtin => {
                let $engine = speaker::Builtin;
                $call
            }
            Chosen::Kubelet => {
                let $engine = kubelet::Kubelet;
                $call
            }
        }
    };
}

impl Engine for Chosen {
    fn lacks(&self, cluster: &Cluster) -> Option<Failure> {
        ask!(self, it => it.lacks(cluster))
    }

    fn judge(&self, node: &Node, config: &str) -> Result<bool, Failure> {
        ask!(self, it => it.judge(node, config))
    }

    fn better(&self, config: &str) -> Option<Chosen> {
        ask!(self, it => it.better(config))
    }

    fn manage(&self, lab: &mut Lab) {
        ask!(self, it => it.manage(lab));
    }

    fn plan(&self, plan: &mut Plan, cluster: &Cluster, etcd: &Path) -> Result<Vec<String>, Failure> {
        ask!(self, it => it.plan(plan, cluster, etcd))
    }

    fn preflight(&self, node: &NodeStep, own: &Own) -> Result<(), Failure> {
        ask!(self, it => it.preflight(node, own))
    }

    fn files(&self, node: &NodeStep) -> Vec<File> {
        ask!(self, it => it.files(node))
    }

    fn links(&self, node: &NodeStep) -> Vec<(&'static str, &'static str)> {
        ask!(self, it => it.links(node))
    }

    async fn start(&self, node: &NodeStep, inside: &impl Inside) -> Result<(), Failure> {
        ask!(self, it => it.start(node, inside).await)
    }
}

/// The engine of routers that leave it open: the first that this host has.
pub fn auto() -> Chosen {
    let cluster = Cluster::default();
    let plays = |it: &Chosen| it.traits().plays.contains(&Kind::Router) && it.lacks(&cluster).is_none();
    Chosen::ALL.into_iter().find(plays).unwrap_or_default()
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
