//! Regular expressions in FRR's dialect: POSIX's extended ones, in which `_` is whatever may stand between AS numbers.

use regex::Regex;

/// What `_` stands for.
const BETWEEN: &str = "(?:^|[,{}() ]|$)";

/// A regular expression.
#[derive(Debug, Clone)]
pub struct Expression(Option<Regex>);

impl Expression {
    /// Makes an expression ready. One that is none matches nothing.
    pub fn new(text: &str) -> Expression {
        Expression(Regex::new(&translated(text)).ok())
    }

    /// Whether it is an expression at all.
    pub fn is_valid(text: &str) -> bool {
        Regex::new(&translated(text)).is_ok()
    }

    /// Whether it matches anywhere in a text.
    pub fn matches(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// The expression as the crate `regex` has it. Within brackets POSIX knows no escapes, and `[` is a character there unless
/// it begins a class.
fn translated(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '_' => out.push_str(BETWEEN),
            '\\' => {
                out.push('\\');
                out.extend(rest.next());
            }
            '[' => bracket(&mut rest, &mut out),
            other => out.push(other),
        }
    }
    out
}

fn bracket(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    while let Some(next) = rest.next() {
        match next {
            ']' if !first => {
                out.push(']');
                return;
            }
            '[' if rest.peek() == Some(&':') => {
                out.push('[');
                // To the end of the class's name.
                for inner in rest.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            // `_` is translated before the expression is read, in brackets as elsewhere; there its parts are characters.
            '_' => out.push_str(r"\(\^|\[,{}\) $"),
            '\\' | '[' | ']' | '&' | '~' | '^' => out.extend(['\\', next]),
            other => out.push(other),
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn underscore_is_what_stands_between_as_numbers() {
        let expression = Expression::new("_65001_");
        for path in [
            "65001",
            "65001 1",
            "1 65001",
            "1 65001 2",
            "1 {65001,2}",
            "(65001) 2",
        ] {
            assert!(expression.matches(path), "{path}");
        }
        for path in ["", "650010", "165001", "1 2"] {
            assert!(!expression.matches(path), "{path}");
        }
        assert!(Expression::new("^$").matches(""));
        assert!(!Expression::new("^$").matches("1"));
        assert!(Expression::new("^65001( 65001)*$").matches("65001 65001"));
        assert!(Expression::new("^6500[1-3]_").matches("65003 1"));
        assert!(Expression::new(".*").matches(""));
    }

    #[test]
    fn brackets_are_posix() {
        assert!(Expression::new("^[[:digit:]]+$").matches("65001"));
        assert!(Expression::new("[]]").matches("]"));
        assert!(Expression::new("[[]").matches("["));
        assert!(Expression::new(r"[\d]").matches(r"\"));
        assert!(!Expression::new(r"[\.]").matches("1"));
        assert!(Expression::new("[^0-9]").matches("1 2"));
    }

    #[test]
    fn what_is_no_expression_matches_nothing() {
        for text in ["(", "[", "*("] {
            assert!(!Expression::is_valid(text), "{text}");
            assert!(!Expression::new(text).matches(text));
        }
    }
}
