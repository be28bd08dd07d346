//! The names of the lab and its nodes: they become paths, cgroups, host names and arguments of commands.

use std::net::IpAddr;

use super::diagnostics::Mistakes;
use crate::lab::Diagnostic;
use crate::lab::file::{Spanned, Spec};

const LONGEST_LAB: usize = 48;
const LONGEST_NODE: usize = 63;

pub(super) fn check(spec: &Spec, mistakes: &mut Mistakes) {
    if let Some(name) = &spec.name {
        lab(name, mistakes);
    }
    for (at, (name, _)) in spec.nodes.iter().enumerate() {
        node(at, name, mistakes);
    }
}

fn lab(name: &Spanned<String>, mistakes: &mut Mistakes) {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let problem = if name.is_empty() {
        "the lab's name is empty".into()
    } else if name.len() > LONGEST_LAB {
        format!(
            "the lab's name is {} characters long; {LONGEST_LAB} are allowed",
            name.chars().count()
        )
    } else if let Some(illegal) = name.chars().find(|c| !legal(*c)) {
        format!("the lab's name contains {illegal:?}")
    } else if name.starts_with('-') {
        "the lab's name begins with `-`".into()
    } else {
        return;
    };
    let better = cleaned(&name.to_lowercase(), legal, LONGEST_LAB, "my-lab");
    let help = format!("use lower-case letters, digits and `-`: `name = \"{better}\"`");
    mistakes.add(Diagnostic::new(problem, name.span.clone(), "").help(help));
}

fn node(at: usize, name: &Spanned<String>, mistakes: &mut Mistakes) {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let shown = name.escape_debug();
    let problem = if name.is_empty() {
        "a node's name is empty".into()
    } else if name.len() > LONGEST_NODE {
        format!(
            "the node's name is {} characters long; {LONGEST_NODE} are allowed",
            name.chars().count()
        )
    } else if let Some(illegal) = name.chars().find(|c| !legal(*c)) {
        format!("the node name `{shown}` contains {illegal:?}")
    } else if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        format!("the node name `{shown}` does not begin with a letter or digit")
    } else if name.contains("..") {
        format!("the node name `{shown}` contains `..`")
    } else if name.parse::<IpAddr>().is_ok() {
        format!("the node name `{shown}` would be taken for an address")
    } else if matches!(name.as_str(), "host" | "localhost") {
        format!("the node name `{shown}` already means this machine")
    } else {
        return;
    };
    let better = match name.parse::<IpAddr>().is_ok() {
        true => format!("n{}", name.replace([':', '.'], "-")),
        false if matches!(name.as_str(), "host" | "localhost") => "host0".into(),
        false => cleaned(&name.replace("..", "."), legal, LONGEST_NODE, "web"),
    };
    let help = format!(
        "use letters, digits, `-`, `_` and `.`: `[nodes.{}]`",
        toml_key(&better)
    );
    mistakes.add_for(at, Diagnostic::new(problem, name.span.clone(), "").help(help));
}

/// A name as a TOML key: names with dots need quotes.
fn toml_key(name: &str) -> String {
    if name.contains('.') {
        format!("\"{name}\"")
    } else {
        name.into()
    }
}

/// What is left of a name when what is illegal in it is left out.
fn cleaned(name: &str, legal: impl Fn(char) -> bool, longest: usize, fallback: &str) -> String {
    let replaced: String = name.chars().map(|c| if legal(c) { c } else { '-' }).collect();
    let trimmed = replaced.trim_matches(['-', '.', '_']);
    let short = trimmed.get(..trimmed.len().min(longest)).unwrap_or_default();
    let short = short.trim_end_matches(['-', '.', '_']);
    if short.is_empty() || matches!(short, "host" | "localhost") {
        fallback.into()
    } else {
        short.into()
    }
}
