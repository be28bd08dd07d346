//! Brings images from files of this host.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;

use super::archives::{Members, plain, stamp};
use super::bring::{Job, foreign};
use super::index::Label;
use super::pull::{in_words_of_oci, note, processors};
use super::work::Work;
use super::{Image, Progress, Pull, Store, absent};
use crate::digest::Digest;
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::image_file;
use crate::manifest::{
    CONFIG, Descriptor, Document, Index, LAYER, MANIFEST, Manifest, REF_NAME, choose, json, read, shown,
};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::Sink;
use crate::source::Source;

/// How often an image is completed again that another command takes something from.
const ROUNDS: usize = 5;
/// The annotation by which containerd and Docker keep an image's whole name.
const WHOLE_NAME: &str = "io.containerd.image.name";

/// An image as a file has it.
struct Local {
    /// Its own name, where the file has one.
    own_name: Option<String>,
    origin: Digest,
    manifest: Manifest,
    text: Vec<u8>,
    config: Vec<u8>,
    layers: Vec<Staged>,
}

/// Where the content of a layer is.
enum Staged {
    /// A member of the file, that is to be copied.
    Member(String),
    /// A file in the directory of work, that is to be moved.
    File(PathBuf),
}

impl Store {
    pub(super) fn ensure_local(
        &self,
        source: &Source,
        pull: Pull,
        progress: &dyn Fn(Progress),
    ) -> Result<Image> {
        let source = absolute(source)?;
        let name = source.to_string();
        if pull == Pull::Never {
            return self.entered(&name, None)?.ok_or_else(|| absent(&name));
        }
        let mark = self.mark(&source)?;
        if let Some(image) = mark
            .as_ref()
            .map(|it| self.entered(&name, Some(it)))
            .transpose()?
            .flatten()
        {
            return Ok(image);
        }
        self.bring_local(&source, |_| Ok(name.clone()), mark, progress)
    }

    /// Brings an image of a file under a name of a registry's: the one that is given, or the one that it has in the file.
    ///
    /// # Errors
    /// It is not an image, or has no name.
    pub fn import(
        &self,
        source: &Source,
        name: Option<&Reference>,
        progress: &dyn Fn(Progress),
    ) -> Result<Image> {
        let source = absolute(source)?;
        let naming = |own: Option<&str>| match (name, own.map(str::parse::<Reference>)) {
            (Some(name), _) => Ok(name.to_string()),
            (None, Some(Ok(own))) => Ok(own.to_string()),
            (None, _) => Err(Error::wrong(format!("{source} has no name for it"))
                .help("give one: nslab image import FILE NAME")),
        };
        if let Source::Registry(name) = &source {
            return Err(Error::wrong(format!("{name} is not a file"))
                .help("`nslab image pull` brings images from registries"));
        }
        self.bring_local(&source, naming, None, progress)
    }

    /// Brings an image from a file, whichever kind it is of.
    ///
    /// # Errors
    /// As [`Store::import`] and [`Store::import_root`].
    pub fn import_file(
        &self,
        path: &Path,
        name: Option<&Reference>,
        progress: &dyn Fn(Progress),
    ) -> Result<Image> {
        if path.is_dir() {
            return self.import(&Source::Oci(path.to_owned(), None), name, progress);
        }
        let work = self.work()?;
        let path = plain(path, work.path(), self.limits.archive)?;
        let members = Members::of_tar(&path, work.path(), self.limits.archive)?;
        let source = match (members.has("manifest.json"), members.has("oci-layout")) {
            (true, _) => Source::DockerArchive(path, None),
            (false, true) => Source::OciArchive(path, None),
            (false, false) if members.is_empty() => {
                return Err(Error::wrong(format!("{} has nothing in it", path.display())));
            }
            (false, false) => {
                let missing = || {
                    Error::wrong("a root file system has no name")
                        .help("give one: nslab image import FILE NAME")
                };
                return self.import_root(&path, name.ok_or_else(missing)?, progress);
            }
        };
        drop(members);
        self.import(&source, name, progress)
    }

