//! Starting processes: those that execute a program, at a cost that does not grow with the process that starts them, and copies
//! of a process that was made for that (clone(2), vfork(2), close_range(2)).
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigSet, SigmaskHow};

use super::error::{Attempt, Error, Result};
use super::process::{Child, clone, close_on_exec, pointers, reset_signals};

/// The number of the first descriptor a started process is given.
pub const FIRST_SLOT: RawFd = 3;

/// How many it can be given.
const SLOTS: usize = 4;

/// The first number behind them.
const ABOVE_SLOTS: RawFd = FIRST_SLOT + SLOTS as RawFd;

/// The numbers under which a child finds what it is given, for its command line.
pub fn slots(count: usize) -> impl Iterator<Item = String> {
    (FIRST_SLOT..).take(count).map(|number| number.to_string())
}

/// A process to be started from this one.
pub struct Spawn<'a> {
    /// New namespaces.
    pub flags: CloneFlags,
    /// What to execute.
    pub program: &'a CStr,
    /// Its arguments, the name first.
    pub arguments: &'a [CString],
    /// Its environment.
    pub environment: &'a [CString],
    /// Descriptors it keeps: it finds them under the numbers from [`FIRST_SLOT`] on, in this order. All others are
    /// closed.
    pub keep: &'a [BorrowedFd<'a>],
    /// Its standard input, output and error; this process's own where none are given.
    pub stdio: Option<[RawFd; 3]>,
    /// The signal it gets when the thread that started it ends.
    pub parent_death: Option<libc::c_int>,
    /// Whether it leads a session of its own.
    pub session: bool,
}

/// Exit statuses of a child that failed before it could execute its program.
pub mod early {
    /// A namespace could not be entered.
    pub const NAMESPACE: i32 = 101;
    /// The program could not be executed.
    pub const EXECUTE: i32 = 103;
    /// A descriptor could not be passed on.
    pub const DESCRIPTOR: i32 = 104;
}

/// Starts a process. The child borrows this process's memory until it executes its program, as vfork(2) has it: the cost of a
/// copy would grow with every node.
///
/// # Errors
/// The kernel refuses the clone: not permitted, or a limit reached.
pub fn spawn(what: &str, spawn: &Spawn<'_>) -> Result<Child> {
    debug_assert!(spawn.keep.len() <= SLOTS);
    let arguments = pointers(spawn.arguments);
    let environment = pointers(spawn.environment);
    let mut birth = Birth {
        spawn,
        arguments: &arguments,
        environment: &environment,
    };
    // No handler of ours may run in the child, where it would act on our memory.
    let mut before = SigSet::empty();
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))
        .attempt(|| what)?;
    let born = vfork(spawn.flags, &mut birth).map_err(|errno| Error::new(what, errno));
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None).attempt(|| what)?;
    born
}

/// Copies this (single-threaded) process into a PID namespace of the copy's own and a cgroup (version 2), given as its
/// directory. The copy is a child of this process's parent; it does `work` and ends with what that returns.
///
/// # Errors
/// The kernel refuses the clone: not permitted, or a limit reached.
pub fn sibling(what: &str, cgroup: Option<BorrowedFd<'_>>, work: impl FnOnce() -> i32) -> Result<Child> {
    let flags = CloneFlags::CLONE_PARENT | CloneFlags::CLONE_NEWPID;
    match clone(flags, cgroup).map_err(|errno| Error::new(what, errno))? {
        Some(child) => Ok(child),
        None => {
            let status = work();
            // SAFETY: ends the process without running exit handlers that are another's.
            unsafe { libc::_exit(status) }
        }
    }
}

/// Puts a fresh process into mount, UTS and IPC namespaces of its own, perhaps a cgroup namespace that begins where it is, and
/// into a network namespace. It leads a session, and is killed when its parent ends.
///
/// # Errors
/// The kernel refuses.
pub fn settle(network: Option<impl AsFd>, own_cgroups: bool) -> Result<()> {
    super::process::die_with_parent(libc::SIGKILL);
    if let Some(network) = network {
        setns(network, CloneFlags::CLONE_NEWNET).attempt(|| "enter the node's network namespace")?;
    }
    let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
    flags.set(CloneFlags::CLONE_NEWCGROUP, own_cgroups);
    unshare(flags).attempt(|| "create the node's namespaces")?;
    nix::unistd::setsid().map(drop).attempt(|| "begin a session")
}

