//! Taking the interfaces of a namespace down, and raising them again.

use nix::errno::Errno;

use super::inside::add_route;
use super::refused;
use crate::failure::Failure;
use crate::kernel::netlink::Netlink;
use crate::kernel::{address, link};
use crate::lab::plan::NamespaceStep;

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
