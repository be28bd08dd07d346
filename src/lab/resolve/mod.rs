//! From the file as written to the lab as meant: inheritance, defaults, and every check that needs more than one
//! value. Nothing stops at the first error.

mod addresses;
mod checks;
mod content;
mod devices;
mod diagnostics;
mod expand;
mod flows;
mod image;
mod impair;
mod inherit;
mod interfaces;
mod kubernetes;
mod links;
mod manifests;
mod mgmt;
mod names;
mod network;
mod pods;
mod reach;
mod rights;
mod routes;
mod scenarios;
mod sysctls;
#[cfg(test)]
mod tests;
mod waits;

use std::collections::HashMap;
use std::time::Duration;

use ipnet::IpNet;

use super::Diagnostic;
use super::definition::Kinds;
use super::file::{self, NodeSpec, Spec};
use super::model::{EngineChoice, Kind, Lab, Limits, Network, Node};
use super::rights::Rights;
use super::sources::Sources;
use diagnostics::DiagnosticList;
use expand::{Expansion, Managed};

pub use sysctls::{interface as sysctl_interface, ipv6_off};

/// What every check looks at.
struct Scene<'a> {
    spec: &'a Spec,
    sources: &'a dyn Sources,
    /// The nodes with what they inherit, in the order of the file.
    nodes: Vec<NodeSpec>,
    /// Nodes by name.
    index: HashMap<&'a str, usize>,
    /// The pods' networks of each node of kind `k8s`, in their order.
    pod_cidrs: Vec<Vec<IpNet>>,
    /// For each node, the node in whose namespace it lives.
    owners: Vec<usize>,
    /// For each node, those that live in its namespace, itself among them; none for one in another's.
    members: Vec<Vec<usize>>,
}

impl Scene<'_> {
    fn name(&self, node: usize) -> &str {
        &self.spec.nodes[node].0.value
    }

    fn kind(&self, node: usize) -> Kind {
        self.nodes[node]
            .kind
            .as_ref()
            .map_or(Kind::Host, |kind| kind.value)
    }

    /// Whether the node lives in the host's network.
    fn is_on_host(&self, node: usize) -> bool {
        let network = self.nodes[node].network.as_ref();
        network.is_some_and(|network| network.value == network::HOST)
    }

    /// Whether the node's namespace has a management port.
    fn has_mgmt(&self, node: usize) -> bool {
        let owner = self.owners[node];
        self.nodes[owner].mgmt.as_ref().is_some_and(|mgmt| mgmt.wanted)
    }

    fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.spec.nodes.iter().map(|(name, _)| name.value.as_str())
    }
}

/// Reads and resolves a lab file.
///
/// # Errors
/// Every error in it, in the order of the file.
pub fn load(text: &str, sources: &dyn Sources) -> Result<Lab, Vec<Diagnostic>> {
    let (spec, mut diagnostics) = file::read(text);
    // Text that is not TOML at all left nothing to resolve.
    if !diagnostics.is_empty() && spec == Spec::default() {
        return Err(diagnostics);
    }
    match resolve(&spec, sources) {
        Ok(lab) if diagnostics.is_empty() => Ok(lab),
        Ok(_) => Err(diagnostics),
        Err(more) => {
            diagnostics.extend(more);
            diagnostics::sort(&mut diagnostics);
            Err(diagnostics)
        }
    }
}

/// Makes the lab that a file means.
///
/// # Errors
/// Every error in it, in the order of the file.
pub fn resolve(spec: &Spec, sources: &dyn Sources) -> Result<Lab, Vec<Diagnostic>> {
    match as_far_as_possible(spec, sources) {
        (lab, diagnostics) if diagnostics.is_empty() => Ok(lab),
        (_, diagnostics) => Err(diagnostics),
    }
}

/// The lab that a file with errors would mean without them, to look for more of another kind. Not to be brought up.
pub fn load_partly(text: &str, sources: &dyn Sources) -> Lab {
    as_far_as_possible(&file::read(text).0, sources).0
}

