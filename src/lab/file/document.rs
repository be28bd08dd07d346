//! The top of the file: from TOML text to a [`Spec`].

use toml::de::DeTable;

use super::reader::{Reader, Table, Value, Wrong};
use super::{
    MgmtSpec, NodeSpec, Spanned, Spec, check, flow, kubernetes, link, node, scenario, suggest, values,
};
use crate::Diagnostic;
use crate::flow::MOST_FLOWS;
use crate::model::Kind;
use crate::scenario::MOST_SCENARIOS;

/// Reads a lab file. What could not be read is left out of the [`Spec`] and told in the diagnostics; where the
/// text is not even TOML, only that is told.
pub fn read(text: &str) -> (Spec, Vec<Diagnostic>) {
    suggest::begin();
    let mut reader = Reader::new(text);
    let spec = read_with(&mut reader, text);
    (spec, reader.diagnostics)
}

pub(super) fn read_with(reader: &mut Reader, text: &str) -> Spec {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        reader.diagnostics = syntax(text, &errors);
        return Spec::default();
    }
    top(reader, document.get_ref())
}

/// How many of TOML's errors are told with what their lines were meant to be.
const LOOKED_AT: usize = 50;

/// TOML's own errors. The parser goes on after each, and may stumble over the same line or table again.
fn syntax(text: &str, errors: &[toml::de::Error]) -> Vec<Diagnostic> {
    if !text.lines().any(is_toml) {
        let span = errors.iter().find_map(toml::de::Error::span).unwrap_or(0..0);
        let help = "lab files are TOML (labs/quickstart.toml teaches them); files of containerlab, kind and Cilium have \
            names that end in .yml or .yaml, or stand behind --containerlab and --kind";
        return vec![Diagnostic::new("this is no lab file", span, "not TOML from here on").help(help)];
    }
    let mut told: Vec<Diagnostic> = Vec::new();
    let mut last_line = None;
    let mut doubled_table = false;
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let before = text.get(..span.start).unwrap_or_default();
        let line = ends.partition_point(|end| *end < span.start);
        if last_line.replace(line) == Some(line) {
            continue;
        }
        let duplicate = error.message().contains("duplicate key");
        let header = before
            .rsplit('\n')
            .next()
            .is_some_and(|line| line.trim_start().starts_with('['));
        // The keys of a table that stands twice are those of the first.
        if duplicate && doubled_table && !header {
            continue;
        }
        doubled_table = duplicate && header;
        let message = match duplicate {
            true => format!("`{}` stands twice", text.get(span.clone()).unwrap_or_default()),
            false => error.message().lines().collect::<Vec<_>>().join(", "),
        };
        // Lines before it are looked at; of many errors only the first few are shown anyway.
        let of_line = match told.len() < LOOKED_AT {
            true => line_help(before, text.get(before.len()..).unwrap_or_default()),
            false => None,
        };
        let help = of_line.unwrap_or_else(|| syntax_help(error.message()).to_owned());
        told.push(Diagnostic::new(message.clone(), span, "").help(help));
    }
    told
}

/// Whether a line can be of a lab file: a table's head, or a key and its value.
fn is_toml(line: &str) -> bool {
    let line = line.trim();
    let is_key = |key: &str| {
        let key = key.trim();
        !key.is_empty()
            && key
                .chars()
                .all(|it| it.is_ascii_alphanumeric() || "-_.\"/ ".contains(it))
    };
    line.starts_with('[') && line.ends_with(']') || line.split_once('=').is_some_and(|(key, _)| is_key(key))
}

