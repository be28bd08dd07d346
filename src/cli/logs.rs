//! `nslab logs`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{IsTerminal as _, Read, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::{Format, colour_out, select};
use crate::clean;
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::lab::names::hash;
use crate::run::client::Client;
use crate::run::directory::{LabDirectory, RunDirectory};
use crate::run::logs::{Line, parse, set_aside};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab logs                 all nodes, in the order of time\n  \
    sudo nslab logs -f tor0 tor1\n  sudo nslab logs --tail 20 tor0\n  \
    sudo nslab logs server0/kubelet  only one of its processes"
)]
pub struct Args {
    /// The lab, where several are running
    #[arg(long, value_name = "LAB")]
    lab: Option<String>,
    /// Go on with what is printed from now on
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<usize>,
    /// How lines are printed; json prints one object a line
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Only these nodes, or single processes of nodes
    #[arg(value_name = "NODE[/PROCESS]")]
    nodes: Vec<String>,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    let lab = match args.nodes.first() {
        Some(word) => lab_of(&directory, args.lab.as_deref(), word)?,
        None => select::lab(&directory, args.lab.as_deref())?,
    };
    let known = lab.state().map(|state| state.nodes).unwrap_or_default();
    let wanted: Vec<Wanted> = args
        .nodes
        .iter()
        .map(|word| Wanted::of(word, &known, &lab))
        .collect::<Result<_, _>>()?;
    let nodes = match wanted.as_slice() {
        [] => known,
        wanted => wanted.iter().map(|it| it.node.clone()).collect(),
    };
    let mut tails = tails(&lab, nodes);
    // Watched before the first reading, so that nothing falls between.
    let watched = match args.follow {
        true => Some((watch(&lab.logs())?, Client::connect(&lab)?)),
        false => None,
    };
    let mut lines = read_all(&mut tails, true);
    lines.retain(|line| is_wanted(&wanted, line));
    if let Some(count) = args.tail {
        lines.drain(..lines.len().saturating_sub(count));
    }
    let width = tails.keys().map(String::len).max().unwrap_or(0);
    let printer = Printer {
        format: args.format,
        colour: colour_out(),
        terminal: std::io::stdout().is_terminal(),
        width,
    };
    if !printer.print(&lines) {
        return Ok(());
    }
    let Some((watch, client)) = watched else {
        return Ok(());
    };
    let mut over = false;
    while !over {
        over = wait(&watch, &client)?;
        let mut lines = read_all(&mut tails, false);
        lines.retain(|line| is_wanted(&wanted, line));
        if !printer.print(&lines) {
            return Ok(());
        }
    }
    Ok(())
}

/// Waits for something new in the logs. Returns whether the lab is over: it never answers what was never asked,
/// so that its connection ends with it.
fn wait(watch: &Inotify, client: &Client) -> Result<bool, Failure> {
    let mut fds = [
        PollFd::new(watch.as_fd(), PollFlags::POLLIN),
        PollFd::new(client.as_fd(), PollFlags::POLLIN),
    ];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno).attempt(|| "follow the logs")?,
    }
    if fds[0].any().unwrap_or(true) {
        watch.read_events().attempt(|| "follow the logs")?;
    }
    Ok(fds[1].any().unwrap_or(true))
}

/// How far a node's log has been read.
struct Tail {
    path: PathBuf,
    open: Option<File>,
    rest: String,
}

/// A node, or one of its processes.
struct Wanted {
    node: String,
    process: Option<String>,
}

impl Wanted {
    /// What a word means among the nodes of a lab: pods have a `/` in their names, too.
    fn of(word: &str, known: &[String], lab: &LabDirectory) -> Result<Wanted, Failure> {
        let has = |node: &str| known.iter().any(|known| known == node);
        match word.rsplit_once('/') {
            _ if has(word) => Ok(Wanted {
                node: word.to_owned(),
                process: None,
            }),
            Some((node, process)) if has(node) => Ok(Wanted {
                node: node.to_owned(),
                process: Some(process.to_owned()),
            }),
            _ => Err(Failure::wrong(format!("lab {} has no node {word:?}", lab.lab))
                .help("`nslab ps` lists the nodes")),
        }
    }
}

