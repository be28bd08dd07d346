//! Sets up what is inside a network namespace: bridges, interfaces, addresses, routes.

use std::thread;

use super::{masquerade, refused, settings};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::link::{self, Device};
use crate::kernel::namespace::Made;
use crate::kernel::netlink::Request;
use crate::kernel::route::{Hop, Target};
use crate::kernel::sysctl::Sysctls;
use crate::kernel::{address, offload, route};
use crate::lab::links::{self, Making};
use crate::lab::plan::{NamespaceStep, RouteStep, RouteStepAction};

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
        requests.extend(settings::settings(node, setting));
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
    let Made { netlink, .. } = made;
    netlink
        .send(requests)
        .map_err(|errors| refused(settings::by_names(errors, netlink)))?;
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
