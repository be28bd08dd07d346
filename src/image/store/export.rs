//! Writes an image into a file or a directory.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::index::Label;
use super::{Image, Lease, Store, absent};
use crate::error::{Attempt as _, Error, Result};
use crate::manifest::{Descriptor, INDEX, Index, Manifest, REF_NAME};
use crate::source::Source;

/// No more of an image's name stands in the name of its archive.
const LONGEST_NAME: usize = 150;

/// An image of the store that is written somewhere; it stays as long.
struct Exported {
    name: String,
    tag: String,
    descriptor: Descriptor,
    manifest: Manifest,
    _lease: Lease,
}

impl Store {
    /// Writes an image by a name that [`Store::named`] understands: as `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]` or
    /// `docker-archive:FILE`.
    ///
    /// # Errors
    /// There is none, there is a file already, or it cannot be written.
    pub fn export(&self, text: &str, target: &Source) -> Result<()> {
        let name = self.named(text)?.name;
        let exported = self.exported(&name, target)?;
        match target {
            Source::Oci(path, _) => self.export_directory(&exported, path),
            Source::OciArchive(path, _) => to_file(path, |file| self.export_archive(&exported, file)),
            Source::DockerArchive(path, _) => to_file(path, |file| self.export_for_docker(&exported, file)),
            other => Err(Error::wrong(format!("images are not written to {other}"))
                .help("name a file, or docker-archive:FILE, or oci:DIR")),
        }
    }

    /// An image as a file that `docker load` and containerd take. It is written once, is in the store, and goes with the image.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn archive(&self, image: &Image) -> Result<PathBuf> {
        let target = Source::DockerArchive(PathBuf::new(), None);
        let exported = self.exported(&image.name, &target)?;
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        // The name of the image stands in the file: by another name it is another file.
        let name: String = image.name.chars().map(plain).take(LONGEST_NAME).collect();
        let hex = exported.descriptor.digest.hex();
        let path = self.root.join("archives").join(format!("{hex}-{name}"));
        if path.exists() {
            return Ok(path);
        }
        let work = self.work()?;
        let made = work.path().join("archive");
        to_file(&made, |file| self.export_for_docker(&exported, file))?;
        File::open(&made)
            .and_then(|file| file.sync_all())
            .at("write", &made)?;
        fs::rename(&made, &path).at("write", &path)?;
        Ok(path)
    }

    fn exported(&self, name: &str, target: &Source) -> Result<Exported> {
        let lock = self.share()?;
        let index = self.read_index(&lock)?;
        let is_it = |it: &&Descriptor| Label::of(it).is_some_and(|it| it.name == name);
        let descriptor = index.manifests.iter().find(is_it).ok_or_else(|| absent(name))?;
        let manifest = self.manifest(&descriptor.digest).ok_or_else(|| absent(name))?;
        let tag = match target {
            Source::Oci(_, Some(tag)) | Source::OciArchive(_, Some(tag)) => tag.clone(),
            _ => name.to_owned(),
        };
        let mut own = Descriptor::clone(descriptor);
        own.annotations.clear();
        own.annotations.insert(REF_NAME.to_owned(), tag.clone());
        Ok(Exported {
            name: name.to_owned(),
            tag,
            _lease: self.lease(&descriptor.digest, &lock)?,
            descriptor: own,
            manifest,
        })
    }

    fn export_directory(&self, exported: &Exported, path: &Path) -> Result<()> {
        let blobs = path.join("blobs/sha256");
        fs::create_dir_all(&blobs).at("make", &blobs)?;
        let index = path.join("index.json");
        let mut manifests = match fs::read(&index) {
            Ok(text) => crate::manifest::json::<Index>(&text, "index.json")?.manifests,
            Err(_) => Vec::new(),
        };
        manifests.retain(|it| it.annotations.get(REF_NAME) != Some(&exported.tag));
        manifests.push(exported.descriptor.clone());
        for content in contents(exported) {
            let (from, to) = (self.blob(&content.digest), blobs.join(content.digest.hex()));
            if fs::metadata(&to).is_ok_and(|it| it.len() == content.size) {
                continue;
            }
            fs::copy(&from, &to).at("write", &to)?;
        }
        let layout = path.join("oci-layout");
        fs::write(&layout, LAYOUT).at("write", &layout)?;
        fs::write(&index, text(&index_of(manifests))?).at("write", &index)
    }

    fn export_archive(&self, exported: &Exported, out: &mut dyn Write) -> Result<()> {
        let mut archive = tar::Builder::new(out);
        append(&mut archive, "oci-layout", LAYOUT)?;
        append(
            &mut archive,
            "index.json",
            &text(&index_of(vec![exported.descriptor.clone()]))?,
        )?;
        for content in contents(exported) {
            self.append_blob(
                &mut archive,
                content,
                &format!("blobs/sha256/{}", content.digest.hex()),
            )?;
        }
        archive.finish().attempt(|| "write the archive".to_owned())
    }

    /// As `docker save` writes it. Docker and Podman decompress layers that are compressed.
    fn export_for_docker(&self, exported: &Exported, out: &mut dyn Write) -> Result<()> {
        let mut archive = tar::Builder::new(out);
        let manifest = &exported.manifest;
        let config = format!("{}.json", manifest.config.digest.hex());
        self.append_blob(&mut archive, &manifest.config, &config)?;
        let mut layers: Vec<String> = Vec::new();
        for layer in &manifest.layers {
            let name = format!("{}.tar", layer.digest.hex());
            if !layers.contains(&name) {
                self.append_blob(&mut archive, layer, &name)?;
            }
            layers.push(name);
        }
        let list = serde_json::json!([{"Config": config, "RepoTags": [exported.name], "Layers": layers}]);
        append(&mut archive, "manifest.json", &text(&list)?)?;
        archive.finish().attempt(|| "write the archive".to_owned())
    }

    fn append_blob(
        &self,
        archive: &mut tar::Builder<&mut dyn Write>,
        content: &Descriptor,
        name: &str,
    ) -> Result<()> {
        let path = self.blob(&content.digest);
        let file = File::open(&path).at("open", &path)?;
        let mut header = header(content.size);
        archive
            .append_data(&mut header, name, file.take(content.size))
            .attempt(|| "write the archive".to_owned())
    }
}

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

fn contents(exported: &Exported) -> impl Iterator<Item = &Descriptor> {
    let manifest = &exported.manifest;
    let mut seen = std::collections::BTreeSet::new();
    let all = [&exported.descriptor, &manifest.config]
        .into_iter()
        .chain(&manifest.layers);
    all.filter(move |it| seen.insert(&it.digest))
}

fn index_of(manifests: Vec<Descriptor>) -> Index {
    Index {
        schema_version: 2,
        media_type: INDEX.to_owned(),
        manifests,
    }
}

fn text(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::host(error.to_string()))
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn append(archive: &mut tar::Builder<&mut dyn Write>, name: &str, content: &[u8]) -> Result<()> {
    let mut header = header(content.len() as u64);
    archive
        .append_data(&mut header, name, content)
        .attempt(|| "write the archive".to_owned())
}

/// Writes a file that is there whole, or not at all.
fn to_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let new = PathBuf::from(name);
    let mut file = BufWriter::new(File::create_new(&new).at("make", &new)?);
    let result = write(&mut file).and_then(|()| file.flush().at("write", &new));
    match result.and_then(|()| fs::rename(&new, path).at("write", path)) {
        Ok(()) => Ok(()),
        Err(error) => {
            drop(fs::remove_file(&new));
            Err(error)
        }
    }
}
