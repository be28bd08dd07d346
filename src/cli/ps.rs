//! `nslab ps`.

use std::time::{Duration, Instant};

use super::select::{self, Which};
use super::{Format, complete, print, print_json, report};
use crate::engine::operator::NodeView;
use crate::failure::Failure;
use crate::lab::file::suggest;
use crate::run::directory::LabDirectory;
use crate::run::protocol::{LinkState, NodeStatus, ServiceState, Status};
use crate::view::{interfaces, table, units};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab ps\n  sudo nslab ps --wide tor0 tor1\n  \
    sudo nslab ps --interfaces                    every interface, its other end, state and rates\n  \
    sudo nslab ps --format json | jq '.nodes[].name'\n\n\
    STATE is one of\n  \
    ready        everything it runs is up, and what shows that it is ready (`ready`, sessions' sockets) is true\n  \
    idle         the same, of a node that runs nothing; its first process starts with the first `exec`\n  \
    running      of a process (--wide): it was started, and nothing tells whether it is ready\n  \
    starting, waiting for …, restarting           it is on its way\n  \
    degraded     it was ready, and the process named has ended or could not be started\n  \
    stopped      `nslab stop` has ended its processes; its links are down\n  \
    failed       it could not be brought up, and why\n\n\
    Addresses are those that the kernel has now; `nslab graph` shows what the lab file gave. Where several labs run,\n\
    all are shown."
)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// All labs
    #[arg(short, long, conflicts_with_all = ["lab", "topo", "words"])]
    all: bool,
    /// More columns
    #[arg(short, long)]
    wide: bool,
    /// Interfaces: other end, MAC address, MTU, state, what passes in a second
    #[arg(short, long, conflicts_with = "wide")]
    interfaces: bool,
    /// How the table is printed; json has all of it, and a list of labs with --all
    #[arg(short, long, value_enum, default_value = "text")]
    format: Format,
    /// Only these nodes, or the nodes of these labs
    #[arg(value_name = "NODE", add = complete::nodes())]
    words: Vec<String>,
}

/// How long traffic is counted for its rate.
const MEASURED: Duration = Duration::from_millis(500);

pub fn run(args: Args) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    let mut nodes: Vec<&str> = Vec::new();
    let mut named: Vec<&str> = args.which.word().into_iter().collect();
    let running = directory.visible();
    // Names of pods have a slash, as files have.
    let is_node = |word: &String| {
        let states = running.iter().filter_map(LabDirectory::state);
        states.flat_map(|state| state.nodes).any(|node| node == *word)
    };
    for word in &args.words {
        let is_lab = running.iter().any(|lab| lab.lab == *word) || select::is_file(word);
        match is_lab && !is_node(word) {
            true => named.push(word),
            false => nodes.push(word),
        }
    }
    let labs = match (args.all, nodes.first()) {
        (true, _) => running,
        (false, Some(node)) => vec![select::lab_of_node(&directory, named.last().copied(), node)?],
        (false, None) if named.len() > 1 => {
            let labs = named.iter().map(|name| select::lab(&directory, Some(name)));
            labs.collect::<Result<_, _>>()?
        }
        (false, None) if args.format == Format::Json => {
            vec![select::lab(&directory, named.first().copied())?]
        }
        (false, None) => select::labs(&directory, named.first().copied())?,
    };
    let several = args.all || named.len() > 1;
    let (mut statuses, mut failed) = ask(&labs, &nodes);
    if labs.len() == 1
        && let Some(failure) = failed.pop()
    {
        return Err(failure);
    }
    match args.format {
        Format::Json if several => print_json(&statuses)?,
        Format::Json => print_json(&statuses.pop())?,
        Format::Text if labs.is_empty() => print("no lab is running\n"),
        Format::Text if args.interfaces => {
            let began = Instant::now();
            std::thread::sleep(MEASURED);
            let (later, _) = ask(&labs, &nodes);
            print(&interfaces::render(&statuses, &later, began.elapsed()));
        }
        Format::Text => print(&render(&statuses, args.wide)),
    }
    let last = failed.pop();
    failed.iter().for_each(report);
    last.map_or(Ok(()), Err)
}

