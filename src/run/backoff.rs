//! Pauses before what has ended is started again.

use std::time::Duration;

const LONGEST: Duration = Duration::from_secs(10);
/// What lived this long starts again after the shortest pause.
pub const STEADY: Duration = Duration::from_secs(10);

/// A pause that doubles each time, up to ten seconds.
#[derive(Debug)]
pub struct Backoff {
    shortest: Duration,
    next: Duration,
}

impl Backoff {
    /// One that begins with this pause.
    pub fn new(shortest: Duration) -> Backoff {
        Backoff {
            shortest,
            next: shortest,
        }
    }

    /// The pause after something that lived so long.
    pub fn after(&mut self, lived: Duration) -> Duration {
        let pause = if lived >= STEADY { self.shortest } else { self.next };
        self.next = (pause * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_something_lives() {
        let mut backoff = Backoff::new(Duration::from_secs(3));
        let mut after = |lived| backoff.after(Duration::from_secs(lived)).as_secs();
        assert_eq!([after(0), after(1), after(9), after(0)], [3, 6, 10, 10]);
        assert_eq!([after(10), after(0)], [3, 6]);
    }
}
