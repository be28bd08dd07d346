//! Programs that nslab brings into nodes, for hosts that lack them: `nslab exec NODE ping …` where there is no ping, and
//! `nslab exec NODE nslab net …`. They run in the process that is to become the command, with the rights of the node.

use std::ffi::CString;
use std::io::Write as _;

mod daemon;
mod net;
mod ping;

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
        (["nslab", "net", rest @ ..], _) => Some(net::run(rest)),
        (["nslab", "ping", rest @ ..], _) => Some(ping::run(rest)),
        (["nslab", "daemon", rest @ ..], _) => Some(daemon::run(rest)),
        (["ping" | "ping4" | "ping6", rest @ ..], true) => Some(ping::run(rest)),
        (["nslab", ..], true) => {
            eprintln!(
                "nslab: in a node there are `nslab net`, `nslab ping` and `nslab daemon`; the other verbs are for the host"
            );
            Some(WRONG)
        }
        _ => None,
    }
}
