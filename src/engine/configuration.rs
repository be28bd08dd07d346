//! A router's configuration text, as both engines find it in the node.

use crate::lab::plan::NodeStep;

/// Where numbers of lines in complaints count from.
pub const LINES: &str = "line numbers are those of the node's `config`, its first line being 1";

/// What is written as /etc/frr/frr.conf: the lab's text, logging to the node's syslog unless it says else.
pub fn integrated(node: &NodeStep) -> String {
    let config = node.config.as_deref().unwrap_or_default();
    let end = if config.ends_with('\n') { "" } else { "\n" };
    format!("{}{config}{end}", preamble(node))
}

/// The lines before the lab's text.
pub fn preamble(node: &NodeStep) -> String {
    let config = node.config.as_deref().unwrap_or_default();
    let says = |word: &str| config.lines().any(|line| line.trim_start().starts_with(word));
    let hostname = format!("hostname {}\n", node.hostname);
    [
        ("hostname ", hostname.as_str()),
        ("log ", "log syslog informational\n"),
    ]
    .into_iter()
    .filter_map(|(word, line)| (!says(word)).then_some(line))
    .collect()
}
