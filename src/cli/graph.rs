//! `nslab graph`.

use std::path::PathBuf;

use clap::ValueEnum;

use super::import_args::ImportArgs;
use super::{colour, imported, print, select};
use crate::failure::Failure;
use crate::view::graph;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nslab graph labs/quickstart.toml\n  \
    nslab graph --format dot labs/cilium-bgp.toml | dot -Tsvg > lab.svg\n  \
    sudo nslab graph                              the lab that is running")]
pub struct Args {
    /// The lab file, or files of other tools; the running lab's where none is given
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    import: ImportArgs,
    /// The running lab, where several are
    #[arg(long, value_name = "LAB", conflicts_with = "files")]
    lab: Option<String>,
    /// What is drawn
    #[arg(long, value_enum, default_value = "text")]
    format: Drawing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Drawing {
    /// A tree for the terminal
    Text,
    /// Graphviz
    Dot,
    /// Mermaid, for Markdown
    Mermaid,
    /// The resolved lab, for programs
    Json,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let mut files = args.files;
    if args.import.files(&files).is_empty() {
        files.push(running(args.lab.as_deref())?);
    }
    let first = args.import.files(&files).into_iter().next().map(|(path, _)| path);
    let lab = imported::load(&files, &args.import, colour())
        .map_err(|mistaken| mistaken.into_failure(&first.unwrap_or_default()))?
        .lab;
    match args.format {
        Drawing::Text => print(&graph::text(&lab)),
        Drawing::Dot => print(&graph::dot(&lab)),
        Drawing::Mermaid => print(&graph::mermaid(&lab)),
        Drawing::Json => super::print_json(&lab)?,
    }
    Ok(())
}

fn running(lab: Option<&str>) -> Result<PathBuf, Failure> {
    let directory = super::run_directory()?;
    let lab = select::lab(&directory, lab)?;
    let state = lab
        .state()
        .ok_or_else(|| Failure::not_ready("the lab is only just starting: try again"))?;
    Ok(state.file)
}
