//! What becomes of a route that a neighbor tells: kept as it came, checked, filtered, changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::limits::{Overflow, Warned};
use super::next_hops::leads_to;
use super::record::Loss;
use super::{Action, Peer, Speaker};
use crate::config::{AllowAsIn, Bgp, Effective, EffectiveFamily};
use crate::policy::{Context, Direction, Subject, Verdict};
use crate::session::Time;
use crate::table::{NextHopState, Path, PrefixId, Route, Source, SourceId, SourceKind};
use crate::wire::{
    AsPath, Attributes, Community, Family, Message, NextHop, Nlri, PerFamily, RefreshKind, Segment,
};

/// LOCAL_PREF of a route whose sender is about to shut down (RFC 8326 section 4).
const SHUTTING_DOWN: u32 = 0;

/// A route as a neighbor told it, before any policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// What was said about it.
    pub attributes: Arc<Attributes>,
    /// The way.
    pub next_hop: NextHop,
}

/// What policy made of a route, and whether there is a way to its next hop; else why it is not to be used.
type Judged = Result<(Arc<Path>, NextHopState), Loss>;

/// What a neighbor has told, before any policy, and how much of it there may be.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Routes as they came, by prefix and path identifier (`soft-reconfiguration inbound`).
    kept: PerFamily<BTreeMap<(PrefixId, u32), Arc<Received>>>,
    /// Whether those are all of them.
    is_whole: PerFamily<bool>,
    /// What was said already about limits.
    pub(super) warned: PerFamily<Warned>,
    /// Why the session does not begin again by itself.
    pub(super) overflow: Option<Overflow>,
}

impl Intake {
    /// A session begins.
    pub(super) fn begin(&mut self, effective: &Effective) {
        self.is_whole.ipv4 = effective.ipv4.soft_reconfiguration;
        self.is_whole.ipv6 = effective.ipv6.soft_reconfiguration;
        // (Of EVPN nothing is kept before policy.)
        self.is_whole.evpn = false;
    }

    /// Whether something is kept of a prefix.
    pub(super) fn has(&self, family: Family, id: PrefixId) -> bool {
        let mut kept = self.kept.get(family).range((id, 0)..=(id, u32::MAX));
        kept.next().is_some()
    }

    /// A session is over.
    pub(super) fn end(&mut self) {
        *self = Intake {
            overflow: self.overflow,
            ..Intake::default()
        };
    }
}

impl Speaker {
    /// Routes of a family as a neighbor told them, before any policy, in order: none unless they are kept
    /// (`soft-reconfiguration inbound`).
    pub fn received(&self, peer: &Peer, family: Family) -> impl Iterator<Item = (IpNet, u32, &Received)> {
        let kept = self.peers.get(&peer.id).map(|peer| peer.intake.kept.get(family));
        let table = self.tables.get(family);
        let all = kept.into_iter().flatten();
        let mut all: Vec<_> = all
            .map(|((id, path_id), it)| (table.prefix(*id), *path_id, &**it))
            .collect();
        all.sort_unstable_by_key(|(prefix, path_id, _)| (*prefix, *path_id));
        all.into_iter()
    }

    /// How many routes of a neighbor are in the table.
    pub fn accepted(&self, peer: &Peer, family: Family) -> usize {
        match family {
            Family::L2vpnEvpn => self.evpn.table.count(peer.id),
            _ => self.tables.get(family).count(peer.id),
        }
    }

    /// How many routes of a neighbor are kept and did not get into the table.
    pub fn filtered(&self, peer: &Peer, family: Family) -> usize {
        let kept = peer.intake.kept.get(family).len();
        kept.saturating_sub(self.accepted(peer, family))
    }

    /// What a message says about its routes, as it is taken: an AS that is shown to the neighbor as the own stands
    /// before the path, unless that is not wanted (`local-as`).
    pub(super) fn taken(&self, source: SourceId, mut attributes: Attributes) -> Arc<Attributes> {
        let peer = self.peers.get(&source);
        let shown = peer.and_then(|peer| peer.effective.local_as);
        if let Some(local) = shown.filter(|local| !local.no_prepend) {
            attributes.as_path.prepend(local.asn, 1);
        }
        Arc::new(attributes)
    }

