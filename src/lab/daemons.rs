//! FRR's daemons as /etc/frr/daemons names them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Those that can be turned off, in the order of FRR's own list. zebra and staticd always run.
pub const OPTIONAL: [&str; 18] = [
    "bgpd", "ospfd", "ospf6d", "ripd", "ripngd", "isisd", "pimd", "pim6d", "ldpd", "nhrpd", "eigrpd",
    "babeld", "sharpd", "pbrd", "bfdd", "fabricd", "vrrpd", "pathd",
];
/// Those that run whatever is said.
pub const ALWAYS: [&str; 4] = ["zebra", "staticd", "mgmtd", "watchfrr"];

/// Where a daemon's terminal listens, as FRR's own file has it.
pub fn loopback(daemon: &str) -> &'static str {
    match daemon {
        "ospf6d" | "ripngd" | "pim6d" => "::1",
        _ => "127.0.0.1",
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
