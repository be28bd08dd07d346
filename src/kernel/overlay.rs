//! A node's own root: the host's file systems below, a tmpfs above (overlayfs, Documentation/filesystems/overlayfs.rst).
//!
//! What every node of a lab finds in its root stands in a layer between, made once: that costs no mounts, and
//! nodes of large labs share one copy of a long /etc/hosts.

mod image;
mod layers;

use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkdir;

use layers::{lay_over, make_opaque, overlay};

use super::apart::{copy_directories, copy_entries, is_writable, take_apart};
use super::confine::{self, Machine};
use super::devices;
use super::error::{Attempt, Error, Result};
use super::mount::{INERT, Shown, virtual_fs};
use super::user_namespace::{self, mapped_copy};

/// How a node is kept from what is the host's.
#[derive(Debug)]
pub struct Confinement {
    /// What /proc has of the whole machine.
    pub machine: Machine,
    /// Directories of the host that are hidden, see [`Base::hide`]. What is mounted in them is not shown either.
    pub hidden: Vec<PathBuf>,
}

/// How one node is.
#[derive(Debug, Clone, Copy)]
pub struct Confined<'a> {
    /// As all are that are not privileged.
    pub usual: &'a Confinement,
    /// Whether the network it is in is its own.
    pub own_network: bool,
}

/// Bytes of a file system in memory for each file it may have: every one takes the kernel's memory, empty ones, too.
const BYTES_A_FILE: u64 = 8192;
/// Fewest files a node can do with: each that it changes is one, and each directory on the way.
const LEAST_FILES: u64 = 4096;

/// The options of a tmpfs (tmpfs(5)) that holds so many bytes; none for no limit.
pub fn tmpfs(bytes: Option<u64>) -> String {
    let files = bytes.map_or(0, |bytes| LEAST_FILES.max(bytes / BYTES_A_FILE));
    // 0 is no limit; without it the kernel takes half of the host's memory.
    format!("mode=0755,size={},nr_inodes={files}", bytes.unwrap_or(0))
}

/// What all roots of a lab have in common: a layer between the host's file systems and a node's own, made once.
pub struct Base {
    path: PathBuf,
    targets: Vec<Target>,
    files: Vec<PathBuf>,
}

/// A directory of the host's on which nodes have a writable layer.
struct Target {
    path: PathBuf,
    /// Whether it is made anew, and its entries are shown each by itself.
    is_apart: bool,
}

impl Base {
    /// Begins a base on an empty directory of the host, which its tmpfs covers in this mount namespace and its
    /// later copies.
    ///
    /// # Errors
    /// The kernel refuses the tmpfs, or memory is short.
    pub fn begin(path: &Path, shown: &[Shown]) -> Result<Base> {
        virtual_fs("tmpfs", path, MsFlags::empty(), "mode=0755")?;
        let base = Base::of(path, shown);
        for (number, target) in base.targets.iter().enumerate() {
            make_like(&target.path, &base.layer(number))?;
            make_like(&target.path, &base.veil(number))?;
            if target.is_apart {
                make_like(&target.path, &base.ground(number))?;
                copy_entries(&target.path, &base.ground(number))?;
            }
        }
        Ok(base)
    }

    /// The base that was begun on this directory.
    pub fn of(path: &Path, shown: &[Shown]) -> Base {
        let mut base = Base {
            path: path.to_owned(),
            targets: Vec::new(),
            files: Vec::new(),
        };
        let target = |path: &Path, is_apart| Target {
            path: path.to_owned(),
            is_apart,
        };
        let root = Path::new("/");
        if !shown.iter().any(|entry| entry.path() == root) {
            base.targets.push(target(root, false));
        }
        for entry in shown {
            match entry {
                Shown::Overlay(path) => base.targets.push(target(path, false)),
                Shown::Apart(path) => base.targets.push(target(path, true)),
                Shown::File(path) => base.files.push(path.clone()),
            }
        }
        base
    }

    /// What is made in the place of a directory whose entries are shown each by itself.
    fn ground(&self, number: usize) -> PathBuf {
        self.path.join(format!("g{number}"))
    }

    fn layer(&self, number: usize) -> PathBuf {
        self.path.join(number.to_string())
    }

    /// The layer of confined nodes: it hides what is the host's, and holds what the layer of all nodes does, see
    /// [`Base::complete`].
    fn veil(&self, number: usize) -> PathBuf {
        self.path.join(format!("v{number}"))
    }

    /// Hides a file of the host from confined nodes, or a directory with all it holds: that is then an empty one.
    ///
    /// # Errors
    /// Memory is short.
    pub fn hide(&self, path: &Path) -> Result<()> {
        let what = || format!("hide the host's {}", path.display());
        let place = self.place_in(path, Base::veil)?;
        if path.is_dir() {
            make_like(path, &place)?;
            return make_opaque(&place).map_err(|errno| Error::new(what(), errno));
        }
        // A whiteout: the file does not exist in any layer below.
        match mknod(&place, SFlag::S_IFCHR, Mode::empty(), makedev(0, 0)) {
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(Error::new(what(), errno)),
        }
    }

