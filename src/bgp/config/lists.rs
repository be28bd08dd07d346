//! Commands for access-lists, prefix-lists, as-path, community, extcommunity and large-community lists.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::argument::Arguments;
use super::community;
use super::diagnostic::Refusal;
use super::edit::Rows;
use super::model::Ordered;
use super::policy::{AccessRule, Action, CommunityRule, List, Lists, PrefixRule};
use crate::expression::Expression;

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
        "[no] bgp as-path access-list <name:word> [seq <seq:0-4294967295>] (permit|deny) <line>",
        |e, a| as_path_rule(&mut e.config.as_path_lists, a),
    ),
    ("no bgp as-path access-list <name:word>", |e, a| {
        let name = a.text("name")?;
        match e.config.as_path_lists.remove(&name) {
            Some(_) => Ok(()),
            None => Err(no_as_path_list(&name)),
        }
    }),
    (
        "[no] bgp community-list (<name:1-99>|standard <name:word>) [seq <seq:0-4294967295>] (permit|deny) <value:word>...",
        |e, a| {
            must_be_known(&e.config.community_lists, a)?;
            let communities = communities(a).ok_or_else(|| malformed(a))?;
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
            must_be_known(&e.config.community_lists, a)?;
            let expression = expression(a).ok_or_else(|| malformed(a))?;
            community_rule(
                &mut e.config.community_lists,
                a,
                CommunityRule::Expanded(expression),
            )
        },
    ),
    (
        "no bgp community-list (<name:1-500>|(standard|expanded) <name:word>)",
        |e, a| remove_known(&mut e.config.community_lists, a),
    ),
    (
        "[no] bgp large-community-list (<name:1-99>|standard <name:word>) [seq <seq:0-4294967295>] (permit|deny) <value:word>...",
        |e, a| {
            must_be_known(&e.config.large_community_lists, a)?;
            all_digits(a)?;
            let communities = large_communities(a).ok_or_else(|| malformed(a))?;
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
            must_be_known(&e.config.large_community_lists, a)?;
            all_digits(a)?;
            let expression = expression(a).ok_or_else(|| malformed(a))?;
            community_rule(
                &mut e.config.large_community_lists,
                a,
                CommunityRule::Expanded(expression),
            )
        },
    ),
    (
        "no bgp large-community-list (<name:word>|(standard|expanded) <name:word>)",
        |e, a| remove_known(&mut e.config.large_community_lists, a),
    ),
    (
        "[no] bgp extcommunity-list (<name:1-99>|standard <name:word>) [seq <seq:0-4294967295>] (permit|deny) <value:word>...",
        |e, a| {
            must_be_known(&e.config.extcommunity_lists, a)?;
            let communities = extended_pairs(a).ok_or_else(|| malformed(a))?;
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
            must_be_known(&e.config.extcommunity_lists, a)?;
            let expression = expression(a).ok_or_else(|| malformed(a))?;
            community_rule(
                &mut e.config.extcommunity_lists,
                a,
                CommunityRule::Expanded(expression),
            )
        },
    ),
    (
        "no bgp extcommunity-list (<name:1-500>|(standard|expanded) <name:word>)",
        |e, a| remove_known(&mut e.config.extcommunity_lists, a),
    ),
];

/// `permit` or `deny`.
pub(super) fn action(arguments: &Arguments) -> Action {
    match arguments.has("deny") {
        true => Action::Deny,
        false => Action::Permit,
    }
}

/// Communities of a command; none where one is not.
fn communities(arguments: &Arguments) -> Option<Vec<u32>> {
    let read = |text: &str| community::parse(text).filter(|community| *community != u32::MAX);
    let mut communities = arguments.all("value").map(read).collect::<Option<Vec<_>>>()?;
    communities.sort_unstable();
    communities.dedup();
    Some(communities)
}

/// Large communities of a command; none where one is not.
pub(super) fn large_communities(arguments: &Arguments) -> Option<Vec<(u32, u32, u32)>> {
    let read = |text: &str| community::parse_large(text);
    let mut communities = arguments.all("value").map(read).collect::<Option<Vec<_>>>()?;
    communities.sort_unstable();
    communities.dedup();
    Some(communities)
}

