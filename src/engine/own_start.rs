//! What a router is configured with that starts FRR by its own commands, as one of a container's image does: the files that are
//! put in the place of FRR's, and what its commands type into vtysh.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::frr;
use crate::bgp::config::{Config, Mistake, Reader};
use crate::lab::daemons;
use crate::lab::model::{Command, Content, Node};

const CONFIGURATION: &str = "/etc/frr/frr.conf";
const DAEMONS: &str = "/etc/frr/daemons";
/// What stands in lines that change [`DAEMONS`].
const DAEMONS_FILE: &str = "frr/daemons";

/// A text and where it comes from, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// A file of the host's, or what stands for one.
    pub place: String,
    /// What is in it.
    pub text: String,
}

/// What a router will be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// What FRR will read at its start.
    pub config: Option<Text>,
    /// The daemons that will run beside zebra and staticd.
    pub daemons: BTreeSet<&'static str>,
    /// Lines of the configuration that commands type, with the commands' lines in the lab file.
    pub typed: Vec<(usize, String)>,
}

/// A line that will be missing in a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The file it stands in; none where a command of the lab file types it.
    pub place: Option<String>,
    /// Its number there.
    pub line: usize,
    /// The line.
    pub text: String,
    /// The mistake in it.
    pub mistake: Mistake,
    /// How many lines of its block are missing with it.
    pub below: usize,
}

/// A daemon that does not run though there are lines for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// The daemon.
    pub daemon: &'static str,
    /// The file of its first line; none where a command of the lab file types it.
    pub place: Option<String>,
    /// The first line's number there.
    pub line: usize,
    /// The first line.
    pub text: String,
    /// How many lines there are.
    pub count: usize,
}

/// Whether commands turn bgpd on.
pub fn turn_bgp_on<'c>(commands: impl Iterator<Item = &'c Command>) -> bool {
    let mut enabled = BTreeSet::new();
    for command in commands {
        switch(&words(command), &mut enabled);
    }
    enabled.contains("bgpd")
}

/// Finds out what a node will be given; `read` has the texts of the host's files.
pub fn of(node: &Node, read: &dyn Fn(&Path) -> Option<String>) -> Given {
    let file = file(node, DAEMONS, read).map_or_else(|| daemons::file(&[]), |found| found.text);
    let mut enabled = daemons::enabled(&file);
    let mut typed = Vec::new();
    for exec in &node.exec {
        let words = words(&exec.command);
        switch(&words, &mut enabled);
        typed.extend(lines(&words).into_iter().map(|line| (exec.line, line)));
    }
    for process in &node.run {
        switch(&words(&process.command), &mut enabled);
    }
    Given {
        config: self::file(node, CONFIGURATION, read),
        daemons: enabled,
        typed,
    }
}

/// What will stand at a path of the node's, by its binds and files.
fn file(node: &Node, path: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<Text> {
    let below = |root: &str| Path::new(path).strip_prefix(root).ok();
    let of_host = |source: &Path, rest: &Path| {
        let source = match rest.as_os_str().is_empty() {
            true => source.to_owned(),
            false => source.join(rest),
        };
        let text = read(&source)?;
        Some(Text {
            place: shown(&source),
            text,
        })
    };
    for bind in node.binds.iter().rev() {
        if let Some(rest) = below(&bind.target) {
            return of_host(&bind.source, rest);
        }
    }
    node.files.iter().rev().find_map(|file| {
        let rest = below(&file.path)?;
        match &file.content {
            Content::From(source) => of_host(source, rest),
            Content::Text(text) => Some(Text {
                place: format!("{path} of {}", node.name),
                text: text.clone(),
            }),
        }
    })
}

/// A path as users write it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let short = path.strip_prefix(&here).unwrap_or(path);
    short.display().to_string()
}

/// A command's words; those of a shell's line, as far as quotes tell them apart.
fn words(command: &Command) -> Vec<String> {
    let argv = command.argv();
    let is_shell = argv.first().is_some_and(|program| {
        let name = program.rsplit('/').next().unwrap_or_default();
        matches!(name, "sh" | "bash" | "ash" | "dash" | "zsh")
    });
    match argv.as_slice() {
        [_, option, line, ..] if is_shell && option.starts_with('-') && option.contains('c') => {
            shell_words::split(line).unwrap_or_else(|_| argv.clone())
        }
        _ => argv,
    }
}

