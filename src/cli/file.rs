//! Lab files from the disk, and what they refer to.

use std::fs;
use std::io::{self, ErrorKind, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use crate::failure::Failure;
use crate::kernel::file;
use crate::kernel::tree::Kind;
use crate::kinds;
use crate::lab::definition::Kinds;
use crate::lab::sources::{Entry, Sources, is_yaml};
use crate::lab::{Diagnostic, Lab, resolve};
use crate::view;

/// No lab file of people's making is longer.
pub const LONGEST: u64 = 16 << 20;
/// No more files of a directory are looked through.
const MOST_BESIDE: usize = 100;
/// No more files of kinds are read of one directory.
const MOST_KINDS: usize = 100;
/// Files of people's making are shorter, in bytes; others are not read once more.
const ORDINARY: usize = 1 << 18;
/// How long the other end of a pipe may take to write one.
const PATIENCE: Duration = Duration::from_secs(10);

/// A lab file that was read.
pub struct LabFile {
    /// Its path, absolute.
    pub path: PathBuf,
    /// What it means.
    pub lab: Lab,
}

/// Why a lab file is no good.
pub enum LoadError {
    /// It could not be read.
    Unreadable(Failure),
    /// What is wrong with it, rendered for the terminal.
    Wrong(String),
}

impl LoadError {
    /// Prints what is wrong; what is left to say is the failure.
    pub fn into_failure(self, path: &Path) -> Failure {
        match self {
            LoadError::Unreadable(failure) => failure,
            LoadError::Wrong(text) => {
                view::tell_styled(&text);
                Failure::wrong(format!(
                    "{} cannot be used as it is; nothing was made",
                    path.display()
                ))
            }
        }
    }
}

/// Reads and resolves a lab file.
///
/// # Errors
/// It cannot be read, or has errors.
pub fn load(path: &Path, color: bool) -> Result<LabFile, LoadError> {
    let text = read(path).map_err(|message| LoadError::Unreadable(Failure::wrong(message)))?;
    let absolute = absolute(path);
    let render = |diagnostics: Vec<Diagnostic>| {
        LoadError::Wrong(view::diagnostics::render(
            &path.display().to_string(),
            &text,
            &diagnostics,
            color,
        ))
    };
    let lab = resolve::load(&text, &Disk::beside(path)).map_err(render)?;
    Ok(LabFile { path: absolute, lab })
}

/// What of a lab file with errors can be looked at for more of them.
pub fn load_partly(path: &Path) -> Option<Lab> {
    let text = read(path).ok().filter(|text| text.len() < ORDINARY)?;
    Some(resolve::load_partly(&text, &Disk::beside(path)))
}

/// The text of a file, of what somebody writes into a pipe, or (`-`) of standard input.
///
/// # Errors
/// A sentence for the user: there is none, it is too long or has no end, it is no text.
pub fn read(path: &Path) -> Result<String, String> {
    if is_standard_input(path) {
        return standard_input();
    }
    read_of(path, &[Kind::File, Kind::Fifo])
}

/// The text of a regular file.
///
/// # Errors
/// As of [`read`]; it is something else.
pub fn read_regular(path: &Path) -> Result<String, String> {
    read_of(path, &[Kind::File])
}

fn read_of(path: &Path, kinds: &[Kind]) -> Result<String, String> {
    let shown = path.display();
    let file = file::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("there is no file {shown}"),
        // Sockets cannot be opened at all.
        _ if std::fs::metadata(path).is_ok_and(|it| file::kind(&it) == Kind::Socket) => {
            format!("{shown} is a socket, not a file")
        }
        _ => format!("cannot open {shown}: {error}"),
    })?;
    let metadata = file
        .metadata()
        .map_err(|error| format!("cannot look at {shown}: {error}"))?;
    let kind = file::kind(&metadata);
    if !kinds.contains(&kind) {
        return Err(format!("{shown} is {}, not a file", kind.words()));
    }
    let bytes = file::read(&file, LONGEST, PATIENCE).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => format!("{shown} is longer than {} MiB", LONGEST >> 20),
        ErrorKind::TimedOut => format!(
            "{shown} is a pipe, and what is written to it did not end within {} s",
            PATIENCE.as_secs()
        ),
        _ => format!("cannot read {shown}: {error}"),
    })?;
    String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8 text"))
}

