//! Which rows are wanted.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::row::{Kind, Row};

/// No mark's name is longer, in octets.
pub const LONGEST_MARK: usize = 64;

/// What is wrong with the name of a mark, if anything is.
pub fn wrong_mark(name: &str) -> Option<String> {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || " .:_/+-".contains(it);
    if name.is_empty() || name.len() > LONGEST_MARK {
        return Some(format!("a mark's name has 1 to {LONGEST_MARK} characters"));
    }
    if !name.starts_with(|it: char| it.is_ascii_alphabetic()) || !name.chars().all(is_plain) {
        return Some(format!(
            "{name:?} is no name of a mark: it begins with a letter, and has letters, digits, blanks and . : _ / + -"
        ));
    }
    (name == START).then(|| format!("no mark is called {START}: that is the beginning of every timeline"))
}

/// The beginning of a timeline.
pub const START: &str = "start";

/// A time that somebody means.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// The beginning.
    Start,
    /// The last mark of this name.
    Mark(String),
    /// So many nanoseconds ago.
    Ago(u64),
    /// Seconds since 1970.
    At(f64),
    /// A time of the day in UTC, in seconds.
    OfDay(f64),
}

impl When {
    /// Reads it: `start`, a mark's name, `5s`, `14:03:01.250`, seconds since 1970.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str) -> Result<When, String> {
        let wrong = || {
            format!(
                "{text:?} is no time: write a mark's name, how long ago it was (5s, 200ms), a time of day in UTC (14:03:01.250), or seconds since 1970"
            )
        };
        if text == START {
            return Ok(When::Start);
        }
        if text.starts_with(|it: char| it.is_ascii_alphabetic()) {
            return match wrong_mark(text) {
                None => Ok(When::Mark(text.to_owned())),
                Some(wrong) => Err(wrong),
            };
        }
        if text.contains(':') {
            let parts: Vec<f64> = text
                .trim_end_matches('Z')
                .split(':')
                .map(str::parse)
                .collect::<Result<_, _>>()
                .map_err(|_| wrong())?;
            return match parts[..] {
                [hours, minutes, seconds]
                    if is_in(hours, 24.0) && is_in(minutes, 60.0) && is_in(seconds, 61.0) =>
                {
                    Ok(When::OfDay(hours * 3600.0 + minutes * 60.0 + seconds))
                }
                _ => Err(wrong()),
            };
        }
        let split = text
            .find(|it: char| !(it.is_ascii_digit() || it == '.'))
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let seconds = match unit {
            "" if (1e9..1e12).contains(&number) => return Ok(When::At(number)),
            "ms" => number / 1e3,
            "s" => number,
            "m" => number * 60.0,
            "h" => number * 3600.0,
            _ => return Err(wrong()),
        };
        match is_in(seconds, 1e8) {
            true => Ok(When::Ago((seconds * 1e9) as u64)),
            false => Err(wrong()),
        }
    }
}

fn is_in(number: f64, most: f64) -> bool {
    (0.0..most).contains(&number)
}

/// Routes by their destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// To this network, or one within it.
    Within(IpNet),
    /// By which this address is reached.
    Over(IpAddr),
}

impl Prefix {
    /// Reads it: a network or an address.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Prefix, String> {
        if let Ok(address) = text.parse() {
            return Ok(Prefix::Over(address));
        }
        let net: IpNet = text
            .parse()
            .map_err(|_| format!("{text:?} is no network such as 10.0.3.0/24, and no address"))?;
        Ok(Prefix::Within(net.trunc()))
    }

    fn is_of(&self, prefix: &IpNet) -> bool {
        match self {
            Prefix::Within(net) => net.contains(prefix),
            Prefix::Over(address) => prefix.contains(address),
        }
    }
}

/// Which rows are wanted.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Not before this time.
    pub since: u64,
    /// Not after this one.
    pub until: Option<u64>,
    /// Routes to these alone.
    pub prefix: Option<Prefix>,
    /// Of these nodes alone; of all where there are none.
    pub nodes: Vec<String>,
    /// Of these kinds alone.
    pub kinds: Vec<Kind>,
}

impl Selection {
    /// Whether the time of a row is wanted.
    pub fn is_when(&self, row: &Row) -> bool {
        row.monotonic >= self.since && self.until.is_none_or(|until| row.monotonic <= until)
    }

    /// Whether a row is wanted. Marks always are, and what was not heard of a node that is.
    pub fn has(&self, row: &Row) -> bool {
        let is_node = |node: &String| self.nodes.is_empty() || self.nodes.contains(node);
        let is_kind = || matches!(row.kind, Kind::Mark | Kind::Gap) || self.kinds.contains(&row.kind);
        let is_prefix = |prefix: Prefix| match (&row.route, row.kind) {
            (Some(route), _) => prefix.is_of(&route.prefix),
            (None, kind) => matches!(kind, Kind::Mark | Kind::Gap),
        };
        self.is_when(row)
            && row.node.as_ref().is_none_or(is_node)
            && is_kind()
            && self.prefix.is_none_or(is_prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(When::parse("start"), Ok(When::Start));
        assert_eq!(When::parse("ready"), Ok(When::Mark("ready".to_owned())));
        assert_eq!(When::parse("1.5s"), Ok(When::Ago(1_500_000_000)));
        assert_eq!(When::parse("200ms"), Ok(When::Ago(200_000_000)));
        assert_eq!(When::parse("01:00:01.5Z"), Ok(When::OfDay(3601.5)));
        assert_eq!(When::parse("1700000000.25"), Ok(When::At(1_700_000_000.25)));
        for wrong in [
            "",
            "5",
            "5x",
            "-3s",
            "25:00:00",
            "1:2",
            ".",
            "é",
            "a\nb",
            "1e3s",
            &"9".repeat(500),
        ] {
            assert!(When::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn prefixes_are_networks_or_addresses() {
        let is_of =
            |wanted: &str, prefix: &str| Prefix::parse(wanted).unwrap().is_of(&prefix.parse().unwrap());
        assert!(is_of("10.0.0.0/8", "10.1.0.0/16") && is_of("10.0.0.0/8", "10.0.0.0/8"));
        assert!(!is_of("10.1.0.0/16", "10.0.0.0/8") && !is_of("10.0.0.0/8", "fd00::/64"));
        assert!(is_of("10.1.2.3", "10.1.0.0/16") && is_of("10.1.2.3", "0.0.0.0/0"));
        assert!(Prefix::parse("ten").is_err());
    }

    #[test]
    fn names_of_marks_are_plain() {
        assert_eq!(wrong_mark("link_down a:eth1"), None);
        for wrong in ["", "5s", "start", "a\nb", &"x".repeat(65)] {
            assert!(wrong_mark(wrong).is_some(), "{wrong}");
        }
    }
}
