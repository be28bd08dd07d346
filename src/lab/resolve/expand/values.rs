//! What variables in the file of a kind stand for in one node.

use ipnet::IpNet;

use super::Expansion;
use crate::lab::definition::{Definition, template};
use crate::lab::file::Spec;
use crate::lab::model::{Lab, Mgmt};
use crate::lab::names::hash;
use crate::lab::planner;

/// The nodes' addresses on the management network.
pub(in crate::lab::resolve) struct Managed {
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
pub(in crate::lab::resolve) struct Values<'a> {
    definition: &'a Definition,
    lab: &'a str,
    node: &'a str,
    model: Option<&'a str>,
    links: &'a [String],
    at: usize,
    expansion: &'a Expansion<'a>,
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
        Values {
            definition,
            lab: spec.name.as_ref().map_or("", |name| name.value.as_str()),
            node: &spec.nodes[at].0.value,
            model,
            links,
            at,
            expansion,
        }
    }

    /// The text with its values. Lines of a longer text that name a variable which stands for nothing are
    /// left out.
    pub fn fill(&self, text: &str) -> String {
        if !text.contains('{') {
            return text.to_owned();
        }
        let value = |name: &str| self.value(name);
        if !text.contains('\n') {
            return template::fill(text, &value);
        }
        let lacks = |line: &str| {
            let mut names = template::variables(line).into_iter();
            names.any(|name| value(name).is_some_and(|it| it.is_empty()))
        };
        let lines = text.split_inclusive('\n').filter(|line| !lacks(line));
        lines.map(|line| template::fill(line, &value)).collect()
    }

    fn value(&self, name: &str) -> Option<String> {
        if name.starts_with(template::MANAGEMENT) {
            return Some(self.managed(name).unwrap_or_default());
        }
        if let Some(list) = self.definition.lists.get(name) {
            let items = self.links.iter().map(|kernel| {
                template::fill(&list.item, &|name| match name {
                    "kernel" => Some(kernel.clone()),
                    "interface" => Some(self.definition.shown_name(kernel)),
                    other => self.value(other),
                })
            });
            return Some(items.collect::<Vec<_>>().join(&list.join));
        }
        Some(match name {
            "name" => self.node.to_owned(),
            "lab" => self.lab.to_owned(),
            "kind" => self.definition.name.clone(),
            "links" => self.links.len().to_string(),
            "type" => self.model.unwrap_or_default().to_owned(),
            "base_mac" => {
                let [.., a, b] = hash(format!("{}\0{}", self.lab, self.node).as_bytes()).to_be_bytes();
                format!("1a:{a:02x}:{b:02x}:00:00:00")
            }
            // One that another model has stands for nothing in this one.
            other if self.definition.types.values().any(|of| of.contains_key(other)) => {
                let own = self
                    .model
                    .and_then(|model| self.definition.types.get(model)?.get(other));
                own.cloned().unwrap_or_default()
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
