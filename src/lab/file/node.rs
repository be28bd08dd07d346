//! Nodes, and the tables nodes inherit from.

use std::collections::BTreeMap;

use super::reader::{Reader, Table, Value, Wrong};
use super::{
    AddressesSpec, BindSpec, ConfigSpec, ContentSpec, FileSpec, MgmtPortSpec, NodeSpec, Span, Spanned,
    WaitSpec, command, image, interface, kubernetes, limits, mounts, pods, rights, route, suggest, values,
};
use crate::model::{EngineChoice, Kind, Stage};

pub(super) const KINDS: &[(&str, Kind)] = &[
    ("host", Kind::Host),
    ("router", Kind::Router),
    ("bridge", Kind::Bridge),
    ("k8s", Kind::K8s),
];
const STAGES: &[(&str, Stage)] = &[
    ("created", Stage::Created),
    ("links", Stage::Links),
    ("configured", Stage::Configured),
    ("ready", Stage::Ready),
];

/// A node's table, or one that nodes inherit from.
pub(super) fn node(reader: &mut Reader, value: &Value, key: &str, what: String, span: Span) -> NodeSpec {
    match reader.table(value, key, "node", what, span) {
        Some(table) => read(reader, table),
        None => NodeSpec::default(),
    }
}

fn read(reader: &mut Reader, mut table: Table) -> NodeSpec {
    let mut node = NodeSpec::default();
    identity(reader, &mut table, &mut node);
    network(reader, &mut table, &mut node);
    content(reader, &mut table, &mut node);
    life(reader, &mut table, &mut node);
    node.image = image::read(reader, &mut table);
    rights::rights(reader, &mut table, &mut node);
    kubernetes::node(reader, &mut table, &mut node);
    node.pods = table.get("pods").and_then(|value| pods::pods(reader, value));
    let (span, is_node) = (table.span(), table.what().starts_with("node "));
    if table.finish(reader).contains(&"kind") && is_node {
        // That has been told; the kind with the fewest limits stands in for it.
        node.kind = Some(Spanned::new(Kind::Router, span));
    }
    node
}

/// The table of a pod: what is put into it, and what happens in it.
pub(super) fn pod(reader: &mut Reader, table: &mut Table) -> NodeSpec {
    let mut node = NodeSpec::default();
    if let Some(value) = table.get("labels") {
        node.labels = labels(reader, value);
    }
    if let Some(value) = table.get("ports") {
        for (name, value) in reader.map(value, "ports", "ports = { http = 8080 }") {
            if let Err(wrong) = values::port_name(name.value) {
                reader.wrong(name.span, wrong);
            } else if let Some(port) = reader.integer(value, name.value, 1..=65535) {
                node.named_ports.insert(name.value.to_owned(), port);
            }
        }
    }
    content(reader, table, &mut node);
    life(reader, table, &mut node);
    rights::rights(reader, table, &mut node);
    node
}

fn labels(reader: &mut Reader, value: &Value) -> BTreeMap<String, Spanned<String>> {
    let example = "labels = { rack = \"a\" }";
    command::strings(reader, value, "labels", example, values::label_name)
}

/// What it is.
fn identity(reader: &mut Reader, table: &mut Table, node: &mut NodeSpec) {
    if let Some(value) = table.get("kind") {
        kind(reader, value, node);
    }
    node.model = table
        .get("type")
        .and_then(|value| reader.string(value, "type", "ixr-d2l"));
    node.license = table
        .get("license")
        .and_then(|value| reader.parsed(value, "license", "license.key", host_path));
    node.group = table
        .get("group")
        .and_then(|value| reader.string(value, "group", "rack0"));
    node.engine = table.get("engine").map(|value| {
        // An engine that could not be read is told once; any stands in for it.
        let any = Spanned::new(EngineChoice::Auto, value.span());
        reader
            .word(value, "engine", &EngineChoice::words())
            .unwrap_or(any)
    });
    node.hostname = table
        .get("hostname")
        .and_then(|value| reader.parsed(value, "hostname", "web", values::hostname));
    node.aliases = table.get("aliases").and_then(|value| {
        reader.list(value, "aliases", "\"web\"", |reader, value| {
            reader.parsed(value, "aliases", "web", values::hostname)
        })
    });
    if let Some(value) = table.get("labels") {
        node.labels = labels(reader, value);
    }
}

