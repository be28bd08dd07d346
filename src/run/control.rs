//! The control socket: commands ask, the supervisor answers.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::spawn_local;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

use super::init::InitHandle;
use super::protocol::{self, Reply, Request};
use super::state::Living;
use super::timeline::{self, serve};
use super::{cluster, flows, interfaces, links, node_signal, socket, status};
use crate::cilium::Kind;
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::message::Assembler;
use crate::kernel::process;
use crate::kernel::process_root;
use crate::lab::model::Stage;

const NO_FDS: [OwnedFd; 0] = [];
/// How long a request may take to come in, once it has begun.
const REQUEST: Duration = Duration::from_secs(10);
/// How often it is said that an answer is being made.
const SIGN: Duration = Duration::from_secs(1);
/// How many may be connected before those who owe something have to leave: a descriptor each.
const GUESTS: usize = 512;

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
    spawn_local(async move {
        let guests = Guests::default();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let guest = guests.admit();
                    let serving = serve(Rc::clone(&lab), stream, Rc::clone(&guest));
                    spawn_local(async move {
                        tokio::select! {
                            () = serving => {}
                            () = guest.leave.notified() => {}
                        }
                    });
                }
                // Out of descriptors: others may be let go meanwhile.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
    });
    Ok(())
}

async fn serve(lab: Rc<Living>, stream: UnixStream, guest: Rc<Guest>) {
    let Ok(Some(bytes)) = read_request(&stream).await else {
        return;
    };
    // Who has given up on a lab that did not answer was told so: what was asked is not done afterwards.
    if bytes != protocol::DOWN && has_gone(&stream) {
        return;
    }
    guest.waits_for_us();
    let line = Line {
        stream,
        guest,
        signs: true,
    };
    // A client that went away has no use for an answer.
    let _ = match protocol::request(&lab.plan.lab, &bytes) {
        Ok(Request::Events { follow }) => stream_events(&lab, &line, follow).await,
        Ok(Request::Timeline { follow }) => stream_timeline(&lab, &line, follow).await,
        Ok(request) => answer(lab, &line, request).await,
        Err(failure) => line.reply(&Reply::Failed(failure), &NO_FDS).await,
    };
}

/// Whether the client has closed its end.
fn has_gone(stream: &UnixStream) -> bool {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|count| count > 0)
}

/// The bytes of a request; none where the client goes without one. Who has begun has to come to an end.
async fn read_request(stream: &UnixStream) -> Result<Option<Vec<u8>>, Failure> {
    let mut assembler = Assembler::of(protocol::LONGEST, 0);
    if !socket::receive(stream, &mut assembler).await? {
        return Ok(None);
    }
    let rest = async {
        loop {
            if let Some(frame) = assembler.frame()? {
                return Ok(Some(frame.bytes));
            }
            if !socket::receive(stream, &mut assembler).await? {
                return Ok(None);
            }
        }
    };
    timeout(REQUEST, rest).await.unwrap_or(Ok(None))
}

/// What is answered, with what the descriptors of the answer are of.
enum Answer {
    Plain(Reply),
    Enter(Rc<InitHandle>, usize),
    Down(OwnedFd),
}

impl From<Result<Answer, Failure>> for Answer {
    fn from(outcome: Result<Answer, Failure>) -> Self {
        outcome.unwrap_or_else(|failure| Answer::Plain(Reply::Failed(failure.in_few_words())))
    }
}

