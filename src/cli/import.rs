//! `nslab import`.

use std::fs;
use std::path::{Path, PathBuf};

use super::import_args::ImportArgs;
use super::{colour, imported, print};
use crate::failure::Failure;
use crate::import::write;
use crate::lab::resolve;
use crate::view;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nslab import topo.clab.yml -o lab.toml\n  \
    nslab import topo.yaml cluster.yaml values.yaml policy.yaml -o lab.toml")]
pub struct Args {
    /// Files of containerlab, kind and Cilium that are one lab together
    #[arg(value_name = "FILE", required_unless_present_any = ["containerlab", "kind"])]
    files: Vec<PathBuf>,
    #[command(flatten)]
    import: ImportArgs,
    /// Where the lab file goes; standard output where nothing is said
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let files = args.import.files(&args.files);
    let path = files.first().map_or_else(PathBuf::new, |(path, _)| path.clone());
    let (imported, disk) =
        imported::read(&files, &args.import).map_err(|mistaken| mistaken.into_failure(&path))?;
    for note in &imported.notes {
        view::tell(&format!("{note}\n"));
    }
    let mut mistakes = imported.mistakes.clone();
    if let Err(more) = resolve::resolve(&imported.spec, &disk) {
        mistakes.extend(more);
    }
    if !mistakes.is_empty() {
        return Err(imported::wrong(&imported, mistakes, colour()).into_failure(&path));
    }
    let text = write::lab_file(&imported);
    match &args.output {
        None => print(&text),
        Some(output) => create(output, &text)?,
    }
    Ok(())
}

/// Writes the file, over none that is there.
fn create(path: &Path, text: &str) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::wrong(format!("{} is there already", path.display()))
            .help("name another file, or remove that one"),
        _ => Failure::host(format!("cannot write {}: {error}", path.display())),
    };
    let mut file = fs::File::create_new(path).map_err(wrong)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(wrong)
}
