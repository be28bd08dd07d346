//! The commands of the exec mode.

use std::sync::LazyLock;

use super::outcome::Outcome;
use super::{Terminal, clear, exec, running};
use crate::config::Arguments;
use crate::config::grammar::{Command, Table};
use crate::show::{self, Begin, Show, View};

/// How much a session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Look.
    View,
    /// Everything.
    Enable,
}

/// What a command does to its session.
pub(super) type Handler = fn(&mut Terminal, &View, &Arguments) -> Outcome;

/// What a command is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exec {
    /// It only shows.
    Show(Show),
    /// It shows a whole table, piece by piece or at once.
    Long((Begin, Show)),
    /// It always says the same.
    Said(&'static str),
    /// It does something.
    Do(Handler),
}

/// Every command and who may give it.
pub(super) static TABLE: LazyLock<Table<Level, Exec>> = LazyLock::new(|| {
    let row = |modes: &'static [Level], pattern: &'static str, id: Exec| Command { modes, pattern, id };
    let shows = show::ROWS.iter().chain(show::GENERAL);
    let shows = shows.map(|(pattern, show)| {
        let long = show::LONG.iter().find(|(long, _)| long == pattern);
        let id = long.map_or(Exec::Show(*show), |(_, begin)| Exec::Long((*begin, *show)));
        row(BOTH, pattern, id)
    });
    let said = IDLE.iter();
    let said = said.map(|(pattern, answer)| row(BOTH, pattern, Exec::Said(answer)));
    let of_both = ALWAYS
        .iter()
        .map(|(pattern, it)| row(BOTH, pattern, Exec::Do(*it)));
    let privileged = ENABLED
        .iter()
        .map(|(pattern, it)| row(&[Level::Enable], pattern, Exec::Do(*it)));
    Table::new(shows.chain(said).chain(of_both).chain(privileged), SENTENCES)
});

