//! Mistakes in a lab file, as a person reads them: the file, the line, the text underlined, and the cure.

use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity, SourceCode, ThemeCharacters,
    ThemeStyles,
};

use crate::lab::Diagnostic;

/// Columns a message is wrapped at.
const WIDTH: usize = 110;

/// All mistakes of a file, one after the other, and how many they are.
pub fn render(file_name: &str, text: &str, diagnostics: &[Diagnostic], colour: bool) -> String {
    let theme = GraphicalTheme {
        characters: ThemeCharacters::unicode(),
        styles: if colour {
            ThemeStyles::ansi()
        } else {
            ThemeStyles::none()
        },
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(WIDTH)
        .with_links(false);
    let source = NamedSource::new(file_name, text.to_owned());
    let mut rendered = String::new();
    for diagnostic in diagnostics {
        let shown = Shown {
            diagnostic,
            source: &source,
            length: text.len(),
        };
        // A String takes whatever is written; what a span outside of the text leaves out is not worth a failure.
        if handler.render_report(&mut rendered, &shown).is_err() {
            rendered.push_str(&format!("{file_name}: {}\n", diagnostic.message));
        }
        rendered.push('\n');
    }
    let count = match diagnostics.len() {
        1 => "1 mistake".to_owned(),
        count => format!("{count} mistakes"),
    };
    rendered.push_str(&format!("{count} in {file_name}\n"));
    rendered
}

/// A mistake in the form that miette renders.
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    source: &'a NamedSource<String>,
    length: usize,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.diagnostic.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let labels = self.diagnostic.labels.iter().enumerate();
        Some(Box::new(labels.map(|(at, label)| {
            let start = label.span.start.min(self.length);
            let end = label.span.end.clamp(start, self.length);
            let text = (!label.text.is_empty()).then(|| label.text.clone());
            match at {
                0 => LabeledSpan::new_primary_with_span(text, start..end),
                _ => LabeledSpan::new_with_span(text, start..end),
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
        assert!(rendered.ends_with("1 mistake in labs/x.toml\n"), "{rendered}");
        assert!(!rendered.contains('\u{1b}'), "{rendered}");
    }

    #[test]
    fn survives_places_outside_of_the_text() {
        let diagnostic = Diagnostic::new("odd", 40..50, "").and(3..2000, "");
        let rendered = render("x", "name", &[diagnostic.clone(), diagnostic], true);
        assert!(rendered.contains("odd"));
        assert!(rendered.ends_with("2 mistakes in x\n"));
        render("x", "", &[Diagnostic::new("odd", 0..0, "")], true);
    }
}
