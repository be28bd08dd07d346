//! Keys that are not shown.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Octets that appear in no message. The plan carries them to the supervisor, in a form by which [`hide`] finds them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Carried", into = "Carried")]
pub struct Secret(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
struct Carried {
    secret: Vec<u8>,
}

impl From<Carried> for Secret {
    fn from(carried: Carried) -> Secret {
        Secret(carried.secret)
    }
}

impl From<Secret> for Carried {
    fn from(secret: Secret) -> Carried {
        Carried { secret: secret.0 }
    }
}

/// What stands in place of a secret.
const HIDDEN: &str = "(secret)";

/// Puts a word in place of all secrets in what is to be shown.
pub fn hide(shown: &mut Value) {
    let is_secret =
        |map: &Map<String, Value>| map.len() == 1 && map.get("secret").is_some_and(Value::is_array);
    match shown {
        Value::Object(map) if is_secret(map) => *shown = Value::from(HIDDEN),
        Value::Object(map) => map.values_mut().for_each(hide),
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// So many octets in base64 (RFC 4648 section 4), as WireGuard writes keys.
pub fn base64(text: &str, octets: usize) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok().filter(|found| found.len() == octets)
}

/// So many octets in hexadecimal digits.
pub fn hexadecimal(text: &str, octets: usize) -> Option<Vec<u8>> {
    if text.len() != octets * 2 || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_carried_and_hidden() {
        let secret = Secret(vec![200, 9, 243]);
        let mut carried = serde_json::json!({ "peers": [{ "key": secret, "port": 5 }], "none": null });
        let back: Secret = serde_json::from_value(carried["peers"][0]["key"].clone()).unwrap();
        assert!(back == secret);
        hide(&mut carried);
        assert_eq!(
            carried["peers"][0],
            serde_json::json!({ "key": "(secret)", "port": 5 })
        );
    }

    #[test]
    fn keys_are_read() {
        let key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
        assert_eq!(base64(key, 32).map(|it| (it[0], it[31])), Some((0xc8, 0x69)));
        for wrong in [
            "",
            "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk",
            "A===",
            "a b=",
            "yAnz",
        ] {
            assert_eq!(base64(wrong, 32), None, "{wrong}");
        }
        assert_eq!(hexadecimal("00fF", 2), Some(vec![0, 255]));
        assert_eq!(hexadecimal("00f", 2), None);
        assert_eq!(hexadecimal("éé", 2), None);
        assert_eq!(format!("{:?}", Secret(vec![1, 2])), "(secret)");
    }
}
