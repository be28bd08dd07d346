//! What holds for a neighbor: its own settings, else its group's, else FRR's defaults.

use super::hops;
use super::model::Config;
use super::policy::Family;
use super::router::{Bgp, Group, Neighbor, PeerName};
use super::settings::{
    Addpath, AllowAsIn, AttributeUnchanged, DefaultOriginate, FamilySettings, GracefulRestart, LocalAs,
    MaximumPrefix, RemoteAs, RemovePrivateAs, Settings, Shutdown, Timers, UpdateSource,
};

/// Everything that holds for a neighbor's session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Settings`")]
pub struct Effective {
    /// The group it is a member of, unless it came by itself.
    pub group: Option<String>,
    /// Which of the settings that a session hangs on are said of the neighbor itself.
    pub said_itself: [bool; 6],
    pub remote_as: Option<RemoteAs>,
    pub local_as: Option<LocalAs>,
    pub description: Option<String>,
    pub shutdown: Option<Shutdown>,
    pub password: Option<String>,
    pub solo: bool,
    pub port: u16,
    pub interface: Option<String>,
    pub v6only: bool,
    pub tcp_mss: Option<u16>,
    pub passive: bool,
    pub ebgp_multihop: Option<u8>,
    pub ttl_security: Option<u8>,
    pub disable_connected_check: bool,
    pub enforce_first_as: bool,
    pub update_source: Option<UpdateSource>,
    pub advertisement_interval: u16,
    pub timers: Timers,
    pub connect_retry: u16,
    pub delay_open: Option<u16>,
    pub capability_dynamic: bool,
    pub extended_nexthop: bool,
    pub dont_capability_negotiate: bool,
    pub override_capability: bool,
    pub strict_capability_match: bool,
    pub sender_loop_detection: bool,
    pub graceful_restart: GracefulRestart,
    pub ipv4: EffectiveFamily,
    pub ipv6: EffectiveFamily,
    pub evpn: EffectiveFamily,
}

/// Everything that holds for a neighbor in an address family.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `FamilySettings`")]
pub struct EffectiveFamily {
    pub activate: bool,
    pub addpath: Option<Addpath>,
    pub disable_addpath_rx: bool,
    pub route_reflector_client: bool,
    pub next_hop_self: bool,
    pub next_hop_self_force: bool,
    pub remove_private_as: Option<RemovePrivateAs>,
    pub as_override: bool,
    pub send_community: bool,
    pub send_extcommunity: bool,
    pub send_large_community: bool,
    pub default_originate: Option<DefaultOriginate>,
    pub soft_reconfiguration: bool,
    pub maximum_prefix: Option<MaximumPrefix>,
    pub maximum_prefix_out: Option<u32>,
    pub route_server_client: bool,
    pub nexthop_local_unchanged: bool,
    pub allowas_in: Option<AllowAsIn>,
    pub weight: Option<u16>,
    pub distribute_list_in: Option<String>,
    pub distribute_list_out: Option<String>,
    pub prefix_list_in: Option<String>,
    pub prefix_list_out: Option<String>,
    pub route_map_in: Option<String>,
    pub route_map_out: Option<String>,
    pub unsuppress_map: Option<String>,
    pub filter_list_in: Option<String>,
    pub filter_list_out: Option<String>,
    pub attribute_unchanged: AttributeUnchanged,
}

impl Effective {
    /// Whether there is a limit to what the neighbor may tell.
    pub fn limits_prefixes(&self) -> bool {
        let all = [&self.ipv4, &self.ipv6, &self.evpn];
        all.iter().any(|family| family.maximum_prefix.is_some())
    }
}

impl EffectiveFamily {
    /// Whether anything says what may come from the neighbor (RFC 8212 section 2.1).
    pub fn has_policy_in(&self) -> bool {
        let lists = [
            &self.route_map_in,
            &self.prefix_list_in,
            &self.filter_list_in,
            &self.distribute_list_in,
        ];
        lists.iter().any(|list| list.is_some())
    }

    /// Whether anything says what may go to the neighbor.
    pub fn has_policy_out(&self) -> bool {
        let lists = [
            &self.route_map_out,
            &self.prefix_list_out,
            &self.filter_list_out,
            &self.distribute_list_out,
        ];
        lists.iter().any(|list| list.is_some())
    }
}

impl Config {
    /// What holds for a neighbor.
    pub fn effective(&self, bgp: &Bgp, neighbor: &Neighbor) -> Effective {
        let group = neighbor.group.as_ref().and_then(|group| bgp.groups.get(group));
        self.resolved(bgp, Some(neighbor), &neighbor.own, group)
    }

    /// What holds for a neighbor of a group that came by itself (`bgp listen range`).
    pub fn effective_of_group(&self, bgp: &Bgp, group: &Group) -> Effective {
        self.resolved(bgp, None, &Group::default(), Some(group))
    }

