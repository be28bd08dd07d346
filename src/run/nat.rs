//! The way from a lab to the outside: masquerading in the hub and on the host, and what the host must be told to let
//! packets pass.
//!
//! On the host the rules are in a table that belongs to the supervisor's socket. What cannot hang on a socket, sysctls and
//! rules in other programs' chains, is noted first (`notes`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::events::What;
use super::management::{MAIN, PREFIX};
use crate::failure::Failure;
use crate::kernel::namespace::{self, Namespace, Wanted};
use crate::kernel::netlink::Netlink;
use crate::kernel::nftables::{self, Change, Family, FoundChain, Hook, Nftables, Rule};
use crate::kernel::sysctl::{self, Sysctls};
use crate::kernel::{self, link, route};
use crate::lab::model::Masquerade;
use crate::lab::plan::{HostStep, NatStep};

/// Priorities of the hooks (NF_IP_PRI_FILTER, NF_IP_PRI_NAT_SRC).
const FILTER: i32 = 0;
const SOURCE_NAT: i32 = 100;
const TABLE: &str = "nslab";
/// Routes learned from router advertisements (RTPROT_RA).
const ROUTER_ADVERTISEMENT: u8 = 9;
/// Turned on for all, IPv6 is turned on for each interface.
pub const ALL_V6: &str = "net/ipv6/conf/all/forwarding";

/// Tries what NAT needs in a namespace that is thrown away at once.
///
/// # Errors
/// This kernel lacks something.
pub fn trial() -> Result<(), Failure> {
    let made = namespace::create(&[Wanted {
        made: None,
        name: "a trial",
        sysctls: &[],
    }])?;
    for made in made {
        made.namespace
            .run(|| Nftables::open()?.change(hub_rules("trial", true)))
            .map_err(|error| {
                Failure::from(error).help(
                    "NAT needs nf_tables with owned tables (Linux 5.12; `modprobe nf_tables nft_chain_nat nft_masq`); \
                     `nat = false` in [mgmt] does without",
                )
            })?;
    }
    Ok(())
}

/// Whether IPv6 may be forwarded: that would delete a default route learned from router advertisements.
///
/// # Errors
/// It may not.
pub fn check(step: &NatStep) -> Result<(), Failure> {
    trial()?;
    if !step.sources.iter().any(IpAddr::is_ipv6) {
        return Ok(());
    }
    let mut netlink = Netlink::open()?;
    let interfaces = link::list(&mut netlink)?;
    for route in route::list(&mut netlink, false)? {
        if route.protocol != ROUTER_ADVERTISEMENT || route.to.prefix_len() > 0 {
            continue;
        }
        for hop in &route.hops {
            let found = interfaces.iter().find(|it| Some(it.index) == hop.dev);
            let Some(interface) = found else { continue };
            let accept = sysctl::read(&format!("net/ipv6/conf/{}/accept_ra", interface.name));
            if accept.is_ok_and(|value| value == "2") {
                continue;
            }
            let message = format!(
                "nat6 would cut this host off: its IPv6 default route by {} was learned from router advertisements, and \
                 a host that forwards ignores them",
                interface.name
            );
            let help = format!(
                "say `nat6 = false`, or let the host keep that route: `sysctl net.ipv6.conf.{}.accept_ra=2`",
                interface.name
            );
            return Err(Failure::host(message).help(help));
        }
    }
    Ok(())
}

/// The sysctls that must be on for a lab's packets to pass the host.
///
/// # Errors
/// The host's interfaces cannot be read.
pub fn needs(step: &NatStep) -> Result<Vec<String>, Failure> {
    let mut needs = Vec::new();
    if step.sources.iter().any(IpAddr::is_ipv4) {
        needs.extend(
            uplinks()?
                .iter()
                .map(|name| format!("net/ipv4/conf/{name}/forwarding")),
        );
    }
    if step.sources.iter().any(IpAddr::is_ipv6) {
        needs.push(ALL_V6.to_owned());
    }
    Ok(needs)
}

/// Says in the step which of the noted sysctls are on for labs only.
pub fn note_opened(step: &mut NatStep, sysctls: &[(String, String)]) {
    step.opened = sysctls.iter().filter_map(|(path, _)| opened_v4(path)).collect();
    step.opened_v6 = sysctls.iter().any(|(path, _)| path == ALL_V6);
}

/// The interface a noted sysctl is of.
fn opened_v4(path: &str) -> Option<String> {
    let name = path.strip_prefix("net/ipv4/conf/")?.strip_suffix("/forwarding")?;
    Some(name.to_owned())
}

/// The interfaces by which the host reaches others: answers to the nodes come in there.
fn uplinks() -> Result<BTreeSet<String>, Failure> {
    let mut netlink = Netlink::open()?;
    let interfaces = link::list(&mut netlink)?;
    let routes = route::list(&mut netlink, true)?.into_iter();
    let devices: BTreeSet<u32> = routes
        .filter(|route| route.table == MAIN)
        .flat_map(|route| route.hops)
        .filter_map(|hop| hop.dev)
        .collect();
    let names = interfaces.into_iter().filter(|it| devices.contains(&it.index));
    Ok(names
        .map(|it| it.name)
        .filter(|name| name != "lo" && !name.starts_with(PREFIX))
        .collect())
}

/// The rules of a lab on the host. They go with this value.
pub struct Nat {
    _owner: Nftables,
}

