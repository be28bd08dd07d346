//! What two OPENs amount to.

use std::net::Ipv4Addr;

use super::Settings;
use crate::wire::{AfiSafi, Capability, Family, GracefulRestart, Open, Options, PerFamily};

/// AFI of IPv6, as the family of next hops (RFC 8950 section 4).
const AFI_IPV6: u16 = 2;
const RECEIVES: u8 = 1;
const SENDS: u8 = 2;

/// What both sides of a session can do, and who the other is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The neighbor's AS.
    pub remote_as: u32,
    /// The neighbor's identifier.
    pub remote_id: Ipv4Addr,
    /// The neighbor's name, where it gave one.
    pub remote_name: Option<String>,
    /// Families of routes that are exchanged.
    pub families: PerFamily<bool>,
    /// How messages are written.
    pub options: Options,
    /// Seconds; 0 is for ever.
    pub hold_time: u16,
    /// Seconds between keepalives; 0 is none.
    pub keepalive: u16,
    /// IPv4 routes may have IPv6 next hops.
    pub extended_next_hop: bool,
    /// Routes can be asked for again.
    pub route_refresh: bool,
    /// A refresh's beginning and end are marked.
    pub enhanced_route_refresh: bool,
    /// What the neighbor says about its restarts, where both know of them.
    pub graceful_restart: Option<GracefulRestart>,
    /// Both keep routes over NOTIFICATIONs, unless these say otherwise (RFC 8538 section 2).
    pub notification: bool,
    /// What the neighbor said it can do.
    pub remote_capabilities: Vec<Capability>,
}

impl Agreement {
    /// The agreement, unless there is no family that both know.
    pub(super) fn new(ours: &Open, theirs: &Open, settings: &Settings) -> Option<Agreement> {
        let (own, other) = (Said::of(ours), Said::of(theirs));
        if settings.strict && !own.is_alike(&other) {
            return None;
        }
        let mut families = PerFamily::default();
        let mut options = Options {
            four_octet: own.four_octet && other.four_octet,
            heard_four_octet: other.four_octet,
            extended_messages: own.extended_messages && other.extended_messages,
            internal: ours.asn == theirs.asn,
            ..Options::default()
        };
        for family in Family::ALL {
            let knows = settings.overrides || other.knows(family);
            *families.get_mut(family) = *settings.families.get(family) && knows;
            let (ours, theirs) = (own.add_path(family), other.add_path(family));
            *options.add_path_send.get_mut(family) = ours & SENDS != 0 && theirs & RECEIVES != 0;
            *options.add_path_receive.get_mut(family) = ours & RECEIVES != 0 && theirs & SENDS != 0;
        }
        if !Family::ALL.iter().any(|family| *families.get(*family)) {
            return None;
        }
        let notification = own.keeps_over_notifications() && other.keeps_over_notifications();
        let hold_time = ours.hold_time.min(theirs.hold_time);
        Some(Agreement {
            remote_as: theirs.asn,
            remote_id: theirs.router_id,
            remote_name: other.name,
            families,
            options,
            hold_time,
            // A third of the hold time, so that two may be lost (RFC 4271 section 4.4).
            keepalive: settings.keepalive.min(hold_time / 3),
            extended_next_hop: own.extended_next_hop && other.extended_next_hop,
            route_refresh: own.route_refresh && other.route_refresh,
            enhanced_route_refresh: own.enhanced_route_refresh && other.enhanced_route_refresh,
            notification,
            graceful_restart: own.graceful_restart.and(other.graceful_restart),
            remote_capabilities: theirs.capabilities.clone(),
        })
    }
}

/// Capabilities of an OPEN, sorted.
#[derive(Default)]
struct Said {
    families: Vec<AfiSafi>,
    add_path: Vec<(AfiSafi, u8)>,
    four_octet: bool,
    extended_messages: bool,
    extended_next_hop: bool,
    route_refresh: bool,
    enhanced_route_refresh: bool,
    graceful_restart: Option<GracefulRestart>,
    name: Option<String>,
    unknown: bool,
}

impl Said {
    fn of(open: &Open) -> Said {
        let mut said = Said::default();
        for capability in &open.capabilities {
            match capability {
                Capability::Multiprotocol(family) => said.families.push(*family),
                Capability::RouteRefresh | Capability::OldRouteRefresh => said.route_refresh = true,
                Capability::ExtendedNextHop(families) => {
                    let ipv4 = AfiSafi::from(Family::Ipv4Unicast);
                    said.extended_next_hop |= families.contains(&(ipv4, AFI_IPV6));
                }
                Capability::ExtendedMessages => said.extended_messages = true,
                Capability::GracefulRestart(restart) => said.graceful_restart = Some(restart.clone()),
                Capability::FourOctetAs(_) => said.four_octet = true,
                Capability::AddPath(families) => said.add_path.extend(families),
                Capability::EnhancedRouteRefresh => said.enhanced_route_refresh = true,
                Capability::Fqdn { host, .. } => {
                    said.name = Some(host.clone()).filter(|name| !name.is_empty())
                }
                Capability::Unknown { .. } => said.unknown = true,
                Capability::Dynamic(_) | Capability::LongLivedRestart(_) => {}
            }
        }
        said
    }

    /// Who says nothing about families may know any: FRR takes that for all that are configured.
    fn knows(&self, family: Family) -> bool {
        self.families.is_empty() || self.families.contains(&family.into())
    }

    /// Whether both know the same families, and nothing besides that this side does not understand.
    fn is_alike(&self, other: &Said) -> bool {
        let has = |said: &Said, family: Family| said.families.contains(&family.into());
        let same = |family: &Family| has(self, *family) == has(other, *family);
        !other.unknown && Family::ALL.iter().all(same)
    }

    fn keeps_over_notifications(&self) -> bool {
        let restart = self.graceful_restart.as_ref();
        restart.is_some_and(|restart| restart.notification)
    }

    fn add_path(&self, family: Family) -> u8 {
        let family = AfiSafi::from(family);
        let found = self.add_path.iter().find(|(known, _)| *known == family);
        found.map_or(0, |(_, modes)| *modes)
    }
}
