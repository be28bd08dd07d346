//! All speakers of a lab listen before any is left waiting: when routers have begun to listen, FRR in the others dials those
//! again that it has found not to.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use tokio::sync::watch;

use super::inside::Inside;
use super::state::Living;
use crate::engine::frr::{front, redial};
use crate::lab::engines::Engine;
use crate::lab::plan::NodeStep;

/// A router that has begun to listen closes connections again until its own sessions have begun: a second after it has its
/// configuration, and without addresses not before it has heard the other end, which says something every ten seconds. Who
/// was dialed too early is dialed once more after these, as long as it is not there.
const PAUSES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// What is known of a lab's routers that start.
#[derive(Default)]
pub struct Redial {
    /// How many engines are starting.
    starting: Cell<usize>,
    /// Whether one has begun to listen since others were told.
    is_news: Cell<bool>,
    /// Whether some router says from which address it dials.
    has_source: OnceCell<bool>,
    /// Counts what was told.
    told: watch::Sender<u64>,
}

/// An engine that is starting, for as long as the value lives.
pub struct Starting<'a>(&'a Redial);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.starting.set(self.0.starting.get() - 1);
        self.0.tell();
    }
}

impl Redial {
    /// An engine starts: what is told waits for it, so that routers that start at the same time are told once.
    pub fn start(&self) -> Starting<'_> {
        self.starting.set(self.starting.get() + 1);
        Starting(self)
    }

    fn tell(&self) {
        if self.starting.get() == 0 && self.is_news.take() {
            self.told.send_modify(|told| *told += 1);
        }
    }
}

/// Has FRR in a node dial again when it makes sense, and tells others that the node has begun to listen.
pub fn begin(inside: &Inside) {
    let lab = &inside.lab;
    let step = &lab.plan.nodes[inside.node];
    if dials(step) {
        let (view, mut told) = (inside.view(), lab.redial.told.subscribe());
        inside.keep(async move {
            while told.changed().await.is_ok() {
                for pause in PAUSES {
                    tokio::time::sleep(pause).await;
                    if !redial::again(&view).await {
                        break;
                    }
                }
            }
        });
    }
    if listens(lab, step) {
        lab.redial.is_news.set(true);
        lab.redial.tell();
    }
}

/// Whether bgpd of FRR may dial from a node.
fn dials(step: &NodeStep) -> bool {
    match step.engine {
        Some(Engine::Frr) => step.config.as_deref().is_some_and(redial::dials),
        // Its own commands have started FRR.
        _ => front::is_for(step),
    }
}

/// Whether a node may have neighbors that it does not reach by dialing them.
fn listens(lab: &Living, step: &NodeStep) -> bool {
    let Some(config) = &step.config else {
        return front::is_for(step);
    };
    let configs = || lab.plan.nodes.iter().filter_map(|node| node.config.as_deref());
    let sources = || {
        *lab.redial
            .has_source
            .get_or_init(|| configs().any(redial::has_source))
    };
    redial::listens(config) || (redial::dials(config) && !redial::has_source(config) && sources())
}
