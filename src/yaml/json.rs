//! What an API server says, as a tree like those of files: text is text there, and everything else stands for what it is.

use std::rc::Rc;

use serde_json::Value as Json;

use super::{DEEPEST, Key, Value, Yaml};

impl Yaml {
    /// The tree of a value, without places; none where it is nested deeper than files may be.
    pub fn of_json(json: &Json) -> Option<Yaml> {
        of(json, DEEPEST)
    }
}

fn of(json: &Json, depth: usize) -> Option<Yaml> {
    let below = depth.checked_sub(1)?;
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(_) | Json::Number(_) => Value::Plain(json.to_string().into()),
        Json::String(text) => Value::Text(text.as_str().into()),
        Json::Array(items) => {
            let items: Option<Vec<Yaml>> = items.iter().map(|item| of(item, below)).collect();
            Value::List(items?.into())
        }
        Json::Object(entries) => {
            let entry = |(name, value): (&String, &Json)| {
                let name: Rc<str> = name.as_str().into();
                Some((Key { name, span: 0..0 }, of(value, below)?))
            };
            let entries: Option<Vec<_>> = entries.iter().map(entry).collect();
            Value::Map(entries?.into())
        }
    };
    Some(Yaml::new(value, 0..0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_stays_text() {
        let tree = Yaml::of_json(&json!({ "a": ["65010", 65010, true, null], "b": "x\ny: z" })).unwrap();
        let items = tree.get("a").unwrap().items().unwrap();
        assert_eq!(items[0].value, Value::Text("65010".into()));
        assert_eq!(items[1].value, Value::Plain("65010".into()));
        assert_eq!(items[2].value, Value::Plain("true".into()));
        assert_eq!(items[3].value, Value::Null);
        assert_eq!(tree.get("b").unwrap().scalar(), Some("x\ny: z"));
        assert_eq!(tree.weight, 7);
    }

    #[test]
    fn depth_has_a_bound() {
        let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        assert!(Yaml::of_json(&nested(DEEPEST - 1)).is_some());
        assert!(Yaml::of_json(&nested(DEEPEST)).is_none());
    }
}
