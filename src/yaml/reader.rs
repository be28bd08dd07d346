//! Reading YAML by hand, as lab files are read: each error is noted with its place, and reading goes on.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::schema_probe::{Shape, Shared};
use super::{Key, Value, Yaml};
use crate::lab::Diagnostic;
use crate::lab::file::reader::Wrong;
use crate::lab::file::{Span, Spanned, suggest};

/// The errors found so far, and what was left out because it has no effect here.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub diagnostics: Vec<Diagnostic>,
    /// What can be used as it is, but has not the effect that its writer may expect.
    pub warnings: Vec<Diagnostic>,
    pub ignored: BTreeSet<String>,
    /// Where it notes what it looks for, in place of reading.
    pub probe: Option<Shared>,
}

impl Reader {
    /// Notes what a value has to be, where that is wanted.
    pub fn is_probe(&self, yaml: &Yaml, shape: impl FnOnce() -> Shape) -> bool {
        let Some(probe) = &self.probe else { return false };
        probe.borrow_mut().note(yaml, shape());
        true
    }

    /// The one item of a list in a probe, of so many at least.
    pub fn probed_item(&self, list: &Yaml, least: usize) -> Option<Yaml> {
        Some(self.probe.as_ref()?.borrow_mut().item(list, least))
    }

    pub fn wrong(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics
            .push(Diagnostic::new(message, span, "").help(help));
    }

    pub fn warn(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.warnings.push(Diagnostic::new(message, span, "").help(help));
    }

    pub fn mistyped(&mut self, yaml: &Yaml, key: &str, wanted: &str, example: &str) {
        let found = yaml.type_name();
        let message = format!("`{key}` must be {wanted}, not {found}");
        self.wrong(yaml.span.clone(), message, format!("for example `{example}`"));
    }

    /// A scalar as text; containerlab and its like take numbers for text as they are written.
    pub fn string(&mut self, yaml: &Yaml, key: &str, example: &str) -> Option<Spanned<String>> {
        if self.is_probe(yaml, || Shape::Text) {
            return Some(Spanned::new(example.to_owned(), yaml.span.clone()));
        }
        let Some(text) = yaml.scalar() else {
            self.mistyped(yaml, key, "a single value", &format!("{key}: {example}"));
            return None;
        };
        if text.contains('\0') {
            self.wrong(
                yaml.span.clone(),
                format!("`{key}` contains a NUL character"),
                "remove the `\\0`",
            );
            return None;
        }
        Some(Spanned::new(text.to_owned(), yaml.span.clone()))
    }

    /// A string in a form of its own.
    pub fn parsed<T>(
        &mut self,
        yaml: &Yaml,
        key: &str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        let text = self.string(yaml, key, example)?;
        match parse(&text.value) {
            Ok(value) => Some(Spanned::new(value, text.span)),
            Err(wrong) => {
                self.wrong(text.span, wrong.message, wrong.help);
                None
            }
        }
    }

    /// One of a few words.
    pub fn word<T: Copy>(&mut self, yaml: &Yaml, key: &str, words: &[(&str, T)]) -> Option<Spanned<T>> {
        if self.is_probe(yaml, || {
            Shape::Word(words.iter().map(|(word, _)| (*word).to_owned()).collect())
        }) {
            let first = words.first().map(|(_, meaning)| *meaning);
            return first.map(|meaning| Spanned::new(meaning, yaml.span.clone()));
        }
        let example = words.first().map_or("", |(word, _)| *word);
        let text = self.string(yaml, key, example)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(Spanned::new(*meaning, text.span));
        }
        let names = words.iter().map(|(word, _)| *word);
        let help = suggest::cure(&text.value, names, &format!("`{key}` is one of"), "");
        let message = format!("`{key}` cannot be `{}`", text.value.escape_debug());
        self.wrong(text.span, message, help);
        None
    }

    /// True or false, in YAML's spellings old and new.
    pub fn boolean(&mut self, yaml: &Yaml, key: &str) -> Option<Spanned<bool>> {
        if self.is_probe(yaml, || Shape::Truth) {
            return Some(Spanned::new(true, yaml.span.clone()));
        }
        let truth = match &yaml.value {
            Value::Plain(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Some(true),
                "false" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if truth.is_none() {
            self.mistyped(yaml, key, "true or false", &format!("{key}: true"));
        }
        truth.map(|truth| Spanned::new(truth, yaml.span.clone()))
    }

    /// A whole number within a range.
    pub fn integer<T: TryFrom<i64>>(
        &mut self,
        yaml: &Yaml,
        key: &str,
        range: RangeInclusive<i64>,
    ) -> Option<Spanned<T>> {
        if self.is_probe(yaml, || Shape::Number(*range.start(), *range.end())) {
            let least = T::try_from(*range.start()).ok();
            return least.map(|least| Spanned::new(least, yaml.span.clone()));
        }
        let text = self.string(yaml, key, &range.start().to_string())?;
        let number = text.value.parse::<i64>().ok();
        let fitting = number
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok());
        if fitting.is_none() {
            let message = match number {
                Some(number) => format!("`{key}` is out of range: {number}"),
                None => format!("`{key}` is not a whole number: `{}`", text.value.escape_debug()),
            };
            let help = format!(
                "`{key}` is a whole number from {} to {}",
                range.start(),
                range.end()
            );
            self.wrong(text.span.clone(), message, help);
        }
        fitting.map(|number| Spanned::new(number, text.span))
    }

    /// Every item of a list that can be read.
    pub fn list<T>(
        &mut self,
        yaml: &Yaml,
        key: &str,
        example: &str,
        mut item: impl FnMut(&mut Self, &Yaml) -> Option<T>,
    ) -> Option<Vec<T>> {
        if let Some(only) = self.probed_item(yaml, 0) {
            return Some(item(self, &only).into_iter().collect());
        }
        match &yaml.value {
            Value::List(items) => Some(items.iter().filter_map(|yaml| item(self, yaml)).collect()),
            Value::Null => Some(Vec::new()),
            _ => {
                self.mistyped(yaml, key, "a list", &format!("{key}: [{example}]"));
                None
            }
        }
    }

    /// A list of strings.
    pub fn strings(&mut self, yaml: &Yaml, key: &str, example: &str) -> Option<Vec<Spanned<String>>> {
        self.list(yaml, key, example, |reader, yaml| {
            reader.string(yaml, key, example)
        })
    }

    /// The entries of a mapping whose keys are free.
    pub fn map<'y>(&mut self, yaml: &'y Yaml, key: &str, example: &str) -> &'y [(Key, Yaml)] {
        if self.is_probe(yaml, || Shape::Texts) {
            return &[];
        }
        match &yaml.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.mistyped(yaml, key, "a mapping", example);
                &[]
            }
        }
    }

    /// A mapping whose keys are known; `what` names it in messages.
    pub fn table<'y>(&mut self, yaml: &'y Yaml, key: &str, what: impl Into<String>) -> Option<Table<'y>> {
        self.is_probe(yaml, || Shape::Table(Vec::new()));
        let entries = match &yaml.value {
            Value::Map(entries) => entries,
            Value::Null => &[][..],
            _ => {
                self.mistyped(yaml, key, "a mapping", &format!("{key}: {{ … }}"));
                return None;
            }
        };
        Some(Table {
            entries,
            what: what.into(),
            known: Vec::new(),
            silent: Vec::new(),
            span: yaml.span.clone(),
            probe: self.probe.clone(),
        })
    }
}

