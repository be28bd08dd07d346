//! Whether FRR has taken a configuration: what its daemons say they run (`show running-config`), compared with what was asked.
//! Pure.
//!
//! FRR prints a configuration in forms of its own: defaults are left out, entries get sequence numbers, prefixes lose their host
//! bits, routes move into their VRF. So a line that is not there word by word is not lost yet. Of some commands it is known
//! how they are shown whenever they are in force ([`key`]): without that they are lost. Of others, nothing may be shown
//! that begins alike: they are doubtful, and FRR is asked again.

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// A line of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, counted from 1.
    pub number: usize,
    /// The lines that lead to where it stands: `router bgp 65000`, `address-family ipv4 unicast`.
    pub context: Vec<String>,
    /// Its words, one blank between them, IPv6 addresses in their usual form.
    pub text: String,
}

impl Line {
    /// Whether it stands in a BGP router's block.
    pub fn is_bgp(&self) -> bool {
        self.context
            .first()
            .is_some_and(|first| first.starts_with("router bgp"))
    }
}

/// What is not in force as far as can be seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// What is not.
    pub lost: Vec<Line>,
    /// What may be.
    pub doubtful: Vec<Line>,
}

/// What begins a block of its own, wherever it stands.
const BLOCKS: [&str; 13] = [
    "router ",
    "interface ",
    "route-map ",
    "vrf ",
    "bfd",
    "key chain ",
    "line vty",
    "segment-routing",
    "pbr-map ",
    "nexthop-group ",
    "mpls ldp",
    "l2vpn ",
    "rpki",
];
/// What begins a block in a block: words, and those that the outer block begins with.
const INNER: [(&str, &str); 9] = [
    ("address-family ", ""),
    ("vni ", "router bgp"),
    ("vnc ", "router bgp"),
    ("bmp targets ", "router bgp"),
    ("peer ", "bfd"),
    ("profile ", "bfd"),
    ("key ", "key chain"),
    ("interface ", "mpls ldp"),
    ("member ", "l2vpn"),
];
/// What is not a router's work, or is shown in another place or not at all.
const ASIDE: [&str; 14] = [
    "no ",
    "frr ",
    "hostname ",
    "domainname ",
    "log ",
    "service ",
    "password ",
    "enable ",
    "username ",
    "debug ",
    "banner ",
    "agentx",
    "allow-external-route-update",
    "end",
];

/// The lines of a configuration that do something, each with its context.
pub fn lines(text: &str) -> Vec<Line> {
    let mut context: Vec<String> = Vec::new();
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words = line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
        if words.is_empty() || words.starts_with(['!', '#']) {
            continue;
        }
        match words.as_str() {
            "end" => context.clear(),
            "exit" | "quit" => drop(context.pop()),
            "exit-vrf" => context.clear(),
            words if words.starts_with("exit-") => context.truncate(1),
            _ => {
                let depth = block(&words, &context);
                context.truncate(depth.unwrap_or(usize::MAX));
                lines.push(Line {
                    number,
                    context: context.clone(),
                    text: words.clone(),
                });
                if depth.is_some() {
                    context.push(canonical(words));
                }
            }
        }
    }
    lines
}

/// A word as FRR shows it: IPv6 addresses have one form (RFC 5952).
fn word(word: &str) -> Cow<'_, str> {
    if let Ok(address) = word.parse::<Ipv6Addr>() {
        return address.to_string().into();
    }
    match word.parse::<IpNet>() {
        Ok(net) if net.addr().is_ipv6() => net.to_string().into(),
        _ => word.into(),
    }
}

/// How deep a block is that a line begins, if it does.
fn block(words: &str, context: &[String]) -> Option<usize> {
    let outer = context.first().map(String::as_str).unwrap_or_default();
    let begins = |start: &str| {
        let rest = words.strip_prefix(start);
        rest.is_some_and(|rest| start.ends_with(' ') || rest.is_empty() || rest.starts_with(' '))
    };
    let inner = INNER
        .iter()
        .any(|(start, of)| words.starts_with(start) && !outer.is_empty() && outer.starts_with(of));
    match inner {
        true => Some(1),
        false => BLOCKS.iter().any(|start| begins(start)).then_some(0),
    }
}

/// The name of a block as FRR shows it.
fn canonical(words: String) -> String {
    // The VRF that is always there is not shown.
    let words = match words.strip_suffix(" vrf default") {
        Some(rest) => rest.to_owned(),
        None => words,
    };
    match words.as_str() {
        "address-family ipv4" | "address-family ipv6" => words + " unicast",
        _ => words,
    }
}

