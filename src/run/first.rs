//! The first process of a node whose image wants to be that itself. It begins as a copy of the node's init, in a PID namespace
//! below the init's own: it makes the root there, so that /proc shows that namespace, waits for the program that it is to become,
//! and becomes it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use nix::sched::CloneFlags;
use serde::{Deserialize, Serialize};

use super::starter::{Program, Starter};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::message::{self, Assembler, Received};
use crate::kernel::mount;
use crate::kernel::process::{self, Child};
use crate::kernel::process_root;

/// No word between the two is longer, in bytes.
const LONGEST: usize = 1 << 20;
/// Output and errors of the program.
const MOST_DESCRIPTORS: usize = 2;
/// How it ends where it does not become a program.
const GAVE_UP: i32 = 125;

/// What the init hears.
#[derive(Serialize, Deserialize)]
enum Word {
    /// The root stands.
    Stands,
    /// It does not.
    Failed(Failure),
    /// The program cannot be executed: a shell's status, and the reason.
    NotStarted(i32, String),
}

/// The first process, seen from the init.
pub struct First {
    /// It.
    pub child: Child,
    way: UnixStream,
    assembler: Assembler,
    /// Whether it is a program by now.
    pub is_program: bool,
}

impl First {
    /// Starts it, and waits until the root stands that `build` makes. From then on this process has that root, too, and what it
    /// starts is in the namespace of the first process.
    ///
    /// # Errors
    /// The kernel refuses, or the root cannot be made.
    pub fn start(build: impl FnOnce() -> Result<Starter, Failure>) -> Result<First, Failure> {
        let (ours, theirs) = UnixStream::pair().attempt(|| "make a socket pair")?;
        let mounts = mount::own_namespace()?;
        nix::sched::unshare(CloneFlags::CLONE_NEWPID).attempt(|| "make a PID namespace")?;
        let child = process::fork("start the image's first process", || live(&theirs, build))?;
        drop(theirs);
        let mut first = First {
            child,
            way: ours,
            assembler: Assembler::of(LONGEST, MOST_DESCRIPTORS),
            is_program: false,
        };
        match first.hear()? {
            Some(Word::Stands) => {}
            Some(Word::Failed(failure)) => return Err(failure),
            _ => return Err(Failure::host("the image's first process ended early")),
        }
        mount::join_namespace(&mounts)?;
        Ok(first)
    }

    /// Has it become a program.
    ///
    /// # Errors
    /// A shell's status, and why not.
    pub fn become_program(
        &mut self,
        program: &Program<'_>,
        output: &OwnedFd,
        errors: &OwnedFd,
    ) -> Result<(), (i32, String)> {
        if self.is_program {
            let why = "the node's first process has ended; `nslab restart` starts the node again";
            return Err((126, why.to_owned()));
        }
        let refused = |error: String| (126, error);
        let bytes = serde_json::to_vec(program).map_err(|error| refused(error.to_string()))?;
        if bytes.len() > LONGEST {
            return Err(refused(
                "its arguments and its environment are too long".to_owned(),
            ));
        }
        message::send(&self.way, &bytes, &[output, errors]).map_err(|error| refused(error.to_string()))?;
        match self.hear().map_err(|failure| refused(failure.message))? {
            // Its end of the way was closed when it was executed.
            None if process_root::has_ended(&self.child.pidfd).unwrap_or(true) => {
                Err(refused("it ended before it could be executed".to_owned()))
            }
            None => {
                self.is_program = true;
                Ok(())
            }
            Some(Word::NotStarted(status, why)) => Err((status, why)),
            Some(_) => Err(refused("the first process answers what was not asked".to_owned())),
        }
    }

    fn hear(&mut self) -> Result<Option<Word>, Failure> {
        loop {
            if let Some(frame) = self.assembler.frame()? {
                let word = serde_json::from_slice(&frame.bytes);
                return word.map(Some).map_err(|error| Failure::host(error.to_string()));
            }
            if self.assembler.read(&self.way)? == Received::End {
                return Ok(None);
            }
        }
    }
}

fn say(way: &UnixStream, word: &Word) {
    // Who does not hear it is gone, and so is this process soon.
    if let Ok(bytes) = serde_json::to_vec(word) {
        let _ = message::send(way, &bytes, &[] as &[OwnedFd]);
    }
}

/// The first process's own part.
fn live(way: &UnixStream, build: impl FnOnce() -> Result<Starter, Failure>) -> i32 {
    process::die_with_parent(libc::SIGKILL);
    let starter = match build() {
        Ok(starter) => starter,
        Err(failure) => {
            say(way, &Word::Failed(failure));
            return GAVE_UP;
        }
    };
    say(way, &Word::Stands);
    let mut assembler = Assembler::of(LONGEST, MOST_DESCRIPTORS);
    loop {
        match assembler.read(way) {
            Ok(Received::End) | Err(_) => return GAVE_UP,
            Ok(_) => {}
        }
        let frame = match assembler.frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => continue,
            Err(_) => return GAVE_UP,
        };
        let mut fds = frame.fds.into_iter();
        let (Ok(order), Some(output), Some(errors)) = (
            serde_json::from_slice::<Program<'_>>(&frame.bytes),
            fds.next(),
            fds.next(),
        ) else {
            return GAVE_UP;
        };
        if let Some((status, why)) = missing(&order) {
            say(way, &Word::NotStarted(status, why));
            continue;
        }
        // One that could not be executed has changed this process, which is of no use any more.
        let (status, why) = execute(&starter, &order, output, errors);
        say(way, &Word::NotStarted(status, why));
        return GAVE_UP;
    }
}

/// What is not there of a program, as a shell says it.
fn missing(program: &Program<'_>) -> Option<(i32, String)> {
    let name = program.argv.first().map_or("", String::as_str);
    if let Some(directory) = program.workdir.as_deref()
        && !Path::new(directory).is_dir()
    {
        return Some((127, format!("{name}: its directory {directory} is not there")));
    }
    let path = program.env.get("PATH").map_or("", String::as_str);
    let is_there = match name.contains('/') {
        true => Path::new(name).exists(),
        false => path.split(':').any(|place| Path::new(place).join(name).exists()),
    };
    (!is_there).then(|| {
        (
            127,
            format!("{name}: command not found (the image has no such program)"),
        )
    })
}

/// Becomes a program, or says why not.
fn execute(starter: &Starter, program: &Program<'_>, output: OwnedFd, errors: OwnedFd) -> (i32, String) {
    let mut command = match starter.command(program, output, errors) {
        Ok(command) => command,
        Err(refused) => return refused,
    };
    let name = program.argv.first().map_or("", String::as_str);
    let error = command.exec();
    match error.kind() {
        io::ErrorKind::NotFound => (127, format!("{name}: command not found")),
        _ => (126, format!("{name}: {error}")),
    }
}
