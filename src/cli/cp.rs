//! `nslab cp`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::select;
use crate::failure::Failure;
use crate::run::copy::{self, Place};
use crate::run::handover;
use crate::view;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab cp tor0:/etc/frr/frr.conf .\n  \
    sudo nslab cp site/ web:/srv\n\n\
    Directories are copied with all they hold. A target that is a directory gets the source inside.\n\
    Symbolic links below the source are copied as links; one that is itself the source is followed, one that is the\n\
    target on the host is refused. Setuid, setgid and sticky bits are not copied. FIFOs, sockets and devices in a\n\
    directory are left out and told. What is copied to the host belongs to the user who called sudo, takes at most\n\
    15/16 of the free space, and has at most a million files, 200 directories deep.\n\
    Exit codes: 0 all was copied but what is told to be left out, 1 something was not.")]
pub struct Args {
    /// The lab, where several have a node of that name
    #[arg(long, value_name = "LAB")]
    lab: Option<String>,
    /// PATH, or NODE:PATH
    #[arg(value_name = "FROM")]
    from: OsString,
    /// PATH, or NODE:PATH
    #[arg(value_name = "TO")]
    to: OsString,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    let place = |text: &OsStr| -> Result<Place, Failure> {
        let Some((node, path)) = split(text) else {
            return Ok(Place::Host(text.into()));
        };
        let lab = select::lab_of_node(&directory, args.lab.as_deref(), node)?;
        Ok(Place::Node(crate::run::enter::door(&lab, node)?, path.into()))
    };
    let (from, to) = (place(&args.from)?, place(&args.to)?);
    if matches!((&from, &to), (Place::Host(_), Place::Host(_))) {
        return Err(Failure::wrong("neither side is in a node").help("write NODE:PATH for one of them"));
    }
    copy::copy(&from, &to, handover::user(), |line| {
        view::tell(&format!("nslab: {line}\n"))
    })
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
