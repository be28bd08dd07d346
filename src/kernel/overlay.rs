//! A node's own root: the host's file systems below, a tmpfs above (overlayfs, Documentation/filesystems/overlayfs.rst).
//!
//! What every node of a lab finds in its root stands in a layer between, made once: that costs no mounts, and
//! nodes of large labs share one copy of a long /etc/hosts.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkdir;

use super::error::{Attempt, Error, Result};
use super::mount::{INERT, Shown, pivot, virtual_fs};

/// Device files that are harmless in a node, with their numbers (Documentation/admin-guide/devices.txt).
const DEVICES: [(&str, u64, u64); 9] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("kmsg", 1, 11),
    ("tty", 5, 0),
    ("net/tun", 10, 200),
    ("fuse", 10, 229),
];

/// Bytes of a file system in memory for each file it may have: every one takes the kernel's memory, empty ones, too.
const BYTES_A_FILE: u64 = 8192;
/// Fewest files a node can do with: each that it changes is one, and each directory on the way.
const LEAST_FILES: u64 = 4096;

/// The options of a tmpfs (tmpfs(5)) that holds so many bytes; none for no limit.
fn tmpfs(bytes: Option<u64>) -> String {
    let files = bytes.map_or(0, |bytes| LEAST_FILES.max(bytes / BYTES_A_FILE));
    // 0 is no limit; without it the kernel takes half of the host's memory.
    format!("mode=0755,size={},nr_inodes={files}", bytes.unwrap_or(0))
}

