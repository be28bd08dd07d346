//! What a node's processes may do, as lab files say it.

use super::reader::{Reader, Table, Wrong};
use super::{NodeSpec, suggest, values};
use crate::rights;

pub(super) fn rights(reader: &mut Reader, table: &mut Table, node: &mut NodeSpec) {
    node.privileged = table
        .get("privileged")
        .and_then(|value| reader.boolean(value, "privileged"));
    node.capabilities = table.get("capabilities").and_then(|value| {
        reader.list(value, "capabilities", "\"SYS_TIME\"", |reader, value| {
            reader.parsed(value, "capabilities", "SYS_TIME", capability)
        })
    });
    node.user_namespace = table
        .get("user_namespace")
        .and_then(|value| reader.boolean(value, "user_namespace"));
    node.show_host = table.get("show_host").and_then(|value| {
        reader.list(value, "show_host", "\"/home\"", |reader, value| {
            reader.parsed(value, "show_host", "/home", host_path)
        })
    });
}

/// `SYS_TIME`, with `CAP_` in front of it or without.
pub fn capability(text: &str) -> Result<String, Wrong> {
    rights::canonical(text).map(str::to_owned).ok_or_else(|| {
        let help = suggest::cure(
            text,
            rights::ALL,
            "capabilities are named as in capabilities(7)",
            "; `privileged = true` gives all",
        );
        Wrong::new(format!("there is no capability `{text}`"), help)
    })
}

/// An absolute path, which means the same on the host and in the node.
fn host_path(text: &str) -> Result<String, Wrong> {
    if text.chars().any(char::is_control) {
        let message = format!("`{}` has a control character in it", text.escape_debug());
        return Err(Wrong::new(message, "name a path of the host, like `/home`"));
    }
    values::node_path(text).map(|path| path.trim_end_matches('/').to_owned())
}
