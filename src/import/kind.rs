//! kind's clusters (`kind: Cluster`, kind.x-k8s.io/v1alpha4): nodes of kind `k8s`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Context;
use super::reader::{Reader, Table};
use super::yaml::{self, Yaml};
use crate::lab::file::kubernetes::ROLES;
use crate::lab::file::reader::Wrong;
use crate::lab::file::{BindSpec, Cni, KubernetesSpec, MgmtPortSpec, NodeRole, NodeSpec, Spanned, values};
use crate::lab::model::Kind;

/// What a cluster is called when its file does not say.
const NAME: &str = "kind";
/// What kubeadm puts on control planes.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// A cluster.
#[derive(Debug, Clone, Default)]
pub(super) struct Cluster {
    pub name: Spanned<String>,
    pub kubernetes: KubernetesSpec,
    /// Its nodes with the end of their name: `control-plane`, `worker`, `worker2`.
    pub nodes: Vec<(Spanned<String>, NodeSpec)>,
}

impl Cluster {
    /// What kind makes without a configuration.
    pub fn of_one_node(name: Spanned<String>) -> Self {
        let mut node = bare(NodeRole::ControlPlane, name.span.clone());
        defaults(&mut node, 1);
        Cluster {
            nodes: vec![(Spanned::new("control-plane".into(), name.span.clone()), node)],
            name,
            kubernetes: KubernetesSpec::default(),
        }
    }
}

/// Reads a cluster's configuration.
pub(super) fn read(yaml: &Yaml, context: &mut Context) -> Cluster {
    let reader = &mut context.reader;
    let begin = yaml.span.start..yaml.span.start + 1;
    let mut cluster = Cluster::of_one_node(Spanned::new(NAME.into(), begin));
    let Some(mut table) = reader.table(yaml, "cluster", "a kind cluster") else {
        return cluster;
    };
    table.get("kind");
    table.get("apiVersion");
    if let Some(yaml) = table.get("name") {
        cluster.name = reader.string(yaml, "name", NAME).unwrap_or(cluster.name);
    }
    if let Some(yaml) = table.get("networking") {
        cluster.kubernetes = networking(reader, yaml);
    }
    cluster.kubernetes.span = yaml.span.clone();
    let patches = table.get("kubeadmConfigPatches");
    if let Some(yaml) = table.get("nodes") {
        cluster.nodes = nodes(reader, yaml);
    }
    if let Some(yaml) = patches {
        for (_, node) in &mut cluster.nodes {
            kubeadm(reader, yaml, node);
        }
    }
    table.ignore(
        &[
            "featureGates",
            "runtimeConfig",
            "containerdConfigPatches",
            "containerdConfigPatchesJSON6902",
            "kubeadmConfigPatchesJSON6902",
        ],
        reader,
    );
    table.finish(reader);
    cluster
}

fn networking(reader: &mut Reader, yaml: &Yaml) -> KubernetesSpec {
    let mut spec = KubernetesSpec::default();
    let Some(mut table) = reader.table(yaml, "networking", "`networking`") else {
        return spec;
    };
    let families = [("ipv4", 1), ("ipv6", 2), ("dual", 3)];
    table
        .get("ipFamily")
        .and_then(|yaml| reader.word(yaml, "ipFamily", &families));
    spec.pod_subnet = subnets(reader, &mut table, "podSubnet", "10.244.0.0/16");
    spec.service_subnet = subnets(reader, &mut table, "serviceSubnet", "10.96.0.0/16");
    // Without it kind would bring a network of its own, which nslab's stands for.
    let disabled = table.get("disableDefaultCNI");
    let disabled = disabled.and_then(|yaml| reader.boolean(yaml, "disableDefaultCNI"));
    spec.cni = disabled
        .filter(|it| it.value)
        .map(|it| Spanned::new(Cni::None, it.span));
    let modes = [
        ("iptables", true),
        ("ipvs", true),
        ("nftables", true),
        ("none", false),
    ];
    let mode = table.get("kubeProxyMode");
    spec.kube_proxy = mode.and_then(|yaml| reader.word(yaml, "kubeProxyMode", &modes));
    table.ignore(&["apiServerAddress", "apiServerPort", "dnsSearch"], reader);
    table.finish(reader);
    spec
}

/// One subnet, or one of each family behind a comma.
fn subnets(reader: &mut Reader, table: &mut Table, key: &'static str, example: &str) -> Vec<Spanned<IpNet>> {
    let Some(text) = table.get(key).and_then(|yaml| reader.string(yaml, key, example)) else {
        return Vec::new();
    };
    let mut subnets = Vec::new();
    for part in text.value.split(',') {
        match values::destination(part.trim()) {
            Ok(Some(net)) => subnets.push(Spanned::new(net, text.span.clone())),
            Ok(None) => {
                let help = format!("write a prefix, such as `{key}: {example}`");
                reader.wrong(text.span.clone(), format!("`{key}` cannot be `default`"), help);
            }
            Err(wrong) => reader.wrong(text.span.clone(), wrong.message, wrong.help),
        }
    }
    subnets
}

