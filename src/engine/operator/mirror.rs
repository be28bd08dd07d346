//! What is in the API server, as far as it has a meaning here, kept up by watches.

use std::collections::BTreeMap;

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::NodeView;
use crate::cilium::{Kind, Reference};

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Kind(Kind),
    Pods,
}

/// A namespace and a name.
type Key = (String, String);

#[derive(Debug, Default)]
pub struct Mirror {
    all: BTreeMap<Source, BTreeMap<Key, Value>>,
    /// Lists that are being read.
    coming: BTreeMap<Source, BTreeMap<Key, Value>>,
}

impl Source {
    /// How the API server calls it.
    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = match self {
            Source::Kind(kind) => {
                let newest = kind.versions().last().copied().unwrap_or("v1");
                (kind.group(), newest, kind.name(), kind.plural())
            }
            Source::Pods => ("", "v1", "Pod", "pods"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }
}

impl Mirror {
    /// Takes in what a watch says.
    pub fn take(&mut self, source: Source, event: Event<DynamicObject>) {
        match event {
            Event::Init => drop(self.coming.insert(source, BTreeMap::new())),
            Event::InitApply(object) => {
                let (key, value) = kept(source, &object);
                self.coming.entry(source).or_default().insert(key, value);
            }
            Event::InitDone => {
                let all = self.coming.remove(&source).unwrap_or_default();
                self.all.insert(source, all);
            }
            Event::Apply(object) => {
                let (key, value) = kept(source, &object);
                self.all.entry(source).or_default().insert(key, value);
            }
            Event::Delete(object) => {
                let (key, _) = kept(source, &object);
                self.all.entry(source).or_default().remove(&key);
            }
        }
    }

    /// Whether everything of these was read once.
    pub fn has_all(&self, sources: &[Source]) -> bool {
        sources.iter().all(|source| self.all.contains_key(source))
    }

    /// An object.
    pub fn get(&self, reference: &Reference) -> Option<&Value> {
        let key = (reference.namespace.clone(), reference.name.clone());
        self.all.get(&Source::Kind(reference.kind))?.get(&key)
    }

    /// Whether an object has been seen as it was then, or later.
    pub fn has_seen(&self, reference: &Reference, version: &str) -> bool {
        let seen = self
            .get(reference)
            .and_then(|it| it["metadata"]["resourceVersion"].as_str());
        // The API server counts (KEP-5504); where one does not, only the very version is known for sure.
        let number = |text: &str| text.parse::<u64>().ok();
        seen.is_some_and(|seen| match (number(seen), number(version)) {
            (Some(seen), Some(wanted)) => seen >= wanted,
            _ => seen == version,
        })
    }

    /// All objects that have a meaning, without what changes though nothing changes.
    pub fn objects(&self) -> Vec<Value> {
        let of_kinds = self.all.iter().filter(|(source, _)| **source != Source::Pods);
        of_kinds
            .flat_map(|(_, all)| all.values())
            .map(meaningful)
            .collect()
    }

    /// The nodes, with their pods counted.
    pub fn nodes(&self) -> Vec<NodeView> {
        let empty = BTreeMap::new();
        let of = |source| self.all.get(&source).unwrap_or(&empty).values();
        let view = |node: &Value| {
            let name = node["metadata"]["name"].as_str().unwrap_or_default();
            let conditions = node["status"]["conditions"]
                .as_array()
                .map_or(&[][..], Vec::as_slice);
            let ready = |it: &Value| it["type"] == "Ready" && it["status"] == "True";
            let pods: Vec<&Value> = of(Source::Pods)
                .filter(|pod| pod["spec"]["nodeName"] == name)
                .collect();
            NodeView {
                name: name.to_owned(),
                ready: conditions.iter().any(ready),
                version: text(&node["status"]["nodeInfo"]["kubeletVersion"]),
                pods: pods.len(),
                running: pods
                    .iter()
                    .filter(|pod| pod["status"]["phase"] == "Running")
                    .count(),
                local_services: of(Source::Kind(Kind::Service))
                    .filter(|service| pods.iter().any(|pod| answers(service, pod)))
                    .map(key)
                    .collect(),
            }
        };
        of(Source::Kind(Kind::Node)).map(view).collect()
    }
}

/// Whether a pod that is ready is one of those of a service that answers only where its pods are.
fn answers(service: &Value, pod: &Value) -> bool {
    let selector = service["spec"]["selector"].as_object();
    let conditions = pod["status"]["conditions"].as_array();
    service["spec"]["externalTrafficPolicy"] == "Local"
        && service["metadata"]["namespace"] == pod["metadata"]["namespace"]
        && selector.is_some_and(|all| {
            let has = |(label, value): (&String, &Value)| pod["metadata"]["labels"][label] == *value;
            !all.is_empty() && all.iter().all(has)
        })
        && conditions
            .into_iter()
            .flatten()
            .any(|it| it["type"] == "Ready" && it["status"] == "True")
}

/// The namespace and the name of an object.
fn key(object: &Value) -> Key {
    let metadata = &object["metadata"];
    (text(&metadata["namespace"]), text(&metadata["name"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// An object with its type, which lists leave out, and without who has said what of it.
fn kept(source: Source, object: &DynamicObject) -> (Key, Value) {
    let mut value = json!(object);
    let resource = source.resource();
    value["apiVersion"] = json!(resource.api_version);
    value["kind"] = json!(resource.kind);
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    (key(&value), value)
}

fn meaningful(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(whole) = object.as_object_mut() {
        whole.remove("status");
    }
    if object["kind"] == "Node"
        && let Some(whole) = object.as_object_mut()
    {
        whole.remove("spec");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| ["name", "namespace", "labels", "annotations"].contains(&key.as_str()));
    }
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    object
}
