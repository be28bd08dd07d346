//! The control socket: commands ask, the supervisor answers.

use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;

use super::events::Event;
use super::init::InitHandle;
use super::protocol::{Reply, Request};
use super::state::Living;
use super::{cluster, socket, status};
use crate::cilium::Kind;
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::message::Assembler;
use crate::kernel::process;
use crate::lab::model::Stage;
use crate::lab::plan::NodeStep;

const NO_FDS: [OwnedFd; 0] = [];

/// Opens the socket; it answers once its task runs.
///
/// # Errors
/// The run directory cannot be written.
pub fn listen(lab: &Rc<Living>) -> Result<(), Failure> {
    // Socket paths are short (108 bytes); going through the directory's descriptor makes any path fit.
    let directory = std::fs::File::open(&lab.directory.path).attempt(|| "open the lab's directory")?;
    let path = super::client::through(&directory, "control.sock");
    let listener = UnixListener::bind(&path).attempt(|| "make the control socket")?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
        .attempt(|| "guard the control socket")?;
    let lab = Rc::clone(lab);
    tokio::task::spawn_local(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::task::spawn_local(serve(Rc::clone(&lab), stream));
                }
                // Out of descriptors: others may be let go meanwhile.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
    });
    Ok(())
}

async fn serve(lab: Rc<Living>, stream: UnixStream) {
    let Some(request) = read_request(&stream).await else {
        return;
    };
    // A client that went away has no use for an answer.
    let _ = answer(&lab, &stream, request).await;
}

async fn read_request(stream: &UnixStream) -> Option<Request> {
    let mut assembler = Assembler::default();
    loop {
        if !socket::receive(stream, &mut assembler).await.ok()? {
            return None;
        }
        if let Some(frame) = assembler.frame().ok()? {
            return serde_json::from_slice(&frame.bytes).ok();
        }
    }
}

async fn answer(lab: &Rc<Living>, stream: &UnixStream, request: Request) -> Result<(), Failure> {
    match request {
        Request::Status => reply(stream, &Reply::Status(status::of(lab)), &NO_FDS).await,
        Request::Enter { node } => match enter(lab, &node).await {
            Ok((init, step)) => {
                let env = crate::engine::environment(step);
                let rights = step.rights.clone();
                let users = lab.find(&node).and_then(|node| lab.users_of(node));
                let fds: Vec<&OwnedFd> = [&init.pidfd]
                    .into_iter()
                    .chain(users)
                    .chain(init.cgroup.as_ref())
                    .collect();
                reply(stream, &Reply::Enter { env, rights }, &fds).await
            }
            Err(failure) => reply(stream, &Reply::Failed(failure), &NO_FDS).await,
        },
        Request::Restart { node } => match restart(lab, &node).await {
            Ok(()) => reply(stream, &Reply::Done, &NO_FDS).await,
            Err(failure) => reply(stream, &Reply::Failed(failure), &NO_FDS).await,
        },
        Request::Events { follow } => stream_events(lab, stream, follow).await,
        Request::Apply { manifests } if manifests.is_empty() => {
            let changed = cluster::begin(lab).await;
            answer_with(stream, changed.map(Reply::Changed)).await
        }
        Request::Apply { manifests } => {
            let changed = cluster::apply(lab, &manifests).await;
            answer_with(stream, changed.map(Reply::Changed)).await
        }
        Request::Delete { manifests } => {
            let changed = cluster::delete(lab, &manifests).await;
            answer_with(stream, changed.map(Reply::Changed)).await
        }
        Request::Get { kind, name } => {
            let objects = Kind::meant(&kind)
                .ok_or_else(|| Failure::wrong(format!("there are no objects of kind {kind:?}")))
                .and_then(|kind| lab.cluster.objects(kind, name.as_deref()));
            answer_with(stream, objects.map(Reply::Objects)).await
        }
        Request::Cilium { node, query } => {
            let answers = cluster::query(lab, node.as_deref(), query).await;
            answer_with(stream, answers.map(Reply::Cilium)).await
        }
        Request::Down => {
            let own = process::pidfd(std::process::id().cast_signed())?;
            reply(stream, &Reply::Done, &[own]).await?;
            lab.stopping.send_replace(true);
            Ok(())
        }
    }
}

