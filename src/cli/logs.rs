//! `nslab logs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, IsTerminal as _, Read as _, Take, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::select::{self, Which};
use super::{Format, color_out, complete};
use crate::clean;
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::lab::file::suggest;
use crate::lab::names::hash;
use crate::run::client::Client;
use crate::run::directory::{LabDirectory, RunDirectory};
use crate::run::logs::{Line, parse, set_aside};
use crate::run::trust;
use crate::view::terminal;

/// Milliseconds between two looks at the logs where the kernel does not tell of changes.
const LOOK: u16 = 250;
/// So much of what a supervisor has said is shown, in bytes.
const MOST_OF_SUPERVISOR: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab logs                 all nodes, in the order of time\n  \
    sudo nslab logs -f tor0 tor1\n  sudo nslab logs -n 20 tor0\n  \
    sudo nslab logs --since 5m\n  sudo nslab logs --since 13:45:00\n  \
    sudo nslab logs server0/kubelet  only one of its processes\n  \
    sudo nslab logs --supervisor    what nslab said, after `nslab -vv up`\n\n\
    Times are those of UTC. Where several labs run and no node is named, those of all are shown, as LAB:NODE."
)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Go on with what is printed from now on
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines
    #[arg(short = 'n', long, visible_alias = "lines", value_name = "LINES")]
    tail: Option<usize>,
    /// Only what was printed since then: so long ago (90s, 5m, 1h), or a time of the last day in UTC (13:45, 13:45:30)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<u64>,
    /// What nslab itself has said of bringing the lab up: `nslab -vv up` makes it say much
    #[arg(long, conflicts_with_all = ["nodes", "follow", "tail", "since"])]
    supervisor: bool,
    /// How lines are printed; json prints one object a line
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Only these nodes, or single processes of nodes
    #[arg(value_name = "NODE[/PROCESS]", add = complete::processes())]
    nodes: Vec<String>,
}

/// What a supervisor has said, the last part of it.
fn supervisor(lab: &LabDirectory) -> Result<(), Failure> {
    let said = trust::read_end(&lab.supervisor_log(), MOST_OF_SUPERVISOR)?.unwrap_or_default();
    super::print(&String::from_utf8_lossy(&said));
    Ok(())
}

pub fn run(args: Args) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    if args.supervisor {
        return supervisor(&select::lab(&directory, args.which.word())?);
    }
    let labs = match args.nodes.first() {
        Some(word) => vec![lab_of(&directory, args.which.word(), word)?],
        None if args.format == Format::Json => vec![select::lab(&directory, args.which.word())?],
        None => select::labs(&directory, args.which.word())?,
    };
    let mut wanted = Vec::new();
    let mut tails = BTreeMap::new();
    for lab in &labs {
        let known = lab.state().map(|state| state.nodes).unwrap_or_default();
        for word in &args.nodes {
            wanted.push(Wanted::of(word, &known, lab)?);
        }
        let nodes = match wanted.as_slice() {
            [] => known,
            wanted => wanted.iter().map(|it| it.node.clone()).collect(),
        };
        let prefix = match labs.len() {
            1 => String::new(),
            _ => format!("{}:", lab.lab),
        };
        add_tails(&mut tails, lab, nodes, &prefix);
    }
    for it in &wanted {
        it.has_process(&labs[0], args.follow)?;
    }
    // Watched before the first reading, so that nothing falls between.
    let watched = match args.follow {
        true => {
            let clients: Vec<Client> = labs.iter().map(Client::connect).collect::<Result<_, _>>()?;
            Some((watch(&labs), clients))
        }
        false => None,
    };
    let width = tails.keys().map(String::len).max().unwrap_or(0);
    let printer = Printer {
        format: args.format,
        color: color_out(),
        terminal: std::io::stdout().is_terminal(),
        width,
    };
    let is_new = |line: &Line| args.since.is_none_or(|since| line.time >= since);
    let lines = Merged::of(&mut tails).filter(|line| is_wanted(&wanted, line) && is_new(line));
    let goes_on = match args.tail {
        Some(count) => printer.print(last(lines, count)),
        None => printer.print(lines),
    };
    let Some((watch, mut clients)) = watched.filter(|_| goes_on) else {
        return Ok(());
    };
    while !clients.is_empty() {
        wait(watch.as_ref(), &mut clients)?;
        let lines = read_new(&mut tails);
        let lines = lines.into_iter().filter(|line| is_wanted(&wanted, line));
        if !printer.print(lines) {
            return Ok(());
        }
    }
    Ok(())
}

/// Milliseconds since 1970 of a time that was so long ago, or that a clock showed within the last day (UTC).
fn since(text: &str) -> Result<u64, String> {
    const DAY: u64 = 24 * 3600 * 1000;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis());
    let now = u64::try_from(now).unwrap_or(u64::MAX);
    let Some(clock) = clock_millis(text) else {
        let ago = super::values::duration(text).map_err(|_| {
            format!("{text:?} is no time: write how long ago (90s, 5m) or when (13:45, 13:45:30)")
        })?;
        return Ok(now.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)));
    };
    let midnight = now - now % DAY;
    Ok(match midnight + clock {
        then if then > now => then.saturating_sub(DAY),
        then => then,
    })
}

