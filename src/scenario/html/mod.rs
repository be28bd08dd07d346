//! A report to look at: one HTML file that needs nothing from elsewhere and runs no scripts.

mod drawing;
mod layout;
mod spark;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use super::judge::{after, healings, milliseconds, story};
use super::observed::{Change, Observed};
use super::report::ScenarioReport;
use crate::lab::Lab;

/// How many changes of routes are listed.
const CHANGES: usize = 500;
/// How many flows are drawn.
const FLOWS: usize = 200;

const STYLE: &str = include_str!("style.css");

/// Text that is safe between tags and in attributes. What a terminal or a browser could take for a command is shown.
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(c)?,
                c if c.is_control() || is_direction(c) => write!(f, "{}", c.escape_unicode())?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Characters that turn the direction of text or hide it (Unicode bidi controls and zero-width ones).
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The page of a lab and what came of its scenarios.
pub fn page(lab: &Lab, reports: &[ScenarioReport]) -> String {
    let mut page = String::new();
    let name = Text(&lab.name);
    let failed = reports.iter().filter(|report| report.has_failed()).count();
    let skipped = reports.iter().filter(|report| report.skipped.is_some()).count();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}: scenarios</title>\n<style>\n{STYLE}</style></head><body>\n\
         <header><h1>{name}</h1><p>{} scenarios, {}</p></header>\n",
        reports.len(),
        match (failed, skipped) {
            (0, 0) => "all passed".to_owned(),
            (0, skipped) => format!("{skipped} skipped"),
            (failed, 0) => format!("<strong class=\"bad\">{failed} failed</strong>"),
            (failed, skipped) => format!("<strong class=\"bad\">{failed} failed</strong>, {skipped} skipped"),
        }
    );
    contents(&mut page, reports);
    for (at, report) in reports.iter().enumerate() {
        scenario(&mut page, lab, at, report);
    }
    page.push_str("</body></html>\n");
    page
}

fn contents(page: &mut String, reports: &[ScenarioReport]) {
    page.push_str("<nav><ul>\n");
    for (at, report) in reports.iter().enumerate() {
        let (class, word) = verdict(report);
        let _ = writeln!(
            page,
            "<li><a href=\"#s{at}\">{}</a> <span class=\"{class}\">{word}</span></li>",
            Text(&report.name)
        );
    }
    page.push_str("</ul></nav>\n");
}

fn verdict(report: &ScenarioReport) -> (&'static str, &'static str) {
    match (report.passed, &report.skipped) {
        (_, Some(_)) => ("dim", "skipped"),
        (true, None) => ("good", "passed"),
        (false, None) => ("bad", "failed"),
    }
}

fn scenario(page: &mut String, lab: &Lab, at: usize, report: &ScenarioReport) {
    let (class, word) = verdict(report);
    let _ = writeln!(
        page,
        "<section id=\"s{at}\"><h2>{} <span class=\"{class}\">{word}</span> <small>{:.2} s</small></h2>",
        Text(&report.name),
        report.seconds
    );
    if let Some(reason) = &report.skipped {
        let _ = writeln!(page, "<p class=\"dim\">{}</p></section>", Text(reason));
        return;
    }
    if !report.faults.is_empty() {
        page.push_str("<ul class=\"faults\">\n");
        for fault in &report.faults {
            let _ = writeln!(page, "<li>{}</li>", Text(fault));
        }
        page.push_str("</ul>\n");
    }
    page.push_str("<div class=\"two\">\n");
    drawing::draw(page, lab, &touched(lab, &report.observed));
    steps(page, &report.observed);
    page.push_str("</div>\n");
    flows(page, &report.observed);
    changes(page, &report.observed);
    page.push_str("</section>\n");
}

/// The ends of links and the nodes that steps speak of.
fn touched(lab: &Lab, seen: &Observed) -> BTreeSet<String> {
    let words = seen.steps.iter().filter(|step| step.disturbs);
    let words = words.flat_map(|step| step.step.split([' ', ',']));
    let words: BTreeSet<String> = words.map(str::to_owned).collect();
    let nodes = lab.nodes.iter().map(|node| node.name.as_str());
    let is_ours = |word: &String| {
        let node = word.split_once(':').map_or(word.as_str(), |(node, _)| node);
        nodes.clone().any(|name| name == node)
    };
    words.into_iter().filter(is_ours).collect()
}

fn steps(page: &mut String, seen: &Observed) {
    page.push_str("<table class=\"steps\"><caption>What happened</caption><thead><tr><th>when</th><th>step</th><th>healed after</th></tr></thead><tbody>\n");
    let healings = healings(seen);
    for step in &seen.steps {
        let healing = healings.iter().find(|healing| std::ptr::eq(healing.step, step));
        let healed = match healing {
            Some(healing) if healing.took_ns > 0 => {
                format!(
                    "<abbr title=\"{}\">{}</abbr>",
                    Text(&healing.last),
                    milliseconds(healing.took_ns)
                )
            }
            _ => String::new(),
        };
        let class = if step.failure.is_some() {
            " class=\"bad\""
        } else {
            ""
        };
        let why = step.failure.as_ref().map(|why| format!("<br>{}", Text(why)));
        let _ = writeln!(
            page,
            "<tr{class}><td>{}</td><td>{}{}</td><td>{healed}</td></tr>",
            after(seen.began_ns, step.began_ns),
            Text(&step.step),
            why.unwrap_or_default()
        );
    }
    page.push_str("</tbody></table>\n");
}

