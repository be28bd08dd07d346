//! Starting a process inside the namespaces of another (setns(2), clone(2)).
//!
//! A process in those namespaces could look at one that has just come there (ptrace(2), proc(5)): through its root, its
//! descriptors or its memory it would reach the host. So whoever goes there joins every other namespace before it can be seen,
//! has given up what it does not need, and cannot be looked at.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};

use super::error::{Attempt, Error, Result};
use super::process::{self, Child, clone};
use super::title::Title;
use super::user_namespace;

/// Where a process is to be born.
pub struct Entrance<'a> {
    /// For messages, to be read after "cannot": `enter a`.
    pub what: &'a str,
    /// A process whose namespaces (but the user's) it gets.
    pub target: BorrowedFd<'a>,
    /// Its cgroup (version 2).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The `cgroup.procs` of its cgroups of version 1.
    pub cgroup_doors: &'a [File],
    /// The user namespace that its namespaces belong to, where this process is in another and is not root.
    pub owner: Option<BorrowedFd<'a>>,
    /// Its user namespace, where that is not the one its other namespaces belong to.
    pub users: Option<BorrowedFd<'a>>,
    /// Descriptors it keeps beside the standard ones.
    pub keep: &'a [RawFd],
}

/// What a helper says: the PID of the process it started as its parent sees it, or an error number.
type Word = [u8; 8];

impl Entrance<'_> {
    /// Starts a process that does `work` and ends with what that returns. It is a child of this (single-threaded) process,
    /// which stays where it is.
    ///
    /// # Errors
    /// The target has ended (ESRCH), or may not be joined from here.
    pub fn start(&self, work: impl FnOnce() -> i32) -> Result<Child> {
        let what = || self.what;
        let (mut told, tell) = io::pipe().attempt(what)?;
        // In the cgroup from its birth, as what it starts will be: from inside the node's cgroup namespace nobody may be moved
        // into it (nsdelegate, cgroups(7)).
        let helper = process::fork_in(self.what, self.cgroup, || self.help(tell, work))?;
        // The helper has its own copy of this end.
        let mut word: Word = [0; 8];
        let heard = told.read_exact(&mut word);
        process::wait(&helper);
        heard.attempt(what)?;
        let (pid, errno) = parse(word);
        match Errno::from_raw(errno) {
            _ if errno == 0 => {}
            errno => return Err(Error::new(self.what, errno)),
        }
        let pidfd = process::pidfd(pid)?;
        Ok(Child { pid, pidfd })
    }

    /// The helper's part: joins the namespaces, where only its next child is to be seen, and leaves that to its own parent.
    fn help(&self, mut tell: io::PipeWriter, work: impl FnOnce() -> i32) -> i32 {
        let started = self.join().and_then(|()| {
            clone(CloneFlags::CLONE_PARENT, None).map_err(|errno| Error::new(self.what, errno))
        });
        let word = match started {
            Ok(None) => {
                let status = self.settle(work);
                // SAFETY: ends the process; nothing that owns a closed descriptor is dropped.
                unsafe { libc::_exit(status) }
            }
            Ok(Some(child)) => compose(child.pid, 0),
            Err(error) => compose(0, error.errno as i32),
        };
        // Whoever started this one hears of an end without a word, too.
        let _ = tell.write_all(&word);
        0
    }

    /// Joins all namespaces, the last one for children only, hides from other processes, and wipes what they could read of
    /// the caller's words.
    ///
    /// # Errors
    /// As [`Entrance::start`].
    pub fn join(&self) -> Result<()> {
        // The command line has the caller's paths and variables in it, and everybody may read it.
        Title::find()?.set(&[]);
        for mut door in self.cgroup_doors {
            // The node may just be going; then so is this.
            let _ = door.write_all(b"0");
        }
        if let Some(owner) = self.owner {
            user_namespace::enter(owner)?;
        }
        let all = CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWCGROUP
            | CloneFlags::CLONE_NEWPID;
        setns(self.target, all).attempt(|| self.what)?;
        // Last: it takes away what the others ask for.
        if let Some(users) = self.users {
            user_namespace::join(users)?;
        }
        nix::sys::prctl::set_dumpable(false).attempt(|| "hide from others")?;
        forget_environment();
        Ok(())
    }

    /// Starts a child of this process, which has joined the namespaces and was born in the cgroup.
    ///
    /// # Errors
    /// The kernel refuses the clone.
    pub fn born(&self, work: impl FnOnce() -> i32) -> Result<Child> {
        match clone(CloneFlags::empty(), None).attempt(|| self.what)? {
            Some(child) => Ok(child),
            None => {
                let status = self.settle(work);
                // SAFETY: ends the process without running the parent's exit handlers a second time.
                unsafe { libc::_exit(status) }
            }
        }
    }
}

impl Entrance<'_> {
    /// What a process does that was just born in the node.
    fn settle(&self, work: impl FnOnce() -> i32) -> i32 {
        close_all_but(self.keep);
        // The first process there has the limits of all.
        process::limit_open_files_as(1);
        if self.users.is_some()
            && let Err(error) = user_namespace::become_root()
        {
            eprintln!("nslab: {error}");
            return super::spawn::early::NAMESPACE;
        }
        work()
    }
}

fn compose(pid: i32, errno: i32) -> Word {
    let mut word = [0; 8];
    word[..4].copy_from_slice(&pid.to_ne_bytes());
    word[4..].copy_from_slice(&errno.to_ne_bytes());
    word
}

fn parse(word: Word) -> (i32, i32) {
    let [a, b, c, d, e, f, g, h] = word;
    (i32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes([e, f, g, h]))
}

/// Closes all descriptors but the standard ones and these. What owns them in this copy of a process is used no more.
pub fn close_all_but(keep: &[RawFd]) {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    keep.sort_unstable();
    let mut first = 3u32;
    for end in keep.into_iter().chain([u32::MAX]) {
        if first < end {
            let last = if end == u32::MAX { end } else { end - 1 };
            close(first, last);
        }
        first = end.saturating_add(1).max(first);
    }
}

/// Closes all descriptors from one number to another.
fn close(first: u32, last: u32) {
    /// More than this no process has open where the kernel has no close_range(2) (before Linux 5.9).
    const MOST: u32 = 1 << 16;
    // SAFETY: plain numbers; whoever calls this uses none of them any more.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, last, 0) != 0 {
            for number in first..=last.min(MOST) {
                libc::close(number.cast_signed());
            }
        }
    }
}

/// Wipes the environment this process was started with, which others could read at /proc/PID/environ.
fn forget_environment() {
    unsafe extern "C" {
        static environ: *const *mut libc::c_char;
    }
    // SAFETY: called in a fork of a single-threaded process that reads no variable afterwards. The list ends with a null,
    // and each entry is a string that this process may write.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            libc::memset((*entry).cast(), 0, libc::strlen(*entry));
            entry = entry.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        assert_eq!(parse(compose(4_194_304, 3)), (4_194_304, 3));
    }
}
