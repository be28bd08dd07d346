//! Chance that comes again: the same seed gives the same run.

use std::time::Duration;

/// A small generator (xorshift64*); nothing that has to be secret hangs on it.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator that begins where the seed says.
    pub fn new(seed: u64) -> Rng {
        // Zero would stay zero, and similar seeds begin alike.
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `sides`; 0 where there are no sides.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        number.checked_rem(sides).unwrap_or(0)
    }

    /// Three quarters to all of a time, so that neighbors do not fall into step (RFC 4271 section 10).
    pub fn jitter(&mut self, time: Duration) -> Duration {
        time * (750 + self.roll(251) as u32) / 1000
    }
}
