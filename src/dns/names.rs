//! What a cluster's names stand for (the specification of DNS-based service discovery of Kubernetes, version 1.1.0), with the
//! answers of CoreDNS where that leaves something open.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::wire::{Data, Message, Name, Query, Rcode, Record};
use super::{DOMAIN, Verdict, reverse, wire};

/// For how many seconds answers may be remembered.
const TTL: u32 = 5;
/// The version of the specification that names obey.
const VERSION: &str = "1.1.0";
/// Aliases of aliases are followed so far.
const MOST_ALIASES: usize = 8;

/// All that is known of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contents {
    /// Its namespaces; those of services are known by these.
    pub namespaces: BTreeSet<String>,
    /// Its services.
    pub services: Vec<Service>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its addresses in the cluster; none where it is headless.
    pub addresses: Vec<IpAddr>,
    /// The name it stands for (type ExternalName).
    pub external: Option<String>,
    /// Its ports.
    pub ports: Vec<Port>,
    /// Who answers for it and is ready to.
    pub endpoints: Vec<Endpoint>,
}

/// A port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// Its name; empty where it has none.
    pub name: String,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The number.
    pub number: u16,
}

/// Who answers for a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// Its name within the service.
    pub hostname: Option<String>,
    /// Its ports.
    pub ports: Vec<Port>,
}

impl Endpoint {
    fn label(&self) -> String {
        let own = self.hostname.as_ref().map(|it| it.to_ascii_lowercase());
        own.unwrap_or_else(|| reverse::label(self.address))
    }
}

impl Service {
    fn domain(&self) -> String {
        format!("{}.{}.svc.{DOMAIN}", self.name, self.namespace)
    }
}

/// The same, to be asked.
#[derive(Debug, Default)]
pub struct Zone {
    namespaces: BTreeSet<String>,
    /// By namespace and name.
    services: BTreeMap<String, BTreeMap<String, Known>>,
    names: BTreeMap<IpAddr, BTreeSet<String>>,
    /// The addresses of the server itself.
    own: Vec<IpAddr>,
    /// Grows with each change.
    serial: u32,
}

/// A service, and what would take long to compute for each question.
#[derive(Debug)]
struct Known {
    service: Service,
    /// The addresses of its endpoints by their labels.
    labels: HashMap<String, Vec<IpAddr>>,
}

impl Known {
    fn new(service: Service) -> Known {
        let mut labels: HashMap<String, Vec<IpAddr>> = HashMap::new();
        for endpoint in &service.endpoints {
            labels.entry(endpoint.label()).or_default().push(endpoint.address);
        }
        Known { service, labels }
    }
}

/// What a name of the cluster stands for.
enum Found {
    /// Nothing: there is no such name.
    Nothing,
    /// These, and what is wanted next; nothing of it where the name is there all the same.
    Records(Vec<Data>, Vec<Record>),
    /// Another name.
    Alias(String),
}

impl Zone {
    /// A zone of a server with these addresses.
    pub fn new(contents: Contents, own: Vec<IpAddr>, serial: u32) -> Zone {
        let mut zone = Zone {
            namespaces: contents.namespaces,
            own,
            serial,
            ..Zone::default()
        };
        for service in contents.services {
            let domain = service.domain();
            for address in &service.addresses {
                zone.names.entry(*address).or_default().insert(domain.clone());
            }
            for endpoint in &service.endpoints {
                // A service's own address is first of all the service's.
                let names = zone.names.entry(endpoint.address).or_default();
                if !service.addresses.contains(&endpoint.address) {
                    names.insert(format!("{}.{domain}", endpoint.label()));
                }
            }
            zone.namespaces.insert(service.namespace.clone());
            let of_namespace = zone.services.entry(service.namespace.clone()).or_default();
            of_namespace.insert(service.name.clone(), Known::new(service));
        }
        zone
    }

