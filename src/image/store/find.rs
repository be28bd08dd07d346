//! Finds an image in the store.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::index::{Label, Listed, bounded};
use super::locks::Locked;
use super::{Image, Store, absent};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::manifest::{Descriptor, Index, LONGEST, Manifest};
use crate::reference::Reference;

impl Store {
    /// An image, if the store has it whole.
    pub(super) fn find(&self, reference: &Reference) -> Result<Option<Image>> {
        let lock = self.share()?;
        let index = self.read_index(&lock)?;
        let name = reference.to_string();
        for descriptor in &index.manifests {
            let Some(label) = Label::of(descriptor) else {
                continue;
            };
            // A digest says which content it is, whatever it was called when it came.
            let is_it = match &reference.digest {
                Some(digest) => label.origin == *digest || descriptor.digest == *digest,
                None => label.name == name,
            };
            if is_it && let Some(image) = self.image(&name, descriptor, &label, &lock)? {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }

    /// The image of an entry of the index; none where something of it is missing.
    pub(super) fn image(
        &self,
        name: &str,
        descriptor: &Descriptor,
        label: &Label,
        lock: &Locked,
    ) -> Result<Option<Image>> {
        let Some(manifest) = self.manifest(&descriptor.digest) else {
            return Ok(None);
        };
        let Ok(file) = self.image_file(&manifest.config.digest) else {
            return Ok(None);
        };
        let mut layers: Vec<PathBuf> = uppermost(&file.diff_ids)
            .into_iter()
            .map(|it| self.layer(it).join("root"))
            .collect();
        if file.diff_ids.len() != manifest.layers.len() || !layers.iter().all(|it| it.is_dir()) {
            return Ok(None);
        }
        let more = self.attributes(&file.diff_ids);
        if !more.is_dir() {
            return Ok(None);
        }
        layers.extend(Some(more.join("root")).filter(|it| it.is_dir()));
        let lease = self.lease(&descriptor.digest, lock)?;
        Ok(Some(Image {
            name: name.to_owned(),
            digest: label.origin.to_string(),
            config: file.config,
            architecture: file.platform.architecture,
            layers,
            lease,
            size: size(&manifest),
        }))
    }

    /// All images of the store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>> {
        // Whether somebody uses an image is found out by trying to have it alone.
        let lock = self.seize()?;
        let index = self.read_index(&lock)?;
        let mut all = Vec::new();
        for descriptor in &index.manifests {
            let Some(label) = Label::of(descriptor) else {
                continue;
            };
            let manifest = self.manifest(&descriptor.digest);
            let file = manifest
                .as_ref()
                .and_then(|it| self.image_file(&it.config.digest).ok());
            all.push(Listed {
                name: label.name,
                digest: label.origin.to_string(),
                manifest: descriptor.digest.to_string(),
                architecture: file
                    .as_ref()
                    .map(|it| it.platform.architecture.clone())
                    .unwrap_or_default(),
                created: file.and_then(|it| it.created),
                layers: manifest.as_ref().map_or(0, |it| it.layers.len()),
                size: manifest.as_ref().map_or(0, size),
                in_use: self.is_leased(&descriptor.digest, &lock)?,
            });
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The image that somebody means: by its name, as it is listed or shorter, or by a beginning of its digest.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn named(&self, text: &str) -> Result<Listed> {
        let whole = text.parse::<Reference>().ok();
        let name = whole.as_ref().map(Reference::to_string);
        let all = self.list()?;
        if let Some(exact) = all
            .iter()
            .find(|it| it.name == text || Some(&it.name) == name.as_ref())
        {
            return Ok(exact.clone());
        }
        let digest: Option<&Digest> = whole.as_ref().and_then(|it| it.digest.as_ref());
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let is_beginning = hex.len() >= 6 && hex.bytes().all(|it| it.is_ascii_hexdigit());
        let fits = |it: &&Listed| {
            let digests = [&it.digest, &it.manifest];
            digests
                .iter()
                .any(|own| digest.is_some_and(|it| it.as_str() == **own))
                || (is_beginning
                    && digests.iter().any(|own| {
                        own.strip_prefix("sha256:")
                            .is_some_and(|own| own.starts_with(hex))
                    }))
        };
        match all.iter().filter(fits).collect::<Vec<_>>().as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(absent(name.as_deref().unwrap_or(text))),
            [first, ..] => {
                let message = format!("`{text}` may be {} and others", first.name);
                Err(Error::new(Kind::Wrong, message).help("give its name"))
            }
        }
    }

    /// An image of the store by a name that [`Store::named`] understands.
    ///
    /// # Errors
    /// There is none, or it is not whole.
    pub fn open_image(&self, text: &str) -> Result<Image> {
        let listed = self.named(text)?;
        let lock = self.share()?;
        let index = self.read_index(&lock)?;
        for descriptor in &index.manifests {
            if let Some(label) = Label::of(descriptor)
                && label.name == listed.name
                && let Some(image) = self.image(&label.name, descriptor, &label, &lock)?
            {
                return Ok(image);
            }
        }
        Err(absent(&listed.name))
    }
}

/// The layers of an image, the bottom first, each content once. Overlay takes no directory twice (it answers ELOOP), and images
/// repeat contents, such as the empty one. Of a repeated content only the uppermost occurrence shows: whatever a lower one has, this
/// one has as well, and nothing that is between them hides this one.
pub(super) fn uppermost(diff_ids: &[Digest]) -> Vec<&Digest> {
    let mut seen = BTreeSet::new();
    let mut all: Vec<&Digest> = diff_ids.iter().rev().filter(|it| seen.insert(*it)).collect();
    all.reverse();
    all
}

/// The names of the images of a store, for somebody who may not be allowed to look: nothing is made, locked or told.
pub fn names(place: &Path) -> Vec<String> {
    let index = bounded(&place.join("index.json"), LONGEST).ok();
    let index = index.and_then(|text| serde_json::from_slice::<Index>(&text).ok());
    let all = index.into_iter().flat_map(|it| it.manifests);
    all.filter_map(|it| Label::of(&it)).map(|it| it.name).collect()
}

/// Bytes of an image's layers.
fn size(manifest: &Manifest) -> u64 {
    manifest
        .layers
        .iter()
        .fold(0, |sum, it| sum.saturating_add(it.size))
}
