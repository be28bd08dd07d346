//! What may be said of a neighbor or a peer-group.

use std::net::IpAddr;

/// Declares settings that are all optional, so that a neighbor's may be filled from its group's.
macro_rules! settings {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: Option<$type>,)*
        }

        impl $name {
            /// These settings, and the group's where there are none.
            pub fn or(&self, group: &Self) -> Self {
                $name {
                    $($field: self.$field.clone().or_else(|| group.$field.clone()),)*
                }
            }
        }
    };
}

settings! {
    /// Settings of the session.
    Settings {
        /// `remote-as`.
        remote_as: RemoteAs,
        /// `local-as`.
        local_as: LocalAs,
        /// `description`.
        description: String,
        /// `shutdown`.
        shutdown: Shutdown,
        /// `password`.
        password: String,
        /// `solo`.
        solo: bool,
        /// `port`.
        port: u16,
        /// `neighbor ADDRESS interface`: the interface of a link-local address.
        interface: String,
        /// `tcp-mss`.
        tcp_mss: u16,
        /// `passive`.
        passive: bool,
        /// `ebgp-multihop`.
        ebgp_multihop: u8,
        /// `ttl-security hops`.
        ttl_security: u8,
        /// `disable-connected-check`.
        disable_connected_check: bool,
        /// `enforce-first-as`.
        enforce_first_as: bool,
        /// `update-source`.
        update_source: UpdateSource,
        /// `advertisement-interval`, seconds.
        advertisement_interval: u16,
        /// `timers`.
        timers: Timers,
        /// `timers connect`, seconds.
        connect_retry: u16,
        /// `timers delayopen`, seconds.
        delay_open: u16,
        /// `capability dynamic`.
        capability_dynamic: bool,
        /// `capability extended-nexthop`.
        extended_nexthop: bool,
        /// `dont-capability-negotiate`.
        dont_capability_negotiate: bool,
        /// `override-capability`.
        override_capability: bool,
        /// `strict-capability-match`.
        strict_capability_match: bool,
        /// `sender-as-path-loop-detection`.
        sender_loop_detection: bool,
        /// `graceful-restart` and its variants.
        graceful_restart: GracefulRestart,
    }
}

settings! {
    /// Settings of an address family.
    FamilySettings {
        /// `activate`.
        activate: bool,
        /// `addpath-tx-…`.
        addpath: Addpath,
        /// `disable-addpath-rx`.
        disable_addpath_rx: bool,
        /// `route-reflector-client`.
        route_reflector_client: bool,
        /// `next-hop-self`.
        next_hop_self: bool,
        /// `next-hop-self force`.
        next_hop_self_force: bool,
        /// `remove-private-AS`.
        remove_private_as: RemovePrivateAs,
        /// `as-override`.
        as_override: bool,
        /// `send-community`; on unless taken back.
        send_community: bool,
        /// `send-community extended`; on unless taken back.
        send_extcommunity: bool,
        /// `send-community large`; on unless taken back.
        send_large_community: bool,
        /// `default-originate`.
        default_originate: DefaultOriginate,
        /// `soft-reconfiguration inbound`.
        soft_reconfiguration: bool,
        /// `maximum-prefix`.
        maximum_prefix: MaximumPrefix,
        /// `maximum-prefix-out`.
        maximum_prefix_out: u32,
        /// `route-server-client`.
        route_server_client: bool,
        /// `nexthop-local unchanged`.
        nexthop_local_unchanged: bool,
        /// `allowas-in`.
        allowas_in: AllowAsIn,
        /// `weight`.
        weight: u16,
        /// `distribute-list … in`.
        distribute_list_in: String,
        /// `distribute-list … out`.
        distribute_list_out: String,
        /// `prefix-list … in`.
        prefix_list_in: String,
        /// `prefix-list … out`.
        prefix_list_out: String,
        /// `route-map … in`.
        route_map_in: String,
        /// `route-map … out`.
        route_map_out: String,
        /// `unsuppress-map`.
        unsuppress_map: String,
        /// `filter-list … in`.
        filter_list_in: String,
        /// `filter-list … out`.
        filter_list_out: String,
        /// `attribute-unchanged`.
        attribute_unchanged: AttributeUnchanged,
        /// NEXT_HOP goes on as it came though the neighbor does not say so itself: as `route-server-client` of the neighbor
        /// leaves it, or as its group had it when it came in. None of a group's.
        next_hop_kept: bool,
    }
}

