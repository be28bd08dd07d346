//! Labs without root and the outside: what a program of the host's carries, and what it is like where there is none.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::common::{self, Host, has, host, run, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::rootless::{User, can};

/// What most hosts have for everybody.
const TUN: &str =
    "mknod $TEST/tun.$$ c 10 200 && chmod 666 $TEST/tun.$$ && mount --bind $TEST/tun.$$ /dev/net/tun";

const OUTWARD: &str = r#"
name = "pair"
[mgmt]
[nodes.a]
kind = "host"
mgmt = true
addresses = { eth1 = ["10.0.0.1/24"] }
masquerade = ["eth0"]
sysctls = { "net.ipv4.ip_forward" = "1" }
[nodes.b]
kind = "host"
addresses = { eth1 = ["10.0.0.2/24"] }
routes = [{ to = "default", via = "10.0.0.1" }]
run = [{ name = "s", command = "sleep infinity" }]
[[links]]
endpoints = ["a:eth1", "b:eth1"]
"#;

/// Asks a web server for its page, and gives up soon.
fn get(address: &str, port: u16) -> String {
    format!(
        "timeout 5 bash -c 'exec 3<>/dev/tcp/{address}/{port} && printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3 && cat <&3'"
    )
}

#[test]
fn labs_reach_the_outside_by_a_program_of_the_hosts() {
    for carrier in ["pasta", "slirp4netns"] {
        if !can() || !has(carrier) || !Path::new("/dev/net/tun").exists() {
            eprintln!("skipped: there is no {carrier}");
            continue;
        }
        let user = User::new(OUTWARD);
        let (host, outside) = (user.lab.host(), Host::new());
        host::ip(host, "link add up0 type veth peer name far0");
        host::ip(host, &format!("link set far0 netns {}", outside.path()));
        host::ip(host, "address add 198.51.100.1/24 dev up0");
        host::ip(host, "link set up0 up");
        host::ip(&outside, "address add 198.51.100.2/24 dev far0");
        host::ip(&outside, "link set far0 up");
        host::ip(host, "route add default via 198.51.100.2");
        let serve = |host: &Host, words: [&str; 4]| {
            let mut command = host.command(env!("CARGO_BIN_EXE_nslab"));
            let mut server = common::Running::start(command.args(words));
            server.until_said("listening");
            server
        };
        let _far = serve(&outside, ["web", "--page", "far away", "8000"]);
        let _near = serve(host, ["web", "--page", "the host", "8001"]);
        let mut up = user.prepared(TUN, "nslab up -d $FILE 2>&1");
        let said = run(up.env("NSLAB_OUTSIDE", carrier)).expect(0);
        assert!(
            said.contains(&format!("reach the outside through {carrier}")),
            "{said}"
        );
        // By the management network, and behind a node that masquerades.
        for node in ["a", "b"] {
            let page = user.ok(&format!("nslab exec {node} -- {}", get("198.51.100.2", 8000)));
            assert!(page.contains("far away"), "{carrier}: {page}");
        }
        // Nothing of the host's loopback.
        for address in ["100.126.255.1", "100.126.255.2", "127.0.0.1"] {
            let done = user.sh(&format!("nslab exec a -- {}", get(address, 8001)));
            assert!(!done.out.contains("the host"), "{carrier} at {address}: {done:?}");
        }
        let is_carrier = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(carrier)
        };
        let processes = user.processes();
        let it = processes.iter().find(|pid| is_carrier(pid)).copied().unwrap();
        kill(Pid::from_raw(it), Signal::SIGKILL).unwrap();
        until("its end is told", || {
            let told = format!("no longer reaches the outside: {carrier} has ended");
            user.ok("nslab events").contains(&told)
        });
        kill(user.supervisor(), Signal::SIGKILL).unwrap();
        until("the end of everything", || user.processes().is_empty());
        user.ok("nslab gc");
        assert!(user.left().is_empty(), "{:?}", user.left());
    }
}

#[test]
fn without_such_a_program_it_is_said_what_would_help() {
    if !can() {
        return;
    }
    let user = User::new(OUTWARD);
    for (choice, before, said) in [
        (
            "none",
            "true".to_owned(),
            "`apt-get install passt` lets them reach the outside",
        ),
        (
            "",
            format!("{TUN} && chmod 600 $TEST/tun.$$"),
            "/dev/net/tun cannot be opened",
        ),
    ] {
        if said.contains("tun") && !has("pasta") && !has("slirp4netns") {
            continue;
        }
        let mut command = user.prepared(
            &before,
            "nslab up -d $FILE 2>&1 && nslab exec a true && nslab down",
        );
        let done = run(command.env("NSLAB_OUTSIDE", choice));
        assert!(done.out.contains(said), "{done:?}");
        assert_eq!(done.code, 0, "{done:?}");
    }
}

#[test]
fn such_a_program_that_cannot_be_started_costs_the_outside_alone() {
    if !can() || !Path::new("/dev/net/tun").exists() {
        return;
    }
    for (mode, text, said) in [
        // Executable, and no program.
        (0o755, "no program\n", "does not reach the outside"),
        (0o755, "#!/no/such/interpreter\n", "does not reach the outside"),
        // What ends at once is not waited for.
        (
            0o755,
            "#!/bin/sh\nexit 1\n",
            "does not reach the outside: pasta has ended",
        ),
        (
            0o755,
            "#!/bin/sh\nkill -9 $$\n",
            "does not reach the outside: pasta has ended",
        ),
        // Not executable: as if it were not there.
        (0o644, "#!/bin/sh\n", "without root the"),
    ] {
        let user = User::new(OUTWARD);
        let programs = user.lab.path("programs");
        fs::create_dir(&programs).unwrap();
        fs::set_permissions(&programs, Permissions::from_mode(0o755)).unwrap();
        fs::write(programs.join("pasta"), text).unwrap();
        fs::set_permissions(programs.join("pasta"), Permissions::from_mode(mode)).unwrap();
        let lines =
            "PATH=$TEST/programs:$PATH nslab up -d $FILE 2>&1 && nslab exec a true && nslab exec b true";
        let mut up = user.prepared(TUN, lines);
        let done = run(up.env("NSLAB_OUTSIDE", "pasta"));
        // The patience with one that lives is ten seconds: it was not needed.
        assert!(!done.out.contains(" after 10 s"), "{text}: {done:?}");
        assert!(done.out.contains(said), "{text}: {done:?}");
        assert_eq!(done.code, 0, "{text}: {done:?}");
        user.ok("nslab down");
        assert!(user.left().is_empty(), "{:?}", user.left());
    }
}
