//! `nslab ps`.

use super::{Format, print, print_json, select};
use crate::engine::operator::NodeView;
use crate::failure::Failure;
use crate::run::client::Client;
use crate::run::protocol::{NodeStatus, Reply, Request, ServiceState, Status};
use crate::view::{table, units};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab ps\n  sudo nslab ps --wide\n  \
    sudo nslab ps --format json | jq '.nodes[].name'")]
pub struct Args {
    /// The lab, where several are running
    #[arg(long, value_name = "LAB")]
    lab: Option<String>,
    /// More columns
    #[arg(short, long)]
    wide: bool,
    /// How the table is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    let lab = select::lab(&directory, args.lab.as_deref())?;
    let (reply, _) = Client::connect(&lab)?.ask(&Request::Status)?;
    let Reply::Status(status) = reply else {
        return Err(Failure::host("an unexpected answer from the lab"));
    };
    match args.format {
        Format::Json => print_json(&status),
        Format::Text => {
            print(&render(&status, args.wide));
            Ok(())
        }
    }
}

fn render(status: &Status, wide: bool) -> String {
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
        "GROUP",
        "LABELS",
        "PROCESSES",
    ];
    let has_rights = status.nodes.iter().any(|node| rights(node) != dash());
    let in_cluster = status.nodes.iter().any(|node| node.kubernetes.is_some());
    let head: Vec<&str> = narrow_head
        .into_iter()
        .chain(in_cluster.then_some("KUBERNETES"))
        .chain(has_rights.then_some("RIGHTS"))
        .chain(wide_head.into_iter().filter(|_| wide))
        .collect();
    let mut rows = table::table(&head);
    for node in &status.nodes {
        let mut row = narrow_row(node, wide);
        row.extend(in_cluster.then(|| node.kubernetes.as_ref().map_or_else(dash, kubernetes)));
        row.extend(has_rights.then(|| rights(node)));
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
        node.kind.clone(),
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

/// All addresses, or the first few.
fn addresses(node: &NodeStatus, wide: bool) -> String {
    const FEW: usize = 3;
    let shown = if wide { node.addresses.len() } else { FEW };
    let mut text: Vec<String> = node
        .addresses
        .iter()
        .take(shown)
        .map(|(interface, net)| format!("{interface} {net}"))
        .collect();
    if node.addresses.len() > shown {
        text.push(format!("and {} more", node.addresses.len() - shown));
    }
    if text.is_empty() { dash() } else { text.join(", ") }
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
        node.group.clone().unwrap_or_else(dash),
        or_dash(labels.join(",")),
        or_dash(services.join(", ")),
    ]
}

fn dash() -> String {
    "-".to_owned()
}
