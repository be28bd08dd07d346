//! What a neighbor is told about a route: whether at all, and with which attributes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::import_policy::{Lists, has_set};
use super::{Advertised, Peer, Speaker};
use crate::config::{Bgp, EffectiveFamily};
use crate::policy::{Context, Direction, NextHopChange, Subject, Verdict, remove_private};
use crate::table::{Route, Source, SourceId, SourceKind};
use crate::wire::{Attributes, Community, Family, NextHop, Origin};

/// Between which two a route passes.
struct Passage<'a> {
    peer: &'a Peer,
    bgp: &'a Bgp,
    family: Family,
    settings: &'a EffectiveFamily,
    /// The neighbor that is told.
    to: &'a Source,
    /// Whether both neighbors are clients of this route server: then nothing shows that it is between them.
    transparent: bool,
}

impl Passage<'_> {
    fn is_external(&self) -> bool {
        self.to.kind == SourceKind::External
    }

    /// Whether a route goes from one neighbor in this AS to another.
    fn reflects(&self, route: &Route) -> bool {
        route.source.kind == SourceKind::Internal && !self.is_external()
    }

    /// Nothing goes to another AS unless a policy says what (RFC 8212).
    fn lacks_policy(&self) -> bool {
        self.is_external() && self.bgp.flags.ebgp_requires_policy && !self.settings.has_policy_out()
    }
}

/// A route for a neighbor before the message is written.
pub struct Kept {
    /// The attributes, still without the own AS in the path.
    pub attributes: Arc<Attributes>,
    /// The next hop; unspecified where that will be this router.
    pub next_hop: IpAddr,
}

impl Speaker {
    /// What a neighbor is to be told about a route; none if nothing.
    pub(super) fn tell_about(
        &self,
        peer: &Peer,
        bgp: &Bgp,
        family: Family,
        prefix: &IpNet,
        route: &Route,
    ) -> Option<Advertised> {
        let passage = self.passage(peer, bgp, family, route)?;
        let mut subject = self.passed(&passage, prefix, route)?;
        let next_hop = self.next_hop_for(&passage, route, &subject);
        self.finish(&passage, Arc::make_mut(&mut subject.attributes));
        Some(Advertised {
            attributes: subject.attributes,
            next_hop,
        })
    }

    /// The same as FRR keeps it: with what is settled for each neighbor when the message is written still left open.
    pub fn kept_as_told(&self, peer: &Peer, family: Family, prefix: &IpNet, route: &Route) -> Option<Kept> {
        let bgp = self.config.bgp.as_ref()?;
        let passage = self.passage(peer, bgp, family, route)?;
        let subject = self.passed(&passage, prefix, route)?;
        let is_open = !self.keeps_next_hop(&passage, route, &subject);
        let next_hop = match subject.next_hop {
            NextHop::V4(_) if Speaker::takes_v6_next_hops(peer, family) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            NextHop::V4(_) if is_open => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            NextHop::V6 { .. } if is_open && Speaker::takes_v6_next_hops(peer, family) => {
                IpAddr::V6(Ipv6Addr::UNSPECIFIED)
            }
            next_hop => next_hop.address(),
        };
        Some(Kept {
            attributes: subject.attributes,
            next_hop,
        })
    }