    /// Makes an image of a root file system in a tar file, compressed or not, as `docker import` does.
    ///
    /// # Errors
    /// It is no tar file, or cannot be unpacked.
    pub fn import_root(&self, file: &Path, name: &Reference, progress: &dyn Fn(Progress)) -> Result<Image> {
        self.sweep()?;
        let work = self.work()?;
        let root = plain(file, work.path(), self.limits.archive)?;
        let path = work.path().join("layer");
        let input = std::fs::File::open(&root).at("open", &root)?;
        let layer = self.stage(input, LAYER, &path, None)?;
        let config = serde_json::json!({
            "architecture": Platform::host().architecture, "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        });
        let config = serde_json::to_vec(&config).map_err(|error| Error::host(error.to_string()))?;
        let local = assembled(None, config, vec![(layer, Staged::File(path))])?;
        let label = Label {
            name: name.to_string(),
            origin: Digest::of(&local.text),
            stamp: None,
        };
        self.complete(&local, None, &label, &work, progress)
    }

    fn bring_local(
        &self,
        source: &Source,
        naming: impl Fn(Option<&str>) -> Result<String>,
        stamp: Option<String>,
        progress: &dyn Fn(Progress),
    ) -> Result<Image> {
        self.sweep()?;
        let work = self.work()?;
        let most = self.limits.archive;
        let members = match source {
            Source::Oci(path, _) => Members::Directory(path.clone()),
            Source::OciArchive(path, _) | Source::DockerArchive(path, _) => {
                Members::of_tar(path, work.path(), most)?
            }
            Source::DockerDaemon(_) | Source::ContainersStorage(_) => {
                Members::of_tar(&super::saved::save(source, work.path())?, work.path(), most)?
            }
            Source::Registry(_) | Source::Directory(_) => {
                return Err(Error::wrong(format!("{source} is not a file")));
            }
        };
        let local = match source {
            Source::Oci(_, tag) | Source::OciArchive(_, tag) => layout(&members, tag.as_deref()),
            Source::DockerArchive(_, name) => self.saved(&members, name.as_deref(), &work),
            _ => self.saved(&members, None, &work),
        };
        let local = local.map_err(|error| error.of(source))?;
        let label = Label {
            name: naming(local.own_name.as_deref())?,
            origin: local.origin.clone(),
            stamp,
        };
        self.complete(&local, Some(&members), &label, &work, progress)
            .map_err(|error| error.of(source))
    }

    /// What shows that a source has not changed; none where its index is as quickly read.
    fn mark(&self, source: &Source) -> Result<Option<String>> {
        match source {
            Source::OciArchive(path, _) | Source::DockerArchive(path, _) => stamp(path).map(Some),
            Source::DockerDaemon(_) | Source::ContainersStorage(_) => super::saved::id(source).map(Some),
            _ => Ok(None),
        }
    }

    /// The image that has a name, and a stamp.
    fn entered(&self, name: &str, stamp: Option<&String>) -> Result<Option<Image>> {
        let lock = self.share()?;
        for descriptor in &self.read_index(&lock)?.manifests {
            if let Some(label) = Label::of(descriptor)
                && label.name == name
                && (stamp.is_none() || label.stamp.as_ref() == stamp)
            {
                return self.image(name, descriptor, &label, &lock);
            }
        }
        Ok(None)
    }

    /// Copies and unpacks what is missing, and gives the image its name.
    fn complete(
        &self,
        local: &Local,
        members: Option<&Members>,
        label: &Label,
        work: &Work,
        progress: &dyn Fn(Progress),
    ) -> Result<Image> {
        let descriptor = Descriptor::new(MANIFEST, &local.text);
        let file = image_file::read(&local.config)?;
        let _lease = {
            let lock = self.share()?;
            self.put(&descriptor.digest, &local.text)?;
            self.lease(&descriptor.digest, &lock)?
        };
        self.put(&local.manifest.config.digest, &local.config)?;
        for round in 0..ROUNDS {
            let is_whole = local.manifest.layers.iter().all(|it| self.has(it));
            if is_whole && let Some(image) = self.finish(&descriptor, label)? {
                return Ok(image);
            }
            if round == 0
                && let Some(text) = foreign(&file)
            {
                note(progress, &label.name, text);
            }
            self.copy(local, members, &label.name, work, progress)?;
            let jobs = self.jobs(&local.manifest, &file, work.path())?;
            run(&jobs, &label.name, progress)?;
            self.settle(jobs.iter().map(|(_, job)| job), &file, work.path())?;
        }
        Err(Error::host(format!(
            "{}: other commands remove what is brought",
            label.name
        )))
    }

    /// Copies the layers that are missing.
    fn copy(
        &self,
        local: &Local,
        members: Option<&Members>,
        name: &str,
        work: &Work,
        progress: &dyn Fn(Progress),
    ) -> Result<()> {
        let missing: Vec<_> = local
            .manifest
            .layers
            .iter()
            .zip(&local.layers)
            .filter(|(layer, _)| !self.has(layer))
            .collect();
        let bytes = missing
            .iter()
            .fold(0, |sum: u64, (layer, _)| sum.saturating_add(layer.size));
        progress(Progress::Planned {
            image: name.to_owned(),
            layers: local.manifest.layers.len(),
            bytes,
        });
        let mut done = 0;
        for (layer, staged) in missing {
            // The same content may be two layers.
            if self.has(layer) {
                continue;
            }
            match (staged, members) {
                (Staged::File(path), _) => self.adopt(path, &layer.digest, true)?,
                (Staged::Member(member), Some(members)) => {
                    let path = work.path().join("layer");
                    let (stream, _) = members.open(member)?;
                    self.stage(stream, &layer.media_type, &path, Some(layer))?;
                    self.adopt(&path, &layer.digest, true)?;
                }
                (Staged::Member(_), None) => {}
            }
            done += layer.size;
            progress(Progress::Moved {
                image: name.to_owned(),
                layers: 0,
                bytes: done,
            });
        }
        Ok(())
    }

    /// Copies a content into the directory of work, and says what it is; `expected` is what it has to be.
    fn stage(
        &self,
        mut from: impl Read,
        media_type: &str,
        to: &Path,
        expected: Option<&Descriptor>,
    ) -> Result<Descriptor> {
        let limit = expected.map_or(self.limits.bytes, |it| it.size);
        let options = || {
            std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(to)
        };
        let mut sink = options().and_then(|it| Sink::resume(it, 0)).at("write", to)?;
        let mut buffer = vec![0; 128 << 10];
        loop {
            let count = from.read(&mut buffer).attempt(|| "read a layer".to_owned())?;
            if count == 0 {
                break;
            }
            if sink.length() + count as u64 > limit {
                return Err(Error::wrong(format!("a layer is longer than {limit} bytes")));
            }
            sink.write(&buffer[..count]).at("write", to)?;
        }
        sink.sync().at("write", to)?;
        let own = sink.digest();
        if let Some(expected) = expected.filter(|it| it.digest != own) {
            return Err(Error::wrong(format!(
                "layer {} has another content: its digest is {own}",
                expected.digest
            )));
        }
        Ok(Descriptor {
            media_type: media_type.to_owned(),
            digest: own,
            size: sink.length(),
            platform: None,
            annotations: Default::default(),
        })
    }

    /// An image that `docker save` or `podman save` wrote.
    fn saved(&self, members: &Members, name: Option<&str>, work: &Work) -> Result<Local> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct One {
            config: String,
            repo_tags: Option<Vec<String>>,
            #[serde(default)]
            layers: Vec<String>,
        }
        if !members.has("manifest.json") {
            return Err(Error::wrong("it has no manifest.json")
                .help("what `docker save` writes has one; `oci-archive:` names the other kind"));
        }
        let all: Vec<One> = json(&members.read("manifest.json")?, "manifest.json")?;
        let tags = |it: &One| it.repo_tags.clone().unwrap_or_default();
        let whole = |text: &str| {
            text.parse::<Reference>()
                .map_or_else(|_| text.to_owned(), |it| it.to_string())
        };
        let is_it = |it: &&One| name.is_none_or(|name| tags(it).iter().any(|tag| whole(tag) == whole(name)));
        let fitting: Vec<&One> = all.iter().filter(is_it).collect();
        let [one] = fitting.as_slice() else {
            return Err(not_one(fitting.len(), all.iter().flat_map(tags)));
        };
        let config = members.read(&one.config)?;
        let diff_ids = image_file::read(&config)?.diff_ids;
        if diff_ids.len() != one.layers.len() {
            return Err(Error::wrong("it has not the layers that its configuration names"));
        }
        let mut layers: Vec<(Descriptor, Staged)> = Vec::new();
        // A member may be many layers: it is copied once.
        let mut copies: BTreeMap<String, (Descriptor, PathBuf)> = BTreeMap::new();
        for (at, member) in one.layers.iter().enumerate() {
            let place = members.followed(member)?;
            let (stream, length) = members.open(&place)?;
            // It is uncompressed, as a rule, and then its name is known.
            let guess = Descriptor {
                media_type: LAYER.to_owned(),
                digest: diff_ids[at].clone(),
                size: length,
                platform: None,
                annotations: Default::default(),
            };
            if self.has(&guess) {
                layers.push((guess, Staged::Member(member.clone())));
                continue;
            }
            let (layer, path) = match copies.get(&place) {
                Some(copy) => copy.clone(),
                None => {
                    let path = work.path().join(format!("layer-{at}"));
                    let mut layer = self.stage(stream, LAYER, &path, None)?;
                    if layer.digest != diff_ids[at] {
                        layer.media_type = media_type(&path)?;
                    }
                    copies.insert(place, (layer.clone(), path.clone()));
                    (layer, path)
                }
            };
            layers.push((layer, Staged::File(path)));
        }
        let own_name = tags(one).into_iter().next();
        assembled(own_name, config, layers)
    }
}

/// Unpacks layers, as many at a time as there are processors.
fn run(jobs: &[(Descriptor, Job)], name: &str, progress: &dyn Fn(Progress)) -> Result<()> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..processors().min(jobs.len()) {
            scope.spawn(|| {
                while let Some((_, job)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = job.run();
                    results.lock().unwrap_or_else(|it| it.into_inner()).push(result);
                }
            });
        }
    });
    for text in results
        .into_inner()
        .unwrap_or_else(|it| it.into_inner())
        .into_iter()
        .collect::<Result<Vec<_>>>()?
    {
        text.into_iter().for_each(|text| note(progress, name, text));
    }
    Ok(())
}

