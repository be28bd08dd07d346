//! vtysh on a terminal: lines that can be edited, completed by TAB and explained by `?`.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustyline::completion::{Completer, Pair};
use rustyline::config::{BellStyle, CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, ConditionalEventHandler, Context, Editor, Event, EventContext, EventHandler, Helper, KeyEvent,
    RepeatCount,
};

use super::connection::Connection;
use super::plain::BANNER;
use super::{perform, say};
use crate::bgp::terminal::{Answer, Fault, Request, layout};
use crate::kernel::signals;

/// How many lines are kept.
const HISTORY: usize = 1000;

/// Takes lines until the session ends.
///
/// # Errors
/// The speaker or the terminal has gone.
pub fn run(connection: &mut Connection, history: Option<&Path>) -> io::Result<()> {
    // Ctrl-C ends a program that vtysh runs, not vtysh.
    signals::outlive_interrupts().map_err(io::Error::other)?;
    let file = history.map(Path::to_path_buf).or_else(default_history);
    let mut desk = Desk::new(connection, file)?;
    say(BANNER)?;
    let mut prompt = desk.ask(&Request::Hello)?.prompt;
    let mut begun = Begun::default();
    while let Some(typed) = desk.read(&prompt, &begun)? {
        begun = Begun::default();
        let answer = match typed {
            Typed::Line(line) => {
                desk.remember(&line);
                desk.obey(&prompt, &line)?
            }
            Typed::Question(before, after) => {
                desk.explain(&before)?;
                begun = Begun { before, after };
                continue;
            }
            Typed::End => desk.ask(&Request::Run("end".to_owned()))?,
            Typed::Nothing => continue,
            // In the configuration Ctrl-D goes one place out.
            Typed::Out => desk.obey(&prompt, "exit")?,
        };
        if answer.ends {
            break;
        }
        prompt = answer.prompt;
    }
    Ok(())
}

/// FRR's, in the node's own file system.
fn default_history() -> Option<PathBuf> {
    let home = std::env::var_os("HOME")?;
    Some(Path::new(&home).join(".history_frr"))
}

/// What was typed of a line before its help was asked for.
#[derive(Default)]
struct Begun {
    before: String,
    after: String,
}

/// What somebody has typed.
enum Typed {
    Line(String),
    /// `?`, with what stands before and after it.
    Question(String, String),
    /// Ctrl-Z.
    End,
    /// Ctrl-C.
    Nothing,
    /// Ctrl-D.
    Out,
}

/// The line under the cursor, and the session behind it.
struct Desk<'c> {
    editor: Editor<Assistant<'c>, FileHistory>,
    question: Key,
    end: Key,
    history: Option<PathBuf>,
}

impl<'c> Desk<'c> {
    fn new(connection: &'c mut Connection, history: Option<PathBuf>) -> io::Result<Desk<'c>> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .bell_style(BellStyle::None)
            // Lines that are pasted are commands, one after another.
            .bracketed_paste(false)
            .max_history_size(HISTORY)
            .map_err(io::Error::other)?
            .build();
        let mut editor = Editor::with_config(config).map_err(io::Error::other)?;
        editor.set_helper(Some(Assistant {
            connection: RefCell::new(connection),
        }));
        let (question, end) = (Key::default(), Key::default());
        let bound = |key: &Key| EventHandler::Conditional(Box::new(key.clone()));
        editor.bind_sequence(KeyEvent::from('?'), bound(&question));
        editor.bind_sequence(KeyEvent::ctrl('Z'), bound(&end));
        if let Some(file) = &history {
            // There may be none yet.
            let _ = editor.load_history(file);
        }
        Ok(Desk {
            editor,
            question,
            end,
            history,
        })
    }

    fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        match self.editor.helper() {
            Some(assistant) => assistant.connection.borrow_mut().ask(request),
            None => Ok(Answer::default()),
        }
    }

    /// What is typed next; none where the terminal has gone.
    fn read(&mut self, prompt: &str, begun: &Begun) -> io::Result<Option<Typed>> {
        let read = self
            .editor
            .readline_with_initial(prompt, (&begun.before, &begun.after));
        let at = |key: &Key| key.0.swap(false, Ordering::Relaxed);
        Ok(Some(match read {
            Ok(_) if at(&self.end) => Typed::End,
            Ok(line) if at(&self.question) => {
                let cursor = self.question.1.load(Ordering::Relaxed).min(line.len());
                let (before, after) = line.split_at(cursor);
                Typed::Question(before.to_owned(), after.to_owned())
            }
            Ok(line) => Typed::Line(line),
            Err(ReadlineError::Interrupted) => Typed::Nothing,
            Err(ReadlineError::Eof) => Typed::Out,
            Err(ReadlineError::Io(error)) => return Err(error),
            Err(_) => return Ok(None),
        }))
    }

    fn obey(&mut self, prompt: &str, line: &str) -> io::Result<Answer> {
        let answer = self.ask(&Request::Run(line.to_owned()))?;
        if let Some(fault) = &answer.fault {
            say(&mark(prompt, fault))?;
        }
        let typed: Vec<String> = match answer.client_action {
            Some(_) => self.editor.history().iter().cloned().collect(),
            None => Vec::new(),
        };
        perform(&answer, &typed)?;
        if let Some(fault) = answer.fault.as_ref().filter(|fault| !fault.help.is_empty()) {
            say(&format!("  {}\n", fault.help))?;
        }
        Ok(answer)
    }

    fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || !matches!(self.editor.add_history_entry(line), Ok(true)) {
            return;
        }
        if let Some(file) = &self.history {
            // Where it cannot be kept, it is for this session alone.
            let _ = self.editor.append_history(file);
        }
    }

    fn explain(&mut self, line: &str) -> io::Result<()> {
        let answer = self.ask(&Request::Help(line.to_owned()))?;
        say(&layout(&answer.candidates))
    }
}

/// A line under the one that was typed, in which the words at fault are marked.
fn mark(prompt: &str, fault: &Fault) -> String {
    let before = prompt.chars().count() + fault.column;
    format!("{}{}\n", " ".repeat(before), "^".repeat(fault.width.max(1)))
}

/// A key that ends the reading of a line, and where the cursor stood.
#[derive(Clone, Default)]
struct Key(Arc<AtomicBool>, Arc<std::sync::atomic::AtomicUsize>);

impl ConditionalEventHandler for Key {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        self.0.store(true, Ordering::Relaxed);
        self.1.store(context.pos(), Ordering::Relaxed);
        Some(Cmd::AcceptLine)
    }
}

/// What completes words.
struct Assistant<'c> {
    connection: RefCell<&'c mut Connection>,
}

impl Completer for Assistant<'_> {
    type Candidate = Pair;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let line = &line[..cursor];
        let start = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let request = Request::Complete(line.to_owned());
        let answer = self
            .connection
            .borrow_mut()
            .ask(&request)
            .map_err(ReadlineError::Io)?;
        let pairs = answer.candidates.into_iter().map(|candidate| Pair {
            replacement: format!("{} ", candidate.text),
            display: candidate.text,
        });
        Ok((start, pairs.collect()))
    }
}

impl Helper for Assistant<'_> {}
impl Highlighter for Assistant<'_> {}
impl Validator for Assistant<'_> {}
impl Hinter for Assistant<'_> {
    type Hint = String;
}
