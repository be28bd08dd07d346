//! Errors in a lab file, as a person reads them: the file, the line, the text underlined, and the cure.

use std::borrow::Cow;
use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, Severity, SourceCode, ThemeCharacters, ThemeStyles,
};

use super::excerpt::{Excerpt, Lines};
use crate::clean;
use crate::lab::Diagnostic;

/// Columns a message is wrapped at.
const WIDTH: usize = 110;
/// How many errors of a file are shown.
const MOST: usize = 50;
/// How many places of an error are shown.
const MOST_LABELS: usize = 8;
/// The longest sentence about an error, in bytes: what is wrong may be as long as the file.
const LONGEST: usize = 600;

/// The errors of a file, one after the other, and how many they are. What a terminal would obey is shown as escapes.
pub fn render(file_name: &str, text: &str, diagnostics: &[Diagnostic], color: bool) -> String {
    let theme = GraphicalTheme {
        characters: match super::terminal::is_ascii() {
            true => ThemeCharacters::ascii(),
            false => ThemeCharacters::unicode(),
        },
        styles: if color {
            ThemeStyles::ansi()
        } else {
            ThemeStyles::none()
        },
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(WIDTH)
        .with_links(false);
    let file_name = clean::line(file_name);
    let lines = Lines::of(text);
    let mut rendered = String::new();
    for diagnostic in diagnostics.iter().take(MOST) {
        let labels = &diagnostic.labels[..diagnostic.labels.len().min(MOST_LABELS)];
        let spans: Vec<_> = labels.iter().map(|label| label.span.clone()).collect();
        let excerpt = Excerpt::new(&file_name, &lines, &spans);
        let shown = Shown {
            message: short(&diagnostic.message),
            help: diagnostic.help.as_deref().map(short),
            labels: labels.iter().map(|label| short(&label.text)).collect(),
            excerpt,
        };
        // A String takes whatever is written; what a span outside of the text leaves out is not worth a failure.
        if handler.render_report(&mut rendered, &shown).is_err() {
            rendered.push_str(&format!("{file_name}: {}\n", shown.message));
        }
        rendered.push('\n');
    }
    if diagnostics.len() > MOST {
        rendered.push_str(&format!("and {} more\n", diagnostics.len() - MOST));
    }
    let count = match diagnostics.len() {
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    };
    rendered.push_str(&format!("{count} in {file_name}\n"));
    rendered
}

/// A sentence without what a terminal would obey; the middle of one as long as a file is left out.
fn short(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return clean::message(text);
    }
    let head = &text[..text.floor_char_boundary(LONGEST / 2)];
    let tail = &text[text.ceil_char_boundary(text.len() - LONGEST / 2)..];
    Cow::Owned(clean::message(&format!("{head} … {tail}")).into_owned())
}