/// An image of an image layout.
fn layout(members: &Members, tag: Option<&str>) -> Result<Local> {
    if !members.has("index.json") {
        let error = Error::new(
            Kind::Missing,
            "it has no index.json, so it is not an image layout",
        );
        return Err(
            error.help("`docker-archive:` names what `docker save` writes, `dir:` a root that is unpacked")
        );
    }
    let index: Index = json(&members.read("index.json")?, "index.json")?;
    let name = |it: &Descriptor| {
        it.annotations
            .get(REF_NAME)
            .or(it.annotations.get(WHOLE_NAME))
            .cloned()
    };
    let is_it = |it: &&Descriptor| {
        tag.is_none_or(|tag| {
            [REF_NAME, WHOLE_NAME]
                .iter()
                .any(|key| it.annotations.get(*key).is_some_and(|it| it == tag))
        })
    };
    let fitting: Vec<&Descriptor> = index.manifests.iter().filter(is_it).collect();
    let first = match fitting.as_slice() {
        [one] => *one,
        // Several without a name are one image for several platforms.
        [_, _, ..]
            if tag.is_none()
                && fitting
                    .iter()
                    .all(|it| it.platform.is_some() && name(it).is_none()) =>
        {
            choose(&index, &Platform::host())?
        }
        other => return Err(not_one(other.len(), index.manifests.iter().filter_map(name))),
    };
    let mut descriptor = first.clone();
    for _ in 0..4 {
        let text = blob(members, &descriptor)?;
        match read(&text)? {
            Document::Index(index) => descriptor = choose(&index, &Platform::host())?.clone(),
            Document::Image(manifest) => {
                let layers = manifest
                    .layers
                    .iter()
                    .map(|it| Staged::Member(format!("blobs/sha256/{}", it.digest.hex())));
                return Ok(Local {
                    own_name: first.annotations.get(WHOLE_NAME).cloned().or_else(|| name(first)),
                    origin: first.digest.clone(),
                    config: blob(members, &manifest.config)?,
                    layers: layers.collect(),
                    text: in_words_of_oci(text, &manifest)?,
                    manifest,
                });
            }
        }
    }
    Err(Error::wrong("its indexes lead to indexes"))
}

