//! Names of images in registries, as Docker writes them.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
use crate::error::{Error, Result};

/// Docker's own registry, which short names are of.
const DOCKER: &str = "docker.io";

/// The name of an image in a registry, with nothing left out: `frr:v8` is `docker.io/library/frr:v8`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// The registry's name, possibly with a port: `docker.io`, `127.0.0.1:5000`.
    pub registry: String,
    /// The repository in it: `library/alpine`.
    pub repository: String,
    /// The tag; `latest` where neither tag nor digest was given.
    pub tag: Option<String>,
    /// The digest, which decides where there is one.
    pub digest: Option<Digest>,
}

impl Reference {
    /// What the registry is asked for: the digest, or else the tag.
    pub(crate) fn asked(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }

    /// The same image by digest alone.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Reference {
            digest: Some(digest),
            ..self.clone()
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let shown: String = text.chars().take(200).flat_map(char::escape_debug).collect();
        let wrong = |why: &str| {
            Error::wrong(format!("`{shown}` is not the name of an image: {why}"))
                .help("write it as Docker does: alpine, frrouting/frr:v8.2.2, ghcr.io/nokia/srlinux@sha256:…")
        };
        if text.len() > 1000 {
            return Err(wrong("it is too long"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(|why: String| wrong(&why))?)),
            None => (text, None),
        };
        // A colon before the last slash is a port's.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(wrong(
                "a tag has letters, digits, `_`, `.` and `-`, at most 128, and does not begin with `.` or `-`",
            ));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (first, rest.to_owned()),
            _ => (DOCKER, name.to_owned()),
        };
        let registry = match registry {
            "index.docker.io" | "registry-1.docker.io" => DOCKER,
            other => other,
        };
        let repository = match registry == DOCKER && !repository.contains('/') {
            true => format!("library/{repository}"),
            false => repository,
        };
        if !is_registry(registry) {
            return Err(wrong(
                "what stands before the first `/` is not the name of a host",
            ));
        }
        if repository.len() > 255 || !repository.split('/').all(is_component) {
            return Err(wrong(
                "its parts have lowercase letters and digits, with `.`, `_`, `__` or `-` between them",
            ));
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Reference {
            registry: registry.to_owned(),
            repository,
            tag,
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

/// Docker's rule: what has a dot or a port, is `localhost` or has capital letters is a host; anything else is a user of docker.io.
fn is_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|it| it.is_ascii_uppercase())
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            let is_address = address.parse::<std::net::Ipv6Addr>().is_ok();
            let port = match port.strip_prefix(':') {
                Some(port) => Some(port),
                None if port.is_empty() => None,
                None => return false,
            };
            return is_address && port.is_none_or(is_port);
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || it == b'-' || it == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port != 0) && text.bytes().all(|it| it.is_ascii_digit())
}

fn is_tag(text: &str) -> bool {
    let is_word = |it: u8| it.is_ascii_alphanumeric() || it == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|it| is_word(it) || it == b'.' || it == b'-')
}

fn is_component(text: &str) -> bool {
    let is_word = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(|it| is_word(*it)) && bytes.last().is_some_and(|it| is_word(*it));
    let separators = text.split(|it: char| it.is_ascii_lowercase() || it.is_ascii_digit());
    let is_separator = |it: &str| matches!(it, "" | "." | "_" | "__") || it.bytes().all(|it| it == b'-');
    ends && separators.into_iter().all(is_separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_of_docker() {
        let whole = |text: &str| text.parse::<Reference>().unwrap().to_string();
        assert_eq!(whole("alpine"), "docker.io/library/alpine:latest");
        assert_eq!(whole("alpine:3.19"), "docker.io/library/alpine:3.19");
        assert_eq!(whole("frrouting/frr:v8.2.2"), "docker.io/frrouting/frr:v8.2.2");
        assert_eq!(whole("index.docker.io/a/b"), "docker.io/a/b:latest");
        assert_eq!(whole("localhost/a"), "localhost/a:latest");
        assert_eq!(whole("127.0.0.1:5000/a/b/c:x"), "127.0.0.1:5000/a/b/c:x");
        assert_eq!(whole("[::1]:5000/a"), "[::1]:5000/a:latest");
        let digest = Digest::of(b"");
        assert_eq!(
            whole(&format!("a@{digest}")),
            format!("docker.io/library/a@{digest}")
        );
        assert_eq!(whole(&format!("q.io/a:1@{digest}")), format!("q.io/a:1@{digest}"));
        assert_eq!(whole("a/b__c-d--e.f"), "docker.io/a/b__c-d--e.f:latest");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for wrong in [
            "",
            ":",
            "@",
            "a:",
            "a@",
            "A",
            "a b",
            "a/../b",
            "../a",
            "a//b",
            "/a",
            "a/",
            "a:.x",
            "a\nb",
            "q.io:0/a",
            "q.io:99999/a",
            "q.io:x/a",
            "-q.io/a",
            "q..io/a",
            "a@sha256:12",
            "a/_b",
            "a/b_",
            "a/b___c",
            "user@q.io/a",
            "https://q.io/a",
            "[::1/a",
            "[::1]x/a",
        ] {
            assert!(wrong.parse::<Reference>().is_err(), "{wrong}");
        }
        assert!("a".repeat(2000).parse::<Reference>().is_err());
    }
}
