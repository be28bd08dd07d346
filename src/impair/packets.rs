//! Packets that are on their way: a function of what is asked, the time, and a sequence of random numbers.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::way::WAITING;
use crate::lab::impair::{Impairment, Share};

/// Bytes that may be on their way in one direction.
const MOST_BYTES: usize = 64 << 20;
/// Packets.
const MOST_PACKETS: usize = 200_000;
/// Bytes that all packets of a lab may take that are on their way, with what it costs to keep them: whoever sends decides how many
/// they are, and no node's limits count them.
const MOST_OF_ALL: usize = 512 << 20;
/// What a packet costs besides its bytes: its place among the others, and what the allocator keeps beside it.
const COST: usize = 128;
/// What is before each frame, and not on the wire.
const BEFORE: usize = crate::kernel::packet_sender::HEADER;

/// What has become of packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Those that came.
    pub taken: u64,
    /// Those that went on.
    pub sent: u64,
    /// Those that were to be lost.
    pub lost: u64,
    /// Those that found no room.
    pub no_room: u64,
    /// Those that the interface did not take.
    pub refused: u64,
}

/// The room that all directions of a lab's links share.
#[derive(Debug, Clone)]
pub struct Room(Rc<Cell<usize>>);

impl Default for Room {
    fn default() -> Room {
        Room::of(MOST_OF_ALL)
    }
}

impl Room {
    /// One of so many bytes.
    fn of(bytes: usize) -> Room {
        Room(Rc::new(Cell::new(bytes)))
    }

    /// Takes what a packet of so many bytes needs; false where that is not there.
    fn take(&self, bytes: usize) -> bool {
        let left = self.0.get().checked_sub(bytes + COST);
        left.inspect(|left| self.0.set(*left)).is_some()
    }

    fn give_back(&self, bytes: usize) {
        self.0.set(self.0.get() + bytes + COST);
    }
}

/// A packet that is on its way: when it arrives, its number among all, and itself.
type OnItsWay = Reverse<(u64, u64, Vec<u8>)>;

/// One direction of a link.
pub struct Packets {
    asked: Impairment,
    random: Random,
    on_their_way: BinaryHeap<OnItsWay>,
    bytes: usize,
    room: Room,
    number: u64,
    /// When those that wait for their turn have left, in order.
    leaving: VecDeque<u64>,
    /// What has become of them.
    pub counts: Counts,
}

