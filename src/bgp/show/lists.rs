//! Prefix-lists, access-lists and BGP's lists. What several of FRR's daemons have, each of them tells.

use std::fmt::Write;

use ipnet::IpNet;

use super::View;
use super::json::{Json, Object, text};
use crate::config::{AccessRule, Arguments, CommunityRule, Config, List, Lists, PrefixRule};

/// FRR's daemons that have lists and route-maps.
pub(super) const DAEMONS: [&str; 2] = ["ZEBRA", "BGP"];

/// A list by its name, or all; by name, as FRR sorts them.
fn named<'c, T>(lists: &'c Lists<T>, name: Option<&str>) -> Vec<(&'c str, &'c List<T>)> {
    let mut found: Vec<_> = lists
        .iter()
        .filter(|(known, _)| name.is_none_or(|name| name == *known))
        .collect();
    found.sort_by_key(|(name, _)| *name);
    found
}

/// Of each daemon an object with its name.
pub(super) fn of_daemons(object: impl Fn(&str) -> Object) -> String {
    let answers = DAEMONS.iter().map(|daemon| {
        let answer = Object::new().with(*daemon, object(daemon));
        answer.pretty() + "\n"
    });
    answers.collect()
}

fn prefix_lists<'s>(view: &View<'s>, arguments: &Arguments) -> (&'static str, &'s Lists<PrefixRule>) {
    let config: &'s Config = view.speaker.config();
    match arguments.has("ipv6") {
        true => ("ipv6", &config.prefix_lists6),
        false => ("ip", &config.prefix_lists),
    }
}

/// `show ip prefix-list [NAME]`.
pub(super) fn prefixes(view: &View, arguments: &Arguments) -> String {
    let (ip, lists) = prefix_lists(view, arguments);
    let name = arguments.get("name");
    let newest = lists.iter().last().map(|(name, _)| name);
    let lists = named(lists, name);
    if arguments.has("json") {
        return match (name, lists.as_slice()) {
            (Some(_), []) => String::new(),
            (_, lists) => {
                let style = arguments.one_of(&["summary", "detail"]);
                of_daemons(|_| prefixes_json(ip, lists, style))
            }
        };
    }
    if name.is_some() && lists.is_empty() {
        return "% Can't find specified prefix-list\n".to_owned();
    }
    let sequence: Option<u32> = arguments.get("sequence").and_then(|it| it.parse().ok());
    let style = match (sequence, arguments.one_of(&["summary", "detail"])) {
        (Some(sequence), _) => Style::Rule(sequence),
        (None, Some("summary")) => Style::Summary,
        (None, Some(_)) => Style::Detail,
        (None, None) => Style::Rules,
    };
    let answers = DAEMONS.iter().map(|daemon| {
        let last = match (style, name) {
            (Style::Summary | Style::Detail, None) => {
                newest.map(|name| format!("Prefix-list with the last deletion/insertion: {name}\n"))
            }
            _ => None,
        };
        let lists = lists
            .iter()
            .map(|(name, list)| prefix_list(daemon, ip, name, list, style));
        last.into_iter().chain(lists).collect::<String>()
    });
    answers.collect()
}

/// `show ip prefix-list NAME PREFIX`: the rules of this prefix, or of what lies in it. FRR's daemons do not say who they are.
pub(super) fn prefixes_of(view: &View, arguments: &Arguments) -> String {
    let (ip, lists) = prefix_lists(view, arguments);
    let found = lists.get(arguments.get("name").unwrap_or_default());
    let (Some(list), Some(wanted)) = (found, arguments.get("prefix")) else {
        return "% Can't find specified prefix-list\n".to_owned();
    };
    let Ok(wanted) = wanted.parse::<IpNet>() else {
        return String::new();
    };
    let everything = if ip == "ip" { "0.0.0.0/0" } else { "::/0" };
    let longer = arguments.has("longer");
    let fits = |rule: &PrefixRule| {
        let prefix = rule.prefix.or_else(|| everything.parse().ok());
        prefix.is_some_and(|prefix| match longer {
            true => wanted.trunc().contains(&prefix),
            false => wanted.trunc() == prefix,
        })
    };
    let uses = if longer {
        ""
    } else {
        " (hit count: 0, refcount: 0)"
    };
    let rules = list.rules.iter().filter(|(_, (_, rule))| fits(rule));
    let limit = if arguments.has("first-match") {
        1
    } else {
        usize::MAX
    };
    let lines: String = rules
        .take(limit)
        .map(|(sequence, (action, rule))| format!("   seq {sequence} {} {rule}{uses}\n", action.name()))
        .collect();
    lines.repeat(DAEMONS.len())
}

