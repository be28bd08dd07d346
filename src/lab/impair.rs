//! What a link does to the packets that it carries: how late they come, which are lost, and how many fit. The same values are
//! written in lab files, on the command line and in JSON.

use std::fmt;
use std::str::FromStr;

use nslab_capture::filter::{Instruction, LinkType};
use serde::{Deserialize, Serialize};

/// The longest delay, in nanoseconds: a minute. Longer is surely a slip of the unit.
const LONGEST: u64 = 60_000_000_000;
/// The slowest and the fastest rate, in bits a second.
const RATES: std::ops::RangeInclusive<u64> = 1_000..=100_000_000_000;
/// The whole, in parts.
const WHOLE: u32 = 1_000_000_000;

/// A span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(u64);

/// A share of the packets, drawn for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(u32);

/// How much passes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(u64);

/// What is done to the packets of one direction of a link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impairment {
    /// How much later each comes.
    #[serde(default, skip_serializing_if = "Time::is_zero")]
    pub delay: Time,
    /// How much that differs at most, up and down; all values are as likely.
    #[serde(default, skip_serializing_if = "Time::is_zero")]
    pub jitter: Time,
    /// How many are lost.
    #[serde(default, skip_serializing_if = "Share::is_zero")]
    pub loss: Share,
    /// How many overtake those that are delayed.
    #[serde(default, skip_serializing_if = "Share::is_zero")]
    pub reorder: Share,
    /// How many come twice.
    #[serde(default, skip_serializing_if = "Share::is_zero")]
    pub duplicate: Share,
    /// How many have one bit changed.
    #[serde(default, skip_serializing_if = "Share::is_zero")]
    pub corrupt: Share,
    /// How many bits pass in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Where the random numbers begin, so that they are the same again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The only packets that it is done to, in pcap's language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
}

/// What is done in each direction of a link: none where nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impairments {
    /// To what the first end sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub a_to_b: Option<Impairment>,
    /// To what the second end sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub b_to_a: Option<Impairment>,
}

impl Impairments {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.a_to_b.is_none() && self.b_to_a.is_none()
    }
}

impl Impairment {
    /// Whether it does nothing to any packet.
    pub fn is_nothing(&self) -> bool {
        let without_effect = Impairment {
            seed: self.seed,
            only: self.only.clone(),
            ..Impairment::default()
        };
        *self == without_effect
    }

    /// Whether it treats each packet by itself, so that several must not pass as one.
    pub fn is_by_packet(&self) -> bool {
        [self.loss, self.reorder, self.duplicate, self.corrupt]
            .iter()
            .any(|share| !share.is_zero())
    }

    /// The first key in it that is not about loss.
    pub fn beyond_loss(&self) -> Option<&'static str> {
        let keys = [
            ("delay", !self.delay.is_zero()),
            ("jitter", !self.jitter.is_zero()),
            ("reorder", !self.reorder.is_zero()),
            ("duplicate", !self.duplicate.is_zero()),
            ("corrupt", !self.corrupt.is_zero()),
            ("rate", self.rate.is_some()),
            ("seed", self.seed.is_some()),
        ];
        keys.into_iter()
            .find(|(_, is_there)| *is_there)
            .map(|(key, _)| key)
    }

    /// What in it cannot be: the key, what is wrong, and what to do.
    pub fn diagnostic(&self) -> Option<(&'static str, String, String)> {
        if self.jitter > self.delay {
            return Some((
                "jitter",
                format!(
                    "a jitter of {} is more than the delay of {}",
                    self.jitter, self.delay
                ),
                format!(
                    "no packet comes before it was sent: `delay = \"{}\"` or more",
                    self.jitter
                ),
            ));
        }
        if !self.reorder.is_zero() && self.delay.is_zero() {
            return Some((
                "reorder",
                "without a delay there is nothing to overtake".to_owned(),
                "those that are reordered pass at once, before those that are delayed: add `delay = \"10ms\"`"
                    .to_owned(),
            ));
        }
        self.is_nothing().then(|| {
            (
                "",
                "this does nothing to any packet".to_owned(),
                "say what is done: delay, jitter, loss, rate, reorder, duplicate or corrupt".to_owned(),
            )
        })
    }
}

impl fmt::Display for Impairment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if !self.delay.is_zero() {
            words.push(format!("delay {}", self.delay));
        }
        if !self.jitter.is_zero() {
            words.push(format!("jitter {}", self.jitter));
        }
        for (name, share) in [
            ("loss", self.loss),
            ("reorder", self.reorder),
            ("duplicate", self.duplicate),
            ("corrupt", self.corrupt),
        ] {
            if !share.is_zero() {
                words.push(format!("{name} {share}"));
            }
        }
        words.extend(self.rate.map(|rate| format!("rate {rate}")));
        words.extend(self.seed.map(|seed| format!("seed {seed}")));
        words.extend(self.only.as_ref().map(|only| format!("only \"{only}\"")));
        f.write_str(&words.join(", "))
    }
}

impl Time {
    /// In nanoseconds.
    pub fn nanoseconds(self) -> u64 {
        self.0
    }