/// `13:45`, `13:45:30`, `13:45:30.250Z` as milliseconds since midnight.
fn clock_millis(text: &str) -> Option<u64> {
    let (time, millis) = match text.trim_end_matches('Z').split_once('.') {
        Some((time, fraction)) => (time, format!("{fraction:0<3}").get(..3)?.parse().ok()?),
        None => (text.trim_end_matches('Z'), 0),
    };
    let mut parts = time
        .split(':')
        .map(|part| part.parse::<u64>().ok().filter(|_| part.len() == 2));
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = match parts.next() {
        None => 0,
        Some(seconds) => seconds?,
    };
    let fits = hours < 24 && minutes < 60 && seconds < 60 && parts.next().is_none();
    fits.then_some(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis)
}

/// Waits for something new in the logs, or for the time of the next look where there is no watch. Takes those labs out that
/// are over: they never answer what was never asked, so that their connections end with them.
fn wait(watch: Option<&Inotify>, clients: &mut Vec<Client>) -> Result<(), Failure> {
    let mut fds: Vec<PollFd<'_>> = clients
        .iter()
        .map(|client| PollFd::new(client.as_fd(), PollFlags::POLLIN))
        .collect();
    fds.extend(watch.map(|watch| PollFd::new(watch.as_fd(), PollFlags::POLLIN)));
    let longest = match watch {
        Some(_) => PollTimeout::NONE,
        None => PollTimeout::from(LOOK),
    };
    match poll(&mut fds, longest) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno).attempt(|| "follow the logs")?,
    }
    let news: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
    if let Some(watch) = watch.filter(|_| news.last() == Some(&true)) {
        watch.read_events().attempt(|| "follow the logs")?;
    }
    let mut is_over = news.into_iter();
    clients.retain(|_| is_over.next() != Some(true));
    Ok(())
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

impl Wanted {
    /// Makes sure that there is such a process: one that runs, or one that has said something.
    ///
    /// # Errors
    /// There is none, or the lab does not answer.
    fn has_process(&self, lab: &LabDirectory, follow: bool) -> Result<(), Failure> {
        let Some(process) = &self.process else {
            return Ok(());
        };
        let mut tails = BTreeMap::new();
        add_tails(&mut tails, lab, vec![self.node.clone()], "");
        let mut known: BTreeSet<String> = Merged::of(&mut tails).map(|line| line.process).collect();
        let status = select::status(lab)?;
        let own = status.nodes.into_iter().filter(|node| node.name == self.node);
        known.extend(own.flat_map(|node| node.services).map(|service| service.name));
        // One that is followed may come yet.
        if known.contains(process) || follow {
            return Ok(());
        }
        let help = suggest::cure(
            process,
            known.iter().map(String::as_str),
            "its processes are",
            "nothing in it has said anything yet",
        );
        Err(Failure::wrong(format!("{} has no process {process:?}", self.node)).help(help))
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

fn add_tails(tails: &mut BTreeMap<String, Tail>, lab: &LabDirectory, nodes: Vec<String>, prefix: &str) {
    tails.extend(nodes.into_iter().map(|node| {
        let tail = Tail {
            path: lab.log(&node),
            open: None,
            rest: String::new(),
        };
        (format!("{prefix}{node}"), tail)
    }));
}

/// Tells when logs change. The kernel has a limited number of watches for each user, of which nodes, whose root is the
/// host's, may have taken all: then there is none.
fn watch(labs: &[LabDirectory]) -> Option<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC).ok()?;
    let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE;
    for lab in labs {
        inotify.add_watch(&lab.logs(), flags).ok()?;
    }
    Some(inotify)
}

/// The last of many lines, of which no more are kept.
fn last(lines: impl Iterator<Item = Line>, count: usize) -> VecDeque<Line> {
    let mut kept = VecDeque::new();
    for line in lines {
        if kept.len() >= count {
            kept.pop_front();
        }
        if count > 0 {
            kept.push_back(line);
        }
    }
    kept
}

/// What all logs hold, in the order of time: read as it is asked for, as logs may be large and many.
struct Merged<'a> {
    sources: Vec<Source<'a>>,
    /// The next line of each source, the earliest first.
    next: BTreeMap<(u64, usize), Line>,
}

/// The log of a node, the part that was set aside first.
struct Source<'a> {
    node: &'a str,
    older: Option<BufReader<Take<File>>>,
    current: Option<BufReader<Take<File>>>,
    /// Where the reading goes on when there is more, and what was read of a line that has no end yet.
    rest: &'a mut String,
}

