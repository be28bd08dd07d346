//! Brings an image from a registry.

use std::cell::RefCell;
use std::num::NonZero;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::bring::{Job, foreign};
use super::index::Label;
use super::work::Work;
use super::{Image, Progress, Store};
use crate::digest::Digest;
use crate::error::{Attempt as _, Error, Result};
use crate::manifest::{Descriptor, Document, MANIFEST, Manifest, choose, read};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::{Blob, Endpoint, Registries, Session, Sink};

/// So many layers are on their way at a time.
const DOWNLOADS: usize = 4;
/// How often somebody looks whether another command is done.
const PAUSE: Duration = Duration::from_millis(50);
/// An index may lead to another one, so often.
const MOST_INDEXES: usize = 3;
/// How often an image is completed again that another command takes something from.
const ROUNDS: usize = 5;

/// An image as a registry has it.
struct Remote {
    /// What the name leads to: an index or a manifest.
    origin: Digest,
    descriptor: Descriptor,
    manifest: Manifest,
    text: Vec<u8>,
    endpoints: Vec<Endpoint>,
}

/// What has come so far.
struct Tally<'a> {
    image: String,
    bytes: Vec<u64>,
    layers: usize,
    progress: &'a dyn Fn(Progress),
}

impl Tally<'_> {
    fn tell(&self) {
        (self.progress)(Progress::Moved {
            image: self.image.clone(),
            layers: self.layers,
            bytes: self.bytes.iter().sum(),
        });
    }

    fn note(&self, text: String) {
        note(self.progress, &self.image, text);
    }
}

/// Tells something of an image.
pub(super) fn note(progress: &dyn Fn(Progress), image: &str, text: impl Into<String>) {
    progress(Progress::Note {
        image: image.to_owned(),
        text: text.into(),
    });
}

impl Store {
    pub(super) fn pull(
        &self,
        reference: &Reference,
        registries: &Registries,
        progress: &dyn Fn(Progress),
    ) -> Result<Image> {
        self.sweep()?;
        runtime()?.block_on(self.pull_by(reference, registries, progress))
    }

    pub(super) fn ask(&self, reference: &Reference, registries: &Registries) -> Result<Digest> {
        runtime()?.block_on(async {
            let session = Session::new(registries, &self.network)?;
            Ok(session.manifest(reference).await?.digest)
        })
    }

    async fn pull_by(
        &self,
        reference: &Reference,
        registries: &Registries,
        progress: &dyn Fn(Progress),
    ) -> Result<Image> {
        let session = Session::new(registries, &self.network)?;
        let name = reference.to_string();
        let remote = remote(&session, reference).await?;
        let label = Label {
            name: name.clone(),
            origin: remote.origin.clone(),
            stamp: None,
        };
        for _ in 0..ROUNDS {
            if let Some(image) = self.finish(&remote.descriptor, &label)? {
                return Ok(image);
            }
            let Some(_claim) = self.try_claim("locks", &remote.descriptor.digest)? else {
                note(
                    progress,
                    &name,
                    "another command brings it already; waiting for that",
                );
                while self.try_claim("locks", &remote.descriptor.digest)?.is_none() {
                    tokio::time::sleep(PAUSE).await;
                }
                continue;
            };
            // From here on nobody removes what is brought.
            let _lease = {
                let lock = self.share()?;
                self.put(&remote.descriptor.digest, &remote.text)?;
                self.lease(&remote.descriptor.digest, &lock)?
            };
            let work = self.work()?;
            self.bring(&session, &name, &remote, &work, progress)
                .await
                .map_err(|error| error.of(&name))?;
            if let Some(image) = self.finish(&remote.descriptor, &label)? {
                return Ok(image);
            }
        }
        Err(Error::host(format!(
            "{name}: other commands remove what is brought"
        )))
    }

    /// Brings and unpacks what is missing of an image.
    async fn bring(
        &self,
        session: &Session<'_>,
        name: &str,
        remote: &Remote,
        work: &Work,
        progress: &dyn Fn(Progress),
    ) -> Result<()> {
        let manifest = &remote.manifest;
        self.obtain(session, &remote.endpoints, &manifest.config, true, &mut |_| {})
            .await?;
        let file = self.image_file(&manifest.config.digest)?;
        if let Some(text) = foreign(&file) {
            note(progress, name, text);
        }
        let jobs = self.jobs(manifest, &file, work.path())?;
        // The layout is to have all contents, also those whose layers another image has brought.
        let mut missing: Vec<&Descriptor> = Vec::new();
        for layer in &manifest.layers {
            if !self.has(layer) && !missing.iter().any(|it| it.digest == layer.digest) {
                missing.push(layer);
            }
        }
        let only_fetched = missing
            .iter()
            .filter(|it| !jobs.iter().any(|(layer, _)| layer.digest == it.digest));
        let tasks: Vec<(Descriptor, Option<Job>)> = jobs
            .iter()
            .map(|(layer, job)| (layer.clone(), Some(job.clone())))
            .chain(only_fetched.map(|it| ((*it).clone(), None)))
            .collect();
        progress(Progress::Planned {
            image: name.to_owned(),
            layers: tasks.len(),
            bytes: missing.iter().fold(0, |sum, it| sum.saturating_add(it.size)),
        });
        let tally = RefCell::new(Tally {
            image: name.to_owned(),
            bytes: vec![0; tasks.len()],
            layers: 0,
            progress,
        });
        let (downloads, unpackings) = (Semaphore::new(DOWNLOADS), Semaphore::new(processors()));
        let both = (&downloads, &unpackings);
        let all = tasks
            .into_iter()
            .enumerate()
            .map(|(at, (layer, job))| self.one(session, &remote.endpoints, at, layer, job, &tally, both));
        let mut running = stream::iter(all).buffer_unordered(DOWNLOADS + processors());
        let mut result = Ok(());
        while let Some(one) = running.next().await {
            if let Err(error) = one
                && result.is_ok()
            {
                // Whoever unpacks in another thread has to be told.
                jobs.iter()
                    .for_each(|(_, job)| job.stop.store(true, std::sync::atomic::Ordering::Relaxed));
                result = Err(error);
                break;
            }
        }
        drop(running);
        result?;
        self.settle(jobs.iter().map(|(_, job)| job), &file, work.path())
    }

