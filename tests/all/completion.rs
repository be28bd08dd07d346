//! What a shell offers: nslab is asked itself, so labs, nodes, processes, flows and checks are those that run.

use crate::common;

use common::{Lab, has, run};

const LAB: &str = r#"
name = "shelled"
[nodes.web-one]
kind = "host"
labels = { rack = "one" }
addresses = { lo = ["10.0.0.1/32"] }
run = [{ name = "beat", command = "sleep infinity" }]
[nodes.web-two]
kind = "router"
[[checks]]
name = "it's itself"
node = "web-one"
ping = "10.0.0.1"
[[flows]]
name = "one-one"
from = "web-one"
to = "web-one"
"#;

/// Bash's completion of the last of these words, by the script that `nslab completions` prints: a line each.
const SCRIPT: &str = r#"
source <("$NSLAB" completions bash)
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_TYPE=9
_clap_complete_nslab nslab "${COMP_WORDS[COMP_CWORD]}" "" 2>/dev/null
printf '%s\n' "${COMPREPLY[@]}"
"#;

fn offered(lab: &Lab, words: &[&str]) -> Vec<String> {
    let mut bash = lab.command("bash");
    bash.env("NSLAB", env!("CARGO_BIN_EXE_nslab"));
    bash.args(["--norc", "-c", SCRIPT, "bash"]).args(words);
    let said = run(&mut bash).expect(0);
    said.lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn bash_offers_what_runs() {
    if !has("bash") {
        return;
    }
    let lab = Lab::up(LAB);
    let file = lab.file();
    for (words, wanted) in [
        (vec!["nslab", "exec", "web-o"], vec!["web-one"]),
        (vec!["nslab", "exec", "web-one,web-t"], vec!["web-one,web-two"]),
        (vec!["nslab", "restart", "web"], vec!["web-one", "web-two"]),
        (vec!["nslab", "stop", "web-one", "web-t"], vec!["web-two"]),
        (vec!["nslab", "ps", "--lab", ""], vec!["shelled"]),
        (vec!["nslab", "down", "she"], vec!["shelled"]),
        (vec!["nslab", "logs", "web-one/"], vec!["web-one/beat"]),
        (vec!["nslab", "cp", "web-o"], vec!["web-one:"]),
        (vec!["nslab", "check", "--name", "it"], vec![r"it\'s\ itself"]),
        (vec!["nslab", "exec", "--label", ""], vec!["rack=one"]),
        (vec!["nslab", "exec", "--kind", "ro"], vec!["router"]),
        (vec!["nslab", "flow", "start", "one"], vec!["one-one"]),
        (vec!["nslab", "flow", "start", "--from", "web-o"], vec!["web-one"]),
        (vec!["nslab", "sta"], vec!["start"]),
        (vec!["nslab", "validate", &file[..file.len() - 2]], vec![file]),
        (vec!["nslab", "exec", "nosuch"], vec![]),
    ] {
        assert_eq!(offered(&lab, &words), wanted, "{words:?}");
    }
    lab.ok(["down"]);
    // Where nothing runs nothing is offered, and nothing is made.
    assert_eq!(offered(&lab, &["nslab", "exec", "web"]), Vec::<String>::new());
}

#[test]
fn every_shell_has_a_script() {
    let lab = Lab::new("");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = lab.ok(["completions", shell]);
        assert!(script.contains("NSLAB_COMPLETE"), "{shell}: {script}");
        if shell == "bash" && has("bash") {
            std::fs::write(lab.path("bash"), &script).unwrap();
            run(lab.command("bash").arg("-n").arg(lab.path("bash"))).expect(0);
        }
    }
    lab.run(["completions", "tcsh"]).refused(2, &["tcsh"]);
}
