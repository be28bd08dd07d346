//! `limits`: what a node may use at most, beside `cpu` and `memory`.

use super::reader::{Reader, Value, Wrong};
use super::{LimitsSpec, Spanned, values};
use crate::model::Limit;

/// Fewest processes with which a node does anything.
const LEAST_PROCESSES: u64 = 8;
/// As many as the kernel can count (PID_MAX_LIMIT).
const MOST_PROCESSES: u64 = 4 << 20;
/// Fewest open files with which a program starts.
const LEAST_OPEN_FILES: u64 = 16;
/// As many as the kernel gives a process at most unless told otherwise (`fs.nr_open`).
const MOST_OPEN_FILES: u64 = 1 << 20;
/// The smallest log and the smallest disk that are of use, in bytes.
const SMALLEST: u64 = 64 << 10;

/// The table.
pub(super) fn limits(reader: &mut Reader, value: &Value) -> LimitsSpec {
    let Some(mut table) = reader.table(value, "limits", "limits", "`limits`", value.span()) else {
        return LimitsSpec::default();
    };
    let mut count = |reader: &mut Reader, key: &'static str, least, most| {
        table
            .get(key)
            .and_then(|value| self::count(reader, value, key, least, most))
    };
    let processes = count(reader, "processes", LEAST_PROCESSES, MOST_PROCESSES);
    let open_files = count(reader, "open_files", LEAST_OPEN_FILES, MOST_OPEN_FILES);
    let disk = table
        .get("disk")
        .and_then(|value| size(reader, value, "disk", "1G"));
    let log = table
        .get("log")
        .and_then(|value| size(reader, value, "log", "10M"));
    table.finish(reader);
    LimitsSpec {
        processes,
        open_files,
        disk,
        log,
    }
}

fn count(
    reader: &mut Reader,
    value: &Value,
    key: &'static str,
    least: u64,
    most: u64,
) -> Option<Spanned<Limit>> {
    if value.get_ref().is_str() {
        return reader.parsed(value, key, "unlimited", |text| match text {
            "unlimited" => Ok(Limit::Unlimited),
            _ => Err(Wrong::new(
                format!("`{text}` is not a number"),
                format!("write a whole number, or `{key} = \"unlimited\"`"),
            )),
        });
    }
    let range = least.cast_signed()..=most.cast_signed();
    let number: Spanned<u64> = reader.integer(value, key, range)?;
    Some(number.map(Limit::At))
}

fn size(reader: &mut Reader, value: &Value, key: &'static str, example: &str) -> Option<Spanned<Limit>> {
    let enough = |bytes: u64| match bytes {
        SMALLEST..=MOST_BYTES => Ok(Limit::At(bytes)),
        _ => Err(Wrong::new(
            format!("`{key}` is out of range"),
            format!("give it at least 64K: `{key} = \"{example}\"`, or \"unlimited\""),
        )),
    };
    if value.get_ref().is_str() {
        return reader.parsed(value, key, example, |text| match text {
            "unlimited" => Ok(Limit::Unlimited),
            text => enough(values::bytes(text)?),
        });
    }
    if !value.get_ref().is_integer() {
        reader.mistyped(
            value,
            key,
            "an amount of bytes",
            &format!("{key} = \"{example}\""),
        );
        return None;
    }
    let bytes: Spanned<u64> = reader.integer(value, key, 0..=i64::MAX)?;
    match enough(bytes.value) {
        Ok(limit) => Some(Spanned::new(limit, bytes.span)),
        Err(wrong) => {
            reader.wrong(bytes.span, wrong);
            None
        }
    }
}

/// No file system counts further.
const MOST_BYTES: u64 = 1 << 60;