    /// Puts a file of this text, mode and group into the place of a file of the host that confined nodes do not see.
    ///
    /// # Errors
    /// Memory is short.
    pub fn replace(&self, path: &Path, text: &str, mode: u32, group: u32) -> Result<()> {
        let what = || format!("replace the host's {}", path.display());
        let place = self.place_in(path, Base::veil)?;
        fs::write(&place, text).attempt(what)?;
        fs::set_permissions(&place, Permissions::from_mode(mode)).attempt(what)?;
        chown(&place, Some(0), Some(group)).attempt(what)
    }

    /// Where files of the host's root are nobody's, makes some of the host's directories the nodes' root's, but for the hidden ones.
    ///
    /// # Errors
    /// Memory is short.
    pub fn take_over(&self, hidden: &[PathBuf]) -> Result<()> {
        for (number, Target { path, is_apart }) in self.targets.iter().enumerate() {
            if !is_apart && is_writable(path) {
                copy_directories(path, &self.layer(number), hidden)?;
            }
        }
        Ok(())
    }

    /// Puts what all nodes have in common into the layers of confined nodes, too, once it is all there: one layer less is looked
    /// through for each file.
    ///
    /// # Errors
    /// Memory is short.
    pub fn complete(&self) -> Result<()> {
        (0..self.targets.len()).try_for_each(|number| lay_over(&self.layer(number), &self.veil(number)))
    }

    /// Where the program of whoever makes the base may stand.
    pub fn program(&self) -> PathBuf {
        self.path.join("program")
    }

    /// Where the volumes of whoever makes the base may be.
    pub fn volumes(&self) -> PathBuf {
        self.path.join("volumes")
    }

    /// The place in the base where a path of the nodes has to be put; its parents are made, with the modes and
    /// owners of the host's.
    ///
    /// # Errors
    /// Memory is short.
    pub fn place(&self, path: &Path) -> Result<PathBuf> {
        self.place_in(path, Base::layer)
    }

    fn place_in(&self, path: &Path, layer: impl Fn(&Base, usize) -> PathBuf) -> Result<PathBuf> {
        // Ordered outer to inner, so the last that fits is the nearest.
        let nearest = self
            .targets
            .iter()
            .enumerate()
            .rev()
            .find(|(_, target)| path.starts_with(&target.path));
        let Some((number, Target { path: target, .. })) = nearest else {
            return Err(Error::new("place a file", Errno::EINVAL));
        };
        let relative = path.strip_prefix(target).unwrap_or(path);
        let (mut lower, mut upper) = (target.clone(), layer(self, number));
        for part in relative.parent().into_iter().flat_map(Path::components) {
            lower.push(part);
            upper.push(part);
            if !upper.exists() {
                make_like(&lower, &upper)?;
            }
        }
        Ok(layer(self, number).join(relative))
    }

    /// Makes a directory that shows nothing of the host's directory of the same name.
    ///
    /// # Errors
    /// Memory is short.
    pub fn empty_directory(&self, path: &Path, mode: u32) -> Result<PathBuf> {
        let place = self.place(path)?;
        make(&place, mode)?;
        make_opaque(&place).map_err(|errno| {
            let mut error = Error::new(format!("hide the host's {}", path.display()), errno);
            if errno == Errno::EOPNOTSUPP && user_namespace::is_partial() {
                error.said = Some("without root that takes Linux 6.6 or newer".to_owned());
            }
            error
        })?;
        Ok(place)
    }

    /// Writes a file into the base.
    ///
    /// # Errors
    /// Memory is short.
    pub fn write(&self, path: &Path, text: &str) -> Result<PathBuf> {
        let place = self.place(path)?;
        fs::write(&place, text).attempt(|| format!("write {}", path.display()))?;
        Ok(place)
    }

