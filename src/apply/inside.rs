//! Sets up what is inside a network namespace: bridges, interfaces, addresses, routes.

use std::thread;

use nix::errno::Errno;

use super::{masquerade, refused};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::link::{self, Device};
use crate::kernel::namespace::{Made, Namespace};
use crate::kernel::netlink::{Netlink, Request};
use crate::kernel::route::{Hop, Target};
use crate::kernel::sysctl::Sysctls;
use crate::kernel::{address, offload, route};
use crate::lab::links::{self, Making, Setting, Vlans};
use crate::lab::plan::{LateInterfaceStep, NamespaceStep, RouteStep, RouteStepAction};

/// The VLAN that a bridge puts every port into by itself, unless it is told another; all that there are, so that none of it stays.
const ANY_VLAN: (u16, u16) = (1, 4094);

/// On two threads, which end before this returns: the kernel does part of the work side by side.
pub fn configure_all(steps: &[NamespaceStep], made: &mut [Made]) -> Result<(), Failure> {
    const WORTH_A_THREAD: usize = 16;
    let one_by_one = |steps: &[NamespaceStep], made: &mut [Made]| -> Result<(), Failure> {
        steps
            .iter()
            .zip(made)
            .try_for_each(|(step, made)| configure(step, made))
    };
    if steps.len() < WORTH_A_THREAD {
        return one_by_one(steps, made);
    }
    let (left, right) = steps.split_at(steps.len() / 2);
    let (left_made, right_made) = made.split_at_mut(left.len());
    thread::scope(|scope| {
        let other = thread::Builder::new()
            .spawn_scoped(scope, || one_by_one(right, right_made))
            .attempt(|| "start a thread")?;
        let here = one_by_one(left, left_made);
        let there = other
            .join()
            .unwrap_or_else(|_| Err(Failure::host("a thread of nslab's panicked")));
        here.and(there)
    })
}

/// One batch a namespace: bridge and ports, interfaces up, addresses, routes.
pub(super) fn configure(step: &NamespaceStep, made: &mut Made) -> Result<(), Failure> {
    if step.sandbox.is_some() {
        return Ok(());
    }
    let node = &step.node;
    let mut requests = Vec::with_capacity(step.up.len() + step.addresses.len() + step.routes.len() + 2);
    if let Some(bridge) = &step.bridge {
        let device = Device {
            name: &bridge.name,
            index: bridge.index,
            mac: Some(bridge.mac.0),
            mtu: None,
            namespace: None,
        };
        let what = format!("make bridge {} in {node}", bridge.name);
        let made = links::Device::Bridge(bridge.options.clone()).making(None);
        if let Making::Link(parent, data) = made {
            requests.push(link::of(&what, &device, "bridge", parent, links::encode(&data)));
        }
        for &port in &bridge.ports {
            requests.push(link::enslave(
                &format!("make port {port} of {node} a bridge port"),
                port,
                bridge.index,
            ));
        }
    }
    for setting in &step.settings {
        requests.extend(settings(node, setting));
    }
    for &index in &step.up {
        requests.push(link::up(&format!("raise interface {index} of {node}"), index));
    }
    for (index, net) in &step.addresses {
        requests.push(address::add(
            &format!("put address {net} on {node}"),
            *index,
            *net,
        ));
    }
    for step in &step.routes {
        requests.push(add_route(node, step));
    }
    made.netlink.send(requests).map_err(refused)?;
    if !step.masquerade.is_empty() || !step.masquerade_by.is_empty() {
        let help = match step.masquerade.is_empty() {
            true => {
                "`masquerade` needs nf_tables (`modprobe nf_tables nft_chain_nat nft_masq`); take it out to do without"
            }
            false => {
                "what pods send beyond the native network leaves by their node's address, which needs nf_tables; \
                 `ipv4_masquerade = false` in [cilium] does without"
            }
        };
        made.namespace
            .run(|| masquerade::masquerade(&step.masquerade, &step.masquerade_by))
            .map_err(|error| Failure::from(error).help(help))?;
    }
    if step.no_offload.is_empty() && step.late_sysctls.is_empty() {
        return Ok(());
    }
    made.namespace.run(|| {
        let sysctls = Sysctls::usual()?;
        step.no_offload
            .iter()
            .try_for_each(|name| offload::disable_transmit_checksum(name))?;
        step.late_sysctls
            .iter()
            .try_for_each(|(path, value)| sysctls.write(path, value))
    })?;
    Ok(())
}

/// What is set on an interface before it is raised.
fn settings(node: &str, setting: &Setting<u32>) -> Vec<Request> {
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

fn unless_there(done: crate::kernel::Result<()>) -> Result<(), Failure> {
    match done {
        Err(error) if error.errno != Errno::EEXIST => Err(refused(vec![error])),
        _ => Ok(()),
    }
}

pub(super) fn add_route(node: &str, step: &RouteStep) -> Request {
    let target = match &step.action {
        RouteStepAction::Blackhole => Target::Blackhole,
        RouteStepAction::Unreachable => Target::Unreachable,
        RouteStepAction::Prohibit => Target::Prohibit,
        RouteStepAction::Local => Target::Local,
        RouteStepAction::Forward(hops) => Target::Hops(
            hops.iter()
                .map(|hop| Hop {
                    via: hop.via,
                    dev: hop.dev,
                    weight: hop.weight,
                })
                .collect(),
        ),
    };
    route::add(
        &format!("add route {} to {node}", step.to),
        step.to,
        &target,
        step.metric,
        step.table,
    )
}
