//! Prefix-lists.

use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;

use crate::config::{Action, List, PrefixRule};

/// A prefix-list. Its rules are found by their prefixes, so that a long list costs no more than a short one.
#[derive(Debug, Default)]
pub(super) struct PrefixList {
    /// Rules for any prefix.
    any: Vec<Rule>,
    /// Rules by prefix.
    rules: HashMap<IpNet, Vec<Rule>>,
    /// Lengths of those prefixes.
    lengths: BTreeSet<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Rule {
    sequence: u32,
    action: Action,
    shortest: u8,
    longest: u8,
}

impl PrefixList {
    pub(super) fn new(list: &List<PrefixRule>) -> PrefixList {
        let mut made = PrefixList::default();
        for (sequence, (action, rule)) in &list.rules {
            let (shortest, longest) = lengths(rule);
            let ready = Rule {
                sequence: *sequence,
                action: *action,
                shortest,
                longest,
            };
            match rule.prefix {
                None => made.any.push(ready),
                Some(prefix) => {
                    let prefix = prefix.trunc();
                    made.lengths.insert(prefix.prefix_len());
                    made.rules.entry(prefix).or_default().push(ready);
                }
            }
        }
        made
    }

    /// Whether there are no rules.
    pub(super) fn is_empty(&self) -> bool {
        self.any.is_empty() && self.rules.is_empty()
    }

    /// The first rule that matches decides; where none does the prefix is denied. A list without rules permits.
    pub(super) fn permits(&self, prefix: &IpNet) -> bool {
        if self.is_empty() {
            return true;
        }
        let length = prefix.prefix_len();
        let around = self.lengths.range(..=length);
        let same_start = around.filter_map(|shorter| IpNet::new(prefix.addr(), *shorter).ok());
        let found = same_start
            .filter_map(|net| self.rules.get(&net.trunc()))
            .flatten();
        let matching = found
            .chain(&self.any)
            .filter(|rule| (rule.shortest..=rule.longest).contains(&length));
        let first = matching.min_by_key(|rule| rule.sequence);
        first.is_some_and(|rule| rule.action == Action::Permit)
    }
}

/// The lengths a rule is about: without `ge` and `le` that of its prefix alone.
fn lengths(rule: &PrefixRule) -> (u8, u8) {
    let own = rule.prefix.map_or(0, |prefix| prefix.prefix_len());
    let greatest = rule.prefix.map_or(128, |prefix| prefix.max_prefix_len());
    match (rule.prefix, rule.ge, rule.le) {
        (None, None, None) => (0, greatest),
        (_, None, None) => (own, own),
        (_, ge, le) => (ge.unwrap_or(own), le.unwrap_or(greatest)),
    }
}