    fn resolved(
        &self,
        bgp: &Bgp,
        neighbor: Option<&Neighbor>,
        own: &Group,
        group: Option<&Group>,
    ) -> Effective {
        let none = Group::default();
        let upper = group.unwrap_or(&none);
        let family = |family: Family| {
            let (own, upper) = (own.family(family), upper.family(family));
            let mut settings = own.or(upper);
            // FRR keeps each of these as a flag that a member has as soon as its group has it.
            settings.attribute_unchanged = Some(match neighbor {
                Some(_) => own.unchanged_beside(upper),
                None => upper.attribute_unchanged.unwrap_or_default(),
            });
            settings.remove_private_as = match (own.remove_private_as, upper.remove_private_as) {
                (Some(own), Some(upper)) => Some(RemovePrivateAs {
                    all: own.all || upper.all,
                    replace: own.replace || upper.replace,
                }),
                (own, upper) => own.or(upper),
            };
            effective_family(settings, bgp.activates(family))
        };
        let (ipv4, ipv6) = (family(Family::Ipv4Unicast), family(Family::Ipv6Unicast));
        let evpn = family(Family::L2vpnEvpn);
        let Settings {
            remote_as,
            local_as,
            description: _,
            shutdown,
            password,
            solo,
            port: _,
            interface,
            tcp_mss,
            passive,
            ebgp_multihop,
            ttl_security,
            disable_connected_check,
            enforce_first_as,
            update_source,
            advertisement_interval,
            timers,
            connect_retry,
            delay_open,
            capability_dynamic,
            extended_nexthop,
            dont_capability_negotiate,
            override_capability,
            strict_capability_match,
            sender_loop_detection,
            graceful_restart: _,
        } = own.settings.or(&upper.settings);
        let by_interface = neighbor.is_some_and(|neighbor| matches!(neighbor.name, PeerName::Interface(_)));
        Effective {
            group: neighbor.and_then(|neighbor| neighbor.group.clone()),
            said_itself: [
                own.settings.capability_dynamic,
                own.settings.extended_nexthop,
                own.settings.disable_connected_check,
                own.ipv4.disable_addpath_rx.or(own.ipv6.disable_addpath_rx),
                own.ipv4.route_server_client,
                own.ipv6.route_server_client,
            ]
            .map(|it| it == Some(true)),
            remote_as,
            local_as: local_as.map(|local| {
                let group = upper.settings.local_as;
                LocalAs {
                    no_prepend: local.no_prepend || group.is_some_and(|it| it.no_prepend),
                    replace_as: local.replace_as || group.is_some_and(|it| it.replace_as),
                    ..local
                }
            }),
            // As with FRR a group's says what the group is, not its members.
            description: own.settings.description.clone(),
            shutdown,
            password,
            solo: solo.unwrap_or(false),
            // As with FRR a group's is of no effect for its members.
            port: own.settings.port.unwrap_or(179),
            interface,
            v6only: neighbor.is_some_and(|neighbor| neighbor.v6only),
            // As with FRR members have a group's without its size; 0 is no limit.
            tcp_mss: own
                .settings
                .tcp_mss
                .or(tcp_mss.filter(|_| neighbor.is_none()).map(|_| 0)),
            passive: passive.unwrap_or(false),
            ebgp_multihop: hops::multihop(ebgp_multihop),
            ttl_security: hops::within(ttl_security),
            disable_connected_check: disable_connected_check.unwrap_or(bgp.flags.disable_connected_check),
            enforce_first_as: enforce_first_as.unwrap_or(false),
            update_source,
            advertisement_interval: advertisement_interval.unwrap_or(0),
            timers: timers.unwrap_or(bgp.timers),
            connect_retry: connect_retry.unwrap_or(self.profile.defaults().connect_retry),
            delay_open,
            capability_dynamic: capability_dynamic.unwrap_or(false),
            extended_nexthop: by_interface || extended_nexthop.unwrap_or(false),
            dont_capability_negotiate: dont_capability_negotiate.unwrap_or(false),
            override_capability: override_capability.unwrap_or(false),
            strict_capability_match: strict_capability_match.unwrap_or(false),
            sender_loop_detection: sender_loop_detection.unwrap_or(false),
            // As with FRR a group's is of no effect for its members.
            graceful_restart: own
                .settings
                .graceful_restart
                .unwrap_or(match bgp.graceful_restart.enabled {
                    Some(true) => GracefulRestart::Restarter,
                    Some(false) => GracefulRestart::Disabled,
                    None => GracefulRestart::Helper,
                }),
            ipv4,
            ipv6,
            evpn,
        }
    }
}

fn effective_family(settings: FamilySettings, activates: bool) -> EffectiveFamily {
    EffectiveFamily {
        activate: settings.activate.unwrap_or(activates),
        addpath: settings.addpath,
        disable_addpath_rx: settings.disable_addpath_rx.unwrap_or(false),
        route_reflector_client: settings.route_reflector_client.unwrap_or(false),
        next_hop_self: settings.next_hop_self.unwrap_or(false),
        next_hop_self_force: settings.next_hop_self_force.unwrap_or(false),
        remove_private_as: settings.remove_private_as,
        as_override: settings.as_override.unwrap_or(false),
        send_community: settings.send_community.unwrap_or(true),
        send_extcommunity: settings.send_extcommunity.unwrap_or(true),
        send_large_community: settings.send_large_community.unwrap_or(true),
        default_originate: settings.default_originate,
        soft_reconfiguration: settings.soft_reconfiguration.unwrap_or(false),
        maximum_prefix: settings.maximum_prefix,
        maximum_prefix_out: settings.maximum_prefix_out,
        route_server_client: settings.route_server_client.unwrap_or(false),
        nexthop_local_unchanged: settings.nexthop_local_unchanged.unwrap_or(false),
        allowas_in: settings.allowas_in,
        weight: settings.weight,
        distribute_list_in: settings.distribute_list_in,
        distribute_list_out: settings.distribute_list_out,
        prefix_list_in: settings.prefix_list_in,
        prefix_list_out: settings.prefix_list_out,
        route_map_in: settings.route_map_in,
        route_map_out: settings.route_map_out,
        unsuppress_map: settings.unsuppress_map,
        filter_list_in: settings.filter_list_in,
        filter_list_out: settings.filter_list_out,
        attribute_unchanged: settings.attribute_unchanged.unwrap_or_default(),
    }
}
