//! A router's configuration text, as both engines find it in the node.

use super::frr;
use crate::lab::engines::Engine;
use crate::lab::model::ConfigPlace;
use crate::lab::plan::NodeStep;

/// Routes are given to the kernel whole.
const WHOLE_ROUTES: &str = "no zebra nexthop kernel enable\n";

/// What lines are that complaints name without a file.
pub const LINES: &str = "lines without a file's name are the lab file's";

/// A line of a configuration (from 1 on) as people find it.
pub fn line_name(place: Option<&ConfigPlace>, line: usize) -> String {
    place.map_or_else(|| format!("line {line}"), |place| place.name(line))
}

/// What is written as /etc/frr/frr.conf: the lab's text, logging to the node's syslog unless it says else.
pub fn integrated(node: &NodeStep) -> String {
    let config = node.config.as_deref().unwrap_or_default();
    let end = if config.ends_with('\n') { "" } else { "\n" };
    format!("{}{config}{end}", preamble(node))
}

/// The lines before the lab's text.
pub fn preamble(node: &NodeStep) -> String {
    let config = node.config.as_deref().unwrap_or_default();
    let mut lines = preamble_of(&node.hostname, config);
    let is_said = || {
        config
            .lines()
            .any(|line| line.contains("zebra nexthop kernel enable"))
    };
    if node.engine == Some(Engine::Frr) && frr::leaves_next_hops() && !is_said() {
        lines.push_str(WHOLE_ROUTES);
    }
    lines
}

/// The same, for a node that is not planned yet.
pub fn preamble_of(hostname: &str, config: &str) -> String {
    let says = |word: &str| config.lines().any(|line| line.trim_start().starts_with(word));
    let hostname = format!("hostname {hostname}\n");
    [
        ("hostname ", hostname.as_str()),
        ("log ", "log syslog informational\n"),
    ]
    .into_iter()
    .filter_map(|(word, line)| (!says(word)).then_some(line))
    .collect()
}
