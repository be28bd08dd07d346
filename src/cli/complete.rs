//! What shells offer for completion: nslab is asked itself, as labs and nodes come and go. Whoever may not look at a lab is
//! offered what everybody can see of it; nothing is swept, made or told.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::CommandFactory as _;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::{CompleteEnv, Shells};

use super::select;
use crate::check::ask;
use crate::kinds::OWN;
use crate::run::directory::{LabDirectory, RunDirectory};
use crate::run::flows;
use crate::run::links;
use crate::run::protocol::NodeStatus;
use crate::run::rootless;
use crate::scenario::topology;

/// The variable by which a shell's script asks for candidates.
pub const VARIABLE: &str = "NSLAB_COMPLETE";
/// Whether bash asks. The variable itself is taken away before candidates are looked for.
static IS_BASH: AtomicBool = AtomicBool::new(false);
/// No more labs are asked for what only they know.
const ASKED: usize = 8;

/// Answers a shell that asks for candidates. Returns false where none does.
pub fn answer() -> bool {
    if std::env::var_os(VARIABLE).is_none() {
        return false;
    }
    let asked = CompleteEnv::with_factory(super::Cli::command)
        .var(VARIABLE)
        .bin("nslab");
    let here = std::env::current_dir().ok();
    IS_BASH.store(
        std::env::var_os(VARIABLE).is_some_and(|shell| shell == "bash"),
        Ordering::Relaxed,
    );
    // A shell has no use for a complaint in the middle of a line.
    asked
        .try_complete(std::env::args_os(), here.as_deref())
        .unwrap_or(true)
}

/// The script for a shell, which calls this program.
///
/// # Errors
/// There is no such shell.
pub fn script(shell: &str, program: &str) -> io::Result<Vec<u8>> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(shell)
        .ok_or_else(|| io::Error::other("there is no such shell"))?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "nslab", "nslab", program, &mut script)?;
    Ok(script)
}

fn running() -> Vec<LabDirectory> {
    RunDirectory::find().visible()
}

/// Those that begin as what was typed, in order and once each.
fn candidates(typed: &OsStr, all: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let fitting: BTreeSet<String> = all
        .into_iter()
        .filter(|it| it.starts_with(&*typed) && !it.contains(char::is_control))
        .collect();
    fitting
        .into_iter()
        .map(|it| CompletionCandidate::new(quoted(it)))
        .collect()
}

/// A word as it stands on the command line: bash inserts what it is given, the other shells quote it themselves.
fn quoted(word: String) -> String {
    let is_bash = IS_BASH.load(Ordering::Relaxed);
    let is_plain = |it: char| it.is_alphanumeric() || "-_./:,=@%+".contains(it);
    if !is_bash || word.chars().all(is_plain) {
        return word;
    }
    let mut quoted = String::with_capacity(word.len() + 8);
    for character in word.chars() {
        if !is_plain(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}

/// Those of root's labs among them for users who are not root, as far as everybody may know them.
fn node_names() -> impl Iterator<Item = String> {
    let own = running().into_iter().filter_map(|lab| lab.state());
    own.flat_map(|state| state.nodes).chain(rootless::nodes_of_root())
}

fn lab_names() -> impl Iterator<Item = String> {
    let own = running().into_iter().map(|lab| lab.lab);
    own.chain(rootless::labs_of_root())
}

fn statuses() -> impl Iterator<Item = NodeStatus> {
    let labs = running().into_iter().take(ASKED);
    labs.filter_map(|lab| select::status(&lab).ok())
        .flat_map(|status| status.nodes)
}

/// Labs that run.
pub fn labs() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| candidates(typed, lab_names()))
}

/// Labs that run, and files.
pub fn labs_and_files() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mut found = candidates(typed, lab_names());
        found.extend(lab_files().complete(typed));
        found
    })
}

/// Images of the store.
pub fn images() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let place = crate::image::store::Store::usual_place();
        candidates(typed, crate::image::store::names(&place))
    })
}

/// Files that labs are in.
pub fn files() -> ArgValueCompleter {
    ArgValueCompleter::new(lab_files())
}

fn lab_files() -> PathCompleter {
    PathCompleter::file().filter(|path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| matches!(extension, "toml" | "yml" | "yaml"))
    })
}

