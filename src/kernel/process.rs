//! Processes: forks, pidfds, signals, limits, exit statuses (clone(2), pidfd_open(2)). Starting programs in new
//! namespaces is `spawn`'s.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, kill, raise, sigaction};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::capability::Capabilities;
use super::error::{Attempt, Error, Result};

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A started process.
pub struct Child {
    /// Its PID as seen from here.
    pub pid: i32,
    /// A descriptor that means this very process, and becomes readable when it ends.
    pub pidfd: OwnedFd,
}

fn clone_arguments(flags: CloneFlags, cgroup: Option<BorrowedFd<'_>>, pidfd: &mut RawFd) -> libc::clone_args {
    // SAFETY: clone_args is plain numbers, for which zero means "not asked for".
    let mut arguments: libc::clone_args = unsafe { mem::zeroed() };
    // The flags are a C int; its bits, not its value, are meant.
    arguments.flags = u64::from(flags.bits() as u32) | CLONE_PIDFD;
    arguments.pidfd = std::ptr::from_mut(pidfd) as u64;
    // A child left to this process's parent tells that one as this one would.
    if !flags.contains(CloneFlags::CLONE_PARENT) {
        arguments.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    arguments
}

/// Forks, with new namespaces or as the flags say; `None` in the child.
pub(super) fn clone(
    flags: CloneFlags,
    cgroup: Option<BorrowedFd<'_>>,
) -> std::result::Result<Option<Child>, Errno> {
    let mut pidfd: RawFd = -1;
    let arguments = clone_arguments(flags, cgroup, &mut pidfd);
    // SAFETY: no stack and no CLONE_VM: this is a fork. The kernel reads `arguments` and writes `pidfd`, both alive here.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            mem::size_of_val(&arguments),
        )
    };
    match pid {
        -1 => Err(Errno::last()),
        0 => Ok(None),
        // SAFETY: the kernel made this descriptor for us just now.
        pid => Ok(Some(Child {
            pid: pid as i32,
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        })),
    }
}

pub(super) fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

/// Marks all descriptors of a range to be closed at exec: those that our own caller left open are not marked, and
/// whoever waits for their end must not wait for a lab. Kernels older than 5.11 leave them open.
///
/// # Safety
/// Nothing in this process uses a descriptor of the range after an exec.
pub(super) unsafe fn close_on_exec(first: u32, last: u32) {
    // SAFETY: plain numbers.
    unsafe {
        libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC);
    }
}

/// In a forked process: closes all descriptors but the standard ones and this one, and ignores what would end
/// it (the handlers would write to descriptors closed here).
pub fn keep_only(descriptor: &OwnedFd) {
    let keep = descriptor.as_raw_fd().unsigned_abs();
    // SAFETY: plain system calls. What owns the closed descriptors in this copy of a process is used no more.
    unsafe {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            libc::signal(signal, libc::SIG_IGN);
        }
        for (first, last) in [(3, keep.saturating_sub(1)), (keep.saturating_add(1), u32::MAX)] {
            if first <= last {
                libc::syscall(libc::SYS_close_range, first, last, 0);
            }
        }
    }
}

