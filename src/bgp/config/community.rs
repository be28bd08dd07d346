//! Communities as FRR writes them.

use crate::wire::{Community, LargeCommunity};

/// Reads `65000:1`, a number or a name.
pub fn parse(text: &str) -> Option<u32> {
    text.parse().ok().map(|Community(value)| value)
}

/// Writes a community as FRR shows it.
pub fn print(community: u32) -> String {
    Community(community).to_string()
}

/// Reads a large community, three numbers.
pub fn parse_large(text: &str) -> Option<(u32, u32, u32)> {
    let large: LargeCommunity = text.parse().ok()?;
    Some((large.global, large.local1, large.local2))
}

/// Writes a large community.
pub fn print_large((global, local1, local2): (u32, u32, u32)) -> String {
    let large = LargeCommunity {
        global,
        local1,
        local2,
    };
    large.to_string()
}

/// Whether a text is a route target or site of origin, `65000:1` or `10.0.0.1:1`.
pub fn is_extended(text: &str) -> bool {
    let Some((administrator, assigned)) = text.rsplit_once(':') else {
        return false;
    };
    let by_address = administrator.parse::<std::net::Ipv4Addr>().is_ok();
    let short = by_address || number::<u32>(administrator).is_some_and(|asn| asn > 0xffff);
    match (by_address || number::<u32>(administrator).is_some(), short) {
        (false, _) => false,
        (true, true) => number::<u16>(assigned).is_some(),
        (true, false) => number::<u32>(assigned).is_some(),
    }
}

/// A number without a sign.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.starts_with(|first: char| first.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_are_read_and_written() {
        for (text, value) in [
            ("65000:1", 0xfde8_0001),
            ("no-export", 0xffff_ff01),
            ("internet", 0),
        ] {
            assert_eq!(parse(text), Some(value));
            assert_eq!(print(value), text);
        }
        assert_eq!(parse("65536"), Some(65536));
        for wrong in ["", "65536:1", "1:65536", "a:b", "1:2:3", "+1", "-1:2"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(parse_large("1:2:4294967295"), Some((1, 2, u32::MAX)));
        for wrong in ["1:2", "1:2:3:4", "1:2:", "1:2:4294967296"] {
            assert_eq!(parse_large(wrong), None, "{wrong}");
        }
        assert_eq!(print_large((1, 2, 3)), "1:2:3");
        assert!(is_extended("65000:70000") && is_extended("10.0.0.1:5") && is_extended("70000:5"));
        assert!(!is_extended("70000:70000") && !is_extended("10.0.0.1:70000") && !is_extended("1"));
    }
}
