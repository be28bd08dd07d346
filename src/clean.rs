//! Text from elsewhere (files, nodes, peers, clusters) made fit for a terminal: what a terminal would obey, or a reader not
//! see, is shown as an escape.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// Whether a character is not shown as itself: controls (C0, DEL and C1, which some terminals obey even as UTF-8), those
/// that turn the direction of writing, and those without width, line and paragraph separators included.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

fn show(character: char, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = match character {
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        character if (character as u32) < 0x100 => write!(out, "\\x{:02x}", character as u32),
        character => write!(out, "\\u{{{:x}}}", character as u32),
    };
}

fn cleaned(text: &str, may_stay: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_bad = |character: char| is_hidden(character) && !may_stay(character);
    let Some(first) = text.find(is_bad) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..first]);
    for character in text[first..].chars() {
        match is_bad(character) {
            true => show(character, &mut out),
            false => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// Several lines: line ends and tabs stay, and a return before a line end goes.
pub fn text(text: &str) -> Cow<'_, str> {
    match text.contains("\r\n") {
        true => Cow::Owned(cleaned(&text.replace("\r\n", "\n"), |it| it == '\n' || it == '\t').into_owned()),
        false => cleaned(text, |it| it == '\n' || it == '\t'),
    }
}

/// Several lines of a message: line ends stay, and tabs are shown.
pub fn message(text: &str) -> Cow<'_, str> {
    cleaned(text, |it| it == '\n')
}

/// One line, whatever is in it.
pub fn line(text: &str) -> Cow<'_, str> {
    cleaned(text, |_| false)
}

/// One line of what may not be text; bytes that are not UTF-8 are shown as escapes.
pub fn bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&line(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// A path as one line.
pub fn path(path: &Path) -> String {
    bytes(path.as_os_str().as_encoded_bytes())
}

/// Text with colors of nslab's own making: sequences that set colors stay (SGR, ECMA-48 8.3.117), nothing else.
pub fn styled(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return self::text(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        out.push_str(&self::text(&rest[..at]));
        rest = &rest[at..];
        let length = color(rest);
        match length {
            0 => {
                show('\u{1b}', &mut out);
                rest = &rest[1..];
            }
            length => {
                out.push_str(&rest[..length]);
                rest = &rest[length..];
            }
        }
    }
    out.push_str(&self::text(rest));
    Cow::Owned(out)
}

/// How long the sequence is that begins here, if it sets colors.
fn color(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\u{1b}[") else {
        return 0;
    };
    let length = parameters
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b';')
        .count();
    match parameters.as_bytes().get(length) {
        Some(b'm') => 2 + length + 1,
        _ => 0,
    }
}

/// JSON for a terminal: what JSON leaves as it is and a terminal obeys is written as JSON's own escapes, so that the value
/// stays the same. C0 controls are escaped in any JSON; line ends between values stay.
pub fn json(text: &str) -> Cow<'_, str> {
    let is_bad = |character: char| is_hidden(character) && character != '\n' && character != '\t';
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_bad(character) {
            true => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            false => out.push(character),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_terminals_obey_is_shown() {
        assert_eq!(text("plain: é 漢 🙂\n\tx"), "plain: é 漢 🙂\n\tx");
        assert_eq!(text("\u{1b}]0;OWNED\u{7}"), "\\x1b]0;OWNED\\x07");
        assert_eq!(text("\u{1b}]52;c;b3du\u{1b}\\"), "\\x1b]52;c;b3du\\x1b\\");
        assert_eq!(text("\u{9b}2J\u{7f}"), "\\x9b2J\\x7f");
        assert_eq!(
            text("a\u{202e}b\u{2066}c\u{200b}d"),
            "a\\u{202e}b\\u{2066}c\\u{200b}d"
        );
        assert_eq!(text("nslab: ok\rnslab: no\r\n"), "nslab: ok\\rnslab: no\n");
        assert_eq!(line("a\nb"), "a\\nb");
        assert_eq!(bytes(b"bad\xff\xfe\x1b\n"), "bad\\xff\\xfe\\x1b\\n");
    }

    #[test]
    fn colors_of_our_own_stay() {
        let own = "\u{1b}[31;1mred\u{1b}[0m";
        assert_eq!(styled(own), own);
        assert_eq!(styled("\u{1b}[2J\u{1b}[31m"), "\\x1b[2J\u{1b}[31m");
        assert_eq!(styled("\u{1b}[31"), "\\x1b[31");
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({ "a\u{9b}": "\u{202e}\u{1b}\u{e0041}\u{7f}" });
        let written = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&written);
        assert!(shown.chars().all(|it| !is_hidden(it) || it == '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(dirty in "(\\PC|\\p{C}|\u{1b}\\[|\u{1b}\\]52;|\n){0,40}", raw: Vec<u8>) {
            prop_assert!(text(&dirty).chars().all(|it| !is_hidden(it) || it == '\n' || it == '\t'));
            prop_assert!(!line(&dirty).chars().any(is_hidden));
            prop_assert!(!bytes(&raw).chars().any(is_hidden));
            // Cleaning twice changes nothing.
            let once = text(&dirty).into_owned();
            prop_assert_eq!(text(&once), once.as_str());
            let sets_a_title = styled(&dirty).contains("\u{1b}]");
            prop_assert!(!sets_a_title);
        }
    }
}
