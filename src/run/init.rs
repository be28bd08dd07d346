//! The supervisor's side of a node's init: starting it, giving it orders, hearing its reports.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use tokio::sync::{Mutex, oneshot};

use super::events::What;
use super::protocol::{Order, Report, Setup};
use super::socket;
use super::state::Living;
use super::template::InitRequest;
use crate::engine::Engine as _;
use crate::engine::frr::front;
use crate::failure::Failure;
use crate::kernel::cgroup::{self, Limits};
use crate::kernel::error::Attempt;
use crate::kernel::message::{Assembler, Frame};
use crate::kernel::output;
use crate::kernel::process::{self, Child};
use crate::kernel::signals;
use crate::lab::model::{Init, Mount, Restart};
use crate::lab::names;
use crate::lab::plan::NodeStep;

/// No report of an init's is longer, in bytes.
const LONGEST: usize = 64 << 10;
/// Descriptors come with one report: the node's /dev/log, and perhaps its first process.
const MOST_DESCRIPTORS: usize = 2;

/// How long the cgroups of an earlier life of a node may take to go.
const CGROUPS_GO: Duration = Duration::from_secs(5);

/// What an init system is told that will hardly run.
const NO_CGROUPS: &str = "its first process has no cgroups, which systemd needs: this host has no cgroup tree of version 2 that \
                          nslab may write in (`nslab doctor`)";

/// A node's running init.
pub struct InitHandle {
    /// Its PID in the lab's PID namespace.
    pub pid: i32,
    /// Its pidfd: what commands enter the node with.
    pub pidfd: OwnedFd,
    /// The image's first process, where that is its own: commands enter the node by it.
    pub first: OnceCell<OwnedFd>,
    /// The node's cgroup.
    pub cgroup: Option<OwnedFd>,
    stream: tokio::net::UnixStream,
    sending: Mutex<()>,
    programs: RefCell<HashMap<u64, Program>>,
    next: Cell<u64>,
    gone: Cell<bool>,
    quiet: RefCell<Option<oneshot::Sender<()>>>,
}

/// A program that was ordered: who waits for its start and for its end.
struct Program {
    started: Option<oneshot::Sender<()>>,
    ended: oneshot::Sender<End>,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Exit status as a shell gives it.
    pub status: i32,
    /// Why it could not even be started.
    pub reason: Option<String>,
}

/// A program that was ordered.
pub struct Started {
    /// Its number, for [`InitHandle::end`].
    pub id: u64,
    /// Fires when it runs; is dropped when it could not be started.
    pub running: oneshot::Receiver<()>,
    /// Its end. Dropped without one when the node's init ended.
    pub end: oneshot::Receiver<End>,
}

/// An init that has just begun.
pub struct Fresh {
    /// It.
    pub handle: Rc<InitHandle>,
    /// The node's /dev/log.
    pub syslog: OwnedFd,
    /// Its exit status to come.
    pub end: oneshot::Receiver<i32>,
}

/// Why a node's init did not come up.
pub enum StartError {
    /// Somebody killed it.
    Died(i32),
    /// Something refused.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for StartError {
    fn from(error: E) -> Self {
        StartError::Failed(error.into())
    }
}

/// What to start, and how.
pub struct Start {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The user, root where none is given.
    pub user: Option<String>,
    /// The directory, `/` where none is given.
    pub workdir: Option<String>,
    /// Whether it has the rights of the node's engine.
    pub engine: bool,
    /// Whether it is what the node's image is for.
    pub main: bool,
    /// Whether it has a terminal, which the init plays: that of a first process, which no other process of the node starts.
    pub terminal: bool,
}

/// Starts a node's init and waits until its root stands.
///
/// # Errors
/// The kernel refuses the namespaces or the root, or a file of the lab cannot be put into it.
pub async fn start(lab: &Rc<Living>, node: usize) -> Result<Fresh, StartError> {
    let step = &lab.plan.nodes[node];
    let cgroup = cgroup::make(&lab.trees, &lab.directory.cgroup(), &names::place(&step.name))?;
    let limits = Limits {
        cpu: step.cpu,
        memory: step.memory,
        processes: step.limits.processes,
        must_limit_processes: step.limits.must_limit_processes,
    };
    if own_first(step) && !step.rights.privileged && lab.trees.unified.is_none() {
        lab.tell(What::Trouble {
            node: step.name.clone(),
            message: NO_CGROUPS.to_owned(),
        });
    }
    let leaf = match makes_cgroups(step) {
        true => make_in_all(lab, &names::place(&step.name)).await?,
        false => None,
    };
    cgroup::limit(
        &lab.trees,
        &lab.directory.cgroup(),
        &names::place(&step.name),
        limits,
    )?;
    let (ours, child, end) = match make(lab, node, cgroup.as_ref()).await {
        // The template was killed just now, and there is another.
        Err(StartError::Died(_)) => make(lab, node, cgroup.as_ref()).await?,
        made => made?,
    };
    let handle = Rc::new(InitHandle {
        pid: child.pid,
        pidfd: child.pidfd,
        first: OnceCell::new(),
        cgroup: leaf.or(cgroup),
        stream: socket::adopt(ours)?,
        sending: Mutex::default(),
        programs: RefCell::default(),
        next: Cell::new(1),
        gone: Cell::new(false),
        quiet: RefCell::default(),
    });
    let (up, stands) = oneshot::channel();
    tokio::task::spawn_local(listen(Rc::clone(&handle), up));
    match stands.await {
        Ok(Ok(syslog)) => Ok(Fresh { handle, syslog, end }),
        Ok(Err(failure)) => Err(prefix(&step.name, failure).into()),
        Err(_) => match end.await.unwrap_or(-1) {
            KILLED => Err(StartError::Died(KILLED)),
            status => {
                let message = format!(
                    "the init of {} ended before the node stood: status {status}",
                    step.name
                );
                Err(Failure::host(message).into())
            }
        },
    }
}

