//! What a person sees: errors, progress, tables, the topology.

use std::borrow::Cow;
use std::io;

use crate::clean;

pub mod cilium;
pub mod diagnostics;
mod excerpt;
pub mod failure;
pub mod flows;
pub mod graph;
pub mod image;
pub mod interfaces;
pub mod link;
pub mod plan;
pub mod progress;
pub mod reference;
pub mod table;
pub mod terminal;
pub mod timeline;
pub mod units;

/// Writes to standard error. A reader that has gone, or a full disk, must not end a lab. On a terminal what it would obey
/// is shown as escapes.
pub fn tell(text: &str) {
    let _ = write_shown(io::stderr().lock(), text, clean::text);
}

/// The same for what nslab has given colors, in which all text from elsewhere is clean already.
pub fn tell_styled(text: &str) {
    let _ = write_shown(io::stderr().lock(), text, clean::styled);
}

/// Writes to standard output, as [`tell`] does to standard error.
///
/// # Errors
/// The reader has gone, or the disk is full.
pub fn print(text: &str) -> io::Result<()> {
    terminal::note(write_shown(io::stdout().lock(), text, clean::text))
}

/// Writes text with colors of nslab's own to standard output, as [`tell_styled`] does to standard error.
///
/// # Errors
/// The reader has gone, or the disk is full.
pub fn print_styled(text: &str) -> io::Result<()> {
    terminal::note(write_shown(io::stdout().lock(), text, clean::styled))
}

/// Writes JSON to standard output; on a terminal with more escapes, which change no value.
///
/// # Errors
/// The reader has gone, or the disk is full.
pub fn print_json(text: &str) -> io::Result<()> {
    terminal::note(write_shown(io::stdout().lock(), text, clean::json))
}

fn write_shown(
    mut out: impl io::Write + io::IsTerminal,
    text: &str,
    shown: impl Fn(&str) -> Cow<'_, str>,
) -> io::Result<()> {
    let shown = match out.is_terminal() {
        true => shown(text),
        false => Cow::Borrowed(text),
    };
    out.write_all(shown.as_bytes()).and_then(|()| out.flush())
}
