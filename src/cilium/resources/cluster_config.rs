//! `CiliumBGPClusterConfig`.

use super::parts::{self, ASN, PORT};
use crate::cilium::instance::{AddressFamily, PeerAddress};
use crate::cilium::reading::{address, head, items, number, required, word};
use crate::cilium::selector::Selector;
use crate::yaml::Yaml;
use crate::yaml::reader::{Reader, Table};

/// Instances for the nodes it selects.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct ClusterConfig {
    /// None selects every node.
    pub nodes: Option<Selector>,
    pub instances: Vec<BgpInstance>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct BgpInstance {
    pub name: String,
    pub asn: u32,
    pub local_port: Option<u16>,
    pub peers: Vec<BgpPeer>,
}

/// A peer of an instance.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct BgpPeer {
    pub name: String,
    pub address: PeerAddress,
    pub asn: u32,
    /// The name of its CiliumBGPPeerConfig.
    pub config: Option<String>,
}

pub(super) fn read(reader: &mut Reader, table: &mut Table) -> Option<ClusterConfig> {
    let nodes = table
        .get("nodeSelector")
        .and_then(|yaml| Selector::read(reader, yaml, "nodeSelector"));
    let mut instances: Vec<BgpInstance> = Vec::new();
    let example = "{ name: rack0, localASN: 65010, peers: [] }";
    for yaml in items(reader, table, "bgpInstances", example, 1..=16) {
        let Some(instance) = instance(reader, yaml) else {
            continue;
        };
        if instances.iter().any(|known| known.name == instance.name) {
            let message = format!("the instance `{}` stands twice", instance.name.escape_debug());
            reader.wrong(
                yaml.span.start..yaml.span.start + 1,
                message,
                "give it another name",
            );
        }
        instances.push(instance);
    }
    Some(ClusterConfig { nodes, instances })
}

fn instance(reader: &mut Reader, yaml: &Yaml) -> Option<BgpInstance> {
    let mut table = reader.table(yaml, "bgpInstances", "an item of `bgpInstances`")?;
    let name = parts::name(reader, &mut table, "rack0");
    let said = table.get("localASN");
    let asn = said.and_then(|yaml| number(reader, yaml, "localASN", 1..=*ASN.end()));
    let asn = required(reader, &table, "localASN", "65010", asn, said.is_some());
    let local_port = table
        .get("localPort")
        .and_then(|yaml| number(reader, yaml, "localPort", PORT));
    let mut peers: Vec<BgpPeer> = Vec::new();
    let example = "{ name: tor0, peerASN: 65000, peerAddress: 10.0.0.1 }";
    for yaml in items(reader, &mut table, "peers", example, 0..=usize::MAX) {
        let Some(peer) = peer(reader, yaml) else {
            continue;
        };
        if peers.iter().any(|known| known.name == peer.name) {
            let message = format!("the peer `{}` stands twice", peer.name.escape_debug());
            reader.wrong(
                yaml.span.start..yaml.span.start + 1,
                message,
                "give it another name",
            );
        }
        peers.push(peer);
    }
    table.finish(reader);
    Some(BgpInstance {
        name: name?,
        asn: asn?,
        local_port,
        peers,
    })
}

fn peer(reader: &mut Reader, yaml: &Yaml) -> Option<BgpPeer> {
    let mut table = reader.table(yaml, "peers", "an item of `peers`")?;
    let name = parts::name(reader, &mut table, "tor0");
    let said = table.get("peerASN");
    let asn = said.and_then(|yaml| number(reader, yaml, "peerASN", 1..=*ASN.end()));
    let asn = required(reader, &table, "peerASN", "65000", asn, said.is_some());
    let said = table.get("peerAddress");
    let fixed = said.and_then(|yaml| address(reader, yaml, "peerAddress", "10.0.0.1"));
    let discovery = table.get("autoDiscovery");
    let discovered = discovery.and_then(|yaml| auto_discovery(reader, yaml));
    if said.is_some() == discovery.is_some() {
        let help = "write `peerAddress: 10.0.0.1`, or `autoDiscovery: { mode: DefaultGateway, defaultGateway: \
                    { addressFamily: ipv4 } }`";
        let message = match said {
            Some(_) => "`peerAddress` and `autoDiscovery` exclude each other",
            None => "nothing says where this peer is",
        };
        reader.wrong(head(&table), message, help);
    }
    let config = table
        .get("peerConfigRef")
        .and_then(|yaml| parts::reference(reader, yaml, "peerConfigRef", &["group", "kind"]));
    table.finish(reader);
    Some(BgpPeer {
        name: name?,
        address: fixed.map(PeerAddress::Fixed).or(discovered)?,
        asn: asn?,
        config,
    })
}

const MODES: &[(&str, ())] = &[("DefaultGateway", ())];
const FAMILIES: &[(&str, AddressFamily)] = &[("ipv4", AddressFamily::Ipv4), ("ipv6", AddressFamily::Ipv6)];

fn auto_discovery(reader: &mut Reader, yaml: &Yaml) -> Option<PeerAddress> {
    let mut table = reader.table(yaml, "autoDiscovery", "`autoDiscovery`")?;
    let said = table.get("mode");
    let mode = said.and_then(|yaml| word(reader, yaml, "mode", MODES));
    required(reader, &table, "mode", "DefaultGateway", mode, said.is_some());
    let said = table.get("defaultGateway");
    let family = said.and_then(|yaml| {
        let mut table = reader.table(yaml, "defaultGateway", "`defaultGateway`")?;
        let family = table.get("addressFamily");
        let read = family.and_then(|yaml| word(reader, yaml, "addressFamily", FAMILIES));
        let read = required(reader, &table, "addressFamily", "ipv4", read, family.is_some());
        table.finish(reader);
        read
    });
    let example = "{ addressFamily: ipv4 }";
    let family = required(reader, &table, "defaultGateway", example, family, said.is_some());
    table.finish(reader);
    Some(PeerAddress::DefaultGateway(family?))
}