/// Opens the way, once hub and host are joined.
///
/// # Errors
/// The kernel refuses.
pub fn start(step: &HostStep, nat: &NatStep, hub: &Namespace, tell: &dyn Fn(What)) -> Result<Nat, Failure> {
    hub.run(|| Nftables::open()?.change(hub_rules(&nat.hub_interface, false)))?;
    let mut owner = Nftables::open()?;
    owner.change(host_rules(&step.interface, nat))?;
    let sysctls = Sysctls::usual()?;
    if nat.sources.iter().any(IpAddr::is_ipv4) {
        sysctls.write(&format!("net/ipv4/conf/{}/forwarding", step.interface), "1")?;
    }
    if nat.sources.iter().any(IpAddr::is_ipv6) {
        sysctls.write(&format!("net/ipv6/conf/{}/forwarding", step.interface), "1")?;
    }
    pass_others(&mut owner, &step.interface, nat, tell)?;
    Ok(Nat { _owner: owner })
}

/// Whatever leaves the hub towards the host has the hub's own address: whichever subnet a lab has, the answers find back.
fn hub_rules(interface: &str, owned: bool) -> Vec<Change> {
    vec![
        nftables::table(TABLE, owned),
        nftables::chain(TABLE, "postrouting", "nat", Hook::PostRouting, SOURCE_NAT),
        Rule::new()
            .to_interface(interface)
            .masquerade()
            .append(Family::Inet, TABLE, "postrouting"),
    ]
}

/// What goes beyond the network in which pods are known by their own addresses leaves with the node's.
///
/// # Errors
/// The kernel refuses.
pub fn masquerade(rules: &[Masquerade]) -> kernel::Result<()> {
    let mut changes = vec![
        nftables::table(TABLE, false),
        nftables::chain(TABLE, "postrouting", "nat", Hook::PostRouting, SOURCE_NAT),
    ];
    for one in rules {
        let rule = Rule::new().source_in(one.source).not_destination_in(one.native);
        // What stays on the node is seen as it is.
        let rule = rule.not_to_interface("lxc*").not_to_interface("cilium_*");
        changes.push(rule.masquerade().append(Family::Inet, TABLE, "postrouting"));
    }
    Nftables::open()?.change(changes)
}

/// What comes from the hub leaves with the host's address. Nobody outside opens connections to a lab, and interfaces that
/// forward only because labs asked for it do so for labs alone.
fn host_rules(interface: &str, nat: &NatStep) -> Vec<Change> {
    let any_lab = format!("{PREFIX}*");
    let table = interface;
    let mut changes = vec![
        nftables::table(table, true),
        nftables::chain(table, "postrouting", "nat", Hook::PostRouting, SOURCE_NAT),
        nftables::chain(table, "forward", "filter", Hook::Forward, FILTER),
        Rule::new()
            .to_interface(interface)
            .new_connection()
            .discard()
            .append(Family::Inet, table, "forward"),
    ];
    for source in &nat.sources {
        let rule = Rule::new()
            .source(*source)
            .not_to_interface(interface)
            .masquerade();
        changes.push(rule.append(Family::Inet, table, "postrouting"));
    }
    for name in &nat.opened {
        let rule = Rule::new().family(true).from_interface(name);
        let rule = rule.not_to_interface(&any_lab).discard();
        changes.push(rule.append(Family::Inet, table, "forward"));
    }
    if nat.opened_v6 {
        let rule = Rule::new().family(false).not_from_interface(&any_lab);
        let rule = rule.not_to_interface(&any_lab).discard();
        changes.push(rule.append(Family::Inet, table, "forward"));
    }
    changes
}

/// Where another program's chain might drop the lab's packets, an accept for them is put in front. (One in our own table
/// cannot overrule it: every chain at the hook has to agree.)
fn pass_others(
    nftables: &mut Nftables,
    interface: &str,
    nat: &NatStep,
    tell: &dyn Fn(What),
) -> Result<(), Failure> {
    let concerns = |family: Family| match family {
        Family::Inet => true,
        Family::Ip => nat.sources.iter().any(IpAddr::is_ipv4),
        Family::Ip6 => nat.sources.iter().any(IpAddr::is_ipv6),
    };
    let may_drop = |chain: &FoundChain| {
        chain.hook == Hook::Forward as u32
            && chain.kind == "filter"
            && !chain.table.starts_with(PREFIX)
            && (chain.drops || chain.rules > 0)
            && concerns(chain.family)
    };
    for chain in nftables.chains()?.into_iter().filter(may_drop) {
        let to = Rule::new().to_interface(interface).accept().comment(interface);
        let from = Rule::new().from_interface(interface).accept().comment(interface);
        let rules = [to, from].map(|rule| rule.insert(chain.family, &chain.table, &chain.name));
        if let Err(error) = nftables.change(rules.into()) {
            let message = format!(
                "the lab may not reach the outside: another program's firewall decides in {} {}, and {error}",
                chain.table, chain.name
            );
            tell(What::Notice { message });
        }
    }
    Ok(())
}

/// Deletes the rules that labs, told by their interfaces, left in other programs' chains.
///
/// # Errors
/// The kernel refuses.
pub fn delete_rules(interfaces: &[String]) -> Result<(), Failure> {
    if interfaces.is_empty() {
        return Ok(());
    }
    let mut nftables = Nftables::open()?;
    let is_dead = |comment: &str| interfaces.iter().any(|interface| interface == comment);
    let rules = nftables.rules()?;
    let rules = rules
        .iter()
        .filter(|rule| rule.comment.as_deref().is_some_and(is_dead));
    let changes = rules.map(nftables::FoundRule::delete).collect();
    Ok(nftables.change(changes)?)
}