    /// Lays a writable layer over everything, on a tmpfs that covers `scratch` in this mount namespace, and makes it
    /// the calling process's root. The process must be alone in its mount namespace, a copy of one that was prepared for that
    /// ([`super::mount::put_below`]), and the first of its PID namespace. `hostname` becomes the node's /etc/hostname. A node that is
    /// not `confined` sees all of the host and of the kernel's views. What is hidden from a confined one and to be `shown` all the
    /// same is laid over it again. `disk` is how many bytes the layer may hold, none for no limit; /dev holds a quarter of that
    /// besides.
    ///
    /// # Errors
    /// The kernel refuses a mount; two overlays on top of each other are the most it stacks.
    pub fn enter(
        &self,
        scratch: &Path,
        hostname: &str,
        confined: Option<Confined<'_>>,
        shown: &[PathBuf],
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
        // Into the upper layer: through the overlay a symbolic link could lead out of it.
        let upper = scratch.join("u0");
        ground.make_like(Path::new("/"), &upper)?;
        ground.make_like(Path::new("/etc"), &upper.join("etc"))?;
        let name = upper.join("etc/hostname");
        fs::write(&name, format!("{hostname}\n")).attempt(|| "write /etc/hostname")?;
        ground.give(&name, 0, 0)?;
        self.lay(&ground, &merged, confined)?;
        self.bind_files(&merged, confined)?;
        for (number, path) in (self.targets.len()..).zip(shown) {
            ground.show(number, path, &merged)?;
        }
        // The way there is long, and would be gone some dozen times.
        nix::unistd::chdir(&merged).attempt(|| format!("enter {}", merged.display()))?;
        views(confined, disk)?;
        super::mount::enter(&merged)
    }

    /// Lays an overlay on each of the host's directories that are shown.
    fn lay(&self, ground: &Ground<'_>, merged: &Path, confined: Option<Confined<'_>>) -> Result<()> {
        for (number, target) in self.targets.iter().enumerate() {
            let Target { path, is_apart } = target;
            if is_hidden(path, confined) {
                continue;
            }
            let place = merged.join(path.strip_prefix("/").unwrap_or(path));
            let layer = match confined {
                Some(_) => self.veil(number),
                None => self.layer(number),
            };
            let of_base = |layer: PathBuf| ground.of_base(&layer, &self.path);
            let bottom = match is_apart {
                true => of_base(self.ground(number)),
                false => ground.layer(number, path)?,
            };
            match ground.overlay(number, path, &[of_base(layer), bottom], &place) {
                Ok(()) => {}
                // A file system that cannot be below an overlay shows as it is, read-only.
                Err(_) if number > 0 => bind(path, &place, true)?,
                Err(error) => return Err(explain_stacking(error)),
            }
        }
        Ok(())
    }

    /// Binds the host's files that are shown each by itself.
    fn bind_files(&self, merged: &Path, confined: Option<Confined<'_>>) -> Result<()> {
        for file in &self.files {
            let place = merged.join(file.strip_prefix("/").unwrap_or(file));
            // One that is hidden by itself has no place.
            let has_place = fs::symlink_metadata(&place).is_ok();
            // Container runtimes bind such files (resolv.conf, hosts); those of the lab's own go before.
            if has_place && !is_hidden(file, confined) && !self.place(file)?.exists() {
                bind(file, &place, true)?;
            }
        }
        Ok(())
    }
}

/// Whether a path is in a directory that is hidden from a node.
fn is_hidden(path: &Path, confined: Option<Confined<'_>>) -> bool {
    confined.is_some_and(|it| it.usual.hidden.iter().any(|hidden| path.starts_with(hidden)))
}

/// Mounts the kernel's views, and makes /dev, in the root that is this process's working directory.
fn views(confined: Option<Confined<'_>>, disk: Option<u64>) -> Result<()> {
    let [proc, sys, dev] = ["proc", "sys", "dev"].map(Path::new);
    virtual_fs("proc", proc, INERT, "")?;
    virtual_fs("sysfs", sys, INERT, "")?;
    devices::make(dev, confined.is_none(), disk.map(|bytes| bytes / 4))?;
    if let Some(Confined { usual, own_network }) = confined {
        confine::proc(proc, &dev.join("null"), &usual.machine, own_network)?;
        confine::sys(sys, own_network)?;
    }
    Ok(())
}

/// What a root is built on: the host's files as they are, or with the ids that they have in a user namespace.
struct Ground<'a> {
    /// Where the writable layers are.
    scratch: &'a Path,
    /// Where the base is to be found.
    base: PathBuf,
    /// The user namespace, and the id of its root outside.
    users: Option<(&'a OwnedFd, u32)>,
}

impl<'a> Ground<'a> {
    fn plain(scratch: &'a Path, base: &Path) -> Ground<'a> {
        Ground {
            scratch,
            base: base.to_owned(),
            users: None,
        }
    }

    fn mapped(scratch: &'a Path, base: &Path, users: &'a OwnedFd, first: u32) -> Result<Ground<'a>> {
        let place = scratch.join("base");
        make(&place, 0o755)?;
        super::mount::attach(&mapped_copy(base, users)?, &place, false)?;
        Ok(Ground {
            scratch,
            base: place,
            users: Some((users, first)),
        })
    }

    /// A layer of the base.
    fn of_base(&self, layer: &Path, base: &Path) -> PathBuf {
        self.base.join(layer.strip_prefix(base).unwrap_or(layer))
    }

