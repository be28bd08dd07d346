//! The forms of single values: durations, sizes, addresses, names. Each says what is wrong and what would be
//! right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

pub use super::networks::{destination, ip, ipv4, ipv4_net, ipv6, ipv6_net, net, subnet};
use super::reader::Wrong;
use crate::model::{Mac, PublishedPort};
use crate::rights::SHARED_SYSCTLS;

/// The longest delay a file may ask for; longer is surely a slip of the unit.
const LONGEST_DELAY: Duration = Duration::from_secs(24 * 3600);
/// Below this nothing starts.
const SMALLEST_MEMORY: u64 = 1 << 20;

/// `2s`, `500ms`, `1.5m`, `1h`, as the value of a key.
pub fn duration(text: &str, key: &str) -> Result<Duration, Wrong> {
    let wrong =
        |message: String| Wrong::new(message, "a duration is a number and a unit: `500ms`, `2s`, `1m`");
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit.trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "" if number.parse::<f64>().is_ok() => {
            let message = format!("`{key} = {number}` has no unit");
            let help = format!("for seconds write `{key} = \"{number}s\"`; `ms`, `m` and `h` are units, too");
            return Err(Wrong::new(message, help));
        }
        unit => return Err(wrong(format!("`{text}` has the unknown unit `{unit}`"))),
    };
    let seconds = number
        .parse::<f64>()
        .map_err(|_| wrong(format!("`{text}` is not a duration")))?
        * scale;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration <= LONGEST_DELAY => Ok(duration),
        _ => Err(wrong(format!("`{text}` is longer than a day"))),
    }
}

/// `8080:80`, `127.0.0.1:8080:80`, `[::1]:8080:80`. Without an address it is the host's loopback.
pub fn published_port(text: &str) -> Result<PublishedPort, Wrong> {
    let help =
        "write [ADDRESS:]HOSTPORT:PORT[/udp]: `8080:80`, `127.0.0.1:8080:80`, `[::1]:8080:80`, `5353:53/udp`";
    let wrong = |message: String| Wrong::new(message, help);
    let (text, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if !matches!(protocol, "tcp" | "udp") {
        return Err(wrong(format!(
            "only TCP and UDP ports can be published, not {protocol} ones"
        )));
    }
    let parts = text.rsplit_once(':');
    let (listen, port) = parts.ok_or_else(|| wrong(format!("`{text}` names only one port")))?;
    let number = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(wrong(format!("`{text}` is not a port from 1 to 65535"))),
    };
    let (address, host_port) = match listen.rsplit_once(':') {
        None => (IpAddr::V4(Ipv4Addr::LOCALHOST), number(listen)?),
        Some((address, host_port)) => {
            let bare = address.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
            let parsed = match bare {
                Some(bare) => bare.parse::<Ipv6Addr>().map(IpAddr::V6),
                None => address.parse::<Ipv4Addr>().map(IpAddr::V4),
            };
            let parsed = parsed.map_err(|_| wrong(format!("`{address}` is not an address of the host's")))?;
            (parsed, number(host_port)?)
        }
    };
    Ok(PublishedPort {
        listen: SocketAddr::new(address, host_port),
        port: number(port)?,
        udp: protocol == "udp",
    })
}

/// `256M`, `1G`; units of 1024.
pub fn memory(text: &str) -> Result<u64, Wrong> {
    memory_bytes(amount(text, "memory")?)
}

/// The same of something else.
pub fn bytes(text: &str) -> Result<u64, Wrong> {
    amount(text, "bytes")
}

fn amount(text: &str, of: &str) -> Result<u64, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("`{text}` is not an amount of {of}"),
            "write a whole number and K, M, G or T: `256M`",
        )
    };
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let shift = match unit.trim().trim_end_matches('B').trim_end_matches('i') {
        "" if unit.is_empty() => 0,
        "K" | "k" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// A limit that lets something start.
pub fn memory_bytes(bytes: u64) -> Result<u64, Wrong> {
    if bytes < SMALLEST_MEMORY {
        return Err(Wrong::new(
            format!("{bytes} bytes of memory are too few to start anything"),
            "give at least 1 MiB: `256M`",
        ));
    }
    if bytes > i64::MAX as u64 {
        return Err(Wrong::new(
            "more memory than any machine has",
            "write `256M` or `1G`",
        ));
    }
    Ok(bytes)
}

/// `02:00:00:00:00:01`.
pub fn mac(text: &str) -> Result<Mac, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("`{text}` is not a MAC address"),
            "a MAC address is six pairs of hexadecimal digits: `02:00:00:00:00:01`",
        )
    };
    let mut bytes = [0; 6];
    let mut pairs = text.split([':', '-']);
    for byte in &mut bytes {
        let pair = pairs.next().filter(|pair| pair.len() == 2).ok_or_else(wrong)?;
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    if pairs.next().is_some() {
        return Err(wrong());
    }
    if bytes == [0; 6] {
        return Err(Wrong::new(
            "no interface can have the MAC address of zeros",
            "use `02:00:00:00:00:01`",
        ));
    }
    if bytes[0] & 1 == 1 {
        let unicast = Mac([
            (bytes[0] & 0xfe) | 2,
            bytes[1],
            bytes[2],
            bytes[3],
            bytes[4],
            bytes[5],
        ]);
        return Err(Wrong::new(
            format!("`{text}` is a multicast MAC address, which no interface can have"),
            format!("the first pair must be even: `{unicast}`"),
        ));
    }
    Ok(Mac(bytes))
}

