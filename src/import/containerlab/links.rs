//! Links, in the brief format and in the extended one.

use std::collections::HashMap;

use super::kinds::Sort;
use super::{Topology, interface};
use crate::import::reader::{Reader, Table};
use crate::import::yaml::Yaml;
use crate::lab::file::reader::Wrong;
use crate::lab::file::{EndpointSpec, LinkSpec, LinkType, Span, Spanned, values};
use crate::lab::links::macvlan::{self, Macvlan};
use crate::lab::links::vxlan::{self, Vxlan};
use crate::lab::links::{Device, dummy::Dummy};

/// The types of the extended format.
const TYPES: &[(&str, LinkType)] = &[
    ("veth", LinkType::Veth),
    ("host", LinkType::Host),
    ("macvlan", LinkType::Device("macvlan")),
    ("vxlan", LinkType::Device("vxlan")),
    ("dummy", LinkType::Device("dummy")),
    ("mgmt-net", LinkType::Mgmt),
    // What is between the two ends there is for capturing; frames pass it unchanged.
    ("veth-stitch", LinkType::Veth),
    ("vxlan-stitch", LinkType::Device("vxlan")),
];
const HOST: &str = "host";
/// The MTU of links that say none, as containerlab has it, in bytes.
const MTU: u32 = 9500;

/// The nodes' sorts by name.
type Sorts = HashMap<String, Sort>;

pub(super) fn read(reader: &mut Reader, yaml: &Yaml, sorts: &Sorts, topology: &mut Topology) {
    let Some(items) = yaml.items() else {
        reader.mistyped(
            yaml,
            "links",
            "a list",
            "links: [{ endpoints: [\"a:eth1\", \"b:eth1\"] }]",
        );
        topology.partial_links = true;
        return;
    };
    for yaml in items {
        match link(reader, yaml, sorts) {
            Some(link) => topology.links.push(link),
            None => topology.partial_links = true,
        }
    }
}

fn link(reader: &mut Reader, yaml: &Yaml, sorts: &Sorts) -> Option<LinkSpec> {
    let mut table = reader.table(yaml, "links", "a link")?;
    let kind = table.get("type").map(|yaml| reader.word(yaml, "type", TYPES));
    let mut link = LinkSpec::new(table.span());
    // Zero is as good as nothing there.
    link.mtu = table
        .get("mtu")
        .filter(|yaml| yaml.scalar() != Some("0"))
        .and_then(|yaml| reader.integer(yaml, "mtu", 68..=65535));
    link.host_interface = table
        .get("host-interface")
        .and_then(|yaml| reader.parsed(yaml, "host-interface", "eth0", values::interface));
    for (name, key) in [
        ("host-interface", "host_interface"),
        ("mode", "mode"),
        ("vni", "vni"),
        ("remote", "remote"),
        ("udp-port", "udp_port"),
        ("dst-port", "udp_port"),
    ] {
        if let Some(yaml) = table.get(name) {
            link.note(key, yaml.span.clone());
        }
    }
    let mode = table
        .get("mode")
        .and_then(|yaml| reader.word(yaml, "mode", macvlan::MODES));
    let vni: Option<Spanned<u32>> = table
        .get("vni")
        .and_then(|yaml| reader.integer(yaml, "vni", 1..=0xff_ffff));
    let remote = table
        .get("remote")
        .and_then(|yaml| reader.parsed(yaml, "remote", "192.0.2.1", values::ip));
    let udp_port: Option<Spanned<u16>> = table
        .either("udp-port", "dst-port")
        .and_then(|yaml| reader.integer(yaml, "udp-port", 1..=65535));
    table.ignore(&["labels", "vars", "src-port"], reader);
    let table_lacks_vni = table.get("vni").is_none();
    let extended = kind.is_some();
    let ends = endpoints(reader, &mut table, extended, &mut link.span);
    let ends = addresses(reader, &mut table, ends);
    table.finish(reader);
    if let Some(kind) = kind {
        link.kind = Some(kind?);
    }
    let ends = ends?;
    link.endpoints = ends.into_iter().map(|end| on_host(end, sorts)).collect();
    let mut link = special(link);
    if let Some(LinkType::Device(name)) = link.kind.as_ref().map(|kind| kind.value) {
        link.device = match name {
            "macvlan" => Some(Device::Macvlan(Macvlan {
                mode: mode.map_or(macvlan::MODES[0].1, |mode| mode.value),
            })),
            "vxlan" => {
                if vni.is_none() && table_lacks_vni {
                    let message = "a link of type vxlan has no `vni`";
                    reader.wrong(link.span.clone(), message, "add `vni: 100`");
                }
                Some(Device::Vxlan(Vxlan {
                    vni: vni?.value,
                    remote: remote.map(|it| it.value),
                    local: None,
                    udp_port: udp_port.map_or(vxlan::PORT, |it| it.value),
                    learning: true,
                }))
            }
            _ => Some(Device::Dummy(Dummy {})),
        };
    }
    Some(wide(link))
}