/// What of the configuration that was asked is not among what runs.
pub fn missing(asked: &str, running: &str) -> Missing {
    let (asked, running) = (lines(asked), lines(running));
    let there: HashSet<(&[String], &str)> = running
        .iter()
        .map(|line| (line.context.as_slice(), line.text.as_str()))
        .collect();
    let keys: HashSet<String> = running.iter().filter_map(key).collect();
    let heads: HashSet<(&[String], String)> = running
        .iter()
        .map(|line| (line.context.as_slice(), head(line)))
        .collect();
    let mut missing = Missing::default();
    let gone = gone_with_groups(&asked);
    for (at, line) in asked.iter().enumerate() {
        let neighbor = line
            .text
            .strip_prefix("neighbor ")
            .and_then(|rest| rest.split(' ').next());
        if neighbor.is_some_and(|name| gone.contains(name)) {
            continue;
        }
        // A command that is not one of the block it stands in is one of the block around it.
        let mut contexts = (0..=line.context.len()).map(|depth| &line.context[..depth]);
        let is_aside = ASIDE.iter().any(|word| line.text.starts_with(word));
        if is_aside
            || contexts
                .clone()
                .any(|context| there.contains(&(context, &line.text)))
        {
            continue;
        }
        let key = key(line);
        if is_taken_back(line, key.as_deref(), &asked[at + 1..]) {
            continue;
        }
        match key {
            Some(key) if !keys.contains(&key) => missing.lost.push(line.clone()),
            // Shown in another form.
            Some(_) if block(&line.text, &line.context).is_some() => {}
            _ if contexts.any(|context| heads.contains(&(context, head(line)))) => {}
            _ if block(&line.text, &line.context).is_some() => {}
            _ => missing.doubtful.push(line.clone()),
        }
    }
    missing
}

fn words(line: &Line) -> Vec<&str> {
    line.text.split(' ').collect()
}

/// Peer-groups that are taken back, and their members, which go with them.
fn gone_with_groups(asked: &[Line]) -> HashSet<&str> {
    let mut gone = HashSet::new();
    for line in asked {
        if let ["no", "neighbor", group, "peer-group"] = *words(line).as_slice() {
            gone.insert(group);
        }
    }
    let groups = gone.clone();
    for line in asked {
        if let ["neighbor", name, .., "peer-group", group] = *words(line).as_slice()
            && groups.contains(group)
        {
            gone.insert(name);
        }
    }
    gone
}

/// Whether a later line takes it back.
fn is_taken_back(line: &Line, key: Option<&str>, later: &[Line]) -> bool {
    later.iter().any(|other| {
        let Some(text) = other.text.strip_prefix("no ") else {
            return false;
        };
        let of_block = line.context.first().is_some_and(|block| block.starts_with(text));
        let of_line = line.text == text || line.text.starts_with(&format!("{text} "));
        let taken = Line {
            text: text.to_owned(),
            ..other.clone()
        };
        of_block || of_line || (key.is_some() && self::key(&taken).as_deref() == key)
    })
}

/// How a line begins, its value left out.
fn head(line: &Line) -> String {
    let words: Vec<&str> = line.text.split(' ').collect();
    let most = match words[0] {
        "neighbor" => 3,
        _ => 2,
    };
    let length = most.min(words.len().saturating_sub(1)).max(1);
    words[..length].join(" ")
}

/// What is shown of a line in any form that FRR gives it, for commands that are shown whenever they are in force.
fn key(line: &Line) -> Option<String> {
    let words: Vec<&str> = line.text.split(' ').collect();
    let block = line.context.first().map(String::as_str).unwrap_or_default();
    Some(match *words.as_slice() {
        // In the block of a VRF, or with its name behind.
        ["ip" | "ipv6", "route", to, ..] => format!("{} route {}", words[0], prefix(to, words.get(3))?),
        [
            family @ ("ip" | "ipv6" | "mac"),
            list @ ("prefix-list" | "access-list"),
            name,
            ..,
        ] => {
            format!("{family} {list} {name}")
        }
        // FRR 8 shows those of IPv4 without `ip`.
        ["access-list", name, ..] => format!("access-list {name}"),
        ["bgp", "as-path", "access-list", name, ..] => format!("as-path {name}"),
        ["bgp", list, "standard" | "expanded", name, ..] if list.ends_with("community-list") => {
            format!("{list} {name}")
        }
        ["bgp", list, name, ..] if list.ends_with("community-list") => format!("{list} {name}"),
        ["route-map", name, action @ ("permit" | "deny"), number] => {
            format!("route-map {name} {action} {number}")
        }
        ["router", protocol, ref rest @ ..] => {
            let vrf = rest
                .windows(2)
                .find(|pair| pair[0] == "vrf" && pair[1] != "default");
            let vrf = vrf.map(|pair| pair[1]);
            format!("router {protocol} {}", vrf.unwrap_or_default())
        }
        [family @ ("ip" | "ipv6"), "address", net, ..] if block.starts_with("interface ") => {
            let (name, net) = (block.split(' ').nth(1)?, net.parse::<IpNet>().ok()?);
            format!("{name} {family} {net}")
        }
        ["neighbor", name, "remote-as" | "peer-group" | "interface", ..]
            if block.starts_with("router bgp") =>
        {
            format!("{} neighbor {name}", bgp(block))
        }
        ["bgp", "listen", "range", range, ..] => format!("{} range {}", bgp(block), prefix(range, None)?),
        ["network", net, ..] if block.starts_with("router bgp") && net.contains('/') => {
            format!("{} network {}", bgp(block), prefix(net, None)?)
        }
        _ => return None,
    })
}

