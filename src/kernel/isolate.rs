//! Programs that nobody vouches for, run for what they print (namespaces(7), setuid(2), PR_SET_NO_NEW_PRIVS of prctl(2)).
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::wait::waitpid;
use nix::unistd::{Gid, Pid, Uid};

use super::process::{clone, die_with_parent, exit_code};

/// Nobody and nogroup, also of the kernel (proc_sys_kernel(5), overflowuid).
const NOBODY: u32 = 65534;
/// How much memory such a program may have, in bytes.
const MEMORY: u64 = 2 << 30;
/// Where such a program finds others.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A command that executes a program as nobody, with no privileges to be had, nothing in its environment but a PATH, and process,
/// network, mount, IPC, host name and cgroup namespaces of its own: what it starts ends with it. It is opened with the caller's
/// rights, so that it may be in a directory that only root may enter; others than root have to be allowed to execute it.
///
/// # Errors
/// There is no such program.
pub fn command(program: &Path) -> io::Result<Command> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(program)?;
    let mut command = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
    command
        .arg0(program.file_name().unwrap_or(OsStr::new("program")))
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/");
    // SAFETY: between fork and exec only plain system calls are made.
    unsafe {
        command.pre_exec(move || {
            // A script's interpreter opens it by this number.
            Errno::result(libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0))?;
            become_nobody()
        });
    }
    Ok(command)
}

/// Goes on in a child in namespaces of its own; this process stays outside, ends as the child does, and takes it along.
fn become_nobody() -> io::Result<()> {
    let flags = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    die_with_parent(libc::SIGKILL);
    if let Some(child) = clone(flags, None)? {
        // SAFETY: plain system calls; of the descriptors closed here none is used any more. Who started the command waits
        // for the end of one of them.
        unsafe {
            libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
            let status = loop {
                match waitpid(Pid::from_raw(child.pid), None) {
                    Err(Errno::EINTR) => {}
                    Ok(status) => break exit_code(status),
                    Err(_) => break 1,
                }
            };
            libc::_exit(status);
        }
    }
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_DATA, MEMORY, MEMORY)?;
    nix::unistd::setgroups(&[])?;
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    nix::unistd::setresgid(group, group, group)?;
    nix::unistd::setresuid(user, user, user)?;
    nix::sys::prctl::set_no_new_privs()?;
    // After the change of user, which takes the wish back.
    die_with_parent(libc::SIGKILL);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{self, Output};
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, Instant};

    /// What a script says that is in a directory which only root may enter.
    fn run(script: &str, patience: Duration) -> Output {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = command(&path).unwrap();
        output::run(&mut command, Instant::now() + patience, None::<&File>).unwrap()
    }

    fn says(script: &str) -> String {
        let done = run(script, Duration::from_secs(60));
        assert_eq!(done.status, Some(0), "{}", String::from_utf8_lossy(&done.errors));
        String::from_utf8(done.out).unwrap().trim().to_owned()
    }

    #[test]
    fn it_is_nobody() {
        assert_eq!(says("id -u; id -g; id -G"), "65534\n65534\n65534");
        let status = says("grep -E '^(NoNewPrivs|CapPrm|CapEff|CapAmb)' /proc/self/status");
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        assert_eq!(status.matches("0000000000000000").count(), 3, "{status}");
    }

    #[test]
    fn it_is_alone() {
        for kind in ["pid", "net", "mnt", "ipc", "uts", "cgroup"] {
            let theirs = says(&format!("readlink /proc/self/ns/{kind}"));
            let ours = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
            assert_ne!(theirs, ours.to_str().unwrap());
        }
        assert_eq!(says("env | grep -vE '^(PATH|PWD|OLDPWD|SHLVL|_)='; true"), "");
    }

    #[test]
    fn its_status_is_told() {
        assert_eq!(run("exit 7", Duration::from_secs(60)).status, Some(7));
    }

    #[test]
    fn it_ends_in_time_with_all_it_started() {
        let marker = format!("{}", 1_000_000 + std::process::id());
        let line = format!("sleep {marker} & sleep {marker}");
        assert_eq!(run(&line, Duration::from_millis(500)).status, None);
        let lives = || {
            let mut search = Command::new("pgrep");
            search
                .args(["-f", &format!("sleep {marker}")])
                .status()
                .unwrap()
                .success()
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while lives() {
            assert!(Instant::now() < deadline, "it lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn it_writes_no_files() {
        let done = run("echo x > /tmp/nslab-isolate-$$", Duration::from_secs(60));
        assert_ne!(done.status, Some(0));
    }
}
