//! `show running-config`, whole or what one of FRR's daemons would have of it.

use super::Terminal;
use super::turn::Turn;
use crate::bgp::config::{Arguments, Config};
use crate::bgp::show::View;

/// What vtysh says of itself in every configuration: one file is for all daemons.
const INTEGRATED: &str = "service integrated-vtysh-config";

pub(super) fn everything(_: &mut Terminal, view: &View, _: &Arguments) -> Turn {
    Turn::printed(format!("{HEAD}{}", printed(view.speaker.config().clone())))
}

pub(super) fn part(_: &mut Terminal, view: &View, arguments: &Arguments) -> Turn {
    let config = view.speaker.config().clone();
    let config = match arguments.one_of(&["zebra", "bgpd", "staticd", "watchfrr"]) {
        None => config,
        Some(daemon) => of(daemon, config),
    };
    let head = if arguments.has("no-header") { "" } else { HEAD };
    Turn::printed(format!("{head}{}", printed(config)))
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
            config
        }
        "zebra" => {
            config.kept.retain(says("debug zebra"));
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
                static_routes: match daemon {
                    "staticd" => config.static_routes,
                    _ => Default::default(),
                },
                ..Config::default()
            }
        }
    }
}