/// Turns daemons on and off where a command changes the file that says which run: `sed -i s/bgpd=no/bgpd=yes/ …/daemons`.
fn switch(words: &[String], enabled: &mut BTreeSet<&'static str>) {
    if !words.iter().any(|word| word.contains(DAEMONS_FILE)) {
        return;
    }
    for word in words {
        // In a replacement, what comes to stand there is behind what stands there now.
        let last = |text: String| word.rfind(&text);
        for daemon in daemons::OPTIONAL {
            let (on, off) = (last(format!("{daemon}=yes")), last(format!("{daemon}=no")));
            match (on, off) {
                (Some(on), off) if off.is_none_or(|off| off < on) => enabled.insert(daemon),
                (_, Some(_)) => enabled.remove(daemon),
                _ => false,
            };
        }
        if word.contains("/=no/=yes/") || word.contains("/no/yes/") {
            enabled.extend(daemons::OPTIONAL);
        }
    }
}

/// The lines of the configuration that a command types into vtysh.
fn lines(words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = words.iter();
    while rest.any(|word| word.rsplit('/').next() == Some("vtysh")) {
        let mut configures = false;
        let mut here = rest.clone();
        while let Some(option) = here.next().filter(|option| option.starts_with('-')) {
            if option != "-c" && option != "--command" {
                continue;
            }
            let Some(command) = here.next() else { break };
            rest = here.clone();
            for line in command.trim_end_matches(';').lines() {
                match line.trim() {
                    "end" => configures = false,
                    line if !configures => configures = line.starts_with("conf"),
                    line if is_no_configuration(line) => {}
                    _ => found.push(line.to_owned()),
                }
            }
        }
        found.push("end".to_owned());
    }
    found
}

/// Commands that may be typed in the configuration and are none of its lines.
fn is_no_configuration(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    matches!(first, "do" | "write" | "wr" | "copy" | "show" | "sh" | "list")
}

/// A line with its place, and the daemon it is for.
struct Line<'g> {
    place: Option<&'g str>,
    number: usize,
    text: &'g str,
    daemon: Option<&'static str>,
}

impl Given {
    fn all(&self) -> Vec<Line<'_>> {
        let of_file = self.config.iter().flat_map(|config| {
            let lines = config.text.lines().enumerate();
            lines.map(|(at, text)| (Some(config.place.as_str()), at + 1, text))
        });
        let typed = self.typed.iter().map(|(line, text)| (None, *line, text.as_str()));
        let mut block: Option<&'static str> = None;
        let mut found = Vec::new();
        for (place, number, text) in of_file.chain(typed) {
            let bare = text.trim();
            let own = frr::daemon_of(bare);
            // What is typed has no indentation; only another block ends one there.
            let is_inner = text.starts_with([' ', '\t']) || place.is_none();
            let daemon = match own {
                _ if is_inner && block.is_some() && !bare.starts_with("router ") => block,
                own => own,
            };
            if opens_block(bare) || matches!(bare, "end") || (!is_inner && !bare.is_empty()) {
                block = own.filter(|_| opens_block(bare));
            }
            found.push(Line {
                place,
                number,
                text,
                daemon,
            });
        }
        found
    }

    /// The daemons that do not run though there are lines for them.
    pub fn idle(&self) -> Vec<Idle> {
        let mut found: Vec<Idle> = Vec::new();
        for line in self.all() {
            let Some(daemon) = line.daemon.filter(|daemon| !self.daemons.contains(daemon)) else {
                continue;
            };
            match found.iter_mut().find(|idle| idle.daemon == daemon) {
                Some(idle) => idle.count += 1,
                None => found.push(Idle {
                    daemon,
                    place: line.place.map(str::to_owned),
                    line: line.number,
                    text: line.text.trim().to_owned(),
                    count: 1,
                }),
            }
        }
        found
    }

    /// The lines that the builtin engine does not take, but for those whose daemon does not run anyway.
    pub fn lost_on_builtin(&self) -> Vec<Lost> {
        let mut config = Config::default();
        let mut reader = Reader::default();
        let mut lost: Vec<Lost> = Vec::new();
        let mut typing = false;
        for line in self.all() {
            if line.daemon.is_some_and(|daemon| !self.daemons.contains(daemon)) {
                continue;
            }
            if line.place.is_none() && !typing {
                typing = true;
                reader = Reader::default();
            }
            let passed_over = reader.passes_over();
            match reader.take(&mut config, line.text) {
                Err(mistake) => lost.push(Lost {
                    place: line.place.map(str::to_owned),
                    line: line.number,
                    text: line.text.to_owned(),
                    mistake,
                    below: 0,
                }),
                Ok(_) if passed_over && reader.passes_over() && says_something(line.text) => {
                    if let Some(last) = lost.last_mut() {
                        last.below += 1;
                    }
                }
                Ok(_) => {}
            }
        }
        lost
    }
}