/// Route targets or sites of origin of a command; none where one is not.
pub(super) fn extended(arguments: &Arguments) -> Option<Vec<String>> {
    let read = |text: &str| community::is_extended(text).then(|| text.to_owned());
    arguments.all("value").map(read).collect()
}

/// `rt VALUE` and `soo VALUE`, in any order.
fn extended_pairs(arguments: &Arguments) -> Option<Vec<String>> {
    let words: Vec<&str> = arguments.all("value").collect();
    let read = |pair: &[&str]| match pair {
        [kind @ ("rt" | "soo"), value] if community::is_extended(value) => Some(format!("{kind} {value}")),
        _ => None,
    };
    let pairs: Option<Vec<String>> = words.chunks(2).map(read).collect();
    let mut pairs = pairs?;
    pairs.sort_by_key(|pair| pair.starts_with("soo"));
    Some(pairs)
}

/// What bgpd says of a rule that it cannot read.
fn malformed(arguments: &Arguments) -> Refusal {
    let at = arguments.span("value").or_else(|| arguments.span("line"));
    Refusal::Invalid("Malformed community-list value".to_owned(), at)
}

/// # Errors
/// A named list of large communities has a number for a name.
fn all_digits(arguments: &Arguments) -> Result<(), Refusal> {
    let name = arguments.text("name")?;
    let is_named = arguments.has("standard") || arguments.has("expanded");
    match is_named && name.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Err(Refusal::Invalid(
            "Community name cannot have all digits".to_owned(),
            arguments.span("name"),
        )),
        false => Ok(()),
    }
}

