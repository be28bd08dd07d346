//! Tables of routes: `show bgp ipv4 unicast`, and all that shows a part of it.

use std::fmt::Write;

use ipnet::IpNet;

use super::View;
use super::json::Json;
use super::path::{Columns, NARROW, Path, WIDE};
use super::scope::{Scope, several};
use crate::config::Arguments;
use crate::wire::Family;

/// What the first letters of a line mean.
const LEGEND: &str = "\
Status codes:  s suppressed, d damped, h history, * valid, > best, = multipath,
               i internal, r RIB-failure, S Stale, R Removed
Nexthop codes: @NNN nexthop's vrf id, < announce-nh-self
Origin codes:  i - IGP, e - EGP, ? - incomplete
RPKI validation codes: V valid, I invalid, N Not found

";

/// The same in FRR 10, where a status may be `u` as well.
fn legend(view: &View) -> String {
    match view.is_ten() {
        true => LEGEND.replace("h history, *", "h history, u unsorted, *"),
        false => LEGEND.to_owned(),
    }
}

/// What is above the routes of a table.
pub(super) fn heading(view: &View, family: Family, columns: Columns) -> String {
    let Some(bgp) = view.bgp() else {
        return String::new();
    };
    format!(
        "BGP table version is {}, local router ID is {}, vrf id 0\nDefault local pref {}, local AS {}\n{}{}{}",
        view.speaker.table(family).version(),
        view.speaker.router_id(),
        bgp.local_preference,
        bgp.asn,
        legend(view),
        if view.is_ten() { "  " } else { "" },
        columns.heading(),
    )
}

/// How routes are shown.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) json: bool,
    pub(super) wide: bool,
    pub(super) detail: bool,
    /// Whether all of the table is meant: FRR says so if that is empty.
    pub(super) whole: bool,
    /// Whether the answer is one of several families.
    pub(super) among: bool,
}

impl Style {
    pub(super) fn of(arguments: &Arguments) -> Style {
        Style {
            json: arguments.has("json"),
            wide: arguments.has("wide"),
            detail: arguments.has("detail"),
            whole: false,
            among: false,
        }
    }

    pub(super) fn columns(self) -> Columns {
        if self.wide { WIDE } else { NARROW }
    }
}

/// The routes of a table that a condition holds for, the newest of a prefix first.
pub(super) fn paths<'s>(
    view: &View<'s>,
    family: Family,
    takes: impl Fn(&Path<'s>) -> bool,
) -> Vec<(IpNet, Vec<Path<'s>>)> {
    let destinations = view.speaker.table(family).iter();
    let found = destinations.map(|(prefix, destination)| {
        let paths = destination.routes().iter().rev().map(|route| Path {
            prefix,
            family,
            destination,
            route,
        });
        (prefix, paths.filter(&takes).collect::<Vec<_>>())
    });
    found.filter(|(_, paths)| !paths.is_empty()).collect()
}

/// Shows the routes of a table that a condition holds for.
pub(super) fn show<'s>(
    view: &View<'s>,
    family: Family,
    style: Style,
    takes: impl Fn(&Path<'s>) -> bool,
) -> String {
    let found = paths(view, family, takes);
    match style.json {
        true => as_json(view, family, style, &found),
        false => as_text(view, family, style, &found),
    }
}

fn as_text(view: &View, family: Family, style: Style, found: &[(IpNet, Vec<Path>)]) -> String {
    let table = view.speaker.table(family);
    let total: usize = table
        .iter()
        .map(|(_, destination)| destination.routes().len())
        .sum();
    if found.is_empty() {
        return match style.whole {
            true => "No BGP prefixes displayed, 0 exist\n".to_owned(),
            false => String::new(),
        };
    }
    let columns = style.columns();
    let mut out = heading(view, family, columns);
    for (_, paths) in found {
        for (at, path) in paths.iter().enumerate() {
            out += &match style.detail {
                true => path.detail(view),
                false => path.line(view, columns, at == 0),
            };
        }
    }
    let gap = if view.is_ten() { "" } else { " " };
    let _ = write!(
        out,
        "\nDisplayed {gap}{} routes and {total} total paths\n",
        found.len()
    );
    out
}

/// FRR writes the outer object of this answer by hand.
fn as_json(view: &View, family: Family, style: Style, found: &[(IpNet, Vec<Path>)]) -> String {
    let Some(bgp) = view.bgp() else {
        return String::new();
    };
    let mut out = format!(
        "{{\n \"vrfId\": 0,\n \"vrfName\": \"default\",\n \"tableVersion\": {},\n \"routerId\": \"{}\",\n \
         \"defaultLocPrf\": {},\n \"localAS\": {},\n \"routes\": {{ ",
        view.speaker.table(family).version(),
        view.speaker.router_id(),
        bgp.local_preference,
        bgp.asn,
    );
    for (at, (prefix, paths)) in found.iter().enumerate() {
        let values: Vec<Json> = match style.detail {
            true => super::detail_json::of_prefix(view, *prefix, paths),
            false => paths.iter().map(|path| path.as_json(view)).collect(),
        };
        let comma = if at > 0 { "," } else { "" };
        let _ = writeln!(out, "{comma}\"{prefix}\": {}", Json::Array(values).plain());
    }
    out += " }";
    if view.is_ten() {
        let total: usize = found.iter().map(|(_, paths)| paths.len()).sum();
        let _ = write!(
            out,
            " , \"totalRoutes\": {}, \"totalPaths\": {total}",
            found.len()
        );
        out += if style.among { " }" } else { " } \n" };
        return out;
    }
    out += if style.among { " }" } else { "  } \n" };
    out
}

/// `show bgp ipv4 unicast`.
pub(super) fn table(view: &View, arguments: &Arguments) -> String {
    let scope = Scope::of(arguments);
    let style = Style {
        whole: true,
        ..Style::of(arguments)
    };
    scope
        .refusal_of_routes(view)
        .unwrap_or_else(|| show(view, scope.table(), style, |_| true))
}

/// A part of the table a command is about.
pub(super) fn filtered<'s>(
    view: &View<'s>,
    arguments: &Arguments,
    takes: impl Fn(&Path<'s>) -> bool,
) -> String {
    let scope = Scope::of(arguments);
    match scope.refusal_of_routes(view) {
        Some(refusal) => refusal,
        None => show(view, scope.table(), Style::of(arguments), takes),
    }
}

/// `show bgp all`.
pub(super) fn all(view: &View, arguments: &Arguments) -> String {
    let scope = Scope::of(arguments);
    if let Some(refusal) = scope.refusal_of_routes(view) {
        return refusal;
    }
    let style = Style {
        among: true,
        ..Style::of(arguments)
    };
    let families = scope
        .families()
        .into_iter()
        .filter(|family| !view.speaker.table(*family).is_empty());
    let answers = families.map(|family| (family, show(view, family, style, |_| true)));
    if style.json {
        return several(answers);
    }
    let headed = answers.map(|(family, answer)| format!("\nFor address family: {family}\n{answer}"));
    headed.collect()
}
