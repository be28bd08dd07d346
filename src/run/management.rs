//! The host's side of a lab's management network: where the hub is joined to it, and whether it can be.

use std::rc::Rc;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use nix::errno::Errno;
use tokio::io::unix::AsyncFd;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::directory::RunDirectory;
use super::events::What;
use super::state::Living;
use super::{nat, outside, ports, udp_ports};
use crate::failure::Failure;
use crate::kernel::netlink::Netlink;
use crate::kernel::route::{Hop, Target};
use crate::kernel::watch_host::{self, Announced};
use crate::kernel::{address, link, route, user_namespace};
use crate::lab::names;
use crate::lab::plan::{HostStep, Uplink};

/// How the names of all labs' interfaces on the host begin, whatever run directory they are in.
pub(super) const PREFIX: &str = "nslab-";
/// Where the networks between host and hubs are taken from: the upper end of the range that RFC 6598 sets aside for use
/// between networks. Each lab has four addresses of it.
const POOL: &str = "100.127.0.0/16";
const LENGTH: u8 = 30;
/// The main routing table (RT_TABLE_MAIN).
pub(super) const MAIN: u32 = 254;
/// How many networks are tried before giving up.
const TRIES: u32 = 1000;

/// The interface and the network between the host and a lab's hub. Both derive from the lab's name and run directory, so
/// that labs do not meet; a network that the host uses, or has a route into, is passed over.
///
/// # Errors
/// The host's addresses or routes cannot be listed, or it uses all of the range.
pub fn uplink(lab: &str) -> Result<Uplink, Failure> {
    let place = RunDirectory::find().path().join(lab);
    let hash = names::hash(place.as_os_str().as_encoded_bytes());
    let mut netlink = Netlink::open()?;
    let mut used: Vec<IpNet> = address::list(&mut netlink)?
        .into_iter()
        .map(|(_, net)| net)
        .collect();
    let pool: Ipv4Net = POOL.parse().map_err(|_| Failure::host("no addresses"))?;
    // In any table; but a wider route than the range is not in the way: the narrower one wins.
    let routes = route::list(&mut netlink, true)?.into_iter().map(|found| found.to);
    used.extend(routes.filter(|to| to.prefix_len() >= pool.prefix_len()));
    let count = 1u32 << (LENGTH - pool.prefix_len());
    let candidates = (0..TRIES).filter_map(|attempt| {
        let number = (hash as u32).wrapping_add(attempt) % count;
        Ipv4Net::new((pool.network().to_bits() + number * 4).into(), LENGTH).ok()
    });
    let free = |net: &Ipv4Net| !used.iter().any(|other| overlap(*other, (*net).into()));
    let net = candidates.into_iter().find(free).ok_or_else(|| {
        Failure::host(format!(
            "the host uses all of {POOL}, from which labs are joined to it"
        ))
    })?;
    Ok(Uplink {
        interface: format!("{PREFIX}{:08x}", hash as u32),
        net,
    })
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// Whether the host itself uses one of the subnets: an address in one, or a route into it. Other labs' do not count.
///
/// # Errors
/// It does; or it cannot be asked.
pub fn check(step: &HostStep) -> Result<(), Failure> {
    let mut netlink = Netlink::open()?;
    let interfaces = link::list(&mut netlink)?;
    let name = |index: u32| {
        let found = interfaces.iter().find(|interface| interface.index == index);
        found.map_or("", |interface| interface.name.as_str())
    };
    let refused = |subnet: IpNet, what: String| {
        Err(Failure::host(format!(
            "the management network {subnet} is in use on this host: {what}"
        ))
        .help("choose another with `ipv4_subnet` or `ipv6_subnet` in [mgmt], like \"172.31.250.0/24\""))
    };
    let addresses = address::list(&mut netlink)?;
    let mut routes = route::list(&mut netlink, true)?;
    routes.extend(route::list(&mut netlink, false)?);
    for (subnet, _) in &step.routes {
        for (index, net) in &addresses {
            if overlap(*net, *subnet) && !name(*index).starts_with(PREFIX) {
                return refused(*subnet, format!("{} has the address {net}", name(*index)));
            }
        }
        for found in &routes {
            let ours = found
                .hops
                .iter()
                .any(|hop| hop.dev.is_some_and(|dev| name(dev).starts_with(PREFIX)));
            // A wider route, of a VPN perhaps, is not in the way: the narrower one wins.
            if found.table == MAIN && subnet.contains(&found.to) && !ours {
                let dev = found.hops.iter().find_map(|hop| hop.dev).map(name);
                let dev = dev.map(|dev| format!(" by {dev}")).unwrap_or_default();
                return refused(*subnet, format!("there is a route to {}{dev}", found.to));
            }
        }
    }
    Ok(())
}

/// Joins the living lab to the host: addresses and ways to the management network, the way to the outside, ports.
///
/// # Errors
/// The kernel refuses, or a port is in use.
pub async fn join(lab: &Rc<Living>, step: &HostStep) -> Result<(), Failure> {
    connect(step, &|what| lab.tell(what))?;
    if let Some(nat) = &step.nat {
        if user_namespace::is_partial() {
            outside::open(lab, nat).await?;
        }
        let namespaces = lab.namespaces.borrow();
        if let Some(hub) = namespaces.get(step.hub) {
            // Heard from before the first look on.
            let (forwarding, rules) = (watch_host::forwarding()?, watch_host::rules()?);
            lab.nat
                .replace(Some(nat::start(step, nat, hub, &|what| lab.tell(what))?));
            follow(lab, forwarding);
            follow(lab, rules);
        }
    }
    ports::publish(lab, &step.ports).await?;
    udp_ports::publish(lab, &step.udp_ports).await
}

/// Between two looks at what others do to the host, which some of them change all the time.
const PAUSE: Duration = Duration::from_millis(300);

/// Yields to what others do to the host, each time the kernel announces something.
fn follow(lab: &Rc<Living>, announced: AsyncFd<Announced>) {
    let lab = Rc::clone(lab);
    spawn_local(async move {
        let mut said = String::new();
        while let Ok(mut ready) = announced.readable().await {
            announced.get_ref().forget();
            ready.clear_ready();
            let yielded = match &mut *lab.nat.borrow_mut() {
                Some(nat) => nat.yield_to_others(&|what| lab.tell(what)),
                None => return,
            };
            if let Err(failure) = yielded {
                let message = format!("the lab may not reach the outside: {}", failure.message);
                if message != said {
                    said.clone_from(&message);
                    lab.tell(What::Notice { message });
                }
            }
            sleep(PAUSE).await;
        }
    });
}

fn connect(step: &HostStep, tell: &dyn Fn(What)) -> Result<(), Failure> {
    let mut netlink = Netlink::open()?;
    let interfaces = link::list(&mut netlink)?;
    let index = interfaces
        .iter()
        .find(|interface| interface.name == step.interface)
        .map(|interface| interface.index)
        .ok_or_else(|| Failure::host(format!("the host has lost its interface {}", step.interface)))?;
    for net in &step.addresses {
        let what = format!("put address {net} on {} of the host", step.interface);
        netlink.send_one(address::add_at_once(&what, index, *net))?;
    }
    for (subnet, via) in &step.routes {
        let hop = Hop {
            via: Some(*via),
            dev: Some(index),
            weight: 1,
        };
        let what = format!("add the host's route to {subnet}");
        let request = route::add(&what, *subnet, &Target::Hops(vec![hop]), None, None);
        match netlink.send_one(request) {
            // Another lab with the same subnet came first: of two such routes the kernel would follow one only.
            Err(error) if error.errno == Errno::EEXIST => {
                // With NAT the host answers the hub, which it can reach.
                let family = subnet.addr().is_ipv4();
                let sources = step.nat.iter().flat_map(|nat| &nat.sources);
                let masked = sources.into_iter().any(|source| source.is_ipv4() == family);
                let also = match masked {
                    true => "",
                    false => ", nor can these reach this host",
                };
                let message = format!(
                    "another lab has {subnet} on this host already: from this host the addresses of this lab's nodes there \
                     cannot be reached{also}; `nslab exec` works, and so does another `[mgmt]` subnet"
                );
                tell(What::Notice { message });
            }
            other => other?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_overlap_when_one_holds_the_other() {
        let net = |text: &str| text.parse().unwrap();
        assert!(overlap(net("10.0.0.0/8"), net("10.1.0.0/16")));
        assert!(overlap(net("10.1.0.0/16"), net("10.0.0.5/8")));
        assert!(!overlap(net("10.0.0.0/24"), net("10.0.1.0/24")));
        assert!(!overlap(net("fd00::/64"), net("10.0.0.0/8")));
    }
}
