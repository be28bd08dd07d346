//! Everything about a route as JSON.

use ipnet::IpNet;

use super::detail::Origination;
use super::json::{Json, Object, text};
use super::path::Path;
use super::{View, clock};
use crate::config::PeerName;
use crate::speaker::Peer;
use crate::table::NextHopState;
use crate::wire::{AsPath, Community, NextHop, Segment};

/// A prefix of a table with `json detail`: what holds for the prefix, then its routes.
pub(super) fn of_prefix(view: &View, prefix: IpNet, paths: &[Path]) -> Vec<Json> {
    let head = paths.first().map(|path| head(view, prefix, path).into());
    head.into_iter()
        .chain(paths.iter().map(|path| path.detail_as_json(view)))
        .collect()
}

/// What holds for all routes of a prefix.
pub(super) fn head(view: &View, prefix: IpNet, path: &Path) -> Object {
    let mut object = Object::new()
        .with("prefix", text(prefix))
        .with("version", path.version(view));
    if !view.tells_several(path.family) {
        put_told(&mut object, &view.told(path.family, &prefix));
    }
    object
}

fn put_told(object: &mut Object, peers: &[&Peer]) {
    let mut told = Object::new();
    for peer in peers {
        let mut it = Object::new();
        it.put_some("hostname", peer.record.name.as_deref());
        told.put(peer.name.to_string(), it);
    }
    if !told.is_empty() {
        object.put("advertisedTo", told);
    }
}

impl<'s> Path<'s> {
    /// The route by itself.
    pub(super) fn detail_as_json(&self, view: &View<'s>) -> Json {
        let attributes = &self.route.attributes;
        let mut object = Object::new();
        object.put("aspath", self.path_as_json());
        object.put_if("announceNexthopSelf", self.route.is_imported());
        object.put_if("stale", self.route.is_stale());
        if let Some((asn, id)) = attributes.aggregator {
            object.put("aggregatorAs", asn);
            object.put("aggregatorId", text(id));
        }
        let settings = self.peer(view).map(|peer| peer.family(self.family));
        object.put_if(
            "rxedFromRrClient",
            settings.is_some_and(|it| it.route_reflector_client),
        );
        object.put_if(
            "rxedFromRsClient",
            settings.is_some_and(|it| it.route_server_client),
        );
        object.put("origin", text(attributes.origin));
        object.put_some("metric", attributes.med);
        object.put_some("locPrf", attributes.local_pref);
        object.put_some("weight", Some(self.route.weight).filter(|weight| *weight > 0));
        object.put_some("tag", Some(self.route.tag).filter(|tag| *tag > 0));
        object.put("valid", self.is_valid());
        object.put("version", self.version(view));
        let origination = self.origination(view);
        object.put_if(
            "sourced",
            origination.is_some_and(|it| it != Origination::Aggregate),
        );
        object.put_if("aggregated", origination == Some(Origination::Aggregate));
        object.put_if(
            "local",
            origination.is_some_and(|it| it != Origination::Redistributed),
        );
        object.put_if("atomicAggregate", attributes.atomic_aggregate);
        object.put_if("multipath", self.is_shared());
        let mut best = Object::new();
        best.put_some("bestpathFromAs", self.best_of_as(view));
        if self.is_best() {
            best.put("overall", true);
            best.put_some("selectionReason", self.destination.reason().map(|it| it.name()));
        }
        if !best.is_empty() {
            object.put("bestpath", best);
        }
        self.put_communities(&mut object);
        self.put_rest(view, &mut object);
        object.into()
    }

    fn path_as_json(&self) -> Object {
        let path = &self.route.attributes.as_path;
        Object::new()
            .with("string", self.as_path())
            .with("segments", segments(path))
            .with("length", path.length())
    }

    fn put_communities(&self, object: &mut Object) {
        let attributes = &self.route.attributes;
        if !attributes.communities.is_empty() {
            let list = attributes.communities.iter().map(|it| community(*it).into());
            object.put(
                "community",
                Object::new()
                    .with("string", joined(&attributes.communities))
                    .with("list", list.collect::<Vec<Json>>()),
            );
        }
        if !attributes.extended_communities.is_empty() {
            let string = joined(&attributes.extended_communities);
            object.put("extendedCommunity", Object::new().with("string", string));
        }
        if !attributes.large_communities.is_empty() {
            let list = attributes.large_communities.iter().map(text);
            object.put(
                "largeCommunity",
                Object::new()
                    .with("string", joined(&attributes.large_communities))
                    .with("list", list.collect::<Vec<Json>>()),
            );
        }
    }

