//! Links and their ends.

use std::sync::LazyLock;

use ipnet::{Ipv4Net, Ipv6Net};

use super::reader::{Reader, Value, Wrong};
use super::{Span, Spanned, impair, interface, values};
use crate::impair::Impairments;
use crate::links::{Device, Keys, sort};
use crate::model::{Mac, Underlay};

/// A link.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkSpec {
    /// Where it stands.
    pub span: Span,
    /// Its type; `None` where nothing is said (a veth pair, or a link to the host by an endpoint `host:…`).
    pub kind: Option<Spanned<LinkType>>,
    /// Its ends.
    pub endpoints: Vec<EndpointSpec>,
    /// Bytes.
    pub mtu: Option<Spanned<u32>>,
    /// Checksum offload.
    pub offload: Option<Spanned<bool>>,
    /// An interface of the host.
    pub host_interface: Option<Spanned<String>>,
    /// Whose network carries it.
    pub underlay: Option<Spanned<Underlay>>,
    /// What it does to packets, and where that is said.
    pub impair: Option<Spanned<Impairments>>,
    /// What it is, where its type is that of a device.
    pub device: Option<Device>,
    /// The keys given that not every type of link has, and where.
    pub given: Vec<(&'static str, Span)>,
}

impl LinkSpec {
    /// A link of which nothing is said but where it stands.
    pub fn new(span: Span) -> Self {
        LinkSpec {
            span,
            kind: None,
            endpoints: Vec::new(),
            mtu: None,
            offload: None,
            host_interface: None,
            underlay: None,
            impair: None,
            device: None,
            given: Vec::new(),
        }
    }
}

/// The types of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkType {
    /// A pair between two nodes.
    Veth,
    /// A pair between a node and the host.
    Host,
    /// A port on the management network.
    Mgmt,
    /// A device of a type, by its name.
    Device(&'static str),
}

impl LinkType {
    /// The types of devices that links are made of.
    pub const DEVICES: [&'static str; 3] = ["macvlan", "vxlan", "dummy"];

    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            LinkType::Veth => "veth",
            LinkType::Host => "host",
            LinkType::Mgmt => "mgmt",
            LinkType::Device(name) => name,
        }
    }
}

/// One end of a link.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointSpec {
    /// Where it stands.
    pub span: Span,
    /// The node (or `host`).
    pub node: Spanned<String>,
    /// The interface.
    pub interface: Spanned<String>,
    /// A fixed MAC address.
    pub mac: Option<Spanned<Mac>>,
    /// An address.
    pub ipv4: Option<Spanned<Ipv4Net>>,
    /// An address.
    pub ipv6: Option<Spanned<Ipv6Net>>,
}

const TYPES: &[(&str, LinkType)] = &[
    ("veth", LinkType::Veth),
    ("host", LinkType::Host),
    ("macvlan", LinkType::Device("macvlan")),
    ("vxlan", LinkType::Device("vxlan")),
    ("dummy", LinkType::Device("dummy")),
    ("mgmt", LinkType::Mgmt),
];
const UNDERLAYS: &[(&str, Underlay)] = &[("host", Underlay::Host), ("node", Underlay::Node)];
const ENDS: &str = "\"a:eth0\", \"b:eth0\"";

/// The smallest MTU the kernel gives an interface that carries IPv4, and the largest of a veth.
pub(super) const MTU: std::ops::RangeInclusive<i64> = 68..=65535;

/// An item of `[[links]]`; `None` when it could not be read in full.
pub(super) fn link(reader: &mut Reader, value: &Value) -> Option<LinkSpec> {
    let mut table = reader.table(value, "links", "link", "a link", value.span())?;
    let mut readable = true;
    let kind = table.get("type").map(|value| reader.word(value, "type", TYPES));
    readable &= !matches!(kind, Some(None));
    let mut link = LinkSpec::new(table.span());
    link.kind = kind.flatten();
    match table.get("endpoints") {
        Some(value) => {
            link.span = value.span();
            let count = value.get_ref().as_array().map_or(1, |ends| ends.len());
            link.endpoints = reader
                .list(value, "endpoints", ENDS, endpoint)
                .unwrap_or_default();
            readable &= link.endpoints.len() == count;
        }
        None => {
            reader.missing(&table, "endpoints", &format!("endpoints = [{ENDS}]"));
            readable = false;
        }
    }
    link.mtu = table
        .get("mtu")
        .and_then(|value| reader.integer(value, "mtu", MTU));
    link.offload = table
        .get("offload")
        .and_then(|value| reader.boolean(value, "offload"));
    link.host_interface = table
        .get("host_interface")
        .and_then(|value| reader.parsed(value, "host_interface", "eth0", values::interface));
    link.underlay = table
        .get("underlay")
        .and_then(|value| reader.word(value, "underlay", UNDERLAYS));
    if let Some(value) = table.get("impair") {
        link.impair = impair::impairments(reader, value);
        readable &= link.impair.is_some();
    }
    // What was given and could not be read has been told; without it the link would seem to lack it.
    readable &= table.get("host_interface").is_some() == link.host_interface.is_some();
    if let Some(LinkType::Device(name)) = link.kind.as_ref().map(|kind| kind.value) {
        table.rename(format!("a link of type {name}"));
        let keys = &mut Keys::read(reader, &mut table);
        link.device = sort(name).and_then(|sort| Device::read(sort, keys));
        readable &= link.device.is_some();
    }
    for &key in KEYS.iter() {
        link.given.extend(table.get(key).map(|value| (key, value.span())));
    }
    table.finish(reader);
    readable.then_some(link)
}

