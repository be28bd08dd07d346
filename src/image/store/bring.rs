//! What every way of bringing an image ends with: its layers are unpacked, put in their places, and the index gets its name.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, open, renameat_with};
use rustix::io::Errno;

use super::index::{Label, replace, sync_parent};
use super::locks::{is_still, open_lock, try_exclusive};
use super::trust::make;
use super::{Image, Store};
use crate::digest::{Digest, Hashing};
use crate::error::{Attempt as _, Error, Result};
use crate::image_file::ImageFile;
use crate::layer::{Limits, Outcome, unpack};
use crate::manifest::{Descriptor, Manifest};
use crate::platform::Platform;

/// A layer that is to be unpacked, and all that this needs: it may happen in another thread.
#[derive(Debug, Clone)]
pub(super) struct Job {
    blob: PathBuf,
    blob_digest: Digest,
    diff_id: Digest,
    target: PathBuf,
    in_user_namespace: bool,
    limits: Limits,
    /// Set when another layer has failed.
    pub(super) stop: Arc<AtomicBool>,
}

impl Job {
    /// Unpacks the layer. Returns what somebody may want to know of it.
    pub(super) fn run(&self) -> Result<Option<String>> {
        let result = self.unpack();
        if result.is_err() && !self.stop.swap(true, Ordering::Relaxed) && !self.is_blob_whole() {
            // It was whole when it came.
            drop(fs::remove_file(&self.blob));
            let message = format!(
                "the store's copy of layer {} is damaged; it is removed",
                self.blob_digest.short()
            );
            return Err(Error::host(message).help("do the same again: it is brought anew"));
        }
        result.map_err(|error| error.of(format!("layer {}", self.blob_digest.short())))
    }

    fn unpack(&self) -> Result<Option<String>> {
        make(&self.target, 0o700)?;
        let root = self.target.join("root");
        make(&root, 0o755)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = open(&root, flags, Mode::empty()).at("open", &root)?;
        // The mask of the process took bits away.
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o755)).at("prepare", &root)?;
        let file = File::open(&self.blob).at("open", &self.blob)?;
        let stream = Stoppable {
            inner: file,
            stop: &self.stop,
        };
        let outcome = unpack(stream, fd, &self.diff_id, self.in_user_namespace, self.limits)?;
        let text = serde_json::to_vec(&outcome).map_err(|error| Error::host(error.to_string()))?;
        let path = self.target.join("outcome.json");
        fs::write(&path, text).at("write", &path)?;
        Ok(note(&outcome))
    }

    fn is_blob_whole(&self) -> bool {
        let digest = File::open(&self.blob).and_then(|it| Hashing::new(it, u64::MAX).finish());
        digest.is_ok_and(|it| it == self.blob_digest)
    }
}

fn note(outcome: &Outcome) -> Option<String> {
    let mut notes = Vec::new();
    if outcome.devices > 0 {
        notes.push(format!(
            "{} devices of it were left out: nodes have their own",
            outcome.devices
        ));
    }
    if outcome.squashed > 0 {
        notes.push(format!(
            "{} files belong to root, because no ids are set aside for their owners",
            outcome.squashed
        ));
    }
    if outcome.without_attributes > 0 {
        let count = outcome.without_attributes;
        notes.push(format!(
            "{count} attributes were left out, because the store's file system has none of their kind"
        ));
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

struct Stoppable<'a> {
    inner: File,
    stop: &'a AtomicBool,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(io::Error::other("another layer has failed")),
            false => self.inner.read(buffer),
        }
    }
}