/// A short content of a layout.
fn blob(members: &Members, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let content = members.read(&format!("blobs/sha256/{}", descriptor.digest.hex()))?;
    let own = Digest::of(&content);
    match own == descriptor.digest {
        true => Ok(content),
        false => Err(Error::wrong(format!(
            "what it has as {} has the digest {own}",
            descriptor.digest
        ))),
    }
}

/// An image without a manifest of its own.
fn assembled(own_name: Option<String>, config: Vec<u8>, layers: Vec<(Descriptor, Staged)>) -> Result<Local> {
    let (descriptors, staged): (Vec<_>, Vec<_>) = layers.into_iter().unzip();
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        config: Descriptor::new(CONFIG, &config),
        layers: descriptors,
    };
    let text = serde_json::to_vec(&manifest).map_err(|error| Error::host(error.to_string()))?;
    // The same rules hold as for others.
    let Document::Image(manifest) = read(&text)? else {
        return Err(Error::wrong("it is not an image"));
    };
    Ok(Local {
        own_name,
        origin: Digest::of(&text),
        manifest,
        text,
        config,
        layers: staged,
    })
}

fn not_one(count: usize, names: impl Iterator<Item = String>) -> Error {
    let names: Vec<String> = names.take(20).map(|it| shown(&it)).collect();
    let what = if count == 0 {
        "has no such image"
    } else {
        "has several images"
    };
    let help = match names.is_empty() {
        true => "none of its images has a name".to_owned(),
        false => format!("behind another `:` name one of: {}", names.join(", ")),
    };
    Error::new(
        if count == 0 { Kind::Missing } else { Kind::Wrong },
        format!("it {what}"),
    )
    .help(help)
}

/// What a layer of an archive is compressed with.
fn media_type(path: &Path) -> Result<String> {
    let mut start = Vec::new();
    let file = std::fs::File::open(path).at("open", path)?;
    file.take(4).read_to_end(&mut start).at("read", path)?;
    Ok(match start.as_slice() {
        [0x1f, 0x8b, ..] => format!("{LAYER}+gzip"),
        [0x28, 0xb5, 0x2f, 0xfd] => format!("{LAYER}+zstd"),
        _ => LAYER.to_owned(),
    })
}

/// The source by a path that does not depend on where somebody is.
fn absolute(source: &Source) -> Result<Source> {
    let whole = |path: &PathBuf| {
        std::fs::canonicalize(path)
            .at("find", path)
            .map_err(|error| Error {
                kind: Kind::Missing,
                ..error
            })
    };
    Ok(match source {
        Source::Oci(path, tag) => Source::Oci(whole(path)?, tag.clone()),
        Source::OciArchive(path, tag) => Source::OciArchive(whole(path)?, tag.clone()),
        Source::DockerArchive(path, name) => Source::DockerArchive(whole(path)?, name.clone()),
        other => other.clone(),
    })
}
