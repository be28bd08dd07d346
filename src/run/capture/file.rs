//! Captures as pcapng files.

use super::{End, Form, Packet, Report};
use crate::capture::filter::{Direction, LinkType};
use crate::capture::pcapng::{self, Interface, Statistics};
use crate::clean;
use crate::run::events::Event;

/// No more comments stand at a packet; more events are counted.
const MOST_COMMENTS: usize = 100;

/// Writes pcapng. Events become comments on the packet that follows them.
pub struct Pcapng {
    lab: String,
    filter: String,
    snaplen: u32,
    describe: fn(&Event) -> Option<String>,
    comments: Vec<String>,
    passed_over: usize,
}

impl Pcapng {
    /// One that says events in such words; none is said that has no words.
    pub fn new(lab: &str, filter: &str, snaplen: u32, describe: fn(&Event) -> Option<String>) -> Pcapng {
        Pcapng {
            lab: lab.to_owned(),
            filter: filter.to_owned(),
            snaplen,
            describe,
            comments: Vec::new(),
            passed_over: 0,
        }
    }

    fn comments(&mut self) -> Vec<String> {
        let mut comments = std::mem::take(&mut self.comments);
        match std::mem::take(&mut self.passed_over) {
            0 => {}
            more => comments.push(format!("and {more} more events, which `nslab events` tells")),
        }
        comments
    }
}

impl Form for Pcapng {
    fn begin(&mut self, out: &mut Vec<u8>, _started: u64, ends: &[End]) {
        let application = concat!("nslab ", env!("CARGO_PKG_VERSION"));
        pcapng::section(out, application, &[&format!("lab {}", self.lab)]);
        for end in ends {
            // A node names its interfaces as it likes, and some reader prints that.
            let name = end.name();
            let description = end.peer.as_ref().map(|peer| format!("linked with {peer}"));
            let description = description.unwrap_or_default();
            let interface = Interface {
                name: &clean::line(&name),
                description: &clean::line(&description),
                mac: end.mac,
                link: if end.has_ethernet {
                    LinkType::Ethernet
                } else {
                    LinkType::RawIp
                },
                snaplen: self.snaplen,
                filter: &self.filter,
            };
            pcapng::interface(out, &interface);
        }
    }

    fn packet(&mut self, out: &mut Vec<u8>, packet: &Packet) {
        let comments = self.comments();
        let direction = if packet.is_outgoing {
            Direction::Out
        } else {
            Direction::In
        };
        let packet = pcapng::Packet {
            // There are not that many.
            interface: packet.end as u32,
            time: packet.time,
            bytes: &packet.bytes,
            length: packet.length,
            direction,
            comments: &comments,
        };
        pcapng::packet(out, &packet);
    }

    fn event(&mut self, _out: &mut Vec<u8>, event: &Event) {
        let Some(text) = (self.describe)(event) else {
            return;
        };
        match self.comments.len() < MOST_COMMENTS {
            true => self.comments.push(clean::message(&text).into_owned()),
            false => self.passed_over += 1,
        }
    }

    fn end(&mut self, out: &mut Vec<u8>, report: &Report) {
        // What no packet has followed stands at the end.
        let comments = self.comments();
        for (number, counted) in report.each.iter().enumerate() {
            let is_last = number + 1 == report.each.len();
            let statistics = Statistics {
                interface: number as u32,
                started: report.started,
                ended: report.ended,
                received: counted.packets + counted.lost,
                dropped: counted.lost,
                comments: if is_last { &comments } else { &[] },
            };
            pcapng::statistics(out, &statistics);
        }
    }
}