async fn answer_with(stream: &UnixStream, outcome: Result<Reply, Failure>) -> Result<(), Failure> {
    reply(stream, &outcome.unwrap_or_else(Reply::Failed), &NO_FDS).await
}

async fn reply(stream: &UnixStream, reply: &Reply, fds: &[impl std::os::fd::AsFd]) -> Result<(), Failure> {
    let bytes = serde_json::to_vec(reply).map_err(|error| Failure::host(error.to_string()))?;
    socket::send(stream, &bytes, fds).await
}

fn unknown(lab: &Living, name: &str) -> Failure {
    let names = lab.plan.nodes.iter().map(|node| node.name.as_str());
    let failure = Failure::wrong(format!("lab {} has no node {name:?}", lab.plan.lab));
    match names.max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name))) {
        Some(nearest) if strsim::jaro(nearest, name) > 0.7 => {
            failure.help(format!("did you mean {nearest}?"))
        }
        _ => failure.help("`nslab ps` lists the nodes"),
    }
}

/// A node's init, started if it has none.
async fn enter<'a>(lab: &'a Rc<Living>, name: &str) -> Result<(Rc<InitHandle>, &'a NodeStep), Failure> {
    let node = lab.find(name).ok_or_else(|| unknown(lab, name))?;
    let state = &lab.nodes[node];
    let mut init = state.init.subscribe();
    if init.borrow().is_none() {
        if let Some(trouble) = &*state.trouble.borrow() {
            return Err(Failure::not_ready(format!("{name} has failed: {trouble}"))
                .help(format!("`nslab restart {name}` tries again")));
        }
        state.wake.notify_one();
    }
    let handle = tokio::select! {
        found = init.wait_for(Option::is_some) => found.ok().and_then(|found| found.clone()),
        () = in_trouble(lab, node) => None,
    };
    let handle = handle.ok_or_else(|| Failure::not_ready(format!("{name} could not be started")))?;
    Ok((handle, &lab.plan.nodes[node]))
}

/// Returns when a node has failed.
async fn in_trouble(lab: &Living, node: usize) {
    let (_, mut events) = lab.events.listen();
    while lab.nodes[node].trouble.borrow().is_none() {
        if matches!(events.recv().await, Err(RecvError::Closed)) {
            return;
        }
    }
}

/// Starts a node again and waits until it is ready.
async fn restart(lab: &Rc<Living>, name: &str) -> Result<(), Failure> {
    let node = lab.find(name).ok_or_else(|| unknown(lab, name))?;
    let state = &lab.nodes[node];
    let before = state.restarts.get();
    state.trouble.take();
    state.restart.notify_one();
    let (_, mut events) = lab.events.listen();
    loop {
        if let Some(trouble) = &*state.trouble.borrow() {
            return Err(Failure::not_ready(format!(
                "{name} did not come up again: {trouble}"
            )));
        }
        if state.restarts.get() > before && *state.stage.borrow() == Some(Stage::Ready) {
            return Ok(());
        }
        if matches!(events.recv().await, Err(RecvError::Closed)) {
            return Ok(());
        }
    }
}

/// Sends what happened and, if asked, what happens until the client or the lab goes.
pub async fn stream_events(lab: &Living, stream: &UnixStream, follow: bool) -> Result<(), Failure> {
    let (history, mut events) = lab.events.listen();
    for event in history {
        send_event(stream, event).await?;
    }
    if !follow {
        return reply(stream, &Reply::Done, &NO_FDS).await;
    }
    loop {
        match events.recv().await {
            Ok(event) => send_event(stream, event).await?,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

async fn send_event(stream: &UnixStream, event: Event) -> Result<(), Failure> {
    reply(stream, &Reply::Event(event), &NO_FDS).await
}
