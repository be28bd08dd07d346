//! The names of the lab and its nodes: they become paths, cgroups, host names and arguments of commands.

use std::net::IpAddr;

use super::diagnostics::DiagnosticList;
use crate::Diagnostic;
use crate::definition::Definition;
use crate::file::{NodeSpec, QuestionSpec, RouteActionSpec, Span, Spanned, Spec, suggest, values};

const LONGEST_LAB: usize = 48;
const LONGEST_NODE: usize = 63;

pub(super) fn check(spec: &Spec, diagnostics: &mut DiagnosticList) {
    if let Some(name) = &spec.name {
        lab(name, diagnostics);
    }
    for (at, (name, _)) in spec.nodes.iter().enumerate() {
        node(at, name, diagnostics);
    }
}

/// Names of interfaces, now that those of kinds with names of their own have the kernel's. What has a name that cannot be is left out of
/// the nodes.
pub(super) fn interfaces(
    spec: &Spec,
    nodes: &mut [NodeSpec],
    kinds: &[Option<&Definition>],
    diagnostics: &mut DiagnosticList,
) {
    let mut is_right = |name: &str, span: &Span, kind: Option<&Definition>| {
        let wrong = values::interface(name).err();
        let is_right = wrong.is_none();
        if let Some(wrong) = wrong {
            let help = kind.and_then(forms).unwrap_or(wrong.help);
            diagnostics.add(Diagnostic::new(wrong.message, span.clone(), "").help(help));
        }
        is_right
    };
    let of_node = |name: &str| {
        let at = spec.nodes.iter().position(|(node, _)| node.value == name);
        at.and_then(|at| *kinds.get(at)?)
    };
    for end in spec.links.iter().flat_map(|link| &link.endpoints) {
        // Most are right, and need no search for their nodes.
        if values::interface(&end.interface.value).is_err() {
            is_right(
                &end.interface.value,
                &end.interface.span,
                of_node(&end.node.value),
            );
        }
    }
    for (node, kind) in nodes.iter_mut().zip(kinds) {
        node.addresses
            .retain(|it| is_right(&it.interface.value, &it.interface.span, *kind));
        if let Some(interfaces) = &mut node.masquerade {
            interfaces.retain(|it| is_right(&it.value, &it.span, *kind));
        }
        if let Some(routes) = &mut node.routes {
            routes.retain(|route| {
                let RouteActionSpec::Forward(hops) = &route.value.action else {
                    return true;
                };
                let devices = hops.iter().filter_map(|hop| hop.dev.as_ref());
                // Each is told.
                devices
                    .filter(|dev| !is_right(&dev.value, &dev.span, *kind))
                    .count()
                    == 0
            });
        }
    }
    for check in &spec.checks {
        if let QuestionSpec::Route(wanted) = &check.question
            && let Some(dev) = &wanted.dev
        {
            let kind = check.nodes.first().and_then(|node| of_node(&node.value));
            is_right(dev, &check.name.span, kind);
        }
    }
}

/// What the interfaces of a kind are called.
fn forms(kind: &Definition) -> Option<String> {
    let forms = kind.interfaces.iter().map(|names| names.name.to_string());
    let forms: Vec<String> = forms.collect();
    let forms = suggest::list(forms.iter().map(String::as_str));
    (!kind.interfaces.is_empty()).then(|| format!("interfaces of kind `{}` are called {forms}", kind.name))
}

fn lab(name: &Spanned<String>, diagnostics: &mut DiagnosticList) {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let problem = if name.is_empty() {
        "the lab's name is empty".into()
    } else if name.len() > LONGEST_LAB {
        format!(
            "the lab's name is {} characters long; {LONGEST_LAB} are allowed",
            name.chars().count()
        )
    } else if let Some(illegal) = name.chars().find(|c| !legal(*c)) {
        format!("the lab's name contains {illegal:?}")
    } else if name.starts_with('-') {
        "the lab's name begins with `-`".into()
    } else {
        return;
    };
    let better = cleaned(&name.to_lowercase(), legal, LONGEST_LAB, "my-lab");
    let help = format!("use lower-case letters, digits and `-`: `name = \"{better}\"`");
    diagnostics.add(Diagnostic::new(problem, name.span.clone(), "").help(help));
}

fn node(at: usize, name: &Spanned<String>, diagnostics: &mut DiagnosticList) {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let shown = name.escape_debug();
    let problem = if name.is_empty() {
        "a node's name is empty".into()
    } else if name.len() > LONGEST_NODE {
        format!(
            "the node's name is {} characters long; {LONGEST_NODE} are allowed",
            name.chars().count()
        )
    } else if let Some(illegal) = name.chars().find(|c| !legal(*c)) {
        format!("the node name `{shown}` contains {illegal:?}")
    } else if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        format!("the node name `{shown}` does not begin with a letter or digit")
    } else if name.contains("..") {
        format!("the node name `{shown}` contains `..`")
    } else if name.parse::<IpAddr>().is_ok() {
        format!("the node name `{shown}` would be taken for an address")
    } else if matches!(name.as_str(), "host" | "localhost") {
        format!("the node name `{shown}` already means this machine")
    } else {
        return;
    };
    let better = match name.parse::<IpAddr>().is_ok() {
        true => format!("n{}", name.replace([':', '.'], "-")),
        false if matches!(name.as_str(), "host" | "localhost") => "host0".into(),
        false => cleaned(&name.replace("..", "."), legal, LONGEST_NODE, "web"),
    };
    let help = format!(
        "use letters, digits, `-`, `_` and `.`: `[nodes.{}]`",
        toml_key(&better)
    );
    diagnostics.add_for(at, Diagnostic::new(problem, name.span.clone(), "").help(help));
}

/// A name as a TOML key: names with dots need quotes.
fn toml_key(name: &str) -> String {
    if name.contains('.') {
        format!("\"{name}\"")
    } else {
        name.into()
    }
}

/// What is left of a name when what is illegal in it is left out.
fn cleaned(name: &str, legal: impl Fn(char) -> bool, longest: usize, fallback: &str) -> String {
    let replaced: String = name.chars().map(|c| if legal(c) { c } else { '-' }).collect();
    let trimmed = replaced.trim_matches(['-', '.', '_']);
    let short = trimmed.get(..trimmed.len().min(longest)).unwrap_or_default();
    let short = short.trim_end_matches(['-', '.', '_']);
    if short.is_empty() || matches!(short, "host" | "localhost") {
        fallback.into()
    } else {
        short.into()
    }
}