/// How much of a prefix-list is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Rules,
    Rule(u32),
    Summary,
    Detail,
}

fn prefix_list(daemon: &str, ip: &str, name: &str, list: &List<PrefixRule>, style: Style) -> String {
    let counted = match style {
        Style::Rules => false,
        Style::Rule(_) | Style::Summary | Style::Detail => true,
    };
    let rules = list.rules.iter().map(|(sequence, (action, rule))| {
        let uses = if counted {
            " (hit count: 0, refcount: 0)"
        } else {
            ""
        };
        (
            *sequence,
            format!("   seq {sequence} {} {rule}{uses}\n", action.name()),
        )
    });
    if let Style::Rule(wanted) = style {
        let found = rules.filter(|(sequence, _)| *sequence == wanted);
        let lines = found.map(|(_, line)| format!("{daemon}: {line}"));
        return lines.collect();
    }
    let description = list.description.as_ref();
    let description = description.map_or(String::new(), |text| format!("   Description: {text}\n"));
    let count = list.rules.len();
    if style == Style::Rules {
        let rules: String = rules.map(|(_, line)| line).collect();
        return format!("{daemon}: {ip} prefix-list {name}: {count} entries\n{description}{rules}");
    }
    let first = list.rules.keys().next().copied().unwrap_or(0);
    let last = list.rules.keys().last().copied().unwrap_or(0);
    let head = format!(
        "{daemon}: {ip} prefix-list {name}:\n{description}   count: {count}, range entries: 0, sequences: {first} - {last}\n"
    );
    match style {
        Style::Detail => head + &rules.map(|(_, line)| line).collect::<String>(),
        _ => head,
    }
}

fn prefixes_json(ip: &str, lists: &[(&str, &List<PrefixRule>)], style: Option<&str>) -> Object {
    let (family, everything, longest) = match ip {
        "ip" => ("IPv4", "0.0.0.0/0", 32),
        _ => ("IPv6", "::/0", 128),
    };
    let mut object = Object::new();
    for (name, list) in lists {
        let entries = list.rules.iter().map(|(sequence, (action, rule))| {
            let mut entry = Object::new()
                .with("sequenceNumber", *sequence)
                .with("type", action.name());
            match rule.prefix {
                Some(prefix) => entry.put("prefix", text(prefix)),
                None => entry.put("prefix", everything),
            }
            entry.put_some("minimumPrefixLength", rule.ge);
            let le = rule.le.or((rule.prefix.is_none()).then_some(longest));
            entry.put_some("maximumPrefixLength", le);
            if style.is_some() {
                entry.put("hitCount", 0);
                entry.put("referenceCount", 0);
            }
            Json::from(entry)
        });
        let mut known = Object::new().with("addressFamily", family);
        if style.is_some() {
            known.put("count", list.rules.len());
            known.put("rangeEntries", 0);
            known.put("sequenceStart", list.rules.keys().next().copied().unwrap_or(0));
            known.put("sequenceEnd", list.rules.keys().last().copied().unwrap_or(0));
        }
        if style != Some("summary") {
            known.put("entries", entries.collect::<Vec<Json>>());
        }
        known.put_some("description", list.description.as_deref());
        object.put(*name, known);
    }
    object
}

/// `show ip access-list [NAME]`.
pub(super) fn access(view: &View, arguments: &Arguments) -> String {
    let config = view.speaker.config();
    let (head, family, everything, lists) = match arguments.has("ipv6") {
        true => ("Zebra IPv6  access list", "IPv6", "::/0", &config.access_lists6),
        false => ("Zebra IP access list", "IPv4", "0.0.0.0/0", &config.access_lists),
    };
    let lists = named(lists, arguments.get("name"));
    if arguments.has("json") {
        return of_daemons(|_| access_json(family, everything, &lists));
    }
    let answers = DAEMONS.iter().map(|daemon| {
        let mut out = format!("{daemon}:\n");
        for (name, list) in &lists {
            let _ = writeln!(out, "{head} {name}");
            for (sequence, (action, rule)) in &list.rules {
                let _ = writeln!(out, "    seq {sequence} {:<6} {rule}", action.name());
            }
        }
        out
    });
    answers.collect()
}

