//! Links as a table.

use super::table;
use crate::lab::impair::Impairment;
use crate::run::protocol::LinkReport;

/// What is asked of links, and what is there.
pub fn table(links: &[LinkReport]) -> String {
    let head = ["LINK", "TYPE", "ASKED", "STATE", "A TO B", "B TO A", "ATTACHED"];
    let mut rows = table::table(&head);
    for link in links {
        rows.add_row(cells(link));
    }
    table::render(&mut rows)
}

fn cells(link: &LinkReport) -> Vec<String> {
    let dash = || "-".to_owned();
    let name = match &link.b {
        Some(b) => format!("{} -- {b}", link.a),
        None => link.a.clone(),
    };
    let mut asked = Vec::new();
    asked.extend(link.asked.down.then_some("down"));
    asked.extend(link.asked.silent.then_some("silent"));
    asked.extend((!link.as_planned && asked.is_empty()).then_some("changed"));
    let state = match &link.there.b {
        Some(b) if *b != link.there.a => format!("{}, {b}", link.there.a),
        _ => link.there.a.clone(),
    };
    let impair = |it: &Option<Impairment>| it.as_ref().map_or_else(dash, ToString::to_string);
    let or_dash = |text: String| if text.is_empty() { dash() } else { text };
    vec![
        name,
        link.kind.clone(),
        or_dash(asked.join(", ")),
        state,
        impair(&link.asked.impair.a_to_b),
        impair(&link.asked.impair.b_to_a),
        or_dash(link.there.attached.join(" ")),
    ]
}
