//! Commands: `exec`, `run`, and the probes of processes.

use std::collections::{BTreeMap, HashSet};

use super::reader::{Reader, Value, Wrong};
use super::{Spanned, values};
use crate::model::{Command, Exec, Probe, Process, Restart};

const COMMAND: &str = "ip link set eth0 up";
/// The words for when a process is started again.
pub const RESTARTS: &[(&str, Restart)] = &[
    ("no", Restart::No),
    ("on-failure", Restart::OnFailure),
    ("always", Restart::Always),
];

/// An item of `exec`: a string, `{ command, may_fail }` or `{ shell, may_fail }`.
pub(super) fn exec(reader: &mut Reader, value: &Value) -> Option<Exec> {
    let line = reader.line(value.span().start);
    if value.get_ref().is_str() {
        let command = argv(reader, value, "exec")?;
        return Some(Exec {
            command,
            may_fail: false,
            line,
        });
    }
    let mut table = match value.get_ref().is_table() {
        true => reader.table(value, "exec", "exec", "an `exec` entry", value.span())?,
        false => {
            reader.mistyped(
                value,
                "exec",
                "a list of commands",
                &format!("exec = [\"{COMMAND}\"]"),
            );
            return None;
        }
    };
    let command = (table.get("command"), table.get("shell"));
    let may_fail = table
        .get("may_fail")
        .and_then(|value| reader.boolean(value, "may_fail"));
    let span = table.span();
    table.finish(reader);
    Some(Exec {
        command: either(reader, command, "this `exec` entry", span)?,
        may_fail: may_fail.is_some_and(|may_fail| may_fail.value),
        line,
    })
}

/// `run`: what a node runs all the time. A line alone is a process that is named after its program; where several are, the later ones
/// have numbers.
pub(super) fn processes(reader: &mut Reader, value: &Value) -> Option<Vec<Spanned<Process>>> {
    let example = "{ name = \"web\", command = \"…\" }";
    let read = reader.list(value, "run", example, |reader, value| {
        let is_line = value.get_ref().is_str();
        match is_line {
            true => line(reader, value),
            false => process(reader, value),
        }
        .map(|process| (process, is_line))
    })?;
    let given = read.iter().filter(|(_, is_line)| !is_line);
    let mut taken: HashSet<String> = given.map(|(process, _)| process.value.name.clone()).collect();
    let named = read.into_iter().map(|(mut process, is_line)| {
        let own = process.value.name.clone();
        let mut number = 1;
        while is_line && !taken.insert(process.value.name.clone()) {
            number += 1;
            process.value.name = format!("{own}-{number}");
        }
        process
    });
    Some(named.collect())
}

/// A process that is a line alone.
fn line(reader: &mut Reader, value: &Value) -> Option<Spanned<Process>> {
    let Command::Argv(words) = argv(reader, value, "run")? else {
        return None;
    };
    let name = program_name(words.first().map_or("", String::as_str));
    let process = Process {
        restart: Restart::OnFailure,
        ..Process::service(&name, words)
    };
    Some(Spanned::new(process, value.span()))
}

/// What a process is called that nobody has named: its program, as far as that can be a name.
fn program_name(program: &str) -> String {
    let last = program.rsplit('/').next().unwrap_or_default();
    let fit = |c: char| match c.is_ascii_alphanumeric() || "_.-".contains(c) {
        true => c,
        false => '-',
    };
    // Room for a number.
    let name: String = last.chars().map(fit).take(56).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    match name.is_empty() {
        true => "process".to_owned(),
        false => name.to_owned(),
    }
}

/// An item of `run`.
fn process(reader: &mut Reader, value: &Value) -> Option<Spanned<Process>> {
    let mut table = reader.table(value, "run", "run", "a process", value.span())?;
    let name = match table.get("name") {
        Some(value) => reader.parsed(value, "name", "web", process_name),
        None => {
            reader.missing(&table, "name", "name = \"web\"");
            None
        }
    };
    let command = (table.get("command"), table.get("shell"));
    let restart = table
        .get("restart")
        .and_then(|value| reader.word(value, "restart", RESTARTS));
    let ready = table.get("ready").and_then(|value| probe(reader, value));
    let user = table
        .get("user")
        .and_then(|value| reader.parsed(value, "user", "nobody", values::user_and_group));
    let may_fail = table
        .get("may_fail")
        .and_then(|value| reader.boolean(value, "may_fail"));
    let terminal = table
        .get("terminal")
        .and_then(|value| reader.boolean(value, "terminal"));
    let workdir = table
        .get("workdir")
        .and_then(|value| reader.parsed(value, "workdir", "/srv", workdir));
    let env = table
        .get("env")
        .map(|value| env(reader, value))
        .unwrap_or_default();
    let span = table.span();
    table.finish(reader);
    let command = either(reader, command, "this process", span);
    let name = name?;
    let process = Process {
        name: name.value,
        command: command?,
        restart: restart.map_or(Restart::OnFailure, |restart| restart.value),
        ready,
        user: user.map(|user| user.value),
        workdir: workdir.map(|workdir| workdir.value),
        terminal: terminal.is_some_and(|terminal| terminal.value),
        may_fail: may_fail.is_some_and(|may_fail| may_fail.value),
        env: env.into_iter().map(|(name, value)| (name, value.value)).collect(),
    };
    Some(Spanned::new(process, name.span))
}

