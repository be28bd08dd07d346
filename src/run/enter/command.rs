//! From a fresh process in a node to the command it becomes.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::path::Path;

use nix::errno::Errno;

use super::{Door, Visit};
use crate::kernel::{process, users};
use crate::node_tools;

const CANNOT_EXECUTE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Becomes the program, or says why not and returns the status.
pub(super) fn become_command(door: &Door, visit: &Visit, terminal: Option<&str>) -> i32 {
    match prepare(door, visit, terminal) {
        Ok((programs, arguments, environment)) => {
            execute(&visit.argv[0], &programs, &arguments, &environment)
        }
        Err((status, message)) => {
            eprintln!("nslab: {message}");
            status
        }
    }
}

/// A status, and the reason.
type Refused = (i32, String);

/// Where the program may be, its arguments, and its environment.
type Prepared = (Vec<CString>, Vec<CString>, Vec<CString>);

fn prepare(door: &Door, visit: &Visit, terminal: Option<&str>) -> Result<Prepared, Refused> {
    let mut env = door.env.clone();
    if let Some(terminal) = terminal {
        env.insert("TERM".to_owned(), terminal.to_owned());
    }
    let directory = visit.workdir.as_ref().or(door.workdir.as_ref());
    let directory = directory.map_or("/", String::as_str);
    nix::unistd::chdir(directory).map_err(|errno| {
        (
            CANNOT_EXECUTE,
            format!("{}: cannot enter {directory}: {}", door.node, errno.desc()),
        )
    })?;
    if let Some(name) = visit.user.as_ref().or(door.user.as_ref()) {
        become_user(door, name, &mut env)?;
    }
    if !env.contains_key("HOME") {
        let home = users::user(Path::new("/"), "root").map(|root| root.home);
        env.insert("HOME".to_owned(), home.unwrap_or_else(|| "/root".to_owned()));
    }
    env.extend(visit.env.iter().cloned());
    // After the user changed, which would take it back: the command does not outlive its client.
    process::die_with_parent(libc::SIGKILL);
    let programs = candidates(&visit.argv[0], env.get("PATH").map_or("", String::as_str));
    let environment = env
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    Ok((text(programs)?, text(visit.argv.clone())?, text(environment)?))
}

fn become_user(door: &Door, name: &str, env: &mut BTreeMap<String, String>) -> Result<(), Refused> {
    use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
    let user = users::user(Path::new("/"), name)
        .ok_or_else(|| (CANNOT_EXECUTE, format!("{} has no user {name:?}", door.node)))?;
    let groups: Vec<Gid> = user
        .groups
        .iter()
        .copied()
        .chain([user.gid])
        .map(Gid::from_raw)
        .collect();
    setgroups(&groups)
        .and_then(|()| setgid(Gid::from_raw(user.gid)))
        .and_then(|()| setuid(Uid::from_raw(user.uid)))
        .map_err(|errno| (CANNOT_EXECUTE, format!("cannot become {name}: {}", errno.desc())))?;
    if !door.image || !env.contains_key("HOME") {
        env.insert("HOME".to_owned(), user.home);
    }
    if let Some(name) = user.name.filter(|_| !door.image) {
        env.insert("USER".to_owned(), name.clone());
        env.insert("LOGNAME".to_owned(), name);
    }
    Ok(())
}

fn text(words: Vec<String>) -> Result<Vec<CString>, Refused> {
    let strings = words.into_iter().map(CString::new).collect::<Result<_, _>>();
    strings.map_err(|_| {
        (
            CANNOT_EXECUTE,
            "a word of the command has a zero byte in it".to_owned(),
        )
    })
}

/// Where a program may be: as given when it has a slash, else along PATH.
fn candidates(program: &str, path: &str) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    path.split(':')
        .filter(|part| !part.is_empty())
        .map(|part| format!("{part}/{program}"))
        .collect()
}

fn execute(name: &str, programs: &[CString], arguments: &[CString], environment: &[CString]) -> i32 {
    process::forget_signals();
    if let Some(status) = node_tools::run(arguments, false) {
        return status;
    }
    let mut worst = Errno::ENOENT;
    for program in programs {
        match process::execute(program, arguments, environment) {
            Errno::ENOENT | Errno::ENOTDIR => {}
            // A script without a first line is the shell's, as execvp(3) has it.
            Errno::ENOEXEC => return execute_script(program, arguments, environment),
            errno => worst = errno,
        }
    }
    if worst == Errno::ENOENT {
        if let Some(status) = node_tools::run(arguments, true) {
            return status;
        }
        eprintln!("nslab: {name}: command not found");
        if let Some(advice) = node_tools::advice(name) {
            eprintln!("  help: {advice}");
        }
        return NOT_FOUND;
    }
    eprintln!("nslab: {name}: {}", worst.desc());
    CANNOT_EXECUTE
}

fn execute_script(program: &CStr, arguments: &[CString], environment: &[CString]) -> i32 {
    let words: Vec<CString> = [c"sh".to_owned(), program.to_owned()]
        .into_iter()
        .chain(arguments.iter().skip(1).cloned())
        .collect();
    process::execute(c"/bin/sh", &words, environment);
    CANNOT_EXECUTE
}
