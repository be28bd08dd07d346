//! Control groups: one directory a node (cgroups(7)). The version 2 tree is used where there is one; where
//! the controllers are on version 1 trees (a hybrid host), limits go there.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::error::{Attempt, Result};

/// Where programs look for the trees.
pub const MOUNT: &str = "/sys/fs/cgroup";
/// Controllers that limits need.
const LEGACY: [&str; 3] = ["cpu", "memory", "pids"];
/// Period of CPU bandwidth control in microseconds, the kernel's default.
const PERIOD: u64 = 100_000;

/// Where the trees are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trees {
    /// The version 2 tree.
    pub unified: Option<PathBuf>,
    /// Version 1 trees of controllers we use, by controller.
    pub legacy: Vec<(&'static str, PathBuf)>,
    /// All version 1 trees, those among them.
    pub version_1: Vec<PathBuf>,
}

impl Trees {
    /// Looks where a host usually has them.
    pub fn find() -> Trees {
        let unified = ["", "unified"]
            .iter()
            .map(|sub| Path::new(MOUNT).join(sub))
            .find(|path| path.join("cgroup.controllers").exists() && is_ours(path));
        let legacy = LEGACY
            .into_iter()
            .map(|controller| (controller, Path::new(MOUNT).join(controller)))
            .filter(|(_, path)| {
                path.join("cgroup.procs").exists()
                    && !path.join("cgroup.controllers").exists()
                    && is_ours(path)
            })
            .collect();
        Trees {
            unified,
            legacy,
            version_1: version_1(),
        }
    }

    /// Where a controller's files of `LAB/node-NODE` are, and whether they are version 1's.
    pub(super) fn of(&self, controller: &str, lab: &str, node: &str) -> Option<(bool, PathBuf)> {
        let legacy = self.legacy.iter().find(|(name, _)| *name == controller);
        let root = legacy.map(|(_, root)| root).or(self.unified.as_ref())?;
        Some((legacy.is_some(), root.join(lab).join(own(node))))
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.unified.iter().chain(&self.version_1)
    }
}

/// Whether this user may make cgroups in a tree. One that is read-only may be another's, too, and is told as such.
fn is_ours(tree: &Path) -> bool {
    !matches!(
        rustix::fs::accessat(
            rustix::fs::CWD,
            tree,
            rustix::fs::Access::WRITE_OK,
            AtFlags::EACCESS
        ),
        Err(Errno::ACCESS)
    )
}

/// The version 1 trees of this host; links among them lead to others.
fn version_1() -> Vec<PathBuf> {
    let entries = fs::read_dir(MOUNT).into_iter().flatten().flatten();
    let is_tree = |path: &PathBuf| {
        path.join("cgroup.procs").exists()
            && !path.join("cgroup.controllers").exists()
            && !path.is_symlink()
            && is_ours(path)
    };
    entries.map(|entry| entry.path()).filter(is_tree).collect()
}

/// Where the processes of a node are that makes cgroups below its own: in the version 2 tree nobody may be in one that has
/// others with controllers below it (cgroups(7), "no internal processes").
const LEAF: &str = "init";
/// How many cgroups of an earlier life of a node are removed at once.
const AT_ONCE: usize = 500;
/// How deep below its own a node may make cgroups, and how many: a kubelet makes four levels, and some for each container.
const DEEPEST: usize = 32;
const MOST: usize = 4096;

/// Makes `LAB/node-NODE` for a node that makes cgroups of its own below it: in every version 1 tree, or where there are none in
/// the version 2 tree, with a leaf below it that is returned. What an earlier life of the node left there goes.
///
/// # Errors
/// One of the trees refuses; `EBUSY` where there is too much to be removed at once, or processes in it are just ending: that is to be
/// tried again.
pub fn make_in_all(trees: &Trees, lab: &str, node: &str) -> Result<Option<OwnedFd>> {
    if let (Some(root), true) = (&trees.unified, trees.version_1.is_empty()) {
        return make_leaf(root, lab, node).map(Some);
    }
    for root in &trees.version_1 {
        let what = || format!("make the cgroup of {node} in {}", root.display());
        let mut above = root.clone();
        for part in [lab, &own(node)] {
            let path = above.join(part);
            fs::create_dir_all(&path).attempt(what)?;
            // Nobody may enter a cpuset that has neither (cpuset(7)).
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if above.join(file).exists() {
                    let value = fs::read_to_string(above.join(file)).attempt(what)?;
                    fs::write(path.join(file), value).attempt(what)?;
                }
            }
            above = path;
        }
    }
    Ok(None)
}

