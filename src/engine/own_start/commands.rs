//! What a node's commands do to the configuration of its FRR, as far as it can be said without running them: files that they write,
//! lines that they type, daemons that they turn on.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{DAEMONS, Place, Text, Typed};
use crate::lab::daemons;
use crate::lab::model::{Bind, Command, Content, File};
use crate::lab::shell::{self, Input, Simple};

/// What stands in lines that change [`DAEMONS`].
const DAEMONS_FILE: &str = "frr/daemons";
/// A shell that a shell's line starts is looked into, but not for ever.
const DEEPEST: usize = 4;
/// Files are not read that are longer, in bytes: no configuration is.
const LONGEST: usize = 4 << 20;
/// Nor more bytes of all texts of a node together.
const MOST: usize = 32 << 20;

/// What commands do, one after the other.
pub(super) struct Commands<'n> {
    binds: &'n [Bind],
    files: &'n [File],
    env: BTreeMap<String, String>,
    read: &'n dyn Fn(&Path) -> Option<String>,
    /// What commands have written, by its path; nothing where that cannot be known.
    written: BTreeMap<String, Option<Text>>,
    /// The daemons that will run.
    pub enabled: BTreeSet<&'static str>,
    /// What is typed.
    pub typed: Vec<Typed>,
    /// Bytes of texts that are still looked at; what comes later is not known.
    left: Cell<usize>,
}

