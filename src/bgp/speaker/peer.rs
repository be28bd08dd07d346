//! A neighbor: its session, who it is, and what it was told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::adj_rib_out::AdjRibOut;
use super::flow::Flow;
use super::import_policy::Intake;
use super::mrai::Mrai;
use super::restart::{Away, Promise};
use super::{Behavior, Endpoints, Interface, Record, Speaker};
use crate::config::{self, Bgp, Effective, EffectiveFamily, PeerName, RemoteAs};
use crate::session::{Agreement, ConnectionId, Session, Settings, Time};
use crate::table::{Source, SourceId};
use crate::wire::{
    AfiSafi, Attributes, Capability, Family, GracefulRestart, Message, NextHop, Options, PerFamily, encode,
};

/// A route as a neighbor was told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// What was said about it.
    pub attributes: Arc<Attributes>,
    /// The way.
    pub next_hop: NextHop,
}

/// A neighbor.
pub struct Peer {
    /// Its number, which is also that of the source of its routes.
    pub id: SourceId,
    /// How it is configured.
    pub name: PeerName,
    /// All that is configured for it.
    pub effective: Effective,
    /// Its address, once that is known.
    pub remote: Option<IpAddr>,
    /// The interface it is on, if that is how it is known.
    pub interface: Option<u32>,
    /// The session with it.
    pub session: Session,
    /// What is remembered of it, over the ends of sessions.
    pub record: Record,
    /// The ends of the connection the session is up on.
    pub endpoints: Option<Endpoints>,
    /// What it was told.
    pub(super) adj_rib_out: PerFamily<AdjRibOut>,
    /// What it has told, before any policy, and how much of it there may be.
    pub(super) intake: Intake,
    pub(super) source: Option<Arc<Source>>,
    pub(super) incoming: BTreeMap<ConnectionId, Incoming>,
    /// The peer-group that let it in (`bgp listen range`), if it is not configured itself.
    pub let_in_by: Option<String>,
    /// What it has said of its restarts.
    pub(super) promise: Promise,
    /// What it is not told yet.
    pub(super) mrai: Mrai,
    /// How far it has taken what it was told.
    pub(super) flow: Flow,
    /// That it is away, or is back and has not told everything again.
    pub away: Option<Away>,
    /// Until when routes may stand that it has not told again since it began to tell all of them anew.
    pub(super) refreshing: PerFamily<Option<Time>>,
}

/// A connection's octets that are no whole message yet.
pub(super) struct Incoming {
    pub(super) endpoints: Endpoints,
    pub(super) octets: Vec<u8>,
}

impl Peer {
    pub(super) fn new(
        id: SourceId,
        name: PeerName,
        effective: Effective,
        settings: Settings,
        seed: u64,
    ) -> Peer {
        let remote = match &name {
            PeerName::Address(address) => Some(*address),
            PeerName::Interface(_) => None,
        };
        Peer {
            id,
            name,
            effective,
            remote,
            interface: None,
            session: Session::new(settings, seed.wrapping_add(id.0.into())),
            record: Record::default(),
            endpoints: None,
            adj_rib_out: PerFamily::default(),
            intake: Intake::default(),
            source: None,
            incoming: BTreeMap::new(),
            let_in_by: None,
            promise: Promise::default(),
            mrai: Mrai::default(),
            flow: Flow::default(),
            away: None,
            refreshing: PerFamily::default(),
        }
    }

    /// Whether it is away, and its routes are kept until it is back.
    pub fn is_away(&self) -> bool {
        self.away.is_some_and(|away| away.back_until.is_some())
    }

    /// Whether it came by itself (`bgp listen range`).
    pub fn is_dynamic(&self) -> bool {
        self.let_in_by.is_some()
    }

    /// What is configured for it in a family.
    pub fn family(&self, family: Family) -> &EffectiveFamily {
        match family {
            Family::Ipv4Unicast => &self.effective.ipv4,
            Family::Ipv6Unicast => &self.effective.ipv6,
            Family::L2vpnEvpn => &self.effective.evpn,
        }
    }

    /// Whether routes of a family are exchanged with it now.
    pub fn exchanges(&self, family: Family) -> bool {
        let agreement = self.session.agreement();
        agreement.is_some_and(|agreement| *agreement.families.get(family))
    }

    /// The families of routes that are exchanged.
    pub(super) fn exchanged(&self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(|family| self.exchanges(*family))
    }

    /// Whether a connection comes from it.
    pub(super) fn is_at(&self, endpoints: &Endpoints) -> bool {
        self.remote == Some(endpoints.remote)
            && (self.interface.is_none() || self.interface == endpoints.interface)
    }

    pub(super) fn begin(&mut self, id: ConnectionId, endpoints: Endpoints) {
        let octets = Vec::new();
        self.incoming.insert(id, Incoming { endpoints, octets });
    }

    /// How messages on its connections are written and read.
    pub(super) fn options(&self) -> Options {
        // Before there is an agreement there is nothing that hangs on one.
        self.session
            .agreement()
            .map_or_else(Options::default, |agreement| agreement.options)
    }

    pub(super) fn write(&mut self, message: &Message, now: Time) -> Vec<u8> {
        let mut octets = Vec::new();
        encode(message, &self.options(), &mut octets);
        self.record.sent.count(&octets);
        self.record.last_sent = Some(now);
        octets
    }

    pub(super) fn agreement(&self) -> Option<&Agreement> {
        self.session.agreement()
    }
}

