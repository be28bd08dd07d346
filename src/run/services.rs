//! Services of a cluster without a Kubernetes: rules in every node lead what is sent to their addresses to pods, as kube-proxy's do.

use ipnet::IpNet;

use crate::cilium::Protocol;
use crate::cilium::endpoints::{Destination, Fate, Way};
use crate::kernel;
use crate::kernel::nftables::{self, Change, Family, Hook, Nftables, Rule};

/// The table in each node.
const TABLE: &str = "nslab-services";
/// Priorities of chains, as in linux/netfilter_ipv4.h; what is refused is refused before it would be led on.
const DESTINATION_NAT: i32 = -100;
const BEFORE_NAT: i32 = DESTINATION_NAT - 10;
const SOURCE_NAT: i32 = 100;
/// What comes from elsewhere or from pods, and what the node itself sends: the chains that decide, and those that refuse.
const CHAINS: [(&str, &str); 2] = [("prerouting", "refuse-prerouting"), ("output", "refuse-output")];
/// More rules a node has not.
const MOST_RULES: usize = 4000;

/// Has the calling thread's network namespace lead what is sent to services this way and no other. `pods` are the networks of
/// all pods. Returns how many ways were left out because there are too many.
///
/// # Errors
/// The kernel refuses.
pub fn lead(ways: &[Way], pods: &[IpNet]) -> kernel::Result<usize> {
    let mut changes = vec![
        // So that the table is there to be deleted.
        nftables::table(TABLE, false),
        nftables::delete_table(TABLE),
    ];
    let mut led = 0;
    if !ways.is_empty() {
        changes.extend(frame());
        for way in ways {
            let rules = rules(way, pods);
            if changes.len() + rules.len() > MOST_RULES {
                break;
            }
            changes.extend(rules);
            led += 1;
        }
    }
    Nftables::open()?.change(changes)?;
    Ok(ways.len() - led)
}

fn frame() -> Vec<Change> {
    let chain = |name, kind, hook, priority| nftables::chain(TABLE, name, kind, hook, priority);
    vec![
        nftables::table(TABLE, false),
        chain(CHAINS[0].0, "nat", Hook::PreRouting, DESTINATION_NAT),
        chain(CHAINS[1].0, "nat", Hook::Output, DESTINATION_NAT),
        chain(CHAINS[0].1, "filter", Hook::PreRouting, BEFORE_NAT),
        chain(CHAINS[1].1, "filter", Hook::Output, BEFORE_NAT),
        chain("postrouting", "nat", Hook::PostRouting, SOURCE_NAT),
    ]
}

fn rules(way: &Way, pods: &[IpNet]) -> Vec<Change> {
    let v4 = way.destination.is_ipv4();
    let pods: Vec<IpNet> = pods
        .iter()
        .copied()
        .filter(|net| net.addr().is_ipv4() == v4)
        .collect();
    let mut rules = Vec::new();
    for (number, (nat, refuse)) in CHAINS.into_iter().enumerate() {
        let is_output = number == 1;
        // What the node itself sends is from inside always; of others, what pods send.
        let sources: Vec<Rule> = match (way.from_inside, is_output) {
            (Some(false), true) => Vec::new(),
            (Some(true), false) => pods.iter().map(|net| Rule::new().source_in(*net)).collect(),
            (Some(false), false) => vec![elsewhere(Rule::new(), &pods)],
            _ => vec![Rule::new()],
        };
        for source in sources {
            let to = meant(source, way);
            match &way.fate {
                Fate::Endpoints(ends) => {
                    for (at, end) in ends.iter().enumerate() {
                        // The first gets its share of all, the next its share of the rest, and the last what is left.
                        let left = u32::try_from(ends.len() - at).unwrap_or(u32::MAX);
                        let rule = match way.sticks {
                            true => to.clone().of_source(at, ends.len(), v4),
                            false => to.clone().one_in(left),
                        };
                        let rule = rule.lead_to(*end);
                        rules.push(rule.append(Family::Inet, TABLE, nat));
                    }
                }
                Fate::Refused => rules.push(to.refuse().append(Family::Inet, TABLE, refuse)),
                Fate::Dropped => rules.push(to.discard().append(Family::Inet, TABLE, refuse)),
            }
        }
    }
    rules.extend(returns(way, &pods));
    rules
}

/// Packets that no pod has sent.
fn elsewhere(rule: Rule, pods: &[IpNet]) -> Rule {
    pods.iter().fold(rule, |rule, net| rule.not_source_in(*net))
}

/// Packets that go the way.
fn meant(rule: Rule, way: &Way) -> Rule {
    let rule = match way.destination {
        Destination::Address(address) => rule.destination(address),
        Destination::Node { v4 } => rule.family(v4).to_itself(),
    };
    rule.port(number(way.protocol), way.port)
}

/// What sees to it that answers come back the way that packets went.
fn returns(way: &Way, pods: &[IpNet]) -> Vec<Change> {
    let Fate::Endpoints(ends) = &way.fate else {
        return Vec::new();
    };
    let mut rules = Vec::new();
    for end in ends {
        // A pod that was led to itself would answer itself directly.
        let rule = Rule::new().source(end.ip()).destination(end.ip()).led();
        rules.push(rule.masquerade().append(Family::Inet, TABLE, "postrouting"));
    }
    if way.hides_source {
        let rule = Rule::new().family(way.destination.is_ipv4()).led();
        let rule = match way.destination {
            Destination::Address(address) => rule.first_destination(address),
            Destination::Node { .. } => rule,
        };
        let rule = rule.first_port(number(way.protocol), way.port);
        let rule = elsewhere(rule, pods);
        rules.push(rule.masquerade().append(Family::Inet, TABLE, "postrouting"));
    }
    rules
}

/// The protocol's number in IP (IANA).
fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}
