use std::collections::BTreeSet;

use serde_json::Value;

use super::document::read_with;
use super::reader::Reader;
use super::*;

/// A file with at least one of every table.
const EVERYTHING: &str = r#"
name = "all"
[mgmt]
[defaults]
[kubernetes]
[cilium]
[nodes.a]
kind = "router"
mgmt = {}
config = { file = "x" }
routes = [{ to = "default", nexthops = [{ via = "10.0.0.1" }] }]
interfaces = { d0 = { type = "dummy" } }
files = { "/x" = { content = "" } }
exec = [{ command = "true" }]
run = [{ name = "x", command = "true", ready = { tcp = 80 } }]
[[links]]
endpoints = [{ node = "a", interface = "eth1" }]
impair = { a_to_b = { loss = "1%" } }
[[checks]]
name = "x"
node = "a"
run = "true"
expect = {}
[[checks]]
name = "y"
node = "a"
ping = { to = "a" }
[[checks]]
name = "z"
node = "a"
route = { to = "10.0.0.0/8" }
[[checks]]
name = "w"
node = "a"
bgp = { neighbor = "x" }
[[scenarios]]
name = "v"
flows = "f"
steps = [
  { link_down = "a:eth1" }, { link_up = "a:eth1" }, { silence = "a:eth1" }, { clear = "a:eth1" }, { flap = "a:eth1" }, { impair = "a:eth1", delay = "1ms" },
  { kill = "a" }, { restart = "a" }, { stop = "a" }, { continue = "a" }, { exec = "a", run = "true" },
  { apply = "x.yaml" }, { delete = "x.yaml" }, { wait = "quiet" },
]
expect = { outage = { below = "1s" }, lost = { below = 1 } }
[[flows]]
name = "a-b"
from = "a"
to = "b"
"#;

const TABLES: &[(&str, &str)] = &[
    ("lab", ""),
    ("mgmt", "MgmtTable"),
    ("kubernetes", "KubernetesTable"),
    ("cilium", "CiliumTable"),
    ("node", "NodeTable"),
    ("mgmt port", "MgmtPortTable"),
    ("config", "ConfigTable"),
    ("file", "FileTable"),
    ("exec", "ExecTable"),
    ("run", "RunTable"),
    ("ready", "ReadyTable"),
    ("interface", "InterfaceTable"),
    ("route", "RouteTable"),
    ("nexthop", "NextHopTable"),
    ("link", "LinkTable"),
    ("impair", "ImpairTable"),
    ("direction", "DirectionTable"),
    ("endpoint", "EndpointTable"),
    ("check", "CheckTable"),
    ("expect", "ExpectTable"),
    ("ping", "PingTable"),
    ("checked route", "CheckedRouteTable"),
    ("bgp", "BgpTable"),
    ("scenario", "ScenarioTable"),
    ("step", "StepTable"),
    ("expectations", "ExpectationsTable"),
    ("bound", "TimeBoundTable"),
    ("flow", "FlowTable"),
];

#[test]
fn has_the_keys_that_the_reader_knows() {
    let schema = schema();
    let mut reader = Reader::new(EVERYTHING);
    read_with(&mut reader, EVERYTHING);
    let read: BTreeSet<_> = reader.known.keys().copied().collect();
    let listed: BTreeSet<_> = TABLES.iter().map(|(name, _)| *name).collect();
    assert_eq!(read, listed);
    for (name, definition) in TABLES {
        let table = match *definition {
            "" => &schema,
            definition => &schema["$defs"][definition],
        };
        let properties = table["properties"].as_object().unwrap();
        let written: BTreeSet<_> = properties.keys().map(String::as_str).collect();
        assert_eq!(written, reader.known[name], "{name}");
        assert_eq!(table["additionalProperties"], Value::Bool(false), "{name}");
        for (key, property) in properties {
            assert!(
                property["description"].is_string(),
                "{name}.{key} is not described"
            );
        }
    }
}

#[test]
fn is_of_the_draft_that_editors_know() {
    assert_eq!(
        schema()["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(schema()["required"], serde_json::json!(["name"]));
}

#[test]
fn values_know_their_place() {
    let text =
        "name = \"lab\"\n[nodes.web]\nkind = \"host\"\n[[links]]\nendpoints = [\"web:eth0\", \"web:eth1\"]\n";
    let (spec, diagnostics) = read(text);
    assert_eq!(diagnostics, Vec::new());
    let name = spec.name.unwrap();
    assert_eq!(&text[name.span.clone()], "\"lab\"");
    assert_eq!(&text[spec.nodes[0].0.span.clone()], "web");
    let end = &spec.links[0].endpoints[1];
    assert_eq!(&text[end.node.span.clone()], "web");
    assert_eq!(&text[end.interface.span.clone()], "eth1");
}

#[test]
fn nodes_keep_the_order_of_the_file() {
    let text = "name = \"lab\"\n[nodes.z]\n[nodes.a]\n[nodes.m]\n";
    let (spec, _) = read(text);
    let names: Vec<_> = spec.nodes.iter().map(|(name, _)| name.value.as_str()).collect();
    assert_eq!(names, ["z", "a", "m"]);
}

#[test]
fn exec_knows_its_line() {
    let text =
        "name = \"lab\"\n[nodes.a]\nexec = [\n  \"true\",\n  { shell = \"a | b\", may_fail = true },\n]\n";
    let (spec, diagnostics) = read(text);
    assert_eq!(diagnostics, Vec::new());
    let exec = spec.nodes[0].1.exec.as_ref().unwrap();
    assert_eq!((exec[0].line, exec[0].may_fail), (4, false));
    assert_eq!((exec[1].line, exec[1].may_fail), (5, true));
    assert_eq!(exec[1].command.to_string(), "a | b");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*") {
        read(&text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        read(&String::from_utf8_lossy(&bytes));
    }
}
