//! Steps that do something to nodes and what runs in them.

use super::{names, plain};
use crate::file::command::{argv, shell_line};
use crate::file::reader::{Reader, Table, Value, Wrong};
use crate::scenario::Step;

const KILL: i32 = nix::libc::SIGKILL;

pub(super) fn kill(reader: &mut Reader, value: &Value, table: &mut Table) -> Option<Step> {
    let nodes = names(reader, value, "kill", "leaf0");
    let process = match table.get("process") {
        Some(value) => Some(reader.parsed(value, "process", "bgpd", program)?.value),
        None => None,
    };
    let signal = match table.get("signal") {
        Some(value) => reader.parsed(value, "signal", "TERM", signal).map(|it| it.value),
        None => Some(KILL),
    };
    Some(Step::Kill {
        nodes: plain(nodes?),
        process,
        signal: signal?,
    })
}

pub(super) fn restart(reader: &mut Reader, value: &Value, _: &mut Table) -> Option<Step> {
    Some(Step::Restart(plain(names(reader, value, "restart", "leaf0")?)))
}

pub(super) fn stop(reader: &mut Reader, value: &Value, _: &mut Table) -> Option<Step> {
    Some(Step::Stop(plain(names(reader, value, "stop", "leaf0")?)))
}

pub(super) fn go_on(reader: &mut Reader, value: &Value, _: &mut Table) -> Option<Step> {
    Some(Step::Continue(plain(names(reader, value, "continue", "leaf0")?)))
}

pub(super) fn exec(reader: &mut Reader, value: &Value, table: &mut Table) -> Option<Step> {
    let nodes = names(reader, value, "exec", "leaf0");
    let command = match (table.get("run"), table.get("shell")) {
        (Some(run), None) => argv(reader, run, "run"),
        (None, Some(shell)) => shell_line(reader, shell),
        (Some(_), Some(shell)) => {
            let wrong = Wrong::new("the step runs both `run` and `shell`", "keep one of them");
            reader.wrong(shell.span(), wrong);
            None
        }
        (None, None) => {
            reader.missing(table, "run", "run = \"vtysh -c 'clear bgp *'\"");
            None
        }
    };
    let may_fail = table
        .get("may_fail")
        .and_then(|value| reader.boolean(value, "may_fail"));
    Some(Step::Exec {
        nodes: plain(nodes?),
        command: command?,
        may_fail: may_fail.is_some_and(|may_fail| may_fail.value),
    })
}

/// A program's name as the kernel keeps it (`comm`, at most 15 bytes).
fn program(text: &str) -> Result<String, Wrong> {
    let is_name = !text.is_empty() && text.len() <= 15 && !text.contains(['/', '\n']);
    match is_name {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(
            format!("`{}` is not the name of a process", text.escape_debug()),
            "give the name that `ps -o comm` shows, of at most 15 bytes: `process = \"bgpd\"`",
        )),
    }
}

/// A signal by its name, with or without `SIG`, or by its number.
fn signal(text: &str) -> Result<i32, Wrong> {
    let name = format!("SIG{}", text.strip_prefix("SIG").unwrap_or(text));
    let number = text
        .parse::<i32>()
        .ok()
        .filter(|number| (1..=64).contains(number));
    let named = || name.parse::<nix::sys::signal::Signal>().ok().map(|it| it as i32);
    number.or_else(named).ok_or_else(|| {
        Wrong::new(
            format!("there is no signal `{}`", text.escape_debug()),
            "name one as in signal(7): `KILL`, `TERM`, `HUP`, or give its number",
        )
    })
}
