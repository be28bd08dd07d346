//! What `show bgp neighbors` tells about a neighbor in an address family.

use super::View;
use super::facts::{counts, is_up, local_as};
use super::json::{Json, Object};
use crate::config::{Addpath, EffectiveFamily, Excess};
use crate::speaker::Peer;
use crate::wire::Family;

/// The same facts as lines and as JSON.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) lines: String,
    pub(super) json: Object,
}

impl Facts {
    /// A fact that has a line and a member.
    fn add(&mut self, line: &str, name: &str, value: impl Into<Json>) {
        self.line(line);
        self.json.put(name, value);
    }

    fn add_if(&mut self, condition: bool, line: &str, name: &str) {
        if condition {
            self.add(line, name, true);
        }
    }

    fn line(&mut self, line: &str) {
        self.lines += &format!("  {line}\n");
    }

    fn list(&mut self, list: Option<&String>, known: bool, line: &str, name: &str) {
        if let Some(list) = list {
            let mark = if known { "*" } else { "" };
            self.add(&format!("{line} is {mark}{list}"), name, list.as_str());
        }
    }
}

/// All about a family.
pub(super) fn facts(view: &View, peer: &Peer, family: Family) -> Facts {
    let settings = peer.family(family);
    let mut facts = Facts::default();
    if let Some(group) = group_of(view, peer) {
        facts.add(&format!("{group} peer-group member"), "peerGroupMember", group);
    }
    let up = is_up(peer) && peer.exchanges(family);
    match update_group(view, peer, family).filter(|_| up) {
        Some(number) => {
            facts.line(&format!("Update group {number}, subgroup {number}"));
            facts.line("Packet Queue length 0");
            facts.json.put("updateGroupId", number);
            facts.json.put("subGroupId", number);
            facts.json.put("packetQueueLength", 0);
        }
        None => facts.line("Not part of any update group"),
    }
    add_flags(&mut facts, settings);
    add_communities(&mut facts, settings);
    add_default_route(&mut facts, view, peer, family, settings);
    add_policies(&mut facts, view, family, settings);
    add_missing_policies(&mut facts, view.lacks_policy(peer, family));
    let received = counts(view.speaker.table(family)).remove(&peer.id).unwrap_or(0);
    facts.add(
        &format!("{received} accepted prefixes"),
        "acceptedPrefixCounter",
        received,
    );
    if up {
        facts.json.put("sentPrefixCounter", peer.advertised_count(family));
    }
    add_limit(&mut facts, settings);
    facts
}

/// The peer-group a neighbor is in.
pub(super) fn group_of<'s>(view: &View<'s>, peer: &Peer) -> Option<&'s str> {
    let named = || view.bgp()?.neighbor(&peer.name)?.group.as_deref();
    // The group is in the configuration: a view outlives the neighbor that it let in.
    let let_in = |name: &str| Some(view.bgp()?.groups.get_key_value(name)?.0.as_str());
    peer.let_in_by.as_deref().map_or_else(named, let_in)
}

fn add_flags(facts: &mut Facts, settings: &EffectiveFamily) {
    facts.add_if(
        settings.route_reflector_client,
        "Route-Reflector Client",
        "routeReflectorClient",
    );
    facts.add_if(
        settings.route_server_client,
        "Route-Server Client",
        "routeServerClient",
    );
    facts.add_if(
        settings.soft_reconfiguration,
        "Inbound soft reconfiguration allowed",
        "inboundSoftConfigPermit",
    );
    if let Some(remove) = settings.remove_private_as {
        let (line, name) = match (remove.all, remove.replace) {
            (true, true) => ("(all) replaced", "privateAsNumsAllReplacedInUpdatesToNbr"),
            (false, true) => ("replaced", "privateAsNumsReplacedInUpdatesToNbr"),
            (true, false) => ("(all) removed", "privateAsNumsAllRemovedInUpdatesToNbr"),
            (false, false) => ("removed", "privateAsNumsRemovedInUpdatesToNbr"),
        };
        let line = format!("Private AS numbers {line} in updates to this neighbor");
        facts.add(&line, name, true);
    }
    match settings.addpath {
        Some(Addpath::All) => facts.add("Advertise all paths via addpath", "addpathTxAllPaths", true),
        Some(Addpath::BestPerAs) => facts.add(
            "Advertise bestpath per AS via addpath",
            "addpathTxBestpathPerAS",
            true,
        ),
        None => {}
    }
    if settings.as_override {
        facts.add(
            "Override ASNs in outbound updates if aspath equals remote-as",
            "overrideASNsInOutboundUpdates",
            "ifAspathEqualRemoteAs",
        );
    }
    facts.add_if(
        settings.next_hop_self || settings.next_hop_self_force,
        "NEXT_HOP is always this router",
        "routerAlwaysNextHop",
    );
    let unchanged = settings.attribute_unchanged;
    for (is, attribute, name) in [
        (unchanged.as_path, "AS_PATH", "unchangedAsPathPropogatedToNbr"),
        (unchanged.next_hop, "NEXT_HOP", "unchangedNextHopPropogatedToNbr"),
        (unchanged.med, "MED", "unchangedMedPropogatedToNbr"),
    ] {
        let line = format!("{attribute} is propagated unchanged to this neighbor");
        facts.add_if(is, &line, name);
    }
}

