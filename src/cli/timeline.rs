//! `nslab timeline`.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::select::{self, Which};
use super::{complete, print, print_json, values};
use crate::failure::Failure;
use crate::run::directory::LabDirectory;
use crate::run::timeline::{self, History, Unrest};
use crate::timeline::mermaid;
use crate::timeline::quiet::{self, Quiet};
use crate::timeline::row::{self, Row};
use crate::timeline::select::{Prefix, Selection, When};
use crate::view;

/// So much is printed at a time.
const CHUNK: usize = 64 << 10;

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
    sudo nslab timeline mark \"before the cut\"           mark this time\n  \
    sudo nslab exec leaf3 ip link set up0 down\n  \
    sudo nslab timeline                                 who lost and gained which way since the last mark\n  \
    sudo nslab timeline --prefix 10.1.3.0/24 --since ready\n  \
    sudo nslab timeline --node leaf3 --kind all -f      all of one node, as it comes\n  \
    sudo nslab timeline --format mermaid                a diagram that GitHub renders\n\n\
    Times are milliseconds from the mark. The lab is quiet when no route, link or session has changed for `--quiet`."
)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    which: Which,
    /// From when on: a mark (`ready` is when the lab was), how long ago (30s), a time of day in UTC, seconds since 1970, or
    /// `start`; the last mark where nothing is said
    #[arg(long, value_name = "MARK|TIME", value_parser = When::parse)]
    since: Option<When>,
    /// Until when, said the same way
    #[arg(long, value_name = "MARK|TIME", value_parser = When::parse, conflicts_with = "follow")]
    until: Option<When>,
    /// Only routes to this network or to one in it; or, of an address, those that it is reached by
    #[arg(long, value_name = "NET|ADDRESS", value_parser = Prefix::parse)]
    prefix: Option<Prefix>,
    /// Only these nodes; may be repeated
    #[arg(long, value_name = "NODE", value_delimiter = ',', add = complete::nodes())]
    node: Vec<String>,
    /// Only these kinds of changes; may be repeated. route, link, session and node where nothing is said
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<Kind>,
    /// Go on with what changes from now on, until the lab is over
    #[arg(short, long)]
    follow: bool,
    /// How long nothing must change for the lab to be quiet
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = values::duration)]
    quiet: Duration,
    /// How it is printed; json with --follow prints one change a line
    #[arg(long, value_enum, default_value = "table")]
    format: Form,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Mark this time, to be asked for by its name
    #[command(after_help = "Example:\n  sudo nslab timeline mark \"before the cut\"")]
    Mark(MarkArgs),
}

#[derive(Debug, clap::Args)]
struct MarkArgs {
    #[command(flatten)]
    which: Which,
    /// The mark's name; it begins with a letter
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Table,
    /// For programs
    Json,
    /// A sequence diagram for GitHub
    Mermaid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Routes that were lost, gained and moved
    Route,
    /// Interfaces that came, went, and changed
    Link,
    /// Sessions of routers, as far as these log them
    Session,
    /// Nodes and their processes
    Node,
    /// Addresses of interfaces
    Address,
    /// Neighbors on links (ARP, IPv6 neighbor discovery)
    Neighbor,
    /// All of these
    All,
}

impl Kind {
    fn rows(self) -> Vec<row::Kind> {
        match self {
            Kind::Route => vec![row::Kind::Route],
            Kind::Link => vec![row::Kind::Link],
            Kind::Session => vec![row::Kind::Session],
            Kind::Node => vec![row::Kind::Node],
            Kind::Address => vec![row::Kind::Address],
            Kind::Neighbor => vec![row::Kind::Neighbor],
            Kind::All => row::Kind::ALL.to_vec(),
        }
    }
}

/// What is told where nothing is said.
const USUAL: [Kind; 4] = [Kind::Route, Kind::Link, Kind::Session, Kind::Node];

