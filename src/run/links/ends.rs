//! The ends of links: where they are, and which link a name means.

use crate::failure::Failure;
use crate::kernel::namespace::Namespace;
use crate::lab::links::MacRule;
use crate::lab::plan::{Device, Plan, PortStep};

/// How the names of interfaces begin that packets go through on their way to nslab's own queue.
pub const TAP: &str = "impair-";

/// The two ends of a link.
pub struct Ends {
    /// Those that are in a namespace of the lab's.
    pub ports: [Option<PortStep>; 2],
    /// An interface of the host's that is the second.
    pub on_host: Option<String>,
    /// Their names, for people.
    pub names: [Option<String>; 2],
    /// The longest packet.
    pub mtu: u32,
    /// Whether it carries frames with a header of Ethernet.
    pub has_frames: bool,
    /// The type of the link.
    pub kind: &'static str,
}

/// Of an Ethernet, where nothing else is said.
const MTU: u32 = 1500;

impl Ends {
    /// Those of a link of the plan.
    pub fn of(plan: &Plan, at: usize) -> Ends {
        let mut ends = Ends {
            ports: [None, None],
            on_host: None,
            names: [None, None],
            mtu: MTU,
            has_frames: true,
            kind: "veth",
        };
        let Some(step) = plan.links.get(at) else {
            return ends;
        };
        for (slot, port) in ends.ports.iter_mut().zip(step.device.ports()) {
            *slot = Some(port.clone());
            ends.mtu = port.mtu.or(step.mtu).unwrap_or(MTU);
        }
        match &step.device {
            Device::Veth(..) | Device::Mgmt(_) => {}
            Device::Host { host_interface, .. } => {
                ends.on_host = Some(host_interface.clone());
                ends.kind = "host";
            }
            Device::Device { device, .. } => {
                ends.kind = device.name();
                ends.has_frames = device.sort().mac != MacRule::None;
            }
        }
        let name = |port: &PortStep| {
            let node = plan
                .namespaces
                .get(port.namespace)
                .map_or("", |it| it.node.as_str());
            format!("{node}:{}", port.name)
        };
        ends.names = ends.ports.each_ref().map(|port| port.as_ref().map(name));
        if let Some(host) = &ends.on_host {
            ends.names[1] = Some(format!("host:{host}"));
        }
        ends
    }

    /// For messages.
    pub fn label(&self) -> String {
        let names: Vec<&str> = self.names.iter().flatten().map(String::as_str).collect();
        names.join(" -- ")
    }
}

/// The link that has an end of this name, and whether that is its second.
///
/// # Errors
/// There is none.
pub fn find(plan: &Plan, endpoint: &str) -> Result<(usize, bool), Failure> {
    let Some((node, interface)) = endpoint.split_once(':').filter(|(_, it)| !it.is_empty()) else {
        return Err(Failure::wrong(format!("{endpoint:?} names no interface"))
            .help("an end of a link is written NODE:INTERFACE"));
    };
    let namespace = if node == "host" {
        None
    } else {
        let found = plan.nodes.iter().find(|it| it.name == node);
        let found = found.ok_or_else(|| {
            Failure::wrong(format!("lab {} has no node {node:?}", plan.lab))
                .help("`nslab ps` lists the nodes")
        })?;
        Some(found.namespace.ok_or_else(|| {
            Failure::wrong(format!("{node} lives in the host's network"))
                .help("only links of the lab's own networks are changed")
        })?)
    };
    let mut links = plan.links.iter().enumerate();
    let found = links.find_map(|(at, step)| {
        let host = match &step.device {
            Device::Host { host_interface, .. } => Some(host_interface.as_str()),
            _ => None,
        };
        if namespace.is_none() {
            return (host == Some(interface)).then_some((at, true));
        }
        let is_meant = |port: &PortStep| Some(port.namespace) == namespace && port.name == interface;
        let place = step.device.ports().position(is_meant)?;
        Some((at, place == 1))
    });
    found.ok_or_else(|| no_link(plan, node, namespace, interface))
}

fn no_link(plan: &Plan, node: &str, namespace: Option<usize>, interface: &str) -> Failure {
    let ports = plan.links.iter().flat_map(|step| step.device.ports());
    let own: Vec<&str> = ports
        .filter(|port| Some(port.namespace) == namespace)
        .map(|port| port.name.as_str())
        .collect();
    let failure = Failure::wrong(format!("{node} has no link {interface:?} in the lab's plan"));
    match own.is_empty() {
        true => failure.help("`nslab link show` lists the links"),
        false => failure.help(format!("its links are {}", own.join(", "))),
    }
}

/// What a namespace of the lab's is, by its number in the plan.
pub fn in_namespace<T>(
    namespaces: &[Namespace],
    at: usize,
    work: impl FnOnce(&Namespace) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let namespace = namespaces
        .get(at)
        .ok_or_else(|| Failure::not_ready("its network is not there"))?;
    work(namespace)
}
