//! What nodes' roots hold before anything runs in them: a base made once by the template, and what each node's init puts on top
//! in its own mount namespace.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{SFlag, makedev, mknod};

use super::directory::TESTS;
use super::mounts;
use super::protocol::{Common, Setup};
use super::veil;
use crate::engine::frr::front;
use crate::engine::{self, Engine as _};
use crate::failure::{Code, Failure};
use crate::kernel::confine::Machine;
use crate::kernel::error::{Attempt, Error};
use crate::kernel::file;
use crate::kernel::overlay::{Base, Confined, Confinement, make_like};
use crate::kernel::tree::Kind;
use crate::kernel::{cgroup, in_root, mount, process, user_namespace, users};
use crate::lab::model::{self, Content};
use crate::lab::own_directories::OWN;
use crate::lab::plan::Plan;
use crate::lab::rights::SHARED_SYSCTLS;
use crate::node_tools;

/// Where a machine has what is not of its distribution.
const LOCAL: &str = "/usr/local/bin";

/// Makes what the roots of all nodes have in common, in this process's mount namespace, of which every node's begins as a copy.
/// `program` is a mount of nslab's own program.
///
/// # Errors
/// The kernel refuses the tmpfs, or memory is short.
pub fn make_base(common: &Common, program: Option<&OwnedFd>) -> Result<Confinement, Failure> {
    let base = Base::begin(&common.base, &common.shown)?;
    for (path, mode) in OWN {
        base.empty_directory(Path::new(path), mode)?;
    }
    copy_log_directories(&base)?;
    base.write(Path::new("/etc/hosts"), &common.hosts)?;
    base.write(Path::new("/etc/resolv.conf"), &common.resolv_conf)?;
    crate::engine::frr::prepare_root(&base)?;
    put_program(&base.program(), program)?;
    name_program(&base)?;
    mounts::take_volumes(&base, &common.kept, common.volumes)?;
    if common.images {
        base.begin_images()?;
        base.write_for_images(Path::new("/etc/hosts"), &common.hosts)?;
        base.write_for_images(Path::new("/etc/resolv.conf"), &common.resolv_conf)?;
        base.write_for_images(Path::new(engine::ITSELF), "")?;
    }
    let hidden = veil::draw(&base, &own_directories(common))?;
    if user_namespace::is_partial() {
        base.take_over(&hidden)?;
        make_ways(&base, &common.given)?;
    }
    base.complete()?;
    Ok(Confinement {
        machine: Machine::find(&SHARED_SYSCTLS)?,
        hidden,
    })
}

/// Makes the directories that lead to what nodes are given. Most of the host's are not theirs to write in, where the host's root is
/// nobody of theirs.
fn make_ways(base: &Base, given: &[PathBuf]) -> Result<(), Failure> {
    let own = Path::new(crate::engine::ITSELF);
    for path in given.iter().map(PathBuf::as_path).chain([own]) {
        base.place(&real(path))?;
    }
    Ok(())
}

/// What nodes are given, by the paths it has in them.
pub fn given(plan: &Plan) -> Vec<PathBuf> {
    let files = plan.nodes.iter().flat_map(|node| &node.files);
    let binds = plan.nodes.iter().flat_map(|node| &node.binds);
    let mounts = plan.nodes.iter().flat_map(|node| &node.mounts);
    let paths = files
        .map(|file| &file.path)
        .chain(binds.map(|bind| &bind.target))
        .chain(mounts.map(|mount| &mount.target));
    let links = plan
        .nodes
        .iter()
        .filter_map(|node| Some(node.engine?.links(node)));
    let links = links.flatten().map(|(path, _)| path);
    let fronts = plan.nodes.iter().flat_map(front::paths);
    paths
        .map(String::as_str)
        .chain(links)
        .map(PathBuf::from)
        .chain(fronts.map(PathBuf::from))
        .collect()
}

/// A path without symbolic links on the way, as far as there is one on the host: `/bin` is `/usr/bin` on most.
fn real(path: &Path) -> PathBuf {
    let known = path.ancestors().skip(1).find_map(|above| {
        let real = fs::canonicalize(above).ok()?;
        Some(real.join(path.strip_prefix(above).ok()?))
    });
    known.unwrap_or_else(|| path.to_owned())
}

