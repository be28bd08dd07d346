//! The timeline of a living lab: what records it, what the control socket gives of it, and what commands make of that.
//!
//! Times are nanoseconds of CLOCK_MONOTONIC, which the supervisor and all commands share.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::directory::LabDirectory;
use super::protocol::{Reply, Request};
use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::timeline::entry::{Entries, Said};
use crate::timeline::quiet::{self, Quiet};
use crate::timeline::replay::Replay;
use crate::timeline::row::Row;
use crate::timeline::select::When;

mod heard;
mod listener;
mod patience;
pub mod recorder;
pub mod serve;

pub use patience::{all_heard, hear_all};

/// No piece is longer, in octets, by much.
pub const PIECE: usize = 1 << 20;

/// Some of a timeline. A descriptor of its entries follows, where there are any.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// The number of the entry to go on from.
    pub next: u64,
    /// The time it is.
    pub now: u64,
    /// What CLOCK_REALTIME is ahead of it.
    pub ahead: i64,
    /// Names of nodes by their numbers, in the first piece.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// What is no longer there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<DroppedOf>,
    /// Nodes that are not heard, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unheard: Vec<(String, String)>,
    /// Octets that the timeline has, and may have.
    pub held: usize,
    /// See `held`.
    pub most: usize,
}

/// What was dropped of a node's entries, as there was no room for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedOf {
    /// The node; empty for marks.
    pub node: String,
    /// How many entries.
    pub entries: u64,
    /// The time of the last of them.
    pub until: u64,
}

/// What became of waiting for rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// Whether it came in time.
    pub is_quiet: bool,
    /// When a route, an interface or a session changed last; 0 where none has.
    pub last_change: u64,
    /// The time it is.
    pub now: u64,
}

/// Marks this time. Returns it.
///
/// # Errors
/// The lab does not answer, or that is no name.
pub fn mark(lab: &LabDirectory, name: &str) -> Result<u64, Failure> {
    let mark = Request::Mark {
        name: name.to_owned(),
    };
    match Client::connect(lab)?.ask(&mark)? {
        (Reply::Marked { time }, _) => Ok(time),
        _ => Err(odd(lab)),
    }
}

/// Waits until no route, interface or session of the lab has changed for a span, and no less after the time `since` (or now), but
/// no longer than `most`.
///
/// # Errors
/// The lab does not answer.
pub fn wait_quiet(
    lab: &LabDirectory,
    since: Option<u64>,
    span: Duration,
    most: Duration,
) -> Result<Rest, Failure> {
    let rest = Request::Rest {
        since,
        span_ms: millis(span),
        most_ms: millis(most),
    };
    match Client::connect(lab)?.ask(&rest)? {
        (Reply::Rested(rest), _) => Ok(rest),
        _ => Err(odd(lab)),
    }
}

/// How long the lab took to be quiet again after a time, and whether it is.
///
/// # Errors
/// The lab does not answer.
pub fn quiet_since(lab: &LabDirectory, mark: u64, span: Duration) -> Result<Quiet, Failure> {
    let history = History::read(lab)?;
    Ok(history.quiet(mark, None, span))
}