fn flows(page: &mut String, seen: &Observed) {
    if seen.flows.is_empty() {
        return;
    }
    page.push_str(
        "<table class=\"flows\"><caption>Flows</caption><thead><tr><th>flow</th><th>packets that arrived, over time</th>\
         <th>lost</th><th>longest outage</th><th>what became of it</th></tr></thead><tbody>\n",
    );
    // What was lost most comes first.
    let mut flows: Vec<_> = seen.flows.iter().collect();
    flows.sort_by_key(|flow| {
        std::cmp::Reverse((flow.longest.map_or(0, |outage| outage.length_ns), flow.lost))
    });
    for flow in flows.iter().take(FLOWS) {
        let outage = flow
            .longest
            .map_or("–".to_owned(), |outage| milliseconds(outage.length_ns));
        let told = match &flow.void {
            Some(why) => why.clone(),
            None => story(flow, seen),
        };
        let _ = writeln!(
            page,
            "<tr><th>{}</th><td>{}</td><td>{} of {}</td><td>{outage}</td><td>{}</td></tr>",
            Text(&flow.name),
            spark::line(flow, seen),
            flow.lost,
            flow.sent,
            Text(&told)
        );
    }
    page.push_str("</tbody></table>\n");
    if flows.len() > FLOWS {
        let _ = writeln!(
            page,
            "<p class=\"dim\">… and {} more flows</p>",
            flows.len() - FLOWS
        );
    }
}

fn changes(page: &mut String, seen: &Observed) {
    let told: Vec<&Change> = seen.changes.iter().take(CHANGES).collect();
    let Some(first) = told.first() else {
        page.push_str("<p class=\"dim\">No route, link or session changed.</p>\n");
        return;
    };
    let open = if seen.changes.len() <= 40 { " open" } else { "" };
    let _ = writeln!(
        page,
        "<details{open}><summary>{} changes, the first {}</summary><table class=\"changes\"><thead><tr><th>when</th><th>node</th>\
         <th>change</th></tr></thead><tbody>",
        seen.changes.len(),
        after(seen.began_ns, first.at_ns)
    );
    for change in told {
        let class = match change.what.split(' ').next() {
            Some("lost") => "bad",
            Some("gained") => "good",
            _ => "",
        };
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td class=\"{class}\">{}</td></tr>",
            after(seen.began_ns, change.at_ns),
            Text(&change.node),
            Text(&change.what)
        );
    }
    page.push_str("</tbody></table>\n");
    let left = seen.changes.len().saturating_sub(CHANGES) as u64 + seen.changes_lost;
    if left > 0 {
        let _ = writeln!(page, "<p class=\"dim\">{left} more changes are not listed</p>");
    }
    page.push_str("</details>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::resolve::load;
    use crate::lab::sources::Memory;
    use crate::scenario::observed::{FlowSeen, OutageSeen, Point, Taken};

    fn lab() -> Lab {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/labs/clos.toml")).unwrap();
        load(&text, &Memory::default()).unwrap()
    }

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "</style><script>alert(1)</script>\u{202e}\u{1b}[31m\"'&";
        let seen = Observed {
            ended_ns: 1_000_000_000,
            steps: vec![Taken {
                step: format!("link spine0:down3 down {hostile}"),
                disturbs: true,
                began_ns: 0,
                done_ns: 1,
                failure: Some(hostile.to_owned()),
            }],
            flows: vec![FlowSeen {
                name: hostile.to_owned(),
                from: hostile.to_owned(),
                longest: Some(OutageSeen {
                    began_ns: 5,
                    length_ns: 500_000_000,
                    packets: 3,
                }),
                series: vec![
                    Point {
                        at_ns: 0,
                        sent: 10,
                        received: 0,
                    };
                    20
                ],
                ..FlowSeen::default()
            }],
            changes: vec![Change {
                at_ns: 7,
                node: hostile.to_owned(),
                what: hostile.to_owned(),
                of_routes: true,
            }],
            ..Observed::default()
        };
        let report = ScenarioReport {
            name: hostile.to_owned(),
            line: 1,
            passed: false,
            faults: vec![hostile.to_owned()],
            skipped: None,
            seconds: 1.0,
            observed: seen,
        };
        let page = page(&lab(), &[report]);
        assert!(!page.contains("<script"), "{page}");
        assert_eq!(page.matches("</style>").count(), 1);
        assert!(!page.contains(['\u{202e}', '\u{1b}']));
        for elsewhere in ["http:", "https:", "//", "url(", "@import"] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
        // Each node of the topology is in the picture.
        for node in ["spine0", "leaf3", "host2"] {
            assert!(page.contains(&format!(">{node}</text>")), "{node}");
        }
    }
}
