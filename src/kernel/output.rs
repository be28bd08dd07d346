//! Programs whose output is kept, with a time limit.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::error::{Attempt, Error, Result};
use super::process;

/// How much of each stream is kept: the rest is read and thrown away.
const KEPT: usize = 4 << 20;
/// How many times a stream is read at once; what a pipe holds (pipe(7)) takes 4.
const TURN: usize = 64;

/// What a program did.
#[derive(Debug, Default)]
pub struct Output {
    /// Exit status as a shell gives it; none when it was stopped for taking too long.
    pub status: Option<i32>,
    /// What it printed.
    pub out: Vec<u8>,
    /// What it complained about.
    pub errors: Vec<u8>,
}

/// A file in memory, to be read by a program.
///
/// # Errors
/// Memory is short.
pub fn in_memory(octets: &[u8]) -> Result<File> {
    let what = || "keep what a program is to read";
    let mut file = File::from(memfd_create(c"nslab", MFdFlags::MFD_CLOEXEC).attempt(what)?);
    file.write_all(octets).attempt(what)?;
    file.seek(SeekFrom::Start(0)).attempt(what)?;
    Ok(file)
}

/// Runs a program to its end, or kills it at the deadline or when `stop` becomes readable. It dies with the calling
/// thread. What it left running in the background is not waited for.
///
/// # Errors
/// The program cannot be started.
pub fn run(command: &mut Command, deadline: Instant, stop: Option<&impl AsFd>) -> Result<Output> {
    run_on(command, Stdio::null(), deadline, stop)
}

/// The same with something to read. Where that is a pipe, somebody else has to fill it.
///
/// # Errors
/// The program cannot be started.
pub fn run_on(
    command: &mut Command,
    input: Stdio,
    deadline: Instant,
    stop: Option<&impl AsFd>,
) -> Result<Output> {
    let what = || format!("run {}", command.get_program().display());
    let what = what();
    process::die_with_caller(command);
    let mut child = command
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .attempt(|| what.clone())?;
    let result = follow(&mut child, deadline, stop);
    if !matches!(result, Ok(Output { status: Some(_), .. })) {
        let _ = child.kill();
        let _ = child.wait();
    }
    result.map_err(|errno| Error::new(what, errno))
}

fn follow(child: &mut Child, deadline: Instant, stop: Option<&impl AsFd>) -> nix::Result<Output> {
    let (Some(mut out), Some(mut errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Errno::EBADF);
    };
    for fd in [out.as_fd(), errors.as_fd()] {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let pidfd = process::pidfd(child.id().cast_signed()).map_err(|error| error.errno)?;
    let mut kept = Output::default();
    let (mut out_open, mut errors_open) = (true, true);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(kept);
        }
        let patience = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut fds = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        if let Some(stop) = stop {
            fds.push(PollFd::new(stop.as_fd(), PollFlags::POLLIN));
        }
        let streams = fds.len();
        for (fd, open) in [(out.as_fd(), out_open), (errors.as_fd(), errors_open)] {
            if open {
                fds.push(PollFd::new(fd, PollFlags::POLLIN));
            }
        }
        match poll(&mut fds, patience) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let any = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
        let ended = any(&fds[0]);
        let stopped = fds[1..streams].iter().any(any);
        drop(fds);
        out_open = out_open && drain(&mut out, &mut kept.out);
        errors_open = errors_open && drain(&mut errors, &mut kept.errors);
        if ended {
            use std::os::unix::process::ExitStatusExt;
            let status = child.wait().map_err(|_| Errno::ECHILD)?;
            kept.status = status.code().or(status.signal().map(|signal| 128 + signal));
            return Ok(kept);
        }
        if stopped {
            return Ok(kept);
        }
    }
}

/// Reads what is there, up to a point: a stream that never pauses must not keep us from looking at the clock. Returns whether
/// more may come.
fn drain(stream: &mut impl Read, kept: &mut Vec<u8>) -> bool {
    let mut buffer = [0u8; 16 * 1024];
    for _ in 0..TURN {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(size) => {
                let room = KEPT.saturating_sub(kept.len());
                kept.extend_from_slice(&buffer[..size.min(room)]);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
    true
}

/// Has nobody wait who reads or writes by this descriptor, or by another that it shares with.
///
/// # Errors
/// It cannot be set up so.
pub fn never_wait(fd: impl AsFd + Copy) -> Result<()> {
    rustix::fs::fcntl_getfl(fd)
        .and_then(|flags| rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK))
        .map_err(|errno| Error::new("set up a pipe or terminal", Errno::from_raw(errno.raw_os_error())))
}