/// What of the host's files is nslab's.
fn own_directories(common: &Common) -> Vec<PathBuf> {
    let hidden = common.hidden.iter();
    let hidden = hidden.filter_map(|path| fs::canonicalize(path).ok());
    let is_small = |path: &PathBuf| path.components().count() > 1;
    std::iter::once(run_directory(&common.base))
        .chain(hidden.filter(is_small))
        .collect()
}

/// The run directory that the base of a lab's roots is in.
fn run_directory(base: &Path) -> PathBuf {
    let path = base.ancestors().nth(2).unwrap_or(base);
    // A test's is in another.
    let outer = path
        .ancestors()
        .nth(2)
        .filter(|outer| path.starts_with(outer.join(TESTS)));
    let path = outer.unwrap_or(path);
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Nodes have nslab's program from here: as a mount of its file, or a copy of it where that has lost its path.
fn put_program(place: &Path, program: Option<&OwnedFd>) -> Result<(), Failure> {
    let what = || format!("make {}", place.display());
    let Some(program) = program else {
        fs::copy("/proc/self/exe", place).attempt(what)?;
        return Ok(());
    };
    fs::write(place, "").attempt(what)?;
    Ok(mount::attach(program, place, true)?)
}

/// Copies the program where its file has lost its path since, as an upgrade's replacing it does: a mount of such a file cannot be
/// put anywhere. In the mount namespace of the template.
///
/// # Errors
/// The kernel refuses, or memory is short.
pub fn keep_program(common: &Common) -> Result<(), Failure> {
    let place = Base::of(&common.base, &common.shown).program();
    let what = || format!("make {}", place.display());
    if !mount::is_unlinked(&place)? {
        return Ok(());
    }
    // What could not be copied whole is not found as the program.
    let copy = place.with_extension("new");
    let copied = fs::copy("/proc/self/exe", &copy);
    if copied.is_err() {
        let _ = fs::remove_file(&copy);
    }
    copied.attempt(what)?;
    mount::detach(&place)?;
    Ok(fs::rename(&copy, &place).attempt(what)?)
}

/// Nodes find the program by its name on PATH, and by those of programs that the host lacks.
fn name_program(base: &Base) -> Result<(), Failure> {
    let itself = Path::new(engine::ITSELF);
    base.write(&real(itself), "")?;
    let has = |name: &&str| {
        engine::PATH
            .split(':')
            .any(|directory| Path::new(directory).join(name).exists())
    };
    let missing = node_tools::PINGS.into_iter().filter(|name| !has(name));
    for name in ["nslab"].into_iter().chain(missing) {
        let place = base.place(&real(&Path::new(LOCAL).join(name)))?;
        symlink(itself, &place).attempt(|| format!("make {LOCAL}/{name}"))?;
    }
    Ok(())
}

/// Builds the node's root, enters it, and writes the lab file's files into it.
///
/// # Errors
/// The kernel refuses a mount, or a file of the lab cannot be copied.
pub fn build(
    common: &Common,
    confinement: &Confinement,
    setup: &Setup,
    users: Option<&OwnedFd>,
) -> Result<(), Failure> {
    // The users of the lab's are those of the host.
    let users = users.filter(|_| setup.rights.first_id.is_some());
    let base = Base::of(&common.base, &common.shown);
    // Sources are opened while the host's root is still in sight, and used when it no longer is.
    let sources = setup
        .files
        .iter()
        .map(Source::open)
        .collect::<Result<Vec<_>, _>>()?;
    let mounts = mounts::take(setup, &base, users)?;
    let program = mount::detached_copy(&base.program())?;
    let confined = Confined {
        usual: confinement,
        own_network: setup.own_network,
    };
    let confined = (!setup.rights.privileged).then_some(confined);
    let users_and_first = users.zip(setup.rights.first_id);
    let disk = setup.limits.disk;
    match &setup.image {
        None => base.enter(
            &common.scratch,
            &setup.hostname,
            confined,
            &setup.rights.show_host,
            users_and_first,
            disk,
        )?,
        Some(layers) => base.enter_image(
            &common.scratch,
            layers,
            &setup.hostname,
            confined,
            users_and_first,
            disk,
        )?,
    }
    if setup.rules_cgroups {
        mount::virtual_fs("cgroup2", Path::new(cgroup::MOUNT), mount::INERT, "")?;
    }
    attach(Path::new(engine::ITSELF), &program)?;
    match users {
        None => fill(setup, sources)?,
        Some(users) => as_root_of(users, || fill(setup, sources))?,
    }
    mounts::attach(setup, mounts, users)
}

/// Writes what the lab file and the engine put into the root.
fn fill(setup: &Setup, sources: Vec<Source<'_>>) -> Result<(), Failure> {
    for (path, target) in &setup.links {
        link(Path::new(path), target).attempt(|| format!("write {path} into the node"))?;
    }
    for (file, source) in setup.files.iter().zip(sources) {
        put(file, source)?;
    }
    Ok(())
}

/// Does something as the root of a user namespace, whose the files are that it makes.
pub(super) fn as_root_of(users: &OwnedFd, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let (mut said, mut say) = io::pipe().attempt(|| "make a pipe")?;
    let child = process::fork("write the node's files", move || {
        let done = user_namespace::enter(users)
            .map_err(Failure::from)
            .and_then(|()| work());
        let Err(failure) = done else { return 0 };
        // Without a word its status tells.
        let _ = serde_json::to_writer(&mut say, &failure);
        1
    })?;
    let mut words = String::new();
    let _ = said.read_to_string(&mut words);
    match process::wait(&child) {
        0 => Ok(()),
        _ => Err(serde_json::from_str(&words)
            .unwrap_or_else(|_| Failure::host("the node's files could not be written"))),
    }
}

/// Refuses a path that leads out of the node: through a link of /proc to what this process has open, which is the host's.
fn stay_in_the_node(path: &Path) -> Result<(), Failure> {
    let there = path.ancestors().find(|it| fs::symlink_metadata(it).is_ok());
    let Some(there) = there else { return Ok(()) };
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let how = rustix::fs::ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(rustix::fs::CWD, there, flags, rustix::fs::Mode::empty(), how) {
        Err(rustix::io::Errno::LOOP) => Err(out_of_the_node(path)),
        // A link that leads nowhere is replaced by what is put there.
        _ => Ok(()),
    }
}

fn out_of_the_node(path: &Path) -> Failure {
    let message = format!(
        "{} is one of /proc's own links, or leads through one",
        path.display()
    );
    Failure::wrong(message).help("name a path of the node's files")
}

/// Makes a symbolic link in the place of whatever the host has there.
fn link(path: &Path, target: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    symlink(target, path)
}

/// Daemons expect their directory below /var/log; what is in the host's is nobody's business.
fn copy_log_directories(root: &Base) -> Result<(), Failure> {
    for entry in fs::read_dir("/var/log").into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            make_like(&entry.path(), &root.place(&entry.path())?)?;
        }
    }
    Ok(())
}