/// What the nodes of labs are and do; of all nodes, or of those named. A lab that does not answer hides no other.
fn ask(labs: &[LabDirectory], nodes: &[&str]) -> (Vec<Status>, Vec<Failure>) {
    let one = |lab: &LabDirectory| {
        let mut status = select::status_and_interfaces(lab)?;
        if let Some(unknown) = nodes
            .iter()
            .find(|name| !status.nodes.iter().any(|node| node.name == **name))
        {
            let names = status.nodes.iter().map(|node| node.name.as_str());
            let help = suggest::cure(unknown, names, "its nodes are", "it has none");
            return Err(Failure::wrong(format!("lab {} has no node {unknown:?}", lab.lab)).help(help));
        }
        status
            .nodes
            .retain(|node| nodes.is_empty() || nodes.contains(&node.name.as_str()));
        Ok(status)
    };
    let (mut statuses, mut failed) = (Vec::new(), Vec::new());
    for lab in labs {
        match one(lab) {
            Ok(status) => statuses.push(status),
            Err(failure) => failed.push(failure),
        }
    }
    (statuses, failed)
}

fn render(statuses: &[Status], wide: bool) -> String {
    let nodes = || statuses.iter().flat_map(|status| &status.nodes);
    let narrow_head = [
        "NODE",
        "KIND",
        "ENGINE",
        "STATE",
        "UPTIME",
        "PROCS",
        "MEMORY",
        "ADDRESSES",
    ];
    let wide_head = [
        "CPU",
        "DISK",
        "LOG",
        "FILES",
        "RESTARTS",
        "PID",
        "IMAGE",
        "GROUP",
        "LABELS",
        "PROCESSES",
    ];
    let has_rights = nodes().any(|node| rights(node) != dash());
    let in_cluster = nodes().any(|node| node.kubernetes.is_some());
    let has_restarted = !wide && nodes().any(|node| restarts(node) > 0);
    let several = statuses.len() > 1;
    let head: Vec<&str> = several
        .then_some("LAB")
        .into_iter()
        .chain(narrow_head)
        .chain(in_cluster.then_some("KUBERNETES"))
        .chain(has_rights.then_some("RIGHTS"))
        .chain(has_restarted.then_some("RESTARTS"))
        .chain(wide_head.into_iter().filter(|_| wide))
        .collect();
    let mut rows = table::table(&head);
    let of_labs = statuses
        .iter()
        .flat_map(|status| status.nodes.iter().map(move |node| (&status.lab, node)));
    for (lab, node) in of_labs {
        let mut row: Vec<String> = several.then(|| lab.clone()).into_iter().collect();
        row.extend(narrow_row(node, wide));
        row.extend(in_cluster.then(|| node.kubernetes.as_ref().map_or_else(dash, kubernetes)));
        row.extend(has_rights.then(|| rights(node)));
        row.extend(has_restarted.then(|| restarts(node).to_string()));
        if wide {
            row.extend(wide_row(node));
        }
        rows.add_row(row);
    }
    table::render(&mut rows)
}

fn narrow_row(node: &NodeStatus, wide: bool) -> Vec<String> {
    vec![
        node.name.clone(),
        node.of_kind.clone().unwrap_or_else(|| node.kind.clone()),
        node.engine.clone(),
        node.state.clone(),
        node.uptime.map_or_else(dash, units::duration),
        processes(node, wide),
        memory(node),
        addresses(node, wide),
    ]
}

/// A node as its cluster sees it.
fn kubernetes(view: &NodeView) -> String {
    let ready = if view.ready { "Ready" } else { "NotReady" };
    let pods = match (view.running, view.pods) {
        (1, 1) => "1 pod".to_owned(),
        (running, all) if running == all => format!("{all} pods"),
        (running, all) => format!("{running} of {all} pods"),
    };
    format!("{ready} {}, {pods}", view.version)
}

/// What its processes may do beyond what those of every node may.
fn rights(node: &NodeStatus) -> String {
    if node.privileged {
        return "privileged".to_owned();
    }
    let shown = node
        .show_host
        .iter()
        .map(|path| path.to_string_lossy().into_owned());
    let own = node.first_id.map(|_| "own users".to_owned());
    let all: Vec<String> = node
        .capabilities
        .iter()
        .cloned()
        .chain(shown)
        .chain(own)
        .collect();
    if all.is_empty() { dash() } else { all.join(",") }
}

