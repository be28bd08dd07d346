//! Whether something is so in a node: asked of the kernel, which has no event for it.

use std::io::{self, BufRead as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use super::init::InitHandle;
use crate::engine::Finished;
use crate::failure::Failure;
use crate::kernel::process_root::{self, Root};

/// Between two looks at a condition the kernel has no event for.
const LOOK: Duration = Duration::from_millis(10);
/// More of an answer is not told, in bytes.
const MOST_ANSWERED: usize = 512;
/// The longest there is.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// Whether something listens on a TCP port in the network namespace of a node's init: the kernel's own list,
/// where state 0A is LISTEN (proc_pid_net(5)).
pub(super) fn listens(init: &InitHandle, port: u16) -> bool {
    let found = ["tcp", "tcp6"].iter().any(|table| {
        let table = std::fs::File::open(format!("/proc/{}/net/{table}", init.pid));
        table.is_ok_and(|table| is_listed(io::BufReader::new(table), port))
    });
    // The number is another process's once the init is gone.
    found && !process_root::has_ended(&init.pidfd).unwrap_or(true)
}

/// Whether a list of TCP sockets has one that listens on a port. It ends where the list becomes longer than any that counts.
fn is_listed(table: impl io::BufRead, port: u16) -> bool {
    const LONGEST: u64 = 32 << 20;
    let port = format!(":{port:04X}");
    let lines = table.take(LONGEST).lines().map_while(Result::ok).skip(1);
    let mut listeners = lines.filter(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next().is_some_and(|local| local.ends_with(&port));
        local && fields.nth(1) == Some("0A")
    });
    listeners.next().is_some()
}

/// How long to wait after a look at a condition that took so long: a node can make looks take long, and is not to get all the time
/// of the lab for that.
pub(super) fn rest(look: Duration) -> Duration {
    (look * 20).clamp(LOOK, LONGEST_REST)
}

/// What a command answered that was asked whether something is ready, and is not: its last line, or how it ended.
pub(super) fn answer(finished: Result<Finished, Failure>) -> String {
    let finished = match finished {
        Ok(finished) => finished,
        Err(failure) => return failure.message,
    };
    let last = finished.output.lines().rfind(|line| !line.trim().is_empty());
    let Some(last) = last else {
        return format!("status {}, and nothing else", finished.status);
    };
    let end = last.floor_char_boundary(MOST_ANSWERED);
    format!("status {}: {}", finished.status, last[..end].trim())
}

/// Whether a path exists in the root of a node. Asked by the inode alone: the name is the lab file's.
pub(super) fn exists(init: &InitHandle, path: &str) -> bool {
    open(init, path).is_ok()
}

/// The inode of a path in the root of a node; no link in it leads out of there.
///
/// # Errors
/// There is none, or the node has just ended.
pub fn open(init: &InitHandle, path: &str) -> io::Result<OwnedFd> {
    Root::of(&init.pidfd)?.find(Path::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_told_from_connections() {
        let table = "  sl  local_address rem_address   st tx_queue\n   \
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n   \
            1: 0100007F:0050 0200007F:1F91 01 00000000:00000000\n";
        let listed = |port| is_listed(table.as_bytes(), port);
        assert!(listed(8080));
        assert!(!listed(80) && !listed(8081) && !listed(0x90));
        assert!(!is_listed(&b""[..], 80));
    }

    #[test]
    fn answers_are_told_in_short() {
        let said = |status, output: &str| {
            let output = output.to_owned();
            answer(Ok(Finished { status, output }))
        };
        assert_eq!(said(1, "one\nno route\n\n"), "status 1: no route");
        assert_eq!(said(7, ""), "status 7, and nothing else");
        assert_eq!(
            said(1, &"é".repeat(9999)).len(),
            "status 1: ".len() + MOST_ANSWERED
        );
        assert_eq!(answer(Err(Failure::host("the node ended"))), "the node ended");
    }

    #[test]
    fn looks_that_take_long_are_rare() {
        assert_eq!(rest(Duration::ZERO), LOOK);
        assert_eq!(rest(Duration::from_millis(20)), Duration::from_millis(400));
        assert_eq!(rest(Duration::from_secs(60)), LONGEST_REST);
    }
}
