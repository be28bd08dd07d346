//! The words of a command that was found.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::diagnostic::Refusal;

/// The words of a line by the names its pattern gives them; a keyword's name is the keyword.
#[derive(Debug, Clone)]
pub struct Arguments<'l> {
    line: &'l str,
    words: Vec<(&'static str, Range<usize>)>,
}

impl<'l> Arguments<'l> {
    pub(super) fn new(line: &'l str, words: Vec<(&'static str, Range<usize>)>) -> Self {
        Arguments { line, words }
    }

    /// The line's words after `no`, one blank between them.
    pub fn plain(&self) -> String {
        let words: Vec<&str> = self
            .line
            .split_whitespace()
            .skip(usize::from(self.no()))
            .collect();
        words.join(" ")
    }

    /// Whether the line has this keyword or argument.
    pub fn has(&self, name: &str) -> bool {
        self.words.iter().any(|(known, _)| *known == name)
    }

    /// Whether the command is taken back.
    pub fn no(&self) -> bool {
        self.words.first().is_some_and(|(name, _)| *name == "no")
    }

    /// An argument's text.
    pub fn get(&self, name: &str) -> Option<&'l str> {
        self.all(name).last()
    }

    /// Every text of an argument that may be repeated.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'l str> + 'a {
        let words = self.words.iter().filter(move |(known, _)| *known == name);
        words.map(|(_, span)| &self.line[span.clone()])
    }

    /// Which of these keywords the line has.
    pub fn one_of(&self, keywords: &[&'static str]) -> Option<&'static str> {
        keywords.iter().copied().find(|keyword| self.has(keyword))
    }

    /// Where an argument stands.
    pub fn span(&self, name: &str) -> Option<Range<usize>> {
        let mut words = self.words.iter().rev();
        words
            .find(|(known, _)| *known == name)
            .map(|(_, span)| span.clone())
    }

    /// An argument that the command always has.
    ///
    /// # Errors
    /// It is not there.
    pub fn text(&self, name: &str) -> Result<String, Refusal> {
        let text = self.get(name).map(|text| match name {
            // As with FRR one blank is left between words.
            "line" => text.split_whitespace().collect::<Vec<_>>().join(" "),
            _ => text.to_owned(),
        });
        text.ok_or_else(|| Refusal::invalid(format!("no {name} is given")))
    }

    /// An argument as a value, where it is there.
    ///
    /// # Errors
    /// It is no such value.
    pub fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let parsed = self.get(name).map(str::parse).transpose();
        parsed.map_err(|_| {
            let message = format!("`{}` is no {name}", self.get(name).unwrap_or_default());
            Refusal::Invalid(message, self.span(name))
        })
    }

    /// An argument as a value.
    ///
    /// # Errors
    /// It is not there or no such value.
    pub fn value<T: FromStr>(&self, name: &str) -> Result<T, Refusal> {
        self.optional(name)?
            .ok_or_else(|| Refusal::invalid(format!("no {name} is given")))
    }

    /// Every value of an argument that may be repeated.
    ///
    /// # Errors
    /// One of them is no such value.
    pub fn values<T: FromStr>(&self, name: &str) -> Result<Vec<T>, Refusal> {
        let parsed = self.all(name).map(|text| {
            text.parse()
                .map_err(|_| Refusal::Invalid(format!("`{text}` is no {name}"), self.span(name)))
        });
        parsed.collect()
    }
}

impl fmt::Display for Arguments<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        for (at, (name, span)) in self.words.iter().enumerate() {
            let gap = if at == 0 { "" } else { " " };
            let text = &self.line[span.clone()];
            match name.starts_with(text) {
                true => write!(formatter, "{gap}{name}")?,
                false => write!(formatter, "{gap}{name}={text}")?,
            }
        }
        Ok(())
    }
}