    /// A neighbor tells routes that differ in nothing but their prefix. Unless policy looks at that, it is asked once.
    pub(super) fn learn(
        &mut self,
        source: SourceId,
        family: Family,
        all: &[Nlri],
        told: &Arc<Received>,
        now: Time,
    ) {
        let (Some(first), Some(peer)) = (all.first(), self.peers.get(&source)) else {
            return;
        };
        let keeps = peer.family(family).soft_reconfiguration;
        let asks_each = self.looks_at_prefixes_in(peer, family);
        let mut judged = self.judge(source, family, &first.prefix, told, now);
        for nlri in all {
            let key = (nlri.prefix, nlri.path_id.unwrap_or(0));
            if keeps {
                self.keep(source, family, key, told);
            }
            if asks_each && nlri.prefix != first.prefix {
                judged = self.judge(source, family, &nlri.prefix, told, now);
            }
            self.put(source, family, key, &judged, now);
        }
    }

    fn looks_at_prefixes_in(&self, peer: &Peer, family: Family) -> bool {
        let settings = peer.family(family);
        let map = settings.route_map_in.as_deref();
        settings.distribute_list_in.is_some()
            || settings.prefix_list_in.is_some()
            || map.is_some_and(|map| self.policy.looks_at_prefixes(map))
    }

    /// Keeps a route as it came.
    fn keep(
        &mut self,
        source: SourceId,
        family: Family,
        (prefix, path_id): (IpNet, u32),
        told: &Arc<Received>,
    ) {
        let id = self.tables.get_mut(family).number(&prefix);
        if let (Some(id), Some(peer)) = (id, self.peers.get_mut(&source)) {
            let kept = peer.intake.kept.get_mut(family);
            kept.insert((id, path_id), Arc::clone(told));
        }
    }

    /// A neighbor takes routes back.
    pub(super) fn unlearn(&mut self, source: SourceId, family: Family, all: &[Nlri]) {
        let table = self.tables.get_mut(family);
        // Before anything else: the processor then waits for the memory of several at once.
        let ids: Vec<Option<PrefixId>> = all.iter().map(|it| table.id(&it.prefix)).collect();
        let routes = all.iter().zip(ids);
        let routes = routes.filter_map(|(it, id)| Some((id?, it.path_id.unwrap_or(0))));
        if let Some(peer) = self.peers.get_mut(&source) {
            peer.record.lost.withdrawn += all.len() as u64;
            let kept = peer.intake.kept.get_mut(family);
            if !kept.is_empty() {
                for route in routes.clone() {
                    kept.remove(&route);
                }
            }
        }
        for (id, path_id) in routes {
            table.remove_at(id, source, path_id);
        }
    }

    /// What policy makes of a route, and whether there is a way to its next hop.
    fn judge(
        &mut self,
        source: SourceId,
        family: Family,
        prefix: &IpNet,
        told: &Received,
        now: Time,
    ) -> Judged {
        let path = self.import(source, family, prefix, told, now)?;
        let path = self.paths.of(path);
        let state = self.resolve(&path);
        Ok((path, state))
    }

    /// Puts a route into the table as policy lets it; one that may not be used takes away the one it replaces.
    fn put(
        &mut self,
        source: SourceId,
        family: Family,
        (prefix, path_id): (IpNet, u32),
        judged: &Judged,
        now: Time,
    ) {
        let table = self.tables.get_mut(family);
        match judged {
            Ok((path, state)) => {
                let state = match leads_to(&prefix, path) {
                    true => NextHopState::Unreachable,
                    false => *state,
                };
                table.insert(&prefix, Route::new(Arc::clone(path), path_id, state, now));
            }
            Err(loss) => {
                if let Some(peer) = self.peers.get_mut(&source) {
                    peer.record.lost.count(*loss);
                }
                table.remove(&prefix, source, path_id);
            }
        }
    }

