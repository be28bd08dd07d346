//! Communities as FRR writes them.

/// The communities that have names. `internet` is not carried: as a value it is 0:0.
const NAMES: &[(&str, u32)] = &[
    ("internet", 0),
    ("graceful-shutdown", 0xffff_0000),
    ("accept-own", 0xffff_0001),
    ("route-filter-translated-v4", 0xffff_0002),
    ("route-filter-v4", 0xffff_0003),
    ("route-filter-translated-v6", 0xffff_0004),
    ("route-filter-v6", 0xffff_0005),
    ("llgr-stale", 0xffff_0006),
    ("no-llgr", 0xffff_0007),
    ("accept-own-nexthop", 0xffff_0008),
    ("blackhole", 0xffff_029a),
    ("no-export", 0xffff_ff01),
    ("no-advertise", 0xffff_ff02),
    ("local-AS", 0xffff_ff03),
    ("no-peer", 0xffff_ff04),
];

/// Reads `65000:1`, a number or a name.
pub fn parse(text: &str) -> Option<u32> {
    if let Some((_, value)) = NAMES.iter().find(|(name, _)| *name == text) {
        return Some(*value);
    }
    match text.split_once(':') {
        Some((high, low)) => Some(u32::from(number::<u16>(high)?) << 16 | u32::from(number::<u16>(low)?)),
        None => number(text),
    }
}

/// Writes a community as FRR shows it.
pub fn print(community: u32) -> String {
    match NAMES.iter().find(|(_, value)| *value == community) {
        Some((name, _)) => (*name).to_owned(),
        None => format!("{}:{}", community >> 16, community & 0xffff),
    }
}

/// Reads a large community, three numbers.
pub fn parse_large(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split(':');
    let large = (
        number(parts.next()?)?,
        number(parts.next()?)?,
        number(parts.next()?)?,
    );
    parts.next().is_none().then_some(large)
}

/// Writes a large community.
pub fn print_large((global, first, second): (u32, u32, u32)) -> String {
    format!("{global}:{first}:{second}")
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
