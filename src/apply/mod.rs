//! Carries out the network part of plans, for a lab that comes up, for interfaces that come later, and for pods of the CNI plugin.

mod inside;
mod links;
mod masquerade;
mod secure;
mod settings;

use nix::errno::Errno;

pub use inside::configure_all;
pub use links::{Workshop, index_of, make_links, wire};
pub use secure::introduce;
pub use settings::{add_late_routes, lower, raise_again, set_up_late};

use crate::failure::Failure;
use crate::kernel::Error;

/// The first refusal as the message, the others as detail.
pub fn refused(errors: Vec<Error>) -> Failure {
    refused_at(errors, false)
}

/// The same of what is made on the host.
fn refused_on_host(errors: Vec<Error>) -> Failure {
    refused_at(errors, true)
}

fn refused_at(errors: Vec<Error>, on_host: bool) -> Failure {
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
        let place = if on_host { "on the host" } else { "in this network" };
        failure = failure.help(format!(
            "another tunnel {place} has this vni: choose another, or another udp_port"
        ));
    } else if exists && on_host {
        failure =
            failure.help("the host already has an interface of that name: choose another in the lab file");
    } else if exists {
        failure = failure.help(
            "its network already has an interface of that name or one that does the same (a tunnel with the same ends, \
             a VLAN with the same id): give one of them another name, or other values",
        );
    }
    let others: Vec<String> = errors.take(9).map(|error| error.to_string()).collect();
    if others.is_empty() {
        failure
    } else {
        failure.detail(others.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_already_is_blamed_on_whoever_has_it() {
        let exists = || vec![Error::new("make link a:g0 (gre)", Errno::EEXIST)];
        let help = |failure: Failure| failure.to_string() + &failure.help.unwrap_or_default();
        assert!(!help(refused(exists())).contains("host"));
        assert!(help(refused_on_host(exists())).contains("the host already has"));
        let mut tunnel = exists();
        tunnel[0].said = Some("A VXLAN device with the specified VNI already exists".to_owned());
        assert!(help(refused(tunnel.clone())).contains("in this network"));
        assert!(help(refused_on_host(tunnel)).contains("on the host"));
    }
}
