//! Versions of the programs of the host that nodes use, as the programs say them.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::kernel::output;

/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(5);
/// FRR's daemon that is always there.
const ZEBRA: &str = "/usr/lib/frr/zebra";
/// What labs use most, how it is asked, and how it is called here.
const PROGRAMS: [(&str, &str, &str); 9] = [
    ("ip", "-V", "iproute2"),
    ("nft", "--version", "nft"),
    ("iptables", "--version", "iptables"),
    ("ping", "-V", "ping"),
    ("tcpdump", "--version", "tcpdump"),
    ("busybox", "--help", "busybox"),
    ("jq", "--version", "jq"),
    ("python3", "--version", "python3"),
    ("gobgpd", "--version", "gobgpd"),
];

/// FRR's version, if it is installed and says one.
pub fn frr() -> Option<String> {
    says(ZEBRA, "--version")
}

/// The programs that are there, each with its version, and the names of those that are not.
pub fn programs() -> (Vec<String>, Vec<&'static str>) {
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    for (program, question, name) in PROGRAMS {
        match says(program, question) {
            Some(version) => there.push(format!("{name} {version}")),
            None => missing.push(name),
        }
    }
    (there, missing)
}

fn says(program: &str, question: &str) -> Option<String> {
    let deadline = Instant::now() + PATIENCE;
    let stop: Option<&std::fs::File> = None;
    let done = output::run(Command::new(program).arg(question), deadline, stop).ok()?;
    let text = String::from_utf8_lossy(&done.out).into_owned() + &String::from_utf8_lossy(&done.errors);
    Some(version(&text).unwrap_or_else(|| "(it does not say its version)".to_owned()))
}

/// The first number with a dot, or date, in what a program says of itself.
fn version(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || c == ',' || c == '(' || c == ')');
    let mut versions = words.filter_map(|word| {
        // The name of the program may be before it, and end in a digit.
        let word = word
            .rsplit_once('-')
            .map_or(word, |(name, number)| match name.contains('.') {
                true => word,
                false => number,
            });
        let number = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let is_date = number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_digit());
        let good = |c: char| c.is_ascii_alphanumeric() || ".-+~_".contains(c);
        let is_one = number.starts_with(|c: char| c.is_ascii_digit())
            && (number.contains('.') || is_date)
            && number.chars().all(good)
            && number.len() < 40;
        is_one.then(|| number.to_owned())
    });
    versions.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (text, wanted) in [
            ("zebra version 8.4.4\nCopyright 1996-2005\n", Some("8.4.4")),
            ("ip utility, iproute2-6.1.0, libbpf 1.1.2\n", Some("6.1.0")),
            ("nftables v1.0.6 (Lester Gooch #5)\n", Some("1.0.6")),
            ("iptables v1.8.9 (nf_tables)\n", Some("1.8.9")),
            ("zebra version 10.3-1~deb13\n", Some("10.3-1~deb13")),
            ("ping from iputils 20221126\n", Some("20221126")),
            ("jq-1.6\n", Some("1.6")),
            (
                "BusyBox v1.35.0 (Debian 1:1.35.0-4+b3) multi-call binary.\n",
                Some("1.35.0"),
            ),
            ("\u{1b}[2J 1.\u{1b}2\n", None),
        ] {
            assert_eq!(version(text).as_deref(), wanted, "{text}");
        }
    }
}
