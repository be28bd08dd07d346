//! Programs that nslab brings into nodes, for hosts that lack them: `ping` where there is none, `nslab net …` and others. What
//! `nslab exec` starts runs in the process that is to become the command; elsewhere in a node they are nslab's own program.

use std::ffi::CString;
use std::io::Write as _;

mod daemon;
mod net;
mod ping;
mod web;

/// Exit status for wrong arguments, as ping(8) and ip(8) have it.
const WRONG: i32 = 2;

/// Programs that labs use and a host may lack, and the Debian package that has them.
const PACKAGES: [(&str, &str); 26] = [
    ("arping", "iputils-arping"),
    ("bridge", "iproute2"),
    ("busybox", "busybox"),
    ("conntrack", "conntrack"),
    ("curl", "curl"),
    ("dig", "bind9-dnsutils"),
    ("ethtool", "ethtool"),
    ("gobgp", "gobgpd"),
    ("gobgpd", "gobgpd"),
    ("ip", "iproute2"),
    ("iperf3", "iperf3"),
    ("iptables", "iptables"),
    ("jq", "jq"),
    ("mtr", "mtr-tiny"),
    ("nc", "netcat-openbsd"),
    ("nft", "nftables"),
    ("ping", "iputils-ping"),
    ("ps", "procps"),
    ("python3", "python3"),
    ("ss", "iproute2"),
    ("sysctl", "procps"),
    ("tc", "iproute2"),
    ("tcpdump", "tcpdump"),
    ("traceroute", "traceroute"),
    ("vtysh", "frr"),
    ("wget", "wget"),
];

/// Prints a text. Returns whether somebody took it: output that does not arrive is a failure.
fn say(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// What somebody may do whose node lacks a program, if anything is known.
pub fn advice(program: &str) -> Option<String> {
    let (_, package) = PACKAGES.iter().find(|(name, _)| *name == program)?;
    let instead = match program {
        "ip" => "; `nslab net addr`, `route`, `neigh` and `link` show the same and need nothing",
        "vtysh" => ", or give the router a `config` and the builtin engine",
        _ => "",
    };
    Some(format!(
        "nodes have the programs of the host: `apt-get install {package}` there{instead}"
    ))
}

/// Does what a command of nslab's own in a node says: one that begins with `nslab`, or, where the node has no program of the name
/// (`is_missing`), one that nslab has in its place. Returns its status, or nothing where there is none.
pub fn run(arguments: &[CString], is_missing: bool) -> Option<i32> {
    let words: Vec<String> = arguments
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match (words.as_slice(), is_missing) {
        (["nslab", tool, rest @ ..], _) => tool_of(tool).map(|tool| tool(rest)),
        ([name, rest @ ..], true) if PINGS.contains(name) => Some(ping::run(rest)),
        _ => None,
    }
}

/// Names of a program that nodes have of nslab where the host has none.
pub const PINGS: [&str; 3] = ["ping", "ping4", "ping6"];

/// Does what nslab's own program in a node is called for: by the name of a program that it stands for, or with a tool's name.
pub fn called(words: &[String]) -> Option<i32> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (program, rest) = words.split_first()?;
    let name = program.rsplit('/').next()?;
    if PINGS.contains(&name) {
        return Some(ping::run(rest));
    }
    let (tool, rest) = rest.split_first()?;
    tool_of(tool).map(|tool| tool(rest))
}

fn tool_of(name: &str) -> Option<fn(&[&str]) -> i32> {
    match name {
        "net" => Some(net::run),
        "ping" => Some(ping::run),
        "daemon" => Some(daemon::run),
        "web" => Some(web::run),
        _ => None,
    }
}
