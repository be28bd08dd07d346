//! Commands for access-lists, prefix-lists, as-path, community, extcommunity and large-community lists.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::argument::Arguments;
use super::community;
use super::edit::Rows;
use super::mistake::Refusal;
use super::model::Ordered;
use super::policy::{AccessRule, Action, CommunityRule, List, Lists, PrefixRule};
use crate::bgp::expression::Expression;

/// The commands.
pub(super) const LISTS: Rows = &[
    (
        "[no] ip prefix-list <name:word> [seq <seq:1-4294967295>] (permit|deny) (any|<prefix4> [{ge <ge:0-32>|le <le:0-32>}])",
        |e, a| {
            let rule = prefix_rule(a)?;
            rule_in_order(&mut e.config.prefix_lists, a, rule)
        },
    ),
    (
        "[no] ipv6 prefix-list <name:word> [seq <seq:1-4294967295>] (permit|deny) (any|<prefix6> [{ge <ge:0-128>|le <le:0-128>}])",
        |e, a| {
            let rule = prefix_rule(a)?;
            rule_in_order(&mut e.config.prefix_lists6, a, rule)
        },
    ),
    ("ip prefix-list <name:word> description ~ <line>", |e, a| {
        describe(&mut e.config.prefix_lists, a)
    }),
    ("ipv6 prefix-list <name:word> description ~ <line>", |e, a| {
        describe(&mut e.config.prefix_lists6, a)
    }),
    (
        "no ip prefix-list <name:word> [seq <seq:1-4294967295>]",
        |e, a| remove(&mut e.config.prefix_lists, a),
    ),
    (
        "no ipv6 prefix-list <name:word> [seq <seq:1-4294967295>]",
        |e, a| remove(&mut e.config.prefix_lists6, a),
    ),
    (
        "[no] access-list <name:word> [seq <seq:1-4294967295>] (permit|deny) (any|<prefix4> [exact-match]|[host] <address:ipv4>|<address:ipv4> <wildcard:ipv4>)",
        |e, a| {
            let rule = access_rule(a)?;
            rule_in_order(&mut e.config.access_lists, a, rule)
        },
    ),
    (
        "[no] ipv6 access-list <name:word> [seq <seq:1-4294967295>] (permit|deny) (any|<prefix6> [exact-match])",
        |e, a| {
            let rule = access_rule(a)?;
            rule_in_order(&mut e.config.access_lists6, a, rule)
        },
    ),
    ("access-list <name:word> remark ~ <line>", |e, a| {
        describe(&mut e.config.access_lists, a)
    }),
    ("ipv6 access-list <name:word> remark ~ <line>", |e, a| {
        describe(&mut e.config.access_lists6, a)
    }),
    ("no access-list <name:word>", |e, a| {
        remove(&mut e.config.access_lists, a)
    }),
    ("no ipv6 access-list <name:word>", |e, a| {
        remove(&mut e.config.access_lists6, a)
    }),
    (
        "[no] access-list <name:word> [seq <seq:1-4294967295>] (permit|deny) ip <line>",
        super::edit::needs_frr,
    ),
    (
        "[no] bgp as-path access-list <name:word> [seq <seq:0-4294967295>] (permit|deny) <line>",
        |e, a| {
            let expression = expression(a)?;
            rule_by_name(&mut e.config.as_path_lists, a, expression)
        },
    ),
    ("no bgp as-path access-list <name:word>", |e, a| {
        remove(&mut e.config.as_path_lists, a)
    }),
    (
        "[no] bgp community-list (<name:1-99>|standard <name:word>) [seq <seq:0-4294967295>] (permit|deny) <community>...",
        |e, a| {
            let mut communities: Vec<u32> = a.all("community").filter_map(community::parse).collect();
            communities.sort_unstable();
            communities.dedup();
            community_rule(
                &mut e.config.community_lists,
                a,
                CommunityRule::Standard(communities),
            )
        },
    ),
    (
        "[no] bgp community-list (<name:100-500>|expanded <name:word>) [seq <seq:0-4294967295>] (permit|deny) <line>",
        |e, a| {
            let expression = expression(a)?;
            community_rule(
                &mut e.config.community_lists,
                a,
                CommunityRule::Expanded(expression),
            )
        },
    ),
    (
        "no bgp community-list (<name:1-500>|(standard|expanded) <name:word>)",
        |e, a| remove(&mut e.config.community_lists, a),
    ),
    (
        "[no] bgp large-community-list (<name:1-99>|standard <name:word>) [seq <seq:0-4294967295>] (permit|deny) <value:word>...",
        |e, a| {
            let communities = large_communities(a)?;
            community_rule(
                &mut e.config.large_community_lists,
                a,
                CommunityRule::Standard(communities),
            )
        },
    ),
    (
        "[no] bgp large-community-list (<name:100-500>|expanded <name:word>) [seq <seq:0-4294967295>] (permit|deny) <line>",
        |e, a| {
            let expression = expression(a)?;
            community_rule(
                &mut e.config.large_community_lists,
                a,
                CommunityRule::Expanded(expression),
            )
        },
    ),
    (
        "no bgp large-community-list (<name:word>|(standard|expanded) <name:word>)",
        |e, a| remove(&mut e.config.large_community_lists, a),
    ),
    (
        "[no] bgp extcommunity-list (<name:1-99>|standard <name:word>) [seq <seq:0-4294967295>] (permit|deny) {(rt|soo) <value:word>}",
        |e, a| {
            let communities = extended_pairs(a)?;
            community_rule(
                &mut e.config.extcommunity_lists,
                a,
                CommunityRule::Standard(communities),
            )
        },
    ),
    (
        "[no] bgp extcommunity-list (<name:100-500>|expanded <name:word>) [seq <seq:0-4294967295>] (permit|deny) <line>",
        |e, a| {
            let expression = expression(a)?;
            community_rule(
                &mut e.config.extcommunity_lists,
                a,
                CommunityRule::Expanded(expression),
            )
        },
    ),
    (
        "no bgp extcommunity-list (<name:1-500>|(standard|expanded) <name:word>)",
        |e, a| remove(&mut e.config.extcommunity_lists, a),
    ),
];

