//! Sockets that nslab's own processes in nodes listen on.

use std::fs;
use std::path::Path;

use nix::sys::stat::{Mode, umask};
use tokio::net::UnixListener;

use crate::kernel::Result;
use crate::kernel::error::Attempt;

/// A socket for root alone, which is there once it answers.
///
/// # Errors
/// It cannot be made.
pub fn listen(path: &Path) -> Result<UnixListener> {
    let what = || format!("make {}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).attempt(what)?;
    }
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let before = umask(Mode::S_IRWXG | Mode::S_IRWXO | Mode::S_IXUSR);
    let bound = UnixListener::bind(&new);
    umask(before);
    let listener = bound.attempt(what)?;
    fs::rename(&new, path).attempt(what)?;
    Ok(listener)
}
