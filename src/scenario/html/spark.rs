//! What arrived of a flow over time, as a small picture with its outages marked.

use std::fmt::Write as _;

use crate::scenario::judge::milliseconds;
use crate::scenario::observed::{FlowSeen, Observed};

/// The picture's size.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 36.0;

/// The picture.
pub fn line(flow: &FlowSeen, seen: &Observed) -> String {
    let length = seen.ended_ns.saturating_sub(seen.began_ns).max(1) as f64;
    let x = |at: u64| (at.saturating_sub(seen.began_ns) as f64 / length * WIDTH).clamp(0.0, WIDTH);
    let mut svg = format!(
        "<svg class=\"spark\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"packets over time\">"
    );
    for outage in flow.outages.iter().chain(&flow.longest) {
        let (from, to) = (x(outage.began_ns), x(outage.end_ns()));
        let _ = write!(
            svg,
            "<rect class=\"outage\" x=\"{from:.1}\" y=\"0\" width=\"{:.1}\" height=\"{HEIGHT}\"><title>{}</title></rect>",
            (to - from).max(1.5),
            milliseconds(outage.length_ns)
        );
    }
    let points = flow.series.iter().map(|point| {
        let share = match point.sent {
            0 => 0.0,
            sent => (f64::from(point.received) / f64::from(sent)).min(1.0),
        };
        format!(
            "{:.1},{:.1}",
            x(point.at_ns),
            HEIGHT - 2.0 - share * (HEIGHT - 4.0)
        )
    });
    let points: Vec<String> = points.collect();
    let _ = write!(svg, "<polyline points=\"{}\"/>", points.join(" "));
    for step in seen.steps.iter().filter(|step| step.disturbs) {
        let at = x(step.began_ns);
        let _ = write!(
            svg,
            "<line class=\"step\" x1=\"{at:.1}\" y1=\"0\" x2=\"{at:.1}\" y2=\"{HEIGHT}\"><title>{}</title></line>",
            super::Text(&step.step)
        );
    }
    svg.push_str("</svg>");
    svg
}
