//! A plan as text, for `nslab up --dry-run`.

use std::fmt::Write as _;

use super::units;
use crate::lab::file::mounts;
use crate::lab::links::Carrier;
use crate::lab::plan::{Device, HostStep, NamespaceStep, NodeStep, Plan, RouteStepAction};

/// The steps in the order they would be taken.
pub fn render(plan: &Plan) -> String {
    let mut text = format!("lab {}\n", plan.lab);
    section(&mut text, "network namespaces", plan.namespaces.len());
    for namespace in &plan.namespaces {
        let sysctls: Vec<String> = namespace
            .sysctls
            .iter()
            .chain(&namespace.late_sysctls)
            .map(|(path, value)| format!("{}={value}", path.trim_start_matches("net/").replace('/', ".")))
            .collect();
        let _ = writeln!(text, "  {}: {}", namespace.node, sysctls.join(" "));
    }
    section(&mut text, "links", plan.links.len());
    for link in &plan.links {
        let mtu = link.mtu.map(|mtu| format!("mtu {mtu}"));
        let about: Vec<String> = device(&link.device).into_iter().chain(mtu).collect();
        let about = match about.as_slice() {
            [] => String::new(),
            about => format!(" ({})", about.join(", ")),
        };
        let _ = writeln!(text, "  {}{about}", link.label);
    }
    section(
        &mut text,
        "addresses and routes",
        plan.namespaces
            .iter()
            .map(|it| it.addresses.len() + it.routes.len())
            .sum(),
    );
    for (number, namespace) in plan.namespaces.iter().enumerate() {
        addresses_and_routes(&mut text, plan, number, namespace);
    }
    if let Some(host) = &plan.host {
        on_host(&mut text, host);
    }
    let busy: Vec<&NodeStep> = plan
        .nodes
        .iter()
        .filter(|node| !node.idle || !node.wait_for.is_empty())
        .collect();
    section(&mut text, "nodes in which something happens", busy.len());
    for node in busy {
        node_steps(&mut text, plan, node);
    }
    text
}

/// What is set on this machine for the management network.
fn on_host(text: &mut String, host: &HostStep) {
    section(
        text,
        "on this machine",
        host.addresses.len() + host.routes.len() + host.ports.len() + host.udp_ports.len(),
    );
    for net in &host.addresses {
        let _ = writeln!(text, "  {} {net}", host.interface);
    }
    for (subnet, via) in &host.routes {
        let _ = writeln!(text, "  route {subnet} via {via}");
    }
    if let Some(nat) = &host.nat {
        let sources: Vec<String> = nat.sources.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "  masquerade {}", sources.join(" and "));
    }
    for (listen, to) in &host.ports {
        let _ = writeln!(text, "  publish {listen} for {to}");
    }
    for (listen, to) in &host.udp_ports {
        let _ = writeln!(text, "  publish {listen}/udp for {to}");
    }
}

fn section(text: &mut String, title: &str, count: usize) {
    let _ = writeln!(text, "\n{title}: {count}");
}

/// What the label does not say.
fn device(device: &Device) -> Option<String> {
    match device {
        Device::Veth(a, b) => {
            let macs = [a, b].map(|end| end.mac.map(|mac| mac.to_string()).unwrap_or_default());
            Some(format!("veth, {} and {}", macs[0], macs[1]))
        }
        Device::Host { host_interface, .. } => Some(format!("veth to {host_interface} on the host")),
        Device::Device {
            carrier: Carrier::Host(Some(below)),
            device,
            ..
        } => Some(format!("{} on {below} of the host", device.label())),
        Device::Device {
            carrier: Carrier::Host(None),
            device,
            ..
        } => Some(device.label()),
        Device::Device { .. } | Device::Mgmt(_) => None,
    }
}

fn addresses_and_routes(text: &mut String, plan: &Plan, number: usize, namespace: &NamespaceStep) {
    for (index, net) in &namespace.addresses {
        let _ = writeln!(
            text,
            "  {} {} {net}",
            namespace.node,
            interface(plan, number, *index)
        );
    }
    for route in &namespace.routes {
        let action = match &route.action {
            RouteStepAction::Blackhole => "blackhole".to_owned(),
            RouteStepAction::Unreachable => "unreachable".to_owned(),
            RouteStepAction::Prohibit => "prohibit".to_owned(),
            RouteStepAction::Local => "local".to_owned(),
            RouteStepAction::Forward(hops) => {
                let hops: Vec<String> = hops
                    .iter()
                    .map(|hop| {
                        let via = hop.via.map(|via| format!("via {via}"));
                        let dev = hop.dev.map(|dev| format!("dev {}", interface(plan, number, dev)));
                        via.into_iter().chain(dev).collect::<Vec<_>>().join(" ")
                    })
                    .collect();
                hops.join(", ")
            }
        };
        let _ = writeln!(text, "  {} route {} {action}", namespace.node, route.to);
    }
    settings(text, plan, number, namespace);
    for name in &namespace.masquerade_by {
        let _ = writeln!(text, "  {} masquerade by {name}", namespace.node);
    }
}

