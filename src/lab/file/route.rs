//! Static routes.

use std::net::IpAddr;

use ipnet::IpNet;

use super::reader::{Reader, Table, Value, Wrong};
use super::{Spanned, values};

/// A static route.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteSpec {
    /// The destination, `None` for `default`.
    pub to: Spanned<Option<IpNet>>,
    /// What it does.
    pub action: RouteActionSpec,
    /// Priority.
    pub metric: Option<u32>,
    /// Table.
    pub table: Option<u32>,
    /// The VRF of the node whose table it is in.
    pub vrf: Option<Spanned<String>>,
}

/// What a route does.
#[derive(Debug, Clone, PartialEq)]
pub enum RouteActionSpec {
    /// Forward to these (never empty).
    Forward(Vec<NextHopSpec>),
    /// Drop silently.
    Blackhole,
    /// Drop with ICMP unreachable.
    Unreachable,
    /// Drop with ICMP prohibited.
    Prohibit,
}

/// A next hop.
#[derive(Debug, Clone, PartialEq)]
pub struct NextHopSpec {
    /// The gateway.
    pub via: Option<Spanned<IpAddr>>,
    /// The interface.
    pub dev: Option<Spanned<String>>,
    /// ECMP weight, 1 to 256.
    pub weight: u16,
}

/// The types of routes; `None` is forwarding.
const TYPES: &[(&str, Option<Drop>)] = &[
    ("blackhole", Some(Drop::Blackhole)),
    ("unreachable", Some(Drop::Unreachable)),
    ("prohibit", Some(Drop::Prohibit)),
    ("unicast", None),
];

#[derive(Clone, Copy)]
enum Drop {
    Blackhole,
    Unreachable,
    Prohibit,
}

/// An item of `routes`.
pub(super) fn route(reader: &mut Reader, value: &Value) -> Option<Spanned<RouteSpec>> {
    let mut table = reader.table(value, "routes", "route", "a route", value.span())?;
    let to = match table.get("to") {
        Some(value) => reader.parsed(value, "to", "10.0.0.0/8", values::destination),
        None => {
            reader.missing(&table, "to", "to = \"default\"");
            None
        }
    };
    let drop = table
        .get("type")
        .map(|value| (value, reader.word(value, "type", TYPES)));
    let metric = table
        .get("metric")
        .and_then(|value| reader.integer(value, "metric", 0..=u32::MAX.into()));
    let table_id = table
        .get("table")
        .and_then(|value| reader.integer(value, "table", 1..=u32::MAX.into()));
    let vrf = table
        .get("vrf")
        .and_then(|value| reader.parsed(value, "vrf", "red", values::interface));
    if let (Some(vrf), Some(_)) = (&vrf, &table_id) {
        let message = "a route is in a VRF or in a table, and this one names both";
        reader.wrong(
            vrf.span.clone(),
            Wrong::new(message, "remove `table`: a VRF has its own"),
        );
    }
    let hops = hops(reader, &mut table);
    let span = table.span();
    table.finish(reader);
    let drop = match drop {
        None => None,
        Some((_, None)) => return None,
        Some((_, Some(drop))) => drop.value,
    };
    let action = action(reader, drop, hops?, &span)?;
    let route = RouteSpec {
        to: to?,
        action,
        metric: metric.map(|metric| metric.value),
        table: table_id.map(|table| table.value),
        vrf,
    };
    Some(Spanned::new(route, span))
}

/// What a route of this type with these next hops does.
fn action(
    reader: &mut Reader,
    drop: Option<Drop>,
    hops: Vec<NextHopSpec>,
    span: &super::Span,
) -> Option<RouteActionSpec> {
    let Some(drop) = drop else {
        if hops.is_empty() {
            let help = "add `via = \"10.0.1.1\"`, `dev = \"eth0\"`, or `type = \"blackhole\"`";
            reader.wrong(span.clone(), Wrong::new("this route leads nowhere", help));
            return None;
        }
        return Some(RouteActionSpec::Forward(hops));
    };
    if !hops.is_empty() {
        let help = "remove `type`, or remove `via`, `dev` and `nexthops`";
        reader.wrong(
            span.clone(),
            Wrong::new("a route that drops packets has no next hop", help),
        );
        return None;
    }
    Some(match drop {
        Drop::Blackhole => RouteActionSpec::Blackhole,
        Drop::Unreachable => RouteActionSpec::Unreachable,
        Drop::Prohibit => RouteActionSpec::Prohibit,
    })
}

/// The next hops, in the short form or the long one; `None` when they could not be read.
fn hops(reader: &mut Reader, table: &mut Table) -> Option<Vec<NextHopSpec>> {
    let written = table.get("via").is_some() || table.get("dev").is_some();
    let Some(list) = table.get("nexthops") else {
        return if written {
            Some(vec![hop(reader, table)?])
        } else {
            Some(Vec::new())
        };
    };
    if written {
        let help = "put every next hop into `nexthops`";
        let message = "a route has either `via` and `dev` or `nexthops`, not both";
        reader.wrong(table.span(), Wrong::new(message, help));
        return None;
    }
    let count = list.get_ref().as_array().map_or(0, |hops| hops.len());
    let hops = reader.list(list, "nexthops", "{ via = \"10.0.1.1\" }", |reader, value| {
        let mut table = reader.table(value, "nexthops", "nexthop", "a next hop", value.span())?;
        let weight = table
            .get("weight")
            .and_then(|value| reader.integer(value, "weight", 1..=256));
        let hop = hop(reader, &mut table);
        let span = table.span();
        table.finish(reader);
        let mut hop = hop?;
        if hop.via.is_none() && hop.dev.is_none() {
            let help = "add `via = \"10.0.1.1\"` or `dev = \"eth0\"`";
            reader.wrong(span, Wrong::new("this next hop leads nowhere", help));
            return None;
        }
        hop.weight = weight.map_or(1, |weight| weight.value);
        Some(hop)
    })?;
    if count == 0 {
        let help = "name at least one: `nexthops = [{ via = \"10.0.1.1\" }]`";
        reader.wrong(list.span(), Wrong::new("`nexthops` is empty", help));
    }
    // A hop that could not be read has been told; without it the rest would say something else.
    (count > 0 && hops.len() == count).then_some(hops)
}

/// `via` and `dev`.
fn hop(reader: &mut Reader, table: &mut Table) -> Option<NextHopSpec> {
    let via = match table.get("via") {
        Some(value) => Some(reader.parsed(value, "via", "10.0.1.1", values::ip)?),
        None => None,
    };
    let dev = match table.get("dev") {
        Some(value) => Some(reader.parsed(value, "dev", "eth0", values::written_interface)?),
        None => None,
    };
    Some(NextHopSpec { via, dev, weight: 1 })
}
