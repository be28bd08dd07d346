//! The supervisor's side of flows: it starts the process that runs them with the first, and passes on what is asked.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use nix::sched::CloneFlags;
use nix::sys::socket::{Shutdown, shutdown};
use tokio::sync::{Mutex, oneshot};

use super::desk::{Answer, LONGEST, Order, What};
use super::process::VERB;
use super::topology::Topology;
use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::kernel::message::Assembler;
use crate::kernel::process::signal;
use crate::kernel::spawn::{self, Spawn};
use crate::lab::flow::{Flow, MOST_FLOWS};
use crate::run::init::memory_file;
use crate::run::protocol::{FlowReport, FlowRequest};
use crate::run::socket;
use crate::run::state::Living;

/// Descriptors of a frame.
const AT_ONCE: usize = 8;
/// No answer is longer, in bytes.
const LONGEST_ANSWER: usize = 64 << 20;

/// Whoever waits for an answer.
type Waiting = oneshot::Sender<Result<Vec<FlowReport>, Failure>>;

/// The process that runs the flows.
pub struct Flows {
    stream: tokio::net::UnixStream,
    sending: Mutex<()>,
    waiting: RefCell<HashMap<u64, Waiting>>,
    next: Cell<u64>,
    is_gone: Cell<bool>,
}

/// Does what is asked.
///
/// # Errors
/// There is no such flow, or it cannot be started.
pub async fn answer(lab: &Rc<Living>, request: FlowRequest) -> Result<Vec<FlowReport>, Failure> {
    match &request {
        FlowRequest::Start { names } | FlowRequest::Stop { names } | FlowRequest::Report { names, .. }
            if names.len() > MOST_FLOWS =>
        {
            let message = format!("{} flows are named; a lab has {MOST_FLOWS} at most", names.len());
            return Err(Failure::wrong(message).help("name each once, or none for all"));
        }
        _ => {}
    }
    match request {
        FlowRequest::Start { names } => {
            let flows = of_file(lab, &names)?;
            start(lab, flows).await
        }
        FlowRequest::Run { flows } => start(lab, flows).await,
        FlowRequest::Stop { names } => match running(lab) {
            Some(flows) => flows.ask(What::Stop(names)).await,
            None if names.is_empty() => Ok(Vec::new()),
            None => Err(not_started(lab, &names)),
        },
        FlowRequest::Report { names, series, path } => report(lab, names, series, path).await,
    }
}

async fn report(
    lab: &Rc<Living>,
    names: Vec<String>,
    series: bool,
    path: bool,
) -> Result<Vec<FlowReport>, Failure> {
    let mut found = match running(lab) {
        Some(flows) => {
            let names = names.clone();
            let told = flows.ask(What::Report { names, series, path }).await;
            match told {
                // With its process a flow is gone.
                Err(_) if flows.is_gone.get() => Vec::new(),
                told => told?,
            }
        }
        None => Vec::new(),
    };
    // Those of the file come in its order, those of nobody's behind them.
    let mut all = Vec::new();
    for flow in &lab.plan.flows {
        match found.iter().position(|it| it.name == flow.name) {
            Some(at) => all.push(found.remove(at)),
            None if names.is_empty() || names.contains(&flow.name) => all.push(FlowReport::idle(flow)),
            None => {}
        }
    }
    all.append(&mut found);
    match names.iter().find(|name| !all.iter().any(|it| it.name == **name)) {
        Some(missing) => Err(unknown(lab, missing)),
        None => Ok(all),
    }
}

/// Starts flows.
async fn start(lab: &Rc<Living>, flows: Vec<Flow>) -> Result<Vec<FlowReport>, Failure> {
    if !lab.ready.get() {
        let message = format!("lab {} is not ready yet", lab.plan.lab);
        return Err(Failure::not_ready(message).help("start flows once it is"));
    }
    let process = match running(lab) {
        Some(process) => process,
        None => begin(lab).await?,
    };
    process.ask(What::Start(flows)).await
}

/// Starts those flows that the lab file says start by themselves.
///
/// # Errors
/// One of them cannot be started: then none is.
pub async fn start_own(lab: &Rc<Living>) -> Result<(), Failure> {
    let flows: Vec<Flow> = lab.plan.flows.iter().filter(|flow| flow.start).cloned().collect();
    match flows.is_empty() {
        true => Ok(()),
        false => start(lab, flows).await.map(drop),
    }
}

fn of_file(lab: &Living, names: &[String]) -> Result<Vec<Flow>, Failure> {
    let all = &lab.plan.flows;
    if names.is_empty() {
        return match all.is_empty() {
            true => Err(Failure::wrong("the lab file has no flows")
                .help("start one with `nslab flow start --from NODE --to NODE`, or write `[[flows]]`")),
            false => Ok(all.clone()),
        };
    }
    let find = |name: &String| {
        let found = all.iter().find(|flow| flow.name == *name).cloned();
        found.ok_or_else(|| unknown(lab, name))
    };
    names.iter().map(find).collect()
}

fn unknown(lab: &Living, name: &str) -> Failure {
    let names: Vec<&str> = lab.plan.flows.iter().map(|flow| flow.name.as_str()).collect();
    let failure = Failure::wrong(format!("lab {} has no flow {name:?}", lab.plan.lab));
    match names.is_empty() {
        true => failure.help("the lab file has none; `nslab flow start --from NODE --to NODE` starts one"),
        false => failure.help(format!("the lab file has {}", names.join(", "))),
    }
}

