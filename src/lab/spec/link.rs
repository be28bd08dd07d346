//! Links and their ends.

use super::reader::{Reader, Value, Wrong};
use super::{EndpointSpec, LinkSpec, LinkType, Spanned, values};
use crate::lab::model::{MacvlanMode, Underlay};

const TYPES: &[(&str, LinkType)] = &[
    ("veth", LinkType::Veth),
    ("host", LinkType::Host),
    ("macvlan", LinkType::Macvlan),
    ("vxlan", LinkType::Vxlan),
    ("dummy", LinkType::Dummy),
    ("mgmt", LinkType::Mgmt),
];
const MODES: &[(&str, MacvlanMode)] = &[
    ("bridge", MacvlanMode::Bridge),
    ("private", MacvlanMode::Private),
    ("vepa", MacvlanMode::Vepa),
    ("passthru", MacvlanMode::Passthru),
];
const UNDERLAYS: &[(&str, Underlay)] = &[("host", Underlay::Host), ("node", Underlay::Node)];
const ENDS: &str = "\"a:eth0\", \"b:eth0\"";

/// The smallest MTU the kernel gives an interface that carries IPv4, and the largest of a veth.
pub(super) const MTU: std::ops::RangeInclusive<i64> = 68..=65535;

/// An item of `[[links]]`; `None` when its ends could not be read.
pub(super) fn link(reader: &mut Reader, value: &Value) -> Option<LinkSpec> {
    let mut table = reader.table(value, "links", "link", "a link", value.span())?;
    let mut readable = true;
    let kind = table.get("type").map(|value| reader.word(value, "type", TYPES));
    readable &= !matches!(kind, Some(None));
    let mut span = table.span();
    let mut endpoints = Vec::new();
    match table.get("endpoints") {
        Some(value) => {
            span = value.span();
            let count = value.get_ref().as_array().map_or(1, |ends| ends.len());
            endpoints = reader
                .list(value, "endpoints", ENDS, endpoint)
                .unwrap_or_default();
            readable &= endpoints.len() == count;
        }
        None => {
            reader.missing(&table, "endpoints", &format!("endpoints = [{ENDS}]"));
            readable = false;
        }
    }
    let link = LinkSpec {
        span,
        kind: kind.flatten(),
        endpoints,
        mtu: table
            .get("mtu")
            .and_then(|value| reader.integer(value, "mtu", MTU)),
        offload: table
            .get("offload")
            .and_then(|value| reader.boolean(value, "offload")),
        host_interface: table
            .get("host_interface")
            .and_then(|value| reader.parsed(value, "host_interface", "eth0", values::interface)),
        mode: table
            .get("mode")
            .and_then(|value| reader.word(value, "mode", MODES)),
        vni: table
            .get("vni")
            .and_then(|value| reader.integer(value, "vni", 1..=0xff_ffff)),
        remote: table
            .get("remote")
            .and_then(|value| reader.parsed(value, "remote", "192.0.2.1", values::ip)),
        local: table
            .get("local")
            .and_then(|value| reader.parsed(value, "local", "192.0.2.2", values::ip)),
        udp_port: table
            .get("udp_port")
            .and_then(|value| reader.integer(value, "udp_port", 1..=65535)),
        underlay: table
            .get("underlay")
            .and_then(|value| reader.word(value, "underlay", UNDERLAYS)),
    };
    // What was given and could not be read has been told; without it the link would seem to lack it.
    readable &= table.get("host_interface").is_some() == link.host_interface.is_some();
    readable &= table.get("vni").is_some() == link.vni.is_some();
    readable &= table.get("remote").is_some() == link.remote.is_some();
    table.finish(reader);
    readable.then_some(link)
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
        Some(value) => reader.parsed(value, "interface", "eth0", values::interface),
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
    if let Err(wrong) = values::interface(interface) {
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