/// How many there are, and may be.
fn processes(node: &NodeStatus, wide: bool) -> String {
    match (node.processes, node.process_limit) {
        (0, _) => dash(),
        (count, Some(limit)) if wide => format!("{count} of {limit}"),
        (count, _) => count.to_string(),
    }
}

/// What it has written, and how much that may be.
fn disk(node: &NodeStatus) -> String {
    match (node.init_pid, node.disk_limit) {
        (None, _) => dash(),
        (_, None) => units::size(node.disk),
        (_, Some(limit)) => format!("{} of {}", units::size(node.disk), units::size(limit)),
    }
}

/// What its log has, and how much that may be.
fn log(node: &NodeStatus) -> String {
    match (node.log, node.log_limit) {
        (0, _) => dash(),
        (size, None) => units::size(size),
        (size, Some(limit)) => format!("{} of {}", units::size(size), units::size(limit)),
    }
}

/// How many files one of its processes has open at most, and may have.
fn open_files(node: &NodeStatus) -> String {
    match (node.open_files, node.open_files_limit) {
        (0, _) => dash(),
        (count, None) => count.to_string(),
        (count, Some(limit)) => format!("{count} of {limit}"),
    }
}

/// What it takes, and what it may take.
fn memory(node: &NodeStatus) -> String {
    match (node.memory, node.memory_limit) {
        (0, None) => dash(),
        (used, None) => units::size(used),
        (used, Some(limit)) => format!("{} of {}", units::size(used), units::size(limit)),
    }
}

/// How often it or one of its processes was started again.
fn restarts(node: &NodeStatus) -> u32 {
    node.services.iter().map(|service| service.restarts).sum::<u32>() + node.restarts
}

/// All addresses, or the first few; and what of its interfaces is down.
fn addresses(node: &NodeStatus, wide: bool) -> String {
    const FEW: usize = 3;
    let state = |name: &str| {
        let found = node.interfaces.iter().find(|interface| interface.name == name);
        match found.map(|interface| interface.state) {
            None | Some(LinkState::Up) => String::new(),
            Some(state) => format!(" ({})", state.word()),
        }
    };
    let given = node.addresses.iter();
    let mut all: Vec<String> = given
        .map(|(interface, net)| format!("{interface} {net}{}", state(interface)))
        .collect();
    // A bridge's port or an unnumbered interface is worth a word only where something is wrong.
    let bare = node.interfaces.iter().filter(|interface| {
        let has_none = !node.addresses.iter().any(|(name, _)| *name == interface.name);
        has_none && interface.peer.is_some() && interface.state != LinkState::Up
    });
    all.extend(bare.map(|interface| format!("{} ({})", interface.name, interface.state.word())));
    let count = all.len();
    if !wide && count > FEW {
        // What is down comes first where not all is shown.
        all.sort_by_key(|text| !text.ends_with(')'));
        all.truncate(FEW);
        all.push(format!("and {} more", count - FEW));
    }
    if all.is_empty() { dash() } else { all.join(", ") }
}

fn wide_row(node: &NodeStatus) -> Vec<String> {
    let labels: Vec<String> = node
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let services: Vec<String> = node
        .services
        .iter()
        .map(|service| {
            let state = match &service.state {
                ServiceState::Starting => "starting".to_owned(),
                ServiceState::Running => "running".to_owned(),
                ServiceState::Ready => "ready".to_owned(),
                ServiceState::Unhealthy(reason) => format!("unhealthy: {reason}"),
                ServiceState::Ended(status) => format!("ended {status}"),
                ServiceState::NotStarted(reason) => reason.clone(),
                ServiceState::Exited(reason) => format!("exited: {reason}"),
            };
            format!("{} ({state})", service.name)
        })
        .collect();
    let or_dash = |text: String| if text.is_empty() { dash() } else { text };
    vec![
        node.cpu.map_or_else(dash, |cores| cores.to_string()),
        disk(node),
        log(node),
        open_files(node),
        node.restarts.to_string(),
        node.init_pid.map_or_else(dash, |pid| pid.to_string()),
        node.image.clone().unwrap_or_else(dash),
        node.group.clone().unwrap_or_else(dash),
        or_dash(labels.join(",")),
        or_dash(services.join(", ")),
    ]
}

fn dash() -> String {
    "-".to_owned()
}
