//! The networks of pods that kubelets run. What nslab does in such a pod it does in the network namespace that its container
//! runtime made and nslab's CNI plugin wired; when the runtime makes a new one, the pod moves there.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use tokio::io::unix::AsyncFd;

use super::inside;
use super::state::Living;
use crate::engine::cni::{self, Place};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::inotify;
use crate::kernel::namespace::Namespace;
use crate::kernel::sysctl::Sysctls;
use crate::lab::plan::SandboxStep;

/// A note of the plugin's is no longer than this.
const LONGEST: u64 = 64 << 10;

/// Which network a pod is in: the init of its node, and the path there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    init: i32,
    path: PathBuf,
}

/// Waits for the network of a pod, and puts it in the place of the node's namespace; `None` where a node has one of its own.
///
/// # Errors
/// The namespace cannot be opened or set up.
pub async fn join(lab: &Living, node: usize) -> Result<Option<Sandbox>, Failure> {
    let Some((at, step)) = step_of(lab, node) else {
        return Ok(None);
    };
    loop {
        let sandbox = changes(lab, step, |now| now.cloned()).await?;
        let entered = enter(lab, at, &sandbox);
        match entered {
            Err(_) if look(lab, step).as_ref() != Some(&sandbox) => {}
            entered => return entered.map(|()| Some(sandbox)),
        }
    }
}

/// Returns once a pod has no longer this network, whether it has another or none for now.
///
/// # Errors
/// The plugin's notes cannot be watched.
pub async fn replaced(lab: &Living, node: usize, known: Option<&Sandbox>) -> Result<(), Failure> {
    match step_of(lab, node) {
        Some((_, step)) if known.is_some() => changes(lab, step, |now| (now != known).then_some(())).await,
        _ => std::future::pending().await,
    }
}

fn step_of(lab: &Living, node: usize) -> Option<(usize, &SandboxStep)> {
    let at = lab.plan.nodes[node].namespace?;
    Some((at, lab.plan.namespaces[at].sandbox.as_ref()?))
}

/// Looks at what the plugin has noted, and again with every change, until it is what is waited for.
async fn changes<T>(
    lab: &Living,
    step: &SandboxStep,
    wanted: impl Fn(Option<&Sandbox>) -> Option<T>,
) -> Result<T, Failure> {
    let mut init = lab.nodes[step.node].init.subscribe();
    loop {
        // Changes are heard from before the look, so that none is missed in between.
        let watch = init.borrow_and_update().as_ref().and_then(|init| watch(init.pid));
        if let Some(found) = wanted(look(lab, step).as_ref()) {
            return Ok(found);
        }
        let news = async {
            match watch {
                Some(watch) => watch?
                    .readable()
                    .await
                    .map(drop)
                    .attempt(|| "watch the notes of nslab-cni"),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            news = news => news?,
            // The sender is the lab's own and outlives every node's task.
            _ = init.changed() => {}
        }
    }
}

/// Hears of notes of the plugin in the node of this init; nothing where there is no place for them yet.
fn watch(init: i32) -> Option<crate::kernel::Result<AsyncFd<OwnedFd>>> {
    let directory = inside::open(init, cni::DIRECTORY).ok()?;
    let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
    Some(inotify::renames(Path::new(&path)))
}

/// What the plugin has noted for a pod and wired.
fn look(lab: &Living, step: &SandboxStep) -> Option<Sandbox> {
    let init = lab.nodes[step.node].init.borrow().as_ref()?.pid;
    let directory = inside::open(init, cni::DIRECTORY).ok()?;
    let entries = std::fs::read_dir(format!("/proc/self/fd/{}", directory.as_raw_fd())).ok()?;
    let places = entries.flatten().filter_map(|entry| {
        let path = Path::new(cni::DIRECTORY).join(entry.file_name());
        let mut text = Vec::new();
        open(init, &path)
            .ok()?
            .take(LONGEST)
            .read_to_end(&mut text)
            .ok()?;
        serde_json::from_slice::<Place>(&text).ok()
    });
    let mut own = places.filter(|it| it.wired && it.pod.as_ref() == Some(&step.pod));
    own.next().map(|place| Sandbox {
        init,
        path: place.namespace,
    })
}

/// A file in the root of a process: no link in it leads out of there, and opening it waits for nobody.
fn open(pid: i32, path: &Path) -> io::Result<File> {
    let root = File::open(format!("/proc/{pid}/root"))?;
    let relative = path.strip_prefix("/").unwrap_or(path);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = openat2(&root, relative, flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
    Ok(opened.into())
}

/// Takes a network for the lab's, with the pod's own sysctls in it.
fn enter(lab: &Living, at: usize, sandbox: &Sandbox) -> Result<(), Failure> {
    let file = open(sandbox.init, &sandbox.path).attempt(|| "open the network of a pod")?;
    let namespace = Namespace::from(OwnedFd::from(file));
    let step = &lab.plan.namespaces[at];
    namespace.run(|| {
        let sysctls = Sysctls::usual()?;
        let all = step.sysctls.iter().chain(&step.late_sysctls);
        all.clone()
            .try_for_each(|(path, value)| sysctls.write(path, value))
    })?;
    lab.namespaces.borrow_mut()[at] = namespace;
    Ok(())
}
