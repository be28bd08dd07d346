//! What both sides of a session said they can do.

use super::json::{Json, Object, text};
use super::scope::key;
use crate::speaker::Peer;
use crate::wire::{AfiSafi, Capability, Family, GracefulRestart};

/// Several paths are received, or sent (RFC 7911 section 4).
const RECEIVES: u8 = 1;
const SENDS: u8 = 2;

/// What each side said.
pub(super) struct Capabilities {
    own: Vec<Capability>,
    other: Vec<Capability>,
}

/// By whom something was said.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sides {
    advertised: bool,
    received: bool,
}

impl Sides {
    const BOTH: Sides = Sides {
        advertised: true,
        received: true,
    };

    fn any(self) -> bool {
        self.advertised || self.received
    }

    fn words(self) -> &'static str {
        match (self.advertised, self.received) {
            (true, true) => "advertised and received",
            (true, false) => "advertised",
            (false, true) => "received",
            (false, false) => "",
        }
    }

    fn key(self) -> &'static str {
        match (self.advertised, self.received) {
            (true, true) => "advertisedAndReceived",
            (true, false) => "advertised",
            (false, true) => "received",
            (false, false) => "",
        }
    }
}

impl Capabilities {
    /// Those of a session that is up.
    pub(super) fn of(peer: &Peer) -> Option<Capabilities> {
        let agreement = peer.session.agreement()?;
        let settings = peer.session.settings();
        // Changed settings may be said in the next session only.
        let own = peer.session.said().unwrap_or(&settings.capabilities);
        let mut other = agreement.remote_capabilities.clone();
        // Of families that are not configured it is not taken note whether several paths could be exchanged.
        for capability in &mut other {
            if let Capability::AddPath(families) = capability {
                families
                    .retain(|(family, _)| Family::try_from(*family).is_ok_and(|it| peer.family(it).activate));
            }
        }
        (!own.is_empty() || !other.is_empty()).then(|| Capabilities {
            own: own.to_vec(),
            other,
        })
    }

    fn sides(&self, is: impl Fn(&Capability) -> bool) -> Sides {
        Sides {
            advertised: self.own.iter().any(&is),
            received: self.other.iter().any(&is),
        }
    }

    fn four_octet_as(&self) -> Sides {
        self.sides(|it| matches!(it, Capability::FourOctetAs(_)))
    }

    fn extended_messages(&self) -> Sides {
        self.sides(|it| matches!(it, Capability::ExtendedMessages))
    }

    fn extended_next_hop(&self) -> Sides {
        self.sides(|it| matches!(it, Capability::ExtendedNextHop(_)))
    }

    fn enhanced_route_refresh(&self) -> Sides {
        self.sides(|it| matches!(it, Capability::EnhancedRouteRefresh))
    }

    fn long_lived(&self) -> Sides {
        self.sides(|it| matches!(it, Capability::LongLivedRestart(_)))
    }

    fn route_refresh(&self) -> Sides {
        self.sides(|it| matches!(it, Capability::RouteRefresh | Capability::OldRouteRefresh))
    }

    /// By which codes the neighbor knows Route Refresh, where this side knows it as well: the old, the new, or both.
    fn refresh_codes(&self) -> (bool, bool) {
        let both = self.route_refresh() == Sides::BOTH;
        let says = |it: &Capability| both && self.other.contains(it);
        (
            says(&Capability::OldRouteRefresh),
            says(&Capability::RouteRefresh),
        )
    }

    fn dynamic(&self) -> Sides {
        self.sides(|it| matches!(it, Capability::Dynamic(_)))
    }

    fn family(&self, family: Family) -> Sides {
        self.sides(|it| *it == Capability::Multiprotocol(family.into()))
    }

    fn adds_paths(&self, family: Family, mode: u8) -> Sides {
        let wanted = AfiSafi::from(family);
        self.sides(|it| match it {
            Capability::AddPath(families) => families
                .iter()
                .any(|(known, modes)| *known == wanted && modes & mode != 0),
            _ => false,
        })
    }

    /// The neighbor's graceful restart.
    pub(super) fn restart(&self) -> Option<&GracefulRestart> {
        restart(&self.other)
    }

    /// Whether this side says anything of restarts.
    pub(super) fn offers_restart(&self) -> bool {
        self.says_restart().advertised
    }

    fn says_restart(&self) -> Sides {
        self.sides(|it| matches!(it, Capability::GracefulRestart(_)))
    }

