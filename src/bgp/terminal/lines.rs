//! Lines of the configuration beside what FRR 8.4.4 says of them (tests/data/frr-8.4.4/lines, which `scripts/record-lines`
//! writes): whether they are taken, what vtysh prints, and what stands in the running configuration then.

use std::collections::BTreeSet;

use super::Status;
use super::configure::refusal;
use crate::config::{Config, DiagnosticKind, Mode, Own, apply};
use crate::recorded::data;

/// Lines of which the answer is not FRR's, and why.
const OTHERWISE: &[(&str, &str)] = &[
    (
        "neighbor ::ffff:10.50.0.2 remote-as 64901",
        "the address is written otherwise",
    ),
    (
        "neighbor l interface peer-group G",
        "bgpd makes the neighbor though it refuses the line",
    ),
    (
        "neighbor l interface peer-group H",
        "bgpd makes the neighbor though it refuses the line",
    ),
    (
        "neighbor 10.50.0.2 interface remote-as external",
        "an interface whose name is an address",
    ),
    (
        "neighbor 10.50.0.2 peer-group",
        "a group whose name is an address",
    ),
    (
        "neighbor 2001:db8::9 peer-group",
        "a group whose name is an address",
    ),
    (
        "neighbor 10.50.0.2 remote-as 64900 ;; neighbor 10.50.0.2 peer-group G",
        "bgpd adds a hop count of its own",
    ),
    (
        "bgp extcommunity-list standard E permit rt 1:4294967296",
        "bgpd cuts the number off",
    ),
    (
        "ip route 10.0.0.0/8 10.50.0.9 l onlink",
        "staticd 8.4 fails to read its own line",
    ),
    ("ip route 10.0.0.0/8 null0", "a keyword in small letters"),
    (
        "ip route 10.0.0.0/8 10.50.0.9 5 6",
        "an interface whose name is a number",
    ),
    ("domainname x", "FRR does not print it"),
    ("log stdout debugging", "FRR leaves the level out"),
    (
        "service integrated-vtysh-config",
        "vtysh always prints it, and does so here",
    ),
    ("debug bgp updates", "bgpd prints it as two lines"),
    ("debug ospf event", "no ospfd is needed to keep the line"),
    ("username x nopassword", "FRR does not print it"),
    ("banner motd line hi", "FRR does not print it"),
    ("no router-id", "short for less here"),
    ("match metric +5", "a sign that means nothing"),
    (
        "set large-community 1:1",
        "bgpd keeps the line, of which it says that it cannot read it",
    ),
    (
        "set large-community x",
        "bgpd keeps the line, of which it says that it cannot read it",
    ),
    (
        "set extcommunity rt nonsense",
        "bgpd keeps the line, of which it says that it cannot read it",
    ),
    (
        "set local-preference 4294967296",
        "bgpd keeps the line, of which it says that it cannot read it",
    ),
    (
        "set local-preference x",
        "bgpd keeps the line, of which it says that it cannot read it",
    ),
    (
        "set ip next-hop 10.0.0.1 ;; set ip next-hop peer-address",
        "bgpd keeps both",
    ),
    (
        "on-match next ;; exit ;; route-map M deny 10",
        "FRR prints what it does not read back",
    ),
];

/// A case and FRR's answer.
#[derive(Default)]
struct Case {
    setup: Vec<String>,
    lines: Vec<String>,
    printed: Vec<String>,
    taken: bool,
    gained: BTreeSet<String>,
    lost: BTreeSet<String>,
}

fn cases(text: &str) -> Vec<Case> {
    let lines = |text: &str| -> Vec<String> {
        let lines = text.split(" ;; ").map(str::trim);
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    let (mut cases, mut setup): (Vec<Case>, Vec<String>) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let (sign, rest) = line.split_at(1);
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match (sign, cases.last_mut()) {
            ("@", _) => setup = lines(rest),
            (">", _) => cases.push(Case {
                setup: setup.clone(),
                lines: lines(rest),
                ..Case::default()
            }),
            ("|", Some(case)) => case.printed.push(rest.trim_end().to_owned()),
            ("=", Some(case)) => case.taken = rest == "taken",
            ("+", Some(case)) => drop(case.gained.insert(rest.to_owned())),
            ("-", Some(case)) => drop(case.lost.insert(rest.to_owned())),
            _ => panic!("`{line}` is none of a case"),
        }
    }
    cases
}

