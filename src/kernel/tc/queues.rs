//! The queueing disciplines that nslab uses: tbf (tc-tbf(8)) and netem (tc-netem(8)).

use super::{Batch, Requests, TCA_OPTIONS, nest};

const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
const TC_LINKLAYER_ETHERNET: u8 = 1;
const TCA_NETEM_REORDER: u16 = 3;
const TCA_NETEM_CORRUPT: u16 = 4;
const TCA_NETEM_RATE: u16 = 6;
const TCA_NETEM_RATE64: u16 = 8;
const TCA_NETEM_LATENCY64: u16 = 10;
const TCA_NETEM_JITTER64: u16 = 11;
const TCA_NETEM_PRNG_SEED: u16 = 14;

/// A bucket of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tbf {
    /// Bytes a second.
    pub rate: u64,
    /// Bytes that may leave at once.
    pub burst: u32,
    /// Bytes that may wait.
    pub limit: u32,
}

/// The kernel's emulation of a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Netem {
    /// Nanoseconds.
    pub delay: u64,
    /// Nanoseconds more or less.
    pub jitter: u64,
    /// Packets that may wait.
    pub limit: u32,
    /// Shares of 2³² of the packets.
    pub loss: u32,
    /// See `loss`.
    pub duplicate: u32,
    /// See `loss`.
    pub reorder: u32,
    /// See `loss`.
    pub corrupt: u32,
    /// Bytes a second; 0 for no limit.
    pub rate: u64,
    /// Where its random numbers begin (Linux 6.6).
    pub seed: Option<u64>,
}

impl Requests {
    /// Gives an interface this bucket, or changes the one that it has.
    pub fn tbf(&mut self, interface: u32, tbf: &Tbf) {
        self.queue(interface, "tbf", |batch| {
            let options = nest(batch, TCA_OPTIONS);
            let mut rate = [0u8; 12];
            rate[1] = TC_LINKLAYER_ETHERNET;
            rate[8..].copy_from_slice(&saturated(tbf.rate).to_ne_bytes());
            let rest = [tbf.limit, tbf.burst, 0].map(u32::to_ne_bytes).concat();
            batch.attribute(TCA_TBF_PARMS, &[&rate, &[0; 12], &rest]);
            if tbf.rate > u64::from(u32::MAX) {
                batch.attribute(TCA_TBF_RATE64, &[&tbf.rate.to_ne_bytes()]);
            }
            batch.attribute(TCA_TBF_BURST, &[&tbf.burst.to_ne_bytes()]);
            batch.close(options);
        });
    }

    /// Gives an interface this emulation, or changes the one that it has.
    pub fn netem(&mut self, interface: u32, netem: &Netem) {
        self.queue(interface, "netem", |batch| write_netem(batch, netem));
    }
}

fn write_netem(batch: &mut Batch, netem: &Netem) {
    let options = nest(batch, TCA_OPTIONS);
    let gap = u32::from(netem.reorder > 0);
    let words = [0, netem.limit, netem.loss, gap, netem.duplicate, 0];
    batch.raw(&words.map(u32::to_ne_bytes).concat());
    batch.attribute(TCA_NETEM_LATENCY64, &[&netem.delay.to_ne_bytes()]);
    batch.attribute(TCA_NETEM_JITTER64, &[&netem.jitter.to_ne_bytes()]);
    for (kind, share) in [
        (TCA_NETEM_REORDER, netem.reorder),
        (TCA_NETEM_CORRUPT, netem.corrupt),
    ] {
        batch.attribute(kind, &[&share.to_ne_bytes(), &0u32.to_ne_bytes()]);
    }
    let rate = [saturated(netem.rate), 0, 0, 0].map(u32::to_ne_bytes).concat();
    batch.attribute(TCA_NETEM_RATE, &[&rate]);
    if netem.rate > u64::from(u32::MAX) {
        batch.attribute(TCA_NETEM_RATE64, &[&netem.rate.to_ne_bytes()]);
    }
    if let Some(seed) = netem.seed {
        batch.attribute(TCA_NETEM_PRNG_SEED, &[&seed.to_ne_bytes()]);
    }
    batch.close(options);
}

/// A rate in the field of the kernel's older structures.
fn saturated(rate: u64) -> u32 {
    u32::try_from(rate).unwrap_or(u32::MAX)
}
