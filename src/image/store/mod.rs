//! The store: contents in the OCI image layout, and beside them each layer unpacked once, by the digest of what is in it.
//!
//! ```text
//! oci-layout index.json blobs/sha256/   the image layout: skopeo and umoci read it
//! layers/HEX/root                       a layer, unpacked; it is there whole, or not at all
//! layers/HEX/outcome.json               what of it was not unpacked as it stands there
//! attributes/HEX                        of an image's layers together: the directories whose owners would be wrong
//! archives/HEX-NAME                    an image as a file, for those who take none but such
//! leases/HEX                            who uses an image has a shared lock on it (flock(2))
//! locks/HEX                             who brings an image has a lock on it
//! partial/HEX                           contents that are on their way, and may go on later
//! tmp/NAME                              work of a living process, which has a lock on it
//! lock                                  the lock of the index
//! ```
//!
//! Nothing is held by a daemon. Whoever dies leaves locks that are free, files below `partial` and directories below `tmp`.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::digest::Digest;
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::layer::Limits;
use crate::reference::Reference;
use crate::registry::{Network, Registries};
use crate::source::Source;

mod archives;
mod attributes;
mod bring;
mod export;
mod find;
mod gc;
mod index;
mod local;
mod locks;
mod pull;
mod saved;
#[cfg(test)]
mod tests;
mod trust;
mod work;

pub use crate::source::Pull;
pub use find::names;
pub use gc::{Collected, Removed};
pub use index::Listed;

/// What happens while an image is brought.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// It is known what there is to do.
    Planned {
        /// The image.
        image: String,
        /// How many layers are to be brought or unpacked.
        layers: usize,
        /// How many bytes are to come.
        bytes: u64,
    },
    /// So far it has come.
    Moved {
        /// The image.
        image: String,
        /// How many layers are unpacked.
        layers: usize,
        /// How many bytes have come.
        bytes: u64,
    },
    /// Something that somebody may want to know.
    Note {
        /// The image.
        image: String,
        /// One sentence.
        text: String,
    },
}

/// An image that is in the store, and stays there as long as its lease is held.
#[derive(Debug)]
pub struct Image {
    /// Its whole name.
    pub name: String,
    /// The digest by which where it is from knows it. Empty for a directory.
    pub digest: String,
    /// What it says of the program in it.
    pub config: Config,
    /// What it is built for: `amd64`, `arm64`. Empty where it does not say.
    pub architecture: String,
    /// Its layers, the bottom first: directories that overlay takes as lower ones, none of them twice.
    pub layers: Vec<PathBuf>,
    /// Keeps the layers.
    pub lease: Lease,
    /// Bytes of its layers as they came.
    pub size: u64,
}

/// Keeps an image from being removed: a lock that ends with the last copy of its descriptor, in whichever process that is.
#[derive(Debug)]
pub struct Lease(OwnedFd);

impl Lease {
    /// The file that is locked, for somebody else who locks it as well while this one does.
    ///
    /// # Errors
    /// It has no path any more.
    pub fn path(&self) -> Result<PathBuf> {
        let link = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        std::fs::read_link(&link).attempt(|| "find the file of an image's lease".to_owned())
    }

    /// The descriptor, to be kept by somebody else.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

/// A store of images.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    in_user_namespace: bool,
    limits: Limits,
    network: Network,
}

impl Store {
    /// Where the store of this user usually is.
    pub fn usual_place() -> PathBuf {
        let variable = |name: &str| {
            std::env::var_os(name)
                .filter(|it| !it.is_empty())
                .map(PathBuf::from)
        };
        let usual = || match rustix::process::geteuid().is_root() && !in_user_namespace() {
            true => PathBuf::from("/var/lib/nslab/images"),
            false => {
                let home = || {
                    variable("HOME")
                        .unwrap_or_else(|| PathBuf::from("/"))
                        .join(".local/share")
                };
                let data = variable("XDG_DATA_HOME")
                    .filter(|it| it.is_absolute())
                    .unwrap_or_else(home);
                data.join("nslab/images")
            }
        };
        variable("NSLAB_IMAGE_DIR").unwrap_or_else(usual)
    }

    /// Opens a store; it is made where there is none.
    ///
    /// # Errors
    /// Somebody else may write there, or it cannot be made.
    pub fn open(dir: &Path) -> Result<Store> {
        let root = trust::directory(dir)?;
        for below in [
            "attributes",
            "archives",
            "blobs",
            "blobs/sha256",
            "layers",
            "leases",
            "locks",
            "partial",
            "tmp",
        ] {
            // Programs of images may be setuid: nobody but the owner gets to them.
            let mode = if below.starts_with("blobs") { 0o755 } else { 0o700 };
            trust::make(&root.join(below), mode)?;
        }
        let store = Store {
            root,
            in_user_namespace: in_user_namespace(),
            limits: Limits::default(),
            network: Network::of_environment(),
        };
        store.write_layout()?;
        Ok(store)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Brings an image into the store where that is needed, and leases it. May take long; `progress` is called from the same
    /// thread.
    ///
    /// # Errors
    /// There is none, it cannot be had, or it is not one that nslab can use.
    pub fn ensure(
        &self,
        source: &Source,
        pull: Pull,
        registries: &Registries,
        progress: &dyn Fn(Progress),
    ) -> Result<Image> {
        match source {
            Source::Directory(path) => directory(path),
            Source::Registry(name) => {
                let reference: Reference = name.parse()?;
                match (pull, self.find(&reference)?) {
                    (Pull::Missing | Pull::Never, Some(image)) => Ok(image),
                    (Pull::Never, None) => Err(absent(&reference.to_string())),
                    _ => self.pull(&reference, registries, progress),
                }
            }
            local => self.ensure_local(local, pull, progress),
        }
    }

    /// The digest by which a registry knows an image now. Nothing is brought.
    ///
    /// # Errors
    /// There is none, or it cannot be asked.
    pub fn resolve(&self, reference: &Reference, registries: &Registries) -> Result<Digest> {
        self.ask(reference, registries)
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.root.join("layers").join(diff_id.hex())
    }
}

/// A directory as an image: it is its only layer.
fn directory(path: &Path) -> Result<Image> {
    let path = std::fs::canonicalize(path)
        .at("find", path)
        .map_err(|error| Error {
            kind: Kind::Missing,
            ..error
        })?;
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let fd = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).at("open", &path)?;
    Ok(Image {
        name: format!("dir:{}", path.display()),
        digest: String::new(),
        config: Config::default(),
        architecture: String::new(),
        layers: vec![path],
        lease: Lease(fd),
        size: 0,
    })
}

fn absent(name: &str) -> Error {
    Error::new(Kind::Missing, format!("{name} is not in the store")).help(format!(
        "`nslab image pull {name}` brings it; `nslab image ls` shows what there is"
    ))
}

/// Whether this process is in a user namespace that is not the host's.
fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let words: Vec<&str> = map.split_whitespace().collect();
    words != ["0", "0", "4294967295"]
}