/// The cure for a line that is written as other languages have it. `before` is the text up to the error, which need not be the
/// line's beginning.
fn line_help(before: &str, after: &str) -> Option<String> {
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = format!("{}{}", &before[start..], after.lines().next().unwrap_or_default());
    let line = line.trim();
    let mut heads = before[..start].lines().rev().map(str::trim);
    let head = heads.find(|line| line.starts_with('[') && line.ends_with(']'));
    let is_item = line.starts_with('-');
    if head == Some("[[links]]") && (is_item || line.starts_with("[\"") || line.starts_with("['")) {
        return Some("the ends of a link have a name: `endpoints = [\"a:eth0\", \"b:eth0\"]`".to_owned());
    }
    if is_item {
        return Some(
            "a list stands in brackets behind its name: `exec = [\"command\", \"command\"]`".to_owned(),
        );
    }
    let (key, value) = line.split_once(':')?;
    let is_key = |key: &str| {
        !key.is_empty()
            && key
                .chars()
                .all(|it| it.is_ascii_alphanumeric() || "-_".contains(it))
    };
    if !is_key(key.trim()) || !(value.is_empty() || value.starts_with(' ')) {
        return None;
    }
    Some(match key.trim() {
        "bind" | "binds" | "volumes" => {
            "lab files are TOML, not YAML: `binds = [\"data/:/data:ro\"]`".to_owned()
        }
        "endpoints" => "lab files are TOML, not YAML: `endpoints = [\"a:eth0\", \"b:eth0\"]`".to_owned(),
        key => format!(
            "lab files are TOML, not YAML: `{key} = …`; a topology of containerlab's has a name that ends in .yml, or stands \
             behind --containerlab"
        ),
    })
}

/// The cure for what TOML's parser commonly says.
fn syntax_help(message: &str) -> &'static str {
    if message.contains("duplicate key") {
        "a name stands once in its table: rename one, or join the two"
    } else if message.contains("escape") {
        "a backslash is written twice (`\\\\`), or the text stands in single quotes, where it means itself"
    } else if message.contains("string") || message.contains("quote") {
        "text stands in double quotes: `name = \"lab\"`; several lines in three of them"
    } else if message.contains("array") || message.contains("]") {
        "a list is written `[\"a\", \"b\"]`, a table's head `[nodes.a]`"
    } else if message.contains("inline table") || message.contains("}") {
        "a table on one line is written `{ to = \"default\", via = \"10.0.1.1\" }`"
    } else {
        "lab files are TOML: `key = \"value\"`, one a line"
    }
}

fn top(reader: &mut Reader, document: &DeTable) -> Spec {
    let mut spec = Spec::default();
    let mut table = Table::new(document, "lab", "a lab file", 0..0);
    match table.get("name") {
        Some(value) => spec.name = reader.string(value, "name", "my-lab"),
        None => reader.missing(&table, "name", "name = \"my-lab\""),
    }
    if let Some(value) = table.get("requires") {
        let requires = reader.list(value, "requires", "\"iperf3\"", |reader, value| {
            reader.parsed(value, "requires", "iperf3", values::program)
        });
        spec.requires = requires.unwrap_or_default();
    }
    let capture = table.get("capture");
    let capture = capture.and_then(|value| reader.boolean(value, "capture"));
    spec.capture = capture.is_some_and(|capture| capture.value);
    let mgmt_span = table.key_span("mgmt").unwrap_or_default();
    if let Some(value) = table.get("mgmt") {
        spec.mgmt = mgmt(reader, value, mgmt_span);
    }
    let defaults_span = table.key_span("defaults").unwrap_or_default();
    if let Some(value) = table.get("defaults") {
        spec.defaults = node::node(reader, value, "defaults", "`[defaults]`".into(), defaults_span);
    }
    kinds(reader, &mut table, &mut spec);
    groups(reader, &mut table, &mut spec);
    nodes(reader, &mut table, &mut spec);
    links(reader, &mut table, &mut spec);
    checks(reader, &mut table, &mut spec);
    scenarios(reader, &mut table, &mut spec);
    flows(reader, &mut table, &mut spec);
    let span = table.key_span("kubernetes").unwrap_or_default();
    if let Some(value) = table.get("kubernetes") {
        spec.kubernetes = kubernetes::kubernetes(reader, value, span);
    }
    let span = table.key_span("cilium").unwrap_or_default();
    if let Some(value) = table.get("cilium") {
        spec.cilium = kubernetes::cilium(reader, value, span);
    }
    spec.images = table
        .get("images")
        .and_then(|value| super::image::images(reader, value));
    table.finish(reader);
    spec
}

