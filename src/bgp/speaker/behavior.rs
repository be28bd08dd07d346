//! Whose habits a speaker has where BGP leaves a choice: FRR's in a router, GoBGP's in Cilium's agent.

use super::Speaker;
use crate::config::{Bgp, Effective};
use crate::wire::{AfiSafi, Capability, GracefulRestart};

/// Whose habits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Behavior {
    /// FRR's.
    #[default]
    Frr,
    /// GoBGP's, as Cilium runs it.
    GoBgp,
}

impl Behavior {
    /// Whether the first attempts to connect follow each other quickly, whatever `timers connect` says.
    pub(super) fn is_eager(self) -> bool {
        self == Behavior::GoBgp
    }

    /// The MED of a route that `network` announces.
    pub(super) fn network_med(self) -> Option<u32> {
        match self {
            Behavior::Frr => Some(0),
            Behavior::GoBgp => None,
        }
    }
}

impl Speaker {
    /// What GoBGP says it can do.
    pub(super) fn gobgp_capabilities(
        &self,
        bgp: &Bgp,
        effective: &Effective,
        families: &[AfiSafi],
    ) -> Vec<Capability> {
        let mut said = vec![
            Capability::RouteRefresh,
            Capability::Fqdn {
                host: self.hostname.clone(),
                domain: String::new(),
            },
        ];
        said.extend(families.iter().copied().map(Capability::Multiprotocol));
        if effective.graceful_restart == crate::config::GracefulRestart::Restarter {
            said.push(Capability::GracefulRestart(GracefulRestart {
                time: bgp.graceful_restart.restart_time,
                families: families.iter().map(|family| (*family, false)).collect(),
                ..GracefulRestart::default()
            }));
        }
        said
    }
}
