//! The kernel's killing of processes that want more memory than their cgroup may have.
//!
//! Version 2 counts in `memory.events` and changes the file (Documentation/admin-guide/cgroup-v2.rst); version 1 counts in
//! `memory.oom_control` and signals an eventfd (Documentation/admin-guide/cgroup-v1/memory.rst, section 10).

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;

use super::cgroup::Trees;
use super::error::{Attempt, Result};

/// Watches the memory of one cgroup.
pub struct Watch {
    counter: PathBuf,
    wake: OwnedFd,
}

/// Becomes readable when the limit was hit.
impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.wake.as_raw_fd()
    }
}

impl Watch {
    /// Watches a node that has a memory limit; none where there is no memory controller.
    ///
    /// # Errors
    /// The controller refuses.
    pub fn of(trees: &Trees, lab: &str, node: &str) -> Result<Option<Watch>> {
        let what = || format!("watch the memory of {node}");
        let Some((legacy, path)) = trees.of("memory", lab, node) else {
            return Ok(None);
        };
        let counter = path.join(counter(legacy));
        if legacy {
            let control = File::open(&counter).attempt(what)?;
            let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).attempt(what)?;
            let line = format!("{} {}", event.as_fd().as_raw_fd(), control.as_raw_fd());
            fs::write(path.join("cgroup.event_control"), line).attempt(what)?;
            return Ok(Some(Watch {
                counter,
                wake: event.into(),
            }));
        }
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).attempt(what)?;
        inotify
            .add_watch(&counter, AddWatchFlags::IN_MODIFY)
            .attempt(what)?;
        Ok(Some(Watch {
            counter,
            wake: inotify.into(),
        }))
    }

    /// Takes it into the event loop.
    ///
    /// # Errors
    /// The event loop takes no more.
    #[allow(unsafe_code)]
    pub fn register(self) -> Result<AsyncFd<Watch>> {
        // SAFETY: the watch owns its descriptor, and neither replaces nor closes it before it is dropped.
        let registered = unsafe { AsyncFd::register(self) };
        registered
            .map_err(std::io::Error::from)
            .attempt(|| "watch a node's memory")
    }

    /// As [`kills`].
    pub fn kills(&self) -> u64 {
        read(&self.counter)
    }

    /// Takes back the signal.
    pub fn drain(&self) {
        let mut buffer = [0u8; 4096];
        while nix::unistd::read(&self.wake, &mut buffer).is_ok_and(|size| size > 0) {}
    }
}

/// Bytes of memory this host has (`MemTotal`, proc_meminfo(5)); 0 where it does not tell.
pub fn of_host() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// How many processes of a node were killed since its cgroup was made.
pub fn kills(trees: &Trees, lab: &str, node: &str) -> u64 {
    let found = trees.of("memory", lab, node);
    found.map_or(0, |(legacy, path)| read(&path.join(counter(legacy))))
}

fn read(counter: &Path) -> u64 {
    count(&fs::read_to_string(counter).unwrap_or_default())
}

/// The file that counts.
fn counter(legacy: bool) -> &'static str {
    if legacy {
        "memory.oom_control"
    } else {
        "memory.events"
    }
}

/// Both versions write `oom_kill N` on a line of its own.
fn count(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_read_from_both_versions() {
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), 3);
        assert_eq!(
            count("low 0\nhigh 0\nmax 12\noom 2\noom_kill 2\noom_group_kill 0\n"),
            2
        );
        assert_eq!(count(""), 0);
    }
}
