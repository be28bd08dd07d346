//! Interfaces of a node beside the ends of its links: `[nodes.X.interfaces.NAME]`.

use std::sync::LazyLock;

use ipnet::IpNet;

use super::link::MTU;
use super::reader::{Reader, Table, Value, Wrong};
use super::{Spanned, suggest, values};
use crate::links::{self, Below, Device, Keys, Sort};
use crate::model::Mac;

/// The bridge of a node of kind bridge, which needs no `type`.
const SWITCH: &str = "br0";
const VLAN: std::ops::RangeInclusive<i64> = 1..=4094;

/// An interface: a device of a type, or what is set on one that is there or comes late.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InterfaceSpec {
    /// Its name.
    pub name: Spanned<String>,
    /// The name of its type.
    pub kind: Option<Spanned<&'static str>>,
    /// What it is, where it has a type.
    pub device: Option<Device>,
    /// Whether it could not be read in full, which has been told.
    pub partial: bool,
    /// The interface it is on top of.
    pub link: Option<Spanned<String>>,
    /// The bridge, bond or VRF it is in.
    pub master: Option<Spanned<String>>,
    /// The interfaces that are in it.
    pub ports: Vec<Spanned<String>>,
    /// Bytes.
    pub mtu: Option<Spanned<u32>>,
    /// A fixed MAC address.
    pub mac: Option<Spanned<Mac>>,
    /// Addresses.
    pub addresses: Vec<Spanned<IpNet>>,
    /// Whether the node's own commands make it.
    pub late: Option<Spanned<bool>>,
    /// The VLAN of frames without a tag.
    pub pvid: Option<Spanned<u16>>,
    /// VLANs that leave with their tag.
    pub tagged: Option<Spanned<Vec<(u16, u16)>>>,
    /// VLANs that leave without a tag.
    pub untagged: Option<Spanned<Vec<(u16, u16)>>>,
}

/// `interfaces = { … }`, in the order of the file.
pub(super) fn interfaces(reader: &mut Reader, value: &Value) -> Vec<InterfaceSpec> {
    let example = "interfaces = { bond0 = { type = \"bond\", ports = [\"eth0\", \"eth1\"] } }";
    let mut all = Vec::new();
    for (name, value) in reader.map(value, "interfaces", example) {
        match values::interface(name.value) {
            Ok(_) => all.push(interface(reader, name.map(str::to_owned), value)),
            Err(wrong) => reader.wrong(name.span, wrong),
        }
    }
    all
}

fn interface(reader: &mut Reader, name: Spanned<String>, value: &Value) -> InterfaceSpec {
    let before = reader.diagnostics.len();
    let what = format!("interface `{}`", name.value);
    let mut spec = InterfaceSpec {
        name,
        ..InterfaceSpec::default()
    };
    let key = spec.name.value.clone();
    let Some(mut table) = reader.table(value, &key, "interface", what, spec.name.span.clone()) else {
        spec.partial = true;
        return spec;
    };
    let sort = sort(reader, &mut table, &mut spec);
    common(reader, &mut table, &mut spec);
    if let Some(sort) = sort {
        table.rename(format!("interface `{}` of type {}", spec.name.value, sort.name));
        spec.device = Device::read(sort, &mut Keys::read(reader, &mut table));
    }
    foreign(reader, &mut table, &spec, sort);
    table.finish(reader);
    spec.partial = reader.diagnostics.len() > before;
    spec
}

/// Its type: what it says, and for a switch's own bridge what its name says. One that comes late is of the type that commands give it.
fn sort(reader: &mut Reader, table: &mut Table, spec: &mut InterfaceSpec) -> Option<&'static Sort> {
    let Some(value) = table.get("type") else {
        let is_late = table.get("late").and_then(|late| late.get_ref().as_bool());
        let is_switch = spec.name.value == SWITCH && is_late != Some(true);
        let implied = is_switch.then(|| links::sort("bridge")).flatten()?;
        spec.kind = Some(Spanned::new(implied.name, spec.name.span.clone()));
        return Some(implied);
    };
    let text = reader.string(value, "type", "vlan")?;
    let found = links::sort(&text.value);
    match found {
        Some(sort) => spec.kind = Some(Spanned::new(sort.name, text.span)),
        None => {
            let help = match other_name(&text.value) {
                Some(name) => format!("write `type = \"{name}\"`"),
                None if text.value == "veth" => {
                    "a veth is a link: write a table `[[links]]` with both of its ends".to_owned()
                }
                None => {
                    let names: Vec<&str> = links::sorts().map(|it| it.name).collect();
                    suggest::cure(&text.value, names.iter().copied(), "`type` is one of", "")
                }
            };
            let message = format!("`type` cannot be `{}`", text.value.escape_debug());
            reader.wrong(text.span, Wrong::new(message, help));
        }
    }
    found
}

