//! `nslab validate`.

use std::path::{Path, PathBuf};

use super::import_args::ImportArgs;
use super::{colour, file, imported, manifests, print};
use crate::engine::speaker;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::lab::model::{Kind, Link, LinkShape};
use crate::lab::plan::Engine;
use crate::run::preflight;
use crate::view;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  nslab validate labs/*.toml")]
pub struct Args {
    /// Lab files; files of containerlab, kind and Cilium are one lab together
    #[arg(value_name = "FILE", required_unless_present_any = ["containerlab", "kind"])]
    files: Vec<PathBuf>,
    #[command(flatten)]
    import: ImportArgs,
}

/// Tells which routers have a configuration that the builtin engine, if it is theirs, does not take. Returns whether there
/// are any.
fn report_routers(path: &Path, lab: &Lab) -> bool {
    let auto = preflight::auto_engine();
    let mut wrong = false;
    for node in &lab.nodes {
        let Some(config) = &node.config else { continue };
        let own = node.addresses.iter().map(|it| it.net.addr()).collect();
        if Engine::chosen(node.engine, auto) == Engine::Builtin
            && let Some(complaints) = speaker::complaints(config, &own)
        {
            let mut failure = speaker::refusal(&node.name, complaints);
            failure.message = format!("{}: {}", path.display(), failure.message);
            super::report(&failure);
            wrong = true;
        }
    }
    wrong
}

/// Tells what is wrong beside the lab file itself: in manifests that it names, in configurations of routers. Returns whether
/// anything is.
fn is_wrong(path: &Path, lab: &Lab) -> bool {
    let manifests = manifests::check(&lab.manifests);
    if let Err(failure) = &manifests {
        super::report(failure);
    }
    let routers = report_routers(path, lab);
    manifests.is_err() || routers
}

pub fn run(args: Args) -> Result<(), Failure> {
    let all = args.import.files(&args.files);
    if imported::is_foreign(&all) {
        return one_lab(&args);
    }
    let mut wrong = 0;
    for path in &args.files {
        match file::load(path, colour()) {
            Ok(file) if is_wrong(path, &file.lab) => wrong += 1,
            Ok(file) => {
                print(&summary(path, &file.lab));
            }
            Err(file::Mistaken::Unreadable(failure)) => {
                super::report(&failure);
                wrong += 1;
            }
            Err(file::Mistaken::Wrong(text)) => {
                view::tell_styled(&text);
                wrong += 1;
            }
        }
    }
    match wrong {
        0 => Ok(()),
        1 if args.files.len() == 1 => Err(Failure::wrong("the file is not a lab as it stands")),
        _ => Err(Failure::wrong(format!(
            "{wrong} of {} files are not labs as they stand",
            args.files.len()
        ))),
    }
}

/// Files of other tools, which are one lab together.
fn one_lab(args: &Args) -> Result<(), Failure> {
    let files = args.import.files(&args.files);
    let path = files.first().map_or(Path::new(""), |(path, _)| path);
    match imported::load(&args.files, &args.import, colour()) {
        Ok(file) if is_wrong(path, &file.lab) => Err(Failure::wrong("the files are not a lab as they stand")),
        Ok(file) => {
            print(&summary(path, &file.lab));
            Ok(())
        }
        Err(file::Mistaken::Unreadable(failure)) => Err(failure),
        Err(file::Mistaken::Wrong(text)) => {
            view::tell_styled(&text);
            Err(Failure::wrong("the files are not a lab as they stand"))
        }
    }
}

fn summary(path: &Path, lab: &Lab) -> String {
    let is_pod = |node: usize| lab.nodes[node].kind == Kind::Pod;
    let pods = (0..lab.nodes.len()).filter(|at| is_pod(*at)).count();
    // Those of pods are their nodes' affair, and so is a node's to itself.
    let is_counted = |link: &&Link| match &link.shape {
        LinkShape::Veth(a, b) => a.node != b.node && !is_pod(a.node) && !is_pod(b.node),
        _ => true,
    };
    let (nodes, links) = (
        lab.nodes.len() - pods,
        lab.links.iter().filter(is_counted).count(),
    );
    let pods = match pods {
        0 => String::new(),
        pods => format!("{pods} pods, "),
    };
    format!(
        "{}: lab {}, {nodes} nodes, {pods}{links} links\n",
        path.display(),
        lab.name
    )
}
