//! Routes as the kernel has them beside the one a check wants. Pure.

use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::answer::Difference;
use crate::lab::check::RouteWanted;

/// A route, with names for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Destination.
    pub to: IpNet,
    /// `unicast`, `blackhole` …
    pub kind: String,
    /// Gateway and interface of each next hop.
    pub hops: Vec<(Option<IpAddr>, Option<String>)>,
    /// Who installed it.
    pub proto: String,
    /// Priority.
    pub metric: u32,
    /// Table.
    pub table: u32,
}

/// What was seen where there is such a route, else how the routes differ.
///
/// # Errors
/// There is none.
pub fn judge(wanted: &RouteWanted, routes: &[Route]) -> Result<String, Difference> {
    let here: Vec<&Route> = routes
        .iter()
        .filter(|route| route.to == wanted.to && route.table == wanted.table)
        .collect();
    if here.is_empty() {
        // What packets would follow instead.
        let nearest = routes
            .iter()
            .filter(|route| route.table == wanted.table && route.to.contains(&wanted.to))
            .max_by_key(|route| route.to.prefix_len());
        let detail = match nearest {
            Some(route) => format!("the nearest is {}", shown(route)),
            None => "nothing leads there".to_owned(),
        };
        return Err(Difference::new(format!("no route to {}", wanted.to), detail));
    }
    let mut differences = Vec::new();
    for route in &here {
        match differs(wanted, route) {
            None => return Ok(shown(route)),
            Some(what) => differences.push(what),
        }
    }
    let lines: Vec<String> = here.iter().map(|route| shown(route)).collect();
    Err(Difference::new(differences.join("; "), lines.join("\n")))
}

fn differs(wanted: &RouteWanted, route: &Route) -> Option<String> {
    if let Some(proto) = &wanted.proto
        && !is_proto(proto, &route.proto)
    {
        return Some(format!("proto is {}, not {proto}", route.proto));
    }
    if let Some(metric) = wanted.metric.filter(|metric| *metric != route.metric) {
        return Some(format!("metric is {}, not {metric}", route.metric));
    }
    if let Some(count) = wanted.nexthops.filter(|count| *count != route.hops.len()) {
        return Some(format!("it has {} next hops, not {count}", route.hops.len()));
    }
    let fits = |(via, dev): &(Option<IpAddr>, Option<String>)| {
        wanted.via.is_none_or(|wanted| *via == Some(wanted))
            && wanted
                .dev
                .as_ref()
                .is_none_or(|wanted| dev.as_ref() == Some(wanted))
    };
    if (wanted.via.is_some() || wanted.dev.is_some()) && !route.hops.iter().any(fits) {
        let via = wanted.via.map(|via| format!(" via {via}")).unwrap_or_default();
        let dev = wanted
            .dev
            .as_ref()
            .map(|dev| format!(" dev {dev}"))
            .unwrap_or_default();
        return Some(format!("no next hop is{via}{dev}"));
    }
    None
}

/// FRR marks its own static routes with another number than `ip route`'s; both are static.
fn is_proto(wanted: &str, proto: &str) -> bool {
    wanted == proto || wanted == "static" && proto == "zstatic"
}

/// As `ip route` prints it.
fn shown(route: &Route) -> String {
    let mut text = match route.kind.as_str() {
        "unicast" => route.to.to_string(),
        kind => format!("{kind} {}", route.to),
    };
    let hop = |text: &mut String, (via, dev): &(Option<IpAddr>, Option<String>)| {
        if let Some(via) = via {
            let _ = write!(text, " via {via}");
        }
        if let Some(dev) = dev {
            let _ = write!(text, " dev {dev}");
        }
    };
    if let [one] = route.hops.as_slice() {
        hop(&mut text, one);
    }
    let _ = write!(text, " proto {}", route.proto);
    if route.metric > 0 {
        let _ = write!(text, " metric {}", route.metric);
    }
    if route.hops.len() > 1 {
        for one in &route.hops {
            text.push_str(" nexthop");
            hop(&mut text, one);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_route_is_shown() {
        let route = |to: &str, via: &str| Route {
            to: to.parse().unwrap(),
            kind: "unicast".to_owned(),
            hops: vec![(Some(via.parse().unwrap()), Some("net0".to_owned()))],
            proto: "bgp".to_owned(),
            metric: 20,
            table: 254,
        };
        let routes = [route("0.0.0.0/0", "10.0.0.1"), route("10.0.0.0/8", "10.0.0.2")];
        let wanted = |to: &str| RouteWanted {
            to: to.parse().unwrap(),
            via: Some("10.0.0.2".parse().unwrap()),
            dev: None,
            proto: None,
            nexthops: None,
            metric: None,
            table: 254,
        };
        assert!(judge(&wanted("10.0.0.0/8"), &routes).is_ok());
        let difference = judge(&wanted("10.1.0.0/16"), &routes).unwrap_err();
        assert_eq!(
            difference.detail,
            "the nearest is 10.0.0.0/8 via 10.0.0.2 dev net0 proto bgp metric 20"
        );
        let difference = judge(&wanted("0.0.0.0/0"), &routes).unwrap_err();
        assert_eq!(difference.message, "no next hop is via 10.0.0.2");
    }
}
