//! Carries out the network part of plans, for a lab that comes up, for interfaces that come later, and for pods of the CNI plugin.

mod again;
mod inside;
mod links;
mod masquerade;
mod secure;

use nix::errno::Errno;

pub use again::{lower, raise_again};
pub use inside::{configure_all, set_up_late};
pub use links::{Workshop, make_links, wire};
pub use secure::introduce;

use crate::failure::Failure;
use crate::kernel::Error;

/// The first refusal as the message, the others as detail.
pub fn refused(errors: Vec<Error>) -> Failure {
    let mut errors = errors.into_iter();
    let Some(first) = errors.next() else {
        return Failure::host("the kernel refused");
    };
    let unknown_device = first.errno == Errno::EOPNOTSUPP && first.what.starts_with("make");
    let exists = first.errno == Errno::EEXIST && first.what.starts_with("make link");
    let tunnel = exists && first.said.as_ref().is_some_and(|said| said.contains("VNI"));
    let mut failure = Failure::from(first);
    if unknown_device {
        failure = failure.help(
            "this kernel lacks the device type: load its module, or use another kind of link \
             (`nslab doctor` lists what there is; a node's loopback carries addresses as well as a dummy)",
        );
    } else if tunnel {
        failure =
            failure.help("another tunnel on the host has this vni: choose another, or another udp_port");
    } else if exists {
        failure =
            failure.help("the host already has an interface of that name: choose another in the lab file");
    }
    let others: Vec<String> = errors.take(9).map(|error| error.to_string()).collect();
    if others.is_empty() {
        failure
    } else {
        failure.detail(others.join("\n"))
    }
}