/// What interfaces are put into, and what waits for those that come late.
fn settings(text: &mut String, plan: &Plan, number: usize, namespace: &NamespaceStep) {
    let node = &namespace.node;
    let name = |index: u32| interface(plan, number, index);
    let all = namespace.settings.iter().chain(&namespace.late.settings);
    for setting in all {
        let it = name(setting.interface);
        if let Some(master) = setting.master {
            let _ = writeln!(text, "  {node} {it} in {}", name(master));
        }
        if let Some(vlans) = &setting.vlans {
            let range = |(first, last): &(u16, u16)| match first == last {
                true => first.to_string(),
                false => format!("{first}-{last}"),
            };
            let list = |ranges: &[(u16, u16)]| ranges.iter().map(range).collect::<Vec<_>>().join(",");
            let pvid = vlans.pvid.map(|it| format!(" pvid {it}")).unwrap_or_default();
            let tagged = list(&vlans.tagged);
            let bare = list(&vlans.untagged);
            let _ = writeln!(
                text,
                "  {node} {it} in VLANs:{pvid} tagged {tagged} untagged {bare}"
            );
        }
    }
    for late in &namespace.late.interfaces {
        for net in &late.addresses {
            let _ = writeln!(text, "  {node} {} {net}, when it is there", late.name);
        }
    }
    for route in &namespace.late.routes {
        let _ = writeln!(text, "  {node} route {}, when its interface is there", route.to);
    }
}

/// The name of an interface in a namespace by its index.
pub fn interface(plan: &Plan, namespace: usize, index: u32) -> String {
    if index == 1 {
        return "lo".to_owned();
    }
    let bridge = plan
        .namespaces
        .get(namespace)
        .and_then(|namespace| namespace.bridge.as_ref());
    if let Some(bridge) = bridge.filter(|bridge| bridge.index == index) {
        return bridge.name.clone();
    }
    let late = plan.namespaces.get(namespace).map(|it| it.late.interfaces.iter());
    if let Some(late) = late.into_iter().flatten().find(|it| it.stand_in == index) {
        return late.name.clone();
    }
    let mut ports = plan.links.iter().flat_map(|link| link.device.ports());
    let found = ports.find(|port| port.namespace == namespace && port.index == index);
    found.map_or_else(|| format!("#{index}"), |port| port.name.clone())
}

fn node_steps(text: &mut String, plan: &Plan, node: &NodeStep) {
    let _ = writeln!(text, "  {}", node.name);
    for wait in &node.wait_for {
        let _ = writeln!(
            text,
            "    wait for {} to be {}",
            plan.nodes[wait.node].name, wait.stage
        );
    }
    if node.startup_delay_ms > 0 {
        let _ = writeln!(text, "    wait {} ms", node.startup_delay_ms);
    }
    for file in &node.files {
        let _ = writeln!(text, "    write {}", file.path);
    }
    for bind in &node.binds {
        let read_only = if bind.read_only { ", read-only" } else { "" };
        let _ = writeln!(
            text,
            "    bind {} on {}{read_only}",
            bind.source.display(),
            bind.target
        );
    }
    for mount in &node.mounts {
        let (key, entry) = mounts::written(&mount.target, &mount.what);
        let _ = writeln!(text, "    mount {entry} ({key})");
    }
    for exec in &node.exec {
        let may_fail = if exec.may_fail { "  (may fail)" } else { "" };
        let _ = writeln!(text, "    run {}{may_fail}", exec.command);
    }
    if let Some(engine) = node.engine {
        let lines = node.config.as_deref().map_or(0, |config| config.lines().count());
        let _ = writeln!(
            text,
            "    start {} with {} of configuration",
            engine.name(),
            units::count(lines, "line")
        );
    }
    for process in &node.run {
        let ready = process
            .ready
            .as_ref()
            .map(|probe| format!(", ready with {probe}"))
            .unwrap_or_default();
        let _ = writeln!(text, "    start {}: {}{ready}", process.name, process.command);
    }
    for net in &node.ready_routes {
        let _ = writeln!(text, "    wait for a route to {net}");
    }
}