static IDLE: LazyLock<Vec<(&'static str, String)>> = LazyLock::new(show::idle_answers);

const BOTH: &[Level] = &[Level::View, Level::Enable];

const ALWAYS: &[(&str, Handler)] = &[
    ("enable", exec::enable),
    ("(exit|quit)", exec::leave),
    ("list [permutations]", exec::list),
    ("find <expression:line>", exec::find),
    ("terminal paginate", exec::nothing),
    ("[no] terminal length [<lines:0-4294967295>]", exec::nothing),
    ("[no] terminal monitor", exec::nothing),
    ("show history", exec::history),
    ("show version", exec::version),
    ("show daemons", exec::daemons),
    ("show debugging", exec::debugging),
    ("(ping|traceroute) [(ip|ipv6)] <host>", exec::probe),
];

const ENABLED: &[(&str, Handler)] = &[
    ("disable", exec::disable),
    ("end", exec::nothing),
    ("configure [terminal]", exec::configure),
    ("write [(memory|file|integrated)]", exec::write),
    ("write terminal", running::everything),
    ("copy running-config startup-config", exec::write),
    (
        "show running-config [(zebra|bgpd|staticd)] [no-header]",
        running::part,
    ),
    // One file for all daemons is no daemon's own, so FRR has nothing to show there.
    ("show startup-config", exec::nothing),
    ("[no] debug <words:line>", exec::debug),
    (
        "clear [ip] bgp [(vrf|view) <instance>] [(ipv4|ipv6) [unicast]] \
         (*|<peer>|<asn:1-4294967295>|external|peer-group <group>) [(soft [(in|out)]|in [prefix-filter]|out|message-stats)]",
        clear::clear,
    ),
    ("clear [ip] bgp dampening [<prefix:line>]", exec::nothing),
    (
        "clear [ip] bgp [(vrf|view) <instance>] [(ipv4|ipv6) [unicast]] prefix <prefix:prefix>",
        exec::nothing,
    ),
    (
        "clear (ip|ipv6) prefix-list [<name> [<prefix:prefix>]]",
        clear::prefix_list,
    ),
    ("clear route-map counters [<name>]", clear::route_map),
    ("clear thread cpu [<filter>]", exec::nothing),
    ("clear evpn dup-addr vni <words:line>", exec::nothing),
    (
        "clear [ip] bgp l2vpn evpn (*|<peer>) [(soft [(in|out)]|in|out)]",
        clear::clear,
    ),
    ("clear log cmdline-targets", exec::nothing),
    ("clear vrf <name> [<words:line>]", clear::vrf),
];

/// Sentences of the help, by keyword or argument.
const SENTENCES: &[(&str, &str)] = &[
    ("*", "Clear all peers"),
    (
        "advertised-routes",
        "Display the routes advertised to a BGP neighbor",
    ),
    ("all", "Display the entries for all address families"),
    ("as-path-access-list", "List AS path access lists"),
    ("asn", "Clear peers with the AS number"),
    ("bestpath", "Display only the bestpath"),
    ("bgp", "BGP information"),
    ("bgpd", "For the bgp daemon"),
    ("brief", "Interface status and configuration summary"),
    ("cidr-only", "Display only routes with non-natural netmasks"),
    ("clear", "Reset functions"),
    ("community", "Display routes matching the communities"),
    ("community-list", "List community-list"),
    ("configure", "Configuration from vty interface"),
    ("connected", "Connected routes (directly attached subnet or host)"),
    ("copy", "Apply a configuration to the system"),
    ("daemons", "Show list of running daemons"),
    ("debug", "Debugging functions"),
    ("debugging", "Debugging functions"),
    ("description", "Interface description"),
    ("detail", "Detailed information"),
    ("disable", "Turn off privileged mode command"),
    ("enable", "Turn on privileged mode command"),
    ("end", "End current mode and change to enable mode"),
    ("established", "Show only sessions in Established state"),
    ("evpn", "EVPN"),
    ("exact-match", "Exact match of the communities"),
    ("exit", "Exit current mode and down to previous mode"),
    ("external", "Clear all external peers"),
    ("failed", "Show only sessions not in Established state"),
    ("file", "Write to configuration file"),
    ("find", "Find CLI command matching a regular expression"),
    ("first-match", "First matched prefix"),
    ("forwarding", "IP forwarding status"),
    ("group", "Peer-group name"),
    ("history", "The list of commands stored in history"),
    (
        "in",
        "Send route-refresh unless using 'soft-reconfiguration inbound'",
    ),
    ("integrated", "Write integrated configuration file"),
    ("interface", "Interface status and configuration"),
    ("ip", "IP information"),
    ("ipv4", "Address Family"),
    ("ipv6", "IPv6 information"),
    ("json", "JavaScript Object Notation"),
    ("kernel", "Kernel routes (not installed via the zebra RIB)"),
    ("large-community", "List routes matching the large-communities"),
    ("large-community-list", "List large-community list"),
    ("length", "Set number of lines on a screen"),
    ("list", "Print command list"),
    ("log", "Logging information"),
    ("logging", "Show current logging configuration"),
    ("longer-prefixes", "Display route and more specific routes"),
    ("memory", "Write configuration to the file (same as write file)"),
    ("multipath", "Display only multipaths"),
    ("neighbor", "Show only the specified neighbor session"),
    (
        "neighbors",
        "Detailed information on TCP and BGP neighbor connections",
    ),
    ("nexthop", "BGP nexthop table"),
    ("nht", "IP nexthop tracking table"),
    ("no", "Negate a command or set its defaults"),
    ("no-header", "Skip \"Building configuration...\" header"),
    ("out", "Resend all outbound updates"),
    ("peer-group", "Detailed information on BGP peer groups"),
    ("ping", "Send echo messages"),
    ("prefix-counts", "Display detailed prefix count information"),
    ("prefix-list", "Build a prefix list"),
    ("quit", "Exit current mode and down to previous mode"),
    ("received-routes", "Display the received routes from neighbor"),
    ("regexp", "Display routes matching the AS path regular expression"),
    ("remote-as", "Show only the specified remote AS sessions"),
    ("route", "IP routing table"),
    ("route-map", "route-map information"),
    ("routes", "Display routes learned from neighbor"),
    ("running-config", "Current operating configuration"),
    ("seq", "Sequence number of an entry"),
    ("show", "Show running system information"),
    ("soft", "Soft reconfig inbound and outbound updates"),
    ("startup-config", "Contents of startup configuration"),
    ("static", "Statically configured routes"),
    ("staticd", "For the static daemon"),
    ("statistics", "BGP RIB advertisement statistics"),
    ("summary", "Summary of BGP neighbor status"),
    ("terminal", "Set terminal line parameters"),
    ("terse", "Shorten the information on BGP instances"),
    ("thread", "Thread information"),
    ("traceroute", "Trace route to destination"),
    ("unicast", "Address Family modifier"),
    ("version", "Displays zebra version"),
    ("view", "BGP view"),
    ("vrf", "BGP VRF"),
    ("wide", "Increase table width for longer output"),
    (
        "write",
        "Write running configuration to memory, network, or terminal",
    ),
    ("zebra", "For the zebra daemon"),
];
