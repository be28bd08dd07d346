//! `pods`: how many there are on a Kubernetes node, or which.

use super::reader::{Reader, Value, Wrong};
use super::{NodeSpec, Spanned, node};

/// A pod on a Kubernetes node.
#[derive(Debug, Clone, PartialEq)]
pub struct PodSpec {
    /// Its name, without the node's.
    pub name: Spanned<String>,
    /// What is put into it and runs in it.
    pub node: NodeSpec,
}

/// A kubelet runs so many pods unless it is told otherwise (`maxPods`).
const MOST: i64 = 110;
const LONGEST_NAME: usize = 63;

/// A number, or a list of names and tables.
pub(super) fn pods(reader: &mut Reader, value: &Value) -> Option<Spanned<Vec<PodSpec>>> {
    let pods = if value.get_ref().is_integer() {
        let count: Spanned<u8> = reader.integer(value, "pods", 0..=MOST)?;
        let pod = |number: u8| PodSpec {
            name: Spanned::new(format!("pod{number}"), count.span.clone()),
            node: NodeSpec::default(),
        };
        (0..count.value).map(pod).collect()
    } else {
        reader.list(value, "pods", "{ name = \"web\" }", pod)?
    };
    Some(Spanned::new(pods, value.span()))
}

/// `"web"`, or `{ name = "web", run = [...] }`.
fn pod(reader: &mut Reader, value: &Value) -> Option<PodSpec> {
    if value.get_ref().is_str() {
        let name = reader.parsed(value, "pods", "web", name)?;
        let node = NodeSpec::default();
        return Some(PodSpec { name, node });
    }
    let mut table = reader.table(value, "pods", "pod", "a pod", value.span())?;
    let name = match table.get("name") {
        Some(value) => reader.parsed(value, "name", "web", name),
        None => {
            reader.missing(&table, "name", "name = \"web\"");
            None
        }
    };
    let node = node::pod(reader, &mut table);
    table.finish(reader);
    Some(PodSpec { name: name?, node })
}

/// A name as Kubernetes takes it for a pod (RFC 1123, section 2.1): it is the pod's host name as well.
fn name(text: &str) -> Result<String, Wrong> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = !text.is_empty()
        && text.len() <= LONGEST_NAME
        && text.chars().all(legal)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if good {
        return Ok(text.to_owned());
    }
    let message = format!("`{}` is no name for a pod", text.escape_debug());
    let help = format!("use up to {LONGEST_NAME} lower-case letters, digits and `-`: `web-0`");
    Err(Wrong::new(message, help))
}
