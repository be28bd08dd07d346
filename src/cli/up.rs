//! `nslab up`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::info_span;

use super::file::LabFile;
use super::import_args::ImportArgs;
use super::{
    Format, color, complete, config_review, engine, image_lock, imported, manifests, print, print_json,
    report,
};
use crate::engine::Engine as _;
use crate::failure::Failure;
use crate::image::store::Store;
use crate::kernel::rootless::is_rootless;
use crate::lab::engines::Engine;
use crate::lab::links::hide;
use crate::lab::model::{Kind, Node};
use crate::lab::plan::{NodeStep, Plan};
use crate::lab::{Lab, planner};
use crate::run::directory::{self, LabDirectory, Life, RunDirectory};
use crate::run::events::{Event, What};
use crate::run::images;
use crate::run::launch::{Launch, LaunchEvent, Launched, launch};
use crate::run::{client, modules, netns_names, preflight, rootless, trust, user_files};
use crate::trace::{self, Spans, Telling};
use crate::view::image::ImageProgress;
use crate::view::progress::Progress;
use crate::view::{self, plan};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sudo nslab up labs/quickstart.toml            in the foreground, until Ctrl-C\n  \
    sudo nslab up -d labs/cilium-bgp.toml         in the background, until `nslab down`\n  \
    nslab up --dry-run labs/quickstart.toml       print the plan, make nothing\n  \
    sudo nslab up topo.yaml cluster.yaml          from files of containerlab, kind and Cilium\n  \
    generate | sudo nslab up -d -                 from standard input\n  \
    sudo nslab up -d --trace up.json lab.toml     say where the time goes")]
pub struct Args {
    /// The lab file, or files of containerlab, kind and Cilium that are one lab together; - is standard input
    #[arg(value_name = "FILE", add = complete::files(), required_unless_present_any = ["topo", "containerlab", "kind"])]
    files: Vec<PathBuf>,
    #[command(flatten)]
    import: ImportArgs,
    /// Return when the lab is ready, and let it live in the background
    #[arg(short, long)]
    detach: bool,
    /// Which program plays routers and Kubernetes nodes, whatever the file says; may be repeated, each for what it can play
    #[arg(long, value_parser = engine::described(), value_name = "ENGINE")]
    engine: Vec<String>,
    /// Replace a running lab of the same name
    #[arg(long)]
    reconfigure: bool,
    /// Leave the manifests that the lab file names to `nslab apply`
    #[arg(long)]
    hold_manifests: bool,
    /// Go on without the lines of routers' configurations that the builtin engine does not take
    #[arg(long)]
    lossy: bool,
    /// Print what would be made, and make nothing
    #[arg(long)]
    dry_run: bool,
    /// How long the lab may take to be ready, such as 90s or 5m; 2m, or as long as kinds of its nodes may take, where nothing is said
    #[arg(long, value_name = "TIME", value_parser = super::values::duration)]
    timeout: Option<Duration>,
    /// Put symbolic links to the nodes' network namespaces at /run/netns/LAB-NODE, for `ip netns`
    #[arg(long)]
    named: bool,
    /// Write where the time until the lab is ready went, as a trace for Chrome (chrome://tracing) and Perfetto
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    trace: Option<PathBuf>,
    /// How much memory the lab's timeline may have, such as 64M or 512K; 0 keeps none
    #[arg(long, value_name = "SIZE", default_value = "32M", value_parser = super::values::timeline)]
    timeline: u64,
    /// How progress (or the plan) is printed; json prints one event a line
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// How long a lab may take where nothing is said.
const USUAL: Duration = Duration::from_secs(120);

/// How long a lab may take: as long as the slowest of its kinds, if that is longer.
fn usual_timeout(lab: &Lab) -> Duration {
    let kinds = lab.nodes.iter().filter_map(|node| node.of_kind.as_ref());
    let slowest = kinds.filter_map(|kind| kind.ready_within).max();
    slowest.map_or(USUAL, |slowest| slowest.max(USUAL))
}

impl Args {
    /// Whether spans are kept for a trace.
    pub fn traces(&self) -> bool {
        self.trace.is_some()
    }
}

/// The file a trace is written to, and what it has of this process.
struct TraceFile<'a> {
    path: &'a Path,
    spans: Spans,
}

