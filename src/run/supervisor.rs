//! The lab's first process: PID 1 of its PID namespace. It holds every network namespace as a descriptor;
//! when it ends, however it ends, the kernel takes the lab down.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::mount::MsFlags;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::timeout;
use tracing::{Instrument as _, info_span};

use super::cluster::{self, Cluster};
use super::directory::LabDirectory;
use super::events::What;
use super::links::Links;
use super::reaper::Reaper;
use super::state::{Events, Living, Node};
use super::timeline::{self, serve};
use super::{
    control, flows, host_cleanup, images, late, link_events, links, logs, management, mounts, network,
    presence, socket, stages, veil,
};
use crate::failure::Failure;
use crate::kernel::cgroup::Trees;
use crate::kernel::error::Attempt;
use crate::kernel::spawn::inherited;
use crate::kernel::{apart, event_loop, mount, process, user_namespace};
use crate::lab::engines::GRACE;
use crate::lab::model::{Content, Stage};
use crate::lab::plan::{Device, NodeStep, Plan};
use crate::trace::{self, Spans};

/// The hidden verb of the supervisor.
pub const VERB: &str = "supervise";
/// How long the launcher, and who follows the events, may take to hear the last of them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// All the supervisor has to know.
#[derive(Debug, Serialize, Deserialize)]
pub struct Setup {
    /// What to make.
    pub plan: Plan,
    /// The lab's directory.
    pub directory: PathBuf,
    /// Whether it lives on without its launcher.
    pub detached: bool,
    /// Seconds until a lab that is not ready has failed.
    pub timeout: f64,
    /// Whether the manifests of the lab file are left to `nslab apply`.
    pub hold_manifests: bool,
    /// Octets that its timeline may have; 0 for none.
    pub timeline: u64,
    /// What it says of its work.
    pub telling: trace::Wanted,
    /// The way that impairments of links are to be carried out by, where one is forced.
    #[serde(default)]
    pub impair: Option<String>,
}

/// Runs the supervisor. The numbers are those of inherited descriptors: the lab's lock, the socket to the
/// launcher, and a file with the [`Setup`].
pub fn main(lock: RawFd, launcher: RawFd, setup: RawFd) -> i32 {
    let prepared = prepare(lock, launcher, setup);
    let result = prepared.and_then(|prepared| {
        let runtime = event_loop::start();
        let runtime = runtime.attempt(|| "start the supervisor's event loop")?;
        runtime.block_on(LocalSet::new().run_until(run(prepared)))
    });
    match result {
        Ok(status) => status,
        Err(failure) => {
            // There may be no descriptor left to tell the launcher on; it reads this when we have ended.
            eprintln!("{}", serde_json::to_string(&failure).unwrap_or(failure.message));
            failure.code as i32
        }
    }
}

struct Prepared {
    setup: Setup,
    launcher: UnixStream,
    host_proc: OwnedFd,
    shown: Vec<mount::Shown>,
    program: Option<OwnedFd>,
    /// Held until the process ends.
    lock: OwnedFd,
}

/// Everything that has to happen before there is an event loop.
fn prepare(lock: RawFd, launcher: RawFd, setup: RawFd) -> Result<Prepared, Failure> {
    let lock = inherited(lock)?;
    let launcher = UnixStream::from(inherited(launcher)?);
    let setup = inherited(setup)?;
    let text = io::read_to_string(File::from(setup)).attempt(|| "read the lab's setup")?;
    let mut setup: Setup = serde_json::from_str(&text)
        .map_err(|error| Failure::host(format!("the lab's setup is damaged: {error}")))?;
    process::raise_open_files();
    mount::own_root()?;
    let host_proc = File::open("/proc").attempt(|| "open /proc")?.into();
    let program = own_program();
    let mut keep = sources(&mut setup.plan);
    keep.push(setup.directory.clone());
    mount::seclude(&keep)?;
    let table = mount::table()?;
    let shown = match user_namespace::is_partial() {
        true => apart::take_apart(mount::shown(&table), &table, &veil::ALWAYS),
        false => mount::shown(&table),
    };
    mount::virtual_fs("proc", Path::new("/proc"), mount::INERT | MsFlags::empty(), "")?;
    // Not among the host's mounts that nodes are shown.
    let volumes: Vec<_> = setup.plan.volumes().into_values().collect();
    mounts::make_volumes(&setup.directory, &volumes)?;
    Ok(Prepared {
        setup,
        launcher,
        host_proc,
        shown,
        program,
        lock,
    })
}