/// What all roots of a lab have in common: a layer between the host's file systems and a node's own, made once.
pub struct Base {
    path: PathBuf,
    targets: Vec<PathBuf>,
    files: Vec<PathBuf>,
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
            make_like(target, &base.layer(number))?;
        }
        Ok(base)
    }

    /// The base that was begun on this directory.
    pub fn of(path: &Path, shown: &[Shown]) -> Base {
        let mut base = Base {
            path: path.to_owned(),
            targets: vec![PathBuf::from("/")],
            files: Vec::new(),
        };
        for entry in shown {
            match entry {
                Shown::Overlay(path) => base.targets.push(path.clone()),
                Shown::File(path) => base.files.push(path.clone()),
            }
        }
        base
    }

    fn layer(&self, number: usize) -> PathBuf {
        self.path.join(number.to_string())
    }

    /// The place in the base where a path of the nodes has to be put; its parents are made, with the modes and
    /// owners of the host's.
    ///
    /// # Errors
    /// Memory is short.
    pub fn place(&self, path: &Path) -> Result<PathBuf> {
        // Ordered outer to inner, so the last that fits is the nearest.
        let nearest = self
            .targets
            .iter()
            .enumerate()
            .rev()
            .find(|(_, target)| path.starts_with(target));
        let Some((number, target)) = nearest else {
            return Err(Error::new("place a file", Errno::EINVAL));
        };
        let relative = path.strip_prefix(target).unwrap_or(path);
        let (mut lower, mut upper) = (target.clone(), self.layer(number));
        for part in relative.parent().into_iter().flat_map(Path::components) {
            lower.push(part);
            upper.push(part);
            if !upper.exists() {
                make_like(&lower, &upper)?;
            }
        }
        Ok(self.layer(number).join(relative))
    }

    /// Makes a directory that shows nothing of the host's directory of the same name.
    ///
    /// # Errors
    /// Memory is short.
    pub fn empty_directory(&self, path: &Path, mode: u32) -> Result<PathBuf> {
        let place = self.place(path)?;
        make(&place, mode)?;
        let what = || format!("hide the host's {}", path.display());
        rustix::fs::setxattr(
            &place,
            "trusted.overlay.opaque",
            b"y",
            rustix::fs::XattrFlags::empty(),
        )
        .map_err(|errno| Error::new(what(), Errno::from_raw(errno.raw_os_error())))?;
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
    /// the calling process's root. The process must be alone in its mount namespace and the first of its PID
    /// namespace. `hostname` becomes the node's /etc/hostname. `disk` is how many bytes the layer may hold, none for no limit;
    /// /dev holds a quarter of that besides.
    ///
    /// # Errors
    /// The kernel refuses a mount; two overlays on top of each other are the most it stacks.
    pub fn enter(&self, scratch: &Path, hostname: &str, disk: Option<u64>) -> Result<()> {
        virtual_fs("tmpfs", scratch, MsFlags::empty(), &tmpfs(disk))?;
        let merged = scratch.join("root");
        make(&merged, 0o755)?;
        // Into the upper layer: through the overlay a symbolic link could lead out of it.
        let upper = scratch.join("u0");
        make_like(Path::new("/"), &upper)?;
        make_like(Path::new("/etc"), &upper.join("etc"))?;
        fs::write(upper.join("etc/hostname"), format!("{hostname}\n")).attempt(|| "write /etc/hostname")?;
        for (number, target) in self.targets.iter().enumerate() {
            let place = merged.join(target.strip_prefix("/").unwrap_or(target));
            match self.overlay(scratch, number, target, &place) {
                Ok(()) => {}
                // A file system that cannot be below an overlay shows as it is, read-only.
                Err(_) if number > 0 => bind(target, &place, true)?,
                Err(error) => return Err(explain_stacking(error)),
            }
        }
        for file in &self.files {
            // Container runtimes bind such files (resolv.conf, hosts); those of the lab's own go before.
            if !self.place(file)?.exists() {
                bind(file, &merged.join(file.strip_prefix("/").unwrap_or(file)), true)?;
            }
        }
        virtual_fs("proc", &merged.join("proc"), INERT, "")?;
        virtual_fs("sysfs", &merged.join("sys"), INERT, "")?;
        devices(&merged.join("dev"), disk.map(|bytes| bytes / 4))?;
        pivot(&merged)
    }

    fn overlay(&self, scratch: &Path, number: usize, target: &Path, place: &Path) -> Result<()> {
        let (upper, work) = (
            scratch.join(format!("u{number}")),
            scratch.join(format!("w{number}")),
        );
        make_like(target, &upper)?;
        make(&work, 0o700)?;
        let options = format!(
            "lowerdir={}:{},upperdir={},workdir={}",
            escape(&self.layer(number)),
            escape(target),
            escape(&upper),
            escape(&work)
        );
        mount(
            Some("overlay"),
            place,
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .attempt(|| format!("lay an overlay on the host's {}", target.display()))
    }
}

/// Tries whether an overlay of the host's root can be made, on a directory this mount namespace can spare.
///
/// # Errors
/// The kernel refuses.
pub fn trial(scratch: &Path) -> Result<()> {
    let root = Path::new("/");
    let base = Base::begin(scratch, &[])?;
    let merged = scratch.join("root");
    make(&merged, 0o755)?;
    base.overlay(scratch, 0, root, &merged).map_err(explain_stacking)
}

/// Colons separate lower directories, commas options, and backslashes escape both.
fn escape(path: &Path) -> String {
    let mut escaped = String::new();
    for character in path.to_string_lossy().chars() {
        if matches!(character, ':' | ',' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

fn explain_stacking(mut error: Error) -> Error {
    if error.errno == Errno::EINVAL {
        error.said =
            Some("the host's root is itself an overlay in an overlay, and the kernel stacks no third".into());
    }
    error
}

fn bind(source: &Path, target: &Path, read_only: bool) -> Result<()> {
    let copy = super::mount::detached_copy(source)?;
    super::mount::attach(&copy, target, read_only)
}

/// Makes a directory with the mode and owner of another (0755 root where that is missing).
fn make_like(model: &Path, path: &Path) -> Result<()> {
    match fs::metadata(model) {
        Ok(metadata) if metadata.is_dir() => {
            make(path, metadata.mode() & 0o7777)?;
            chown(path, Some(metadata.uid()), Some(metadata.gid()))
                .attempt(|| format!("set the owner of {}", path.display()))
        }
        _ => make(path, 0o755),
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

/// A /dev of the node's own.
fn devices(dev: &Path, bytes: Option<u64>) -> Result<()> {
    virtual_fs("tmpfs", dev, MsFlags::MS_NOSUID, &tmpfs(bytes))?;
    for (name, mode) in [
        ("net", 0o755),
        ("pts", 0o755),
        ("mqueue", 0o1777),
        ("shm", 0o1777),
    ] {
        make(&dev.join(name), mode)?;
    }
    for (name, major, minor) in DEVICES {
        device(
            &dev.join(name),
            Path::new("/dev").join(name).as_path(),
            makedev(major, minor),
        )?;
    }
    virtual_fs(
        "devpts",
        &dev.join("pts"),
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        "newinstance,ptmxmode=0666,mode=0620",
    )?;
    virtual_fs("mqueue", &dev.join("mqueue"), INERT, "")?;
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        std::os::unix::fs::symlink(target, dev.join(name)).attempt(|| format!("make /dev/{name}"))?;
    }
    Ok(())
}

/// Makes a device file; where that is forbidden (a container), binds the host's.
fn device(path: &Path, host: &Path, number: u64) -> Result<()> {
    let mode = Mode::from_bits_truncate(0o666);
    match mknod(path, SFlag::S_IFCHR, mode, number) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o666))
            .attempt(|| format!("make {}", path.display())),
        Err(Errno::EPERM) if host.exists() => {
            fs::write(path, "").attempt(|| format!("make {}", path.display()))?;
            bind(host, path, false)
        }
        Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err(Error::new(format!("make {}", path.display()), errno)),
    }
}
