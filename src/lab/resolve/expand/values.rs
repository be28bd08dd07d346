//! What variables in the file of a kind stand for in one node.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ipnet::IpNet;

use super::Expansion;
use crate::definition::{Definition, List, template};
use crate::file::Spec;
use crate::model::{Lab, Mgmt};
use crate::names::hash;
use crate::planner;

/// A text with its values is no longer, in bytes.
const LONGEST: usize = 1 << 20;

/// The nodes' addresses on the management network.
pub(in crate::resolve) struct Managed {
    mgmt: Option<Mgmt>,
    addresses: Vec<Vec<IpNet>>,
}

impl Managed {
    /// Those of a lab.
    pub fn of(lab: &Lab) -> Self {
        Managed {
            mgmt: lab.mgmt.clone(),
            addresses: planner::management_addresses(lab),
        }
    }
}

/// What variables stand for in one node.
pub(in crate::resolve) struct Values<'a> {
    definition: &'a Definition,
    lab: &'a str,
    node: &'a str,
    model: Option<&'a str>,
    links: &'a [String],
    at: usize,
    expansion: &'a Expansion<'a>,
    /// What the lists come to.
    lists: BTreeMap<&'a str, String>,
}

impl<'a> Values<'a> {
    pub fn new(
        definition: &'a Definition,
        spec: &'a Spec,
        at: usize,
        model: Option<&'a str>,
        links: &'a [String],
        expansion: &'a Expansion<'a>,
    ) -> Self {
        let mut values = Values {
            definition,
            lab: spec.name.as_ref().map_or("", |name| name.value.as_str()),
            node: &spec.nodes[at].0.value,
            model,
            links,
            at,
            expansion,
            lists: BTreeMap::new(),
        };
        let lists = definition.lists.iter();
        values.lists = lists
            .map(|(name, list)| (name.as_str(), values.list(list)))
            .collect();
        values
    }

    /// The text with its values. Lines of a longer text that name a variable which stands for nothing are
    /// left out. Of a text that would be too long there is nothing; [`Expansion::is_overlong`] tells.
    pub fn fill(&self, text: &str) -> String {
        if !text.contains('{') {
            return text.to_owned();
        }
        let value = |name: &str| self.value(name);
        if !text.contains('\n') {
            return self.bounded(template::fill(text, LONGEST, &value));
        }
        let lacks = |line: &str| {
            let mut names = template::variables(line).into_iter();
            names.any(|name| value(name).is_some_and(|it| it.is_empty()))
        };
        let mut filled = String::new();
        for line in text.split_inclusive('\n').filter(|line| !lacks(line)) {
            match template::fill(line, LONGEST - filled.len(), &value) {
                Some(line) => filled.push_str(&line),
                None => return self.bounded(None),
            }
        }
        self.bounded(Some(filled))
    }

    /// A text, unless it is too long or one too many.
    fn bounded(&self, text: Option<String>) -> String {
        match text {
            Some(text) if self.expansion.take(text.len()) => text,
            _ => {
                self.expansion.overlong.set(true);
                String::new()
            }
        }
    }

    /// What a list comes to. The work counts, whatever comes of it.
    fn list(&self, list: &List) -> String {
        let mut text = String::new();
        for (at, kernel) in self.links.iter().enumerate() {
            let item = template::fill(&list.item, LONGEST, &|name| match name {
                "kernel" => Some(kernel.as_str().into()),
                "interface" => Some(self.definition.shown_name(kernel).into()),
                other => self.value(other),
            });
            let join = if at == 0 { "" } else { &list.join };
            let item = item.filter(|item| {
                let length = item.len() + join.len();
                length <= LONGEST - text.len() && self.expansion.take(list.item.len() + length)
            });
            let Some(item) = item else {
                return self.bounded(None);
            };
            text.push_str(join);
            text.push_str(&item);
        }
        text
    }

    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        if name.starts_with(template::MANAGEMENT) {
            return Some(self.managed(name).unwrap_or_default().into());
        }
        if let Some(list) = self.lists.get(name) {
            return Some(list.into());
        }
        Some(match name {
            "name" => self.node.into(),
            "lab" => self.lab.into(),
            "kind" => self.definition.name.as_str().into(),
            "links" => self.links.len().to_string().into(),
            "type" => self.model.unwrap_or_default().into(),
            "base_mac" => {
                let [.., a, b] = hash(format!("{}\0{}", self.lab, self.node).as_bytes()).to_be_bytes();
                format!("1a:{a:02x}:{b:02x}:00:00:00").into()
            }
            // One that another model has stands for nothing in this one.
            other if self.definition.types.values().any(|of| of.contains_key(other)) => {
                let own = self
                    .model
                    .and_then(|model| self.definition.types.get(model)?.get(other));
                own.map(String::as_str).unwrap_or_default().into()
            }
            _ => return None,
        })
    }

    fn managed(&self, name: &str) -> Option<String> {
        let Some(managed) = self.expansion.managed else {
            self.expansion.early.set(true);
            return None;
        };
        let own = |is_v4: bool| {
            let nets = managed.addresses.get(self.at)?;
            nets.iter().find(|net| net.addr().is_ipv4() == is_v4)
        };
        let is_v4 = name.starts_with("mgmt_ipv4");
        let net = own(is_v4)?;
        match name
            .trim_start_matches("mgmt_ipv4")
            .trim_start_matches("mgmt_ipv6")
        {
            "" => Some(net.addr().to_string()),
            "_length" => Some(net.prefix_len().to_string()),
            "_gateway" => {
                let mgmt = managed.mgmt.as_ref()?;
                match is_v4 {
                    true => mgmt.ipv4_gw.map(|gateway| gateway.to_string()),
                    false => mgmt.ipv6_gw.map(|gateway| gateway.to_string()),
                }
            }
            _ => None,
        }
    }
}