/// An error in the form that miette renders.
struct Shown<'d> {
    message: Cow<'d, str>,
    help: Option<Cow<'d, str>>,
    labels: Vec<Cow<'d, str>>,
    excerpt: Excerpt,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.excerpt)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let labels = self.labels.iter().zip(&self.excerpt.labels).enumerate();
        Some(Box::new(labels.map(|(at, (text, (span, _)))| {
            let text = (!text.is_empty()).then(|| text.clone().into_owned());
            match at {
                0 => LabeledSpan::new_primary_with_span(text, span.clone()),
                _ => LabeledSpan::new_with_span(text, span.clone()),
            }
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_file_the_line_the_text_and_the_cure() {
        let text = "name = \"x\"\nnmae = 1\n";
        let diagnostic = Diagnostic::new("no such key", 11..15, "unknown key").help("did you mean `name`?");
        let rendered = render("labs/x.toml", text, &[diagnostic], false);
        assert!(rendered.contains("labs/x.toml:2:1"), "{rendered}");
        assert!(rendered.contains("nmae = 1"), "{rendered}");
        assert!(rendered.contains("did you mean `name`?"), "{rendered}");
        assert!(rendered.ends_with("1 error in labs/x.toml\n"), "{rendered}");
        assert!(!rendered.contains('\u{1b}'), "{rendered}");
    }

    #[test]
    fn survives_places_outside_of_the_text() {
        let diagnostic = Diagnostic::new("odd", 40..50, "").and(3..2000, "");
        let rendered = render("x", "name", &[diagnostic.clone(), diagnostic], true);
        assert!(rendered.contains("odd"));
        assert!(rendered.ends_with("2 errors in x\n"));
        render("x", "", &[Diagnostic::new("odd", 0..0, "")], true);
    }

    #[test]
    fn what_a_terminal_obeys_is_shown_and_underlined_as_shown() {
        let text = "name = \"x\"\na\u{1b}]0;T\u{7}\u{202e} = \u{9b}2J\n";
        let start = text.find('\u{9b}').unwrap();
        let diagnostic = Diagnostic::new("odd \u{1b}[2J", start..start + 4, "he\u{1b}re").help("\u{1b}c");
        let rendered = render("\u{1b}[31mx", text, &[diagnostic], false);
        assert!(
            !rendered.chars().any(|it| it.is_control() && it != '\n'),
            "{rendered:?}"
        );
        assert!(!rendered.contains('\u{202e}'));
        let line = rendered.lines().find(|line| line.contains("]0;T")).unwrap();
        assert!(line.ends_with("a\\x1b]0;T\\x07\\u{202e} = \\x9b2J"), "{line}");
        let below = rendered.lines().skip_while(|it| *it != line).nth(1).unwrap();
        let column = |line: &str, what: &str| line.split(what).next().unwrap().chars().count();
        assert_eq!(column(line, "\\x9b2J"), column(below, "─"), "{rendered}");
        // The column is that of the file.
        assert!(rendered.contains(&format!(":2:{}]", start - 10)), "{rendered}");
    }

    #[test]
    fn a_long_line_is_shown_around_the_error() {
        let text = format!("first\n{}HERE{}\nlast\n", "é".repeat(40_000), "y".repeat(40_000));
        let start = text.find("HERE").unwrap();
        let rendered = render(
            "x",
            &text,
            &[Diagnostic::new("odd", start..start + 4, "this")],
            false,
        );
        assert!(rendered.len() < 3_000, "{}", rendered.len());
        assert!(
            rendered.contains("éHEREy") && rendered.contains("…é"),
            "{rendered}"
        );
        assert!(rendered.contains(":2:80001]"), "{rendered}");
        // One that is longer than what is shown, and one beyond it.
        let whole = Diagnostic::new("long", 6..text.len() - 6, "").and(text.len() - 8..text.len() - 7, "far");
        assert!(render("x", &text, &[whole], false).len() < 4_000);
    }

    #[test]
    fn few_of_many_errors_are_shown() {
        let text = "x = 1\n".repeat(100_000);
        let all: Vec<Diagnostic> = (0..100_000)
            .map(|line| Diagnostic::new("odd", line * 6..line * 6 + 1, "here").and(0..1, "there"))
            .collect();
        let began = std::time::Instant::now();
        let rendered = render("x", &text, &all, false);
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
        assert!(rendered.ends_with("and 99950 more\n100000 errors in x\n"));
        assert_eq!(rendered.matches("odd").count(), 50);
        // A label over all lines is one of the first.
        let whole = Diagnostic::new("all", 0..text.len(), "");
        assert!(render("x", &text, &[whole], false).lines().count() < 15);
    }

    #[test]
    fn places_far_from_each_other_are_shown_apart() {
        let text: String = (1..=90).map(|line| format!("line{line} = 1\n")).collect();
        let at = |what: &str| text.find(what).unwrap();
        let diagnostic = Diagnostic::new("twice", at("line80")..at("line80") + 6, "again")
            .and(at("line50")..at("line50") + 6, "first");
        let rendered = render("x", &text, &[diagnostic], false);
        for line in [
            "x:80:1", "line49", "line50", "line51", "line79", "line80", "line81", "again", "first",
        ] {
            assert!(rendered.contains(line), "{line}: {rendered}");
        }
        assert!(!rendered.contains("line60"), "{rendered}");
    }

    #[test]
    fn a_sentence_as_long_as_a_file_is_cut() {
        let long = "é".repeat(1_000_000);
        let diagnostic = Diagnostic::new(format!("`{long}` is odd"), 0..1, long.clone()).help(long);
        let rendered = render("x", "name", &[diagnostic], false);
        assert!(
            rendered.len() < 4_000 && rendered.contains("is odd"),
            "{}",
            rendered.len()
        );
    }
}
