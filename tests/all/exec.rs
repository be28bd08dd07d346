//! `nslab exec` runs a command in a node as if it were run right here: its codes, its pipes, its signals.

use crate::common;

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use common::{Lab, PAIR, Running, run, until};
use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use nix::unistd::Pid;

const LONG: &str = "sleep 1000";

/// Starts a shell's line in node a, and waits until it has said `ready`.
#[track_caller]
fn ready(lab: &Lab, line: &str) -> Running {
    let mut running = lab.start(["exec", "a", "sh", "-c", line]);
    running.until_said("ready");
    running
}

/// Whether some process in node a has this command line.
fn runs(lab: &Lab, words: &str) -> bool {
    lab.run(["exec", "a", "pgrep", "-fx", words]).code == 0
}

#[test]
fn the_exit_code_is_the_commands_own() {
    let lab = Lab::up(PAIR);
    for code in [0, 1, 42, 125, 255] {
        lab.run(["exec", "a", "sh", "-c", &format!("exit {code}")])
            .expect(code);
    }
    lab.run(["exec", "a", "sh", "-c", "kill -9 $$"]).expect(137);
    lab.run(["exec", "a", "sh", "-c", "kill -TERM $$"]).expect(143);
    // What looks like nslab's own options is the command's.
    assert_eq!(
        lab.ok(["exec", "a", "echo", "--env", "-u", "--", "x"]),
        "--env -u -- x\n"
    );
    assert_eq!(lab.ok(["exec", "a", "--", "echo", "x"]), "x\n");
}

#[test]
fn failures_of_its_own_are_told_apart() {
    let lab = Lab::up(PAIR);
    lab.run(["exec", "a", "no-such-program"])
        .refused(127, &["no-such-program: command not found"]);
    lab.run(["exec", "a", "/no/such/program"])
        .refused(127, &["/no/such/program: command not found"]);
    lab.run(["exec", "a", "/etc/passwd"])
        .refused(126, &["/etc/passwd: Permission denied"]);
    lab.run(["exec", "a", "/etc"])
        .refused(126, &["/etc: Permission denied"]);
    lab.run(["exec", "--user", "nobody-here", "a", "true"])
        .refused(126, &["a has no user \"nobody-here\""]);
    lab.run(["exec", "--workdir", "/nowhere", "a", "true"])
        .refused(126, &["a: cannot enter /nowhere: No such file"]);
    lab.run(["exec", "router", "true"])
        .refused(125, &["lab pair has no node \"router\"", "nslab ps"]);
    lab.run(["exec", "--lab", "pear", "a", "true"])
        .refused(125, &["no lab \"pear\" is running", "running: pair"]);
    lab.ok(["down"]);
    lab.run(["exec", "a", "true"])
        .refused(125, &["no lab is running", "nslab up FILE"]);
}

#[test]
fn pipes_carry_every_byte() {
    let lab = Lab::up(PAIR);
    // Not a multiple of any buffer's size, and with all bytes in it.
    let mut state = 1u32;
    let data: Vec<u8> = (0..8_000_003)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let done = lab.feed(["exec", "a", "cat"], &data);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.bytes == data,
        "{} bytes came back of {}",
        done.bytes.len(),
        data.len()
    );
    // The end of the input is seen as such, and the two outputs stay two.
    let done = lab.feed(["exec", "a", "sh", "-c", "wc -c; echo oops >&2"], b"12345");
    assert_eq!(
        (done.out.trim(), done.err.as_str(), done.code),
        ("5", "oops\n", 0)
    );
    // A reader that has had enough ends the writer.
    let line = format!(
        "{} exec a yes | head -c 5; echo ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_nslab")
    );
    let done = run(lab.command("bash").args(["-c", &line]));
    assert_eq!(done.out, "y\ny\ny141\n");
}

