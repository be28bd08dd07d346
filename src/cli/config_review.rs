//! What becomes of the configurations that routers start FRR with by their own commands: each line that will be missing is told,
//! whichever way it comes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::file;
use crate::bgp::config::DiagnosticKind;
use crate::engine::own_start::{self, Given, Idle, Lost, Place};
use crate::engine::{self, frr, speaker};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::lab::engines::Engine;
use crate::lab::model::{Command, Kind, Node};
use crate::view;

/// The most lines that are told of a router.
const MOST: usize = 100;

/// What was found.
#[derive(Debug, Default)]
pub struct ConfigReview {
    /// What will be missing and is no reason not to go on.
    pub notes: Vec<String>,
    /// What the builtin engine would lose.
    lost: Vec<String>,
    /// The routers that would lose it, and how many lines.
    routers: Vec<String>,
    count: usize,
}

/// Judges a lab's routers that start FRR themselves; `file` is what their commands stand in.
pub fn review(lab: &Lab, file: &Path) -> ConfigReview {
    let auto = engine::auto();
    let mut review = ConfigReview {
        notes: lab
            .nodes
            .iter()
            .flat_map(|node| shells_words(node, file))
            .take(MOST)
            .collect(),
        ..ConfigReview::default()
    };
    let own = lab
        .nodes
        .iter()
        .filter(|node| node.kind == Kind::Router && node.config.is_none() && node.starts_frr());
    for node in own {
        let unread = RefCell::new(BTreeSet::new());
        let given = own_start::of(node, &|path| regular(path, &unread));
        let unread = unread.into_inner().into_iter();
        review
            .notes
            .extend(unread.map(|why| format!("{}: what is in it is not looked at: {why}", node.name)));
        let notes = given.idle().into_iter().map(|it| idle(node, it, file));
        review.notes.extend(notes);
        match Engine::chosen(node.engine, auto).traits().stands_in {
            true => review.builtin(node, given.lost_on_builtin(), file),
            false => review.frr(node, &given, file),
        }
    }
    review
}

/// The text of a regular file. Whoever waits for what others write waits for the node to run.
fn regular(path: &Path, unread: &RefCell<BTreeSet<String>>) -> Option<String> {
    // A directory holds what is read by itself, and what is missing is told elsewhere.
    let is_readable = fs::metadata(path).is_ok_and(|it| !it.is_dir());
    let text = file::read_regular(path);
    if let (Err(why), true) = (&text, is_readable) {
        unread.borrow_mut().insert(why.clone());
    }
    text.ok()
}

/// Commands that no shell runs and that have words which only a shell takes for more.
fn shells_words(node: &Node, file: &Path) -> Vec<String> {
    let notes = node.exec.iter().filter_map(|exec| {
        let Command::Argv(argv) = &exec.command else {
            return None;
        };
        let [program, words @ ..] = argv.as_slice() else {
            return None;
        };
        let name = program.rsplit('/').next().unwrap_or_default();
        // To these they mean something.
        if matches!(name, "test" | "[" | "expr" | "find") {
            return None;
        }
        let is_shells = |word: &&String| matches!(word.as_str(), ">" | ">>" | "|" | "&&" | "||") || word.starts_with("<<");
        let word = words.iter().find(is_shells)?;
        Some(format!(
            "{}: {}:{}: no shell runs this command, so that `{word}` is a word like any other to {name}: write `sh -c '…'`",
            node.name,
            file.display(),
            exec.line
        ))
    });
    notes.collect()
}

fn idle(node: &Node, idle: Idle, file: &Path) -> String {
    let more = match idle.count - 1 {
        0 => String::new(),
        1 => ", and 1 more line".to_owned(),
        more => format!(", and {more} more lines"),
    };
    format!(
        "{}: {}:{}: `{}`{more}: {} does not run, since /etc/frr/daemons does not say `{}=yes`",
        node.name,
        place(idle.place.as_deref(), file),
        idle.line,
        idle.text,
        idle.daemon,
        idle.daemon
    )
}

