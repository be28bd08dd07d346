//! What a node answered, and whether that is what the check wants. Pure.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use crate::lab::check::{BgpWanted, Check, Expect, Question, RouteWanted};
use crate::lab::jq;

/// How many lines and characters of an answer are shown.
const LINES: usize = 20;
const WIDTH: usize = 300;

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A command has ended.
    Command {
        /// Exit status as a shell gives it.
        status: i32,
        /// What it printed.
        out: String,
        /// What it complained about.
        errors: String,
    },
    /// An echo request was answered, or not in time.
    Echo(Option<Duration>),
    /// A TCP connection was accepted.
    Connected,
    /// There was no way, or a refusal; in words.
    Refused(String),
    /// The routes of the destination's family.
    Routes(Vec<Route>),
    /// The question could not be asked; in words. Never what a check wants, not even with `not`.
    Broken(String),
}

/// A route, with names for people.
#[derive(Debug, Clone, PartialEq)]
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

/// Why an answer is not what is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// What differs, in a sentence.
    pub message: String,
    /// The answer itself, as far as it helps.
    pub detail: String,
    /// Whether there was no answer to judge.
    broken: bool,
}

impl Difference {
    fn new(message: impl Into<String>, detail: impl Into<String>) -> Self {
        Difference {
            message: message.into(),
            detail: detail.into(),
            broken: false,
        }
    }

    /// The question could not be asked or the answer not be read.
    pub fn broken(message: impl Into<String>, detail: impl Into<String>) -> Self {
        Difference {
            broken: true,
            ..Difference::new(message, detail)
        }
    }
}

/// Judges an answer.
///
/// # Errors
/// How it differs from what the check wants.
pub fn judge(check: &Check, answer: &Answer) -> Result<(), Difference> {
    match (holds(&check.question, answer), check.not) {
        (Err(difference), true) if !difference.broken => Ok(()),
        (Ok(seen), true) => Err(Difference::new("it holds, and must not", seen)),
        (Ok(_), false) => Ok(()),
        (Err(difference), _) => Err(difference),
    }
}

/// What was seen where the answer is as asked for, else how it differs.
fn holds(question: &Question, answer: &Answer) -> Result<String, Difference> {
    if let Answer::Broken(why) = answer {
        return Err(Difference::broken(why, ""));
    }
    match (question, answer) {
        (Question::Run { expect, .. }, Answer::Command { status, out, errors }) => {
            expected(expect, *status, out, errors)
        }
        (Question::Ping { to, .. }, Answer::Echo(Some(time))) => Ok(format!(
            "{to} answered after {:.2} ms",
            time.as_secs_f64() * 1000.0
        )),
        (Question::Ping { to, .. }, Answer::Echo(None)) => {
            Err(Difference::new(format!("no answer from {to}"), ""))
        }
        (Question::Tcp(to), Answer::Connected) => Ok(format!("{to} accepts connections")),
        (Question::Ping { .. } | Question::Tcp(_), Answer::Refused(why)) => {
            Err(Difference::new(why.clone(), ""))
        }
        (Question::Route(wanted), Answer::Routes(routes)) => route(wanted, routes),
        (Question::Bgp(wanted), Answer::Command { status, out, errors }) => {
            if *status != 0 {
                let said = format!("{out}\n{errors}");
                return Err(Difference::broken(
                    format!("vtysh ended with status {status}"),
                    last(&said),
                ));
            }
            bgp(wanted, out)
        }
        _ => Err(Difference::broken("an answer to another question", "")),
    }
}

fn expected(expect: &Expect, status: i32, out: &str, errors: &str) -> Result<String, Difference> {
    let both = || last(format!("{}\n{}", out.trim_end(), errors.trim_end()).trim_start_matches('\n'));
    if status != expect.exit {
        let meaning = match status {
            125 => " (nslab could not run it)",
            126 => " (it cannot be executed)",
            127 => " (there is no such command)",
            _ => "",
        };
        let message = format!("status {status}{meaning} instead of {}", expect.exit);
        return Err(if status == 125 {
            Difference::broken(message, both())
        } else {
            Difference::new(message, both())
        });
    }
    if let Some(text) = &expect.stdout
        && out.trim() != text.trim()
    {
        return Err(Difference::new("it printed something else", compared(text, out)));
    }
    if let Some(text) = expect.contains.iter().find(|text| !out.contains(*text)) {
        return Err(Difference::new(
            format!("{text:?} is not in what it printed"),
            both(),
        ));
    }
    if let Some(pattern) = &expect.matches {
        let regex = regex::RegexBuilder::new(pattern).multi_line(true).build();
        let regex = regex.map_err(|error| Difference::broken(error.to_string(), ""))?;
        if !regex.is_match(out) {
            return Err(Difference::new(
                format!("/{pattern}/ matches nothing of what it printed"),
                both(),
            ));
        }
    }
    if let Some(expression) = &expect.jq {
        let value = jq::run(expression, out).map_err(|why| Difference::broken(why, both()))?;
        let wanted = expect.equals.clone().unwrap_or(Value::Bool(true));
        if !same(&value, &wanted) {
            let message = format!("`{expression}` is {}, not {wanted}", short(&value.to_string()));
            return Err(Difference::new(message, ""));
        }
    }
    Ok(both())
}

