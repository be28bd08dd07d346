//! Mistakes that come from what was to be filled in and was not: variables that are not set, and Go templates.

use super::Files;
use crate::lab::Diagnostic;
use crate::lab::spec::Span;

/// A variable that is not set and has no default.
#[derive(Debug, Clone)]
pub(super) struct Unset {
    pub name: String,
    pub span: Span,
}

/// What a Go template begins an action with.
const ACTION: &str = "{{";

/// The mistakes with their cause: those on a line with a variable that is not set, or with a template, are told as that, once.
pub(super) fn blame(mistakes: Vec<Diagnostic>, unset: &[Unset], files: &Files) -> Vec<Diagnostic> {
    let mut told: Vec<Diagnostic> = Vec::new();
    for mistake in mistakes {
        let place = mistake.labels.first().map_or(0, |label| label.span.start);
        let cause = cause(place, unset, files).unwrap_or(mistake);
        if !told.contains(&cause) {
            told.push(cause);
        }
    }
    told
}

/// The cause of a mistake at a place.
fn cause(place: usize, unset: &[Unset], files: &Files) -> Option<Diagnostic> {
    let line = files.line(place);
    let file = files.at(place)?;
    let text = file.text.lines().nth(line.1 - 1).unwrap_or_default();
    // What a template calls `$x` is no variable of the environment.
    if let Some(at) = text.find(ACTION) {
        let before: usize = file
            .text
            .split_inclusive('\n')
            .take(line.1 - 1)
            .map(str::len)
            .sum();
        let begin = file.begin + before;
        return Some(template(begin + at..begin + text.len()));
    }
    let found = unset.iter().find(|unset| files.line(unset.span.start) == line);
    found.map(not_set)
}

/// The cause of a file that is no YAML: what is to be filled in anywhere in it.
pub(super) fn of_whole(text: &str, begin: usize, unset: &[Unset]) -> Option<Vec<Diagnostic>> {
    if let Some(at) = text.find(ACTION) {
        let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
        return Some(vec![template(begin + at..begin + end)]);
    }
    let here = unset
        .iter()
        .filter(|unset| (begin..=begin + text.len()).contains(&unset.span.start));
    let mistakes: Vec<Diagnostic> = here.map(not_set).collect();
    (!mistakes.is_empty()).then_some(mistakes)
}

fn not_set(unset: &Unset) -> Diagnostic {
    let name = unset.name.escape_debug();
    let message = format!("the variable `{name}` is not set");
    let help = format!(
        "set it (`export {name}=…`; with sudo, `sudo {name}=… nslab …`), or give it a default: `${{{name}:=…}}`"
    );
    Diagnostic::new(message, unset.span.clone(), "nothing stands here").help(help)
}

fn template(span: Span) -> Diagnostic {
    let message = "this is a Go template, and those are not yet supported";
    let help = "render it first, for example with `gomplate -f FILE`, and give nslab what comes out";
    Diagnostic::new(message, span, "to be filled in").help(help)
}
