//! Who leads to the services of a cluster without a Kubernetes: every node of it, in place of a kube-proxy.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::thread;

use ipnet::IpNet;
use tokio::sync::{Mutex, oneshot};

use super::services;
use super::state::Living;
use crate::cilium::Store;
use crate::cilium::endpoints::{self, Destination, Pod, Way};
use crate::kernel::namespace::Namespace;
use crate::lab::model::Kind;
use crate::lab::plan::{NodeStep, Plan};

/// The nodes, and the pods that answer.
#[derive(Default)]
pub struct Proxy {
    nodes: Vec<Node>,
    pub pods: Vec<Pod>,
    /// The address of the cluster's own DNS servers, which each node is at itself.
    dns: Option<IpAddr>,
    /// The networks of all pods.
    pod_cidrs: Vec<IpNet>,
    /// Held while rules are changed.
    turn: Mutex<()>,
}

struct Node {
    name: String,
    /// Index into the plan's namespaces.
    namespace: usize,
    /// What it leads by now.
    ways: RefCell<Vec<Way>>,
}

impl Proxy {
    /// That of a plan; without nodes where a Kubernetes has a proxy of its own.
    pub fn new(plan: &Plan) -> Proxy {
        let mut proxy = Proxy::default();
        if plan.nodes.iter().any(NodeStep::is_kubernetes) {
            return proxy;
        }
        for step in &plan.nodes {
            let Some(namespace) = step.namespace else { continue };
            proxy.dns = proxy.dns.or(step.dns);
            if let Some(node) = &step.kubernetes {
                proxy.pod_cidrs.extend(&node.pod_cidrs);
                proxy.nodes.push(Node {
                    name: step.name.clone(),
                    namespace,
                    ways: RefCell::default(),
                });
            }
            proxy.pods.extend(pod(plan, step, namespace));
        }
        proxy.pod_cidrs = IpNet::aggregate(&proxy.pod_cidrs);
        proxy
    }

    /// The services that a pod of a node answers for.
    pub fn local_services(&self, store: &Store, node: &str) -> BTreeSet<(String, String)> {
        endpoints::local_services(store, &self.pods, node)
    }

    /// Has all nodes lead what is sent to services to the pods that answer. Returns what could not be done.
    ///
    /// The kernel takes its time for it, during which the lab lives on: a thread of its own waits, one at a time.
    pub async fn obey(&self, lab: &Living) -> Vec<String> {
        let _turn = self.turn.lock().await;
        let jobs = self.jobs(lab);
        if jobs.is_empty() {
            return Vec::new();
        }
        let (done, is_done) = oneshot::channel();
        let pod_cidrs = self.pod_cidrs.clone();
        let work = move || {
            let lead = |job: Job| {
                let led = job.namespace.run(|| services::lead(&job.ways, &pod_cidrs));
                (job.node, job.ways, led)
            };
            // Whoever has asked may have gone.
            let _ = done.send(jobs.into_iter().map(lead).collect::<Vec<_>>());
        };
        let outcomes = match thread::Builder::new().spawn(work) {
            Ok(_) => is_done.await.unwrap_or_default(),
            Err(error) => return vec![format!("nobody answers at the addresses of services: {error}")],
        };
        let mut troubles = BTreeSet::new();
        for (node, ways, led) in outcomes {
            match led {
                Ok(0) => drop(self.nodes[node].ways.replace(ways)),
                Ok(count) => drop(troubles.insert(format!(
                    "there are too many services: {count} of their ports lead nowhere"
                ))),
                Err(error) => drop(troubles.insert(format!(
                    "nobody answers at the addresses of services: {error}; this needs nf_tables with NAT in the kernel"
                ))),
            }
        }
        troubles.into_iter().collect()
    }

    /// What has to be changed by the objects as they are.
    fn jobs(&self, lab: &Living) -> Vec<Job> {
        let (store, namespaces) = (lab.cluster.objects(), lab.namespaces.borrow());
        let mut jobs = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let mut ways = endpoints::ways(&store, &self.pods, &node.name);
            ways.retain(|way| {
                self.dns
                    .is_none_or(|it| way.destination != Destination::Address(it))
            });
            let namespace = namespaces.get(node.namespace);
            let own = namespace.and_then(|it| it.as_fd().try_clone_to_owned().ok());
            if let Some(own) = own.filter(|_| *node.ways.borrow() != ways) {
                jobs.push(Job {
                    node: at,
                    namespace: Namespace::from(own),
                    ways,
                });
            }
        }
        jobs
    }
}

/// What a node is to lead from now on.
struct Job {
    /// Index into the nodes.
    node: usize,
    namespace: Namespace,
    ways: Vec<Way>,
}

/// A pod as services look at it.
fn pod(plan: &Plan, step: &NodeStep, namespace: usize) -> Option<Pod> {
    let (node, _) = step.name.split_once('/').filter(|_| step.kind == Kind::Pod)?;
    let all = plan.namespaces[namespace].addresses.iter();
    Some(Pod {
        node: node.to_owned(),
        labels: step.labels.clone(),
        addresses: all.map(|(_, net)| net.addr()).collect(),
        ports: step.named_ports.clone(),
    })
}
