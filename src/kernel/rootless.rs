//! Labs of users who are not root: a user namespace in which such a user is root, with a network namespace of its own
//! (user_namespaces(7), subuid(5), newuidmap(1)).

use std::ffi::CString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{User, getegid, geteuid};

use super::error::{Attempt, Error, Result};
use super::output;
use super::process::{self, Child};
use super::spawn::{self, Spawn};
use super::user_namespace::{self, Pair};

/// Fewer ids than this do not do: daemons run as users of their own, whose ids go up to 999 (adduser.conf(5)).
const LEAST: u32 = 1000;
/// How long newuidmap(1) may take: it may ask a directory service.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether this process has to go without what only root may do.
pub fn is_rootless() -> bool {
    !geteuid().is_root()
}

/// Ids outside a user namespace: how many there are, from which one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u32,
    count: u32,
}

/// Makes a user namespace in which this user is root and the ids from 1 on are those set aside for the user, and a network
/// namespace of its.
///
/// # Errors
/// No ids are set aside, newuidmap(1) is missing, or the kernel refuses. What to do about it is said.
pub fn begin() -> Result<Pair> {
    let user = geteuid().as_raw();
    let name = User::from_uid(geteuid()).ok().flatten().map(|user| user.name);
    let uids = range("/etc/subuid", name.as_deref(), user)?;
    let gids = range("/etc/subgid", name.as_deref(), user)?;
    user_namespace::create_mapped(|pid| {
        map("newuidmap", pid, user, uids)?;
        map("newgidmap", pid, getegid().as_raw(), gids)
    })
}

/// The largest range that a file sets aside for a user (subuid(5)).
fn range(file: &str, name: Option<&str>, user: u32) -> Result<Range> {
    let text = match fs::read(file) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).attempt(|| format!("read {file}")),
    };
    parse(&text, name, user).ok_or_else(|| {
        let name = name.map_or_else(|| user.to_string(), str::to_owned);
        let mut error = Error::new("make a lab without root", Errno::UnknownErrno);
        error.said = Some(format!(
            "{file} sets aside no ids for {name} (`usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}` does)"
        ));
        error
    })
}

fn parse(text: &str, name: Option<&str>, user: u32) -> Option<Range> {
    let number = user.to_string();
    let ranges = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (Some(owner) == name || owner == number).then_some(Range { first, count })
    });
    let largest = ranges.max_by_key(|range| range.count)?;
    (largest.count >= LEAST).then_some(Range {
        count: largest.count.min(user_namespace::SIZE - 1),
        ..largest
    })
}

/// Has a setuid program of the host's map the ids of a process's user namespace: it may, as the host's root has set them aside.
fn map(program: &str, pid: i32, own: u32, range: Range) -> Result<()> {
    let what = || "make a lab without root";
    let words = [pid as u32, 0, own, 1, 1, range.first, range.count].map(|word| word.to_string());
    let mut command = Command::new(program);
    let none: Option<&OwnedFd> = None;
    let done = output::run(command.args(words), Instant::now() + PATIENCE, none);
    let refused = |said: String| {
        let mut error = Error::new(what(), Errno::UnknownErrno);
        error.said = Some(said);
        Err(error)
    };
    match done {
        Err(error) if error.errno == Errno::ENOENT => {
            refused(format!("{program} is missing (`apt-get install uidmap`)"))
        }
        Err(error) => refused(format!("{program} cannot be run: {error}")),
        Ok(done) if done.status != Some(0) => {
            let said = String::from_utf8_lossy(&done.errors).trim().to_owned();
            refused(format!("{program} says: {said}"))
        }
        Ok(_) => Ok(()),
    }
}

/// What of the host's settings keeps users from making user namespaces: its name, and the value that lets them.
pub fn forbidden_by() -> Option<(&'static str, &'static str)> {
    let is = |path: &str, value: &str| {
        fs::read_to_string(format!("/proc/sys/{path}")).is_ok_and(|text| text.trim() == value)
    };
    if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        return Some(("kernel.apparmor_restrict_unprivileged_userns", "0"));
    }
    if is("kernel/unprivileged_userns_clone", "0") {
        return Some(("kernel.unprivileged_userns_clone", "1"));
    }
    is("user/max_user_namespaces", "0").then_some(("user.max_user_namespaces", "10000"))
}

/// Makes this (single-threaded) process root of a user namespace as labs of this user have, in the network that it is in.
///
/// # Errors
/// As [`begin`]; or the kernel refuses.
pub fn become_root() -> Result<()> {
    user_namespace::enter(&begin()?.users)
}

