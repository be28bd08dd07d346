//! The commands' side of the control socket. Whatever is asked, the supervisor shows within seconds that it lives, or the
//! command says that the lab does not answer.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use socket2::{Domain, SockAddr, Socket, Type};

use super::directory::LabDirectory;
use super::holder::Activity;
use super::protocol::{self, DOWN, Envelope, Reply, Request};
use crate::failure::Failure;
use crate::kernel::error::{Attempt, Error};
use crate::kernel::message::{self, Assembler, Frame, Received};

/// How long a supervisor may be silent that does nothing. One that makes an answer says so every second.
const SILENCE: Duration = Duration::from_secs(4);
/// How long one may be silent that has no time to answer, as the making of a large lab takes.
const BUSY: Duration = Duration::from_secs(30);
/// How long one may be stopped before that is said.
const STOPPED: Duration = Duration::from_secs(1);
/// How often it is looked at while it is silent.
const LOOK: Duration = Duration::from_millis(250);

/// A file in an open directory, by a path that is always short.
pub fn through(directory: &File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))
}

/// A connection to a lab's supervisor.
pub struct Client {
    lab: LabDirectory,
    stream: UnixStream,
    supervisor: i32,
    assembler: Assembler,
    answered: bool,
}

/// The PID of the process that listens on a lab's control socket, as the kernel has it (unix(7), SO_PEERCRED).
///
/// # Errors
/// Nobody does.
pub fn listener(lab: &LabDirectory) -> Result<i32, Failure> {
    Ok(Client::connect(lab)?.supervisor)
}

