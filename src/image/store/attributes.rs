//! Directories that a layer has only because something is in them say nothing of owner and mode; but overlay takes both from the
//! uppermost layer that has a directory. Where that would be wrong, an image gets a layer more, with directories only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, open};

use super::Store;
use super::index::bounded;
use super::trust::make;
use crate::digest::Digest;
use crate::error::{Attempt as _, Error, Result};
use crate::layer::{Outcome, beneath, is_opaque};

/// The notes on a layer may not be longer.
const LONGEST: u64 = 256 << 20;

/// Owner and mode of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attributes {
    uid: u32,
    gid: u32,
    mode: u32,
}

/// Those of a directory of which nothing is said.
const USUAL: Attributes = Attributes {
    uid: 0,
    gid: 0,
    mode: 0o755,
};

/// A layer of the image: where it is, and what of it is only implied.
struct Layer {
    root: OwnedFd,
    implied: BTreeSet<String>,
}

/// What a layer has at a place.
enum Found {
    /// A directory; whether what is below shows through it.
    Directory(Attributes, bool),
    /// Nothing.
    Nothing,
    /// Something that hides what is below.
    Other,
}

impl Layer {
    fn at(&self, path: &str) -> Found {
        match beneath(&self.root, path.as_bytes()) {
            Ok(fd) => match fstat(&fd) {
                Ok(facts) => {
                    let attributes = Attributes {
                        uid: facts.st_uid,
                        gid: facts.st_gid,
                        mode: facts.st_mode & 0o7777,
                    };
                    Found::Directory(attributes, !is_opaque(&fd))
                }
                Err(_) => Found::Other,
            },
            Err(rustix::io::Errno::NOENT) => Found::Nothing,
            Err(_) => Found::Other,
        }
    }

    /// Whether this layer hides what lower ones have at a place.
    fn hides(&self, path: &str) -> bool {
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            match self.at(&path[..end]) {
                Found::Directory(_, true) => {}
                Found::Nothing => return false,
                Found::Directory(_, false) | Found::Other => return true,
            }
        }
        false
    }
}

/// The attributes that a directory of the image has.
fn attributes(layers: &[Layer], path: &str) -> Attributes {
    for layer in layers.iter().rev() {
        if !layer.implied.contains(path)
            && let Found::Directory(attributes, _) = layer.at(path)
        {
            return attributes;
        }
        if layer.hides(path) {
            break;
        }
    }
    USUAL
}

/// The directories whose attributes would be wrong.
fn wrong(layers: &[Layer]) -> BTreeMap<String, Attributes> {
    let mut wrong = BTreeMap::new();
    let all: BTreeSet<&String> = layers.iter().flat_map(|it| &it.implied).collect();
    for path in all {
        // The uppermost layer that has it.
        for layer in layers.iter().rev() {
            match layer.at(path) {
                Found::Nothing => {}
                Found::Directory(..) if layer.implied.contains(path) => {
                    let right = attributes(layers, path);
                    if right != USUAL {
                        wrong.insert(path.clone(), right);
                    }
                    break;
                }
                Found::Directory(..) | Found::Other => break,
            }
        }
    }
    wrong
}

impl Store {
    /// Where it is noted what an image needs more: a directory, with a `root` in it where it needs a layer.
    pub(super) fn attributes(&self, diff_ids: &[Digest]) -> PathBuf {
        self.root
            .join("attributes")
            .join(Self::attributes_id(diff_ids).hex())
    }

    /// The digest that stands for the layers of an image.
    pub(super) fn attributes_id(diff_ids: &[Digest]) -> Digest {
        let mut text = String::from("owners and modes of directories\n");
        diff_ids.iter().for_each(|it| {
            text += it.as_str();
            text += "\n";
        });
        Digest::of(text.as_bytes())
    }

    fn layers(&self, diff_ids: &[Digest]) -> Result<Vec<Layer>> {
        let layer = |diff_id: &Digest| -> Result<Layer> {
            let directory = self.layer(diff_id);
            let text = bounded(&directory.join("outcome.json"), LONGEST)?;
            let outcome: Outcome =
                serde_json::from_slice(&text).map_err(|error| Error::host(error.to_string()))?;
            Ok(Layer {
                root: open_directory(&directory.join("root"))?,
                implied: outcome.implied.into_iter().collect(),
            })
        };
        diff_ids.iter().map(layer).collect()
    }

    /// Finds out what an image needs more, and makes it in a directory of work. None where that is done already.
    pub(super) fn stage_attributes(&self, diff_ids: &[Digest], work: &Path) -> Result<Option<PathBuf>> {
        if self.attributes(diff_ids).is_dir() {
            return Ok(None);
        }
        let layers = self.layers(diff_ids)?;
        let wrong = wrong(&layers);
        let target = work.join("attributes");
        make(&target, 0o700)?;
        if wrong.is_empty() {
            return Ok(Some(target));
        }
        let root = target.join("root");
        make(&root, 0o755)?;
        dress(&root, attributes(&layers, ""))?;
        for path in wrong.keys().filter(|it| !it.is_empty()) {
            // Each directory on the way is an uppermost one as well.
            for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
                let part = &path[..end];
                make(&root.join(part), 0o755)?;
                dress(&root.join(part), attributes(&layers, part))?;
            }
        }
        Ok(Some(target))
    }
}

fn dress(path: &Path, attributes: Attributes) -> Result<()> {
    let fd = File::open(path).at("open", path)?;
    fchown(
        &fd,
        Some(Uid::from_raw(attributes.uid)),
        Some(Gid::from_raw(attributes.gid)),
    )
    .at("prepare", path)?;
    fchmod(&fd, Mode::from_raw_mode(attributes.mode)).at("prepare", path)
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    open(path, flags, Mode::empty()).at("open", path)
}