/// A mapping whose keys are known: those it is asked for. What it was not asked for is an error.
pub(crate) struct Table<'y> {
    entries: &'y [(Key, Yaml)],
    what: String,
    known: Vec<&'static str>,
    silent: Vec<&'static str>,
    span: Span,
    probe: Option<Shared>,
}

impl<'y> Table<'y> {
    /// Where it stands.
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// Whether a key stands there.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, _)| &*name.name == key)
    }

    /// The value of a key, and from now on the key is known. A key that holds nothing is as good as none.
    pub fn get(&mut self, key: &'static str) -> Option<&'y Yaml> {
        if let Some(probe) = &self.probe {
            return probe.borrow_mut().property(self.span.start, key);
        }
        self.raw(key).filter(|yaml| yaml.value != Value::Null)
    }

    /// As [`Table::get`], but with nothing told apart from no key.
    pub fn raw(&mut self, key: &'static str) -> Option<&'y Yaml> {
        self.known.push(key);
        self.entries
            .iter()
            .find(|(name, _)| &*name.name == key)
            .map(|(_, yaml)| yaml)
    }

    /// The value of a key under its name of today or under an older one.
    pub fn either(&mut self, key: &'static str, older: &'static str) -> Option<&'y Yaml> {
        let today = self.get(key);
        let old = self.entries.iter().find(|(name, _)| &*name.name == older);
        self.silent.push(older);
        today.or(old.map(|(_, yaml)| yaml))
    }

    /// Notes the keys that are right there and change nothing here.
    pub fn ignore(&mut self, keys: &[&'static str], reader: &mut Reader) {
        for key in keys {
            if self.entries.iter().any(|(name, _)| &*name.name == *key) {
                reader.ignored.insert((*key).to_owned());
            }
        }
        self.silent.extend(keys);
        self.probe_silent(keys.iter().copied());
    }

    /// Keys that may stand there, whatever their values are.
    fn probe_silent(&self, keys: impl Iterator<Item = &'static str>) {
        if let Some(probe) = &self.probe {
            for key in keys {
                let _ = probe.borrow_mut().property(self.span.start, key);
            }
        }
    }

    /// Tells every key that has a meaning there and cannot have one here.
    pub fn refuse(&mut self, keys: &[(&'static str, &str)], reader: &mut Reader) {
        for (key, help) in keys {
            if let Some((name, _)) = self.entries.iter().find(|(name, _)| &*name.name == *key) {
                let message = format!("`{key}` of {} is not yet supported", self.what);
                reader.wrong(name.span.clone(), message, *help);
            }
            self.silent.push(key);
        }
        self.probe_silent(keys.iter().map(|(key, _)| *key));
    }

    /// Tells every key that nothing asked for.
    pub fn finish(self, reader: &mut Reader) {
        for (key, _) in self.entries {
            let known = |name: &&&str| **name == &*key.name;
            if self.known.iter().chain(&self.silent).any(|name| known(&name)) {
                continue;
            }
            let names = self.known.iter().copied();
            let help = suggest::cure(&key.name, names, "the keys here are", "remove it");
            let message = format!("{} has no key `{}`", self.what, key.name.escape_debug());
            reader.wrong(key.span.clone(), message, help);
        }
    }
}
