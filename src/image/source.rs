//! Where an image is.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where an image is, by the names that skopeo and its kin have for places (containers-transports(5)).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// In a registry: the name as written, such as `frrouting/frr:v8.2.2`.
    Registry(String),
    /// `oci:DIR[:TAG]`: a directory with the OCI image layout.
    Oci(PathBuf, Option<String>),
    /// `oci-archive:FILE[:TAG]`: such a directory as a tar file.
    OciArchive(PathBuf, Option<String>),
    /// `docker-archive:FILE[:NAME]`: what `docker save` writes.
    DockerArchive(PathBuf, Option<String>),
    /// `dir:ROOTFS`: a directory that is a root already. It is not copied.
    Directory(PathBuf),
    /// `docker-daemon:NAME`: an image that Docker has.
    DockerDaemon(String),
    /// `containers-storage:NAME`: an image that Podman has.
    ContainersStorage(String),
}

/// When an image is asked for where it comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pull {
    /// When the store does not have it.
    #[default]
    Missing,
    /// Each time, for a name may stand for another image by now.
    Always,
    /// Never: it must be in the store.
    Never,
}

/// How registries are reached, where that is not as usual.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registries {
    /// For a registry, such as `docker.io`, the places that are asked first: `mirror.example.net`, `10.0.0.1:5000/docker`,
    /// `http://10.0.0.1:5000`.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Registries, such as `10.0.0.1:5000`, that may be spoken to without TLS where they have none.
    pub insecure: Vec<String>,
    /// A file of certificates (PEM) that are trusted beside the usual ones.
    pub ca: Option<PathBuf>,
    /// For one registry, such as `10.0.0.1:5000`, what holds for it alone.
    pub registry: BTreeMap<String, Registry>,
}

/// Certificates of one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// A file of certificates (PEM) that its own may be signed by.
    pub ca: Option<PathBuf>,
    /// The certificate that it is shown ...
    pub cert: Option<PathBuf>,
    /// ... and the key of that.
    pub key: Option<PathBuf>,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, rest) = text.split_once(':').unwrap_or(("", text));
        // What follows may be the name of an image, with colons of its own: the path ends at the first one.
        let with_tag = |rest: &str| match rest.split_once(':') {
            Some((path, tag)) if !tag.is_empty() => (PathBuf::from(path), Some(tag.to_owned())),
            _ => (PathBuf::from(rest.trim_end_matches(':')), None),
        };
        let source = match place {
            "oci" => {
                let (path, tag) = with_tag(rest);
                Source::Oci(path, tag)
            }
            "oci-archive" => {
                let (path, tag) = with_tag(rest);
                Source::OciArchive(path, tag)
            }
            "docker-archive" => {
                let (path, name) = with_tag(rest);
                Source::DockerArchive(path, name)
            }
            "dir" => Source::Directory(rest.into()),
            "docker-daemon" => Source::DockerDaemon(rest.to_owned()),
            "containers-storage" => Source::ContainersStorage(rest.to_owned()),
            "docker" => Source::Registry(rest.trim_start_matches("//").to_owned()),
            _ => Source::Registry(text.to_owned()),
        };
        Ok(source)
    }
}

impl Source {
    /// The path that it names, where it names one.
    pub fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Source::Oci(path, _)
            | Source::OciArchive(path, _)
            | Source::DockerArchive(path, _)
            | Source::Directory(path) => Some(path),
            Source::Registry(_) | Source::DockerDaemon(_) | Source::ContainersStorage(_) => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tagged = |place: &str, path: &PathBuf, tag: &Option<String>| {
            write!(f, "{place}:{}", path.display())?;
            tag.iter().try_for_each(|tag| write!(f, ":{tag}"))
        };
        match self {
            Source::Registry(name) => f.write_str(name),
            Source::Oci(path, tag) => tagged("oci", path, tag),
            Source::OciArchive(path, tag) => tagged("oci-archive", path, tag),
            Source::DockerArchive(path, name) => tagged("docker-archive", path, name),
            Source::Directory(path) => write!(f, "dir:{}", path.display()),
            Source::DockerDaemon(name) => write!(f, "docker-daemon:{name}"),
            Source::ContainersStorage(name) => write!(f, "containers-storage:{name}"),
        }
    }
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}
