//! Reading TOML by hand: each error is noted with its place, and reading goes on.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::{Span, Spanned, suggest, values};
use crate::Diagnostic;

/// A value in the file, with its place.
pub type Value<'a> = toml::Spanned<DeValue<'a>>;

/// What is wrong with a value, and the cure.
#[derive(Debug)]
pub struct Wrong {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl Wrong {
    /// An error and its cure.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Wrong {
            message: message.into(),
            help: help.into(),
        }
    }
}

/// The text being read, and the errors found so far.
pub struct Reader<'t> {
    text: &'t str,
    newlines: Vec<usize>,
    /// The errors found so far.
    pub diagnostics: Vec<Diagnostic>,
    /// Which keys each sort of table was asked for, for the test that holds the schema to the reader.
    #[cfg(test)]
    pub known: std::collections::BTreeMap<&'static str, std::collections::BTreeSet<&'static str>>,
}

impl<'t> Reader<'t> {
    /// A reader of this text, without errors so far.
    pub fn new(text: &'t str) -> Self {
        Reader {
            text,
            newlines: text.match_indices('\n').map(|(at, _)| at).collect(),
            diagnostics: Vec::new(),
            #[cfg(test)]
            known: Default::default(),
        }
    }

    /// The line (1-based) of a byte offset.
    pub fn line(&self, offset: usize) -> usize {
        self.newlines.partition_point(|newline| *newline < offset) + 1
    }

    /// The line (1-based) on which the text of a string begins: a line end after the opening quotes is not part of it.
    pub fn first_line(&self, span: &Span) -> usize {
        let written = self.text.get(span.clone()).unwrap_or_default();
        let opens = ["\"\"\"\n", "\"\"\"\r\n", "'''\n", "'''\r\n"];
        let skipped = opens.iter().any(|open| written.starts_with(open));
        self.line(span.start) + usize::from(skipped)
    }

    /// Adds an error.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Notes that a value is wrong.
    pub fn wrong(&mut self, span: Span, wrong: Wrong) {
        self.report(Diagnostic::new(wrong.message, span, "").help(wrong.help));
    }

    /// Notes that a value has the wrong type.
    pub fn mistyped(&mut self, value: &Value, key: &str, wanted: &str, example: &str) {
        let found = type_name(value.get_ref());
        self.report(
            Diagnostic::new(
                format!("`{key}` must be {wanted}, not {found}"),
                value.span(),
                format!("this is {found}"),
            )
            .help(format!("for example `{example}`")),
        );
    }

    /// Notes that a table lacks a key.
    pub fn missing(&mut self, table: &Table, key: &str, example: &str) {
        self.report(
            Diagnostic::new(lack(&table.what, key), table.span.clone(), "").help(format!("add `{example}`")),
        );
    }

    /// A string without NUL, which neither the kernel nor a command line could carry.
    pub fn string(&mut self, value: &Value, key: &str, example: &str) -> Option<Spanned<String>> {
        let Some(text) = value.get_ref().as_str() else {
            self.mistyped(value, key, "a string", &format!("{key} = \"{example}\""));
            return None;
        };
        if text.contains('\0') {
            self.wrong(
                value.span(),
                Wrong::new(
                    format!("`{key}` contains a NUL character"),
                    "remove the `\\u0000`",
                ),
            );
            return None;
        }
        Some(Spanned::new(text.to_owned(), value.span()))
    }

    /// A string in a form of its own.
    pub fn parsed<T>(
        &mut self,
        value: &Value,
        key: &str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        let text = self.string(value, key, example)?;
        match parse(&text.value) {
            Ok(parsed) => Some(Spanned::new(parsed, text.span)),
            Err(wrong) => {
                self.wrong(text.span, wrong);
                None
            }
        }
    }

    /// A span of time.
    pub fn duration(&mut self, value: &Value, key: &str) -> Option<Spanned<Duration>> {
        let number = match value.get_ref() {
            toml::de::DeValue::Integer(number) => number.to_string(),
            toml::de::DeValue::Float(number) => number.as_str().to_owned(),
            _ => return self.parsed(value, key, "10s", |text| values::duration(text, key)),
        };
        // It is refused for its unit, or for what it is.
        if let Err(wrong) = values::duration(&number, key) {
            self.wrong(value.span(), wrong);
        }
        None
    }

