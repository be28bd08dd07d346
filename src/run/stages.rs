//! A node's way from created to ready, and back again after its processes were killed.

use std::rc::Rc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tracing::{Instrument as _, Span, info_span};

use super::api_server;
use super::cluster;
use super::cluster_dns;
use super::events::What;
use super::health;
use super::init::{self, StartError};
use super::inside::{Inside, rest};
use super::late;
use super::management::MAIN;
use super::memory::MemoryWatch;
use super::protocol::ServiceState;
use super::sandbox::{self, Sandbox};
use super::state::Living;
use super::switched_off;
use crate::engine::frr::front;
use crate::engine::{self, Engine, speaker};
use crate::failure::Failure;
use crate::kernel::route;
use crate::lab::engines::GRACE;
use crate::lab::model::{Exec, Process, Stage, Wait};
use crate::lab::plan::{ImageStep, NodeStep};
use crate::lab::rights::missing;

/// Pause before a node whose init keeps dying is started again: doubled each time, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A node that lived this long starts again without a pause.
const STEADY: Duration = Duration::from_secs(10);

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
    let mut pause = SHORTEST_PAUSE;
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
                pause = if began.elapsed() >= STEADY {
                    SHORTEST_PAUSE
                } else {
                    pause
                };
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
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

/// What an engine starts.
fn what_starts(step: &NodeStep) -> String {
    let what = step.engine.map(|engine| engine.traits().starts);
    what.unwrap_or("its routing daemons").to_owned()
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

async fn bring_up(inside: &Inside, first: bool) -> Result<(), Failure> {
    let (lab, node) = (&inside.lab, inside.node);
    let (step, state) = (&lab.plan.nodes[node], &lab.nodes[node]);
    let engine = step.engine;
    if step.cluster.as_ref().is_some_and(|it| it.controls) {
        api_server::start(inside);
    }
    front::begin(step, inside).await?;
    // Where a node's own commands configure the engine, it is there before them.
    let is_early = engine.is_some() && speaker::starts_itself(step);
    if let Some(engine) = engine.as_ref().filter(|_| is_early) {
        waits(lab, node, what_starts(step));
        engine
            .start(step, inside)
            .instrument(info_span!("engine"))
            .await?;
    }
    let early = start_image(inside).await?;
    run_all(inside, &step.exec, first).await?;
    if let Some(engine) = engine.filter(|_| !is_early) {
        waits(lab, node, what_starts(step));
        engine
            .start(step, inside)
            .instrument(info_span!("engine"))
            .await?;
    }
    tokio::try_join!(cluster::start_agent(inside), cluster_dns::start(inside))?;
    lab.reach(&[node], Stage::Configured);
    let before = state.services.borrow().len();
    for process in &step.run[early..] {
        engine::Inside::service(inside, process.clone());
    }
    // An image's program is the first of them all.
    let own = before - early;
    for (number, process) in step.run.iter().enumerate() {
        state.waiting_for.replace(format!("process {}", process.name));
        let span = info_span!("process", name = process.name.as_str());
        until_ready(inside, own + number, process)
            .instrument(span)
            .await?;
    }
    watch_health(inside, own);
    // An engine's own services count as well.
    for index in 0..own {
        until_running(inside, index).await?;
    }
    late::until_there(lab, node).await?;
    until_routed(inside).instrument(info_span!("routes")).await?;
    run_all(inside, &step.after_ready, first).await?;
    lab.reach(&[node], Stage::Ready);
    Ok(())
}

/// Starts the program of a node that is an image: its commands are meant for what that has made. Returns how many processes run by
/// it.
async fn start_image(inside: &Inside) -> Result<usize, Failure> {
    let step = &inside.lab.plan.nodes[inside.node];
    let has_program = step.image.as_ref().is_some_and(|image| image.has_program);
    let Some(main) = step.run.first().filter(|_| has_program) else {
        return Ok(0);
    };
    let index = inside.lab.nodes[inside.node].services.borrow().len();
    engine::Inside::service(inside, main.clone());
    until_running(inside, index).await?;
    Ok(1)
}

/// Has the health of an image's program watched, which is the first of the node's own processes.
fn watch_health(inside: &Inside, index: usize) {
    let image = inside.lab.plan.nodes[inside.node].image.as_ref();
    let Some(check) = image.and_then(|image| image.health.clone()) else {
        return;
    };
    let view = inside.view();
    inside.keep(async move { health::watch(&view, index, &check).await });
}

/// Runs commands one after the other.
async fn run_all(inside: &Inside, commands: &[Exec], first: bool) -> Result<(), Failure> {
    for exec in commands {
        let state = &inside.lab.nodes[inside.node];
        state.waiting_for.replace(format!("`{}`", exec.command));
        let span = info_span!("exec", command = %exec.command);
        run_exec(inside, exec, first).instrument(span).await?;
    }
    Ok(())
}

/// Waits until a node's kernel has the routes that it has when it is ready.
async fn until_routed(inside: &Inside) -> Result<(), Failure> {
    let (lab, node) = (&inside.lab, inside.node);
    let mut missing = lab.plan.nodes[node].ready_routes.clone();
    let mut told = usize::MAX;
    while !missing.is_empty() {
        let began = Instant::now();
        let there = routes(lab, node)?;
        missing.retain(|wanted| !there.contains(wanted));
        if missing.len() != told {
            told = missing.len();
            let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
            lab.nodes[node]
                .waiting_for
                .replace(format!("routes to {}", names.join(" ")));
        }
        if !missing.is_empty() {
            tokio::time::sleep(rest(began.elapsed())).await;
        }
    }
    Ok(())
}

/// The destinations that the main table of a node's kernel leads to.
fn routes(lab: &Living, node: usize) -> Result<Vec<IpNet>, Failure> {
    let namespaces = lab.namespaces.borrow();
    let namespace = lab.plan.nodes[node].namespace.and_then(|at| namespaces.get(at));
    let Some(namespace) = namespace else {
        return Ok(Vec::new());
    };
    let mut netlink = namespace.netlink()?;
    let mut found = route::list(&mut netlink, true)?;
    found.extend(route::list(&mut netlink, false)?);
    let main = found.into_iter().filter(|route| route.table == MAIN);
    Ok(main.map(|route| route.to).collect())
}

/// Runs one command of `exec`. When a node is started again its links still have what earlier commands did to
/// them, so "exists already" is to be expected: failures are then told, and the node comes up.
async fn run_exec(inside: &Inside, exec: &Exec, first: bool) -> Result<(), Failure> {
    let finished = engine::Inside::command(inside, "exec", &exec.command.argv()).await?;
    let rights = &inside.lab.plan.nodes[inside.node].rights;
    let hint = (finished.status != 0)
        .then(|| missing(&exec.command.to_string(), &finished.output, rights))
        .flatten();
    inside.lab.tell(What::Exec {
        node: engine::Inside::node(inside).to_owned(),
        command: exec.command.to_string(),
        status: finished.status,
        output: finished.output.clone(),
        may_fail: exec.may_fail || !first,
        hint: hint.clone(),
    });
    if finished.status == 0 || exec.may_fail || !first {
        return Ok(());
    }
    let mut failure = Failure::not_ready(format!(
        "`{}` failed in {} with status {} ({})",
        exec.command,
        engine::Inside::node(inside),
        finished.status,
        match exec.line {
            // A kind's file says it.
            0 => "from the file of its kind".to_owned(),
            line => format!("line {line} of the lab file"),
        }
    ));
    if !finished.output.is_empty() {
        failure = failure.detail(finished.output);
    }
    let may_fail = "`{ command = …, may_fail = true }` lets the lab come up all the same";
    Err(match hint {
        Some(hint) => failure.help(format!("{hint}; {may_fail}")),
        None => failure.help(may_fail),
    })
}

/// Waits until a process was started, or has failed for good.
async fn until_running(inside: &Inside, index: usize) -> Result<(), Failure> {
    let state = &inside.lab.nodes[inside.node];
    loop {
        let now = state.services.borrow().get(index).cloned();
        let Some(service) = now else { return Ok(()) };
        let name = engine::Inside::node(inside);
        match service.state {
            ServiceState::Starting => {}
            ServiceState::Running
            | ServiceState::Ready
            | ServiceState::Unhealthy(_)
            | ServiceState::Ended(0)
            | ServiceState::Exited(_) => return Ok(()),
            ServiceState::Ended(status) => {
                let message = format!("process {} of {name} ended with status {status}", service.name);
                if let Some(reason) = service.reason {
                    return Err(Failure::not_ready(format!("{message}: {reason}"))
                        .help("give it more `memory` in the lab file, or what it runs less to do"));
                }
                return Err(
                    Failure::not_ready(message).help(format!("`nslab logs {name}` shows what it said"))
                );
            }
            ServiceState::NotStarted(reason) => {
                let message = format!(
                    "process {} of {name} could not be started: {reason}",
                    service.name
                );
                return Err(Failure::not_ready(message));
            }
        }
        state.service_changed.notified().await;
    }
}

async fn until_ready(inside: &Inside, index: usize, process: &Process) -> Result<(), Failure> {
    until_running(inside, index).await?;
    let Some(probe) = &process.ready else {
        return Ok(());
    };
    waits(
        &inside.lab,
        inside.node,
        format!("process {} to be ready ({probe})", process.name),
    );
    tokio::select! {
        () = engine::Inside::until(inside, probe) => {
            inside.set_ready(index);
            Ok(())
        }
        over = until_over(inside, index) => over,
    }
}

/// Waits until a process has failed for good, or the lab goes on without it. One that ended well may have left a daemon behind.
async fn until_over(inside: &Inside, index: usize) -> Result<(), Failure> {
    loop {
        until_running(inside, index).await?;
        let services = inside.lab.nodes[inside.node].services.borrow().clone();
        let state = services.get(index).map(|service| &service.state);
        if matches!(state, Some(ServiceState::Exited(_))) {
            return Ok(());
        }
        inside.lab.nodes[inside.node].service_changed.notified().await;
    }
}
