//! The daemons of a router, by the files in which they say which process they are; FRR's and the built-in speaker alike.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{WRONG, say};

const USAGE: &str =
    "usage: nslab daemon kill NAME     ends it (SIGKILL) and waits until another has taken its place";
/// How long another is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at the file.
const LOOK: Duration = Duration::from_millis(20);

pub(super) fn run(words: &[&str]) -> i32 {
    let ["kill", name] = words else {
        eprintln!("{USAGE}");
        return WRONG;
    };
    match replaced(name) {
        Ok((old, new)) => {
            let text = format!("{name}: process {old} was killed, process {new} is in its place\n");
            i32::from(!say(&text))
        }
        Err(why) => {
            eprintln!("nslab: {why}");
            1
        }
    }
}

fn replaced(name: &str) -> Result<(Pid, Pid), String> {
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(format!("`{name}` is not the name of a daemon"));
    }
    let path = PathBuf::from(format!("/run/frr/{name}.pid"));
    let process = || {
        let text = fs::read_to_string(&path).ok()?;
        text.trim().parse().ok().filter(|pid| *pid > 1).map(Pid::from_raw)
    };
    let old = process().ok_or_else(|| format!("no {name} runs here: there is no {}", path.display()))?;
    kill(old, Signal::SIGKILL)
        .map_err(|errno| format!("cannot end process {old} of {name}: {}", errno.desc()))?;
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        match process().filter(|new| *new != old && kill(*new, None).is_ok()) {
            Some(new) => return Ok((old, new)),
            None => std::thread::sleep(LOOK),
        }
    }
    Err(format!(
        "{name} was killed, and nobody has started it again in {} s",
        PATIENCE.as_secs()
    ))
}
