//! The lines of a file that an error is shown with: few of them, none long, and nothing in them that a terminal would obey.

use std::collections::BTreeSet;
use std::ops::Range;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::clean;

/// A label over more lines than these is one of its first line.
const MOST_LINES: usize = 8;
/// Lines around those of a label, as miette shows them.
const CONTEXT: usize = 1;
/// The bytes of a line that are shown, and those of them before a label.
const WIDTH: usize = 240;
const BEFORE: usize = 60;
/// What stands where a line was cut.
const CUT: &str = "…";

/// Where the lines of a text begin.
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Of a text.
    pub fn of(text: &'t str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        // What follows the last line's end is no line.
        let after = after.filter(|at| *at < text.len());
        Lines {
            text,
            starts: std::iter::once(0).chain(after).collect(),
        }
    }

    fn number(&self, at: usize) -> usize {
        self.starts
            .partition_point(|start| *start <= at)
            .saturating_sub(1)
    }

    fn start(&self, number: usize) -> usize {
        self.starts.get(number).copied().unwrap_or(self.text.len())
    }

    /// A line without its end.
    fn line(&self, number: usize) -> &'t str {
        let line = &self.text[self.start(number)..self.start(number + 1)];
        let line = line.strip_suffix('\n').unwrap_or(line);
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// A place in the text, at a character's beginning.
    fn place(&self, at: usize) -> usize {
        self.text.floor_char_boundary(at.min(self.text.len()))
    }

    /// A label in the text; one of very many lines is cut.
    fn label(&self, label: &Range<usize>) -> Range<usize> {
        let start = self.place(label.start);
        let end = self.place(label.end).max(start);
        let (first, last) = (self.number(start), self.number(end.saturating_sub(1).max(start)));
        match last - first >= MOST_LINES {
            true => start..(self.start(first) + self.line(first).len()).max(start),
            false => start..end,
        }
    }
}

/// A line as it is shown.
struct Shown {
    /// Its number in the file, from 0.
    number: usize,
    /// Where it begins in the excerpt.
    start: usize,
    /// Which bytes of it are shown.
    window: Range<usize>,
}

/// What is shown of a file for one error.
pub struct Excerpt {
    name: String,
    text: String,
    lines: Vec<Shown>,
    /// The labels, in bytes of the excerpt, and the column each begins at in the file, from 0.
    pub labels: Vec<(Range<usize>, usize)>,
}

impl Excerpt {
    /// The lines of these labels, and those around them. The name is shown as it is.
    pub fn new(name: &str, lines: &Lines<'_>, labels: &[Range<usize>]) -> Self {
        let labels: Vec<Range<usize>> = labels.iter().map(|label| lines.label(label)).collect();
        let mut numbers = BTreeSet::new();
        for label in &labels {
            let (first, last) = ends(lines, label);
            let after = (last + CONTEXT).min(lines.starts.len() - 1);
            numbers.extend(first.saturating_sub(CONTEXT)..=after);
        }
        let mut excerpt = Excerpt {
            name: name.to_owned(),
            text: String::new(),
            lines: Vec::new(),
            labels: Vec::new(),
        };
        for number in numbers {
            let first = labels.iter().find_map(|label| {
                let (first, last) = ends(lines, label);
                let start = if first == number {
                    label.start - lines.start(first)
                } else {
                    0
                };
                (first..=last).contains(&number).then_some(start)
            });
            excerpt.add(lines, number, first.unwrap_or(0));
        }
        let spans = labels.iter().map(|label| {
            let (first, last) = ends(lines, label);
            let column = label.start - lines.start(first);
            let start = excerpt.place(lines, first, column);
            let end = excerpt.place(lines, last, label.end.saturating_sub(lines.start(last)));
            (start..end.max(start), column)
        });
        excerpt.labels = spans.collect();
        excerpt
    }

    /// Adds a line, of a long one the part around a column.
    fn add(&mut self, lines: &Lines<'_>, number: usize, column: usize) {
        let line = lines.line(number);
        let window = match line.len() <= WIDTH {
            true => 0..line.len(),
            false => {
                let from = line.floor_char_boundary(column.min(line.len()).saturating_sub(BEFORE));
                from..line.floor_char_boundary((from + WIDTH).min(line.len()))
            }
        };
        self.lines.push(Shown {
            number,
            start: self.text.len(),
            window: window.clone(),
        });
        if window.start > 0 {
            self.text.push_str(CUT);
        }
        self.text.push_str(&shown(&line[window.clone()]));
        if window.end < line.len() {
            self.text.push_str(CUT);
        }
        self.text.push('\n');
    }

    /// Where a column of a line is in the excerpt; one that is cut off is where the line was cut.
    fn place(&self, lines: &Lines<'_>, number: usize, column: usize) -> usize {
        let Some(it) = self.lines.iter().find(|it| it.number == number) else {
            return 0;
        };
        let line = lines.line(number);
        let column = line.floor_char_boundary(column.min(line.len()));
        let column = column.clamp(it.window.start, it.window.end);
        let cut = if it.window.start > 0 { CUT.len() } else { 0 };
        it.start + cut + shown(&line[it.window.start..column]).len()
    }

    /// Which of the lines holds a byte.
    fn index(&self, at: usize) -> usize {
        self.lines
            .partition_point(|line| line.start <= at)
            .saturating_sub(1)
    }

    /// Whether the line after this one is that of the file.
    fn is_followed(&self, index: usize) -> bool {
        let next = self.lines.get(index + 1);
        next.is_some_and(|next| next.number == self.lines[index].number + 1)
    }
}

/// A part of a line as it is shown. A tab stays: miette makes blanks of it.
fn shown(line: &str) -> String {
    let parts: Vec<_> = line.split('\t').map(clean::line).collect();
    parts.join("\t")
}

/// The first and the last line of a label.
fn ends(lines: &Lines<'_>, label: &Range<usize>) -> (usize, usize) {
    let last = label.end.saturating_sub(1).max(label.start);
    (lines.number(label.start), lines.number(last))
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let end = span.offset() + span.len();
        if self.lines.is_empty() || end > self.text.len() {
            return Err(MietteError::OutOfBounds);
        }
        let first = self.index(span.offset());
        let last = self.index(end.saturating_sub(1).max(span.offset()));
        if !(first..last).all(|index| self.is_followed(index)) {
            return Err(MietteError::OutOfBounds);
        }
        let mut top = first;
        while top > 0 && first - top < before && self.is_followed(top - 1) {
            top -= 1;
        }
        let mut bottom = last;
        while bottom - last < after && self.is_followed(bottom) {
            bottom += 1;
        }
        let (from, column) = match before {
            0 => {
                let known = self.labels.iter().find(|(label, _)| label.start == span.offset());
                (span.offset(), known.map_or(0, |(_, column)| *column))
            }
            _ => (self.lines[top].start, 0),
        };
        let to = match after {
            0 => end.max(from),
            _ => self
                .lines
                .get(bottom + 1)
                .map_or(self.text.len(), |line| line.start),
        };
        let data = &self.text.as_bytes()[from..to];
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            data,
            (from, to - from).into(),
            self.lines[top].number,
            column,
            bottom - top + 1,
        )))
    }
}
