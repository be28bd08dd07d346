//! What a link does to packets.

use std::str::FromStr;

use super::Spanned;
use super::reader::{Reader, Table, Value, Wrong};
use crate::impair::{Impairment, Impairments, Rate};

const DELAY: &str = "a delay is a number and a unit: `10ms`, `300us`, `1s`";
const SHARE: &str = "a share of the packets is a number of percent: `1%`, `0.1%`";
const RATE: &str = "a rate is a number and a unit: `10mbit`, `500kbit`, `1gbit`";

/// One table for both directions, or one for each; none where something in it could not be read.
pub(super) fn impairments(reader: &mut Reader, value: &Value) -> Option<Spanned<Impairments>> {
    let before = reader.diagnostics.len();
    let mut table = reader.table(value, "impair", "impair", "an impairment", value.span())?;
    let directions = ["a_to_b", "b_to_a"].map(|key| {
        let value = table.get(key)?;
        let mut table = reader.table(value, key, "direction", "an impairment", value.span())?;
        let read = impairment(reader, &mut table);
        judge(reader, before, &table, &read);
        table.finish(reader);
        Some(read)
    });
    let both = impairment(reader, &mut table);
    let impairments = match (directions, both == Impairment::default()) {
        ([None, None], _) => {
            judge(reader, before, &table, &both);
            Impairments {
                a_to_b: Some(both.clone()),
                b_to_a: Some(both),
            }
        }
        ([a_to_b, b_to_a], true) => Impairments { a_to_b, b_to_a },
        (_, false) => {
            let help =
                "write the keys in `a_to_b` and `b_to_a`, or both directions in one table without these";
            let message = "this is said for each direction and for both";
            reader.wrong(value.span(), Wrong::new(message, help));
            Impairments::default()
        }
    };
    table.finish(reader);
    (reader.diagnostics.len() == before).then(|| Spanned::new(impairments, value.span()))
}

/// The keys that say what is done to packets, beside others in a table; none where something in them could not be read.
pub(super) fn beside(reader: &mut Reader, table: &mut Table) -> Option<Impairment> {
    let before = reader.diagnostics.len();
    let read = impairment(reader, table);
    judge(reader, before, table, &read);
    (reader.diagnostics.len() == before).then_some(read)
}

/// The keys of one direction.
fn impairment(reader: &mut Reader, table: &mut Table) -> Impairment {
    Impairment {
        delay: of(reader, table, "delay", "10ms", DELAY),
        jitter: of(reader, table, "jitter", "2ms", DELAY),
        loss: of(reader, table, "loss", "1%", SHARE),
        reorder: of(reader, table, "reorder", "0.5%", SHARE),
        duplicate: of(reader, table, "duplicate", "0.1%", SHARE),
        corrupt: of(reader, table, "corrupt", "0.1%", SHARE),
        rate: table
            .get("rate")
            .and_then(|value| parsed::<Rate>(reader, value, "rate", "10mbit", RATE)),
        seed: table
            .get("seed")
            .and_then(|value| reader.integer(value, "seed", 0..=i64::MAX))
            .map(|seed| seed.value),
        only: table
            .get("only")
            .and_then(|value| reader.parsed(value, "only", "tcp port 179", only))
            .map(|only| only.value),
    }
}

fn of<T: FromStr<Err = String> + Default>(
    reader: &mut Reader,
    table: &mut Table,
    key: &'static str,
    example: &str,
    help: &str,
) -> T {
    let value = table.get(key);
    value
        .and_then(|value| parsed(reader, value, key, example, help))
        .unwrap_or_default()
}

fn parsed<T: FromStr<Err = String>>(
    reader: &mut Reader,
    value: &Value,
    key: &str,
    example: &str,
    help: &str,
) -> Option<T> {
    let parse = |text: &str| text.parse::<T>().map_err(|message| Wrong::new(message, help));
    reader.parsed(value, key, example, parse).map(|read| read.value)
}

/// A filter, which has to be one.
fn only(text: &str) -> Result<String, Wrong> {
    match crate::impair::filter(text) {
        Ok(_) => Ok(text.to_owned()),
        Err((message, help)) => Err(Wrong::new(message, help)),
    }
}

/// Tells what cannot be, unless a key could not be read at all.
fn judge(reader: &mut Reader, before: usize, table: &Table, impairment: &Impairment) {
    if reader.diagnostics.len() > before || table.has_unknown() {
        return;
    }
    if let Some((key, message, help)) = impairment.diagnostic() {
        let value = table.key_span(key);
        reader.wrong(value.unwrap_or(table.span()), Wrong::new(message, help));
    }
}
