//! How many prefixes a neighbor may send (`maximum-prefix`).

use std::time::Duration;

use super::{Action, Endpoints, Peer, Speaker};
use crate::config::{Config, Excess, MaximumPrefix};
use crate::session::{self, Time};
use crate::table::SourceId;
use crate::wire::error_code::{CEASE, cease};
use crate::wire::{Family, Notification};

/// What was said already about a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Warned {
    /// That there are nearly too many.
    near: bool,
    /// That there are too many.
    beyond: bool,
}

/// A session that is down because there were too many prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow {
    /// When it may begin again; none for not before it is reset by hand.
    pub until: Option<Time>,
    /// Seconds the neighbor had asked to be waited for after a restart.
    pub restart_time: Option<u16>,
    /// The ends of the connection it was up on.
    pub ends: Option<Endpoints>,
}

impl Peer {
    /// Why its session does not begin again by itself, if it had too many prefixes.
    pub fn overflow(&self) -> Option<Overflow> {
        self.intake.overflow
    }
}

impl Speaker {
    /// Looks at a neighbor's number of prefixes after it has told some.
    pub(super) fn check_limit(&mut self, id: SourceId, family: Family, now: Time, actions: &mut Vec<Action>) {
        self.weigh(id, family, false, now, actions);
    }

    /// The same; a limit that is new counts whatever was said about another.
    pub(super) fn weigh(
        &mut self,
        id: SourceId,
        family: Family,
        is_new: bool,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let Some(peer) = self.peers.get(&id).filter(|peer| peer.exchanges(family)) else {
            return;
        };
        let Some(limit) = peer.family(family).maximum_prefix else {
            return;
        };
        let filtered = if limit.force {
            self.filtered(peer, family)
        } else {
            0
        };
        let count = self.accepted(peer, family) + filtered;
        let said = match is_new {
            true => Warned::default(),
            false => *peer.intake.warned.get(family),
        };
        let warned = Warned {
            near: is_near(count, &limit),
            beyond: is_beyond(count, &limit, is_new),
        };
        let of = format!("No. of {family} prefix received from {}", peer.name);
        if let Some(peer) = self.peers.get_mut(&id) {
            *peer.intake.warned.get_mut(family) = warned;
        }
        if warned.beyond && !said.beyond {
            let text = format!("%MAXPFXEXCEED: {of} {count} exceed, limit {}", limit.limit);
            actions.push(Action::Log(text));
            self.exceed(id, family, &limit, now, actions);
        } else if warned.near && !warned.beyond && !said.near {
            let text = format!("%MAXPFX: {of} reaches {count}, max {}", limit.limit);
            actions.push(Action::Log(text));
        }
    }

    /// Ends a session with too many prefixes, unless that is only to be said (RFC 4486 section 4).
    fn exceed(
        &mut self,
        id: SourceId,
        family: Family,
        limit: &MaximumPrefix,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let until = match limit.excess {
            Excess::Warning => return,
            Excess::Shutdown => None,
            Excess::Restart(minutes) => Some(now + Duration::from_secs(u64::from(minutes) * 60)),
        };
        if let Some(peer) = self.peers.get_mut(&id) {
            let agreement = peer.session.agreement();
            peer.intake.overflow = Some(Overflow {
                until,
                restart_time: agreement.and_then(|it| Some(it.graceful_restart.as_ref()?.time)),
                ends: peer.endpoints,
            });
        }
        let mut data = family.afi().to_be_bytes().to_vec();
        data.push(family.safi());
        data.extend(limit.limit.to_be_bytes());
        let why = Notification::with_data(CEASE, cease::MAXIMUM_NUMBER_OF_PREFIXES_REACHED, data);
        self.tell(id, session::Event::Stop(why), now, actions);
    }

    /// Lets sessions begin again whose minutes are over, of neighbors that are due.
    pub(super) fn end_overflows(&mut self, due: &[SourceId], now: Time, actions: &mut Vec<Action>) {
        for id in due {
            let overflow = self.peers.get(id).and_then(|peer| peer.intake.overflow);
            let until = overflow.and_then(|overflow| overflow.until);
            if until.is_some_and(|until| until <= now) {
                self.clear_limit(*id, now, actions);
            }
        }
    }

    /// Lets a session begin again that was down because there were too many prefixes.
    pub(super) fn clear_limit(&mut self, id: SourceId, now: Time, actions: &mut Vec<Action>) {
        let peer = self.peers.get_mut(&id);
        if peer.is_none_or(|peer| peer.intake.overflow.take().is_none()) {
            return;
        }
        self.allow(id, now, actions);
    }
}

/// Whether a changed configuration has taken away the limit that a neighbor went beyond. What FRR does: for a member of a group
/// that is the group's limit, and `no neighbor … maximum-prefix` for the member itself changes nothing.
pub(super) fn is_lifted(peer: &Peer, family: Family, before: &Config, after: &Config) -> bool {
    let own = |config: &Config| {
        let neighbor = config.bgp.as_ref()?.neighbor(&peer.name)?;
        neighbor.own.family(family).maximum_prefix
    };
    let group_of = |config: &Config| match &peer.let_in_by {
        Some(group) => Some(group.clone()),
        None => config.bgp.as_ref()?.neighbor(&peer.name)?.group.clone(),
    };
    let of_group = |config: &Config, group: &str| {
        let group = config.bgp.as_ref()?.groups.get(group)?;
        group.family(family).maximum_prefix
    };
    match group_of(after) {
        Some(group) => {
            own(after).is_none() && of_group(before, &group).is_some() && of_group(after, &group).is_none()
        }
        None => own(before).is_some() && own(after).is_none(),
    }
}

/// Whether there are too many. As with FRR, which counts before it takes a route in, one more may come than is said; a limit that is
/// new is exact.
fn is_beyond(count: usize, limit: &MaximumPrefix, is_new: bool) -> bool {
    count as u64 > u64::from(limit.limit) + u64::from(!is_new)
}

fn is_near(count: usize, limit: &MaximumPrefix) -> bool {
    count as u64 > u64::from(limit.limit) * u64::from(limit.threshold) / 100
}