impl<'n> Commands<'n> {
    /// Before the first command.
    pub fn of(
        binds: &'n [Bind],
        files: &'n [File],
        env: BTreeMap<String, String>,
        read: &'n dyn Fn(&Path) -> Option<String>,
    ) -> Commands<'n> {
        let mut commands = Commands {
            binds,
            files,
            env,
            read,
            written: BTreeMap::new(),
            enabled: BTreeSet::new(),
            typed: Vec::new(),
            left: Cell::new(MOST),
        };
        let file = commands.file(DAEMONS);
        let file = file.map_or_else(|| daemons::file(&[]), |found| found.text);
        commands.enabled = daemons::enabled(&file);
        commands
    }

    /// Whether a directory is one of the host's.
    pub fn is_bound(&self, directory: &Path) -> bool {
        self.binds.iter().any(|bind| Path::new(&bind.target) == directory)
    }

    /// The next command, which stands in this line of the lab file.
    pub fn take(&mut self, command: &Command, line: usize) {
        self.argv(command.argv(), line, DEEPEST);
    }

    fn argv(&mut self, argv: Vec<String>, line: usize, depth: usize) {
        match script(&argv).filter(|_| depth > 0) {
            Some(script) => self.script(script, line, depth - 1),
            None => {
                let words = argv;
                let program = Simple {
                    words,
                    ..Simple::default()
                };
                self.program(&program, None, line);
            }
        }
    }

    fn script(&mut self, script: &str, line: usize, depth: usize) {
        let mut printed = None;
        for program in shell::programs(script, &self.env) {
            if self::script(&program.words).is_some() && !program.is_open {
                self.argv(program.words, line, depth);
                printed = None;
                continue;
            }
            printed = self.program(&program, printed.take(), line);
        }
    }

    /// A program, and what the one before it has printed. Returns what it prints itself, where that is known.
    fn program(&mut self, program: &Simple, before: Option<String>, line: usize) -> Option<String> {
        switch(&program.words, &mut self.enabled);
        let input = match &program.input {
            Input::Text(text) => Some(text.clone()),
            Input::File(path) => self.file(path).map(|file| file.text),
            Input::Pipe => before,
            Input::Inherited | Input::Unknown => None,
        };
        let name = program.words.first().map_or("", |word| name(word));
        let words = program.words.get(1..).unwrap_or_default();
        let printed = match name {
            "echo" if !program.is_open => Some(echo(words)),
            "printf" if !program.is_open => printf(words),
            "cat" => self.cat(words, input.as_deref()),
            "tee" => input.clone(),
            _ => None,
        };
        let printed = printed.filter(|printed| self.afford(printed.len()));
        match name {
            "tee" => {
                let appends = words.iter().any(|word| word == "-a" || word == "--append");
                for path in words.iter().filter(|word| !word.starts_with('-')) {
                    self.write(path, printed.clone(), appends, line);
                }
            }
            "cp" | "mv" | "install" => self.copy(words),
            "vtysh" if !program.is_open => self.vtysh(words, input.as_deref(), line),
            _ => {
                // Behind another program: `timeout 5 vtysh …`.
                let at = words.iter().position(|word| self::name(word) == "vtysh");
                if let Some(words) = at.filter(|_| !program.is_open).map(|at| &words[at + 1..]) {
                    self.vtysh(words, None, line);
                }
            }
        }
        match &program.output {
            Some((path, appends)) => {
                self.write(path, printed, *appends, line);
                None
            }
            None => printed,
        }
    }

    fn cat(&self, words: &[String], input: Option<&str>) -> Option<String> {
        let mut paths = words
            .iter()
            .filter(|word| !word.starts_with('-') || *word == "-")
            .peekable();
        if paths.peek().is_none() {
            return input.map(str::to_owned);
        }
        paths.try_fold(String::new(), |text, path| {
            let more = match path.as_str() {
                "-" => input.map(str::to_owned),
                path => self.file(path).map(|file| file.text),
            };
            Some(text + &more?).filter(|text| text.len() <= LONGEST)
        })
    }

    fn copy(&mut self, words: &[String]) {
        let plain: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
        let [.., from, to] = plain.as_slice() else { return };
        let file = self.file(from);
        let is_into = to.ends_with('/') || to.trim_end_matches('/') == "/etc/frr";
        let to = match is_into {
            true => format!("{}/{}", to.trim_end_matches('/'), name(from)),
            false => (*to).clone(),
        };
        if to == DAEMONS
            && let Some(file) = &file
        {
            self.enabled = daemons::enabled(&file.text);
        }
        self.written.insert(to, file);
    }

    fn write(&mut self, path: &str, text: Option<String>, appends: bool, line: usize) {
        if path.ends_with(DAEMONS_FILE)
            && let Some(text) = &text
        {
            if !appends {
                self.enabled.clear();
            }
            let says = |text: &str, daemon: &str| daemons::enabled(text).contains(daemon);
            for daemon in daemons::OPTIONAL {
                if says(text, daemon) {
                    self.enabled.insert(daemon);
                } else if !says(&format!("{daemon}=yes\n{text}"), daemon) {
                    self.enabled.remove(daemon);
                }
            }
        }
        // Taken out, so that it need not be copied to grow.
        let before = match (appends, self.written.remove(path)) {
            (false, _) => None,
            (true, Some(written)) => Some(written),
            (true, None) => self.file(path).map(Some),
        };
        let written = match (text, before) {
            (Some(text), Some(Some(before))) => Some(Text {
                place: before.place,
                text: before.text + &text,
            }),
            (Some(text), None) => Some(Text {
                place: Place::Command(line),
                text,
            }),
            (None, _) | (_, Some(None)) => None,
        };
        let written = written.filter(|written| written.text.len() <= LONGEST);
        self.written.insert(path.to_owned(), written);
    }

    /// What stands at a path of the node's by now: by its binds and files, or by what was written there.
    pub fn file(&self, path: &str) -> Option<Text> {
        if let Some(written) = self.written.get(path) {
            let affords = |text: &&Text| self.afford(text.text.len());
            return written.as_ref().filter(affords).cloned();
        }
        let below = |root: &str| Path::new(path).strip_prefix(root).ok();
        let of_host = |source: &Path, rest: &Path| {
            let source = match rest.as_os_str().is_empty() {
                true => source.to_owned(),
                false => source.join(rest),
            };
            let text = (self.read)(&source).filter(|text| self.afford(text.len()))?;
            Some(Text {
                place: Place::File(shown(&source)),
                text,
            })
        };
        for bind in self.binds.iter().rev() {
            if let Some(rest) = below(&bind.target) {
                return of_host(&bind.source, rest);
            }
        }
        self.files.iter().rev().find_map(|file| {
            let rest = below(&file.path)?;
            match &file.content {
                Content::From(source) => of_host(source, rest),
                Content::Text(text) => Some(Text {
                    place: Place::File(path.to_owned()),
                    text: text.clone(),
                }),
            }
        })
    }

    /// What vtysh is told by its words, or else by its input.
    fn vtysh(&mut self, words: &[String], input: Option<&str>, line: usize) {
        let mut rest = words.iter();
        let mut configures = false;
        let mut is_told = false;
        while let Some(option) = rest.next().filter(|option| option.starts_with('-')) {
            let (option, inline) = match option.split_once('=') {
                Some((option, value)) if option.starts_with("--") => (option, Some(value)),
                _ if !option.starts_with("--") && option.is_char_boundary(2) && option.len() > 2 => {
                    let (option, value) = option.split_at(2);
                    (option, Some(value))
                }
                _ => (option.as_str(), None),
            };
            let mut value = || inline.map(str::to_owned).or_else(|| rest.next().cloned());
            match option {
                "-c" | "--command" => {
                    let Some(command) = value() else { break };
                    self.type_in(command.trim_end_matches(';'), &mut configures, false, line);
                    is_told = true;
                }
                "-f" | "--inputfile" => {
                    let file = value().and_then(|path| self.file(&path));
                    let text = file.map(|file| file.text).unwrap_or_default();
                    self.type_in(&text, &mut true, true, line);
                    is_told = true;
                }
                "-b" | "--boot" => is_told = true,
                "-d" | "--daemon" | "-N" | "--pathspace" | "--vty_socket" | "--config_dir" | "-u" => {
                    value();
                }
                _ => {}
            }
        }
        if let Some(input) = input.filter(|_| !is_told) {
            self.type_in(input, &mut configures, true, line);
        }
        self.push("end", false, line);
    }

    fn type_in(&mut self, text: &str, configures: &mut bool, is_silent: bool, line: usize) {
        if !self.afford(text.len()) {
            return;
        }
        for typed in text.lines() {
            match typed.trim() {
                "end" => *configures = false,
                typed if !*configures => *configures = typed.starts_with("conf"),
                typed if is_no_configuration(typed) => {}
                typed => self.push(typed, is_silent, line),
            }
        }
    }

    /// Whether so many bytes are still looked at.
    fn afford(&self, bytes: usize) -> bool {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    fn push(&mut self, text: &str, is_silent: bool, line: usize) {
        self.typed.push(Typed {
            line,
            text: text.to_owned(),
            is_silent,
        });
    }
}

