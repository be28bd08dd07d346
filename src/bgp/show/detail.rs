//! The lines that tell everything about a route.

use std::fmt::Write;
use std::net::IpAddr;

use super::path::Path;
use super::{View, clock};
use crate::speaker::REDISTRIBUTED;
use crate::table::NextHopState;
use crate::wire::{Family, NextHop};

/// Where a route of this router's own comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origination {
    /// `redistribute`.
    Redistributed,
    /// `network`.
    Network,
    /// `aggregate-address`.
    Aggregate,
}

impl<'s> Path<'s> {
    /// The lines of a route.
    pub(super) fn detail(&self, view: &View<'s>) -> String {
        let mut out = self.imported_line(view);
        let _ = writeln!(out, "  {}", self.path_line(view));
        let _ = writeln!(out, "    {}", self.way_line(view));
        out += &self.second_way();
        let _ = writeln!(out, "      {}", self.attributes_line(view));
        let attributes = &self.route.attributes;
        let mut list = |name: &str, items: Vec<String>| {
            if !items.is_empty() {
                let _ = writeln!(out, "      {name}: {}", items.join(" "));
            }
        };
        let strings = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>();
        list(
            "Community",
            strings(&mut attributes.communities.iter().map(ToString::to_string)),
        );
        list(
            "Extended Community",
            strings(&mut attributes.extended_communities.iter().map(ToString::to_string)),
        );
        list(
            "Large Community",
            strings(&mut attributes.large_communities.iter().map(ToString::to_string)),
        );
        out += &self.reflection();
        out += &self.path_id_line(view);
        out += &self.told_line(view);
        let _ = writeln!(out, "      Last update: {}", clock::date(self.told_at(view)));
        out
    }

    /// When the route came, since 1970.
    pub(super) fn told_at(&self, view: &View) -> std::time::Duration {
        let ago = view.now.saturating_sub(self.route.since());
        view.unix.saturating_sub(ago)
    }

    fn path_line(&self, view: &View<'s>) -> String {
        let attributes = &self.route.attributes;
        let mut line = self.as_path();
        if self.route.is_stale() {
            line += ", (stale)";
        }
        if let Some((asn, id)) = attributes.aggregator {
            let _ = write!(line, ", (aggregated by {asn} {id})");
        }
        let settings = self.peer(view).map(|peer| peer.family(self.family));
        if settings.is_some_and(|it| it.route_reflector_client) {
            line += ", (Received from a RR-client)";
        }
        if settings.is_some_and(|it| it.route_server_client) {
            line += ", (Received from a RS-client)";
        }
        line
    }

    /// The path; of a route that began in this AS, `Local`.
    pub(super) fn as_path(&self) -> String {
        match self.route.attributes.as_path.segments.is_empty() {
            true => "Local".to_owned(),
            false => self.route.attributes.as_path.to_string(),
        }
    }

    fn way_line(&self, view: &View<'s>) -> String {
        let shows = view.bgp().is_some_and(|bgp| bgp.flags.show_nexthop_hostname);
        let address = match self.route.next_hop {
            NextHop::V4(address) => IpAddr::V4(address),
            NextHop::V6 { global, .. } => IpAddr::V6(global),
        };
        let mut line = address.to_string();
        if let Some(name) = self.hostname(view).filter(|_| shows) {
            let _ = write!(line, "({name})");
        }
        match self.route.next_hop_state() {
            NextHopState::Unreachable => line += " (inaccessible)",
            NextHopState::Reachable(0) => {}
            NextHopState::Reachable(cost) => {
                let _ = write!(line, " (metric {cost})");
            }
        }
        let from = self
            .peer(view)
            .map_or_else(|| self.teller(view), |peer| view.shown(peer));
        let _ = write!(line, " from {from} ({})", self.told_by_id());
        if self.route.is_imported() {
            line += " announce-nh-self";
        }
        line
    }

    /// Whoever told it that is no neighbor here: this router, or a neighbor that EVPN brought it from.
    fn teller(&self, view: &View<'s>) -> String {
        let shows = view.bgp().is_some_and(|bgp| bgp.flags.show_hostname);
        match (
            self.route.source.address,
            view.speaker.name_by_evpn(self.route.source.id),
        ) {
            (Some(address), Some(name)) if shows => format!("{name}({address})"),
            (Some(address), _) => address.to_string(),
            (None, _) => self.own_address().to_string(),
        }
    }

