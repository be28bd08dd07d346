//! Text becomes words, numbers, addresses and signs.

use std::net::Ipv6Addr;

use super::FilterError;
use super::syntax::Span;

/// A piece of the text.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A keyword or a name.
    Word(String),
    /// A name behind a backslash, which is no keyword.
    Name(String),
    Number(u32),
    /// Two to four numbers with dots between.
    Dotted(Vec<u8>),
    V6(Ipv6Addr),
    Mac([u8; 6]),
    Sign(Sign),
}

/// Signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Open,
    Close,
    OpenIndex,
    CloseIndex,
    Colon,
    Plus,
    Minus,
    Times,
    Slash,
    Percent,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    LogicalAnd,
    LogicalOr,
    Not,
}

/// Longer ones first.
const SIGNS: &[(&str, Sign)] = &[
    ("&&", Sign::LogicalAnd),
    ("||", Sign::LogicalOr),
    ("<<", Sign::ShiftLeft),
    (">>", Sign::ShiftRight),
    ("==", Sign::Equal),
    ("!=", Sign::NotEqual),
    (">=", Sign::GreaterOrEqual),
    ("<=", Sign::LessOrEqual),
    ("(", Sign::Open),
    (")", Sign::Close),
    ("[", Sign::OpenIndex),
    ("]", Sign::CloseIndex),
    (":", Sign::Colon),
    ("+", Sign::Plus),
    ("-", Sign::Minus),
    ("*", Sign::Times),
    ("/", Sign::Slash),
    ("%", Sign::Percent),
    ("&", Sign::And),
    ("|", Sign::Or),
    ("^", Sign::Xor),
    ("=", Sign::Equal),
    (">", Sign::Greater),
    ("<", Sign::Less),
    ("!", Sign::Not),
];

/// The tokens of a text, with their places.
///
/// # Errors
/// Something in it is no token.
pub fn tokens(text: &str) -> Result<Vec<(Token, Span)>, FilterError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let (token, length) = token(&text[at..], first, at)?;
        found.push((token, at..at + length));
        at += length;
    }
    Ok(found)
}

/// The first token of what is left, and how long it is.
fn token(rest: &str, first: char, at: usize) -> Result<(Token, usize), FilterError> {
    if let Some(found) = mac(rest) {
        return Ok(found);
    }
    if let Some(found) = v6(rest, at) {
        return found;
    }
    if first.is_ascii_digit() {
        return number_or_dotted(rest, at);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let length = word(rest);
        return Ok((Token::Word(rest[..length].to_owned()), length));
    }
    if let Some(name) = rest.strip_prefix('\\') {
        let length = word(name);
        return match length {
            0 => Err(FilterError::new("a name has to follow the backslash", at..at + 1)),
            _ => Ok((Token::Name(name[..length].to_owned()), length + 1)),
        };
    }
    let sign = SIGNS.iter().find(|(text, _)| rest.starts_with(text));
    sign.map(|(text, sign)| (Token::Sign(*sign), text.len()))
        .ok_or_else(|| {
            let message = format!("{:?} has no meaning in a filter", first);
            FilterError::new(message, at..at + first.len_utf8())
        })
}

/// How long the word is that a text begins with. Signs at its end are not part of it.
fn word(text: &str) -> usize {
    let is_inner = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.');
    let all = text.find(|it| !is_inner(it)).unwrap_or(text.len());
    text[..all].trim_end_matches(['-', '.']).len()
}

/// A number, or the dotted parts of an IPv4 address.
fn number_or_dotted(rest: &str, at: usize) -> Result<(Token, usize), FilterError> {
    let is_part = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_');
    let length = rest.find(|it| !is_part(it)).unwrap_or(rest.len());
    let text = &rest[..length];
    let span = at..at + length;
    if text.contains('.') {
        let parts: Option<Vec<u8>> = text.split('.').map(decimal).collect();
        return match parts {
            Some(parts) if parts.len() <= 4 => Ok((Token::Dotted(parts), length)),
            _ => Err(FilterError::new(format!("{text} is no IPv4 address"), span)),
        };
    }
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    match u32::from_str_radix(digits, radix) {
        Ok(number) if !digits.starts_with('+') => Ok((Token::Number(number), length)),
        _ => {
            let help = "numbers are decimal, 0x… or, with a 0 in front, octal, and have 32 bits";
            Err(FilterError::new(format!("{text} is no number"), span).help(help))
        }
    }
}

fn decimal(text: &str) -> Option<u8> {
    let is_plain = !text.is_empty() && text.len() <= 3 && text.bytes().all(|it| it.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// A MAC address in one of its forms: 02:00:00:00:00:01, with - or . in the place of :, 0200.0000.0001, 020000000001.
fn mac(rest: &str) -> Option<(Token, usize)> {
    let is_part = |it: char| it.is_ascii_hexdigit() || matches!(it, ':' | '-' | '.');
    let length = rest.find(|it| !is_part(it)).unwrap_or(rest.len());
    let text = &rest[..length];
    let follows = rest[length..].chars().next();
    if follows.is_some_and(|it| it.is_ascii_alphanumeric() || it == '_') {
        return None;
    }
    let octet = |part: &str| match part.len() {
        1 | 2 => u8::from_str_radix(part, 16).ok(),
        _ => None,
    };
    let of = |parts: Vec<&str>| -> Option<[u8; 6]> {
        let octets: Option<Vec<u8>> = parts.into_iter().map(octet).collect();
        octets?.try_into().ok()
    };
    let separated = [':', '-', '.'].into_iter();
    let mut separated = separated.filter_map(|separator| of(text.split(separator).collect()));
    let grouped = || -> Option<[u8; 6]> {
        let groups: Vec<&str> = text.split('.').collect();
        let is_whole = matches!(groups.as_slice(), [a] if a.len() == 12)
            || (groups.len() == 3 && groups.iter().all(|group| group.len() == 4));
        let digits = is_whole.then(|| groups.concat())?;
        of((0..6).map(|part| &digits[2 * part..2 * part + 2]).collect())
    };
    let octets = separated.next().or_else(grouped)?;
    Some((Token::Mac(octets), length))
}

/// An IPv6 address: whatever has two colons.
fn v6(rest: &str, at: usize) -> Option<Result<(Token, usize), FilterError>> {
    let is_part = |it: char| it.is_ascii_hexdigit() || matches!(it, ':' | '.');
    let length = rest.find(|it| !is_part(it)).unwrap_or(rest.len());
    let text = &rest[..length];
    if text.matches(':').count() < 2 {
        return None;
    }
    let parsed = text.parse().map(|address| (Token::V6(address), length));
    Some(parsed.map_err(|_| FilterError::new(format!("{text} is no IPv6 address"), at..at + length)))
}
