//! The schema without what a TOML file cannot say: `null`. A key that may be left out is not in `required`, and that is all.

use serde_json::{Map, Value};

/// Takes `null` out of all types, and alternatives of which one is left.
pub(super) fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            narrow_types(object);
            narrow_alternatives(object);
            object.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

fn narrow_types(object: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = object.get_mut("type") else {
        return;
    };
    types.retain(|one| one != "null");
    if let [only] = types.as_slice() {
        let only = only.clone();
        object.insert("type".to_owned(), only);
    }
}

fn narrow_alternatives(object: &mut Map<String, Value>) {
    let Some(Value::Array(alternatives)) = object.get_mut("anyOf") else {
        return;
    };
    alternatives.retain(|one| one["type"] != "null");
    if let [Value::Object(only)] = alternatives.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
}
