//! Echo requests from a node, one a second, and what came back.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use super::{WRONG, say};
use crate::kernel::echo;

/// Octets of a request and its answer: the header and what is in it.
const SIZE: usize = 40;
/// Requests do not follow each other faster.
const LEAST_INTERVAL: Duration = Duration::from_millis(2);
const USAGE: &str =
    "usage: ping [-4|-6] [-c COUNT] [-i SECONDS] [-W SECONDS] [-w SECONDS] [-I ADDRESS] [-nq] DESTINATION";

/// What is asked for.
#[derive(Debug, PartialEq)]
struct Wanted {
    to: String,
    from: Option<IpAddr>,
    count: Option<u64>,
    interval: Duration,
    patience: Duration,
    /// How long it takes at most.
    deadline: Option<Duration>,
    v4: Option<bool>,
    quiet: bool,
}

pub(super) fn run(words: &[&str]) -> i32 {
    let wanted = match read(words) {
        Ok(wanted) => wanted,
        Err(why) => {
            eprintln!("ping: {why}\n{USAGE}");
            return WRONG;
        }
    };
    let Some(to) = resolve(&wanted) else {
        eprintln!(
            "ping: {}: no such name or address; the node's /etc/hosts has the names of all nodes",
            wanted.to
        );
        return WRONG;
    };
    let mut seen = Seen::default();
    let mut hears = say(&format!("PING {} ({to})\n", wanted.to));
    let end = wanted.deadline.map(|deadline| Instant::now() + deadline);
    let left = || end.map(|end| end.saturating_duration_since(Instant::now()));
    while hears && wanted.count.is_none_or(|count| seen.sent < count) && left() != Some(Duration::ZERO) {
        let began = Instant::now();
        seen.sent += 1;
        let patience = left().unwrap_or(wanted.patience).min(wanted.patience);
        match echo::request(to, wanted.from, patience) {
            Ok(Some(time)) => {
                let milliseconds = time.as_secs_f64() * 1e3;
                seen.take(milliseconds);
                if !wanted.quiet {
                    let number = seen.sent;
                    hears = say(&format!(
                        "{SIZE} bytes from {to}: icmp_seq={number} time={milliseconds:.3} ms\n"
                    ));
                }
            }
            Ok(None) => {}
            Err(error) => hears = say(&format!("icmp_seq={} {error}\n", seen.sent)),
        }
        if wanted.count != Some(seen.sent) {
            let rest = wanted.interval.saturating_sub(began.elapsed());
            std::thread::sleep(left().unwrap_or(rest).min(rest));
        }
    }
    hears = hears && say(&seen.summary(&wanted.to));
    i32::from(!hears || seen.received == 0)
}

/// What came of the requests.
#[derive(Debug, Default)]
struct Seen {
    sent: u64,
    received: u64,
    /// Milliseconds: the shortest, all together, the longest.
    least: f64,
    sum: f64,
    most: f64,
}

impl Seen {
    fn take(&mut self, milliseconds: f64) {
        self.least = match self.received {
            0 => milliseconds,
            _ => self.least.min(milliseconds),
        };
        self.most = self.most.max(milliseconds);
        self.sum += milliseconds;
        self.received += 1;
    }

    /// As ping(8) prints it, for those who read it.
    fn summary(&self, to: &str) -> String {
        let Seen {
            sent,
            received,
            least,
            sum,
            most,
        } = self;
        let lost = (sent - received.min(sent)) * 100 / (*sent).max(1);
        let mut text = format!(
            "\n--- {to} ping statistics ---\n{sent} packets transmitted, {received} received, {lost}% packet loss\n"
        );
        if *received > 0 {
            let mean = sum / *received as f64;
            text += &format!("rtt min/avg/max = {least:.3}/{mean:.3}/{most:.3} ms\n");
        }
        text
    }
}

fn resolve(wanted: &Wanted) -> Option<IpAddr> {
    if let Ok(address) = wanted.to.parse() {
        return Some(address);
    }
    let found = (wanted.to.as_str(), 0).to_socket_addrs().ok()?;
    let mut addresses = found.map(|address| address.ip());
    addresses.find(|address| wanted.v4.is_none_or(|v4| address.is_ipv4() == v4))
}

fn read(words: &[&str]) -> Result<Wanted, String> {
    let mut wanted = Wanted {
        to: String::new(),
        from: None,
        count: None,
        interval: Duration::from_secs(1),
        patience: Duration::from_secs(1),
        deadline: None,
        v4: None,
        quiet: false,
    };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            if !wanted.to.is_empty() {
                return Err(format!(
                    "there is one destination, not `{}` and `{word}`",
                    wanted.to
                ));
            }
            wanted.to = (*word).to_owned();
            continue;
        };
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            match letter {
                'n' | 'O' | 'D' => {}
                'q' => wanted.quiet = true,
                '4' => wanted.v4 = Some(true),
                '6' => wanted.v4 = Some(false),
                'c' | 'i' | 'W' | 'w' | 'I' | 's' => {
                    let value = match letters.as_str() {
                        "" => rest.next().copied().ok_or(format!("-{letter} needs a value"))?,
                        inline => inline,
                    };
                    wanted.take(letter, value)?;
                    break;
                }
                _ => {
                    return Err(format!(
                        "nslab's own ping has no -{letter}; `apt-get install iputils-ping` has"
                    ));
                }
            }
        }
    }
    match wanted.to.is_empty() {
        true => Err("there is no destination".to_owned()),
        false => Ok(wanted),
    }
}

impl Wanted {
    fn take(&mut self, letter: char, value: &str) -> Result<(), String> {
        let wrong = || format!("-{letter} cannot be `{value}`");
        let seconds = || {
            let seconds: f64 = value.parse().map_err(|_| wrong())?;
            Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
        };
        match letter {
            'c' => self.count = Some(value.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?),
            'i' => self.interval = seconds()?.max(LEAST_INTERVAL),
            'W' => self.patience = seconds()?,
            'w' => self.deadline = Some(seconds()?),
            'I' => self.from = Some(value.parse().map_err(|_| wrong())?),
            // The size: it is one of its own.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_is_read() {
        let wanted = read(&["-c1", "-W", "0.5", "-nq", "server3", "-6"]).unwrap();
        assert_eq!(
            (wanted.count, wanted.patience),
            (Some(1), Duration::from_millis(500))
        );
        assert_eq!(
            (wanted.to.as_str(), wanted.v4, wanted.quiet),
            ("server3", Some(false), true)
        );
        for wrong in [
            &["-c"][..],
            &["-c", "x", "a"],
            &["-Z", "a"],
            &[],
            &["a", "b"],
            &["-i", "-1", "a"],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_summary_is_pings() {
        let mut seen = Seen {
            sent: 4,
            ..Seen::default()
        };
        [1.0, 3.0].into_iter().for_each(|time| seen.take(time));
        let text = seen.summary("b");
        assert!(text.contains("4 packets transmitted, 2 received, 50% packet loss"));
        assert!(text.contains("min/avg/max = 1.000/2.000/3.000 ms"));
    }
}
