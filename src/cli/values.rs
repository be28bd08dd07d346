//! Values of options, written as in lab files.

use std::time::Duration;

use crate::lab::file::values;

/// The sizes that a timeline can be of use with, and that anybody has.
const TIMELINES: std::ops::RangeInclusive<u64> = (64 << 10)..=(64 << 30);

/// A time such as 90s; a number alone is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit = if text.ends_with(|last: char| last.is_ascii_digit()) {
        "s"
    } else {
        ""
    };
    values::duration(&format!("{text}{unit}"), "")
        .map_err(|_| format!("{text:?} is not a time up to a day; write 500ms, 90s or 5m (90 is 90s)"))
}

/// An amount of bytes such as 100M.
pub fn bytes(text: &str) -> Result<u64, String> {
    let bytes = values::bytes(text).ok().filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| format!("{text:?} is no amount of bytes; write 500K, 100M or 2G"))
}

/// The size of a timeline, such as 64M; 0 for none.
pub fn timeline(text: &str) -> Result<u64, String> {
    let size = values::bytes(text).ok();
    size.filter(|size| *size == 0 || TIMELINES.contains(size))
        .ok_or_else(|| format!("{text:?} is not 0 or a size between 64K and 64G; write 512K, 64M or 1G"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_a_bound() {
        for (text, millis) in [
            ("500ms", 500),
            ("90s", 90_000),
            ("2", 2000),
            ("1.5m", 90_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        let huge = "9".repeat(400);
        for text in [
            "",
            "s",
            "-1s",
            "25h",
            "1e9h",
            "18446744073709551615s",
            "99999999999999999999999h",
            "nan",
            "inf",
            "1.2.3s",
            "1d",
            &huge,
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
