//! What nodes' inits are copies of: a process that has loaded nslab's program and what all nodes of a lab have in common, and
//! does nothing but to make such copies. They cost much less than a program that is executed for each node, and share its memory.
//!
//! It has a single thread, and reads nothing of what is meant for one node but its name.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use nix::sched::CloneFlags;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, oneshot};

use super::init::{KILLED, StartError, memory_file};

use super::mounts;
use super::node::{self, Given, Ready};
use super::protocol::Common;
use super::root;
use super::socket;
use super::state::Living;
use crate::failure::Failure;
use crate::kernel::enter::close_all_but;
use crate::kernel::error::Attempt;
use crate::kernel::message::{self, Assembler, Frame, Received};
use crate::kernel::process::Child;
use crate::kernel::spawn::{self, Spawn, inherited};
use crate::kernel::title::Title;
use crate::kernel::user_namespace;

/// The hidden verb of the template.
pub const VERB: &str = "node-template";

/// What it is called in lists of processes; the name of a node follows in those of the copies.
pub(super) const NAME: &str = "nslab: ";
/// Room on its command line for the copies' names, which are no longer.
const ROOM: usize = 128;

/// No order and no answer is longer, in bytes.
const LONGEST: usize = 64 << 10;
/// So many descriptors may have arrived of orders and answers that are not complete.
const MOST_DESCRIPTORS: usize = 64;

/// A node's init to be made.
pub struct InitRequest<'a> {
    /// The node.
    pub node: &'a str,
    /// The init's way to the supervisor.
    pub control: OwnedFd,
    /// A file with its setup.
    pub setup: OwnedFd,
    /// The user namespace of its programs.
    pub users: Option<OwnedFd>,
    /// The network namespace it enters.
    pub network: Option<OwnedFd>,
    /// The cgroup (version 2) it is born in, as its directory.
    pub cgroup: Option<OwnedFd>,
}

/// Such an order. The descriptors follow: the first two, and those of the others that there are.
#[derive(Serialize, Deserialize)]
struct Order {
    node: String,
    users: bool,
    network: bool,
    cgroup: bool,
}

/// What became of it, orders in their order.
#[derive(Serialize, Deserialize)]
enum Answer {
    /// It lives. Its pidfd follows.
    Made(i32),
    Refused(Failure),
}

/// The supervisor's side.
pub struct Template {
    stream: tokio::net::UnixStream,
    sending: Mutex<()>,
    waiting: RefCell<VecDeque<oneshot::Sender<Result<Child, Failure>>>>,
    /// Its exit status, once it has ended.
    ended: Cell<Option<i32>>,
    /// Why its answers could not be heard any more, if that was the reason.
    unheard: RefCell<Option<Failure>>,
}

impl Template {
    /// Starts one.
    ///
    /// # Errors
    /// The kernel refuses the process, or what nodes have in common cannot be made.
    pub fn start(lab: &Living) -> Result<Rc<Template>, Failure> {
        let common = memory_file(&Common {
            cgroup: lab.directory.cgroup(),
            scratch: lab.directory.path.join("root"),
            base: lab.directory.path.join("base"),
            shown: lab.shown.clone(),
            hosts: lab.plan.hosts.clone(),
            resolv_conf: lab.plan.resolv_conf.clone(),
            given: match user_namespace::is_partial() {
                true => root::given(&lab.plan),
                false => Vec::new(),
            },
            images: lab.plan.nodes.iter().any(|node| node.image.is_some()),
            kept: mounts::kept(&lab.directory.path),
            volumes: lab.plan.volumes().len(),
            hidden: lab.plan.hidden.clone(),
        })?;
        let (ours, theirs) = UnixStream::pair().attempt(|| "make a socket pair")?;
        let child = execute(&theirs, &common.into(), lab.program.take().as_ref())?;
        let end = lab.reaper.end_of(child.pid);
        let template = Rc::new(Template {
            stream: socket::adopt(ours)?,
            sending: Mutex::default(),
            waiting: RefCell::default(),
            ended: Cell::default(),
            unheard: RefCell::default(),
        });
        tokio::task::spawn_local(listen(Rc::clone(&template), child.pidfd, end));
        Ok(template)
    }

