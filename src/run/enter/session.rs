//! A command at a terminal of the node's.
//!
//! ```text
//! caller's terminal ── client ── screen ╌ line ── command, in the node
//!                         │ words            │
//!                         └──── keeper ──────┘   leads the session on the line; outside the node's PID namespace
//! ```
//!
//! The keeper is the command's parent, so that the command can be stopped and continued as a job; it tells the client, which
//! stops with it if the caller has just typed the key for that. Any process in the node may stop the command, and what the
//! caller types next would go to the host's shell: whoever stops it unasked sees it continued.

use std::io::{IsTerminal as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::relay::Channel;
use super::streams::Streams;
use super::{Door, FAILED, Turned, Visit, command, kind_of_terminal, turned};
use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::kernel::message::{self, Assembler, Received};
use crate::kernel::terminal::{self, Modes};
use crate::kernel::{Error, output, process};

/// Milliseconds between two looks at whether a job in the background has come to the foreground.
const LOOK: u16 = 200;
/// How long after the key for it a stop of the command is the caller's wish. Programs that read the key themselves stop later
/// than those that the terminal stops.
const WISHED: Duration = Duration::from_secs(2);
/// Text is visible and so is the cursor (ECMA-48 SGR 0, DECTCEM): the node's programs may have hidden both.
const VISIBLE: &[u8] = b"\x1b[0m\x1b[?25h";

/// What the keeper tells the client.
#[derive(Debug, Serialize, Deserialize)]
enum News {
    /// The command runs, as this process and group. The screen follows.
    Begun(i32),
    /// It could not be started: an error number.
    Refused(i32),
    /// It has stopped.
    Stopped,
    /// It has ended, with this status as a shell gives it.
    Ended(i32),
}

/// What the client tells the keeper.
#[derive(Debug, Serialize, Deserialize)]
enum SessionRequest {
    /// Continue the command.
    Continue,
    /// Send it a signal.
    Signal(i32),
    /// The keys of the caller's terminal are taken, or given back.
    Keys(bool),
}

pub(super) fn run(door: &Door, visit: &Visit, streams: Streams, signals: &SignalFd) -> Result<i32, Turned> {
    let modes = Modes::remember();
    let pipes = streams.pipes()?;
    let (ours, theirs) = UnixStream::pair().attempt(|| "make a socket pair")?;
    let keeper = process::fork("start a session", || {
        // The end of the client's copy is what tells of the client's end.
        process::close_now(ours.as_raw_fd());
        Keeper::run(door, visit, streams, (&modes, &pipes.theirs), theirs)
    })?;
    let mut words = Words::new(ours);
    let (command, screen) = match words.next() {
        Some((News::Begun(command), Some(screen))) => (command, screen),
        Some((News::Refused(errno), _)) => {
            process::wait(&keeper);
            return Err(turned(&Error::new(door.what(), Errno::from_raw(errno))));
        }
        _ => {
            return Err(Turned::Away(Failure::host(
                "the session of the command did not begin",
            )));
        }
    };
    drop(pipes.theirs);
    let mut client = Client {
        streams,
        channels: streams
            .carried_to(&screen)?
            .into_iter()
            .chain(pipes.channels)
            .collect(),
        command,
        screen,
        modes,
        is_raw: false,
        suspended: None,
        words,
    };
    output::never_wait(&client.screen)?;
    client.resume();
    let status = client.accompany(signals);
    client.give_back();
    // Where something went wrong here, the keeper ends with this.
    drop(client);
    process::wait(&keeper);
    status.map_err(Turned::Away)
}

/// A terminal whose program does not read takes no more keys after a while; nobody is to wait for it.
/// The stream between the two.
struct Words {
    stream: UnixStream,
    assembler: Assembler,
}

impl Words {
    fn new(stream: UnixStream) -> Words {
        Words {
            stream,
            assembler: Assembler::default(),
        }
    }

    /// The next one; none when the other is gone.
    fn next<T: serde::de::DeserializeOwned>(&mut self) -> Option<(T, Option<OwnedFd>)> {
        loop {
            if let Some(word) = self.there() {
                return Some(word);
            }
            if !matches!(self.assembler.read(&self.stream), Ok(Received::Some)) {
                return None;
            }
        }
    }

    /// One that has arrived already.
    fn there<T: serde::de::DeserializeOwned>(&mut self) -> Option<(T, Option<OwnedFd>)> {
        let frame = self.assembler.frame().ok().flatten()?;
        let word = serde_json::from_slice(&frame.bytes).ok()?;
        Some((word, frame.fds.into_iter().next()))
    }

    fn say(&self, word: &impl Serialize, fds: &[OwnedFd]) {
        if let Ok(bytes) = serde_json::to_vec(word) {
            // The other hears of the end of this one anyway.
            let _ = message::send(&self.stream, &bytes, fds);
        }
    }
}

struct Client {
    streams: Streams,
    /// Keys to the screen, text from it, and what goes by pipes.
    channels: Vec<Channel>,
    /// The command's group.
    command: i32,
    screen: OwnedFd,
    /// Those that the caller's terminal has while no key of it is taken.
    modes: Modes,
    /// Whether keys are taken.
    is_raw: bool,
    /// When the key that stops a job was passed on to the command.
    suspended: Option<Instant>,
    words: Words,
}

impl Client {
    /// Takes the caller's keys, if this process is in the foreground.
    fn resume(&mut self) {
        let is_front = self.is_in_front();
        if self.streams.takes_keys() && is_front {
            if !self.is_raw {
                // Those of before may be a shell's own, of while it reads its line.
                self.modes = Modes::remember();
            }
            self.channels[0].watched = self.modes.suspend_key();
            self.modes.raw();
            if !std::mem::replace(&mut self.is_raw, true) {
                self.words.say(&SessionRequest::Keys(true), &[]);
            }
            terminal::copy_size(self.channels[0].source(), self.screen.as_fd());
        }
        self.channels[0].is_open = is_front;
    }

    fn is_in_front(&self) -> bool {
        !self.streams.takes_keys() || terminal::is_in_foreground(self.channels[0].source())
    }

    /// Leaves the caller's terminal as it was. In the background it is somebody else's.
    fn give_back(&mut self) {
        if std::mem::take(&mut self.is_raw) {
            self.modes.restore();
            self.words.say(&SessionRequest::Keys(false), &[]);
        }
    }

    /// Stops this process, or its group, until it is continued. The shell that started it sees a stopped job; its `fg`
    /// continues this process, and this one the command.
    fn stop(&mut self, whole_group: bool) {
        self.channels[1].drain();
        if self.is_raw && self.is_in_front() {
            if std::io::stdout().is_terminal() {
                // Fails only when the terminal is gone.
                let _ = std::io::stdout()
                    .write_all(VISIBLE)
                    .and_then(|()| std::io::stdout().flush());
            }
            self.give_back();
            // It was typed for the node.
            terminal::forget_keys();
        } else {
            self.give_back();
        }
        process::stop_as_job(whole_group);
        self.resume();
        self.words.say(&SessionRequest::Continue, &[]);
    }

    fn accompany(&mut self, signals: &SignalFd) -> Result<i32, Failure> {
        loop {
            let [signal, news] = self.poll(signals)?;
            if signal {
                self.obey(signals);
            }
            if news && let Some(status) = self.hear() {
                self.channels[1..].iter_mut().for_each(Channel::drain);
                return Ok(status);
            }
        }
    }

    /// Waits until something comes, and carries what is to be carried. Returns whether signals and news are there.
    fn poll(&mut self, signals: &SignalFd) -> Result<[bool; 2], Failure> {
        let mut fds = vec![
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.words.stream.as_fd(), PollFlags::POLLIN),
        ];
        // One that is over, or is not to be read now, would be ready all the time.
        let waits: Vec<bool> = self.channels.iter().map(Channel::waits).collect();
        let awaited = self.channels.iter().zip(&waits).filter(|(_, waits)| **waits);
        fds.extend(awaited.map(|(channel, _)| channel.poll()));
        // A shell that brings a job to the foreground tells only one that is stopped.
        let patience = match self.channels[0].is_open {
            true => PollTimeout::NONE,
            false => PollTimeout::from(LOOK),
        };
        match poll(&mut fds, patience) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::new("wait for the command", errno).into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        // Afterwards the node's shell may have taken the foreground from a job of its own that the key was for.
        let is_for_command = terminal::foreground(self.screen.as_fd()) == Some(self.command);
        let awaited = self.channels.iter_mut().zip(&waits).filter(|(_, waits)| **waits);
        for ((channel, _), _) in awaited.zip(&ready[2..]).filter(|(_, ready)| **ready) {
            channel.carry();
        }
        if self.channels[0].took() && is_for_command {
            self.suspended = Some(Instant::now());
        }
        let news = [ready[0], ready[1]];
        if !self.channels[0].is_open && self.is_in_front() {
            self.resume();
        }
        Ok(news)
    }

    fn obey(&mut self, signals: &SignalFd) {
        while let Ok(Some(signal)) = signals.read_signal() {
            match Signal::try_from(signal.ssi_signo.cast_signed()) {
                Ok(Signal::SIGWINCH) => terminal::copy_size(self.channels[0].source(), self.screen.as_fd()),
                Ok(Signal::SIGCONT) => self.resume(),
                Ok(Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU) => {
                    self.words
                        .say(&SessionRequest::Signal(Signal::SIGSTOP as i32), &[]);
                    self.stop(false);
                }
                Ok(Signal::SIGCHLD) | Err(_) => {}
                Ok(signal) => self.words.say(&SessionRequest::Signal(signal as i32), &[]),
            }
        }
    }

    /// Listens to the keeper. The status, if the command has ended.
    fn hear(&mut self) -> Option<i32> {
        const KILLED: i32 = 128 + libc::SIGKILL;
        if !matches!(self.words.assembler.read(&self.words.stream), Ok(Received::Some)) {
            return Some(KILLED);
        }
        while let Some((news, _)) = self.words.there() {
            match news {
                News::Ended(status) => return Some(status),
                News::Stopped => match self.suspended.take() {
                    Some(then) if then.elapsed() < WISHED => self.stop(self.is_in_front()),
                    _ => self.words.say(&SessionRequest::Continue, &[]),
                },
                News::Begun(_) | News::Refused(_) => {}
            }
        }
        None
    }
}