fn not_started(lab: &Living, names: &[String]) -> Failure {
    let known = |name: &&String| lab.plan.flows.iter().any(|flow| flow.name == **name);
    match names.iter().find(|name| !known(name)) {
        Some(name) => unknown(lab, name),
        None => Failure::wrong(format!("flow {} was not started", names.join(", ")))
            .help("`nslab flow start` starts it"),
    }
}

fn running(lab: &Living) -> Option<Rc<Flows>> {
    lab.flows.borrow().clone().filter(|flows| !flows.is_gone.get())
}

/// Starts the process, and gives it what it has to know.
async fn begin(lab: &Rc<Living>) -> Result<Rc<Flows>, Failure> {
    let topology: OwnedFd = memory_file(&Topology::of(&lab.plan))?.into();
    let (ours, theirs) = UnixStream::pair().attempt(|| "make a socket pair")?;
    let keep = [theirs.as_fd(), topology.as_fd()];
    let words = ["nslab: flows".to_owned(), VERB.to_owned()];
    let arguments: Vec<CString> = words
        .into_iter()
        .chain(spawn::slots(keep.len()))
        .filter_map(|word| CString::new(word).ok())
        .collect();
    let child = spawn::spawn(
        "start the process that runs flows",
        &Spawn {
            flags: CloneFlags::empty(),
            program: c"/proc/self/exe",
            arguments: &arguments,
            environment: &[],
            keep: &keep,
            stdio: None,
            parent_death: Some(libc::SIGKILL),
            session: true,
        },
    )?;
    let end = lab.reaper.end_of(child.pid);
    let flows = Rc::new(Flows {
        stream: socket::adopt(ours)?,
        sending: Mutex::default(),
        waiting: RefCell::default(),
        next: Cell::new(1),
        is_gone: Cell::default(),
    });
    // Whoever asks meanwhile is heard once it knows all namespaces.
    let turn = flows.sending.try_lock().ok();
    lab.flows.replace(Some(Rc::clone(&flows)));
    tokio::task::spawn_local(listen(Rc::clone(&flows), child.pidfd, end));
    let handed = flows.hand_over(lab).await;
    drop(turn);
    if handed.is_err() {
        // Without them it is good for nothing: it ends, and so does who listens to it.
        flows.is_gone.set(true);
        let _ = shutdown(flows.stream.as_raw_fd(), Shutdown::Both);
    }
    handed.map(|()| flows)
}

impl Flows {
    /// Sends the descriptors of all network namespaces. To be called by who holds `sending`.
    async fn hand_over(&self, lab: &Living) -> Result<(), Failure> {
        let namespaces = {
            let namespaces = lab.namespaces.borrow();
            let copies = namespaces.iter().map(|it| it.as_fd().try_clone_to_owned());
            copies
                .collect::<std::io::Result<Vec<OwnedFd>>>()
                .attempt(|| "hand over network namespaces")?
        };
        for some in namespaces.chunks(AT_ONCE) {
            let fds: Vec<BorrowedFd<'_>> = some.iter().map(|fd| fd.as_fd()).collect();
            self.put(0, What::Namespaces, &fds).await?;
        }
        Ok(())
    }

    async fn put(&self, id: u64, what: What, fds: &[BorrowedFd<'_>]) -> Result<(), Failure> {
        let order = serde_json::to_vec(&Order { id, what });
        let order = order.map_err(|error| Failure::host(error.to_string()))?;
        if order.len() > LONGEST {
            return Err(Failure::wrong("those are too many flows at a time"));
        }
        socket::send(&self.stream, &order, fds).await
    }

    async fn ask(&self, what: What) -> Result<Vec<FlowReport>, Failure> {
        let id = self.next.replace(self.next.get() + 1);
        let (sender, answer) = oneshot::channel();
        self.waiting.borrow_mut().insert(id, sender);
        let gone = || Failure::host("the process that ran the flows has ended").help("start them again");
        if self.is_gone.get() {
            return Err(gone());
        }
        {
            let _turn = self.sending.lock().await;
            self.put(id, what, &[]).await?;
        }
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Hears answers until the process is gone. Whoever waits is then told so.
async fn listen(flows: Rc<Flows>, pidfd: OwnedFd, end: oneshot::Receiver<i32>) {
    let mut assembler = Assembler::of(LONGEST_ANSWER, 0);
    while matches!(socket::receive(&flows.stream, &mut assembler).await, Ok(true)) {
        let mut frames = std::iter::from_fn(|| assembler.frame().transpose());
        let understood = frames.try_for_each(|frame| {
            let answer: Answer = serde_json::from_slice(&frame.map_err(drop)?.bytes).map_err(drop)?;
            let waiting = flows.waiting.borrow_mut().remove(&answer.id);
            // Who no longer waits does not want to know.
            let _ = waiting.map(|waiting| waiting.send(answer.result));
            Ok::<(), ()>(())
        });
        if understood.is_err() {
            break;
        }
    }
    flows.is_gone.set(true);
    let _ = signal(&pidfd, libc::SIGKILL);
    let _ = end.await;
    flows.waiting.borrow_mut().clear();
}
