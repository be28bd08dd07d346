//! When packets have left, by the kernel's own word: of that time, not of the time at which they were handed to it, is how long
//! they took.

use std::net::UdpSocket;

use crate::flow::{Header, LEAST};
use crate::kernel::flow_socket::{departed, note_departures};

/// So many packets are remembered.
const KEPT: usize = 1024;
/// Faster flows do without: each packet that comes back costs as much as one that is sent.
const MOST_PPS: u32 = 10_000;
/// So many are heard of at a time.
const TURN: usize = 8;

/// The times of the last packets.
#[derive(Default)]
pub struct Departures {
    /// By the numbers of the packets; none where the kernel does not tell.
    times: Vec<(u64, u64)>,
}

impl Departures {
    /// Those of a sender, if its kernel tells them.
    pub fn of(sender: &UdpSocket, pps: Option<u32>) -> Departures {
        let wanted = pps.is_some_and(|pps| pps <= MOST_PPS) && note_departures(sender).is_ok();
        Departures {
            times: if wanted {
                vec![(u64::MAX, 0); KEPT]
            } else {
                Vec::new()
            },
        }
    }

    /// Hears of packets of so many bytes that have left. `offset` is by how much the kernel's times are ahead.
    pub fn hear(&mut self, sender: &UdpSocket, flow: u32, size: usize, offset: u64, room: &mut [u8]) {
        if self.times.is_empty() {
            return;
        }
        for _ in 0..TURN {
            let Ok((packet, at)) = departed(sender, room) else {
                return;
            };
            // Headers are in front.
            let own = packet.len().checked_sub(size.max(LEAST));
            let header = own.and_then(|own| Header::read(packet.get(own..)?));
            let Some((header, at)) = header.filter(|it| it.flow == flow).zip(at) else {
                continue;
            };
            if let Some(place) = self.times.get_mut((header.sequence % KEPT as u64) as usize) {
                *place = (header.sequence, at.saturating_sub(offset));
            }
        }
    }

    /// When a packet left; none where the kernel did not say, or before the sender handed it over.
    pub fn at(&self, number: u64, handed_over: u64) -> Option<u64> {
        let place = self.times.get((number % KEPT as u64) as usize)?;
        (place.0 == number && place.1 >= handed_over).then_some(place.1)
    }
}