/// Rust ignores SIGPIPE and runtimes block signals; a new program starts with a clean slate. No signal is let through before its
/// handler is gone: in a child that shares its parent's memory that would act on the parent.
///
/// # Safety
/// The caller is a process of its own that executes another program next.
pub(super) unsafe fn reset_signals() {
    // SAFETY: plain system calls; `set` is initialized by sigemptyset.
    unsafe {
        for signal in [
            libc::SIGPIPE,
            libc::SIGINT,
            libc::SIGQUIT,
            libc::SIGTERM,
            libc::SIGTSTP,
            libc::SIGTTIN,
            libc::SIGTTOU,
            libc::SIGHUP,
            libc::SIGUSR1,
            libc::SIGUSR2,
            libc::SIGCHLD,
        ] {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// Forks this (single-threaded) process; runs `child` in the copy and ends it with what that returns.
///
/// # Errors
/// The kernel refuses the fork.
pub fn fork(what: &str, child: impl FnOnce() -> i32) -> Result<Child> {
    fork_in(what, None, child)
}

/// The same into a cgroup (version 2), given as its directory.
///
/// # Errors
/// The kernel refuses the fork, or the process in that cgroup.
pub fn fork_in(what: &str, cgroup: Option<BorrowedFd<'_>>, child: impl FnOnce() -> i32) -> Result<Child> {
    let refused = |errno| match errno {
        Errno::EAGAIN => Error::new(format!("start a process to {what}"), errno),
        errno => Error::new(what, errno),
    };
    match clone(CloneFlags::empty(), cgroup).map_err(refused)? {
        Some(child) => Ok(child),
        None => {
            let status = child();
            // SAFETY: ends the process without running the parent's exit handlers a second time.
            unsafe { libc::_exit(status) }
        }
    }
}

/// Waits until a child has ended, and returns its status as a shell gives it.
pub fn wait(child: &Child) -> i32 {
    loop {
        match waitpid(nix::unistd::Pid::from_raw(child.pid), None) {
            Err(Errno::EINTR) => {}
            Ok(status) => return exit_code(status),
            Err(_) => return 1,
        }
    }
}

/// A pidfd for a process by its PID.
///
/// # Errors
/// There is no such process.
pub fn pidfd(pid: i32) -> Result<OwnedFd> {
    let what = || format!("open process {pid}");
    let pid = rustix::process::Pid::from_raw(pid).ok_or_else(|| Error::new(what(), Errno::ESRCH))?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
        .map_err(|errno| Error::new(what(), Errno::from_raw(errno.raw_os_error())))
}

/// Sends a signal to everybody in this PID namespace but this process. That there is nobody is no error.
pub fn signal_everybody(signal: libc::c_int) {
    // SAFETY: plain numbers; an unknown signal is refused by the kernel.
    unsafe {
        libc::kill(-1, signal);
    }
}

/// Becomes readable when a process has ended, whosever child it is.
///
/// # Errors
/// There is no such process, or the event loop takes no more.
pub fn end_of(pid: i32) -> Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd owns its descriptor, and nothing replaces or closes it before it is dropped.
    let registered = unsafe { AsyncFd::register_with_interest(pidfd(pid)?, Interest::READABLE) };
    registered
        .map_err(std::io::Error::from)
        .attempt(|| format!("watch process {pid}"))
}

/// Sends a signal to the process a pidfd means; one that has ended is no error.
///
/// # Errors
/// Not permitted.
pub fn signal(pidfd: impl AsFd, signal: libc::c_int) -> Result<()> {
    let what = || format!("send signal {signal}");
    // SAFETY: signal 0 and unknown numbers are refused by the kernel, not by undefined behavior.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal,
            std::ptr::null::<()>(),
            0,
        )
    };
    match Errno::result(sent) {
        Ok(_) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(Error::new(what(), errno)),
    }
}

/// Asks for a signal when the thread that started this process ends; 0 takes the wish back.
pub fn die_with_parent(signal: libc::c_int) {
    // SAFETY: sets one number of the calling process.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, signal);
    }
}

/// Stops this process, or its whole group, as the terminal's key for it does (SIGTSTP). Returns once it was continued; at once
/// where no shell is there that could do so, to whose groups the kernel does not do it (setpgid(2), orphaned process groups).
pub fn stop_as_job(whole_group: bool) {
    let stop: SigSet = [Signal::SIGTSTP].into_iter().collect();
    let usual = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default disposition runs no code of this process.
    let Ok(kept) = (unsafe { sigaction(Signal::SIGTSTP, &usual) }) else {
        return;
    };
    let sent = match whole_group {
        true => kill(Pid::from_raw(0), Signal::SIGTSTP),
        false => raise(Signal::SIGTSTP),
    };
    // It may be blocked here, to be read as a descriptor.
    if sent.is_ok()
        && let Ok(mask) = stop.thread_swap_mask(SigmaskHow::SIG_UNBLOCK)
    {
        let _ = mask.thread_set_mask();
    }
    // SAFETY: puts back what was there.
    let _ = unsafe { sigaction(Signal::SIGTSTP, &kept) };
}

