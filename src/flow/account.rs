//! The account of a flow: told what was sent and what arrived, it knows what was lost.

use std::ops::Range;

use crate::figures::{Figures, Latency, OutageState, Trouble};
use crate::histogram::Histogram;
use crate::outage::{Gap, Gaps, KEPT, Outage, Outages, longer};
use crate::series::Series;
use crate::window::{Arrival, Window};
use crate::{MS, SECOND};

/// The shortest outage that is listed, unless packets are rarer.
const OUTAGE: u64 = 10 * MS;
/// The same of a transfer, which has no pace of its own.
const STALL: u64 = 200 * MS;

/// What a flow is like.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Nanoseconds between its packets; none for a transfer.
    pub interval_ns: Option<u64>,
    /// What takes longer is late. So long after it was sent, a packet that has not arrived is lost.
    pub late_after_ns: u64,
}

impl Settings {
    /// How long an outage is at least that is listed.
    pub fn threshold(&self) -> u64 {
        self.interval_ns
            .map_or(STALL, |interval| interval.saturating_mul(3).max(OUTAGE))
    }
}

/// What is known of a flow's packets.
#[derive(Debug, Clone)]
pub struct Account {
    settings: Settings,
    sent: u64,
    began: Option<u64>,
    last_sent: Option<u64>,
    refused: u64,
    window: Window,
    received: u64,
    duplicated: u64,
    reordered: u64,
    late: u64,
    foreign: u64,
    overflowed: u64,
    latency: Histogram,
    first_arrival: Option<u64>,
    last_arrival: Option<u64>,
    outages: Outages,
    gaps: Gaps,
    series: Series,
    bytes: u64,
}

impl Account {
    /// That of a flow which has sent nothing yet.
    pub fn new(settings: Settings) -> Account {
        Account {
            settings,
            sent: 0,
            began: None,
            last_sent: None,
            refused: 0,
            window: Window::default(),
            received: 0,
            duplicated: 0,
            reordered: 0,
            late: 0,
            foreign: 0,
            overflowed: 0,
            latency: Histogram::default(),
            first_arrival: None,
            last_arrival: None,
            outages: Outages::default(),
            gaps: Gaps::default(),
            series: Series::default(),
            bytes: 0,
        }
    }

    /// The number of the packet that is sent next.
    pub fn next(&self) -> u64 {
        self.sent
    }

    /// The next packet was sent.
    pub fn send(&mut self, now: u64) {
        self.sent += 1;
        self.began.get_or_insert(now);
        self.last_sent = Some(now);
        let point = self.series.at(now);
        point.sent = point.sent.saturating_add(1);
    }

    /// The next packet was to be sent, and the sender's kernel refused it.
    pub fn refuse(&mut self, now: u64) {
        self.send(now);
        self.refused += 1;
    }

    /// The sender itself had a gap. To be told before the packet that ends it.
    pub fn gap(&mut self, gap: Gap) {
        self.gaps.add(gap);
    }

    /// The receiver had no room for so many packets, all in all.
    pub fn overflow(&mut self, all: u64) {
        self.overflowed = self.overflowed.max(all);
    }

    /// Something arrived that is none of its packets.
    pub fn stranger(&mut self) {
        self.foreign += 1;
    }

    /// A packet arrived. Returns the outage that has ended with it, if one has that is long enough to be listed.
    pub fn receive(&mut self, number: u64, sent: u64, now: u64, bytes: usize) -> Option<Outage> {
        // Whoever is on the way may send what he likes.
        if number >= self.sent {
            self.foreign += 1;
            return None;
        }
        let missing = match self.window.arrive(number) {
            Arrival::Ahead(missing) => missing,
            Arrival::Behind => {
                self.reordered += 1;
                self.outages.came_late(number);
                0
            }
            Arrival::Again => {
                self.duplicated += 1;
                return None;
            }
            Arrival::Forgotten => {
                self.foreign += 1;
                return None;
            }
        };
        self.received += 1;
        self.bytes = self.bytes.saturating_add(bytes as u64);
        let latency = now.saturating_sub(sent);
        self.latency.add(latency);
        if latency > self.settings.late_after_ns {
            self.late += 1;
        }
        if let Some(point) = self.series.at_or_last(sent) {
            point.received = point.received.saturating_add(1);
        }
        self.arrive(now, number - missing..number)
    }

    /// Bytes of a transfer arrived. As of [`Account::receive`].
    pub fn receive_bytes(&mut self, count: usize, now: u64) -> Option<Outage> {
        self.bytes = self.bytes.saturating_add(count as u64);
        let point = self.series.at(now);
        point.bytes = point.bytes.saturating_add(count as u64);
        self.arrive(now, 0..0)
    }

    /// Bytes of a transfer were sent.
    pub fn send_bytes(&mut self, now: u64) {
        self.began.get_or_insert(now);
        self.last_sent = Some(now);
    }

