//! `COMMAND | include EXPRESSION`: what FRR makes of a bar with a blank behind it, wherever it stands.

use std::ops::Range;

use regex::Regex;

use super::diagnostic::{Diagnostic, DiagnosticKind};

/// A line with a filter.
#[derive(Debug)]
pub struct Pipe<'l> {
    /// What stands before the bar: all that FRR takes for the command.
    pub command: &'l str,
    /// Which lines of the answer are left; what FRR says where it knows no such filter, and then does nothing at all.
    pub filter: Result<Regex, String>,
}

/// The filter of a line; none where there is none.
pub fn pipe(line: &str) -> Option<Pipe<'_>> {
    let (command, action) = line.split_once("| ")?;
    let (action, expression) = action.trim_start().split_once(' ').unwrap_or((action.trim(), ""));
    let filter = match (action, expression) {
        ("include", "") => Err("% Need a regexp to filter with".to_owned()),
        ("include", expression) => Regex::new(expression).map_err(|_| format!("% Bad regexp '{expression}'")),
        (action, _) => Err(format!("% Unknown action '{action}'")),
    };
    Some(Pipe { command, filter })
}

/// What is wrong with a line of a configuration, of which FRR takes the part before a bar alone, or nothing.
pub fn cut(line: &str) -> Option<Diagnostic> {
    if line.trim_start().starts_with(['!', '#']) {
        return None;
    }
    let Pipe { command, filter } = pipe(line)?;
    let (message, text) = match filter {
        Ok(_) => {
            let message = format!("of this line only `{}` is taken", command.trim());
            (message.clone(), format!("% {message}"))
        }
        Err(text) => (text.trim_start_matches(['%', ' ']).to_owned(), text),
    };
    let span: Range<usize> = command.len()..line.trim_end().len();
    Some(Diagnostic {
        line: 1,
        span,
        kind: DiagnosticKind::Invalid(text),
        message,
        help: "vtysh takes what is behind `|` for a filter".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_frr_cuts_are_told() {
        let told = |line: &str| cut(line).map(|diagnostic| diagnostic.message);
        assert_eq!(told(" description a|b"), None);
        assert_eq!(told(" description a |b"), None);
        assert_eq!(told("! description a | b"), None);
        assert_eq!(told(" description a | b").as_deref(), Some("Unknown action 'b'"));
        assert_eq!(
            told(" description north | include").as_deref(),
            Some("Need a regexp to filter with")
        );
        assert_eq!(
            told(" description north | include x").as_deref(),
            Some("of this line only `description north` is taken")
        );
    }
}
