//! What `show bgp neighbors` tells about a neighbor, as both its text and its JSON need it.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::IpNet;

use super::View;
use super::capabilities::Capabilities;
use super::facts::is_up;
use super::reset::Reset;
use crate::config::GracefulRestart;
use crate::session::State;
use crate::speaker::{Endpoints, Overflow, OwnAddresses, Peer};
use crate::wire::Family;

/// A neighbor to be shown.
pub(super) struct Neighbor<'s> {
    pub(super) view: View<'s>,
    pub(super) peer: &'s Peer,
    /// What both sides said, while the session is up.
    pub(super) capabilities: Option<Capabilities>,
    pub(super) reset: Reset<'s>,
}

impl<'s> Neighbor<'s> {
    pub(super) fn new(view: &View<'s>, peer: &'s Peer) -> Neighbor<'s> {
        Neighbor {
            view: *view,
            peer,
            capabilities: Capabilities::of(peer),
            reset: Reset::of(view, peer),
        }
    }

    /// How long ago something was; since the speaker began, if it never was.
    pub(super) fn ago(&self, at: Option<Duration>) -> Duration {
        self.view.now.saturating_sub(at.unwrap_or_default())
    }

    /// The families that are configured for it.
    pub(super) fn families(&self) -> impl Iterator<Item = Family> {
        let peer = self.peer;
        Family::ALL
            .into_iter()
            .filter(|family| peer.family(*family).activate)
    }

    /// The families that are exchanged.
    pub(super) fn exchanged(&self) -> Vec<Family> {
        Family::ALL
            .into_iter()
            .filter(|family| self.peer.exchanges(*family))
            .collect()
    }

    /// Whether graceful restart was agreed on: then ends of tables count.
    pub(super) fn restarts(&self) -> bool {
        let agreement = self.peer.session.agreement();
        agreement.is_some_and(|agreement| agreement.graceful_restart.is_some())
    }

    /// See [`Peer::is_away`].
    pub(super) fn is_away(&self) -> bool {
        self.peer.is_away()
    }

    /// How long it is waited for yet: until it is back, and until it has told everything again.
    pub(super) fn patience(&self) -> (Option<Duration>, Option<Duration>) {
        let left = |until: Duration| until.saturating_sub(self.view.now);
        let away = self.peer.away;
        (
            away.and_then(|it| it.back_until).map(left),
            away.map(|it| left(it.stale_until)),
        )
    }

    /// Whether the neighbor is told when it has all of a table.
    pub(super) fn is_told_ends(&self) -> bool {
        self.capabilities
            .as_ref()
            .is_some_and(|it| it.restart().is_some())
    }

    /// This side's role in restarts; a star where it is the router's own.
    pub(super) fn local_mode(&self) -> &'static str {
        let own = self.view.bgp().and_then(|bgp| bgp.neighbor(&self.peer.name));
        let is_said = own.is_some_and(|it| it.own.settings.graceful_restart.is_some());
        match (self.peer.effective.graceful_restart, is_said) {
            (GracefulRestart::Restarter, false) => "Restart*",
            (GracefulRestart::Helper, false) => "Helper*",
            (GracefulRestart::Disabled, false) => "Disable*",
            (GracefulRestart::Restarter, true) => "Restart",
            (GracefulRestart::Helper, true) => "Helper",
            (GracefulRestart::Disabled, true) => "Disable",
        }
    }

    /// The neighbor's role in restarts.
    pub(super) fn remote_mode(&self) -> &'static str {
        let Some(capabilities) = self.capabilities.as_ref().filter(|it| it.offers_restart()) else {
            return "NotApplicable";
        };
        match capabilities.restart() {
            None => "Disable",
            Some(restart) if restart.families.is_empty() => "Helper",
            Some(_) => "Restart",
        }
    }

    /// Whether the neighbor has restarted, and keeps routes over NOTIFICATIONs.
    pub(super) fn restart_bits(&self) -> (bool, bool) {
        let both = self.capabilities.as_ref().filter(|it| it.offers_restart());
        let restart = both.and_then(Capabilities::restart);
        restart.map_or((false, false), |it| (it.restarting, it.notification))
    }

    /// Seconds the neighbor asked to be waited for.
    pub(super) fn remote_restart_time(&self) -> u16 {
        let restart = self.capabilities.as_ref().and_then(Capabilities::restart);
        let before = || self.overflow()?.restart_time;
        restart.map(|it| it.time).or_else(before).unwrap_or(0)
    }

    /// Whether the neighbor has gone on forwarding in a family.
    pub(super) fn has_forwarded(&self, family: Family) -> bool {
        let restart = self.capabilities.as_ref().and_then(Capabilities::restart);
        restart.is_some_and(|it| it.families.contains(&(family.into(), true)))
    }

    /// Whether nothing has been sent since the end of a table.
    pub(super) fn ended_last(&self, family: Family) -> bool {
        let record = &self.peer.record;
        *record.updates_at_end.get(family) == record.sent.updates
    }

    /// Hold time and keepalive interval that hold now.
    pub(super) fn timers(&self) -> (u16, u16) {
        self.peer.session.timers()
    }

    /// The longest segment that TCP sends to it now; 0 without a connection.
    pub(super) fn segment_size(&self) -> u32 {
        self.peer.record.tcp.segment
    }

    /// What it is limited to, where that is told: FRR 10 always does.
    pub(super) fn segment_limit(&self) -> Option<u16> {
        let said = self.peer.effective.tcp_mss;
        said.or(self.view.is_ten().then_some(0))
    }

    /// Round trip time in milliseconds, where there is so much to be told; FRR 10 tells it always.
    pub(super) fn round_trip(&self) -> Option<u32> {
        let milliseconds = self.peer.record.tcp.round_trip;
        let is_told = milliseconds > 0 || self.view.is_ten();
        Some(milliseconds).filter(|_| is_told && is_up(self.peer))
    }

    /// What FRR 10 counts of routes that are of no use: its names in JSON and in text.
    pub(super) fn lost_routes(&self) -> [(&'static str, &'static str, u64); 7] {
        let lost = &self.peer.record.lost;
        [
            ("inboundFiltered", "Inbound filtered", lost.filtered),
            ("aspathLoop", "AS-PATH loop", lost.as_loop),
            ("originatorLoop", "Originator loop", lost.originator_loop),
            ("clusterLoop", "Cluster loop", lost.cluster_loop),
            ("invalidNextHop", "Invalid next-hop", lost.next_hop),
            ("withdrawn", "Withdrawn", lost.withdrawn),
            ("attributesDiscarded", "Attributes discarded", 0),
        ]
    }

    /// How many hops away it may be.
    pub(super) fn hops(&self) -> u8 {
        let effective = &self.peer.effective;
        match self.view.is_internal(self.peer) {
            true => 255,
            false => effective.ttl_security.or(effective.ebgp_multihop).unwrap_or(1),
        }
    }

    /// The ends of the connection.
    pub(super) fn ends(&self) -> Option<Endpoints> {
        // FRR forgets them with the session, unless that went down because of too many prefixes.
        let ends = self.peer.endpoints.filter(|_| is_up(self.peer));
        ends.or_else(|| self.overflow()?.ends)
    }

    /// That it is down because of too many prefixes.
    pub(super) fn overflow(&self) -> Option<Overflow> {
        self.peer.overflow().filter(|_| !is_up(self.peer))
    }

    /// Its identifier, as long as FRR knows it.
    pub(super) fn router_id(&self) -> Option<Ipv4Addr> {
        let is_known = is_up(self.peer) || self.overflow().is_some();
        self.peer.record.router_id.filter(|_| is_known)
    }

    /// The range that let it in (`bgp listen range`).
    pub(super) fn range(&self) -> Option<IpNet> {
        self.peer.let_in_by.as_deref()?;
        let (range, _) = self.view.bgp()?.range_around(self.peer.remote?)?;
        Some(*range)
    }

    /// Until something is tried again, and whether that is to connect; else to begin at all.
    pub(super) fn next_try(&self) -> Option<(bool, Duration)> {
        let deadline = self.peer.session.deadline()?;
        let due = deadline.saturating_sub(self.view.now);
        match self.peer.session.state() {
            State::Connect | State::Active => Some((true, due)),
            State::Idle => Some((false, due)),
            _ => None,
        }
    }

    /// The addresses that it is told as next hops.
    pub(super) fn next_hops(&self) -> Option<OwnAddresses> {
        let ends = self.ends()?;
        Some(self.view.speaker.own_addresses(self.peer, &ends))
    }
}
