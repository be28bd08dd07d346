//! Unpacks a layer: a tar stream of anybody's making becomes a directory that overlay takes as a lower one.

use std::io::{BufReader, Read};
use std::os::fd::OwnedFd;

use crate::digest::{Digest, Hashing};
use crate::error::{Error, Result};

pub(crate) mod archive;
pub(crate) mod compression;
mod place;

use archive::{Archive, Entry, Kind};
use place::{Name, Place};
pub(crate) use place::{beneath, is_opaque};

/// What a layer may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of the stream once it is decompressed.
    pub(crate) bytes: u64,
    /// How long a sparse file may be.
    pub(crate) file: u64,
    /// Entries.
    pub(crate) entries: u64,
    /// Directories in each other.
    pub(crate) depth: usize,
    /// Bytes of a file that images are passed on in, once it is decompressed.
    pub(crate) archive: u64,
    /// Bytes of memory for the directories that an image's layers only imply, all together.
    pub(crate) implied: usize,
    /// How often a layer of an image is looked into for the owners of such directories.
    pub(crate) looks: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bytes: 64 << 30,
            file: 16 << 40,
            entries: 4_000_000,
            depth: 256,
            archive: 128 << 30,
            implied: 256 << 20,
            looks: 16_000_000,
        }
    }
}

/// A path may not be longer (PATH_MAX).
const LONGEST_PATH: usize = 4095;
/// Names of directories that are kept in memory until the end may not take more bytes, all together.
pub(crate) const MOST_NAMES: usize = 64 << 20;
/// What each takes beside its letters.
pub(crate) const ENTRY: usize = 64;
/// A part of one may not be longer (NAME_MAX).
const LONGEST_PART: usize = 255;

/// What was not unpacked as it stands there, for whoever wants to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Outcome {
    /// Devices that were left out.
    pub(crate) devices: u64,
    /// Files that belong to root because this user namespace has not their owner.
    pub(crate) squashed: u64,
    /// Attributes that the file system does not have.
    pub(crate) without_attributes: u64,
    /// Directories that the layer has only because something is in them.
    pub(crate) implied: Vec<String>,
}

/// Unpacks a layer, compressed or not, into an empty directory.
///
/// # Errors
/// It is broken, hostile or too large, or its content is not that of the digest: the directory is not to be used then.
pub(crate) fn unpack(
    stream: impl Read + Send,
    root: OwnedFd,
    expected: &Digest,
    in_user_namespace: bool,
    limits: Limits,
) -> Result<Outcome> {
    let broken = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull => Error::io("unpack it", &error),
        _ => Error::wrong(format!("its archive is broken: {error}")),
    };
    let decompressed = compression::open(BufReader::with_capacity(64 << 10, stream)).map_err(broken)?;
    let hashing = Hashing::new(decompressed, limits.bytes);
    let mut archive = Archive::new(BufReader::with_capacity(64 << 10, hashing));
    let mut unpacking = Unpacking {
        place: Place::new(root, in_user_namespace),
        limits,
        entries: 0,
        devices: 0,
        times: Vec::new(),
        names: 0,
    };
    while let Some(entry) = archive.next().map_err(broken)? {
        unpacking.add(&entry, &mut archive)?;
    }
    // What is buffered has been through the digest already.
    let digest = archive.into_inner().into_inner().finish().map_err(broken)?;
    if digest != *expected {
        return Err(Error::wrong(format!(
            "its content has the digest {digest}, and should have {expected}"
        )));
    }
    unpacking.finish()
}

struct Unpacking {
    place: Place,
    limits: Limits,
    entries: u64,
    devices: u64,
    times: Vec<(Vec<u8>, (i64, u32))>,
    /// How long the names among them are, all together.
    names: usize,
}

