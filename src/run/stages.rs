//! A node's way from created to ready, and back again after its processes were killed.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tracing::{Instrument as _, Span, info_span};

use super::backoff::Backoff;
use super::bring_up::bring_up;
use super::events::What;
use super::init::{self, StartError};
use super::inside::Inside;
use super::memory::MemoryWatch;
use super::sandbox::{self, Sandbox};
use super::state::Living;
use super::switched_off;
use crate::failure::Failure;
use crate::lab::engines::GRACE;
use crate::lab::model::{Stage, Wait};
use crate::lab::plan::ImageStep;

/// Pause before a node whose init keeps dying is started again, doubled each time.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// How long the program of an image may take to end that says by which signal it is asked.
const IMAGES_GRACE: Duration = Duration::from_secs(10);

/// How long the program of an image may take to end when its node is stopped or started again, and at the end of the lab.
pub fn grace(image: &ImageStep) -> Duration {
    match image.stop_signal {
        Some(_) => IMAGES_GRACE,
        None => GRACE,
    }
}

/// Why a node's life in its present init is over.
enum Over {
    /// The init ended.
    Died(i32),
    /// Somebody asked for a restart.
    Restart,
}

/// Lives a node's life until the lab ends.
pub async fn live(lab: Rc<Living>, node: usize) {
    wait_first(&lab, node).await;
    if lab.plan.nodes[node].idle {
        idle(&lab, node).await;
    }
    let mut backoff = Backoff::new(SHORTEST_PAUSE);
    let mut first = true;
    loop {
        let began = Instant::now();
        match one_life(&lab, node, first).await {
            Ok(Over::Died(status)) => {
                lab.tell(What::NodeDied {
                    node: name(&lab, node),
                    status,
                });
                if *lab.stopping.borrow() {
                    return;
                }
                tokio::time::sleep(backoff.after(began.elapsed())).await;
            }
            Ok(Over::Restart) => {}
            Err(failure) => {
                fail(&lab, node, failure);
                // Nothing runs; only a wish brings it back.
                lab.nodes[node].restart.notified().await;
            }
        }
        first = false;
        until_wanted(&lab, node).await;
        starts_again(&lab, node);
    }
}

/// Waits, where the node was stopped, until it is to be started.
async fn until_wanted(lab: &Living, node: usize) {
    let state = &lab.nodes[node];
    let mut stopped = state.stopped.subscribe();
    if !*stopped.borrow() {
        return;
    }
    let links_down = switched_off::cut(lab, node).unwrap_or_else(|failure| {
        trouble(lab, node, failure);
        false
    });
    // What `ps` shows of it.
    state.services.borrow_mut().clear();
    state.ready_since.set(None);
    state.stage.send_replace(Some(Stage::Links));
    lab.tell(What::NodeStopped {
        node: name(lab, node),
        links_down,
    });
    state.at_rest.send_replace(true);
    // The senders are the lab's own and outlive every node's task.
    let _ = stopped.wait_for(|stopped| !stopped).await;
    state.at_rest.send_replace(false);
    if let Err(failure) = switched_off::mend(lab, node) {
        trouble(lab, node, failure);
    }
    // The wish to stop it, where it was not running when that came.
    tokio::select! {
        biased;
        () = state.restart.notified() => {}
        () = std::future::ready(()) => {}
    }
}

/// Until a node of which nothing is wanted is wanted for something.
async fn idle(lab: &Living, node: usize) {
    loop {
        // Without its network it is of no use; `one_life` says what is wrong with that.
        let Ok(sandbox) = sandbox::join(lab, node).await else {
            return;
        };
        lab.reach(&[node], Stage::Configured);
        lab.reach(&[node], Stage::Ready);
        tokio::select! {
            () = lab.nodes[node].wake.notified() => return,
            () = lab.nodes[node].restart.notified() => {
                // It had nothing to lose; but whoever asked waits for it to be ready again.
                lab.nodes[node].stage.send_replace(Some(Stage::Links));
                until_wanted(lab, node).await;
                return starts_again(lab, node);
            }
            _ = sandbox::replaced(lab, node, sandbox.as_ref()) => {
                lab.nodes[node].stage.send_replace(Some(Stage::Links));
                waits(lab, node, "its sandbox".into());
                starts_again(lab, node);
            }
        }
    }
}

fn starts_again(lab: &Living, node: usize) {
    let state = &lab.nodes[node];
    state.restarts.set(state.restarts.get() + 1);
    lab.tell(What::NodeRestarting {
        node: name(lab, node),
    });
}

fn name(lab: &Living, node: usize) -> String {
    lab.plan.nodes[node].name.clone()
}

fn trouble(lab: &Living, node: usize, failure: Failure) {
    lab.tell(What::Trouble {
        node: name(lab, node),
        message: failure.message,
    });
}