/// `permit` or `deny`.
pub(super) fn action(arguments: &Arguments) -> Action {
    match arguments.has("deny") {
        true => Action::Deny,
        false => Action::Permit,
    }
}

/// Large communities of a command.
pub(super) fn large_communities(arguments: &Arguments) -> Result<Vec<(u32, u32, u32)>, Refusal> {
    let read = |text: &str| community::parse_large(text).ok_or_else(|| no_community(text));
    let mut communities = arguments.all("value").map(read).collect::<Result<Vec<_>, _>>()?;
    communities.sort_unstable();
    communities.dedup();
    Ok(communities)
}

/// Route targets or sites of origin of a command.
pub(super) fn extended(arguments: &Arguments) -> Result<Vec<String>, Refusal> {
    let read = |text: &str| match community::is_extended(text) {
        true => Ok(text.to_owned()),
        false => Err(no_community(text)),
    };
    arguments.all("value").map(read).collect()
}

fn no_community(text: &str) -> Refusal {
    Refusal::invalid(format!("`{text}` is no community of this kind"))
}

fn extended_pairs(arguments: &Arguments) -> Result<Vec<String>, Refusal> {
    let values = extended(arguments)?;
    let kinds = arguments.plain();
    let kinds = kinds.split(' ').filter(|word| matches!(*word, "rt" | "soo"));
    Ok(kinds
        .zip(values)
        .map(|(kind, value)| format!("{kind} {value}"))
        .collect())
}

fn prefix_rule(arguments: &Arguments) -> Result<PrefixRule, Refusal> {
    let prefix = list_prefix(arguments)?;
    let (ge, le) = (arguments.optional::<u8>("ge")?, arguments.optional::<u8>("le")?);
    let length = prefix.map_or(0, |prefix| prefix.prefix_len());
    let low = ge.unwrap_or(length);
    if low < length || le.is_some_and(|le| le < low) {
        return Err(Refusal::invalid(
            "the lengths must be: the prefix's, then `ge`, then `le`",
        ));
    }
    Ok(PrefixRule { prefix, ge, le })
}

fn list_prefix(arguments: &Arguments) -> Result<Option<IpNet>, Refusal> {
    let four = arguments
        .optional::<Ipv4Net>("prefix4")?
        .map(|prefix| prefix.trunc().into());
    let six = arguments
        .optional::<Ipv6Net>("prefix6")?
        .map(|prefix| prefix.trunc().into());
    Ok(four.or(six))
}

fn access_rule(arguments: &Arguments) -> Result<AccessRule, Refusal> {
    if let Some(prefix) = list_prefix(arguments)? {
        let exact = arguments.has("exact-match");
        return Ok(AccessRule::Prefix { prefix, exact });
    }
    let Some(address) = arguments.optional::<std::net::Ipv4Addr>("address")? else {
        return Ok(AccessRule::Any);
    };
    let wildcard = arguments
        .optional("wildcard")?
        .unwrap_or(std::net::Ipv4Addr::UNSPECIFIED);
    Ok(AccessRule::Wildcard(address, wildcard))
}

