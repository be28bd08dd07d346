//! Parts of a table: routes that a list or a route-map of the configuration lets pass.

use super::View;
use super::routes::filtered;
use crate::config::{Arguments, Config};
use crate::wire::Family;

use super::path::Path;
use super::scope::Scope;

/// The routes of a family that something named lets pass; or that there is no such thing.
fn part<'s>(
    view: &View<'s>,
    arguments: &Arguments,
    what: &str,
    exists: impl Fn(&Config, Family, &str) -> bool,
    permits: impl Fn(&Path<'s>, &str) -> bool,
) -> String {
    let name = arguments.get("list").unwrap_or_default();
    let family = Scope::of(arguments).table();
    match exists(view.speaker.config(), family, name) {
        true => filtered(view, arguments, |path| permits(path, name)),
        false => format!("% {name} {what}\n"),
    }
}

/// `show bgp … prefix-list NAME`.
pub(super) fn by_prefix_list(view: &View, arguments: &Arguments) -> String {
    let exists = |config: &Config, family, name: &str| match family {
        Family::Ipv4Unicast => config.prefix_lists.get(name).is_some(),
        Family::Ipv6Unicast => config.prefix_lists6.get(name).is_some(),
        Family::L2vpnEvpn => false,
    };
    part(view, arguments, "prefix-list not found", exists, |path, name| {
        let policy = view.speaker.policy();
        policy.prefix_list_permits(name, path.family, &path.prefix)
    })
}

/// `show bgp … access-list NAME`.
pub(super) fn by_access_list(view: &View, arguments: &Arguments) -> String {
    let exists = |config: &Config, family, name: &str| match family {
        Family::Ipv4Unicast => config.access_lists.get(name).is_some(),
        Family::Ipv6Unicast => config.access_lists6.get(name).is_some(),
        Family::L2vpnEvpn => false,
    };
    part(view, arguments, "access-list not found", exists, |path, name| {
        let policy = view.speaker.policy();
        policy.access_list_permits(name, path.family, &path.prefix)
    })
}

/// `show bgp … filter-list NAME`.
pub(super) fn by_filter_list(view: &View, arguments: &Arguments) -> String {
    let exists = |config: &Config, _, name: &str| config.as_path_lists.get(name).is_some();
    let what = "AS-path access-list not found";
    part(view, arguments, what, exists, |path, name| {
        let policy = view.speaker.policy();
        policy.as_path_list_permits(name, &path.route.attributes.as_path)
    })
}

/// `show bgp … route-map NAME`.
pub(super) fn by_route_map(view: &View, arguments: &Arguments) -> String {
    let exists = |config: &Config, _, name: &str| config.route_maps.get(name).is_some();
    part(view, arguments, "route-map not found", exists, |path, name| {
        view.speaker.is_permitted(name, path.prefix, path.route)
    })
}

/// `show bgp … community-list NAME [exact-match]`.
pub(super) fn by_community_list(view: &View, arguments: &Arguments) -> String {
    let exists = |config: &Config, _, name: &str| config.community_lists.get(name).is_some();
    let exact = arguments.has("exact-match");
    part(
        view,
        arguments,
        "community-list not found",
        exists,
        |path, name| {
            let communities = &path.route.attributes.communities;
            let policy = view.speaker.policy();
            policy.community_list_permits(name, communities, exact)
        },
    )
}

/// `show bgp … large-community-list NAME [exact-match]`.
pub(super) fn by_large_community_list(view: &View, arguments: &Arguments) -> String {
    let exists = |config: &Config, _, name: &str| config.large_community_lists.get(name).is_some();
    let exact = arguments.has("exact-match");
    let what = "is not a valid large-community-list name";
    part(view, arguments, what, exists, |path, name| {
        let communities = &path.route.attributes.large_communities;
        let policy = view.speaker.policy();
        policy.large_community_list_permits(name, communities, exact)
    })
}