/// Whether a path means standard input.
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// What standard input holds. It is read once, however often it is asked for.
///
/// # Errors
/// A sentence for the user: somebody would have to type it, it is too long, it is no text.
pub fn standard_input() -> Result<String, String> {
    static TEXT: OnceLock<Result<String, String>> = OnceLock::new();
    let read = || match io::stdin().is_terminal() {
        true => Err("standard input is a terminal: give a file, or write one into nslab's input".to_owned()),
        false => text(io::stdin().lock(), "standard input"),
    };
    TEXT.get_or_init(read).clone()
}

/// The absolute path of a lab file; `-` stays what it is.
pub fn absolute(path: &Path) -> PathBuf {
    match is_standard_input(path) {
        true => path.to_owned(),
        false => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

/// All that can be read, as text.
///
/// # Errors
/// A sentence for the user: it is too long, it is no text.
pub fn text(input: impl Read, shown: &str) -> Result<String, String> {
    let bytes = file::read_within(input, LONGEST).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => format!("{shown} is longer than {} MiB", LONGEST >> 20),
        _ => format!("cannot read {shown}: {error}"),
    })?;
    String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8 text"))
}

/// The files beside a lab file.
pub struct Disk {
    base: PathBuf,
}

impl Disk {
    /// The files beside this one.
    pub fn beside(path: &Path) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let base = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        Disk { base }
    }

    /// The directory that they are in, absolute.
    pub fn base(&self) -> &Path {
        &self.base
    }
}

impl Sources for Disk {
    fn locate(&self, path: &Path) -> PathBuf {
        let joined = self.base.join(path);
        fs::canonicalize(&joined).unwrap_or(joined)
    }

    fn entry(&self, path: &Path) -> Result<Entry, String> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(match file::kind(&metadata) {
                Kind::Directory => Entry::Directory,
                Kind::File => Entry::File,
                other => Entry::Special(other.words()),
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(format!("there is no {}", path.display()))
            }
            Err(error) => Err(format!("cannot look at {}: {error}", path.display())),
        }
    }

    fn text(&self, path: &Path) -> Result<String, String> {
        read(path)
    }

    fn beside(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.base).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names
            .filter(|name| is_yaml(Path::new(name)))
            .take(MOST_BESIDE)
            .collect();
        names.sort();
        names
    }

    fn kinds(&self) -> Kinds {
        kinds::catalog(&kind_files(&self.base))
    }
}

/// The directory of kinds' files beside a lab file, and in the configuration's directories.
const KINDS: &str = "kinds";

/// The files of kinds that labs in a directory can use, nearest first, also those that cannot be read.
pub fn kind_files(base: &Path) -> Vec<kinds::File> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|it| !it.is_empty())
            .map(PathBuf::from)
    };
    let home = || Some(variable("HOME")?.join(".config"));
    let own = variable("XDG_CONFIG_HOME").or_else(home);
    let configured = own.into_iter().chain([PathBuf::from("/etc")]);
    let configured = configured.map(|directory| directory.join("nslab").join(KINDS));
    let directories = [base.join(KINDS)].into_iter().chain(configured);
    directories.flat_map(|directory| toml_files(&directory)).collect()
}

fn toml_files(directory: &Path) -> Vec<kinds::File> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .take(MOST_KINDS)
        .collect();
    paths.sort();
    let read = paths.iter().map(|path| kinds::File {
        place: path.display().to_string(),
        text: read_regular(path),
    });
    read.collect()
}
