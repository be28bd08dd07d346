//! Captures as lines, for people or for programs.

use serde_json::json;

use super::Format;
use super::events::clock;
use crate::capture::decode::{self, Summary};
use crate::capture::filter::LinkType;
use crate::clean;
use crate::run::capture::{End, Form, Packet, Report};
use crate::run::events::Event;
use crate::view::progress;

/// A line for each packet and each event.
pub struct Lines {
    format: Format,
    with_events: bool,
    /// The interfaces, in the width of the longest.
    names: Vec<String>,
    links: Vec<LinkType>,
}

/// Names of interfaces are made as wide as the longest of them, up to this.
const WIDEST: usize = 24;

impl Lines {
    /// Lines of packets of these interfaces.
    pub fn new(format: Format, ends: &[End], with_events: bool) -> Lines {
        let names: Vec<String> = ends
            .iter()
            .map(|end| clean::line(&end.name()).into_owned())
            .collect();
        let width = names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0)
            .min(WIDEST);
        let names = match format {
            Format::Text => names.iter().map(|name| format!("{name:width$}")).collect(),
            Format::Json => names,
        };
        Lines {
            format,
            with_events,
            names,
            links: Vec::new(),
        }
    }
}

impl Form for Lines {
    fn begin(&mut self, _out: &mut Vec<u8>, _started: u64, ends: &[End]) {
        let link = |end: &End| match end.has_ethernet {
            true => LinkType::Ethernet,
            false => LinkType::RawIp,
        };
        self.links = ends.iter().map(link).collect();
    }

    fn packet(&mut self, out: &mut Vec<u8>, packet: &Packet) {
        let link = self.links.get(packet.end).copied().unwrap_or(LinkType::Ethernet);
        let summary = decode::summary(link, &packet.bytes);
        let name = self.names.get(packet.end).map_or("", String::as_str);
        let line = match self.format {
            Format::Text => text(name, packet, &summary),
            Format::Json => in_json(name, packet, &summary),
        };
        out.extend(line.as_bytes());
        out.push(b'\n');
    }

    fn event(&mut self, out: &mut Vec<u8>, event: &Event) {
        if !self.with_events {
            return;
        }
        let line = match self.format {
            Format::Json => clean::json(&serde_json::to_string(event).unwrap_or_default()).into_owned(),
            Format::Text => match progress::text(event) {
                text if text.is_empty() => return,
                text => format!("{}    -- {}", clock(event.time), clean::line(&text)),
            },
        };
        out.extend(line.as_bytes());
        out.push(b'\n');
    }

    fn end(&mut self, _out: &mut Vec<u8>, _report: &Report) {}
}

fn text(name: &str, packet: &Packet, summary: &Summary) -> String {
    let direction = if packet.is_outgoing { "out" } else { "in " };
    let ends = match summary.source.is_empty() {
        true => String::new(),
        false => format!(" {} > {}", summary.source, summary.destination),
    };
    let vlans: String = summary.vlans.iter().map(|vlan| format!(" vlan {vlan}")).collect();
    let info = if summary.info.is_empty() { "" } else { " " };
    format!(
        "{} {name} {direction}{ends}{vlans} {}{info}{} length {}",
        time_of_day(packet.time),
        summary.protocol,
        summary.info,
        packet.length
    )
}

fn in_json(name: &str, packet: &Packet, summary: &Summary) -> String {
    let line = json!({
        "time": packet.time as f64 / 1e9,
        "interface": name,
        "direction": if packet.is_outgoing { "out" } else { "in" },
        "source": summary.source,
        "destination": summary.destination,
        "protocol": summary.protocol,
        "info": summary.info,
        "vlans": summary.vlans,
        "length": packet.length,
    });
    clean::json(&line.to_string()).into_owned()
}

/// Time of day in UTC, to the microsecond.
fn time_of_day(time: u64) -> String {
    let (seconds, micros) = (time / 1_000_000_000 % 86_400, time / 1000 % 1_000_000);
    format!(
        "{:02}:{:02}:{:02}.{micros:06}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}