/// A link of containerlab's own making has its MTU where it says none; other devices have that of what they are on.
fn wide(mut link: LinkSpec) -> LinkSpec {
    let own = |kind: &Spanned<LinkType>| matches!(kind.value, LinkType::Veth | LinkType::Host);
    if link.mtu.is_none() && link.kind.as_ref().is_none_or(own) {
        link.mtu = Some(Spanned::new(MTU, link.span.clone()));
    }
    link
}

/// The ends with the addresses that the link gives them: `ipv4: [A, B]` and `ipv6: [A, B]`, in the order of its ends.
fn addresses(
    reader: &mut Reader,
    table: &mut Table,
    ends: Option<Vec<EndpointSpec>>,
) -> Option<Vec<EndpointSpec>> {
    let v4 = listed(reader, table, "ipv4", "10.0.0.1/30", values::ipv4_net);
    let v6 = listed(reader, table, "ipv6", "fd00::1/64", values::ipv6_net);
    let mut ends = ends?;
    for (key, span, count) in [
        ("ipv4", &v4.span, v4.value.len()),
        ("ipv6", &v6.span, v6.value.len()),
    ] {
        if count > ends.len() {
            let message = format!("`{key}` has {count} addresses, and the link {} ends", ends.len());
            reader.wrong(
                span.clone(),
                message,
                "give an address for each of `endpoints`, in their order",
            );
        }
    }
    let nets = v4.value.into_iter().map(Some).chain(std::iter::repeat(None));
    for (end, net) in ends.iter_mut().zip(nets) {
        end.ipv4 = end.ipv4.take().or(net.flatten());
    }
    let nets = v6.value.into_iter().map(Some).chain(std::iter::repeat(None));
    for (end, net) in ends.iter_mut().zip(nets) {
        end.ipv6 = end.ipv6.take().or(net.flatten());
    }
    Some(ends)
}

/// Addresses of a link's ends in their order; an empty one is none.
fn listed<T>(
    reader: &mut Reader,
    table: &mut Table,
    key: &'static str,
    example: &str,
    parse: impl Fn(&str) -> Result<T, Wrong> + Copy,
) -> Spanned<Vec<Option<Spanned<T>>>> {
    let Some(yaml) = table.get(key) else {
        return Spanned::new(Vec::new(), table.span());
    };
    let read = reader.list(yaml, key, example, |reader, yaml| {
        let is_none = yaml.scalar().is_some_and(str::is_empty);
        Some(match is_none {
            true => None,
            false => reader.parsed(yaml, key, example, parse),
        })
    });
    Spanned::new(read.unwrap_or_default(), yaml.span.clone())
}

/// The ends, or nothing where one of them could not be read.
fn endpoints(
    reader: &mut Reader,
    table: &mut Table,
    extended: bool,
    span: &mut Span,
) -> Option<Vec<EndpointSpec>> {
    let one = table.get("endpoint");
    let many = table.get("endpoints");
    if let Some(yaml) = one.filter(|_| extended) {
        *span = yaml.span.clone();
        return endpoint(reader, yaml).map(|end| vec![end]);
    }
    let Some(yaml) = many else {
        let help = "add `endpoints: [\"a:eth1\", \"b:eth1\"]`";
        reader.wrong(table.span(), "a link has no `endpoints`", help);
        return None;
    };
    *span = yaml.span.clone();
    let ends = reader.list(yaml, "endpoints", "\"a:eth1\", \"b:eth1\"", |reader, yaml| {
        Some(endpoint(reader, yaml))
    })?;
    ends.into_iter().collect()
}

