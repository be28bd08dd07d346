//! The forms of addresses and networks. Each says what is wrong and what would be right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::reader::Wrong;

/// An address of either family.
pub fn ip(text: &str) -> Result<IpAddr, Wrong> {
    text.parse().map_err(|_| {
        let help = match text.split_once('/') {
            Some((address, _)) if address.parse::<IpAddr>().is_ok() => {
                format!("no prefix length here: `{address}`")
            }
            _ => "an address looks like `10.0.1.1` or `fd00::1`".into(),
        };
        Wrong::new(format!("`{text}` is not an IP address"), help)
    })
}

/// An IPv4 address.
pub fn ipv4(text: &str) -> Result<Ipv4Addr, Wrong> {
    match ip(text)? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(Wrong::new(
            format!("`{text}` is an IPv6 address where IPv4 is wanted"),
            "an IPv4 address looks like `10.0.1.1`",
        )),
    }
}

/// An IPv6 address.
pub fn ipv6(text: &str) -> Result<Ipv6Addr, Wrong> {
    match ip(text)? {
        IpAddr::V6(address) => Ok(address),
        IpAddr::V4(_) => Err(Wrong::new(
            format!("`{text}` is an IPv4 address where IPv6 is wanted"),
            "an IPv6 address looks like `fd00::1`",
        )),
    }
}

/// An address with its prefix length.
pub fn net(text: &str) -> Result<IpNet, Wrong> {
    text.parse().map_err(|_| {
        if let Ok(address) = text.parse::<IpAddr>() {
            let length = if address.is_ipv4() { 24 } else { 64 };
            return Wrong::new(
                format!("`{text}` has no prefix length"),
                format!("say how large its network is: `{text}/{length}`"),
            );
        }
        if let Some((address, length)) = text.split_once('/')
            && let Ok(address) = address.parse::<IpAddr>()
        {
            let longest = if address.is_ipv4() { 32 } else { 128 };
            return Wrong::new(
                format!("`{length}` is not a prefix length"),
                format!(
                    "a prefix length is a whole number from 0 to {longest}: `{address}/{}`",
                    longest * 3 / 4
                ),
            );
        }
        Wrong::new(
            format!("`{text}` is not an address with a prefix length"),
            "write it like `10.0.1.2/24` or `fd00::2/64`",
        )
    })
}

/// An IPv4 address with its prefix length.
pub fn ipv4_net(text: &str) -> Result<Ipv4Net, Wrong> {
    match net(text)? {
        IpNet::V4(net) => Ok(net),
        IpNet::V6(_) => Err(Wrong::new(
            format!("`{text}` is an IPv6 address where IPv4 is wanted"),
            "an IPv4 address and its prefix length look like `10.0.1.2/24`",
        )),
    }
}

/// An IPv6 address with its prefix length.
pub fn ipv6_net(text: &str) -> Result<Ipv6Net, Wrong> {
    match net(text)? {
        IpNet::V6(net) => Ok(net),
        IpNet::V4(_) => Err(Wrong::new(
            format!("`{text}` is an IPv4 address where IPv6 is wanted"),
            "an IPv6 address and its prefix length look like `fd00::2/64`",
        )),
    }
}

/// A subnet: a prefix without host bits, or `none`.
pub fn subnet<T: FromStr + Copy + std::fmt::Display + PartialEq>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, Wrong>,
    trunc: impl FnOnce(&T) -> T,
) -> Result<Option<T>, Wrong> {
    if text == "none" {
        return Ok(None);
    }
    let subnet = parse(text)?;
    let trunc = trunc(&subnet);
    if trunc != subnet {
        return Err(host_bits(text, &trunc.to_string()));
    }
    Ok(Some(subnet))
}

/// The destination of a route: a prefix, a single address, or `default`.
pub fn destination(text: &str) -> Result<Option<IpNet>, Wrong> {
    if text == "default" {
        return Ok(None);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Some(IpNet::from(address)));
    }
    let net = net(text).map_err(|wrong| match text.contains('/') {
        true => wrong,
        false => Wrong::new(
            format!("`{text}` is not a destination"),
            "write `default`, a prefix like `10.0.0.0/8`, or an address",
        ),
    })?;
    if net.trunc() != net {
        return Err(host_bits(text, &net.trunc().to_string()));
    }
    Ok(Some(net))
}

fn host_bits(text: &str, right: &str) -> Wrong {
    Wrong::new(
        format!("`{text}` has host bits set, so it is no network"),
        format!("the network is `{right}`"),
    )
}
