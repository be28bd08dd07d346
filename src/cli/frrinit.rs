//! FRR's `frrinit.sh` in a router that the built-in speaker plays: commands written for a container with FRR in it go on working.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::engine::frr;
use crate::engine::speaker::{BGP_PID_FILE, CONFIGURATION, DAEMONS, PID_FILE, SOCKET, STARTED};
use crate::lab::daemons;

/// How long the speaker may take to be there.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Does what FRR's script would, if that is the name nslab was called by.
pub fn called(words: &[String]) -> Option<i32> {
    let name = Path::new(words.first()?).file_name()?;
    let own = Path::new(frr::START).file_name()?;
    (name == own).then(|| run(words.get(1).map_or("", String::as_str)))
}

fn run(word: &str) -> i32 {
    match word {
        "start" if started() => say("Started nslab's BGP speaker."),
        "restart" | "reload" | "force-reload" if begin_anew() => say("Restarted nslab's BGP speaker."),
        "start" | "restart" | "reload" | "force-reload" => {
            refuse("nslab's BGP speaker does not answer; see `nslab logs` for why")
        }
        "status" if answers() => say("Status of nslab's BGP speaker: running"),
        "status" => refuse("nslab's BGP speaker does not answer"),
        "stop" => refuse("nslab's BGP speaker lives as long as its node; `bgp shutdown` ends all sessions"),
        _ => refuse("usage: frrinit.sh {start|restart|reload|status}"),
    }
}

/// Whether the speaker answers, with what stands in FRR's files at the first start, and with the daemons that they name.
fn started() -> bool {
    if !until(answers) {
        return false;
    }
    let first = !Path::new(STARTED).exists();
    note_start();
    let file = fs::read_to_string(DAEMONS).unwrap_or_default();
    let lacks_bgp = daemons::enabled(&file).contains("bgpd") && !Path::new(BGP_PID_FILE).exists();
    match (first && is_newer(CONFIGURATION)) || lacks_bgp {
        true => begin_anew(),
        false => true,
    }
}

/// From here on the file of daemons says which of them run. Where that cannot be noted, the next start reads the files again.
fn note_start() {
    let _ = fs::write(STARTED, "");
}

/// Whether a file was changed since the speaker began.
fn is_newer(path: &str) -> bool {
    let changed = |path: &str| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    changed(path) > changed(PID_FILE)
}

fn say(text: &str) -> i32 {
    println!("{text}");
    0
}

fn refuse(text: &str) -> i32 {
    eprintln!("frrinit.sh: {text}");
    1
}

fn answers() -> bool {
    UnixStream::connect(SOCKET).is_ok()
}

fn speaker() -> Option<i32> {
    fs::read_to_string(PID_FILE).ok()?.trim().parse().ok()
}

/// Ends the speaker, which is started again and reads its configuration.
fn begin_anew() -> bool {
    note_start();
    let Some(before) = speaker() else { return false };
    kill(Pid::from_raw(before), Signal::SIGTERM).is_ok()
        && until(|| speaker().is_some_and(|now| now != before) && answers())
}

fn until(holds: impl Fn() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        thread::sleep(PAUSE);
    }
}
