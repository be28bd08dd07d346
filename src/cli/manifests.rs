//! Manifests named on the command line, and those that labs name.

use std::path::{Path, PathBuf};

use super::{color, file};
use crate::cilium::manifest::{self, Manifests};
use crate::failure::Failure;
use crate::lab::model::Manifest;
use crate::view;

/// Files with these endings are read where a directory is named.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Reads the files, those in directories that are named, and standard input for `-`.
///
/// # Errors
/// One cannot be read, or there is something wrong in one, which has been told.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Manifest>, Failure> {
    let mut manifests = Vec::new();
    for path in paths {
        match path {
            path if path == Path::new("-") => manifests.push(standard_input()?),
            path if path.is_dir() => {
                for path in inside(path)? {
                    manifests.push(one(&path)?);
                }
            }
            path => manifests.push(one(path)?),
        }
    }
    check(&manifests)?;
    Ok(manifests)
}

/// Tells what is wrong with manifests. Warnings are told by whoever applies them.
///
/// # Errors
/// Something is.
pub fn check(manifests: &[Manifest]) -> Result<(), Failure> {
    sound(manifests).map(drop)
}

/// Tells what is wrong with manifests, and what in them has not the effect that one may expect.
///
/// # Errors
/// Something is wrong.
pub fn judge(manifests: &[Manifest]) -> Result<(), Failure> {
    let read = sound(manifests)?;
    for line in read.lines(&read.warnings) {
        view::tell(&format!("warning: {line}\n"));
    }
    Ok(())
}

fn sound(manifests: &[Manifest]) -> Result<Manifests, Failure> {
    let read = manifest::read(manifests.iter().map(|it| (it.name.clone(), it.text.clone())));
    if read.diagnostics.is_empty() {
        return Ok(read);
    }
    let mut names = Vec::new();
    for (file, diagnostics) in read.files.sorted(read.diagnostics) {
        view::tell_styled(&view::diagnostics::render(
            &file.name,
            &file.text,
            &diagnostics,
            color(),
        ));
        names.push(file.name.clone());
    }
    Err(Failure::wrong(format!(
        "{} cannot be used as it is; nothing was changed",
        names.join(", ")
    )))
}

fn one(path: &Path) -> Result<Manifest, Failure> {
    Ok(Manifest {
        name: path.display().to_string(),
        text: file::read(path).map_err(Failure::wrong)?,
    })
}

fn inside(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let shown = directory.display();
    let cannot = |error| Failure::wrong(format!("cannot read {shown}: {error}"));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(cannot)? {
        paths.push(entry.map_err(cannot)?.path());
    }
    let ending = |path: &Path| path.extension().and_then(|it| it.to_str()).map(str::to_owned);
    paths.retain(|path| ending(path).is_some_and(|it| ENDINGS.contains(&it.as_str())));
    paths.sort();
    match paths.is_empty() {
        true => Err(Failure::wrong(format!("there is no manifest in {shown}"))
            .help("files end in .yaml, .yml or .json")),
        false => Ok(paths),
    }
}

fn standard_input() -> Result<Manifest, Failure> {
    Ok(Manifest {
        name: "standard input".to_owned(),
        text: file::text(std::io::stdin(), "standard input").map_err(Failure::wrong)?,
    })
}
