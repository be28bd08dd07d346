//! Judges what was seen while a scenario was played.

use std::time::Duration;

use super::observed::{Change, FlowSeen, Observed, OutageSeen, Taken};
use crate::lab::scenario::{Bound, Expectations, Scenario};

/// How many differences of routes are told.
const TOLD: usize = 10;
/// No flow is taken to send more slowly, in nanoseconds between packets.
const LONGEST_PACE: u64 = 250_000_000;

/// What was not as it must be, a line each; none where all was.
pub fn judge(scenario: &Scenario, seen: &Observed) -> Vec<String> {
    let expect = &scenario.expect;
    let mut faults: Vec<String> = seen
        .steps
        .iter()
        .filter_map(|step| Some(format!("{}: {}", step.step, step.failure.as_ref()?)))
        .collect();
    // What comes after a step that failed has not been asked for.
    if !faults.is_empty() {
        return faults;
    }
    for flow in &seen.flows {
        faults.extend(judge_flow(expect, flow, seen));
    }
    faults.extend(healing(expect, seen));
    faults.extend(routes(seen));
    let failed = seen.checks.iter().filter(|check| check.has_failed());
    faults.extend(failed.map(|check| format!("the check {:?} does not hold afterwards", check.name)));
    faults
}

/// Figures of one flow.
fn judge_flow(expect: &Expectations, flow: &FlowSeen, seen: &Observed) -> Option<String> {
    if let Some(why) = &flow.void {
        return Some(format!("flow {}: {why}", flow.name));
    }
    let outage = expect.outage.as_ref().filter(|bound| bound.flows.has(&flow.name));
    let most = flow
        .unsure
        .map(|it| it.length_ns.min(flow.at_most_ns.unwrap_or(u64::MAX)));
    let may_be_longer =
        |bound: &Bound<Duration>| most.is_some_and(|most| Duration::from_nanos(most) > bound.below);
    if outage.is_some_and(may_be_longer) {
        return Some(format!(
            "flow {} lost {} packets, and the sender itself had gaps then, so nobody knows for how long: this machine is too busy",
            flow.name, flow.lost
        ));
    }
    let too_long = outage.is_some_and(|bound| {
        let longest = flow.longest.map_or(0, |outage| outage.length_ns);
        Duration::from_nanos(longest) > bound.below
    });
    let lost = expect.lost.as_ref().filter(|bound| bound.flows.has(&flow.name));
    let too_many = lost.is_some_and(|bound| flow.lost > bound.below);
    if !too_long && !too_many {
        return None;
    }
    let allowed = [
        outage
            .filter(|_| too_long)
            .map(|bound| format!("an outage of {:?}", bound.below)),
        lost.filter(|_| too_many)
            .map(|bound| format!("{} lost packets", bound.below)),
    ];
    let allowed: Vec<String> = allowed.into_iter().flatten().collect();
    Some(format!("{} (allowed: {})", story(flow, seen), allowed.join(", ")))
}

/// What became of a flow, in a line: what it lost, when, which way it went, and who changed a route first.
pub fn story(flow: &FlowSeen, seen: &Observed) -> String {
    let mut text = format!("flow {}→{} lost {} packets", flow.from, flow.to, flow.lost);
    let Some(longest) = flow.longest else { return text };
    let cause = cause(seen, &longest);
    let since = cause.map_or(seen.began_ns, |step| step.began_ns);
    text.push_str(&format!(
        ", outage {} from {}",
        milliseconds(longest.length_ns),
        after(since, longest.began_ns)
    ));
    if let Some(way) = ways(flow) {
        text.push_str(&format!("; path {way}"));
    }
    if let Some(change) = first_change(seen, since) {
        text.push_str(&format!(
            "; first route change {} {}",
            change.node,
            after(since, change.at_ns)
        ));
    }
    text
}