/// Everything that nodes are given of the host, wherever it is mounted: below /run, /tmp and /dev a lab keeps no other mounts. The
/// plan's paths to it are changed to those without symbolic links, which need no mounts on the way.
fn sources(plan: &mut Plan) -> Vec<PathBuf> {
    let mut paths: Vec<&mut PathBuf> = Vec::new();
    for node in &mut plan.nodes {
        paths.extend(node.files.iter_mut().filter_map(|file| match &mut file.content {
            Content::From(path) => Some(path),
            Content::Text(_) => None,
        }));
        paths.extend(node.binds.iter_mut().map(|bind| &mut bind.source));
    }
    for path in &mut paths {
        if let Ok(real) = fs::canonicalize(&**path) {
            **path = real;
        }
    }
    paths.into_iter().map(|path| path.clone()).collect()
}

/// A mount of the file that this process executes, for nodes whose engine is nslab itself. Where another file has taken its
/// path since, there is none, and it is copied.
fn own_program() -> Option<OwnedFd> {
    let executed = fs::metadata("/proc/self/exe").ok()?;
    let path = fs::read_link("/proc/self/exe").ok()?;
    let there = fs::metadata(&path).ok()?;
    let is_same = (executed.dev(), executed.ino()) == (there.dev(), there.ino());
    is_same.then(|| mount::detached_copy(&path).ok()).flatten()
}

async fn run(prepared: Prepared) -> Result<i32, Failure> {
    let began = Instant::now();
    let Prepared {
        setup,
        launcher,
        host_proc,
        shown,
        program,
        lock,
    } = prepared;
    let Setup {
        plan,
        directory,
        detached,
        timeout: limit,
        hold_manifests,
        timeline,
        telling,
        impair,
    } = setup;
    let spans = telling.begin(trace::LONGEST_LOG);
    let directory = LabDirectory {
        path: directory,
        lab: plan.lab.clone(),
    };
    let nodes = plan
        .nodes
        .iter()
        .map(|node| Node::new(directory.log(&node.name)))
        .collect();
    let images = images::hold(&plan)?;
    let timeline = serve::start(&plan, timeline)?;
    let lab = Rc::new(Living {
        _images: images,
        nodes,
        cluster: Cluster::new(&plan),
        plan,
        directory,
        shown,
        host_proc,
        program: program.into(),
        template: Default::default(),
        namespaces: Default::default(),
        users: OnceCell::default(),
        nat: Default::default(),
        trees: Trees::find(),
        reaper: Reaper::start()?,
        flows: Default::default(),
        printed: Default::default(),
        events: Events::default(),
        timeline,
        failure: Default::default(),
        progress: Notify::new(),
        stopping: watch::Sender::new(false),
        ready: Default::default(),
        late: Default::default(),
        redial: Default::default(),
        lost: Default::default(),
        links: Links::carried_by(impair),
    });
    stop_on_signals(&lab)?;
    let watched = lock.try_clone().attempt(|| "keep the lab's lock")?;
    presence::watch(&lab, watched);
    let options = Options {
        limit: Duration::from_secs_f64(limit),
        detached,
        hold_manifests,
        spans,
    };
    let telling = tell_launcher(&lab, launcher, detached)?;
    let status = match live(&lab, began, &options).await {
        Ok(()) => 0,
        Err(failure) => {
            let code = failure.code as i32;
            options.leave_spans(&lab);
            lab.tell(What::Failed { failure });
            code
        }
    };
    // What is still there then goes with the namespaces.
    let _ = host_cleanup::clean_host(&lab.plan, &lab.namespaces.borrow());
    lab.events.close();
    let told = async {
        let _ = telling.await;
        lab.events.followers.empty().await;
    };
    // Who does not listen is not waited for.
    let _ = timeout(LAST_WORDS, told).await;
    Ok(status)
}