/// What a child needs on its way to its program.
struct Birth<'a> {
    spawn: &'a Spawn<'a>,
    arguments: &'a [*const libc::c_char],
    environment: &'a [*const libc::c_char],
}

/// Where a child begins, on a stack of its own.
extern "C" fn begin(birth: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `vfork` passes a `Birth` that lives in the suspended parent; the arrays in it end with a null.
    unsafe {
        let birth = &*birth.cast::<Birth<'_>>();
        become_program(birth)
    }
}

/// Clones a child that shares this process's memory; returns when the child has executed its program or ended.
fn vfork(flags: CloneFlags, birth: &mut Birth<'_>) -> std::result::Result<Child, Errno> {
    const STACK: usize = 64 * 1024;
    let mut stack = vec![0u128; STACK / size_of::<u128>()];
    let mut pidfd: RawFd = -1;
    let flags = flags.bits() | libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let birth: *mut Birth<'_> = birth;
    // SAFETY: the child runs `begin` on `stack`, of which nobody else knows, and never returns from it; this process is
    // suspended until the child has left its memory, so all that is borrowed outlives its use.
    let pid = unsafe {
        let top = stack.as_mut_ptr_range().end;
        libc::clone(begin, top.cast(), flags, birth.cast(), &raw mut pidfd)
    };
    drop(stack);
    Errno::result(pid)?;
    Ok(Child {
        pid,
        // SAFETY: the kernel made this descriptor for us just now.
        pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
    })
}

/// The child's way from clone to exec: nothing but async-signal-safe calls (signal-safety(7)).
///
/// # Safety
/// To be called in a fresh child only; `arguments` and `environment` must be null-ended arrays of C strings.
unsafe fn become_program(birth: &Birth<'_>) -> ! {
    let spawn = birth.spawn;
    // SAFETY: plain system calls on numbers and on memory that outlives them.
    unsafe {
        if let Some(signal) = spawn.parent_death {
            libc::prctl(libc::PR_SET_PDEATHSIG, signal);
        }
        if spawn.session {
            libc::setsid();
        }
        let end = FIRST_SLOT + spawn.keep.len() as RawFd;
        arrange(spawn);
        close_on_exec(end.unsigned_abs(), u32::MAX);
        for fd in FIRST_SLOT..end {
            if libc::fcntl(fd, libc::F_SETFD, 0) != 0 {
                libc::_exit(early::DESCRIPTOR);
            }
        }
        reset_signals();
        let (arguments, environment) = (birth.arguments.as_ptr(), birth.environment.as_ptr());
        libc::execve(spawn.program.as_ptr(), arguments, environment);
        libc::_exit(early::EXECUTE);
    }
}

/// Puts standard streams and kept descriptors where they belong, in a table that is the process's own. What is
/// kept may stand where something else belongs, so it moves out of the way first.
unsafe fn arrange(spawn: &Spawn<'_>) {
    let mut moved = [-1; SLOTS];
    // SAFETY: plain system calls on numbers.
    unsafe {
        for (fd, moved) in spawn.keep.iter().zip(&mut moved) {
            *moved = libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, ABOVE_SLOTS);
        }
        let stdio = spawn.stdio.into_iter().flatten().zip(0..);
        let kept = moved.into_iter().take(spawn.keep.len()).zip(FIRST_SLOT..);
        for (fd, number) in stdio.chain(kept) {
            if fd < 0 || libc::dup2(fd, number) < 0 {
                libc::_exit(early::DESCRIPTOR);
            }
        }
    }
}

/// Takes over a descriptor whose number was passed on the command line of a hidden verb.
///
/// # Errors
/// There is no such descriptor: the verb was called by hand.
pub fn inherited(number: RawFd) -> Result<OwnedFd> {
    let what = || format!("take over descriptor {number} (this verb is one that nslab runs itself under)");
    if number <= 2 {
        return Err(Error::new(what(), Errno::EBADF));
    }
    // SAFETY: fails on a number that is not open. Only the parent that passed it here knows the number, so nobody
    // else in this process owns it, and it can be closed once there is another for the same.
    let moved = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, ABOVE_SLOTS) };
    let moved = Errno::result(moved).attempt(what)?;
    // SAFETY: as above; `moved` was made just now.
    unsafe {
        libc::close(number);
        Ok(OwnedFd::from_raw_fd(moved))
    }
}