/// 12 and 12.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn compared(wanted: &str, got: &str) -> String {
    let mut text = String::new();
    for (head, lines) in [("wanted", wanted), ("got", got)] {
        for line in last(lines.trim()).lines() {
            let _ = writeln!(text, "{head:>6}: {line}");
        }
    }
    text
}

fn route(wanted: &RouteWanted, routes: &[Route]) -> Result<String, Difference> {
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

/// The name of a route's protocol, as iproute2 and FRR have it (rtnetlink.h, RTPROT_*).
pub fn protocol(number: u8) -> String {
    let name = match number {
        0 => "unspec",
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        9 => "ra",
        11 => "zebra",
        12 => "bird",
        16 => "dhcp",
        18 => "keepalived",
        42 => "babel",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        190 => "ripng",
        191 => "nhrp",
        192 => "eigrp",
        193 => "ldp",
        194 => "sharp",
        195 => "pbr",
        196 => "zstatic",
        197 => "openfabric",
        198 => "srte",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// Compares a neighbour's row of `show bgp summary json`.
fn bgp(wanted: &BgpWanted, out: &str) -> Result<String, Difference> {
    let summary: Value =
        serde_json::from_str(out).map_err(|_| Difference::broken("vtysh answered no JSON", last(out)))?;
    let families: Vec<&Value> = match wanted.family {
        Some(family) => summary.get(family.key()).into_iter().collect(),
        None => summary
            .as_object()
            .map(|families| families.values().collect())
            .unwrap_or_default(),
    };
    let is_it =
        |key: &str, peer: &Value| key == wanted.neighbor || peer["hostname"] == wanted.neighbor.as_str();
    let rows = families.iter().filter_map(|family| family["peers"].as_object());
    let found = rows
        .clone()
        .find_map(|peers| peers.iter().find(|(key, peer)| is_it(key, peer)));
    let Some((key, peer)) = found else {
        let names: Vec<&str> = rows.flat_map(|peers| peers.keys()).map(String::as_str).collect();
        let detail = match names.as_slice() {
            [] => "it has no neighbors".to_owned(),
            names => format!("its neighbors are {}", names.join(", ")),
        };
        return Err(Difference::new(
            format!("no neighbor {}", wanted.neighbor),
            detail,
        ));
    };
    let row = format!(
        "neighbor {key}: AS {}, state {}, received {}, sent {}, up {}",
        plain(&peer["remoteAs"]),
        plain(&peer["state"]),
        plain(&peer["pfxRcd"]),
        plain(&peer["pfxSnt"]),
        plain(&peer["peerUptime"]),
    );
    let mut wrong = Vec::new();
    if let Some(state) = wanted
        .state
        .as_ref()
        .filter(|state| peer["state"] != state.as_str())
    {
        wrong.push(format!("state is {}, not {state}", plain(&peer["state"])));
    }
    let numbers = [
        ("AS", "remoteAs", wanted.remote_as.map(u64::from)),
        ("received", "pfxRcd", wanted.received),
        ("sent", "pfxSnt", wanted.sent),
    ];
    for (name, key, wanted) in numbers {
        if let Some(wanted) = wanted.filter(|wanted| peer[key].as_u64() != Some(*wanted)) {
            wrong.push(format!("{name} is {}, not {wanted}", plain(&peer[key])));
        }
    }
    if wrong.is_empty() {
        Ok(row)
    } else {
        Err(Difference::new(wrong.join(", "), row))
    }
}

/// A JSON value without quotes; a dash for nothing.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// The last lines of a text, each cut to a bearable width.
fn last(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let from = lines.len().saturating_sub(LINES);
    let mut shown: Vec<String> = lines[from..].iter().map(|line| short(line)).collect();
    if from > 0 {
        shown.insert(0, format!("({from} lines more)"));
    }
    shown.join("\n")
}

fn short(text: &str) -> String {
    if text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    text.chars().take(WIDTH).collect::<String>() + "…"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn printed(out: &str) -> Answer {
        Answer::Command {
            status: 0,
            out: out.to_owned(),
            errors: String::new(),
        }
    }

    fn check(question: Question) -> Check {
        Check {
            name: "x".to_owned(),
            node: "a".to_owned(),
            question,
            within: Duration::ZERO,
            stays: Duration::ZERO,
            not: false,
            phase: crate::lab::check::Phase::After,
            line: 1,
        }
    }

    fn run(expect: Expect) -> Check {
        check(Question::Run {
            command: crate::lab::model::Command::Shell("x".to_owned()),
            expect,
        })
    }

    #[test]
    fn all_that_is_expected_must_hold() {
        let expect = Expect {
            contains: vec!["a".to_owned(), "b".to_owned()],
            matches: Some("^b".to_owned()),
            ..Expect::default()
        };
        assert_eq!(judge(&run(expect.clone()), &printed("a\nb\n")), Ok(()));
        let difference = judge(&run(expect.clone()), &printed("a b\n")).unwrap_err();
        assert!(difference.message.contains("/^b/"), "{difference:?}");
        let difference = judge(&run(expect), &printed("b\n")).unwrap_err();
        assert!(difference.message.contains("\"a\""), "{difference:?}");
    }

    #[test]
    fn values_of_jq_are_compared_as_json() {
        let expect = |equals| Expect {
            jq: Some(".n".to_owned()),
            equals,
            ..Expect::default()
        };
        assert_eq!(
            judge(&run(expect(Some(json!(12)))), &printed("{\"n\": 12.0}")),
            Ok(())
        );
        assert_eq!(judge(&run(expect(None)), &printed("{\"n\": true}")), Ok(()));
        let difference = judge(&run(expect(Some(json!(12)))), &printed("{\"n\": 8}")).unwrap_err();
        assert_eq!(difference.message, "`.n` is 8, not 12");
    }

    #[test]
    fn what_could_not_be_asked_is_not_its_opposite() {
        let mut opposite = run(Expect {
            jq: Some(".n".to_owned()),
            ..Expect::default()
        });
        opposite.not = true;
        assert_eq!(judge(&opposite, &printed("{\"n\": false}")), Ok(()));
        assert!(judge(&opposite, &printed("{\"n\": true}")).is_err());
        assert!(judge(&opposite, &printed("no JSON")).is_err());
        assert!(judge(&opposite, &Answer::Broken("gone".to_owned())).is_err());
    }

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
        assert!(super::route(&wanted("10.0.0.0/8"), &routes).is_ok());
        let difference = super::route(&wanted("10.1.0.0/16"), &routes).unwrap_err();
        assert_eq!(
            difference.detail,
            "the nearest is 10.0.0.0/8 via 10.0.0.2 dev net0 proto bgp metric 20"
        );
        let difference = super::route(&wanted("0.0.0.0/0"), &routes).unwrap_err();
        assert_eq!(difference.message, "no next hop is via 10.0.0.2");
    }

    #[test]
    fn a_neighbor_is_found_by_key_or_host_name() {
        let out = json!({"ipv4Unicast": {"peers": {"net0": {
            "hostname": "tor0", "remoteAs": 65010, "state": "Established", "pfxRcd": 3, "pfxSnt": 9,
            "peerUptime": "00:00:05"}}}})
        .to_string();
        let wanted = |neighbor: &str, sent| BgpWanted {
            neighbor: neighbor.to_owned(),
            family: None,
            state: Some("Established".to_owned()),
            remote_as: Some(65010),
            received: Some(3),
            sent: Some(sent),
        };
        assert!(bgp(&wanted("net0", 9), &out).is_ok());
        assert!(bgp(&wanted("tor0", 9), &out).is_ok());
        let difference = bgp(&wanted("net0", 8), &out).unwrap_err();
        assert_eq!(difference.message, "sent is 9, not 8");
        let difference = bgp(&wanted("net1", 8), &out).unwrap_err();
        assert_eq!(difference.detail, "its neighbors are net0");
    }
}
