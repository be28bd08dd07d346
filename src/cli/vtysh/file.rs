//! `vtysh -f`: a file of the configuration's lines; and `vtysh -C`, which only looks at it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::connection::Connection;
use super::reason;
use crate::bgp::config::{self, Config, DiagnosticKind, Reader};
use crate::bgp::terminal::{Request, Status, complaint, refusal};

/// Where the configuration stands.
const CONFIGURATION: &str = "/etc/frr/frr.conf";
/// Lines that are sent at once: a request is one line, of which the speaker takes so much.
const AT_ONCE: usize = 16 * 1024;
/// Bytes of a file that are read.
const LONGEST: u64 = 16 << 20;
/// FRR's number of a file that cannot be read.
const UNREADABLE: i32 = 11;

/// Adds what a file says to the running configuration. The status is that of the worst of its lines.
///
/// # Errors
/// The speaker has gone.
pub fn load(connection: &mut Connection, path: &Path) -> io::Result<i32> {
    let Some(text) = read(path) else {
        return Ok(UNREADABLE);
    };
    let (mut worst, mut number) = (Status::Success, 0);
    for lines in batches(&text) {
        let count = lines.len();
        let answer = connection.ask(&Request::Load(lines))?;
        crate::view::tell(&answer.output);
        worst = worst.max(answer.status);
        for complaint in answer.complaints {
            crate::view::tell(&format!(
                "line {}: {}",
                number + complaint.line + 1,
                complaint.message
            ));
            worst = worst.max(complaint.status);
        }
        number += count;
    }
    Ok(worst.number())
}

/// Says what is wrong with a file, and changes nothing.
pub fn check(path: Option<&Path>) -> i32 {
    let Some(text) = read(path.unwrap_or(Path::new(CONFIGURATION))) else {
        return UNREADABLE;
    };
    let (mut config, mut reader) = (Config::default(), Reader::default());
    let mut worst = Status::Success;
    for (at, line) in text.lines().enumerate() {
        if let Err(diagnostic) = reader.take(&mut config, line) {
            // Whether what it speaks of is there, only the running configuration knows.
            if diagnostic.fault_kind().is_none() && diagnostic.kind != DiagnosticKind::NeedsFrr {
                continue;
            }
            let (status, message) = complaint(&diagnostic, line, reader.mode());
            crate::view::tell(&format!("line {}: {message}", at + 1));
            worst = worst.max(status);
        }
    }
    worst.number()
}

/// Prints a file, the end of each block marked, up to the first line that is no command. `-` is what is typed.
///
/// # Errors
/// Nobody reads.
pub fn mark(path: &Path) -> io::Result<i32> {
    let Some(text) = read(path) else {
        return Ok(UNREADABLE);
    };
    let (marked, diagnostic) = config::mark(&text);
    // As FRR's vtysh writes to what it takes for a terminal.
    super::say(&marked.replace('\n', "\r\n"))?;
    let Some(diagnostic) = diagnostic else {
        return Ok(0);
    };
    let line = text.lines().nth(diagnostic.line - 1).unwrap_or_default();
    let (status, message) = refusal(&diagnostic, line);
    eprintln!("line {}: {message}", diagnostic.line);
    Ok(status.number())
}

fn read(path: &Path) -> Option<String> {
    let read = || {
        let mut octets = Vec::new();
        let source: Box<dyn io::Read> = match path.to_str() {
            Some("-") => Box::new(io::stdin()),
            _ => Box::new(File::open(path)?),
        };
        source.take(LONGEST + 1).read_to_end(&mut octets)?;
        match octets.len() as u64 > LONGEST {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => Ok::<_, io::Error>(octets),
        }
    };
    match read() {
        Ok(octets) => Some(String::from_utf8_lossy(&octets).into_owned()),
        Err(error) => {
            eprintln!(
                "% Can't open configuration file {} due to '{}'.",
                path.display(),
                reason(&error)
            );
            None
        }
    }
}

/// The lines of a text, so many at once as fit.
fn batches(text: &str) -> Vec<Vec<String>> {
    let mut batches: Vec<Vec<String>> = Vec::new();
    let mut room = 0;
    for line in text.lines() {
        // Quotes and the like take more room on the way, at most six octets each.
        let needed = 6 * line.len() + 3;
        if batches.is_empty() || needed > room {
            batches.push(Vec::new());
            room = AT_ONCE.max(needed);
        }
        room -= needed;
        if let Some(batch) = batches.last_mut() {
            batch.push(line.to_owned());
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_every_line_once() {
        let text: String = (0..2000)
            .map(|at| format!("ip prefix-list p seq {at} permit any\n"))
            .collect();
        let batches = batches(&text);
        assert!(batches.len() > 10);
        assert!(
            batches
                .iter()
                .all(|batch| Request::Load(batch.clone()).encode().len() < AT_ONCE + 16)
        );
        assert_eq!(batches.concat().join("\n") + "\n", text);
    }
}
