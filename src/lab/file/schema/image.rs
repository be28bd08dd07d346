//! Nodes that are images, and the registries those come from.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::patterns::Duration;

/// When an image is asked for where it comes from.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum PullWord {
    /// When it is missing here.
    Missing,
    /// Each time.
    Always,
    /// Never.
    Never,
}

/// Who is the first process of a node that is an image.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum InitWord {
    /// nslab's own.
    Nslab,
    /// The image's program.
    Image,
}

/// A command: its words, or a line that is split into words as a shell would.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum Words {
    Line(String),
    Words(Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum HealthcheckValue {
    Off(bool),
    Table(HealthcheckTable),
}

/// What asks a program whether it is well.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct HealthcheckTable {
    /// The command: a line for the image's shell, or a list of words, which may begin with CMD or CMD-SHELL.
    test: Words,
    /// From one to the next (default 30s).
    interval: Option<Duration>,
    /// How long one may take (default 30s).
    timeout: Option<Duration>,
    /// In this time failures do not count (default 0s).
    start_period: Option<Duration>,
    /// So many failures in a row make the node unhealthy (default 3).
    #[schemars(range(min = 1, max = 1000))]
    retries: Option<u32>,
}

/// How registries of images are reached.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ImagesTable {
    /// Hosts that are asked first in the place of a registry's, by that: "docker.io" = ["mirror.example:5000"].
    mirrors: Option<BTreeMap<String, Vec<String>>>,
    /// Hosts that are spoken to without TLS.
    insecure: Option<Vec<String>>,
    /// A file of certificates (PEM) that are trusted beside the usual ones.
    ca: Option<String>,
    /// What holds for one registry alone, by its host and port: "registry.example:5000" = { ca = "registry-ca.pem" }.
    registry: Option<BTreeMap<String, RegistryTable>>,
}

/// How one registry of images is reached.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct RegistryTable {
    /// Whether it may be spoken to without TLS where it has none (default false).
    insecure: Option<bool>,
    /// A file of certificates (PEM) that its own may be signed by.
    ca: Option<String>,
    /// A file with the certificate (PEM) that it is shown; wants `key`.
    cert: Option<String>,
    /// A file with the key (PEM) of `cert`.
    key: Option<String>,
}