fn mgmt(reader: &mut Reader, value: &Value, span: super::Span) -> Option<MgmtSpec> {
    let mut table = reader.table(value, "mgmt", "mgmt", "`[mgmt]`", span.clone())?;
    let mgmt = MgmtSpec {
        span,
        network: table
            .get("network")
            .and_then(|value| reader.parsed(value, "network", "mgmt", values::network_name)),
        bridge: table
            .get("bridge")
            .and_then(|value| reader.parsed(value, "bridge", "br-mgmt", values::interface)),
        ipv4_subnet: table.get("ipv4_subnet").and_then(|value| {
            reader.parsed(value, "ipv4_subnet", "172.20.20.0/24", |text| {
                values::subnet(text, values::ipv4_net, ipnet::Ipv4Net::trunc)
            })
        }),
        ipv6_subnet: table.get("ipv6_subnet").and_then(|value| {
            reader.parsed(value, "ipv6_subnet", "2001:172:20:20::/64", |text| {
                values::subnet(text, values::ipv6_net, ipnet::Ipv6Net::trunc)
            })
        }),
        ipv4_gw: table
            .get("ipv4_gw")
            .and_then(|value| reader.parsed(value, "ipv4_gw", "172.20.20.1", values::ipv4)),
        ipv6_gw: table
            .get("ipv6_gw")
            .and_then(|value| reader.parsed(value, "ipv6_gw", "2001:172:20:20::1", values::ipv6)),
        mtu: table
            .get("mtu")
            .and_then(|value| reader.integer(value, "mtu", link::MTU)),
        nat: table.get("nat").and_then(|value| reader.boolean(value, "nat")),
        nat6: table.get("nat6").and_then(|value| reader.boolean(value, "nat6")),
    };
    table.finish(reader);
    Some(mgmt)
}

fn kinds(reader: &mut Reader, table: &mut Table, spec: &mut Spec) {
    let Some(value) = table.get("kinds") else { return };
    for (name, value) in reader.map(value, "kinds", "[kinds.router]") {
        let own = node::KINDS.iter().find(|(known, _)| *known == name.value);
        let what = format!("`[kinds.{}]`", name.value);
        let node = node::node(reader, value, name.value, what, name.span.clone());
        let message = "`[kinds.…]` cannot set `kind`: it is for nodes that have it already";
        refuse(reader, node.kind.as_ref(), message);
        refuse(reader, node.vendor.as_ref(), message);
        refuse(
            reader,
            node.group.as_ref(),
            "`[kinds.…]` cannot put nodes into a group",
        );
        match own {
            Some((_, kind)) => drop(spec.kinds.insert(*kind, node)),
            None => {
                let named = Spanned::new(name.value.to_owned(), name.span);
                spec.vendor_kinds.insert(
                    name.value.to_owned(),
                    NodeSpec {
                        vendor: Some(named),
                        ..node
                    },
                );
            }
        }
    }
}

fn groups(reader: &mut Reader, table: &mut Table, spec: &mut Spec) {
    let Some(value) = table.get("groups") else { return };
    for (name, value) in reader.map(value, "groups", "[groups.rack0]") {
        let what = format!("`[groups.{}]`", name.value);
        let node = node::node(reader, value, name.value, what, name.span);
        refuse(reader, node.group.as_ref(), "a group cannot be in a group");
        spec.groups.insert(name.value.to_owned(), node);
    }
}