/// Octal permission bits.
pub fn mode(text: &str) -> Result<u32, Wrong> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777 && !text.starts_with('+'))
        .ok_or_else(|| {
            Wrong::new(
                format!("`{text}` is not a file mode"),
                "a mode is three or four octal digits: `0640`",
            )
        })
}

/// `user` or `user:group`.
pub fn owner(text: &str) -> Result<String, Wrong> {
    let mut parts = text.split(':');
    let good = |part: Option<&str>| part.is_none_or(is_account);
    if good(parts.next()) && good(parts.next()) && parts.next().is_none() {
        return Ok(text.into());
    }
    Err(Wrong::new(
        format!("`{text}` is not an owner"),
        "an owner is a user, or a user and a group: `root:adm`",
    ))
}

/// A user, by name or number.
pub fn user(text: &str) -> Result<String, Wrong> {
    if is_account(text) {
        return Ok(text.into());
    }
    Err(Wrong::new(
        format!("`{text}` is not a user"),
        "write a user's name or number",
    ))
}

/// A user, or a user and a group: `1000:1000`.
pub fn user_and_group(text: &str) -> Result<String, Wrong> {
    match text.split_once(':') {
        Some((name, group)) if is_account(name) && is_account(group) => Ok(text.into()),
        Some(_) => Err(Wrong::new(
            format!("`{}` is not a user and a group", text.escape_debug()),
            "write their names or numbers: `1000:1000`",
        )),
        None => user(text),
    }
}

fn is_account(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && name
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"_.-$".contains(&c))
}

/// The canonical name of a sysctl, dotted, with a slash for a dot inside a name; see [`sysctl_path`].
pub fn sysctl(text: &str) -> Result<String, Wrong> {
    // As sysctl(8) does: the first separator says which form it is.
    let slashed = text
        .find(['.', '/'])
        .is_some_and(|at| text.as_bytes()[at] == b'/');
    let name = if slashed {
        swap_separators(text)
    } else {
        text.to_owned()
    };
    let path = sysctl_path(&name);
    let legal = |c: u8| c.is_ascii_alphanumeric() || b"_-.".contains(&c);
    let good = path
        .split('/')
        .all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(legal));
    if !good {
        return Err(Wrong::new(
            format!("`{text}` is not the name of a sysctl"),
            "a sysctl is written like `net.ipv4.tcp_ecn`",
        ));
    }
    if !name.starts_with("net.") {
        return Err(Wrong::new(
            format!("`{text}` belongs to the whole host, not to a node"),
            "a node has its own `net.` sysctls only; set others on the host",
        ));
    }
    if SHARED_SYSCTLS
        .iter()
        .any(|shared| path.strip_prefix("net/") == Some(shared))
    {
        return Err(Wrong::new(
            format!("`{text}` belongs to the whole host, though every network shows it"),
            "set it on the host",
        ));
    }
    if path.split('/').count() < 3 {
        return Err(Wrong::new(
            format!("`{text}` is a group of sysctls, not one"),
            "name the one that is meant, like `net.ipv4.tcp_ecn`",
        ));
    }
    Ok(name)
}

/// The path below /proc/sys of a sysctl in its canonical dotted form, where a slash stands for a dot that
/// belongs to a name: `net.ipv4.conf.eth0/100.forwarding` is `net/ipv4/conf/eth0.100/forwarding`.
pub fn sysctl_path(canonical: &str) -> String {
    swap_separators(canonical)
}

/// Dots become slashes and slashes dots; its own inverse.
fn swap_separators(name: &str) -> String {
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    name.chars().map(swap).collect()
}

/// The name of an environment variable.
pub fn env_name(text: &str) -> Result<(), Wrong> {
    let good = !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    if good {
        return Ok(());
    }
    Err(Wrong::new(
        format!("`{text}` is not the name of an environment variable"),
        "use letters, digits and `_`, and no digit first: `MODE`",
    ))
}

