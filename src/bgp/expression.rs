//! Regular expressions in FRR's dialect: POSIX's extended ones as glibc reads them, in which `_` is whatever may stand between
//! AS numbers.

use fancy_regex::{Regex, RegexBuilder};

/// What `_` stands for. As with FRR it is a group, which back-references count.
const BETWEEN: &str = "(^|[,{}() ]|$)";
/// Steps of a search with back-references. One that needs more matches nothing.
const STEPS: usize = 100_000;
/// Most that a repetition may say, glibc's RE_DUP_MAX.
const REPETITIONS: u32 = 32_767;

/// A regular expression.
#[derive(Debug, Clone)]
pub struct Expression(Option<Regex>);

impl Expression {
    /// Makes an expression ready. One that is none matches nothing.
    pub fn new(text: &str) -> Expression {
        let translated = Translation::of(text);
        Expression(translated.and_then(|text| {
            let builder = &mut RegexBuilder::new(&text);
            builder.backtrack_limit(STEPS).build().ok()
        }))
    }

    /// Whether it is an expression at all.
    pub fn is_valid(text: &str) -> bool {
        Expression::new(text).0.is_some()
    }

    /// Whether it matches anywhere in a text.
    pub fn matches(&self, text: &str) -> bool {
        self.0
            .as_ref()
            .is_some_and(|regex| regex.is_match(text).unwrap_or(false))
    }
}

type Letters<'t> = std::iter::Peekable<std::str::Chars<'t>>;

/// An expression on its way to the syntax of the crate `fancy_regex`.
#[derive(Default)]
struct Translation {
    out: String,
    /// Where the last thing that can be repeated begins, and whether it is repeated already.
    last: Option<(usize, bool)>,
    /// Groups that are open: where they begin, and their numbers.
    open: Vec<(usize, usize)>,
    /// Groups so far.
    groups: usize,
    /// Those that are closed, which alone can be referred to.
    closed: Vec<usize>,
}

impl Translation {
    /// None where glibc's regcomp(3) would refuse the text.
    fn of(text: &str) -> Option<String> {
        let mut this = Translation::default();
        let mut rest = text.chars().peekable();
        while let Some(next) = rest.next() {
            this.take(next, &mut rest)?;
        }
        this.open.is_empty().then_some(this.out)
    }

    fn take(&mut self, next: char, rest: &mut Letters) -> Option<()> {
        match next {
            '_' => {
                self.groups += 1;
                self.closed.push(self.groups);
                self.atom(BETWEEN);
            }
            '^' | '$' => {
                self.out.push(next);
                self.last = None;
            }
            '|' => {
                self.out.push('|');
                self.last = None;
            }
            '(' => {
                self.groups += 1;
                self.open.push((self.out.len(), self.groups));
                self.out.push('(');
                self.last = None;
            }
            // One that closes nothing is a character.
            ')' => match self.open.pop() {
                Some((begin, number)) => {
                    self.out.push(')');
                    self.closed.push(number);
                    self.last = Some((begin, false));
                }
                None => self.atom(r"\)"),
            },
            '*' | '+' | '?' => self.repeat(&next.to_string())?,
            '{' => {
                let interval = interval(rest)?;
                self.repeat(&interval)?;
            }
            '[' => {
                let begin = self.out.len();
                bracket(rest, &mut self.out)?;
                self.last = Some((begin, false));
            }
            '.' => self.atom("."),
            '\\' => self.escape(rest.next()?)?,
            other => self.literal(other),
        }
        Some(())
    }

    fn atom(&mut self, text: &str) {
        self.last = Some((self.out.len(), false));
        self.out.push_str(text);
    }

    fn literal(&mut self, character: char) {
        let mut octets = [0; 4];
        let text = regex::escape(character.encode_utf8(&mut octets));
        self.atom(&text);
    }

    /// A repetition of a repetition is one of a group: `a+?` is no lazy `a+` as it is elsewhere.
    fn repeat(&mut self, how: &str) -> Option<()> {
        let (begin, is_repeated) = self.last?;
        if is_repeated {
            self.out.insert_str(begin, "(?:");
            self.out.push(')');
        }
        self.out.push_str(how);
        self.last = Some((begin, true));
        Some(())
    }

