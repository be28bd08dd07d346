//! Manifests: objects as kubectl takes them, several in a file with `---` between.

mod foreign;

use std::collections::BTreeMap;

use serde_json::Value;

pub use self::foreign::Foreign;
use super::object::{Kind, Object, Reference};
use super::reading::{head, json, required, text, texts};
use super::resources;
use crate::lab::Diagnostic;
use crate::lab::file::suggest;
use crate::yaml::files::{Files, Places};
use crate::yaml::reader::{Reader, Table};
use crate::yaml::{Yaml, documents};

/// The namespace of objects that say none.
pub const NAMESPACE: &str = "default";
/// The longest name of an object (RFC 1123).
const LONGEST_NAME: usize = 253;

/// Manifests that were read.
#[derive(Debug, Default)]
pub struct Manifests {
    /// The files.
    pub files: Files,
    /// Their objects, in order.
    pub objects: Vec<Object>,
    /// Objects without a meaning for BGP, in order.
    pub foreign: Vec<Foreign>,
    /// What is wrong, in places of all files together; see [`Files::sorted`].
    pub diagnostics: Vec<Diagnostic>,
    /// What can be used as it is, but has not the effect that its writer may expect; in places as `diagnostics`.
    pub warnings: Vec<Diagnostic>,
}

impl Manifests {
    /// Diagnostics as a line each, with the file and the line.
    pub fn lines(&self, diagnostics: &[Diagnostic]) -> Vec<String> {
        let line = |it: &Diagnostic| {
            let place = it.labels.first().map_or(0, |label| label.span.start);
            let (file, line) = self.files.line(place);
            format!("{file}, line {line}: {}", it.message)
        };
        diagnostics.iter().map(line).collect()
    }

    /// All objects as they were written, in order.
    pub fn written(&self) -> Vec<Value> {
        let mut foreign = self.foreign.iter().peekable();
        let mut all = Vec::with_capacity(self.objects.len() + self.foreign.len());
        for (at, object) in self.objects.iter().enumerate() {
            while let Some(it) = foreign.next_if(|it| it.before <= at) {
                all.push(it.written.clone());
            }
            all.push(object.written.clone());
        }
        all.extend(foreign.map(|it| it.written.clone()));
        all
    }
}

/// Reads files, each by its name and its text.
pub fn read(files: impl IntoIterator<Item = (String, String)>) -> Manifests {
    let mut manifests = Manifests::default();
    let mut reader = Reader::default();
    for (name, text) in files {
        let places_of = text.clone();
        let begin = manifests.files.add(name, text);
        match documents(&places_of, &Places::new(&places_of, begin, Vec::new())) {
            Ok(documents) => {
                for yaml in &documents {
                    whole(&mut reader, yaml, &mut manifests);
                }
            }
            Err(diagnostics) => reader.diagnostics.extend(diagnostics),
        }
    }
    manifests.diagnostics = reader.diagnostics;
    manifests.warnings = reader.warnings;
    manifests
}

/// Reads an object as an API server has it.
///
/// # Errors
/// What is wrong with it, a sentence each.
pub fn object_of(json: &Value) -> Result<Object, Vec<String>> {
    let mut reader = Reader::default();
    let yaml = Yaml::of_json(json).ok_or_else(|| vec!["it is nested too deep".to_owned()])?;
    let object = object(&mut reader, &yaml);
    match object.filter(|_| reader.diagnostics.is_empty()) {
        Some(object) => Ok(object),
        None => Err(reader.diagnostics.into_iter().map(|it| it.message).collect()),
    }
}

/// An object, or a list of them.
fn whole(reader: &mut Reader, yaml: &Yaml, manifests: &mut Manifests) {
    let is_list = yaml.get("kind").and_then(Yaml::scalar) == Some("List");
    let items = yaml.get("items").and_then(Yaml::items).filter(|_| is_list);
    for yaml in items.unwrap_or(std::slice::from_ref(yaml)) {
        if foreign::is_foreign(yaml) {
            let before = manifests.objects.len();
            manifests.foreign.extend(foreign::read(reader, yaml, before));
        } else {
            manifests.objects.extend(object(reader, yaml));
        }
    }
}

