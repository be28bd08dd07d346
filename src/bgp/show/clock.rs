//! Times as FRR prints them.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
/// FRR's years have 365 days.
const YEAR: u64 = 365 * DAY;

/// How long something has lasted: `00:00:05`, `1d02h03m`, `01w2d03h`, `01y02w3d`.
pub(super) fn lasted(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        ..DAY => format!(
            "{:02}:{:02}:{:02}",
            seconds / HOUR,
            seconds % HOUR / MINUTE,
            seconds % MINUTE
        ),
        DAY..WEEK => format!(
            "{}d{:02}h{:02}m",
            seconds / DAY,
            seconds % DAY / HOUR,
            seconds % HOUR / MINUTE
        ),
        WEEK..YEAR => format!(
            "{:02}w{}d{:02}h",
            seconds / WEEK,
            seconds % WEEK / DAY,
            seconds % DAY / HOUR
        ),
        _ => format!(
            "{:02}y{:02}w{}d",
            seconds / YEAR,
            seconds % YEAR / WEEK,
            seconds % YEAR % WEEK / DAY
        ),
    }
}

/// A moment since 1970 as C's `ctime` gives it, without the end of the line: `Wed Nov 25 02:29:28 2026`.
pub(super) fn date(unix: Duration) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = unix.as_secs();
    let days = seconds / DAY;
    let (year, month, day) = calendar(days);
    let of_day = seconds % DAY;
    format!(
        "{} {} {day:2} {:02}:{:02}:{:02} {year}",
        WEEKDAYS[(days % 7) as usize],
        MONTHS[month],
        of_day / HOUR,
        of_day % HOUR / MINUTE,
        of_day % MINUTE
    )
}

/// A moment since 1970 as zebra writes it: `2026/11/25 09:14:33.66`.
pub(super) fn stamp(unix: Duration) -> String {
    let seconds = unix.as_secs();
    let (year, month, day) = calendar(seconds / DAY);
    let of_day = seconds % DAY;
    format!(
        "{year}/{:02}/{day:02} {:02}:{:02}:{:02}.{:02}",
        month + 1,
        of_day / HOUR,
        of_day % HOUR / MINUTE,
        of_day % MINUTE,
        unix.subsec_millis() / 10
    )
}

/// The year, the month from 0 and the day from 1 of a day since 1970.
fn calendar(mut days: u64) -> (u64, usize, u64) {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_lasted() {
        let shown = |seconds| lasted(Duration::from_secs(seconds));
        assert_eq!(shown(5), "00:00:05");
        assert_eq!(shown(86399), "23:59:59");
        assert_eq!(shown(DAY + 2 * HOUR + 3 * MINUTE), "1d02h03m");
        assert_eq!(shown(WEEK + 2 * DAY + 3 * HOUR), "01w2d03h");
        assert_eq!(shown(YEAR + 2 * WEEK + 3 * DAY), "01y02w3d");
    }

    #[test]
    fn dates() {
        let shown = |seconds| date(Duration::from_secs(seconds));
        assert_eq!(shown(0), "Thu Jan  1 00:00:00 1970");
        assert_eq!(shown(1_795_573_768), "Wed Nov 25 02:29:28 2026");
        assert_eq!(shown(951_782_400), "Tue Feb 29 00:00:00 2000");
    }
}