pub fn run(args: Args) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    if let Some(Verb::Mark(mark)) = &args.verb {
        let lab = select::lab(&directory, mark.which.word())?;
        timeline::mark(&lab, &mark.name)?;
        return Ok(());
    }
    let lab = select::lab(&directory, args.which.word())?;
    if args.format == Form::Mermaid && args.follow {
        return Err(Failure::wrong("a diagram cannot be followed"));
    }
    let history = match args.follow {
        true => History::follow(&lab)?,
        false => History::read(&lab)?,
    };
    known_nodes(&lab, &args.node, &history)?;
    let telling = Telling::begin(&args, &history)?;
    match args.format {
        Form::Table => telling.table(history),
        Form::Json if args.follow => telling.lines(history),
        Form::Json => telling.json(&lab, &history),
        Form::Mermaid => {
            telling.mermaid(&history);
            Ok(())
        }
    }
}

fn known_nodes(lab: &LabDirectory, nodes: &[String], history: &History) -> Result<(), Failure> {
    let names = &history.account.names;
    match nodes.iter().find(|node| !names.contains(node)) {
        Some(node) => Err(Failure::wrong(format!("lab {} has no node {node:?}", lab.lab))),
        None => Ok(()),
    }
}

/// What is told, and from when on.
struct Telling {
    mark: (String, u64),
    selection: Selection,
    quiet: Duration,
    follow: bool,
}

/// The whole of it for programs.
#[derive(Serialize)]
struct Whole<'a> {
    lab: &'a str,
    since: Since<'a>,
    changes: Vec<Change<'a>>,
    quiet: Verdict,
    dropped: Vec<Dropped<'a>>,
    unheard: Vec<Unheard<'a>>,
}

#[derive(Serialize)]
struct Since<'a> {
    mark: &'a str,
    time: f64,
    monotonic: u64,
}

#[derive(Serialize)]
struct Change<'a> {
    ms: f64,
    #[serde(flatten)]
    row: &'a Row,
}

#[derive(Serialize)]
struct Verdict {
    is_quiet: bool,
    span_ms: f64,
    after_ms: Option<f64>,
    again_ms: Option<f64>,
}

#[derive(Serialize)]
struct Dropped<'a> {
    node: &'a str,
    entries: u64,
    until_ms: f64,
}

#[derive(Serialize)]
struct Unheard<'a> {
    node: &'a str,
    reason: &'a str,
}

impl Telling {
    fn begin(args: &Args, history: &History) -> Result<Telling, Failure> {
        let mark = history.time(args.since.as_ref())?;
        let mark = match mark.1 {
            // There is nothing before the first entry.
            0 => (mark.0, history.first()),
            _ => mark,
        };
        let until = args.until.as_ref().map(|until| history.time(Some(until)));
        let kinds = if args.kind.is_empty() {
            &USUAL[..]
        } else {
            &args.kind
        };
        let selection = Selection {
            since: mark.1,
            until: until.transpose()?.map(|(_, time)| time),
            prefix: args.prefix,
            nodes: args.node.clone(),
            kinds: kinds.iter().flat_map(|kind| kind.rows()).collect(),
        };
        Ok(Telling {
            mark,
            selection,
            quiet: args.quiet,
            follow: args.follow,
        })
    }

    fn ms(&self, time: u64) -> f64 {
        (i128::from(time) - i128::from(self.mark.1)) as f64 / 1e6
    }

    fn unrest(&self) -> Unrest {
        Unrest::between(self.mark.1, self.selection.until)
    }

