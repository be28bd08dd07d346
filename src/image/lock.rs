//! Which content an image's name stands for, written down: a lab is the same tomorrow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::shown;
use crate::reference::Reference;
use crate::source::Source;

/// What stands at the beginning of the file.
const HEAD: &str = "# Written by `nslab image lock`. `nslab up` takes images by these digests, whatever their tags stand for by then.\n\n";
/// The form of the file.
const VERSION: u32 = 1;

/// The digests of the images of a lab: the content of `lab.lock.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// By whole names.
    #[serde(default)]
    images: BTreeMap<String, Digest>,
}

impl Default for Lock {
    fn default() -> Self {
        Lock {
            version: VERSION,
            images: BTreeMap::new(),
        }
    }
}

impl Lock {
    /// Reads the file.
    ///
    /// # Errors
    /// It is not one, or of a later version.
    pub fn read(text: &str) -> Result<Lock> {
        let lock: Lock = toml::from_str(text).map_err(|error| {
            Error::wrong(format!("it is not a list of digests: {}", shown(error.message())))
                .help("`nslab image lock FILE` writes it anew")
        })?;
        match lock.version {
            VERSION => Ok(lock),
            other => Err(Error::wrong(format!(
                "it is of version {other}; this nslab reads version {VERSION}"
            ))),
        }
    }

    /// The file.
    ///
    /// # Errors
    /// None that is known of.
    pub fn text(&self) -> Result<String> {
        let text = toml::to_string(self).map_err(|error| Error::host(error.to_string()))?;
        Ok(format!("{HEAD}{text}"))
    }

    /// Writes down what an image's name stands for.
    pub fn insert(&mut self, reference: &Reference, digest: Digest) {
        self.images.insert(reference.to_string(), digest);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Which image of a registry is to be locked: none for what is elsewhere, or has a digest already.
    ///
    /// # Errors
    /// The name is none.
    pub fn concerns(source: &Source) -> Result<Option<Reference>> {
        let Source::Registry(name) = source else {
            return Ok(None);
        };
        let reference: Reference = name.parse()?;
        Ok(reference.digest.is_none().then_some(reference))
    }

    /// The image by its digest; none where it is not in the list.
    pub fn pinned(&self, reference: &Reference) -> Option<Source> {
        let digest = self.images.get(&reference.to_string())?;
        Some(Source::Registry(
            reference.with_digest(digest.clone()).to_string(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut lock = Lock::default();
        let reference: Reference = "alpine".parse().unwrap();
        lock.insert(&reference, Digest::of(b"x"));
        let text = lock.text().unwrap();
        assert!(
            text.contains("\"docker.io/library/alpine:latest\" = \"sha256:"),
            "{text}"
        );
        let again = Lock::read(&text).unwrap();
        assert_eq!(again, lock);
        let pinned = again.pinned(&reference).unwrap().to_string();
        assert_eq!(
            pinned,
            format!("docker.io/library/alpine:latest@{}", Digest::of(b"x"))
        );
        assert_eq!(again.pinned(&"alpine:3".parse().unwrap()), None);
        assert_eq!(Lock::concerns(&Source::Registry(pinned)).unwrap(), None);
        for wrong in [
            "x",
            "version = 2",
            "version = 1\nother = 2",
            "version = 1\n[images]\na = \"b\"",
        ] {
            assert!(Lock::read(wrong).is_err(), "{wrong}");
        }
    }
}