    /// Lets a neighbor's routes pass policy again: those that are kept, else it is asked for them (RFC 2918).
    pub(super) fn soft_in(&mut self, id: SourceId, family: Family, now: Time, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.exchanges(family)) else {
            return;
        };
        if peer.family(family).soft_reconfiguration && *peer.intake.is_whole.get(family) {
            let kept = std::mem::take(peer.intake.kept.get_mut(family));
            for ((number, path_id), told) in &kept {
                let prefix = self.tables.get(family).prefix(*number);
                let judged = self.judge(id, family, &prefix, told, now);
                self.put(id, family, (prefix, *path_id), &judged, now);
            }
            if let Some(peer) = self.peers.get_mut(&id) {
                *peer.intake.kept.get_mut(family) = kept;
            }
            self.check_limit(id, family, now, actions);
        } else {
            self.ask_again(id, family, now, actions);
        }
    }

    /// Asks a neighbor to tell everything again, if it knows of that.
    fn ask_again(&mut self, id: SourceId, family: Family, now: Time, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let knows = peer.agreement().is_some_and(|agreement| agreement.route_refresh);
        let Some(connection) = peer.session.established_on().filter(|_| knows) else {
            return;
        };
        // From here on all it tells is kept, if that is wanted.
        let keeps = peer.family(family).soft_reconfiguration;
        *peer.intake.is_whole.get_mut(family) = keeps;
        if !keeps {
            peer.intake.kept.get_mut(family).clear();
        }
        let message = Message::RouteRefresh(family.into(), RefreshKind::Request);
        actions.push(Action::Send(connection, peer.write(&message, now)));
    }

    /// A route as it is kept in the table; else why it is not to be used at all.
    pub(super) fn import(
        &self,
        source: SourceId,
        family: Family,
        prefix: &IpNet,
        told: &Received,
        now: Time,
    ) -> Result<Path, Loss> {
        let bgp = self.config.bgp.as_ref().ok_or(Loss::Unwanted)?;
        let peer = self.peers.get(&source).ok_or(Loss::Unwanted)?;
        let told_by = peer.source.as_ref().ok_or(Loss::Unwanted)?;
        let settings = peer.family(family);
        if !peer.exchanges(family) {
            return Err(Loss::Unwanted);
        }
        self.accept_told(peer, bgp, settings, told_by, &told.attributes)?;
        if !self.passes_lists_in(family, settings, prefix, &told.attributes.as_path) {
            return Err(Loss::Filtered);
        }
        let mut subject = Subject {
            prefix: *prefix,
            attributes: Arc::clone(&told.attributes),
            next_hop: told.next_hop,
            next_hop_change: Default::default(),
            weight: settings.weight.unwrap_or(0).into(),
            tag: 0,
            distance: None,
            table: None,
            source: None,
        };
        if let Some(name) = &settings.route_map_in {
            let context = self.context_in(peer, bgp, told.next_hop, now);
            if self.policy.apply(name, &mut subject, &context) == Verdict::Deny {
                return Err(Loss::Filtered);
            }
        }
        if told_by.kind == SourceKind::External {
            keep_within_as(&mut subject);
            lower_if_shutting_down(&mut subject, bgp);
        }
        // A way that leads back here is none.
        if self.is_own_address(subject.next_hop.address()) {
            return Err(Loss::NextHop);
        }
        Ok(subject.into_path(Arc::clone(told_by)))
    }

    /// Checks that no policy can change: loops, and whether anything is to come from another AS at all.
    ///
    /// # Errors
    /// What is against it.
    fn accept_told(
        &self,
        peer: &Peer,
        bgp: &Bgp,
        settings: &EffectiveFamily,
        told_by: &Source,
        attributes: &Attributes,
    ) -> Result<(), Loss> {
        if loops(peer, bgp, settings, &attributes.as_path) {
            return Err(Loss::AsLoop);
        }
        // A reflected route of this router's own, or one that has passed its cluster (RFC 4456 section 8).
        let own = self.router_id();
        let cluster = bgp.cluster_id.unwrap_or(own);
        if attributes.originator_id == Some(own) {
            return Err(Loss::OriginatorLoop);
        }
        if attributes.cluster_list.contains(&cluster) {
            return Err(Loss::ClusterLoop);
        }
        if bgp.flags.reject_as_sets && has_set(&attributes.as_path) {
            return Err(Loss::Unwanted);
        }
        if told_by.kind != SourceKind::External {
            return Ok(());
        }
        if peer.effective.enforce_first_as && first_told(peer, &attributes.as_path) != Some(told_by.asn) {
            return Err(Loss::Unwanted);
        }
        // Nothing comes from another AS unless a policy says what (RFC 8212).
        match settings.has_policy_in() || !bgp.flags.ebgp_requires_policy {
            true => Ok(()),
            false => Err(Loss::Unwanted),
        }
    }

    pub(super) fn passes_lists_in(
        &self,
        family: Family,
        settings: &EffectiveFamily,
        prefix: &IpNet,
        path: &AsPath,
    ) -> bool {
        let lists = Lists {
            access: settings.distribute_list_in.as_deref(),
            prefix: settings.prefix_list_in.as_deref(),
            as_path: settings.filter_list_in.as_deref(),
        };
        self.passes(&lists, family, prefix, path)
    }

    /// Whether a route passes a neighbor's lists, in FRR's order.
    pub(super) fn passes(&self, lists: &Lists, family: Family, prefix: &IpNet, path: &AsPath) -> bool {
        let policy = &self.policy;
        let is_fine = |name: Option<&str>, permits: &dyn Fn(&str) -> bool| name.is_none_or(permits);
        is_fine(lists.access, &|name| {
            policy.access_list_permits(name, family, prefix)
        }) && is_fine(lists.prefix, &|name| {
            policy.prefix_list_permits(name, family, prefix)
        }) && is_fine(lists.as_path, &|name| policy.as_path_list_permits(name, path))
    }

    pub(super) fn context_in<'a>(
        &'a self,
        peer: &'a Peer,
        bgp: &Bgp,
        next_hop: NextHop,
        now: Time,
    ) -> Context<'a> {
        // Only of a link-local next hop is it known before it is resolved (FRR).
        let interface = next_hop.link_local().and_then(|_| self.interface_of(peer));
        Context {
            direction: Direction::In,
            own_as: peer.effective.local_as.map_or(bgp.asn, |local| local.asn),
            peer: Some(&peer.name),
            peer_address: peer.source.as_ref().and_then(|source| source.address),
            interface: interface.map(|it| it.name.as_str()),
            blackhole: false,
            seed: self.seed ^ now.as_nanos() as u64,
        }
    }

    pub(super) fn is_own_address(&self, address: std::net::IpAddr) -> bool {
        let all = self.interfaces.iter().flat_map(|it| &it.addresses);
        all.into_iter().any(|net| net.addr() == address)
    }
}

