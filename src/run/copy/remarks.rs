//! What a copy has to tell: few lines, each short.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::clean;
use crate::kernel::tree::Kind;

/// How many things are told one by one.
const LINES: usize = 50;
/// The bytes of a path that are shown, its end.
const WIDTH: usize = 240;
/// All that is told is shorter: so much fits into a pipe that nobody reads yet.
pub const LONGEST: usize = 60 << 10;

/// What is told of a copy.
#[derive(Debug)]
pub struct Remarks {
    source: String,
    target: String,
    lines: Vec<String>,
    more: usize,
    failed: bool,
}

impl Remarks {
    /// Of a copy from there, as the user would write it.
    pub fn new(source: String) -> Remarks {
        Remarks {
            source,
            target: String::new(),
            lines: Vec::new(),
            more: 0,
            failed: false,
        }
    }

    /// The directory that it goes into, as the user would write it.
    pub fn goes_to(&mut self, target: String) {
        self.target = target;
    }

    /// Something has no data to copy.
    pub fn skipped(&mut self, path: &Path, kind: Kind) {
        let path = self.below_source(path);
        self.line(format!("{path} is {}; it was left out", kind.words()));
    }

    /// What was asked for is nothing that has data.
    pub fn refused(&mut self, kind: Kind) {
        self.failed = true;
        self.line(format!(
            "{} is {}, which cannot be copied",
            self.source,
            kind.words()
        ));
    }

    /// Something could not be read.
    pub fn unread(&mut self, path: &Path, errno: i32) {
        self.failed = true;
        let path = self.below_source(path);
        let reason = nix::errno::Errno::from_raw(errno).desc();
        let why = match errno {
            libc::ELOOP => "it leads through too many links, or through one of /proc's own",
            _ => reason,
        };
        self.line(format!("{path}: {why}"));
    }

    /// The copy ended early.
    pub fn failed(&mut self, path: &Path, error: &io::Error) {
        let place = match path.as_os_str().is_empty() {
            true => self.target.clone(),
            false => joined(&self.target, path),
        };
        // What went wrong without a number says more than its kind.
        self.error(format!("{place}: {}", reason(error)));
    }

    /// The copy did not begin.
    pub fn error(&mut self, line: String) {
        self.failed = true;
        // It is the last word, whatever was told before.
        if self.lines.len() >= LINES {
            self.lines.pop();
            self.more += 1;
        }
        self.line(line);
    }

    fn line(&mut self, line: String) {
        match self.lines.len() {
            LINES.. => self.more += 1,
            _ => self.lines.push(clean::line(&line).into_owned()),
        }
    }

    /// The first name of a path is that of what was asked for.
    fn below_source(&self, path: &Path) -> String {
        let mut parts = path.components();
        parts.next();
        match parts.as_path().as_os_str().is_empty() {
            true => self.source.clone(),
            false => joined(&self.source, parts.as_path()),
        }
    }

    /// Whether all there is to copy was copied.
    pub fn is_whole(&self) -> bool {
        !self.failed
    }

    /// All that was told, a line each.
    pub fn text(&self) -> String {
        let mut text: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        if self.more > 0 {
            text.push_str(&format!("and {} more\n", self.more));
        }
        text
    }
}

fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(errno) => nix::errno::Errno::from_raw(errno).desc().to_owned(),
        None => error.to_string(),
    }
}

/// A path below another, of which the end is shown where it is long.
fn joined(place: &str, path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let start = bytes.len().saturating_sub(WIDTH);
    let cut = if start > 0 { "…" } else { "" };
    let path = clean::bytes(&bytes[start..]);
    format!("{}/{cut}{path}", place.trim_end_matches('/'))
}