    fn passage<'a>(
        &self,
        peer: &'a Peer,
        bgp: &'a Bgp,
        family: Family,
        route: &Route,
    ) -> Option<Passage<'a>> {
        let settings = peer.family(family);
        let is_server_client = |id: SourceId| {
            let peer = self.peers.get(&id);
            peer.is_some_and(|peer| peer.family(family).route_server_client)
        };
        Some(Passage {
            peer,
            bgp,
            family,
            settings,
            to: peer.source.as_ref()?,
            transparent: settings.route_server_client && is_server_client(route.source.id),
        })
    }

    /// A route as it has passed all that may keep it from a neighbor.
    fn passed(&self, passage: &Passage, prefix: &IpNet, route: &Route) -> Option<Subject> {
        let suppressed = self.is_suppressed(passage.family, prefix, route);
        if passage.lacks_policy()
            || (suppressed && passage.settings.unsuppress_map.is_none())
            || !self.may_pass(passage, route)
            || !self.passes_lists_out(passage, prefix, route)
        {
            return None;
        }
        let mut subject = Subject::of(*prefix, route);
        self.prepare(passage, route, Arc::make_mut(&mut subject.attributes));
        self.pass_map_out(passage, route, suppressed, &mut subject)?;
        Some(subject)
    }

    /// Whether a neighbor may hear of a route at all.
    fn may_pass(&self, passage: &Passage, route: &Route) -> bool {
        let communities = &route.attributes.communities;
        let stays: &[Community] = if passage.is_external() {
            &[Community::NO_ADVERTISE, Community::NO_EXPORT, Community::LOCAL_AS]
        } else {
            &[Community::NO_ADVERTISE]
        };
        if !passage.transparent && stays.iter().any(|stay| communities.contains(stay)) {
            return false;
        }
        // Alone in its update group, `solo` as FRR has it, a neighbor is not told its own routes.
        if passage.peer.effective.solo && route.source.id == passage.to.id {
            return false;
        }
        let path = &route.attributes.as_path;
        if passage.peer.effective.sender_loop_detection && path.contains(passage.to.asn) {
            return false;
        }
        if passage.bgp.flags.reject_as_sets && has_set(path) {
            return false;
        }
        passage.is_external() || route.source.kind != SourceKind::Internal || self.reflects(passage, route)
    }

    /// Between neighbors in one AS only a reflector passes routes on (RFC 4456 section 6). As with FRR a client hears of what
    /// it has told itself, too: its own originator identifier stops it there.
    fn reflects(&self, passage: &Passage, route: &Route) -> bool {
        let is_client = |id: SourceId| {
            let peer = self.peers.get(&id);
            peer.is_some_and(|peer| peer.family(passage.family).route_reflector_client)
        };
        let (from, to) = (is_client(route.source.id), is_client(passage.peer.id));
        let between_clients = from && to && passage.bgp.flags.client_to_client_reflection;
        let is_originator = route.attributes.originator_id == Some(passage.to.router_id);
        !is_originator && (from != to || between_clients)
    }

    fn passes_lists_out(&self, passage: &Passage, prefix: &IpNet, route: &Route) -> bool {
        let settings = passage.settings;
        let lists = Lists {
            access: settings.distribute_list_out.as_deref(),
            prefix: settings.prefix_list_out.as_deref(),
            as_path: settings.filter_list_out.as_deref(),
        };
        self.passes(&lists, passage.family, prefix, &route.attributes.as_path)
    }

    /// The attributes as a route-map is to see them.
    fn prepare(&self, passage: &Passage, route: &Route, attributes: &mut Attributes) {
        let (bgp, settings) = (passage.bgp, passage.settings);
        if !passage.is_external() {
            attributes.local_pref.get_or_insert(bgp.local_preference);
            if passage.reflects(route) {
                // FRR 8.4 marks a route that has none as one with a MED (of 0) where it means the originator.
                if attributes.originator_id.is_none() {
                    attributes.med.get_or_insert(0);
                }
                attributes.originator_id.get_or_insert(route.source.router_id);
                let cluster = bgp.cluster_id.unwrap_or(self.router_id());
                attributes.cluster_list.insert(0, cluster);
            }
            return;
        }
        attributes.originator_id = None;
        attributes.cluster_list.clear();
        // It is meant for the AS that it was told to (RFC 4271 section 5.1.4).
        let is_foreign = route.source.kind != SourceKind::Local;
        if is_foreign && !settings.attribute_unchanged.med && !passage.transparent {
            attributes.med = None;
        }
        if let Some(how) = settings.remove_private_as {
            attributes.as_path = remove_private(&attributes.as_path, how, bgp.asn, passage.to.asn);
        }
        if settings.as_override {
            let theirs = |asn: u32| if asn == passage.to.asn { bgp.asn } else { asn };
            attributes.as_path = attributes.as_path.mapped(theirs);
        }
    }

    /// The route-map; for a route that is hidden by an aggregate the one that lets it out again.
    fn pass_map_out(
        &self,
        passage: &Passage,
        route: &Route,
        suppressed: bool,
        subject: &mut Subject,
    ) -> Option<()> {
        let settings = passage.settings;
        let name = if suppressed {
            &settings.unsuppress_map
        } else {
            &settings.route_map_out
        };
        let Some(name) = name else {
            return Some(());
        };
        let context = self.context_out(passage);
        let verdict = if passage.reflects(route) && !passage.bgp.flags.reflector_outbound_policy {
            // A reflector changes nothing unless it is told that it may.
            self.policy.apply(name, &mut subject.clone(), &context)
        } else {
            self.policy.apply(name, subject, &context)
        };
        (verdict == Verdict::Permit).then_some(())
    }

    fn context_out<'a>(&self, passage: &Passage<'a>) -> Context<'a> {
        let local_as = passage.peer.effective.local_as;
        Context {
            direction: Direction::Out,
            own_as: local_as.map_or(passage.bgp.asn, |local| local.asn),
            peer: Some(&passage.peer.name),
            peer_address: passage.to.address,
            interface: None,
            blackhole: false,
            seed: self.seed,
        }
    }

    /// What no route-map decides about.
    fn finish(&self, passage: &Passage, attributes: &mut Attributes) {
        let (bgp, settings) = (passage.bgp, passage.settings);
        if bgp.flags.graceful_shutdown {
            if passage.is_external() {
                attributes.communities.push(Community::GRACEFUL_SHUTDOWN);
                attributes.communities.sort_unstable();
                attributes.communities.dedup();
            } else {
                attributes.local_pref = Some(0);
            }
        }
        if let Some(med) = self.med_of_all() {
            attributes.med = Some(med);
        }
        if !settings.send_community {
            attributes.communities.clear();
        }
        if !settings.send_extcommunity {
            attributes.extended_communities.clear();
        }
        if !settings.send_large_community {
            attributes.large_communities.clear();
        }
        if passage.is_external() {
            attributes.local_pref = None;
            attributes.extended_communities.retain(|it| it.is_transitive());
            let keeps = settings.attribute_unchanged.as_path && !attributes.as_path.segments.is_empty();
            if !keeps && !settings.route_server_client {
                prepend(passage.peer, bgp, attributes);
            }
        }
    }

    fn next_hop_for(&self, passage: &Passage, route: &Route, subject: &Subject) -> NextHop {
        let (peer, settings) = (passage.peer, passage.settings);
        let is_local = route.source.kind == SourceKind::Local;
        let beside = !passage.reflects(route) && !passage.transparent && (is_local || passage.is_external());
        let own = self.own_next_hop(peer, passage.family, beside);
        let kept = self.keeps_next_hop(passage, route, subject);
        let NextHop::V6 { global, link_local } = own else {
            return if kept { subject.next_hop } else { own };
        };
        let global = match subject.next_hop {
            NextHop::V6 { global, .. } if kept => global,
            _ => global,
        };
        // A route's own link-local address means nothing on another link; it is told only where it is wanted, or where a
        // route-map has set it.
        let theirs = link_local_of(subject.next_hop);
        let is_set = subject.next_hop_change == NextHopChange::Set && theirs != link_local_of(route.next_hop);
        let wanted = settings.nexthop_local_unchanged || is_set;
        NextHop::V6 {
            global,
            link_local: theirs.filter(|_| wanted).or(link_local),
        }
    }

    /// Whether a neighbor is told the next hop that a route has, and not this router.
    fn keeps_next_hop(&self, passage: &Passage, route: &Route, subject: &Subject) -> bool {
        let (peer, family, settings) = (passage.peer, passage.family, passage.settings);
        let next_hop = subject.next_hop;
        // A next hop of the other family, or one that means something on another link only, cannot be told.
        let is_local = matches!(next_hop, NextHop::V6 { global, .. } if global.is_unicast_link_local());
        let foreign = next_hop.address().is_ipv4() == Speaker::takes_v6_next_hops(peer, family) || is_local;
        let keeps = match subject.next_hop_change {
            NextHopChange::Set => true,
            NextHopChange::Unchanged => !foreign,
            NextHopChange::PeerAddress => false,
            NextHopChange::None => {
                let stays = settings.attribute_unchanged.next_hop;
                let own = settings.next_hop_self_force
                    || (settings.next_hop_self && route.source.kind != SourceKind::Internal);
                // Between clients of a route server this router does not put itself in the way (FRR).
                let forced = own && !stays && !passage.transparent;
                // Of its own routes a neighbor is not told that it is the way itself (FRR).
                let third_party = !passage.is_external()
                    || (route.source.id != peer.id && self.shares_network(peer, next_hop));
                !foreign && !forced && (stays || third_party)
            }
        };
        keeps && !next_hop.address().is_unspecified()
    }

    /// The default route this router makes for a neighbor: unless a route-map wants to see another route first, and there
    /// is none like that (`default-originate`).
    pub(super) fn default_for(
        &self,
        peer: &Peer,
        bgp: &Bgp,
        family: Family,
        prefix: IpNet,
    ) -> Option<Advertised> {
        let settings = peer.family(family);
        let originate = settings.default_originate.as_ref()?;
        let mut attributes = Attributes {
            origin: Origin::Igp,
            med: Some(0),
            ..Attributes::default()
        };
        let passage = Passage {
            peer,
            bgp,
            family,
            settings,
            to: peer.source.as_ref()?,
            transparent: false,
        };
        if !passage.is_external() {
            attributes.local_pref = Some(bgp.local_preference);
        }
        let mut subject = Subject {
            prefix,
            attributes: Arc::new(attributes),
            next_hop: self.own_next_hop(peer, family, true),
            next_hop_change: NextHopChange::None,
            weight: 0,
            tag: 0,
            distance: None,
            table: None,
            source: None,
        };
        if let Some(name) = &originate.route_map {
            subject = self.seen_by(name, family, &subject, &self.context_own(bgp, None, false))?;
        }
        let next_hop = subject.next_hop;
        self.finish(&passage, Arc::make_mut(&mut subject.attributes));
        Some(Advertised {
            attributes: subject.attributes,
            next_hop,
        })
    }

    /// A default route as a route-map changes it when it sees the first route that it lets pass.
    fn seen_by(&self, name: &str, family: Family, default: &Subject, context: &Context) -> Option<Subject> {
        let table = self.tables.get(family);
        let all = table.iter().flat_map(|(prefix, destination)| {
            let routes = destination.routes().iter();
            routes.map(move |route| Subject::of(prefix, route))
        });
        for seen in all {
            let mut made = default.clone();
            if self.policy.apply_beside(name, &seen, &mut made, context) == Verdict::Permit {
                return Some(made);
            }
        }
        None
    }
}

fn link_local_of(next_hop: NextHop) -> Option<Ipv6Addr> {
    match next_hop {
        NextHop::V6 { link_local, .. } => link_local,
        NextHop::V4(_) => None,
    }
}

/// The own AS, and the one shown to this neighbor in its place or before it.
fn prepend(peer: &Peer, bgp: &Bgp, attributes: &mut Attributes) {
    match peer.effective.local_as {
        Some(local) => {
            if !local.replace_as {
                attributes.as_path.prepend(bgp.asn, 1);
            }
            attributes.as_path.prepend(local.asn, 1);
        }
        None => attributes.as_path.prepend(bgp.asn, 1),
    }
}
