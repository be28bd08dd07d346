//! Whether a lab's directory is still there. Without it nobody can find the lab, and nobody would sweep after it: a lab whose
//! directory was deleted by hand ends.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::directory::LabDirectory;
use super::state::Living;
use crate::failure::Failure;
use crate::kernel::inotify;

/// How often it is looked for where the kernel does not tell: what is above it may have been moved.
const LOOK: Duration = Duration::from_secs(5);
/// The least time between two looks, however much changes there.
const PAUSE: Duration = Duration::from_millis(50);

/// Ends the lab once its lock, which the supervisor holds, is no longer where it was.
pub fn watch(lab: &Rc<Living>, lock: OwnedFd) {
    let lab = Rc::clone(lab);
    let watch = inotify::removals(&lab.directory.path).ok();
    spawn_local(async move {
        while is_there(&lab.directory, &lock) {
            match &watch {
                Some(watch) => {
                    let _ = timeout(LOOK, changed(watch)).await;
                    sleep(PAUSE).await;
                }
                None => sleep(LOOK).await,
            }
        }
        let message = format!(
            "{} was deleted or moved while lab {} lived: without it nothing finds the lab, so it ends",
            lab.directory.path.display(),
            lab.directory.lab
        );
        let help = format!("`nslab down {}` is the way to end it", lab.directory.lab);
        lab.lost.replace(Some(Failure::not_ready(message).help(help)));
        lab.stopping.send_replace(true);
    });
}

async fn changed(watch: &AsyncFd<OwnedFd>) {
    if let Ok(mut ready) = watch.readable().await {
        let mut events = [0; 4096];
        // What it was does not matter, only that it is looked again.
        while nix::unistd::read(watch.get_ref(), &mut events).is_ok_and(|length| length > 0) {}
        ready.clear_ready();
    }
}

/// Whether the path of the lock leads to the lock. Only its certain absence counts.
fn is_there(directory: &LabDirectory, lock: &OwnedFd) -> bool {
    let there = match fs::symlink_metadata(directory.lock()) {
        Ok(there) => there,
        Err(error) => {
            use std::io::ErrorKind;
            return !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
        }
    };
    rustix::fs::fstat(lock).map_or(true, |held| {
        held.st_ino == there.ino() && held.st_dev == there.dev()
    })
}