/// Replaces standard input, output and error.
///
/// # Errors
/// No descriptors left.
pub fn replace_stdio(input: impl AsFd, output: impl AsFd) -> Result<()> {
    let pairs = [(input.as_fd(), 0), (output.as_fd(), 1), (output.as_fd(), 2)];
    for (from, number) in pairs {
        // SAFETY: dup2 onto the standard descriptors, which Rust's std uses by number and never closes.
        let done = unsafe { libc::dup2(from.as_raw_fd(), number) };
        Errno::result(done).attempt(|| "redirect standard streams")?;
    }
    Ok(())
}

/// In a forked process: closes a descriptor whose owner in this copy is used no more.
pub fn close_now(descriptor: RawFd) {
    // SAFETY: see above.
    unsafe {
        libc::close(descriptor);
    }
}

/// Standard input (0), output (1) or errors (2) of this process, which are open as long as it lives.
pub fn standard(number: i32) -> BorrowedFd<'static> {
    debug_assert!((0..3).contains(&number));
    // SAFETY: the standard library opens these at the start where they are not, and nothing here closes them.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Puts a descriptor in the place of standard input (0), output (1) or errors (2).
///
/// # Errors
/// There is no such descriptor.
pub fn put_standard(from: RawFd, number: usize) -> Result<()> {
    let number = number.min(2) as RawFd;
    // SAFETY: dup2 onto the standard descriptors, which Rust's std uses by number and never closes.
    let done = unsafe { libc::dup2(from, number) };
    Errno::result(done)
        .map(drop)
        .attempt(|| "redirect standard streams")
}

/// /dev/null, open for reading and writing.
///
/// # Errors
/// There is none.
pub fn null() -> Result<File> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .attempt(|| "open /dev/null")
}

/// Lets others go first where the CPU is short, by so many steps of nice(2), or goes before them. Concerns the calling thread alone
/// (setpriority(2), "C library/kernel differences").
pub fn stand_back(steps: i32) {
    // SAFETY: a plain system call on numbers. Where it is refused, nothing but the order of things changes.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, steps);
    }
}

/// Raises the soft limit of open files to the hard one: labs hold a descriptor or more a node.
pub fn raise_open_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Where this is refused the old limit stays, and its being reached is told then.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// How many files this process can let others have open, up to so many: its hard limit, or more where it may raise that
/// (setrlimit(2)).
pub fn most_open_files(wanted: u64) -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return wanted;
    };
    if wanted <= hard || setrlimit(Resource::RLIMIT_NOFILE, soft, wanted).is_err() {
        return hard;
    }
    // Lowering it again is always allowed.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    wanted
}

/// Limits the files that this process and its children may have open: to so many, and to so many more that they may ask for.
/// None is whatever this process may ask for itself.
pub fn limit_open_files(files: Option<u64>, most: Option<u64>) {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let files = files.unwrap_or(hard);
        let most = most.map_or(hard, |most| if most == files { most } else { most.min(hard) });
        // Where more is refused than there was, the old limit stays.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, files.min(most), most);
    }
}

/// Limits the files this process may have open to what another has.
pub fn limit_open_files_as(pid: libc::pid_t) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes into `limit`, which lives here. Where it tells nothing, the limit stays.
    if unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut limit) } == 0 {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, limit.rlim_cur, limit.rlim_max);
    }
}

/// Gives this process the signal dispositions and the mask a new program starts with.
pub fn forget_signals() {
    // SAFETY: plain system calls.
    unsafe { reset_signals() }
}

