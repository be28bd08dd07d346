//! Starting processes that execute a program: into new namespaces, a cgroup, and with few descriptors, at a cost
//! that does not grow with the process that starts them (clone(2), vfork(2), close_range(2)).
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, SigmaskHow};

use super::error::{Attempt, Error, Result};
use super::process::{Child, clone_arguments, close_on_exec, null, pointers, reset_signals};

/// The number of the first descriptor a started process is given.
pub const FIRST_SLOT: RawFd = 3;

/// How many it can be given.
const SLOTS: usize = 4;

/// The first number behind them.
const ABOVE_SLOTS: RawFd = FIRST_SLOT + SLOTS as RawFd;

/// Numbers kept free in this process for what its children are given.
///
/// A child's table of descriptors begins as a copy of ours, and everything in it is closed again when the child
/// executes its program: in a lab of 1,000 nodes that is 6,000 descriptors for each. So children share our table
/// until all they need is in these slots, and then take a copy of nothing but the slots
/// (close_range(2), CLOSE_RANGE_UNSHARE).
pub struct Slots {
    null: File,
}

impl Slots {
    /// Keeps the numbers. To be called before any of them can be taken by something else.
    ///
    /// # Errors
    /// One of them is taken, or there is no /dev/null.
    pub fn keep() -> Result<Slots> {
        let null = null()?;
        for number in FIRST_SLOT..ABOVE_SLOTS {
            // SAFETY: F_GETFD on a number that may not be open only fails.
            let taken = unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0;
            if taken && number != null.as_raw_fd() {
                return Err(Error::new(format!("keep descriptor {number} free"), Errno::EBUSY));
            }
        }
        // /dev/null itself has to stand above the slots.
        // SAFETY: makes a new descriptor, which is taken over just below.
        let moved = unsafe { libc::fcntl(null.as_raw_fd(), libc::F_DUPFD_CLOEXEC, ABOVE_SLOTS) };
        drop(null);
        let moved = Errno::result(moved).attempt(|| "keep descriptors free")?;
        // SAFETY: the kernel made it just now.
        let slots = Slots {
            null: unsafe { File::from_raw_fd(moved) },
        };
        slots.clear();
        Ok(slots)
    }

    fn fill(&self, keep: &[BorrowedFd<'_>]) -> Result<()> {
        for (number, fd) in (FIRST_SLOT..ABOVE_SLOTS).zip(keep) {
            put(fd.as_raw_fd(), number)?;
        }
        Ok(())
    }

    /// Lets go of what was put into the slots.
    fn clear(&self) {
        for number in FIRST_SLOT..ABOVE_SLOTS {
            // Onto a number that is open already nothing can fail.
            let _ = put(self.null.as_raw_fd(), number);
        }
    }
}

/// The numbers under which a child finds what it is given, for its command line.
pub fn slots(count: usize) -> impl Iterator<Item = String> {
    (FIRST_SLOT..).take(count).map(|number| number.to_string())
}

/// Makes `number` mean what `fd` means.
fn put(fd: RawFd, number: RawFd) -> Result<()> {
    // SAFETY: the number is a slot, which nobody else owns.
    let done = unsafe { libc::dup3(fd, number, libc::O_CLOEXEC) };
    Errno::result(done).map(drop).attempt(|| "pass on a descriptor")
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
    /// Its standard input, output and error; this process's own where none are given. Not with [`Slots`].
    pub stdio: Option<[RawFd; 3]>,
    /// A network namespace it enters.
    pub network: Option<BorrowedFd<'a>>,
    /// A cgroup (v2) directory it is born in; its cgroup namespace then begins there.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The signal it gets when the thread that started it ends.
    pub parent_death: Option<libc::c_int>,
    /// Whether it leads a session of its own.
    pub session: bool,
}

/// Exit statuses of a child that failed before it could execute its program.
pub mod early {
    /// The network namespace could not be entered.
    pub const NETWORK: i32 = 101;
    /// The cgroup namespace could not be made.
    pub const CGROUP: i32 = 102;
    /// The program could not be executed.
    pub const EXECUTE: i32 = 103;
    /// A descriptor could not be passed on.
    pub const DESCRIPTOR: i32 = 104;
}

/// Starts a process. Other threads of this process must leave the slots alone. The child borrows this process's
/// memory until it executes its program, as vfork(2) has it: the cost of a copy would grow with every node. With
/// slots it borrows the table of descriptors too.
///
/// # Errors
/// The kernel refuses the clone: not permitted, or a limit reached.
pub fn spawn(what: &str, slots: Option<&Slots>, spawn: &Spawn<'_>) -> Result<Child> {
    debug_assert!(spawn.keep.len() <= SLOTS && (slots.is_none() || spawn.stdio.is_none()));
    let arguments = pointers(spawn.arguments);
    let environment = pointers(spawn.environment);
    let mut birth = Birth {
        spawn,
        arguments: &arguments,
        environment: &environment,
        shares_table: slots.is_some(),
    };
    // No handler of ours may run in the child, where it would act on our memory.
    let mut before = SigSet::empty();
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))
        .attempt(|| what)?;
    let filled = slots.map_or(Ok(()), |slots| slots.fill(spawn.keep));
    let born = filled
        .and_then(|()| vfork(spawn.flags, spawn.cgroup, &mut birth).map_err(|errno| Error::new(what, errno)));
    if let Some(slots) = slots {
        slots.clear();
    }
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None).attempt(|| what)?;
    born
}

