//! What the thread that hears the kernel knows of each network, and how it tells what is said again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::os::fd::OwnedFd;
use std::time::Instant;

use crate::kernel::announcements::Announcements;

/// How many announcements a node may make at once, and a second after that. Of one that makes more, some are not heard.
pub(super) const BURST: f64 = 100_000.0;
pub(super) const RATE: f64 = 10_000.0;
/// Of so many interfaces it is remembered what was said last.
const REMEMBERED: usize = 100_000;

/// A network that is heard.
pub(super) struct Network {
    pub namespace: OwnedFd,
    /// Its own socket, where it is heard apart.
    pub apart: Option<Announcements>,
    /// Announcements it may still make.
    pub left: f64,
    pub counted: Instant,
    /// Its own socket is not read before this time.
    pub rests: Option<Instant>,
    /// How many that had lost when it was told last.
    pub lost: u64,
    pub has_lost: bool,
    /// When it is to be looked at.
    pub look: Option<Instant>,
    pub looked: Instant,
}

impl Network {
    pub fn gain(&mut self, now: Instant) {
        let gained = (now - self.counted).as_secs_f64() * RATE;
        self.counted = now;
        self.left = (self.left + gained).min(BURST);
    }

    /// Takes one announcement off. Returns whether it may make that.
    pub fn may_say(&mut self) -> bool {
        self.left -= 1.0;
        if self.left < 0.0 {
            self.gain(Instant::now());
        }
        self.left >= 0.0
    }
}

pub(super) fn hash(what: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Whether this was heard before by another socket; it counts once.
pub(super) fn is_again(before: &mut HashMap<u64, u32>, hash: u64) -> bool {
    match before.get_mut(&hash) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

/// Whether this was said of an interface last, and remembers it.
pub(super) fn is_said(said: &mut HashMap<(u32, u32), u64>, key: (u32, u32), what: &[u8]) -> bool {
    if said.len() >= REMEMBERED {
        said.clear();
    }
    let hash = hash(&what);
    said.insert(key, hash) == Some(hash)
}