    /// The answer to a question of the Internet's class.
    pub(super) fn answer(&self, query: &Query) -> Verdict {
        let Some(name) = query.name.text() else {
            return Verdict::Elsewhere;
        };
        if let Some(address) = reverse::address(&name) {
            return self.named(query, address);
        }
        if within(&name).is_none() {
            return Verdict::Elsewhere;
        }
        let mut message = Message {
            authoritative: true,
            ..Message::failure(Rcode::NoError)
        };
        let mut owner = query.name.clone();
        let mut name = name;
        for _ in 0..MOST_ALIASES {
            let Some(inner) = within(&name) else {
                return Verdict::Alias(message, owner);
            };
            match self.find(inner, query.kind) {
                Found::Nothing => {
                    message.rcode = Rcode::NoSuchName;
                    message.authority = self.start();
                    return Verdict::Answer(message);
                }
                Found::Records(data, additional) => {
                    let data = data.into_iter().filter(|data| data.is_of(query.kind));
                    let records = data.map(|data| record(&owner, data));
                    let mut records: Vec<Record> = records.collect();
                    if !records.is_empty() {
                        // Each endpoint is the first as often as others.
                        let turn = usize::from(query.id) % records.len();
                        records.rotate_left(turn);
                    }
                    let is_empty = records.is_empty();
                    message.answers.append(&mut records);
                    if is_empty {
                        message.authority = self.start();
                    } else if matches!(query.kind, wire::SRV | wire::NS) {
                        message.additional = additional;
                    }
                    return Verdict::Answer(message);
                }
                Found::Alias(target) => {
                    let Some(meant) = Name::of(&target) else { break };
                    message.answers.push(record(&owner, Data::Cname(meant.clone())));
                    if query.kind == wire::CNAME {
                        return Verdict::Answer(message);
                    }
                    (owner, name) = (meant, target.trim_end_matches('.').to_ascii_lowercase());
                }
            }
        }
        Verdict::Answer(Message::failure(Rcode::ServerFailure))
    }

    /// What an address is called.
    fn named(&self, query: &Query, address: IpAddr) -> Verdict {
        let Some(names) = self.names.get(&address) else {
            return Verdict::Elsewhere;
        };
        let names = names.iter().filter_map(|name| Name::of(name)).map(Data::Ptr);
        let of_type = names.filter(|data| data.is_of(query.kind));
        Verdict::Answer(Message {
            authoritative: true,
            answers: of_type.map(|data| record(&query.name, data)).collect(),
            ..Message::failure(Rcode::NoError)
        })
    }

    /// The start of the zone, by which it is known for how long there is nothing.
    fn start(&self) -> Vec<Record> {
        Name::of(DOMAIN)
            .zip(self.soa())
            .map(|(name, data)| record(&name, data))
            .into_iter()
            .collect()
    }

    fn soa(&self) -> Option<Data> {
        Some(Data::Soa {
            server: Name::of(&format!("ns.dns.{DOMAIN}"))?,
            mailbox: Name::of(&format!("hostmaster.{DOMAIN}"))?,
            serial: self.serial,
            minimum: TTL,
        })
    }

    /// What a name below the cluster's domain stands for, as far as a question of this type asks.
    fn find(&self, name: &str, kind: u16) -> Found {
        let mut labels: Vec<&str> = name.split('.').filter(|label| !label.is_empty()).collect();
        labels.reverse();
        match labels.as_slice() {
            [] => {
                let server = Name::of(&format!("ns.dns.{DOMAIN}"));
                let additional = server.iter().flat_map(|name| addressed(name, &self.own));
                Found::Records(
                    self.soa()
                        .into_iter()
                        .chain(server.clone().map(Data::Ns))
                        .collect(),
                    additional.collect(),
                )
            }
            ["dns-version"] => Found::Records(vec![Data::Txt(VERSION.to_owned())], Vec::new()),
            ["svc" | "pod" | "dns"] => Found::Records(Vec::new(), Vec::new()),
            ["dns", "ns"] => Found::Records(addresses(&self.own), Vec::new()),
            ["svc" | "pod", namespace] if self.namespaces.contains(*namespace) => {
                Found::Records(Vec::new(), Vec::new())
            }
            ["pod", namespace, label] => match reverse::of_label(label) {
                Some(address) if self.namespaces.contains(*namespace) => {
                    Found::Records(addresses(&[address]), Vec::new())
                }
                _ => Found::Nothing,
            },
            ["svc", namespace, name, rest @ ..] => {
                let of_namespace = self.services.get(*namespace);
                match of_namespace.and_then(|all| all.get(*name)) {
                    Some(service) => service.find(rest, kind),
                    None => Found::Nothing,
                }
            }
            _ => Found::Nothing,
        }
    }
}