    /// What is not told, as it is no longer there, or never was heard.
    fn gaps(&self, history: &History) -> Vec<String> {
        let account = &history.account;
        let is_meant = |node: &String| self.selection.nodes.is_empty() || self.selection.nodes.contains(node);
        let mut lines = Vec::new();
        for dropped in account.dropped.iter().filter(|it| is_meant(&it.node)) {
            if dropped.until >= self.mark.1 {
                let node = if dropped.node.is_empty() {
                    "the lab"
                } else {
                    &dropped.node
                };
                lines.push(format!(
                    "{node}: the oldest {} entries were dropped, up to {:+.3} ms: there is room for {} KiB (`up --timeline`)",
                    dropped.entries,
                    self.ms(dropped.until),
                    account.most >> 10
                ));
            }
        }
        let unheard = account.unheard.iter().filter(|(node, _)| is_meant(node));
        lines.extend(unheard.map(|(node, reason)| format!("{node} is not heard: {reason}")));
        lines
    }

    fn table(&self, mut history: History) -> Result<(), Failure> {
        let names = history.account.names.iter().map(|name| name.chars().count());
        let width = names.max().unwrap_or_default().clamp(4, 40);
        print(&format!("since {}\n{}", self.mark.0, view::timeline::head(width)));
        let mut text = String::new();
        let mut unrest = self.unrest();
        let mut tell = |row: Row| {
            unrest.take(&row);
            if self.selection.has(&row) {
                text += &view::timeline::line(self.mark.1, &row, width);
                if text.len() > CHUNK || self.follow {
                    print(&text);
                    text.clear();
                }
            }
        };
        let mut replay = history.replay(&mut tell);
        if self.follow {
            while history.more(&mut replay, &mut tell)? {}
            return Ok(());
        }
        text += &quiet::words(&unrest.judge(history.account.now, self.quiet));
        text.push('\n');
        for line in self.gaps(&history) {
            text += &format!("{line}\n");
        }
        print(&text);
        Ok(())
    }

    fn lines(&self, mut history: History) -> Result<(), Failure> {
        let mut tell = |row: Row| {
            if self.selection.has(&row) {
                let change = Change {
                    ms: self.ms(row.monotonic),
                    row: &row,
                };
                let line = serde_json::to_string(&change).unwrap_or_default();
                super::written(view::print_json(&format!("{line}\n")));
            }
        };
        let mut replay = history.replay(&mut tell);
        while history.more(&mut replay, &mut tell)? {}
        Ok(())
    }

    fn rows(&self, history: &History) -> (Vec<Row>, Quiet) {
        let (mut rows, mut unrest) = (Vec::new(), self.unrest());
        history.replay(&mut |row| {
            unrest.take(&row);
            if self.selection.has(&row) {
                rows.push(row);
            }
        });
        (rows, unrest.judge(history.account.now, self.quiet))
    }

    fn json(&self, lab: &LabDirectory, history: &History) -> Result<(), Failure> {
        let (rows, quiet) = self.rows(history);
        let account = &history.account;
        let ms = |time: u64| time as f64 / 1e6;
        print_json(&Whole {
            lab: &lab.lab,
            since: Since {
                mark: &self.mark.0,
                time: (i128::from(self.mark.1) + i128::from(account.ahead)) as f64 / 1e9,
                monotonic: self.mark.1,
            },
            changes: rows
                .iter()
                .map(|row| Change {
                    ms: self.ms(row.monotonic),
                    row,
                })
                .collect(),
            quiet: Verdict {
                is_quiet: quiet.is_quiet,
                span_ms: ms(quiet.span),
                after_ms: quiet.after.map(ms),
                again_ms: quiet.again.map(ms),
            },
            dropped: account
                .dropped
                .iter()
                .map(|it| Dropped {
                    node: &it.node,
                    entries: it.entries,
                    until_ms: self.ms(it.until),
                })
                .collect(),
            unheard: account
                .unheard
                .iter()
                .map(|(node, reason)| Unheard { node, reason })
                .collect(),
        })
    }

    fn mermaid(&self, history: &History) {
        let (rows, quiet) = self.rows(history);
        let rows: Vec<&Row> = rows.iter().collect();
        let last = quiet::words(&quiet);
        print(&mermaid::draw(self.mark.1, &rows, &last));
        for line in self.gaps(history) {
            view::tell(&format!("warning: {line}\n"));
        }
    }
}