impl Packets {
    /// One that does this. The salt tells directions with the same seed apart; the room is what all of a lab share.
    pub fn new(asked: Impairment, salt: u64, room: Room) -> Packets {
        Packets {
            random: Random::new(asked.seed, salt),
            asked,
            on_their_way: BinaryHeap::new(),
            bytes: 0,
            room,
            number: 0,
            leaving: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Does something else from now on. Packets that are on their way stay so.
    pub fn change(&mut self, asked: Impairment, salt: u64) {
        if asked.seed.is_some() {
            self.random = Random::new(asked.seed, salt);
        }
        self.asked = asked;
    }

    /// Takes a frame, with its header before it, at a time in nanoseconds.
    pub fn take(&mut self, now: u64, mut frame: Vec<u8>) {
        self.counts.taken += 1;
        if self.random.draws(self.asked.loss) {
            self.counts.lost += 1;
            return;
        }
        let twice = self.random.draws(self.asked.duplicate).then(|| frame.clone());
        if self.random.draws(self.asked.corrupt) {
            self.spoil(&mut frame);
        }
        for frame in std::iter::once(frame).chain(twice) {
            self.admit(now, frame);
        }
    }

    /// One bit of it becomes another.
    fn spoil(&mut self, frame: &mut [u8]) {
        let bits = frame.len().saturating_sub(BEFORE) as u64 * 8;
        if bits > 0 {
            let bit = self.random.below(bits) as usize;
            frame[BEFORE + bit / 8] ^= 1 << (bit % 8);
        }
    }

    fn admit(&mut self, now: u64, frame: Vec<u8>) {
        if self.bytes + frame.len() > MOST_BYTES || self.on_their_way.len() >= MOST_PACKETS {
            self.counts.no_room += 1;
            return;
        }
        if !self.room.take(frame.len()) {
            self.counts.no_room += 1;
            return;
        }
        let Some(left) = self.leaves(now, frame.len().saturating_sub(BEFORE)) else {
            self.room.give_back(frame.len());
            self.counts.no_room += 1;
            return;
        };
        let overtakes = self.random.draws(self.asked.reorder);
        let delay = if overtakes { 0 } else { self.delay() };
        self.number += 1;
        self.bytes += frame.len();
        self.on_their_way
            .push(Reverse((left + delay, self.number, frame)));
    }

    /// When a frame has left, where a rate is given; none where too many wait.
    fn leaves(&mut self, now: u64, length: usize) -> Option<u64> {
        let Some(rate) = self.asked.rate else {
            return Some(now);
        };
        while self.leaving.front().is_some_and(|left| *left <= now) {
            self.leaving.pop_front();
        }
        if self.leaving.len() >= WAITING as usize {
            return None;
        }
        let begins = self.leaving.back().copied().unwrap_or(now).max(now);
        let takes = length as u128 * 8 * 1_000_000_000 / u128::from(rate.bits());
        let left = begins + u64::try_from(takes).unwrap_or(u64::MAX / 4);
        self.leaving.push_back(left);
        Some(left)
    }

    fn delay(&mut self) -> u64 {
        let (delay, jitter) = (self.asked.delay.nanoseconds(), self.asked.jitter.nanoseconds());
        match jitter {
            0 => delay,
            // Never more than the delay.
            jitter => (delay - jitter.min(delay)) + self.random.below(2 * jitter + 1),
        }
    }

    /// The next frame that has arrived by a time.
    pub fn arrived(&mut self, now: u64) -> Option<Vec<u8>> {
        self.next().filter(|at| *at <= now)?;
        let Reverse((_, _, frame)) = self.on_their_way.pop()?;
        self.bytes -= frame.len();
        self.room.give_back(frame.len());
        Some(frame)
    }

    /// When the next arrives.
    pub fn next(&self) -> Option<u64> {
        self.on_their_way.peek().map(|Reverse((at, _, _))| *at)
    }
}

impl Drop for Packets {
    fn drop(&mut self) {
        for Reverse((_, _, frame)) in &self.on_their_way {
            self.room.give_back(frame.len());
        }
    }
}

/// Random numbers that are the same again from the same seed (splitmix64).
struct Random(u64);

impl Random {
    fn new(seed: Option<u64>, salt: u64) -> Random {
        use std::hash::{BuildHasher as _, RandomState};
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(salt));
        Random(seed ^ salt.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    fn draws(&mut self, share: Share) -> bool {
        !share.is_zero() && self.below(1_000_000_000) < u64::from(share.parts())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn packets(text: &str) -> Packets {
        Packets::new(serde_json::from_str(text).unwrap(), 0, Room::default())
    }

    fn frame(number: u8) -> Vec<u8> {
        let mut frame = vec![number; 110];
        frame[..BEFORE].fill(0);
        frame
    }

    fn numbers(packets: &mut Packets, now: u64) -> Vec<u8> {
        std::iter::from_fn(|| packets.arrived(now))
            .map(|frame| frame[20])
            .collect()
    }

    #[test]
    fn they_arrive_after_the_delay_in_order() {
        let mut packets = packets(r#"{"delay": "10ms"}"#);
        (0..5).for_each(|number| packets.take(u64::from(number), frame(number)));
        assert_eq!(packets.next(), Some(10 * MS));
        assert!(numbers(&mut packets, 10 * MS - 1).is_empty());
        assert_eq!(numbers(&mut packets, 10 * MS + 4), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_rate_keeps_them_apart_and_drops_what_does_not_fit() {
        // 100 bytes take 1 ms.
        let mut packets = packets(r#"{"rate": "800kbit"}"#);
        (0..1500).for_each(|_| packets.take(0, frame(1)));
        assert_eq!(packets.counts.no_room, 500);
        for at in 1..=1000u64 {
            assert_eq!(packets.next(), Some(at * MS));
            assert!(packets.arrived(at * MS).is_some());
        }
        assert_eq!(packets.next(), None);
    }

    #[test]
    fn shares_are_drawn() {
        let mut packets = packets(r#"{"loss": "10%", "duplicate": "10%", "seed": 1}"#);
        (0..10_000).for_each(|_| packets.take(0, frame(1)));
        assert!((900..1100).contains(&packets.counts.lost), "{:?}", packets.counts);
        let arrived = numbers(&mut packets, 0).len() as u64;
        let twice = arrived - (10_000 - packets.counts.lost);
        assert!((800..1000).contains(&twice), "{twice}");
    }

    #[test]
    fn the_same_seed_does_the_same_again() {
        let lost = |salt| {
            let asked = serde_json::from_str(r#"{"loss": "50%", "seed": 7}"#).unwrap();
            let mut packets = Packets::new(asked, salt, Room::default());
            (0..64).for_each(|number| packets.take(0, frame(number)));
            numbers(&mut packets, 0)
        };
        assert_eq!(lost(0), lost(0));
        assert_ne!(lost(0), lost(1));
    }

    #[test]
    fn one_bit_is_spoiled_behind_the_header() {
        let mut packets = packets(r#"{"corrupt": "100%"}"#);
        packets.take(0, vec![0; 110]);
        let frame = packets.arrived(0).unwrap();
        assert_eq!(frame.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        assert!(frame[..BEFORE].iter().all(|byte| *byte == 0));
        packets.take(0, Vec::new());
        assert_eq!(packets.arrived(0), Some(Vec::new()));
    }

    #[test]
    fn those_that_overtake_pass_at_once() {
        let mut packets = packets(r#"{"delay": "10ms", "reorder": "100%"}"#);
        packets.take(5, frame(1));
        assert_eq!(packets.next(), Some(5));
    }

    #[test]
    fn memory_has_a_bound() {
        let mut packets = packets(r#"{"delay": "60s"}"#);
        (0..2000).for_each(|_| packets.take(0, vec![0; 65_000]));
        assert!(packets.bytes <= MOST_BYTES);
        assert!(packets.counts.no_room > 0);
    }

    #[test]
    fn all_links_of_a_lab_share_a_bound() {
        const ROOM: usize = 4 << 20;
        let room = Room::of(ROOM);
        let one = || {
            Packets::new(
                serde_json::from_str(r#"{"delay": "60s"}"#).unwrap(),
                0,
                room.clone(),
            )
        };
        let mut all: Vec<Packets> = (0..12).map(|_| one()).collect();
        for packets in &mut all {
            // Small ones: what they cost beside their bytes counts most.
            (0..2000).for_each(|_| packets.take(0, vec![0; 20]));
            (0..10).for_each(|_| packets.take(0, vec![0; 65_000]));
        }
        let kept = |packets: &Packets| packets.bytes + COST * packets.on_their_way.len();
        assert_eq!(all.iter().map(kept).sum::<usize>() + room.0.get(), ROOM);
        assert!(room.0.get() < 65_000 + COST, "{}", room.0.get());
        assert!(all[11].counts.no_room > 0);
        // Room comes back with what arrives, and with the directions that end.
        while all[0].arrived(u64::MAX).is_some() {}
        assert!(room.0.get() > 500_000, "{}", room.0.get());
        drop(all);
        assert_eq!(room.0.get(), ROOM);
    }

    proptest::proptest! {
        #[test]
        fn jitter_stays_within_its_bounds(seed in 0u64..1000) {
            let mut packets = packets(&format!(r#"{{"delay": "10ms", "jitter": "10ms", "seed": {seed}}}"#));
            packets.take(0, frame(1));
            proptest::prop_assert!(packets.next() <= Some(20 * MS));
        }
    }
}