fn nodes(reader: &mut Reader, yaml: &Yaml) -> Vec<(Spanned<String>, NodeSpec)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let nodes = reader
        .list(yaml, "nodes", "{ role: worker }", node)
        .unwrap_or_default();
    let count = nodes.len();
    nodes
        .into_iter()
        .map(|(role, span, mut node)| {
            defaults(&mut node, count);
            let word = match role {
                NodeRole::ControlPlane => "control-plane",
                NodeRole::Worker => "worker",
            };
            let number = counts.entry(word).or_default();
            *number += 1;
            // As kind counts: the first has no number.
            let name = match *number {
                1 => word.to_owned(),
                number => format!("{word}{number}"),
            };
            (Spanned::new(name, span), node)
        })
        .collect()
}

fn bare(role: NodeRole, span: crate::lab::file::Span) -> NodeSpec {
    let port = MgmtPortSpec {
        wanted: true,
        ..MgmtPortSpec::default()
    };
    NodeSpec {
        kind: Some(Spanned::new(Kind::K8s, span.clone())),
        role: Some(Spanned::new(role, span.clone())),
        mgmt: Some(Spanned::new(port, span)),
        ..NodeSpec::default()
    }
}

/// The label and the taint that kubeadm gives to control planes; a cluster of one node is not tainted.
fn defaults(node: &mut NodeSpec, count: usize) {
    let Some(role) = node
        .role
        .clone()
        .filter(|role| role.value == NodeRole::ControlPlane)
    else {
        return;
    };
    let empty = Spanned::new(String::new(), role.span.clone());
    node.labels.entry(CONTROL_PLANE.into()).or_insert(empty);
    if node.taints.is_none() && count > 1 {
        let taint = Spanned::new(format!("{CONTROL_PLANE}:NoSchedule"), role.span);
        node.taints = Some(vec![taint]);
    }
}

fn node(reader: &mut Reader, yaml: &Yaml) -> Option<(NodeRole, crate::lab::file::Span, NodeSpec)> {
    let mut table = reader.table(yaml, "nodes", "a node of a kind cluster")?;
    let role = match table.get("role") {
        Some(yaml) => reader.word(yaml, "role", ROLES)?,
        None => Spanned::new(NodeRole::ControlPlane, table.span()),
    };
    let mut node = bare(role.value, role.span.clone());
    if let Some(yaml) = table.get("labels") {
        labels(reader, yaml, &mut node);
    }
    if let Some(yaml) = table.get("kubeadmConfigPatches") {
        kubeadm(reader, yaml, &mut node);
    }
    if let Some(yaml) = table.get("extraMounts") {
        let mounts = reader.list(
            yaml,
            "extraMounts",
            "{ hostPath: data, containerPath: /data }",
            mount,
        );
        node.binds = mounts.unwrap_or_default();
    }
    if let Some(yaml) = table.get("extraPortMappings") {
        let ports = reader.list(
            yaml,
            "extraPortMappings",
            "{ hostPort: 8080, containerPort: 80 }",
            port,
        );
        node.ports = ports.filter(|ports| !ports.is_empty());
    }
    table.ignore(&["image", "kubeadmConfigPatchesJSON6902"], reader);
    table.finish(reader);
    Some((role.value, role.span, node))
}

fn labels(reader: &mut Reader, yaml: &Yaml, node: &mut NodeSpec) {
    for (name, value) in reader.map(yaml, "labels", "labels: { rack: a }") {
        if let Err(wrong) = values::label_name(&name.name) {
            reader.wrong(name.span.clone(), wrong.message, wrong.help);
        } else if let Some(value) = reader.string(value, &name.name, "a") {
            node.labels.insert(name.name.to_string(), value);
        }
    }
}

/// Patches of kubeadm's configuration: YAML in a string. Of it, a node's address, labels and taints matter.
fn kubeadm(reader: &mut Reader, yaml: &Yaml, node: &mut NodeSpec) {
    let Some(patches) = reader.strings(yaml, "kubeadmConfigPatches", "|") else {
        return;
    };
    for patch in patches {
        // Places inside a block are not those of the file: what is wrong in it is told at the whole.
        let places = super::files::Places::within(&patch.value, patch.span.start..patch.span.end);
        match yaml::documents(&patch.value, &places) {
            Ok(documents) => {
                for document in &documents {
                    patch_of(reader, document, node);
                }
            }
            Err(diagnostics) => reader.diagnostics.extend(diagnostics),
        }
    }
}

