//! Static routes.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A static route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The destination; `default` in the file becomes 0.0.0.0/0 or ::/0 by the next hop's family.
    pub to: IpNet,
    /// What happens to packets that match.
    pub action: RouteAction,
    /// Priority; the kernel's default where none is given.
    pub metric: Option<u32>,
    /// Routing table; main (254) where none is given.
    pub table: Option<u32>,
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteAction {
    /// Forward to one or more next hops (never empty).
    Forward(Vec<NextHop>),
    /// Drop silently.
    Blackhole,
    /// Drop with ICMP unreachable.
    Unreachable,
    /// Drop with ICMP administratively prohibited.
    Prohibit,
}

/// A next hop: at least one of `via` and `dev`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NextHop {
    /// The gateway; may be IPv6 for an IPv4 destination.
    pub via: Option<IpAddr>,
    /// The interface.
    pub dev: Option<String>,
    /// ECMP weight, 1 to 256.
    pub weight: u16,
}