fn stop_on_signals(lab: &Rc<Living>) -> Result<(), Failure> {
    for kind in [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ] {
        let mut signals = signal(kind).attempt(|| "watch for signals")?;
        let lab = Rc::clone(lab);
        spawn_local(async move {
            while signals.recv().await.is_some() {
                lab.stopping.send_replace(true);
            }
        });
    }
    Ok(())
}

/// Sends all events to the launcher. In the foreground, its end is the lab's end too: the kernel's signal at
/// the parent's death does it, but could have come before it was asked for.
fn tell_launcher(lab: &Rc<Living>, launcher: UnixStream, detached: bool) -> Result<JoinHandle<()>, Failure> {
    let launcher = control::Line::private(socket::adopt(launcher)?);
    let lab = Rc::clone(lab);
    Ok(spawn_local(async move {
        if control::stream_events(&lab, &launcher, true).await.is_err() && !(detached && lab.ready.get()) {
            lab.stopping.send_replace(true);
        }
    }))
}

/// What is wanted of a lab beside its plan.
struct Options {
    limit: Duration,
    detached: bool,
    hold_manifests: bool,
    /// What it did until the lab was ready, if that is wanted.
    spans: Option<Spans>,
}

impl Options {
    /// Leaves the spans for `up`, which makes a trace of them.
    fn leave_spans(&self, lab: &Living) {
        let Some(spans) = self.spans.as_ref().and_then(Spans::take) else {
            return;
        };
        let bytes = serde_json::to_vec(&spans).unwrap_or_default();
        // A trace that cannot be written is no reason for a lab to end; `up` says that there is none.
        if let Err(error) = fs::write(lab.directory.spans(), bytes) {
            tracing::warn!(%error, "the spans are not written");
        }
    }
}

/// From nothing to ready, and on until the lab is to end.
async fn live(lab: &Rc<Living>, began: Instant, options: &Options) -> Result<(), Failure> {
    let mut stopping = lab.stopping.subscribe();
    lab.tell(What::Starting {
        lab: lab.plan.lab.clone(),
        nodes: lab.plan.nodes.len(),
        links: lab.plan.links.len(),
    });
    control::listen(lab)?;
    let up = tokio::select! {
        up = timeout(options.limit, bring_up(lab, options).instrument(info_span!("lab", name = lab.plan.lab.as_str()))) => up.unwrap_or_else(|_| Err(too_late(lab, options.limit))),
        _ = stopping.wait_for(|stop| *stop) => {
            let lost = lab.lost.take();
            Err(lost.unwrap_or_else(|| Failure::not_ready("interrupted before the lab was ready")))
        }
    };
    up?;
    options.leave_spans(lab);
    lab.ready.set(true);
    if options.detached {
        process::die_with_parent(0);
    }
    lab.tell(What::Ready {
        seconds: began.elapsed().as_secs_f64(),
    });
    link_events::follow(lab);
    let starting = Rc::clone(lab);
    spawn_local(async move {
        if let Err(failure) = flows::supervise::start_own(&starting).await {
            starting.tell(What::Notice {
                message: failure.message,
            });
        }
    });
    // The sender is the lab's own: this ends only with a wish.
    let _ = stopping.wait_for(|stop| *stop).await;
    lab.tell(What::Stopping);
    // What does not end by itself in time ends with the namespace.
    quiet(lab).await;
    lab.lost.take().map_or(Ok(()), Err)
}