/// Which communities the neighbor is sent: the line has another word for it than the member, which knows none of the large.
fn add_communities(facts: &mut Facts, it: &EffectiveFamily) {
    let (standard, extended, large) = (it.send_community, it.send_extcommunity, it.send_large_community);
    let word = match (standard, extended, large) {
        (true, true, true) => "all",
        (_, _, true) => "large",
        (_, true, false) => "extended",
        (true, false, false) => "standard",
        (false, false, false) => return,
    };
    facts.line(&format!("Community attribute sent to this neighbor({word})"));
    let value = match (standard, extended) {
        (true, true) => "extendedAndStandard",
        (false, true) => "extended",
        (true, false) => "standard",
        (false, false) => return,
    };
    facts.json.put("commAttriSentToNbr", value);
}

/// What RFC 8212 keeps back.
fn add_missing_policies(facts: &mut Facts, (inward, outward): (bool, bool)) {
    for (lacks, way, name) in [
        (inward, "Inbound", "inboundEbgpRequiresPolicy"),
        (outward, "Outbound", "outboundEbgpRequiresPolicy"),
    ] {
        if lacks {
            let line = format!("{way} updates discarded due to missing policy");
            facts.add(&line, name, line.as_str());
        }
    }
}

fn add_default_route(
    facts: &mut Facts,
    view: &View,
    peer: &Peer,
    family: Family,
    settings: &EffectiveFamily,
) {
    let Some(default) = &settings.default_originate else {
        return;
    };
    let map = default.route_map.as_ref();
    let map = map.map_or(String::new(), |map| format!(" default route-map {map},"));
    if let Some(map) = &default.route_map {
        facts.json.put("defaultRouteMap", map.as_str());
    }
    let sent = view.speaker.was_told(peer, family, &family.default_route());
    let (word, name) = if sent {
        ("sent", "defaultSent")
    } else {
        ("not sent", "defaultNotSent")
    };
    facts.add(
        &format!("Default information originate,{map} default {word}"),
        name,
        true,
    );
}

fn add_policies(facts: &mut Facts, view: &View, family: Family, it: &EffectiveFamily) {
    let config = view.speaker.config();
    let v4 = family == Family::Ipv4Unicast;
    let prefix_lists = if v4 {
        &config.prefix_lists
    } else {
        &config.prefix_lists6
    };
    let access_lists = if v4 {
        &config.access_lists
    } else {
        &config.access_lists6
    };
    let has = |list: &Option<String>, known: &dyn Fn(&str) -> bool| list.as_deref().is_some_and(known);
    let prefix = |name: &str| prefix_lists.get(name).is_some();
    let access = |name: &str| access_lists.get(name).is_some();
    let path = |name: &str| config.as_path_lists.get(name).is_some();
    let map = |name: &str| config.route_maps.get(name).is_some();
    facts.add_if(
        it.has_policy_in(),
        "Inbound path policy configured",
        "inboundPathPolicyConfig",
    );
    facts.add_if(
        it.has_policy_out() || it.unsuppress_map.is_some(),
        "Outbound path policy configured",
        "outboundPathPolicyConfig",
    );
    let lists: [(&Option<String>, bool, &str, &str); 9] = [
        (
            &it.distribute_list_in,
            has(&it.distribute_list_in, &access),
            "Incoming update network filter list",
            "incomingUpdateNetworkFilterList",
        ),
        (
            &it.distribute_list_out,
            has(&it.distribute_list_out, &access),
            "Outgoing update network filter list",
            "outgoingUpdateNetworkFilterList",
        ),
        (
            &it.prefix_list_in,
            has(&it.prefix_list_in, &prefix),
            "Incoming update prefix filter list",
            "incomingUpdatePrefixFilterList",
        ),
        (
            &it.prefix_list_out,
            has(&it.prefix_list_out, &prefix),
            "Outgoing update prefix filter list",
            "outgoingUpdatePrefixFilterList",
        ),
        (
            &it.filter_list_in,
            has(&it.filter_list_in, &path),
            "Incoming update AS path filter list",
            "incomingUpdateAsPathFilterList",
        ),
        (
            &it.filter_list_out,
            has(&it.filter_list_out, &path),
            "Outgoing update AS path filter list",
            "outgoingUpdateAsPathFilterList",
        ),
        (
            &it.route_map_in,
            has(&it.route_map_in, &map),
            "Route map for incoming advertisements",
            "routeMapForIncomingAdvertisements",
        ),
        (
            &it.route_map_out,
            has(&it.route_map_out, &map),
            "Route map for outgoing advertisements",
            "routeMapForOutgoingAdvertisements",
        ),
        (
            &it.unsuppress_map,
            has(&it.unsuppress_map, &map),
            "Route map for selective unsuppress",
            "selectiveUnsuppressRouteMap",
        ),
    ];
    for (list, known, line, name) in lists {
        facts.list(list.as_ref(), known, line, name);
    }
}

