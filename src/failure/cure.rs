//! What to do when the kernel refuses something. A cure is said only where it is one for what was attempted.

use std::path::Path;

use nix::errno::Errno;

use crate::kernel::Error;

/// What kind of thing was attempted, told by the words that say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempted {
    /// A process or thread.
    Process,
    /// Namespaces.
    Namespace,
    /// A mount.
    Mount,
    /// A sysctl.
    Sysctl,
    /// A cgroup.
    Cgroup,
    /// An IPv6 address on an interface.
    Address6,
    /// An IPv6 route.
    Route6,
    /// Something else of a network.
    Network,
    /// A file or directory.
    File,
    /// Anything else.
    Other,
}

const PRIVILEGES: &str = "nslab needs root with CAP_SYS_ADMIN and CAP_NET_ADMIN; in a container, run it privileged (`nslab doctor` \
                          shows what is missing)";
const FORBIDDEN: &str = "a filter of system calls or a security module of the host forbids it: in a container, run it privileged \
                         (`nslab doctor` shows what is missing)";
const PROCESSES: &str = "the limit of processes is reached: raise `ulimit -u`, the cgroup's pids.max (TasksMax= in a systemd unit) or \
                         sysctl kernel.pid_max";
const NAMESPACES: &str = "the limit of namespaces is reached: raise sysctl user.max_net_namespaces (and user.max_mnt_namespaces, \
                          user.max_pid_namespaces)";

/// The cure, where there is one. `privileged` is whether this process has root's capabilities.
pub(super) fn of(error: &Error, privileged: bool) -> Option<&'static str> {
    use Attempted::{Address6, Cgroup, File, Mount, Namespace, Network, Process, Route6, Sysctl};
    let attempted = attempted(&error.what);
    Some(match (error.errno, attempted) {
        // The kernel says so in these ways, whoever asks.
        (Errno::EPERM | Errno::EACCES, Address6) if privileged => {
            "IPv6 is off on this interface: take the address away, or set sysctl net.ipv6.conf.all.disable_ipv6 (or the \
             interface's own) to 0"
        }
        (Errno::EPERM | Errno::EACCES, Route6) if privileged => {
            "IPv6 is off on the interface that the route leaves by: take the route away, or set sysctl \
             net.ipv6.conf.all.disable_ipv6 (or the interface's own) to 0"
        }
        (Errno::EAFNOSUPPORT | Errno::EOPNOTSUPP, Route6) => {
            "this kernel runs without IPv6: take the route away, or start the kernel without `ipv6.disable=1`"
        }
        (Errno::EAFNOSUPPORT | Errno::EOPNOTSUPP, Address6) => {
            "this kernel runs without IPv6: take the address away, or start the kernel without `ipv6.disable=1`"
        }
        // Whose file it is says who may read it, and root is not asked for on account of that.
        (Errno::EPERM | Errno::EACCES, File) if !privileged && !of_host(&error.what) => return None,
        (Errno::EPERM | Errno::EACCES, _) if !privileged => PRIVILEGES,
        (Errno::EPERM | Errno::EACCES, Sysctl) => "this one can only be read here: take it out of `sysctls`",
        (Errno::EPERM | Errno::EACCES, Namespace | Mount | Network) => FORBIDDEN,
        (Errno::ENOSPC, Namespace) => NAMESPACES,
        (Errno::ENOSPC, File) if in_run_directory(&error.what) => {
            "free some space there, or choose another place with NSLAB_RUN_DIR"
        }
        (Errno::ENOSPC, File) => "free some space there",
        (Errno::EROFS, File) if in_run_directory(&error.what) => "choose another place with NSLAB_RUN_DIR",
        (Errno::EROFS, Sysctl | Cgroup) => "in a container, run it privileged",
        (Errno::EMFILE, _) if error.what.contains("watch") => {
            "raise it: `sysctl fs.inotify.max_user_instances=1024`, or `ulimit -n 100000` before nslab"
        }
        (Errno::EMFILE, _) => "raise it: `ulimit -n 100000` before nslab, or LimitNOFILE= in a systemd unit",
        (Errno::ENOSPC, _) if error.what.contains("watch") => {
            "raise it: `sysctl fs.inotify.max_user_watches=524288`"
        }
        (Errno::ENFILE, _) => "raise it: `sysctl fs.file-max=1000000`",
        (Errno::EAGAIN, Process | Namespace) => PROCESSES,
        (Errno::ENOENT, Sysctl) => {
            "this kernel has no such sysctl: `sysctl -a` in a node lists those there are"
        }
        (Errno::EINVAL | Errno::ERANGE, Sysctl) => "the kernel does not take this value for it",
        _ => return None,
    })
}