fn prefix_rule(arguments: &Arguments) -> Result<PrefixRule, Refusal> {
    let prefix = list_prefix(arguments)?;
    let (ge, le) = (arguments.optional::<u8>("ge")?, arguments.optional::<u8>("le")?);
    let length = prefix.map_or(0, |prefix| prefix.prefix_len());
    let low = ge.unwrap_or(length);
    // What cannot be there is looked for without a word.
    if arguments.no() {
        return Ok(PrefixRule { prefix, ge, le });
    }
    if low < length || le.is_some_and(|le| le < low) {
        let prefix = prefix.map_or_else(|| "any".to_owned(), |prefix| prefix.to_string());
        return Err(Refusal::Bare(format!(
            "% Configuration failed.\n\nError type: validation\nError description: Invalid prefix range for {prefix}: \
             Make sure that mask length <= ge <= le"
        )));
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

/// A regular expression; none where it is none.
fn expression(arguments: &Arguments) -> Option<String> {
    let text = arguments.get("line")?;
    Expression::is_valid(text).then(|| text.to_owned())
}

/// What may stand in an expression of AS paths, as bgpd has it.
const OF_AS_PATHS: &str = "1234567890_^|[,{}() ]$*+.?-\\";

fn no_as_path_list(name: &str) -> Refusal {
    Refusal::Bare(format!("bgp as-path access-list {name} doesn't exist"))
}

/// A rule of an as-path access-list. To be taken back it is known by its expression alone.
fn as_path_rule(lists: &mut Lists<String>, arguments: &Arguments) -> Result<(), Refusal> {
    let (name, text) = (arguments.text("name")?, arguments.text("line")?);
    if arguments.no() && lists.get(&name).is_none() {
        return Err(no_as_path_list(&name));
    }
    if !Expression::is_valid(&text) {
        return Err(Refusal::Bare(format!("can't compile regexp {text}")));
    }
    if text.contains(|letter| !OF_AS_PATHS.contains(letter)) {
        return Err(Refusal::Bare(format!(
            "Invalid character in as-path access-list {text}"
        )));
    }
    if !arguments.no() {
        return add(lists.sorted_or_default(&name), arguments, text);
    }
    match take_out(lists, &name, |_, rule| *rule == text) {
        true => Ok(()),
        false => Err(Refusal::Bare(format!("Regex entered {text} does not exist"))),
    }
}

fn rule_in_order<T: PartialEq>(lists: &mut Lists<T>, arguments: &Arguments, rule: T) -> Result<(), Refusal> {
    match arguments.no() {
        true => take_back(lists, arguments, &rule),
        false => add(lists.last_or_default(&arguments.text("name")?), arguments, rule),
    }
}

/// A list of communities is either standard or expanded.
fn community_rule<T: PartialEq>(
    lists: &mut Lists<CommunityRule<T>>,
    arguments: &Arguments,
    rule: CommunityRule<T>,
) -> Result<(), Refusal> {
    let name = arguments.text("name")?;
    let first = lists.get(&name).and_then(|list| list.rules.values().next());
    if arguments.no() {
        let action = action(arguments);
        return match take_out(lists, &name, |known, other| known == action && *other == rule) {
            true => Ok(()),
            false => Err(no_community_list()),
        };
    }
    let kind = std::mem::discriminant(&rule);
    if let Some((_, known)) = first.filter(|(_, known)| std::mem::discriminant(known) != kind) {
        // Of large communities bgpd always says the same.
        let is_standard =
            matches!(known, CommunityRule::Standard(_)) && !arguments.has("large-community-list");
        let known = if is_standard { "standard" } else { "expanded" };
        return Err(Refusal::Invalid(
            format!("Community name conflict, previously defined as {known} community"),
            arguments.span("name"),
        ));
    }
    add(lists.sorted_or_default(&name), arguments, rule)
}

fn no_community_list() -> Refusal {
    Refusal::invalid("Can't find community-list")
}

/// # Errors
/// A rule is to be taken out of a list that is not there: bgpd looks for the list before it reads the rule.
fn must_be_known<T>(lists: &Lists<T>, arguments: &Arguments) -> Result<(), Refusal> {
    match arguments.no() && lists.get(&arguments.text("name")?).is_none() {
        true => Err(no_community_list()),
        false => Ok(()),
    }
}

/// Takes a whole list of communities back.
fn remove_known<T>(lists: &mut Lists<T>, arguments: &Arguments) -> Result<(), Refusal> {
    let removed = lists.remove(&arguments.text("name")?);
    removed.map(|_| ()).ok_or_else(no_community_list)
}

fn add<T: PartialEq>(list: &mut List<T>, arguments: &Arguments, rule: T) -> Result<(), Refusal> {
    let action = action(arguments);
    let last = list.rules.keys().last().copied().unwrap_or(0);
    // As with FRR a rule stands once, whatever its number.
    let mut rules = list.rules.values();
    if rules.any(|(known, other)| *known == action && *other == rule) {
        return Ok(());
    }
    let sequence = match arguments.optional("seq")? {
        Some(sequence) => sequence,
        None => (last / 5).saturating_add(1).saturating_mul(5),
    };
    list.rules.insert(sequence, (action, rule));
    Ok(())
}

/// A rule that is not there is no failure that FRR has words for.
fn take_back<T: PartialEq>(lists: &mut Lists<T>, arguments: &Arguments, rule: &T) -> Result<(), Refusal> {
    let name = arguments.text("name")?;
    let action = action(arguments);
    let wanted: Option<u32> = arguments.optional("seq")?;
    if let Some(sequence) = wanted {
        let list = lists.get(&name).and_then(|list| list.rules.get(&sequence));
        if list.is_none_or(|(known, other)| *known != action || other != rule) {
            return Err(Refusal::Bare(String::new()));
        }
        if let Some(list) = lists.get_mut(&name) {
            list.rules.remove(&sequence);
        }
        tidy(lists, &name);
        return Ok(());
    }
    match take_out(lists, &name, |known, other| known == action && other == rule) {
        true => Ok(()),
        false => Err(Refusal::Bare(String::new())),
    }
}

/// Takes out the first rule of a list that is meant, and says whether there was one.
fn take_out<T>(lists: &mut Lists<T>, name: &str, is_meant: impl Fn(Action, &T) -> bool) -> bool {
    let Some(list) = lists.get_mut(name) else {
        return false;
    };
    let mut rules = list.rules.iter();
    let found = rules.find(|(_, (action, rule))| is_meant(*action, rule));
    let Some(sequence) = found.map(|(sequence, _)| *sequence) else {
        return false;
    };
    list.rules.remove(&sequence);
    tidy(lists, name);
    true
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