    fn arrive(&mut self, now: u64, missing: Range<u64>) -> Option<Outage> {
        self.first_arrival.get_or_insert(now);
        let before = self.last_arrival.or(self.began).unwrap_or(now);
        self.last_arrival = Some(self.last_arrival.map_or(now, |last| last.max(now)));
        let outage = Outage {
            began_ns: before,
            length_ns: now.saturating_sub(before),
            packets: missing.end - missing.start,
            gap_ns: 0,
        };
        let threshold = self.settings.threshold();
        let is_long = outage.length_ns >= threshold;
        if missing.is_empty() && !is_long {
            return None;
        }
        self.outages.add(outage, missing, &self.gaps, threshold);
        is_long.then_some(outage)
    }

    /// Whether all that was sent has arrived.
    pub fn is_complete(&self) -> bool {
        self.received >= self.sent
    }

    /// How long nothing has arrived that should have, if that is long enough to be listed.
    pub fn silent_since(&self, now: u64) -> Option<u64> {
        let since = self.last_arrival.or(self.began)?;
        let is_long = now.saturating_sub(since) >= self.settings.threshold();
        (is_long && self.sent > self.window.next()).then_some(since)
    }

    /// What is known at a time; `is_over` where nothing more is waited for.
    pub fn figures(&self, now: u64, is_over: bool, with_series: bool) -> Figures {
        let threshold = self.settings.threshold();
        let mut outages = self.outages.clone();
        outages.settle(&self.gaps, threshold);
        let (lost, in_flight) = self.missing(now, is_over);
        let ongoing = self.ongoing(now, is_over, threshold, lost);
        let mut longest = outages.longest;
        let mut void = outages.void;
        let mut longest_void = outages.longest_void;
        match ongoing {
            Some(outage) if outage.is_void() && outage.packets == 0 => {}
            Some(outage) if outage.is_void() => {
                void += 1;
                longest_void = longer(longest_void, outage);
            }
            Some(outage) => longest = longer(longest, outage),
            None => {}
        }
        Figures {
            began_ns: self.began,
            last_sent_ns: self.last_sent,
            sent: self.sent,
            received: self.received,
            lost,
            in_flight,
            duplicated: self.duplicated,
            reordered: self.reordered,
            late: self.late,
            refused: self.refused,
            foreign: self.foreign,
            overflowed: self.overflowed,
            latency: self.latency(),
            outage: match (longest, void) {
                (Some(_), _) => OutageState::Valid,
                (None, 0) => OutageState::None,
                (None, _) => OutageState::NoneValid,
            },
            longest_outage: longest,
            outages: outages.long,
            outages_left_off: outages.left_off,
            outage_threshold_ns: threshold,
            ongoing_outage: ongoing,
            void_outages: void,
            longest_void_outage: longest_void,
            sender_gaps: {
                let known = &self.gaps.last;
                known.range(known.len().saturating_sub(KEPT)..).copied().collect()
            },
            sender_gap_count: self.gaps.count,
            bytes: self.bytes,
            bits_per_second: self.throughput(),
            trouble: match (self.began, self.first_arrival) {
                (None, _) => Some(Trouble::NeverRan),
                (Some(_), None) => Some(Trouble::NeverReceived),
                _ => None,
            },
            series: with_series.then(|| self.series.clone()),
        }
    }

    /// How many are lost, and how many may come yet: those behind the last that arrived, as far as they were sent lately.
    fn missing(&self, now: u64, is_over: bool) -> (u64, u64) {
        let missing = self.sent.saturating_sub(self.received);
        if is_over {
            return (missing, 0);
        }
        let behind = self.sent.saturating_sub(self.window.next());
        let idle = now.saturating_sub(self.last_sent.unwrap_or(now));
        let lately = self.settings.late_after_ns.saturating_sub(idle);
        let interval = self.settings.interval_ns.unwrap_or(SECOND).max(1);
        let in_flight = behind.min(lately.div_ceil(interval));
        (missing - in_flight.min(missing), in_flight)
    }

    /// The outage that lasts.
    fn ongoing(&self, now: u64, is_over: bool, threshold: u64, lost: u64) -> Option<Outage> {
        let began_ns = self.last_arrival?;
        // When nothing is sent any more nothing is missed.
        let end = if is_over { self.last_sent? } else { now };
        let packets = self.sent.saturating_sub(self.window.next());
        let outage = Outage {
            began_ns,
            length_ns: end.saturating_sub(began_ns),
            packets,
            gap_ns: 0,
        };
        let outage = self.gaps.on(outage);
        let is_transfer = self.settings.interval_ns.is_none();
        let is_missed = packets > 0 && (lost > 0 || outage.length_ns >= threshold);
        (outage.length_ns >= threshold && (is_missed || is_transfer)).then_some(outage)
    }

    fn latency(&self) -> Option<Latency> {
        (!self.latency.is_empty()).then(|| Latency {
            min_ns: self.latency.least(),
            avg_ns: self.latency.average(),
            p50_ns: self.latency.percentile(50),
            p99_ns: self.latency.percentile(99),
            max_ns: self.latency.most(),
        })
    }

    /// Bits a second from the first to the last arrival: of a transfer from its beginning on.
    fn throughput(&self) -> Option<u64> {
        let began = match self.settings.interval_ns {
            None => self.began?,
            Some(_) => self.first_arrival?,
        };
        let span = self.last_arrival?.saturating_sub(began);
        let bits = u128::from(self.bytes) * 8 * u128::from(SECOND);
        u64::try_from(bits.checked_div(u128::from(span))?).ok()
    }
}
