//! `nslab apply` and `nslab delete`.

use std::path::PathBuf;

use super::{Format, complete, manifests, print, print_json, select};
use crate::failure::Failure;
use crate::run::client::Client;
use crate::run::protocol::{Reply, Request};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sudo nslab apply -f bgp-policy.yaml\n  \
    cat policy.yaml | sudo nslab apply -f -\n  \
    sudo nslab apply                            what the lab file names, after `up --hold-manifests`\n\n\
    All objects are looked at before any is applied; the command returns once the nodes obey.")]
pub struct Args {
    /// Manifests, directories of them, or - for standard input; none for those the lab file names
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The lab, where several are running
    #[arg(long, value_name = "LAB", add = complete::labs())]
    lab: Option<String>,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sudo nslab delete -f bgp-policy.yaml")]
pub struct DeleteArgs {
    /// Manifests that name the objects, directories of them, or - for standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Objects that are not there are no failure
    #[arg(long)]
    ignore_not_found: bool,
    /// The lab, where several are running
    #[arg(long, value_name = "LAB", add = complete::labs())]
    lab: Option<String>,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let manifests = manifests::load(&args.files)?;
    change(
        args.lab.as_deref(),
        args.format,
        true,
        &Request::Apply { manifests },
    )
}

pub fn delete(args: DeleteArgs) -> Result<(), Failure> {
    let manifests = manifests::load(&args.files)?;
    let request = Request::Delete { manifests };
    change(args.lab.as_deref(), args.format, args.ignore_not_found, &request)
}

fn change(
    lab: Option<&str>,
    format: Format,
    ignore_not_found: bool,
    request: &Request,
) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    let lab = select::lab(&directory, lab)?;
    let (Reply::Changed(mut changed), _) = Client::connect(&lab)?.ask(request)? else {
        return Err(Failure::host("the supervisor speaks another version of nslab"));
    };
    if ignore_not_found {
        changed.lines.retain(|line| !line.starts_with("Error "));
        changed.missing = false;
    }
    match format {
        Format::Json => print_json(&changed)?,
        Format::Text => {
            for warning in &changed.warnings {
                crate::view::tell(&format!("Warning: {warning}\n"));
            }
            print(
                &changed
                    .lines
                    .iter()
                    .map(|line| format!("{line}\n"))
                    .collect::<String>(),
            );
        }
    }
    if changed.missing {
        let failure = Failure::not_ready("not all of these objects were there");
        return Err(failure.help("`--ignore-not-found` takes that for no failure"));
    }
    Ok(())
}