impl TraceFile<'_> {
    /// Writes what this process and the supervisor did until the lab was ready or failed.
    fn write(&self, lab: &LabDirectory) -> Result<(), Failure> {
        let supervisor = trust::read_json(&lab.spans(), directory::LONGEST)?.unwrap_or_default();
        let trace = trace::chrome(&[
            ("nslab up", self.spans.take().unwrap_or_default()),
            ("supervisor", supervisor),
        ]);
        let text = trace.to_string();
        user_files::write(self.path, text.as_bytes(), user_files::OPEN)
    }
}

pub fn run(args: Args, telling: Telling) -> Result<(), Failure> {
    if let Some(path) = &args.trace {
        user_files::may_write(path)?;
    }
    let making = info_span!("up").entered();
    let loaded = info_span!("read the files").in_scope(|| imported::load(&args.files, &args.import, color()));
    let mut file = loaded.map_err(|refusal| {
        let files = args.import.files(&args.files);
        refusal.into_failure(files.first().map_or(Path::new(""), |(path, _)| path))
    })?;
    manifests::check(&file.lab.manifests)?;
    engine::choose(&mut file.lab, &args.engine);
    no_users_on_kubelets(&file.lab)?;
    Engine::ALL.iter().for_each(|engine| engine.manage(&mut file.lab));
    image_lock::apply(&mut file.lab, &file.path)?;
    if !args.dry_run && !args.reconfigure {
        // Told before what costs time, and images that are brought for nothing.
        not_twice(&super::run_directory()?, &file.lab.name)?;
    }
    let mut facts = info_span!("ask the host").in_scope(|| preflight::facts(&file.lab))?;
    // Kept until the lab is ready, which has its own by then.
    let mut leases = Vec::new();
    if !args.dry_run {
        let ready = info_span!("images").in_scope(|| bring_images(&mut file.lab))?;
        facts.images = ready.facts;
        leases = ready.leases;
    }
    let mut plan = info_span!("plan").in_scope(|| planner::plan(&file.lab, &facts));
    for lease in &leases {
        plan.leases.push(lease.path()?);
    }
    if !args.dry_run {
        plan.hidden.push(Store::usual_place());
    }
    if !args.dry_run && is_rootless() {
        do_without_root(&args, &mut plan)?;
    }
    let etcd = super::find_run_directory()?.lab(&file.lab.name).etcd();
    for engine in Engine::ALL {
        match engine.plan(&mut plan, &file.lab.cluster, &etcd) {
            Ok(remarks) => remarks
                .iter()
                .for_each(|remark| view::tell(&format!("note: {remark}\n"))),
            Err(failure) if args.dry_run => {
                view::tell(&format!("note: the plan is not complete: {}\n", failure.message));
            }
            Err(failure) => return Err(failure),
        }
    }
    if args.dry_run {
        return match args.format {
            Format::Json => {
                let mut shown = serde_json::to_value(&plan)
                    .map_err(|error| Failure::host(format!("cannot write the plan: {error}")))?;
                hide(&mut shown);
                print_json(&shown)
            }
            Format::Text => {
                print(&plan::render(&plan));
                rights(&plan)
                    .iter()
                    .for_each(|note| print(&format!("note: {note}\n")));
                Ok(())
            }
        };
    }
    for odd in file.lab.odd_interfaces() {
        view::tell(&format!("note: {odd}\n"));
    }
    let directory = super::run_directory()?;
    if args.reconfigure {
        super::down::take_down(&directory, &file.lab.name)?;
    }
    info_span!("judge routers").in_scope(|| review_routers(&file, &args))?;
    let lost = info_span!("check the host").in_scope(|| preflight::check(&plan, args.lossy))?;
    lost.iter().for_each(|lost| {
        view::tell(&format!("warning: lost: {lost}\n"));
    });
    rights(&plan)
        .iter()
        .for_each(|note| view::tell(&format!("note: {note}\n")));
    if let Some(missing) = modules::missing(&plan) {
        view::tell(&format!("warning: {missing}\n"));
    }
    let engines = engines(&plan);
    let trace = args.trace.as_deref().zip(telling.spans.clone());
    let trace = trace.map(|(path, spans)| TraceFile { path, spans });
    let launched = launch(Launch {
        plan,
        run_directory: directory,
        file: file.path,
        lab: file.lab.clone(),
        detached: args.detach,
        timeout: args.timeout.unwrap_or_else(|| usual_timeout(&file.lab)),
        hold_manifests: args.hold_manifests,
        timeline: args.timeline,
        telling: telling.wanted,
    })?;
    drop(making);
    stand_by(launched, &file.lab, &engines, &args, trace.as_ref())
}