/// Answers, however long it takes, and says meanwhile that it will. The work goes on by itself: a client that does not read
/// must not hold up what others wait for.
async fn answer(lab: Rc<Living>, line: &Line, request: Request) -> Result<(), Failure> {
    let mut work = spawn_local({
        let lab = Rc::clone(&lab);
        async move { Answer::from(work(&lab, request).await) }
    });
    let mut signs = signs_of_life();
    let answer = loop {
        tokio::select! {
            done = &mut work => match done {
                Ok(answer) => break answer,
                Err(_) => return Ok(()),
            },
            _ = signs.tick() => line.reply(&Reply::Alive, &NO_FDS).await?,
        }
    };
    match answer {
        Answer::Plain(reply) => line.reply(&reply, &NO_FDS).await,
        Answer::Enter(init, node) => {
            let step = &lab.plan.nodes[node];
            let fds: Vec<&OwnedFd> = [init.first.get().unwrap_or(&init.pidfd)]
                .into_iter()
                .chain(lab.users_of(node))
                .chain(init.cgroup.as_ref())
                .collect();
            let env = crate::engine::environment(step);
            let rights = step.rights.clone();
            let users = lab.users_of(node).is_some();
            let image = step.image.as_ref();
            let reply = Reply::Enter {
                env,
                rights,
                users,
                user: image.and_then(|image| image.user.clone()),
                workdir: image.and_then(|image| image.workdir.clone()),
                image: image.is_some(),
            };
            line.reply(&reply, &fds).await
        }
        Answer::Down(own) => {
            let told = line.reply(&Reply::Done, &[own]).await;
            lab.stopping.send_replace(true);
            told
        }
    }
}

/// Ticks every second, for the first time after one.
fn signs_of_life() -> Interval {
    let mut signs = interval_at(Instant::now() + SIGN, SIGN);
    signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    signs
}

async fn work(lab: &Rc<Living>, request: Request) -> Result<Answer, Failure> {
    Ok(Answer::Plain(match request {
        Request::Status => Reply::Status(status::of(lab)),
        Request::Interfaces => Reply::Interfaces(interfaces::of(lab)),
        Request::Enter { node } => {
            let (init, node) = enter(lab, &node).await?;
            return Ok(Answer::Enter(init, node));
        }
        Request::Restart { node } => {
            restart(lab, &node).await?;
            Reply::Done
        }
        Request::Stop { node } => {
            serve::begin_stop(lab, &node);
            stop(lab, &node).await?;
            Reply::Done
        }
        Request::Start { node } => {
            start(lab, &node).await?;
            Reply::Done
        }
        Request::Signal { node, whom, signal } => {
            let at = lab.find(&node).ok_or_else(|| unknown(lab, &node))?;
            node_signal::send(lab, at, &whom, signal)?;
            Reply::Done
        }
        // They are streamed.
        Request::Events { .. } | Request::Timeline { .. } => Reply::Done,
        Request::Mark { name } => Reply::Marked {
            time: serve::mark_for(lab, &name).await?,
        },
        Request::Rest {
            since,
            span_ms,
            most_ms,
        } => Reply::Rested(serve::rest(lab, since, span_ms, most_ms).await?),
        Request::Apply { manifests } if manifests.is_empty() => Reply::Changed(cluster::begin(lab).await?),
        Request::Apply { manifests } => Reply::Changed(cluster::apply(lab, &manifests).await?),
        Request::Delete { manifests } => Reply::Changed(cluster::delete(lab, &manifests).await?),
        Request::Get { kind, name } => {
            let kind = Kind::meant(&kind)
                .ok_or_else(|| Failure::wrong(format!("there are no objects of kind {kind:?}")))?;
            Reply::Objects(cluster::objects(lab, kind, name.as_deref())?)
        }
        Request::Cilium { node, query } => Reply::Cilium(cluster::query(lab, node.as_deref(), query).await?),
        Request::Flow(request) => Reply::Flows(flows::supervise::answer(lab, request).await?),
        Request::Link { endpoint, action } => {
            links::obey(lab, &endpoint, &action).await?;
            Reply::Done
        }
        Request::Links { endpoint } => Reply::Links(links::reports(lab, endpoint.as_deref()).await?),
        Request::Down => return Ok(Answer::Down(process::pidfd(std::process::id().cast_signed())?)),
    }))
}

/// Where replies go.
pub struct Line {
    stream: UnixStream,
    guest: Rc<Guest>,
    signs: bool,
}

impl Line {
    /// One to the launcher, which sees by itself whether the supervisor lives.
    pub fn private(stream: UnixStream) -> Line {
        Line {
            stream,
            guest: Rc::default(),
            signs: false,
        }
    }

    async fn reply(&self, reply: &Reply, fds: &[impl AsFd]) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(reply).map_err(|error| Failure::host(error.to_string()))?;
        self.guest.holds_us_up();
        socket::send(&self.stream, &bytes, fds).await?;
        self.guest.waits_for_us();
        Ok(())
    }
}

