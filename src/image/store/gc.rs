//! Removes images, and what no image needs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Store;
use super::index::Label;
use super::locks::{Locked, open_lock, try_exclusive};
use super::work::Work;
use crate::digest::Digest;
use crate::error::{Attempt as _, Error, Kind, Result};

/// What was collected.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Collected {
    /// Images that no lab used.
    pub images: Vec<String>,
    /// Contents that no image needs, and parts of contents.
    pub blobs: usize,
    /// Bytes of these.
    pub bytes: u64,
    /// Unpacked layers that no image needs.
    pub layers: usize,
    /// Directories that killed commands left.
    pub leftovers: usize,
}

/// What was removed by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Removed {
    /// The image's whole name.
    pub name: String,
    /// What it alone needed.
    pub collected: Collected,
}

impl Store {
    /// Removes an image by a name that [`Store::named`] understands, and what it alone needed.
    ///
    /// # Errors
    /// There is none, or a lab uses it.
    pub fn remove(&self, text: &str) -> Result<Removed> {
        let listed = self.named(text)?;
        {
            let lock = self.seize()?;
            let mut index = self.read_index(&lock)?;
            let name_of = |it: &_| Label::of(it).map(|it| it.name);
            let Some(at) = index
                .manifests
                .iter()
                .position(|it| name_of(it).as_ref() == Some(&listed.name))
            else {
                return Err(super::absent(&listed.name));
            };
            let descriptor = index.manifests.remove(at);
            let has_other_names = index.manifests.iter().any(|it| it.digest == descriptor.digest);
            if !has_other_names && self.is_leased(&descriptor.digest, &lock)? {
                let message = format!("{} is in use", listed.name);
                return Err(Error::new(Kind::Busy, message)
                    .help("take the labs down that use it: `nslab labs` shows them"));
            }
            self.write_index(&index, &lock)?;
        }
        Ok(Removed {
            name: listed.name,
            collected: self.collect(false)?,
        })
    }

    /// Removes what no image needs; with `images` also the images that no lab uses.
    ///
    /// # Errors
    /// The store cannot be changed.
    pub fn collect(&self, images: bool) -> Result<Collected> {
        let mut collected = Collected {
            leftovers: self.sweep()?,
            ..Collected::default()
        };
        // Under the lock things are only put aside, which takes no time; they are removed after that.
        let _aside = {
            let lock = self.seize()?;
            if images {
                self.forget_unused(&mut collected, &lock)?;
            }
            let aside = self.work_locked(&lock)?;
            self.put_aside(&aside, &mut collected, &lock)?;
            aside
        };
        Ok(collected)
    }

    fn forget_unused(&self, collected: &mut Collected, lock: &Locked) -> Result<()> {
        let mut index = self.read_index(lock)?;
        let mut kept = Vec::new();
        for descriptor in index.manifests {
            match self.is_leased(&descriptor.digest, lock)? {
                true => kept.push(descriptor),
                false => collected.images.extend(Label::of(&descriptor).map(|it| it.name)),
            }
        }
        index.manifests = kept;
        self.write_index(&index, lock)
    }

    fn put_aside(&self, aside: &Work, collected: &mut Collected, lock: &Locked) -> Result<()> {
        let mut manifests: BTreeSet<Digest> = self
            .read_index(lock)?
            .manifests
            .into_iter()
            .map(|it| it.digest)
            .collect();
        for path in entries(&self.root.join("leases"))? {
            let Some(digest) = digest_of(&path) else { continue };
            match self.is_leased(&digest, lock)? {
                true => drop(manifests.insert(digest)),
                false => drop(fs::remove_file(&path)),
            }
        }
        let (mut blobs, mut layers, mut attributes) = (manifests.clone(), BTreeSet::new(), BTreeSet::new());
        for digest in &manifests {
            let Some(manifest) = self.manifest(digest) else {
                continue;
            };
            blobs.insert(manifest.config.digest.clone());
            blobs.extend(manifest.layers.into_iter().map(|it| it.digest));
            if let Ok(file) = self.image_file(&manifest.config.digest) {
                attributes.insert(Store::attributes_id(&file.diff_ids));
                layers.extend(file.diff_ids);
            }
        }
        let away = |path: &Path, count: usize| -> Result<()> {
            let to: PathBuf = aside.path().join(count.to_string());
            fs::rename(path, &to).at("remove", path)
        };
        let mut count = 0;
        for path in entries(&self.root.join("blobs/sha256"))? {
            if digest_of(&path).is_none_or(|it| !blobs.contains(&it)) {
                collected.bytes += fs::metadata(&path).map_or(0, |it| it.len());
                collected.blobs += 1;
                count += 1;
                away(&path, count)?;
            }
        }
        for path in entries(&self.root.join("layers"))? {
            if digest_of(&path).is_none_or(|it| !layers.contains(&it)) {
                collected.layers += 1;
                count += 1;
                away(&path, count)?;
            }
        }
        for path in entries(&self.root.join("archives"))? {
            if of_archive(&path).is_none_or(|it| !manifests.contains(&it)) {
                collected.bytes += fs::metadata(&path).map_or(0, |it| it.len());
                count += 1;
                away(&path, count)?;
            }
        }
        for path in entries(&self.root.join("attributes"))? {
            if digest_of(&path).is_none_or(|it| !attributes.contains(&it)) {
                count += 1;
                away(&path, count)?;
            }
        }
        for directory in ["partial", "locks"] {
            for path in entries(&self.root.join(directory))? {
                // Whoever claims it meanwhile sees that it is elsewhere: the lock is held until then.
                let fd = open_lock(&path)?;
                if !try_exclusive(&fd)? {
                    continue;
                }
                if directory == "partial" {
                    collected.bytes += fs::metadata(&path).map_or(0, |it| it.len());
                    collected.blobs += 1;
                }
                count += 1;
                away(&path, count)?;
            }
        }
        Ok(())
    }
}

fn entries(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path).at("read", path)?;
    Ok(entries.flatten().map(|it| it.path()).collect())
}

/// The digest of the image that an archive is of.
fn of_archive(path: &Path) -> Option<Digest> {
    let (hex, _) = path.file_name()?.to_str()?.split_once('-')?;
    format!("sha256:{hex}").parse().ok()
}

/// The digest that a file of the store is named for.
fn digest_of(path: &Path) -> Option<Digest> {
    let name = path.file_name()?.to_str()?;
    format!("sha256:{name}").parse().ok()
}
