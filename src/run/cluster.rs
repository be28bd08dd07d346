//! The Kubernetes cluster of a lab as its API server and Cilium's operator would have it: the objects that were applied,
//! and what each node's agent is to do by them.

use std::cell::{Cell, Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::api_server::Line;
use super::cluster_dns::{self, Servers};
use super::cluster_nodes;
use super::events::What;
use super::init::InitHandle;
use super::inside::Inside;
use super::lines::Lines;
use super::protocol::Changed;
use super::proxy::Proxy;
use super::state::Living;
use crate::cilium::endpoints;
use crate::cilium::manifest::{self, Foreign, Manifests};
use crate::cilium::state::{NodeAnswer, Query};
use crate::cilium::{Applied, Desired, Facts, Kind, Outcome, Reference, Store, desired, statuses};
use crate::engine;
use crate::engine::agent::{self, Reply, Request};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::lab::model::Manifest;
use crate::lab::plan::{NodeStep, Plan};

/// How long an agent may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// No answer of an agent's is longer, in bytes: some tens of thousands of routes.
const LONGEST_ANSWER: usize = 16 << 20;

/// No more objects of an API server's are taken in: whoever may write there may write as many as they like.
const MOST_OBJECTS: usize = 4000;

/// The cluster.
pub struct Cluster {
    store: RefCell<Store>,
    members: Vec<Member>,
    /// The way to its API server, where it has one.
    pub line: Line,
    /// Whether it has one.
    is_real: bool,
    /// Whether that has said what there is.
    has_heard: Cell<bool>,
    /// Who leads to services, where no Kubernetes does.
    proxy: Proxy,
    /// Who answers for names, where no Kubernetes is asked for them.
    pub servers: Servers,
}

/// A node of the cluster.
struct Member {
    /// Index into the lab's nodes.
    node: usize,
    facts: Facts,
    desired: RefCell<Desired>,
    /// Held while an agent is told, so that what it hears last is what holds.
    telling: Mutex<()>,
}

impl Cluster {
    /// The cluster of a plan, without objects.
    pub fn new(plan: &Plan) -> Cluster {
        let members = plan.nodes.iter().enumerate().filter_map(|(node, step)| {
            Some(Member {
                node,
                facts: facts(step)?,
                desired: RefCell::default(),
                telling: Mutex::default(),
            })
        });
        let is_real = plan.nodes.iter().any(NodeStep::is_kubernetes);
        let subnets = match is_real {
            true => Vec::new(),
            false => plan.service_subnets.clone(),
        };
        let (store, proxy) = (Store::new(subnets), Proxy::new(plan));
        Cluster {
            servers: Servers::new(plan, &store, &proxy.pods),
            store: RefCell::new(store),
            members: members.collect(),
            line: Line::default(),
            is_real,
            has_heard: Cell::default(),
            proxy,
        }
    }

    /// Its objects.
    pub fn objects(&self) -> Ref<'_, Store> {
        self.store.borrow()
    }

    /// Whether a node of it speaks BGP.
    pub fn has_agents(&self) -> bool {
        !self.members.is_empty()
    }

    /// Whether its API server has said what objects there are.
    pub fn has_heard(&self) -> bool {
        self.has_heard.get()
    }

    fn facts(&self, store: &Store) -> Vec<Facts> {
        let local = |name: &str| match self.is_real {
            true => self.line.view(name).unwrap_or_default().local_services,
            false => self.proxy.local_services(store, name),
        };
        let members = self.members.iter();
        members
            .map(|member| Facts {
                local_services: local(&member.facts.name),
                ..member.facts.clone()
            })
            .collect()
    }

    /// What could not be done as it was said, a sentence each.
    fn warnings(&self) -> Vec<String> {
        let all = self
            .members
            .iter()
            .flat_map(|member| member.desired.borrow().warnings.clone());
        let overfull = match self.is_real {
            true => Vec::new(),
            false => endpoints::overfull(&self.store.borrow(), &self.proxy.pods),
        };
        let all: BTreeSet<String> = all.chain(overfull).collect();
        all.into_iter().collect()
    }

    /// Whether there is anything to apply objects to.
    fn exists(&self) -> Result<(), Failure> {
        if !self.members.is_empty() || self.is_real {
            return Ok(());
        }
        Err(Failure::wrong("this lab has no Kubernetes nodes")
            .help("nodes of kind `k8s` obey objects; `nslab ps` lists the nodes"))
    }
}

