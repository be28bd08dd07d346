//! FRR's daemons as /etc/frr/daemons names them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A daemon, the words that begin the configuration lines it is for, and the address its options name.
pub struct Daemon {
    /// Its name, which is its program's.
    pub name: &'static str,
    stanzas: &'static [&'static str],
    loopback: &'static str,
}

/// Those that can be turned off, in the order of FRR's own list. zebra and staticd always run.
pub const TABLE: [Daemon; 18] = [
    daemon("bgpd", &["router bgp", "bgp "], V4),
    daemon("ospfd", &["router ospf", "ip ospf", "interface ospf"], V4),
    daemon("ospf6d", &["router ospf6", "ipv6 ospf6"], V6),
    daemon("ripd", &["router rip", "ip rip"], V4),
    daemon("ripngd", &["router ripng", "ipv6 ripng"], V6),
    daemon(
        "isisd",
        &["router isis", "ip router isis", "ipv6 router isis", "isis "],
        V4,
    ),
    daemon("pimd", &["router pim", "ip pim", "ip igmp", "ip multicast"], V4),
    daemon("pim6d", &["router pim6", "ipv6 pim", "ipv6 mld"], V6),
    daemon("ldpd", &["mpls ldp"], V4),
    daemon("nhrpd", &["nhrp ", "ip nhrp", "ipv6 nhrp"], V4),
    daemon("eigrpd", &["router eigrp", "ip eigrp"], V4),
    daemon("babeld", &["router babel", "babel "], V4),
    daemon("sharpd", &["sharp "], V4),
    daemon("pbrd", &["pbr-map", "pbr-policy"], V4),
    daemon("bfdd", &["bfd"], V4),
    daemon(
        "fabricd",
        &["router openfabric", "ip router openfabric", "openfabric "],
        V4,
    ),
    daemon("vrrpd", &["vrrp "], V4),
    daemon("pathd", &["segment-routing", "pce"], V4),
];

const V4: &str = "127.0.0.1";
const V6: &str = "::1";

const fn daemon(name: &'static str, stanzas: &'static [&'static str], loopback: &'static str) -> Daemon {
    Daemon {
        name,
        stanzas,
        loopback,
    }
}

/// The files that daemons read, each its own, where there is no /etc/frr/frr.conf.
pub fn own_files() -> impl Iterator<Item = String> {
    let names = ["zebra", "staticd"].into_iter().chain(OPTIONAL);
    names.map(|name| format!("/etc/frr/{name}.conf"))
}

/// Their names.
pub const OPTIONAL: [&str; 18] = {
    let mut names = [""; 18];
    let mut at = 0;
    while at < names.len() {
        names[at] = TABLE[at].name;
        at += 1;
    }
    names
};
/// Those that run whatever is said.
pub const ALWAYS: [&str; 4] = ["zebra", "staticd", "mgmtd", "watchfrr"];

/// Where a daemon's terminal listens, as FRR's own file has it.
pub fn loopback(daemon: &str) -> &'static str {
    let found = TABLE.iter().find(|known| known.name == daemon);
    found.map_or(V4, |known| known.loopback)
}

impl Daemon {
    /// Whether it is for a line of a configuration.
    pub fn is_for(&self, line: &str) -> bool {
        let line = line.trim();
        let own = self.stanzas.iter().any(|stanza| match line.strip_prefix(stanza) {
            // "router ospf" must not take "router ospf6" for its own.
            Some(rest) => stanza.ends_with(' ') || rest.is_empty() || rest.starts_with(' '),
            None => false,
        });
        // A neighbor or interface that asks for BFD needs its daemon too.
        own || (self.name == "bfdd" && line.split(' ').any(|word| word == "bfd"))
    }
}

/// The text of /etc/frr/daemons, in the form a stock package has it, so that it can be edited with `sed`.
pub fn file(enabled: &[&str]) -> String {
    let mut text = String::from("# Which of FRR's daemons run. zebra and staticd always do.\n");
    for daemon in OPTIONAL {
        let state = if enabled.contains(&daemon) { "yes" } else { "no" };
        let _ = writeln!(text, "{daemon}={state}");
    }
    text.push_str(
        "\nvtysh_enable=yes\nzebra_options=\"  -A 127.0.0.1 -s 90000000\"\nstaticd_options=\"-A 127.0.0.1\"\n\
         mgmtd_options=\"-A 127.0.0.1\"\n",
    );
    for daemon in OPTIONAL {
        let _ = writeln!(text, "{daemon}_options=\"-A {}\"", loopback(daemon));
    }
    text
}

/// The optional daemons that such a file turns on. It is a shell's: what is said last holds, in quotes or not.
pub fn enabled(file: &str) -> BTreeSet<&'static str> {
    let mut enabled = BTreeSet::new();
    for line in file.lines() {
        let Some((name, value)) = line.trim_start().split_once('=') else {
            continue;
        };
        let Some(daemon) = OPTIONAL.into_iter().find(|daemon| *daemon == name) else {
            continue;
        };
        let value = value.split(['#', ';', ' ', '\t']).next().unwrap_or_default();
        // As the script that reads it has it.
        match value.trim_matches(['"', '\'', '\r']) {
            "" | "no" | "0" => enabled.remove(daemon),
            _ => enabled.insert(daemon),
        };
    }
    enabled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_last_holds() {
        let text = "bgpd=no\nospfd=yes # here\n#ripd=yes\nbgpd=\"yes\"\nisisd = yes\npimd=true\nosfpd=yes\nospfd_options=\"-A x\"\n";
        let found: Vec<_> = enabled(text).into_iter().collect();
        assert_eq!(found, ["bgpd", "ospfd", "pimd"]);
        let found: Vec<_> = enabled(&file(&["bgpd", "pim6d"])).into_iter().collect();
        assert_eq!(found, ["bgpd", "pim6d"]);
    }
}
