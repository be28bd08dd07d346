//! Restarts (RFC 4724, RFC 8538): a neighbor's routes that are used while it is away, and this router's own, after which it
//! says nothing before it has heard everything.

use std::time::Duration;

use super::{Action, Peer, Speaker};
use crate::config::GracefulRestart;
use crate::session::{Agreement, Reason, State, Time};
use crate::table::SourceId;
use crate::wire::{Family, PerFamily, RefreshKind};

/// What a neighbor has said that holds when it goes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Promise {
    /// Families whose routes are to be kept.
    families: PerFamily<bool>,
    /// Seconds until it is back.
    time: u16,
    /// Also when the session ends by a NOTIFICATION.
    notification: bool,
}

impl Promise {
    pub(super) fn of(agreement: &Agreement) -> Promise {
        let Some(restart) = &agreement.graceful_restart else {
            return Promise::default();
        };
        let named = |family: Family| {
            let mut all = restart.families.iter();
            *agreement.families.get(family) && all.any(|(it, _)| *it == family.into())
        };
        Promise {
            families: PerFamily {
                ipv4: named(Family::Ipv4Unicast),
                ipv6: named(Family::Ipv6Unicast),
                evpn: named(Family::L2vpnEvpn),
            },
            time: restart.time,
            notification: agreement.notification,
        }
    }
}

/// A neighbor that is away, or is back and has not told everything again.
#[derive(Debug, Clone, Copy)]
pub struct Away {
    /// When it has to be back; none once it is.
    pub back_until: Option<Time>,
    /// When everything has to have been told again.
    pub stale_until: Time,
}

/// This router's own restart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Return {
    /// How long neighbors are waited for that have no session.
    connected_until: Time,
    /// How long is waited for what neighbors tell.
    until: Time,
}

