//! FRR's `frrinit.sh` in a router that the built-in speaker plays: commands written for a container with FRR in it go on working.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::engine::frr;
use crate::engine::speaker::{PID_FILE, SOCKET};

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
        "start" if until(answers) => say("Started nslab's BGP speaker."),
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
    std::fs::read_to_string(PID_FILE).ok()?.trim().parse().ok()
}

/// Ends the speaker, which is started again and reads its configuration.
fn begin_anew() -> bool {
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