/// What a keeper is given: the modes of the caller's terminal, and the command's ends of pipes.
type Given<'a> = (&'a Modes, &'a [(usize, OwnedFd)]);

/// Leads the session on the node's terminal.
struct Keeper<'a> {
    command: Pid,
    words: Words,
    modes: &'a Modes,
    /// Whether the caller's terminal is as the client has made it.
    is_raw: bool,
}

impl Keeper<'_> {
    fn run(door: &Door, visit: &Visit, streams: Streams, given: Given<'_>, stream: UnixStream) -> i32 {
        let (modes, _) = given;
        process::die_with_parent(libc::SIGKILL);
        let words = Words::new(stream);
        match Keeper::begin(door, visit, streams, given) {
            Ok((command, screen)) => {
                // From here on it hears of the end of the client, and has something to do then.
                process::die_with_parent(0);
                words.say(&News::Begun(command.as_raw()), &[screen]);
                let keeper = Keeper {
                    command,
                    words,
                    modes,
                    is_raw: false,
                };
                keeper.keep()
            }
            Err(error) => {
                words.say(&News::Refused(error.errno as i32), &[]);
                FAILED
            }
        }
    }

    fn begin(
        door: &Door,
        visit: &Visit,
        streams: Streams,
        (modes, pipes): Given<'_>,
    ) -> Result<(Pid, OwnedFd), Error> {
        let kind = kind_of_terminal();
        let what = door.what();
        door.entrance(&what, &[]).join()?;
        let (screen, line) = terminal::open_here()?;
        if let Some(first) = door.rights.first_id {
            // The node's root may open its own terminal again.
            nix::unistd::fchown(&line, Some(first.into()), None).attempt(|| "hand over the terminal")?;
        }
        modes.give(line.as_fd());
        terminal::copy_size(process::standard(0), line.as_fd());
        terminal::begin_session(line.as_fd())?;
        let piped: Vec<_> = pipes
            .iter()
            .map(|(number, fd)| (*number, fd.as_raw_fd()))
            .collect();
        let keep: Vec<_> = piped
            .iter()
            .map(|(_, fd)| *fd)
            .chain([line.as_raw_fd()])
            .collect();
        let child = door.entrance(&what, &keep).born(|| {
            // A group of its own, in the foreground: what is typed to stop it does not stop the keeper.
            let own = Pid::from_raw(0);
            let _ = nix::unistd::setpgid(own, own);
            let _ = nix::unistd::tcsetpgrp(line.as_fd(), nix::unistd::getpgrp());
            if let Err(error) = streams.take(Some(line.as_fd()), &piped) {
                eprintln!("nslab: {error}");
                return FAILED;
            }
            door.limited(|| command::become_command(door, visit, kind.as_deref()))
        })?;
        Ok((Pid::from_raw(child.pid), screen))
    }

    /// Until the command has ended, or the client is gone.
    fn keep(mut self) -> i32 {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let Ok(children) = SignalFd::with_flags(&mask, flags) else {
            return FAILED;
        };
        loop {
            if let Some(status) = self.look() {
                self.words.say(&News::Ended(status), &[]);
                return 0;
            }
            let mut fds = [
                PollFd::new(children.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.words.stream.as_fd(), PollFlags::POLLIN),
            ];
            if matches!(poll(&mut fds, PollTimeout::NONE), Err(errno) if errno != Errno::EINTR) {
                return FAILED;
            }
            let wishes = fds[1].any().unwrap_or(true);
            while let Ok(Some(_)) = children.read_signal() {}
            if wishes && !self.obey() {
                // With its session goes the command.
                let _ = killpg(self.command, Signal::SIGKILL);
                // A client that was killed could not.
                if self.is_raw {
                    self.modes.restore_from_raw();
                }
                return 0;
            }
        }
    }

    /// The command's status, if it has ended.
    fn look(&self) -> Option<i32> {
        loop {
            match waitpid(self.command, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
                Ok(WaitStatus::StillAlive) => return None,
                Ok(WaitStatus::Stopped(..)) => self.words.say(&News::Stopped, &[]),
                Ok(status @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..))) => {
                    return Some(process::exit_code(status));
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return Some(FAILED),
            }
        }
    }

    /// False when the client is gone.
    fn obey(&mut self) -> bool {
        if !matches!(self.words.assembler.read(&self.words.stream), Ok(Received::Some)) {
            return false;
        }
        while let Some((wish, _)) = self.words.there() {
            let signal = match wish {
                SessionRequest::Continue => Ok(Signal::SIGCONT),
                SessionRequest::Signal(number) => Signal::try_from(number),
                SessionRequest::Keys(taken) => {
                    self.is_raw = taken;
                    continue;
                }
            };
            if let Ok(signal) = signal {
                // It may just have ended.
                let _ = killpg(self.command, signal);
            }
        }
        true
    }
}