/// The kind: one of nslab's own, or one that a file says. One that could not be read has been told, and the one with the fewest limits
/// stands in for it.
fn kind(reader: &mut Reader, value: &Value, node: &mut NodeSpec) {
    let Some(text) = reader.string(value, "kind", "host") else {
        node.kind = Some(Spanned::new(Kind::Router, value.span()));
        return;
    };
    match KINDS.iter().find(|(word, _)| *word == text.value) {
        Some((_, kind)) => node.kind = Some(text.map(|_| *kind)),
        None => node.vendor = Some(text),
    }
}

/// How it is joined to others.
fn network(reader: &mut Reader, table: &mut Table, node: &mut NodeSpec) {
    node.network = table.get("network").and_then(|value| {
        reader.parsed(value, "network", "node:web", |text| match text.split_once(':') {
            None if text == "host" => Ok(text.to_owned()),
            Some(("node", node)) if !node.is_empty() => Ok(node.to_owned()),
            _ => Err(Wrong::new(
                format!("`network` cannot be `{text}`"),
                "name the node whose network it shares: `node:web`, or `host`; leave `network` out for one of its own",
            )),
        })
    });
    node.mgmt = table.get("mgmt").and_then(|value| mgmt_port(reader, value));
    if let Some(value) = table.get("addresses") {
        node.addresses = addresses(reader, value);
    }
    if let Some(value) = table.get("interfaces") {
        node.interfaces = interface::interfaces(reader, value);
    }
    node.routes = table.get("routes").and_then(|value| {
        reader.list(
            value,
            "routes",
            "{ to = \"default\", via = \"10.0.1.1\" }",
            route::route,
        )
    });
    if let Some(value) = table.get("sysctls") {
        node.sysctls = sysctls(reader, value);
    }
    node.ports = table.get("ports").and_then(|value| {
        reader.list(value, "ports", "\"8080:80\"", |reader, value| {
            reader.parsed(value, "ports", "8080:80", values::published_port)
        })
    });
    node.masquerade = table.get("masquerade").and_then(|value| {
        reader.list(value, "masquerade", "\"eth0\"", |reader, value| {
            reader.parsed(value, "masquerade", "eth0", values::written_interface)
        })
    });
    node.dad = table.get("dad").and_then(|value| reader.boolean(value, "dad"));
}

/// What is put into it.
fn content(reader: &mut Reader, table: &mut Table, node: &mut NodeSpec) {
    node.config = table.get("config").and_then(|value| config(reader, value));
    if let Some(value) = table.get("env") {
        node.env = command::env(reader, value);
    }
    if let Some(value) = table.get("files") {
        let example = "files = { \"/etc/web.conf\" = { content = \"…\" } }";
        node.files = reader
            .map(value, "files", example)
            .into_iter()
            .filter_map(|(path, value)| file(reader, &path, value))
            .collect();
    }
    if let Some(value) = table.get("binds") {
        let binds = reader.list(value, "binds", "\"data/:/data:ro\"", |reader, value| {
            reader
                .parsed(value, "binds", "data/:/data:ro", |text| Ok(text.to_owned()))
                .and_then(|text| bind(reader, &text))
        });
        node.binds = binds.unwrap_or_default();
        twice(reader, &node.binds);
    }
    node.mounts = mounts::read(reader, table);
}