/// Makes cgroups for a node that makes some of its own, once those of its earlier life are gone.
async fn make_in_all(lab: &Living, node: &str) -> Result<Option<OwnedFd>, Failure> {
    let deadline = Instant::now() + CGROUPS_GO;
    loop {
        match cgroup::make_in_all(&lab.trees, &lab.directory.cgroup(), node) {
            Err(error) if error.errno == Errno::EBUSY && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            made => return Ok(made?),
        }
    }
}

/// Exit status, as a shell gives it, after SIGKILL.
pub const KILLED: i32 = 128 + libc::SIGKILL;

fn prefix(node: &str, mut failure: Failure) -> Failure {
    failure.message = format!("{node}: {}", failure.message);
    failure
}

/// Has the process made, and waits for its end from the start. Returns the way to it as well.
async fn make(
    lab: &Rc<Living>,
    node: usize,
    cgroup: Option<&OwnedFd>,
) -> Result<(UnixStream, Child, oneshot::Receiver<i32>), StartError> {
    let step = &lab.plan.nodes[node];
    let (ours, theirs) = UnixStream::pair().attempt(|| "make a socket pair")?;
    let copy = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().attempt(|| "pass on a namespace");
    // Without one it stays where this process is: in the host's.
    let network = step
        .namespace
        .and_then(|at| Some(copy(lab.namespaces.borrow().get(at)?.as_fd())));
    let request = InitRequest {
        node: &step.name,
        control: theirs.into(),
        setup: setup_file(lab, node)?.into(),
        users: lab.users_of(node).map(|it| copy(it.as_fd())).transpose()?,
        network: network.transpose()?,
        cgroup: cgroup.map(|it| copy(it.as_fd())).transpose()?,
    };
    let _expected = lab.reaper.expect();
    let child = lab.template()?.clone_init(request).await?;
    let end = lab.reaper.end_of(child.pid);
    Ok((ours, child, end))
}

fn setup_file(lab: &Living, node: usize) -> Result<File, Failure> {
    let step = &lab.plan.nodes[node];
    let engine = step.engine;
    let files = engine.iter().flat_map(|engine| engine.files(step));
    let files = files.chain(front::files(step));
    let files = files.chain(step.files.iter().cloned()).collect();
    let links = engine.iter().flat_map(|engine| engine.links(step));
    let links = links.map(|(path, target)| ((*path).to_owned(), (*target).to_owned()));
    let setup = Setup {
        node: step.name.clone(),
        hostname: step.hostname.clone(),
        image: step.image.as_ref().map(|image| image.layers.clone()),
        files,
        links: links.collect(),
        binds: step.binds.clone(),
        mounts: mounts(lab, step),
        own_first: own_first(step),
        restart: step.run.first().map_or(Restart::No, |process| process.restart),
        stop_signal: step
            .image
            .as_ref()
            .and_then(|image| signals::number(image.stop_signal.as_ref()?)),
        makes_cgroups: makes_cgroups(step),
        rules_cgroups: rules_cgroups(lab, step),
        rights: step.rights.clone(),
        own_network: step.namespace.is_some(),
        limits: step.limits,
    };
    memory_file(&setup)
}

/// Whether the image's program is the node's first process.
pub fn own_first(step: &NodeStep) -> bool {
    let image = step.image.as_ref();
    image.is_some_and(|image| image.init == Init::Image && image.has_program)
}

/// Whether what runs in a node makes cgroups below the node's own.
fn makes_cgroups(step: &NodeStep) -> bool {
    step.is_machine() || own_first(step)
}

/// Whether the first process of a node finds a cgroup of its own at the usual place. One with all rights mounts what it wants.
fn rules_cgroups(lab: &Living, step: &NodeStep) -> bool {
    own_first(step) && !step.rights.privileged && lab.trees.unified.is_some()
}

/// The directories of a node that are not of its root, and where its volumes are among the lab's.
fn mounts(lab: &Living, step: &NodeStep) -> Vec<(Mount, Option<usize>)> {
    if step.mounts.is_empty() {
        return Vec::new();
    }
    let volumes = lab.plan.volumes();
    let own: BTreeMap<&str, String> = step
        .volumes()
        .map(|(name, mount)| (mount.target.as_str(), name))
        .collect();
    let mounts = step.mounts.iter().map(|mount| {
        let name = own.get(mount.target.as_str());
        let number = name.and_then(|name| volumes.keys().position(|volume| volume == name));
        (mount.clone(), number)
    });
    mounts.collect()
}

