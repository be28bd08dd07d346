//! Copying between the host and nodes: a tar stream between two helpers, each where its side is.

use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd as _, RawFd};
use std::path::{Path, PathBuf};

use super::enter::Door;
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::process;

/// A path, and where it is.
pub enum Place {
    /// On the host.
    Host(PathBuf),
    /// In a node.
    Node(Door, PathBuf),
}

impl Place {
    fn path(&self) -> PathBuf {
        match self {
            Place::Host(path) => path.clone(),
            Place::Node(_, path) => Path::new("/").join(path),
        }
    }

    /// As it was written.
    fn shown(&self) -> String {
        match self {
            Place::Host(path) | Place::Node(_, path) => self.with_path(path),
        }
    }

    /// Another path here, as it would be written.
    fn with_path(&self, path: &Path) -> String {
        match self {
            Place::Host(_) => path.display().to_string(),
            Place::Node(door, _) => format!("{}:{}", door.node, path.display()),
        }
    }

    /// Starts `work` where this place is.
    fn there(
        &self,
        keep: &[RawFd],
        work: impl FnOnce() -> io::Result<()>,
    ) -> Result<process::Child, Failure> {
        let run = || match work() {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("nslab: {error}");
                1
            }
        };
        match self {
            Place::Host(_) => Ok(process::fork("start a helper", run)?),
            Place::Node(door, _) => Ok(door.inside(keep, run)?),
        }
    }
}

/// Copies a file or directory.
///
/// # Errors
/// A helper could not be started, or said on standard error what went wrong.
pub fn copy(from: &Place, to: &Place) -> Result<(), Failure> {
    let (names, tell_name) = io::pipe().attempt(|| "make a pipe")?;
    let (archive, write_archive) = io::pipe().attempt(|| "make a pipe")?;
    let (source, target) = (from.path(), to.path());
    let Some(name) = fs_name(&source) else {
        return Err(Failure::wrong(format!(
            "{} has no name of its own to copy under",
            from.shown()
        )));
    };
    // The helpers are copies of this process: each closes the pipe ends that are the other's, or neither
    // would ever see an end.
    let keep = [
        names.as_raw_fd(),
        tell_name.as_raw_fd(),
        archive.as_raw_fd(),
        write_archive.as_raw_fd(),
    ];
    let mut ends = Some((names, tell_name, archive, write_archive));
    let sender = {
        let ends = &mut ends;
        from.there(&keep, || {
            let Some((names, tell_name, archive, write_archive)) = ends.take() else {
                return Ok(());
            };
            drop((tell_name, archive));
            send(&source, &from.shown(), names, write_archive)
        })?
    };
    let receiver = {
        let ends = &mut ends;
        to.there(&keep, || {
            let Some((names, tell_name, archive, write_archive)) = ends.take() else {
                return Ok(());
            };
            drop((names, write_archive));
            receive(&target, to, &name, tell_name, archive)
        })?
    };
    drop(ends);
    let ended = [wait(&sender), wait(&receiver)];
    if ended == [0, 0] {
        return Ok(());
    }
    Err(Failure::not_ready(format!(
        "{} was not copied whole",
        from.shown()
    )))
}

fn fs_name(path: &Path) -> Option<String> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.file_name()?.to_str().map(str::to_owned)
}

fn wait(child: &process::Child) -> i32 {
    let pid = nix::unistd::Pid::from_raw(child.pid);
    loop {
        match nix::sys::wait::waitpid(pid, None) {
            Err(nix::errno::Errno::EINTR) => {}
            Ok(status) => return process::exit_code(status),
            Err(_) => return 1,
        }
    }
}

fn said(shown: &str) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{shown}: {error}"))
}

/// Packs `source` under the name the receiver chose.
fn send(source: &Path, shown: &str, mut names: PipeReader, archive: PipeWriter) -> io::Result<()> {
    let mut name = String::new();
    names.read_to_string(&mut name)?;
    if name.is_empty() {
        // The receiver has said why it does not want anything.
        return Ok(());
    }
    let metadata = fs::metadata(source).map_err(said(shown))?;
    let mut builder = tar::Builder::new(archive);
    builder.follow_symlinks(false);
    if metadata.is_dir() {
        builder.append_dir_all(&name, source).map_err(said(shown))?;
    } else {
        builder
            .append_file(&name, &mut File::open(source).map_err(said(shown))?)
            .map_err(said(shown))?;
    }
    builder.into_inner()?.flush()
}

/// Chooses the name, tells it, and unpacks. Entries cannot leave the directory they are unpacked in.
fn receive(
    target: &Path,
    place: &Place,
    name: &str,
    mut tell_name: PipeWriter,
    archive: PipeReader,
) -> io::Result<()> {
    let inside = target.is_dir();
    let (directory, name) = if inside {
        (target.to_owned(), name.to_owned())
    } else {
        let absolute = std::path::absolute(target)?;
        let name = absolute
            .file_name()
            .and_then(|name| name.to_str())
            .map(str::to_owned);
        let parent = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        (
            parent,
            name.ok_or_else(|| io::Error::other("the target has no name"))?,
        )
    };
    if !directory.is_dir() {
        return Err(io::Error::other(format!(
            "there is no directory {}",
            place.with_path(&directory)
        )));
    }
    tell_name.write_all(name.as_bytes())?;
    drop(tell_name);
    let mut archive = tar::Archive::new(archive);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive
        .unpack(&directory)
        .map_err(said(&place.with_path(&directory)))
}
