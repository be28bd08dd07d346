//! The files that containerlab writes about a lab and that topologies bind into their nodes: `topology-data.json`, which the
//! drawing tools read, and `ansible-inventory.yml`. Here they are files of the nodes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use crate::lab::file::{ContentSpec, FileSpec, Spanned, Spec};
use crate::lab::links::Carrier;
use crate::lab::model::{Lab, Link, LinkShape, Mgmt, Port};
use crate::lab::planner;
use crate::lab::resolve;
use crate::lab::sources::Sources;

/// What a topology says of a node that a lab has no word for.
#[derive(Debug, Clone, Default)]
pub(in crate::import) struct Described {
    pub kind: String,
    pub image: String,
    pub group: String,
}

/// What the files are made of.
pub(in crate::import) struct About<'a> {
    /// The lab's name as its topology has it.
    pub lab: &'a str,
    /// What containers are called by before their node's name.
    pub prefix: &'a str,
    pub nodes: &'a BTreeMap<String, Described>,
}

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Export {
    TopologyData,
    AnsibleInventory,
}

/// The file that a bind's source is, in the lab's own directory.
fn export(source: &str, lab: &str) -> Option<Export> {
    let path = Path::new(source);
    let directory = path.parent()?.file_name()?.to_str()?;
    (directory == format!("clab-{lab}")).then_some(())?;
    match path.file_name()?.to_str()? {
        "topology-data.json" => Some(Export::TopologyData),
        "ansible-inventory.yml" => Some(Export::AnsibleInventory),
        _ => None,
    }
}

/// Puts files in the place of the binds that show them, unless there are such files.
pub(in crate::import) fn put(spec: &mut Spec, about: &About, sources: &dyn Sources) {
    let mut wanted: Vec<(usize, String, Export, Spanned<String>)> = Vec::new();
    for (at, (_, node)) in spec.nodes.iter_mut().enumerate() {
        node.binds.retain(|bind| {
            let found = export(&bind.source.value, about.lab).filter(|_| {
                let path = sources.locate(Path::new(&bind.source.value));
                sources.entry(&path).is_err()
            });
            let Some(export) = found else { return true };
            wanted.push((at, bind.target.clone(), export, bind.source.clone()));
            false
        });
    }
    if wanted.is_empty() {
        return;
    }
    // Where the lab has errors, they are told, and nothing is made of it.
    let lab = resolve::resolve(spec, sources).ok();
    for (at, target, export, source) in wanted {
        let text = lab.as_ref().map(|lab| match export {
            Export::TopologyData => topology_data(lab, about),
            Export::AnsibleInventory => ansible_inventory(lab, about),
        });
        spec.nodes[at].1.files.push(FileSpec {
            path: Spanned::new(target, source.span),
            content: ContentSpec::Text(text.unwrap_or_default()),
            mode: None,
            owner: None,
        });
    }
}

/// The nodes that are containers there, with their management addresses.
fn containers<'a>(lab: &'a Lab, about: &'a About) -> Vec<(&'a str, &'a Described, Vec<IpNet>)> {
    let managed = planner::management_addresses(lab);
    let nodes = lab.nodes.iter().zip(managed);
    let known = nodes.filter_map(|(node, nets)| {
        let described = about.nodes.get(&node.name)?;
        Some((node.name.as_str(), described, nets))
    });
    known.collect()
}

/// A node's address of a family, and the length of its prefix.
fn address(nets: &[IpNet], v6: bool) -> (String, u8) {
    let found = nets.iter().find(|net| matches!(net.addr(), IpAddr::V6(_)) == v6);
    found.map_or((String::new(), 0), |net| {
        (net.addr().to_string(), net.prefix_len())
    })
}