/// A regular expression.
fn expression(arguments: &Arguments) -> Result<String, Refusal> {
    let text = arguments.text("line")?;
    match Expression::is_valid(&text) {
        true => Ok(text),
        false => Err(Refusal::Invalid(
            format!("`{text}` is no regular expression"),
            arguments.span("line"),
        )),
    }
}

fn rule_in_order<T: PartialEq>(lists: &mut Lists<T>, arguments: &Arguments, rule: T) -> Result<(), Refusal> {
    match arguments.no() {
        true => take_back(lists, arguments, &rule),
        false => add(lists.last_or_default(&arguments.text("name")?), arguments, rule),
    }
}

fn rule_by_name<T: PartialEq>(lists: &mut Lists<T>, arguments: &Arguments, rule: T) -> Result<(), Refusal> {
    match arguments.no() {
        true => take_back(lists, arguments, &rule),
        false => add(lists.sorted_or_default(&arguments.text("name")?), arguments, rule),
    }
}

/// A list of communities is either standard or expanded.
fn community_rule<T: PartialEq>(
    lists: &mut Lists<CommunityRule<T>>,
    arguments: &Arguments,
    rule: CommunityRule<T>,
) -> Result<(), Refusal> {
    let first = lists
        .get(&arguments.text("name")?)
        .and_then(|list| list.rules.values().next());
    let kind = std::mem::discriminant(&rule);
    if first.is_some_and(|(_, known)| std::mem::discriminant(known) != kind) {
        return Err(Refusal::invalid("a list of this name is of the other kind"));
    }
    rule_by_name(lists, arguments, rule)
}

fn add<T: PartialEq>(list: &mut List<T>, arguments: &Arguments, rule: T) -> Result<(), Refusal> {
    let action = action(arguments);
    let last = list.rules.keys().last().copied().unwrap_or(0);
    let sequence = match arguments.optional("seq")? {
        Some(sequence) => sequence,
        None if list
            .rules
            .values()
            .any(|(known, other)| *known == action && *other == rule) =>
        {
            return Ok(());
        }
        None => (last / 5).saturating_add(1).saturating_mul(5),
    };
    list.rules.insert(sequence, (action, rule));
    Ok(())
}

fn take_back<T: PartialEq>(lists: &mut Lists<T>, arguments: &Arguments, rule: &T) -> Result<(), Refusal> {
    let name = arguments.text("name")?;
    let wanted: Option<u32> = arguments.optional("seq")?;
    let action = action(arguments);
    let list = lists
        .get_mut(&name)
        .ok_or_else(|| Refusal::invalid(format!("there is no list {name}")))?;
    let mut rules = list.rules.iter();
    let found = rules.find(|(sequence, (known, known_rule))| {
        wanted.is_none_or(|wanted| wanted == **sequence) && *known == action && known_rule == rule
    });
    let Some(sequence) = found.map(|(sequence, _)| *sequence) else {
        return Err(Refusal::invalid(format!("list {name} has no such rule")));
    };
    list.rules.remove(&sequence);
    tidy(lists, &name);
    Ok(())
}

/// Removes a rule by its number, or the whole list.
fn remove<T>(lists: &mut Lists<T>, arguments: &Arguments) -> Result<(), Refusal> {
    let name = arguments.text("name")?;
    match arguments.optional::<u32>("seq")? {
        Some(sequence) => {
            if let Some(list) = lists.get_mut(&name) {
                list.rules.remove(&sequence);
            }
            tidy(lists, &name);
        }
        None => {
            lists.remove(&name);
        }
    }
    Ok(())
}

fn describe<T>(lists: &mut Ordered<List<T>>, arguments: &Arguments) -> Result<(), Refusal> {
    let name = arguments.text("name")?;
    match arguments.no() {
        true => {
            if let Some(list) = lists.get_mut(&name) {
                list.description = None;
            }
            tidy(lists, &name);
        }
        false => lists.last_or_default(&name).description = Some(arguments.text("line")?),
    }
    Ok(())
}

/// A list of which nothing is left is gone.
fn tidy<T>(lists: &mut Lists<T>, name: &str) {
    let empty = lists
        .get(name)
        .is_some_and(|list| list.rules.is_empty() && list.description.is_none());
    if empty {
        lists.remove(name);
    }
}