/// The changes from a time on, in their order, in pieces: `each` gets them as they are understood.
///
/// # Errors
/// The lab does not answer.
pub fn rows_since(lab: &LabDirectory, time: u64, each: &mut dyn FnMut(Row)) -> Result<(), Failure> {
    let mut wanted = |row: Row| {
        if row.monotonic >= time {
            each(row);
        }
    };
    History::read(lab)?.replay(&mut wanted);
    Ok(())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn odd(lab: &LabDirectory) -> Failure {
    Failure::not_ready(format!("lab {} gave an answer to something else", lab.lab))
}

/// When routes, interfaces and sessions changed.
pub struct Unrest {
    mark: u64,
    until: Option<u64>,
    changes: Vec<u64>,
}

impl Unrest {
    /// After a mark, and until another time.
    pub fn between(mark: u64, until: Option<u64>) -> Unrest {
        Unrest {
            mark,
            until,
            changes: Vec::new(),
        }
    }

    /// Takes a row into account. They come in their order.
    pub fn take(&mut self, row: &Row) {
        let is_between = row.monotonic >= self.mark && self.until.is_none_or(|until| row.monotonic <= until);
        // Of many at the same time one says as much.
        if row.kind.is_unrest() && is_between && self.changes.last() != Some(&row.monotonic) {
            self.changes.push(row.monotonic);
        }
    }

    /// How long the lab took to be quiet again.
    pub fn judge(&self, now: u64, span: Duration) -> Quiet {
        let now = self.until.map_or(now, |until| until.min(now));
        quiet::judge(self.mark, &self.changes, now, nanos(span))
    }
}

/// All that a timeline has now, as entries.
pub struct History {
    pieces: Vec<Vec<u8>>,
    /// The last piece's account, with the names of nodes.
    pub account: Piece,
    more: Option<Client>,
}

impl History {
    /// Reads it.
    ///
    /// # Errors
    /// The lab does not answer.
    pub fn read(lab: &LabDirectory) -> Result<History, Failure> {
        History::ask(lab, false)
    }

    /// Reads it, and can go on then with what comes.
    ///
    /// # Errors
    /// The lab does not answer.
    pub fn follow(lab: &LabDirectory) -> Result<History, Failure> {
        History::ask(lab, true)
    }

    fn ask(lab: &LabDirectory, follow: bool) -> Result<History, Failure> {
        let mut client = Client::connect(lab)?;
        let mut answer = client.ask(&Request::Timeline { follow })?;
        let mut history = History {
            pieces: Vec::new(),
            account: Piece::default(),
            more: None,
        };
        loop {
            match answer {
                (Reply::Timeline(piece), fds) => {
                    history.pieces.push(entries(fds)?);
                    let names = std::mem::take(&mut history.account.names);
                    history.account = piece;
                    if history.account.names.is_empty() {
                        history.account.names = names;
                    }
                }
                (Reply::Done, _) => {
                    history.more = follow.then_some(client);
                    return Ok(history);
                }
                _ => return Err(odd(lab)),
            }
            answer = match client.next_reply()? {
                Some(answer) => answer,
                None => return Err(Failure::not_ready("the lab has just gone")),
            };
        }
    }

    /// The time of the first entry; now where there is none.
    pub fn first(&self) -> u64 {
        let first = self.pieces.iter().find_map(|piece| Entries(piece).next());
        first.map_or(self.account.now, |entry| entry.time)
    }

    /// The marks, in their order: name and time.
    pub fn marks(&self) -> Vec<(String, u64)> {
        let entries = self.pieces.iter().flat_map(|piece| Entries(piece));
        let marks = entries.filter(|entry| entry.said == Said::Mark);
        let mark = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
        marks.map(|entry| (mark(entry.body), entry.time)).collect()
    }

    /// The time that is meant, and what to call it. Where nothing is said, the last mark.
    ///
    /// # Errors
    /// There is no such mark.
    pub fn time(&self, when: Option<&When>) -> Result<(String, u64), Failure> {
        let marks = self.marks();
        let ahead = i128::from(self.account.ahead);
        let of = |seconds: f64| u64::try_from((seconds * 1e9) as i128 - ahead).unwrap_or(0);
        Ok(match when {
            None => match marks.last() {
                Some(mark) => mark.clone(),
                None => ("start".to_owned(), 0),
            },
            Some(When::Start) => ("start".to_owned(), 0),
            Some(When::Mark(name)) => match marks.iter().rfind(|(it, _)| it == name) {
                Some(mark) => mark.clone(),
                None => return Err(no_mark(name, &marks)),
            },
            Some(When::Ago(time)) => (
                format!("{} s ago", *time as f64 / 1e9),
                self.account.now.saturating_sub(*time),
            ),
            Some(When::At(seconds)) => (format!("{seconds}"), of(*seconds)),
            Some(When::OfDay(seconds)) => {
                let now = (i128::from(self.account.now) + ahead) as f64 / 1e9;
                let mut at = (now / 86_400.0).floor() * 86_400.0 + seconds;
                if at > now {
                    at -= 86_400.0;
                }
                ("that time".to_owned(), of(at))
            }
        })
    }

    /// Plays all of it. Returns what can go on from there.
    pub fn replay(&self, each: &mut dyn FnMut(Row)) -> Replay {
        let mut replay = Replay::new(self.account.names.clone(), i128::from(self.account.ahead));
        self.pieces.iter().for_each(|piece| replay.take(piece, each));
        replay
    }

    /// How long the lab took to be quiet again after a time, by what changed until another.
    pub fn quiet(&self, mark: u64, until: Option<u64>, span: Duration) -> Quiet {
        let mut unrest = Unrest::between(mark, until);
        self.replay(&mut |row| unrest.take(&row));
        unrest.judge(self.account.now, span)
    }

    /// Waits for more of one that is followed, and plays it. Returns false once the lab is over.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn more(&mut self, replay: &mut Replay, each: &mut dyn FnMut(Row)) -> Result<bool, Failure> {
        let Some(client) = &mut self.more else {
            return Ok(false);
        };
        match client.next_reply()? {
            Some((Reply::Timeline(piece), fds)) => {
                replay.take(&entries(fds)?, each);
                let names = std::mem::take(&mut self.account.names);
                self.account = Piece { names, ..piece };
                Ok(true)
            }
            Some((Reply::Failed(failure), _)) => Err(failure),
            _ => Ok(false),
        }
    }
}

fn no_mark(name: &str, marks: &[(String, u64)]) -> Failure {
    let mut names: Vec<&str> = marks.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    let first = names.len().saturating_sub(10);
    let failure = Failure::wrong(format!("the timeline has no mark {name:?}"));
    match names.is_empty() {
        true => failure.help("`nslab timeline mark NAME` makes one; `--since start` shows all there is"),
        false => failure.help(format!("it has {}", names[first..].join(", "))),
    }
}

/// The entries that came beside a piece.
fn entries(fds: Vec<OwnedFd>) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if let Some(fd) = fds.into_iter().next() {
        let file = File::from(fd);
        let most = (PIECE * 2) as u64;
        file.take(most)
            .read_to_end(&mut bytes)
            .attempt(|| "read a timeline")?;
    }
    Ok(bytes)
}
