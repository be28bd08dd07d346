//! "Did you mean …?"

use std::cell::Cell;
use std::fmt::Write as _;

/// How many candidates a message lists at most.
const LISTED: usize = 12;

/// No longer word is a slip of a shorter one.
const LONGEST: usize = 64;
/// How many candidates are looked at for all words of a file. Of many errors only the first few are shown.
const LOOKED_AT: usize = 30_000;

thread_local! {
    /// How many more are looked at.
    static LEFT: Cell<usize> = const { Cell::new(LOOKED_AT) };
}

/// Begins with another file.
pub fn begin() {
    LEFT.set(LOOKED_AT);
}

/// The candidate a mistyped word probably stands for.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let allowed = (length / 3).max(1);
    if length > LONGEST {
        return None;
    }
    candidates
        .into_iter()
        .take_while(|_| {
            let left = LEFT.get();
            LEFT.set(left.saturating_sub(1));
            left > 0
        })
        .map(|candidate| (distance(word, candidate, allowed), candidate))
        // A word of which nothing is left says nothing: `c` is not a mistyped `a`.
        .filter(|(distance, _)| *distance <= allowed && *distance < length)
        // Of two that are as near, the one that is the same word, longer or shorter: `bind` means `binds`, not `kind`.
        .min_by_key(|(distance, candidate)| {
            (
                *distance,
                !candidate.starts_with(word) && !word.starts_with(candidate),
            )
        })
        .map(|(_, candidate)| candidate)
}

/// Letter case counts for nothing: `Web` is meant to be `web`.
fn distance(word: &str, candidate: &str, allowed: usize) -> usize {
    // Words of very different length cannot be near, and need no table.
    if word
        .chars()
        .count()
        .abs_diff(candidate.chars().take(2 * LONGEST).count())
        > allowed
    {
        return usize::MAX;
    }
    strsim::damerau_levenshtein(&word.to_ascii_lowercase(), &candidate.to_ascii_lowercase())
}

/// A cure for a word that is not among the candidates: the nearest, or all of them.
pub fn cure<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
    all: &str,
    none: &str,
) -> String {
    if let Some(near) = nearest(word, candidates.clone()) {
        return format!("did you mean `{near}`?");
    }
    let listed = list(candidates);
    if listed.is_empty() {
        none.into()
    } else {
        format!("{all}: {listed}")
    }
}

/// Names in backquotes, separated by commas; long lists are cut.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for (at, name) in names.into_iter().enumerate() {
        if at == LISTED {
            text.push_str(", …");
            break;
        }
        let separator = if at == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}`{name}`");
    }
    text
}