/// Refuses to start a lab that lives.
fn not_twice(directory: &RunDirectory, lab: &str) -> Result<(), Failure> {
    match directory.lab(lab).settled_life() {
        Life::Dead => Ok(()),
        Life::Living => Err(directory.running_already(lab)),
        Life::Unknown(failure) => Err(failure),
    }
}

/// Brings the images of nodes, and shows how they come.
fn bring_images(lab: &mut Lab) -> Result<images::Ready, Failure> {
    let progress = ImageProgress::new();
    let ready = images::ready(lab, &|step| progress.show(step)).and_then(|mut ready| {
        let more = images::for_cluster(lab, &|step| progress.show(step))?;
        ready.leases.extend(more);
        Ok(ready)
    });
    match ready.is_ok() {
        true => progress.finish(),
        false => progress.give_up(),
    }
    ready
}

/// Tells what will be missing in routers that start FRR themselves.
fn review_routers(file: &LabFile, args: &Args) -> Result<(), Failure> {
    let files = args.import.files(&args.files);
    let path = files.first().map_or(file.path.as_path(), |(path, _)| path);
    let review = config_review::review(&file.lab, path);
    review.tell();
    match review.refusal() {
        Some(failure) if !args.lossy => return Err(failure),
        _ => review.tell_lost(),
    }
    Ok(())
}

/// Follows the lab until it is over or, detached, until it is ready.
fn stand_by(
    mut launched: Launched,
    lab: &Lab,
    engines: &str,
    args: &Args,
    trace: Option<&TraceFile<'_>>,
) -> Result<(), Failure> {
    let mut progress = (args.format == Format::Text).then(Progress::new);
    loop {
        let event = match launched.next_event()? {
            LaunchEvent::Event(event) => event,
            LaunchEvent::Asked => {
                if let Some(progress) = &progress {
                    progress.finish();
                    view::tell(&format!("taking lab {} down; once more kills it\n", lab.name));
                }
                continue;
            }
            LaunchEvent::Over(result) => return result,
        };
        match &mut progress {
            Some(progress) => progress.show(&event),
            None => print_event(&event),
        }
        if let (What::Ready { .. } | What::Failed { .. }, Some(trace)) = (&event.what, trace)
            && let Err(failure) = trace.write(&launched.run_directory().lab(&lab.name))
        {
            report(&failure);
        }
        if let What::Ready { seconds } = event.what {
            if args.named {
                name_namespaces(launched.run_directory(), &lab.name);
            }
            if args.format == Format::Text {
                let is_alone = launched.run_directory().living().len() < 2;
                print(&try_next(lab, engines, seconds, args.detach, is_alone));
            }
            if args.detach {
                return launched.detach();
            }
        }
    }
}

fn print_event(event: &Event) {
    if let Ok(line) = serde_json::to_string(event) {
        // A reader that has gone is no reason to end a lab.
        let _ = view::print_json(&format!("{line}\n"));
    }
}

fn name_namespaces(directory: &RunDirectory, lab: &str) {
    let directory = directory.lab(lab);
    let named = client::Client::connect(&directory).and_then(|client| netns_names::link(client, &directory));
    if let Err(failure) = named {
        report(&failure);
    }
}

/// A lab file is read without the engines of the command line.
fn no_users_on_kubelets(lab: &Lab) -> Result<(), Failure> {
    let is_both =
        |node: &&Node| node.kind == Kind::K8s && node.engine.is_kubernetes() && node.rights.user_namespace;
    match lab.nodes.iter().find(is_both) {
        None => Ok(()),
        Some(node) => Err(Failure::wrong(format!(
            "{} cannot have a user namespace of its own on a kubelet",
            node.name
        ))
        .help("remove `user_namespace`, or take `--engine builtin`")),
    }
}