/// What happens in it, and when.
fn life(reader: &mut Reader, table: &mut Table, node: &mut NodeSpec) {
    node.exec = table
        .get("exec")
        .and_then(|value| reader.list(value, "exec", "\"ip link set eth0 up\"", command::exec));
    node.after_ready = table
        .get("after_ready")
        .and_then(|value| reader.list(value, "after_ready", "\"ip link set eth0 up\"", command::exec));
    node.run = table
        .get("run")
        .and_then(|value| command::processes(reader, value));
    node.ready_routes = table.get("ready").and_then(|value| ready(reader, value));
    node.wait_for = table
        .get("wait_for")
        .and_then(|value| reader.list(value, "wait_for", "\"db\", \"web:configured\"", wait));
    node.startup_delay = table
        .get("startup_delay")
        .and_then(|value| reader.duration(value, "startup_delay"));
    node.cpu = table.get("cpu").and_then(|value| cpu(reader, value));
    node.memory = table.get("memory").and_then(|value| memory(reader, value));
    if let Some(value) = table.get("limits") {
        node.limits = limits::limits(reader, value);
    }
}

/// `{ routes = ["10.0.4.0/24"] }`.
fn ready(reader: &mut Reader, value: &Value) -> Option<Vec<Spanned<ipnet::IpNet>>> {
    let example = "routes = [\"10.0.4.0/24\"]";
    let mut table = reader.table(value, "ready", "ready", "`ready`", value.span())?;
    let routes = match table.get("routes") {
        Some(value) => reader.list(value, "routes", "\"10.0.4.0/24\"", |reader, value| {
            reader.parsed(value, "routes", "10.0.4.0/24", values::net)
        }),
        None => {
            reader.missing(&table, "routes", example);
            None
        }
    };
    table.finish(reader);
    routes
}

fn mgmt_port(reader: &mut Reader, value: &Value) -> Option<Spanned<MgmtPortSpec>> {
    if let Some(wanted) = value.get_ref().as_bool() {
        let port = MgmtPortSpec {
            wanted,
            ..MgmtPortSpec::default()
        };
        return Some(Spanned::new(port, value.span()));
    }
    if !value.get_ref().is_table() {
        reader.mistyped(
            value,
            "mgmt",
            "true, false or a table",
            "mgmt = { ipv4 = \"172.20.20.11\" }",
        );
        return None;
    }
    let mut table = reader.table(value, "mgmt", "mgmt port", "`mgmt`", value.span())?;
    let ipv4 = table
        .get("ipv4")
        .and_then(|value| reader.parsed(value, "ipv4", "172.20.20.11", values::ipv4));
    let ipv6 = table
        .get("ipv6")
        .and_then(|value| reader.parsed(value, "ipv6", "2001:172:20:20::11", values::ipv6));
    table.finish(reader);
    let port = MgmtPortSpec {
        wanted: true,
        ipv4,
        ipv6,
    };
    Some(Spanned::new(port, value.span()))
}

fn addresses(reader: &mut Reader, value: &Value) -> Vec<AddressesSpec> {
    let example = "addresses = { eth0 = [\"10.0.1.2/24\"] }";
    let mut all = Vec::new();
    for (interface, value) in reader.map(value, "addresses", example) {
        if let Err(wrong) = values::written_interface(interface.value) {
            reader.wrong(interface.span, wrong);
            continue;
        }
        let nets = reader.list(value, interface.value, "\"10.0.1.2/24\"", |reader, value| {
            reader.parsed(value, interface.value, "10.0.1.2/24", values::net)
        });
        all.push(AddressesSpec {
            interface: interface.map(str::to_owned),
            nets: nets.unwrap_or_default(),
        });
    }
    all
}