fn fail(lab: &Living, node: usize, failure: Failure) {
    lab.nodes[node].trouble.replace(Some(failure.message.clone()));
    if lab.ready.get() {
        let detail = failure
            .detail
            .map(|detail| format!("\n{detail}"))
            .unwrap_or_default();
        lab.tell(What::Trouble {
            node: name(lab, node),
            message: failure.message + &detail,
        });
    } else {
        lab.failure.borrow_mut().get_or_insert(failure);
        lab.progress.notify_one();
    }
}

async fn wait_first(lab: &Rc<Living>, node: usize) {
    let step = &lab.plan.nodes[node];
    for &Wait { node: other, stage } in &step.wait_for {
        let mut seen = lab.nodes[other].stage.subscribe();
        let reached = |now: &Option<Stage>| now.is_some_and(|now| now >= stage);
        if !reached(&seen.borrow()) {
            waits(
                lab,
                node,
                format!("{} to be {}", lab.plan.nodes[other].name, word(stage)),
            );
        }
        // The sender is the lab's own and outlives every node's task.
        let _ = seen.wait_for(reached).await;
    }
    if step.startup_delay_ms > 0 {
        waits(
            lab,
            node,
            format!("its startup_delay of {} ms", step.startup_delay_ms),
        );
        tokio::time::sleep(Duration::from_millis(step.startup_delay_ms)).await;
    }
}

/// Notes and tells what a node waits for.
pub fn waits(lab: &Living, node: usize, what: String) {
    lab.nodes[node].waiting_for.replace(what.clone());
    lab.tell(What::Waiting {
        node: name(lab, node),
        what,
    });
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Created => "created",
        Stage::Links => "linked",
        Stage::Configured => "configured",
        Stage::Ready => "ready",
    }
}

/// From the start of an init to its end. An error means that the node could not be brought up; its processes
/// are gone then.
async fn one_life(lab: &Rc<Living>, node: usize, first: bool) -> Result<Over, Failure> {
    let state = &lab.nodes[node];
    if lab.plan.is_in_sandbox(node) {
        waits(lab, node, "its sandbox".into());
    }
    let sandbox = tokio::select! {
        sandbox = sandbox::join(lab, node) => sandbox?,
        () = state.restart.notified() => return Ok(Over::Restart),
    };
    live_there(lab, node, first, sandbox).await
}

async fn live_there(
    lab: &Rc<Living>,
    node: usize,
    first: bool,
    sandbox: Option<Sandbox>,
) -> Result<Over, Failure> {
    let state = &lab.nodes[node];
    let life = info_span!("node", node = lab.plan.nodes[node].name.as_str());
    state.waiting_for.replace("its root and files".into());
    let init::Fresh {
        handle,
        syslog,
        mut end,
    } = match init::start(lab, node)
        .instrument(info_span!(parent: &life, "root"))
        .await
    {
        Ok(fresh) => fresh,
        Err(StartError::Died(status)) => return Ok(Over::Died(status)),
        Err(StartError::Failed(failure)) => return Err(failure),
    };
    let inside = Inside::new(Rc::clone(lab), node, Rc::clone(&handle));
    inside.watch_syslog(syslog)?;
    let memory = MemoryWatch::start(lab, node)?;
    state.init.send_replace(Some(Rc::clone(&handle)));
    let over = tokio::select! {
        biased;
        status = &mut end => Ok(Over::Died(status.unwrap_or(-1))),
        () = state.restart.notified() => Ok(Over::Restart),
        replaced = sandbox::replaced(lab, node, sandbox.as_ref()) => replaced.map(|()| Over::Restart),
        failure = failing_life(&inside, first, life) => Err(failure),
    };
    drop(inside);
    drop(memory);
    state.init.send_replace(None);
    state.ready_since.set(None);
    // The links have stayed; everything above them is gone.
    state.stage.send_replace(Some(Stage::Links));
    match over {
        Ok(Over::Died(status)) => Ok(Over::Died(status)),
        // What failed because the init was killed is the init's death, not the node's failure.
        Err(_) if handle.is_gone() => Ok(Over::Died(end.await.unwrap_or(-1))),
        other => {
            // An image may have something to put in order: it says by which signal it is asked.
            if let Some(image) = lab.plan.nodes[node].image.as_ref().filter(|_| other.is_ok()) {
                let _ = tokio::time::timeout(grace(image), handle.quiet()).await;
            }
            handle.kill();
            let _ = end.await;
            other
        }
    }
}

/// Brings the node up, and then lets its processes live. Returns only with a failure.
async fn failing_life(inside: &Inside, first: bool, life: Span) -> Failure {
    match bring_up(inside, first).instrument(life).await {
        Ok(()) => std::future::pending().await,
        Err(failure) => failure,
    }
}