/// Who is connected.
#[derive(Default)]
struct Guests(RefCell<Vec<Weak<Guest>>>);

/// A connected client.
struct Guest {
    /// Since when it owes us something: its request, or the reading of what it was sent.
    owing_since: Cell<Option<Instant>>,
    leave: Notify,
}

impl Default for Guest {
    fn default() -> Self {
        Guest {
            owing_since: Cell::new(Some(Instant::now())),
            leave: Notify::new(),
        }
    }
}

impl Guest {
    fn waits_for_us(&self) {
        self.owing_since.set(None);
    }

    fn holds_us_up(&self) {
        self.owing_since.set(Some(Instant::now()));
    }
}

impl Guests {
    /// Takes one in. Where there are too many, the one that has owed something for longest has to leave.
    fn admit(&self) -> Rc<Guest> {
        let mut guests = self.0.borrow_mut();
        guests.retain(|guest| guest.strong_count() > 0);
        if guests.len() >= GUESTS {
            let present = guests.iter().filter_map(Weak::upgrade);
            let owing = present.filter_map(|guest| Some((guest.owing_since.get()?, guest)));
            if let Some((_, guest)) = owing.min_by_key(|(since, _)| *since) {
                guest.leave.notify_one();
            }
        }
        let guest = Rc::new(Guest::default());
        guests.push(Rc::downgrade(&guest));
        guest
    }
}

/// No name of a node is longer (DNS labels).
const LONGEST_NAME: usize = 63;

fn unknown(lab: &Living, name: &str) -> Failure {
    let failure = Failure::wrong(format!("lab {} has no node {name:?}", lab.plan.lab));
    // What is longer than all names is a slip of none of them.
    let names = lab.plan.nodes.iter().map(|node| node.name.as_str());
    let names = names.filter(|_| name.len() <= LONGEST_NAME);
    match names.max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name))) {
        Some(nearest) if strsim::jaro(nearest, name) > 0.7 => {
            failure.help(format!("did you mean {nearest}?"))
        }
        _ => failure.help("`nslab ps` lists the nodes"),
    }
}

/// A node's init, started if it has none.
async fn enter(lab: &Rc<Living>, name: &str) -> Result<(Rc<InitHandle>, usize), Failure> {
    let node = lab.find(name).ok_or_else(|| unknown(lab, name))?;
    let state = &lab.nodes[node];
    let mut init = state.init.subscribe();
    if *state.stopped.borrow() {
        return Err(
            Failure::not_ready(format!("{name} is stopped")).help(format!("`nslab start {name}` starts it"))
        );
    }
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
    // Nothing can be started any more beside a first process that has ended.
    if handle
        .first
        .get()
        .is_some_and(|first| process_root::has_ended(first).unwrap_or(false))
    {
        return Err(
            Failure::not_ready(format!("the first process of {name} has ended"))
                .help(format!("`nslab restart {name}` starts the node again")),
        );
    }
    Ok((handle, node))
}

/// Returns when a node has failed.
async fn in_trouble(lab: &Living, node: usize) {
    let mut events = lab.events.listen();
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
    if *state.stopped.borrow() {
        return start(lab, name).await;
    }
    let before = state.restarts.get();
    state.trouble.take();
    state.restart.notify_one();
    until_ready(lab, node, before).await
}

/// Ends a node's processes, and waits until they are gone.
async fn stop(lab: &Rc<Living>, name: &str) -> Result<(), Failure> {
    let node = lab.find(name).ok_or_else(|| unknown(lab, name))?;
    let state = &lab.nodes[node];
    if !lab.ready.get() {
        return Err(
            Failure::not_ready(format!("lab {} is not ready yet", lab.plan.lab))
                .help("stop nodes once it is"),
        );
    }
    if !state.stopped.send_replace(true) {
        state.trouble.take();
        state.restart.notify_one();
    }
    let (mut at_rest, mut stopped) = (state.at_rest.subscribe(), state.stopped.subscribe());
    // The senders are the lab's own and outlive this.
    tokio::select! {
        _ = at_rest.wait_for(|at_rest| *at_rest) => Ok(()),
        _ = stopped.wait_for(|stopped| !*stopped) => Err(Failure::not_ready(format!(
            "{name} was started again before it had come to rest"
        ))),
    }
}

