//! What a container's image does around its commands, and what of that has another form here: the image's own start, programs
//! that only wait for others, packages that are installed.

use super::definition::Definition;
use crate::lab::daemons;
use crate::lab::file::Span;
use crate::lab::model::Command;

/// Programs whose work a node's own init does: they start another and wait for it.
const INITS: [&str; 5] = ["tini", "dumb-init", "catatonit", "docker-init", "tini-static"];
/// What FRR's images run.
const FRR_START: [&str; 3] = ["docker-start", "docker-start.sh", "watchfrr"];
/// What FRR reads.
pub(super) const FRR_CONF: &str = "/etc/frr/frr.conf";
/// Where FRR's own script is.
pub(super) const FRR_SCRIPT: &str = "/usr/lib/frr/frrinit.sh";
/// Programs that install packages.
const INSTALLERS: [&str; 10] = [
    "apk", "apt", "apt-get", "dnf", "microdnf", "yum", "zypper", "pacman", "pip", "pip3",
];
/// What else may stand before a command on a shell's line.
const PREFIXES: [&str; 3] = ["sudo", "env", "DEBIAN_FRONTEND=noninteractive"];

fn name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or_default()
}

/// The words without an init before them: `/sbin/tini -- docker-start` is `docker-start`.
pub(super) fn bare(argv: &[String]) -> &[String] {
    let Some((program, rest)) = argv.split_first() else {
        return argv;
    };
    if !INITS.contains(&name(program)) {
        return argv;
    }
    let begin = match rest.iter().position(|word| word == "--") {
        Some(at) => at + 1,
        None => rest.iter().take_while(|word| word.starts_with('-')).count(),
    };
    rest.get(begin..).unwrap_or_default()
}

/// Whether this is what FRR's images start by themselves.
pub(super) fn starts_frr(argv: &[String]) -> bool {
    let [program, ..] = argv else { return false };
    program.contains('/') && FRR_START.contains(&name(program)) || name(program) == "docker-start"
}

/// The words for programs that a host has: Alpine's `ash` is a host's `sh`.
pub(super) fn with_hosts_programs(argv: &[String]) -> Vec<String> {
    let mut words = argv.to_vec();
    if let Some(program) = words.first_mut()
        && name(program) == "ash"
    {
        *program = "sh".to_owned();
    }
    words
}

/// FRR's own script in the place of what starts FRR in an image: a service, or the image's start itself.
pub(super) fn with_frrs_script(argv: &[String]) -> Vec<String> {
    if let [shell, option, line] = argv
        && is_shell(shell)
        && option.starts_with('-')
        && option.ends_with('c')
    {
        let parts = commands(line).into_iter().map(|(command, end)| {
            let words = shell_words::split(command).unwrap_or_default();
            match frr_service(&words) {
                Some(verb) => format!(" {FRR_SCRIPT} {verb} {end}"),
                None => format!("{command}{end}"),
            }
        });
        let line: String = parts.collect();
        return vec![shell.clone(), option.clone(), line.trim().to_owned()];
    }
    match frr_service(argv) {
        Some(verb) => vec![FRR_SCRIPT.to_owned(), verb],
        None => argv.to_vec(),
    }
}

/// What a command wants of FRR as a service.
fn frr_service(words: &[String]) -> Option<String> {
    let words = words.iter().map(String::as_str);
    let words: Vec<&str> = words
        .skip_while(|word| matches!(*word, "exec" | "sudo"))
        .collect();
    let (program, rest) = words.split_first()?;
    let verb = match (name(program), rest) {
        ("service" | "rc-service", ["frr", verb]) => verb,
        ("systemctl", [verb, "frr" | "frr.service"]) => verb,
        ("frr" | "frrinit.sh", [verb]) if program.contains('/') => verb,
        ("docker-start", []) => "start",
        _ => return None,
    };
    matches!(verb, "start" | "restart" | "reload" | "stop" | "status").then(|| verb.to_owned())
}

