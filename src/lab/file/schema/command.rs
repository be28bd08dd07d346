//! What nodes run.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::node::Scalar;

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum ExecValue {
    Text(String),
    Table(ExecTable),
}

/// A command run once: `command` or `shell`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ExecTable {
    /// The command, split into words as a shell would.
    command: Option<String>,
    /// A line for sh -c.
    shell: Option<String>,
    /// Whether a failure is only reported (default false).
    may_fail: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum RunValue {
    Text(String),
    Table(RunTable),
}

/// A long-running process: `command` or `shell`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct RunTable {
    /// Its name in listings and logs.
    name: String,
    /// The command, split into words as a shell would.
    command: Option<String>,
    /// A line for sh -c.
    shell: Option<String>,
    /// When it is started again after it ended (default on-failure).
    restart: Option<RestartWord>,
    /// What shows that it is ready.
    ready: Option<ReadyTable>,
    /// The user it runs as.
    user: Option<String>,
    /// The directory it starts in.
    workdir: Option<String>,
    /// Whether the lab goes on without it where it cannot be started (default false).
    may_fail: Option<bool>,
    /// Whether it has a terminal of its own, as a shell wants that nobody types to (default false).
    terminal: Option<bool>,
    /// Environment on top of the node's.
    env: Option<BTreeMap<String, Scalar>>,
}

/// When an ended process is started again.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum RestartWord {
    /// Never.
    No,
    /// After a failure.
    OnFailure,
    /// After any end.
    Always,
}

/// What shows that a process is ready: one of these.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ReadyTable {
    /// Something listens on this TCP port.
    #[schemars(range(min = 1, max = 65535))]
    tcp: Option<u16>,
    /// This path exists in the node.
    file: Option<String>,
    /// This command succeeds in the node.
    exec: Option<String>,
}
