//! Changes of directories (inotify(7)).

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;

use super::error::{Attempt, Result};

/// Becomes readable when something was moved into a directory or deleted there.
///
/// # Errors
/// There is no such directory, or no watches are left.
pub fn renames(directory: &Path) -> Result<AsyncFd<OwnedFd>> {
    watch(directory, AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE)
}

/// Becomes readable when something was moved out of a directory or deleted there, or the directory itself was.
///
/// # Errors
/// There is no such directory, or no watches are left.
pub fn removals(directory: &Path) -> Result<AsyncFd<OwnedFd>> {
    let within = AddWatchFlags::IN_MOVED_FROM | AddWatchFlags::IN_DELETE;
    watch(
        directory,
        within | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_DELETE_SELF,
    )
}

#[allow(unsafe_code)]
fn watch(directory: &Path, flags: AddWatchFlags) -> Result<AsyncFd<OwnedFd>> {
    let what = || format!("watch {}", directory.display());
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).attempt(what)?;
    inotify.add_watch(directory, flags).attempt(what)?;
    // SAFETY: an OwnedFd owns its descriptor, and nothing replaces or closes it before it is dropped.
    let registered = unsafe { AsyncFd::register(OwnedFd::from(inotify)) };
    registered.map_err(std::io::Error::from).attempt(what)
}