    /// The route of EVPN that a VRF's route was made of.
    fn imported_line(&self, view: &View<'s>) -> String {
        let outer = view
            .outer
            .zip(view.speaker.vrf_name())
            .filter(|_| self.route.is_imported());
        let found = outer.and_then(|(outer, name)| outer.imported_from(name, self.route.path_id));
        let Some((key, path)) = found else {
            return String::new();
        };
        let second = path.l3vni.map(|vni| format!("/{}", vni.0)).unwrap_or_default();
        format!(
            "  Imported from {}:{}, VNI {}{second}\n",
            key.rd, key.route, path.vni.0
        )
    }

    /// The address FRR gives to itself as a neighbor.
    pub(super) fn own_address(&self) -> IpAddr {
        match (self.family, self.route.next_hop) {
            (Family::Ipv4Unicast, NextHop::V4(_)) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            _ => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        }
    }

    /// The identifier of whoever brought the route into the AS.
    pub(super) fn told_by_id(&self) -> std::net::Ipv4Addr {
        let originator = self.route.attributes.originator_id;
        originator.unwrap_or(self.route.source.router_id)
    }

    fn second_way(&self) -> String {
        let NextHop::V6 { link_local, .. } = self.route.next_hop else {
            return String::new();
        };
        match link_local {
            Some(local) if self.is_valid() => format!("    ({local}) (used)\n"),
            Some(local) => format!("    ({local}) (inaccessible)\n"),
            None => String::new(),
        }
    }

    fn attributes_line(&self, view: &View<'s>) -> String {
        let attributes = &self.route.attributes;
        let mut line = format!("Origin {}", attributes.origin);
        if let Some(med) = attributes.med {
            let _ = write!(line, ", metric {med}");
        }
        if let Some(preference) = attributes.local_pref {
            let _ = write!(line, ", localpref {preference}");
        }
        if self.route.weight > 0 {
            let _ = write!(line, ", weight {}", self.route.weight);
        }
        if self.route.tag > 0 {
            let _ = write!(line, ", tag {}", self.route.tag);
        }
        line += if self.is_valid() { ", valid" } else { ", invalid" };
        line += match self.origination(view) {
            None if self.is_internal() => ", internal",
            None => ", external",
            Some(Origination::Redistributed) => ", sourced",
            Some(Origination::Network) => ", sourced, local",
            Some(Origination::Aggregate) => ", aggregated, local",
        };
        if attributes.atomic_aggregate {
            line += ", atomic-aggregate";
        }
        if self.is_shared() {
            line += ", multipath";
        }
        if let Some(asn) = self.best_of_as(view) {
            match asn {
                0 => line += ", bestpath-from-AS Local",
                asn => {
                    let _ = write!(line, ", bestpath-from-AS {asn}");
                }
            }
        }
        if self.is_best() {
            let reason = self.destination.reason().map_or("", |reason| reason.name());
            let _ = write!(line, ", best ({reason})");
        }
        line
    }

    /// Whether it is one of several that packets are shared among.
    pub(super) fn is_shared(&self) -> bool {
        let several = self.destination.multipath().nth(1).is_some();
        several && (self.is_best() || self.is_beside())
    }

    /// The AS the route came from, 0 for none, if it is the best from there: with `bgp deterministic-med` these are found
    /// first.
    pub(super) fn best_of_as(&self, view: &View) -> Option<u32> {
        let bgp = view.bgp()?;
        let best = || view.speaker.best_of_each_as(self.family, self.destination);
        let counts = bgp.flags.deterministic_med && best().iter().any(|best| best.key() == self.route.key());
        counts.then(|| self.route.attributes.as_path.first().unwrap_or(0))
    }

    /// Where a route of this router's own comes from.
    pub(super) fn origination(&self, view: &View) -> Option<Origination> {
        view.bgp().filter(|_| self.is_own())?;
        let attributes = &self.route.attributes;
        Some(match () {
            () if attributes.aggregator.is_some() => Origination::Aggregate,
            () if self.route.source.id == REDISTRIBUTED => Origination::Redistributed,
            () => Origination::Network,
        })
    }

    fn reflection(&self) -> String {
        let attributes = &self.route.attributes;
        if attributes.originator_id.is_none() && attributes.cluster_list.is_empty() {
            return String::new();
        }
        let mut out = String::from("      ");
        if let Some(originator) = attributes.originator_id {
            let _ = write!(out, "Originator: {originator}");
        }
        if !attributes.cluster_list.is_empty() {
            out += ", Cluster list: ";
            for cluster in &attributes.cluster_list {
                let _ = write!(out, "{cluster} ");
            }
        }
        out + "\n"
    }
}