/// The content of a file to be put into the node.
enum Source<'a> {
    Text(&'a str),
    Host(OwnedFd),
}

impl Source<'_> {
    fn open(file: &model::File) -> Result<Source<'_>, Failure> {
        Ok(match &file.content {
            Content::Text(text) => Source::Text(text),
            Content::From(path) => Source::Host(open(path).attempt(|| format!("open {}", path.display()))?),
        })
    }
}

/// Opens what is copied. It was looked at when the lab file was read; something else may stand there by now.
fn open(path: &Path) -> io::Result<OwnedFd> {
    let file = file::open(path)?;
    match file::kind(&file.metadata()?) {
        Kind::File | Kind::Directory => Ok(file.into()),
        other => Err(io::Error::other(format!("it is {}", other.words()))),
    }
}

fn put(file: &model::File, source: Source<'_>) -> Result<(), Failure> {
    let target = Path::new(&file.path);
    stay_in_the_node(target)?;
    let what = || format!("write {} into the node", file.path);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).attempt(what)?;
    }
    match source {
        Source::Text(text) => write(target, text.as_bytes(), 0o644)
            .attempt(what)
            .map_err(full)?,
        Source::Host(fd) => {
            let path = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
            copy(&path, target).attempt(what).map_err(full)?;
        }
    }
    if let Some(mode) = file.mode {
        fs::set_permissions(target, Permissions::from_mode(mode)).attempt(what)?;
    }
    if let Some(owner) = &file.owner {
        let (user, group) = owner_numbers(owner)?;
        chown_all(target, user, group).attempt(what)?;
    }
    Ok(())
}