/// The type that other tools call otherwise.
fn other_name(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "8021q" | "802.1q" | "dot1q" | "vlans" => "vlan",
        "bonding" | "lag" | "team" | "port-channel" => "bond",
        "wg" => "wireguard",
        "vlan-bridge" | "switch" => "bridge",
        "6in4" => "sit",
        "ip6ip6" | "ipip6" => "ip6tnl",
        _ => return None,
    })
}

/// What every type has.
fn common(reader: &mut Reader, table: &mut Table, spec: &mut InterfaceSpec) {
    let mut named = |reader: &mut Reader, key: &'static str| {
        table
            .get(key)
            .and_then(|value| reader.parsed(value, key, "eth0", values::interface))
    };
    spec.link = named(reader, "link");
    spec.master = named(reader, "master");
    spec.ports = table
        .get("ports")
        .and_then(|value| {
            reader.list(value, "ports", "\"eth0\", \"eth1\"", |reader, value| {
                reader.parsed(value, "ports", "eth0", values::interface)
            })
        })
        .unwrap_or_default();
    spec.mtu = table
        .get("mtu")
        .and_then(|value| reader.integer(value, "mtu", MTU));
    spec.mac = table
        .get("mac")
        .and_then(|value| reader.parsed(value, "mac", "02:00:00:00:00:01", values::mac));
    spec.addresses = table
        .get("addresses")
        .and_then(|value| {
            reader.list(value, "addresses", "\"10.0.1.2/24\"", |reader, value| {
                reader.parsed(value, "addresses", "10.0.1.2/24", values::net)
            })
        })
        .unwrap_or_default();
    spec.late = table.get("late").and_then(|value| reader.boolean(value, "late"));
    spec.pvid = table
        .get("pvid")
        .and_then(|value| reader.integer(value, "pvid", VLAN));
    for (key, place) in [("tagged", &mut spec.tagged), ("untagged", &mut spec.untagged)] {
        *place = table.get(key).and_then(|value| {
            let ranges = reader.list(value, key, "20, \"30-39\"", |reader, value| {
                vlans(reader, value, key)
            })?;
            Some(Spanned::new(ranges, value.span()))
        });
    }
}

/// A VLAN's number, or `"30-39"`.
fn vlans(reader: &mut Reader, value: &Value, key: &str) -> Option<(u16, u16)> {
    if !value.get_ref().is_str() {
        let id: Spanned<u16> = reader.integer(value, key, VLAN)?;
        return Some((id.value, id.value));
    }
    let parsed = reader.parsed(value, key, "30-39", |text| {
        let number = |text: &str| {
            let number: Option<u16> = text.trim().parse().ok();
            number.filter(|it| VLAN.contains(&i64::from(*it)))
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Ok((first, last)),
            _ => Err(Wrong::new(
                format!("`{}` is not a range of VLANs", text.escape_debug()),
                "write a number from 1 to 4094, or a range of them: `\"30-39\"`",
            )),
        }
    })?;
    Some(parsed.value)
}

/// Tells keys that belong to other types.
fn foreign(reader: &mut Reader, table: &mut Table, spec: &InterfaceSpec, sort: Option<&'static Sort>) {
    // What the type could have been is not known: none of the keys is an error on its own.
    let untyped = sort.is_none() && table.get("type").is_some();
    let own: Vec<&str> = sort
        .map(|sort| keys_of(sort).iter().map(|key| key.name).collect())
        .unwrap_or_default();
    let what = match &spec.kind {
        Some(kind) => format!("an interface of type {}", kind.value),
        None => "an interface without a `type`".to_owned(),
    };
    for &key in ALL_KEYS.iter() {
        let value = table.get(key);
        let Some(value) = value.filter(|_| !untyped && !own.contains(&key)) else {
            continue;
        };
        let of: Vec<&str> = links::sorts()
            .filter(|sort| keys_of(sort).iter().any(|it| it.name == key))
            .map(|sort| sort.name)
            .collect();
        let types: Vec<String> = of.iter().map(|name| format!("`type = \"{name}\"`")).collect();
        let span = table.key_span(key).unwrap_or(value.span());
        let message = format!("{what} has no `{key}`");
        let help = format!("remove it, or write {}", types.join(" or "));
        reader.wrong(span, Wrong::new(message, help));
    }
}

/// The keys of a type alone.
pub(crate) fn keys_of(sort: &'static Sort) -> Vec<links::Described> {
    Keys::describe(|keys| {
        Device::read(sort, keys);
    })
}

/// Every key that some type alone has; asked for every interface of a lab, so it is worked out once.
static ALL_KEYS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut all: Vec<&str> = Vec::new();
    for key in links::sorts().flat_map(keys_of) {
        if !all.contains(&key.name) {
            all.push(key.name);
        }
    }
    all
});

/// Whether a type has an interface below.
pub(super) fn has_link(sort: &Sort) -> bool {
    sort.below != Below::Nothing
}