/// The file of a line: a command's stands in the lab file.
fn place(place: Option<&str>, file: &Path) -> String {
    place.map_or_else(|| file.display().to_string(), str::to_owned)
}

impl ConfigReview {
    fn builtin(&mut self, node: &Node, lost: Vec<Lost>, file: &Path) {
        if lost.is_empty() {
            return;
        }
        self.routers.push(node.name.clone());
        self.count += lost.iter().map(|lost| 1 + lost.below).sum::<usize>();
        let left_out = lost.len().saturating_sub(MOST);
        for lost in lost.iter().take(MOST) {
            let number = format!(
                "{}: {}:{}: ",
                node.name,
                place(lost.place.as_deref(), file),
                lost.line
            );
            let below = match lost.below {
                0 => String::new(),
                1 => ", and so does the line below it".to_owned(),
                below => format!(", and so do the {below} lines below it"),
            };
            let text = speaker::underlined(&number, &lost.text, &lost.diagnostic);
            self.lost.push(format!("{text}{below}"));
        }
        if left_out > 0 {
            self.lost
                .push(format!("{}: and {left_out} more lines", node.name));
        }
    }

    /// What vtysh takes and FRR's daemons refuse: nobody hears them where FRR's own script starts them, so what the speaker knows of
    /// their refusals is told.
    fn refused_by_daemons(&mut self, node: &Node, given: &Given) {
        let refused = given.lost_on_builtin().into_iter().filter_map(|lost| {
            let is_refusal = matches!(lost.diagnostic.kind, DiagnosticKind::Invalid(_))
                && lost.diagnostic.fault_kind().is_none();
            // Commands tell it themselves when they run.
            let place = lost.place.filter(|_| is_refusal)?;
            Some(format!(
                "{}: {place}:{}: FRR refuses this line: {}",
                node.name, lost.line, lost.diagnostic.message
            ))
        });
        self.notes.extend(refused.take(MOST));
    }

    fn frr(&mut self, node: &Node, given: &Given, file: &Path) {
        self.refused_by_daemons(node, given);
        let mut note = |place: String, said: String| {
            let note = format!("{}: {place}: FRR leaves this line out: {said}", node.name);
            self.notes.push(note);
        };
        for config in &given.config {
            for (number, said) in frr::unknown_lines(&config.text).into_iter().take(MOST) {
                let place = match &config.place {
                    Place::File(path) => format!("{path}:{number}"),
                    Place::Command(line) => format!("{}:{line}", file.display()),
                };
                note(place, said);
            }
        }
        let (text, lines) = given.silent();
        if text.is_empty() {
            return;
        }
        for (number, said) in frr::unknown_lines(&text).into_iter().take(MOST) {
            let line = lines.get(number.saturating_sub(1)).copied().unwrap_or(1);
            note(format!("{}:{line}", file.display()), said);
        }
    }

    /// Tells what is no reason not to go on.
    pub fn tell(&self) {
        for note in &self.notes {
            view::tell(&format!("warning: {note}\n"));
        }
    }

    /// Tells what the builtin engine loses, where that is wanted.
    pub fn tell_lost(&self) {
        for lost in &self.lost {
            view::tell(&format!("warning: lost: {lost}\n"));
        }
    }

    /// Why the lab is not brought up on the builtin engine.
    pub fn refusal(&self) -> Option<Failure> {
        if self.lost.is_empty() {
            return None;
        }
        let lines = match self.count {
            1 => "1 line".to_owned(),
            count => format!("{count} lines"),
        };
        let message = format!(
            "the builtin engine does not take {lines} of the configuration of {}",
            self.routers.join(", ")
        );
        let help = match frr::installed() {
            true => "take FRR (`--engine frr`), or go on without these lines: `--lossy`",
            false => {
                "install FRR (`apt-get install frr`), which takes them, or go on without these lines: `--lossy`"
            }
        };
        Some(Failure::wrong(message).detail(self.lost.join("\n")).help(help))
    }
}
