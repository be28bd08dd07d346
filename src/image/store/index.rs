//! The index of the store: which images it has, by which names.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

use super::Store;
use super::locks::Locked;
use crate::digest::Digest;
use crate::error::{Attempt as _, Error, Result};
use crate::manifest::{Descriptor, Document, INDEX, Index, LONGEST, Manifest, REF_NAME, json, read};

/// The digest by which where it is from knows an image.
const ORIGIN: &str = "io.nslab.digest";
/// What shows that a file has not changed since it was taken from it.
const STAMP: &str = "io.nslab.stamp";
/// The index of a store may not be longer.
const LONGEST_INDEX: u64 = 64 << 20;

/// An image of the store, for a list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    /// Its whole name.
    pub name: String,
    /// The digest by which where it is from knows it.
    pub digest: String,
    /// That of the manifest in the store.
    pub manifest: String,
    /// What it is built for.
    pub architecture: String,
    /// When it was built, as it says.
    pub created: Option<String>,
    /// How many layers it has.
    pub layers: usize,
    /// Bytes of its layers as they came.
    pub size: u64,
    /// Whether a lab uses it.
    pub in_use: bool,
}

/// What the index has of an image beside its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) name: String,
    pub(super) origin: Digest,
    pub(super) stamp: Option<String>,
}

impl Label {
    /// What a descriptor of the index says; none where another program has put it there without a name.
    pub(super) fn of(descriptor: &Descriptor) -> Option<Label> {
        let origin = descriptor.annotations.get(ORIGIN).and_then(|it| it.parse().ok());
        Some(Label {
            name: descriptor.annotations.get(REF_NAME)?.clone(),
            origin: origin.unwrap_or_else(|| descriptor.digest.clone()),
            stamp: descriptor.annotations.get(STAMP).cloned(),
        })
    }
}

impl Store {
    /// The files that make a directory an image layout.
    pub(super) fn write_layout(&self) -> Result<()> {
        let layout = self.root.join("oci-layout");
        let index = self.root.join("index.json");
        if layout.exists() && index.exists() {
            return Ok(());
        }
        let lock = self.seize()?;
        if !index.exists() {
            self.write_index(
                &Index {
                    schema_version: 2,
                    media_type: INDEX.to_owned(),
                    manifests: Vec::new(),
                },
                &lock,
            )?;
        }
        replace(&layout, br#"{"imageLayoutVersion":"1.0.0"}"#)
    }

    pub(super) fn read_index(&self, _: &Locked) -> Result<Index> {
        let path = self.root.join("index.json");
        let text = bounded(&path, LONGEST_INDEX)?;
        json(&text, "the index").map_err(|error| {
            error
                .of(path.display())
                .help("it is the store's: remove it to begin anew")
        })
    }

    pub(super) fn write_index(&self, index: &Index, _: &Locked) -> Result<()> {
        let text = serde_json::to_vec_pretty(index).map_err(|error| Error::host(error.to_string()))?;
        replace(&self.root.join("index.json"), &text)
    }

    /// Gives an image a name, which another one may have had.
    pub(super) fn enter(&self, manifest: &Descriptor, label: &Label, lock: &Locked) -> Result<()> {
        let mut index = self.read_index(lock)?;
        index
            .manifests
            .retain(|it| it.annotations.get(REF_NAME) != Some(&label.name));
        let mut descriptor = manifest.clone();
        descriptor
            .annotations
            .insert(REF_NAME.to_owned(), label.name.clone());
        descriptor
            .annotations
            .insert(ORIGIN.to_owned(), label.origin.to_string());
        if let Some(stamp) = &label.stamp {
            descriptor.annotations.insert(STAMP.to_owned(), stamp.clone());
        }
        index.manifests.push(descriptor);
        self.write_index(&index, lock)
    }

    /// A manifest of the store; none where it is not there, or not one.
    pub(super) fn manifest(&self, digest: &Digest) -> Option<Manifest> {
        let text = bounded(&self.blob(digest), LONGEST).ok()?;
        match read(&text) {
            Ok(Document::Image(manifest)) if Digest::of(&text) == *digest => Some(manifest),
            _ => None,
        }
    }

    /// A configuration of the store.
    pub(super) fn image_file(&self, digest: &Digest) -> Result<crate::image_file::ImageFile> {
        crate::image_file::read(&bounded(&self.blob(digest), LONGEST)?)
    }
}

/// A file that is not longer than it may be.
pub(super) fn bounded(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(path).at("open", path)?;
    file.take(most + 1).read_to_end(&mut text).at("read", path)?;
    match text.len() as u64 > most {
        true => Err(Error::wrong(format!(
            "{} is longer than {most} bytes",
            path.display()
        ))),
        false => Ok(text),
    }
}

/// Writes a file that is there as it was, or as it shall be.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let new = Path::new(&name);
    let write = || {
        let mut file = File::create(new)?;
        file.write_all(content)?;
        file.sync_all()
    };
    if let Err(error) = write() {
        drop(fs::remove_file(new));
        return Err(error).at("write", path);
    }
    fs::rename(new, path).at("write", path)?;
    sync_parent(path)
}

/// Makes a new name outlive a loss of power.
pub(super) fn sync_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    match File::open(parent).and_then(|it| it.sync_all()) {
        // Some file systems cannot.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        other => other.at("write", parent),
    }
}