/// A BGP instance by its VRF: how its AS number is written may differ.
fn bgp(block: &str) -> String {
    let rest = block.split_once(" vrf ").map_or("", |(_, vrf)| vrf);
    format!("bgp {rest}")
}

/// A prefix without host bits; `10.0.0.0 255.0.0.0` is one, too.
fn prefix(text: &str, mask: Option<&&str>) -> Option<IpNet> {
    if let Ok(net) = text.parse::<IpNet>() {
        return Some(net.trunc());
    }
    let address: IpAddr = text.parse().ok()?;
    let mask: Ipv4Addr = mask?.parse().ok()?;
    IpNet::with_netmask(address, mask.into())
        .ok()
        .map(|net| net.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    const RUNNING: &str = "\
frr version 8.4.4
hostname r1
!
ip route 10.9.0.0/16 192.0.2.2
!
vrf red
 ip route 10.0.0.0/8 192.0.2.3
exit-vrf
!
interface eth0
 ip address 192.0.2.1/24
exit
!
router bgp 65001
 neighbor 192.0.2.2 remote-as 65002
 !
 address-family ipv4 unicast
  network 10.0.0.0/8
  neighbor 192.0.2.2 route-map RM in
 exit-address-family
exit
!
access-list A seq 5 permit any
!
ip prefix-list P seq 5 permit 10.0.0.0/8 le 24
!
route-map RM permit 10
 set community 65001:1 additive
exit
";

    #[test]
    fn what_is_in_force_in_another_form_is_not_missing() {
        let asked = "\
hostname other
log file /tmp/x
ip route 10.9.3.0 255.255.0.0 192.0.2.2
ip route 10.1.0.0/8 192.0.2.3 vrf red
access-list A permit any
ip prefix-list P permit 10.0.0.0/8 le 24
router bgp 65001
 no bgp default ipv4-unicast
 neighbor  192.0.2.2  remote-as 65002
 address-family ipv4
  network 10.0.0.1/8
  neighbor 192.0.2.2 route-map RM in
route-map RM permit 10
 set community additive 65001:1
interface eth0
 ip address 192.0.2.1/24
";
        assert_eq!(missing(asked, RUNNING), Missing::default());
    }

    #[test]
    fn what_is_not_shown_in_any_form_is_lost_and_what_may_be_a_default_is_doubtful() {
        let asked = "\
! a comment
ip route 10.8.0.0/16 192.0.2.2
ip prefix-list Q permit any
interface eth0
 description north | south
 ip address 192.0.2.9/24
exit
router bgp 65001
 timers bgp 60 180
 neighbor 192.0.2.7 remote-as 65007
 neighbor 192.0.2.2 description a | b
exit
route-map RM permit 20
router ospf
";
        let found = missing(asked, RUNNING);
        assert_eq!(
            texts(&found.lost),
            [
                "ip route 10.8.0.0/16 192.0.2.2",
                "ip prefix-list Q permit any",
                "ip address 192.0.2.9/24",
                "neighbor 192.0.2.7 remote-as 65007",
                "route-map RM permit 20",
                "router ospf"
            ]
        );
        assert_eq!(found.lost[0].number, 2);
        assert_eq!(
            texts(&found.doubtful),
            [
                "description north | south",
                "timers bgp 60 180",
                "neighbor 192.0.2.2 description a | b"
            ]
        );
        assert_eq!(found.doubtful[2].context, ["router bgp 65001"]);
    }

    #[test]
    fn what_the_configuration_takes_back_itself_is_not_missing() {
        let asked = "\
ip route 10.7.0.0/16 192.0.2.2
no ip route 10.7.0.0/16 192.0.2.2
router bgp 65001 vrf blue
 neighbor 192.0.2.9 remote-as 1
 timers bgp 1 3
exit
no router bgp 65001 vrf blue
ip prefix-list X permit any
no ip prefix-list X
";
        assert_eq!(missing(asked, RUNNING), Missing::default());
    }

    #[test]
    fn the_default_vrf_is_not_shown() {
        let asked = "router bgp 65001 vrf default\n neighbor 192.0.2.2 remote-as 65002\n address-family ipv4 unicast\n  network 10.0.0.0/8\n";
        let missing = missing(asked, RUNNING);
        assert!(
            missing.lost.is_empty() && missing.doubtful.is_empty(),
            "{missing:?}"
        );
    }

    #[test]
    fn members_go_with_their_group() {
        let asked = "router bgp 65001\n neighbor G peer-group\n neighbor G remote-as 65002\n neighbor 192.0.2.9 peer-group G\n \
                     neighbor 192.0.2.9 description gone\n neighbor 192.0.2.8 remote-as 65003\n no neighbor G peer-group\n";
        let missing = missing(asked, RUNNING);
        assert_eq!(texts(&missing.lost), ["neighbor 192.0.2.8 remote-as 65003"]);
    }
}
