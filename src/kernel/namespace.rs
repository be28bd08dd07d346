//! Network namespaces, held as descriptors (namespaces(7), network_namespaces(7)).
#![allow(unsafe_code)]

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::thread;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};

use super::error::{Attempt, Error, Result};
use super::netlink::Netlink;
use super::sysctl::Sysctls;

/// A network namespace. It lives as long as its descriptor, the socket in it, or a process inside.
pub struct Namespace {
    fd: OwnedFd,
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A descriptor of a namespace; entering it fails where it is of something else.
impl From<OwnedFd> for Namespace {
    fn from(fd: OwnedFd) -> Self {
        Namespace { fd }
    }
}

/// How many namespaces' sysctls are set through one /proc before a fresh one is taken.
const A_PROC: usize = 32;

/// A namespace to be made.
pub struct Wanted<'a> {
    /// The node's name, for messages.
    pub name: &'a str,
    /// Sysctls set at once, in order: path below /proc/sys, value.
    pub sysctls: &'a [(String, String)],
    /// One that is there already, to be set up.
    pub made: Option<BorrowedFd<'a>>,
}

/// A namespace just made, with a socket open in it. Drop the socket when all is set up: it keeps the
/// namespace alive as well.
pub struct Made {
    /// The namespace.
    pub namespace: Namespace,
    /// A netlink socket inside it.
    pub netlink: Netlink,
}

/// Makes namespaces in worker threads that end before this returns. Two threads halve the time; more gain
/// nothing, as the kernel serializes the rest.
///
/// # Errors
/// The first refusal: not permitted, or one of the kernel's limits reached.
pub fn create(wanted: &[Wanted<'_>]) -> Result<Vec<Made>> {
    const WORTH_A_THREAD: usize = 16;
    if wanted.len() < WORTH_A_THREAD {
        return thread::scope(|scope| join(start(scope, || create_here(wanted))?));
    }
    let (left, right) = wanted.split_at(wanted.len() / 2);
    thread::scope(|scope| {
        let left = start(scope, || create_here(left))?;
        let right = start(scope, || create_here(right))?;
        let (left, right) = (join(left), join(right));
        let mut made = left?;
        made.extend(right?);
        Ok(made)
    })
}

/// Starts a thread; where that many are not allowed, this is no reason to panic.
fn start<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    work: impl FnOnce() -> Result<T> + Send + 'scope,
) -> Result<thread::ScopedJoinHandle<'scope, Result<T>>> {
    thread::Builder::new()
        .spawn_scoped(scope, work)
        .attempt(|| "start a thread")
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|_| Err(Error::new("make namespaces", Errno::ECANCELED)))
}

/// Fewer than this are set without a look at what they begin with.
const WORTH_A_LOOK: usize = 4;

/// Leaves the calling thread in another namespace: for threads that end afterwards.
fn create_here(wanted: &[Wanted<'_>]) -> Result<Vec<Made>> {
    let home = Namespace::current()?;
    let mut made = Vec::with_capacity(wanted.len());
    for wanted in wanted.chunks(A_PROC) {
        let sysctls = Sysctls::fresh()?;
        home.enter()?;
        let paths: BTreeSet<&str> = wanted.iter().flat_map(Wanted::paths).collect();
        let values = || -> Vec<_> { paths.iter().map(|path| sysctls.read(path)).collect() };
        let before = (wanted.len() >= WORTH_A_LOOK).then(&values);
        let first = made.len();
        // What namespaces begin with.
        let mut fresh = HashMap::new();
        for wanted in wanted {
            made.push(wanted.create()?);
            let fresh = before.is_some().then_some(&mut fresh);
            set(&sysctls, wanted, fresh)?;
        }
        if before.is_none() {
            continue;
        }
        home.enter()?;
        // Some of that is the host's. Where it has just changed there, they may have begun with either.
        if before != Some(values()) {
            for (wanted, made) in wanted.iter().zip(&made[first..]) {
                made.namespace.enter()?;
                set(&sysctls, wanted, None)?;
            }
        }
    }
    Ok(made)
}

impl Wanted<'_> {
    fn paths(&self) -> impl Iterator<Item = &str> {
        self.sysctls.iter().map(|(path, _)| path.as_str())
    }

    /// Makes the namespace, or takes the one that was made, and leaves the calling thread in it.
    fn create(&self) -> Result<Made> {
        let what = || format!("create the network namespace of {}", self.name);
        match self.made {
            Some(made) => setns(made, CloneFlags::CLONE_NEWNET).attempt(what)?,
            None => unshare(CloneFlags::CLONE_NEWNET).attempt(what)?,
        }
        Ok(Made {
            namespace: Namespace {
                fd: File::open("/proc/thread-self/ns/net").attempt(what)?.into(),
            },
            netlink: Netlink::open()?,
        })
    }
}

