//! The two ways in which impairments are carried out: by the kernel's netem, and by nslab itself. Each says which parts an
//! impairment becomes; what it cannot do it refuses by name.

use super::program::{self, Wrong};
use crate::kernel::tc::{Instruction, Netem, SHOT, STOLEN, Tbf};
use crate::lab::impair::Impairment;

/// How many packets wait for their turn where a rate is given. More are dropped.
pub const WAITING: u32 = 1000;
/// Packets that are on their way by netem, where their number is not limited by a rate.
const ON_THEIR_WAY: u32 = 100_000;
/// The header of Ethernet.
const HEADER: u32 = 14;

/// What an impairment becomes in one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// The queueing discipline of the sending end.
    pub queue: Option<Queue>,
    /// The program that loses packets.
    pub loss: Option<Vec<Instruction>>,
    /// What goes through nslab's own queue: the program that chooses the packets, and what is done to them.
    pub own: Option<(Vec<Instruction>, Impairment)>,
    /// Whether packets must be as long as they are on a wire.
    pub by_packet: bool,
}

/// A queueing discipline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// A rate.
    Tbf(Tbf),
    /// All there is.
    Netem(Netem),
}

/// What the interface is like on which it is done.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The longest packet.
    pub mtu: u32,
    /// Whether the program that loses packets is at the end where they arrive.
    pub at_receiver: bool,
    /// Whether the interface carries frames with an Ethernet header.
    pub has_frames: bool,
}

/// A way to carry impairments out.
pub trait Way {
    /// What it is called.
    fn name(&self) -> &'static str;
    /// What an impairment becomes.
    ///
    /// # Errors
    /// It cannot do that: what, and what can.
    fn parts(&self, impairment: &Impairment, place: Place) -> Result<Parts, Wrong>;
}

/// The kernel's netem.
pub struct ByNetem;

/// Programs of BPF, tbf, and a queue of nslab's own.
pub struct ByNslab;

impl Way for ByNetem {
    fn name(&self) -> &'static str {
        "netem"
    }

    fn parts(&self, it: &Impairment, _: Place) -> Result<Parts, Wrong> {
        if it.only.is_some() {
            let message =
                "netem does the same to all packets of an interface: it cannot do `only`".to_owned();
            return Err((message, "leave NSLAB_IMPAIR away, or set it to own".to_owned()));
        }
        let netem = Netem {
            delay: it.delay.nanoseconds(),
            jitter: it.jitter.nanoseconds(),
            limit: it.rate.map_or(ON_THEIR_WAY, |rate| {
                // Those that wait, and as many as can be on their way.
                let on_their_way =
                    u128::from(rate.bits()) * u128::from(it.delay.nanoseconds()) / (8 * 64 * 1_000_000_000);
                WAITING.saturating_add(u32::try_from(on_their_way).unwrap_or(u32::MAX))
            }),
            loss: it.loss.of_u32(),
            duplicate: it.duplicate.of_u32(),
            // The kernel says with it how many are not sent at once.
            reorder: it.reorder.of_u32(),
            corrupt: it.corrupt.of_u32(),
            rate: it.rate.map_or(0, |rate| rate.bits() / 8),
            seed: it.seed,
        };
        Ok(Parts {
            queue: Some(Queue::Netem(netem)),
            by_packet: it.is_by_packet() || it.rate.is_some(),
            ..Parts::default()
        })
    }
}

impl Way for ByNslab {
    fn name(&self) -> &'static str {
        "own"
    }

    fn parts(&self, it: &Impairment, place: Place) -> Result<Parts, Wrong> {
        let only = it.only.as_deref();
        if !place.has_frames && (only.is_some() || needs_queue(it)) {
            let key = [("only", only.is_some()), ("seed", it.seed.is_some())];
            let key = key.into_iter().find(|(_, is)| *is).map(|(key, _)| key);
            let key = key.or(it.beyond_loss()).unwrap_or("delay");
            let message = format!(
                "`{key}` works on interfaces that carry Ethernet frames, and this one carries packets"
            );
            let help = "loss and rate work here; the rest on the link that the tunnel runs over";
            return Err((message, help.to_owned()));
        }
        if needs_queue(it) {
            return Ok(Parts {
                own: Some((program::choose(only)?, it.clone())),
                ..Parts::default()
            });
        }
        let verdict = if place.at_receiver { SHOT } else { STOLEN };
        let loss = (!it.loss.is_zero()).then(|| program::draw(it.loss, only, verdict));
        Ok(Parts {
            queue: it.rate.map(|rate| Queue::Tbf(bucket(rate.bits() / 8, place.mtu))),
            loss: loss.transpose()?,
            own: None,
            by_packet: !it.loss.is_zero() || it.rate.is_some(),
        })
    }
}

/// Whether packets have to be kept for a while, or changed, or drawn in an order that can be played again.
fn needs_queue(it: &Impairment) -> bool {
    let keeps = [it.delay.is_zero(), it.jitter.is_zero()].contains(&false);
    let changes = [it.reorder, it.duplicate, it.corrupt]
        .iter()
        .any(|share| !share.is_zero());
    keeps || changes || it.seed.is_some() || (it.rate.is_some() && it.only.is_some())
}

/// A bucket for a rate in bytes a second.
fn bucket(rate: u64, mtu: u32) -> Tbf {
    let frame = mtu.saturating_add(HEADER);
    // Two milliseconds' worth, but two frames at least.
    let burst = u32::try_from(rate / 500).unwrap_or(u32::MAX);
    Tbf {
        rate,
        burst: burst.max(frame.saturating_mul(2)),
        limit: frame.saturating_mul(WAITING),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        mtu: 1500,
        at_receiver: true,
        has_frames: true,
    };

    fn impairment(text: &str) -> Impairment {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_needs_no_queue_takes_none() {
        let parts = ByNslab
            .parts(&impairment(r#"{"loss": "1%", "rate": "8mbit"}"#), PLACE)
            .unwrap();
        assert!(parts.own.is_none() && parts.loss.is_some());
        let Some(Queue::Tbf(tbf)) = parts.queue else {
            panic!("no rate")
        };
        assert_eq!((tbf.rate, tbf.burst, tbf.limit), (1_000_000, 3028, 1_514_000));
        for text in [
            r#"{"delay": "1ms"}"#,
            r#"{"loss": "1%", "seed": 7}"#,
            r#"{"rate": "1mbit", "only": "tcp"}"#,
            r#"{"corrupt": "1%"}"#,
        ] {
            let parts = ByNslab.parts(&impairment(text), PLACE).unwrap();
            assert!(parts.own.is_some() && parts.queue.is_none() && parts.loss.is_none());
        }
    }

    #[test]
    fn what_a_way_cannot_do_is_refused_by_name() {
        let only = impairment(r#"{"loss": "1%", "only": "tcp"}"#);
        assert!(ByNetem.parts(&only, PLACE).unwrap_err().0.contains("`only`"));
        let bare = Place {
            has_frames: false,
            ..PLACE
        };
        let delay = impairment(r#"{"delay": "1ms"}"#);
        assert!(ByNslab.parts(&delay, bare).unwrap_err().0.contains("`delay`"));
        assert!(ByNslab.parts(&impairment(r#"{"loss": "1%"}"#), bare).is_ok());
    }
}
