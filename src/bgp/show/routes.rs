//! Tables of routes: `show bgp ipv4 unicast`, and all that shows a part of it.

use std::fmt::Write;

use ipnet::IpNet;

use super::View;
use super::json::Json;
use super::long::Beginning;
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
        "BGP table version is {}, local router ID is {}, vrf id {}\nDefault local pref {}, local AS {}\n{}{}{}",
        view.speaker.table(family).version(),
        view.speaker.router_id(),
        view.vrf_id().map_or("-".to_owned(), |id| id.to_string()),
        bgp.local_preference,
        bgp.asn,
        legend(view),
        if view.is_ten() { "  " } else { "" },
        columns.heading(),
    )
}

/// How routes are shown.
#[derive(Debug, Clone, Copy)]
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
    let (found, shape) = (paths(view, family, takes), Shape { family, style });
    if view.bgp().is_none() && style.json {
        return String::new();
    }
    if found.is_empty() && !style.json {
        return shape.nothing();
    }
    let mut out = shape.head(view);
    for (at, (prefix, paths)) in found.iter().enumerate() {
        shape.entry(view, *prefix, paths, at == 0, &mut out);
    }
    let count = found.iter().map(|(_, paths)| paths.len()).sum();
    out + &shape.tail(view, found.len(), count)
}

/// What an answer that shows routes is like. FRR writes the outer object of the one in JSON by hand.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) family: Family,
    pub(super) style: Style,
}

impl Shape {
    /// What is said where there is nothing to show.
    pub(super) fn nothing(self) -> String {
        match self.style.whole {
            true => "No BGP prefixes displayed, 0 exist\n".to_owned(),
            false => String::new(),
        }
    }

    pub(super) fn head(self, view: &View) -> String {
        if !self.style.json {
            return heading(view, self.family, self.style.columns());
        }
        let Some(bgp) = view.bgp() else {
            return String::new();
        };
        format!(
            "{{\n \"vrfId\": {},\n \"vrfName\": \"{}\",\n \"tableVersion\": {},\n \"routerId\": \"{}\",\n \
             \"defaultLocPrf\": {},\n \"localAS\": {},\n \"routes\": {{ ",
            view.vrf_id().map_or(-1, i64::from),
            view.vrf_name(),
            view.speaker.table(self.family).version(),
            view.speaker.router_id(),
            bgp.local_preference,
            bgp.asn,
        )
    }

    /// The routes of a prefix.
    pub(super) fn entry(self, view: &View, prefix: IpNet, paths: &[Path], is_first: bool, out: &mut String) {
        if !self.style.json {
            let columns = self.style.columns();
            for (at, path) in paths.iter().enumerate() {
                *out += &match self.style.detail {
                    true => path.detail(view),
                    false => path.line(view, columns, at == 0),
                };
            }
            return;
        }
        let values: Vec<Json> = match self.style.detail {
            true => super::detail_json::of_prefix(view, prefix, paths),
            false => paths.iter().map(|path| path.as_json(view)).collect(),
        };
        let comma = if is_first { "" } else { "," };
        let _ = writeln!(out, "{comma}\"{prefix}\": {}", Json::Array(values).plain());
    }

    /// What stands behind so many prefixes with so many routes.
    pub(super) fn tail(self, view: &View, shown: usize, paths: usize) -> String {
        if !self.style.json {
            let all = view.speaker.table(self.family).all();
            let total: usize = all.map(|(_, destination)| destination.routes().len()).sum();
            let gap = if view.is_ten() { "" } else { " " };
            return format!("\nDisplayed {gap}{shown} routes and {total} total paths\n");
        }
        let mut out = " }".to_owned();
        if view.is_ten() {
            let _ = write!(out, " , \"totalRoutes\": {shown}, \"totalPaths\": {paths}");
            return out + if self.style.among { " }" } else { " } \n" };
        }
        out + if self.style.among { " }" } else { "  } \n" }
    }
}

/// `show bgp ipv4 unicast`.
pub(super) fn table(view: &View, arguments: &Arguments) -> String {
    match super::long::table(view, arguments) {
        Beginning::Whole(answer) => answer,
        Beginning::Long(long) => {
            let is_one_of_all = arguments.get("instance") == Some("all") && !arguments.has("json");
            let heading = is_one_of_all.then(|| format!("\nInstance {}:\n", view.vrf_name()));
            heading.unwrap_or_default() + &long.rest(view)
        }
    }
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
