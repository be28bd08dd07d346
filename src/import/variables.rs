//! Variables of the environment in containerlab's files, replaced in the text before it is read as YAML, as there:
//! `$X`, `${X}`, `${X:-word}`, `${X-word}`, `${X:=word}`, `${X=word}`, `${X:+word}`, `${X+word}`; `$$` is a dollar. One that is not
//! set and has no word stays as it is written, since it may be a shell's, or a part of a hashed password.

use std::collections::BTreeMap;

use super::blame::Unset;
use super::files::Replaced;
use crate::lab::Diagnostic;

/// The environment a file is read in.
pub type Environment = BTreeMap<String, String>;

/// How deep a word may hold variables itself.
const DEEPEST: usize = 16;
/// The longest text variables may make of a file.
const LONGEST: usize = 16 << 20;

/// The text with its variables replaced, and what was replaced where.
///
/// # Errors
/// A variable that is not closed or has no name.
pub(super) fn replace(
    text: &str,
    begin: usize,
    environment: &Environment,
    unset: &mut Vec<Unset>,
) -> Result<(String, Vec<Replaced>), Vec<Diagnostic>> {
    let mut made = String::with_capacity(text.len());
    let mut replaced = Vec::new();
    let mut diagnostics = Vec::new();
    let mut rest = 0;
    while let Some(at) = text[rest..].find('$').map(|at| rest + at) {
        made.push_str(&text[rest..at]);
        match variable(&text[at..], environment, 0) {
            Ok(Some((value, length))) => {
                let name = text[at..at + length]
                    .trim_start_matches(['$', '{'])
                    .trim_end_matches('}');
                let is_name =
                    name.starts_with(|c: char| !c.is_ascii_digit()) && name_length(name) == name.len();
                if is_name && !environment.contains_key(name) {
                    unset.push(Unset {
                        name: name.to_owned(),
                        is_in_braces: text[at..].starts_with("${"),
                        span: begin + at..begin + at + length,
                    });
                }
                let now = made.len();
                made.push_str(&value);
                replaced.push(Replaced {
                    now: now..made.len(),
                    written: at..at + length,
                });
                rest = at + length;
            }
            Ok(None) => {
                made.push('$');
                rest = at + 1;
            }
            Err(problem) => {
                let help = "a variable is written `${NAME}` or `${NAME:=default}`; a dollar itself `$$`";
                let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
                diagnostics.push(Diagnostic::new(problem, begin + at..begin + end, "").help(help));
                rest = at + 1;
            }
        }
        if made.len() > LONGEST {
            let message = format!(
                "with its variables replaced, the file is longer than {} MiB",
                LONGEST >> 20
            );
            diagnostics
                .push(Diagnostic::new(message, begin + at..begin + at + 1, "").help("shorten the variables"));
            break;
        }
    }
    made.push_str(text.get(rest..).unwrap_or_default());
    match diagnostics.is_empty() {
        true => Ok((made, replaced)),
        false => Err(diagnostics),
    }
}

/// The value of the variable that the text begins with, and how long it is written; none where the dollar is just a
/// dollar.
fn variable(
    text: &str,
    environment: &Environment,
    depth: usize,
) -> Result<Option<(String, usize)>, &'static str> {
    let after = &text[1..];
    if after.starts_with('$') {
        return Ok(Some(("$".into(), 2)));
    }
    let Some(inner) = after.strip_prefix('{') else {
        let length = name_length(after);
        let found = environment.get(&after[..length]).cloned();
        let value = found.unwrap_or_else(|| text[..1 + length].to_owned());
        return Ok((length > 0).then_some((value, 1 + length)));
    };
    let length = name_length(inner);
    if length == 0 {
        return Err("a variable has no name");
    }
    let (name, tail) = inner.split_at(length);
    let found = environment.get(name).map(String::as_str);
    if tail.starts_with('}') {
        let length = 2 + length + 1;
        return Ok(Some((found.unwrap_or(&text[..length]).into(), length)));
    }
    let (colon, operator) = match tail.strip_prefix(':') {
        Some(operator) => (1, operator),
        None => (0, tail),
    };
    let Some(operator) = operator
        .chars()
        .next()
        .filter(|operator| "-=+".contains(*operator))
    else {
        return Err("a variable's name is not followed by `}` or a default");
    };
    let begin = length + colon + 1;
    let (word, word_length) = word(&inner[begin..], environment, depth)?;
    // With a colon, a variable that is empty counts as one that is not there.
    let set = found.filter(|value| colon == 0 || !value.is_empty());
    let value = match (operator, set) {
        ('+', Some(_)) => word,
        ('+', None) => String::new(),
        (_, Some(value)) => value.into(),
        (_, None) => word,
    };
    Ok(Some((value, 2 + begin + word_length + 1)))
}