fn topology_data(lab: &Lab, about: &About) -> String {
    let mut nodes = Map::new();
    for (index, (name, described, nets)) in containers(lab, about).into_iter().enumerate() {
        let long = format!("{}{name}", about.prefix);
        let ((v4, v4_length), (v6, v6_length)) = (address(&nets, false), address(&nets, true));
        let labels = lab
            .nodes
            .iter()
            .find(|node| node.name == name)
            .map(|node| &node.labels);
        let described = json!({
            "index": index.to_string(), "shortname": name, "longname": long,
            "fqdn": format!("{name}.{}.io", about.lab), "group": described.group,
            "labdir": format!("clab-{}/{name}", about.lab), "kind": described.kind, "image": described.image,
            "mgmt-net": lab.mgmt.as_ref().map(|mgmt| &mgmt.network), "mgmt-intf": "eth0",
            "mgmt-ipv4-address": v4, "mgmt-ipv4-prefix-length": v4_length,
            "mgmt-ipv6-address": v6, "mgmt-ipv6-prefix-length": v6_length,
            "mac-address": "", "labels": labels, "port-bindings": [],
        });
        nodes.insert(name.to_owned(), described);
    }
    let links: Vec<Value> = lab.links.iter().map(|link| self::link(lab, link)).collect();
    let prefix = about.prefix.split('-').next().unwrap_or_default();
    let data = json!({
        "name": about.lab, "type": "clab",
        "clab": { "config": { "prefix": prefix, "mgmt": lab.mgmt.as_ref().map(mgmt) } },
        "ssh-pub-keys": [], "nodes": nodes, "links": links,
    });
    format!("{data:#}\n")
}

fn mgmt(mgmt: &Mgmt) -> Value {
    json!({
        "network": mgmt.network, "bridge": mgmt.bridge, "mtu": mgmt.mtu,
        "ipv4-subnet": mgmt.ipv4_subnet.map(|net| net.to_string()), "ipv4-gw": mgmt.ipv4_gw,
        "ipv6-subnet": mgmt.ipv6_subnet.map(|net| net.to_string()), "ipv6-gw": mgmt.ipv6_gw,
    })
}

fn link(lab: &Lab, link: &Link) -> Value {
    let end = |port: &Port, peer: &str| {
        let node = &lab.nodes[port.node].name;
        let mac = port.mac.map(|mac| mac.to_string()).unwrap_or_default();
        json!({ "node": node, "interface": port.interface, "mac": mac, "peer": peer })
    };
    let outside =
        |node: &str, interface: &str| json!({ "node": node, "interface": interface, "mac": "", "peer": "a" });
    let mut ports = link.ports();
    let (first, second) = (ports.next(), ports.next());
    let z = match (&link.shape, second) {
        (_, Some(port)) => Some(end(port, "a")),
        (LinkShape::Host { host_interface, .. }, _) => Some(outside("host", host_interface)),
        (
            LinkShape::Device {
                carrier: Carrier::Host(Some(below)),
                ..
            },
            _,
        ) => Some(outside("macvlan", below)),
        (LinkShape::Mgmt(port), _) => Some(outside("mgmt-net", &port.interface)),
        _ => None,
    };
    let a = first.map(|port| end(port, if z.is_some() { "z" } else { "dummy" }));
    match z {
        Some(z) => json!({ "endpoints": { "a": a, "z": z } }),
        None => json!({ "endpoints": { "a": a } }),
    }
}

/// YAML by hand: names have been checked, and nothing else is in it.
fn ansible_inventory(lab: &Lab, about: &About) -> String {
    let mut text = String::from(
        "all:\n  vars:\n    # The inventory is for this lab's own nodes, so that no proxy should be used.\n    \
         ansible_httpapi_use_proxy: false\n  children:\n",
    );
    let containers = containers(lab, about);
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, (name, described, _)) in containers.iter().enumerate() {
        groups.entry(described.kind.clone()).or_default().push(at);
        let node = lab.nodes.iter().find(|node| node.name == *name);
        if let Some(group) = node.and_then(|node| node.labels.get("ansible-group")) {
            groups.entry(group.clone()).or_default().push(at);
        }
    }
    for (group, mut members) in groups {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {}:\n      hosts:", Value::from(group.as_str()));
        members.sort_by_key(|at| containers[*at].0);
        for at in members {
            let (name, _, nets) = &containers[at];
            let _ = writeln!(text, "        {}{name}:", about.prefix);
            let _ = writeln!(text, "          ansible_host: {}", address(nets, false).0);
        }
    }
    text
}