/// The name of a label.
pub fn hostname(text: &str) -> Result<String, Wrong> {
    let legal = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    let good = (1..=64).contains(&text.len())
        && text.bytes().all(legal)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.parse::<IpAddr>().is_err();
    match good {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(
            format!("`{}` is not the name of a machine", text.escape_debug()),
            "use at most 64 letters, digits, `-`, `_` and `.`, beginning with a letter or digit: `web`",
        )),
    }
}

/// The name of a label.
pub fn label_name(text: &str) -> Result<(), Wrong> {
    let good = !text.is_empty()
        && text.len() <= 128
        && text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"_.-/".contains(&c));
    if good {
        return Ok(());
    }
    Err(Wrong::new(
        format!("`{text}` is not the name of a label"),
        "use letters, digits, `.`, `_`, `-` and `/`: `rack`",
    ))
}

/// The name of a program on the PATH.
pub fn program(text: &str) -> Result<String, Wrong> {
    let good = !text.is_empty()
        && text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"_.+-".contains(&c))
        && !text.starts_with(['-', '.']);
    if good {
        return Ok(text.into());
    }
    Err(Wrong::new(
        format!("`{text}` is not the name of a program"),
        "write the program's name alone, as found on the PATH: `iperf3`",
    ))
}

/// An absolute path inside a node.
pub fn node_path(text: &str) -> Result<String, Wrong> {
    if !text.starts_with('/') {
        return Err(Wrong::new(
            format!("`{text}` is not an absolute path in the node"),
            format!("begin it with a slash: `/{text}`"),
        ));
    }
    if text.split('/').any(|part| part == "..") {
        return Err(Wrong::new(
            format!("`{text}` contains `..`"),
            "write the path without `..`",
        ));
    }
    if text.split('/').all(|part| matches!(part, "" | ".")) {
        return Err(Wrong::new(
            "the root directory itself cannot be replaced",
            "name a path below it, like `/srv`",
        ));
    }
    Ok(text.into())
}

/// The longest name of an interface that is not the kernel's, in bytes.
const LONGEST_PORT: usize = 48;

/// An interface's name as people write it: the kernel's, or one that the file of the node's kind gives another name there, such as
/// `ethernet-1/1`.
pub fn written_interface(text: &str) -> Result<String, Wrong> {
    let is_legal = |c: u8| c.is_ascii_alphanumeric() || b"._-/:".contains(&c);
    let is_port = text.len() <= LONGEST_PORT
        && text.contains('/')
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(is_legal);
    match is_port {
        true => Ok(text.to_owned()),
        false => interface(text),
    }
}

/// The name of an interface, as far as it can be judged alone.
pub fn interface(text: &str) -> Result<String, Wrong> {
    let form = "use letters, digits, `.`, `_` and `-`: `eth0`";
    if text.is_empty() {
        return Err(Wrong::new("an interface has no name", form));
    }
    if text.len() > 15 {
        return Err(Wrong::new(
            format!(
                "the interface name `{text}` is {} bytes long; the kernel takes at most 15",
                text.len()
            ),
            match text.get(..15) {
                Some(short) => format!("shorten it, for example to `{short}`"),
                None => "shorten it".into(),
            },
        ));
    }
    // `all` and `default` are names of sysctl directories beside those of the interfaces.
    if matches!(text, "." | ".." | "all" | "default") {
        return Err(Wrong::new(
            format!("the kernel allows no interface named `{text}`"),
            form,
        ));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if let Some(illegal) = text.chars().find(|c| !legal(*c)) {
        return Err(Wrong::new(
            format!(
                "the interface name `{}` contains {illegal:?}",
                text.escape_debug()
            ),
            form,
        ));
    }
    if text.starts_with('-') {
        return Err(Wrong::new(
            format!("the interface name `{text}` begins with `-`"),
            form,
        ));
    }
    Ok(text.into())
}

/// The name of a network, for listings.
pub fn network_name(text: &str) -> Result<String, Wrong> {
    let good = (1..=48).contains(&text.len())
        && text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c));
    if good {
        return Ok(text.into());
    }
    let message = format!("`{}` cannot be the name of a network", text.escape_debug());
    Err(Wrong::new(
        message,
        "use at most 48 letters, digits, `.`, `_` and `-`: `mgmt`",
    ))
}

/// A name of a port, as Kubernetes takes it (RFC 6335 section 5.1).
pub(super) fn port_name(text: &str) -> Result<(), Wrong> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = (1..=15).contains(&text.len())
        && text.chars().all(legal)
        && text.chars().any(|c| c.is_ascii_lowercase())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--");
    if good {
        return Ok(());
    }
    Err(Wrong::new(
        format!("`{}` is no name for a port", text.escape_debug()),
        "use up to 15 lower-case letters, digits and `-`: `ports = { http = 8080 }`",
    ))
}
