//! What is set on interfaces that are there: what they are in, their VLANs, and what the kernel took from them meanwhile.

use nix::errno::Errno;

use super::inside::add_route;
use super::refused;
use crate::failure::Failure;
use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::{Netlink, Request};
use crate::kernel::sysctl::Sysctls;
use crate::kernel::{address, link};
use crate::lab::links::{Setting, Vlans};
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
    let vlans = setting.vlans.iter().flat_map(|it| vlans(node, index, it));
    master.into_iter().chain(vlans).collect()
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

/// Sets up interfaces that nodes' own commands made: `find` says which interface a number stands for now. Nothing of it is done
/// twice: what is there is left.
///
/// # Errors
/// What the kernel refused.
pub fn set_up_late(
    step: &NamespaceStep,
    found: &[(&LateInterfaceStep, u32)],
    netlink: &mut Netlink,
    namespace: &Namespace,
    find: &dyn Fn(u32) -> Option<u32>,
) -> Result<(), Failure> {
    let node = &step.node;
    let is_new = |index: u32| found.iter().any(|(_, it)| *it == index);
    for setting in &step.late.settings {
        let (Some(interface), master) = (find(setting.interface), setting.master.map(find)) else {
            continue;
        };
        if master == Some(None) || !(is_new(interface) || master.flatten().is_some_and(is_new)) {
            continue;
        }
        let setting = Setting {
            interface,
            master: master.flatten(),
            vlans: setting.vlans.clone(),
        };
        let set = settings(node, &setting);
        // A bond takes only what is down, and commands raise what they make.
        let first = link::down(&format!("take interface {interface} of {node} down"), interface);
        let last = link::up(&format!("raise interface {interface} of {node}"), interface);
        let all = std::iter::once(first).chain(set).chain([last]);
        netlink.send(all.collect()).map_err(refused)?;
    }
    for (late, index) in found {
        let mut requests = Vec::new();
        requests.extend(
            late.mtu
                .map(|mtu| link::mtu(&format!("set the MTU of {} of {node}", late.name), *index, mtu)),
        );
        requests.push(link::up(&format!("raise {} of {node}", late.name), *index));
        netlink.send(requests).map_err(refused)?;
        for net in &late.addresses {
            let what = format!("put address {net} on {} of {node}", late.name);
            unless_there(netlink.send_one(address::add(&what, *index, *net)))?;
        }
        namespace.run(|| {
            let sysctls = Sysctls::usual()?;
            late.sysctls
                .iter()
                .try_for_each(|(path, value)| sysctls.write(path, value))
        })?;
    }
    for route in &step.late.routes {
        if let Some(route) = route.with(&find) {
            unless_there(netlink.send_one(add_route(node, &route)))?;
        }
    }
    Ok(())
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
            Err(error) if error.errno != Errno::ENODEV => return Err(refused(vec![error])),
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
            Err(error) if !LEFT.contains(&error.errno) => return Err(refused(vec![error])),
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
