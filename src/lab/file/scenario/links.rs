//! Steps that do something to links.

use std::time::Duration;

use super::{names, time};
use crate::file::impair::beside;
use crate::file::reader::{Reader, Table, Value, Wrong};
use crate::scenario::{End, Step, Way};

/// Which packets of a link are meant, seen from the end that is named.
const WAYS: &[(&str, Way)] = &[("both", Way::Both), ("out", Way::Out), ("in", Way::In)];
/// How often a link flaps where nothing is said.
const COUNT: u32 = 5;
/// How long it is down, and up, each time.
const HALF: Duration = Duration::from_secs(1);

pub(super) fn down(reader: &mut Reader, value: &Value, _: &mut Table) -> Option<Step> {
    Some(Step::LinkDown(ends(reader, value, "link_down")?))
}

pub(super) fn up(reader: &mut Reader, value: &Value, _: &mut Table) -> Option<Step> {
    Some(Step::LinkUp(ends(reader, value, "link_up")?))
}

pub(super) fn silence(reader: &mut Reader, value: &Value, _: &mut Table) -> Option<Step> {
    Some(Step::Silence(ends(reader, value, "silence")?))
}

pub(super) fn clear(reader: &mut Reader, value: &Value, _: &mut Table) -> Option<Step> {
    Some(Step::Clear(ends(reader, value, "clear")?))
}

pub(super) fn impair(reader: &mut Reader, value: &Value, table: &mut Table) -> Option<Step> {
    let links = ends(reader, value, "impair");
    let direction = match table.get("direction") {
        Some(value) => reader.word(value, "direction", WAYS).map(|way| way.value),
        None => Some(Way::Both),
    };
    let impairment = beside(reader, table);
    Some(Step::Impair {
        links: links?,
        impairment: impairment?,
        direction: direction?,
    })
}

pub(super) fn flap(reader: &mut Reader, value: &Value, table: &mut Table) -> Option<Step> {
    let links = ends(reader, value, "flap");
    let count = match table.get("count") {
        Some(value) => reader
            .integer(value, "count", 1..=10_000)
            .map(|count| count.value),
        None => Some(COUNT),
    };
    let (down, up) = (time(reader, table, "down", HALF), time(reader, table, "up", HALF));
    Some(Step::Flap {
        links: links?,
        count: count?,
        down: down?,
        up: up?,
    })
}

/// `"NODE:INTERFACE"`, or a list.
pub(super) fn ends(reader: &mut Reader, value: &Value, key: &'static str) -> Option<Vec<End>> {
    let names = names(reader, value, key, "spine0:down3")?;
    let (count, mut ends) = (names.len(), Vec::new());
    for name in names {
        match name.value.split_once(':') {
            Some((node, interface)) if !node.is_empty() && !interface.is_empty() => ends.push(End {
                node: node.to_owned(),
                interface: interface.to_owned(),
            }),
            _ => {
                let message = format!("`{}` is not a node and an interface", name.value.escape_debug());
                let help = format!("write `{key} = \"NODE:INTERFACE\"`");
                reader.wrong(name.span, Wrong::new(message, help));
            }
        }
    }
    (ends.len() == count).then_some(ends)
}