    /// Whether it is none.
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl Share {
    /// In parts of a thousand million.
    pub fn parts(self) -> u32 {
        self.0
    }

    /// In parts of 2³², as the kernel counts them; all of them for the whole.
    pub fn of_u32(self) -> u32 {
        let parts = (u64::from(self.0) << 32) / u64::from(WHOLE);
        u32::try_from(parts).unwrap_or(u32::MAX)
    }

    /// Whether it is none.
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// Whether it is all of them.
    pub fn is_whole(&self) -> bool {
        self.0 == WHOLE
    }
}

impl Rate {
    /// In bits a second.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// A number without a sign, and what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number.parse::<f64>().ok().filter(|number| number.is_finite())?;
    Some((number, unit.trim()))
}

/// The largest unit in which a whole or short number tells it.
fn told(value: u64, units: &[(u64, &str)]) -> String {
    let fits = units
        .iter()
        .find(|(size, _)| *size <= value && (value * 1000).is_multiple_of(*size));
    let (size, unit) = fits.or(units.last()).copied().unwrap_or((1, ""));
    let number = value as f64 / size as f64;
    format!("{number}{unit}")
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Time, String> {
        let wrong = || format!("`{}` is no delay", text.escape_debug());
        let (number, unit) = number(text).ok_or_else(wrong)?;
        let scale = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "" => return Err(format!("`{text}` has no unit")),
            _ => return Err(wrong()),
        };
        let nanoseconds = (number * scale).round();
        if nanoseconds > LONGEST as f64 {
            return Err(format!("`{text}` is longer than a minute"));
        }
        Ok(Time(nanoseconds as u64))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];
        f.write_str(&told(self.0, &units))
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        let wrong = || format!("`{}` is no share of the packets", text.escape_debug());
        let (number, unit) = number(text).ok_or_else(wrong)?;
        match unit {
            "%" if number <= 100.0 => Ok(Share((number * f64::from(WHOLE) / 100.0).round() as u32)),
            "%" => Err(format!("`{text}` is more than all of them")),
            "" => Err(format!("`{text}` has no unit")),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) * 100.0 / f64::from(WHOLE))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let wrong = || format!("`{}` is no rate", text.escape_debug());
        let (number, unit) = number(text).ok_or_else(wrong)?;
        let scale = match unit {
            "bit" => 1.0,
            "kbit" => 1e3,
            "mbit" => 1e6,
            "gbit" => 1e9,
            "" => return Err(format!("`{text}` has no unit")),
            _ => return Err(wrong()),
        };
        let bits = (number * scale).round() as u64;
        match RATES.contains(&bits) {
            true => Ok(Rate(bits)),
            false => Err(format!(
                "`{text}` is out of range: a rate is from 1kbit to 100gbit"
            )),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            (1_000_000_000, "gbit"),
            (1_000_000, "mbit"),
            (1_000, "kbit"),
            (1, "bit"),
        ];
        f.write_str(&told(self.0, &units))
    }
}

/// The program of a filter for frames that pass an interface: it returns 0 for those that are not meant.
///
/// # Errors
/// What is wrong with the expression, and what to do.
pub fn filter(text: &str) -> Result<Vec<Instruction>, (String, String)> {
    nslab_capture::filter::compile_for_kernel(text, LinkType::Ethernet, u32::MAX).map_err(|error| {
        let message = format!("`{}` is no filter: {}", text.escape_debug(), error.message);
        let help = "a filter is written as for tcpdump: `tcp port 179`, `icmp or icmp6`, `host 10.0.0.1`";
        (message, error.help.unwrap_or_else(|| help.to_owned()))
    })
}

macro_rules! as_text {
    ($($type:ty),*) => {
        $(
            impl TryFrom<String> for $type {
                type Error = String;

                fn try_from(text: String) -> Result<Self, String> {
                    text.parse()
                }
            }

            impl From<$type> for String {
                fn from(value: $type) -> String {
                    value.to_string()
                }
            }
        )*
    };
}

as_text!(Time, Share, Rate);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_were_written() {
        for text in ["10ms", "0ns", "1.5ms", "300us", "7ns", "1s", "60s"] {
            assert_eq!(text.parse::<Time>().unwrap().to_string(), text);
        }
        for text in ["0%", "0.1%", "1%", "33.3%", "100%"] {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), text);
        }
        for text in ["1kbit", "10mbit", "2.5gbit", "1.5kbit", "1.234kbit"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "10", "ms", "-1ms", "61s", "10 parsecs", "1e9s", "nanms"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
        for text in ["", "0.1", "101%", "-1%", "%", "1 percent"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
        for text in ["", "10", "10mb", "0mbit", "999bit", "101gbit"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_the_kernels() {
        assert_eq!("50%".parse::<Share>().unwrap().of_u32(), 1 << 31);
        assert_eq!("100%".parse::<Share>().unwrap().of_u32(), u32::MAX);
    }

    #[test]
    fn what_cannot_be_is_told() {
        let jittery = Impairment {
            jitter: "1ms".parse().unwrap(),
            ..Impairment::default()
        };
        assert_eq!(jittery.diagnostic().unwrap().0, "jitter");
        let overtaking = Impairment {
            reorder: "1%".parse().unwrap(),
            ..Impairment::default()
        };
        assert_eq!(overtaking.diagnostic().unwrap().0, "reorder");
        assert!(Impairment::default().diagnostic().is_some());
    }
}
