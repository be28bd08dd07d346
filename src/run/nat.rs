//! The way from a lab to the outside: masquerading in the hub and on the host, and what the host must be told to let
//! packets pass.
//!
//! On the host the rules are in a table that belongs to the supervisor's socket. What cannot hang on a socket, sysctls and
//! rules in other programs' chains, is noted first (`notes`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::events::What;
use super::host_state;
use super::management::{MAIN, PREFIX};
use crate::failure::Failure;
use crate::kernel::namespace::{self, Namespace, Wanted};
use crate::kernel::netlink::Netlink;
use crate::kernel::nftables::{self, Change, Family, FoundChain, FoundRule, Hook, Nftables, Rule};
use crate::kernel::sysctl::{self, Sysctls};
use crate::kernel::{link, route};
use crate::lab::plan::{HostStep, NatStep};

/// Priorities of the hooks (NF_IP_PRI_FILTER, NF_IP_PRI_NAT_SRC).
const FILTER: i32 = 0;
const SOURCE_NAT: i32 = 100;
const TABLE: &str = "nslab";
/// Routes learned from router advertisements (RTPROT_RA).
const ROUTER_ADVERTISEMENT: u8 = 9;
/// How often a lab puts rules into others' chains: another program that takes them out each time is let have its way.
const PATIENCE: u32 = 200;
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
        needs.extend(uplinks()?.iter().map(|name| forwarding_v4(name)));
    }
    if step.sources.iter().any(IpAddr::is_ipv6) {
        needs.push(ALL_V6.to_owned());
    }
    Ok(needs)
}

/// Says in the step which sysctls are on for labs only.
pub fn note_opened(step: &mut NatStep, paths: &[String]) {
    step.opened = paths.iter().filter_map(|path| interface_v4(path)).collect();
    step.opened_v6 = paths.iter().any(|path| path == ALL_V6);
}

/// The interface of which a sysctl is the forwarding.
fn interface_v4(path: &str) -> Option<String> {
    let name = path.strip_prefix("net/ipv4/conf/")?.strip_suffix("/forwarding")?;
    Some(name.to_owned())
}

fn forwarding_v4(interface: &str) -> String {
    format!("net/ipv4/conf/{interface}/forwarding")
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
    owner: Nftables,
    interface: String,
    /// What was planned.
    asked: NatStep,
    /// The same without what others have turned on since.
    step: NatStep,
    /// How often rules may still be put into others' chains.
    patience: u32,
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
        sysctls.write(&forwarding_v4(&step.interface), "1")?;
    }
    if nat.sources.iter().any(IpAddr::is_ipv6) {
        sysctls.write(&format!("net/ipv6/conf/{}/forwarding", step.interface), "1")?;
    }
    let mut started = Nat {
        owner,
        interface: step.interface.clone(),
        asked: nat.clone(),
        step: nat.clone(),
        patience: PATIENCE,
    };
    started.pass_others(tell)?;
    Ok(started)
}

impl Nat {
    /// Yields to what others do to the host while the lab lives: where another program has turned forwarding on, the host
    /// forwards for everybody, and where another program's firewall has come or was loaded again, it lets the lab through.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn yield_to_others(&mut self, tell: &dyn Fn(What)) -> Result<(), Failure> {
        let opened = self.asked.opened.iter();
        let still: Vec<String> = opened
            .filter(|name| host_state::is_on_for_labs(&forwarding_v4(name)))
            .cloned()
            .collect();
        let still_v6 = self.asked.opened_v6 && host_state::is_on_for_labs(ALL_V6);
        if still != self.step.opened || still_v6 != self.step.opened_v6 {
            (self.step.opened, self.step.opened_v6) = (still, still_v6);
            let mut changes = vec![nftables::flush(&self.interface, "forward")];
            changes.extend(forward_rules(&self.interface, &self.step));
            self.owner.change(changes)?;
        }
        self.pass_others(tell)
    }

    /// Where another program's chain might drop the lab's packets, an accept for them is put in front. (One in our own
    /// table cannot overrule it: every chain at the hook has to agree.)
    fn pass_others(&mut self, tell: &dyn Fn(What)) -> Result<(), Failure> {
        let sources = &self.step.sources;
        let (v4, v6) = (
            sources.iter().any(IpAddr::is_ipv4),
            sources.iter().any(IpAddr::is_ipv6),
        );
        let may_drop = |chain: &FoundChain| {
            chain.hook == Hook::Forward as u32
                && chain.kind == "filter"
                && !chain.table.starts_with(PREFIX)
                && (chain.drops || chain.rules > 0)
                && match chain.family {
                    Family::Inet => true,
                    Family::Ip => v4,
                    Family::Ip6 => v6,
                }
        };
        let chains: Vec<FoundChain> = self.owner.chains()?.into_iter().filter(may_drop).collect();
        if chains.is_empty() || self.patience == 0 {
            return Ok(());
        }
        let interface = self.interface.as_str();
        let rules = self.owner.rules()?;
        let is_there = |chain: &FoundChain| {
            let ours = |rule: &&FoundRule| rule.comment.as_deref() == Some(interface) && rule.is_in(chain);
            rules.iter().any(|rule| ours(&rule))
        };
        for chain in chains.iter().filter(|chain| !is_there(chain)) {
            let to = Rule::new().to_interface(interface).accept().comment(interface);
            let from = Rule::new().from_interface(interface).accept().comment(interface);
            let rules = [to, from].map(|rule| rule.insert(chain.family, &chain.table, &chain.name));
            self.patience = self.patience.saturating_sub(1);
            let message = match self.owner.change(rules.into()) {
                Err(error) => format!(
                    "the lab may not reach the outside: another program's firewall decides in {} {}, and {error}",
                    chain.table, chain.name
                ),
                Ok(()) if self.patience == 0 => format!(
                    "the lab may not reach the outside: another program takes the lab's rules out of {} {} again and again",
                    chain.table, chain.name
                ),
                Ok(()) => continue,
            };
            tell(What::Notice { message });
        }
        Ok(())
    }
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

/// What comes from the hub leaves with the host's address. Nobody outside opens connections to a lab, and interfaces that
/// forward only because labs asked for it do so for labs alone.
fn host_rules(interface: &str, nat: &NatStep) -> Vec<Change> {
    let table = interface;
    let mut changes = vec![
        nftables::table(table, true),
        nftables::chain(table, "postrouting", "nat", Hook::PostRouting, SOURCE_NAT),
        nftables::chain(table, "forward", "filter", Hook::Forward, FILTER),
    ];
    for source in &nat.sources {
        let rule = Rule::new()
            .source(*source)
            .not_to_interface(interface)
            .masquerade();
        changes.push(rule.append(Family::Inet, table, "postrouting"));
    }
    changes.extend(forward_rules(interface, nat));
    changes
}

fn forward_rules(interface: &str, nat: &NatStep) -> Vec<Change> {
    let any_lab = format!("{PREFIX}*");
    let append = |rule: Rule| rule.append(Family::Inet, interface, "forward");
    let unasked = Rule::new().to_interface(interface).new_connection().discard();
    let mut changes = vec![append(unasked)];
    for name in &nat.opened {
        let rule = Rule::new().family(true).from_interface(name);
        changes.push(append(rule.not_to_interface(&any_lab).discard()));
    }
    if nat.opened_v6 {
        let rule = Rule::new().family(false).not_from_interface(&any_lab);
        changes.push(append(rule.not_to_interface(&any_lab).discard()));
    }
    changes
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