/// Objects of a kind, as kubectl would show them; all, or one by name.
///
/// # Errors
/// There is none of this name.
pub fn objects(lab: &Living, kind: Kind, name: Option<&str>) -> Result<Vec<Value>, Failure> {
    let store = lab.cluster.store.borrow();
    let mut found: Vec<Value> = match kind {
        Kind::Node => cluster_nodes::nodes(lab, &store),
        _ => store.of_kind(kind).map(|object| store.shown(object)).collect(),
    };
    found.retain(|object| name.is_none_or(|name| object["metadata"]["name"] == name));
    match name {
        Some(name) if found.is_empty() => {
            let failure = Failure::not_ready(format!("there is no {} {name:?}", kind.name()));
            Err(failure.help(format!("`nslab get {}` lists those there are", kind.plural())))
        }
        _ => Ok(found),
    }
}

/// What manifests say; those who send them have looked for errors already, to show them better.
fn read(manifests: &[Manifest]) -> Result<Manifests, Failure> {
    let read = manifest::read(manifests.iter().map(|it| (it.name.clone(), it.text.clone())));
    match read.diagnostics.is_empty() {
        true => Ok(read),
        false => {
            let lines = read.lines(&read.diagnostics).join("\n");
            Err(Failure::wrong("these objects cannot be used as they are").detail(lines))
        }
    }
}

/// Applies objects, and returns once all agents that are concerned obey.
///
/// # Errors
/// Something is wrong with the objects, of which none is applied then; or an agent does not answer.
pub async fn apply(lab: &Rc<Living>, manifests: &[Manifest]) -> Result<Changed, Failure> {
    lab.cluster.exists()?;
    let read = read(manifests)?;
    let mut warnings = read.lines(&read.warnings);
    let changed = if lab.cluster.is_real {
        with_warnings(lab, lab.cluster.line.apply(read.written()).await?)
    } else {
        warnings.extend(read.foreign.iter().map(Foreign::without_effect));
        change(lab, |store| store.apply(read.objects)).await?
    };
    Ok(after(warnings, changed))
}

/// Puts what was to be said of the manifests before what is to be said of their effect.
fn after(mut warnings: Vec<String>, mut changed: Changed) -> Changed {
    warnings.append(&mut changed.warnings);
    Changed { warnings, ..changed }
}

/// Applies the manifests of the lab file.
///
/// # Errors
/// As [`apply`].
pub async fn begin(lab: &Rc<Living>) -> Result<Changed, Failure> {
    if lab.plan.manifests.is_empty() {
        return Ok(Changed::default());
    }
    apply(lab, &lab.plan.manifests).await
}

/// Deletes the objects that manifests name.
///
/// # Errors
/// As [`apply`].
pub async fn delete(lab: &Rc<Living>, manifests: &[Manifest]) -> Result<Changed, Failure> {
    lab.cluster.exists()?;
    let read = read(manifests)?;
    if lab.cluster.is_real {
        let changed = lab.cluster.line.delete(read.written()).await?;
        return Ok(with_warnings(lab, changed));
    }
    let references = read.objects.into_iter().map(|object| object.reference);
    change(lab, |store| store.delete(references)).await
}

async fn change(
    lab: &Rc<Living>,
    change: impl FnOnce(&mut Store) -> Vec<Applied>,
) -> Result<Changed, Failure> {
    let cluster = &lab.cluster;
    let mut store = cluster.store.borrow().clone();
    let applied = change(&mut store);
    let all = desired(&store, &cluster.facts(&store)).map_err(|conflicts| {
        Failure::wrong("these objects exclude each other; nothing was changed").detail(conflicts.join("\n"))
    })?;
    cluster.store.replace(store);
    // At once, so that of two changes the later holds everywhere.
    let (agents, servers, warnings) = tokio::join!(
        obey(lab, all),
        cluster_dns::obey(lab, &cluster.proxy.pods),
        cluster.proxy.obey(lab)
    );
    agents.and(servers)?;
    let changed = Changed {
        missing: applied.iter().any(|it| it.outcome == Outcome::NotFound),
        lines: applied.iter().map(Applied::line).collect(),
        warnings: Vec::new(),
    };
    Ok(after(warnings, with_warnings(lab, changed)))
}

