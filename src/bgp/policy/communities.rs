//! Lists of communities, large communities and extended communities.

use std::fmt::Display;

use crate::config::{Action, CommunityRule, List};
use crate::expression::Expression;
use crate::wire::{Community, ExtendedCommunity, LargeCommunity};

/// A list of communities of a kind.
#[derive(Debug)]
pub(super) struct CommunityList<T>(Vec<(Action, Rule<T>)>);

#[derive(Debug)]
enum Rule<T> {
    /// Every route, whatever it has: a rule that names `internet`.
    Every,
    /// All of these.
    All(Vec<T>),
    /// An expression for all the communities as they are printed.
    Expression(Expression),
}

pub(super) fn standard(list: &List<CommunityRule<u32>>) -> CommunityList<Community> {
    CommunityList::new(
        list,
        |value| Some(Community(*value)),
        |all| all.contains(&Community::INTERNET),
    )
}

pub(super) fn large(list: &List<CommunityRule<(u32, u32, u32)>>) -> CommunityList<LargeCommunity> {
    let large = |parts: &(u32, u32, u32)| {
        let (global, local1, local2) = *parts;
        Some(LargeCommunity {
            global,
            local1,
            local2,
        })
    };
    CommunityList::new(list, large, |_| false)
}

pub(super) fn extended(list: &List<CommunityRule<String>>) -> CommunityList<ExtendedCommunity> {
    CommunityList::new(list, |text| text.parse().ok(), |_| false)
}

impl<T: Ord + Clone + Display> CommunityList<T> {
    fn new<V>(
        list: &List<CommunityRule<V>>,
        read: impl Fn(&V) -> Option<T>,
        every: impl Fn(&[T]) -> bool,
    ) -> CommunityList<T> {
        let rules = list.rules.values().map(|(action, rule)| {
            let ready = match rule {
                CommunityRule::Expanded(text) => Rule::Expression(Expression::new(text)),
                CommunityRule::Standard(values) => {
                    let all = sorted(values.iter().filter_map(&read));
                    if every(&all) { Rule::Every } else { Rule::All(all) }
                }
            };
            (*action, ready)
        });
        CommunityList(rules.collect())
    }

    /// Whether the list lets a route with these communities through; with `exact` a rule's communities must be all that
    /// the route has.
    pub(super) fn permits(&self, communities: &[T], exact: bool) -> bool {
        let has = sorted(communities.iter().cloned());
        let text = printed(&has);
        let found = self.0.iter().find(|(_, rule)| match rule {
            Rule::Every => true,
            Rule::All(wanted) if exact => *wanted == has,
            Rule::All(wanted) => wanted.iter().all(|it| has.binary_search(it).is_ok()),
            Rule::Expression(expression) => expression.matches(&text),
        });
        found.is_some_and(|(action, _)| *action == Action::Permit)
    }

    /// Whether a single community is one the list permits (`set comm-list … delete`).
    pub(super) fn names(&self, community: &T) -> bool {
        let found = self.0.iter().find(|(_, rule)| match rule {
            Rule::Every => false,
            Rule::All(all) => all.contains(community),
            Rule::Expression(expression) => expression.matches(&community.to_string()),
        });
        found.is_some_and(|(action, _)| *action == Action::Permit)
    }
}

/// In order and each once, as FRR keeps them.
pub(super) fn sorted<T: Ord>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn printed<T: Display>(all: &[T]) -> String {
    let words: Vec<String> = all.iter().map(ToString::to_string).collect();
    words.join(" ")
}
