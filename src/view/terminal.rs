//! What the terminal can show, and whether what was printed has arrived.

use std::env;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether something that was meant for standard output did not arrive.
static LOST: AtomicBool = AtomicBool::new(false);

/// Whether a stream obeys a terminal's commands: colors, and lines that are overwritten.
pub fn is_clever(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether a stream takes colors (no-color.org: not where NO_COLOR is set to anything).
pub fn has_colors(stream: &impl IsTerminal) -> bool {
    is_clever(stream) && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether nothing but ASCII is to be drawn: the locale is said to be another than one of UTF-8 (locale(7): the first of
/// these that is set counts). Where nothing is said, as in most containers, terminals understand UTF-8 all the same.
pub fn is_ascii() -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(env::var_os)
        .find(|value| !value.is_empty());
    said.is_some_and(|locale| !speaks_utf8(&locale.to_string_lossy()))
}

fn speaks_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Columns of the terminal that standard error is; 80 where it does not tell.
pub fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    match size.map(|size| size.ws_col) {
        Ok(columns @ 1..) => columns.into(),
        _ => 80,
    }
}

/// As much of a line as fits into a terminal without wrapping.
pub fn fitting(line: &str) -> String {
    let width = width().saturating_sub(1);
    match line.chars().count() <= width {
        true => line.to_owned(),
        false => line.chars().take(width).collect(),
    }
}

/// Notes that something did not arrive, for the exit code.
pub fn note<T>(result: io::Result<T>) -> io::Result<T> {
    if result.is_err() {
        LOST.store(true, Ordering::Relaxed);
    }
    result
}

/// Whether all that was meant for standard output has arrived.
pub fn has_arrived() -> bool {
    !LOST.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_say_their_encoding() {
        for (locale, utf8) in [
            ("C", false),
            ("POSIX", false),
            ("C.UTF-8", true),
            ("de_DE.utf8", true),
            ("en_US.ISO-8859-1", false),
        ] {
            assert_eq!(speaks_utf8(locale), utf8, "{locale}");
        }
    }
}