impl Unpacking {
    fn add<R: Read>(&mut self, entry: &Entry, data: &mut Archive<R>) -> Result<()> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Error::wrong(format!(
                "it has more than {} entries",
                self.limits.entries
            )));
        }
        if entry.size > self.limits.file {
            return Err(Error::wrong(format!(
                "`{}` is longer than a file may be",
                shown(&entry.name)
            )));
        }
        let name = self.name(&entry.name)?;
        if let Some(hidden) = name.base.strip_prefix(b".wh.") {
            return self.hide(&name, hidden);
        }
        if name.base.is_empty() && entry.kind != Kind::Directory {
            return Err(Error::wrong("its root is not a directory"));
        }
        match entry.kind {
            Kind::Directory => {
                self.names += name.directory.len() + name.base.len() + ENTRY;
                if self.names > MOST_NAMES {
                    return Err(too_many_names());
                }
                self.times.push((name.whole(), entry.mtime));
                self.place.add_directory(&name, entry)
            }
            Kind::File => self.place.add_file(&name, entry, data),
            Kind::Symlink
                if entry.link.is_empty() || entry.link.len() > LONGEST_PATH || entry.link.contains(&0) =>
            {
                Err(Error::wrong(format!(
                    "`{}` is a symbolic link to no name",
                    shown(&entry.name)
                )))
            }
            Kind::Symlink => self.place.add_symlink(&name, entry),
            Kind::HardLink => {
                // Some builders write where it leads to from the image's root.
                let target = entry.link.strip_prefix(b"/").unwrap_or(&entry.link);
                let target = self
                    .name(target)
                    .map_err(|error| error.of(format!("`{}`, a hard link", shown(&entry.name))))?;
                if target.base.is_empty() {
                    return Err(Error::wrong(format!(
                        "`{}` is a hard link to a directory",
                        shown(&entry.name)
                    )));
                }
                self.place.add_hard_link(&name, &target)
            }
            Kind::Fifo => self.place.add_fifo(&name, entry),
            Kind::Device => {
                self.devices += 1;
                Ok(())
            }
        }
    }

    /// A whiteout (OCI image specification, "Representing Changes").
    fn hide(&mut self, name: &Name, hidden: &[u8]) -> Result<()> {
        match hidden {
            b".wh..opq" => self.place.make_opaque(&name.directory),
            // The kernel's aufs kept notes of its own in files of such names.
            _ if hidden.starts_with(b".wh.") => Ok(()),
            b"" | b"." | b".." => Err(Error::wrong(format!(
                "`{}` removes nothing that can be",
                shown(&name.whole())
            ))),
            _ => self.place.add_whiteout(&Name {
                directory: name.directory.clone(),
                base: hidden.to_owned(),
            }),
        }
    }

    /// Takes a name apart, and refuses what would lead out of the layer.
    fn name(&self, text: &[u8]) -> Result<Name> {
        let refuse = |why: &str| Err(Error::wrong(format!("`{}` {why}", shown(text))));
        if text.contains(&0) {
            return refuse("has a zero byte in its name");
        }
        // The root itself is `/` to some builders.
        if text.starts_with(b"/") && text.iter().any(|it| *it != b'/') {
            return refuse("is an absolute name, which would lead out of the layer");
        }
        if text.len() > LONGEST_PATH {
            return refuse("is a name that is too long");
        }
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in text.split(|it| *it == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return refuse("would lead out of the layer"),
                _ if part.len() > LONGEST_PART => return refuse("is a name that is too long"),
                _ => parts.push(part),
            }
        }
        if parts.len() > self.limits.depth {
            return refuse("is too deep");
        }
        let base = parts.pop().unwrap_or_default().to_owned();
        let directory = parts.join(&b'/');
        Ok(Name { directory, base })
    }

    fn finish(mut self) -> Result<Outcome> {
        for (path, mtime) in std::mem::take(&mut self.times) {
            self.place.set_time(&path, mtime)?;
        }
        let implied = self
            .place
            .implied
            .iter()
            .map(|it| String::from_utf8_lossy(it).into_owned());
        Ok(Outcome {
            devices: self.devices,
            squashed: self.place.squashed,
            without_attributes: self.place.without_attributes,
            implied: implied.collect(),
        })
    }
}

pub(crate) fn too_many_names() -> Error {
    Error::wrong(format!(
        "the names of its directories take more than {MOST_NAMES} bytes"
    ))
}

/// A name of somebody's, for a message.
pub(crate) fn shown(name: &[u8]) -> String {
    crate::manifest::shown(&String::from_utf8_lossy(name))
}

#[cfg(test)]
mod tests;
