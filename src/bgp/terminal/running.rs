//! `show running-config`, whole or what one of FRR's daemons would have of it.

use super::Terminal;
use super::outcome::Outcome;
use crate::config::{Arguments, Config, Match, Set};
use crate::show::View;

/// What vtysh says of itself in every configuration: one file is for all daemons.
const INTEGRATED: &str = "service integrated-vtysh-config";

pub(super) fn everything(_: &mut Terminal, view: &View, _: &Arguments) -> Outcome {
    Outcome::printed(format!("{HEAD}{}", printed(view.speaker.config().clone())))
}

pub(super) fn part(_: &mut Terminal, view: &View, arguments: &Arguments) -> Outcome {
    let config = view.speaker.config().clone();
    let config = match arguments.one_of(&["zebra", "bgpd", "staticd"]) {
        None => config,
        Some(daemon) => of(daemon, config),
    };
    let head = if arguments.has("no-header") { "" } else { HEAD };
    Outcome::printed(format!("{head}{}", printed(config)))
}

const HEAD: &str = "Building configuration...\n\nCurrent configuration:\n!\n";

fn printed(mut config: Config) -> String {
    config.kept.insert(INTEGRATED.to_owned());
    config.print()
}

/// What a daemon has. Lists and route-maps are known to zebra and bgpd alike, as far as each understands them.
fn of(daemon: &str, mut config: Config) -> Config {
    let says =
        |words: &'static str| move |line: &String| !line.starts_with("debug") || line.starts_with(words);
    match daemon {
        "bgpd" => {
            config.kept.retain(says("debug bgp"));
            config.static_routes.clear();
            config.interfaces.clear();
            (config.protocol_map, config.protocol_map6) = (None, None);
            keep(&mut config, |_| true, |change| !matches!(change, Set::Source(_)));
            config
        }
        "zebra" => {
            config.kept.retain(says("debug zebra"));
            keep(&mut config, is_of_zebra, is_set_by_zebra);
            Config {
                static_routes: Default::default(),
                bgp: None,
                as_path_lists: Default::default(),
                community_lists: Default::default(),
                extcommunity_lists: Default::default(),
                large_community_lists: Default::default(),
                ..config
            }
        }
        _ => {
            config.kept.retain(says("debug static"));
            Config {
                profile: config.profile,
                hostname: config.hostname,
                domainname: config.domainname,
                kept: config.kept,
                static_routes: config.static_routes,
                ..Config::default()
            }
        }
    }
}

fn is_of_zebra(condition: &Match) -> bool {
    matches!(
        condition,
        Match::Address(..)
            | Match::NextHop(..)
            | Match::Interface(_)
            | Match::Metric(_)
            | Match::Tag(_)
            | Match::SourceProtocol(_)
    )
}

fn is_set_by_zebra(change: &Set) -> bool {
    matches!(
        change,
        Set::Source(_) | Set::Metric(_) | Set::NextHop(_) | Set::Tag(_)
    )
}

/// Leaves of route-maps what is understood.
fn keep(config: &mut Config, conditions: fn(&Match) -> bool, changes: fn(&Set) -> bool) {
    let names: Vec<String> = config
        .route_maps
        .iter()
        .map(|(name, _)| name.to_owned())
        .collect();
    for name in names {
        let map = config.route_maps.get_mut(&name);
        for entry in map.into_iter().flat_map(|map| map.values_mut()) {
            entry.matches.retain(conditions);
            entry.sets.retain(changes);
        }
    }
}
