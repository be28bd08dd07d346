//! The running configuration as FRR 8.4.4 prints it.

use super::model::{Config, Interface, StaticRoute, Via};
use super::{print_policy, print_router};

/// Lines of a configuration.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    pub fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    /// Lines and what parts them from the next; nothing where there are none.
    pub fn part(&mut self, lines: impl IntoIterator<Item = String>) {
        let before = self.text.len();
        for line in lines {
            self.line(line);
        }
        if self.text.len() > before {
            self.line("!");
        }
    }
}

impl Config {
    /// The running configuration, from `frr version` to `end`.
    pub fn print(&self) -> String {
        let mut page = Page::default();
        page.part(self.heads());
        page.part(self.kept_as(&["debug"]));
        page.part(self.kept_as(&["password", "enable", "username", "banner"]));
        page.part(self.static_routes.iter().map(static_route));
        for (name, vrf) in &self.vrfs {
            page.part(vrf.lines(name));
        }
        for (name, interface) in &self.interfaces {
            page.part(interface_lines(name, interface));
        }
        if let Some(bgp) = &self.bgp {
            page.part(print_router::router(bgp, self.profile, None));
        }
        for (name, vrf) in &self.vrfs {
            let lines = vrf
                .bgp
                .as_ref()
                .map(|bgp| print_router::router(bgp, self.profile, Some(name)));
            page.part(lines.unwrap_or_default());
        }
        print_policy::lists(&mut page, self);
        print_policy::route_maps(&mut page, self);
        for (ip, map) in [("ip", &self.protocol_map), ("ipv6", &self.protocol_map6)] {
            page.part(map.iter().map(|map| format!("{ip} protocol bgp route-map {map}")));
        }
        page.line("end");
        page.text
    }

    fn heads(&self) -> Vec<String> {
        let mut lines = vec![
            format!("frr version {}", self.layout.version()),
            format!("frr defaults {}", self.profile.name()),
        ];
        lines.extend(self.hostname.iter().map(|name| format!("hostname {name}")));
        lines.extend(self.domainname.iter().map(|name| format!("domainname {name}")));
        lines.extend(self.kept_as(&["log"]));
        lines.extend(self.l3vni.map(|vni| format!("vni {vni}")));
        lines.extend(self.kept_as(&["service"]));
        lines.extend((!self.ipv4_forwarding).then(|| "no ip forwarding".to_owned()));
        lines.extend((!self.ipv6_forwarding).then(|| "no ipv6 forwarding".to_owned()));
        lines.extend(self.router_id.map(|address| format!("ip router-id {address}")));
        lines.extend(
            self.route_map_delay
                .map(|delay| format!("bgp route-map delay-timer {delay}")),
        );
        lines
    }

    fn kept_as(&self, words: &'static [&'static str]) -> impl Iterator<Item = String> {
        let begins = |line: &&String| line.split(' ').next().is_some_and(|first| words.contains(&first));
        self.kept.iter().filter(begins).cloned()
    }
}

fn static_route(route: &StaticRoute) -> String {
    let ip = if route.prefix.addr().is_ipv4() {
        "ip"
    } else {
        "ipv6"
    };
    let via = match &route.via {
        Via::Address(address, None) => address.to_string(),
        Via::Address(address, Some(interface)) => format!("{address} {interface}"),
        Via::Interface(interface) => interface.clone(),
        Via::Blackhole => "blackhole".to_owned(),
        Via::Null0 => "Null0".to_owned(),
        Via::Reject => "reject".to_owned(),
    };
    let mut line = format!("{ip} route {} {via}", route.prefix);
    if route.tag != 0 {
        line.push_str(&format!(" tag {}", route.tag));
    }
    // An interface's name that could be a distance is told from one.
    let is_number =
        matches!(&route.via, Via::Address(_, Some(name)) if name.parse::<u8>().is_ok_and(|it| it > 0));
    if route.distance != 1 || is_number {
        line.push_str(&format!(" {}", route.distance));
    }
    if route.onlink {
        line.push_str(" onlink");
    }
    line
}

/// As in FRR the lines between are sorted.
fn interface_lines(name: &str, interface: &Interface) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    lines.extend(
        interface
            .description
            .iter()
            .map(|text| format!(" description {text}")),
    );
    lines.extend(
        interface
            .bandwidth
            .map(|bandwidth| format!(" bandwidth {bandwidth}")),
    );
    for address in &interface.addresses {
        let ip = if address.addr().is_ipv4() { "ip" } else { "ipv6" };
        lines.push(format!(" {ip} address {address}"));
    }
    for (own, peer) in &interface.peers {
        lines.push(format!(" ip address {own} peer {peer}"));
    }
    lines.extend(interface.ra_interval.map(|interval| match interval % 1000 {
        0 => format!(" ipv6 nd ra-interval {}", interval / 1000),
        _ => format!(" ipv6 nd ra-interval msec {interval}"),
    }));
    lines.extend(
        interface
            .ra_lifetime
            .map(|lifetime| format!(" ipv6 nd ra-lifetime {lifetime}")),
    );
    lines.extend(interface.neighbor_discovery.lines());
    lines.extend(interface.shutdown.then(|| " shutdown".to_owned()));
    lines.extend(
        interface
            .router_advertisements
            .then(|| " no ipv6 nd suppress-ra".to_owned()),
    );
    lines.extend((!interface.link_detect).then(|| " no link-detect".to_owned()));
    lines.sort();
    lines.insert(0, format!("interface {name}"));
    lines.push("exit".to_owned());
    lines
}

/// A line with `no` where something that is on by default is off, and the other way round.
pub(super) fn switch(lines: &mut Vec<String>, text: &str, value: bool, default: bool) {
    match (value, default) {
        (true, false) => lines.push(text.to_owned()),
        (false, true) => lines.push(format!("no {text}")),
        _ => {}
    }
}

/// A line with a value where there is one.
pub(super) fn with<T: std::fmt::Display>(lines: &mut Vec<String>, text: &str, value: Option<T>) {
    lines.extend(value.map(|value| format!("{text} {value}")));
}

/// A line where something is said.
pub(super) fn flag(lines: &mut Vec<String>, text: &str, value: Option<bool>) {
    match value {
        Some(true) => lines.push(text.to_owned()),
        Some(false) => lines.push(format!("no {text}")),
        None => {}
    }
}
