//! Answers that FRR 8.4.4 gave in labs (tests/data/frr-8.4.4), for tests that ask the speaker the same.

use std::time::Duration;

use regex::Regex;

use super::show::View;
use super::speaker::simulator::Network;

/// A pattern of what differs from one run to the next, and what stands for it.
pub type Mask = (&'static str, &'static str);

/// A file of the recordings.
pub fn data(file: &str) -> String {
    let path = format!("{}/../../tests/data/frr-8.4.4/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// A node of a network at this moment.
pub fn view(network: &Network, node: usize) -> View<'_> {
    View {
        outer: None,
        speaker: &network.nodes[node].speaker,
        now: network.now,
        unix: Duration::from_secs(1_795_573_800) + network.now,
    }
}

/// All answers recorded in a file are given here as well, but for what is masked.
#[track_caller]
pub fn compare(file: &str, masks: &[Mask], mut ask: impl FnMut(&str) -> String) {
    let masks: Vec<(Regex, &str)> = masks
        .iter()
        .map(|(pattern, replacement)| (Regex::new(pattern).unwrap(), *replacement))
        .collect();
    let masked = |answer: &str| {
        masks
            .iter()
            .fold(answer.to_owned(), |text, (pattern, replacement)| {
                pattern.replace_all(&text, *replacement).into_owned()
            })
    };
    let text = data(file);
    let parts: Vec<(&str, &str)> = text
        .split("\n>>>>")
        .filter_map(|part| part.split_once('\n'))
        .collect();
    assert!(!parts.is_empty(), "{file} has no answers");
    let mut wrong = Vec::new();
    for (command, expected) in parts {
        let (answer, expected) = (masked(&ask(command)), masked(expected));
        if answer != expected {
            wrong.push(format!("=== {command}\n--- FRR\n{expected}\n--- nslab\n{answer}"));
        }
    }
    let differ = wrong.len();
    assert!(
        wrong.is_empty(),
        "{file}: {differ} answers differ\n{}",
        wrong.join("\n")
    );
}
