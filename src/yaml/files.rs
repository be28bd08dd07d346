//! Several files that are one lab together. A place is a byte of all of them laid end to end, so that an error in one
//! may point to another.

use std::ops::Range;
use std::path::Path;

use crate::lab::Diagnostic;
use crate::lab::diagnostic::Label;
use crate::lab::file::Span;

/// A file and where it begins.
#[derive(Debug, Clone)]
pub struct File {
    /// As the user named it.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The place of its first byte.
    pub begin: usize,
    newlines: Vec<usize>,
}

/// The files that were read.
#[derive(Debug, Clone, Default)]
pub struct Files {
    files: Vec<File>,
}

impl Files {
    /// Adds a file; where it begins.
    pub fn add(&mut self, name: String, text: String) -> usize {
        // One byte between files keeps the end of one apart from the beginning of the next.
        let begin = self
            .files
            .last()
            .map_or(0, |file| file.begin + file.text.len() + 1);
        let newlines = text.match_indices('\n').map(|(at, _)| at).collect();
        self.files.push(File {
            name,
            text,
            begin,
            newlines,
        });
        begin
    }

    /// The file that the user named so.
    pub fn named(&self, path: &Path) -> Option<&File> {
        self.files.iter().find(|file| Path::new(&file.name) == path)
    }

    /// The file that a place is in.
    pub fn at(&self, place: usize) -> Option<&File> {
        let after = self.files.partition_point(|file| file.begin <= place);
        self.files.get(after.checked_sub(1)?)
    }

    /// The file of a place, and the line in it.
    pub fn line(&self, place: usize) -> (&str, usize) {
        let Some(file) = self.at(place) else {
            return ("", 1);
        };
        let at = place - file.begin;
        (
            &file.name,
            file.newlines.partition_point(|newline| *newline < at) + 1,
        )
    }

    /// The errors of each file, in places of its own; what another file has to do with one becomes words.
    pub fn sorted(&self, diagnostics: Vec<Diagnostic>) -> Vec<(&File, Vec<Diagnostic>)> {
        let mut all: Vec<(&File, Vec<Diagnostic>)> =
            self.files.iter().map(|file| (file, Vec::new())).collect();
        for diagnostic in diagnostics {
            let place = diagnostic.labels.first().map_or(0, |label| label.span.start);
            let Some(file) = self.at(place) else { continue };
            if let Some((_, list)) = all.iter_mut().find(|(known, _)| known.begin == file.begin) {
                list.push(self.local(file, diagnostic));
            }
        }
        all.retain(|(_, list)| !list.is_empty());
        for (_, list) in &mut all {
            list.sort_by_key(|diagnostic| diagnostic.labels.first().map_or(0, |label| label.span.start));
        }
        all
    }

    fn local(&self, file: &File, diagnostic: Diagnostic) -> Diagnostic {
        let end = file.begin + file.text.len();
        let (near, far): (Vec<Label>, Vec<Label>) = diagnostic
            .labels
            .into_iter()
            .partition(|label| (file.begin..=end).contains(&label.span.start));
        let mut message = diagnostic.message;
        for label in far {
            let (name, line) = self.line(label.span.start);
            message.push_str(&format!(" ({}, line {line} of {name})", label.text));
        }
        let labels = near.into_iter().map(|label| Label {
            span: label.span.start - file.begin..label.span.end.min(end).saturating_sub(file.begin),
            text: label.text,
        });
        Diagnostic {
            message,
            labels: labels.collect(),
            help: diagnostic.help,
        }
    }
}

/// From the characters of a text in which variables were replaced to bytes of all files together.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    begin: usize,
    /// The byte of each character, where the text is not ASCII.
    bytes: Option<Vec<u32>>,
    length: usize,
    replaced: Vec<Replaced>,
}

/// A stretch that stands for another in the file as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replaced {
    /// In the text as read.
    pub now: Range<usize>,
    /// In the file as written.
    pub written: Range<usize>,
}

impl Places {
    /// The places of a text as it is read: which file it is of by its `begin`, and what was replaced in it, in order.
    pub fn new(text: &str, begin: usize, replaced: Vec<Replaced>) -> Self {
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Places {
            begin,
            bytes: (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| narrow(at)).collect()),
            length: text.len(),
            replaced,
        }
    }

    /// The places of a text that stands in a value of another file: all of them are that value.
    pub fn within(text: &str, value: Span) -> Self {
        let whole = Replaced {
            now: 0..text.len() + 1,
            written: 0..value.len(),
        };
        Places::new(text, value.start, vec![whole])
    }

    #[cfg(test)]
    pub fn of(text: &str) -> Self {
        Places::new(text, 0, Vec::new())
    }

    /// The place of a range of characters.
    pub fn span(&self, start: usize, end: usize) -> Span {
        let (first, after) = (self.byte(start), self.byte(end));
        let start = self.written(first).start;
        let last = self.written(after.saturating_sub(1).max(first));
        let end = match after > first {
            true if last.is_empty() => last.start + 1,
            true => last.end,
            false => start,
        };
        self.begin + start..self.begin + end.max(start)
    }

    /// The byte of a character in the text as read.
    pub fn byte(&self, character: usize) -> usize {
        match &self.bytes {
            None => character.min(self.length),
            Some(bytes) => bytes.get(character).map_or(self.length, |byte| *byte as usize),
        }
    }

    /// Where a byte stands in the file as written: a replaced stretch is one place.
    fn written(&self, byte: usize) -> Range<usize> {
        let passed = self.replaced.partition_point(|stretch| stretch.now.start <= byte);
        let Some(stretch) = passed.checked_sub(1).and_then(|at| self.replaced.get(at)) else {
            return byte..byte;
        };
        if byte < stretch.now.end {
            return stretch.written.clone();
        }
        let moved = stretch.written.end + (byte - stretch.now.end);
        moved..moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_goes_to_its_file_and_names_the_other() {
        let mut files = Files::default();
        let first = files.add("a.yaml".into(), "x\ny\n".into());
        let second = files.add("b.yaml".into(), "1\n2\n3\n".into());
        let diagnostic =
            Diagnostic::new("odd", second + 2..second + 3, "here").and(first + 2..first + 3, "its kind");
        let sorted = files.sorted(vec![diagnostic]);
        assert_eq!(sorted.len(), 1);
        assert_eq!(sorted[0].0.name, "b.yaml");
        assert_eq!(sorted[0].1[0].labels[0].span, 2..3);
        assert_eq!(sorted[0].1[0].message, "odd (its kind, line 2 of a.yaml)");
    }

    #[test]
    fn what_was_replaced_is_one_place() {
        // `a${X}b` was read as `alongb`.
        let replaced = vec![Replaced {
            now: 1..5,
            written: 1..5,
        }];
        let places = Places::new("alongb", 10, replaced);
        assert_eq!(places.span(0, 1), 10..11);
        assert_eq!(places.span(2, 3), 11..15);
        assert_eq!(places.span(5, 6), 15..16);
    }
}