impl Known {
    /// What a name below the service's stands for; its labels come from the last on.
    fn find(&self, labels: &[&str], kind: u16) -> Found {
        let service = &self.service;
        match labels {
            [] => {
                if let Some(external) = &service.external {
                    return Found::Alias(external.clone());
                }
                service.ports_where(kind, |_| true)
            }
            [protocol] if protocol.starts_with('_') => {
                match service.ports.iter().any(|port| protocol[1..] == port.protocol) {
                    true => Found::Records(Vec::new(), Vec::new()),
                    false => Found::Nothing,
                }
            }
            [label] => match self.labels.get(*label) {
                Some(found) => Found::Records(addresses(found), Vec::new()),
                None => Found::Nothing,
            },
            [protocol, name] => match (protocol.strip_prefix('_'), name.strip_prefix('_')) {
                (Some(protocol), Some(name)) => service.ports_where(kind, |port| {
                    port.protocol == protocol && port.name == name && !name.is_empty()
                }),
                _ => Found::Nothing,
            },
            _ => Found::Nothing,
        }
    }
}

impl Service {
    /// The addresses of the service, and, for questions that ask for that, where some of its ports are.
    fn ports_where(&self, kind: u16, counts: impl Fn(&Port) -> bool) -> Found {
        let wants_hosts = matches!(kind, wire::SRV | wire::ANY);
        let domain = self.domain();
        let mut found: Vec<IpAddr> = Vec::new();
        // Host, addresses and port.
        let mut hosts: Vec<(String, Vec<IpAddr>, u16)> = Vec::new();
        if self.addresses.is_empty() {
            for endpoint in &self.endpoints {
                let ports: Vec<&Port> = endpoint.ports.iter().filter(|port| counts(port)).collect();
                // A headless service needs no ports.
                if ports.is_empty() && !(endpoint.ports.is_empty() && self.ports.is_empty()) {
                    continue;
                }
                found.push(endpoint.address);
                if !wants_hosts {
                    continue;
                }
                let host = format!("{}.{domain}", endpoint.label());
                hosts.extend(
                    ports
                        .iter()
                        .map(|port| (host.clone(), vec![endpoint.address], port.number)),
                );
            }
        } else {
            let ports: Vec<&Port> = self.ports.iter().filter(|port| counts(port)).collect();
            if !ports.is_empty() || self.ports.is_empty() {
                found.clone_from(&self.addresses);
            }
            hosts.extend(
                ports
                    .iter()
                    .map(|port| (domain.clone(), self.addresses.clone(), port.number)),
            );
        }
        if found.is_empty() {
            return Found::Nothing;
        }
        let weight = u16::try_from(100 / hosts.len().max(1)).unwrap_or(1).max(1);
        let mut data = addresses(&found);
        let mut additional: Vec<Record> = Vec::new();
        let mut told = HashSet::new();
        for (host, addresses, port) in hosts {
            let Some(target) = Name::of(&host) else { continue };
            if told.insert(target.clone()) {
                additional.extend(addressed(&target, &addresses));
            }
            data.push(Data::Srv { weight, port, target });
        }
        Found::Records(data, additional)
    }
}

/// What stands before the cluster's domain in a name of it.
fn within(name: &str) -> Option<&str> {
    let rest = name.strip_suffix(DOMAIN)?;
    match rest {
        "" => Some(""),
        rest => rest.strip_suffix('.'),
    }
}

fn record(name: &Name, data: Data) -> Record {
    Record {
        name: name.clone(),
        ttl: TTL,
        data,
    }
}

fn addresses(all: &[IpAddr]) -> Vec<Data> {
    let data = |address: &IpAddr| match address {
        IpAddr::V4(address) => Data::A(*address),
        IpAddr::V6(address) => Data::Aaaa(*address),
    };
    all.iter().map(data).collect()
}

fn addressed(name: &Name, all: &[IpAddr]) -> Vec<Record> {
    addresses(all)
        .into_iter()
        .map(|data| record(name, data))
        .collect()
}