fn patch_of(reader: &mut Reader, yaml: &Yaml, node: &mut NodeSpec) {
    let kind = yaml.get("kind").and_then(Yaml::scalar).unwrap_or_default();
    let fits = match node.role.as_ref().map(|role| role.value) {
        Some(NodeRole::ControlPlane) => matches!(kind, "InitConfiguration" | "JoinConfiguration"),
        _ => kind == "JoinConfiguration",
    };
    let Some(registration) = yaml.get("nodeRegistration").filter(|_| fits) else {
        return;
    };
    if let Some(yaml) = registration.get("taints") {
        let taints = reader.list(yaml, "taints", "{ key: a, effect: NoSchedule }", taint);
        node.taints = taints;
    }
    let Some(arguments) = registration.get("kubeletExtraArgs") else {
        return;
    };
    if let Some(text) = arguments
        .get("node-ip")
        .and_then(|yaml| reader.string(yaml, "node-ip", "10.0.1.2"))
    {
        node.node_ips = Some(addresses(reader, &text));
    }
    if let Some(text) = arguments
        .get("node-labels")
        .and_then(|yaml| reader.string(yaml, "node-labels", "rack=a"))
    {
        for label in text.value.split(',').filter(|label| !label.trim().is_empty()) {
            let (name, value) = label.trim().split_once('=').unwrap_or((label.trim(), ""));
            match values::label_name(name) {
                Ok(()) => {
                    let value = Spanned::new(value.to_owned(), text.span.clone());
                    node.labels.insert(name.to_owned(), value);
                }
                Err(wrong) => reader.wrong(text.span.clone(), wrong.message, wrong.help),
            }
        }
    }
    let told = arguments.get("register-with-taints");
    if let Some(text) = told.and_then(|yaml| reader.string(yaml, "register-with-taints", "a=b:NoSchedule")) {
        let taints = text
            .value
            .split(',')
            .map(|taint| Spanned::new(taint.trim().to_owned(), text.span.clone()));
        node.taints = Some(taints.collect());
    }
}

fn addresses(reader: &mut Reader, text: &Spanned<String>) -> Vec<Spanned<IpAddr>> {
    let mut addresses = Vec::new();
    for part in text.value.split(',') {
        match values::ip(part.trim()) {
            Ok(address) => addresses.push(Spanned::new(address, text.span.clone())),
            Err(wrong) => reader.wrong(text.span.clone(), wrong.message, wrong.help),
        }
    }
    addresses
}

/// `key=value:effect`, as kubectl writes a taint.
fn taint(reader: &mut Reader, yaml: &Yaml) -> Option<Spanned<String>> {
    let mut table = reader.table(yaml, "taints", "a taint")?;
    let mut text = String::new();
    for (key, before) in [("key", ""), ("value", "="), ("effect", ":")] {
        if let Some(part) = table.get(key).and_then(|yaml| reader.string(yaml, key, "a")) {
            text.push_str(before);
            text.push_str(&part.value);
        }
    }
    table.ignore(&["timeAdded"], reader);
    table.finish(reader);
    Some(Spanned::new(text, yaml.span.clone()))
}

fn mount(reader: &mut Reader, yaml: &Yaml) -> Option<BindSpec> {
    let mut table = reader.table(yaml, "extraMounts", "a mount")?;
    let source = table
        .get("hostPath")
        .and_then(|yaml| reader.string(yaml, "hostPath", "data"));
    let target = table
        .get("containerPath")
        .and_then(|yaml| reader.parsed(yaml, "containerPath", "/data", values::node_path));
    let read_only = table
        .get("readOnly")
        .and_then(|yaml| reader.boolean(yaml, "readOnly"));
    table.ignore(&["selinuxRelabel", "propagation"], reader);
    if source.is_none() || target.is_none() {
        let help = "write `{ hostPath: data, containerPath: /data }`";
        reader.wrong(
            table.span(),
            "a mount needs both `hostPath` and `containerPath`",
            help,
        );
    }
    table.finish(reader);
    Some(BindSpec {
        source: source?,
        target: target?.value.trim_end_matches('/').to_owned(),
        read_only: read_only.is_some_and(|read_only| read_only.value),
    })
}

fn port(reader: &mut Reader, yaml: &Yaml) -> Option<Spanned<crate::lab::model::PublishedPort>> {
    let mut table = reader.table(yaml, "extraPortMappings", "a port mapping")?;
    let inside = table
        .get("containerPort")
        .and_then(|yaml| reader.integer::<u16>(yaml, "containerPort", 1..=65535));
    let outside = table
        .get("hostPort")
        .and_then(|yaml| reader.integer::<u16>(yaml, "hostPort", 1..=65535));
    let listen = table
        .get("listenAddress")
        .and_then(|yaml| reader.parsed(yaml, "listenAddress", "127.0.0.1", values::ip));
    let udp = table
        .get("protocol")
        .and_then(|yaml| reader.parsed(yaml, "protocol", "TCP", is_udp));
    table.finish(reader);
    let inside = inside?;
    let Some(outside) = outside else {
        let help = "add `hostPort: 8080`";
        reader.wrong(yaml.span.clone(), "a port mapping has no `hostPort`", help);
        return None;
    };
    let address = listen.map_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), |listen| listen.value);
    let port = crate::lab::model::PublishedPort {
        listen: std::net::SocketAddr::new(address, outside.value),
        port: inside.value,
        udp: udp.is_some_and(|udp| udp.value),
    };
    Some(Spanned::new(port, yaml.span.clone()))
}

fn is_udp(text: &str) -> Result<bool, Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(false),
        "udp" => Ok(true),
        _ => Err(Wrong::new(
            format!(
                "only TCP and UDP ports can be published, not {}",
                text.escape_debug()
            ),
            "remove the mapping, or make it TCP or UDP",
        )),
    }
}
