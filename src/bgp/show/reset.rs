//! Why a session ended last, or has not begun, in FRR's words and numbers.

use super::View;
use super::json::Object;
use crate::config::PeerName;
use crate::session::Reason;
use crate::speaker::Peer;
use crate::wire::Notification;
use crate::wire::error_code::{CEASE, cease};

/// Why a session is not up, or was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reset<'s> {
    /// `shutdown`.
    Shutdown,
    /// The neighbor is to come by itself, and has not. (FRR says that it has no family.)
    NoFamily,
    /// There is no way to the neighbor.
    NoWay,
    /// The address of an interface's neighbor is not known.
    NoAddress,
    /// The neighbor's OPEN was waited for.
    NoOpen,
    /// `clear bgp`.
    User,
    /// The interface it is on went down.
    InterfaceDown,
    /// The neighbor said why.
    Received(&'s Notification),
    /// This side said why.
    Sent(&'s Notification),
    /// The connection ended without a word.
    Closed,
}

impl<'s> Reset<'s> {
    /// Why a neighbor's last session ended.
    pub(super) fn of(view: &View<'s>, peer: &'s Peer) -> Reset<'s> {
        if view.is_shut(peer) {
            return Reset::Shutdown;
        }
        match &peer.record.reset {
            Some((_, Reason::Received(notification))) => Reset::Received(notification),
            Some((_, Reason::Sent(notification))) => match (notification.code, notification.subcode) {
                (CEASE, cease::ADMINISTRATIVE_RESET) => Reset::User,
                (CEASE, cease::ADMINISTRATIVE_SHUTDOWN) => Reset::Shutdown,
                (CEASE, cease::OTHER_CONFIGURATION_CHANGE) if matches!(peer.name, PeerName::Interface(_)) => {
                    Reset::InterfaceDown
                }
                _ => Reset::Sent(notification),
            },
            Some((_, Reason::Closed)) => Reset::Closed,
            None if view.waits_for_way(peer) && !is_reachable(view, peer) => Reset::NoWay,
            None if peer.remote.is_none() => Reset::NoAddress,
            None if peer.effective.passive => Reset::NoFamily,
            None => Reset::NoOpen,
        }
    }

    /// FRR's words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Reset::Shutdown => "Admin. shutdown",
            Reset::NoFamily => "No AFI/SAFI activated for peer",
            Reset::NoWay => "Waiting for NHT",
            Reset::NoAddress => "Waiting for Peer IPv6 LLA",
            Reset::NoOpen => "Waiting for peer OPEN",
            Reset::User => "User reset",
            Reset::InterfaceDown => "Interface down",
            Reset::Received(_) => "BGP Notification received",
            Reset::Sent(_) => "BGP Notification send",
            Reset::Closed => "Peer closed the session",
        }
    }

    /// A line's words: a NOTIFICATION's are in them.
    pub(super) fn line(self) -> String {
        match self.notification() {
            Some((way, notification)) => {
                let hard = if notification.is_hard_reset() {
                    "/Hard Reset"
                } else {
                    ""
                };
                format!("Notification {way} ({}{hard})", reason(notification))
            }
            None => self.words().to_owned(),
        }
    }

    /// Puts everything about it into an object.
    pub(super) fn put(self, object: &mut Object) {
        if let Some((_, notification)) = self.notification() {
            let inner = notification.inner().unwrap_or_else(|| notification.clone());
            object.put(
                "lastErrorCodeSubcode",
                format!("{:02X}{:02X}", inner.code, inner.subcode),
            );
            object.put("lastNotificationReason", reason(notification));
            object.put("lastNotificationHardReset", notification.is_hard_reset());
            object.put_some("lastShutdownDescription", notification.shutdown_message());
        }
        object.put("lastResetDueTo", self.words());
        object.put("lastResetCode", self.code());
    }

    fn notification(self) -> Option<(&'static str, &'s Notification)> {
        match self {
            Reset::Received(notification) => Some(("received", notification)),
            Reset::Sent(notification) => Some(("sent", notification)),
            _ => None,
        }
    }

    /// FRR's number.
    pub(super) fn code(self) -> u8 {
        match self {
            Reset::Shutdown => 11,
            Reset::User => 12,
            Reset::Received(_) => 13,
            Reset::Sent(_) => 14,
            Reset::Closed => 15,
            Reset::InterfaceDown => 25,
            Reset::NoWay => 27,
            Reset::NoAddress => 28,
            Reset::NoFamily => 30,
            Reset::NoOpen => 32,
        }
    }
}

fn is_reachable(view: &View, peer: &Peer) -> bool {
    peer.remote.is_some_and(|it| view.speaker.is_reachable(it))
}

fn reason(notification: &Notification) -> String {
    let inner = notification.inner().unwrap_or_else(|| notification.clone());
    Notification::new(inner.code, inner.subcode).to_string()
}