/// Lists that stand before a route-map.
pub(super) struct Lists<'a> {
    /// `distribute-list`.
    pub(super) access: Option<&'a str>,
    /// `prefix-list`.
    pub(super) prefix: Option<&'a str>,
    /// `filter-list`.
    pub(super) as_path: Option<&'a str>,
}

/// Whether a path has been here before (RFC 4271 section 9.1.2), more often than is allowed (`allowas-in`). An AS shown to
/// the neighbor in place of the own counts as well; once it is there because this router has put it there.
fn loops(peer: &Peer, bgp: &Bgp, settings: &EffectiveFamily, path: &AsPath) -> bool {
    let times = |asn: u32| path.asns().filter(|other| *other == asn).count();
    let allowed = match settings.allowas_in {
        Some(AllowAsIn::Times(times)) => usize::from(times),
        Some(AllowAsIn::Origin) | None => 0,
    };
    let is_origin = |asn: u32| settings.allowas_in == Some(AllowAsIn::Origin) && path.origin() == Some(asn);
    if let Some(local) = peer.effective.local_as {
        let own = usize::from(!local.no_prepend);
        let allowed = if settings.allowas_in.is_some() {
            allowed
        } else {
            own
        };
        if times(local.asn) > allowed.max(own) && !is_origin(local.asn) {
            return true;
        }
    }
    times(bgp.asn) > allowed && !is_origin(bgp.asn)
}

/// The first AS of a path as the neighbor told it.
fn first_told(peer: &Peer, path: &AsPath) -> Option<u32> {
    let put_in = peer.effective.local_as.is_some_and(|local| !local.no_prepend);
    path.first()?;
    path.asns().nth(usize::from(put_in))
}

pub(super) fn has_set(path: &AsPath) -> bool {
    let is_set = |segment: &Segment| matches!(segment, Segment::Set(_) | Segment::ConfedSet(_));
    path.segments.iter().any(is_set)
}

/// Traffic to a prefix is dropped in this AS because its neighbor wishes so; other ASs are not to hear of that (RFC 7999
/// section 3.2).
fn keep_within_as(subject: &mut Subject) {
    let has = |community| subject.attributes.communities.contains(&community);
    if !has(Community::BLACKHOLE) || has(Community::NO_EXPORT) {
        return;
    }
    let attributes = Arc::make_mut(&mut subject.attributes);
    attributes.communities.push(Community::NO_EXPORT);
    attributes.communities.sort_unstable();
}

/// A route whose sender is about to shut down, or of a router that is, is the last to be used (RFC 8326 section 4).
fn lower_if_shutting_down(subject: &mut Subject, bgp: &Bgp) {
    let shuts_down = subject
        .attributes
        .communities
        .contains(&Community::GRACEFUL_SHUTDOWN);
    if !shuts_down && !bgp.flags.graceful_shutdown {
        return;
    }
    let attributes = Arc::make_mut(&mut subject.attributes);
    attributes.local_pref = Some(SHUTTING_DOWN);
    if !shuts_down {
        attributes.communities.push(Community::GRACEFUL_SHUTDOWN);
        attributes.communities.sort_unstable();
    }
}