impl Store {
    /// What there is to unpack of an image: each content once, and none that is there already.
    pub(super) fn jobs(
        &self,
        manifest: &Manifest,
        file: &ImageFile,
        work: &Path,
    ) -> Result<Vec<(Descriptor, Job)>> {
        if manifest.layers.len() != file.diff_ids.len() {
            let (layers, ids) = (manifest.layers.len(), file.diff_ids.len());
            return Err(Error::wrong(format!(
                "it has {layers} layers, and its configuration names {ids}"
            )));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let mut jobs: Vec<(Descriptor, Job)> = Vec::new();
        for (layer, diff_id) in manifest.layers.iter().zip(&file.diff_ids) {
            let is_there = self.layer(diff_id).join("root").is_dir();
            if is_there || jobs.iter().any(|(_, job)| job.diff_id == *diff_id) {
                continue;
            }
            let job = Job {
                blob: self.blob(&layer.digest),
                blob_digest: layer.digest.clone(),
                diff_id: diff_id.clone(),
                target: work.join(diff_id.hex()),
                in_user_namespace: self.in_user_namespace,
                limits: self.limits,
                stop: stop.clone(),
            };
            jobs.push((layer.clone(), job));
        }
        Ok(jobs)
    }

    /// Puts layers that are unpacked in their places, where each is whole or not at all, whatever happens; and makes the one that
    /// an image may need for the attributes of directories.
    pub(super) fn settle<'j>(
        &self,
        jobs: impl Iterator<Item = &'j Job>,
        file: &ImageFile,
        work: &Path,
    ) -> Result<()> {
        let staged = jobs.map(|job| (job.target.as_path(), self.layer(&job.diff_id)));
        self.place("layers", staged.collect())?;
        match self.stage_attributes(&file.diff_ids, work)? {
            Some(target) => self.place("attributes", vec![(&target, self.attributes(&file.diff_ids))]),
            None => Ok(()),
        }
    }

    fn place(&self, below: &str, staged: Vec<(&Path, PathBuf)>) -> Result<()> {
        if staged.is_empty() {
            return Ok(());
        }
        let directory = self.root.join(below);
        let fd = File::open(&directory).at("open", &directory)?;
        // A name must not outlive a loss of power that its content does not. Of directories alone the journal sees to that.
        if below == "layers" {
            rustix::fs::syncfs(&fd).at("write", &directory)?;
        }
        for (from, to) in staged {
            match renameat_with(CWD, from, CWD, &to, RenameFlags::NOREPLACE) {
                // Another image with the same layer was quicker.
                Ok(()) | Err(Errno::EXIST | Errno::NOTEMPTY) => {}
                Err(errno) => return Err(errno).at("make", &to),
            }
        }
        fd.sync_all().at("write", &directory)
    }

    /// Gives an image its name. None where something of it is missing again: a command that removes may have come between.
    pub(super) fn finish(&self, manifest: &Descriptor, label: &Label) -> Result<Option<Image>> {
        let lock = self.seize()?;
        let image = self.image(&label.name, manifest, label, &lock)?;
        if image.is_some() {
            let is_named = self
                .read_index(&lock)?
                .manifests
                .iter()
                .any(|it| it.digest == manifest.digest && Label::of(it).as_ref() == Some(label));
            if !is_named {
                self.enter(manifest, label, &lock)?;
            }
        }
        Ok(image)
    }

    /// Writes a short content, such as a manifest.
    pub(super) fn put(&self, digest: &Digest, content: &[u8]) -> Result<()> {
        let path = self.blob(digest);
        match fs::metadata(&path) {
            Ok(facts) if facts.len() == content.len() as u64 => Ok(()),
            _ => replace(&path, content),
        }
    }

    /// Whether a content is there, as long as it should be.
    pub(super) fn has(&self, descriptor: &Descriptor) -> bool {
        fs::metadata(self.blob(&descriptor.digest)).is_ok_and(|it| it.len() == descriptor.size)
    }

    /// Puts a whole content that was written elsewhere in the store in its place; `sync` makes its name outlive a loss of power.
    pub(super) fn adopt(&self, from: &Path, digest: &Digest, sync: bool) -> Result<()> {
        let to = self.blob(digest);
        fs::rename(from, &to).at("write", &to)?;
        match sync {
            true => sync_parent(&to),
            false => Ok(()),
        }
    }

    /// Tries to be the one that does something that is not to be done twice.
    pub(super) fn try_claim(&self, directory: &str, digest: &Digest) -> Result<Option<File>> {
        let path = self.root.join(directory).join(digest.hex());
        let fd = open_lock(&path)?;
        // Whoever had it may have removed it, or put it elsewhere.
        Ok((try_exclusive(&fd)? && is_still(&fd, &path)).then(|| File::from(fd)))
    }
}

/// What there is to say of an image that is not for this host.
pub(super) fn foreign(file: &ImageFile) -> Option<String> {
    let host = Platform::host();
    let own = &file.platform;
    let is_other = !own.architecture.is_empty() && own.architecture != host.architecture;
    is_other.then(|| {
        format!("it is for {own}, and this host is {host}: its programs run only where an emulator is set up")
    })
}