    fn escape(&mut self, next: char) -> Option<()> {
        match next {
            '1'..='9' => {
                let number = next.to_digit(10)? as usize;
                self.closed.contains(&number).then_some(())?;
                self.atom(&format!(r"(?:\{number})"));
            }
            'w' | 'W' | 's' | 'S' => self.atom(&format!(r"\{next}")),
            'b' | 'B' => self.anchor(&format!(r"\{next}")),
            '<' | '>' => self.anchor(r"\b"),
            '`' => self.anchor(r"\A"),
            '\'' => self.anchor(r"\z"),
            other => self.literal(other),
        }
        Some(())
    }

    fn anchor(&mut self, text: &str) {
        self.out.push_str(text);
        self.last = None;
    }
}

/// What follows `{`: `2}`, `2,}`, `,3}` or `2,3}`.
fn interval(rest: &mut Letters) -> Option<String> {
    let mut text = String::new();
    loop {
        match rest.next()? {
            '}' => break,
            next => text.push(next),
        }
    }
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u32>().ok().filter(|number| *number <= REPETITIONS),
        false => None,
    };
    let Some((low, high)) = text.split_once(',') else {
        return Some(format!("{{{}}}", number(&text)?));
    };
    let low = if low.is_empty() { 0 } else { number(low)? };
    match high {
        "" => Some(format!("{{{low},}}")),
        high => {
            let high = number(high)?;
            (low <= high).then(|| format!("{{{low},{high}}}"))
        }
    }
}

/// Classes of characters (POSIX, 9.3.5).
const CLASSES: [&str; 12] = [
    "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
    "xdigit",
];

/// Within brackets POSIX knows no escapes, and `[` is a character there unless it begins a class.
fn bracket(rest: &mut Letters, out: &mut String) -> Option<()> {
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    while let Some(next) = rest.next() {
        match next {
            ']' if !first => {
                out.push(']');
                return Some(());
            }
            '[' if rest.peek() == Some(&':') => {
                // To the end of the class's name.
                let mut name: String = rest.by_ref().take_while(|inner| *inner != ']').collect();
                name.retain(|letter| letter != ':');
                CLASSES.contains(&name.as_str()).then_some(())?;
                out.push_str(&format!("[:{name}:]"));
            }
            // `_` is translated before the expression is read, in brackets as elsewhere; there its parts are characters.
            '_' => out.push_str(r"\(\^|\[,{}\) $"),
            '\\' | '[' | ']' | '&' | '~' | '^' => out.extend(['\\', next]),
            other => out.push(other),
        }
        first = false;
    }
    None
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
    fn what_was_matched_is_referred_to() {
        let twice = Expression::new(r"^(65001|65002)_\1$");
        assert!(twice.matches("65001 65001") && twice.matches("65002 65002"));
        assert!(!twice.matches("65001 65002"));
        // `_` is a group as well, and the first here.
        assert!(Expression::new(r"_65001\1").matches("1 65001 2"));
        assert!(!Expression::new(r"_65001\1").matches("1 65001,2"));
        // Only a group that is closed can be referred to.
        for text in [r"\1", r"(a)\2", r"(a\1)"] {
            assert!(!Expression::is_valid(text), "{text}");
        }
        // A search that would take for ever ends.
        let endless = Expression::new(r"^(1|1 ?)*(.*)\2\2$");
        assert!(!endless.matches(&("1 ".repeat(200) + "x")));
    }

    #[test]
    fn repetitions_are_posix() {
        assert!(Expression::new("^1+?$").matches(""));
        assert!(Expression::new("^a**$").matches("aaa"));
        assert!(Expression::new("^1{,2}$").matches("") && !Expression::new("^1{,2}$").matches("111"));
        assert!(Expression::new("^)$").matches(")"));
        assert!(Expression::new(r"^\d$").matches("d"));
        for text in [
            "*",
            "+1",
            "?",
            "^*",
            "1|*",
            "(*1)",
            "{1}",
            "1{",
            "1{1",
            "1{2,1}",
            "1{99999}",
            "[z-a]",
            "[[:foo:]]",
            r"\",
        ] {
            assert!(!Expression::is_valid(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_matches_nothing() {
        for text in ["(", "[", "*("] {
            assert!(!Expression::is_valid(text), "{text}");
            assert!(!Expression::new(text).matches(text));
        }
    }
}
