//! Answers that are not BGP's alone.

use super::{Show, View};
use crate::bgp::config::Arguments;

/// The commands that only show, beside those of BGP.
pub(in crate::bgp) const GENERAL: &[(&str, Show)] = &[
    ("show ip forwarding", forwarding),
    ("show ipv6 forwarding", forwarding6),
];

fn forwarding(view: &View, _: &Arguments) -> String {
    format!("IP forwarding is {}\n", on(view.speaker.config().ipv4_forwarding))
}

fn forwarding6(view: &View, _: &Arguments) -> String {
    format!(
        "ipv6 forwarding is {}\n",
        on(view.speaker.config().ipv6_forwarding)
    )
}

fn on(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}
