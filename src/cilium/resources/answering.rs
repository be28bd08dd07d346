//! Endpoints and slices of them: who answers for services that have no selector.

use crate::cilium::reading::{address, number, required, text, word};
use crate::cilium::resources::Protocol;
use crate::cilium::resources::core::{Answering, Host, PROTOCOLS};
use crate::yaml::Yaml;
use crate::yaml::reader::{Reader, Table};

const EXAMPLE: &str = "10.0.0.5";

/// `subsets` of Endpoints. All ports of a subset are those of all its addresses; what says more than one is read as one, as far
/// as the ports are the same.
pub(super) fn endpoints(reader: &mut Reader, table: &mut Table) -> Answering {
    let mut answering = Answering::default();
    let Some(yaml) = table.get("subsets") else {
        return answering;
    };
    let example = "{ addresses: [{ ip: 10.0.0.5 }], ports: [{ port: 80 }] }";
    reader.list(yaml, "subsets", example, |reader, yaml| {
        let mut table = reader.table(yaml, "subsets", "an item of `subsets`")?;
        if let Some(yaml) = table.get("addresses") {
            let hosts = reader.list(yaml, "addresses", "{ ip: 10.0.0.5 }", host);
            answering.hosts.extend(hosts.unwrap_or_default());
        }
        answering.ports.extend(ports(reader, &mut table));
        table.ignore(&["notReadyAddresses"], reader);
        table.finish(reader);
        Some(())
    });
    answering.ports.dedup();
    answering
}

fn host(reader: &mut Reader, yaml: &Yaml) -> Option<Host> {
    let mut table = reader.table(yaml, "addresses", "an item of `addresses`")?;
    let said = table.get("ip");
    let ip = said.and_then(|yaml| address(reader, yaml, "ip", EXAMPLE));
    let ip = required(reader, &table, "ip", EXAMPLE, ip, said.is_some());
    let (name, node) = names(reader, &mut table);
    table.ignore(&["targetRef"], reader);
    table.finish(reader);
    Some(Host {
        address: ip?,
        name,
        node,
    })
}

fn names(reader: &mut Reader, table: &mut Table) -> (Option<String>, Option<String>) {
    let mut said = |key: &'static str, reader: &mut Reader| {
        let yaml = table.get(key)?;
        text(reader, yaml, key, "web-0")
    };
    (said("hostname", reader), said("nodeName", reader))
}

/// `endpoints` and `ports` of a slice.
pub(super) fn slice(reader: &mut Reader, table: &mut Table) -> Answering {
    let ports = ports(reader, table);
    let mut hosts = Vec::new();
    if let Some(yaml) = table.get("endpoints") {
        reader.list(yaml, "endpoints", "{ addresses: [10.0.0.5] }", |reader, yaml| {
            let mut table = reader.table(yaml, "endpoints", "an item of `endpoints`")?;
            let (name, node) = names(reader, &mut table);
            let conditions = table.get("conditions");
            // Who says nothing of it is ready.
            let is_ready = conditions.and_then(|it| it.get("ready")?.scalar()) != Some("false");
            let found = table.get("addresses").and_then(|yaml| {
                reader.list(yaml, "addresses", EXAMPLE, |reader, yaml| {
                    address(reader, yaml, "addresses", EXAMPLE)
                })
            });
            for address in found.unwrap_or_default().into_iter().filter(|_| is_ready) {
                hosts.push(Host {
                    address,
                    name: name.clone(),
                    node: node.clone(),
                });
            }
            table.ignore(
                &["targetRef", "zone", "hints", "deprecatedTopology", "topology"],
                reader,
            );
            table.finish(reader);
            Some(())
        });
    }
    table.ignore(&["addressType"], reader);
    Answering { hosts, ports }
}

fn ports(reader: &mut Reader, table: &mut Table) -> Vec<(String, Protocol, u16)> {
    let Some(yaml) = table.get("ports") else {
        return Vec::new();
    };
    let read = reader.list(yaml, "ports", "{ port: 80 }", |reader, yaml| {
        let mut table = reader.table(yaml, "ports", "an item of `ports`")?;
        let name = table
            .get("name")
            .and_then(|yaml| text(reader, yaml, "name", "http"));
        let said = table.get("port");
        let port = said.and_then(|yaml| number(reader, yaml, "port", 1..=65535));
        let port = required(reader, &table, "port", "80", port, said.is_some());
        let protocol = table
            .get("protocol")
            .and_then(|yaml| word(reader, yaml, "protocol", PROTOCOLS));
        table.ignore(&["appProtocol"], reader);
        table.finish(reader);
        Some((name.unwrap_or_default(), protocol.unwrap_or(Protocol::Tcp), port?))
    });
    read.unwrap_or_default()
}
