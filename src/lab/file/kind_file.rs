//! What the files of kinds have in common with lab files: the keys of a node, commands, scalars.

use super::reader::{Reader, Value};
use super::{NodeSpec, Span, Spanned, command, node};
use crate::model::{Command, Probe};

/// The kinds that nslab plays itself and a lab file can name.
pub const OWN_KINDS: [&str; 4] = ["host", "router", "bridge", "k8s"];

/// `[node]`: what nodes of the kind have.
pub fn node(reader: &mut Reader, value: &Value, span: Span) -> NodeSpec {
    node::node(reader, value, "node", "`[node]`".into(), span)
}

/// A command: its words, or `{ shell = "line" }`.
pub fn command(reader: &mut Reader, value: &Value) -> Option<Command> {
    command::exec(reader, value).map(|exec| exec.command)
}

/// A string, or a number or truth value as it is written.
pub fn scalar(reader: &mut Reader, value: &Value, key: &str) -> Option<Spanned<String>> {
    command::scalar(reader, value, key)
}

/// What shows that a node is ready: `{ tcp = 80 }`, `{ file = "/run/x" }` or `{ exec = "true" }`.
pub fn probe(reader: &mut Reader, value: &Value) -> Option<Probe> {
    command::probe(reader, value)
}