/// Notes a key that has no meaning where it stands.
fn refuse<T>(reader: &mut Reader, value: Option<&Spanned<T>>, message: &str) {
    if let Some(value) = value {
        reader.wrong(
            value.span.clone(),
            Wrong::new(message, "remove it, and write it in the nodes themselves"),
        );
    }
}

fn nodes(reader: &mut Reader, table: &mut Table, spec: &mut Spec) {
    let Some(value) = table.get("nodes") else { return };
    for (name, value) in reader.map(value, "nodes", "[nodes.web]") {
        let before = reader.diagnostics.len();
        let what = format!("node `{}`", name.value);
        let mut node: NodeSpec = node::node(reader, value, name.value, what, name.span.clone());
        if !value.get_ref().is_table() {
            // That has been told; that it has no kind either follows.
            node.kind = Some(Spanned::new(Kind::Router, name.span.clone()));
        }
        // A node that could not be read in full may lack addresses that it has in its author's mind.
        spec.partial_addresses |= reader.diagnostics.len() > before;
        spec.nodes.push((name.map(str::to_owned), node));
    }
}

fn links(reader: &mut Reader, table: &mut Table, spec: &mut Spec) {
    let Some(value) = table.get("links") else { return };
    let Some(links) = value.get_ref().as_array() else {
        let example = "[[links]]` with a line `endpoints = [\"a:eth0\", \"b:eth0\"]";
        reader.mistyped(value, "links", "a list of tables", example);
        spec.partial_links = true;
        return;
    };
    let count = links.len();
    spec.links = links
        .iter()
        .filter_map(|value| link::link(reader, value))
        .collect();
    spec.partial_links |= spec.links.len() < count;
}

fn checks(reader: &mut Reader, table: &mut Table, spec: &mut Spec) {
    let Some(value) = table.get("checks") else { return };
    match value.get_ref().as_array() {
        Some(checks) => {
            spec.checks = checks
                .iter()
                .filter_map(|value| check::check(reader, value))
                .collect();
        }
        None => {
            let example = "[[checks]]` with lines `name = …`, `node = …` and `ping = …";
            reader.mistyped(value, "checks", "a list of tables", example);
        }
    }
}

fn flows(reader: &mut Reader, table: &mut Table, spec: &mut Spec) {
    let Some(value) = table.get("flows") else { return };
    match value.get_ref().as_array() {
        Some(flows) => {
            let flows = bounded(reader, flows, "flows", MOST_FLOWS, "make fewer");
            spec.flows = flows
                .iter()
                .filter_map(|value| flow::flow(reader, value))
                .collect();
        }
        None => {
            let example = "[[flows]]` with lines `name = …`, `from = …` and `to = …";
            reader.mistyped(value, "flows", "a list of tables", example);
        }
    }
}

/// The first entries of a list, as many as a lab may have; that there are more is told.
fn bounded<'v>(
    reader: &mut Reader,
    entries: &'v [Value<'v>],
    what: &str,
    most: usize,
    help: &str,
) -> &'v [Value<'v>] {
    let Some(beyond) = entries.get(most) else {
        return entries;
    };
    let message = format!("the lab has {} {what}; {most} are allowed", entries.len());
    reader.wrong(beyond.span(), Wrong::new(message, help));
    &entries[..most]
}

fn scenarios(reader: &mut Reader, table: &mut Table, spec: &mut Spec) {
    let Some(value) = table.get("scenarios") else {
        return;
    };
    match value.get_ref().as_array() {
        Some(scenarios) => {
            let help = "make several files of it";
            let scenarios = bounded(reader, scenarios, "scenarios", MOST_SCENARIOS, help);
            spec.scenarios = scenarios
                .iter()
                .filter_map(|value| scenario::scenario(reader, value))
                .collect();
        }
        None => {
            let example = "[[scenarios]]` with lines `name = …` and `steps = [{ link_down = \"a:eth1\" }]";
            reader.mistyped(value, "scenarios", "a list of tables", example);
        }
    }
}