/// The lines of a running configuration, each behind those it stands in.
fn paths(config: &Config) -> BTreeSet<String> {
    const HEADINGS: [&str; 6] = [
        "frr version",
        "frr defaults",
        "hostname ",
        "ip forwarding",
        "no ip forwarding",
        "no ipv6 forwarding",
    ];
    const CLOSING: [&str; 5] = ["", "!", "end", "exit", "exit-address-family"];
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut paths = BTreeSet::new();
    for line in config.print().lines() {
        let text = line.trim();
        if CLOSING.contains(&text) || HEADINGS.iter().any(|heading| line.starts_with(heading)) {
            continue;
        }
        let depth = line.len() - line.trim_start().len();
        while above.last().is_some_and(|(other, _)| *other >= depth) {
            above.pop();
        }
        above.push((depth, text.to_owned()));
        let texts: Vec<&str> = above.iter().map(|(_, text)| text.as_str()).collect();
        // Whether zebra prints the interface itself depends on what stood there before.
        if texts.len() > 1 || !text.starts_with("interface ") {
            paths.insert(texts.join(" / "));
        }
    }
    paths
}

/// What the speaker says: what is printed, whether the line is taken, and the configuration then. None of what is FRR's alone.
fn answer(case: &Case, own: &Own) -> Option<(String, bool, BTreeSet<String>)> {
    let (mut config, mut mode) = (Config::default(), Mode::Configure);
    let mut last = None;
    for line in case.setup.iter().chain(&case.lines) {
        if let Some((_, false)) = last {
            return Some(("(not reached)\n".to_owned(), false, paths(&config)));
        }
        last = Some(match apply(&mut config, &mut mode, own, line) {
            Ok((_, said)) => (said, true),
            Err(diagnostic) if diagnostic.kind == DiagnosticKind::NeedsFrr => return None,
            Err(diagnostic) => {
                let (status, text) = refusal(&diagnostic, line);
                (text, status == Status::Success)
            }
        });
    }
    let (said, taken) = last?;
    Some((said, taken, paths(&config)))
}

#[test]
fn lines_are_taken_and_refused_as_frr_does() {
    let addresses = ["10.50.0.1", "2001:db8:50::1"].map(|address| address.parse().unwrap());
    let own = Own {
        addresses: addresses.into(),
        interfaces: ["l", "lo"].map(str::to_owned).into(),
    };
    let (mut wrong, mut count) = (Vec::new(), 0);
    for case in cases(&data("lines")) {
        let head = case.lines.join(" ;; ");
        if OTHERWISE.iter().any(|(line, _)| *line == head) {
            continue;
        }
        count += 1;
        let expected: String = case.printed.iter().map(|line| format!("{line}\n")).collect();
        let Some((said, taken, paths)) = answer(&case, &own) else {
            // FRR knows the line.
            if expected.starts_with("% Unknown command") {
                wrong.push(format!(
                    "[{}] {head}\n  needs FRR, which does not know it",
                    case.setup.join(" ; ")
                ));
            }
            continue;
        };
        let said: String = said
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect();
        let before = {
            let setup = Case {
                lines: case.setup.clone(),
                ..Case::default()
            };
            answer(&setup, &own).map(|(.., paths)| paths).unwrap_or_default()
        };
        let gained: BTreeSet<String> = paths.difference(&before).cloned().collect();
        let lost: BTreeSet<String> = before.difference(&paths).cloned().collect();
        let mut faults = Vec::new();
        if (said.as_str(), taken) != (expected.as_str(), case.taken) {
            faults.push(format!(
                "  FRR ({}) {expected:?}\n  nslab ({taken}) {said:?}",
                case.taken
            ));
        }
        if (&gained, &lost) != (&case.gained, &case.lost) {
            faults.push(format!(
                "  FRR   +{:?} -{:?}\n  nslab +{gained:?} -{lost:?}",
                case.gained, case.lost
            ));
        }
        if !faults.is_empty() {
            wrong.push(format!(
                "[{}] {head}\n{}",
                case.setup.join(" ; "),
                faults.join("\n")
            ));
        }
    }
    assert!(count > 1000, "{count} lines");
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