/// A command without what only installs packages, and what was left out. Nothing is left of one that does nothing else.
pub(super) fn without_installs(argv: &[String]) -> (Option<Command>, Vec<String>) {
    match argv {
        [shell, option, line] if is_shell(shell) && option.starts_with('-') && option.ends_with('c') => {
            let (kept, left_out) = split(line);
            if left_out.is_empty() {
                return (Some(Command::Argv(argv.to_vec())), left_out);
            }
            let kept = (!kept.is_empty()).then(|| Command::Argv(vec![shell.clone(), option.clone(), kept]));
            (kept, left_out)
        }
        _ if installs(argv) => (None, vec![shell_words::join(argv)]),
        _ => (Some(Command::Argv(argv.to_vec())), Vec::new()),
    }
}

fn is_shell(program: &str) -> bool {
    matches!(name(program), "sh" | "bash" | "ash" | "dash" | "zsh")
}

/// Whether a command installs packages, or only gets their lists.
fn installs(words: &[String]) -> bool {
    let mut words = words
        .iter()
        .map(String::as_str)
        .skip_while(|word| PREFIXES.contains(word));
    let Some(program) = words.next() else { return false };
    let does = |word: &str| {
        matches!(
            word,
            "add" | "install" | "update" | "upgrade" | "-S" | "-Sy" | "-Syu"
        )
    };
    match name(program) {
        "python" | "python3" => {
            let rest: Vec<&str> = words.take(3).collect();
            matches!(rest.as_slice(), ["-m", "pip", "install", ..])
        }
        installer => INSTALLERS.contains(&installer) && words.any(does),
    }
}

/// The commands of a shell's line that do not install packages, and those that do.
fn split(line: &str) -> (String, Vec<String>) {
    let mut kept = String::new();
    let mut left_out = Vec::new();
    for (command, end) in commands(line) {
        let words = shell_words::split(command).unwrap_or_default();
        if installs(&words) {
            left_out.push(command.trim().to_owned());
            // What follows without a condition does not come under the one of what stood before.
            if end != "&&" && kept.trim_end().ends_with("&&") {
                kept.truncate(kept.trim_end().len() - "&&".len());
                kept.push_str(if end.is_empty() { "" } else { ";" });
            }
        } else {
            kept.push_str(command);
            kept.push_str(end);
        }
    }
    let trimmed = kept.trim().trim_end_matches("&&").trim_end_matches(';').trim();
    (trimmed.to_owned(), left_out)
}

/// The commands of a line with what joins each to the next, which is looked for outside of quotes.
fn commands(line: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let (mut begin, mut quote) = (0, None);
    let mut at = 0;
    let bytes = line.as_bytes();
    while at < bytes.len() {
        let byte = bytes[at];
        match quote {
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None if byte == b'\\' => at += 1,
            None if matches!(byte, b'\'' | b'"') => quote = Some(byte),
            None => {
                let length = match byte {
                    b';' | b'\n' => 1,
                    b'&' if bytes.get(at + 1) == Some(&b'&') => 2,
                    // Not those of `>&` and `&>`.
                    b'&' if bytes.get(at + 1) != Some(&b'>') && !line[begin..at].ends_with('>') => 1,
                    _ => 0,
                };
                if length > 0 {
                    found.push((&line[begin..at], &line[at..at + length]));
                    at += length;
                    begin = at;
                    continue;
                }
            }
        }
        at += 1;
    }
    found.push((&line[begin..], ""));
    found
}

