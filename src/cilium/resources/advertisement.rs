//! `CiliumBGPAdvertisement`.

use std::collections::BTreeSet;

use super::parts::{self, Attributes, ServiceAddress};
use crate::cilium::reading::{head, items, number, word};
use crate::cilium::selector::Selector;
use crate::yaml::Yaml;
use crate::yaml::reader::{Reader, Table};

/// What is announced.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct Advertisement {
    pub adverts: Vec<Advert>,
}

/// One kind of routes.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct Advert {
    pub what: What,
    pub selector: Option<Selector>,
    pub attributes: Attributes,
}

/// Which routes.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) enum What {
    /// The node's pod networks.
    PodCidr,
    /// The node's networks of pools.
    PodPool,
    /// Addresses of services, each as long a prefix as an address is, or shorter.
    Service {
        addresses: BTreeSet<ServiceAddress>,
        length_v4: u8,
        length_v6: u8,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Type {
    PodCidr,
    PodPool,
    Service,
    Interface,
}

const TYPES: &[(&str, Type)] = &[
    ("PodCIDR", Type::PodCidr),
    ("CiliumPodIPPool", Type::PodPool),
    ("Service", Type::Service),
    ("Interface", Type::Interface),
];

pub(super) fn read(reader: &mut Reader, table: &mut Table) -> Option<Advertisement> {
    let example = "{ advertisementType: PodCIDR }";
    let items = items(reader, table, "advertisements", example, 1..=usize::MAX);
    let adverts = items.iter().filter_map(|yaml| advert(reader, yaml)).collect();
    Some(Advertisement { adverts })
}

fn advert(reader: &mut Reader, yaml: &Yaml) -> Option<Advert> {
    let mut table = reader.table(yaml, "advertisements", "an item of `advertisements`")?;
    let said = table.get("advertisementType");
    if said.is_none() {
        let help = "write `advertisementType: PodCIDR`";
        reader.wrong(head(&table), "`advertisementType` is missing", help);
    }
    let kind = said.and_then(|yaml| word(reader, yaml, "advertisementType", TYPES));
    if let (Some(Type::Interface), Some(yaml)) = (kind, said) {
        let message = "advertisements of type `Interface` are not yet supported";
        let help = "`PodCIDR`, `CiliumPodIPPool` and `Service` are";
        reader.wrong(yaml.span.clone(), message, help);
        return None;
    }
    let (selects, service) = (table.get("selector"), table.get("service"));
    let selector = selects.and_then(|yaml| Selector::read(reader, yaml, "selector"));
    let service = service.and_then(|yaml| addresses(reader, yaml));
    let attributes = table.get("attributes").and_then(|yaml| {
        let mut table = reader.table(yaml, "attributes", "`attributes`")?;
        let attributes = parts::attributes(reader, &mut table);
        table.finish(reader);
        Some(attributes)
    });
    let needs_selector = matches!(kind, Some(Type::PodPool | Type::Service));
    match selects {
        // As Cilium has it: no selector selects nothing.
        None if needs_selector => {
            let message =
                "without a `selector` this announces nothing: it says which pools or services are announced";
            let help = "`selector: { matchExpressions: [{ key: none, operator: NotIn, values: [none] }] }` selects all";
            reader.warn(head(&table), message, help);
        }
        Some(yaml) if kind.is_some() && !needs_selector => {
            let help = "remove it: every node announces its own";
            reader.wrong(yaml.span.clone(), "`PodCIDR` takes no `selector`", help);
        }
        _ => {}
    }
    if kind == Some(Type::Service) && service.is_none() {
        let help = "write `service: { addresses: [LoadBalancerIP] }`";
        reader.wrong(
            head(&table),
            "nothing says which addresses of the services are announced",
            help,
        );
    }
    table.finish(reader);
    let what = match kind? {
        Type::PodCidr => What::PodCidr,
        Type::PodPool => What::PodPool,
        _ => service?,
    };
    Some(Advert {
        what,
        selector,
        attributes: attributes.unwrap_or_default(),
    })
}

fn addresses(reader: &mut Reader, yaml: &Yaml) -> Option<What> {
    let mut table = reader.table(yaml, "service", "`service`")?;
    let said = table.get("addresses");
    let addresses = said.map(|yaml| parts::service_addresses(reader, yaml, "addresses"));
    let mut length = |key: &'static str, longest: u8, reader: &mut Reader| {
        let said = table.get(key);
        said.and_then(|yaml| number(reader, yaml, key, 1..=longest.into()))
            .unwrap_or(longest)
    };
    let length_v4 = length("aggregationLengthIPv4", 32, reader);
    let length_v6 = length("aggregationLengthIPv6", 128, reader);
    table.finish(reader);
    Some(What::Service {
        addresses: addresses.filter(|list| !list.is_empty())?,
        length_v4,
        length_v6,
    })
}
