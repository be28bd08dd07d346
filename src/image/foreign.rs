//! What others make, read as nslab reads it, for whoever looks for inputs that it cannot cope with (`scripts/fuzz`).

use std::io::{Cursor, Read as _};
use std::os::fd::OwnedFd;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::layer::{self, Limits, compression};
use crate::registry::challenge;
use crate::{image_file, manifest};

/// A layer that is tried has no more bytes once it is decompressed.
const MOST: u64 = 1 << 20;
/// What it may have besides.
const LIMITS: Limits = Limits {
    bytes: MOST,
    file: 1 << 30,
    entries: 1000,
    depth: 64,
    archive: MOST,
    implied: 1 << 20,
    looks: 1000,
};

/// Reads a manifest or an index.
///
/// # Errors
/// It is none.
pub fn manifest(text: &[u8]) -> Result<()> {
    manifest::read(text).map(drop)
}

/// Reads what an image says of itself.
///
/// # Errors
/// It is nothing of that kind.
pub fn configuration(text: &[u8]) -> Result<crate::config::Config> {
    image_file::read(text).map(|it| it.config)
}

/// Reads how a registry wants to be asked. Returns whether it is understood.
pub fn challenge(text: &str) -> bool {
    challenge::read(text).is_some()
}

/// Unpacks a small layer, compressed or not, into an empty directory.
///
/// # Errors
/// It is broken, hostile or not small.
pub fn unpack(bytes: &[u8], root: OwnedFd) -> Result<()> {
    let broken = |error: std::io::Error| Error::wrong(error.to_string());
    let mut content = Vec::new();
    let stream = compression::open(Cursor::new(bytes)).map_err(broken)?;
    stream.take(MOST + 1).read_to_end(&mut content).map_err(broken)?;
    layer::unpack(Cursor::new(bytes), root, &Digest::of(&content), false, LIMITS).map(drop)
}
