//! Taking leave of the host: devices of a lab that the host sees, or that take something of it.

use std::collections::BTreeMap;

use nix::errno::Errno;

use crate::kernel::namespace::Namespace;
use crate::kernel::{Result, link};
use crate::lab::plan::Plan;

/// Deletes the links that reach the host. They go with the lab's namespaces anyway, but in the kernel's own time:
/// whoever brings the lab up again at once would find their names, and a tunnel's number, taken.
///
/// # Errors
/// The kernel refuses.
pub fn clean_host(plan: &Plan, namespaces: &[Namespace]) -> Result<()> {
    let mut ends: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for step in &plan.links {
        if !step.device.is_on_host() {
            continue;
        }
        let Some(port) = step.device.ports().next() else {
            continue;
        };
        ends.entry(port.namespace).or_default().push(port.index);
    }
    for (number, indexes) in ends {
        let Some(namespace) = namespaces.get(number) else {
            continue;
        };
        let mut netlink = namespace.netlink()?;
        for index in indexes {
            match netlink.send_one(link::delete("take leave of the host", index)) {
                Err(error) if error.errno != Errno::ENODEV => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