async fn bring_up(lab: &Rc<Living>, options: &Options) -> Result<(), Failure> {
    if lab.plan.nodes.iter().any(|node| !node.idle) {
        // It gets ready while the network is made.
        lab.template()?;
    }
    let tell = |what| lab.tell(what);
    let network = network::stand_up(&lab.plan, &tell);
    let network = network.instrument(info_span!("network")).await?;
    lab.namespaces.replace(network.namespaces);
    // Set once, here.
    let _ = lab.users.set(network.users);
    timeline::hear_all(lab);
    late::follow(lab)?;
    let on_host: Vec<&str> = lab
        .plan
        .links
        .iter()
        .filter_map(|link| match &link.device {
            Device::Host { host_interface, .. } => Some(host_interface.as_str()),
            _ => None,
        })
        .collect();
    if !on_host.is_empty() {
        lab.directory.note_host_links(&on_host)?;
    }
    if let Some(step) = &lab.plan.host {
        let joined = management::join(lab, step);
        joined.instrument(info_span!("management network")).await?;
    }
    links::begin(lab).instrument(info_span!("impairments")).await?;
    let all: Vec<usize> = (0..lab.nodes.len()).collect();
    lab.reach(&all, Stage::Created);
    lab.reach(&all, Stage::Links);
    // Most nodes of large labs have nothing to do: told at once, they cost nothing.
    let nothing_to_do: Vec<usize> = all
        .iter()
        .copied()
        .filter(|&node| {
            let step = &lab.plan.nodes[node];
            step.idle && step.wait_for.is_empty() && step.startup_delay_ms == 0
        })
        .collect();
    lab.reach(&nothing_to_do, Stage::Configured);
    lab.reach(&nothing_to_do, Stage::Ready);
    for node in all {
        spawn_local(stages::live(Rc::clone(lab), node));
    }
    while !lab.nodes.iter().all(Node::is_ready) {
        lab.progress.notified().await;
        if let Some(failure) = lab.failure.borrow_mut().take() {
            return Err(failure);
        }
    }
    if !options.hold_manifests {
        let begun = cluster::begin(lab).instrument(info_span!("manifests"));
        let changed = begun.await?;
        cluster::announce(lab, &changed);
    }
    Ok(())
}

fn too_late(lab: &Living, limit: Duration) -> Failure {
    let late = lab
        .plan
        .nodes
        .iter()
        .zip(&lab.nodes)
        .filter(|(_, node)| !node.is_ready());
    let line = |(step, node): (&NodeStep, &Node)| {
        let mut line = match node.waiting_for.borrow().as_str() {
            "" => step.name.clone(),
            what => format!("{} waits for {what}", step.name),
        };
        if let Some(answer) = &*node.answered.borrow() {
            line += &format!("\n    it last answered: {answer}");
        }
        let telling = step.engine.iter().flat_map(|engine| engine.traits().telling);
        let words = telling.flat_map(|process| logs::last_words(&node.log, process, 2));
        words.for_each(|words| line += &format!("\n    {words}"));
        line
    };
    let mut lines: Vec<String> = late.map(line).take(20).collect();
    if lines.is_empty() {
        lines.push("the manifests are not applied yet".to_owned());
    }
    Failure::not_ready(format!("the lab was not ready within {} s", limit.as_secs_f64()))
        .detail(lines.join("\n"))
        .help("`--timeout` gives it longer")
}

/// Asks all processes to end, and waits until they have.
async fn quiet(lab: &Rc<Living>) {
    let mut ending = tokio::task::JoinSet::new();
    for (step, node) in lab.plan.nodes.iter().zip(&lab.nodes) {
        let Some(init) = node.init.borrow().clone() else {
            continue;
        };
        let of_engine = || step.engine.map_or(GRACE, |engine| engine.traits().grace);
        let grace = step.image.as_ref().map_or_else(of_engine, stages::grace);
        ending.spawn_local(async move { timeout(grace, init.quiet()).await });
    }
    ending.join_all().await;
    // The last words of those that have ended are still read, by another thread.
    let _ = timeout(LAST_WORDS, lab.events.tellers.empty()).await;
}