impl FamilySettings {
    /// The attributes that a neighbor is told as they came, its group's included.
    pub(super) fn unchanged_beside(&self, group: &Self) -> AttributeUnchanged {
        let own = self.attribute_unchanged.unwrap_or_default();
        let group = group.attribute_unchanged.unwrap_or_default();
        AttributeUnchanged {
            as_path: own.as_path || group.as_path,
            next_hop: own.next_hop || self.next_hop_kept == Some(true),
            med: own.med || group.med,
        }
    }
}

/// The AS of a neighbor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteAs {
    /// This one.
    Number(u32),
    /// The own.
    Internal,
    /// Any but the own.
    External,
}

impl std::fmt::Display for RemoteAs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            RemoteAs::Number(asn) => write!(formatter, "{asn}"),
            RemoteAs::Internal => formatter.write_str("internal"),
            RemoteAs::External => formatter.write_str("external"),
        }
    }
}

/// Another AS that is shown to a neighbor as the own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalAs {
    /// Its number.
    pub asn: u32,
    /// It is not put before the path of what comes in.
    pub no_prepend: bool,
    /// It takes the place of the own in what goes out.
    pub replace_as: bool,
}

/// A session that is kept down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shutdown {
    /// What the neighbor is told.
    pub message: Option<String>,
}

/// Where sessions come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateSource {
    /// An address.
    Address(IpAddr),
    /// An interface's address.
    Interface(String),
}

/// Seconds between keepalives, and until a silent neighbor is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Keepalive.
    pub keepalive: u16,
    /// Hold.
    pub hold: u16,
}

/// Graceful restart with a neighbor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GracefulRestart {
    /// Both roles.
    Restarter,
    /// Helping only.
    Helper,
    /// Not at all.
    Disabled,
}

impl GracefulRestart {
    /// The keyword.
    pub fn name(self) -> &'static str {
        match self {
            GracefulRestart::Restarter => "graceful-restart",
            GracefulRestart::Helper => "graceful-restart-helper",
            GracefulRestart::Disabled => "graceful-restart-disable",
        }
    }
}

/// Which paths beside the best are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addpath {
    /// All.
    All,
    /// The best of each neighboring AS.
    BestPerAs,
}

/// `remove-private-AS`; the greater one does more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemovePrivateAs {
    /// By the own AS in their place.
    pub replace: bool,
    /// Also from paths with public AS numbers.
    pub all: bool,
}

/// A default route for a neighbor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefaultOriginate {
    /// Says when, and changes it.
    pub route_map: Option<String>,
}

/// How many prefixes a neighbor may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaximumPrefix {
    /// So many.
    pub limit: u32,
    /// Percent of them at which a warning is logged.
    pub threshold: u8,
    /// What happens beyond.
    pub excess: Excess,
    /// Count those that are filtered too.
    pub force: bool,
}

/// What happens to a session with too many prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// It goes down.
    Shutdown,
    /// It goes down for some minutes.
    Restart(u16),
    /// A warning is logged.
    Warning,
}

/// How often the own AS may be in a path that comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowAsIn {
    /// So often; 3 unless said otherwise.
    Times(u8),
    /// Only as the path's origin.
    Origin,
}

/// Attributes sent on as they came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttributeUnchanged {
    /// AS_PATH.
    pub as_path: bool,
    /// NEXT_HOP.
    pub next_hop: bool,
    /// MULTI_EXIT_DISC.
    pub med: bool,
}

impl AttributeUnchanged {
    /// These but for those.
    pub fn without(self, other: Self) -> Self {
        AttributeUnchanged {
            as_path: self.as_path && !other.as_path,
            next_hop: self.next_hop && !other.next_hop,
            med: self.med && !other.med,
        }
    }
}
