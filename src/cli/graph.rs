//! `nslab graph`.

use std::path::PathBuf;

use clap::ValueEnum;

use super::import_args::ImportArgs;
use super::{colour, imported, print, select};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::run::directory::LONGEST;
use crate::run::trust;
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
    let first = args.import.files(&args.files).into_iter().next();
    let lab = match first {
        None => running(args.lab.as_deref())?,
        Some((first, _)) => {
            let loaded = imported::load(&args.files, &args.import, colour());
            loaded.map_err(|mistaken| mistaken.into_failure(&first))?.lab
        }
    };
    match args.format {
        Drawing::Text => print(&graph::text(&lab)),
        Drawing::Dot => print(&graph::dot(&lab)),
        Drawing::Mermaid => print(&graph::mermaid(&lab)),
        Drawing::Json => super::print_json(&lab)?,
    }
    Ok(())
}

/// A running lab as it was meant when it was started, from however many files.
fn running(lab: Option<&str>) -> Result<Lab, Failure> {
    let directory = super::run_directory()?;
    let lab = select::lab(&directory, lab)?;
    trust::read_json(&lab.topology(), LONGEST)?
        .ok_or_else(|| Failure::not_ready("the lab is only just starting: try again"))
}
