//! Objects without a meaning for BGP, which stand beside those that have one in files of people's: a Kubernetes takes them, and
//! a cluster without one has no use for them.

use serde_json::Value;

use crate::cilium::object::Kind;
use crate::cilium::reading::{head, json, required, text};
use crate::lab::file::Span;
use crate::yaml::Yaml;
use crate::yaml::reader::Reader;

/// Kinds of Cilium's without a meaning for BGP.
const CILIUM: &[&str] = &[
    "CiliumBGPNodeConfig",
    "CiliumCIDRGroup",
    "CiliumClusterwideEnvoyConfig",
    "CiliumClusterwideNetworkPolicy",
    "CiliumEgressGatewayPolicy",
    "CiliumEndpoint",
    "CiliumEndpointSlice",
    "CiliumEnvoyConfig",
    "CiliumExternalWorkload",
    "CiliumGatewayClassConfig",
    "CiliumIdentity",
    "CiliumL2AnnouncementPolicy",
    "CiliumLocalRedirectPolicy",
    "CiliumNetworkPolicy",
    "CiliumNode",
    "CiliumNodeConfig",
];

/// An object without a meaning for BGP.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    /// How many objects with a meaning stand before it.
    pub before: usize,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Where its kind is written.
    pub span: Span,
    /// The whole of it as it was written.
    pub written: Value,
}

impl Foreign {
    /// What is said of it where there is no Kubernetes.
    pub fn without_effect(&self) -> String {
        let (kind, name) = (self.kind.escape_debug(), self.name.escape_debug());
        format!("{kind} {name} has no effect without a Kubernetes; `up --engine kubelet` brings one up")
    }
}

/// Whether this is an object of a kind that has no meaning here, and not one with a slip of the pen in its kind or version.
pub(super) fn is_foreign(yaml: &Yaml) -> bool {
    let word = |key| yaml.get(key).and_then(Yaml::scalar);
    let (Some(kind), Some(version)) = (word("kind"), word("apiVersion")) else {
        return false;
    };
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    if group == "cilium.io" {
        return CILIUM.contains(&kind);
    }
    let is_near = |known: Kind| {
        known.name() == kind || known.group() == group && strsim::damerau_levenshtein(known.name(), kind) <= 1
    };
    let starts_well = kind.starts_with(|first: char| first.is_ascii_uppercase());
    let is_word = kind.len() <= LONGEST_KIND && kind.bytes().all(|it| it.is_ascii_alphanumeric());
    starts_well && is_word && !Kind::ALL.into_iter().any(is_near)
}

/// The longest name of a kind (RFC 1035).
const LONGEST_KIND: usize = 63;

pub(super) fn read(reader: &mut Reader, yaml: &Yaml, before: usize) -> Option<Foreign> {
    let span = yaml.get("kind")?.span.clone();
    let kind = yaml.get("kind").and_then(Yaml::scalar)?.to_owned();
    let mut table = reader.table(yaml, "object", "an object")?;
    let metadata = table.get("metadata");
    let metadata = required(
        reader,
        &table,
        "metadata",
        "{ name: web }",
        metadata,
        metadata.is_some(),
    )?;
    let mut inner = reader.table(metadata, "metadata", "`metadata`")?;
    let said = inner.get("name");
    let name = said.and_then(|yaml| text(reader, yaml, "name", "web"));
    if said.is_none() {
        reader.wrong(head(&inner), "`name` is missing", "write `name: web`");
    }
    Some(Foreign {
        before,
        kind,
        name: name?,
        span,
        written: json(yaml),
    })
}
