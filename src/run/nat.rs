//! The way from a lab to the outside: masquerading in the hub and on the host, and what the host must be told to let
//! packets pass.
//!
//! On the host the rules are in a table that belongs to the supervisor's socket. Two things cannot hang on a socket:
//! sysctls, and rules in other programs' chains. They are noted in a file that all labs of this network namespace share,
//! whatever run directory they are in, before they are made; when the last lab
//! that needs them is gone, whoever sweeps undoes them.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::directory::{LabDirectory, open_lock};
use super::events::What;
use super::management::{MAIN, PREFIX};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::namespace::{self, Namespace, Wanted};
use crate::kernel::netlink::Netlink;
use crate::kernel::nftables::{self, Change, Family, FoundChain, Hook, Nftables, Rule};
use crate::kernel::sysctl::{self, Sysctls};
use crate::kernel::{link, route};
use crate::lab::plan::{HostStep, NatStep};

/// Where the shared notes are. Not below `NSLAB_RUN_DIR`: labs of different run directories share the host.
const PLACE: &str = "/run/nslab/.host";
/// Priorities of the hooks (NF_IP_PRI_FILTER, NF_IP_PRI_NAT_SRC).
const FILTER: i32 = 0;
const SOURCE_NAT: i32 = 100;
const TABLE: &str = "nslab";
/// Routes learned from router advertisements (RTPROT_RA).
const ROUTER_ADVERTISEMENT: u8 = 9;
const ALL_V6: &str = "net/ipv6/conf/all/forwarding";

/// What labs have changed on this host, and who still needs it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Notes {
    users: Vec<User>,
    /// Sysctls as they were, in the order in which they are put back.
    sysctls: Vec<(String, String)>,
}

/// A lab that needs it.
#[derive(Debug, Serialize, Deserialize)]
struct User {
    directory: LabDirectory,
    /// Its interface on the host, which is also the comment of its rules in others' chains.
    interface: String,
    /// The sysctls it needs on.
    needs: Vec<String>,
}

/// Tries what NAT needs in a namespace that is thrown away at once.
///
/// # Errors
/// This kernel lacks something.
pub fn trial() -> Result<(), Failure> {
    let made = namespace::create(&[Wanted {
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

/// Notes that a lab needs the host to forward, and makes it. Says in the step what does so only for labs.
///
/// # Errors
/// The note cannot be written, or the kernel refuses.
pub fn reserve(directory: &LabDirectory, interface: &str, step: &mut NatStep) -> Result<(), Failure> {
    let place = Place::find()?;
    let _guard = place.lock()?;
    let mut notes = place.read();
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
    let mut open = needs.clone();
    open.retain(|path| sysctl::read(path).is_ok_and(|value| value != "1"));
    for path in &open {
        // Turned on for all, IPv6 is turned on for each, and each may have been otherwise.
        let each = if path == ALL_V6 { all_v6() } else { Vec::new() };
        for path in std::iter::once(path.clone()).chain(each) {
            let value = sysctl::read(&path)?;
            notes.sysctls.push((path, value));
        }
    }
    // A lab that was killed and comes again before anybody has swept has one entry all the same.
    notes.users.retain(|user| user.directory.path != directory.path);
    notes.users.push(User {
        directory: directory.clone(),
        interface: interface.to_owned(),
        needs,
    });
    place.write(&notes)?;
    let sysctls = Sysctls::usual()?;
    for path in &open {
        sysctls.write(path, "1")?;
    }
    step.opened = notes
        .sysctls
        .iter()
        .filter_map(|(path, _)| opened_v4(path))
        .collect();
    step.opened_v6 = notes.sysctls.iter().any(|(path, _)| path == ALL_V6);
    Ok(())
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

fn all_v6() -> Vec<String> {
    let entries = fs::read_dir("/proc/sys/net/ipv6/conf")
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name != "all" && !name.starts_with(PREFIX))
        .map(|name| format!("net/ipv6/conf/{name}/forwarding"))
        .collect()
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

/// Undoes what dead labs had asked for.
///
/// # Errors
/// The notes cannot be opened, or the kernel refuses.
pub fn sweep() -> Result<(), Failure> {
    let place = Place::find()?;
    if !place.notes.exists() {
        return Ok(());
    }
    let _guard = place.lock()?;
    let mut notes = place.read();
    let (living, dead): (Vec<User>, Vec<User>) =
        notes.users.into_iter().partition(|user| user.directory.alive());
    delete_rules(&dead)?;
    notes.users = living;
    let (needed, over): (Vec<_>, Vec<_>) = notes
        .sysctls
        .into_iter()
        .partition(|(path, _)| is_needed(path, &notes.users));
    let sysctls = Sysctls::usual()?;
    for (path, value) in &over {
        // An interface that is gone takes its sysctls along; one that is right already need not be told (for IPv6 each
        // write concerns routes).
        if sysctl::read(path).is_ok_and(|now| now != *value) {
            sysctls.write(path, value)?;
        }
    }
    notes.sysctls = needed;
    if !notes.users.is_empty() {
        return place.write(&notes);
    }
    fs::remove_file(&place.notes).attempt(|| format!("remove {}", place.notes.display()))?;
    Ok(())
}

/// Whether somebody needs a sysctl on; IPv6 goes for all interfaces at once.
fn is_needed(path: &str, users: &[User]) -> bool {
    let path = if path.starts_with("net/ipv6/") {
        ALL_V6
    } else {
        path
    };
    users.iter().flat_map(|user| &user.needs).any(|need| need == path)
}

fn delete_rules(dead: &[User]) -> Result<(), Failure> {
    if dead.is_empty() {
        return Ok(());
    }
    let mut nftables = Nftables::open()?;
    let is_dead = |comment: &str| dead.iter().any(|user| user.interface == comment);
    let rules = nftables.rules()?;
    let rules = rules
        .iter()
        .filter(|rule| rule.comment.as_deref().is_some_and(is_dead));
    let changes = rules.map(nftables::FoundRule::delete).collect();
    Ok(nftables.change(changes)?)
}

/// Where the notes of this network namespace are.
struct Place {
    notes: PathBuf,
}

impl Place {
    fn find() -> Result<Place, Failure> {
        let cookie = Namespace::cookie()?;
        Ok(Place {
            notes: Path::new(PLACE).join(format!("{cookie:x}.json")),
        })
    }

    fn lock(&self) -> Result<File, Failure> {
        let what = || format!("write {PLACE}");
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(PLACE)
            .attempt(what)?;
        let file = open_lock(&Path::new(PLACE).join("lock"))?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(std::io::Error::from)
            .attempt(what)?;
        Ok(file)
    }

    fn read(&self) -> Notes {
        let text = fs::read(&self.notes).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// In one step: a note that is half written would lose what the host was like.
    fn write(&self, notes: &Notes) -> Result<(), Failure> {
        let what = || format!("write {}", self.notes.display());
        let text = serde_json::to_vec(notes).map_err(|error| Failure::host(error.to_string()))?;
        let fresh = self.notes.with_extension("new");
        fs::write(&fresh, text).attempt(what)?;
        fs::rename(&fresh, &self.notes).attempt(what)?;
        Ok(())
    }
}