    /// Families of which IPv6 next hops may come.
    fn next_hop_families(&self) -> Vec<Family> {
        let all = self.other.iter().filter_map(|it| match it {
            Capability::ExtendedNextHop(families) => Some(families),
            _ => None,
        });
        all.flatten()
            .filter_map(|(family, _)| Family::try_from(*family).ok())
            .collect()
    }

    /// The lines of `show bgp neighbors`.
    pub(super) fn lines(&self) -> String {
        let mut out = String::from("  Neighbor capabilities:\n");
        let mut line = |name: &str, sides: Sides| {
            if sides.any() {
                out += &format!("    {name}: {}\n", sides.words());
            }
        };
        line("4 Byte AS", self.four_octet_as());
        line("Extended Message", self.extended_messages());
        out += &self.add_path_lines();
        if self.dynamic().any() {
            out += &format!("    Dynamic: {}\n", self.dynamic().words());
        }
        if self.extended_next_hop().any() {
            out += &format!("    Extended nexthop: {}\n", self.extended_next_hop().words());
            let families = self.next_hop_families();
            if !families.is_empty() {
                out += "      Address families by peer:\n";
            }
            for family in families {
                out += &format!("                   {family}\n");
            }
        }
        if self.long_lived().any() {
            out += &format!("    Long-lived Graceful Restart: {}\n", self.long_lived().words());
            if self.long_lived().received {
                out += "      Address families by peer:\n";
            }
        }
        if self.route_refresh().any() {
            let sides = self.route_refresh();
            let kinds = match self.refresh_codes() {
                (true, true) => "(old & new)",
                (true, false) => "(old)",
                (false, true) => "(new)",
                (false, false) => "",
            };
            out += &format!("    Route refresh: {}{kinds}\n", sides.words());
        }
        let mut line = |name: &str, sides: Sides| {
            if sides.any() {
                out += &format!("    {name}: {}\n", sides.words());
            }
        };
        line("Enhanced Route Refresh", self.enhanced_route_refresh());
        for family in Family::ALL {
            line(&format!("Address Family {family}"), self.family(family));
        }
        out + &self.name_line() + &self.restart_lines()
    }

    fn add_path_lines(&self) -> String {
        let mut out = String::new();
        for family in Family::ALL {
            for (name, mode) in [("TX", SENDS), ("RX", RECEIVES)] {
                let sides = self.adds_paths(family, mode);
                if sides.any() {
                    out += &format!("      {family}: {name} {}\n", sides.words());
                }
            }
        }
        match out.is_empty() {
            true => out,
            false => format!("    AddPath:\n{out}"),
        }
    }

    fn name_line(&self) -> String {
        let [own, other] = [name(&self.own), name(&self.other)];
        let shown = |it: Option<(&str, &str)>| {
            it.map(|(host, domain)| format!("(name: {},domain name: {})", or_none(host), or_none(domain)))
        };
        let not = |it: Option<String>, word: &str| match it {
            Some(names) => format!("{word} {names}"),
            None => format!("not {word}"),
        };
        format!(
            "    Hostname Capability: {} {}\n",
            not(shown(own), "advertised"),
            not(shown(other), "received")
        )
    }

    fn restart_lines(&self) -> String {
        let sides = self.says_restart();
        if !sides.any() {
            return String::new();
        }
        let mut out = format!("    Graceful Restart Capability: {}\n", sides.words());
        if let Some(restart) = self.restart() {
            out += &format!("      Remote Restart timer is {} seconds\n", restart.time);
            out += "      Address families by peer:\n        ";
            let families: Vec<String> = restart_families(restart)
                .map(|(family, kept)| {
                    format!("{family}({})", if kept { "preserved" } else { "not preserved" })
                })
                .collect();
            out += &match families.is_empty() {
                true => "none\n".to_owned(),
                false => families.join(", ") + "\n",
            };
        }
        out
    }

