//! User namespaces: user ids that mean something else outside (user_namespaces(7)), and mounts that show files with such ids
//! (mount_setattr(2), MOUNT_ATTR_IDMAP).
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::fs::CWD;
use rustix::mount::OpenTreeFlags;

use super::error::{Attempt, Error, Result};
use super::process::{self, clone};

/// How many ids a namespace has: all that files usually have.
pub const SIZE: u32 = 65_536;

/// A user namespace, and a network namespace that it owns.
pub struct Pair {
    /// The users.
    pub users: OwnedFd,
    /// The network.
    pub network: OwnedFd,
}

/// Makes a user namespace whose ids from 0 on are those from `first` on outside, and a network namespace of its. This process
/// must have a single thread.
///
/// # Errors
/// Not permitted, or one of the kernel's limits is reached (user.max_user_namespaces).
pub fn create(first: u32) -> Result<Pair> {
    create_mapped(|pid| {
        map(
            pid,
            &format!("0 {first} {SIZE}\n"),
            &format!("0 {first} {SIZE}\n"),
        )
    })
}

/// Makes a user namespace, whose ids `map` sets for the process in it of this PID, and a network namespace of its. This process
/// must have a single thread.
///
/// # Errors
/// As [`create`], or what `map` returns.
pub fn create_mapped(map: impl FnOnce(i32) -> Result<()>) -> Result<Pair> {
    let what = || "create a user namespace";
    let (mut go, say_go) = io::pipe().attempt(what)?;
    let (mut done, say_done) = io::pipe().attempt(what)?;
    let Some(child) = clone(CloneFlags::CLONE_NEWUSER, None).attempt(what)? else {
        drop((say_go, done));
        live_in(&mut go, say_done);
        // SAFETY: ends the process without running the parent's exit handlers a second time.
        unsafe { libc::_exit(0) }
    };
    drop((go, say_done));
    let made = map(child.pid).and_then(|()| describe(child.pid, &say_go, &mut done));
    drop(say_go);
    process::wait(&child);
    made
}

/// In the child: makes the network once the ids are known, as its devices belong to the root that there is then; and keeps
/// both namespaces until nobody needs that any more.
fn live_in(go: &mut io::PipeReader, mut say_done: io::PipeWriter) {
    let mut word = [0];
    if go.read_exact(&mut word).is_ok() && nix::sched::unshare(CloneFlags::CLONE_NEWNET).is_ok() {
        let _ = say_done.write_all(&word);
        let _ = go.read(&mut word);
    }
}

/// Says which ids outside are those in the user namespace of a process.
fn map(pid: i32, uids: &str, gids: &str) -> Result<()> {
    for (file, map) in [("uid_map", uids), ("gid_map", gids)] {
        fs::write(format!("/proc/{pid}/{file}"), map).attempt(|| "set up a user namespace")?;
    }
    Ok(())
}

/// A map by which each id that this process's user namespace has is the same in a new one below it.
fn same(file: &str) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/self/{file}")).attempt(|| "set up a user namespace")?;
    let line = |line: &str| {
        let mut fields = line.split_whitespace();
        let (first, count) = (fields.next()?, fields.nth(1)?);
        Some(format!("{first} {first} {count}\n"))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// Whether this process is in a user namespace that does not have all ids: what belongs to the others shows as
/// [`OVERFLOW`]'s.
pub fn is_partial() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().ne(["0", "0", "4294967295"])
}

/// The id of whoever has none here (user_namespaces(7)).
pub const OVERFLOW: u32 = 65_534;

fn describe(pid: i32, mut say_go: &io::PipeWriter, done: &mut io::PipeReader) -> Result<Pair> {
    let what = || "set up a user namespace";
    say_go.write_all(&[0]).attempt(what)?;
    // Where the network cannot be made, the child ends without a word.
    done.read_exact(&mut [0])
        .map_err(|_| Error::new(what(), Errno::ENOSPC))?;
    let open = |kind: &str| File::open(format!("/proc/{pid}/ns/{kind}")).attempt(what);
    Ok(Pair {
        users: open("user")?.into(),
        network: open("net")?.into(),
    })
}

/// Makes a user namespace whose ids are those outside. Whoever is in it owns files as before, and has no capability over
/// anything that belongs to another user namespace: the host's network, its mounts, the machine. This process must have a single
/// thread.
///
/// # Errors
/// As [`create`].
pub fn alike() -> Result<OwnedFd> {
    let what = || "create a user namespace";
    let (mut hold, release) = io::pipe().attempt(what)?;
    let Some(child) = clone(CloneFlags::CLONE_NEWUSER, None).attempt(what)? else {
        drop(release);
        // The namespace is there for as long as this waits.
        let _ = hold.read(&mut [0]);
        // SAFETY: ends the process without running the parent's exit handlers a second time.
        unsafe { libc::_exit(0) }
    };
    let maps = same("uid_map").and_then(|uids| Ok((uids, same("gid_map")?)));
    let made = maps
        .and_then(|(uids, gids)| map(child.pid, &uids, &gids))
        .and_then(|()| {
            let users = File::open(format!("/proc/{}/ns/user", child.pid)).attempt(what)?;
            Ok(OwnedFd::from(users))
        });
    drop(release);
    process::wait(&child);
    made
}