fn as_far_as_possible(spec: &Spec, sources: &dyn Sources) -> (Lab, Vec<Diagnostic>) {
    let kinds = match expand::is_wanted(spec) {
        true => sources.kinds(),
        false => Kinds::default(),
    };
    let mut expansion = Expansion::new(sources, &kinds);
    let early = with(spec, &expansion);
    if !expansion.is_early() {
        return early;
    }
    // What a kind says of addresses on the management network is known when all else is.
    let managed = Managed::of(&early.0);
    expansion.managed = Some(&managed);
    with(spec, &expansion)
}

fn with(spec: &Spec, expansion: &Expansion) -> (Lab, Vec<Diagnostic>) {
    let sources = expansion.sources;
    let mut diagnostics = DiagnosticList::default();
    names::check(spec, &mut diagnostics);
    let (mut nodes, kinds): (Vec<_>, Vec<_>) = inherit::apply(spec, expansion, &mut diagnostics)
        .into_iter()
        .unzip();
    let renamed = expand::is_wanted(spec).then(|| expand::renamed(spec, &kinds));
    let spec = renamed.as_ref().unwrap_or(spec);
    names::interfaces(spec, &mut nodes, &kinds, &mut diagnostics);
    let (whole, pod_cidrs) = pods::expand(spec, &mut nodes, &mut diagnostics);
    let spec = &whole;
    let index = spec
        .nodes
        .iter()
        .enumerate()
        .map(|(at, (name, _))| (name.value.as_str(), at))
        .collect();
    let mut scene = Scene {
        spec,
        sources,
        nodes,
        index,
        pod_cidrs,
        owners: (0..spec.nodes.len()).collect(),
        members: vec![Vec::new(); spec.nodes.len()],
    };
    scene.owners = network::owners(&scene, &mut diagnostics);
    for (at, owner) in scene.owners.iter().enumerate() {
        scene.members[*owner].push(at);
    }
    network::check(&mut scene, &mut diagnostics);
    let lab = build(&scene, &mut diagnostics);
    (lab, diagnostics.sorted())
}

/// The lab, as far as it can be made.
fn build(scene: &Scene, diagnostics: &mut DiagnosticList) -> Lab {
    let links = links::resolve(scene, diagnostics);
    let mgmt = mgmt::resolve(scene, diagnostics);
    let mut ports = mgmt::published(scene, diagnostics);
    let mut addresses = addresses::resolve(scene, &links, mgmt.as_ref(), diagnostics);
    let mut routes = routes::resolve(scene, &links, &addresses, mgmt.as_ref(), diagnostics);
    let mut sysctls = sysctls::resolve(scene, &links, diagnostics);
    sysctls::fit(scene, &sysctls, &addresses, diagnostics);
    let mut waits = waits::resolve(scene, diagnostics);
    let mut nodes: Vec<Node> = (0..scene.nodes.len())
        .map(|at| {
            let mut node = bare(scene, at);
            node.image = image::resolve(scene, at, diagnostics);
            node.rights = rights::resolve(scene, at, diagnostics);
            node.addresses = std::mem::take(&mut addresses[at])
                .into_iter()
                .map(|placed| placed.address)
                .collect();
            node.routes = std::mem::take(&mut routes[at]);
            node.ports = std::mem::take(&mut ports[at]);
            node.settings = links.settings[at].clone();
            node.late = links.late[at].clone();
            node.waits_for_late = links.waits_for_late[at].clone();
            node.bridge = links.bridges.get(&at).cloned();
            node.masquerade = masquerade(scene, &links, at, diagnostics);
            node.sysctls = std::mem::take(&mut sysctls[at]);
            node.wait_for = std::mem::take(&mut waits[at]);
            content::fill(&mut node, scene, at, diagnostics);
            node
        })
        .collect();
    kubernetes::fill(&mut nodes, scene);
    let mut requires: Vec<String> = Vec::new();
    for program in &scene.spec.requires {
        if !requires.contains(&program.value) {
            requires.push(program.value.clone());
        }
    }
    let checks = checks::resolve(scene, &nodes, mgmt.as_ref(), diagnostics);
    let scenarios = scenarios::resolve(scene, &links, &checks, diagnostics);
    let flows = flows::resolve(scene, &links, &nodes, diagnostics);
    Lab {
        name: scene
            .spec
            .name
            .as_ref()
            .map(|name| name.value.clone())
            .unwrap_or_default(),
        mgmt,
        nodes,
        links: links.links,
        requires,
        scenarios,
        capture: scene.spec.capture,
        checks,
        flows,
        manifests: manifests::resolve(scene, diagnostics),
        cluster: kubernetes::settings(scene, diagnostics),
        registries: image::registries(scene, diagnostics),
    }
}