/// `node:interface`, or a mapping with more to say.
fn endpoint(reader: &mut Reader, yaml: &Yaml) -> Option<EndpointSpec> {
    if yaml.entries().is_none() {
        return brief(reader, yaml);
    }
    let mut table = reader.table(yaml, "endpoints", "an endpoint")?;
    let node = table
        .get("node")
        .and_then(|yaml| reader.string(yaml, "node", "a"));
    let name = table.get("interface").and_then(|yaml| {
        let text = reader.string(yaml, "interface", "eth1")?;
        interface(reader, &text.value, &text.span)
    });
    for (key, given) in [("node", table.get("node")), ("interface", table.get("interface"))] {
        if given.is_none() {
            let message = format!("an endpoint has no `{key}`");
            reader.wrong(table.span(), message, "write `{ node: a, interface: eth1 }`");
        }
    }
    let mac = table
        .get("mac")
        .and_then(|yaml| reader.parsed(yaml, "mac", "02:00:00:00:00:01", values::mac));
    let ipv4 = table
        .get("ipv4")
        .and_then(|yaml| reader.parsed(yaml, "ipv4", "10.0.0.1/30", values::ipv4_net));
    let ipv6 = table
        .get("ipv6")
        .and_then(|yaml| reader.parsed(yaml, "ipv6", "fd00::1/64", values::ipv6_net));
    table.ignore(&["vars"], reader);
    table.finish(reader);
    Some(EndpointSpec {
        span: yaml.span.clone(),
        node: node?,
        interface: name?,
        mac,
        ipv4,
        ipv6,
    })
}

fn brief(reader: &mut Reader, yaml: &Yaml) -> Option<EndpointSpec> {
    let text = reader.string(yaml, "endpoints", "\"a:eth1\"")?;
    let parts = text
        .value
        .split_once(':')
        .filter(|(node, name)| !node.is_empty() && !name.is_empty());
    let Some((node, name)) = parts else {
        let message = format!("`{}` is not an endpoint", text.value.escape_debug());
        reader.wrong(
            text.span,
            message,
            "an endpoint is a node and an interface: `\"a:eth1\"`",
        );
        return None;
    };
    Some(EndpointSpec {
        node: Spanned::new(node.to_owned(), text.span.clone()),
        interface: interface(reader, name, &text.span)?,
        span: text.span.clone(),
        mac: None,
        ipv4: None,
        ipv6: None,
    })
}

/// An end at a node of kind `host` is an end at this machine; slashes in names of interfaces become hyphens.
fn on_host(mut end: EndpointSpec, sorts: &Sorts) -> EndpointSpec {
    let sort = sorts.get(&end.node.value);
    if sort == Some(&Sort::Host) {
        end.node.value = HOST.into();
    }
    // A kind whose file says what its interfaces are called has the kernel's names for them; others' are made fit, as there.
    if sort != Some(&Sort::OfKind) {
        end.interface.value = end.interface.value.replace('/', "-");
    }
    end
}

/// The brief format's own names: `macvlan:eth0` and `mgmt-net:x` are no nodes.
fn special(mut link: LinkSpec) -> LinkSpec {
    if link
        .kind
        .as_ref()
        .is_some_and(|kind| kind.value == LinkType::Mgmt)
    {
        // The name of the end at the bridge, which is nobody's affair here.
        link.host_interface = None;
        link.given.retain(|(key, _)| *key != "host_interface");
    }
    if let Some(at) = link.endpoints.iter().position(|end| end.node.value == "mgmt-net") {
        let end = link.endpoints.remove(at);
        link.kind = Some(Spanned::new(LinkType::Mgmt, end.span));
    }
    if let Some(at) = link.endpoints.iter().position(|end| end.node.value == "macvlan") {
        let end = link.endpoints.remove(at);
        link.kind = Some(Spanned::new(LinkType::Device("macvlan"), end.span));
        link.host_interface = Some(end.interface);
    }
    link
}
