//! Chains and rules as the kernel lists them.

use super::attributes::{Attributes, attributes, number, string};
use super::rule::NF_DROP;
use super::{Change, DELRULE, Family};

/// A base chain as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundChain {
    /// Its table's family.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// Its hook's number.
    pub hook: u32,
    /// Whether what no rule decides is dropped.
    pub drops: bool,
    /// How many rules it has.
    pub rules: u32,
}

/// A rule as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRule {
    family: Family,
    table: String,
    chain: String,
    handle: u64,
    /// Its comment.
    pub comment: Option<String>,
}

impl FoundRule {
    /// Whether it is a rule of this chain.
    pub fn is_in(&self, chain: &FoundChain) -> bool {
        (self.family, &self.table, &self.chain) == (chain.family, &chain.table, &chain.name)
    }

    /// Takes it away.
    pub fn delete(&self) -> Change {
        let mut body = Attributes::default();
        body.text(1, &self.table);
        body.text(2, &self.chain);
        body.put(3, &self.handle.to_be_bytes());
        Change {
            what: format!(
                "delete a rule of the nftables chain {} {}",
                self.table, self.chain
            ),
            kind: DELRULE,
            flags: 0,
            family: self.family,
            body,
        }
    }
}

/// A base chain; others have no hook.
pub(super) fn found_chain(family: Family, message: &[u8]) -> Option<FoundChain> {
    let mut hook = None;
    let mut chain = FoundChain {
        family,
        table: String::new(),
        name: String::new(),
        kind: String::new(),
        hook: 0,
        drops: false,
        rules: 0,
    };
    for (kind, value) in attributes(message) {
        match kind {
            1 => chain.table = string(value),
            3 => chain.name = string(value),
            4 => {
                hook = attributes(value)
                    .find(|(kind, _)| *kind == 1)
                    .map(|(_, it)| number(it))
            }
            5 => chain.drops = number(value) == NF_DROP,
            6 => chain.rules = number(value),
            7 => chain.kind = string(value),
            _ => {}
        }
    }
    chain.hook = hook?;
    Some(chain)
}

pub(super) fn found_rule(family: Family, message: &[u8]) -> Option<FoundRule> {
    let mut handle = None;
    let mut rule = FoundRule {
        family,
        table: String::new(),
        chain: String::new(),
        handle: 0,
        comment: None,
    };
    for (kind, value) in attributes(message) {
        match kind {
            1 => rule.table = string(value),
            2 => rule.chain = string(value),
            3 => handle = value.try_into().ok().map(u64::from_be_bytes),
            7 => rule.comment = comment(value),
            _ => {}
        }
    }
    rule.handle = handle?;
    Some(rule)
}

/// The comment among a rule's user data: entries of type, length, value.
fn comment(mut data: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = data {
        let value = rest.get(..*length as usize)?;
        if *kind == 0 {
            return Some(string(value));
        }
        data = &rest[*length as usize..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_found_among_user_data() {
        assert_eq!(comment(b"\x01\x02ab\x00\x03xy\0"), Some("xy".into()));
        assert_eq!(comment(b"\x00\x09xy"), None);
        assert_eq!(comment(b""), None);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut written = Attributes::default();
        written.text(1, "filter");
        written.nest(4, |hook| hook.word(1, 2));
        written.word(5, NF_DROP);
        let chain = found_chain(Family::Ip, &written.0).unwrap();
        assert_eq!(
            (chain.table.as_str(), chain.hook, chain.drops),
            ("filter", 2, true)
        );
        assert_eq!(found_chain(Family::Ip, &[]), None);
    }
}
