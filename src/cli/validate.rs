//! `nslab validate`.

use std::path::{Path, PathBuf};

use super::{colour, file, print};
use crate::engine::speaker;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::lab::plan::Engine;
use crate::run::preflight;
use crate::view;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  nslab validate labs/*.toml")]
pub struct Args {
    /// Lab files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Tells which routers have a configuration that the builtin engine, if it is theirs, does not take. Returns whether there
/// are any.
fn report_routers(path: &Path, lab: &Lab) -> bool {
    let auto = preflight::auto_engine();
    let mut wrong = false;
    for node in &lab.nodes {
        let Some(config) = &node.config else { continue };
        if Engine::chosen(node.engine, auto) == Engine::Builtin
            && let Some(complaints) = speaker::complaints(config)
        {
            let mut failure = speaker::refusal(&node.name, complaints);
            failure.message = format!("{}: {}", path.display(), failure.message);
            super::report(&failure);
            wrong = true;
        }
    }
    wrong
}

pub fn run(args: Args) -> Result<(), Failure> {
    let mut wrong = 0;
    for path in &args.files {
        match file::load(path, colour()) {
            Ok(file) if report_routers(path, &file.lab) => wrong += 1,
            Ok(file) => {
                let lab = file.lab;
                let (nodes, links) = (lab.nodes.len(), lab.links.len());
                print(&format!(
                    "{}: lab {}, {nodes} nodes, {links} links\n",
                    path.display(),
                    lab.name
                ));
            }
            Err(file::Mistaken::Unreadable(failure)) => {
                super::report(&failure);
                wrong += 1;
            }
            Err(file::Mistaken::Wrong(text)) => {
                view::tell(&text);
                wrong += 1;
            }
        }
    }
    match wrong {
        0 => Ok(()),
        1 if args.files.len() == 1 => Err(Failure::wrong("the file is not a lab as it stands")),
        _ => Err(Failure::wrong(format!(
            "{wrong} of {} files are not labs as they stand",
            args.files.len()
        ))),
    }
}
