//! `vtysh` in a router that runs nslab's own speaker, where it is a name of nslab's: FRR's options, exit codes and behavior.

mod arguments;
mod connection;
mod file;
mod interactive;
mod plain;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Command;

use arguments::Arguments;
use connection::Connection;
use nix::errno::Errno;

use crate::bgp::terminal::{Answer, ClientAction, Request, Status};
use crate::engine::speaker::SOCKET;

/// FRR's daemons, all of which are one process here.
const DAEMONS: [&str; 5] = ["zebra", "bgpd", "staticd", "watchfrr", "all"];

/// Runs vtysh, if that is the name nslab was called by.
pub fn called(words: &[String]) -> Option<i32> {
    let name = Path::new(words.first()?).file_name()?;
    (name == "vtysh").then(|| run(&words[1..]))
}

fn run(words: &[String]) -> i32 {
    let arguments = match Arguments::read(words) {
        Ok(arguments) => arguments,
        Err(diagnostic) => {
            eprintln!("vtysh: {diagnostic}\nTry `vtysh --help' for more information.");
            return 1;
        }
    };
    if arguments.help {
        return status_of(say(arguments::HELP).map(|()| 0));
    }
    if arguments.mark {
        let Some(file) = &arguments.file else {
            eprintln!("-f option MUST be specified with -m option");
            return 1;
        };
        return status_of(file::mark(file));
    }
    if arguments.dry_run {
        return file::check(arguments.file.as_deref());
    }
    if let Some(daemon) = arguments.unknown_daemon(&DAEMONS) {
        eprintln!("Error: no daemons match name {daemon}!");
        return 1;
    }
    // The speaker has read what stands in its file before it answers.
    if arguments.boot {
        return 0;
    }
    let socket = arguments.socket_in.as_ref().map_or_else(
        || PathBuf::from(SOCKET),
        |directory| directory.join(Path::new(SOCKET).file_name().unwrap_or_default()),
    );
    match Connection::open(&socket) {
        Ok(mut connection) => status_of(serve(&arguments, &mut connection)),
        Err(error) => {
            eprintln!(
                "vtysh: no speaker answers at {}: {}\n  `nslab ps` tells whether this node is a builtin router, \
                 and `nslab logs` why its speaker does not run",
                socket.display(),
                reason(&error)
            );
            1
        }
    }
}

fn serve(arguments: &Arguments, connection: &mut Connection) -> io::Result<i32> {
    if arguments.write {
        let answer = connection.ask(&Request::Run("write integrated".to_owned()))?;
        say(&answer.output)?;
        return Ok(answer.status.number());
    }
    if let Some(file) = &arguments.file {
        let status = file::load(connection, file)?;
        if status != 0 || arguments.commands.is_empty() {
            return Ok(status);
        }
    }
    if !arguments.commands.is_empty() {
        return obey(connection, arguments);
    }
    if io::stdin().is_terminal() {
        interactive::run(connection, arguments.history.as_deref())?;
    } else {
        plain::run(connection)?;
    }
    Ok(0)
}

/// The commands of `-c`, one after another. The first that is not taken ends it.
fn obey(connection: &mut Connection, arguments: &Arguments) -> io::Result<i32> {
    let mut prompt = match arguments.echo {
        true => connection.ask(&Request::Hello)?.prompt,
        false => String::new(),
    };
    for line in arguments.commands.iter().flat_map(|command| command.lines()) {
        if arguments.echo {
            say(&format!("{prompt}{line}\n"))?;
        }
        let answer = connection.ask(&Request::Run(line.to_owned()))?;
        perform(&answer, &[])?;
        if answer.status != Status::Success {
            return Ok(1);
        }
        if answer.ends {
            break;
        }
        prompt = answer.prompt;
    }
    Ok(0)
}

/// Prints an answer, and does what only vtysh can do.
fn perform(answer: &Answer, typed: &[String]) -> io::Result<()> {
    say(&answer.output)?;
    match &answer.client_action {
        Some(ClientAction::Run(program, words)) => {
            if let Err(error) = Command::new(program).args(words).status() {
                eprintln!("Can't execute {program}: {}", reason(&error));
            }
            Ok(())
        }
        Some(ClientAction::History) => typed.iter().try_for_each(|line| say(&format!("{line}\n"))),
        None => Ok(()),
    }
}

/// Why something failed, in the system's words.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

/// What peers call themselves and why they end sessions is in here as well.
fn say(text: &str) -> io::Result<()> {
    crate::view::print(text)
}

/// Whoever has stopped reading wants no complaint; the status tells.
fn status_of(outcome: io::Result<i32>) -> i32 {
    match outcome {
        Ok(status) => status,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => 1,
        Err(error) => {
            eprintln!("vtysh: {error}");
            1
        }
    }
}
