//! What the nodes of a living lab are and do, for `nslab ps`.

use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use super::init::InitHandle;
use super::logs::set_aside;
use super::protocol::{NodeStatus, ServiceState, Status};
use super::state::Living;
use crate::lab::engines::Engine;
use crate::lab::plan::NodeStep;

/// Asks the kernel and the supervisor's own memory.
pub fn of(lab: &Living) -> Status {
    let use_by_node = use_by_pid_namespace();
    let nodes = lab
        .plan
        .nodes
        .iter()
        .enumerate()
        .map(|(number, step)| node(lab, number, step, &use_by_node))
        .collect();
    Status {
        lab: lab.plan.lab.clone(),
        nodes,
    }
}

fn node(lab: &Living, number: usize, step: &NodeStep, use_by_node: &HashMap<u64, Use>) -> NodeStatus {
    let state = &lab.nodes[number];
    let init = state.init.borrow().clone();
    let used = init
        .as_ref()
        .map_or_else(Use::default, |init| used(init, use_by_node));
    let stage = *state.stage.borrow();
    let namespaces = lab.namespaces.borrow();
    NodeStatus {
        name: step.name.clone(),
        kind: step.kind.to_string(),
        engine: step.player().map_or("kernel", Engine::name).to_owned(),
        of_kind: step.of_kind.clone(),
        image: step.image.as_ref().map(|image| image.name.clone()),
        save: step.save.clone(),
        stage,
        state: word(lab, number, step),
        uptime: state.ready_since.get().map(|since| since.elapsed().as_secs_f64()),
        restarts: state.restarts.get(),
        network_fd: step
            .namespace
            .and_then(|at| namespaces.get(at))
            .map(|namespace| namespace.as_fd().as_raw_fd()),
        init_pid: init
            .as_ref()
            .and_then(|init| host_pid(&lab.host_proc, &init.pidfd)),
        processes: used.processes.saturating_sub(1),
        memory: used.memory,
        memory_limit: step.memory,
        cpu: step.cpu,
        privileged: step.rights.privileged,
        capabilities: step.rights.unusual().map(str::to_owned).collect(),
        show_host: step.rights.show_host.clone(),
        first_id: step.rights.first_id,
        process_limit: step.limits.processes,
        disk: init.as_ref().map_or(0, |init| disk(init.pid)),
        disk_limit: step.limits.disk,
        log: log(&lab.directory.log(&step.name)),
        log_limit: step.limits.log,
        open_files: used.open_files,
        open_files_limit: step.limits.open_files,
        services: state.services.borrow().clone(),
        addresses: addresses(lab, step),
        interfaces: Vec::new(),
        group: step.group.clone(),
        labels: step.labels.clone(),
        kubernetes: lab.cluster.line.view(&step.name),
    }
}

fn word(lab: &Living, number: usize, step: &NodeStep) -> String {
    let state = &lab.nodes[number];
    if *state.stopped.borrow() {
        return "stopped".to_owned();
    }
    if let Some(trouble) = &*state.trouble.borrow() {
        return format!("failed: {trouble}");
    }
    let down = |service: &super::protocol::ServiceStatus| {
        matches!(
            service.state,
            ServiceState::Starting | ServiceState::NotStarted(_)
        ) || matches!(service.state, ServiceState::Ended(status) if status != 0)
    };
    let broken = state
        .services
        .borrow()
        .iter()
        .find(|service| down(service))
        .map(|service| service.name.clone());
    let exited = state
        .services
        .borrow()
        .iter()
        .find_map(|service| match &service.state {
            ServiceState::Exited(reason) => Some(format!("exited: {}: {reason}", service.name)),
            ServiceState::Unhealthy(_) => Some(format!("unhealthy: {}", service.name)),
            _ => None,
        });
    match (state.is_ready(), broken) {
        (true, _) if exited.is_some() => exited.unwrap_or_default(),
        (true, Some(name)) => format!("degraded: {name}"),
        (true, None) if step.idle && state.init.borrow().is_none() => "idle".to_owned(),
        (true, None) => "ready".to_owned(),
        (false, _) if state.restarts.get() > 0 => "restarting".to_owned(),
        (false, _) => match state.waiting_for.borrow().as_str() {
            "" => "starting".to_owned(),
            what => format!("waiting for {what}"),
        },
    }
}

