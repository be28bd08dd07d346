//! `nslab validate`.

use std::path::{Path, PathBuf};

use super::import_args::ImportArgs;
use super::{color, complete, config_review, file, imported, manifests, print};
use crate::engine::{self, Engine as _};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::lab::engines::Engine;
use crate::lab::model::{Kind, Link, LinkShape};
use crate::run::needs;
use crate::view::{self, units};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nslab validate labs/*.toml\n  \
    nslab validate topo.clab.yml cluster.yaml policy.yaml    one lab of several files\n  \
    nslab validate *.clab.yml                                several labs, each of its own file\n\n\
    Where FRR is installed, its `vtysh --dryrun` is asked about the configurations of routers that run it.")]
pub struct Args {
    /// Lab files, or files of containerlab, kind and Cilium: with one topology among them they are one lab together
    #[arg(value_name = "FILE", add = complete::files(), required_unless_present_any = ["topo", "containerlab", "kind"])]
    files: Vec<PathBuf>,
    #[command(flatten)]
    import: ImportArgs,
}

/// Tells which routers have a configuration that their engine does not take. Returns whether there are any.
fn report_routers(path: &Path, lab: &Lab) -> bool {
    let auto = engine::auto();
    let (mut wrong, mut unasked) = (false, Vec::new());
    for node in &lab.nodes {
        let Some(config) = &node.config else { continue };
        match Engine::chosen(node.engine, auto).judge(node, config) {
            Ok(true) => {}
            Ok(false) => unasked.push(node.name.as_str()),
            Err(mut failure) => {
                failure.message = format!("{}: {}", path.display(), failure.message);
                super::report(&failure);
                wrong = true;
            }
        }
    }
    if !unasked.is_empty() {
        let names = unasked.join(", ");
        view::tell(&format!(
            "note: FRR is not installed here, so nothing looks at the configuration of {names}\n"
        ));
    }
    wrong
}

/// Tells what is wrong beside the lab file itself: in manifests that it names, in configurations of routers. Returns whether
/// anything is.
fn is_wrong(path: &Path, lab: &Lab) -> bool {
    // The file is right; another host may have it.
    for lack in needs::lacks(lab).into_iter().chain(lab.odd_interfaces()) {
        view::tell(&format!("note: {lack}\n"));
    }
    let manifests = manifests::judge(&lab.manifests);
    if let Err(failure) = &manifests {
        super::report(failure);
    }
    let routers = report_routers(path, lab);
    let review = config_review::review(lab, path);
    review.tell();
    let lossy = review.refusal();
    if let Some(failure) = &lossy {
        super::report(failure);
    }
    manifests.is_err() || routers || lossy.is_some()
}

pub fn run(args: Args) -> Result<(), Failure> {
    let all = args.import.files(&args.files);
    let plain: Vec<PathBuf> = args.files.iter().chain(&args.import.topo).cloned().collect();
    if imported::is_foreign(&all) && (all.len() > plain.len() || !imported::are_labs_of_their_own(&plain)) {
        return one_lab(&args);
    }
    let alone = ImportArgs {
        topo: Vec::new(),
        ..args.import.clone()
    };
    let mut wrong = 0;
    for path in &plain {
        match imported::load(std::slice::from_ref(path), &alone, color()) {
            Ok(file) if is_wrong(path, &file.lab) => wrong += 1,
            Ok(file) => {
                print(&summary(path, &file.lab));
            }
            Err(file::LoadError::Unreadable(failure)) => {
                super::report(&failure);
                wrong += 1;
            }
            Err(file::LoadError::Wrong(text)) => {
                view::tell_styled(&text);
                // What its engines say of its routers is another kind of error, and is told as well.
                if !imported::is_foreign(&[(path.clone(), None)])
                    && let Some(lab) = file::load_partly(path)
                {
                    report_routers(path, &lab);
                }
                wrong += 1;
            }
        }
    }
    match wrong {
        0 => Ok(()),
        1 if plain.len() == 1 => Err(Failure::wrong("the file is not a lab as it stands")),
        _ => Err(Failure::wrong(format!(
            "{wrong} of {} files are not labs as they stand",
            plain.len()
        ))),
    }
}

/// Files of other tools, which are one lab together.
fn one_lab(args: &Args) -> Result<(), Failure> {
    let files = args.import.files(&args.files);
    let path = files.first().map_or(Path::new(""), |(path, _)| path);
    match imported::load(&args.files, &args.import, color()) {
        Ok(file) if is_wrong(path, &file.lab) => Err(Failure::wrong("the files are not a lab as they stand")),
        Ok(file) => {
            print(&summary(path, &file.lab));
            Ok(())
        }
        Err(file::LoadError::Unreadable(failure)) => Err(failure),
        Err(file::LoadError::Wrong(text)) => {
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
        pods => format!("{}, ", units::count(pods, "pod")),
    };
    let (nodes, links) = (units::count(nodes, "node"), units::count(links, "link"));
    format!("{}: lab {}, {nodes}, {pods}{links}\n", path.display(), lab.name)
}