/// Makes this (single-threaded) process root of the user namespace, in its network.
///
/// # Errors
/// The kernel refuses.
pub fn enter(pair: &Pair) -> Result<()> {
    let what = || "enter the lab's user namespace";
    user_namespace::enter(&pair.users)?;
    setns(pair.network.as_fd(), CloneFlags::CLONE_NEWNET).attempt(what)?;
    let rest = CloneFlags::CLONE_NEWCGROUP | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
    unshare(rest).attempt(what)
}

/// Starts a process from within the user namespace. `start` has to make it a child of its caller's parent
/// (CLONE_PARENT, clone(2)): that is this (single-threaded) process, which stays where it is.
///
/// # Errors
/// The namespaces cannot be entered, or what `start` returns.
pub fn start(what: &str, pair: &Pair, start: impl FnOnce() -> Result<Child>) -> Result<Child> {
    let (mut told, mut tell) = io::pipe().attempt(|| what)?;
    let helper = process::fork(what, || {
        let started = enter(pair).and_then(|()| start());
        let (pid, errno) = match &started {
            Ok(child) => (child.pid, 0),
            Err(error) => (0, error.errno as i32),
        };
        let word = [pid.to_ne_bytes(), errno.to_ne_bytes()].concat();
        // Whoever waits hears of an end without a word, too.
        let _ = tell.write_all(&word);
        0
    })?;
    drop(tell);
    let (mut pid, mut errno) = ([0; 4], [0; 4]);
    let heard = told
        .read_exact(&mut pid)
        .and_then(|()| told.read_exact(&mut errno));
    process::wait(&helper);
    heard.attempt(|| what)?;
    match i32::from_ne_bytes(errno) {
        0 => {}
        errno => return Err(Error::new(what, Errno::from_raw(errno))),
    }
    // A child of this process, which alone can reap it: its PID is no other's.
    let pid = i32::from_ne_bytes(pid);
    Ok(Child {
        pid,
        pidfd: process::pidfd(pid)?,
    })
}

/// A program that is to run beside the first process of a user's lab: in its PID namespace and user namespace, but in the network of
/// this process.
pub struct Beside<'a> {
    /// For messages.
    pub what: &'a str,
    /// The lab's namespaces.
    pub pair: &'a Pair,
    /// The pidfd of the lab's first process.
    pub first: &'a OwnedFd,
    /// A file that becomes the lab's network namespace where the program is.
    pub place: &'a Path,
    /// What to execute, by its path, and its arguments.
    pub words: &'a [String],
    /// Its standard input.
    pub input: BorrowedFd<'a>,
    /// Its standard output and errors.
    pub output: BorrowedFd<'a>,
}

/// Starts it. It ends with the lab's first process, whose child it is not: the kernel gives it to a process outside of the lab.
///
/// # Errors
/// The kernel refuses.
pub fn beside(wanted: &Beside<'_>) -> Result<()> {
    let what = wanted.what;
    let words: Vec<CString> = wanted
        .words
        .iter()
        .filter_map(|word| CString::new(word.as_str()).ok())
        .collect();
    let [program, ..] = words.as_slice() else {
        return Err(Error::new(what, Errno::ENOENT));
    };
    let output = wanted.output.as_raw_fd();
    let spawn = Spawn {
        flags: CloneFlags::empty(),
        program,
        arguments: &words,
        environment: &[c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
        keep: &[],
        stdio: Some([wanted.input.as_raw_fd(), output, output]),
        parent_death: None,
        session: true,
    };
    let helper = process::fork(what, || {
        let begin = || {
            user_namespace::enter(&wanted.pair.users)?;
            setns(wanted.first, CloneFlags::CLONE_NEWPID).attempt(|| what)?;
            unshare(CloneFlags::CLONE_NEWNS).attempt(|| what)?;
            super::mount::name_namespace(&wanted.pair.network, wanted.place)?;
            spawn::spawn(what, &spawn)
        };
        begin().map_or_else(|error| error.errno as i32, |_| 0)
    })?;
    match process::wait(&helper) {
        0 => Ok(()),
        errno => Err(Error::new(what, Errno::from_raw(errno))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_range_of_the_user_is_taken() {
        let text = "root:1:5\nann:100000:65536\n# ann:1:99999\n1000:200000:100000\nbob:7:70000\nann:x:y\n";
        let range = |first, count| Some(Range { first, count });
        assert_eq!(parse(text, Some("ann"), 1000), range(200_000, 65_535));
        assert_eq!(parse(text, Some("ann"), 1), range(100_000, 65_535));
        assert_eq!(parse(text, None, 1000), range(200_000, 65_535));
        assert_eq!(parse(text, Some("root"), 0), None);
        assert_eq!(parse("", Some("ann"), 1000), None);
    }
}
