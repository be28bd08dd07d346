//! Addresses that names of the reverse zones stand for (RFC 1035 section 3.5, RFC 3596 section 2.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address of a name in small letters; none where it is no whole address of a reverse zone.
pub fn address(name: &str) -> Option<IpAddr> {
    if let Some(numbers) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut parts = numbers.split('.').rev();
        for octet in &mut octets {
            let part = parts.next()?;
            // `01` is no number there, and `+1` none anywhere.
            let is_number =
                part.bytes().all(|it| it.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            *octet = part.parse().ok().filter(|_| is_number)?;
        }
        return parts.next().is_none().then(|| Ipv4Addr::from(octets).into());
    }
    let digits = name.strip_suffix(".ip6.arpa")?;
    let mut number = 0u128;
    let mut parts = digits.split('.').rev();
    for _ in 0..32 {
        let part = parts.next().filter(|part| part.len() == 1)?;
        number = number << 4 | u128::from(u8::from_str_radix(part, 16).ok()?);
    }
    parts.next().is_none().then(|| Ipv6Addr::from(number).into())
}

/// An address in one label: `10-1-0-2`, `fd00--1`.
pub fn label(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string().replace('.', "-"),
        IpAddr::V6(address) => address.to_string().replace(':', "-"),
    }
}

/// The address that a label stands for.
pub fn of_label(label: &str) -> Option<IpAddr> {
    let dashes = label.bytes().filter(|it| *it == b'-').count();
    let v4 = (dashes == 3)
        .then(|| label.replace('-', ".").parse::<Ipv4Addr>().ok())
        .flatten();
    let v6 = || label.replace('-', ":").parse::<Ipv6Addr>().ok();
    v4.map(IpAddr::V4).or_else(|| v6().map(IpAddr::V6))
}