    /// The object of `show bgp neighbors json`.
    pub(super) fn as_json(&self, is_ten: bool) -> Object {
        let mut object = Object::new();
        let put = |object: &mut Object, name: &str, sides: Sides| {
            if sides.any() {
                object.put(name, sides.key());
            }
        };
        put(&mut object, "4byteAs", self.four_octet_as());
        put(&mut object, "extendedMessage", self.extended_messages());
        let add_path = self.add_path_as_json(is_ten);
        if !add_path.is_empty() {
            object.put("addPath", add_path);
        }
        put(&mut object, "dynamic", self.dynamic());
        put(&mut object, "extendedNexthop", self.extended_next_hop());
        let families = self.next_hop_families();
        if !families.is_empty() {
            // The spelling is FRR's.
            let families = families
                .into_iter()
                .fold(Object::new(), |it, family| it.with(key(family), "recieved"));
            object.put("extendedNexthopFamililesByPeer", families);
        }
        put(&mut object, "longLivedGracefulRestart", self.long_lived());
        if self.long_lived().received {
            // FRR lists the families of which it hears IPv6 next hops here, whatever the neighbor keeps.
            let families = self.next_hop_families().into_iter();
            let families = families.fold(Object::new(), |it, family| it.with(key(family), "received"));
            object.put("longLivedGracefulRestartByPeer", families);
        }
        if self.route_refresh().any() {
            let sides = self.route_refresh();
            let kinds = match self.refresh_codes() {
                (true, true) => "OldNew",
                (true, false) => "Old",
                (false, true) => "New",
                (false, false) => "",
            };
            let kinds = if is_ten { "" } else { kinds };
            object.put("routeRefresh", format!("{}{kinds}", sides.key()));
        }
        put(&mut object, "enhancedRouteRefresh", self.enhanced_route_refresh());
        let mut families = Object::new();
        for family in Family::ALL {
            let sides = self.family(family);
            if sides.any() {
                families.put(key(family), Object::new().with(sides.key(), true));
            }
        }
        object.put("multiprotocolExtensions", families);
        object.put("hostName", self.names_as_json());
        self.put_restart(&mut object);
        object
    }

    fn add_path_as_json(&self, is_ten: bool) -> Object {
        let mut object = Object::new();
        for family in Family::ALL {
            let mut modes = Object::new();
            for (name, mode) in [("tx", SENDS), ("rx", RECEIVES)] {
                let sides = self.adds_paths(family, mode);
                let word = match sides.key() {
                    "" => continue,
                    word => word[..1].to_uppercase() + &word[1..],
                };
                modes.put(format!("{name}{word}"), true);
                if is_ten && sides == Sides::BOTH {
                    modes.put(format!("{name}Advertised"), true);
                    modes.put(format!("{name}Received"), true);
                }
            }
            if !modes.is_empty() {
                object.put(key(family), modes);
            }
        }
        object
    }

    fn names_as_json(&self) -> Object {
        let mut object = Object::new();
        for (prefix, names) in [("adv", name(&self.own)), ("rcv", name(&self.other))] {
            if let Some((host, domain)) = names {
                object.put(format!("{prefix}HostName"), or_none(host));
                object.put(format!("{prefix}DomainName"), or_none(domain));
            }
        }
        object
    }

    fn put_restart(&self, object: &mut Object) {
        let sides = self.says_restart();
        if sides == Sides::BOTH {
            object.put("gracefulRestart", sides.key());
        } else if sides.any() {
            object.put("gracefulRestartCapability", sides.key());
        }
        let Some(restart) = self.restart() else { return };
        object.put("gracefulRestartRemoteTimerMsecs", u32::from(restart.time) * 1000);
        let mut families = Object::new();
        for (family, kept) in restart_families(restart) {
            let mut object = Object::new();
            object.put_if("preserved", kept);
            families.put(key(family), object);
        }
        let families = match families.is_empty() {
            true => text("none"),
            false => Json::from(families),
        };
        object.put("addressFamiliesByPeer", families);
    }
}

fn restart(capabilities: &[Capability]) -> Option<&GracefulRestart> {
    capabilities.iter().find_map(|it| match it {
        Capability::GracefulRestart(restart) => Some(restart),
        _ => None,
    })
}

fn restart_families(restart: &GracefulRestart) -> impl Iterator<Item = (Family, bool)> {
    let known = |(family, kept): &(AfiSafi, bool)| Family::try_from(*family).ok().map(|it| (it, *kept));
    restart.families.iter().filter_map(known)
}

fn name(capabilities: &[Capability]) -> Option<(&str, &str)> {
    capabilities.iter().find_map(|it| match it {
        Capability::Fqdn { host, domain } => Some((host.as_str(), domain.as_str())),
        _ => None,
    })
}

fn or_none(name: &str) -> &str {
    if name.is_empty() { "n/a" } else { name }
}
