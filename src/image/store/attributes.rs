//! Directories that a layer has only because something is in them say nothing of owner and mode; but overlay takes both from the
//! uppermost layer that has a directory. Where that would be wrong, an image gets a layer more, with directories only.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, open};

use super::Store;
use super::find::uppermost;
use super::index::bounded;
use super::trust::make;
use crate::digest::Digest;
use crate::error::{Attempt as _, Error, Result};
use crate::layer::{Outcome, beneath, is_opaque};

/// The notes on a layer may not be longer.
const LONGEST: u64 = 256 << 20;
/// What a name takes in memory beside its letters, about.
const OF_A_NAME: usize = 64;

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

/// The layers of an image, the bottom first, and how often they may still be looked into.
struct Layers {
    all: Vec<Layer>,
    most: u64,
    left: Cell<u64>,
}

impl Layers {
    fn at(&self, layer: &Layer, path: &str) -> Result<Found> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err(Error::wrong(format!(
                "its {} layers have too many directories of which they do not say whose they are: finding that out takes more \
                 than {} looks",
                self.all.len(),
                self.most
            ))
            .help("build it with fewer layers, or squash it"));
        };
        self.left.set(left);
        Ok(layer.at(path))
    }

    /// Whether a layer hides what lower ones have at a place.
    fn hides(&self, layer: &Layer, path: &str) -> Result<bool> {
        for part in parts(path) {
            match self.at(layer, part)? {
                Found::Directory(_, true) => {}
                Found::Nothing => return Ok(false),
                Found::Directory(_, false) | Found::Other => return Ok(true),
            }
        }
        Ok(false)
    }

    /// The attributes that a directory of the image has.
    fn attributes(&self, path: &str) -> Result<Attributes> {
        for layer in self.all.iter().rev() {
            if !layer.implied.contains(path)
                && let Found::Directory(attributes, _) = self.at(layer, path)?
            {
                return Ok(attributes);
            }
            if self.hides(layer, path)? {
                break;
            }
        }
        Ok(USUAL)
    }

    /// The directories whose attributes would be wrong.
    fn wrong(&self) -> Result<Vec<&str>> {
        let mut wrong = Vec::new();
        let all: BTreeSet<&String> = self.all.iter().flat_map(|it| &it.implied).collect();
        for path in all {
            // The uppermost layer that has it.
            for layer in self.all.iter().rev() {
                match self.at(layer, path)? {
                    Found::Nothing => {}
                    Found::Directory(..) if layer.implied.contains(path) => {
                        if self.attributes(path)? != USUAL {
                            wrong.push(path.as_str());
                        }
                        break;
                    }
                    Found::Directory(..) | Found::Other => break,
                }
            }
        }
        Ok(wrong)
    }
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
}

/// A directory and those on the way to it.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(end, _)| end);
    ends.chain([path.len()]).map(|end| &path[..end])
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

    /// The layers of an image, each content once, and their notes one after the other.
    fn layers(&self, diff_ids: &[Digest]) -> Result<Layers> {
        let mut left = self.limits.implied;
        let mut all = Vec::new();
        for diff_id in uppermost(diff_ids) {
            let directory = self.layer(diff_id);
            let text = bounded(&directory.join("outcome.json"), LONGEST)?;
            let outcome: Outcome =
                serde_json::from_slice(&text).map_err(|error| Error::host(error.to_string()))?;
            let needed = outcome.implied.iter().map(|it| it.len() + OF_A_NAME).sum();
            left = left.checked_sub(needed).ok_or_else(|| {
                Error::wrong(format!(
                    "its layers have too many directories of which they do not say whose they are: the names take more than {} \
                     bytes of memory",
                    self.limits.implied
                ))
                .help("build it so that its layers have entries for their directories")
            })?;
            all.push(Layer {
                root: open_directory(&directory.join("root"))?,
                implied: outcome.implied.into_iter().collect(),
            });
        }
        Ok(Layers {
            all,
            most: self.limits.looks,
            left: Cell::new(self.limits.looks),
        })
    }

    /// Finds out what an image needs more, and makes it in a directory of work. None where that is done already.
    pub(super) fn stage_attributes(&self, diff_ids: &[Digest], work: &Path) -> Result<Option<PathBuf>> {
        if self.attributes(diff_ids).is_dir() {
            return Ok(None);
        }
        let layers = self.layers(diff_ids)?;
        let wrong = layers.wrong()?;
        let target = work.join("attributes");
        make(&target, 0o700)?;
        if wrong.is_empty() {
            return Ok(Some(target));
        }
        let root = target.join("root");
        make(&root, 0o755)?;
        dress(&root, layers.attributes("")?)?;
        let mut made = BTreeSet::new();
        // Each directory on the way is an uppermost one as well.
        for part in wrong.into_iter().filter(|it| !it.is_empty()).flat_map(parts) {
            if made.insert(part) {
                make(&root.join(part), 0o755)?;
                dress(&root.join(part), layers.attributes(part)?)?;
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