    /// Whether it has ended.
    pub fn is_gone(&self) -> bool {
        self.ended.get().is_some()
    }

    /// Makes a node's init. It is a child of the supervisor's.
    ///
    /// # Errors
    /// The kernel refuses, or the template was killed.
    pub async fn clone_init(&self, request: InitRequest<'_>) -> Result<Child, StartError> {
        let order = Order {
            node: request.node.to_owned(),
            users: request.users.is_some(),
            network: request.network.is_some(),
            cgroup: request.cgroup.is_some(),
        };
        let order = serde_json::to_vec(&order).map_err(|error| Failure::host(error.to_string()))?;
        let fds: Vec<OwnedFd> = [request.control, request.setup]
            .into_iter()
            .chain(request.users)
            .chain(request.network)
            .chain(request.cgroup)
            .collect();
        let (sender, answer) = oneshot::channel();
        {
            let _turn = self.sending.lock().await;
            // Where it is gone, or goes now, nobody answers, and the sender is dropped.
            if self.is_gone() {
                drop(sender);
            } else {
                self.waiting.borrow_mut().push_back(sender);
                if let Err(failure) = socket::send(&self.stream, &order, &fds).await {
                    self.give_up(failure);
                }
            }
        }
        if let Ok(made) = answer.await {
            return Ok(made?);
        }
        if let Some(failure) = self.unheard.borrow().clone() {
            return Err(failure.into());
        }
        match self.ended.get() {
            // By a signal: another does what this one was to do.
            Some(status) if status > 128 => Err(StartError::Died(status)),
            status => {
                let message = "the process that nodes' inits are copies of has ended";
                let status = status.map_or(String::new(), |status| format!(" with status {status}"));
                Err(Failure::host(format!("{message}{status}")).into())
            }
        }
    }
}

impl Template {
    /// Lets go of a template that has perhaps not had all of an order: orders and answers would not belong together any more.
    /// It ends when it hears of that, and whoever waits is told the reason.
    fn give_up(&self, failure: Failure) {
        self.unheard.replace(Some(failure));
        // One that has ended is not connected.
        let _ = socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Both);
    }
}

/// Hears answers until the template is gone. Whoever waits is then told nothing.
async fn listen(template: Rc<Template>, pidfd: OwnedFd, end: oneshot::Receiver<i32>) {
    let mut assembler = Assembler::of(LONGEST, MOST_DESCRIPTORS);
    loop {
        match socket::receive(&template.stream, &mut assembler).await {
            Ok(true) => {}
            Ok(false) => break,
            // Such as that there was no descriptor left for one that it sent.
            Err(failure) => {
                template.unheard.replace(Some(failure));
                break;
            }
        }
        let mut frames = std::iter::from_fn(|| assembler.frame().transpose());
        let understood = frames.try_for_each(|frame| template.hear(frame.map_err(drop)?));
        if understood.is_err() {
            break;
        }
    }
    // One that says what no template says is none any more.
    let _ = crate::kernel::process::signal(&pidfd, libc::SIGKILL);
    template.ended.set(Some(end.await.unwrap_or(KILLED)));
    template.waiting.borrow_mut().clear();
}

impl Template {
    /// Takes in an answer.
    ///
    /// # Errors
    /// It is none.
    fn hear(&self, frame: Frame) -> Result<(), ()> {
        let answer = match serde_json::from_slice(&frame.bytes).map_err(drop)? {
            Answer::Made(pid) => Ok(Child {
                pid,
                pidfd: frame.fds.into_iter().next().ok_or(())?,
            }),
            Answer::Refused(failure) => Err(failure),
        };
        let waiting = self.waiting.borrow_mut().pop_front().ok_or(())?;
        // Who no longer waits has let go of the init's other end, too: it ends by itself.
        let _ = waiting.send(answer);
        Ok(())
    }
}

/// A last argument: in its place the names of copies are written, which may be longer than the template's own.
pub fn room() -> String {
    " ".repeat(ROOM)
}