    /// One of a few words.
    pub fn word<T: Copy>(&mut self, value: &Value, key: &str, words: &[(&str, T)]) -> Option<Spanned<T>> {
        let example = words.first().map_or("", |(word, _)| *word);
        let text = self.string(value, key, example)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(Spanned::new(*meaning, text.span));
        }
        let names = words.iter().map(|(word, _)| *word);
        let help = suggest::cure(&text.value, names, &format!("`{key}` is one of"), "");
        self.wrong(
            text.span,
            Wrong::new(format!("`{key}` cannot be `{}`", text.value), help),
        );
        None
    }

    /// True or false.
    pub fn boolean(&mut self, value: &Value, key: &str) -> Option<Spanned<bool>> {
        match value.get_ref().as_bool() {
            Some(truth) => Some(Spanned::new(truth, value.span())),
            None => {
                self.mistyped(value, key, "true or false", &format!("{key} = true"));
                None
            }
        }
    }

    /// A whole number within a range.
    pub fn integer<T: TryFrom<i64>>(
        &mut self,
        value: &Value,
        key: &str,
        range: RangeInclusive<i64>,
    ) -> Option<Spanned<T>> {
        let Some(integer) = value.get_ref().as_integer() else {
            self.mistyped(
                value,
                key,
                "a whole number",
                &format!("{key} = {}", range.start()),
            );
            return None;
        };
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let fitting = number
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok());
        if let Some(number) = fitting {
            return Some(Spanned::new(number, value.span()));
        }
        let (low, high) = range.into_inner();
        self.wrong(
            value.span(),
            Wrong::new(
                format!("`{key}` is out of range: {integer}"),
                format!("`{key}` is a whole number from {low} to {high}"),
            ),
        );
        None
    }

    /// Every item of a list that can be read.
    pub fn list<'a, T>(
        &mut self,
        value: &'a Value<'a>,
        key: &str,
        example: &str,
        mut item: impl FnMut(&mut Self, &'a Value<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        match value.get_ref().as_array() {
            Some(items) => Some(items.iter().filter_map(|value| item(self, value)).collect()),
            None => {
                self.mistyped(value, key, "a list", &format!("{key} = [{example}]"));
                None
            }
        }
    }

    /// The entries of a table whose keys are free, in the order of the file.
    pub fn map<'a>(
        &mut self,
        value: &'a Value<'a>,
        key: &str,
        example: &str,
    ) -> Vec<(Spanned<&'a str>, &'a Value<'a>)> {
        match value.get_ref().as_table() {
            Some(table) => ordered(table),
            None => {
                self.mistyped(value, key, "a table", example);
                Vec::new()
            }
        }
    }

    /// A table whose keys are known. `name` tells its sort apart from others, `what` names it in messages.
    pub fn table<'a>(
        &mut self,
        value: &'a Value<'a>,
        key: &str,
        name: &'static str,
        what: impl Into<String>,
        span: Span,
    ) -> Option<Table<'a>> {
        match value.get_ref().as_table() {
            Some(table) => Some(Table::new(table, name, what, span)),
            None => {
                self.report(untabled(value, key, &what.into()));
                None
            }
        }
    }

    /// The place of a part of a string, where the string stands in the file as it is (no escapes); else of the
    /// whole.
    pub fn part(&self, whole: &Spanned<String>, part: RangeInclusive<usize>) -> Span {
        let inner = whole.span.start + 1..whole.span.end.saturating_sub(1);
        if self.text.get(inner.clone()) == Some(whole.value.as_str()) && !part.is_empty() {
            inner.start + part.start()..inner.start + part.end() + 1
        } else {
            whole.span.clone()
        }
    }
}

/// A table of the file whose keys are known: those it is asked for. What it was not asked for is an error.
pub struct Table<'a> {
    table: &'a DeTable<'a>,
    #[cfg_attr(not(test), expect(dead_code, reason = "read by the test of the schema"))]
    name: &'static str,
    what: String,
    span: Span,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// Reads this table, which is called `name` in schemas and `what` in messages.
    pub fn new(table: &'a DeTable<'a>, name: &'static str, what: impl Into<String>, span: Span) -> Self {
        Table {
            table,
            name,
            what: what.into(),
            span,
            known: Vec::with_capacity(24),
        }
    }

    /// What it is, in words.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Gives it other words.
    pub fn rename(&mut self, what: String) {
        self.what = what;
    }

    /// Where it stands.
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// The value of a key, and from now on the key is known.
    pub fn get(&mut self, key: &'static str) -> Option<&'a Value<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.get(key)
    }

    /// Where the key itself stands.
    pub fn key_span(&self, key: &str) -> Option<Span> {
        self.table.get_key_value(key).map(|(key, _)| key.span())
    }

    /// Whether there are keys that nobody has asked for so far.
    pub fn has_unknown(&self) -> bool {
        self.table
            .keys()
            .any(|key| !self.known.contains(&key.get_ref().as_ref()))
    }

    /// Notes every key that nothing asked for. Returns the keys that were probably meant, which the table lacks.
    pub fn finish(self, reader: &mut Reader) -> Vec<&'static str> {
        let mut all_meant = Vec::new();
        #[cfg(test)]
        reader.known.entry(self.name).or_default().extend(&self.known);
        let is_known = |key: &str| self.known.contains(&key);
        if self.table.keys().all(|key| is_known(key.get_ref())) {
            return all_meant;
        }
        // One that is there already was not meant.
        let absent: Vec<&'static str> = self
            .known
            .iter()
            .copied()
            .filter(|it| self.table.get(*it).is_none())
            .collect();
        for (key, _) in ordered(self.table)
            .into_iter()
            .filter(|(key, _)| !is_known(key.value))
        {
            let meant = suggest::nearest(key.value, absent.iter().copied()).or_else(|| {
                let other = foreign(key.value)?;
                absent.iter().copied().find(|it| *it == other)
            });
            let help = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if self.known.is_empty() => "remove it".to_owned(),
                None => format!("the keys here are: {}", suggest::list(self.known.iter().copied())),
            };
            // What the table lacks is then no second error.
            if let Some(meant) = meant.filter(|meant| !all_meant.contains(meant)) {
                all_meant.push(meant);
                let lack = lack(&self.what, meant);
                reader
                    .diagnostics
                    .retain(|told| told.message != lack || told.labels[0].span != self.span);
            }
            reader.report(
                Diagnostic::new(
                    format!("{} has no key `{}`", self.what, key.value),
                    key.span,
                    "unknown key",
                )
                .help(help),
            );
        }
        all_meant
    }
}

