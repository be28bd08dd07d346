//! First configurations that are templates: containerlab gives those of some systems what is known of their nodes.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::Topology;
use crate::import::{Context, template};
use crate::lab::Diagnostic;
use crate::lab::file::{ConfigSpec, MgmtSpec, NodeSpec, Spanned};
use crate::yaml::Yaml;

/// The kinds whose first configurations are templates of Go there.
const TEMPLATED: &[&str] = &["arista_ceos", "cisco_xrd", "juniper_crpd", "nokia_srlinux"];

/// Renders the first configurations of a topology's nodes.
pub(super) fn render(context: &mut Context, topology: &mut Topology) {
    let mut told = BTreeSet::new();
    let (mgmt, prefix) = (topology.mgmt.as_ref(), &topology.container_prefix);
    for (name, node) in &mut topology.nodes {
        let kind = node
            .vendor
            .as_ref()
            .and_then(|kind| context.kinds().find(&kind.value));
        let kind = kind.map(|kind| kind.name.clone());
        let Some(kind) = kind.filter(|kind| TEMPLATED.contains(&kind.as_str())) else {
            continue;
        };
        let Some(config) = &node.config else { continue };
        let (text, file) = match &config.value {
            ConfigSpec::Text { text, .. } => (text.clone(), None),
            ConfigSpec::File(file) => {
                let path = context.sources.locate(Path::new(&file.value));
                // One that cannot be read is told where it is put into the node.
                match context.sources.text(&path) {
                    Ok(text) => (text, Some(file.value.clone())),
                    Err(_) => continue,
                }
            }
        };
        if !template::is_template(&text) {
            continue;
        }
        let known = known(&kind, &name.value, prefix, node, mgmt);
        let span = config.span.clone();
        match template::render(&text, Yaml::of_json(&known).as_ref()) {
            Ok(text) => {
                let line = context.files.line(span.start).1;
                node.config = Some(Spanned::new(ConfigSpec::Text { text, line }, span));
            }
            Err(fault) => {
                // The template is one, however many nodes have it.
                if told.insert(file.clone().unwrap_or_else(|| text.clone())) {
                    let place = match file {
                        Some(file) => context.files.add(file, text) + fault.place,
                        None => span.start,
                    };
                    let help = "what a first configuration can name is told in docs/import.md: `{{ .ShortName }}`, `{{ .MgmtIPv4Address }}`, \
                                `{{ .Env.NAME }}`";
                    let diagnostic = Diagnostic::new(fault.message, place..place + 1, "here").help(help);
                    context.faults.push(diagnostic);
                }
                node.config = None;
            }
        }
    }
}

/// What a template is given, as containerlab calls it. Addresses are those that the topology says; there are none of others yet.
fn known(kind: &str, name: &str, prefix: &str, node: &NodeSpec, mgmt: Option<&MgmtSpec>) -> Value {
    let port = node.mgmt.as_ref().map(|it| &it.value);
    let ipv4 = port.and_then(|it| it.ipv4.as_ref()).map(|it| it.value);
    let ipv6 = port.and_then(|it| it.ipv6.as_ref()).map(|it| it.value);
    let subnet4 = mgmt.and_then(|it| it.ipv4_subnet.as_ref()?.value);
    let subnet6 = mgmt.and_then(|it| it.ipv6_subnet.as_ref()?.value);
    let gateway4 = mgmt.and_then(|it| it.ipv4_gw.as_ref()).map(|it| it.value);
    let gateway6 = mgmt.and_then(|it| it.ipv6_gw.as_ref()).map(|it| it.value);
    let text = |value: Option<String>| value.unwrap_or_default();
    let length = |has_address: bool, usual: u8, subnet: Option<u8>| match has_address {
        true => subnet.unwrap_or(usual),
        false => 0,
    };
    let values = |map: &std::collections::BTreeMap<String, Spanned<String>>| -> Value {
        map.iter()
            .map(|(name, value)| (name.clone(), json!(value.value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    json!({
        "ShortName": name,
        "LongName": format!("{prefix}{name}"),
        "Fqdn": name,
        "Kind": kind,
        "NodeType": text(node.model.as_ref().map(|it| it.value.clone())),
        "Image": text(node.image.source.as_ref().map(|it| it.value.to_string())),
        "MgmtIPv4Address": text(ipv4.map(|it| it.to_string())),
        "MgmtIPv4PrefixLength": length(ipv4.is_some(), 24, subnet4.map(|it| it.prefix_len())),
        "MgmtIPv4Gateway": text(gateway4.or_else(|| subnet4?.hosts().next()).map(|it| it.to_string())),
        "MgmtIPv6Address": text(ipv6.map(|it| it.to_string())),
        "MgmtIPv6PrefixLength": length(ipv6.is_some(), 64, subnet6.map(|it| it.prefix_len())),
        "MgmtIPv6Gateway": text(gateway6.or_else(|| subnet6?.hosts().nth(1)).map(|it| it.to_string())),
        "Env": values(&node.env),
        "Labels": values(&node.labels),
    })
}