fn says_something(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with(['!', '#']) && !line.starts_with("exit")
}

/// Whether lines of its own follow a line of a daemon's.
fn opens_block(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    matches!(first, "router" | "mpls" | "bfd" | "pbr-map" | "segment-routing") || line.starts_with("rpki")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::resolve;
    use crate::lab::sources::Memory;

    fn given(node: &str, files: &[(&str, &str)]) -> Given {
        let text = format!("name = \"x\"\n[nodes.r]\nkind = \"router\"\n{node}");
        let mut sources = Memory::default();
        for (path, text) in files {
            sources = sources.with(path, *text);
        }
        let lab = resolve::load(&text, &sources).unwrap();
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| path.ends_with(name));
            found.map(|(_, text)| (*text).to_owned())
        };
        of(&lab.nodes[0], &read)
    }

    #[test]
    fn whichever_way_a_line_comes_it_is_judged() {
        let conf = "router bgp 1\n neighbor 192.0.2.1 remote-as 2\n nonsense\n!\nrouter ospf\n network 10.0.0.0/8 area 0\n passive-interface x\n";
        let daemons = "bgpd=yes\nospfd=yes\n";
        for (binds, files) in [
            (
                "binds = [\"r.conf:/etc/frr/frr.conf\", \"daemons:/etc/frr/daemons\"]",
                [("r.conf", conf), ("daemons", daemons)],
            ),
            (
                "binds = [\"frr/:/etc/frr\"]",
                [("frr/frr.conf", conf), ("frr/daemons", daemons)],
            ),
            (
                "files = { \"/etc/frr/frr.conf\" = { from = \"r.conf\" }, \"/etc/frr/daemons\" = { from = \"d\" } }",
                [("r.conf", conf), ("d", daemons)],
            ),
        ] {
            let given = given(binds, &files);
            let lost = given.lost_on_builtin();
            let lines: Vec<_> = lost.iter().map(|lost| (lost.line, lost.below)).collect();
            assert_eq!(lines, [(3, 0), (5, 2)], "{binds}");
            assert_eq!(given.idle(), []);
        }
    }

    #[test]
    fn typed_lines_are_configuration_from_conf_to_end() {
        let exec = "exec = [\"vtysh -c 'show version' -c 'conf t' -c 'router ospf' -c 'network 10.0.0.0/8 area 0' -c 'end' -c 'write'\",\
            \"sh -c \\\"sed -i s/ospfd=no/ospfd=yes/ /etc/frr/daemons; /usr/bin/vtysh -E -c 'configure terminal' -c 'hostname x' -c 'do show run'\\\"\"]";
        let given = given(exec, &[]);
        let typed: Vec<&str> = given.typed.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(
            typed,
            [
                "router ospf",
                "network 10.0.0.0/8 area 0",
                "end",
                "hostname x",
                "end"
            ]
        );
        assert!(given.daemons.contains("ospfd") && !given.daemons.contains("bgpd"));
        let lost = given.lost_on_builtin();
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert_eq!((lost[0].place.as_deref(), lost[0].below), (None, 1));
    }

    #[test]
    fn lines_of_daemons_that_do_not_run_are_told_once() {
        let conf = "frr defaults traditional\nrouter bgp 1\n neighbor 192.0.2.1 remote-as 2\n neighbor 192.0.2.1 bfd\nexit\nrouter ospf\n network 10.0.0.0/8 area 0\ninterface e\n ip ospf cost 1\n ip address 10.0.0.1/24\n";
        let given = given("binds = [\"r.conf:/etc/frr/frr.conf\"]", &[("r.conf", conf)]);
        let idle: Vec<_> = given
            .idle()
            .iter()
            .map(|idle| (idle.daemon, idle.line, idle.count))
            .collect();
        assert_eq!(idle, [("bgpd", 2, 3), ("ospfd", 6, 3)]);
        assert_eq!(given.lost_on_builtin(), []);
    }
}