/// What is said of a table that lacks a key.
fn lack(what: &str, key: &str) -> String {
    format!("{what} has no `{key}`")
}

/// The key that has here another name in other tools' files.
fn foreign(key: &str) -> Option<&'static str> {
    Some(match key {
        "mounts" => "binds",
        "environment" => "env",
        "ip" | "ips" | "ipv4" | "ipv6" | "address" => "addresses",
        "cmd" | "command" | "commands" | "entrypoint" | "services" | "processes" => "run",
        "startup" | "setup" | "post-up" => "exec",
        "startup-config" | "frr" => "config",
        "depends_on" | "depends-on" => "wait_for",
        "mem" | "ram" => "memory",
        "type" => "kind",
        "nodes" | "ends" | "between" | "interfaces" => "endpoints",
        _ => return None,
    })
}

/// A table's entries in the order of the file.
pub fn ordered<'a>(table: &'a DeTable<'a>) -> Vec<(Spanned<&'a str>, &'a Value<'a>)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| (Spanned::new(key.get_ref().as_ref(), key.span()), value))
        .collect();
    entries.sort_by_key(|(key, _)| key.span.start);
    entries
}

/// That something is no table. Items of lists are told from the list itself.
fn untabled(value: &Value, key: &str, what: &str) -> Diagnostic {
    let found = type_name(value.get_ref());
    let (message, help) = match (what, value.get_ref().as_str()) {
        ("a route", text) => (
            format!("{what} must be a table, not {found}"),
            format!(
                "write `{}`",
                text.and_then(route_table)
                    .unwrap_or_else(|| { "routes = [{ to = \"default\", via = \"10.0.1.1\" }]".to_owned() })
            ),
        ),
        ("a link", _) => (
            format!("{what} must be a table, not {found}"),
            "write a line `[[links]]`, and below it `endpoints = [\"a:eth0\", \"b:eth0\"]`".to_owned(),
        ),
        (what, _) if what.starts_with("a ") || what.starts_with("an ") => (
            format!("{what} must be a table, not {found}"),
            format!("for example `{key} = [{{ … }}]`"),
        ),
        _ => (
            format!("`{key}` must be a table, not {found}"),
            format!("for example `{key} = {{ … }}`"),
        ),
    };
    Diagnostic::new(message, value.span(), format!("this is {found}")).help(help)
}

/// A route as `ip route add` takes it, as a table: `10.0.0.0/8 via 10.0.1.1 dev eth0`.
fn route_table(text: &str) -> Option<String> {
    let mut words = text
        .split_whitespace()
        .skip_while(|word| ["ip", "route", "add", "-6"].contains(word));
    let mut to = words.next()?;
    let mut keys = Vec::new();
    if ["blackhole", "unreachable", "prohibit"].contains(&to) {
        keys.push(format!("type = \"{to}\""));
        to = words.next()?;
    }
    while let Some(word) = words.next() {
        let key = ["via", "dev", "metric"].into_iter().find(|it| *it == word)?;
        let value = words.next().filter(|it| !it.contains(['"', '\\']))?;
        keys.push(match key {
            "metric" => format!("{key} = {value}"),
            key => format!("{key} = \"{value}\""),
        });
    }
    let is_plain = !to.contains(['"', '\\']) && !keys.is_empty();
    is_plain.then(|| format!("{{ to = \"{to}\", {} }}", keys.join(", ")))
}

/// What a value is, in words.
fn type_name(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