/// Where the ways before and after part: `up0 → up1`; all of both where that says nothing.
fn ways(flow: &FlowSeen) -> Option<String> {
    let (before, after) = (&flow.path_before, &flow.path_after);
    if before.is_empty() && after.is_empty() || before == after {
        return None;
    }
    let same = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    match (before.get(same), after.get(same)) {
        (Some(before), Some(after)) => Some(parting(before, after)),
        _ if after.is_empty() => Some(format!("{} → none", before.join(" "))),
        _ => Some(format!("{} → {}", before.join(" "), after.join(" "))),
    }
}

/// Two interfaces, without the node where they are of the same.
fn parting(before: &str, after: &str) -> String {
    match (before.split_once(':'), after.split_once(':')) {
        (Some((node, before)), Some((other, after))) if node == other => format!("{before} → {after}"),
        _ => format!("{before} → {after}"),
    }
}

/// The step that an outage comes from: the last one before it began that changed the lab. What ends an outage is no cause of it.
fn cause<'a>(seen: &'a Observed, outage: &OutageSeen) -> Option<&'a Taken> {
    // The last packet that arrived may have done so just before the step.
    let a_packet = (outage.length_ns / (outage.packets + 1)).min(LONGEST_PACE);
    let began = outage.began_ns.saturating_add(a_packet);
    let steps = seen.steps.iter().rev().filter(|step| step.disturbs);
    let before = steps.clone().find(|step| step.began_ns <= began);
    before.or(steps.rev().find(|step| step.began_ns <= outage.end_ns()))
}

fn first_change(seen: &Observed, since: u64) -> Option<&Change> {
    let mut changes = seen.changes.iter();
    changes.find(|change| change.of_routes && change.at_ns >= since)
}

/// A disturbance, and how long the lab took to be as it should after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Healing<'a> {
    /// The step.
    pub step: &'a Taken,
    /// From the step's end to the last route change or the end of the last outage.
    pub took_ns: u64,
    /// What was last.
    pub last: String,
}

/// How long the lab took to heal after each step that disturbed it, up to the next such step.
pub fn healings(seen: &Observed) -> Vec<Healing<'_>> {
    let disturbing: Vec<&Taken> = seen.steps.iter().filter(|step| step.disturbs).collect();
    let ends = disturbing.iter().skip(1).map(|step| step.began_ns);
    let ends = ends.chain([u64::MAX]);
    disturbing
        .iter()
        .zip(ends)
        .map(|(step, end)| {
            let within = step.began_ns..end;
            let changes = seen.changes.iter().filter(|change| change.of_routes);
            let changes = changes.filter(|change| within.contains(&change.at_ns));
            let changes = changes.map(|change| (change.at_ns, format!("{} {}", change.node, change.what)));
            let outages = seen.flows.iter().flat_map(cuts);
            let outages = outages
                .filter(|(outage, _)| within.contains(&outage.began_ns) || is_astride(outage, step))
                .map(|(outage, what)| (outage.end_ns().min(end), what));
            let last = changes.chain(outages).max();
            let (at, last) = last.unwrap_or((step.done_ns, "nothing changed".to_owned()));
            Healing {
                step,
                took_ns: at.saturating_sub(step.done_ns),
                last,
            }
        })
        .collect()
}

/// The outages of a flow, and what is said of each.
fn cuts(flow: &FlowSeen) -> impl Iterator<Item = (&OutageSeen, String)> {
    let sure = flow
        .outages
        .iter()
        .map(|it| (it, format!("flow {} was cut until then", flow.name)));
    let unsure = flow.unsure.iter();
    sure.chain(unsure.map(|it| {
        let what = format!(
            "flow {} was cut, until then at most: its sender had gaps",
            flow.name
        );
        (it, what)
    }))
}

/// The packet before an outage may have arrived just before the step.
fn is_astride(outage: &OutageSeen, step: &Taken) -> bool {
    outage.began_ns < step.began_ns && outage.end_ns() > step.done_ns
}

