//! From a template's text to its parts.

use std::rc::Rc;

use super::Fault;

/// Parts are no deeper in each other than this.
const DEEPEST: usize = 64;

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    /// Text as it is.
    Text(String),
    /// What a pipeline comes to.
    Value(Pipeline),
    /// `$name := pipeline`.
    Declare(String, Pipeline),
    /// `$name = pipeline`.
    Set(String, Pipeline),
    /// `if`, `with` or `range`, what is in it, and what is behind its `else`.
    Block(Block),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub sort: Sort,
    /// The variables that it gives values: that of the place in a range, that of the value.
    pub variables: (Option<String>, Option<String>),
    pub pipeline: Pipeline,
    pub inner: Vec<Part>,
    pub otherwise: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    If,
    With,
    Range,
}

/// Commands, each of which gets what the one before it came to as its last word.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipeline {
    pub commands: Vec<Vec<Term>>,
    /// Where it stands, in bytes.
    pub place: usize,
}

/// A word of a command.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    Text(Rc<str>),
    Whole(i64),
    Broken(f64),
    Truth(bool),
    Nil,
    /// `.a.b`: fields of what the dot is.
    Dot(Vec<String>),
    /// `$x.a`; `$` alone is the whole of the variables.
    Variable(String, Vec<String>),
    /// `(pipeline).a`.
    Inner(Pipeline, Vec<String>),
    Function(String),
}

/// What stands between two braces, and text.
enum Token<'a> {
    Text(&'a str),
    Action(&'a str, usize),
}

/// Reads a template.
pub(super) fn parse(text: &str) -> Result<Vec<Part>, Fault> {
    let tokens = tokens(text)?;
    let mut tokens = tokens.into_iter();
    let (parts, end) = block(&mut tokens, 0)?;
    match end {
        None => Ok(parts),
        Some((word, _, place)) => Err(Fault::new(place, format!("`{word}` ends nothing"))),
    }
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut trim = false;
    while let Some(open) = text[at..].find("{{").map(|found| at + found) {
        let mut begin = open + 2;
        let mut before = &text[at..open];
        if trim {
            before = before.trim_start();
        }
        let blank = [' ', '\t', '\r', '\n'];
        if text[begin..]
            .strip_prefix('-')
            .is_some_and(|it| it.starts_with(blank))
        {
            begin += 1;
            before = before.trim_end();
        }
        tokens.push(Token::Text(before));
        let close =
            close(text, begin).ok_or_else(|| Fault::new(open, "`{{` is opened and not closed".into()))?;
        let mut inner = &text[begin..close];
        trim = inner.strip_suffix('-').is_some_and(|it| it.ends_with(blank));
        if trim {
            inner = &inner[..inner.len() - 1];
        }
        tokens.push(Token::Action(inner, begin));
        at = close + 2;
    }
    let rest = &text[at..];
    tokens.push(Token::Text(if trim { rest.trim_start() } else { rest }));
    Ok(tokens)
}

/// Where the braces close; those in quotes are text.
fn close(text: &str, begin: usize) -> Option<usize> {
    let inner = text[begin..].trim_start();
    if inner.starts_with("/*") {
        // Quotes are nothing in a comment.
        let comment = text.len() - inner.len();
        let end = comment + inner.find("*/")?;
        return text[end..].find("}}").map(|found| end + found);
    }
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut at = begin;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(b'"'), b'\\') => at += 1,
            (Some(open), byte) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'`')) => quote = Some(byte),
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The word that ended a block, what followed it, and where it stands.
type End<'a> = Option<(&'a str, &'a str, usize)>;

/// Parts up to `end` or `else`.
fn block<'a>(
    tokens: &mut std::vec::IntoIter<Token<'a>>,
    depth: usize,
) -> Result<(Vec<Part>, End<'a>), Fault> {
    let mut parts = Vec::new();
    while let Some(token) = tokens.next() {
        let (action, place) = match token {
            Token::Text("") => continue,
            Token::Text(text) => {
                parts.push(Part::Text(text.to_owned()));
                continue;
            }
            Token::Action(action, place) => (action.trim(), place),
        };
        if depth > DEEPEST {
            return Err(Fault::new(
                place,
                format!("blocks are more than {DEEPEST} deep in each other"),
            ));
        }
        let (word, rest) = match action.find(char::is_whitespace) {
            Some(at) => (&action[..at], action[at..].trim()),
            None => (action, ""),
        };
        match word {
            _ if action.starts_with("/*") => {}
            "end" | "else" => return Ok((parts, Some((word, rest, place)))),
            "if" | "with" | "range" => {
                parts.push(Part::Block(whole_block(tokens, depth, word, rest, place)?))
            }
            "define" | "template" | "block" | "break" | "continue" => {
                return Err(Fault::new(place, format!("`{word}` is not supported")));
            }
            _ => parts.push(statement(action, place)?),
        }
    }
    Ok((parts, None))
}

fn whole_block<'a>(
    tokens: &mut std::vec::IntoIter<Token<'a>>,
    depth: usize,
    word: &str,
    rest: &str,
    place: usize,
) -> Result<Block, Fault> {
    let sort = match word {
        "if" => Sort::If,
        "with" => Sort::With,
        _ => Sort::Range,
    };
    let (variables, rest) = named(rest);
    let pipeline = pipeline(rest, place)?;
    let (inner, end) = block(tokens, depth + 1)?;
    let unended = || Fault::new(place, format!("`{word}` has no `end`"));
    let otherwise = match end.ok_or_else(unended)? {
        ("else", "", _) => {
            let (parts, end) = block(tokens, depth + 1)?;
            end.filter(|(word, _, _)| *word == "end").ok_or_else(unended)?;
            parts
        }
        ("else", rest, place) => {
            let (word, condition) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            if !matches!(word, "if" | "with") {
                return Err(Fault::new(
                    place,
                    format!("`else` cannot be followed by `{word}`"),
                ));
            }
            // The one `end` ends both.
            vec![Part::Block(whole_block(
                tokens,
                depth + 1,
                word,
                condition.trim(),
                place,
            )?)]
        }
        _ => Vec::new(),
    };
    Ok(Block {
        sort,
        variables,
        pipeline,
        inner,
        otherwise,
    })
}

