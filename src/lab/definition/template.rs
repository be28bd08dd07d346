//! Text with variables in braces: `{name}`, `{links}`.

use std::borrow::Cow;

/// The variables that every kind has, and what they stand for.
pub const VARIABLES: [(&str, &str); 12] = [
    ("name", "the node's name"),
    ("lab", "the lab's name"),
    ("kind", "the kind's name"),
    ("links", "how many links the node has"),
    ("type", "its model"),
    (
        "base_mac",
        "a MAC address whose last three bytes are zero, different for each node",
    ),
    ("mgmt_ipv4", "its address on the management network"),
    ("mgmt_ipv4_length", "the length of that subnet's prefix"),
    ("mgmt_ipv4_gateway", "the gateway there"),
    ("mgmt_ipv6", "its IPv6 address on the management network"),
    ("mgmt_ipv6_length", "the length of that subnet's prefix"),
    ("mgmt_ipv6_gateway", "the IPv6 gateway there"),
];

/// How the variables begin that are known when the management network is.
pub const MANAGEMENT: &str = "mgmt_";

/// Where variables stand in a text: braces around lower-case letters, digits and underscores. Any other brace is text.
fn next(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    loop {
        let open = from + text[from..].find('{')?;
        let inner = &text[open + 1..];
        let length = inner
            .bytes()
            .take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == b'_')
            .count();
        let is_name = inner.starts_with(|c: char| c.is_ascii_lowercase());
        if is_name && inner[length..].starts_with('}') {
            return Some((open, open + length + 2));
        }
        from = open + 1;
    }
}

/// The variables of a text.
pub fn variables(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((open, end)) = next(rest) {
        found.push(&rest[open + 1..end - 1]);
        rest = &rest[end..];
    }
    found
}

/// The text with what its variables stand for; nothing where that is longer than `most` bytes. One that stands for nothing stays.
pub fn fill<'v>(text: &str, most: usize, value: &dyn Fn(&str) -> Option<Cow<'v, str>>) -> Option<String> {
    let mut filled = String::with_capacity(text.len().min(most));
    let mut rest = text;
    while let Some((open, end)) = next(rest) {
        filled.push_str(&rest[..open]);
        match value(&rest[open + 1..end - 1]) {
            Some(value) if value.len() > most.saturating_sub(filled.len()) => return None,
            Some(value) => filled.push_str(&value),
            None => filled.push_str(&rest[open..end]),
        }
        rest = &rest[end..];
    }
    filled.push_str(rest);
    (filled.len() <= most).then_some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_words_in_braces() {
        let text = "{name} has {links}; {\"json\": 1} ${HOME} {} {a b} {{links}} {";
        assert_eq!(variables(text), ["name", "links", "links"]);
        let value = |name: &str| match name {
            "name" => Some(Cow::from("é{links}")),
            "links" => Some(Cow::from("3")),
            _ => None,
        };
        assert_eq!(
            fill(text, 100, &value).as_deref(),
            Some("é{links} has 3; {\"json\": 1} ${HOME} {} {a b} {3} {")
        );
        assert_eq!(fill("{other}", 7, &value).as_deref(), Some("{other}"));
        assert_eq!(fill("{links}{links}", 2, &value).as_deref(), Some("33"));
        assert_eq!(fill("{links}{links}", 1, &value), None);
        assert_eq!(fill("{links}abc", 3, &value), None);
    }
}