fn add_limit(facts: &mut Facts, settings: &EffectiveFamily) {
    if let Some(limit) = settings.maximum_prefix_out {
        facts.add(
            &format!("Maximum allowed prefixes sent {limit}"),
            "prefixOutAllowedMax",
            limit,
        );
    }
    let Some(maximum) = settings.maximum_prefix else {
        return;
    };
    let warns = maximum.excess == Excess::Warning;
    let note = if warns { " (warning-only)" } else { "" };
    facts.add(
        &format!("Maximum prefixes allowed {}{note}", maximum.limit),
        "prefixAllowedMax",
        maximum.limit,
    );
    if warns {
        facts.json.put("prefixAllowedMaxWarning", true);
    }
    let again = match maximum.excess {
        Excess::Restart(minutes) => format!(", restart interval {minutes} min"),
        Excess::Warning | Excess::Shutdown => String::new(),
    };
    facts.add(
        &format!("Threshold for warning message {}%{again}", maximum.threshold),
        "prefixAllowedWarningThresh",
        maximum.threshold,
    );
    if let Excess::Restart(minutes) = maximum.excess {
        let pause = u32::from(minutes) * 60_000;
        facts.json.put("prefixAllowedRestartIntervalMsecs", pause);
    }
}

/// The number of the group of neighbors that are told the same, in the order in which these came up.
pub(super) fn update_group(view: &View, peer: &Peer, family: Family) -> Option<usize> {
    let mut up: Vec<&Peer> = view.peers().into_iter().filter(|peer| is_up(peer)).collect();
    up.sort_by_key(|peer| peer.record.changed);
    let members = up
        .iter()
        .flat_map(|peer| Family::ALL.map(|family| (*peer, family)));
    let mut groups: Vec<(&Peer, Family)> = Vec::new();
    for (member, of) in members.filter(|(member, of)| member.exchanges(*of)) {
        if !groups
            .iter()
            .any(|group| *group_key(view, *group) == *group_key(view, (member, of)))
        {
            groups.push((member, of));
        }
    }
    let key = group_key(view, (peer, family));
    let at = groups.iter().position(|group| *group_key(view, *group) == *key)?;
    Some(at + 1)
}

/// What decides what a neighbor is told, and how.
fn group_key(view: &View, (peer, family): (&Peer, Family)) -> String {
    let it = peer.family(family);
    let options = peer.session.agreement().map(|agreement| agreement.options);
    let session = (
        view.is_internal(peer),
        local_as(peer),
        peer.effective.advertisement_interval,
        options,
        peer.effective.solo.then_some(peer.id),
    );
    let flags = (
        it.route_reflector_client,
        it.next_hop_self,
        it.next_hop_self_force,
        it.remove_private_as,
        it.as_override,
        it.send_community,
        it.send_extcommunity,
        it.send_large_community,
        it.route_server_client,
        it.attribute_unchanged,
    );
    let lists = (
        &it.default_originate,
        &it.distribute_list_out,
        &it.prefix_list_out,
        &it.route_map_out,
        &it.filter_list_out,
        &it.unsuppress_map,
    );
    format!("{family:?} {session:?} {flags:?} {lists:?}")
}
