//! What the supervisor knows about its lab while it lives. One thread, so plain cells hold it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::{Notify, broadcast, watch};

use super::cluster::Cluster;
use super::directory::LabDirectory;
use super::events::{Event, What};
use super::flows::supervise::Flows;
use super::init::InitHandle;
use super::late::Late;
use super::links::Links;
use super::nat::Nat;
use super::printed::Printed;
use super::protocol::ServiceStatus;
use super::reaper::Reaper;
use super::redial::Redial;
use super::template::Template;
use super::timeline::recorder::Recorder;
use super::timeline::serve;
use crate::failure::Failure;
use crate::kernel::cgroup::Trees;
use crate::kernel::mount::Shown;
use crate::kernel::namespace::Namespace;
use crate::lab::model::Stage;
use crate::lab::plan::Plan;

/// How many events are kept for `nslab events`.
const HISTORY: usize = 20_000;

/// A living lab.
pub struct Living {
    /// What was asked for.
    pub plan: Plan,
    /// Its network namespaces, in the order of the plan's.
    pub namespaces: RefCell<Vec<Namespace>>,
    /// The user namespaces that own them, where that is not the host's; known once they are made.
    pub users: OnceCell<Vec<Option<OwnedFd>>>,
    /// Its rules on the host.
    pub nat: RefCell<Option<Nat>>,
    /// Its nodes, in the order of the plan's.
    pub nodes: Vec<Node>,
    /// What keeps the images of its nodes in their store.
    pub _images: Vec<std::fs::File>,
    /// Its directory.
    pub directory: LabDirectory,
    /// The host's mounts that nodes show.
    pub shown: Vec<Shown>,
    /// nslab's own program, a mount that is nowhere yet; none where it is no longer at the path it was started from.
    /// The first template takes it, as a mount can be in one place only; one that replaces it copies the file.
    pub program: RefCell<Option<OwnedFd>>,
    /// What inits are copies of, from the first on.
    pub template: RefCell<Option<Rc<Template>>>,
    /// Where cgroups are.
    pub trees: Trees,
    /// The host's /proc, to translate PIDs.
    pub host_proc: OwnedFd,
    /// Who waits for children.
    pub reaper: Rc<Reaper>,
    /// The process that runs flows, from the first on.
    pub flows: RefCell<Option<Rc<Flows>>>,
    /// Who writes the nodes' logs, from the first node on that runs something.
    pub printed: OnceCell<Printed>,
    /// What happened.
    pub events: Events,
    /// What changed when; none where that is not wanted.
    pub timeline: Option<Recorder>,
    /// The first failure of a node that was coming up.
    pub failure: RefCell<Option<Failure>>,
    /// Woken by each node's becoming ready, and by a failure.
    pub progress: Notify,
    /// Becomes true when the lab is to end.
    pub stopping: watch::Sender<bool>,
    /// Its Kubernetes cluster, perhaps without nodes.
    pub cluster: Cluster,
    /// Whether the lab has become ready: from then on failures are troubles.
    pub ready: Cell<bool>,
    /// What has come of the interfaces that nodes' own commands make, by namespace.
    pub late: RefCell<HashMap<usize, Late>>,
    /// What has become of its links.
    pub links: Links,
    /// Who has begun to listen.
    pub redial: Redial,
    /// Why the lab has to end, if nobody asked it to.
    pub lost: RefCell<Option<Failure>>,
}

/// A node of a living lab.
pub struct Node {
    /// The stage it has reached.
    pub stage: watch::Sender<Option<Stage>>,
    /// Its init, while it has one.
    pub init: watch::Sender<Option<Rc<InitHandle>>>,
    /// Asks an idle node to start its init.
    pub wake: Notify,
    /// Asks the node to be started again.
    pub restart: Notify,
    /// Whether it was stopped: nothing is started in it.
    pub stopped: watch::Sender<bool>,
    /// Whether it has come to rest since.
    pub at_rest: watch::Sender<bool>,
    /// What it is waiting for, in words.
    pub waiting_for: RefCell<String>,
    /// What the command last answered that is asked whether a process is ready.
    pub answered: RefCell<Option<String>>,
    /// Why it does not work, if it does not.
    pub trouble: RefCell<Option<String>>,
    /// When it became ready.
    pub ready_since: Cell<Option<Instant>>,
    /// How often it was started again.
    pub restarts: Cell<u32>,
    /// How many of its processes the kernel has killed for their memory, as far as events told.
    pub memory_kills: Cell<u64>,
    /// How many of those ends were given as the reason of a process's end.
    pub memory_reasons: Cell<u64>,
    /// Its long-running processes.
    pub services: RefCell<Vec<ServiceStatus>>,
    /// Woken when one of them changes.
    pub service_changed: Notify,
    /// Where its log is.
    pub log: PathBuf,
}

impl Node {
    /// A node nothing has happened to yet.
    pub fn new(log: PathBuf) -> Node {
        Node {
            stage: watch::Sender::new(None),
            init: watch::Sender::new(None),
            wake: Notify::new(),
            restart: Notify::new(),
            stopped: watch::Sender::new(false),
            at_rest: watch::Sender::new(false),
            waiting_for: RefCell::default(),
            answered: RefCell::default(),
            trouble: RefCell::default(),
            ready_since: Cell::default(),
            restarts: Cell::default(),
            memory_kills: Cell::default(),
            memory_reasons: Cell::default(),
            services: RefCell::default(),
            service_changed: Notify::new(),
            log,
        }
    }