/// Environment variables by name.
pub(super) fn env(reader: &mut Reader, value: &Value) -> BTreeMap<String, Spanned<String>> {
    strings(reader, value, "env", "env = { MODE = \"lab\" }", values::env_name)
}

/// A table of strings (or numbers, taken as they are written) under names of a certain form.
pub(super) fn strings(
    reader: &mut Reader,
    value: &Value,
    key: &str,
    example: &str,
    name_form: impl Fn(&str) -> Result<(), Wrong>,
) -> BTreeMap<String, Spanned<String>> {
    let mut strings = BTreeMap::new();
    for (name, value) in reader.map(value, key, example) {
        if let Err(wrong) = name_form(name.value) {
            reader.wrong(name.span, wrong);
            continue;
        }
        if let Some(text) = scalar(reader, value, name.value) {
            strings.insert(name.value.to_owned(), text);
        }
    }
    strings
}

/// A string, or a number or truth value as it is written.
pub(super) fn scalar(reader: &mut Reader, value: &Value, key: &str) -> Option<Spanned<String>> {
    use toml::de::DeValue;
    let text = match value.get_ref() {
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        _ => return reader.string(value, key, "1"),
    };
    Some(Spanned::new(text, value.span()))
}

/// `command` or `shell`, but not both.
fn either(
    reader: &mut Reader,
    (command, shell): (Option<&Value>, Option<&Value>),
    what: &str,
    span: super::Span,
) -> Option<Command> {
    match (command, shell) {
        (Some(command), None) => argv(reader, command, "command"),
        (None, Some(shell)) => shell_line(reader, shell),
        (Some(_), Some(shell)) => {
            reader.wrong(
                shell.span(),
                Wrong::new(
                    format!("{what} has both `command` and `shell`"),
                    "keep one of them",
                ),
            );
            None
        }
        (None, None) => {
            let help = format!(
                "add `command = \"{COMMAND}\"`, or `shell = \"…\"` for a line with pipes and the like"
            );
            reader.wrong(
                span,
                Wrong::new(format!("{what} has neither `command` nor `shell`"), help),
            );
            None
        }
    }
}

/// A command split into its words as a shell would, with no more of a shell than that.
pub(super) fn argv(reader: &mut Reader, value: &Value, key: &str) -> Option<Command> {
    let words = reader.parsed(value, key, COMMAND, |text| match shell_words::split(text) {
        Ok(words) if words.first().is_none_or(String::is_empty) => Err(Wrong::new(
            "the command is empty",
            format!("write a command: `{COMMAND}`"),
        )),
        Ok(words) => Ok(words),
        Err(_) => Err(Wrong::new(
            "a quote is opened and not closed",
            "close it, or put a backslash before it",
        )),
    })?;
    Some(Command::Argv(words.value))
}

/// A line for `sh -c`.
pub(super) fn shell_line(reader: &mut Reader, value: &Value) -> Option<Command> {
    let line = reader.parsed(value, "shell", COMMAND, |text| match text.trim().is_empty() {
        true => Err(Wrong::new(
            "the command is empty",
            format!("write a command: `{COMMAND}`"),
        )),
        false => Ok(text.to_owned()),
    })?;
    Some(Command::Shell(line.value))
}

/// `{ tcp = 80 }`, `{ file = "/run/x" }` or `{ exec = "true" }`.
pub(super) fn probe(reader: &mut Reader, value: &Value) -> Option<Probe> {
    let mut table = reader.table(value, "ready", "ready", "`ready`", value.span())?;
    let (tcp, file, exec) = (table.get("tcp"), table.get("file"), table.get("exec"));
    let span = table.span();
    table.finish(reader);
    let given = [tcp, file, exec].iter().flatten().count();
    if given != 1 {
        let message = match given {
            0 => "`ready` says nothing",
            _ => "`ready` says more than one thing",
        };
        let help = "give one of `tcp = 80`, `file = \"/run/web.pid\"` and `exec = \"true\"`";
        reader.wrong(span, Wrong::new(message, help));
        return None;
    }
    let tcp = tcp.and_then(|value| reader.integer(value, "tcp", 1..=65535));
    let file = file.and_then(|value| reader.parsed(value, "file", "/run/web.pid", values::node_path));
    let exec = exec.and_then(|value| argv(reader, value, "exec"));
    tcp.map(|port| Probe::Tcp(port.value))
        .or(file.map(|path| Probe::File(path.value)))
        .or(exec.map(Probe::Exec))
}

/// The name of a process, which names its log.
fn process_name(text: &str) -> Result<String, Wrong> {
    let good = text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c));
    if good {
        return Ok(text.into());
    }
    Err(Wrong::new(
        format!("`{}` cannot be the name of a process", text.escape_debug()),
        "use at most 63 letters, digits, `.`, `_` and `-`: `web`",
    ))
}

/// Where a process starts: as [`values::node_path`], but the root directory is fine.
pub(super) fn workdir(text: &str) -> Result<String, Wrong> {
    match text {
        "/" => Ok(text.into()),
        _ => values::node_path(text),
    }
}
