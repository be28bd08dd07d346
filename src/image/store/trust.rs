//! Where a store may be: what it has decides what runs in labs, so nobody else may write there or make the path lead elsewhere.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::error::{Attempt as _, Error, Result};

const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;
/// Whom the kernel names for owners that this user namespace has not (user_namespaces(7)).
const OVERFLOW: u32 = 65534;

/// The store's directory, made if need be, by its path without links.
pub(super) fn directory(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).at("find", path)?;
    if let Some(above) = absolute.parent() {
        let mut missing: Vec<&Path> = above.ancestors().take_while(|it| !it.exists()).collect();
        if let Some(lowest) = missing.last().and_then(|it| it.parent()).or(Some(above)) {
            check_path(&fs::canonicalize(lowest).at("find", lowest)?)?;
        }
        while let Some(next) = missing.pop() {
            make(next, 0o755)?;
        }
    }
    make(&absolute, 0o755)?;
    let path = fs::canonicalize(&absolute).at("find", &absolute)?;
    check_path(&path)?;
    let facts = fs::symlink_metadata(&path).at("look at", &path)?;
    let own = rustix::process::geteuid().as_raw();
    if facts.uid() != own || facts.mode() & OTHERS_WRITE != 0 {
        return Err(refused(&path, &path));
    }
    Ok(path)
}

/// Makes a directory, unless it is there.
pub(super) fn make(path: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            match fs::metadata(path).at("look at", path)?.is_dir() {
                true => Ok(()),
                false => Err(Error::host(format!("{} is not a directory", path.display()))),
            }
        }
        other => other.at("make the directory", path),
    }
}

/// Nobody but root and this user may put something else in a directory's place.
fn check_path(path: &Path) -> Result<()> {
    let own = rustix::process::geteuid().as_raw();
    for above in path.ancestors() {
        let facts = fs::symlink_metadata(above).at("look at", above)?;
        let is_trusted =
            [0, own].contains(&facts.uid()) || (super::in_user_namespace() && facts.uid() == OVERFLOW);
        let others_write = facts.mode() & OTHERS_WRITE != 0 && facts.mode() & STICKY == 0;
        if !is_trusted || others_write {
            return Err(refused(path, above));
        }
    }
    Ok(())
}

fn refused(path: &Path, which: &Path) -> Error {
    Error::host(format!(
        "images are not kept in {}: somebody else may change {}",
        path.display(),
        which.display()
    ))
    .help("choose another place with NSLAB_IMAGE_DIR, or leave it unset")
}
