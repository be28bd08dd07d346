//! Names of interfaces with numbers in them: `ethernet-{slot}/{port}` and `e{slot}-{port}`.

use std::collections::BTreeMap;
use std::fmt;

/// So many digits has a number at most.
const DIGITS: usize = 5;

/// Text with numbers in it, each under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Number(String),
}

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let Some(open) = rest.find('{') else {
                parts.push(Part::Text(rest.to_owned()));
                break;
            };
            let Some(close) = rest[open..].find('}').map(|at| open + at) else {
                return Err(format!("`{}` opens a brace and closes none", text.escape_debug()));
            };
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            let name = &rest[open + 1..close];
            if name.is_empty() || !name.bytes().all(|c| c.is_ascii_lowercase()) {
                return Err(format!(
                    "a number in an interface's name is called by lower-case letters, not `{}`",
                    name.escape_debug()
                ));
            }
            let follows_number = matches!(parts.last(), Some(Part::Number(_)));
            if follows_number || parts.contains(&Part::Number(name.to_owned())) {
                return Err(match follows_number {
                    true => "two numbers stand side by side, with nothing to tell them apart".to_owned(),
                    false => format!("the number `{name}` stands there twice"),
                });
            }
            parts.push(Part::Number(name.to_owned()));
            rest = &rest[close + 1..];
        }
        match parts.is_empty() {
            true => Err("an interface has no name".to_owned()),
            false => Ok(Pattern { parts }),
        }
    }

    /// The names of its numbers.
    pub fn numbers(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Number(name) => Some(name.as_str()),
                Part::Text(_) => None,
            })
            .collect();
        names.sort_unstable();
        names
    }

    /// A name of this form in another, where it is of this form.
    pub fn convert(&self, name: &str, to: &Pattern) -> Option<String> {
        let numbers = self.matched(name)?;
        let parts = to.parts.iter().map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Number(name) => numbers.get(name.as_str()).copied(),
        });
        parts.collect()
    }

    /// Whether a name is of this form.
    pub fn fits(&self, name: &str) -> bool {
        self.matched(name).is_some()
    }

    /// The numbers of a name of this form.
    fn matched<'a>(&'a self, name: &'a str) -> Option<BTreeMap<&'a str, &'a str>> {
        let mut numbers = BTreeMap::new();
        let mut rest = name;
        for part in &self.parts {
            match part {
                Part::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Part::Number(name) => {
                    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
                    let (number, after) = rest.split_at(length);
                    let is_plain = number == "0" || !number.starts_with('0');
                    if length == 0 || length > DIGITS || !is_plain {
                        return None;
                    }
                    numbers.insert(name.as_str(), number);
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(numbers)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Number(name) => write!(f, "{{{name}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::read(text).unwrap()
    }

    #[test]
    fn a_name_is_the_same_in_two_forms() {
        for (name, kernel, written, meant) in [
            ("ethernet-{s}/{p}", "e{s}-{p}", "ethernet-1/12", Some("e1-12")),
            ("ethernet-{s}/{p}", "e{s}-{p}", "ethernet-1/1/1", None),
            (
                "ethernet-{s}/{p}/{b}",
                "e{s}-{p}-{b}",
                "ethernet-1/1/4",
                Some("e1-1-4"),
            ),
            ("Gi0/0/0/{n}", "Gi0-0-0-{n}", "Gi0/0/0/0", Some("Gi0-0-0-0")),
            ("Gi0/0/0/{n}", "Gi0-0-0-{n}", "Gi0/0/0/01", None),
            ("Gi0/0/0/{n}", "Gi0-0-0-{n}", "Gi0/0/0/", None),
            ("Management0", "eth0", "Management0", Some("eth0")),
            ("et{n}", "eth{n}", "et1234567", None),
            ("{a}x{b}", "{b}y{a}", "1x2", Some("2y1")),
            ("é{n}", "e{n}", "é7", Some("e7")),
        ] {
            let (name, kernel) = (pattern(name), pattern(kernel));
            assert_eq!(name.convert(written, &kernel).as_deref(), meant, "{written}");
            if let Some(meant) = meant {
                assert_eq!(kernel.convert(meant, &name).as_deref(), Some(written));
            }
        }
    }

    #[test]
    fn what_is_no_form_is_said() {
        for (text, said) in [
            ("", "no name"),
            ("e{", "closes none"),
            ("e{}", "lower-case"),
            ("e{A}", "lower-case"),
            ("{a}{b}", "side by side"),
            ("{a}-{a}", "twice"),
        ] {
            let reason = Pattern::read(text).unwrap_err();
            assert!(reason.contains(said), "{text}: {reason}");
        }
        assert_eq!(pattern("a{x}-{y}").to_string(), "a{x}-{y}");
        assert_eq!(pattern("{y}-{x}").numbers(), ["x", "y"]);
    }
}