    fn put_rest(&self, view: &View<'s>, object: &mut Object) {
        let attributes = &self.route.attributes;
        object.put_some("originatorId", attributes.originator_id.map(text));
        if !attributes.cluster_list.is_empty() {
            let list = attributes.cluster_list.iter().map(text);
            object.put(
                "clusterList",
                Object::new().with("list", list.collect::<Vec<Json>>()),
            );
        }
        if let Some((received, [all, best_per_as])) = self.path_ids(view) {
            object.put("addpathRxId", received);
            object.put("addpathTxId", all);
            object.put("addpathTxIdAll", all);
            object.put("addpathTxIdBestPerAS", best_per_as);
        }
        if view.tells_several(self.family) {
            put_told(object, &self.told_to(view));
        }
        let at = self.told_at(view);
        object.put(
            "lastUpdate",
            Object::new()
                .with("epoch", at.as_secs())
                .with("string", clock::date(at) + "\n"),
        );
        object.put_if("fibInstalled", self.is_redistributed(view));
        object.put("nexthops", self.detailed_next_hops(view));
        object.put("peer", self.told_by(view));
    }

    /// Whether the prefix is in the kernel because it comes from there.
    fn is_redistributed(&self, view: &View<'s>) -> bool {
        let mut routes = self.destination.routes().iter();
        routes.any(|route| Path { route, ..*self }.origination(view) == Some(Origination::Redistributed))
    }

    fn detailed_next_hops(&self, view: &View<'s>) -> Vec<Json> {
        let entry = |address, scope| self.next_hop_entry(view, address, scope);
        let with_metric = |mut object: Object| {
            if let NextHopState::Reachable(cost) = self.route.next_hop_state() {
                object.put("metric", cost);
            }
            object.with("accessible", self.is_valid())
        };
        let (first, second) = match self.route.next_hop {
            NextHop::V4(address) => (with_metric(entry(address.into(), None)), None),
            NextHop::V6 { global, link_local } => {
                let second = link_local.map(|local| {
                    entry(local.into(), Some("link-local"))
                        .with("accessible", self.is_valid())
                        .with("used", true)
                });
                (with_metric(entry(global.into(), Some("global"))), second)
            }
        };
        match second {
            Some(second) => vec![first.into(), second.into()],
            None => vec![first.with("used", true).into()],
        }
    }

    fn told_by(&self, view: &View<'s>) -> Object {
        let mut object = Object::new();
        let address = self.route.source.address.unwrap_or(self.own_address());
        object.put("peerId", text(address));
        object.put("routerId", text(self.route.source.router_id));
        if let Some(peer) = self.peer(view) {
            object.put_some("hostname", peer.record.name.as_deref());
            if let PeerName::Interface(name) = &peer.name {
                object.put("interface", name.as_str());
            }
            object.put(
                "type",
                if self.is_internal() {
                    "internal"
                } else {
                    "external"
                },
            );
        } else if self.route.is_imported() {
            object.put_some("hostname", view.speaker.name_by_evpn(self.route.source.id));
            object.put(
                "type",
                if self.is_internal() {
                    "internal"
                } else {
                    "external"
                },
            );
        }
        object
    }
}

fn joined(items: &[impl ToString]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(" ")
}

/// FRR writes the names of well-known communities without dashes here.
fn community(community: Community) -> String {
    let mut name = String::new();
    let printed = community.to_string();
    if community == Community::LOCAL_AS {
        return "localAs".to_owned();
    }
    // bgpd writes these in one word.
    if printed.starts_with("accept-own") {
        return printed.replace('-', "");
    }
    let mut after_dash = false;
    for letter in printed.chars() {
        match letter {
            '-' => after_dash = true,
            letter if after_dash => {
                name.extend(letter.to_uppercase());
                after_dash = false;
            }
            letter => name.push(letter),
        }
    }
    name
}

fn segments(path: &AsPath) -> Vec<Json> {
    let kind = |segment: &Segment| match segment {
        Segment::Sequence(_) => "as-sequence",
        Segment::Set(_) => "as-set",
        Segment::ConfedSequence(_) => "as-confed-sequence",
        Segment::ConfedSet(_) => "as-confed-set",
    };
    let segments = path.segments.iter().map(|segment| {
        let list: Vec<Json> = segment.asns().iter().map(|asn| Json::from(*asn)).collect();
        Object::new()
            .with("type", kind(segment))
            .with("list", list)
            .into()
    });
    segments.collect()
}