/// The word up to the closing brace, with variables in it replaced, and how long it is written.
fn word(text: &str, environment: &Environment, depth: usize) -> Result<(String, usize), &'static str> {
    if depth >= DEEPEST {
        return Err("variables stand in each other too deeply");
    }
    let mut word = String::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        match next {
            '}' => return Ok((word, at)),
            '\n' => break,
            '$' => match variable(&text[at..], environment, depth + 1)? {
                Some((value, length)) => {
                    word.push_str(&value);
                    at += length;
                }
                None => {
                    word.push('$');
                    at += 1;
                }
            },
            next => {
                word.push(next);
                at += next.len_utf8();
            }
        }
    }
    Err("a variable is opened and not closed")
}

fn name_length(text: &str) -> usize {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.find(ends).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> String {
        let environment = [("A", "one"), ("EMPTY", "")].map(|(name, value)| (name.into(), value.into()));
        replace(text, 0, &environment.into(), &mut Vec::new()).unwrap().0
    }

    #[test]
    fn every_form() {
        for (written, meant) in [
            ("$A ${A} $B ${B}.", "one one $B ${B}."),
            ("$6$salt$hash ${B:-$C}", "$6$salt$hash $C"),
            ("${A:-x} ${B:-x} ${EMPTY:-x} ${EMPTY-x}", "one x x "),
            ("${A:=x} ${B:=x} ${B=x y}", "one x x y"),
            ("${A:+x} ${B:+x} ${EMPTY:+x} ${EMPTY+x}", "x   x"),
            ("${B:=frr:${C:=v${A}}}", "frr:vone"),
            ("$$A $( $", "$A $( $"),
            ("é${A}é", "éoneé"),
        ] {
            assert_eq!(made(written), meant, "{written}");
        }
    }

    #[test]
    fn what_is_not_set_is_noted() {
        let environment = [("A".to_owned(), String::new())].into();
        let mut unset = Vec::new();
        replace("$A ${A} $B ${C} ${D:=x} $$E $", 7, &environment, &mut unset).unwrap();
        let names: Vec<_> = unset.iter().map(|it| (it.name.as_str(), it.span.start)).collect();
        assert_eq!(names, [("B", 15), ("C", 18)]);
    }

    #[test]
    fn what_is_not_closed_is_told_on_its_line() {
        for text in [
            "a: 1\nb: ${A\n",
            "a: 1\nb: ${A:=x\nc: }\n",
            "a: 1\nb: ${}\n",
            "a: 1\nb: ${A?x}\n",
        ] {
            let diagnostics = replace(text, 0, &Environment::new(), &mut Vec::new()).unwrap_err();
            assert_eq!(diagnostics[0].labels[0].span.start, 8, "{text}");
        }
    }

    #[test]
    fn places_after_a_variable_are_those_of_the_file() {
        let environment = [("A".to_owned(), "a long value".to_owned())].into();
        let (made, replaced) = replace("${A} next", 0, &environment, &mut Vec::new()).unwrap();
        let places = super::super::files::Places::new(&made, 0, replaced);
        let at = made.find("next").unwrap();
        assert_eq!(places.span(at, at + 4), 5..9);
        assert_eq!(places.span(2, 6), 0..4);
    }
}
