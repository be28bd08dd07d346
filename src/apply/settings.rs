//! What is set on interfaces that are there: what they are in, their VLANs, and what the kernel took from them meanwhile.

use std::collections::HashMap;

use netlink_packet_route::link::InfoKind;
use nix::errno::Errno;

use super::inside::add_route;
use super::refused;
use crate::failure::Failure;
use crate::kernel::link::Interface;
use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::{Netlink, Request};
use crate::kernel::sysctl::Sysctls;
use crate::kernel::{Error, address, link};
use crate::lab::links::{self, Setting, Vlans};
use crate::lab::plan::{LateInterfaceStep, NamespaceStep};

/// What is set on an interface before it is raised.
pub(super) fn settings(node: &str, setting: &Setting<u32>) -> Vec<Request> {
    let index = setting.interface;
    let master = setting.master.map(|master| {
        link::enslave(
            &format!("put interface {index} of {node} into interface {master}"),
            index,
            master,
        )
    });
    let primary = setting.master.filter(|_| setting.primary).map(|bond| {
        let what = format!("make interface {index} of {node} the primary of interface {bond}");
        link::change(&what, bond, "bond", links::encode(&links::bond::prefers(index)))
    });
    let vlans = setting.vlans.iter().flat_map(|it| vlans(node, index, it));
    master.into_iter().chain(primary).chain(vlans).collect()
}

/// The VLAN that a bridge puts every port into by itself, unless it is told another; all that there are, so that none of it stays.
const ANY_VLAN: (u16, u16) = (1, 4094);

/// Puts a port into its VLANs, and into no others.
fn vlans(node: &str, index: u32, vlans: &Vlans) -> Vec<Request> {
    let what = format!("put interface {index} of {node} into its VLANs");
    let range = |(first, last), pvid, untagged| link::VlanRange {
        first,
        last,
        pvid,
        untagged,
    };
    let pvid = vlans.pvid.map(|id| range((id, id), true, true));
    let tagged = vlans.tagged.iter().map(|it| range(*it, false, false));
    let bare = vlans.untagged.iter().map(|it| range(*it, false, true));
    let ranges: Vec<_> = tagged.chain(bare).chain(pvid).collect();
    let none = range(ANY_VLAN, false, false);
    let mut requests = vec![link::leave_vlans(&what, index, vlans.own, &[none])];
    // One a message: the kernel takes a range and what follows it for one.
    requests.extend(
        ranges
            .iter()
            .map(|it| link::join_vlans(&what, index, vlans.own, std::slice::from_ref(it))),
    );
    requests
}

/// Sets up an interface that a node's own commands made: `find` says which interface a number stands for now. Nothing of it is done
/// twice: what is there is left. One of its ports that cannot be in it hinders nothing else; returns those, by the numbers that stand
/// for them, each with the reason.
///
/// # Errors
/// It cannot be in what it is to be in, of which nothing is changed then; or the kernel refused.
pub fn set_up_late(
    step: &NamespaceStep,
    late: &LateInterfaceStep,
    index: u32,
    netlink: &mut Netlink,
    namespace: &Namespace,
    find: &dyn Fn(u32) -> Option<u32>,
) -> Result<Vec<(u32, Failure)>, Failure> {
    let node = &step.node;
    let mut ports = Vec::new();
    let mut own = None;
    for setting in &step.late.settings {
        let (Some(interface), master) = (find(setting.interface), setting.master.map(find)) else {
            continue;
        };
        let master = match master {
            Some(None) => continue,
            master => master.flatten(),
        };
        let vlans = setting.vlans.clone();
        let found = Setting {
            interface,
            master,
            primary: setting.primary,
            vlans,
        };
        if interface == index {
            own = Some(Prepared::new(node, found, netlink)?);
        } else if master == Some(index) {
            ports.push((setting.interface, found));
        }
    }
    if let Some(own) = own {
        own.set(node, netlink)?;
    }
    let unfit = ports.into_iter().filter_map(|(number, port)| {
        let joined = Prepared::new(node, port, netlink).and_then(|port| port.set(node, netlink));
        Some((number, joined.err()?))
    });
    let unfit = unfit.collect();
    let mut requests = Vec::new();
    requests.extend(
        late.mtu
            .map(|mtu| link::mtu(&format!("set the MTU of {} of {node}", late.name), index, mtu)),
    );
    requests.push(link::up(&format!("raise {} of {node}", late.name), index));
    netlink.send(requests).map_err(refused)?;
    let mut outcome = Ok(());
    for net in &late.addresses {
        let what = format!("put address {net} on {} of {node}", late.name);
        outcome = outcome.and(unless_there(netlink.send_one(address::add(&what, index, *net))));
    }
    namespace.run(|| {
        let sysctls = Sysctls::usual()?;
        late.sysctls
            .iter()
            .try_for_each(|(path, value)| sysctls.write(path, value))
    })?;
    outcome.map(|()| unfit)
}

/// Adds the routes that wait for such interfaces, as far as those are there. One that the kernel refuses hinders no other; returns why
/// it refused.
pub fn add_late_routes(
    step: &NamespaceStep,
    netlink: &mut Netlink,
    find: &dyn Fn(u32) -> Option<u32>,
) -> Vec<Failure> {
    let routes = step.late.routes.iter().filter_map(|route| route.with(find));
    routes
        .filter_map(|route| unless_there(netlink.send_one(add_route(&step.node, &route))).err())
        .collect()
}