fn healing(expect: &Expectations, seen: &Observed) -> Vec<String> {
    let Some(limit) = expect.healed_within else {
        return Vec::new();
    };
    let late = healings(seen).into_iter();
    let late = late.filter(|healing| Duration::from_nanos(healing.took_ns) > limit);
    late.map(|healing| {
        format!(
            "after {} the lab took {} to heal (allowed: {limit:?}); last: {}",
            healing.step.step,
            milliseconds(healing.took_ns),
            healing.last
        )
    })
    .collect()
}

fn routes(seen: &Observed) -> Vec<String> {
    let differences = seen.routes.iter().flatten();
    let mut lines: Vec<String> = differences.clone().take(TOLD).map(|it| it.text()).collect();
    let count = differences.count();
    if count > TOLD {
        lines.push(format!("… and {} more routes differ", count - TOLD));
    }
    match lines.is_empty() {
        true => lines,
        false => vec![format!("the routes are not as before: {}", lines.join("; "))],
    }
}

/// `128 ms`, `2 ms`, `0.7 ms`, `12.5 s`.
pub fn milliseconds(ns: u64) -> String {
    match ns {
        0..10_000_000 => {
            let tenths = (ns + 50_000) / 100_000;
            match tenths % 10 {
                0 => format!("{} ms", tenths / 10),
                rest => format!("{}.{rest} ms", tenths / 10),
            }
        }
        10_000_000..10_000_000_000 => format!("{} ms", ns / 1_000_000),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

/// `+2 ms`, `-1 ms`: a moment, as seen from another.
pub fn after(since: u64, at: u64) -> String {
    match at >= since {
        true => format!("+{}", milliseconds(at - since)),
        false => format!("-{}", milliseconds(since - at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::{Names, Step};

    const MS: u64 = 1_000_000;

    fn taken(step: &str, at: u64) -> Taken {
        Taken {
            step: step.to_owned(),
            disturbs: true,
            began_ns: at * MS,
            done_ns: at * MS,
            failure: None,
        }
    }

    fn cut(began: u64, length: u64, packets: u64) -> FlowSeen {
        let outage = OutageSeen {
            began_ns: began * MS,
            length_ns: length * MS,
            packets,
        };
        FlowSeen {
            name: "h0-h3".into(),
            from: "h0".into(),
            to: "h3".into(),
            sent: 1000,
            received: 1000 - packets,
            lost: packets,
            outages: vec![outage],
            longest: Some(outage),
            path_before: vec!["leaf0:up0".into(), "spine0:down3".into()],
            path_after: vec!["leaf0:up1".into(), "spine1:down3".into()],
            ..FlowSeen::default()
        }
    }

    fn seen(flow: FlowSeen) -> Observed {
        Observed {
            began_ns: 0,
            ended_ns: 5000 * MS,
            steps: vec![
                taken("link spine0:down3 down", 100),
                taken("link spine0:down3 up", 3000),
            ],
            flows: vec![flow],
            changes: vec![
                Change {
                    at_ns: 50 * MS,
                    node: "leaf1".into(),
                    what: "lost 10.0.0.0/8".into(),
                    of_routes: true,
                },
                Change {
                    at_ns: 103 * MS,
                    node: "leaf3".into(),
                    what: "lost 10.1.0.0/24".into(),
                    of_routes: true,
                },
            ],
            ..Observed::default()
        }
    }

    fn scenario(expect: Expectations) -> Scenario {
        Scenario {
            name: "a link is cut".into(),
            flows: vec!["*".into()],
            steps: vec![Step::Wait(Duration::ZERO)],
            expect,
            capture: false,
            line: 1,
        }
    }

    fn outage_below(ms: u64) -> Expectations {
        Expectations {
            outage: Some(Bound {
                below: Duration::from_millis(ms),
                flows: Names::All,
            }),
            ..Expectations::default()
        }
    }

    #[test]
    fn an_outage_is_told_with_its_cause_and_its_ways() {
        let seen = seen(cut(102, 128, 125));
        assert_eq!(judge(&scenario(outage_below(200)), &seen), [] as [&str; 0]);
        let faults = judge(&scenario(outage_below(50)), &seen);
        assert_eq!(
            faults,
            [
                "flow h0→h3 lost 125 packets, outage 128 ms from +2 ms; path up0 → up1; first route change \
              leaf3 +3 ms (allowed: an outage of 50ms)"
            ]
        );
    }

    #[test]
    fn what_ends_an_outage_is_not_its_cause() {
        // From just before the first step until just after the second.
        let seen = seen(cut(98, 2904, 725));
        let faults = judge(&scenario(outage_below(50)), &seen);
        assert!(faults[0].contains("outage 2904 ms from -2 ms;"), "{faults:?}");
        // What begins long after a step is still its doing: a timer has run out.
        let mut late = seen;
        late.flows = vec![cut(2000, 1002, 250)];
        let faults = judge(&scenario(outage_below(50)), &late);
        assert!(faults[0].contains("outage 1002 ms from +1900 ms;"), "{faults:?}");
    }

    #[test]
    fn a_flow_that_never_ran_is_no_success() {
        let mut flow = cut(102, 1, 0);
        flow.void = Some("nothing of it arrived".into());
        flow.longest = None;
        let faults = judge(&scenario(Expectations::default()), &seen(flow));
        assert_eq!(faults, ["flow h0-h3: nothing of it arrived"]);
    }

    #[test]
    fn gaps_of_the_sender_void_the_outage_and_nothing_else() {
        let mut flow = cut(102, 1, 5);
        flow.unsure = flow.longest.take();
        flow.at_most_ns = Some(60 * MS);
        let mut seen = seen(flow);
        assert_eq!(judge(&scenario(Expectations::default()), &seen), [] as [&str; 0]);
        let faults = judge(&scenario(outage_below(50)), &seen);
        assert!(faults[0].contains("nobody knows for how long"), "{faults:?}");
        // Whatever it was, it was no longer than that.
        assert_eq!(judge(&scenario(outage_below(60)), &seen), [] as [&str; 0]);
        // A short one beside it of which all is known does not hide it.
        seen.flows[0].longest = Some(OutageSeen {
            length_ns: 10 * MS,
            ..seen.flows[0].unsure.unwrap()
        });
        let faults = judge(&scenario(outage_below(50)), &seen);
        assert!(faults[0].contains("nobody knows for how long"), "{faults:?}");
        // Nor does the lab count as healed before its end.
        let limit = Expectations {
            healed_within: Some(Duration::from_millis(50)),
            ..Expectations::default()
        };
        seen.flows[0].outages.clear();
        let faults = judge(&scenario(limit), &seen);
        assert!(faults[0].contains("its sender had gaps"), "{faults:?}");
    }

    #[test]
    fn healing_is_measured_from_each_disturbance() {
        let seen = seen(cut(102, 128, 125));
        let took: Vec<u64> = healings(&seen).iter().map(|it| it.took_ns / MS).collect();
        assert_eq!(took, [130, 0]);
        let expect = |ms| Expectations {
            healed_within: Some(Duration::from_millis(ms)),
            ..Expectations::default()
        };
        assert_eq!(judge(&scenario(expect(130)), &seen), [] as [&str; 0]);
        let faults = judge(&scenario(expect(129)), &seen);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("took 130 ms to heal"), "{faults:?}");
    }

    #[test]
    fn a_step_that_failed_is_the_only_fault() {
        let mut seen = seen(cut(102, 128, 125));
        seen.steps[0].failure = Some("no such link".into());
        let faults = judge(&scenario(outage_below(1)), &seen);
        assert_eq!(faults, ["link spine0:down3 down: no such link"]);
    }
}