fn with_warnings(lab: &Living, changed: Changed) -> Changed {
    Changed {
        warnings: lab.cluster.warnings(),
        ..changed
    }
}

/// Takes in all the objects that the API server has. Returns what is to be said of them there, and what is to be said here. Where
/// they exclude each other, agents go on as before.
pub async fn take(lab: &Rc<Living>, objects: &[Value]) -> (Vec<(Reference, Value)>, Vec<String>) {
    let cluster = &lab.cluster;
    let (mut objects_read, mut troubles) = (Vec::new(), Vec::new());
    if objects.len() > MOST_OBJECTS {
        let count = objects.len();
        troubles.push(format!(
            "the cluster has {count} objects that have a meaning for BGP; {MOST_OBJECTS} are taken in"
        ));
    }
    for object in objects.iter().take(MOST_OBJECTS) {
        match manifest::object_of(object) {
            Ok(object) => objects_read.push(object),
            Err(diagnostics) => {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let kind = object["kind"].as_str().unwrap_or_default();
                troubles.extend(diagnostics.iter().map(|it| format!("{kind} {name}: {it}")));
            }
        }
    }
    let mut store = cluster.store.borrow().clone();
    store.replace_objects(objects_read);
    let told = statuses(&store, &cluster.facts(&store));
    cluster.store.replace(store);
    troubles.extend(look_again(lab).await);
    cluster.has_heard.set(true);
    (told, troubles)
}

/// Has the agents do what follows from the objects as they are. Returns what is to be said of that. Where objects exclude each
/// other, agents go on as before.
pub async fn look_again(lab: &Rc<Living>) -> Vec<String> {
    let cluster = &lab.cluster;
    let follows = {
        let store = cluster.store.borrow();
        desired(&store, &cluster.facts(&store))
    };
    let mut troubles = Vec::new();
    match follows {
        Ok(all) => troubles.extend(obey(lab, all).await.err().map(|failure| failure.to_string())),
        Err(conflicts) => {
            let conflicts = conflicts.into_iter();
            troubles.extend(conflicts.map(|it| format!("{it}; agents go on as before")));
        }
    }
    troubles.extend(cluster.warnings());
    troubles
}

/// Has the agents do these.
async fn obey(lab: &Rc<Living>, all: Vec<Desired>) -> Result<(), Failure> {
    let mut concerned = Vec::new();
    for (number, (member, desired)) in lab.cluster.members.iter().zip(all).enumerate() {
        if member.desired.replace(desired) != *member.desired.borrow() {
            concerned.push(number);
        }
    }
    tell_all(lab, concerned).await
}

async fn tell_all(lab: &Rc<Living>, members: Vec<usize>) -> Result<(), Failure> {
    let mut telling = JoinSet::new();
    for number in members {
        let lab = Rc::clone(lab);
        telling.spawn_local(async move { tell(&lab, number).await });
    }
    all(telling).await
}

/// Waits for all of them; the first failure is that of all.
pub(super) async fn all(mut tasks: JoinSet<Result<(), Failure>>) -> Result<(), Failure> {
    let mut outcome = Ok(());
    while let Some(done) = tasks.join_next().await {
        outcome = outcome.and(done.unwrap_or(Ok(())));
    }
    outcome
}

/// Tells a member's agent what it is to do. One that does not run is told when it does.
async fn tell(lab: &Rc<Living>, number: usize) -> Result<(), Failure> {
    let member = &lab.cluster.members[number];
    let _turn = member.telling.lock().await;
    let init = lab.nodes[member.node].init.borrow().clone();
    let Some(init) = init else { return Ok(()) };
    let instances = member.desired.borrow().instances.clone();
    let asked = ask(&init, "the agent", agent::SOCKET, &Request::Configure(instances)).await;
    match asked {
        Ok(Reply::Configured | Reply::Answers(_)) => Ok(()),
        Err(_) if init.is_gone() => Ok(()),
        Err(failure) => Err(
            Failure::not_ready(format!("{}: {failure}", lab.plan.nodes[member.node].name)).help(format!(
                "`nslab logs {}` shows what it said",
                lab.plan.nodes[member.node].name
            )),
        ),
    }
}