/// Makes network namespaces that a user namespace owns. This process must have a single thread.
///
/// # Errors
/// One of the kernel's limits is reached.
pub fn networks(users: &OwnedFd, count: usize) -> Result<Vec<OwnedFd>> {
    let what = || "create network namespaces";
    let (mut hold, release) = io::pipe().attempt(what)?;
    let (mut told, mut tell) = io::pipe().attempt(what)?;
    let to_be_closed = release.as_raw_fd();
    let child = process::fork(what(), || {
        // Its copy of this end would keep the other from ever ending.
        process::close_now(to_be_closed);
        let made = join(users).and_then(|()| unshared(count));
        // An error number, or 0 and the descriptors' numbers.
        let words = match &made {
            Ok(made) => std::iter::once(0)
                .chain(made.iter().map(|fd| fd.as_raw_fd()))
                .collect(),
            Err(error) => vec![error.errno as i32],
        };
        let words: Vec<u8> = words.into_iter().flat_map(i32::to_ne_bytes).collect();
        if tell.write_all(&words).is_ok() {
            drop(tell);
            // They are there for as long as this waits.
            let _ = hold.read(&mut [0]);
        }
        0
    })?;
    let made = hear(&mut told, count).attempt(what).and_then(|numbers| {
        let open = |number| File::open(format!("/proc/{}/fd/{number}", child.pid)).attempt(what);
        numbers
            .into_iter()
            .map(|number| open(number).map(OwnedFd::from))
            .collect()
    });
    drop(release);
    process::wait(&child);
    made
}

/// The numbers that a child tells, or why there are none.
fn hear(told: &mut io::PipeReader, count: usize) -> io::Result<Vec<i32>> {
    let mut word = [0; size_of::<i32>()];
    told.read_exact(&mut word)?;
    match i32::from_ne_bytes(word) {
        0 => {}
        errno => return Err(io::Error::from_raw_os_error(errno)),
    }
    let number = |_| {
        told.read_exact(&mut word)?;
        Ok(i32::from_ne_bytes(word))
    };
    (0..count).map(number).collect()
}

/// Makes network namespaces on two threads, which halves the time.
fn unshared(count: usize) -> Result<Vec<OwnedFd>> {
    let some = |count: usize| -> Result<Vec<OwnedFd>> {
        let one = |_| {
            let what = || "create a network namespace";
            nix::sched::unshare(CloneFlags::CLONE_NEWNET).attempt(what)?;
            Ok(File::open("/proc/thread-self/ns/net").attempt(what)?.into())
        };
        (0..count).map(one).collect()
    };
    std::thread::scope(|scope| {
        let start = |count| std::thread::Builder::new().spawn_scoped(scope, move || some(count));
        let halves = [start(count / 2), start(count - count / 2)];
        let mut all = Vec::with_capacity(count);
        for half in halves {
            let half = half.attempt(|| "start a thread")?;
            let lost = |_| Err(Error::new("create network namespaces", Errno::ECANCELED));
            all.extend(half.join().unwrap_or_else(lost)?);
        }
        Ok(all)
    })
}

/// Makes this process root of a user namespace, with nothing of what it was outside.
///
/// # Errors
/// Not permitted, or this process has several threads.
pub fn enter(users: impl AsFd) -> Result<()> {
    join(users)?;
    become_root()
}

/// Puts this process into a user namespace, as nobody of its users: what it owned outside it still owns.
///
/// # Errors
/// As [`enter`].
pub fn join(users: impl AsFd) -> Result<()> {
    setns(users, CloneFlags::CLONE_NEWUSER).attempt(|| "enter the node's user namespace")
}

/// Makes this process root of the user namespace it is in.
///
/// # Errors
/// The namespace has no root.
pub fn become_root() -> Result<()> {
    let what = || "become root of the node's user namespace";
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    setgroups(&[]).attempt(what)?;
    setresgid(gid, gid, gid).attempt(what)?;
    setresuid(uid, uid, uid).attempt(what)
}

/// A copy of the mount at `source`, not yet anywhere, whose files have the ids that they have in a user namespace.
///
/// # Errors
/// The file system cannot do that (overlayfs, and others before Linux 6.x), or it is not permitted.
pub fn mapped_copy(source: &Path, users: impl AsFd) -> Result<OwnedFd> {
    let what = || format!("show {} in a user namespace", source.display());
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let copy = rustix::mount::open_tree(CWD, source, flags)
        .map_err(|errno| Error::new(what(), Errno::from_raw(errno.raw_os_error())))?;
    set_attributes(&copy, libc::MOUNT_ATTR_IDMAP, Some(users.as_fd())).attempt(what)?;
    Ok(copy)
}

/// Sets attributes of a mount by a descriptor of it (mount_setattr(2)).
pub(super) fn set_attributes(
    mount: &OwnedFd,
    set: u64,
    users: Option<BorrowedFd<'_>>,
) -> std::result::Result<(), Errno> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: users.map_or(0, |users| users.as_raw_fd() as u64),
    };
    // SAFETY: the kernel reads the attributes, which are alive here, and an empty path.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    Errno::result(done).map(drop)
}
