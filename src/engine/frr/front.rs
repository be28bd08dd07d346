//! FRR's own script in a node: commands there have not the rights that FRR's daemons need, and daemons that they start end at
//! once. So what stands in the script's place asks a process that has them, which the node's first process has started, and that
//! runs the script of FRR's package.

use std::fs;

use super::START;
use crate::engine::Inside;
use crate::failure::Failure;
use crate::lab::model::{Content, File};
use crate::lab::plan::{Engine, NodeStep};

/// Where the package's script is found in a node.
const REAL: &str = "/usr/lib/frr/frrinit-of-frr.sh";
/// Whoever runs it.
const BROKER: &str = "/usr/lib/frr/nslab-broker";
/// Where people type the script's name.
const NAMES: [&str; 2] = [START, "/etc/init.d/frr"];
/// What asks for it by the service's name.
const SYSTEMCTL: &str = "/usr/local/bin/systemctl";

/// Asks: a line with the word and the FIFO for the answer, which ends with the exit status.
const FRONT: &str = r#"#!/bin/sh
# FRR's daemons need rights that commands in a node do not have: a process that has them is asked to run FRR's own script.
real=/usr/lib/frr/frrinit-of-frr.sh
asked=/run/frr/nslab.asked
case "$1" in
start|stop|restart|force-reload|reload) ;;
*) exec "$real" "$@" ;;
esac
kill -0 "$(cat /run/frr/nslab.pid 2>/dev/null)" 2>/dev/null || exec "$real" "$@"
answer=/run/frr/nslab.answer.$$
mkfifo -m 600 "$answer" || exit 1
trap 'rm -f "$answer"' EXIT
echo "$1 $answer" >"$asked"
while read -r line; do
    case "$line" in
    ==*) exit "${line#==}" ;;
    *) echo "$line" ;;
    esac
done <"$answer"
exit 1
"#;

/// Hears who asks. From the first time on watchfrr is FRR's own affair, as on any host.
const ANSWERS: &str = r#"#!/bin/sh
real=/usr/lib/frr/frrinit-of-frr.sh
asked=/run/frr/nslab.asked
rm -f "$asked"
mkfifo -m 600 "$asked" || exit 1
echo $$ >/run/frr/nslab.pid
exec 3<>"$asked"
while read -r word answer <&3; do
    case "$answer" in
    */../*) continue ;;
    /run/frr/nslab.answer.*) ;;
    *) continue ;;
    esac
    case "$word" in
    start|stop|restart|force-reload|reload) ;;
    *) continue ;;
    esac
    [ -p /run/frr/nslab.own ] || mkfifo -m 600 /run/frr/nslab.own
    { "$real" "$word" 2>&1 3<&-; echo "==$?"; } >"$answer" &
    wait $!
done
"#;

/// `systemctl restart frr` in a node, where no systemd runs.
const SERVICES: &str = r#"#!/bin/sh
case "$1 $2" in
"start frr"|"stop frr"|"restart frr"|"reload frr"|"status frr"|"start frr.service"|"stop frr.service"|"restart frr.service"|"reload frr.service"|"status frr.service")
    exec /usr/lib/frr/frrinit.sh "$1" ;;
esac
for real in /usr/bin/systemctl /bin/systemctl; do
    [ -x "$real" ] && exec "$real" "$@"
done
echo "systemctl: no systemd runs in this node" >&2
exit 127
"#;

/// What keeps nslab's own watchfrr from coming back once somebody has stopped it by the script: it waits at a FIFO that nobody
/// writes to.
pub const UNLESS_STOPPED: &str = r#"[ -p /run/frr/nslab.own ] && read -r _ </run/frr/nslab.own; exec "$@""#;

/// Whether FRR's daemons run in a node with rights that its commands have not, or are looked after by nslab.
pub fn is_for(node: &NodeStep) -> bool {
    match node.engine {
        Some(Engine::Frr) => true,
        Some(_) => false,
        None => node.rights.engine_capabilities.is_some(),
    }
}

/// Where they are.
pub fn paths(node: &NodeStep) -> impl Iterator<Item = &'static str> {
    let all = NAMES.into_iter().chain([REAL, BROKER, SYSTEMCTL]);
    let is_for = is_for(node);
    all.filter(move |_| is_for)
}

/// The files for a node, where this host has FRR's script.
pub fn files(node: &NodeStep) -> Vec<File> {
    let Some(real) = fs::read_to_string(START).ok().filter(|_| is_for(node)) else {
        return Vec::new();
    };
    let front = NAMES.map(|path| program(path, FRONT.to_owned()));
    let others = [
        program(REAL, real),
        program(BROKER, ANSWERS.to_owned()),
        program(SYSTEMCTL, SERVICES.to_owned()),
    ];
    front.into_iter().chain(others).collect()
}

fn program(path: &str, text: String) -> File {
    File {
        path: path.to_owned(),
        content: Content::Text(text),
        mode: Some(0o755),
        owner: None,
    }
}

/// Starts whoever runs the script.
///
/// # Errors
/// The node is gone.
pub async fn begin(node: &NodeStep, inside: &impl Inside) -> Result<(), Failure> {
    if files(node).is_empty() {
        return Ok(());
    }
    let line = format!("{BROKER} </dev/null >/dev/null 2>&1 &");
    let argv = ["/bin/sh", "-c", &line].map(str::to_owned);
    inside.command("frrinit", &argv).await.map(drop)
}
