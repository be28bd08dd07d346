//! `nslab kinds`.

use std::path::Path;

use serde::Serialize;

use super::file::kind_files;
use super::{Format, color, print, print_json};
use crate::failure::Failure;
use crate::kinds::{self, File};
use crate::lab::file::suggest;
use crate::view::{self, table};

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  nslab kinds\n  nslab kinds show nokia_srlinux\n  \
    nslab kinds show nokia_srlinux > kinds/my_srlinux.toml    a kind of one's own, beside the lab file\n\n\
    Kinds stand in files: beside a lab file in kinds/*.toml, in ~/.config/nslab/kinds, in /etc/nslab/kinds, and in nslab itself. The\n\
    nearest of a name is meant."
)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// How the list is printed
    #[arg(short, long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Print the file of a kind
    Show {
        /// Its name, or another name of it
        #[arg(value_name = "KIND")]
        kind: String,
    },
}

/// A kind, as the list has it.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    aliases: &'a [String],
    summary: &'a str,
    /// The file that says it; none of those that nslab brings along.
    file: Option<&'a str>,
    /// What is wrong with it.
    diagnostic: Option<&'a str>,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let files = kind_files(Path::new("."));
    match args.verb {
        Some(Verb::Show { kind }) => show(&files, &kind),
        None => list(&files, args.format),
    }
}

fn list(files: &[File], format: Format) -> Result<(), Failure> {
    let kinds = kinds::catalog(files);
    let known = kinds.known.iter().map(|kind| Listed {
        name: &kind.name,
        aliases: &kind.aliases,
        summary: &kind.summary,
        file: kind.place.as_deref(),
        diagnostic: None,
    });
    let broken = kinds.broken.iter().map(|broken| Listed {
        name: &broken.name,
        aliases: &[],
        summary: "",
        file: Some(&broken.place),
        diagnostic: Some(&broken.reason),
    });
    let mut all: Vec<Listed> = known.chain(broken).collect();
    all.sort_by_key(|kind| kind.name);
    if format == Format::Json {
        return print_json(&all);
    }
    let mut rows = table::table(&["KIND", "ALSO", "WHAT IT IS", "FILE"]);
    for kind in &all {
        let what = match kind.diagnostic {
            Some(reason) => format!("cannot be used: {reason}"),
            None => kind.summary.to_owned(),
        };
        rows.add_row([
            kind.name,
            match kind.aliases.join(", ").as_str() {
                "" => "-",
                aliases => aliases,
            },
            &what,
            kind.file.unwrap_or("-"),
        ]);
    }
    print(&table::render(&mut rows));
    Ok(())
}

fn show(files: &[File], name: &str) -> Result<(), Failure> {
    for file in files {
        let text = match &file.text {
            Ok(text) => text,
            Err(reason) if file.stem() == name => return Err(Failure::wrong(reason)),
            Err(_) => continue,
        };
        match kinds::read(text, Some(&file.place)) {
            Ok(kind) if kind.is_called(name) => {
                print(text);
                return Ok(());
            }
            Err(diagnostics) if file.stem() == name => {
                view::tell_styled(&view::diagnostics::render(
                    &file.place,
                    text,
                    &diagnostics,
                    color(),
                ));
                return Err(Failure::wrong(format!("{} cannot be used as it is", file.place)));
            }
            _ => {}
        }
    }
    if let Some(text) = kinds::shipped(name) {
        print(text);
        return Ok(());
    }
    if kinds::OWN.contains(&name) {
        let message = format!("`{name}` is a kind that nslab plays itself, and in no file");
        return Err(Failure::wrong(message).help("`nslab schema --markdown` says what such nodes can have"));
    }
    let known = kinds::catalog(files);
    let help = suggest::cure(name, known.names(), "there are", "");
    Err(Failure::wrong(format!("there is no kind `{}`", name.escape_debug())).help(help))
}