fn make_leaf(root: &Path, lab: &str, node: &str) -> Result<OwnedFd> {
    let what = || format!("make the cgroups of {node}");
    let (above, own) = (root.join(lab), root.join(lab).join(own(node)));
    fs::create_dir_all(&own).attempt(what)?;
    empty(&own).attempt(what)?;
    // A node can give its own no more than it has been given.
    for parent in [root, &above] {
        pass_controllers_on(parent);
    }
    let leaf = own.join(LEAF);
    fs::create_dir(&leaf).attempt(what)?;
    Ok(File::open(&leaf).attempt(what)?.into())
}

/// Lets the cgroups below one have what controllers it has. One that is refused, as realtime processes do it for cpu, is one that they
/// do without.
fn pass_controllers_on(parent: &Path) {
    let known = fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default();
    for controller in ["cpu", "memory", "pids", "io", "cpuset"] {
        if known.split_whitespace().any(|it| it == controller) {
            let _ = fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
}

/// Takes away what is below a cgroup in the version 2 tree, so that processes may be in it.
fn empty(path: &Path) -> io::Result<()> {
    let mut budget = AT_ONCE;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path(), &mut budget)?;
        }
    }
    let control = path.join("cgroup.subtree_control");
    let given = fs::read_to_string(&control)?;
    given
        .split_whitespace()
        .try_for_each(|controller| fs::write(&control, format!("-{controller}")))
}

/// Puts the calling process where [`make_in_all`] has made room for it, and lets it see nothing above. In the version 2 tree it was
/// born in its own, and sees nothing above already.
///
/// # Errors
/// One of them is not there, or the kernel refuses.
pub fn enter_all(trees: &Trees, lab: &str, node: &str) -> Result<()> {
    let what = || format!("enter the cgroups of {node}");
    if let (Some(root), true) = (&trees.unified, trees.version_1.is_empty()) {
        let door = root.join(lab).join(own(node)).join(LEAF).join("cgroup.procs");
        return fs::write(door, "0").attempt(what);
    }
    for root in &trees.version_1 {
        let door = root.join(lab).join(own(node)).join("cgroup.procs");
        fs::write(door, "0").attempt(what)?;
    }
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP).attempt(what)
}

/// Where a first process is that rules the cgroups of its node: below that node's own, whose limits are out of its reach.
const MACHINE: &str = "machine";
/// What it is given to write in there, besides the directory (cgroups(7), "cgroup delegation").
const DELEGATED: [&str; 3] = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];

/// Puts the calling process into a cgroup of the version 2 tree that is its own, below that of its node, and lets it see nothing
/// above. `owner` is who may make others there, where that is not this user.
///
/// # Errors
/// There is no such tree, or the kernel refuses.
pub fn enter_own(trees: &Trees, lab: &str, node: &str, owner: Option<u32>) -> Result<()> {
    let what = || format!("give the first process of {node} a cgroup (version 2) of its own");
    let Some(root) = &trees.unified else {
        return Err(super::Error::new(what(), nix::errno::Errno::EOPNOTSUPP));
    };
    let path = root.join(lab).join(own(node)).join(MACHINE);
    // What an earlier life left and cannot be removed by now is no harm.
    let _ = remove_tree(&path, &mut { AT_ONCE });
    fs::create_dir_all(&path).attempt(what)?;
    pass_controllers_on(&root.join(lab).join(own(node)));
    if owner.is_some() {
        let files = DELEGATED.iter().map(|name| path.join(name));
        for place in std::iter::once(path.clone()).chain(files) {
            std::os::unix::fs::chown(&place, owner, owner).attempt(what)?;
        }
    }
    fs::write(path.join("cgroup.procs"), "0").attempt(what)?;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP).attempt(what)
}