    /// Whether everything it runs is ready.
    pub fn is_ready(&self) -> bool {
        *self.stage.borrow() == Some(Stage::Ready)
    }
}

impl Living {
    /// Tells an event.
    pub fn tell(&self, what: What) {
        serve::note(self, &what);
        self.events.tell(what);
    }

    /// Nodes reach a stage, unless they have reached it already: an idle node whose init is started stays ready.
    pub fn reach(&self, nodes: &[usize], stage: Stage) {
        let mut nodes = nodes.to_vec();
        nodes.retain(|&node| *self.nodes[node].stage.borrow() < Some(stage));
        for &node in &nodes {
            let node = &self.nodes[node];
            node.stage.send_replace(Some(stage));
            if stage == Stage::Ready {
                node.ready_since.set(Some(Instant::now()));
                node.waiting_for.borrow_mut().clear();
                node.trouble.borrow_mut().take();
            }
        }
        let nodes = nodes
            .iter()
            .map(|&node| self.plan.nodes[node].name.clone())
            .collect::<Vec<_>>();
        if !nodes.is_empty() {
            self.tell(What::Stage { nodes, stage });
        }
        if stage == Stage::Ready {
            self.progress.notify_one();
        }
    }

    /// What inits are copies of: begun with the first, and anew where it has ended.
    ///
    /// # Errors
    /// The kernel refuses it, or memory is short.
    pub fn template(self: &Rc<Self>) -> Result<Rc<Template>, Failure> {
        let living = self.template.borrow().clone().filter(|it| !it.is_gone());
        if let Some(template) = living {
            return Ok(template);
        }
        let template = Template::start(self)?;
        self.template.replace(Some(Rc::clone(&template)));
        Ok(template)
    }

    /// The user namespace of a node, where its users are its own.
    pub fn users_of(&self, node: usize) -> Option<&OwnedFd> {
        let rights = &self.plan.nodes[node].rights;
        if (rights.first_id.is_none() && !rights.in_lab) || self.plan.is_in_sandbox(node) {
            return None;
        }
        self.users.get()?.get(self.plan.nodes[node].namespace?)?.as_ref()
    }

    /// Who writes the nodes' logs; begins when the first node needs it.
    ///
    /// # Errors
    /// No thread can be started, or no descriptors are left.
    pub fn printed(&self) -> Result<&Printed, Failure> {
        if let Some(printed) = self.printed.get() {
            return Ok(printed);
        }
        let nodes = self.nodes.iter().zip(&self.plan.nodes);
        let logs = nodes.map(|(node, step)| (node.log.clone(), step.limits.log));
        let ear = self.timeline.as_ref().map(Recorder::ear);
        let printed = Printed::start(logs.collect(), ear)?;
        Ok(self.printed.get_or_init(|| printed))
    }

    /// A node of this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.plan.nodes.iter().position(|node| node.name == name)
    }
}

/// The lab's events: kept, and told to whoever listens.
pub struct Events {
    history: RefCell<Vec<Event>>,
    /// How many were kept once and are no longer.
    forgotten: Cell<usize>,
    /// None when the lab is over.
    sender: RefCell<Option<broadcast::Sender<Event>>>,
    /// Those who are told all of them to the end.
    pub followers: Crowd,
    /// Those who have one to tell yet, of something that has happened.
    pub tellers: Crowd,
}

/// Somebodies who are waited for.
#[derive(Default)]
pub struct Crowd {
    count: Cell<usize>,
    left: Notify,
}

/// One of a crowd, for as long as the value lives.
pub struct Member<'a>(&'a Crowd);

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.left.notify_one();
    }
}

impl Crowd {
    /// One more.
    pub fn join(&self) -> Member<'_> {
        self.count.set(self.count.get() + 1);
        Member(self)
    }

    /// Waits until there is nobody. One task at a time may.
    pub async fn empty(&self) {
        while self.count.get() > 0 {
            self.left.notified().await;
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Events {
            history: RefCell::default(),
            forgotten: Cell::default(),
            sender: RefCell::new(Some(broadcast::Sender::new(4096))),
            followers: Crowd::default(),
            tellers: Crowd::default(),
        }
    }
}

impl Events {
    fn tell(&self, what: What) {
        let event = Event::now(what);
        let mut history = self.history.borrow_mut();
        if history.len() >= HISTORY {
            history.drain(..HISTORY / 2);
            self.forgotten.set(self.forgotten.get() + HISTORY / 2);
        }
        history.push(event.clone());
        if let Some(sender) = &*self.sender.borrow() {
            // Nobody listens: fine.
            let _ = sender.send(event);
        }
    }

    /// Nothing more will happen.
    pub fn close(&self) {
        self.sender.borrow_mut().take();
    }

    /// A receiver of what happens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        match &*self.sender.borrow() {
            Some(sender) => sender.subscribe(),
            // A receiver whose sender is gone: it says at once that nothing follows.
            None => broadcast::Sender::new(1).subscribe(),
        }
    }

    /// The first event from this number on that is still kept, with its number. They are counted from 0.
    pub fn since(&self, number: usize) -> Option<(usize, Event)> {
        let number = number.max(self.forgotten.get());
        let history = self.history.borrow();
        let event = history.get(number - self.forgotten.get())?;
        Some((number, event.clone()))
    }
}