fn attempted(what: &str) -> Attempted {
    let begins = |words: &[&str]| words.iter().any(|word| what.starts_with(word));
    let is_path = what.contains(" /");
    if what.contains("sysctl ") {
        Attempted::Sysctl
    } else if what.contains("cgroup") || begins(&["limit "]) {
        Attempted::Cgroup
    } else if begins(&["start ", "create the init", "run ", "wait for the command"]) {
        Attempted::Process
    } else if what.contains("namespace") {
        Attempted::Namespace
    } else if begins(&["mount ", "bind on ", "lay an overlay"]) || what.contains("mounts") {
        Attempted::Mount
    } else if begins(&["put address "]) {
        match what.split(' ').nth(2).is_some_and(|net| net.contains(':')) {
            true => Attempted::Address6,
            false => Attempted::Network,
        }
    } else if let Some(route) = what.strip_prefix("add route ") {
        match route.split(' ').next().is_some_and(|net| net.contains(':')) {
            true => Attempted::Route6,
            false => Attempted::Network,
        }
    } else if begins(&[
        "raise interface",
        "add ",
        "make bridge",
        "make port",
        "make link",
        "put the route",
    ]) || what.contains("nftables")
        || what.contains("netlink")
    {
        Attempted::Network
    } else if is_path
        && begins(&[
            "make ",
            "write ",
            "open ",
            "copy ",
            "read ",
            "remove ",
            "set the owner",
        ])
    {
        Attempted::File
    } else {
        Attempted::Other
    }
}

/// Whether the words name a path that is the kernel's or nslab's own.
fn of_host(what: &str) -> bool {
    let own = ["/proc", "/sys", "/dev", "/run"];
    let mut words = what.split(' ');
    words.any(|word| own.iter().any(|place| Path::new(word).starts_with(place))) || in_run_directory(what)
}

/// Whether the words name a path in the run directory.
fn in_run_directory(what: &str) -> bool {
    let chosen = std::env::var_os("NSLAB_RUN_DIR").filter(|path| !path.is_empty());
    match chosen.and_then(|chosen| std::path::absolute(chosen).ok()) {
        // Compared as a path: how many slashes there are does not matter.
        Some(chosen) => what.split(' ').any(|word| Path::new(word).starts_with(&chosen)),
        None => {
            what.split(' ').any(|word| {
                ["/run/nslab", "/tmp/nslab-"]
                    .iter()
                    .any(|place| word.starts_with(place))
            }) || what.contains("/run/user/") && what.contains("/nslab")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cure(what: &str, errno: Errno, privileged: bool) -> Option<&'static str> {
        of(&Error::new(what, errno), privileged)
    }

    #[test]
    fn root_is_not_asked_for_where_it_is_there() {
        for what in [
            "put address fd00::1/64 on a",
            "put address 10.0.0.1/24 on a",
            "set sysctl net.ipv4.x to \"1\"",
            "open /dev/net/tun",
            "make /run/nslab/x",
            "create the network namespace of a",
            "mount tmpfs on /x",
            "send signal SIGTERM",
        ] {
            for errno in [Errno::EPERM, Errno::EACCES] {
                assert_eq!(cure(what, errno, false), Some(PRIVILEGES), "{what}");
                assert!(
                    !cure(what, errno, true).unwrap_or_default().contains("root with"),
                    "{what}"
                );
            }
        }
        assert!(
            cure("put address fd00::1/64 on a", Errno::EACCES, true)
                .unwrap()
                .contains("IPv6 is off")
        );
        for privileged in [false, true] {
            assert_eq!(cure("open /srv/x", Errno::EACCES, privileged), None);
        }
    }

    #[test]
    fn ipv6_that_is_off_is_told_of_routes_as_of_addresses() {
        let told = |what: &str, errno| cure(what, errno, true).unwrap_or_default();
        for errno in [Errno::EACCES, Errno::EPERM] {
            assert!(told("add route 2001:db8::/64 to a", errno).starts_with("IPv6 is off on the interface"));
            assert_eq!(cure("add route 10.0.0.0/8 to a", errno, true), Some(FORBIDDEN));
        }
        assert!(told("add route ::/0 to a", Errno::EAFNOSUPPORT).contains("without IPv6"));
    }

    #[test]
    fn cures_are_for_what_was_attempted() {
        assert_eq!(cure("make link a:b -- c:d", Errno::ENOSPC, true), None);
        assert_eq!(cure("list the nftables chains", Errno::EAGAIN, true), None);
        assert_eq!(cure("start a thread", Errno::EAGAIN, true), Some(PROCESSES));
        assert_eq!(cure("create the init of a", Errno::EAGAIN, true), Some(PROCESSES));
        assert_eq!(cure("make /srv/x", Errno::EROFS, true), None);
        assert_eq!(
            cure("write /srv/x", Errno::ENOSPC, true),
            Some("free some space there")
        );
        assert!(
            cure("make /run/nslab/x", Errno::EROFS, true)
                .unwrap()
                .contains("NSLAB_RUN_DIR")
        );
        assert_eq!(
            cure("create a network namespace", Errno::ENOSPC, true),
            Some(NAMESPACES)
        );
        assert!(
            cure("watch a node's memory", Errno::EMFILE, true)
                .unwrap()
                .contains("inotify")
        );
        assert!(
            cure("watch a node's memory", Errno::ENOSPC, true)
                .unwrap()
                .contains("max_user_watches")
        );
        assert!(
            cure("start a thread", Errno::EMFILE, true)
                .unwrap()
                .contains("ulimit -n")
        );
        assert_eq!(cure("take 10.0.0.1/24 from a", Errno::EPERM, true), None);
        assert!(
            cure("make the cgroup of a in /sys/fs/cgroup", Errno::EROFS, true)
                .unwrap()
                .contains("privileged")
        );
    }
}
