//! A process with a terminal of its own, at which nobody sits: what it writes there is passed on like any other's output, and
//! nothing is ever typed.

use std::io::{self, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};

use crate::kernel::{process, terminal, users};

/// The hidden verb; a user follows, or nothing, and then the program and its arguments.
pub const VERB: &str = "on-terminal";
/// What every terminal can do.
pub const TERMINAL: &str = "xterm";

/// The words that run a program so, for a node's init to execute.
pub fn words(argv: Vec<String>, user: Option<String>) -> Vec<String> {
    let first = [
        crate::engine::ITSELF.to_owned(),
        VERB.to_owned(),
        user.unwrap_or_default(),
    ];
    first.into_iter().chain(argv).collect()
}

/// Plays the terminal until the program has ended. Returns its status as a shell gives it.
pub fn main(words: &[String]) -> i32 {
    let [user, program, arguments @ ..] = words else {
        return 127;
    };
    match run(user, program, arguments) {
        Ok(status) => code(status),
        Err(error) => {
            // The log is where this goes, if anywhere.
            let _ = writeln!(io::stderr(), "{program}: {error}");
            match error.kind() {
                io::ErrorKind::NotFound => 127,
                _ => 126,
            }
        }
    }
}

fn run(user: &str, program: &str, arguments: &[String]) -> io::Result<ExitStatus> {
    let (mut screen, line) = terminal::open()?;
    let mut command = Command::new(program);
    command.args(arguments);
    if std::env::var_os("TERM").is_none() {
        command.env("TERM", TERMINAL);
    }
    let owned = line.try_clone()?;
    command
        .stdin(line.try_clone()?)
        .stdout(line.try_clone()?)
        .stderr(line);
    terminal::take(&mut command);
    if user.is_empty() && std::env::var_os("HOME").is_none() {
        let root = users::user(Path::new("/"), "root").map(|root| root.home);
        command.env("HOME", root.as_deref().unwrap_or("/root"));
    }
    if !user.is_empty() {
        let found = users::user(Path::new("/"), user);
        let found = found.ok_or_else(|| io::Error::other(format!("the node has no user {user:?}")))?;
        if std::env::var_os("HOME").is_none() {
            command.env("HOME", &found.home);
        }
        // What a terminal is called (/dev/stdout leads there) is opened by its owner.
        let _ = nix::unistd::fchown(&owned, Some(found.uid.into()), None);
        process::run_as(&mut command, &found);
    }
    let mut child = command.spawn()?;
    // Its ends of the line are the child's alone from here on, so that the screen goes dark when nobody has one any more.
    drop((command, owned));
    let mut buffer = [0u8; 4096];
    // A line without anybody on it is an error to read from (EIO).
    while let Ok(size @ 1..) = screen.read(&mut buffer) {
        if io::stdout()
            .write_all(&buffer[..size])
            .and_then(|()| io::stdout().flush())
            .is_err()
        {
            break;
        }
    }
    child.wait()
}

fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .or(status.signal().map(|signal| 128 + signal))
        .unwrap_or(1)
}
