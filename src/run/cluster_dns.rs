//! The DNS servers of a cluster without a Kubernetes: each is told what services there are.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::cluster;
use super::inside::Inside;
use super::state::Living;
use crate::cilium::endpoints::Pod;
use crate::cilium::{Store, names};
use crate::dns::Contents;
use crate::engine::dns::{Reply, Request};
use crate::engine::{self, dns};
use crate::failure::Failure;
use crate::lab::plan::Plan;

/// The servers.
#[derive(Default)]
pub struct Servers {
    all: Vec<Server>,
    contents: RefCell<Contents>,
}

struct Server {
    /// Index into the lab's nodes.
    node: usize,
    address: IpAddr,
    /// Held while it is told, so that what it hears last is what holds.
    telling: Mutex<()>,
}

impl Servers {
    /// Those of a plan; none where each asks an API server by itself.
    pub fn new(plan: &Plan, store: &Store, pods: &[Pod]) -> Servers {
        let nodes = plan.nodes.iter().enumerate();
        let told = nodes.filter(|(_, step)| !step.is_kubernetes());
        let all = told.filter_map(|(node, step)| {
            Some(Server {
                node,
                address: step.dns?,
                telling: Mutex::default(),
            })
        });
        let servers = Servers {
            all: all.collect(),
            contents: RefCell::default(),
        };
        servers.learn(store, pods);
        servers
    }

    /// The address that all of them have.
    pub fn address(&self) -> Option<IpAddr> {
        self.all.first().map(|server| server.address)
    }

    /// Notes what follows from the objects. Whether that is something new.
    fn learn(&self, store: &Store, pods: &[Pod]) -> bool {
        let Some(address) = self.address() else {
            return false;
        };
        let contents = names::contents(store, pods, address);
        self.contents.replace(contents) != *self.contents.borrow()
    }
}

/// Has all servers answer by the objects as they are.
///
/// # Errors
/// One does not answer.
pub async fn obey(lab: &Rc<Living>, pods: &[Pod]) -> Result<(), Failure> {
    let servers = &lab.cluster.servers;
    if !servers.learn(&lab.cluster.objects(), pods) {
        return Ok(());
    }
    let mut telling = JoinSet::new();
    for number in 0..servers.all.len() {
        let lab = Rc::clone(lab);
        telling.spawn_local(async move { tell(&lab, number).await });
    }
    cluster::all(telling).await
}

/// Tells a server what there is. One that does not run is told when it does.
async fn tell(lab: &Rc<Living>, number: usize) -> Result<(), Failure> {
    let server = &lab.cluster.servers.all[number];
    let _turn = server.telling.lock().await;
    let init = lab.nodes[server.node].init.borrow().clone();
    let Some(init) = init else { return Ok(()) };
    let request = Request::Know(lab.cluster.servers.contents.borrow().clone());
    let asked: Result<Reply, Failure> = cluster::ask(&init, "the DNS server", dns::SOCKET, &request).await;
    match asked {
        Ok(Reply::Known) => Ok(()),
        Err(_) if init.is_gone() => Ok(()),
        Err(failure) => {
            let name = &lab.plan.nodes[server.node].name;
            let message = format!("{name}: {failure}");
            Err(Failure::not_ready(message).help(format!("`nslab logs {name}` shows what it said")))
        }
    }
}

/// Starts the server of a node that has one, and tells it what there is.
///
/// # Errors
/// It does not answer.
pub async fn start(inside: &Inside) -> Result<(), Failure> {
    let servers = &inside.lab.cluster.servers.all;
    let Some(number) = servers.iter().position(|server| server.node == inside.node) else {
        return Ok(());
    };
    engine::Inside::service(inside, dns::process(servers[number].address));
    engine::Inside::until(inside, &dns::ready()).await;
    tell(&inside.lab, number).await
}