/// The addresses the lab file gave, by interface name.
fn addresses(lab: &Living, step: &NodeStep) -> Vec<(String, String)> {
    let Some(at) = step.namespace else {
        return Vec::new();
    };
    let all = lab.plan.namespaces[at].addresses.iter();
    all.map(|(index, net)| (interface_name(lab, at, *index), net.to_string()))
        .collect()
}

fn interface_name(lab: &Living, namespace: usize, index: u32) -> String {
    if index == 1 {
        return "lo".to_owned();
    }
    let step = &lab.plan.namespaces[namespace];
    if let Some(sandbox) = &step.sandbox {
        return sandbox.interface.clone();
    }
    let bridge = step.bridge.iter().find(|bridge| bridge.index == index);
    if let Some(bridge) = bridge {
        return bridge.name.clone();
    }
    let ports = lab.plan.links.iter().flat_map(|link| link.device.ports());
    let mut here = ports.filter(|port| port.namespace == namespace && port.index == index);
    here.next()
        .map_or_else(|| index.to_string(), |port| port.name.clone())
}

#[derive(Debug, Clone, Copy, Default)]
struct Use {
    processes: usize,
    memory: u64,
    /// Of the process with most of them.
    open_files: u64,
}

/// Processes, memory and open files by PID namespace, from one walk over the lab's /proc.
fn use_by_pid_namespace() -> HashMap<u64, Use> {
    let mut found: HashMap<u64, Use> = HashMap::new();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        let Some(namespace) = pid_namespace(pid) else {
            continue;
        };
        let used = found.entry(namespace).or_default();
        used.processes += 1;
        used.memory += proportional_memory(pid);
        used.open_files = used.open_files.max(open_files(pid));
    }
    found
}

/// What a node's processes use: those beside its init, and those below the image's own first process.
fn used(init: &InitHandle, use_by_node: &HashMap<u64, Use>) -> Use {
    let below = init.first.get().and_then(pid_in_lab);
    let pids = std::iter::once(init.pid).chain(below);
    let uses = pids.filter_map(|pid| use_by_node.get(&pid_namespace(pid)?));
    uses.fold(Use::default(), |sum, one| Use {
        processes: sum.processes + one.processes,
        memory: sum.memory + one.memory,
        open_files: sum.open_files.max(one.open_files),
    })
}

/// The PID of a process in the lab's namespace.
pub(super) fn pid_in_lab(pidfd: &OwnedFd) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    line.trim().parse().ok().filter(|&pid| pid > 0)
}

/// The inode that names a process's PID namespace.
pub(super) fn pid_namespace(pid: i32) -> Option<u64> {
    let link = fs::read_link(format!("/proc/{pid}/ns/pid")).ok()?;
    link.to_str()?
        .strip_prefix("pid:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

/// Bytes, shared pages counted by share (`Pss` of smaps_rollup, proc(5)).
fn proportional_memory(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// How many files a process has open. The size of the directory tells since Linux 6.2; it is read where that does not.
fn open_files(pid: i32) -> u64 {
    let directory = format!("/proc/{pid}/fd");
    match fs::metadata(&directory).map(|metadata| metadata.len()) {
        Ok(0) => fs::read_dir(directory).map_or(0, |entries| entries.count() as u64),
        Ok(count) => count,
        Err(_) => 0,
    }
}

/// Bytes of a log and of its older half.
fn log(path: &Path) -> u64 {
    let parts = [path.to_owned(), set_aside(path)];
    parts
        .iter()
        .filter_map(|part| fs::metadata(part).ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// Bytes that a node's own layer of its root takes.
fn disk(init: i32) -> u64 {
    let status = rustix::fs::statvfs(format!("/proc/{init}/root"));
    status.map_or(0, |status| {
        status.f_blocks.saturating_sub(status.f_bfree) * status.f_frsize
    })
}

/// The PID of a process as the host sees it: its pidfd's description, read through the host's /proc.
pub fn host_pid(host_proc: &OwnedFd, pidfd: &OwnedFd) -> Option<i32> {
    let path = format!("self/fdinfo/{}", pidfd.as_raw_fd());
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::openat(host_proc, path, flags, rustix::fs::Mode::empty()).ok()?;
    let text = std::io::read_to_string(fs::File::from(file)).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    line.trim().parse().ok().filter(|&pid| pid > 0)
}