/// What is to be set on an interface that is known to fit.
struct Prepared {
    setting: Setting<u32>,
    interface: Interface,
    /// Whether it has to be down first: a bond takes only what is, and commands raise what they make.
    goes_down: bool,
}

impl Prepared {
    fn new(node: &str, setting: Setting<u32>, netlink: &mut Netlink) -> Result<Prepared, Failure> {
        let mut find = |index: u32| {
            let gone = || Failure::host(format!("an interface of {node} is gone again"));
            link::numbered(netlink, index)?.ok_or_else(gone)
        };
        let interface = find(setting.interface)?;
        let master = setting.master.map(&mut find).transpose()?;
        let is_in = interface.master == setting.master;
        let goes_down = match master.filter(|_| !is_in) {
            Some(master) => {
                fits(node, &interface, &master)?;
                master.kind == Some(InfoKind::Bond)
            }
            None => false,
        };
        Ok(Prepared {
            setting,
            interface,
            goes_down,
        })
    }

    fn set(self, node: &str, netlink: &mut Netlink) -> Result<(), Failure> {
        let Interface { index, name, .. } = &self.interface;
        let set = settings(node, &self.setting);
        let first = self.goes_down;
        let first = first.then(|| link::down(&format!("take interface {name} of {node} down"), *index));
        let last = link::up(&format!("raise interface {name} of {node}"), *index);
        let all = first.into_iter().chain(set).chain([last]);
        netlink
            .send(all.collect())
            .map_err(|errors| refused(by_names(errors, netlink)))
    }
}

/// Whether an interface can be in another, as far as that is known before it is tried.
fn fits(node: &str, interface: &Interface, master: &Interface) -> Result<(), Failure> {
    let (name, of) = (&interface.name, &master.name);
    let wrong = |why: String, help: &str| {
        Err(Failure::wrong(format!("interface {name} of {node} cannot be in {of}: {why}")).help(help))
    };
    // Octets of an Ethernet address.
    let has_frames = interface.address.len() == 6;
    match &master.kind {
        None => wrong(format!("{of} is no bridge, bond or VRF"), "name one in `master`"),
        Some(InfoKind::Bridge | InfoKind::Bond) if !has_frames => wrong(
            "it carries packets and no Ethernet frames".to_owned(),
            "let the node's commands make it as one with a MAC address (`ip tuntap add … mode tap`), or take it out there",
        ),
        Some(InfoKind::Bridge) if interface.kind == Some(InfoKind::Bridge) => wrong(
            "both are bridges".to_owned(),
            "join two bridges by a link, whose ends are ports of them",
        ),
        Some(_) => Ok(()),
    }
}

/// The same, with the names of interfaces in place of their numbers, which say nothing to anybody.
pub(super) fn by_names(errors: Vec<Error>, netlink: &mut Netlink) -> Vec<Error> {
    let Ok(all) = link::list(netlink) else {
        return errors;
    };
    let names: HashMap<u32, String> = all.into_iter().map(|it| (it.index, it.name)).collect();
    let named = |mut error: Error| {
        let mut follows = false;
        let words: Vec<&str> = error
            .what
            .split(' ')
            .map(|word| {
                let name = word.parse().ok().and_then(|index: u32| names.get(&index));
                let said = name.filter(|_| follows).map_or(word, String::as_str);
                follows = matches!(word, "interface" | "port");
                said
            })
            .collect();
        error.what = words.join(" ");
        error
    };
    errors.into_iter().map(named).collect()
}

/// Takes the interfaces of a namespace down, but for the loopback.
///
/// # Errors
/// What the kernel refused.
pub fn lower(step: &NamespaceStep, netlink: &mut Netlink) -> Result<(), Failure> {
    for &index in step.up.iter().filter(|index| **index != LOOPBACK) {
        let what = format!("take interface {index} of {} down", step.node);
        match netlink.send_one(link::down(&what, index)) {
            // The node's own commands may have deleted it.
            Err(error) if error.errno != Errno::ENODEV => {
                return Err(refused(by_names(vec![error], netlink)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Raises them again, and sets what the kernel took from them meanwhile: addresses of IPv6, and routes.
///
/// # Errors
/// What the kernel refused.
pub fn raise_again(step: &NamespaceStep, netlink: &mut Netlink) -> Result<(), Failure> {
    let node = &step.node;
    let ups = step
        .up
        .iter()
        .map(|index| link::up(&format!("raise interface {index} of {node}"), *index));
    let addresses = step
        .addresses
        .iter()
        .map(|(index, net)| address::add(&format!("put address {net} on {node}"), *index, *net));
    let routes = step.routes.iter().map(|route| add_route(node, route));
    for request in ups.chain(addresses).chain(routes) {
        match netlink.send_one(request) {
            // What is there has stayed; what commands have deleted since, or made otherwise, is theirs.
            Err(error) if !LEFT.contains(&error.errno) => {
                return Err(refused(by_names(vec![error], netlink)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The loopback interface has this index in every namespace.
const LOOPBACK: u32 = 1;
/// How the kernel refuses what is there already, and what is of an interface that is gone or that no longer leads there.
const LEFT: [Errno; 4] = [
    Errno::EEXIST,
    Errno::ENODEV,
    Errno::ENETUNREACH,
    Errno::EHOSTUNREACH,
];

fn unless_there(done: crate::kernel::Result<()>) -> Result<(), Failure> {
    match done {
        Err(error) if error.errno != Errno::EEXIST => Err(refused(vec![error])),
        _ => Ok(()),
    }
}
