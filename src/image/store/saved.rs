//! Images that Docker or Podman has, by their own commands.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Kind, Result};
use crate::manifest::shown;
use crate::source::Source;

/// The program that has the image, and the image's name there.
fn owner(source: &Source) -> Result<(&'static str, &str)> {
    let (program, name) = match source {
        Source::DockerDaemon(name) => ("docker", name),
        Source::ContainersStorage(name) => ("podman", name),
        other => {
            return Err(Error::wrong(format!(
                "{other} is not an image of Docker's or Podman's"
            )));
        }
    };
    match name.is_empty() || name.starts_with('-') {
        true => Err(Error::wrong(format!(
            "`{}` is not the name of an image",
            shown(name)
        ))),
        false => Ok((program, name)),
    }
}

/// The id of an image, which changes with its content.
pub(super) fn id(source: &Source) -> Result<String> {
    let (program, name) = owner(source)?;
    let text = run(program, &["image", "inspect", "--format", "{{.Id}}", name])?;
    match text.trim() {
        "" => Err(Error::host(format!(
            "{program} does not say which image {} is",
            shown(name)
        ))),
        id => Ok(id.chars().take(200).collect()),
    }
}

/// Writes an image into a file.
pub(super) fn save(source: &Source, work: &Path) -> Result<PathBuf> {
    let (program, name) = owner(source)?;
    let file = work.join("saved.tar");
    let path = file.to_string_lossy();
    match program {
        // Podman would compress nothing either way, and say so.
        "podman" => run(
            program,
            &["save", "--quiet", "--format", "docker-archive", "-o", &path, name],
        )?,
        _ => run(program, &["save", "-o", &path, name])?,
    };
    Ok(file)
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| {
            Error::io(format!("run {program}"), &error).help(format!(
                "{program} is to be installed where an image of its own is used"
            ))
        })?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said
                .lines()
                .rfind(|it| !it.trim().is_empty())
                .unwrap_or("nothing");
            Err(Error::new(
                Kind::Missing,
                format!("{program} says: {}", shown(last)),
            ))
        }
    }
}
