//! Echo requests from a node, one a second, and what came back.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use super::WRONG;
use crate::kernel::echo;

/// Octets of a request and its answer: the header and what is in it.
const SIZE: usize = 40;
const USAGE: &str = "usage: ping [-4|-6] [-c COUNT] [-i SECONDS] [-W SECONDS] [-I ADDRESS] [-nq] DESTINATION";

/// What is asked for.
#[derive(Debug, PartialEq)]
struct Wanted {
    to: String,
    from: Option<IpAddr>,
    count: Option<u64>,
    interval: Duration,
    patience: Duration,
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
    println!("PING {} ({to})", wanted.to);
    let (mut sent, mut times) = (0, Vec::new());
    while wanted.count.is_none_or(|count| sent < count) {
        let began = Instant::now();
        sent += 1;
        match echo::request(to, wanted.from, wanted.patience) {
            Ok(Some(time)) => {
                let milliseconds = time.as_secs_f64() * 1e3;
                if !wanted.quiet {
                    println!("{SIZE} bytes from {to}: icmp_seq={sent} time={milliseconds:.3} ms");
                }
                times.push(milliseconds);
            }
            Ok(None) => {}
            Err(error) => println!("icmp_seq={sent} {error}"),
        }
        if wanted.count != Some(sent) {
            std::thread::sleep(wanted.interval.saturating_sub(began.elapsed()));
        }
    }
    print!("{}", summary(&wanted.to, sent, &times));
    i32::from(times.is_empty())
}

/// As ping(8) prints it, for those who read it.
fn summary(to: &str, sent: u64, times: &[f64]) -> String {
    let received = times.len() as u64;
    let lost = (sent - received.min(sent)) * 100 / sent.max(1);
    let mut text = format!(
        "\n--- {to} ping statistics ---\n{sent} packets transmitted, {received} received, {lost}% packet loss\n"
    );
    if !times.is_empty() {
        let (least, most) = times.iter().fold((f64::MAX, 0.0_f64), |(least, most), time| {
            (least.min(*time), most.max(*time))
        });
        let mean = times.iter().sum::<f64>() / received as f64;
        text += &format!("rtt min/avg/max = {least:.3}/{mean:.3}/{most:.3} ms\n");
    }
    text
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
        v4: None,
        quiet: false,
    };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            if !wanted.to.is_empty() {
                return Err(format!(
                    "one destination, please, not `{}` and `{word}`",
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
            'i' => self.interval = seconds()?,
            'W' | 'w' => self.patience = seconds()?,
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
        let text = summary("b", 4, &[1.0, 3.0]);
        assert!(text.contains("4 packets transmitted, 2 received, 50% packet loss"));
        assert!(text.contains("min/avg/max = 1.000/2.000/3.000 ms"));
    }
}
