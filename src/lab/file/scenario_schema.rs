//! The JSON Schema of `[[scenarios]]`; see [`super::schema`].

use schemars::JsonSchema;

use super::check_schema::OneOrMore;
use super::schema::{DelayText, Duration, RateText, ShareText};

/// What happens to the living lab, and what must be true while it happens and afterwards.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ScenarioTable {
    /// What happens, in words, for reports.
    name: String,
    /// The flows that run while it is played: a name, several, or `*` for all.
    flows: Option<OneOrMore>,
    /// What happens, in order.
    #[schemars(length(min = 1, max = 1000))]
    steps: Vec<StepTable>,
    /// What must be true.
    expect: Option<ExpectationsTable>,
    /// Whether the packets of all interfaces are kept for a scenario that fails (default false).
    capture: Option<bool>,
}

/// A step: one of link_down, link_up, silence, clear, impair, flap, kill, restart, stop, continue, exec, apply, delete and wait.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct StepTable {
    /// The cable of a link is pulled, NODE:INTERFACE, or of several: no carrier at both ends.
    link_down: Option<OneOrMore>,
    /// It is plugged in again, and a silent link speaks.
    link_up: Option<OneOrMore>,
    /// A link loses everything and keeps its carrier.
    silence: Option<OneOrMore>,
    /// A link loses what was done to it, impairments included.
    clear: Option<OneOrMore>,
    /// What a link does to packets from now on, with the keys of a link's `impair` beside it.
    impair: Option<OneOrMore>,
    /// To which packets: `both` (the default), those that the end sends (`out`), or those that arrive at it (`in`).
    direction: Option<WayWord>,
    /// How much later each packet comes.
    delay: Option<DelayText>,
    /// How much that differs at most, up and down.
    jitter: Option<DelayText>,
    /// How many packets are lost.
    loss: Option<ShareText>,
    /// How many overtake those that are delayed.
    reorder: Option<ShareText>,
    /// How many come twice.
    duplicate: Option<ShareText>,
    /// How many have one bit changed.
    corrupt: Option<ShareText>,
    /// How many bits pass in a second.
    rate: Option<RateText>,
    /// Where the random numbers begin.
    #[schemars(range(min = 0, max = 9223372036854775807u64))]
    seed: Option<u64>,
    /// The only packets that it is done to, in pcap's language.
    only: Option<String>,
    /// A link goes down and up, `count` times.
    flap: Option<OneOrMore>,
    /// How often a link flaps (default 5).
    #[schemars(range(min = 1, max = 10000))]
    count: Option<u32>,
    /// How long a link that flaps is down each time (default 1s).
    down: Option<Duration>,
    /// How long it is up each time (default 1s).
    up: Option<Duration>,
    /// A node's init is killed, or the process that `process` names.
    kill: Option<OneOrMore>,
    /// The name of the process that gets the signal, as `ps -o comm` shows it.
    process: Option<String>,
    /// The signal (default KILL).
    signal: Option<String>,
    /// A node is started again; its links stay.
    restart: Option<OneOrMore>,
    /// All processes of a node are stopped (SIGSTOP): it hangs.
    stop: Option<OneOrMore>,
    /// They go on (SIGCONT).
    #[schemars(rename = "continue")]
    go_on: Option<OneOrMore>,
    /// A command runs in a node: `run` or `shell`.
    exec: Option<OneOrMore>,
    /// The command of `exec`.
    run: Option<String>,
    /// The line for the shell of `exec`.
    shell: Option<String>,
    /// Whether the command of `exec` may fail (default false).
    may_fail: Option<bool>,
    /// Objects of a file are applied to the cluster.
    apply: Option<String>,
    /// Objects of a file are deleted.
    delete: Option<String>,
    /// A time passes (`2s`); nothing changes any more (`quiet`); or a check of this name holds.
    wait: Option<String>,
    /// How long nothing may change until the lab is quiet (default 500ms).
    quiet: Option<Duration>,
    /// How long that, or the check, may take (default 60s, or the check's own time).
    within: Option<Duration>,
}

/// What must be true of a scenario.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct ExpectationsTable {
    /// The longest time in which a flow may deliver nothing.
    outage: Option<TimeBound>,
    /// How many packets a flow may lose.
    lost: Option<CountBound>,
    /// How long routes may change and flows be cut after each step that disturbs the lab.
    healed_within: Option<Duration>,
    /// Whether all routes are the same afterwards as before, within `healed_within` or 30s (default false).
    routes_as_before: Option<bool>,
    /// Checks that hold afterwards: a name, several, or `*` for all.
    checks: Option<OneOrMore>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum TimeBound {
    Below(Duration),
    Of(TimeBoundTable),
}

/// A limit, and the flows it is for.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct TimeBoundTable {
    /// The limit.
    below: Duration,
    /// The flows: a name, several, or `*` for all (the default).
    flows: Option<OneOrMore>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum CountBound {
    Below(u32),
    Of(CountBoundTable),
}

/// A limit, and the flows it is for.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct CountBoundTable {
    /// The limit.
    below: u32,
    /// The flows: a name, several, or `*` for all (the default).
    flows: Option<OneOrMore>,
}

/// Packets of a link, seen from the end that is named.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum WayWord {
    /// All.
    Both,
    /// Those that the end sends.
    Out,
    /// Those that arrive at it.
    In,
}