/// What gathers the files that FRR's daemons have each for itself, and where the first of them is said: in an image they read those
/// where there is no /etc/frr/frr.conf, and here there is one.
pub(super) fn own_files(merged: &Definition) -> Option<(Span, Command)> {
    let at = |path: &str| {
        let mut binds = merged.binds.iter();
        binds.find(|bind| bind.target.trim_end_matches('/') == path)
    };
    if at("/etc/frr").or_else(|| at(FRR_CONF)).is_some() || merged.startup_config.is_some() {
        return None;
    }
    let found: Vec<(Span, String)> = daemons::own_files()
        .filter_map(|path| Some((at(&path)?.source.span.clone(), path)))
        .collect();
    let paths: Vec<&str> = found.iter().map(|(_, path)| path.as_str()).collect();
    let command = match paths.as_slice() {
        // So it is known where its lines stand.
        [path] => Command::Argv(["cp", path, FRR_CONF].map(str::to_owned).to_vec()),
        paths => Command::Shell(format!("cat {} > {}", paths.join(" "), FRR_CONF)),
    };
    let (first, _) = found.into_iter().next()?;
    Some((first, command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        shell_words::split(line).unwrap()
    }

    #[test]
    fn an_init_is_only_the_way_to_another_program() {
        for (written, meant) in [
            (
                "/sbin/tini -- /usr/lib/frr/docker-start",
                "/usr/lib/frr/docker-start",
            ),
            ("tini -g sleep 1", "sleep 1"),
            ("/usr/bin/dumb-init bash", "bash"),
            ("sleep -- 1", "sleep -- 1"),
            ("tini --", ""),
        ] {
            assert_eq!(bare(&words(written)), words(meant), "{written}");
        }
        assert!(starts_frr(&words("/usr/lib/frr/docker-start")) && !starts_frr(&words("bash")));
    }

    #[test]
    fn frr_is_started_by_its_own_script() {
        for (written, meant) in [
            ("service frr restart", "/usr/lib/frr/frrinit.sh restart"),
            ("systemctl start frr.service", "/usr/lib/frr/frrinit.sh start"),
            ("/etc/init.d/frr start", "/usr/lib/frr/frrinit.sh start"),
            ("usr/lib/frr/frrinit.sh start", "/usr/lib/frr/frrinit.sh start"),
            ("/usr/lib/frr/docker-start", "/usr/lib/frr/frrinit.sh start"),
            ("service ssh start", "service ssh start"),
            ("vtysh -c 'show frr'", "vtysh -c 'show frr'"),
        ] {
            assert_eq!(with_frrs_script(&words(written)), words(meant), "{written}");
        }
        let line = with_frrs_script(&words(
            "bash -c 'sed -i s/a/b/ x && service frr restart; sleep 1'",
        ));
        assert_eq!(
            line[2],
            "sed -i s/a/b/ x && /usr/lib/frr/frrinit.sh restart ; sleep 1"
        );
        let line = with_frrs_script(&words(
            "sh -c 'sed -i s/a/b/ x && exec /usr/lib/frr/docker-start'",
        ));
        assert_eq!(line[2], "sed -i s/a/b/ x && /usr/lib/frr/frrinit.sh start");
    }

    #[test]
    fn what_installs_packages_is_left_out() {
        let kept = |line: &str| {
            let (kept, left_out) = without_installs(&words(line));
            (kept.map(|it| it.to_string()), left_out)
        };
        assert_eq!(kept("apk add iperf3"), (None, vec!["apk add iperf3".into()]));
        assert_eq!(kept("pip3 install scapy").0, None);
        assert_eq!(
            kept("apt-cache policy"),
            (Some("apt-cache policy".into()), vec![])
        );
        let (line, left_out) = kept(
            "bash -c \"apt-get update && apt-get install -y x; ip addr add 10.0.0.1/24 dev eth1 && echo 'a; apk add b'\"",
        );
        assert_eq!(left_out, ["apt-get update", "apt-get install -y x"]);
        let line = words(&line.unwrap());
        assert_eq!(line[2], "ip addr add 10.0.0.1/24 dev eth1 && echo 'a; apk add b'");
        assert_eq!(kept("sh -c 'apk add é'").0, None);
    }
}