/// What a node may use.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Cores.
    pub cpu: Option<f64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Whether a host that cannot limit these is an error, and not only without that limit.
    pub must_limit_processes: bool,
}

/// The directory of a node: no file of the kernel's in a cgroup (`cgroup.procs`) is called like it.
fn own(node: &str) -> String {
    format!("node-{node}")
}

/// Makes `LAB/node-NODE` in the version 2 tree and opens it; `None` where there is no such tree or it is read-only.
///
/// # Errors
/// It is there but refuses.
pub fn make(trees: &Trees, lab: &str, node: &str) -> Result<Option<OwnedFd>> {
    let Some(root) = &trees.unified else {
        return Ok(None);
    };
    let path = root.join(lab).join(own(node));
    match fs::create_dir_all(&path) {
        Ok(()) => {}
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error).attempt(|| format!("make the cgroup of {node}")),
    }
    bound(&root.join(lab), DEEPEST + 1, usize::MAX);
    bound(&path, DEEPEST, MOST);
    File::open(&path)
        .map(|file| Some(file.into()))
        .attempt(|| format!("open the cgroup of {node}"))
}

/// Bounds the cgroups below one. That of a lab bounds the depth for nodes that could change their own bound.
fn bound(path: &Path, depth: usize, count: usize) {
    // Kernels before Linux 4.14 have no such bounds.
    let _ = fs::write(path.join("cgroup.max.depth"), depth.to_string());
    if count != usize::MAX {
        let _ = fs::write(path.join("cgroup.max.descendants"), count.to_string());
    }
}

/// Sets limits of `LAB/node-NODE`. In version 1 trees nobody is in it yet: see [`legacy_doors`].
///
/// # Errors
/// A controller is missing or refuses.
pub fn limit(trees: &Trees, lab: &str, node: &str, limits: Limits) -> Result<()> {
    if let Some(memory) = limits.memory {
        set(
            trees,
            lab,
            node,
            "memory",
            &[("memory.max", "memory.limit_in_bytes", memory.to_string())],
        )?;
    }
    if let Some(cores) = limits.cpu {
        // Limits are validated to be small positive numbers.
        let quota = (cores * PERIOD as f64) as u64;
        set(
            trees,
            lab,
            node,
            "cpu",
            &[("cpu.max", "cpu.cfs_quota_us", quota.to_string())],
        )?;
    }
    if let Some(processes) = limits.processes {
        let values = [("pids.max", "pids.max", processes.to_string())];
        let set = set(trees, lab, node, "pids", &values);
        if limits.must_limit_processes {
            set?;
        }
    }
    Ok(())
}

fn set(
    trees: &Trees,
    lab: &str,
    node: &str,
    controller: &str,
    values: &[(&str, &str, String)],
) -> Result<()> {
    let legacy = trees.legacy.iter().find(|(name, _)| *name == controller);
    let what = || format!("limit {controller} of {node}");
    if let Some((_, root)) = legacy {
        let path = root.join(lab).join(own(node));
        fs::create_dir_all(&path).attempt(what)?;
        for (_, file, value) in values {
            fs::write(path.join(file), value).attempt(what)?;
        }
        return Ok(());
    }
    let Some(root) = &trees.unified else {
        return Err(super::Error::new(what(), nix::errno::Errno::EOPNOTSUPP));
    };
    for parent in [root.clone(), root.join(lab)] {
        fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}")).attempt(what)?;
    }
    for (file, _, value) in values {
        fs::write(root.join(lab).join(own(node)).join(file), value).attempt(what)?;
    }
    Ok(())
}

