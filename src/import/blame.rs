//! Errors that come from what was to be filled in and was not: variables that are not set, and Go templates.

use std::collections::HashSet;

use super::Files;
use crate::lab::Diagnostic;
use crate::lab::file::Span;

/// A variable that is not set and has no default.
#[derive(Debug, Clone)]
pub(super) struct Unset {
    pub name: String,
    /// Whether it is written `${X}`. Without braces most are variables of a shell's own.
    pub is_in_braces: bool,
    pub span: Span,
}

/// What a Go template begins an action with.
const ACTION: &str = "{{";

/// The errors with their cause: those on a line with a variable that is not set, or with a template, are told as that, once.
pub(super) fn blame(diagnostics: Vec<Diagnostic>, unset: &[Unset], files: &Files) -> Vec<Diagnostic> {
    let mut unset: Vec<&Unset> = unset.iter().collect();
    unset.sort_by_key(|unset| unset.span.start);
    let mut told: Vec<Diagnostic> = Vec::new();
    let mut causes = HashSet::new();
    for diagnostic in diagnostics {
        let place = diagnostic.labels.first().map_or(0, |label| label.span.start);
        match cause(place, &unset, files) {
            Some((at, cause)) => told.extend(causes.insert(at).then_some(cause)),
            None => told.push(diagnostic),
        }
    }
    told
}

/// The cause of an error at a place, and where that is. `unset` is in the order of the places.
fn cause(place: usize, unset: &[&Unset], files: &Files) -> Option<(usize, Diagnostic)> {
    let file = files.at(place)?;
    let text = &file.text;
    let within = text.floor_char_boundary(place.saturating_sub(file.begin));
    let begin = text[..within].rfind('\n').map_or(0, |at| at + 1);
    let end = text[within..].find('\n').map_or(text.len(), |at| within + at);
    // What a template calls `$x` is no variable of the environment.
    if let Some(at) = text[begin..end].find(ACTION) {
        let at = file.begin + begin + at;
        return Some((at, template(at..file.begin + end)));
    }
    let first = unset.partition_point(|unset| unset.span.start < file.begin + begin);
    let found = unset
        .get(first)
        .filter(|unset| unset.span.start <= file.begin + end)?;
    Some((found.span.start, not_set(found)))
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
    let diagnostics: Vec<Diagnostic> = here.map(not_set).collect();
    (!diagnostics.is_empty()).then_some(diagnostics)
}

fn not_set(unset: &Unset) -> Diagnostic {
    let name = unset.name.escape_debug();
    let message = format!("the variable `{name}` is not set");
    let help = format!(
        "set it (`export {name}=…`; with sudo, `sudo {name}=… nslab …`), or give it a default: `${{{name}:=…}}`"
    );
    Diagnostic::new(message, unset.span.clone(), "it stays as it is written").help(help)
}

fn template(span: Span) -> Diagnostic {
    let message = "this is a Go template, and only topologies are rendered";
    let help = "render it first, for example with `gomplate -f FILE`, and give nslab what comes out";
    Diagnostic::new(message, span, "to be filled in").help(help)
}