fn name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or_default()
}

/// The line that a shell is started for.
fn script(argv: &[String]) -> Option<&str> {
    let [program, option, line, ..] = argv else {
        return None;
    };
    let is_shell = matches!(name(program), "sh" | "bash" | "ash" | "dash" | "zsh");
    (is_shell && option.starts_with('-') && option.contains('c')).then_some(line)
}

/// What echo(1) prints.
fn echo(words: &[String]) -> String {
    let is_option = |word: &&String| {
        word.len() > 1 && word.starts_with('-') && word[1..].bytes().all(|it| b"neE".contains(&it))
    };
    let options = words.iter().take_while(is_option).count();
    let (options, words) = words.split_at(options);
    let says = |letter: char| options.iter().any(|option| option.contains(letter));
    let text = words.join(" ");
    let text = if says('e') { unescaped(&text) } else { text };
    if says('n') { text } else { text + "\n" }
}

/// What printf(1) prints, where that is its first word alone.
fn printf(words: &[String]) -> Option<String> {
    match words {
        [format] if !format.contains('%') => Some(unescaped(format)),
        [format, text] if matches!(format.as_str(), "%s" | "%s\\n" | "%b" | "%b\\n") => {
            Some(unescaped(&format.replacen("%s", text, 1).replacen("%b", text, 1)))
        }
        _ => None,
    }
}

fn unescaped(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t")
}

/// A path as users write it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let short = path.strip_prefix(&here).unwrap_or(path);
    short.display().to_string()
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

/// Commands that may be typed in the configuration and are none of its lines.
fn is_no_configuration(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    matches!(first, "do" | "write" | "wr" | "copy" | "show" | "sh" | "list")
}
