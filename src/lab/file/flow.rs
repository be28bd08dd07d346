//! `[[flows]]`.

use std::collections::HashMap;

use super::reader::{Reader, Value, Wrong};
use super::{FlowSpec, Span, Spanned, values};
use crate::check::Family;
use crate::flow::{self, Flow, LATE_AFTER, PPS, Place, Proto, SIZE, Target};

/// An entry of `[[flows]]`.
pub(super) fn flow(reader: &mut Reader, value: &Value) -> Option<FlowSpec> {
    let mut table = reader.table(value, "flows", "flow", "a flow", value.span())?;
    let name = match table.get("name") {
        Some(value) => reader.parsed(value, "name", "a-b", |text| {
            let named = flow::name(text).map(|()| text.to_owned());
            named.map_err(|(message, help)| Wrong::new(message, help))
        }),
        None => {
            reader.missing(&table, "name", "name = \"a-b\"");
            None
        }
    };
    let mut spans: HashMap<&'static str, Span> = HashMap::new();
    let mut end = |reader: &mut Reader, key: &'static str, example: &str| {
        let value = table.get(key);
        if value.is_none() {
            reader.missing(&table, key, &format!("{key} = \"{example}\""));
        }
        let text = reader.parsed(value?, key, example, place)?;
        spans.insert(key, text.span.clone());
        Some(text.value)
    };
    let from = end(reader, "from", "a");
    let to = end(reader, "to", "b");
    let proto = table
        .get("proto")
        .and_then(|value| reader.word(value, "proto", Proto::ALL));
    let proto = proto.map_or(Proto::Udp, |proto| proto.value);
    let mut number = |reader: &mut Reader, key: &'static str, most: i64| {
        let value = table.get(key)?;
        spans.insert(key, value.span());
        reader.integer::<u32>(value, key, 1..=most).map(|it| it.value)
    };
    let pps = number(reader, "pps", i64::from(nslab_flow::MOST_PPS));
    let size = number(reader, "size", nslab_flow::MOST as i64);
    let port = number(reader, "port", 65_535).and_then(|port| u16::try_from(port).ok());
    let dscp = table.get("dscp").and_then(|value| code_point(reader, value));
    let family = table.get("family").and_then(|value| {
        spans.insert("family", value.span());
        family(reader, value)
    });
    let late_after = table
        .get("late_after")
        .and_then(|value| reader.duration(value, "late_after"));
    let start = table
        .get("start")
        .and_then(|value| reader.boolean(value, "start"));
    let span = table.span();
    table.finish(reader);
    let name = name?;
    let flow = Flow {
        name: name.value.clone(),
        from: Place::parse(&from?),
        to: Target::parse(&to?),
        proto,
        // A transfer is what TCP has where nothing is said.
        pps: pps.or((proto != Proto::Tcp).then_some(PPS)),
        size: size.unwrap_or(SIZE),
        dscp: dscp.unwrap_or(0),
        family,
        port,
        late_after: late_after.map_or(LATE_AFTER, |it| it.value),
        start: start.is_some_and(|start| start.value),
    };
    for (key, message, help) in flow.diagnostics() {
        let at = spans.get(key).unwrap_or(&span);
        reader.wrong(at.clone(), Wrong::new(message, help));
    }
    let at = |key| spans.get(key).unwrap_or(&span).clone();
    Some(FlowSpec {
        name,
        from: at("from"),
        to: at("to"),
        flow,
    })
}

/// `node`, `node:interface` or an address.
fn place(text: &str) -> Result<String, Wrong> {
    let help = "name a node, or one of its interfaces: `a`, `a:eth0`";
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    match text.split_once(':') {
        Some((node, interface)) if !node.is_empty() => {
            values::written_interface(interface)?;
            Ok(text.to_owned())
        }
        None if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Wrong::new("that is no node", help)),
    }
}

fn code_point(reader: &mut Reader, value: &Value) -> Option<u8> {
    if value.get_ref().as_integer().is_some() {
        return reader.integer(value, "dscp", 0..=63).map(|it| it.value);
    }
    let read = reader.parsed(value, "dscp", "ef", |text| {
        flow::code_point(text).ok_or_else(|| {
            Wrong::new(
                format!("`{}` is no code point", text.escape_debug()),
                "give a number from 0 to 63, or a name: `ef`, `cs6`, `af41`",
            )
        })
    });
    read.map(|it| it.value)
}

fn family(reader: &mut Reader, value: &Value) -> Option<Family> {
    let number: Spanned<u32> = reader.integer(value, "family", 4..=6)?;
    match number.value {
        4 => Some(Family::Ipv4),
        6 => Some(Family::Ipv6),
        other => {
            let message = format!("{other} is no family of addresses");
            reader.wrong(
                number.span,
                Wrong::new(message, "say `family = 4` or `family = 6`"),
            );
            None
        }
    }
}