fn execute(supervisor: &UnixStream, common: &OwnedFd, program: Option<&OwnedFd>) -> Result<Child, Failure> {
    let keep: Vec<_> = [supervisor.as_fd(), common.as_fd()]
        .into_iter()
        .chain(program.map(|it| it.as_fd()))
        .collect();
    let words = [format!("{NAME}template"), VERB.to_owned()];
    let arguments: Vec<CString> = words
        .into_iter()
        .chain(spawn::slots(keep.len()))
        .chain([room()])
        .filter_map(|word| CString::new(word).ok())
        .collect();
    Ok(spawn::spawn(
        "start the process that nodes' inits are copies of",
        &Spawn {
            flags: CloneFlags::CLONE_NEWNS,
            program: c"/proc/self/exe",
            arguments: &arguments,
            environment: &[],
            keep: &keep,
            stdio: None,
            parent_death: Some(libc::SIGKILL),
            session: true,
        },
    )?)
}

/// Runs the template. The numbers are those of inherited descriptors: the socket to the supervisor, a file with what nodes have in
/// common ([`Common`]), and a mount of nslab's program where there is one.
pub fn main(supervisor: RawFd, common: RawFd, program: Option<RawFd>) -> i32 {
    match serve(supervisor, common, program) {
        Ok(()) => 0,
        // The supervisor's log has the sentence.
        Err(failure) => {
            eprintln!("{failure}");
            1
        }
    }
}

/// Until the supervisor is gone.
fn serve(supervisor: RawFd, common: RawFd, program: Option<RawFd>) -> Result<(), Failure> {
    let supervisor = UnixStream::from(inherited(supervisor)?);
    let common = std::fs::File::from(inherited(common)?);
    let program = program.map(inherited).transpose()?;
    let common = io::read_to_string(common).attempt(|| "read what nodes have in common")?;
    let damaged = |error| Failure::host(format!("an order to the template is damaged: {error}"));
    let common: Common = serde_json::from_str(&common).map_err(damaged)?;
    let title = Title::find()?;
    title.set(&[&format!("{NAME}template"), VERB]);
    // Whoever wants the first node hears why there can be none.
    let ready = Ready::make(common, program.as_ref());
    drop(program);
    let mut assembler = Assembler::of(LONGEST, MOST_DESCRIPTORS);
    while assembler.read(&supervisor)? != Received::End {
        while let Some(frame) = assembler.frame()? {
            let order: Order = serde_json::from_slice(&frame.bytes).map_err(damaged)?;
            let ready = ready.as_ref().map_err(Failure::clone);
            let made = ready.and_then(|ready| clone_init(ready, &title, &order, frame.fds));
            let (answer, pidfd) = match made {
                Ok(child) => (Answer::Made(child.pid), Some(child.pidfd)),
                Err(failure) => (Answer::Refused(failure), None),
            };
            let answer = serde_json::to_vec(&answer).map_err(damaged)?;
            message::send(&supervisor, &answer, pidfd.as_slice())?;
        }
    }
    Ok(())
}

fn clone_init(ready: &Ready, title: &Title, order: &Order, fds: Vec<OwnedFd>) -> Result<Child, Failure> {
    ready.keep_program()?;
    let mut fds = fds.into_iter();
    let (Some(control), Some(setup)) = (fds.next(), fds.next()) else {
        return Err(incomplete());
    };
    // Without one of them the node would be in what is the host's.
    let mut next = |is_there: bool| match is_there.then(|| fds.next()) {
        Some(None) => Err(incomplete()),
        other => Ok(other.flatten()),
    };
    let given = Given {
        control: control.into(),
        setup,
        users: next(order.users)?,
        network: next(order.network)?,
        in_cgroup: order.cgroup,
    };
    let cgroup = next(order.cgroup)?;
    let what = format!("create the init of {}", order.node);
    let child = spawn::sibling(&what, cgroup.as_ref().map(|it| it.as_fd()), || {
        title.set(&[&format!("{NAME}{}", order.node), node::VERB]);
        let others = [&given.users, &given.network].into_iter().flatten();
        let keep: Vec<RawFd> = [given.control.as_raw_fd(), given.setup.as_raw_fd()]
            .into_iter()
            .chain(others.map(|fd| fd.as_raw_fd()))
            .collect();
        // The way to the supervisor and what other nodes are given are among the others.
        close_all_but(&keep);
        node::main(ready, given)
    })?;
    Ok(child)
}

fn incomplete() -> Failure {
    Failure::host("an order to the template came without its descriptors")
}