/// Starts a node that was stopped, and waits until it is ready.
async fn start(lab: &Rc<Living>, name: &str) -> Result<(), Failure> {
    let node = lab.find(name).ok_or_else(|| unknown(lab, name))?;
    let before = lab.nodes[node].restarts.get();
    match lab.nodes[node].stopped.send_replace(false) {
        true => until_ready(lab, node, before).await,
        // It was not: it is ready, or comes up by itself.
        false => until_ready(lab, node, before.wrapping_sub(1)).await,
    }
}

/// Waits until a node that was started again is ready. It had been started so often `before`.
async fn until_ready(lab: &Living, node: usize, before: u32) -> Result<(), Failure> {
    let state = &lab.nodes[node];
    let name = &lab.plan.nodes[node].name;
    let mut events = lab.events.listen();
    loop {
        if let Some(trouble) = &*state.trouble.borrow() {
            return Err(Failure::not_ready(format!(
                "{name} did not come up again: {trouble}"
            )));
        }
        if *state.stopped.borrow() {
            return Err(Failure::not_ready(format!(
                "{name} was stopped before it was ready"
            )));
        }
        if state.restarts.get() != before && *state.stage.borrow() == Some(Stage::Ready) {
            return Ok(());
        }
        // Not all that is looked at above is told as an event.
        if let Ok(Err(RecvError::Closed)) = timeout(SIGN, events.recv()).await {
            return Ok(());
        }
    }
}

/// Sends what happened and, if asked, what happens until the client or the lab goes.
pub async fn stream_events(lab: &Living, line: &Line, follow: bool) -> Result<(), Failure> {
    let mut events = lab.events.listen();
    let _follower = follow.then(|| lab.events.followers.join());
    let mut signs = signs_of_life();
    let mut next = 0;
    let mut is_over = false;
    loop {
        // One at a time: a client that does not read costs no copy of them all.
        while let Some((number, event)) = lab.events.since(next) {
            next = number + 1;
            line.reply(&Reply::Event(event), &NO_FDS).await?;
        }
        if !follow {
            return line.reply(&Reply::Done, &NO_FDS).await;
        }
        if is_over {
            return Ok(());
        }
        tokio::select! {
            event = events.recv() => is_over = matches!(event, Err(RecvError::Closed)),
            _ = signs.tick(), if line.signs => line.reply(&Reply::Alive, &NO_FDS).await?,
        }
    }
}

/// Sends the timeline in pieces, and if asked what comes until the client or the lab goes.
async fn stream_timeline(lab: &Living, line: &Line, follow: bool) -> Result<(), Failure> {
    let recorder = match serve::recorder(lab) {
        Ok(recorder) => recorder,
        Err(failure) => return line.reply(&Reply::Failed(failure), &NO_FDS).await,
    };
    timeline::all_heard(lab).await;
    let mut signs = signs_of_life();
    let mut stopping = lab.stopping.subscribe();
    let (mut next, mut has_told_all) = (0, false);
    loop {
        // One at a time: a client that does not read costs one piece.
        while next == 0 || serve::has_more(recorder, next) {
            let (piece, file) = match serve::piece(recorder, next) {
                Ok(piece) => piece,
                Err(failure) => return line.reply(&Reply::Failed(failure), &NO_FDS).await,
            };
            next = piece.next.max(1);
            let fds: Vec<OwnedFd> = file.into_iter().collect();
            line.reply(&Reply::Timeline(piece), &fds).await?;
        }
        if !std::mem::replace(&mut has_told_all, true) {
            line.reply(&Reply::Done, &NO_FDS).await?;
        }
        if !follow || *stopping.borrow_and_update() {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(serve::LOOK) => {}
            _ = stopping.changed() => {}
            _ = signs.tick(), if line.signs => line.reply(&Reply::Alive, &NO_FDS).await?,
        }
    }
}