/// A file in memory that holds a value as JSON, to be passed to a child.
///
/// # Errors
/// Memory is short.
pub fn memory_file(value: &impl serde::Serialize) -> Result<File, Failure> {
    let bytes = serde_json::to_vec(value).map_err(|error| Failure::host(error.to_string()))?;
    Ok(output::in_memory(&bytes)?)
}

/// Hears reports until the init is gone. Waiting callers then find their channels closed.
async fn listen(handle: Rc<InitHandle>, up: oneshot::Sender<Result<OwnedFd, Failure>>) {
    let mut up: Waiting = Some(up);
    let mut assembler = Assembler::of(LONGEST, MOST_DESCRIPTORS);
    while matches!(socket::receive(&handle.stream, &mut assembler).await, Ok(true)) {
        let mut frames = std::iter::from_fn(|| assembler.frame().transpose());
        let understood = frames.try_for_each(|frame| {
            let frame = frame.map_err(drop)?;
            handle.hear(frame, &mut up)
        });
        if understood.is_err() {
            break;
        }
    }
    // One that says what no init says is none any more: its node begins anew.
    handle.kill();
    handle.gone.set(true);
    handle.programs.borrow_mut().clear();
    handle.quiet.borrow_mut().take();
}

/// Whoever waits for a node's root to stand.
type Waiting = Option<oneshot::Sender<Result<OwnedFd, Failure>>>;

impl InitHandle {
    /// Takes in a report.
    ///
    /// # Errors
    /// It is none.
    fn hear(&self, frame: Frame, up: &mut Waiting) -> Result<(), ()> {
        let report: Report = serde_json::from_slice(&frame.bytes).map_err(drop)?;
        match report {
            Report::Up => {
                let mut fds = frame.fds.into_iter();
                if let (Some(up), Some(syslog)) = (up.take(), fds.next()) {
                    fds.next().into_iter().for_each(|first| {
                        let _ = self.first.set(first);
                    });
                    let _ = up.send(Ok(syslog));
                }
            }
            Report::Failed(failure) => {
                if let Some(up) = up.take() {
                    let _ = up.send(Err(failure));
                }
            }
            Report::Started { id } => self.on_start(id),
            Report::NotStarted { id, reason, status } => {
                let reason = Some(reason);
                self.on_end(id, End { status, reason });
            }
            Report::Ended { id, status } => self.on_end(id, End { status, reason: None }),
            Report::Quiet => {
                if let Some(quiet) = self.quiet.borrow_mut().take() {
                    let _ = quiet.send(());
                }
            }
        }
        Ok(())
    }

    /// Starts a program whose output and errors go to the given descriptors.
    ///
    /// # Errors
    /// The init is gone.
    pub async fn start(&self, start: Start, output: OwnedFd, errors: OwnedFd) -> Result<Started, Failure> {
        let id = self.next.get();
        self.next.set(id + 1);
        let (started, running) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        self.programs.borrow_mut().insert(
            id,
            Program {
                started: Some(started),
                ended,
            },
        );
        let Start {
            argv,
            env,
            user,
            workdir,
            engine,
            main,
            terminal,
        } = start;
        self.order(
            &Order::Start {
                id,
                argv,
                env,
                user,
                workdir,
                engine,
                main,
                terminal,
            },
            &[output, errors],
        )
        .await?;
        Ok(Started { id, running, end })
    }

    /// Kills a program that is still there.
    pub async fn end(&self, id: u64) {
        // Where the init is gone, so is the program.
        let _ = self.order(&Order::Kill { id }, &[]).await;
    }

    /// Asks every process of the node to end; returns when none is left, or the init is gone.
    pub async fn quiet(&self) {
        let (sender, quiet) = oneshot::channel();
        self.quiet.replace(Some(sender));
        if self
            .order(
                &Order::SignalAll {
                    signal: libc::SIGTERM,
                },
                &[],
            )
            .await
            .is_ok()
        {
            let _ = quiet.await;
        }
    }

    /// Whether the init has ended.
    pub fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// Kills the init, and with it all processes of the node.
    pub fn kill(&self) {
        // One that has ended already needs no killing; nothing else can go wrong between parent and child.
        let _ = process::signal(&self.pidfd, libc::SIGKILL);
    }

    async fn order(&self, order: &Order, fds: &[OwnedFd]) -> Result<(), Failure> {
        let _turn = self.sending.lock().await;
        let bytes = serde_json::to_vec(order).map_err(|error| Failure::host(error.to_string()))?;
        socket::send(&self.stream, &bytes, fds).await
    }

    fn on_start(&self, id: u64) {
        let started = self
            .programs
            .borrow_mut()
            .get_mut(&id)
            .and_then(|program| program.started.take());
        if let Some(started) = started {
            let _ = started.send(());
        }
    }

    fn on_end(&self, id: u64, end: End) {
        if let Some(program) = self.programs.borrow_mut().remove(&id) {
            let _ = program.ended.send(end);
        }
    }
}
