//! The networks of pods that kubelets run. What nslab does in such a pod it does in the network namespace that its container
//! runtime made and nslab's CNI plugin wired; when the runtime makes a new one, the pod moves there.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;

use super::init::InitHandle;
use super::state::Living;
use crate::engine::cni::{self, Place};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::inotify;
use crate::kernel::namespace::Namespace;
use crate::kernel::process_root::Root;
use crate::kernel::sysctl::Sysctls;
use crate::lab::plan::SandboxStep;

/// A note of the plugin's is no longer than this, in bytes, and there are no more of them.
const LONGEST: u64 = 16 << 10;
const MOST: usize = 1000;
/// Between two looks at the notes: so long at least, and so many times as long as a look has taken. Root in the node may make as
/// many notes as it likes, and change them as often.
const SHORTEST_REST: Duration = Duration::from_millis(20);
const LONGEST_REST: Duration = Duration::from_secs(2);
const RESTS: u32 = 20;

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
        let entered = enter(lab, at, step, &sandbox);
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
        let watch = init.borrow_and_update().as_ref().and_then(|init| watch(init));
        let began = Instant::now();
        if let Some(found) = wanted(look(lab, step).as_ref()) {
            return Ok(found);
        }
        let rest = (began.elapsed() * RESTS).clamp(SHORTEST_REST, LONGEST_REST);
        let news = async {
            match watch {
                Some(Ok(watch)) => {
                    let news = watch.readable().await.map(drop);
                    tokio::time::sleep(rest).await;
                    news.attempt(|| "watch the notes of nslab-cni")
                }
                // The user's watches may be used up: looked at all the same, at the slowest pace.
                Some(Err(_)) => {
                    tokio::time::sleep(LONGEST_REST).await;
                    Ok(())
                }
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

/// The directory of the plugin's notes in the node of this init, by a path; nothing where there is no place for them yet.
fn notes(root: &Root) -> Option<(OwnedFd, PathBuf)> {
    let directory = root.find(Path::new(cni::DIRECTORY)).ok()?;
    let path = format!("/proc/self/fd/{}", directory.as_raw_fd()).into();
    Some((directory, path))
}

/// Hears of notes of the plugin in the node of this init.
fn watch(init: &InitHandle) -> Option<crate::kernel::Result<AsyncFd<OwnedFd>>> {
    let (_directory, path) = notes(&Root::of(&init.pidfd).ok()?)?;
    Some(inotify::renames(&path))
}

/// What the plugin has noted for a pod and wired.
fn look(lab: &Living, step: &SandboxStep) -> Option<Sandbox> {
    let init = lab.nodes[step.node].init.borrow().clone()?;
    let root = Root::of(&init.pidfd).ok()?;
    let (_directory, path) = notes(&root)?;
    let entries = std::fs::read_dir(path).ok()?.take(MOST).flatten();
    let places = entries.filter_map(|entry| {
        let text = root.read(&Path::new(cni::DIRECTORY).join(entry.file_name()), LONGEST);
        serde_json::from_slice::<Place>(&text.ok()?).ok()
    });
    let mut own = places.filter(|it| it.wired && it.pod.as_ref() == Some(&step.pod));
    own.next().map(|place| Sandbox {
        init: init.pid,
        path: place.namespace,
    })
}

/// Takes a network for the lab's, with the pod's own sysctls in it.
fn enter(lab: &Living, at: usize, of: &SandboxStep, sandbox: &Sandbox) -> Result<(), Failure> {
    let init = lab.nodes[of.node].init.borrow().clone();
    let init = init.filter(|init| init.pid == sandbox.init);
    let init = init.ok_or_else(|| Failure::not_ready("the node of a pod has just ended"))?;
    let opened = Root::of(&init.pidfd).and_then(|root| root.namespace(&sandbox.path));
    let namespace = Namespace::from(opened.attempt(|| "open the network of a pod")?);
    let step = &lab.plan.namespaces[at];
    namespace.run(|| {
        let sysctls = Sysctls::usual()?;
        let all = step.sysctls.iter().chain(&step.late_sysctls);
        all.clone()
            .try_for_each(|(path, value)| sysctls.write(path, value))
    })?;
    if let Some(recorder) = &lab.timeline {
        recorder.hear(at, &namespace);
    }
    lab.namespaces.borrow_mut()[at] = namespace;
    Ok(())
}