/// Several paths to a prefix are understood, and sent (RFC 7911 section 4).
const RECEIVE: u8 = 1;
const SEND: u8 = 2;
/// AFI of IPv6.
const IPV6: u16 = 2;

/// Families of which several routes to a prefix are taken and sent. As with FRR they are sent of all, or of none.
fn several_paths(effective: &Effective) -> Vec<(AfiSafi, u8)> {
    let all = [
        (Family::Ipv4Unicast, &effective.ipv4),
        (Family::Ipv6Unicast, &effective.ipv6),
        (Family::L2vpnEvpn, &effective.evpn),
    ];
    let active = || all.into_iter().filter(|(_, settings)| settings.activate);
    let sends = active().any(|(_, settings)| settings.addpath.is_some());
    let modes = active().map(|(family, settings)| {
        let takes = if settings.disable_addpath_rx { 0 } else { RECEIVE };
        (family.into(), takes | if sends { SEND } else { 0 })
    });
    modes.collect()
}

/// What is said about restarts: whose routes are kept, if it is more than to help the neighbor with its own.
fn restart_capabilities(bgp: &Bgp, effective: &Effective, families: &[Family]) -> Vec<Capability> {
    let restart = &bgp.graceful_restart;
    let all = || families.iter().map(|family| AfiSafi::from(*family));
    let kept = match effective.graceful_restart {
        config::GracefulRestart::Disabled => return Vec::new(),
        config::GracefulRestart::Helper => Vec::new(),
        config::GracefulRestart::Restarter => all()
            .map(|family| (family, restart.preserve_forwarding))
            .collect(),
    };
    vec![
        Capability::GracefulRestart(GracefulRestart {
            restarting: false,
            notification: restart.notification,
            time: restart.restart_time,
            families: kept,
        }),
        // FRR says it to whom it says the other, though it keeps nothing for long unless told to.
        Capability::LongLivedRestart(all().map(|family| (family, true, 0)).collect()),
    ]
}

impl Speaker {
    /// What a session with a neighbor is to be like.
    pub(super) fn session_settings(&self, bgp: &Bgp, name: &PeerName, effective: &Effective) -> Settings {
        let local_as = effective.local_as.map_or(bgp.asn, |local| local.asn);
        Settings {
            local_as,
            // A neighbor of which nobody has said the AS is not started.
            remote_as: effective.remote_as.unwrap_or(RemoteAs::External),
            router_id: self.router_id(),
            hold_time: effective.timers.hold,
            keepalive: effective.timers.keepalive,
            connect_retry: effective.connect_retry,
            delay_open: effective.delay_open,
            eager: self.behavior.is_eager(),
            passive: effective.passive,
            capabilities: self.capabilities(bgp, name, effective),
            families: PerFamily {
                ipv4: effective.ipv4.activate,
                ipv6: effective.ipv6.activate,
                evpn: effective.evpn.activate,
            },
            overrides: effective.override_capability,
            hard_administrative_reset: bgp.flags.hard_administrative_reset,
            strict: effective.strict_capability_match,
            restarting_until: self
                .begun
                .filter(|_| self.behavior == Behavior::Frr)
                .map(|begun| {
                    let time = u64::from(bgp.graceful_restart.restart_time);
                    begun + Duration::from_secs(time)
                }),
        }
    }

    /// What this side can do, in FRR's order.
    fn capabilities(&self, bgp: &Bgp, name: &PeerName, effective: &Effective) -> Vec<Capability> {
        if effective.dont_capability_negotiate {
            return Vec::new();
        }
        let active = |family: &Family| match family {
            Family::Ipv4Unicast => effective.ipv4.activate,
            Family::Ipv6Unicast => effective.ipv6.activate,
            Family::L2vpnEvpn => effective.evpn.activate,
        };
        let families: Vec<Family> = Family::ALL.into_iter().filter(active).collect();
        let local_as = effective.local_as.map_or(bgp.asn, |local| local.asn);
        if self.behavior == Behavior::GoBgp {
            let families: Vec<AfiSafi> = families.into_iter().map(Into::into).collect();
            let mut said = self.gobgp_capabilities(bgp, effective, &families);
            said.push(Capability::FourOctetAs(local_as));
            return said;
        }
        let over_v4 = matches!(name, PeerName::Address(IpAddr::V4(_)));
        let mut said = Vec::new();
        for family in &families {
            said.push(Capability::Multiprotocol((*family).into()));
            if *family == Family::Ipv4Unicast && effective.extended_nexthop && !over_v4 {
                said.push(Capability::ExtendedNextHop(vec![((*family).into(), IPV6)]));
            }
        }
        said.extend([
            Capability::OldRouteRefresh,
            Capability::RouteRefresh,
            Capability::EnhancedRouteRefresh,
            Capability::FourOctetAs(local_as),
            Capability::ExtendedMessages,
            Capability::AddPath(several_paths(effective)),
        ]);
        if effective.capability_dynamic {
            said.extend([Capability::Dynamic(true), Capability::Dynamic(false)]);
        }
        said.push(Capability::Fqdn {
            host: self.hostname.clone(),
            domain: String::new(),
        });
        said.extend(restart_capabilities(bgp, effective, &families));
        said
    }

    /// The interface a neighbor is reached by.
    pub(super) fn interface_of(&self, peer: &Peer) -> Option<&Interface> {
        if let Some(index) = peer.interface {
            return self.interfaces.get(*self.interface_places.get(&index)?);
        }
        let remote = peer.remote?;
        self.interfaces
            .iter()
            .find(|it| it.up && it.nets().any(|net| net.contains(&remote)))
    }
}
