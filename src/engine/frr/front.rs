//! FRR's own script in a node: commands there have not the rights that FRR's daemons need, and daemons that they start end at
//! once. So what stands in the script's place asks a process that has them, which the node's first process has started, and that
//! runs the script of FRR's package.

use std::fs;

use super::START;
use crate::engine::Inside;
use crate::failure::Failure;
use crate::lab::engines::Engine;
use crate::lab::model::{Content, File};
use crate::lab::plan::NodeStep;

/// Where the package's script is found in a node, for what needs no rights.
const REAL: &str = "/usr/lib/frr/frrinit-of-frr.sh";
/// Where people type the script's name.
const NAMES: [&str; 2] = [START, "/etc/init.d/frr"];
/// What asks for it by the service's name.
const SYSTEMCTL: &str = "/usr/local/bin/systemctl";

/// Asks: a line with the word and the asker's process, whose FIFO takes the answer, which ends with the exit status. Both FIFOs are
/// opened for reading and writing, which waits for nobody, and no wait is without an end.
const FRONT: &str = r#"#!/bin/bash
# FRR's daemons need rights that commands in a node do not have: a process that has them is asked to run FRR's own script.
real=/usr/lib/frr/frrinit-of-frr.sh
here=/run/nslab.frr
case "$1" in
start|stop|restart|force-reload|reload) ;;
*) exec "$real" "$@" ;;
esac
broker=$(cat "$here/pid" 2>/dev/null)
is_there() { [[ -p $here/asked ]] && kill -0 "$broker" 2>/dev/null; }
is_there || exec "$real" "$@"
answer=$here/answer.$$
trap 'rm -f "$answer"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# One of this name is of a process that ended long ago.
rm -rf "$answer"
mkfifo -m 600 "$answer" || exit 1
exec 4<>"$answer" 5<>"$here/asked"
echo "$1 $$" >&5
part=
while ((SECONDS < 330)); do
    if IFS= read -r -t 1 line <&4; then
        line=$part$line part=
        [[ $line =~ ^==([0-9]+)$ ]] && exit "${BASH_REMATCH[1]}"
        echo "$line"
    else
        part+=$line
        is_there || break
    fi
done
echo "frrinit.sh: the process that may start FRR's daemons does not answer: restart the node" >&2
exit 1
"#;

/// Makes the place where both meet, which only root may enter, and leaves the process that hears who asks in it. What that runs is in
/// its memory from the start, and its environment rather than its command line, where `pkill -f` would find it.
const BEGINS: &str = r#"here=/run/nslab.frr
rm -rf "$here"
mkdir -m 700 "$here" && mkfifo -m 600 "$here/asked" || exit 1
cd /
nslab_broker=$1 nslab_script=$2 /bin/bash -c 'eval "$nslab_broker"' nslab-broker </dev/null >/dev/null 2>&1 &
echo $! >"$here/pid"
"#;

/// Hears who asks, and waits for none of them. From the first time on watchfrr is FRR's own affair, as on any host.
const ANSWERS: &str = r#"script=$nslab_script
unset nslab_broker nslab_script
here=/run/nslab.frr
exec 3<>"$here/asked"
sweep() {
    local left
    for left in "$here"/answer.*; do
        kill -0 "${left##*.}" 2>/dev/null || rm -rf "$left"
    done
}
while read -r -n 100 word asker <&3; do
    sweep
    case "$word" in
    start|stop|restart|force-reload|reload) ;;
    *) continue ;;
    esac
    [[ $asker =~ ^[1-9][0-9]{0,9}$ ]] && kill -0 "$asker" 2>/dev/null || continue
    answer=$here/answer.$asker
    [[ -p $answer && ! -L $answer ]] || continue
    # Opened for writing while it is open for both, so that nobody is waited for; then for writing alone, so that writing to an asker
    # that has died fails.
    exec 5<>"$answer" || continue
    exec 4>/proc/self/fd/5 5>&-
    [[ -p $here/own ]] || mkfifo -m 600 "$here/own"
    timeout -k 5 300 /bin/bash -c "$script" /usr/lib/frr/frrinit.sh "$word" >&4 2>&1 3<&- 4>&-
    timeout -k 1 5 /bin/echo "==$?" >&4 3<&-
    exec 4>&-
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
pub const UNLESS_STOPPED: &str = r#"[ -p /run/nslab.frr/own ] && read -r _ </run/nslab.frr/own; exec "$@""#;

/// Whether FRR's daemons run in a node with rights that its commands have not, or are looked after by nslab.
pub fn is_for(node: &NodeStep) -> bool {
    match node.engine {
        // An image has its own script.
        _ if node.image.is_some() => false,
        Some(Engine::Frr) => true,
        Some(_) => false,
        None => node.rights.engine_capabilities.is_some(),
    }
}

/// Where they are.
pub fn paths(node: &NodeStep) -> impl Iterator<Item = &'static str> {
    let all = NAMES.into_iter().chain([REAL, SYSTEMCTL]);
    let is_for = is_for(node);
    all.filter(move |_| is_for)
}

/// The script of FRR's package, for a node with such daemons, where this host has it. It is the host's: what has the rights of FRR's
/// daemons runs this one, whatever becomes of the node's.
fn script(node: &NodeStep) -> Option<String> {
    is_for(node).then(|| fs::read_to_string(START).ok()).flatten()
}

/// The files for a node, where this host has FRR's script.
pub fn files(node: &NodeStep) -> Vec<File> {
    let Some(real) = script(node) else {
        return Vec::new();
    };
    let front = NAMES.map(|path| program(path, FRONT.to_owned()));
    let others = [program(REAL, real), program(SYSTEMCTL, SERVICES.to_owned())];
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
    let Some(script) = script(node) else {
        return Ok(());
    };
    let argv = ["/bin/bash", "-c", BEGINS, "bash", ANSWERS, &script].map(str::to_owned);
    inside.command("frrinit", &argv).await.map(drop)
}