/// Says what to do where it was the space that ran out.
fn full(error: Error) -> Failure {
    let is_full = error.errno == Errno::ENOSPC;
    let failure = Failure::from(error);
    if is_full {
        return failure
            .help("its disk is full: `limits = { disk = \"4G\" }` in the lab file makes it larger");
    }
    failure
}

fn write(target: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    io::Write::write_all(&mut create(target, mode)?, bytes)
}

fn create(target: &Path, mode: u32) -> io::Result<File> {
    // A symbolic link there (resolv.conf is often one) is replaced, not followed; nor is a FIFO waited for.
    let is_other = |metadata: fs::Metadata| !metadata.is_file() && !metadata.is_dir();
    if fs::symlink_metadata(target).is_ok_and(is_other) {
        fs::remove_file(target)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    match options.open(target) {
        // The file of somebody who is nobody here.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::remove_file(target)?;
            options.open(target)
        }
        other => other,
    }
}

/// Copies a file, or a directory with all it holds: modes, owners, links and device numbers as they are.
fn copy(source: &Path, target: &Path) -> io::Result<()> {
    // The root may be an image's, with links of its own on the way.
    stay_in_the_node(target).map_err(|failure| io::Error::other(failure.message))?;
    let metadata = fs::metadata(source)?;
    if metadata.is_dir() {
        fs::create_dir_all(target)?;
        fs::set_permissions(target, Permissions::from_mode(metadata.mode() & 0o7777))?;
        for entry in fs::read_dir(source)? {
            let entry = entry?;
            let to = target.join(entry.file_name());
            copy_entry(&entry, &to)?;
        }
        return Ok(());
    }
    let mut from = File::from(open(source)?);
    io::copy(&mut from, &mut create(target, metadata.mode() & 0o7777)?)?;
    fs::set_permissions(target, Permissions::from_mode(metadata.mode() & 0o7777))
}

/// Copies what stands in a directory, a symbolic link as such.
fn copy_entry(entry: &fs::DirEntry, to: &Path) -> io::Result<()> {
    let kind = entry.file_type()?;
    if kind.is_symlink() {
        let _ = fs::remove_file(to);
        symlink(fs::read_link(entry.path())?, to)
    } else if kind.is_dir() || kind.is_file() {
        copy(&entry.path(), to)
    } else {
        special(&entry.metadata()?, to)
    }
}

fn special(metadata: &fs::Metadata, target: &Path) -> io::Result<()> {
    let kind = SFlag::from_bits_truncate(metadata.mode());
    let mode = nix::sys::stat::Mode::from_bits_truncate(metadata.mode());
    let number = makedev(metadata.rdev() >> 8, metadata.rdev() & 0xff);
    mknod(target, kind, mode, number).map_err(io::Error::from)
}

fn chown_all(path: &Path, user: Option<u32>, group: Option<u32>) -> io::Result<()> {
    lchown(path, user, group)?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            chown_all(&entry?.path(), user, group)?;
        }
    }
    Ok(())
}

/// `user`, `user:group` or `:group`, as chown(1) takes it.
fn owner_numbers(owner: &str) -> Result<(Option<u32>, Option<u32>), Failure> {
    let unknown = |what: &str, name: &str| {
        Failure::new(Code::Wrong, format!("the node has no {what} {name:?}"))
            .help(format!("a {what} the host has, or a number"))
    };
    let (user, group) = owner
        .split_once(':')
        .map_or((owner, None), |(user, group)| (user, Some(group)));
    let root = Path::new("/");
    let user = match user {
        "" => None,
        name => Some(users::user(root, name).ok_or_else(|| unknown("user", name))?.uid),
    };
    let group = match group {
        None | Some("") => None,
        Some(name) => Some(users::group(root, name).ok_or_else(|| unknown("group", name))?),
    };
    Ok((user, group))
}

/// Puts nslab's own program into the node.
fn attach(target: &Path, program: &OwnedFd) -> Result<(), Failure> {
    let place = place(target, false)?;
    Ok(mount::attach_at(program, &place, true, target)?)
}

/// A place in the node, made where there is none; see [`in_root::place`].
///
/// # Errors
/// The path leads out of the node, or the kernel refuses.
pub(super) fn place(target: &Path, directory: bool) -> Result<OwnedFd, Failure> {
    in_root::place(target, directory).map_err(|error| match error.errno {
        Errno::ELOOP => out_of_the_node(target),
        _ => error.into(),
    })
}
