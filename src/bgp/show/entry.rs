//! One prefix: `show bgp ipv4 unicast PREFIX`.

use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;

use super::View;
use super::detail_json;
use super::json::Json;
use super::path::Path;
use super::routes::{Style, show};
use super::scope::Scope;
use crate::config::{Addpath, Arguments};
use crate::speaker::Peer;
use crate::wire::{Community, Family};

impl<'s> View<'s> {
    /// Whether some neighbor is to be told several routes to a prefix.
    pub(super) fn tells_several(&self, family: Family) -> bool {
        let mut kinds = [Addpath::All, Addpath::BestPerAs].into_iter();
        kinds.any(|kind| self.speaker.tells_several(family, kind))
    }

    /// The neighbors that were told a prefix.
    pub(super) fn told(&self, family: Family, prefix: &IpNet) -> Vec<&'s Peer> {
        let mut peers = self.peers_in(family);
        peers.retain(|peer| self.speaker.was_told(peer, family, prefix));
        peers
    }
}

/// `show bgp ipv4 unicast ADDRESS` and `show bgp ipv4 unicast PREFIX`.
pub(super) fn entry(view: &View, arguments: &Arguments) -> String {
    let scope = Scope::of(arguments);
    if let Some(refusal) = scope.refusal_of_routes(view) {
        return refusal;
    }
    let family = scope.table();
    let (wanted, exact) = match (arguments.get("prefix"), arguments.get("address")) {
        (Some(prefix), _) => (prefix.parse::<IpNet>().ok(), true),
        (None, Some(address)) => (address.parse::<IpAddr>().ok().map(IpNet::from), false),
        (None, None) => (None, false),
    };
    let Some(wanted) = wanted.map(|net| net.trunc()) else {
        return String::new();
    };
    if wanted.addr().is_ipv4() != (family == Family::Ipv4Unicast) {
        let [this, other] = match family {
            Family::Ipv4Unicast | Family::L2vpnEvpn => ["IPv6", "IPv4"],
            Family::Ipv6Unicast => ["IPv4", "IPv6"],
        };
        return format!("% Cannot specify {this} address or prefix with {other} AFI\n");
    }
    if arguments.has("longer-prefixes") {
        let style = Style::of(arguments);
        return show(view, family, style, |path| wanted.contains(&path.prefix));
    }
    let paths = paths(view, family, wanted, exact);
    let shown = |path: &&Path| match arguments.one_of(&["bestpath", "multipath"]) {
        Some("bestpath") => path.is_best(),
        Some(_) => path.is_best() || path.is_beside(),
        None => true,
    };
    match (paths.first(), arguments.has("json")) {
        (Some(first), true) => {
            let values = paths.iter().filter(shown).map(|path| path.detail_as_json(view));
            let head = detail_json::head(view, first.prefix, first);
            head.with("paths", values.collect::<Vec<Json>>()).pretty() + "\n"
        }
        (Some(first), false) => {
            let lines = paths.iter().filter(shown).map(|path| path.detail(view));
            head(view, first, &paths) + &lines.collect::<String>()
        }
        (None, true) => "{\n}\n".to_owned(),
        (None, false) => "% Network not in table\n".to_owned(),
    }
}

/// The routes of a prefix, or of the longest one an address is in; the newest first.
fn paths<'s>(view: &View<'s>, family: Family, wanted: IpNet, exact: bool) -> Vec<Path<'s>> {
    let table = view.speaker.table(family);
    let mut prefix = wanted;
    let found = loop {
        if let Some(destination) = table.get(&prefix) {
            break Some(destination);
        }
        match prefix.supernet().filter(|_| !exact) {
            Some(wider) => prefix = wider,
            None => break None,
        }
    };
    let Some(destination) = found else {
        return Vec::new();
    };
    let routes = destination.routes().iter().rev();
    routes
        .map(|route| Path {
            prefix,
            family,
            destination,
            route,
        })
        .collect()
}

/// What FRR says about a route with a well-known community; of several about the first here.
const MEANINGS: [(Community, &str); 13] = [
    (
        Community::ACCEPT_OWN,
        "accept own local route exported and imported in different VRF",
    ),
    (
        Community(0xffff_0002),
        "mark translated RTs for VPNv4 route filtering",
    ),
    (
        Community(0xffff_0003),
        "attach RT as-is for VPNv4 route filtering",
    ),
    (
        Community(0xffff_0004),
        "mark translated RTs for VPNv6 route filtering",
    ),
    (
        Community(0xffff_0005),
        "attach RT as-is for VPNv6 route filtering",
    ),
    (
        Community::LLGR_STALE,
        "mark routes to be retained for a longer time. Requires support for Long-lived BGP Graceful Restart",
    ),
    (
        Community::NO_LLGR,
        "mark routes to not be treated according to Long-lived BGP Graceful Restart operations",
    ),
    (Community(0xffff_0008), "accept local nexthop"),
    (Community::BLACKHOLE, "inform peer to blackhole prefix"),
    (Community::NO_EXPORT, "not advertised to EBGP peer"),
    (Community::NO_ADVERTISE, "not advertised to any peer"),
    (Community::LOCAL_AS, "not advertised outside local AS"),
    (
        Community::NO_PEER,
        "inform EBGP peer not to advertise to their EBGP peers",
    ),
];

fn head(view: &View, first: &Path, paths: &[Path]) -> String {
    let mut out = format!(
        "BGP routing table entry for {}, version {}\nPaths: ({} available, ",
        first.prefix,
        first.version(view),
        paths.len()
    );
    match paths.iter().position(Path::is_best) {
        Some(at) => {
            let _ = match view.outer {
                None => write!(out, "best #{}, table default", at + 1),
                Some(_) => write!(out, "best #{}, vrf {}", at + 1, view.vrf_name()),
            };
            let communities = first.destination.best().map(|it| &it.attributes.communities);
            let has = |community| communities.is_some_and(|it| it.contains(&community));
            if let Some((_, meaning)) = MEANINGS.iter().find(|(community, _)| has(*community)) {
                let _ = write!(out, ", {meaning}");
            }
        }
        None => out += "no best path",
    }
    if paths.iter().any(|path| path.is_suppressed(view)) {
        out += ", Advertisements suppressed by an aggregate.";
    }
    out += ")\n";
    // With several routes each says to whom it was told.
    if view.tells_several(first.family) {
        return out;
    }
    let told = view.told(first.family, &first.prefix);
    if told.is_empty() {
        return out + "  Not advertised to any peer\n";
    }
    let names: Vec<String> = told.iter().map(|peer| view.shown(peer)).collect();
    let _ = writeln!(
        out,
        "  Advertised to non peer-group peers:\n  {}",
        names.join(" ")
    );
    out
}