/// Starts the agent of a node that has one, and tells it what it is to do.
///
/// # Errors
/// It does not answer.
pub async fn start_agent(inside: &Inside) -> Result<(), Failure> {
    let members = &inside.lab.cluster.members;
    let Some(number) = members.iter().position(|member| member.node == inside.node) else {
        return Ok(());
    };
    engine::Inside::service(inside, agent::process(&members[number].facts.name));
    engine::Inside::until(inside, &agent::ready()).await;
    tell(&inside.lab, number).await
}

/// A node as Cilium knows it, where its agent speaks BGP. Of its labels a real API server knows.
fn facts(step: &NodeStep) -> Option<Facts> {
    let node = step.kubernetes.as_ref().filter(|node| node.bgp)?;
    Some(Facts {
        name: step.name.clone(),
        labels: if step.is_kubernetes() {
            BTreeMap::new()
        } else {
            node.labels.clone()
        },
        addresses: node.addresses.clone(),
        pod_cidrs: node.pod_cidrs.clone(),
        local_services: BTreeSet::new(),
    })
}

/// What agents say: of all nodes, or of one by its name in the lab or in its cluster.
///
/// # Errors
/// There is no such node, or its agent does not answer.
pub async fn query(lab: &Rc<Living>, name: Option<&str>, query: Query) -> Result<Vec<NodeAnswer>, Failure> {
    lab.cluster.exists()?;
    let mut answers = Vec::new();
    let called = |member: &Member| {
        name.is_none_or(|name| name == member.facts.name || name == lab.plan.nodes[member.node].name)
    };
    for member in lab.cluster.members.iter().filter(|member| called(member)) {
        let init = lab.nodes[member.node].init.borrow().clone();
        let Some(init) = init else { continue };
        if let Reply::Answers(all) = ask(&init, "the agent", agent::SOCKET, &Request::Query(query)).await? {
            answers.extend(all.into_iter().map(|answer| NodeAnswer {
                node: member.facts.name.clone(),
                answer,
            }));
        }
    }
    match name {
        Some(name) if !lab.cluster.members.iter().any(called) => {
            Err(Failure::wrong(format!("the cluster has no node {name:?}"))
                .help("`nslab ps` lists the nodes; those of kind k8s have an agent"))
        }
        _ => Ok(answers),
    }
}

/// Asks a process of nslab's in a node, by its socket there. `whom` names it in messages: "the agent".
pub async fn ask<A: DeserializeOwned>(
    init: &InitHandle,
    whom: &str,
    socket: &str,
    request: &impl Serialize,
) -> Result<A, Failure> {
    let what = || format!("ask {whom}");
    let asking = async {
        let mut stream = connect(init, socket).await?;
        let mut line = serde_json::to_string(request).map_err(|error| Failure::host(error.to_string()))?;
        line.push('\n');
        stream.write_all(line.as_bytes()).await.attempt(what)?;
        let answer = Lines::new(&mut stream, LONGEST_ANSWER, PATIENCE)
            .next()
            .await
            .attempt(what)?;
        let answer = answer.ok_or_else(|| Failure::not_ready(format!("{whom} has just ended")))?;
        serde_json::from_slice(&answer)
            .map_err(|_| Failure::not_ready(format!("{whom} says what nslab does not")))
    };
    timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| Err(Failure::not_ready(format!("{whom} does not answer"))))
}

/// A socket in a node, found by the node's own root: no link in it leads out of there.
pub async fn connect(init: &InitHandle, path: &str) -> Result<UnixStream, Failure> {
    let socket = super::probe::open(init, path).attempt(|| format!("find {path}"))?;
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&socket));
    Ok(UnixStream::connect(path)
        .await
        .attempt(|| "connect to a process of nslab's")?)
}

/// Tells what was applied when the lab came up.
pub fn announce(lab: &Living, changed: &Changed) {
    for line in &changed.lines {
        lab.tell(What::Notice {
            message: line.clone(),
        });
    }
    for warning in &changed.warnings {
        let message = format!("warning: {warning}");
        lab.tell(What::Notice { message });
    }
}
