//! `nslab exec`.

use std::ffi::OsString;

use super::select;
use crate::failure::{Code, Failure};
use crate::run::enter::{self, Terminal, Visit};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab exec tor0 vtysh\n  sudo nslab exec a ping -c1 b\n  \
    sudo nslab exec --env MODE=x --user nobody a sh -c 'id; env'\n\n\
    The exit code is the command's own; 125 when nslab failed, 126 when the command cannot be executed,\n\
    127 when there is none of that name.\n\n\
    Where input and output are a terminal, the command gets a terminal of the node's; `-it` asks for one anywhere."
)]
pub struct Args {
    /// The lab, where several have a node of that name
    #[arg(long, value_name = "LAB")]
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
    /// The node
    #[arg(value_name = "NODE")]
    node: String,
    /// The command and its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
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
    if verb != "exec" || option(node) || command.first().is_none_or(option) {
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
        node,
        command,
    })
}

pub fn run(args: Args) -> Result<i32, Failure> {
    let directory = super::run_directory()?;
    let lab = select::lab_of_node(&directory, args.lab.as_deref(), &args.node)?;
    let visit = Visit {
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
    };
    enter::run(&lab, &args.node, &visit)
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
            "nslab ps a b",
        ] {
            assert!(plain_words(line).is_none(), "{line}");
        }
    }
}
