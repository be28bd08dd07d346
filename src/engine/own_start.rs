//! What a router is configured with that starts FRR by its own commands, as one of a container's image does: the files that are
//! put in the place of FRR's, and what its commands type into vtysh.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use commands::Commands;

use super::frr;
use crate::bgp::config::{Config, Diagnostic, Reader};
use crate::lab::daemons;
use crate::lab::model::{Command, Node};

mod commands;

const CONFIGURATION: &str = "/etc/frr/frr.conf";
const DAEMONS: &str = "/etc/frr/daemons";

/// A text and where it comes from, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Where it is.
    pub place: Place,
    /// What is in it.
    pub text: String,
}

/// Where a text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file of the host's, or what stands for one.
    File(String),
    /// A command, by its line in the lab file.
    Command(usize),
}

/// A line of the configuration that a command types into vtysh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// The command's line in the lab file.
    pub line: usize,
    /// What is typed.
    pub text: String,
    /// Whether vtysh says nothing of an error in it by its status: it reads it from its input.
    pub is_silent: bool,
}

/// What a router will be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// What FRR will read at its start: its file, or without one those of its daemons.
    pub config: Vec<Text>,
    /// The daemons that will run beside zebra and staticd.
    pub daemons: BTreeSet<&'static str>,
    /// Lines of the configuration that commands type.
    pub typed: Vec<Typed>,
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
    /// The error in it.
    pub diagnostic: Diagnostic,
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
    let nothing = |_: &Path| None;
    let mut found = Commands::of(&[], &[], BTreeMap::new(), &nothing);
    found.enabled.clear();
    for command in commands {
        found.take(command, 0);
    }
    found.enabled.contains("bgpd")
}

/// Finds out what a node will be given; `read` has the texts of the host's files.
pub fn of(node: &Node, read: &dyn Fn(&Path) -> Option<String>) -> Given {
    let mut env = node.env.clone();
    let hostname = node.hostname.as_ref().unwrap_or(&node.name);
    env.entry("HOSTNAME".to_owned())
        .or_insert_with(|| hostname.clone());
    let mut commands = Commands::of(&node.binds, &node.files, env, read);
    for exec in &node.exec {
        commands.take(&exec.command, exec.line);
    }
    // Of these the lab file's line is not known; what is wrong in them is told for the first.
    for process in &node.run {
        commands.take(&process.command, 1);
    }
    Given {
        config: configuration(&commands),
        daemons: commands.enabled,
        typed: commands.typed,
    }
}

fn configuration(commands: &Commands) -> Vec<Text> {
    if let Some(text) = commands.file(CONFIGURATION) {
        return vec![text];
    }
    // A node has the file, unless the whole directory is another.
    let directory = Path::new(CONFIGURATION).parent();
    match commands.is_bound(directory.unwrap_or(Path::new("/"))) {
        true => daemons::own_files()
            .filter_map(|path| commands.file(&path))
            .collect(),
        false => Vec::new(),
    }
}

/// A line with its place, and the daemon it is for.
struct Line<'g> {
    place: Option<&'g str>,
    number: usize,
    text: &'g str,
    daemon: Option<&'static str>,
    is_typed: bool,
}