#[test]
fn signals_to_the_client_reach_the_command() {
    let lab = Lab::up(PAIR);
    for signal in [SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2] {
        let name = signal.as_str().trim_start_matches("SIG");
        let line = format!("trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.01; done");
        let running = ready(&lab, &line);
        running.signal(signal);
        let mut running = running;
        assert_eq!(running.wait().expect(9), format!("ready\ngot {name}\n"));
    }
    // One that the command does not catch ends both, and the code says how.
    let mut running = ready(&lab, "echo ready; exec sleep 1000");
    running.signal(SIGTERM);
    running.wait().expect(143);
}

#[test]
fn a_killed_client_takes_its_command_along() {
    let lab = Lab::up(PAIR);
    let mut running = ready(&lab, "echo ready; exec sleep 4321");
    assert!(runs(&lab, "sleep 4321"));
    running.signal(SIGKILL);
    assert_eq!(running.wait().code, -9);
    until("the command's end", || !runs(&lab, "sleep 4321"));
    // Also where it runs as somebody else.
    let mut running = lab.start([
        "exec",
        "--user",
        "nobody",
        "a",
        "sh",
        "-c",
        "echo ready; exec sleep 4322",
    ]);
    running.until_said("ready");
    running.signal(SIGKILL);
    running.wait();
    until("the command's end", || !runs(&lab, "sleep 4322"));
}

#[test]
fn a_killed_node_or_lab_ends_its_commands() {
    let lab = Lab::up(PAIR);
    let mut running = ready(&lab, &format!("echo ready; {LONG}"));
    let init = lab.node("a")["init_pid"].as_i64().unwrap();
    nix::sys::signal::kill(Pid::from_raw(init.try_into().unwrap()), SIGKILL).unwrap();
    running.wait().expect(137);
    until("the node's return", || {
        let node = lab.node("a");
        node["restarts"] == 1 && node["state"] == "ready"
    });
    lab.ok(["exec", "a", "true"]);
    let mut running = ready(&lab, &format!("echo ready; exec {LONG}"));
    lab.ok(["down"]);
    // Asked to end, or killed with the rest.
    let code = running.wait().code;
    assert!([143, 137].contains(&code), "{code}");
}

#[test]
fn an_idle_node_wakes_for_a_command() {
    let lab = Lab::up(PAIR);
    let node = lab.node("b");
    assert_eq!(
        (node["state"].as_str(), node["init_pid"].is_null()),
        (Some("idle"), true)
    );
    assert_eq!(lab.ok(["exec", "b", "hostname"]), "b\n");
    let node = lab.node("b");
    assert_eq!(
        (node["state"].as_str(), node["init_pid"].is_null()),
        (Some("ready"), false)
    );
    assert_eq!((&node["restarts"], &node["processes"]), (&0.into(), &0.into()));
}

#[test]
fn a_hundred_commands_at_once() {
    let lab = Lab::up(PAIR);
    let numbers: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let start = |number: &String| {
        let node = if number.len() == 1 { "a" } else { "b" };
        lab.start(["exec", node, "sh", "-c", "echo $1; exit $1", "-", number])
    };
    let mut all: Vec<Running> = numbers.iter().map(start).collect();
    for (number, running) in numbers.iter().zip(&mut all) {
        let said = running.wait().expect(number.parse().unwrap());
        assert_eq!(said.trim(), number);
    }
    assert_eq!(lab.node("b")["processes"], 0);
}

