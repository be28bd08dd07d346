//! What FRR's daemons say of themselves: `show ip protocol`, `show logging`, `show memory`.

use std::fmt::Write;

use super::View;
use super::ip_route;
use super::memory::rows;
use crate::config::{Arguments, PROTOCOLS};

/// The daemons that this one process stands for, in vtysh's order.
const DAEMONS: [&str; 4] = ["zebra", "bgpd", "watchfrr", "staticd"];

/// `show ip protocol`.
pub(super) fn protocols(view: &View, arguments: &Arguments) -> String {
    if let Some(refusal) = ip_route::refusal(view, arguments) {
        return refusal;
    }
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

/// `show router-id`: the one that the configuration names.
pub(super) fn router_id(view: &View, _: &Arguments) -> String {
    let named = view.speaker.config().router_id;
    named.map_or(String::new(), |id| {
        format!("zebra:\n     router-id {id} vrf default\n")
    })
}

/// `show zebra`: what of it there is here.
pub(super) fn zebra(view: &View, _: &Arguments) -> String {
    let config = view.speaker.config();
    let on = |is: bool| if is { "On" } else { "Off" };
    let rows = [
        ("OS", "Linux"),
        ("ECMP Maximum", "256"),
        ("v4 Forwarding", on(config.ipv4_forwarding)),
        ("v6 Forwarding", on(config.ipv6_forwarding)),
        ("MPLS", "Off"),
        ("EVPN", "Off"),
        ("VRF", "Unavailable"),
        ("ASIC offload", "Unavailable"),
        ("RA", "Compiled in"),
        ("Kernel NHG", "Unavailable"),
    ];
    let rows = rows.map(|(name, value)| format!(" {name:<30} {value:<25}\n"));
    rows.concat()
}

/// The daemons by which FRR divides an answer, each with its part.
fn each(heading: &str, part: impl Fn(&str) -> String) -> String {
    let parts = DAEMONS.map(|daemon| format!("{heading} for {daemon}:\n{}\n", part(daemon)));
    parts.concat()
}

/// `show modules`: the one program there is.
pub(super) fn modules(_: &View, _: &Arguments) -> String {
    let version = env!("CARGO_PKG_VERSION");
    each("Module information", |_| {
        format!(
            "Module Name  Version                   Description\n\n{:<12} {version:<25} nslab's own speaker\n",
            "nslab"
        )
    })
}

/// `show work-queues`: all work is done as it comes.
pub(super) fn work_queues(_: &View, _: &Arguments) -> String {
    let heading = "      List (ms)   Q. Runs   Yields       Cycle Counts   \n\
                   P    Items  Hold    Total    Total    Best  Gran.    Total   Avg. Name\n";
    each("Work queue statistics", |_| heading.to_owned())
}

/// `show thread cpu` and the like: there are no threads of FRR's.
pub(super) fn threads(_: &View, arguments: &Arguments) -> String {
    match arguments.one_of(&["poll", "timers"]) {
        Some("timers") => each("Thread timers", |_| String::new()),
        _ => each("Thread statistics", |_| String::new()),
    }
}

/// `show nexthop-group rib NUMBER`: routes have their next hops themselves.
pub(super) fn no_next_hop_group(_: &View, arguments: &Arguments) -> String {
    let id = arguments.get("id").unwrap_or_default();
    format!("Nexthop Group ID: {id} does not exist\n")
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
    let daemons = DAEMONS
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
