//! From text to trees, by way of the parser's events.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use super::files::Places;
use super::{DEEPEST, Key, LONGEST, MOST, Value, Yaml, merge};
use crate::lab::Diagnostic;
use crate::lab::file::Span;

/// The documents of a file that are not empty.
///
/// # Errors
/// The first thing that is no YAML, and every key that stands twice before it.
pub(crate) fn documents(text: &str, places: &Places) -> Result<Vec<Yaml>, Vec<Diagnostic>> {
    if text.len() > LONGEST {
        let message = format!("the file is longer than {} MiB", LONGEST >> 20);
        let help = "no topology of people's making is: split it, or look for what filled it";
        return Err(vec![Diagnostic::new(message, places.span(0, 0), "").help(help)]);
    }
    let mut builder = Builder {
        open: Vec::new(),
        anchors: HashMap::new(),
        documents: Vec::new(),
        diagnostics: Vec::new(),
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                builder.diagnostics.push(syntax(&error, places));
                break;
            }
        };
        let (start, mut end) = (span.start.index(), span.end.index());
        // The parser's end of a quoted scalar is that of its line, with white space and a comment.
        if let Event::Scalar(_, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted, ..) = event {
            let quoted = text.get(places.byte(start)..).unwrap_or_default();
            end = end.min(start + quoted_length(quoted));
        }
        let span = places.span(start, end);
        if let Err(diagnostic) = builder.take(event, span) {
            builder.diagnostics.push(diagnostic);
            break;
        }
    }
    match builder.diagnostics.is_empty() {
        true => Ok(builder.documents),
        false => Err(builder.diagnostics),
    }
}

fn syntax(error: &ScanError, places: &Places) -> Diagnostic {
    let at = error.marker().index();
    let help = if error.info().contains("tab") {
        "YAML is indented with spaces: replace the tabs"
    } else if error.info().contains("anchor") || error.info().contains("alias") {
        "an anchor `&name` stands before its alias `*name`"
    } else {
        "look at the indentation, and at quotes and brackets that are not closed, in this line and before it"
    };
    Diagnostic::new(
        format!("this is not YAML: {}", error.info()),
        places.span(at, at + 1),
        "",
    )
    .help(help)
}

/// A list or mapping that is not complete.
struct Open {
    anchor: usize,
    start: usize,
    content: Content,
}

enum Content {
    List(Vec<Yaml>),
    Map(Vec<(Key, Yaml)>, Option<Key>),
}

struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Yaml>,
    documents: Vec<Yaml>,
    diagnostics: Vec<Diagnostic>,
}

impl Builder {
    fn take(&mut self, event: Event, span: Span) -> Result<(), Diagnostic> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.is_some_and(|tag| tag.suffix == "str"));
                self.place(Yaml::new(value, span), anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, Content::List(Vec::new()), span),
            Event::MappingStart(anchor, _) => self.begin(anchor, Content::Map(Vec::new(), None), span),
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                // The place of an alias is its own: what is wrong is told where it is used.
                Some(named) => self.place(Yaml { span, ..named }, 0),
                None => Err(
                    Diagnostic::new("an alias stands inside of what it names", span, "")
                        .help("a value cannot hold itself: write it out"),
                ),
            },
            _ => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, content: Content, span: Span) -> Result<(), Diagnostic> {
        if self.open.len() >= DEEPEST {
            let message = format!("values are nested more than {DEEPEST} deep");
            return Err(Diagnostic::new(message, span, "").help("no file that nslab reads is: flatten it"));
        }
        self.open.push(Open {
            anchor,
            start: span.start,
            content,
        });
        Ok(())
    }

    fn end(&mut self, span: Span) -> Result<(), Diagnostic> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let (value, last) = match open.content {
            Content::List(items) => {
                let last = items.last().map(|item| item.span.end);
                (Value::List(Rc::from(items)), last)
            }
            Content::Map(entries, _) => {
                let entries = merge::merged(entries, &mut self.diagnostics);
                let last = entries
                    .last()
                    .map(|(key, value)| value.span.end.max(key.span.end));
                (Value::Map(Rc::from(entries)), last)
            }
        };
        // A block has no mark at its end: the parser puts it where the next begins.
        let end = match span.is_empty() {
            true => last.unwrap_or(span.end),
            false => span.end,
        };
        self.place(Yaml::new(value, open.start..end.max(open.start)), open.anchor)
    }

    /// Puts a complete value where it belongs.
    fn place(&mut self, yaml: Yaml, anchor: usize) -> Result<(), Diagnostic> {
        if yaml.weight > MOST {
            let message = format!("with its aliases written out, this is more than {MOST} values");
            return Err(Diagnostic::new(message, yaml.span, "")
                .help("aliases of aliases multiply: write out what is meant"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, yaml.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => {
                if yaml.value != Value::Null {
                    self.documents.push(yaml);
                }
            }
            Some(Content::List(items)) => items.push(yaml),
            Some(Content::Map(_, key @ None)) => {
                let Some(name) = key_name(&yaml) else {
                    return Err(
                        Diagnostic::new("a list or a mapping cannot be a key", yaml.span, "").help(
                            "a key is a single word: put quotes around text that begins with `[` or `{`",
                        ),
                    );
                };
                *key = Some(Key {
                    name,
                    span: yaml.span,
                });
            }
            Some(Content::Map(entries, key)) => {
                let Some(key) = key.take() else { return Ok(()) };
                let yaml = match yaml.value {
                    // Nothing has no place of its own; what lacks is told at the key.
                    Value::Null => Yaml {
                        span: key.span.clone(),
                        ..yaml
                    },
                    _ => yaml,
                };
                entries.push((key, yaml));
            }
        }
        Ok(())
    }
}

fn key_name(yaml: &Yaml) -> Option<Rc<str>> {
    match &yaml.value {
        Value::Plain(text) | Value::Text(text) => Some(text.clone()),
        Value::Null => Some(Rc::from("null")),
        _ => None,
    }
}

/// How many characters a quoted scalar is written in, with its quotes.
fn quoted_length(text: &str) -> usize {
    let mut characters = text.chars().enumerate();
    let Some((_, quote)) = characters.next() else {
        return 0;
    };
    while let Some((at, character)) = characters.next() {
        if character == '\\' && quote == '"' {
            characters.next();
        } else if character == quote {
            // Two single quotes stand for one.
            let again = characters.clone().next().is_some_and(|(_, next)| next == quote);
            if quote == '"' || !again {
                return at + 1;
            }
            characters.next();
        }
    }
    text.chars().count()
}

fn scalar(text: &str, style: ScalarStyle, is_text: bool) -> Value {
    match style {
        ScalarStyle::Plain if is_text => Value::Text(Rc::from(text)),
        ScalarStyle::Plain => match text {
            "" | "~" | "null" | "Null" | "NULL" => Value::Null,
            text => Value::Plain(Rc::from(text)),
        },
        _ => Value::Text(Rc::from(text)),
    }
}