/// The keys that some types of links have, and others not; asked for every link of a lab, so they are worked out once.
static KEYS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let devices = LinkType::DEVICES.map(LinkType::Device);
    let mut all = Vec::new();
    for key in [LinkType::Host].into_iter().chain(devices).flat_map(keys_of) {
        if !all.contains(&key) {
            all.push(key);
        }
    }
    all
});

impl LinkSpec {
    /// Notes a key that not every type of link has, for readers of other files.
    pub fn note(&mut self, key: &'static str, span: super::Span) {
        self.given.push((key, span));
    }
}

/// The keys that a type of link has beside those that all have.
pub fn keys_of(kind: LinkType) -> Vec<&'static str> {
    match kind {
        LinkType::Veth | LinkType::Mgmt => Vec::new(),
        LinkType::Host => vec!["host_interface"],
        LinkType::Device(name) => {
            let own = sort(name).map(interface::keys_of).unwrap_or_default();
            let own = own.into_iter().map(|key| key.name);
            match name {
                "macvlan" => own.chain(["host_interface"]).collect(),
                "vxlan" => own.chain(["underlay"]).collect(),
                _ => own.collect(),
            }
        }
    }
}

/// `"node:interface"`, or a table with more to say.
fn endpoint(reader: &mut Reader, value: &Value) -> Option<EndpointSpec> {
    if value.get_ref().is_str() {
        let text = reader.string(value, "endpoints", "a:eth0")?;
        return brief(reader, &text);
    }
    if !value.get_ref().is_table() {
        reader.mistyped(
            value,
            "endpoints",
            "a list of strings or tables",
            &format!("endpoints = [{ENDS}]"),
        );
        return None;
    }
    let mut table = reader.table(value, "endpoints", "endpoint", "an endpoint", value.span())?;
    let node = match table.get("node") {
        Some(value) => reader.string(value, "node", "a"),
        None => {
            reader.missing(&table, "node", "node = \"a\"");
            None
        }
    };
    let interface = match table.get("interface") {
        Some(value) => reader.parsed(value, "interface", "eth0", values::written_interface),
        None => {
            reader.missing(&table, "interface", "interface = \"eth0\"");
            None
        }
    };
    let mac = table
        .get("mac")
        .and_then(|value| reader.parsed(value, "mac", "02:00:00:00:00:01", values::mac));
    let ipv4 = table
        .get("ipv4")
        .and_then(|value| reader.parsed(value, "ipv4", "10.0.1.2/24", values::ipv4_net));
    let ipv6 = table
        .get("ipv6")
        .and_then(|value| reader.parsed(value, "ipv6", "fd00::2/64", values::ipv6_net));
    let span = table.span();
    table.finish(reader);
    Some(EndpointSpec {
        span,
        node: node?,
        interface: interface?,
        mac,
        ipv4,
        ipv6,
    })
}

/// `node:interface`.
fn brief(reader: &mut Reader, text: &Spanned<String>) -> Option<EndpointSpec> {
    let Some((node, interface)) = text.value.split_once(':') else {
        let help = format!("an endpoint is a node and an interface: `{}:eth0`", text.value);
        reader.wrong(
            text.span.clone(),
            Wrong::new(
                format!("the endpoint `{}` names no interface", text.value.escape_debug()),
                help,
            ),
        );
        return None;
    };
    if node.is_empty() {
        let help = "an endpoint is a node and an interface: `a:eth0`";
        reader.wrong(
            text.span.clone(),
            Wrong::new(
                format!("the endpoint `{}` names no node", text.value.escape_debug()),
                help,
            ),
        );
        return None;
    }
    let interface_span = match interface.is_empty() {
        true => text.span.clone(),
        false => reader.part(text, node.len() + 1..=text.value.len() - 1),
    };
    if let Err(wrong) = values::written_interface(interface) {
        reader.wrong(interface_span, wrong);
        return None;
    }
    Some(EndpointSpec {
        span: text.span.clone(),
        node: Spanned::new(node.to_owned(), reader.part(text, 0..=node.len() - 1)),
        interface: Spanned::new(interface.to_owned(), interface_span),
        mac: None,
        ipv4: None,
        ipv6: None,
    })
}
