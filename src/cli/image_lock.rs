//! `nslab image lock`, and what it has written down.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::import_args::ImportArgs;
use super::{color, complete, file, imported, print};
use crate::failure::Failure;
use crate::image::lock::Lock;
use crate::image::store::Store;
use crate::lab::Lab;
use crate::run::user_files;
use crate::view;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab image lock lab.toml\n  \
    git add lab.toml lab.lock.toml       others get the same images\n\n\
    Of lab.toml it writes lab.lock.toml. Images with a digest in the lab file, and those that are in files, are not in it.")]
pub struct Args {
    /// The lab file, or those of other tools
    #[arg(value_name = "FILE", required = true, add = complete::files())]
    files: Vec<PathBuf>,
    #[command(flatten)]
    import: ImportArgs,
}

/// Writes down what the names of a lab's images stand for now.
pub fn run(store: &Store, args: &Args) -> Result<(), Failure> {
    let loaded = imported::load(&args.files, &args.import, color());
    let first = args.files.first().map_or(Path::new(""), PathBuf::as_path);
    let file = loaded.map_err(|refusal| refusal.into_failure(first))?;
    let mut lock = Lock::default();
    for image in file.lab.nodes.iter().filter_map(|node| node.image.as_ref()) {
        if let Some(reference) = Lock::concerns(&image.source)?
            && lock.pinned(&reference).is_none()
        {
            let digest = store.resolve(&reference, &file.lab.registries)?;
            print(&format!("{reference} {digest}\n"));
            lock.insert(&reference, digest);
        }
    }
    if lock.is_empty() {
        let message = format!(
            "{} has no image that a registry has, and that has no digest yet",
            first.display()
        );
        return Err(Failure::wrong(message));
    }
    let path = beside(&file.path);
    user_files::write(&path, lock.text()?.as_bytes(), user_files::OPEN)?;
    view::tell(&format!("written: {}\n", path.display()));
    Ok(())
}

/// Gives the images of a lab the digests that were written down.
///
/// # Errors
/// The list is none.
pub fn apply(lab: &mut Lab, path: &Path) -> Result<(), Failure> {
    let path = beside(path);
    if lab.nodes.iter().all(|node| node.image.is_none()) {
        return Ok(());
    }
    match std::fs::symlink_metadata(&path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        _ => {}
    }
    let text = file::read_regular(&path).map_err(Failure::wrong)?;
    let lock = Lock::read(&text).map_err(|error| error.of(path.display()))?;
    for image in lab.nodes.iter_mut().filter_map(|node| node.image.as_mut()) {
        let Some(reference) = Lock::concerns(&image.source)? else {
            continue;
        };
        match lock.pinned(&reference) {
            Some(pinned) => image.source = pinned,
            None => view::tell(&format!(
                "note: {reference} is not in {}: `nslab image lock` writes it anew\n",
                path.display()
            )),
        }
    }
    Ok(())
}

/// Where the list of a lab file is: `lab.lock.toml` for `lab.toml`.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("lock.toml")
}