/// What a child needs on its way to its program.
struct Birth<'a> {
    spawn: &'a Spawn<'a>,
    arguments: &'a [*const libc::c_char],
    environment: &'a [*const libc::c_char],
    /// Whether its table of descriptors is the parent's for now, with what it keeps in the slots already.
    shares_table: bool,
}

/// Where a child begins, on a stack of its own.
extern "C" fn begin(birth: *mut libc::c_void) -> ! {
    // SAFETY: `vfork` passes a `Birth` that lives in the suspended parent; the arrays in it end with a null.
    unsafe {
        let birth = &*birth.cast::<Birth<'_>>();
        become_program(birth)
    }
}

/// Clones a child that shares this process's memory; returns when the child has executed its program or ended.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn vfork(
    flags: CloneFlags,
    cgroup: Option<BorrowedFd<'_>>,
    birth: &mut Birth<'_>,
) -> std::result::Result<Child, Errno> {
    const STACK: usize = 64 * 1024;
    let mut stack = vec![0u128; STACK / size_of::<u128>()];
    let mut pidfd: RawFd = -1;
    let mut arguments = clone_arguments(flags, cgroup, &mut pidfd);
    arguments.flags |= (libc::CLONE_VM | libc::CLONE_VFORK) as u64;
    if birth.shares_table {
        arguments.flags |= libc::CLONE_FILES as u64;
    }
    arguments.stack = stack.as_mut_ptr() as u64;
    arguments.stack_size = STACK as u64;
    let birth: *mut Birth<'_> = birth;
    let pid: i64;
    // SAFETY: the child runs `begin` on `stack`, of which nobody else knows, and never returns from it; this
    // process is suspended until the child has left its memory, so all that is borrowed outlives its use. The
    // C library's wrapper of clone(2) cannot put a child into a cgroup, hence the system call by hand.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => pid,
            in("rdi") &raw const arguments,
            in("rsi") size_of::<libc::clone_args>(),
            in("r12") begin as extern "C" fn(*mut libc::c_void) -> !,
            in("r13") birth,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x20",
            "blr x21",
            "brk 1",
            "2:",
            inlateout("x0") &raw const arguments => pid,
            in("x1") size_of::<libc::clone_args>(),
            in("x8") libc::SYS_clone3,
            in("x20") birth,
            in("x21") begin as extern "C" fn(*mut libc::c_void) -> !,
        );
    }
    drop(stack);
    if pid < 0 {
        return Err(Errno::from_raw(-(pid as i32)));
    }
    // SAFETY: the kernel made this descriptor for us just now.
    Ok(Child {
        pid: pid as i32,
        pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
    })
}

/// Elsewhere a plain fork does, with a copy of the memory.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn vfork(
    flags: CloneFlags,
    cgroup: Option<BorrowedFd<'_>>,
    birth: &mut Birth<'_>,
) -> std::result::Result<Child, Errno> {
    match clone(flags, cgroup)? {
        Some(child) => Ok(child),
        None => begin((birth as *mut Birth<'_>).cast()),
    }
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
        if let Some(network) = spawn.network
            && libc::setns(network.as_raw_fd(), libc::CLONE_NEWNET) != 0
        {
            libc::_exit(early::NETWORK);
        }
        if spawn.cgroup.is_some() && libc::unshare(libc::CLONE_NEWCGROUP) != 0 {
            libc::_exit(early::CGROUP);
        }
        if spawn.session {
            libc::setsid();
        }
        let end = FIRST_SLOT + spawn.keep.len() as RawFd;
        if birth.shares_table {
            own_table(end);
        } else {
            arrange(spawn);
            close_on_exec(end.unsigned_abs(), u32::MAX);
        }
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

/// Leaves a shared table of descriptors for one of the process's own that ends before `end`.
unsafe fn own_table(end: RawFd) {
    // SAFETY: plain numbers. Kernels before 5.9 take the whole table, and close at exec what is too much.
    unsafe {
        if libc::syscall(libc::SYS_close_range, end, u32::MAX, libc::CLOSE_RANGE_UNSHARE) != 0 {
            libc::unshare(libc::CLONE_FILES);
        }
    }
}

/// Takes over a descriptor whose number was passed on the command line of a hidden verb.
///
/// # Errors
/// There is no such descriptor: the verb was called by hand.
pub fn inherited(number: RawFd) -> Result<OwnedFd> {
    let what = || format!("take over descriptor {number} (this verb is nslab's own, not for hands)");
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
