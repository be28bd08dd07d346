//! Manifests and indexes: what an image consists of. OCI's, and Docker's schema 2, which differs in names only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::platform::Platform;

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What a registry is asked for.
pub(crate) const ACCEPTED: [&str; 4] = [INDEX, MANIFEST, DOCKER_LIST, DOCKER_MANIFEST];

/// A manifest, index or configuration may not be longer. (Registries take 4 MiB.)
pub(crate) const LONGEST: u64 = 4 << 20;
/// An overlay has at most 500 layers below the one that is written to (overlayfs.rst). Two are nslab's own: the owners and modes of
/// directories, and what a node gets beside its image.
pub(crate) const MOST_LAYERS: usize = 498;

/// The annotation that has an image's name in an OCI layout.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Which content, how long, of what kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, content: &[u8]) -> Self {
        Descriptor {
            media_type: media_type.to_owned(),
            digest: Digest::of(content),
            size: content.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    /// The bottom comes first.
    pub(crate) layers: Vec<Descriptor>,
}

/// Several images: one for each platform, or all that a layout has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    Image(Manifest),
    Index(Index),
}

/// Reads what a registry or a layout has under a name.
pub(crate) fn read(text: &[u8]) -> Result<Document> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Outline {
        #[serde(default)]
        schema_version: u32,
        #[serde(default)]
        media_type: String,
        manifests: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
    }
    if text.len() as u64 > LONGEST {
        return Err(Error::wrong(format!(
            "the manifest is longer than {LONGEST} bytes"
        )));
    }
    let outline: Outline = json(text, "the manifest")?;
    if outline.schema_version == 1 {
        return Err(
            Error::wrong("the manifest is of schema 1, which registries gave up in 2016")
                .help("pull and push the image with a newer Docker, or convert it with skopeo"),
        );
    }
    match outline {
        // A manifest that is both one and the other would be one to some and the other to others.
        Outline {
            manifests: Some(_),
            layers: Some(_),
            ..
        } => Err(Error::wrong(
            "the manifest has `manifests` and `layers`: it is ambiguous",
        )),
        Outline {
            manifests: Some(_),
            media_type,
            ..
        } if ["", INDEX, DOCKER_LIST].contains(&&*media_type) => {
            Ok(Document::Index(json(text, "the index")?))
        }
        Outline {
            layers: Some(_),
            media_type,
            ..
        } if ["", MANIFEST, DOCKER_MANIFEST].contains(&&*media_type) => {
            image(json(text, "the manifest")?).map(Document::Image)
        }
        Outline { media_type, .. } => Err(Error::wrong(format!(
            "it is of the kind `{}`, which is not an image's manifest",
            shown(&media_type)
        ))),
    }
}

/// An image's manifest in OCI's words, if nslab can have it.
fn image(mut manifest: Manifest) -> Result<Manifest> {
    if !["", CONFIG, DOCKER_CONFIG].contains(&&*manifest.config.media_type) {
        return Err(Error::wrong(format!(
            "its configuration is of the kind `{}`: it is not a container image",
            shown(&manifest.config.media_type)
        )));
    }
    if manifest.config.size > LONGEST {
        return Err(Error::wrong(format!(
            "its configuration is longer than {LONGEST} bytes"
        )));
    }
    if manifest.layers.len() > MOST_LAYERS {
        let count = manifest.layers.len();
        return Err(
            Error::wrong(format!("it has {count} layers; an image may have {MOST_LAYERS}"))
                .help("build it with fewer, or squash it"),
        );
    }
    manifest.media_type = MANIFEST.to_owned();
    manifest.config.media_type = CONFIG.to_owned();
    for layer in &mut manifest.layers {
        layer.media_type = layer_type(&layer.media_type)
            .map_err(|error| error.of(format!("layer {}", layer.digest.short())))?;
    }
    Ok(manifest)
}

/// A layer's kind in OCI's words.
fn layer_type(name: &str) -> Result<String> {
    if name.contains("foreign") || name.contains("nondistributable") {
        let message = format!(
            "it is a foreign layer (`{}`), which its registry does not have",
            shown(name)
        );
        return Err(Error::wrong(message).help("images with such layers are for Windows, as a rule"));
    }
    let known = match name {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => format!("{LAYER}+gzip"),
        "application/vnd.docker.image.rootfs.diff.tar" => LAYER.to_owned(),
        "application/vnd.docker.image.rootfs.diff.tar.zstd" => format!("{LAYER}+zstd"),
        other => match other.strip_prefix(LAYER) {
            Some("" | "+gzip" | "+zstd") => other.to_owned(),
            Some("+encrypted" | "+gzip+encrypted" | "+zstd+encrypted") => {
                return Err(Error::wrong("it is encrypted"));
            }
            _ => {
                return Err(Error::wrong(format!(
                    "it is of the kind `{}`, which nslab does not know",
                    shown(name)
                )));
            }
        },
    };
    Ok(known)
}

/// The image of an index that suits a platform best.
pub(crate) fn choose<'a>(index: &'a Index, host: &Platform) -> Result<&'a Descriptor> {
    let fits = |it: &Descriptor| match &it.platform {
        Some(platform) => platform.fits(host),
        // One of unknown platform, with no other beside it, is what is meant.
        None => (index.manifests.len() == 1).then_some(0),
    };
    let mut best: Option<(u8, &Descriptor)> = None;
    for descriptor in &index.manifests {
        if let Some(fit) = fits(descriptor)
            && best.is_none_or(|(other, _)| fit > other)
        {
            best = Some((fit, descriptor));
        }
    }
    best.map(|(_, descriptor)| descriptor).ok_or_else(|| {
        let mut names: Vec<String> = index
            .manifests
            .iter()
            .filter_map(|it| it.platform.as_ref())
            .map(|it| shown(&it.to_string()))
            .collect();
        names.retain(|it| it != "unknown/unknown");
        names.dedup();
        names.truncate(20);
        Error::wrong(format!(
            "there is none for {host}; there is for {}",
            names.join(", ")
        ))
    })
}

/// Reads JSON, and says of what it was.
pub(crate) fn json<'a, T: Deserialize<'a>>(text: &'a [u8], what: &str) -> Result<T> {
    serde_json::from_slice(text).map_err(|error| {
        Error::wrong(format!(
            "{what} is not what it should be: {}",
            shown(&error.to_string())
        ))
    })
}

/// Text of others', for a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
        "config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,
        "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        "layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":3,
        "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}"#;

    #[test]
    fn a_manifest_is_read() {
        let Ok(Document::Image(manifest)) = read(TEXT.as_bytes()) else {
            panic!("not an image")
        };
        assert_eq!((manifest.layers.len(), manifest.layers[0].size), (1, 3));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        /// Whatever a registry gives, it is an image with digests that are digests, or an error.
        #[test]
        fn every_text_has_an_answer(changes in prop::collection::vec((0..TEXT.len(), any::<u8>(), 0..3usize), 0..6)) {
            let mut text = TEXT.as_bytes().to_vec();
            for (at, byte, what) in changes {
                let at = at % text.len();
                match what {
                    0 => text[at] = byte,
                    1 => text.insert(at, byte),
                    _ => drop(text.remove(at)),
                }
            }
            if let Ok(Document::Image(manifest)) = read(&text) {
                prop_assert!(manifest.layers.iter().all(|it| it.digest.hex().len() == 64));
            }
            drop(crate::image_file::read(&text));
        }
    }
}