/// `$i, $x := …` before the pipeline of a range.
fn named(text: &str) -> ((Option<String>, Option<String>), &str) {
    let Some((names, rest)) = text.split_once(":=").filter(|(names, _)| names.starts_with('$')) else {
        return ((None, None), text);
    };
    let mut names = names
        .split(',')
        .map(|name| name.trim().trim_start_matches('$').to_owned());
    let variables = match (names.next(), names.next()) {
        (Some(place), Some(value)) => (Some(place), Some(value)),
        (value, _) => (None, value),
    };
    (variables, rest.trim())
}

fn statement(action: &str, place: usize) -> Result<Part, Fault> {
    if let Some(rest) = action.strip_prefix('$') {
        let length = rest
            .bytes()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == b'_')
            .count();
        let (name, after) = rest.split_at(length);
        let after = after.trim_start();
        if let Some(value) = after.strip_prefix(":=") {
            return Ok(Part::Declare(name.to_owned(), pipeline(value.trim(), place)?));
        }
        if let Some(value) = after.strip_prefix('=') {
            return Ok(Part::Set(name.to_owned(), pipeline(value.trim(), place)?));
        }
    }
    Ok(Part::Value(pipeline(action, place)?))
}

fn pipeline(text: &str, place: usize) -> Result<Pipeline, Fault> {
    let mut words = Words { text, at: 0, place };
    let pipeline = words.pipeline(0)?;
    match words.rest() {
        "" => Ok(pipeline),
        rest => Err(Fault::new(
            place,
            format!("`{}` is not understood", rest.escape_debug()),
        )),
    }
}

struct Words<'a> {
    text: &'a str,
    at: usize,
    place: usize,
}

impl<'a> Words<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn fault(&self, message: String) -> Fault {
        Fault::new(self.place, message)
    }

    fn pipeline(&mut self, depth: usize) -> Result<Pipeline, Fault> {
        if depth > DEEPEST {
            return Err(self.fault(format!("parentheses are more than {DEEPEST} deep in each other")));
        }
        let mut commands = vec![Vec::new()];
        loop {
            let rest = self.rest();
            match rest.chars().next() {
                None | Some(')') => break,
                Some('|') => {
                    self.at += 1;
                    commands.push(Vec::new());
                }
                Some(_) => {
                    let term = self.term(rest, depth)?;
                    if let Some(command) = commands.last_mut() {
                        command.push(term);
                    }
                }
            }
        }
        if commands.iter().any(Vec::is_empty) {
            return Err(self.fault("a value is missing".into()));
        }
        Ok(Pipeline {
            commands,
            place: self.place,
        })
    }

    fn term(&mut self, rest: &'a str, depth: usize) -> Result<Term, Fault> {
        match rest.as_bytes()[0] {
            b'(' => {
                self.at += 1;
                let inner = self.pipeline(depth + 1)?;
                if !self.rest().starts_with(')') {
                    return Err(self.fault("a parenthesis is opened and not closed".into()));
                }
                self.at += 1;
                Ok(Term::Inner(inner, self.fields()))
            }
            b'"' => self.quoted(rest),
            b'`' => {
                let end = rest[1..]
                    .find('`')
                    .ok_or_else(|| self.fault("a quote is opened and not closed".into()))?;
                self.at += end + 2;
                Ok(Term::Text(rest[1..=end].into()))
            }
            b'.' => Ok(Term::Dot(self.fields())),
            b'$' => {
                self.at += 1;
                let name = self.name().to_owned();
                Ok(Term::Variable(name, self.fields()))
            }
            _ => self.word(rest),
        }
    }

    fn name(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let length = rest
            .bytes()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == b'_')
            .count();
        self.at += length;
        &rest[..length]
    }

    /// `.a.b`, without blanks.
    fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while self.text[self.at..].starts_with('.') {
            self.at += 1;
            let name = self.name();
            if name.is_empty() {
                break;
            }
            fields.push(name.to_owned());
        }
        fields
    }

    fn quoted(&mut self, rest: &str) -> Result<Term, Fault> {
        let mut text = String::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(Term::Text(text.into()));
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, other)) => text.push(other),
                    None => break,
                },
                other => text.push(other),
            }
        }
        Err(self.fault("a quote is opened and not closed".into()))
    }

    fn word(&mut self, rest: &'a str) -> Result<Term, Fault> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_.-+".contains(c);
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let word = &rest[..length];
        if word.is_empty() {
            return Err(self.fault(format!("`{}` is not understood", rest.escape_debug())));
        }
        self.at += length;
        Ok(match word {
            "true" => Term::Truth(true),
            "false" => Term::Truth(false),
            "nil" => Term::Nil,
            _ => match (word.parse(), word.parse()) {
                (Ok(whole), _) => Term::Whole(whole),
                (_, Ok(broken)) if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
                    Term::Broken(broken)
                }
                _ => Term::Function(word.to_owned()),
            },
        })
    }
}
