//! What a changed configuration means for sessions that are up.

use std::collections::BTreeMap;

use super::mrai::Startup;
use super::{Action, Speaker, limits};
use crate::config::{Bgp, Config, Effective, EffectiveFamily};
use crate::policy::{Policy, References, differ};
use crate::session::{Settings, Time};
use crate::table::SourceId;
use crate::wire::{Capability, Family};

/// Whether a session has to begin anew: what both sides agreed on, or how they are connected, is to be something else. All
/// other settings hold from now on, or from the next session on (timers), as FRR has it.
pub(super) fn must_reset(before: (&Effective, &Settings), after: (&Effective, &Settings)) -> bool {
    // Whether capabilities are said at all the neighbor hears with the next session, too.
    let says_alike = before.0.dont_capability_negotiate == after.0.dont_capability_negotiate;
    let agreed = |settings: &Settings| {
        // Of restarts the neighbor hears with the next session (FRR: "reset this peer to take effect").
        let lasting = |it: &&Capability| {
            !matches!(
                it,
                Capability::GracefulRestart(_) | Capability::LongLivedRestart(_)
            )
        };
        let capabilities = settings.capabilities.iter().filter(lasting);
        let capabilities = capabilities.filter(|_| says_alike).cloned();
        (
            settings.local_as,
            settings.remote_as,
            settings.router_id,
            settings.passive,
            capabilities.collect::<Vec<_>>(),
        )
    };
    let connected = |it: &Effective| {
        (
            (
                it.local_as,
                it.password.clone(),
                it.port,
                it.interface.clone(),
                it.v6only,
            ),
            (it.ebgp_multihop, it.ttl_security, it.disable_connected_check),
            it.update_source.clone(),
            (it.capability_dynamic, it.extended_nexthop),
        )
    };
    // What a neighbor says no more ends its session, though its group says it still.
    let unsaid = before.0.said_itself.iter().zip(after.0.said_itself);
    let unsaid = unsaid.into_iter().any(|(before, after)| *before && !after);
    // Whoever comes into a group begins anew, whatever that says.
    unsaid
        || before.0.group != after.0.group
        || agreed(before.1) != agreed(after.1)
        || connected(before.0) != connected(after.0)
        || family_resets(&before.0.ipv4, &after.0.ipv4)
        || family_resets(&before.0.ipv6, &after.0.ipv6)
        || family_resets(&before.0.evpn, &after.0.evpn)
}

fn family_resets(before: &EffectiveFamily, after: &EffectiveFamily) -> bool {
    let role = |it: &EffectiveFamily| {
        (
            it.activate,
            it.addpath,
            it.disable_addpath_rx,
            it.route_reflector_client,
            it.route_server_client,
        )
    };
    role(before) != role(after)
}

/// Whether a neighbor's routes have to pass policy again.
fn judges_anew(
    family: Family,
    (before, before_all): (&Effective, &Config),
    (after, after_all): (&Effective, &Config),
) -> bool {
    let own = |effective: &Effective| {
        let it = family_of(effective, family);
        (
            (
                effective.enforce_first_as,
                it.soft_reconfiguration,
                it.allowas_in,
                it.weight,
            ),
            (it.distribute_list_in.clone(), it.prefix_list_in.clone()),
            (it.filter_list_in.clone(), it.route_map_in.clone()),
        )
    };
    let common = |config: &Config| config.bgp.as_ref().map(common_rules);
    own(before) != own(after)
        || common(before_all) != common(after_all)
        || differ(
            References::inbound(family, family_of(after, family)),
            before_all,
            after_all,
        )
}

/// Settings of the router that decide about what neighbors tell.
fn common_rules(bgp: &Bgp) -> (bool, bool, bool, Option<std::net::Ipv4Addr>) {
    let flags = &bgp.flags;
    (
        flags.ebgp_requires_policy,
        flags.reject_as_sets,
        flags.graceful_shutdown,
        bgp.cluster_id,
    )
}

fn family_of(effective: &Effective, family: Family) -> &EffectiveFamily {
    match family {
        Family::Ipv4Unicast => &effective.ipv4,
        Family::Ipv6Unicast => &effective.ipv6,
        Family::L2vpnEvpn => &effective.evpn,
    }
}

impl Speaker {
    /// Does as a configuration says.
    pub(super) fn configure(&mut self, config: Config, now: Time, actions: &mut Vec<Action>) {
        let (settings, before) = (
            self.effective_of_all(),
            std::mem::replace(&mut self.config, config),
        );
        self.begun = self.config.bgp.as_ref().map(|_| self.begun.unwrap_or(now));
        if self.begun.is_none() {
            // Whoever comes back begins again.
            self.startup = Startup::default();
        }
        self.policy = Policy::compile(&self.config);
        self.configure_peers(now, actions);
        self.reconsider_inbound(&settings, &before, now, actions);
    }

    /// What holds for all neighbors now.
    fn effective_of_all(&self) -> BTreeMap<SourceId, Effective> {
        let all = self.peers.iter();
        all.map(|(id, peer)| (*id, peer.effective.clone())).collect()
    }

    /// Lets the routes of neighbors pass policy again for which something of it has changed. What neighbors are told is
    /// looked at anew after every change, and told where it differs.
    fn reconsider_inbound(
        &mut self,
        before: &BTreeMap<SourceId, Effective>,
        config: &Config,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let mut anew = Vec::new();
        for (id, effective) in before {
            let Some(peer) = self.peers.get(id) else {
                continue;
            };
            for family in Family::ALL {
                let after = (&peer.effective, &self.config);
                if judges_anew(family, (effective, config), after) {
                    anew.push((*id, family));
                }
            }
        }
        for (id, family) in anew {
            self.soft_in(id, family, now, actions);
        }
        for (id, effective) in before {
            for family in Family::ALL {
                self.reconsider_limit((*id, effective), family, config, now, actions);
            }
        }
    }

    /// A changed limit holds at once; one that is taken away keeps nobody down.
    fn reconsider_limit(
        &mut self,
        (id, effective): (SourceId, &Effective),
        family: Family,
        config: &Config,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let Some(peer) = self.peers.get(&id) else { return };
        let limit = |effective: &Effective| family_of(effective, family).maximum_prefix;
        let is_new = limit(effective) != limit(&peer.effective);
        if is_new && limits::is_lifted(peer, family, config, &self.config) {
            self.clear_limit(id, now, actions);
        }
        self.weigh(id, family, is_new, now, actions);
    }
}
