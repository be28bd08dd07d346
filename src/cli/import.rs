//! `nslab import`.

use std::path::{Path, PathBuf};

use super::import_args::ImportArgs;
use super::{color, config_review, imported, print};
use crate::failure::Failure;
use crate::import::{Imported, relocate, write};
use crate::lab::resolve;
use crate::run::user_files;
use crate::view;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nslab import topo.clab.yml -o lab.toml\n  \
    nslab import topo.yaml cluster.yaml values.yaml policy.yaml -o lab.toml")]
pub struct Args {
    /// Files of containerlab, kind and Cilium that are one lab together
    #[arg(value_name = "FILE", required_unless_present_any = ["topo", "containerlab", "kind"])]
    files: Vec<PathBuf>,
    #[command(flatten)]
    import: ImportArgs,
    /// Where the lab file goes; standard output where nothing is said
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Paths of the lab file are relative to where it will stand; printed, that is here.
fn move_paths(imported: &mut Imported, from: &Path, output: Option<&Path>) {
    let Ok(here) = std::env::current_dir() else { return };
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let to = output.map_or_else(
        || here.clone(),
        |output| {
            let absolute = std::path::absolute(output).unwrap_or_else(|_| output.to_owned());
            absolute.parent().unwrap_or(Path::new("/")).to_owned()
        },
    );
    let (from, here, to) = (real(from), real(&here), real(&to));
    relocate(&mut imported.spec, &from, &here, &to);
}

pub fn run(args: Args) -> Result<(), Failure> {
    let files = args.import.files(&args.files);
    let path = files.first().map_or_else(PathBuf::new, |(path, _)| path.clone());
    let (mut imported, disk) =
        imported::read(&files, &args.import).map_err(|refusal| refusal.into_failure(&path))?;
    for note in &imported.notes {
        view::tell(&format!("{note}\n"));
    }
    let mut diagnostics = imported.diagnostics.clone();
    match resolve::resolve(&imported.spec, &disk) {
        Ok(lab) => {
            let review = config_review::review(&lab, &path);
            review.tell();
            review.tell_lost();
        }
        Err(more) => diagnostics.extend(more),
    }
    if !diagnostics.is_empty() {
        return Err(imported::wrong(&imported, diagnostics, color()).into_failure(&path));
    }
    move_paths(&mut imported, disk.base(), args.output.as_deref());
    let text = write::lab_file(&imported);
    match &args.output {
        None => print(&text),
        Some(output) => user_files::write_new(output, text.as_bytes(), user_files::OPEN)?,
    }
    Ok(())
}