#[test]
fn environment_user_and_directory() {
    let lab = Lab::new(&PAIR.replacen("kind", "env = { MODE = \"lab\" }\nkind", 1));
    lab.ok(["up", "-d", lab.file()]);
    let variables = |options: &[&str]| {
        let words = ["exec"].iter().chain(options).chain(&["a", "env"]).copied();
        let done = run(lab.nslab(words).env("SECRET", "caller's").env("TERM", "vt220"));
        let mut lines: Vec<String> = done.expect(0).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    // The node's own environment and the terminal's kind; nothing else of the caller's.
    let plain = variables(&[]);
    let has = |lines: &[String], line: &str| lines.iter().any(|it| it == line);
    assert!(
        has(&plain, "MODE=lab") && has(&plain, "TERM=vt220") && has(&plain, "HOME=/root"),
        "{plain:?}"
    );
    assert!(
        !plain
            .iter()
            .any(|line| line.starts_with("SECRET") || line.starts_with("NSLAB")),
        "{plain:?}"
    );
    let more = variables(&[
        "--env", "MODE=x", "-e", "SECRET", "-e", "EMPTY=", "-e", "ABSENT", "-e", "A=b=c",
    ]);
    for line in ["MODE=x", "SECRET=caller's", "EMPTY=", "A=b=c"] {
        assert!(has(&more, line), "{line} in {more:?}");
    }
    assert!(!more.iter().any(|line| line.starts_with("ABSENT")), "{more:?}");

    let who = |user: &str| {
        lab.ok([
            "exec",
            "--user",
            user,
            "a",
            "sh",
            "-c",
            "id -un; id -u; echo $USER",
        ])
    };
    assert_eq!(who("nobody"), "nobody\n65534\nnobody\n");
    assert_eq!(who("0"), "root\n0\nroot\n");
    assert_eq!(lab.ok(["exec", "--user", "4242", "a", "id", "-u"]), "4242\n");
    let groups = lab.ok(["exec", "--user", "nobody", "a", "id", "-G"]);
    assert_eq!(
        groups,
        run(std::process::Command::new("id").args(["-G", "nobody"])).expect(0)
    );
    assert_eq!(lab.ok(["exec", "a", "pwd"]), "/\n");
    assert_eq!(
        lab.ok(["exec", "--workdir", "/var/log", "a", "pwd"]),
        "/var/log\n"
    );
}

#[test]
fn without_root_the_line_to_type_is_told() {
    let lab = Lab::up(PAIR);
    // Where everybody may execute it.
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let directory = tempfile::tempdir().unwrap();
    let binary = directory.path().join("nslab");
    std::fs::copy(env!("CARGO_BIN_EXE_nslab"), &binary).unwrap();
    open(directory.path(), 0o755);
    open(&binary, 0o755);
    let run_as_nobody = |words: &[&str]| {
        let mut command = lab.command("setpriv");
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"])
            .arg(&binary)
            .args(words);
        run(&mut command)
    };
    let binary_name = binary.to_str().unwrap();
    for words in [
        ["exec", "a", "echo", "two words"].as_slice(),
        &["ps"],
        &["down", "--all"],
        &["up", "-d", "/etc/hostname"],
        &["cp", "a:/etc/hostname", "."],
        &["gc"],
        &["shell", "a"],
    ] {
        let done = run_as_nobody(words);
        if words[0] == "up" {
            // Its file is looked at first: an error there is worth telling to anybody.
            done.refused(2, &["/etc/hostname"]);
            continue;
        }
        let line = format!(
            "sudo {binary_name} {}",
            words.join(" ").replace("two words", "'two words'")
        );
        done.refused(3, &["are root's", &line]);
    }
    // What needs no root does without.
    let schema = run_as_nobody(&["schema"]);
    assert_eq!(schema.code, 0, "{}", schema.err);
}

/// nslab on a terminal of its own: what `script` is told is typed there.
struct Terminal {
    running: Running,
    keys: std::process::ChildStdin,
}

impl Terminal {
    fn open(lab: &Lab, line: &str) -> Terminal {
        let mut command = lab.command("script");
        command
            .args(["-qec", line, "/dev/null"])
            .stdin(Stdio::piped())
            .env("nslab", env!("CARGO_BIN_EXE_nslab"));
        let mut running = Running::start(
            command
                .env("SHELL", "/bin/bash")
                .env("PS1", "")
                .env_remove("NO_COLOR"),
        );
        let keys = running.input();
        Terminal { running, keys }
    }

    fn press(&mut self, keys: &str) {
        use std::io::Write;
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }
}

#[test]
fn ctrl_c_reaches_the_command_once() {
    let lab = Lab::up(PAIR);
    let line = "$nslab exec a sh -c 'n=0; trap \"n=\\$((n+1)); echo caught\" INT; echo ready; \
        while [ ! -e /tmp/end ]; do sleep 0.01; done; exit $((40 + n))'";
    let mut terminal = Terminal::open(&lab, line);
    terminal.running.until_said("ready");
    terminal.press("\x03");
    terminal.running.until_said("caught");
    lab.ok(["exec", "a", "touch", "/tmp/end"]);
    let done = terminal.running.wait();
    assert_eq!(done.code, 41, "{}", done.out);

    // One that does not catch it is ended by it.
    let mut terminal = Terminal::open(&lab, "$nslab exec a sh -c 'echo ready; exec sleep 1000'");
    terminal.running.until_said("ready");
    terminal.press("\x03");
    terminal.running.wait().expect(130);
}

#[test]
fn ctrl_z_stops_and_fg_goes_on() {
    let lab = Lab::up(PAIR);
    let mut terminal = Terminal::open(&lab, "bash --norc --noprofile -i");
    terminal.press("$nslab exec a sh -c 'echo rea''dy; read answer; echo got $answer; exit 5'\n");
    terminal.running.until_said("ready\r\n");
    terminal.press("\x1a");
    terminal.running.until_said("Stopped");
    terminal.press("jobs; echo at the prompt\n");
    terminal.running.until_said("at the prompt\r\n");
    // In one line: what is typed while the command runs is the command's.
    terminal.press("fg; echo code $?; exit 0\n");
    terminal.press("forty-two\n");
    let done = terminal.running.wait();
    assert!(done.out.contains("code 5\r\n"), "{}", done.out);
    assert_eq!(done.code, 0);
}

#[test]
fn a_job_that_comes_to_the_foreground_gets_the_keys() {
    let lab = Lab::up(PAIR);
    let mut terminal = Terminal::open(&lab, "bash --norc --noprofile -i");
    terminal.press("$nslab exec a sh -c 'echo rea''dy; read answer; echo got $answer; exit 5' &\n");
    terminal.running.until_said("ready");
    let marker = lab.path("fg");
    terminal.press(&format!("fg > {}; echo code $?; exit 0\n", marker.display()));
    // What is typed before that is the shell's.
    common::until("the job's coming to the foreground", || {
        std::fs::read_to_string(&marker).is_ok_and(|text| text.contains("nslab"))
    });
    terminal.press("forty-two\n");
    let done = terminal.running.wait();
    assert!(
        done.out.contains("got forty-two\r\n") && done.out.contains("code 5\r\n"),
        "{}",
        done.out
    );
}

#[test]
fn a_command_that_stops_itself_goes_on_where_nobody_could_continue_it() {
    let lab = Lab::up(PAIR);
    for signal in ["STOP", "TSTP"] {
        let line = format!("$nslab exec a sh -c 'kill -{signal} $$; echo went on; exit 6'; echo code $?");
        let mut plain = lab.command("sh");
        plain
            .args(["-c", &line])
            .env("nslab", env!("CARGO_BIN_EXE_nslab"));
        let done = run(&mut plain);
        assert_eq!(done.out, "went on\ncode 6\n", "{}", done.err);
        let done = Terminal::open(&lab, &line).running.wait();
        assert!(done.out.contains("went on\r\ncode 6\r\n"), "{}", done.out);
    }
}

#[test]
fn a_client_that_is_killed_leaves_the_terminal_as_it_was() {
    let lab = Lab::up(PAIR);
    let line = "tty > $dir/tty; stty -a > $dir/before; \
        sh -c 'echo $$ > $dir/pid; exec $nslab exec a sh -c \"echo rea\"dy\"; exec sleep 1000\"'; \
        echo code $?; while [ ! -e $dir/end ]; do sleep 0.01; done";
    let line = line.replace("$dir", lab.path("").to_str().unwrap().trim_end_matches('/'));
    let mut terminal = Terminal::open(&lab, &line);
    terminal.running.until_said("ready\r\n");
    let read = |name| std::fs::read_to_string(lab.path(name)).unwrap();
    let client = nix::unistd::Pid::from_raw(read("pid").trim().parse().unwrap());
    nix::sys::signal::kill(client, nix::sys::signal::Signal::SIGKILL).unwrap();
    terminal.running.until_said("code 137");
    let (tty, before) = (read("tty"), read("before"));
    common::until("the modes of before", || {
        run(std::process::Command::new("stty").args(["-F", tty.trim(), "-a"])).expect(0) == before
    });
    // The command went with its client.
    common::until("the end of the command", || {
        lab.run(["exec", "a", "pgrep", "-x", "sleep"]).code == 1
    });
    std::fs::write(lab.path("end"), "").unwrap();
    terminal.running.wait().expect(0);
}

#[test]
fn a_node_has_so_many_terminals_and_no_more() {
    let lab = Lab::up(PAIR);
    let open = "import os\nheld = []\ntry:\n  while True: held.append(os.openpty())\n\
        except OSError as error: print(len(held), error.errno, flush=True)\nimport time\ntime.sleep(1000)";
    let mut greedy = lab.start(["exec", "a", "python3", "-c", open]);
    greedy.until_said("64 28");
    // Of that node alone.
    Terminal::open(&lab, "$nslab exec b tty").running.wait().expect(0);
    let done = Terminal::open(&lab, "$nslab exec a tty").running.wait();
    assert!(done.code != 0 && done.out.contains("`nslab exec -T`"), "{done:?}");
    lab.ok(["exec", "a", "true"]);
}

#[test]
fn the_window_and_its_changes_are_the_terminals() {
    let lab = Lab::up(PAIR);
    let name = lab.path("tty");
    let line = format!(
        "tty > {}; stty rows 33 cols 77; $nslab exec a sh -c 'stty size; trap \"stty size\" WINCH; echo ready; \
         while [ ! -e /tmp/end ]; do sleep 0.01; done'",
        name.display()
    );
    let mut terminal = Terminal::open(&lab, &line);
    terminal.running.until_said("ready");
    assert!(
        terminal.running.out().contains("33 77"),
        "{}",
        terminal.running.out()
    );
    let tty = std::fs::read_to_string(&name).unwrap();
    run(std::process::Command::new("stty").args(["-F", tty.trim(), "rows", "44", "cols", "99"])).expect(0);
    terminal.running.until_said("44 99");
    lab.ok(["exec", "a", "touch", "/tmp/end"]);
    terminal.running.wait().expect(0);
}

#[test]
fn a_command_that_is_killed_leaves_the_terminal_as_it_was() {
    let lab = Lab::up(PAIR);
    let line = "stty -a > $dir/before; $nslab exec a sh -c 'stty raw -echo; kill -9 $$'; echo code $?; stty -a > $dir/after";
    let line = line.replace("$dir", lab.path("").to_str().unwrap().trim_end_matches('/'));
    let mut terminal = Terminal::open(&lab, &line);
    let done = terminal.running.wait();
    assert!(done.out.contains("code 137\r\n"), "{}", done.out);
    let modes = |name| std::fs::read_to_string(lab.path(name)).unwrap();
    assert_eq!(modes("before"), modes("after"));
}

#[test]
fn a_shell_is_opened_on_the_terminal() {
    let lab = Lab::up(PAIR);
    let mut terminal = Terminal::open(&lab, "$nslab shell a");
    terminal.press("echo in $(hostname) at $PWD\nexit 4\n");
    let done = terminal.running.wait();
    assert!(done.out.contains("in a at /root\r\n"), "{}", done.out);
    assert_eq!(done.code, 4);
}

/// Stops the process whose PID is in /tmp/pid of node a, as somebody in the node, and waits until it goes on.
fn stop_from_inside(lab: &Lab) {
    let line = "read pid < /tmp/pid; kill -STOP $pid; \
        while grep -q '^State:.T' /proc/$pid/status; do sleep 0.01; done; kill -0 $pid";
    lab.ok(["exec", "a", "timeout", "30", "sh", "-c", line]);
}

#[test]
fn nobody_in_the_node_stops_the_client() {
    let lab = Lab::up(PAIR);
    for options in ["", "-T -i"] {
        let mut terminal = Terminal::open(&lab, "bash --norc --noprofile -i");
        terminal.press(&format!(
            "$nslab exec {options} a sh -c 'echo $$ > /tmp/pid; echo rea''dy; while read answer; do echo got:$answer; done; exit 5'\n"
        ));
        terminal.running.until_said("ready\r\n");
        for round in 0..3 {
            stop_from_inside(&lab);
            terminal.press(&format!("echo {round}\n"));
            terminal.running.until_said(&format!("got:echo {round}\r\n"));
        }
        // The key stops it once, and is no leave to do so again.
        terminal.press("\x1a");
        terminal.running.until_said("Stopped");
        terminal.press("fg; echo code $?; exit 0\n");
        stop_from_inside(&lab);
        terminal.press("again\n");
        terminal.running.until_said("got:again\r\n");
        terminal.press("\x04");
        let done = terminal.running.wait();
        assert!(done.out.contains("code 5\r\n"), "{options} {}", done.out);
        assert_eq!(done.out.matches("Stopped").count(), 1, "{options} {}", done.out);
    }
}

#[test]
fn what_a_command_has_hidden_is_shown_when_the_client_stops() {
    let lab = Lab::up(PAIR);
    let mut terminal = Terminal::open(&lab, "bash --norc --noprofile -i");
    terminal.press("$nslab exec a sh -c 'printf \"\\033[8m\\033[?25lrea\"; echo dy; read answer'\n");
    terminal.running.until_said("ready\r\n");
    terminal.press("\x1a");
    terminal.running.until_said("\x1b[0m\x1b[?25h");
    terminal.running.until_said("Stopped");
    terminal.press("fg; exit 0\n");
    terminal.press("\n");
    terminal.running.wait().expect(0);
}

#[test]
fn nobody_reads_the_callers_command_line() {
    let lab = Lab::up(PAIR);
    let secret = format!("hunter{}", std::process::id());
    let mut terminal = Terminal::open(
        &lab,
        &format!("$nslab exec --env A={secret} a sh -c 'echo ready; read answer'"),
    );
    terminal.running.until_said("ready");
    // The client has it; what it has sent into the node's namespaces has not.
    let read = |process: &std::path::Path, name| std::fs::read(process.join(name)).unwrap_or_default();
    let holders = std::fs::read_dir("/proc").unwrap().flatten().filter(|process| {
        let words = read(&process.path(), "cmdline");
        read(&process.path(), "comm") == b"nslab\n" && String::from_utf8_lossy(&words).contains(&secret)
    });
    assert_eq!(holders.count(), 1);
    terminal.press("\n");
    terminal.running.wait().expect(0);
}

#[test]
fn a_client_that_is_told_to_stop_stops_with_its_command() {
    let lab = Lab::up(PAIR);
    let pid = lab.path("pid");
    for options in ["", "-T -i"] {
        let mut terminal = Terminal::open(&lab, "bash --norc --noprofile -i");
        terminal.press(&format!(
            "sh -c 'echo $$ > {}; exec $nslab exec {options} a sh -c \"echo rea\\\"\\\"dy; read answer; exit 5\"'\n",
            pid.display()
        ));
        terminal.running.until_said("ready\r\n");
        let client = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        nix::sys::signal::kill(Pid::from_raw(client), nix::sys::signal::Signal::SIGTSTP).unwrap();
        terminal.running.until_said("Stopped");
        terminal.press("fg; echo code $?; exit 0\n");
        terminal.press("forty-two\n");
        let done = terminal.running.wait();
        assert!(done.out.contains("code 5\r\n"), "{options} {}", done.out);
    }
}