impl Given {
    fn all(&self) -> Vec<Line<'_>> {
        let of_file = self.config.iter().flat_map(|config| {
            let lines = config.text.lines().enumerate();
            lines.map(|(at, text)| match &config.place {
                Place::File(path) => (Some(path.as_str()), at + 1, text, false),
                Place::Command(line) => (None, *line, text, false),
            })
        });
        let typed = self.typed.iter();
        let typed = typed.map(|typed| (None, typed.line, typed.text.as_str(), true));
        let mut block: Option<&'static str> = None;
        let mut found = Vec::new();
        for (place, number, text, is_typed) in of_file.chain(typed) {
            let bare = text.trim();
            let own = frr::daemon_of(bare);
            // What is typed has no indentation; only another block ends one there.
            let is_inner = text.starts_with([' ', '\t']) || is_typed;
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
                is_typed,
            });
        }
        found
    }

    /// What commands type that vtysh says nothing of where it is wrong, as a text of its own, and for each of its lines the
    /// command's.
    pub fn silent(&self) -> (String, Vec<usize>) {
        let silent = self.typed.iter().filter(|typed| typed.is_silent);
        silent.fold((String::new(), Vec::new()), |(mut text, mut lines), typed| {
            text.push_str(&typed.text);
            text.push('\n');
            lines.push(typed.line);
            (text, lines)
        })
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
            if line.is_typed && !typing {
                typing = true;
                reader = Reader::default();
            }
            let passed_over = reader.passes_over();
            match reader.take(&mut config, line.text) {
                Err(diagnostic) => lost.push(Lost {
                    place: line.place.map(str::to_owned),
                    line: line.number,
                    text: line.text.to_owned(),
                    diagnostic,
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
        let typed: Vec<&str> = given.typed.iter().map(|typed| typed.text.as_str()).collect();
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
    fn lines_in_here_documents_are_judged() {
        let text = "router bgp 1\n neighbor 192.0.2.1 remote-as 2\n nonsense\nrouter ospf\n";
        let on = "sed -i 's/bgpd=no/bgpd=yes/; s/ospfd=no/ospfd=yes/' /etc/frr/daemons\n";
        let typed = format!("conf t\n{text}end\nwrite\n");
        for script in [
            format!("vtysh <<EOF\n{typed}EOF\n"),
            format!("vtysh <<'E O'\n{typed}E O\nvtysh -c 'show version'"),
            format!(
                "cat <<-X | vtysh -d bgpd\n\t{}X\n",
                typed.replace('\n', "\n\t").trim_end_matches('\t')
            ),
            format!("bash -c 'vtysh <<EOF\n{typed}EOF'"),
            format!("vtysh -c \"{typed}\""),
            format!("printf '{}' | vtysh", typed.replace('\n', "\\n")),
            format!("echo -e \"{}\" > /x; vtysh < /x", typed.replace('\n', "\\n")),
            format!("cat > /x <<EOF\n{text}EOF\nvtysh -f /x"),
            format!("cat > /etc/frr/frr.conf <<EOF\n{text}EOF\n/usr/lib/frr/frrinit.sh start"),
            format!("tee /etc/frr/frr.conf <<EOF >/dev/null\n{text}EOF"),
            format!("cat > /x <<EOF\n{text}EOF\ncp /x /etc/frr/frr.conf"),
            "cp /y/frr.conf /etc/frr/".to_owned(),
            format!("echo '{text}' >> /etc/frr/frr.conf"),
        ] {
            let script = serde_json::to_string(&format!("{on}{script}")).unwrap();
            let node = format!("binds = [\"c:/y/frr.conf\"]\nexec = [{{ shell = {script} }}]");
            let given = given(&node, &[("c", text)]);
            let lost = given.lost_on_builtin();
            let texts: Vec<&str> = lost.iter().map(|lost| lost.text.trim()).collect();
            assert_eq!(texts, ["nonsense", "router ospf"], "{script}");
            let from_file = lost[0].place.is_some();
            assert_eq!(from_file, script.contains("/y/frr.conf"), "{script}");
            assert_eq!(given.idle(), [], "{script}");
        }
    }

    #[test]
    fn what_cannot_be_known_is_not_judged() {
        for script in [
            "vtysh <<EOF\nconf t\nrouter $PROTOCOL\nEOF\n",
            "vtysh -c 'conf t' -c \"router $(cat /x)\"",
            "cat > /etc/frr/frr.conf <<EOF\n$(nonsense)\nEOF",
            "curl x | vtysh",
            "nonsense > /etc/frr/frr.conf",
            "cat <<EOF\nconf t\nnonsense\nEOF\n",
        ] {
            let script = serde_json::to_string(script).unwrap();
            let given = given(&format!("exec = [{{ shell = {script} }}]"), &[]);
            assert_eq!(given.lost_on_builtin(), [], "{script}");
        }
    }

    #[test]
    fn daemons_are_turned_on_by_a_file_that_is_written() {
        for (script, enabled) in [
            (
                "cat > /etc/frr/daemons <<EOF\nbgpd=yes\nospfd=no\nEOF",
                &["bgpd"][..],
            ),
            ("echo ospfd=yes >> /etc/frr/daemons", &["ospfd"]),
            (
                "sed -i s/bgpd=no/bgpd=yes/ /etc/frr/daemons; echo 'bgpd=no' >> /etc/frr/daemons; echo 'ripd=\"yes\"' >> /etc/frr/daemons",
                &["ripd"],
            ),
            ("cp /y /etc/frr/daemons", &["isisd"]),
        ] {
            let script = serde_json::to_string(script).unwrap();
            let given = given(
                &format!("binds = [\"d:/y\"]\nexec = [{{ shell = {script} }}]"),
                &[("d", "isisd=yes\n")],
            );
            let found: Vec<_> = given.daemons.iter().copied().collect();
            assert_eq!(found, enabled, "{script}");
        }
    }

    #[test]
    fn what_vtysh_reads_is_silent() {
        let script = "vtysh <<EOF\nconf t\nrouter bgp 1\nexit\nend\nshow run\nEOF\nvtysh -c 'conf t' -c 'router bgp 2'";
        let script = serde_json::to_string(script).unwrap();
        let given = given(&format!("exec = [{{ shell = {script} }}]"), &[]);
        let (text, lines) = given.silent();
        assert_eq!(text, "router bgp 1\nexit\n");
        assert_eq!(lines.len(), 2);
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
