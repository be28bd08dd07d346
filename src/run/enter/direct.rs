//! A command without a terminal: the caller's own child, in a session of its own.

use std::os::fd::{AsFd as _, AsRawFd as _};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::relay::Channel;
use super::streams::{Pipes, Streams};
use super::{Door, FAILED, SI_USER, Turned, Visit, command, kind_of_terminal};
use crate::failure::Failure;
use crate::kernel::process;

pub(super) fn run(door: &Door, visit: &Visit, streams: Streams, signals: &SignalFd) -> Result<i32, Turned> {
    let Pipes { theirs, channels } = streams.pipes()?;
    let keep: Vec<_> = theirs.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
    let numbers: Vec<_> = theirs
        .iter()
        .map(|(number, fd)| (*number, fd.as_raw_fd()))
        .collect();
    let terminal = kind_of_terminal();
    let child = door.inside(&keep, || {
        // The caller's terminal is none of the command's, not even as /dev/tty.
        let _ = nix::unistd::setsid();
        if let Err(error) = streams.take(None, &numbers) {
            eprintln!("nslab: {error}");
            return FAILED;
        }
        command::become_command(door, visit, terminal.as_deref())
    })?;
    drop(theirs);
    let mut accompanied = Accompanied {
        command: Pid::from_raw(child.pid),
        channels,
        has_lost: false,
    };
    accompanied.wait(signals).map_err(Turned::Away)
}

struct Accompanied {
    command: Pid,
    channels: Vec<Channel>,
    /// Whether something that it printed has not arrived: a full disk, a device that takes nothing.
    has_lost: bool,
}

impl Accompanied {
    /// Waits for the command and passes signals on. Told to stop, it stops the command and itself.
    fn wait(&mut self, signals: &SignalFd) -> Result<i32, Failure> {
        loop {
            if let Some(status) = self.look()? {
                self.channels.iter_mut().for_each(Channel::drain);
                self.has_lost |= self.channels.iter().any(Channel::has_lost);
                return Ok(if status == 0 && self.has_lost { 1 } else { status });
            }
            let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            fds.extend(self.channels.iter().map(Channel::poll));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(crate::kernel::Error::new("wait for signals", errno).into()),
            }
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
            for (channel, _) in self
                .channels
                .iter_mut()
                .zip(&ready[1..])
                .filter(|(_, ready)| **ready)
            {
                channel.carry();
            }
            self.has_lost |= self.channels.iter().any(Channel::has_lost);
            self.channels.retain(|channel| !channel.is_over());
            while let Ok(Some(signal)) = signals.read_signal() {
                self.pass_on(signal.ssi_signo.cast_signed(), signal.ssi_code <= SI_USER);
            }
        }
    }

    /// The command's status, if it has ended.
    fn look(&self) -> Result<Option<i32>, Failure> {
        loop {
            match waitpid(self.command, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
                Ok(WaitStatus::StillAlive) => return Ok(None),
                Ok(WaitStatus::Stopped(..)) => {
                    // Any process in the node can do that. Were this one to stop with it, what the caller types for the command
                    // would go to the host's shell.
                    let _ = killpg(self.command, Signal::SIGCONT);
                }
                Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(Some(128 + signal as i32)),
                Ok(WaitStatus::Exited(_, status)) => return Ok(Some(status)),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(crate::kernel::Error::new("wait for the command", errno).into()),
            }
        }
    }

    /// A signal from a process is for the command, one from the terminal for all that it has started; whatever it is for may
    /// just have ended.
    fn pass_on(&self, number: i32, from_somebody: bool) {
        match Signal::try_from(number) {
            Ok(Signal::SIGCHLD | Signal::SIGCONT | Signal::SIGWINCH) | Err(_) => {}
            Ok(Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU) => {
                let _ = killpg(self.command, Signal::SIGSTOP);
                // The shell that started this process sees a stopped job; its `fg` continues this one, and this one the command.
                process::stop_as_job(false);
                let _ = killpg(self.command, Signal::SIGCONT);
            }
            Ok(signal) if from_somebody => drop(kill(self.command, signal)),
            Ok(signal) => drop(killpg(self.command, signal)),
        }
    }
}