fn access_json(family: &str, everything: &str, lists: &[(&str, &List<AccessRule>)]) -> Object {
    let mut object = Object::new();
    for (name, list) in lists {
        let rules = list.rules.iter().map(|(sequence, (action, rule))| {
            let entry = Object::new()
                .with("sequenceNumber", *sequence)
                .with("filterType", action.name());
            Json::from(match rule {
                AccessRule::Any => entry.with("prefix", everything).with("exact-match", false),
                AccessRule::Prefix { prefix, exact } => {
                    entry.with("prefix", text(prefix)).with("exact-match", *exact)
                }
                AccessRule::Wildcard(address, mask) => {
                    entry.with("address", text(address)).with("mask", text(mask))
                }
            })
        });
        let known = Object::new()
            .with("type", "Zebra")
            .with("addressFamily", family)
            .with("rules", rules.collect::<Vec<Json>>());
        object.put(*name, known);
    }
    object
}

/// `show bgp as-path-access-list [NAME]`.
pub(super) fn as_paths(view: &View, arguments: &Arguments) -> String {
    let lists = named(&view.speaker.config().as_path_lists, arguments.get("name"));
    if arguments.has("json") {
        let mut object = Object::new();
        for (name, list) in lists {
            let rules = list.rules.iter().map(|(sequence, (action, expression))| {
                Json::from(
                    Object::new()
                        .with("sequenceNumber", *sequence)
                        .with("type", action.name())
                        .with("regExp", expression.as_str()),
                )
            });
            object.put(name, rules.collect::<Vec<Json>>());
        }
        return object.pretty() + "\n";
    }
    let answers = lists.into_iter().map(|(name, list)| {
        let lines = list.rules.values();
        let lines = lines.map(|(action, expression)| format!("    {} {expression}\n", action.name()));
        format!("AS path access list {name}\n{}", lines.collect::<String>())
    });
    answers.collect()
}

/// `show bgp community-list`.
pub(super) fn communities(view: &View, arguments: &Arguments) -> String {
    let lists = &view.speaker.config().community_lists;
    of_communities(lists, arguments, ["Community", "Community", "community-list"])
}

/// `show bgp large-community-list`.
pub(super) fn large_communities(view: &View, arguments: &Arguments) -> String {
    let lists = &view.speaker.config().large_community_lists;
    of_communities(
        lists,
        arguments,
        ["Large community", "large community", "large-community-list"],
    )
}

/// `show bgp extcommunity-list`.
pub(super) fn extended_communities(view: &View, arguments: &Arguments) -> String {
    let lists = &view.speaker.config().extcommunity_lists;
    let words = ["Extended community", "extended community", "extcommunity-list"];
    of_communities(lists, arguments, words)
}

/// Lists of communities, the words for them being those before a number, before a name, and in the command.
fn of_communities<T>(lists: &Lists<CommunityRule<T>>, arguments: &Arguments, words: [&str; 3]) -> String
where
    CommunityRule<T>: std::fmt::Display,
{
    let [numbered, named, command] = words;
    let wanted = arguments.get("name");
    let lists = lists
        .iter()
        .filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name));
    let answers: Vec<String> = lists
        .map(|(name, list)| {
            let mut rules = list.rules.values();
            let expanded = rules.any(|(_, rule)| matches!(rule, CommunityRule::Expanded(_)));
            let head = match (name.parse::<u32>().is_ok(), expanded) {
                (true, false) => format!("{numbered} standard list"),
                (true, true) => format!("{numbered} (expanded) access list"),
                (false, false) => format!("Named {named} standard list"),
                (false, true) => format!("Named {named} expanded list"),
            };
            let lines = list.rules.values();
            let lines = lines.map(|(action, rule)| format!("    {} {rule}\n", action.name()));
            format!("{head} {name}\n{}", lines.collect::<String>())
        })
        .collect();
    match (wanted, answers.is_empty()) {
        (Some(_), true) => format!("% Can't find {command}\n"),
        _ => answers.concat(),
    }
}
