//! The links of a node that is stopped are down, as those of a machine that is switched off: its neighbors lose their carrier.

use super::state::Living;
use crate::apply;
use crate::failure::Failure;
use crate::kernel::namespace::Namespace;
use crate::lab::plan::NamespaceStep;

/// Takes a node's links down. False where they stay: others that are not stopped live in its network, or it is made by a kubelet.
///
/// # Errors
/// What the kernel refused.
pub fn cut(lab: &Living, node: usize) -> Result<bool, Failure> {
    with_network(lab, node, |step, namespace| {
        apply::lower(step, &mut namespace.netlink()?)?;
        Ok(true)
    })
}

/// Raises them again, with the addresses and routes that went with them.
///
/// # Errors
/// What the kernel refused.
pub fn mend(lab: &Living, node: usize) -> Result<(), Failure> {
    with_network(lab, node, |step, namespace| {
        apply::raise_again(step, &mut namespace.netlink()?)?;
        Ok(true)
    })?;
    // What comes late is set up again when it is next looked at.
    if let Some(at) = lab.plan.nodes[node].namespace {
        lab.late.borrow_mut().remove(&at);
    }
    Ok(())
}

fn with_network(
    lab: &Living,
    node: usize,
    work: impl FnOnce(&NamespaceStep, &Namespace) -> Result<bool, Failure>,
) -> Result<bool, Failure> {
    let Some(at) = lab.plan.nodes[node]
        .namespace
        .filter(|_| !lab.plan.is_in_sandbox(node))
    else {
        return Ok(false);
    };
    let runs_there = |(other, step): (usize, &crate::lab::plan::NodeStep)| {
        other != node && step.namespace == Some(at) && !*lab.nodes[other].stopped.borrow()
    };
    if lab.plan.nodes.iter().enumerate().any(runs_there) {
        return Ok(false);
    }
    let namespaces = lab.namespaces.borrow();
    match (lab.plan.namespaces.get(at), namespaces.get(at)) {
        (Some(step), Some(namespace)) => work(step, namespace),
        _ => Ok(false),
    }
}
