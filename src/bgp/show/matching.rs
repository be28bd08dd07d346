//! Parts of a table: routes with a community, a path, a prefix of a certain kind.

use ipnet::IpNet;
use regex::Regex;

use super::View;
use super::routes::filtered;
use crate::config::Arguments;
use crate::config::community;
use crate::wire::{Community, LargeCommunity};

/// `show bgp … community [COMMUNITY] [exact-match]`.
pub(super) fn communities(view: &View, arguments: &Arguments) -> String {
    let wanted: Vec<Community> = arguments
        .all("value")
        .filter_map(community::parse)
        .map(Community)
        .collect();
    let exact = arguments.has("exact-match");
    filtered(view, arguments, |path| {
        matches(&path.route.attributes.communities, &wanted, exact)
    })
}

/// `show bgp … large-community [COMMUNITY] [exact-match]`.
pub(super) fn large_communities(view: &View, arguments: &Arguments) -> String {
    let wanted: Vec<LargeCommunity> = arguments
        .all("value")
        .filter_map(|text| text.parse().ok())
        .collect();
    let exact = arguments.has("exact-match");
    filtered(view, arguments, |path| {
        matches(&path.route.attributes.large_communities, &wanted, exact)
    })
}

/// Without any that are wanted, whether there are some.
fn matches<T: PartialEq>(has: &[T], wanted: &[T], exact: bool) -> bool {
    match wanted {
        [] => !has.is_empty(),
        wanted => wanted.iter().all(|it| has.contains(it)) && (!exact || has.len() == wanted.len()),
    }
}

/// `show bgp … regexp EXPRESSION`.
pub(super) fn regexp(view: &View, arguments: &Arguments) -> String {
    let expression = arguments.get("expression").unwrap_or_default();
    // FRR's `_` is whatever may stand between AS numbers.
    match Regex::new(&expression.replace('_', "(^|[,{}() ]|$)")) {
        Ok(regex) => filtered(view, arguments, |path| {
            regex.is_match(&path.route.attributes.as_path.to_string())
        }),
        Err(_) => format!("Can't compile regexp {expression}\n"),
    }
}

/// `show bgp … cidr-only`: prefixes whose lengths are not those of their classes.
pub(super) fn cidr_only(view: &View, arguments: &Arguments) -> String {
    let is_classless = |prefix: &IpNet| match prefix {
        IpNet::V4(net) => {
            let length = match net.addr().octets()[0] {
                0..128 => 8,
                128..192 => 16,
                192.. => 24,
            };
            net.prefix_len() != length
        }
        IpNet::V6(_) => false,
    };
    filtered(view, arguments, |path| is_classless(&path.prefix))
}

/// `show bgp … version NUMBER`: what has changed since.
pub(super) fn since_version(view: &View, arguments: &Arguments) -> String {
    let version: u64 = arguments.value("version").unwrap_or(0);
    filtered(view, arguments, |path| path.version(view) >= version)
}