/// Sets the sysctls of a new namespace, but for those that it begins with, if there are some of which that is known: setting them
/// is dearer than all else that is set up in it.
fn set<'a>(
    sysctls: &Sysctls,
    wanted: &Wanted<'a>,
    fresh: Option<&mut HashMap<&'a str, Option<String>>>,
) -> Result<()> {
    let mut fresh = fresh;
    for (path, value) in wanted.sysctls {
        // One that is set may change others.
        if let Some(known) = &mut fresh {
            let begins = known.entry(path).or_insert_with(|| sysctls.read(path));
            if begins.as_ref() == Some(value) {
                continue;
            }
        }
        sysctls
            .write(path, value)
            .map_err(|error| on(wanted.name, error))?;
        fresh = None;
    }
    Ok(())
}

fn on(node: &str, mut error: Error) -> Error {
    error.what = format!("{} on {node}", error.what);
    error
}

/// Runs `work` with each value inside of its namespace, one after the other, on a thread that ends before this returns: to start one
/// for each would cost as much as the work.
///
/// # Errors
/// No thread can be started, or a namespace cannot be entered.
pub fn in_each<W: Send, T: Send>(jobs: Vec<(&Namespace, W)>, work: impl Fn(W) -> T + Send) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let all = move || -> Result<Vec<T>> {
            let each = |(namespace, value): (&Namespace, W)| {
                namespace.enter()?;
                Ok(work(value))
            };
            jobs.into_iter().map(each).collect()
        };
        join(start(scope, all)?)
    })
}

impl Namespace {
    /// The namespace the calling thread is in.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub fn current() -> Result<Self> {
        let fd = File::open("/proc/thread-self/ns/net").attempt(|| "open this network namespace")?;
        Ok(Namespace { fd: fd.into() })
    }

    /// Puts the calling thread into it: for threads that make sockets there, and that are of no use elsewhere.
    ///
    /// # Errors
    /// It is no network namespace, or the caller may not.
    pub fn enter(&self) -> Result<()> {
        setns(&self.fd, CloneFlags::CLONE_NEWNET).attempt(|| "enter a network namespace")
    }

    /// A number that the calling thread's namespace alone has had since the machine was started (SO_NETNS_COOKIE,
    /// Linux 5.14; its inode's number before that).
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn cookie() -> Result<u64> {
        let what = || "identify this network namespace";
        let socket = UnixDatagram::unbound().attempt(what)?;
        let mut cookie = 0u64;
        let mut length = size_of::<u64>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to `cookie`, both of which outlive the call.
        let done = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_NETNS_COOKIE,
                (&raw mut cookie).cast(),
                &raw mut length,
            )
        };
        if Errno::result(done).is_ok() {
            return Ok(cookie);
        }
        let inode = std::fs::metadata("/proc/thread-self/ns/net").attempt(what)?.ino();
        Ok(inode)
    }

    /// The namespace a path leads to: `/proc/PID/ns/net`, or a descriptor below `/proc/PID/fd`.
    ///
    /// # Errors
    /// There is none, or the caller may not.
    pub fn at(path: &std::path::Path) -> Result<Self> {
        let fd = File::open(path).attempt(|| format!("open the network namespace {}", path.display()))?;
        Ok(Namespace { fd: fd.into() })
    }

    /// Runs `work` on a thread inside the namespace, which ends before this returns.
    ///
    /// # Errors
    /// The namespace cannot be entered, or what `work` returned.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let work = || {
                self.enter()?;
                work()
            };
            join(start(scope, work)?)
        })
    }

    /// A netlink socket inside the namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered, or no descriptors are left.
    pub fn netlink(&self) -> Result<Netlink> {
        self.run(Netlink::open)
    }
}