fn sysctls(reader: &mut Reader, value: &Value) -> BTreeMap<String, Spanned<String>> {
    let example = "sysctls = { \"net.ipv4.tcp_ecn\" = \"1\" }";
    let mut sysctls: BTreeMap<String, Spanned<String>> = BTreeMap::new();
    for (name, value) in reader.map(value, "sysctls", example) {
        if value.get_ref().is_table() {
            // An unquoted name with dots is a table in a table to TOML.
            let help = "put the whole name into quotes: `\"net.ipv4.tcp_ecn\" = \"1\"`";
            let message = format!("the sysctl name that begins with `{}` is not quoted", name.value);
            reader.wrong(name.span, Wrong::new(message, help));
            continue;
        }
        let canonical = match values::sysctl(name.value) {
            Ok(canonical) => canonical,
            Err(wrong) => {
                reader.wrong(name.span, wrong);
                continue;
            }
        };
        if let Some(text) = command::scalar(reader, value, name.value)
            && let Some(first) = sysctls.insert(canonical, Spanned::new(text.value, name.span.clone()))
        {
            let message = format!("the sysctl `{}` is set twice", name.value);
            let help = "the forms with dots and with slashes mean the same; keep one";
            reader.report(
                crate::Diagnostic::new(message, name.span, "again here")
                    .and(first.span, "first here")
                    .help(help),
            );
        }
    }
    sysctls
}

fn config(reader: &mut Reader, value: &Value) -> Option<Spanned<ConfigSpec>> {
    if value.get_ref().is_str() {
        let text = reader.string(value, "config", "router bgp 65000")?;
        let line = reader.first_line(&text.span);
        return Some(text.map(|text| ConfigSpec::Text { text, line }));
    }
    if !value.get_ref().is_table() {
        let example = "config = { file = \"router0.conf\" }";
        reader.mistyped(value, "config", "text or a table that names a file", example);
        return None;
    }
    let mut table = reader.table(value, "config", "config", "`config`", value.span())?;
    let file = match table.get("file") {
        Some(value) => reader.parsed(value, "file", "router0.conf", host_path),
        None => {
            reader.missing(&table, "file", "file = \"router0.conf\"");
            None
        }
    };
    table.finish(reader);
    Some(Spanned::new(ConfigSpec::File(file?), value.span()))
}

fn file(reader: &mut Reader, path: &Spanned<&str>, value: &Value) -> Option<FileSpec> {
    let good_path = values::node_path(path.value);
    let mut table = reader.table(
        value,
        path.value,
        "file",
        format!("the file `{}`", path.value),
        path.span.clone(),
    )?;
    let content = table
        .get("content")
        .map(|value| reader.string(value, "content", "x = 1"));
    let from = table
        .get("from")
        .map(|value| reader.parsed(value, "from", "site/", host_path));
    let mode = table
        .get("mode")
        .and_then(|value| match value.get_ref().as_integer() {
            // 640 would be octal 1200: better said than guessed.
            Some(integer) => {
                let help = format!("write it as a string: `mode = \"{:0>4}\"`", integer.as_str());
                reader.wrong(
                    value.span(),
                    Wrong::new("`mode` must be a string, not a whole number", help),
                );
                None
            }
            None => reader.parsed(value, "mode", "0640", values::mode),
        });
    let owner = table
        .get("owner")
        .and_then(|value| reader.parsed(value, "owner", "root:root", values::owner));
    let span = table.span();
    table.finish(reader);
    if let Err(wrong) = good_path {
        reader.wrong(path.span.clone(), wrong);
        return None;
    }
    let content = match (content, from) {
        (Some(content), None) => ContentSpec::Text(content?.value),
        (None, Some(from)) => ContentSpec::From(from?),
        (content, _) => {
            let both = content.is_some();
            let message = match both {
                true => format!("the file `{}` has both `content` and `from`", path.value),
                false => format!("the file `{}` has neither `content` nor `from`", path.value),
            };
            let help = match both {
                true => "keep one of them",
                false => "add `content = \"…\"`, or `from = \"site/\"` to copy what is on the host",
            };
            reader.wrong(span, Wrong::new(message, help));
            return None;
        }
    };
    Some(FileSpec {
        path: Spanned::new(path.value.to_owned(), path.span.clone()),
        content,
        mode: mode.map(|mode| mode.value),
        owner: owner.map(|owner| owner.value),
    })
}

fn host_path(text: &str) -> Result<String, Wrong> {
    match text.is_empty() {
        true => Err(Wrong::new(
            "the path is empty",
            "name a file or directory, like `site/`",
        )),
        false => Ok(text.to_owned()),
    }
}

