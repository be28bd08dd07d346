//! What FRR's daemons say of themselves: `show ip protocol`, `show logging`, `show memory`.

use std::fmt::Write;

use super::View;
use super::memory::rows;
use crate::config::Arguments;

/// Where zebra's routes come from, in its order.
const PROTOCOLS: [&str; 32] = [
    "system",
    "kernel",
    "connected",
    "static",
    "rip",
    "ripng",
    "ospf",
    "ospf6",
    "isis",
    "bgp",
    "pim",
    "eigrp",
    "nhrp",
    "hsls",
    "olsr",
    "table",
    "ldp",
    "vnc",
    "vnc-direct",
    "vnc-rn",
    "bgp-direct",
    "bgp-direct-to-nve-groups",
    "babel",
    "sharp",
    "pbr",
    "bfd",
    "openfabric",
    "vrrp",
    "zebra",
    "srte",
    "wildcard",
    "any",
];

/// `show ip protocol`.
pub(super) fn protocols(view: &View, arguments: &Arguments) -> String {
    let config = view.speaker.config();
    let map = match arguments.has("ipv6") {
        true => &config.protocol_map6,
        false => &config.protocol_map,
    };
    let mut out = format!(
        "VRF: default\nProtocol                  : route-map\n{:-<37}\n",
        ""
    );
    for protocol in PROTOCOLS {
        let map = map.as_deref().filter(|_| protocol == "bgp").unwrap_or("none");
        let _ = writeln!(out, "{protocol:<24}  : {map}");
    }
    out
}

/// `show logging`: what the lines with `log` say. All of FRR's daemons are one process here, which logs to the node's log.
pub(super) fn logging(view: &View, _: &Arguments) -> String {
    let kept = &view.speaker.config().kept;
    let said = |words: &str| kept.iter().find_map(|line| line.strip_prefix(words));
    let facility = said("log facility ").unwrap_or("daemon");
    let level = |rest: &str| match rest.trim() {
        "" => "debugging".to_owned(),
        level => level.to_owned(),
    };
    let precision = said("log timestamp precision ").unwrap_or("0");
    let priority = match said("log record-priority") {
        Some(_) => "enabled",
        None => "disabled",
    };
    let of = |daemon: &str, name: &str| {
        let syslog = said("log syslog").map_or("disabled".to_owned(), |rest| {
            format!("level {}, facility {facility}, ident {daemon}", level(rest))
        });
        let stdout =
            said("log stdout").map_or("disabled".to_owned(), |rest| format!("level {}", level(rest)));
        let file = said("log file ").map_or("disabled".to_owned(), |rest| {
            let (file, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            format!("level {}, filename {file}", level(rest))
        });
        format!(
            "Logging configuration for {daemon}:\nSyslog logging: {syslog}\nStdout logging: {stdout}\nFile logging: {file}\n\
             Protocol name: {name}\nRecord priority: {priority}\nTimestamp precision: {precision}\n\n"
        )
    };
    format!(
        "{}{}Logging configuration for watchfrr:\nSyslog logging: disabled\n\n{}",
        of("zebra", "ZEBRA"),
        of("bgpd", "BGP"),
        of("staticd", "STATIC")
    )
}

/// `show memory`: what FRR's bgpd would use for what is here, in its table. Of the others nothing is counted.
pub(super) fn memory(view: &View, arguments: &Arguments) -> String {
    let one = arguments.one_of(&["zebra", "bgpd", "staticd", "watchfrr"]);
    let daemons = ["zebra", "bgpd", "watchfrr", "staticd"];
    let daemons = daemons
        .into_iter()
        .filter(|daemon| one.is_none_or(|one| one == *daemon));
    let answers = daemons.map(|daemon| {
        let head = match one {
            Some(_) => String::new(),
            None => format!("Memory statistics for {daemon}:\n"),
        };
        let lines = match daemon {
            "bgpd" => counted(view),
            _ => String::new(),
        };
        format!("{head}{lines}\n")
    });
    answers.collect()
}

fn counted(view: &View) -> String {
    let mut out = "--- qmem bgpd ---\n".to_owned();
    let _ = writeln!(
        out,
        "{:<30}: {:>8} {:>6} {:>11} {:>8} {:>9}",
        "Type", "Current#", "Size", "Total", "Max#", "MaxBytes"
    );
    for (name, count, size) in rows(view) {
        let total = count * size;
        let _ = writeln!(
            out,
            "{name:<30}: {count:>8} {size:>6} {total:>11} {count:>8} {total:>9}"
        );
    }
    out
}