/// The interfaces by which everything leaves with their address.
fn masquerade(
    scene: &Scene,
    links: &links::Links,
    at: usize,
    diagnostics: &mut DiagnosticList,
) -> Vec<String> {
    let interfaces = scene.nodes[at].masquerade.iter().flatten();
    let is_there = |interface: &&file::Spanned<String>| {
        let port = (scene.owners[at], interface.value.clone());
        let Some(master) = links.bridge_ports.get(&port) else {
            return addresses::interface_is_there(scene, links, at, interface, diagnostics);
        };
        let message = format!(
            "`{}` is in `{master}` and has no address that anything could leave with",
            interface.value
        );
        let help = format!("write `masquerade = [\"{master}\"]`, where the addresses are");
        diagnostics.add_for(
            at,
            Diagnostic::new(message, interface.span.clone(), "").help(help),
        );
        false
    };
    interfaces
        .filter(is_there)
        .map(|interface| interface.value.clone())
        .collect()
}

/// A node without what other modules work out.
fn bare(scene: &Scene, at: usize) -> Node {
    let spec = &scene.nodes[at];
    let owner = scene.owners[at];
    let strings = |map: &std::collections::BTreeMap<String, file::Spanned<String>>| {
        map.iter()
            .map(|(name, value)| (name.clone(), value.value.clone()))
            .collect()
    };
    let values = |list: &Option<Vec<file::Spanned<String>>>| {
        let list = list.iter().flatten();
        list.map(|item| item.value.clone()).collect()
    };
    // Its own choice, or one of a node that shares its namespace: detection is a matter of the namespace.
    let dad = scene.members[at].iter().any(|member| {
        let dad = scene.nodes[*member].dad.as_ref();
        dad.is_some_and(|dad| dad.value)
    });
    Node {
        name: scene.name(at).to_owned(),
        hostname: spec.hostname.as_ref().map(|hostname| hostname.value.clone()),
        aliases: values(&spec.aliases),
        kind: scene.kind(at),
        of_kind: spec.of_kind.clone(),
        engine: spec
            .engine
            .as_ref()
            .map_or(EngineChoice::Auto, |engine| engine.value),
        image: None,
        group: spec.group.as_ref().map(|group| group.value.clone()),
        labels: strings(&spec.labels),
        named_ports: spec
            .named_ports
            .iter()
            .map(|(name, port)| (name.clone(), port.value))
            .collect(),
        kubernetes: None,
        network: match owner {
            _ if scene.is_on_host(owner) => Network::Host,
            _ if owner == at => Network::Own,
            _ => Network::Shared(owner),
        },
        mgmt: mgmt::port(scene, at),
        addresses: Vec::new(),
        routes: Vec::new(),
        settings: Vec::new(),
        late: Vec::new(),
        waits_for_late: Vec::new(),
        bridge: None,
        masquerade: Vec::new(),
        ready_routes: spec
            .ready_routes
            .iter()
            .flatten()
            .map(|net| net.value.trunc())
            .collect(),
        sysctls: Default::default(),
        dad,
        config: None,
        config_place: None,
        env: strings(&spec.env),
        files: Vec::new(),
        ports: Vec::new(),
        binds: Vec::new(),
        mounts: Vec::new(),
        exec: spec.exec.clone().unwrap_or_default(),
        after_ready: spec.after_ready.clone().unwrap_or_default(),
        run: Vec::new(),
        wait_for: Vec::new(),
        startup_delay: spec
            .startup_delay
            .as_ref()
            .map_or(Duration::ZERO, |delay| delay.value),
        cpu: spec.cpu.as_ref().map(|cpu| cpu.value),
        memory: spec.memory.as_ref().map(|memory| memory.value),
        rights: Rights::default(),
        limits: Limits {
            processes: spec.limits.processes.as_ref().map(|limit| limit.value),
            disk: spec.limits.disk.as_ref().map(|limit| limit.value),
            log: spec.limits.log.as_ref().map(|limit| limit.value),
            open_files: spec.limits.open_files.as_ref().map(|limit| limit.value),
        },
    }
}
