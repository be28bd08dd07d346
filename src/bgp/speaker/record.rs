//! What is remembered of a neighbor: messages by type, when it was heard of, who it said it is, why its sessions ended.

use std::net::Ipv4Addr;

use crate::session::{Agreement, Reason, Time};
use crate::wire::{HEADER, PerFamily, header};

/// What is remembered of a neighbor, over the ends of its sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Messages that went.
    pub sent: Messages,
    /// Messages that came.
    pub received: Messages,
    /// When a message went last.
    pub last_sent: Option<Time>,
    /// When a message came last.
    pub last_received: Option<Time>,
    /// When an UPDATE came last.
    pub last_update: Option<Time>,
    /// Of which families the neighbor has told everything since the session came up (RFC 4724 section 2).
    pub told_all: PerFamily<bool>,
    /// How many UPDATEs had been sent when it had been told everything of a family.
    pub updates_at_end: PerFamily<u64>,
    /// How many sessions there were.
    pub established: u32,
    /// How many of them are over.
    pub dropped: u32,
    /// When the session came up or went down last.
    pub changed: Option<Time>,
    /// When and why the last session ended.
    pub reset: Option<(Time, Reason)>,
    /// The last message from a neighbor that may tell only so many prefixes.
    pub cause: Vec<u8>,
    /// The neighbor's AS when it was up last.
    pub asn: Option<u32>,
    /// The neighbor's identifier when it was up last.
    pub router_id: Option<Ipv4Addr>,
    /// The neighbor's name when it was up last.
    pub name: Option<String>,
    /// What became of routes that were told and are of no use.
    pub lost: LostRoutes,
    /// What the kernel had measured of its connection when somebody asked last.
    pub tcp: TcpFigures,
}

/// Why a route that a neighbor told does not get into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing of it comes in: no policy says so, or there is no session in its family.
    Unwanted,
    /// A list or a route-map refuses it.
    Filtered,
    /// The own AS is in its path.
    AsLoop,
    /// It is this router's own, reflected (RFC 4456 section 8).
    OriginatorLoop,
    /// It has passed this router's cluster.
    ClusterLoop,
    /// Its next hop is this router.
    NextHop,
}

/// How many routes of a neighbor were lost, by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Loss`")]
pub struct LostRoutes {
    pub filtered: u64,
    pub as_loop: u64,
    pub originator_loop: u64,
    pub cluster_loop: u64,
    pub next_hop: u64,
    /// Those that the neighbor took back.
    pub withdrawn: u64,
}

impl LostRoutes {
    pub(super) fn count(&mut self, loss: Loss) {
        let counter = match loss {
            Loss::Unwanted => return,
            Loss::Filtered => &mut self.filtered,
            Loss::AsLoop => &mut self.as_loop,
            Loss::OriginatorLoop => &mut self.originator_loop,
            Loss::ClusterLoop => &mut self.cluster_loop,
            Loss::NextHop => &mut self.next_hop,
        };
        *counter += 1;
    }
}

/// What TCP knows of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TcpFigures {
    /// The longest segment, in octets.
    pub segment: u32,
    /// Round trip time in milliseconds.
    pub round_trip: u32,
}

/// Messages by type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Messages {
    /// OPEN.
    pub opens: u64,
    /// UPDATE.
    pub updates: u64,
    /// NOTIFICATION.
    pub notifications: u64,
    /// KEEPALIVE.
    pub keepalives: u64,
    /// ROUTE-REFRESH.
    pub refreshes: u64,
}

impl Messages {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.opens + self.updates + self.notifications + self.keepalives + self.refreshes
    }

    /// Counts messages that stand one after another.
    pub(super) fn count(&mut self, mut octets: &[u8]) {
        while let Some((head, _)) = octets.split_at_checked(HEADER) {
            self.count_one(head);
            let length = usize::from(u16::from_be_bytes([head[16], head[17]]));
            octets = octets.get(length.max(HEADER)..).unwrap_or_default();
        }
    }

    /// Counts the message that begins here.
    pub(super) fn count_one(&mut self, message: &[u8]) {
        match message.get(HEADER - 1) {
            Some(&header::OPEN) => self.opens += 1,
            Some(&header::UPDATE) => self.updates += 1,
            Some(&header::NOTIFICATION) => self.notifications += 1,
            Some(&header::KEEPALIVE) => self.keepalives += 1,
            Some(&header::ROUTE_REFRESH) => self.refreshes += 1,
            _ => {}
        }
    }
}

impl Record {
    /// A message came; an UPDATE is one of the signs of life, and more.
    pub(super) fn received(&mut self, message: &[u8], now: Time) {
        let updates = self.received.updates;
        self.received.count_one(message);
        self.last_received = Some(now);
        if self.received.updates > updates {
            self.last_update = Some(now);
        }
    }

    pub(super) fn up(&mut self, agreement: &Agreement, now: Time) {
        self.established += 1;
        self.told_all = PerFamily::default();
        self.changed = Some(now);
        self.asn = Some(agreement.remote_as);
        self.router_id = Some(agreement.remote_id);
        self.name = agreement.remote_name.clone();
    }

    pub(super) fn down(&mut self, reason: &Reason, now: Time) {
        self.dropped += 1;
        self.changed = Some(now);
        self.reset = Some((now, reason.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Message, encode};

    #[test]
    fn messages_are_counted_by_type() {
        let mut octets = Vec::new();
        for _ in 0..3 {
            encode(&Message::Keepalive, &Default::default(), &mut octets);
        }
        let mut messages = Messages::default();
        messages.count(&octets);
        assert_eq!((messages.keepalives, messages.total()), (3, 3));
        messages.count(&octets[..20]);
        assert_eq!(messages.total(), 4);
        messages.count(&octets[..5]);
        assert_eq!(messages.total(), 4);
    }
}