fn object(reader: &mut Reader, yaml: &Yaml) -> Option<Object> {
    let mut table = reader.table(yaml, "object", "an object")?;
    let said = table.get("kind");
    let word = said.and_then(|yaml| text(reader, yaml, "kind", "CiliumBGPPeeringPolicy"));
    let word = required(
        reader,
        &table,
        "kind",
        "CiliumBGPPeeringPolicy",
        word,
        said.is_some(),
    )?;
    let Some(kind) = Kind::of(&word) else {
        let names = Kind::ALL.into_iter().map(Kind::name);
        let help = suggest::cure(&word, names, "the kinds with a meaning here are", "take it out");
        let message = format!("objects of kind `{}` are not yet supported", word.escape_debug());
        reader.wrong(
            said.map_or_else(|| head(&table), |yaml| yaml.span.clone()),
            message,
            help,
        );
        return None;
    };
    let api_version = version(reader, &mut table, kind);
    let metadata = table.get("metadata");
    let metadata = match metadata {
        Some(yaml) => metadata_of(reader, yaml, kind),
        None => {
            let help = "write `metadata: { name: rack0 }`";
            reader.wrong(head(&table), "`metadata` is missing", help);
            None
        }
    };
    let none = BTreeMap::new();
    let annotations = metadata.as_ref().map_or(&none, |it| &it.annotations);
    let spec = resources::read(reader, kind, annotations, &mut table);
    table.finish(reader);
    api_version?;
    let metadata = metadata?;
    Some(Object {
        reference: Reference {
            kind,
            namespace: metadata.namespace,
            name: metadata.name,
        },
        labels: metadata.labels,
        annotations: metadata.annotations,
        spec: spec?,
        written: json(yaml),
    })
}

/// `apiVersion`, which has to be one of the kind's.
fn version(reader: &mut Reader, table: &mut Table, kind: Kind) -> Option<()> {
    let of = |version: &str| match kind.group() {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    };
    let known: Vec<String> = kind.versions().iter().map(|version| of(version)).collect();
    let newest = known.last().map_or("", String::as_str);
    let said = table.get("apiVersion");
    let word = said.and_then(|yaml| text(reader, yaml, "apiVersion", newest));
    let word = required(reader, table, "apiVersion", newest, word, said.is_some())?;
    if known.contains(&word) {
        return Some(());
    }
    let message = format!("there is no {} in `{}`", kind.name(), word.escape_debug());
    let help = format!("write `apiVersion: {}`", known.join("` or `"));
    reader.wrong(
        said.map_or_else(|| head(table), |yaml| yaml.span.clone()),
        message,
        help,
    );
    None
}

/// What `metadata` says.
struct Metadata {
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

fn metadata_of(reader: &mut Reader, yaml: &Yaml, kind: Kind) -> Option<Metadata> {
    let mut table = reader.table(yaml, "metadata", "`metadata`")?;
    let said = table.get("name");
    let name = said.and_then(|yaml| object_name(reader, yaml, "name"));
    let name = required(reader, &table, "name", "rack0", name, said.is_some());
    let namespace = table.get("namespace");
    let named = namespace.and_then(|yaml| object_name(reader, yaml, "namespace"));
    let namespace = match (kind.is_namespaced(), namespace) {
        (true, _) => named.unwrap_or_else(|| NAMESPACE.to_owned()),
        (false, None) => String::new(),
        (false, Some(yaml)) => {
            // As the API server does, which drops it.
            let message = format!("{} is in no namespace: `namespace` has no effect", kind.name());
            reader.warn(yaml.span.clone(), message, "remove `namespace`");
            String::new()
        }
    };
    let mut texts_of = |key: &'static str, reader: &mut Reader| {
        let said = table.get(key);
        said.map(|yaml| texts(reader, yaml, key)).unwrap_or_default()
    };
    let labels = texts_of("labels", reader);
    let annotations = texts_of("annotations", reader);
    table.ignore(
        &[
            "creationTimestamp",
            "finalizers",
            "generation",
            "managedFields",
            "ownerReferences",
            "resourceVersion",
            "selfLink",
            "uid",
        ],
        reader,
    );
    table.refuse(&[("generateName", "give the object a `name`")], reader);
    table.finish(reader);
    Some(Metadata {
        name: name?,
        namespace,
        labels,
        annotations,
    })
}

/// A name as Kubernetes has them (RFC 1123 subdomain).
fn object_name(reader: &mut Reader, yaml: &Yaml, key: &str) -> Option<String> {
    let name = text(reader, yaml, key, "rack0")?;
    let part = |part: &str| {
        let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    if name.len() <= LONGEST_NAME && name.split('.').all(part) {
        return Some(name);
    }
    let message = format!("`{}` is no name to Kubernetes", name.escape_debug());
    let help = "names have small letters, digits, `-` and `.`, and begin and end with a letter or a digit";
    reader.wrong(yaml.span.clone(), message, help);
    None
}