impl<'a> Merged<'a> {
    fn of(tails: &'a mut BTreeMap<String, Tail>) -> Merged<'a> {
        let sources = tails.iter_mut().map(|(node, tail)| {
            // In this order: what is set aside in between is then read once.
            tail.open = File::open(&tail.path).ok();
            let older = File::open(set_aside(&tail.path)).ok();
            let older = older.filter(|older| inode(older) != tail.open.as_ref().and_then(inode));
            // The clone shares its place in the file.
            let current = tail.open.as_ref().and_then(|file| file.try_clone().ok());
            Source {
                node,
                older: older.map(whole),
                current: current.map(whole),
                rest: &mut tail.rest,
            }
        });
        let mut merged = Merged {
            sources: sources.collect(),
            next: BTreeMap::new(),
        };
        (0..merged.sources.len()).for_each(|at| merged.advance(at));
        merged
    }

    fn advance(&mut self, at: usize) {
        if let Some(line) = self.sources[at].next() {
            self.next.insert((line.time, at), line);
        }
    }
}

impl Iterator for Merged<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let ((_, at), line) = self.next.pop_first()?;
        self.advance(at);
        Some(line)
    }
}

impl Source<'_> {
    fn next(&mut self) -> Option<Line> {
        loop {
            let reader = match &mut self.older {
                Some(older) => older,
                None => self.current.as_mut()?,
            };
            let mut bytes = Vec::new();
            // A log that cannot be read on shows what was read so far.
            let _ = reader.read_until(b'\n', &mut bytes);
            let text = String::from_utf8_lossy(&bytes);
            match text.strip_suffix('\n') {
                Some(text) => {
                    if let Some(line) = parse(self.node, text) {
                        return Some(line);
                    }
                }
                None if self.older.is_some() => self.older = None,
                None => {
                    *self.rest = text.into_owned();
                    self.current = None;
                }
            }
        }
    }
}

/// A file as long as it is now: one that grows all the time has an end all the same.
fn whole(file: File) -> BufReader<Take<File>> {
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    BufReader::new(file.take(length))
}

fn inode(file: &File) -> Option<u64> {
    file.metadata().ok().map(|metadata| metadata.ino())
}

/// What is new in all logs, in the order of time.
fn read_new(tails: &mut BTreeMap<String, Tail>) -> Vec<Line> {
    let mut lines = Vec::new();
    for (node, tail) in tails {
        lines.extend(tail.read().lines().filter_map(|line| parse(node, line)));
    }
    lines.sort_by_key(|line| line.time);
    lines
}

impl Tail {
    /// The complete lines that were added since the last call.
    fn read(&mut self) -> String {
        let mut text = std::mem::take(&mut self.rest);
        let before = self.open.as_ref().and_then(inode);
        if let Some(open) = &mut self.open {
            append(open, &mut text);
        }
        let there = File::open(&self.path).ok();
        if there.as_ref().and_then(inode) != before {
            // Set aside meanwhile, or for the first time there; perhaps set aside twice.
            let older = File::open(set_aside(&self.path)).ok();
            if let Some(mut older) = older.filter(|older| before.is_some() && inode(older) != before) {
                append(&mut older, &mut text);
            }
            self.open = there;
            if let Some(open) = &mut self.open {
                append(open, &mut text);
            }
        }
        let end = text.rfind('\n').map_or(0, |position| position + 1);
        self.rest = text.split_off(end);
        text
    }
}

fn append(file: &mut File, text: &mut String) {
    let mut bytes = Vec::new();
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    // A log that cannot be read on shows what was read so far, and one that grows all the time has an end all the same.
    let _ = file.take(length).read_to_end(&mut bytes);
    text.push_str(&String::from_utf8_lossy(&bytes));
}

struct Printer {
    format: Format,
    color: bool,
    terminal: bool,
    width: usize,
}

impl Printer {
    /// Returns false when nobody reads any more.
    fn print(&self, lines: impl IntoIterator<Item = Line>) -> bool {
        let mut out = BufWriter::new(std::io::stdout().lock());
        let mut lines = lines.into_iter();
        let written = lines.try_for_each(|line| writeln!(out, "{}", self.render(&line)));
        terminal::note(written.and_then(|()| out.flush())).is_ok()
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
        let name = if self.color {
            // Six colors that can be read on dark and light grounds.
            format!("\x1b[{}m{name}\x1b[0m", 31 + hash(line.node.as_bytes()) % 6)
        } else {
            name
        };
        format!("{clock}  {name}  {process}: {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_read() {
        let minute = 60_000;
        assert_eq!(clock_millis("13:45"), Some((13 * 60 + 45) * minute));
        assert_eq!(clock_millis("00:00:30.25Z"), Some(30_250));
        for text in ["", "1:2", "24:00", "12:60", "12:00:00:00", "5m", "90", "12:0x"] {
            assert_eq!(clock_millis(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_in_the_last_day() {
        let now = since("0s").unwrap();
        for text in ["23:59:59", "00:00", "12:00", "24h"] {
            let then = since(text).unwrap();
            assert!(
                then <= now + 1000 && now - then.min(now) <= 24 * 3600 * 1000 + 1000,
                "{text}"
            );
        }
        assert!(since("yesterday").is_err());
    }
}
