//! `nslab import`.

use std::path::PathBuf;

use super::import_args::ImportArgs;
use super::{colour, imported, judge, print};
use crate::failure::Failure;
use crate::import::write;
use crate::lab::resolve;
use crate::run::handover;
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
    match resolve::resolve(&imported.spec, &disk) {
        Ok(lab) => {
            let judgement = judge::judge(&lab, &path);
            judgement.tell();
            judgement.tell_lost();
        }
        Err(more) => mistakes.extend(more),
    }
    if !mistakes.is_empty() {
        return Err(imported::wrong(&imported, mistakes, colour()).into_failure(&path));
    }
    let text = write::lab_file(&imported);
    match &args.output {
        None => print(&text),
        Some(output) => handover::write_new(output, text.as_bytes(), handover::OPEN)?,
    }
    Ok(())
}
