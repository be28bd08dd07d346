//! How a node is brought up in an init that stands: its engine, its commands, its processes, and what it waits for.

use std::time::Instant;

use ipnet::IpNet;
use tracing::{Instrument as _, info_span};

use super::api_server;
use super::cluster;
use super::cluster_dns;
use super::events::What;
use super::health;
use super::inside::Inside;
use super::late;
use super::management::MAIN;
use super::probe::rest;
use super::protocol::ServiceState;
use super::redial;
use super::stages::waits;
use super::state::Living;
use crate::engine::frr::front;
use crate::engine::{self, Engine, speaker};
use crate::failure::Failure;
use crate::kernel::route;
use crate::lab::model::{Exec, Process, Stage};
use crate::lab::plan::NodeStep;
use crate::lab::rights::missing;

/// Brings a node up, `first` for the first time in its lab.
///
/// # Errors
/// A command or a process of it fails.
pub(super) async fn bring_up(inside: &Inside, first: bool) -> Result<(), Failure> {
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
        let _starting = lab.redial.start();
        engine
            .start(step, inside)
            .instrument(info_span!("engine"))
            .await?;
    }
    let early = start_image(inside).await?;
    run_all(inside, &step.exec, first).await?;
    let starting = lab.redial.start();
    if let Some(engine) = engine.filter(|_| !is_early) {
        waits(lab, node, what_starts(step));
        engine
            .start(step, inside)
            .instrument(info_span!("engine"))
            .await?;
    }
    redial::begin(inside);
    drop(starting);
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

/// What an engine starts.
fn what_starts(step: &NodeStep) -> String {
    let what = step.engine.map(|engine| engine.traits().starts);
    what.unwrap_or("its routing daemons").to_owned()
}
