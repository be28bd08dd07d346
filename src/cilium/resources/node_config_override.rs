//! `CiliumBGPNodeConfigOverride`.

use std::net::IpAddr;

use super::parts::{self, ASN, PORT};
use crate::cilium::reading::{address, items, number, text};
use crate::yaml::Yaml;
use crate::yaml::reader::{Reader, Table};

/// What is different on one node.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct NodeConfigOverride {
    pub instances: Vec<OverriddenInstance>,
}

/// What is different in an instance.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct OverriddenInstance {
    pub name: String,
    pub router_id: Option<std::net::Ipv4Addr>,
    pub local_port: Option<u16>,
    pub asn: Option<u32>,
    /// By name, where connections to a peer come from.
    pub peers: Vec<(String, Option<IpAddr>)>,
}

pub(super) fn read(reader: &mut Reader, table: &mut Table) -> Option<NodeConfigOverride> {
    let mut instances = Vec::new();
    for yaml in items(reader, table, "bgpInstances", "{ name: rack0 }", 1..=usize::MAX) {
        instances.extend(overridden(reader, yaml));
    }
    Some(NodeConfigOverride { instances })
}

fn overridden(reader: &mut Reader, yaml: &Yaml) -> Option<OverriddenInstance> {
    let mut table = reader.table(yaml, "bgpInstances", "an item of `bgpInstances`")?;
    let name = parts::name(reader, &mut table, "rack0");
    let router_id = table.get("routerID").and_then(|yaml| {
        let written = text(reader, yaml, "routerID", "10.0.1.2")?;
        let read = written.parse().ok();
        if read.is_none() {
            let message = format!("`routerID` is not an IPv4 address: `{}`", written.escape_debug());
            reader.wrong(yaml.span.clone(), message, "for example `routerID: 10.0.1.2`");
        }
        read
    });
    let local_port = table
        .get("localPort")
        .and_then(|yaml| number(reader, yaml, "localPort", PORT));
    let asn = table
        .get("localASN")
        .and_then(|yaml| number(reader, yaml, "localASN", 1..=*ASN.end()));
    let mut peers = Vec::new();
    for yaml in items(reader, &mut table, "peers", "{ name: tor0 }", 0..=usize::MAX) {
        peers.extend(overridden_peer(reader, yaml));
    }
    table.finish(reader);
    Some(OverriddenInstance {
        name: name?,
        router_id,
        local_port,
        asn,
        peers,
    })
}

fn overridden_peer(reader: &mut Reader, yaml: &Yaml) -> Option<(String, Option<IpAddr>)> {
    let mut table = reader.table(yaml, "peers", "an item of `peers`")?;
    let name = parts::name(reader, &mut table, "tor0");
    let source = table
        .get("localAddress")
        .and_then(|yaml| address(reader, yaml, "localAddress", "10.0.1.2"));
    table.refuse(
        &[("localPort", "remove it: the port is the kernel's choice")],
        reader,
    );
    table.finish(reader);
    Some((name?, source))
}
