//! `nslab cp`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::complete;
use super::select;
use crate::clean;
use crate::failure::Failure;
use crate::run::copy::{self, Place};
use crate::run::enter::Door;
use crate::run::user_files;
use crate::view::{self, terminal};

/// Bytes that are taken of a file that has no size, like those of /proc.
const SIZELESS: u64 = 64 << 20;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab cp tor0:/etc/frr/frr.conf .\n  \
    sudo nslab cp site/ web:/srv\n  sudo nslab cp web:/etc/hosts -          to standard output\n  \
    generate | sudo nslab cp - web:/srv/file\n\n\
    Directories are copied with all they hold. A target that is a directory gets the source inside.\n\
    Symbolic links below the source are copied as links; one that is itself the source is followed, one that is the\n\
    target on the host is refused. Setuid, setgid and sticky bits are not copied. FIFOs, sockets and devices in a\n\
    directory are left out and told. What is copied to the host belongs to the user who called sudo, takes at most\n\
    15/16 of the free space, and has at most a million files, 200 directories deep.\n\
    Exit codes: 0 all was copied but what is told to be left out, 1 something was not.")]
pub struct Args {
    /// The lab, where several have a node of that name
    #[arg(long, value_name = "LAB", add = complete::labs())]
    lab: Option<String>,
    /// PATH, NODE:PATH, or - for what standard input holds
    #[arg(value_name = "FROM", add = complete::places())]
    from: OsString,
    /// PATH, NODE:PATH, or - for a file to go to standard output
    #[arg(value_name = "TO", add = complete::places())]
    to: OsString,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    let place = |text: &OsStr| -> Result<Place, Failure> {
        let Some((node, path)) = split(text) else {
            return Ok(Place::Host(text.into()));
        };
        let lab = select::lab_of_node(&directory, args.lab.as_deref(), node)?;
        Ok(Place::Node(
            Box::new(crate::run::enter::door(&lab, node)?),
            path.into(),
        ))
    };
    let (from, to) = (place(&args.from)?, place(&args.to)?);
    match (&from, &to) {
        (Place::Node(door, path), Place::Host(to)) if is_stream(to) => return print(door, path),
        (Place::Host(from), Place::Node(..)) if is_stream(from) => return take(&to),
        _ => {}
    }
    if matches!((&from, &to), (Place::Host(_), Place::Host(_))) {
        return Err(Failure::wrong("neither side is in a node").help("write NODE:PATH for one of them"));
    }
    copy::copy(&from, &to, user_files::user(), |line| {
        view::tell(&format!("nslab: {line}\n"))
    })
}

fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

/// Writes a file of a node's to standard output, as long as it is now.
fn print(door: &Door, path: &Path) -> Result<(), Failure> {
    let name = format!("{}:{}", door.node, clean::path(path));
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => Failure::not_ready(format!("there is no {name}")),
        ErrorKind::InvalidInput => Failure::not_ready(format!("{name} is not a file")).help(format!(
            "`nslab exec {} tar -c {}` writes a directory",
            door.node,
            clean::path(path)
        )),
        _ => Failure::not_ready(format!("cannot read {name}: {error}")),
    };
    let file = door.root().and_then(|root| root.open(path)).map_err(failed)?;
    let length = match file.metadata().map_err(failed)?.len() {
        0 => SIZELESS,
        length => length,
    };
    let copied = io::copy(&mut file.take(length), &mut io::stdout().lock());
    // A reader that has gone wants no more; only the exit code tells.
    match terminal::note(copied) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::not_ready(format!(
            "{name} was not copied whole: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Copies what standard input holds to a file of a node's.
fn take(to: &Place) -> Result<(), Failure> {
    let directory = std::env::temp_dir().join(format!("nslab-cp-{}", std::process::id()));
    let failed =
        |error: io::Error| Failure::host(format!("cannot keep standard input for a moment: {error}"));
    // One that is there already is somebody else's.
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&directory)
        .map_err(failed)?;
    let whole = directory.join("stdin");
    let kept = File::create(&whole).and_then(|mut file| io::copy(&mut io::stdin().lock(), &mut file));
    let copied = kept.map_err(failed).and_then(|_| {
        copy::copy(&Place::Host(whole), to, None, |line| {
            view::tell(&format!("nslab: {line}\n"))
        })
    });
    let removed = fs::remove_dir_all(&directory).map_err(failed);
    copied.and(removed)
}

/// `NODE:PATH` or `NODE/POD:PATH`. What else has a slash or a dot first before the colon is a path of the host's, as is one
/// that is there.
fn split(text: &OsStr) -> Option<(&str, &OsStr)> {
    let bytes = text.as_bytes();
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let (node, path) = (&bytes[..colon], &bytes[colon + 1..]);
    let node = std::str::from_utf8(node).ok()?;
    let is_name = |part: &str| !part.is_empty() && !part.contains('/') && !part.starts_with('.');
    let is_node = match node.split_once('/') {
        Some((node, pod)) => is_name(node) && is_name(pod) && !Path::new(text).exists(),
        None => is_name(node),
    };
    is_node.then_some((node, OsStr::from_bytes(path)))
}