    /// Gives a file to users of the node's.
    fn give(&self, path: &Path, uid: u32, gid: u32) -> Result<()> {
        let Some((_, first)) = self.users else {
            return Ok(());
        };
        // Ids beyond the namespace's are nobody's in it.
        let id = |id: u32| Some(first + id.min(u32::from(u16::MAX)));
        chown(path, id(uid), id(gid)).attempt(|| format!("set the owner of {}", path.display()))
    }

    /// Makes a directory like one of the host's.
    fn make_like(&self, model: &Path, path: &Path) -> Result<()> {
        make_like(model, path)?;
        let owner = fs::metadata(path).attempt(|| format!("make {}", path.display()))?;
        self.give(path, owner.uid(), owner.gid())
    }

    /// A directory of the host's, as a layer.
    fn layer(&self, number: usize, target: &Path) -> Result<PathBuf> {
        let Some((users, _)) = self.users else {
            return Ok(target.to_owned());
        };
        let place = self.scratch.join(format!("i{number}"));
        make(&place, 0o755)?;
        super::mount::attach(&mapped_copy(target, users)?, &place, false)?;
        Ok(place)
    }

    /// Lays a writable layer over those of `target`, the uppermost first, and mounts all of them on `place`.
    fn overlay(&self, number: usize, target: &Path, layers: &[PathBuf], place: &Path) -> Result<()> {
        let upper = self.scratch.join(format!("u{number}"));
        self.make_like(target, &upper)?;
        overlay(self.scratch, number, layers, place).map_err(|error| Error {
            what: format!("lay an overlay on the host's {}", target.display()),
            ..error
        })
    }

    /// Shows a path of the host that is hidden otherwise: a directory as an overlay, a file as it is.
    fn show(&self, number: usize, path: &Path, merged: &Path) -> Result<()> {
        let what = || format!("show the host's {}", path.display());
        let place = merged.join(path.strip_prefix("/").unwrap_or(path));
        if path.is_dir() {
            fs::create_dir_all(&place).attempt(what)?;
            return self.overlay(number, path, &[self.layer(number, path)?], &place);
        }
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).attempt(what)?;
        }
        if !place.exists() {
            fs::write(&place, "").attempt(what)?;
        }
        bind(path, &place, true)
    }
}

/// Tries whether an overlay of the host's root can be made, on a directory this mount namespace can spare.
///
/// # Errors
/// The kernel refuses.
pub fn trial(scratch: &Path) -> Result<()> {
    let table = super::mount::table()?;
    // Users who are not root cannot have the whole root as one.
    let (shown, host) = match user_namespace::is_partial() {
        true => (take_apart(Vec::new(), &table, &[]), "/usr"),
        false => (Vec::new(), "/"),
    };
    let base = Base::begin(scratch, &shown)?;
    base.empty_directory(Path::new("/run"), 0o755)?;
    let fits = |(_, target): &(usize, &Target)| target.path.starts_with(host) && !target.is_apart;
    let Some((number, Target { path, .. })) = base.targets.iter().enumerate().find(fits) else {
        return Ok(());
    };
    let merged = scratch.join("root");
    make(&merged, 0o755)?;
    make_like(path, &scratch.join(format!("u{number}")))?;
    overlay(scratch, number, &[base.layer(number), path.clone()], &merged).map_err(explain_stacking)
}

fn explain_stacking(mut error: Error) -> Error {
    if error.errno == Errno::EINVAL {
        error.said =
            Some("the host's root is itself an overlay in an overlay, and the kernel stacks no third".into());
    }
    error
}

pub(super) fn bind(source: &Path, target: &Path, read_only: bool) -> Result<()> {
    let copy = super::mount::detached_copy(source)?;
    super::mount::attach(&copy, target, read_only)
}

/// Makes a directory with the mode and owner of another (0755 root where that is missing).
///
/// # Errors
/// There is something else of that name, or no space is left.
pub fn make_like(model: &Path, path: &Path) -> Result<()> {
    match fs::metadata(model) {
        Ok(metadata) if metadata.is_dir() => {
            make(path, metadata.mode() & 0o7777)?;
            chown(path, Some(here(metadata.uid())), Some(here(metadata.gid())))
                .attempt(|| format!("set the owner of {}", path.display()))
        }
        _ => make(path, 0o755),
    }
}

/// The id here of whom a file of the host's belongs to: root stands for all who have none.
fn here(id: u32) -> u32 {
    match id == user_namespace::OVERFLOW && user_namespace::is_partial() {
        true => 0,
        false => id,
    }
}

fn make(path: &Path, mode: u32) -> Result<()> {
    let what = || format!("make {}", path.display());
    match mkdir(path, Mode::from_bits_truncate(0o700)) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(Error::new(what(), errno)),
    }
    // Apart from mkdir, so that the umask has no say.
    fs::set_permissions(path, Permissions::from_mode(mode)).attempt(what)
}
