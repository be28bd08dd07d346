//! Interfaces of nodes, from what their types say of their keys.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::file::interface::{has_link, keys_of};
use crate::links::{self, Described, Form};

/// An interface of a node.
pub(super) struct InterfaceTable;

/// Keys that do not hang on the type: name, form, and what it is for.
fn common() -> Vec<(&'static str, Value)> {
    let interface = json!({ "type": "string", "pattern": "^[A-Za-z0-9._][A-Za-z0-9._-]{0,14}$" });
    let vlans = json!({ "type": "array", "items": { "anyOf": [
        { "type": "integer", "minimum": 1, "maximum": 4094 },
        { "type": "string", "pattern": "^[0-9]{1,4}(-[0-9]{1,4})?$" },
    ] } });
    let named = |mut schema: Value, about: &str| {
        schema["description"] = about.into();
        schema
    };
    vec![
        (
            "link",
            named(
                interface.clone(),
                "The interface of the node that it is on top of.",
            ),
        ),
        (
            "master",
            named(
                interface.clone(),
                "The bridge, bond or VRF of the node that it is in.",
            ),
        ),
        (
            "ports",
            json!({ "type": "array", "items": interface, "description": "bond, bridge, vrf: the interfaces that are in it." }),
        ),
        (
            "mtu",
            json!({ "type": "integer", "minimum": 68, "maximum": 65535, "description": "Bytes a packet." }),
        ),
        (
            "mac",
            json!({ "type": "string", "pattern": "^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$", "description": "Its MAC address; by default derived from the names, or that of the interface below." }),
        ),
        (
            "addresses",
            json!({ "type": "array", "items": { "type": "string", "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$" }, "description": "Its addresses with the lengths of their networks." }),
        ),
        (
            "late",
            json!({ "type": "boolean", "description": "Whether the node's own commands make it: addresses and routes are set when it appears (default false)." }),
        ),
        (
            "pvid",
            json!({ "type": "integer", "minimum": 1, "maximum": 4094, "description": "On a bridge with VLANs: the one of frames without a tag." }),
        ),
        (
            "tagged",
            named(
                vlans.clone(),
                "On a bridge with VLANs: those whose frames have tags here.",
            ),
        ),
        (
            "untagged",
            named(
                vlans,
                "On a bridge with VLANs: those whose frames leave without a tag.",
            ),
        ),
    ]
}

impl JsonSchema for InterfaceTable {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "InterfaceTable".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let types: Vec<Value> = links::sorts()
            .map(|sort| json!({ "const": sort.name, "description": sort.about }))
            .collect();
        let mut properties = Map::new();
        properties.insert(
            "type".to_owned(),
            json!({ "description": "What it is; none for an interface that is there without it.", "oneOf": types }),
        );
        for (name, schema) in common() {
            properties.insert(name.to_owned(), schema);
        }
        let mut of_types = Vec::new();
        for sort in links::sorts() {
            let keys = keys_of(sort);
            for key in &keys {
                let about = format!("{}: {}", sort.name, key.about);
                let there = properties
                    .entry(key.name)
                    .or_insert_with(|| json!({ "description": "" }));
                let told = there["description"].as_str().unwrap_or_default();
                let told = if told.is_empty() {
                    about
                } else {
                    format!("{told} {about}")
                };
                there["description"] = told.into();
            }
            of_types.push((sort, keys));
        }
        let conditions: Vec<Value> = of_types
            .iter()
            .map(|(sort, keys)| {
                let mut own = Map::new();
                for key in keys {
                    own.insert(key.name.to_owned(), of_key(key));
                }
                for (_, others) in &of_types {
                    for other in others
                        .iter()
                        .filter(|it| !keys.iter().any(|key| key.name == it.name))
                    {
                        own.insert(other.name.to_owned(), Value::Bool(false));
                    }
                }
                if !has_link(sort) {
                    own.insert("link".to_owned(), Value::Bool(false));
                }
                let required = keys.iter().filter(|key| key.required).map(|key| key.name);
                let link = (sort.below == links::Below::Needed).then_some("link");
                let required: Vec<&str> = required.chain(link).collect();
                json!({
                    "if": { "properties": { "type": { "const": sort.name } }, "required": ["type"] },
                    "then": { "properties": own, "required": required },
                })
            })
            .collect();
        schemars::json_schema!({
            "description": "An interface of a node: a device of a type, or what is set on one that is there or comes late.",
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
            "allOf": conditions,
        })
    }
}

fn of_key(key: &Described) -> Value {
    let mut schema = of_form(&key.form);
    schema["description"] = key.about.into();
    schema
}

fn of_form(form: &Form) -> Value {
    match form {
        Form::Integer(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Form::Word(words) => json!({ "type": "string", "enum": words }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Text(example) => json!({ "type": "string", "examples": [example] }),
        Form::List(inner) => json!({ "type": "array", "items": of_form(inner) }),
        Form::Tables(keys) => {
            let properties: Map<String, Value> = keys
                .iter()
                .map(|key| (key.name.to_owned(), of_key(key)))
                .collect();
            let required: Vec<&str> = keys
                .iter()
                .filter(|key| key.required)
                .map(|key| key.name)
                .collect();
            json!({ "type": "array", "items": {
                "type": "object", "properties": properties, "required": required, "additionalProperties": false,
            } })
        }
    }
}
