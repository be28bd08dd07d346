//! A root that is an image's: its layers below, a tmpfs above, and nothing of the host's between.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

use super::layers::overlay;
use super::{Base, Confined, Ground, make, make_like, tmpfs, views};
use crate::error::{Attempt, Result};
use crate::mount::{self, virtual_fs};

/// What every root has for the kernel's views and for nslab, whatever its image is like.
const DIRECTORIES: [(&str, u32); 6] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("proc", 0o555),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
];

impl Base {
    /// The layer that all nodes have in common which are images.
    fn of_images(&self) -> PathBuf {
        self.path.join("image")
    }

    /// Makes that layer. What is written into it by [`Base::write_for_images`] goes before what images have.
    ///
    /// # Errors
    /// Memory is short.
    pub fn begin_images(&self) -> Result<()> {
        make(&self.of_images(), 0o755)?;
        DIRECTORIES
            .iter()
            .try_for_each(|(name, mode)| make(&self.of_images().join(name), *mode))
    }

    /// Writes a file into the layer of images.
    ///
    /// # Errors
    /// Memory is short.
    pub fn write_for_images(&self, path: &Path, text: &str) -> Result<()> {
        let mut parent = self.of_images();
        for part in path
            .strip_prefix("/")
            .unwrap_or(path)
            .parent()
            .into_iter()
            .flatten()
        {
            parent.push(part);
            make(&parent, 0o755)?;
        }
        let place = self.of_images().join(path.strip_prefix("/").unwrap_or(path));
        fs::write(&place, text).attempt(|| format!("write {}", path.display()))
    }

    /// As [`Base::enter`], with the layers of an image (the lowest first) in place of the host's file systems.
    ///
    /// # Errors
    /// A layer is gone, or the kernel refuses a mount.
    pub fn enter_image(
        &self,
        scratch: &Path,
        image: &[PathBuf],
        hostname: &str,
        confined: Option<Confined<'_>>,
        users: Option<(&OwnedFd, u32)>,
        disk: Option<u64>,
    ) -> Result<()> {
        virtual_fs("tmpfs", scratch, MsFlags::empty(), &tmpfs(disk))?;
        let ground = match users {
            None => Ground::plain(scratch, &self.path),
            Some((users, first)) => Ground::mapped(scratch, &self.path, users, first)?,
        };
        let merged = scratch.join("root");
        make(&merged, 0o755)?;
        let upper = scratch.join("u0");
        let top = |path: &str| {
            let mut layers = image.iter().rev().map(|layer| layer.join(path));
            layers.find(|place| fs::symlink_metadata(place).is_ok_and(|it| it.is_dir()))
        };
        // Where the image has no such directory there is nothing to be like.
        for (path, place) in [("", upper.clone()), ("etc", upper.join("etc"))] {
            match top(path) {
                Some(model) => {
                    make_like(&model, &place)?;
                    let owner = fs::metadata(&model).attempt(|| format!("look at {}", model.display()))?;
                    use std::os::unix::fs::MetadataExt as _;
                    ground.give(&place, owner.uid(), owner.gid())?;
                }
                None => {
                    make(&place, 0o755)?;
                    ground.give(&place, 0, 0)?;
                }
            }
        }
        let name = upper.join("etc/hostname");
        fs::write(&name, format!("{hostname}\n")).attempt(|| "write /etc/hostname")?;
        ground.give(&name, 0, 0)?;
        let own = ground.of_base(&self.of_images(), &self.path);
        let mut layers = vec![own];
        for (number, layer) in image.iter().enumerate().rev() {
            layers.push(ground.layer(number, layer)?);
        }
        overlay(scratch, 0, &layers, &merged)?;
        nix::unistd::chdir(&merged).attempt(|| format!("enter {}", merged.display()))?;
        views(confined, disk)?;
        mount::enter(&merged)
    }
}
