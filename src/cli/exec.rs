//! `nslab exec`.

use std::ffi::OsString;

use super::complete;
use super::select::{self, Several, Which};
use crate::failure::{Code, Failure};
use crate::run::directory::LabDirectory;
use crate::run::enter::{self, Terminal, Visit};
use crate::view;

/// The status of a command that Ctrl-C has ended, as a shell gives it.
const INTERRUPTED: i32 = 130;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab exec tor0 vtysh\n  sudo nslab exec a ping -c1 b\n  \
    sudo nslab exec --env MODE=x --user nobody a sh -c 'id; env'\n  \
    sudo nslab exec -it tor0 bash\n  \
    sudo nslab exec --kind router vtysh -c 'show ip route'     in every router\n  \
    sudo nslab exec tor0,tor1 ip route                         in these two\n\n\
    The exit code is the command's own; 125 when nslab failed, 126 when the command cannot be executed,\n\
    127 when there is none of that name. In several nodes it runs in one after the other, without a terminal, and the\n\
    exit code is the first that is not 0.\n\n\
    Where input and output are a terminal, the command gets a terminal of the node's; `-it` asks for one anywhere."
)]
pub struct Args {
    /// The lab, where several have a node of that name
    #[arg(long, value_name = "LAB", add = complete::labs())]
    lab: Option<String>,
    /// Set a variable in the command's environment; without =VALUE, pass on the caller's
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// The user it runs as: a name the node knows, or a number
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// The directory it starts in
    #[arg(short, long, value_name = "DIRECTORY")]
    workdir: Option<String>,
    /// Give the command a terminal even where input or output is none
    #[arg(short, long, conflicts_with = "no_tty")]
    tty: bool,
    /// Give the command no terminal
    #[arg(short = 'T', long)]
    no_tty: bool,
    /// Let the command read what is typed though its output goes elsewhere
    #[arg(short, long)]
    interactive: bool,
    #[command(flatten)]
    several: Several,
    /// The node, or several with commas between; not with --all, --kind and --label
    #[arg(value_name = "NODE", add = complete::nodes())]
    node: String,
    /// The command and its arguments
    #[arg(
        value_name = "COMMAND",
        add = complete::command(),
        required_unless_present_any = ["all", "kind", "label"],
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<String>,
}

/// The arguments of `nslab exec NODE COMMAND…` without options. Reading them with the parser of all verbs takes
/// a tenth of the time of the whole, and this is what scripts call in loops; it takes whatever is not so plain.
pub fn plain(words: impl Iterator<Item = OsString>) -> Option<Args> {
    let words: Option<Vec<String>> = words.skip(1).map(|word| word.into_string().ok()).collect();
    let words = words?;
    let [verb, node, command @ ..] = words.as_slice() else {
        return None;
    };
    let option = |word: &String| word.starts_with('-');
    if verb != "exec" || option(node) || node.contains(',') || command.first().is_none_or(option) {
        return None;
    }
    let (node, command) = (node.clone(), command.to_vec());
    Some(Args {
        lab: None,
        env: Vec::new(),
        user: None,
        workdir: None,
        tty: false,
        no_tty: false,
        interactive: false,
        several: Several::default(),
        node,
        command,
    })
}

pub fn run(mut args: Args) -> Result<i32, Failure> {
    let directory = super::run_directory()?;
    let is_one = !args.node.contains(',') && !args.several.is_given();
    if is_one {
        let lab = select::lab_of_node(&directory, args.lab.as_deref(), &args.node)?;
        let node = std::mem::take(&mut args.node);
        return enter::run(&lab, &node, &visit(args));
    }
    let word = std::mem::take(&mut args.node);
    if args.several.is_given() {
        // There is no node before the command then.
        args.command.insert(0, word.clone());
    }
    let which = Which::named(args.lab.as_deref());
    let nodes = select::nodes(&directory, &which, &[word], &args.several)?;
    in_several(&nodes, &visit(args))
}

fn visit(args: Args) -> Visit {
    Visit {
        argv: args.command,
        env: args.env.iter().filter_map(|text| variable(text)).collect(),
        user: args.user,
        workdir: args.workdir,
        terminal: match (args.tty, args.no_tty) {
            (true, _) => Terminal::Always,
            (_, true) => Terminal::Never,
            _ => Terminal::WhereCallerHasOne,
        },
        interactive: args.interactive,
    }
}

/// Runs the same in one node after the other, under the name of each. Returns the first status that is not 0.
fn in_several(nodes: &[(LabDirectory, String)], visit: &Visit) -> Result<i32, Failure> {
    let mut visit = visit.clone();
    if visit.terminal == Terminal::WhereCallerHasOne {
        visit.terminal = Terminal::Never;
    }
    let (mut worst, mut failed) = (0, Vec::new());
    for (number, (lab, node)) in nodes.iter().enumerate() {
        let space = if number == 0 { "" } else { "\n" };
        super::print(&format!("{space}==> {node} <==\n"));
        let status = enter::run(lab, node, &visit).unwrap_or_else(self::failed);
        if status != 0 {
            failed.push(format!("{node} ({status})"));
            worst = if worst == 0 { status } else { worst };
        }
        if status == INTERRUPTED {
            break;
        }
    }
    if !failed.is_empty() {
        let (failed, all) = (failed.join(", "), nodes.len());
        view::tell(&format!(
            "nslab: of {all} nodes, the command did not end with 0 in {failed}\n"
        ));
    }
    Ok(worst)
}

/// `NAME=VALUE`, or `NAME` for the caller's own value if there is one.
fn variable(text: &str) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => std::env::var(text).ok().map(|value| (text.to_owned(), value)),
    }
}

/// Tells why nslab could not run the command. A host that lacks something (root) is told as everywhere.
pub fn failed(failure: Failure) -> i32 {
    super::report(&failure);
    if failure.code == Code::Host && !nix::unistd::geteuid().is_root() {
        return Code::Host as i32;
    }
    enter::FAILED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain_words(line: &str) -> Option<Args> {
        plain(line.split(' ').map(OsString::from))
    }

    #[test]
    fn only_plain_lines_go_past_the_parser() {
        let args = plain_words("nslab exec a ping -c1 b").unwrap();
        assert_eq!((args.node.as_str(), args.command.len()), ("a", 3));
        for line in [
            "nslab",
            "nslab exec a",
            "nslab exec --user x a id",
            "nslab exec a -h",
            "nslab exec a -- id",
            "nslab exec a,b id",
            "nslab ps a b",
        ] {
            assert!(plain_words(line).is_none(), "{line}");
        }
    }
}
