//! How long a lab took to be quiet again.

use serde::{Deserialize, Serialize};

/// What is said of a lab's rest since a mark. All in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// For so long nothing has to change.
    pub span: u64,
    /// From the mark to the last change before the lab was quiet, or so far; none where nothing has changed.
    pub after: Option<u64>,
    /// Whether it has been quiet since then for the span.
    pub is_quiet: bool,
    /// From the mark to the next change after that, where there is one.
    pub again: Option<u64>,
}

/// Judges: the times of changes of routes, interfaces and sessions since a mark, in their order, and the time it is now. That
/// nothing changes at first is no rest: what was done may show late, as when a hold timer has to expire.
pub fn judge(mark: u64, changes: &[u64], now: u64, span: u64) -> Quiet {
    let mut last = changes.first().copied();
    for &change in changes {
        let before = last.unwrap_or(change);
        if change.saturating_sub(before) >= span {
            return Quiet {
                span,
                after: Some(before - mark),
                is_quiet: true,
                again: Some(change - mark),
            };
        }
        last = Some(change.max(before));
    }
    Quiet {
        span,
        after: last.map(|last| last - mark),
        is_quiet: now.saturating_sub(last.unwrap_or(mark)) >= span,
        again: None,
    }
}

/// It in words.
pub fn words(quiet: &Quiet) -> String {
    let ms = |time: u64| format!("{} ms", time as f64 / 1e6);
    let short = |time: u64| format!("{:.1} ms", time as f64 / 1e6);
    let span = ms(quiet.span);
    let text = match (quiet.is_quiet, quiet.after) {
        (true, Some(after)) => format!(
            "quiet again {} after the mark: then no route, link or session changed for {span}",
            short(after)
        ),
        (true, None) => format!("quiet: no route, link or session changed for {span} after the mark"),
        (false, Some(after)) => {
            format!(
                "not quiet yet: the last change of a route, link or session was {} after the mark, less than {span} ago",
                short(after)
            )
        }
        (false, None) => format!("no change yet; {span} have not passed since the mark"),
    };
    match quiet.again {
        Some(again) => format!("{text} (the next change came {} after the mark)", short(again)),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rest_that_is_long_enough_counts() {
        let judge = |changes: &[u64], now| {
            let quiet = judge(100, changes, now, 50);
            (quiet.after, quiet.is_quiet, quiet.again)
        };
        assert_eq!(judge(&[], 120), (None, false, None));
        assert_eq!(judge(&[], 150), (None, true, None));
        assert_eq!(judge(&[110, 130], 150), (Some(30), false, None));
        assert_eq!(judge(&[110, 130], 180), (Some(30), true, None));
        assert_eq!(judge(&[110, 130, 200], 210), (Some(30), true, Some(100)));
        assert_eq!(judge(&[170], 180), (Some(70), false, None));
        assert_eq!(judge(&[170], 220), (Some(70), true, None));
    }
}
