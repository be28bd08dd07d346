//! Says when the kernel has killed a process because its node reached its memory limit.

use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use super::events::What;
use super::state::Living;
use crate::failure::Failure;
use crate::kernel::memory::{self, Watch};
use crate::lab::names;

/// How often and how long the count is looked at after the signal: version 1 signals before it counts.
const LOOKS: u32 = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// Kills that follow each other sooner are told in one event.
const BETWEEN_EVENTS: Duration = Duration::from_millis(100);
/// Between two looks where the kernel does not signal.
const UNWATCHED: Duration = Duration::from_secs(1);

/// Watches a node for as long as this value lives.
pub struct MemoryWatch {
    task: Option<JoinHandle<()>>,
}

impl MemoryWatch {
    /// Begins; there is nothing to watch where a node has no limit.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn start(lab: &Rc<Living>, node: usize) -> Result<MemoryWatch, Failure> {
        let step = &lab.plan.nodes[node];
        let Some(limit) = step.memory else {
            return Ok(MemoryWatch { task: None });
        };
        let task = match Watch::of(&lab.trees, &lab.directory.cgroup(), &names::place(&step.name)) {
            Ok(Some(watch)) => {
                let watch = watch.register()?;
                tokio::task::spawn_local(follow(Rc::clone(lab), node, limit, watch))
            }
            Ok(None) => return Ok(MemoryWatch { task: None }),
            // The user's watches are used up.
            Err(error) if matches!(error.errno, Errno::EMFILE | Errno::ENOSPC) => {
                tokio::task::spawn_local(look(Rc::clone(lab), node, limit))
            }
            Err(error) => return Err(error.into()),
        };
        Ok(MemoryWatch { task: Some(task) })
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn follow(lab: Rc<Living>, node: usize, limit: u64, watch: AsyncFd<Watch>) {
    // The cgroup outlives the node's init: what was told before is not told again.
    while let Ok(mut ready) = watch.readable().await {
        watch.get_ref().drain();
        ready.clear_ready();
        for _ in 0..LOOKS {
            if tell(&lab, node, limit, watch.get_ref().kills()) {
                tokio::time::sleep(BETWEEN_EVENTS).await;
                break;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
}

/// The same where the kernel does not signal.
async fn look(lab: Rc<Living>, node: usize, limit: u64) {
    let place = names::place(&lab.plan.nodes[node].name);
    loop {
        tell(
            &lab,
            node,
            limit,
            memory::kills(&lab.trees, &lab.directory.cgroup(), &place),
        );
        tokio::time::sleep(UNWATCHED).await;
    }
}

/// Tells of the kills that were not told yet. Returns whether there were any.
fn tell(lab: &Living, node: usize, limit: u64, kills: u64) -> bool {
    let told = lab.nodes[node].memory_kills.replace(kills);
    if kills > told {
        lab.tell(What::OutOfMemory {
            node: lab.plan.nodes[node].name.clone(),
            limit,
            killed: kills - told,
        });
    }
    kills > told
}

/// Why a process was killed, if its node's limit was the reason. Each kill is the reason of one process's end only.
pub fn reason(lab: &Living, node: usize) -> Option<String> {
    let step = &lab.plan.nodes[node];
    let limit = step.memory?;
    let accounted = &lab.nodes[node].memory_reasons;
    if memory::kills(&lab.trees, &lab.directory.cgroup(), &names::place(&step.name)) <= accounted.get() {
        return None;
    }
    accounted.set(accounted.get() + 1);
    Some(reached(limit))
}

/// The limit in words.
pub fn reached(limit: u64) -> String {
    // Limits are at least one MiB.
    format!("the node reached its memory limit of {} MiB", limit >> 20)
}
