//! `CiliumBGPPeerConfig`.

use std::collections::BTreeMap;

use super::parts::{self, PORT, TTL, Timers};
use super::peering_policy::BGP;
use crate::cilium::instance::AddressFamily;
use crate::cilium::reading::{number, text};
use crate::cilium::selector::Selector;
use crate::yaml::Yaml;
use crate::yaml::reader::{Reader, Table};

/// What sessions are like.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct PeerConfig {
    pub port: u16,
    pub interface: Option<String>,
    pub timers: Timers,
    pub secret: Option<String>,
    pub restart: Option<u16>,
    pub multihop: u8,
    /// Families, and the advertisements that hold in each.
    pub families: BTreeMap<AddressFamily, Option<Selector>>,
}

impl Default for PeerConfig {
    /// What holds for a peer without one.
    fn default() -> Self {
        PeerConfig {
            port: BGP,
            interface: None,
            timers: Timers::default(),
            secret: None,
            restart: None,
            multihop: 1,
            families: both(),
        }
    }
}

fn both() -> BTreeMap<AddressFamily, Option<Selector>> {
    BTreeMap::from([(AddressFamily::Ipv4, None), (AddressFamily::Ipv6, None)])
}

pub(super) fn read(reader: &mut Reader, table: &mut Table) -> Option<PeerConfig> {
    let mut config = PeerConfig::default();
    if let Some(yaml) = table.get("transport") {
        transport(reader, yaml, &mut config);
    }
    if let Some(yaml) = table.get("timers")
        && let Some(mut timers) = reader.table(yaml, "timers", "`timers`")
    {
        config.timers = parts::timers(reader, &mut timers);
        timers.finish(reader);
    }
    config.secret = table
        .get("authSecretRef")
        .and_then(|yaml| text(reader, yaml, "authSecretRef", "bgp-password"));
    config.restart = table
        .get("gracefulRestart")
        .and_then(|yaml| parts::graceful_restart(reader, yaml));
    if let Some(yaml) = table.get("ebgpMultihop") {
        config.multihop = number(reader, yaml, "ebgpMultihop", TTL).unwrap_or(1);
    }
    if let Some(yaml) = table.get("families") {
        let read = reader.list(yaml, "families", "{ afi: ipv4, safi: unicast }", family);
        config.families = match read {
            Some(families) if !families.is_empty() => families.into_iter().collect(),
            _ => both(),
        };
    }
    Some(config)
}

fn transport(reader: &mut Reader, yaml: &Yaml, config: &mut PeerConfig) {
    let Some(mut table) = reader.table(yaml, "transport", "`transport`") else {
        return;
    };
    if let Some(yaml) = table.get("peerPort") {
        config.port = number(reader, yaml, "peerPort", PORT).unwrap_or(BGP);
    }
    config.interface = table
        .get("sourceInterface")
        .and_then(|yaml| text(reader, yaml, "sourceInterface", "lo"));
    table.refuse(
        &[("localPort", "remove it: the port is the kernel's choice")],
        reader,
    );
    table.finish(reader);
}

fn family(reader: &mut Reader, yaml: &Yaml) -> Option<(AddressFamily, Option<Selector>)> {
    let mut table = reader.table(yaml, "families", "an item of `families`")?;
    let family = parts::family(reader, &mut table);
    let advertisements = table
        .get("advertisements")
        .and_then(|yaml| Selector::read(reader, yaml, "advertisements"));
    table.finish(reader);
    Some((family?, advertisements))
}
