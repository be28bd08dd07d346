//! What is configured of a session.

use std::net::Ipv4Addr;

use super::Time;
use crate::config::RemoteAs;
use crate::wire::error_code::{CEASE, cease};
use crate::wire::{Capability, Notification, PerFamily};

/// What is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The AS this side shows to the neighbor.
    pub local_as: u32,
    /// The AS the neighbor may have.
    pub remote_as: RemoteAs,
    /// This side's identifier.
    pub router_id: Ipv4Addr,
    /// Seconds; 0 is for ever.
    pub hold_time: u16,
    /// Seconds between keepalives, unless a third of the agreed hold time is less.
    pub keepalive: u16,
    /// Seconds between attempts to connect.
    pub connect_retry: u16,
    /// Seconds between a connection and this side's OPEN on it, unless the neighbor's comes first.
    pub delay_open: Option<u16>,
    /// The first attempts follow each other quickly, and only by and by come to be so far apart.
    pub eager: bool,
    /// The neighbor alone connects.
    pub passive: bool,
    /// What this side can do.
    pub capabilities: Vec<Capability>,
    /// Families that are configured. A neighbor that names none is taken to know them all, as FRR does.
    pub families: PerFamily<bool>,
    /// A neighbor knows the families that are configured, whatever it says (`override-capability`).
    pub overrides: bool,
    /// There is no session unless both know the same (`strict-capability-match`).
    pub strict: bool,
    /// A reset by the administrator ends all (`bgp hard-administrative-reset`).
    pub hard_administrative_reset: bool,
    /// Until when the neighbor hears that this side has just begun (RFC 4724 section 3, Restart State).
    pub restarting_until: Option<Time>,
}

impl Settings {
    /// Whether a neighbor may be in an AS.
    pub(super) fn allows(&self, asn: u32) -> bool {
        match self.remote_as {
            RemoteAs::Number(number) => asn == number,
            RemoteAs::Internal => asn == self.local_as,
            RemoteAs::External => asn != self.local_as,
        }
    }

    /// Whether a neighbor that would keep routes is not to, as the session does not come back by itself
    /// (RFC 8538 section 5.1).
    pub(super) fn is_final(&self, why: &Notification) -> bool {
        match why.subcode {
            _ if why.code != CEASE => false,
            cease::MAXIMUM_NUMBER_OF_PREFIXES_REACHED
            | cease::ADMINISTRATIVE_SHUTDOWN
            | cease::PEER_DE_CONFIGURED => true,
            cease::ADMINISTRATIVE_RESET => self.hard_administrative_reset,
            _ => false,
        }
    }
}
