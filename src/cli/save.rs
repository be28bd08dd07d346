//! `nslab save`.

use super::select::{self, Several, Which};
use super::{complete, print};
use crate::failure::{Code, Failure};
use crate::lab::model::Command;
use crate::run::directory::LabDirectory;
use crate::run::enter::{self, Terminal, Visit};
use crate::view;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab save\n  sudo nslab save srl1 srl2\n\n\
    How a node keeps its configuration, the file of its kind says (`save`; `nslab kinds show KIND`). What is kept in a node\n\
    goes with its lab: `nslab cp` brings it out.")]
pub struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    several: Several,
    /// The nodes; where none is named, all whose kinds say how
    #[arg(value_name = "NODE", add = complete::nodes(), conflicts_with_all = ["all", "kind", "label"])]
    nodes: Vec<String>,
}

/// A node to be asked, and what it is asked.
type Asked = (LabDirectory, String, Option<Command>);

/// Returns the exit code.
pub fn run(args: Args) -> Result<i32, Failure> {
    let mut all_well = true;
    for (lab, node, save) in asked(&args)? {
        let Some(command) = save else {
            let message = format!("nothing says how {node} keeps its configuration");
            return Err(Failure::wrong(message)
                .help("`save` in the file of its kind does: `nslab kinds`, docs/kinds.md"));
        };
        let visit = Visit {
            argv: command.argv(),
            env: Vec::new(),
            user: None,
            workdir: None,
            terminal: Terminal::Never,
            interactive: false,
        };
        match enter::run(&lab, &node, &visit)? {
            0 => print(&format!("{node} has kept its configuration\n")),
            status => {
                view::tell(&format!("{node}: `{command}` ended with status {status}\n"));
                all_well = false;
            }
        }
    }
    Ok(if all_well { 0 } else { Code::NotReady as i32 })
}

/// The nodes that are meant.
fn asked(args: &Args) -> Result<Vec<Asked>, Failure> {
    let directory = super::run_directory()?;
    if args.nodes.is_empty() && !args.several.is_given() {
        let lab = select::lab(&directory, args.which.word())?;
        let nodes = select::status(&lab)?.nodes.into_iter();
        let asked: Vec<Asked> = nodes
            .filter(|node| node.save.is_some())
            .map(|node| (lab.clone(), node.name, node.save))
            .collect();
        return match asked.is_empty() {
            true => Err(Failure::wrong(format!(
                "no node of lab {} is of a kind that says how it keeps its configuration",
                lab.lab
            ))
            .help("`nslab kinds` lists kinds; docs/kinds.md says what their files can say")),
            false => Ok(asked),
        };
    }
    let nodes = select::nodes(&directory, &args.which, &args.nodes, &args.several)?;
    let asked = nodes.into_iter().map(|(lab, node)| {
        let status = select::status(&lab)?;
        let found = status.nodes.into_iter().find(|it| it.name == node);
        Ok((lab, node, found.and_then(|it| it.save)))
    });
    asked.collect()
}