/// `source:target` or `source:target:ro`.
fn bind(reader: &mut Reader, text: &Spanned<String>) -> Option<BindSpec> {
    let mut parts = text.value.split(':');
    let (source, target, option, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(source), Some(target), None) = (source, target, rest) else {
        let help = "a bind is a host path and a path in the node: `data/:/data`, or `data/:/data:ro`";
        let message = format!("`{}` is not a bind", text.value);
        reader.wrong(text.span.clone(), Wrong::new(message, help));
        return None;
    };
    let read_only = match option {
        None | Some("rw") => false,
        Some("ro") => true,
        Some(option) => {
            let message = format!("a bind has no option `{option}`");
            reader.wrong(
                text.span.clone(),
                Wrong::new(message, "use `ro`, or leave it out"),
            );
            return None;
        }
    };
    let checked = host_path(source).and_then(|source| Ok((source, values::node_path(target)?)));
    match checked {
        Ok((source, target)) => Some(BindSpec {
            source: Spanned::new(source, text.span.clone()),
            target: target.trim_end_matches('/').to_owned(),
            read_only,
        }),
        Err(wrong) => {
            reader.wrong(text.span.clone(), wrong);
            None
        }
    }
}

/// Binds merge by destination when inherited, but one list that has a destination twice is a slip.
fn twice(reader: &mut Reader, binds: &[BindSpec]) {
    let mut seen: BTreeMap<&str, &Span> = BTreeMap::new();
    for bind in binds {
        if let Some(first) = seen.insert(&bind.target, &bind.source.span) {
            reader.report(
                crate::Diagnostic::new(
                    format!("two binds have the destination `{}`", bind.target),
                    bind.source.span.clone(),
                    "again here",
                )
                .and(first.clone(), "first here")
                .help("remove one, or give it another destination"),
            );
        }
    }
}

/// `node` or `node:stage`.
fn wait(reader: &mut Reader, value: &Value) -> Option<Spanned<WaitSpec>> {
    reader.parsed(value, "wait_for", "db:configured", |text| {
        let (node, stage) = text.split_once(':').unwrap_or((text, "ready"));
        let found = STAGES.iter().find(|(name, _)| *name == stage);
        let Some((_, stage)) = found else {
            let names = STAGES.iter().map(|(name, _)| *name);
            let help = suggest::cure(stage, names, "the stages are", "");
            return Err(Wrong::new(format!("there is no stage `{stage}`"), help));
        };
        Ok(WaitSpec {
            node: node.to_owned(),
            stage: *stage,
        })
    })
}

fn cpu(reader: &mut Reader, value: &Value) -> Option<Spanned<f64>> {
    let number = match value.get_ref() {
        toml::de::DeValue::Integer(integer) => integer.to_string().parse::<f64>().ok(),
        toml::de::DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
        _ => {
            reader.mistyped(value, "cpu", "a number of cores", "cpu = 0.5");
            return None;
        }
    };
    match number.filter(|cores| (0.01..=4096.0).contains(cores)) {
        Some(cores) => Some(Spanned::new(cores, value.span())),
        None => {
            let help = "`cpu` is a number of cores from 0.01 to 4096: `cpu = 0.5`";
            reader.wrong(value.span(), Wrong::new("`cpu` is out of range", help));
            None
        }
    }
}

fn memory(reader: &mut Reader, value: &Value) -> Option<Spanned<u64>> {
    if value.get_ref().is_str() {
        return reader.parsed(value, "memory", "256M", values::memory);
    }
    if !value.get_ref().is_integer() {
        reader.mistyped(value, "memory", "an amount of memory", "memory = \"256M\"");
        return None;
    }
    let bytes: Spanned<u64> = reader.integer(value, "memory", 0..=i64::MAX)?;
    match values::memory_bytes(bytes.value) {
        Ok(_) => Some(bytes),
        Err(wrong) => {
            reader.wrong(bytes.span, wrong);
            None
        }
    }
}
