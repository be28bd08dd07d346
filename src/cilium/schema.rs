//! Cilium's kinds as a real API server has to know them: their `CustomResourceDefinition`s. The schemas are what the readers of
//! [`super::resources`] look for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::object::Kind;
use super::resources;
use crate::yaml::reader::Reader;
use crate::yaml::schema_probe::{SchemaProbe, Shape};

/// All of them, as `apiextensions.k8s.io/v1` has them.
pub fn definitions() -> Vec<Value> {
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.is_of_cilium());
    kinds.map(definition).collect()
}

fn definition(kind: Kind) -> Value {
    let schema = json!({
        "type": "object", "required": ["spec"],
        "properties": {
            "apiVersion": { "type": "string" }, "kind": { "type": "string" }, "metadata": { "type": "object" },
            "spec": spec(kind), "status": anything("object"),
        },
    });
    let newest = kind.versions().last();
    let versions = kind.versions().iter().map(|version| {
        json!({
            "name": version, "served": true, "storage": Some(version) == newest,
            "schema": { "openAPIV3Schema": schema }, "subresources": { "status": {} },
            "additionalPrinterColumns": [{ "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" }],
        })
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{}.{}", kind.plural(), kind.group()) },
        "spec": {
            "group": kind.group(), "scope": "Cluster", "versions": versions.collect::<Vec<_>>(),
            "names": {
                "kind": kind.name(), "listKind": format!("{}List", kind.name()), "plural": kind.plural(),
                "singular": kind.name().to_ascii_lowercase(), "shortNames": kind.short(),
                "categories": ["cilium", "ciliumbgp"],
            },
        },
    })
}

fn anything(of: &str) -> Value {
    json!({ "type": of, "x-kubernetes-preserve-unknown-fields": true })
}

/// The schema of what stands below `spec`.
fn spec(kind: Kind) -> Value {
    let (probe, diagnostics) = probe(kind, None);
    let is_missing = |path: &str| {
        let key = path.rsplit('.').next().unwrap_or_default();
        let complaint = format!("`{key}` is missing");
        let (_, without) = self::probe(kind, Some(path.to_owned()));
        without.contains(&complaint) && !diagnostics.contains(&complaint)
    };
    let required: Vec<&str> = probe.paths().filter(|path| is_missing(path)).collect();
    schema(&probe, 0, &required)
}

/// What is looked for below `spec`, and what is complained about when one value is not there.
fn probe(kind: Kind, omitted: Option<String>) -> (SchemaProbe, Vec<String>) {
    let probe = Rc::new(RefCell::new(SchemaProbe::without(omitted)));
    let whole = probe.borrow_mut().value("spec".to_owned());
    let mut reader = Reader {
        probe: Some(Rc::clone(&probe)),
        ..Reader::default()
    };
    resources::spec(&mut reader, kind, &BTreeMap::new(), &whole);
    let diagnostics = reader.diagnostics.into_iter().map(|it| it.message).collect();
    (probe.take(), diagnostics)
}

fn schema(probe: &SchemaProbe, number: usize, required: &[&str]) -> Value {
    match probe.shape(number) {
        Shape::Anything => json!({ "x-kubernetes-preserve-unknown-fields": true }),
        Shape::Text => json!({ "type": "string" }),
        Shape::Word(words) => json!({ "type": "string", "enum": words }),
        Shape::Number(least, most) => {
            json!({ "type": "integer", "format": "int64", "minimum": least, "maximum": most })
        }
        Shape::Truth => json!({ "type": "boolean" }),
        Shape::List(item, least) => {
            let mut list = json!({ "type": "array", "items": schema(probe, *item, required) });
            if *least > 0 {
                list["minItems"] = json!(least);
            }
            list
        }
        Shape::Texts => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Shape::Table(properties) => {
            let mut table = json!({ "type": "object" });
            let each = |(key, number): &(&str, usize)| ((*key).to_owned(), schema(probe, *number, required));
            table["properties"] = Value::Object(properties.iter().map(each).collect::<Map<_, _>>());
            let is_required = |(_, number): &&(&str, usize)| required.contains(&probe.path(*number));
            let keys: Vec<&str> = properties
                .iter()
                .filter(is_required)
                .map(|(key, _)| *key)
                .collect();
            if !keys.is_empty() {
                table["required"] = json!(keys);
            }
            table
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind) -> Value {
        definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
    }

    #[test]
    fn schemas_say_what_readers_look_for() {
        let policy = of(Kind::PeeringPolicy);
        assert_eq!(policy["required"], json!(["virtualRouters"]));
        let router = &policy["properties"]["virtualRouters"]["items"];
        assert_eq!(router["required"], json!(["localASN", "neighbors"]));
        assert_eq!(
            router["properties"]["localASN"]["maximum"],
            json!(4_294_967_295_i64)
        );
        let neighbor = &router["properties"]["neighbors"]["items"]["properties"];
        assert_eq!(neighbor["peerAddress"], json!({ "type": "string" }));
        assert_eq!(neighbor["families"]["items"]["required"], json!(["afi", "safi"]));
        let selector = &policy["properties"]["nodeSelector"]["properties"];
        assert_eq!(
            selector["matchLabels"]["additionalProperties"],
            json!({ "type": "string" })
        );
        let advertisement = of(Kind::Advertisement);
        let advert = &advertisement["properties"]["advertisements"]["items"];
        assert_eq!(advert["required"], json!(["advertisementType"]));
        assert_eq!(
            advert["properties"]["service"]["properties"]["addresses"]["items"]["enum"],
            json!(["LoadBalancerIP", "ClusterIP", "ExternalIP"])
        );
        // One of two is enough, so none is required.
        let peer =
            &of(Kind::ClusterConfig)["properties"]["bgpInstances"]["items"]["properties"]["peers"]["items"];
        assert_eq!(peer["required"], json!(["name", "peerASN"]));
    }

    #[test]
    fn every_kind_of_cilium_s_is_defined() {
        let names: Vec<Value> = definitions()
            .iter()
            .map(|it| it["metadata"]["name"].clone())
            .collect();
        assert_eq!(names.len(), 7);
        assert!(names.contains(&json!("ciliumbgppeeringpolicies.cilium.io")));
        for definition in definitions() {
            let versions = definition["spec"]["versions"].as_array().unwrap().clone();
            assert_eq!(
                versions.iter().filter(|it| it["storage"] == json!(true)).count(),
                1
            );
        }
    }
}