/// A socket that is connected to a lab's supervisor.
fn connected(lab: &LabDirectory) -> io::Result<Socket> {
    let directory = File::open(&lab.path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Also for connecting: the queue of a supervisor that takes no connections fills up.
    socket.set_write_timeout(Some(SILENCE))?;
    socket.connect(&SockAddr::unix(through(&directory, "control.sock"))?)?;
    Ok(socket)
}

/// Whether a lab's supervisor is ending: nobody listens on its control socket any more, or who does closes a connection without
/// an answer. A lab that begins has no socket yet. Waits for an answer for as long as `patience`.
pub(super) fn is_ending(lab: &LabDirectory, patience: Duration) -> bool {
    let ends = [
        ErrorKind::ConnectionRefused,
        ErrorKind::ConnectionReset,
        ErrorKind::BrokenPipe,
    ];
    let asked = || {
        let mut stream = UnixStream::from(OwnedFd::from(connected(lab)?));
        stream.set_read_timeout(Some(patience))?;
        let request = serde_json::to_vec(&Envelope::of(&Request::Status))?;
        message::send(&stream, &request, &[] as &[OwnedFd]).map_err(|error| io::Error::from(error.errno))?;
        stream.read(&mut [0])
    };
    match asked() {
        Ok(taken) => taken == 0,
        Err(error) => ends.contains(&error.kind()),
    }
}

impl Client {
    /// Connects to a living lab.
    ///
    /// # Errors
    /// The lab has just gone, this user may not, or nobody takes connections.
    pub fn connect(lab: &LabDirectory) -> Result<Client, Failure> {
        let what = || format!("reach lab {}", lab.lab);
        let socket = match connected(lab) {
            Err(error) if error.raw_os_error() == Some(Errno::EAGAIN as i32) => return Err(silent(lab)),
            other => other.attempt(what)?,
        };
        let stream = UnixStream::from(OwnedFd::from(socket));
        let supervisor = getsockopt(&stream, PeerCredentials).attempt(what)?.pid();
        Ok(Client {
            lab: lab.clone(),
            stream,
            supervisor,
            assembler: Assembler::default(),
            answered: false,
        })
    }

    /// The supervisor's PID, as the kernel has it.
    pub fn supervisor(&self) -> i32 {
        self.supervisor
    }

    /// Asks, and returns the first answer with its descriptors.
    ///
    /// # Errors
    /// What the supervisor says, that it does not answer, or that it has gone.
    pub fn ask(&mut self, request: &Request) -> Result<(Reply, Vec<OwnedFd>), Failure> {
        self.tell(request)?;
        self.first_answer()
    }

    /// Asks the lab to end, in words that every version of nslab understands. Returns the supervisor's pidfd.
    ///
    /// # Errors
    /// What the supervisor says, that it does not answer, or that it has gone.
    pub fn ask_down(&mut self) -> Result<Option<OwnedFd>, Failure> {
        self.send(DOWN)?;
        let (_, fds) = self.first_answer()?;
        Ok(fds.into_iter().next())
    }

    /// The first answer to what was told, with its descriptors.
    ///
    /// # Errors
    /// What the supervisor says, that it does not answer, or that it has gone.
    pub fn first_answer(&mut self) -> Result<(Reply, Vec<OwnedFd>), Failure> {
        match self.next_reply()? {
            Some((Reply::Failed(failure), _)) => Err(failure),
            Some(answer) => Ok(answer),
            None => Err(self.gone()),
        }
    }

    /// The next answer; `None` when the supervisor has gone.
    ///
    /// # Errors
    /// The connection is broken, or the supervisor shows no sign of life.
    pub fn next_reply(&mut self) -> Result<Option<(Reply, Vec<OwnedFd>)>, Failure> {
        loop {
            while let Some(frame) = self.assembler.frame()? {
                self.answered = true;
                match self.decode(frame)? {
                    (Reply::Alive, _) => {}
                    answer => return Ok(Some(answer)),
                }
            }
            self.wait()?;
            if self.assembler.read(&self.stream)? == Received::End {
                return Ok(None);
            }
        }
    }

    /// Waits until there is something to read.
    fn wait(&self) -> Result<(), Failure> {
        let began = Instant::now();
        let (mut active, mut before) = (began, None);
        let mut stopped: Option<Instant> = None;
        loop {
            let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::MAX)) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(Error::new("wait for an answer", errno).into()),
            }
            let now = Activity::of(self.supervisor);
            let has_worked = before.replace(now).is_some_and(|before| before != now);
            match now {
                Activity::Stopped => {
                    if stopped.get_or_insert_with(Instant::now).elapsed() >= STOPPED {
                        return Err(silent(&self.lab).detail(format!(
                            "its supervisor (process {}) is stopped; `kill -CONT {0}` lets it go on",
                            self.supervisor
                        )));
                    }
                }
                Activity::Running => (active, stopped) = (Instant::now(), None),
                _ if has_worked => (active, stopped) = (Instant::now(), None),
                _ => stopped = None,
            }
            if active.elapsed() >= SILENCE || began.elapsed() >= BUSY {
                return Err(silent(&self.lab));
            }
        }
    }

    /// Throws away what has come, for those who only want to be woken. Returns whether the lab is still there.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn drain(&mut self) -> Result<bool, Failure> {
        self.stream.set_nonblocking(true).attempt(|| "set up a socket")?;
        loop {
            match self.assembler.read(&self.stream)? {
                Received::Some => while self.assembler.frame()?.is_some() {},
                Received::Nothing => return Ok(true),
                Received::End => return Ok(false),
            }
        }
    }

    /// Asks without waiting for the answer.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn tell(&mut self, request: &Request) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(&Envelope::of(request));
        let bytes = bytes.map_err(|error| Failure::host(error.to_string()))?;
        if bytes.len() > protocol::LONGEST {
            let (size, most) = (bytes.len(), protocol::LONGEST);
            return Err(Failure::wrong(format!(
                "that is {size} bytes, and a lab takes {most} at a time"
            )));
        }
        self.send(&bytes)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match message::send(&self.stream, bytes, &[] as &[OwnedFd]) {
            Err(error) if error.errno == Errno::EAGAIN => Err(silent(&self.lab)),
            // It has said why before it closed the connection, perhaps.
            Err(error) if error.errno == Errno::EPIPE => Ok(()),
            other => Ok(other?),
        }
    }

    /// What it means that the supervisor ended the connection.
    fn gone(&self) -> Failure {
        let state = self.lab.state().filter(|_| !self.answered);
        match state {
            // One from before there were versions closes connections on which it hears what it does not know.
            Some(state) if state.protocol != protocol::VERSION && self.lab.alive() => {
                protocol::other_version(&self.lab.lab, state.protocol)
            }
            _ => Failure::not_ready("the lab has just gone"),
        }
    }

    fn decode(&self, frame: Frame) -> Result<(Reply, Vec<OwnedFd>), Failure> {
        match serde_json::from_slice(&frame.bytes) {
            Ok(reply) => Ok((reply, frame.fds)),
            Err(error) => {
                let version = self.lab.state().map_or(0, |state| state.protocol);
                Err(protocol::other_version(&self.lab.lab, version).detail(error.to_string()))
            }
        }
    }
}

fn silent(lab: &LabDirectory) -> Failure {
    let name = &lab.lab;
    Failure::not_ready(format!("lab {name} does not answer"))
        .help(format!("`nslab down {name}` ends it; what hangs is killed"))
}

/// Readable, among other things, when the lab is over.
impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
