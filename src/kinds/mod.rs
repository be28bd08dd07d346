//! Kinds of nodes as data: one TOML file each, brought along by nslab, beside a lab, or in the user's configuration. Pure: whoever
//! reads files from the disk hands their texts in.

mod read;
#[cfg(test)]
mod tests;

use crate::lab::Diagnostic;
use crate::lab::definition::{Broken, Definition, Kinds};

pub use read::read;

/// The kinds that nslab plays itself. No file can replace them.
pub const OWN: [&str; 5] = ["host", "router", "bridge", "k8s", "pod"];

/// The files that nslab brings along. A new kind is a file and a line here.
const SHIPPED: &[(&str, &str)] = &[
    ("arista_ceos", include_str!("shipped/arista_ceos.toml")),
    ("bird", include_str!("shipped/bird.toml")),
    ("cisco_xrd", include_str!("shipped/cisco_xrd.toml")),
    ("ext-container", include_str!("shipped/ext-container.toml")),
    ("fdio_vpp", include_str!("shipped/fdio_vpp.toml")),
    ("frr", include_str!("shipped/frr.toml")),
    ("gobgp", include_str!("shipped/gobgp.toml")),
    ("juniper_crpd", include_str!("shipped/juniper_crpd.toml")),
    (
        "keysight_ixia-c-one",
        include_str!("shipped/keysight_ixia-c-one.toml"),
    ),
    ("linux", include_str!("shipped/linux.toml")),
    ("nokia_srlinux", include_str!("shipped/nokia_srlinux.toml")),
    ("nokia_srsim", include_str!("shipped/nokia_srsim.toml")),
    ("openbgpd", include_str!("shipped/openbgpd.toml")),
    ("sonic-vs", include_str!("shipped/sonic-vs.toml")),
    (
        "vyosnetworks_vyos",
        include_str!("shipped/vyosnetworks_vyos.toml"),
    ),
];

/// A kind's file of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub place: String,
    /// What is in it, or why it cannot be read.
    pub text: Result<String, String>,
}

/// The text of the file of a kind that nslab brings along, by any of its names.
pub fn shipped(name: &str) -> Option<&'static str> {
    let direct = SHIPPED.iter().find(|(known, _)| *known == name);
    let by_alias = || {
        let is_called = |text: &str| read(text, None).is_ok_and(|kind| kind.is_called(name));
        SHIPPED.iter().find(|(_, text)| is_called(text))
    };
    direct.or_else(by_alias).map(|(_, text)| *text)
}

/// The kinds of the user's files, nearest first, and those that nslab brings along. Of several with one name the first is meant.
pub fn catalog(files: &[File]) -> Kinds {
    let mut kinds = Kinds::default();
    for file in files {
        let reason = match &file.text {
            Ok(text) => match read(text, Some(&file.place)) {
                Ok(kind) => {
                    add(&mut kinds, kind);
                    continue;
                }
                Err(diagnostics) => first(file, text, &diagnostics),
            },
            Err(reason) => reason.clone(),
        };
        let behind = kinds.known.len();
        kinds.broken.push(broken(file, reason, behind));
    }
    for (_, text) in SHIPPED {
        // A test sees to it that they can be read.
        if let Ok(kind) = read(text, None) {
            add(&mut kinds, kind);
        }
    }
    kinds
}

/// Adds a kind behind those that are nearer. What is left to it of its names are those that none of them has.
fn add(kinds: &mut Kinds, mut kind: Definition) {
    if kinds.known.iter().any(|known| known.is_called(&kind.name)) {
        return;
    }
    let is_free = |alias: &String| kinds.known.iter().all(|known| !known.is_called(alias));
    kind.aliases.retain(is_free);
    kinds.known.push(kind);
}

/// The first error in a file, with its line.
fn first(file: &File, text: &str, diagnostics: &[Diagnostic]) -> String {
    diagnostics.first().map_or_else(String::new, |first| {
        let begin = first.labels.first().map_or(0, |label| label.span.start);
        let before = text.get(..begin).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        format!("{}, line {line}: {}", file.place, first.message)
    })
}

fn broken(file: &File, reason: String, behind: usize) -> Broken {
    Broken {
        place: file.place.clone(),
        name: file.stem(),
        reason,
        behind,
    }
}

impl File {
    /// What the kind is called where the file does not say it.
    pub fn stem(&self) -> String {
        let stem = std::path::Path::new(&self.place).file_stem();
        stem.map_or_else(|| self.place.clone(), |stem| stem.to_string_lossy().into_owned())
    }
}