    /// Brings one layer, and unpacks it.
    #[allow(clippy::too_many_arguments)]
    async fn one(
        &self,
        session: &Session<'_>,
        endpoints: &[Endpoint],
        at: usize,
        layer: Descriptor,
        job: Option<Job>,
        tally: &RefCell<Tally<'_>>,
        (downloads, unpackings): (&Semaphore, &Semaphore),
    ) -> Result<()> {
        {
            let _turn = downloads.acquire().await;
            let mut told = |bytes: u64| {
                tally.borrow_mut().bytes[at] = bytes;
                tally.borrow().tell();
            };
            // What is unpacked next is proved by that, and written with the layers.
            self.obtain(session, endpoints, &layer, job.is_none(), &mut told)
                .await?;
        }
        if let Some(job) = job {
            let _turn = unpackings.acquire().await;
            let done = spawn_blocking(move || job.run()).await;
            let text = done.map_err(|error| Error::host(format!("cannot unpack: {error}")))??;
            if let Some(text) = text {
                tally.borrow().note(text);
            }
        }
        tally.borrow_mut().layers += 1;
        tally.borrow().tell();
        Ok(())
    }

    /// Brings a content, unless it is there.
    async fn obtain(
        &self,
        session: &Session<'_>,
        endpoints: &[Endpoint],
        content: &Descriptor,
        sync: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let file = loop {
            if self.has(content) {
                return Ok(());
            }
            match self.try_claim("partial", &content.digest)? {
                Some(file) => break file,
                None => tokio::time::sleep(PAUSE).await,
            }
        };
        // Somebody may have brought it between the look and the claim.
        let partial = self.root.join("partial").join(content.digest.hex());
        if self.has(content) {
            return std::fs::remove_file(&partial).at("remove", &partial);
        }
        let mut sink = Sink::resume(file, content.size).at("read", &partial)?;
        progress(sink.length());
        let blob = Blob {
            endpoints: endpoints.to_vec(),
            digest: &content.digest,
            size: content.size,
        };
        session.fetch(&blob, &mut sink, progress).await?;
        // Its lock is held until it is in its place.
        let _sink = match sync {
            true => {
                let synced = spawn_blocking(move || sink.sync().map(|()| sink)).await;
                synced
                    .map_err(|error| Error::host(error.to_string()))?
                    .at("write", &partial)?
            }
            false => sink,
        };
        self.adopt(&partial, &content.digest, sync)
    }
}

/// What a registry has by a name, down to the manifest that is for this host.
async fn remote(session: &Session<'_>, reference: &Reference) -> Result<Remote> {
    let found = session.manifest(reference).await?;
    let origin = found.digest.clone();
    let mut endpoints = session.endpoints(reference)?;
    endpoints.retain(|it| *it != found.endpoint);
    endpoints.insert(0, found.endpoint.clone());
    let mut text = found.content;
    let manifest = async {
        for _ in 0..MOST_INDEXES {
            let index = match read(&text)? {
                Document::Image(manifest) => return Ok(manifest),
                Document::Index(index) => index,
            };
            let digest = &choose(&index, &Platform::host())?.digest;
            text = session
                .manifest_at(&found.endpoint, digest.as_str(), Some(digest))
                .await?
                .content;
        }
        Err(Error::wrong("its indexes lead to indexes"))
    };
    let manifest = manifest.await.map_err(|error: Error| error.of(reference))?;
    let text = in_words_of_oci(text, &manifest)?;
    Ok(Remote {
        origin,
        descriptor: Descriptor::new(MANIFEST, &text),
        manifest,
        text,
        endpoints,
    })
}

/// The text of a manifest for an image layout: as it came, unless it was Docker's, which umoci does not read.
pub(super) fn in_words_of_oci(text: Vec<u8>, manifest: &Manifest) -> Result<Vec<u8>> {
    let same = serde_json::from_slice::<Manifest>(&text).is_ok_and(|mut it| {
        it.media_type = MANIFEST.to_owned();
        it == *manifest
    });
    match same {
        true => Ok(text),
        false => serde_json::to_vec(manifest).map_err(|error| Error::host(error.to_string())),
    }
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(processors() + 4)
        .build()
        .attempt(|| "prepare for the network".to_owned())
}

pub(super) fn processors() -> usize {
    std::thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(16)
}