impl Speaker {
    /// A session has ended: what becomes of its routes.
    pub(super) fn keep_or_forget(&mut self, id: SourceId, reason: &Reason, now: Time) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let promise = std::mem::take(&mut peer.promise);
        let keeps = match reason {
            Reason::Closed => true,
            Reason::Received(why) => promise.notification && !why.is_hard_reset(),
            Reason::Sent(why) => promise.notification && !peer.session.is_final(why),
        };
        let kept = |family: Family| keeps && *promise.families.get(family);
        if Family::ALL.into_iter().any(kept) {
            let stale = self
                .config
                .bgp
                .as_ref()
                .map(|bgp| bgp.graceful_restart.stalepath_time);
            peer.away = Some(Away {
                back_until: Some(now + seconds(promise.time)),
                stale_until: now + seconds(stale.unwrap_or_default()),
            });
        }
        for family in Family::ALL {
            match kept(family) {
                true => self.mark_stale(id, family),
                false => self.remove_source(id, family),
            }
        }
    }

    /// A neighbor is there again: what it has not gone on forwarding by goes.
    pub(super) fn end_restart(&mut self, id: SourceId, agreement: &Agreement) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.promise = Promise::of(agreement);
        let Some(away) = &mut peer.away else { return };
        away.back_until = None;
        let restart = agreement.graceful_restart.as_ref();
        for family in Family::ALL {
            let preserved = (family.into(), true);
            if !restart.is_some_and(|it| it.families.contains(&preserved)) {
                self.remove_stale(id, family);
            }
        }
    }

    /// A neighbor has told everything of a family: what it has not said again is gone.
    pub(super) fn told_all(&mut self, id: SourceId, family: Family) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let first = !std::mem::replace(peer.record.told_all.get_mut(family), true);
        if first && peer.away.is_some() {
            self.remove_stale(id, family);
        }
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if peer.exchanged().all(|it| *peer.record.told_all.get(it)) {
            peer.away = None;
        }
    }

    /// The beginning or the end of all routes that a neighbor was asked for again (RFC 7313 section 4). The beginning of a
    /// table that has not been told once to its end means nothing.
    pub(super) fn refreshed(&mut self, id: SourceId, family: Family, kind: RefreshKind, now: Time) {
        let stale = self.stale_time();
        let prefixes = self.size(family);
        let Some(peer) = self.peers.get_mut(&id).filter(|it| it.exchanges(family)) else {
            return;
        };
        let restarts = peer
            .agreement()
            .is_some_and(|agreement| agreement.graceful_restart.is_some());
        let is_whole = !restarts || *peer.record.told_all.get(family);
        if kind == RefreshKind::Begin && !peer.flow.may_begin(family, prefixes, now) {
            return;
        }
        let refreshing = peer.refreshing.get_mut(family);
        match kind {
            RefreshKind::Begin if is_whole => {
                *refreshing = Some(now + stale);
                self.mark_stale(id, family);
            }
            RefreshKind::End if refreshing.take().is_some() => {
                self.remove_stale(id, family);
            }
            _ => {}
        }
    }

    fn stale_time(&self) -> Duration {
        let bgp = self.config.bgp.as_ref();
        seconds(bgp.map_or(0, |bgp| bgp.graceful_restart.stalepath_time))
    }

    /// Forgets what is kept of a neighbor that will not come back.
    pub(super) fn forget_away(&mut self, id: SourceId) {
        let away = self.peers.get_mut(&id).and_then(|peer| peer.away.take());
        if away.is_some() {
            for family in Family::ALL {
                self.remove_stale(id, family);
            }
        }
    }

    /// When this router's own patience ends, after a restart.
    pub(super) fn end_of_patience(&self) -> Option<Time> {
        let own = self
            .returning
            .iter()
            .flat_map(|it| [it.connected_until, it.until]);
        own.min()
    }

    /// Takes away what neighbors that are due have not said again in time.
    pub(super) fn end_patience(&mut self, due: &[SourceId], now: Time) {
        let mut over = Vec::new();
        for id in due {
            let Some(peer) = self.peers.get_mut(id) else {
                continue;
            };
            let is_late = |away: Away| away.back_until.is_some_and(|it| it <= now) || away.stale_until <= now;
            if peer.away.is_some_and(is_late) {
                peer.away = None;
                over.extend(Family::ALL.map(|family| (peer.id, family)));
            }
            for family in Family::ALL {
                let refreshing = peer.refreshing.get_mut(family);
                if refreshing.take_if(|until| *until <= now).is_some() {
                    over.push((peer.id, family));
                }
            }
        }
        for (id, family) in over {
            self.remove_stale(id, family);
        }
    }

    /// An earlier life of this router has left routes in the kernel: if restarts are configured, nothing is decided before
    /// the neighbors have told what they know (RFC 4724 section 4.1).
    pub(super) fn come_back(&mut self, now: Time) {
        let restart = self.config.bgp.as_ref().map(|bgp| bgp.graceful_restart);
        self.returning = restart
            .filter(|it| it.enabled == Some(true))
            .map(|restart| Return {
                connected_until: now + seconds(restart.restart_time),
                until: now + seconds(restart.select_defer_time),
            });
    }

    /// Whether nothing is decided yet, after a restart.
    pub fn is_returning(&self) -> bool {
        self.returning.is_some()
    }

    /// Ends the wait once there is nothing to wait for. Returns whether it has ended now.
    pub(super) fn has_returned(&mut self, now: Time) -> bool {
        let Some(returning) = self.returning else {
            return false;
        };
        let waits = |peer: &Peer| match peer.session.state() {
            State::Established => !has_told(peer),
            _ => now < returning.connected_until && self.is_awaited(peer),
        };
        if now < returning.until && self.peers.values().any(waits) {
            return false;
        }
        self.returning = None;
        true
    }

    fn is_awaited(&self, peer: &Peer) -> bool {
        let bgp = self.config.bgp.as_ref();
        let is_shut = peer.effective.shutdown.is_some() || bgp.is_some_and(|bgp| bgp.flags.shutdown);
        !is_shut && peer.effective.graceful_restart == GracefulRestart::Restarter
    }

    /// Tells all neighbors that they have heard everything.
    pub(super) fn begin_all(&mut self, actions: &mut Vec<Action>) {
        let ids: Vec<SourceId> = self.peers.keys().copied().collect();
        for id in ids {
            for family in Family::ALL {
                self.begin_family(id, family, actions);
            }
        }
    }
}

impl Peer {
    /// When patience with it ends: until it is back, or has said everything again.
    pub(super) fn end_of_patience(&self) -> Option<Time> {
        let away = self.away.iter();
        let away = away.flat_map(|it| it.back_until.into_iter().chain([it.stale_until]));
        let refreshing = Family::ALL.into_iter();
        let refreshing = refreshing.filter_map(|family| *self.refreshing.get(family));
        away.chain(refreshing).min()
    }
}

/// Whether a neighbor has told everything, or does not say when it has. One that has just begun itself waits in turn.
fn has_told(peer: &Peer) -> bool {
    let restart = peer
        .agreement()
        .and_then(|agreement| agreement.graceful_restart.as_ref());
    // (FRR says so in its first two minutes also where it only helps others, and then waits for nobody.)
    let waits_itself = restart.is_none_or(|restart| restart.restarting && !restart.families.is_empty());
    waits_itself || peer.exchanged().all(|family| *peer.record.told_all.get(family))
}

fn seconds(seconds: u16) -> Duration {
    Duration::from_secs(seconds.into())
}