/// The ways into the version 1 cgroups of `LAB/NODE`: there are some where the node has limits on such trees. Whoever
/// writes "0" to them is moved there (cgroups(7)).
pub fn legacy_doors(lab: &str, node: &str) -> Vec<File> {
    LEGACY
        .iter()
        .map(|controller| {
            Path::new(MOUNT)
                .join(controller)
                .join(lab)
                .join(own(node))
                .join("cgroup.procs")
        })
        .filter_map(|path| File::options().write(true).open(path).ok())
        .collect()
}

/// Removes a lab's cgroups from every tree. Processes that are just dying keep theirs for a moment: those
/// are tried again until the deadline.
///
/// # Errors
/// The first that stays.
pub fn remove(trees: &Trees, lab: &str, deadline: Instant) -> Result<()> {
    for root in trees.all() {
        let path = root.join(lab);
        let mut all = usize::MAX;
        while let Err(error) = remove_tree(&path, &mut all) {
            if error.kind() != ErrorKind::ResourceBusy || Instant::now() >= deadline {
                return Err(error).attempt(|| format!("remove the cgroup {}", path.display()));
            }
            // The kernel has no event for "the last process has left" that works in every tree.
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    Ok(())
}

/// Removes a directory and those below it, however deep: by descriptors, as no path may be that long. `budget` is how many may be
/// removed at most, for a caller who has other things to do: with more of them the tree is still busy, and smaller.
fn remove_tree(path: &Path, budget: &mut usize) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut here = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(here) => here,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    // The way down from the path to here.
    let mut names: Vec<CString> = Vec::new();
    loop {
        if let Some(name) = sweep(&here, budget)? {
            match rustix::fs::openat(&here, &name, flags, Mode::empty()) {
                Ok(below) => here = below,
                // It has gone meanwhile.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            }
            names.push(name);
        } else if let Some(name) = names.pop() {
            here = rustix::fs::openat(&here, c"..", flags, Mode::empty())?;
            if !remove_one(&here, &name, budget)? {
                return Err(Errno::BUSY.into());
            }
        } else {
            break;
        }
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes the directories in a directory; returns the name of the first that cannot be, as something is in it.
fn sweep(directory: &OwnedFd, budget: &mut usize) -> io::Result<Option<CString>> {
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_inside = name != c"." && name != c"..";
        if entry.file_type().is_dir() && is_inside && !remove_one(directory, name, budget)? {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

/// Removes an empty directory. Returns false where it is not empty, or has processes.
fn remove_one(directory: &OwnedFd, name: &CStr, budget: &mut usize) -> io::Result<bool> {
    *budget = budget.checked_sub(1).ok_or(Errno::BUSY)?;
    match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::BUSY | Errno::NOTEMPTY) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a directory in a directory, and so on.
    fn nest(top: &Path, depth: usize) {
        let mut here: OwnedFd = File::open(top).unwrap().into();
        for _ in 0..depth {
            rustix::fs::mkdirat(&here, c"deeper", Mode::RWXU).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            here = rustix::fs::openat(&here, c"deeper", flags, Mode::empty()).unwrap();
        }
    }

    #[test]
    fn trees_of_any_depth_and_width_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().join("top");
        fs::create_dir(&top).unwrap();
        nest(&top, 5000);
        for number in 0..500 {
            fs::create_dir_all(top.join(format!("wide{number}/below"))).unwrap();
        }
        remove_tree(&top, &mut 100_000).unwrap();
        assert!(!top.exists());
        // One that is not there is no error.
        remove_tree(&top, &mut 0).unwrap();
    }

    #[test]
    fn a_large_tree_goes_in_parts() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().join("top");
        fs::create_dir(&top).unwrap();
        nest(&top, 300);
        let mut parts = 1;
        while let Err(error) = remove_tree(&top, &mut 450) {
            assert_eq!(error.kind(), ErrorKind::ResourceBusy);
            parts += 1;
            assert!(parts < 10);
        }
        assert!(!top.exists() && parts > 1);
    }

    #[test]
    fn what_is_in_use_stays() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().join("top");
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::write(top.join("a/b/file"), "").unwrap();
        let error = remove_tree(&top, &mut 1000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
        assert!(top.join("a/b/file").exists());
    }
}
