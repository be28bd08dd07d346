//! Values written as YAML, as kubectl writes them.

use std::fmt::Write as _;

use serde_json::Value;

/// A value as YAML.
pub fn yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(value, 0, &mut out),
        Value::Array(list) if !list.is_empty() => block(value, 0, &mut out),
        scalar => {
            out.push_str(&inline(scalar));
            out.push('\n');
        }
    }
    out
}

/// A mapping or a list that has something in it, each entry on a line that is indented.
fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let _ = write!(out, "{pad}{}:", text(key));
                nested(value, indent, out);
            }
        }
        Value::Array(list) => {
            for value in list {
                let mut item = String::new();
                if is_block(value) {
                    block(value, indent + 2, &mut item);
                } else {
                    item = format!("{}\n", inline(value));
                }
                let _ = write!(out, "{pad}- {}", item.trim_start_matches(' '));
            }
        }
        _ => {}
    }
}

/// What stands after a key.
fn nested(value: &Value, indent: usize, out: &mut String) {
    match value {
        // kubectl does not indent lists further than their key.
        Value::Array(_) if is_block(value) => {
            out.push('\n');
            block(value, indent, out);
        }
        Value::Object(_) if is_block(value) => {
            out.push('\n');
            block(value, indent + 2, out);
        }
        scalar => {
            let _ = writeln!(out, " {}", inline(scalar));
        }
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(written) => text(written),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
        other => other.to_string(),
    }
}

/// A text, in quotes where it would be taken for something else without.
fn text(written: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let is_word = !written.is_empty()
        && written.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && written.chars().all(safe)
        && !matches!(
            written.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
        );
    // Addresses are no numbers to anybody.
    let is_address = written.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_ipv4())
        || written.parse::<ipnet::Ipv4Net>().is_ok();
    match is_word || is_address {
        true => written.to_owned(),
        // A text in JSON is one in YAML.
        false => Value::String(written.to_owned()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_kubectl_writes_it() {
        let value = serde_json::json!({
            "apiVersion": "cilium.io/v2alpha1",
            "metadata": { "labels": {}, "name": "rack0" },
            "spec": { "list": [{ "a": "10.0.0.1/32", "b": [1, 2] }, "true", []], "text": "a: b" },
        });
        let expected = "apiVersion: cilium.io/v2alpha1\nmetadata:\n  labels: {}\n  name: rack0\nspec:\n  list:\n  \
                        - a: 10.0.0.1/32\n    b:\n    - 1\n    - 2\n  - \"true\"\n  - []\n  text: \"a: b\"\n";
        assert_eq!(yaml(&value), expected);
    }
}
