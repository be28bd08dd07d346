//! Interfaces of nodes as a table.

use std::time::Duration;

use super::{table, units};
use crate::run::protocol::{InterfaceStatus, Status};

/// Two looks at the same labs, so far apart in time: what passed between them is the rate.
pub fn render(before: &[Status], after: &[Status], apart: Duration) -> String {
    let several = after.len() > 1;
    let head = [
        "NODE",
        "INTERFACE",
        "PEER",
        "ON/IN",
        "STATE",
        "MAC",
        "MTU",
        "IN",
        "OUT",
        "LOST",
        "ADDRESSES",
    ];
    let head: Vec<&str> = several.then_some("LAB").into_iter().chain(head).collect();
    let mut rows = table::table(&head);
    for status in after {
        for node in &status.nodes {
            let earlier = before
                .iter()
                .find(|it| it.lab == status.lab)
                .and_then(|it| it.nodes.iter().find(|it| it.name == node.name));
            for interface in &node.interfaces {
                let then = earlier.and_then(|it| it.interfaces.iter().find(|it| it.index == interface.index));
                let mut row: Vec<String> = several.then(|| status.lab.clone()).into_iter().collect();
                row.push(node.name.clone());
                row.extend(cells(interface, then.unwrap_or(interface), apart));
                rows.add_row(row);
            }
        }
    }
    table::render(&mut rows)
}

fn cells(now: &InterfaceStatus, then: &InterfaceStatus, apart: Duration) -> Vec<String> {
    let dash = || "-".to_owned();
    let addresses = match now.addresses.as_slice() {
        [] => dash(),
        addresses => addresses.join(", "),
    };
    vec![
        now.name.clone(),
        now.peer.clone().unwrap_or_else(dash),
        place(now),
        now.state.word().to_owned(),
        now.mac.clone().unwrap_or_else(dash),
        now.mtu.to_string(),
        rate(now.rx_bytes, then.rx_bytes, apart),
        rate(now.tx_bytes, then.tx_bytes, apart),
        now.lost_packets.to_string(),
        addresses,
    ]
}

/// What it is on top of, and what it is in.
fn place(now: &InterfaceStatus) -> String {
    let on = now.link.as_ref().map(|link| format!("on {link}"));
    let within = now.master.as_ref().map(|master| format!("in {master}"));
    let both: Vec<String> = on.into_iter().chain(within).collect();
    match both.as_slice() {
        [] => "-".to_owned(),
        both => both.join(", "),
    }
}

fn rate(now: u64, then: u64, apart: Duration) -> String {
    let bits = now.saturating_sub(then) as f64 * 8.0 / apart.as_secs_f64().max(1e-3);
    units::bits(bits)
}