/// Nodes of labs that run, pods among them; after a comma another one.
pub fn nodes() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let before = match typed.to_string_lossy().rfind(',') {
            Some(comma) => typed.to_string_lossy()[..=comma].to_owned(),
            None => String::new(),
        };
        candidates(typed, node_names().map(|node| format!("{before}{node}")))
    })
}

/// Ends of links: a node, and (once a colon is typed) its interfaces.
pub fn ends() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let typed_text = typed.to_string_lossy();
        let Some((node, _)) = typed_text.split_once(':') else {
            return candidates(typed, node_names().map(|node| format!("{node}:")));
        };
        let directory = RunDirectory::find();
        let links = directory
            .visible()
            .into_iter()
            .flat_map(|lab| links::show(&lab, None).unwrap_or_default());
        let ends = links.flat_map(|link| [Some(link.a), link.b]).flatten();
        let of_node = format!("{node}:");
        candidates(typed, ends.filter(|end| end.starts_with(&of_node)))
    })
}

/// Nodes, and (once a slash is typed) their processes.
pub fn processes() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mut all: Vec<String> = node_names().collect();
        if typed.to_string_lossy().contains('/') {
            let processes = statuses().flat_map(|node| {
                let services = node.services.into_iter();
                services.map(move |service| format!("{}/{}", node.name, service.name))
            });
            all.extend(processes);
        }
        candidates(typed, all)
    })
}

/// Interfaces of nodes: the nodes, and (once a colon is typed) what they have.
pub fn interfaces() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let typed_text = typed.to_string_lossy();
        let Some((node, _)) = typed_text.rsplit_once(':') else {
            return candidates(typed, node_names().map(|node| format!("{node}:")));
        };
        let labs = running().into_iter().take(ASKED);
        let nodes = labs
            .filter_map(|lab| select::status_and_interfaces(&lab).ok())
            .flat_map(|it| it.nodes);
        let interfaces = nodes.filter(|candidate| candidate.name == node).flat_map(|node| {
            let interfaces = node.interfaces.into_iter();
            interfaces.map(move |interface| format!("{}:{}", node.name, interface.name))
        });
        candidates(typed, interfaces)
    })
}

/// A place to copy from or to: `NODE:`, or a path.
pub fn places() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mut found = candidates(typed, node_names().map(|node| format!("{node}:")));
        found.extend(PathCompleter::any().complete(typed));
        found
    })
}

/// A command for a node, which has the programs of this machine: their names, and then paths.
pub fn command() -> ArgValueCompleter {
    ArgValueCompleter::new(CommandLine)
}

struct CommandLine;

impl ValueCompleter for CommandLine {
    fn complete(&self, typed: &OsStr) -> Vec<CompletionCandidate> {
        self.complete_at(0, typed)
    }

    fn complete_at(&self, index: usize, typed: &OsStr) -> Vec<CompletionCandidate> {
        if index > 0 || typed.is_empty() || typed.to_string_lossy().contains('/') {
            return PathCompleter::any().complete(typed);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let directories = std::env::split_paths(&path).filter_map(|it| std::fs::read_dir(it).ok());
        let programs = directories.flatten().flatten();
        candidates(
            typed,
            programs.filter_map(|program| program.file_name().into_string().ok()),
        )
    }
}

/// Labels of nodes.
pub fn labels() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let labels = statuses().flat_map(|node| node.labels);
        candidates(typed, labels.map(|(key, value)| format!("{key}={value}")))
    })
}

/// Kinds of nodes: nslab's own, and those that files say of nodes that run.
pub fn kinds() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let of_files = statuses().filter_map(|node| node.of_kind);
        candidates(typed, OWN.iter().map(|kind| (*kind).to_owned()).chain(of_files))
    })
}

/// Flows of labs that run.
pub fn flows() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let labs = running().into_iter().take(ASKED);
        let flows = labs.filter_map(|lab| flows::report(&lab, &[], false).ok());
        candidates(typed, flows.flatten().map(|flow| flow.name))
    })
}

/// Names of scenarios.
pub fn scenarios() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let labs = running().into_iter().filter_map(|lab| topology::of(&lab).ok());
        candidates(
            typed,
            labs.flat_map(|lab| lab.scenarios).map(|scenario| scenario.name),
        )
    })
}

/// Names of checks.
pub fn checks() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let checks = running().into_iter().filter_map(|lab| ask::checks_of(&lab).ok());
        candidates(typed, checks.flatten().map(|check| check.name))
    })
}