fn is_wanted(wanted: &[Wanted], line: &Line) -> bool {
    let fits =
        |it: &Wanted| it.node == line.node && it.process.as_ref().is_none_or(|name| *name == line.process);
    wanted.is_empty() || wanted.iter().any(fits)
}

/// The lab that has a node, or the node of a process.
fn lab_of(directory: &RunDirectory, lab: Option<&str>, word: &str) -> Result<LabDirectory, Failure> {
    let found = select::lab_of_node(directory, lab, word);
    match word.rsplit_once('/') {
        Some((node, _)) if found.is_err() => select::lab_of_node(directory, lab, node),
        _ => found,
    }
}

fn tails(lab: &LabDirectory, nodes: Vec<String>) -> BTreeMap<String, Tail> {
    let tail = |node: String| {
        let path = lab.log(&node);
        let tail = Tail {
            path,
            open: None,
            rest: String::new(),
        };
        (node, tail)
    };
    nodes.into_iter().map(tail).collect()
}

fn watch(logs: &Path) -> Result<Inotify, Failure> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC).attempt(|| "follow the logs")?;
    let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE;
    inotify.add_watch(logs, flags).attempt(|| "follow the logs")?;
    Ok(inotify)
}

/// What is new in all logs, in the order of time.
fn read_all(tails: &mut BTreeMap<String, Tail>, with_older: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    for (node, tail) in tails {
        if with_older && let Ok(older) = fs::read(set_aside(&tail.path)) {
            lines.extend(
                String::from_utf8_lossy(&older)
                    .lines()
                    .filter_map(|line| parse(node, line)),
            );
        }
        lines.extend(tail.read().lines().filter_map(|line| parse(node, line)));
    }
    lines.sort_by_key(|line| line.time);
    lines
}

impl Tail {
    /// The complete lines that were added since the last call.
    fn read(&mut self) -> String {
        let mut text = std::mem::take(&mut self.rest);
        if let Some(open) = &mut self.open {
            append(open, &mut text);
        }
        if self.replaced() {
            self.open = File::open(&self.path).ok();
            if let Some(open) = &mut self.open {
                append(open, &mut text);
            }
        }
        let end = text.rfind('\n').map_or(0, |position| position + 1);
        self.rest = text.split_off(end);
        text
    }

    /// Whether the path is another file than the open one: not yet opened, or set aside meanwhile.
    fn replaced(&mut self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let there = fs::metadata(&self.path).ok().map(|metadata| metadata.ino());
        let open = self
            .open
            .as_ref()
            .and_then(|file| file.metadata().ok())
            .map(|metadata| metadata.ino());
        there != open
    }
}

fn append(file: &mut File, text: &mut String) {
    let mut bytes = Vec::new();
    // A log that cannot be read on shows what was read so far.
    let _ = file.read_to_end(&mut bytes);
    text.push_str(&String::from_utf8_lossy(&bytes));
}

struct Printer {
    format: Format,
    colour: bool,
    terminal: bool,
    width: usize,
}

impl Printer {
    /// Returns false when nobody reads any more.
    fn print(&self, lines: &[Line]) -> bool {
        let mut out = std::io::stdout().lock();
        lines
            .iter()
            .all(|line| writeln!(out, "{}", self.render(line)).is_ok())
            && out.flush().is_ok()
    }

    fn render(&self, line: &Line) -> String {
        if self.format == Format::Json {
            let text = serde_json::to_string(line).unwrap_or_default();
            return match self.terminal {
                true => clean::json(&text).into_owned(),
                false => text,
            };
        }
        // What nodes print is theirs, and must not become commands to the reader's terminal.
        let text = match self.terminal {
            true => clean::line(line.text.trim_end_matches('\r')),
            false => line.text.as_str().into(),
        };
        let process = match self.terminal {
            true => clean::line(&line.process),
            false => line.process.as_str().into(),
        };
        let clock = super::events::clock(line.time as f64 / 1000.0);
        let name = format!("{:width$}", line.node, width = self.width);
        let name = if self.colour {
            // Six colours that can be read on dark and light grounds.
            format!("\x1b[{}m{name}\x1b[0m", 31 + hash(line.node.as_bytes()) % 6)
        } else {
            name
        };
        format!("{clock}  {name}  {process}: {text}")
    }
}
