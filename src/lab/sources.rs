//! The files a lab file refers to, as resolving sees them. The command line fills this from the disk, a test
//! from memory, so that resolving does no I/O itself.

use std::path::{Path, PathBuf};

use super::definition::Kinds;

/// What stands at a path that a lab file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Something that can be bound, but that has no content to copy: `a device`, `a pipe`, `a socket`.
    Special(&'static str),
}

/// Access to the files a lab refers to. Relative paths are relative to the lab file's own directory.
pub trait Sources {
    /// The absolute form of a path as written in the lab file.
    fn locate(&self, path: &Path) -> PathBuf;
    /// What stands at the (absolute) path.
    ///
    /// # Errors
    /// A sentence for the user: there is no such file, or it may not be read.
    fn entry(&self, path: &Path) -> Result<Entry, String>;
    /// The text of the file at the (absolute) path.
    ///
    /// # Errors
    /// A sentence for the user: no such file, not UTF-8, too large.
    fn text(&self, path: &Path) -> Result<String, String>;
    /// The names of the YAML files in the lab file's own directory.
    fn beside(&self) -> Vec<String> {
        Vec::new()
    }
    /// The kinds of nodes that files say, nearest first.
    fn kinds(&self) -> Kinds {
        Kinds::default()
    }
}

/// Whether a file's name says that it is YAML.
pub fn is_yaml(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    matches!(ending, Some("yml" | "yaml"))
}

/// Files that exist in memory only: for tests, and for labs that refer to none.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    files: std::collections::BTreeMap<PathBuf, String>,
    kinds: Kinds,
}

impl Memory {
    /// Adds a file; the directories on the way to it exist from then on. Relative paths are below `/lab`.
    #[must_use]
    pub fn with(mut self, path: impl AsRef<Path>, text: impl Into<String>) -> Self {
        self.files.insert(self.locate(path.as_ref()), text.into());
        self
    }

    /// Gives it kinds.
    #[must_use]
    pub fn with_kinds(mut self, kinds: Kinds) -> Self {
        self.kinds = kinds;
        self
    }
}

impl Sources for Memory {
    fn kinds(&self) -> Kinds {
        self.kinds.clone()
    }

    fn locate(&self, path: &Path) -> PathBuf {
        // Rebuilding by components drops the slash at the end of `site/` and every `./`.
        Path::new("/lab").join(path).components().collect()
    }

    fn beside(&self) -> Vec<String> {
        let names = self
            .files
            .keys()
            .filter_map(|path| path.strip_prefix("/lab").ok()?.to_str());
        let here = names.filter(|name| !name.contains('/') && is_yaml(Path::new(name)));
        here.map(str::to_owned).collect()
    }

    fn entry(&self, path: &Path) -> Result<Entry, String> {
        if self.files.contains_key(path) {
            Ok(Entry::File)
        } else if self.files.keys().any(|file| file.starts_with(path)) {
            Ok(Entry::Directory)
        } else {
            Err("there is no such file or directory".into())
        }
    }

    fn text(&self, path: &Path) -> Result<String, String> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| "there is no such file".into())
    }
}