/// Takes out of a plan what a lab without root goes without, and says so.
fn do_without_root(args: &Args, plan: &mut Plan) -> Result<(), Failure> {
    if args.named {
        return Err(
            Failure::host("names for `ip netns` are in /run/netns, which is root's")
                .help("leave out --named, or start the lab with sudo"),
        );
    }
    for note in rootless::suit(plan)? {
        view::tell(&format!("note: {note}\n"));
    }
    Ok(())
}

/// Which nodes may do more than others, and what that means.
fn rights(plan: &Plan) -> Vec<String> {
    let names = |nodes: Vec<&NodeStep>| -> String {
        let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
        names.join(", ")
    };
    let (privileged, others): (Vec<&NodeStep>, Vec<_>) =
        plan.nodes.iter().partition(|node| node.rights.privileged);
    let mut notes = Vec::new();
    if !privileged.is_empty() {
        let names = names(privileged);
        let whom = if is_rootless() { "you" } else { "root" };
        notes.push(format!(
            "privileged, able to do to this machine what {whom} can: {names}"
        ));
    }
    for node in others {
        let unusual: Vec<&str> = node.rights.unusual().collect();
        if !unusual.is_empty() {
            notes.push(format!(
                "{} has the capabilities {}",
                node.name,
                unusual.join(", ")
            ));
        }
        if !node.rights.show_host.is_empty() {
            let paths: Vec<_> = node
                .rights
                .show_host
                .iter()
                .map(|path| path.to_string_lossy())
                .collect();
            notes.push(format!("{} sees {} of this machine", node.name, paths.join(", ")));
        }
    }
    notes
}

/// Which engines play routers and Kubernetes nodes: `, its routers on frr`. Nothing where there are none.
fn engines(plan: &Plan) -> String {
    let mut taken: Vec<_> = plan.nodes.iter().filter_map(NodeStep::player).collect();
    taken.sort_unstable();
    taken.dedup();
    let (kubelets, routers): (Vec<_>, Vec<_>) = taken.into_iter().partition(|it| it.traits().is_kubernetes);
    let names: Vec<&str> = routers.into_iter().map(Engine::name).collect();
    let mut text = match names.as_slice() {
        [] => String::new(),
        names => format!(", its routers on {}", names.join(" and ")),
    };
    if !kubelets.is_empty() {
        text += ", its Kubernetes nodes on kubelets";
    }
    text
}

/// What a newcomer would want to do now, in lines that work as they stand.
fn try_next(lab: &Lab, engines: &str, seconds: f64, detached: bool, is_alone: bool) -> String {
    let mut text = format!("lab {} is ready in {seconds:.2} s{engines}\n", lab.name);
    let call = super::call();
    // With others running, a node may stand in several.
    let which = match is_alone {
        true => String::new(),
        false => format!(" --lab {}", lab.name),
    };
    if let Some((node, command)) = first_command(lab) {
        text.push_str(&format!("  try:   {call} exec{which} {node} {command}\n"));
        text.push_str(&format!("         {call} ps{which}\n"));
    } else if !lab.nodes.is_empty() {
        text.push_str(&format!("  try:   {call} ps{which}\n"));
    }
    let end = match detached {
        true => format!("{call} down {}", lab.name),
        false => "Ctrl-C, which takes the lab down".to_owned(),
    };
    text.push_str(&format!("  end:   {end}\n"));
    text
}

/// A node, and a command that shows something there and is there.
fn first_command(lab: &Lab) -> Option<(&str, &'static str)> {
    let routers = || lab.nodes.iter().filter(|node| node.config.is_some());
    let speaks_bgp = |node: &&Node| {
        let config = node.config.iter().flat_map(|config| config.lines());
        config.map(str::trim).any(|line| line.starts_with("router bgp"))
    };
    if let Some(node) = routers().find(speaks_bgp) {
        return Some((&node.name, "vtysh -c 'show bgp summary'"));
    }
    if let Some(node) = routers().next() {
        return Some((&node.name, "vtysh -c 'show ip route'"));
    }
    let first = lab.nodes.first()?;
    // An image may not have it.
    let has_ip = first.image.is_none() && preflight::on_path("ip");
    let shown = match has_ip {
        true => "ip -br address",
        false => "nslab net addr",
    };
    Some((&first.name, shown))
}
