//! JSON as FRR prints it, which is json-c's way: two blanks for each level, no blank after a colon.

/// A value. Members of an object keep the order in which they were put in.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Bool(bool),
    Number(i64),
    Double(f64),
    Text(String),
    Array(Vec<Json>),
    Object(Object),
}

/// An object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Object(Vec<(String, Json)>);

impl Object {
    pub(super) fn new() -> Object {
        Object::default()
    }

    /// Puts a member at the end, or in the place of the one of this name.
    pub(super) fn put(&mut self, name: impl Into<String>, value: impl Into<Json>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// Puts a member at the end if there is a value.
    pub(super) fn put_some(&mut self, name: &str, value: Option<impl Into<Json>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Puts `true` at the end if a condition holds.
    pub(super) fn put_if(&mut self, name: &str, condition: bool) {
        if condition {
            self.put(name, true);
        }
    }

    /// This object with one member more.
    pub(super) fn with(mut self, name: impl Into<String>, value: impl Into<Json>) -> Object {
        self.put(name, value);
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Over several lines, which is how most answers are.
    pub(super) fn pretty(self) -> String {
        Json::from(self).pretty()
    }
}

macro_rules! from {
    ($($type:ty => |$value:ident| $json:expr;)*) => {
        $(impl From<$type> for Json {
            fn from($value: $type) -> Json {
                $json
            }
        })*
    };
}

from! {
    bool => |value| Json::Bool(value);
    i64 => |value| Json::Number(value);
    i32 => |value| Json::Number(value.into());
    u8 => |value| Json::Number(value.into());
    u16 => |value| Json::Number(value.into());
    u32 => |value| Json::Number(value.into());
    u64 => |value| Json::Number(i64::try_from(value).unwrap_or(i64::MAX));
    usize => |value| Json::Number(i64::try_from(value).unwrap_or(i64::MAX));
    f64 => |value| Json::Double(value);
    String => |value| Json::Text(value);
    &str => |value| Json::Text(value.to_owned());
    Vec<Json> => |value| Json::Array(value);
    Object => |value| Json::Object(value);
}

/// Anything that is printed as a text.
pub(super) fn text(value: impl ToString) -> Json {
    Json::Text(value.to_string())
}

/// How a value is laid out.
#[derive(Clone, Copy)]
struct Layout {
    pretty: bool,
    /// Some answers of FRR's have `\/`, others have not.
    escapes_slashes: bool,
}

impl Json {
    /// Over several lines.
    pub(super) fn pretty(&self) -> String {
        self.printed(Layout {
            pretty: true,
            escapes_slashes: false,
        })
    }

    /// Over several lines, with `\/` for `/`.
    pub(super) fn pretty_escaped(&self) -> String {
        self.printed(Layout {
            pretty: true,
            escapes_slashes: true,
        })
    }

    /// On one line.
    pub(super) fn plain(&self) -> String {
        self.printed(Layout {
            pretty: false,
            escapes_slashes: false,
        })
    }

    fn printed(&self, layout: Layout) -> String {
        let mut out = String::new();
        self.print(layout, 0, &mut out);
        out
    }

    fn print(&self, layout: Layout, level: usize, out: &mut String) {
        match self {
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(value) => out.push_str(&value.to_string()),
            Json::Double(value) => out.push_str(&double(*value)),
            Json::Text(value) => quote(value, layout.escapes_slashes, out),
            Json::Array(items) => {
                let items = items.iter().map(|item| (None, item));
                print_all(['[', ']'], items, layout, level, out);
            }
            Json::Object(Object(members)) => {
                let members = members.iter().map(|(name, value)| (Some(name.as_str()), value));
                print_all(['{', '}'], members, layout, level, out);
            }
        }
    }
}

fn print_all<'j>(
    [open, close]: [char; 2],
    items: impl Iterator<Item = (Option<&'j str>, &'j Json)>,
    layout: Layout,
    level: usize,
    out: &mut String,
) {
    let line = |level: usize, out: &mut String| {
        if layout.pretty {
            out.push('\n');
            out.push_str(&"  ".repeat(level));
        }
    };
    out.push(open);
    for (at, (name, item)) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        line(level + 1, out);
        if let Some(name) = name {
            quote(name, layout.escapes_slashes, out);
            out.push(':');
        }
        item.print(layout, level + 1, out);
    }
    line(level, out);
    out.push(close);
}

fn quote(text: &str, escapes_slashes: bool, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' if escapes_slashes => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Seventeen significant digits without trailing zeros, and always a point (C's `%.17g`, and json-c's `.0`).
fn double(value: f64) -> String {
    let printed = significant(value, 17);
    match printed.contains(['.', 'e', 'n']) {
        true => printed,
        false => printed + ".0",
    }
}

/// C's `%.Ng`.
pub(super) fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let places = (digits as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{value:.places$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laid_out_as_json_c_does() {
        let value = Json::from(
            Object::new()
                .with("a/b", "c/\"d\"\n")
                .with("list", vec![Json::from(1), Json::from(true)])
                .with("none", Object::new())
                .with("empty", Vec::new()),
        );
        assert_eq!(
            value.pretty(),
            "{\n  \"a/b\":\"c/\\\"d\\\"\\n\",\n  \"list\":[\n    1,\n    true\n  ],\n  \"none\":{\n  },\n  \"empty\":[\n  ]\n}"
        );
        assert_eq!(
            value.plain(),
            "{\"a/b\":\"c/\\\"d\\\"\\n\",\"list\":[1,true],\"none\":{},\"empty\":[]}"
        );
        assert!(value.pretty_escaped().contains("\"a\\/b\":\"c\\/"));
    }

    #[test]
    fn doubles_have_seventeen_digits() {
        let printed = |value: f64| Json::from(value).plain();
        assert_eq!(printed(24.0), "24.0");
        assert_eq!(printed(0.0), "0.0");
        assert_eq!(printed(4294969603.0), "4294969603.0");
        assert_eq!(printed(68.0 / 13.0), "5.2307692307692308");
        assert_eq!(printed(100.00005371402949), "100.00005371402949");
        assert_eq!(significant(4294969603.0, 6), "4.29497e+09");
        assert_eq!(significant(1536.0, 6), "1536");
    }
}