/// Executes a program in place of this process; returns only the reason it could not.
pub fn execute(program: &CStr, arguments: &[CString], environment: &[CString]) -> Errno {
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: null-ended arrays of C strings that outlive the call; it returns only on failure.
    unsafe {
        libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr());
    }
    Errno::last()
}

/// A shell's exit status for an ended process: its own, or 128 plus the signal.
pub fn exit_code(status: WaitStatus) -> i32 {
    match status {
        WaitStatus::Exited(_, code) => code,
        WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
        _ => 0,
    }
}

/// Makes a command start with no signal blocked: the standard library passes on this process's mask.
pub fn unblock_signals(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec only plain system calls are made.
    unsafe {
        command.pre_exec(|| {
            reset_signals();
            Ok(())
        });
    }
}

/// Makes a command start in the cgroups whose `cgroup.procs` are given; they stay open until it has.
pub fn enter_cgroups(command: &mut std::process::Command, doors: &[std::fs::File]) {
    use std::os::fd::AsRawFd;
    use std::os::unix::process::CommandExt;
    let doors: Vec<i32> = doors.iter().map(AsRawFd::as_raw_fd).collect();
    // SAFETY: between fork and exec only plain system calls are made.
    unsafe {
        command.pre_exec(move || {
            for door in &doors {
                // "0" is whoever writes it.
                Errno::result(libc::write(*door, c"0".as_ptr().cast(), 1))?;
            }
            Ok(())
        });
    }
}

/// Makes a command be killed when the calling thread ends, however it ends (PR_SET_PDEATHSIG, prctl(2)).
pub fn die_with_caller(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec only plain system calls are made.
    unsafe {
        command.pre_exec(|| {
            reset_signals();
            die_with_parent(libc::SIGKILL);
            Ok(())
        });
    }
}

/// Makes a command start without any but these capabilities, and if so wished without gaining others by what it executes
/// (PR_SET_NO_NEW_PRIVS, prctl(2)).
pub fn limit(command: &mut std::process::Command, kept: Capabilities, no_new_privileges: bool) {
    use std::os::unix::process::CommandExt;
    // SAFETY: the process that starts commands has a single thread, so that the child may use the allocator.
    unsafe {
        command.pre_exec(move || {
            kept.bound()
                .map_err(|error| std::io::Error::from_raw_os_error(error.errno as i32))?;
            if no_new_privileges {
                nix::sys::prctl::set_no_new_privs()?;
            }
            Ok(())
        });
    }
}

/// Makes a command start as root of a user namespace, bound to a filter.
pub fn enter_users(command: &mut std::process::Command, users: OwnedFd, filter: super::seccomp::Filter) {
    use std::os::unix::process::CommandExt;
    let refused = |error: Error| std::io::Error::from_raw_os_error(error.errno as i32);
    // SAFETY: the process that starts commands has a single thread, so that the child may use the allocator.
    unsafe {
        command.pre_exec(move || {
            super::user_namespace::enter(&users).map_err(refused)?;
            filter.attach().map_err(refused)
        });
    }
}

/// Makes a command run as another user, with all of that user's groups.
pub fn run_as(command: &mut std::process::Command, user: &super::users::User) {
    use std::os::unix::process::CommandExt;
    let (uid, gid) = (
        nix::unistd::Uid::from_raw(user.uid),
        nix::unistd::Gid::from_raw(user.gid),
    );
    let groups: Vec<_> = user
        .groups
        .iter()
        .copied()
        .chain([user.gid])
        .map(nix::unistd::Gid::from_raw)
        .collect();
    // SAFETY: between fork and exec only plain system calls are made, on memory that was ready before.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setgroups(&groups)?;
            nix::unistd::setgid(gid)?;
            nix::unistd::setuid(uid)?;
            Ok(())
        });
    }
}
