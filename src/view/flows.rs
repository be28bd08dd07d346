//! Flows for people: a table, and what is known of one.

use std::fmt::Write as _;

use super::table::{render, table};
use super::units;
use crate::clean;
use crate::flow::{Outage, OutageState, Trouble};
use crate::run::protocol::{FlowPath, FlowReport, FlowState};

/// Outages and gaps of the sender's that are listed.
const LISTED: usize = 8;

/// A line each.
pub fn list(flows: &[FlowReport]) -> String {
    let head = [
        "FLOW", "PROTO", "STATE", "SENT", "RECEIVED", "LOST", "DUP", "REORD", "LATE", "P50", "P99", "OUTAGE",
    ];
    let mut rows = table(&head);
    for flow in flows {
        let figures = &flow.figures;
        let is_transfer = flow.pps.is_none();
        let number = |number: u64| {
            if is_transfer {
                "-".to_owned()
            } else {
                number.to_string()
            }
        };
        let latency = |pick: fn(&crate::flow::Latency) -> u64| {
            figures
                .latency
                .as_ref()
                .map_or("-".to_owned(), |it| time(pick(it)))
        };
        rows.add_row([
            flow.name.clone(),
            flow.proto.name().to_owned(),
            flow.state.name().to_owned(),
            number(figures.sent),
            match is_transfer {
                true => throughput(flow),
                false => figures.received.to_string(),
            },
            number(figures.lost),
            number(figures.duplicated),
            number(figures.reordered),
            number(figures.late),
            latency(|it| it.p50_ns),
            latency(|it| it.p99_ns),
            outage(flow),
        ]);
    }
    render(&mut rows)
}

fn throughput(flow: &FlowReport) -> String {
    flow.figures
        .bits_per_second
        .map_or("-".to_owned(), |bits| units::bits(bits as f64))
}

/// The longest outage in a word.
fn outage(flow: &FlowReport) -> String {
    let figures = &flow.figures;
    if figures.trouble.is_some() && flow.state != FlowState::Idle {
        return trouble(flow).unwrap_or_default().to_owned();
    }
    match (figures.outage, figures.longest_outage) {
        (OutageState::NoneValid, _) => "none valid".to_owned(),
        (_, Some(outage)) => time(outage.length_ns),
        _ => "-".to_owned(),
    }
}

/// Why a flow is a failure.
pub fn trouble(flow: &FlowReport) -> Option<&'static str> {
    Some(match flow.figures.trouble? {
        Trouble::NeverRan => "never ran",
        Trouble::NeverReceived => "nothing received",
    })
}

/// All that is known of one.
pub fn details(flow: &FlowReport) -> String {
    let mut text = String::new();
    let ends = match (flow.source, flow.destination) {
        (Some(source), Some(destination)) => format!(" ({source} to {destination})"),
        _ => String::new(),
    };
    let pace = flow.pps.map_or("as fast as it goes".to_owned(), |pps| {
        format!("{pps} packets/s of {} bytes", flow.size)
    });
    let _ = writeln!(
        text,
        "{}: {} from {} to {}{ends}, {pace}",
        flow.name,
        flow.proto.name(),
        flow.from,
        flow.to
    );
    let figures = &flow.figures;
    if flow.round_trip {
        line(
            &mut text,
            "counted",
            "by the replies, so that losses of both ways are in it; times are there and back",
        );
    }
    if let Some(why) = trouble(flow) {
        line(&mut text, "failure", why);
    }
    if let Some(error) = &flow.error {
        line(
            &mut text,
            "kernel",
            &format!("{} ({} packets refused)", clean::line(error), figures.refused),
        );
    }
    if let Some(it) = &figures.latency {
        let all = [it.min_ns, it.avg_ns, it.p50_ns, it.p99_ns, it.max_ns].map(time);
        line(
            &mut text,
            "latency",
            &format!(
                "min {} avg {} p50 {} p99 {} max {}",
                all[0], all[1], all[2], all[3], all[4]
            ),
        );
    }
    if figures.overflowed > 0 {
        line(
            &mut text,
            "overflow",
            &format!(
                "{} packets: nslab itself had no room for them",
                figures.overflowed
            ),
        );
    }
    for it in figures.outages.iter().take(LISTED) {
        line(&mut text, "outage", &when(flow, it));
    }
    let more = figures.outages.len().saturating_sub(LISTED) as u64 + figures.outages_left_off;
    if more > 0 {
        line(&mut text, "outage", &format!("and {more} more"));
    }
    if figures.outages.is_empty()
        && let Some(it) = &figures.longest_outage
    {
        line(&mut text, "outage", &when(flow, it));
    }
    if figures.void_outages > 0 {
        line(
            &mut text,
            "void",
            &format!(
                "{} of its outages: more than a tenth was a gap of the sender's own",
                figures.void_outages
            ),
        );
    }
    if figures.sender_gap_count > 0 {
        let longest = figures
            .sender_gaps
            .iter()
            .map(|gap| gap.length_ns)
            .max()
            .unwrap_or(0);
        line(
            &mut text,
            "gaps",
            &format!(
                "{} of the sender's own, {} the longest of the last",
                figures.sender_gap_count,
                time(longest)
            ),
        );
    }
    match (&flow.path_before, &flow.path_after) {
        (Some(before), Some(after)) if !is_same(before, after) => {
            line(&mut text, "path", &path(before));
            line(&mut text, "then", &path(after));
        }
        (Some(before), _) => line(&mut text, "path", &path(before)),
        _ => {}
    }
    text
}

fn line(text: &mut String, head: &str, what: &str) {
    let _ = writeln!(text, "  {head:<9}{what}");
}

fn when(flow: &FlowReport, outage: &Outage) -> String {
    let began = flow.figures.began_ns.unwrap_or(outage.began_ns);
    let after = outage.began_ns.saturating_sub(began);
    let lasts = if flow.figures.ongoing_outage.as_ref() == Some(outage) {
        ", and lasts"
    } else {
        ""
    };
    format!(
        "{} from +{} on, {} packets missing{lasts}",
        time(outage.length_ns),
        time(after),
        outage.packets
    )
}

fn is_same(a: &FlowPath, b: &FlowPath) -> bool {
    a.interfaces == b.interfaces && a.ends == b.ends
}

/// The interfaces of a way.
pub fn path(path: &FlowPath) -> String {
    let way = clean::line(&path.interfaces.join(" ")).into_owned();
    match &path.ends {
        Some(why) => format!("{way} ({})", clean::line(why)),
        None => way,
    }
}

/// A time in nanoseconds: `12 us`, `1.25 ms`, `2.31 s`.
pub fn time(ns: u64) -> String {
    match ns {
        0..1_000_000 => format!("{} us", ns / 1000),
        1_000_000..100_000_000 => format!("{:.2} ms", ns as f64 / 1e6),
        100_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        _ => units::duration(ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        assert_eq!(time(12_345), "12 us");
        assert_eq!(time(1_250_000), "1.25 ms");
        assert_eq!(time(128_900_000), "128 ms");
        assert_eq!(time(2_310_000_000), "2.31 s");
    }
}
