//! What containerlab says about a node, in the node itself or in what it inherits from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{extras, life};
use crate::image::config::Healthcheck;
use crate::image::source::Pull;
use crate::import::reader::{Reader, Table};
use crate::import::yaml::{Value, Yaml};
use crate::lab::file::reader::Wrong;
use crate::lab::file::rights::capability;
use crate::lab::file::{BindSpec, MountSpec, Span, Spanned, WaitSpec, mounts, values};
use crate::lab::model::{PublishedPort, Restart};
use crate::lab::rights::USUAL;

/// Keys that are right in a definition and change nothing here: images are not pulled or run, nodes have every
/// device that is harmless, and what containerlab draws or publishes is its own.
const WITHOUT_EFFECT: &[&str] = &[
    "position",
    "auto-remove",
    "runtime",
    "cpu-set",
    "pid-mode",
    "cgroupns-mode",
    "cgroup-parent",
    "security-opts",
    "link-apply-mode",
    "certificate",
    "publish",
    "config",
    "enforce-startup-config",
    "suppress-startup-config",
    "credentials",
    "components",
    "sfm",
    "config-mode",
    "gen-component-config",
];
const RESTARTS: &[(&str, Restart)] = &[
    ("no", Restart::No),
    ("on-failure", Restart::OnFailure),
    ("always", Restart::Always),
    ("unless-stopped", Restart::Always),
];

/// A definition as written, or several put over each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Definition {
    pub kind: Option<Spanned<String>>,
    pub group: Option<Spanned<String>>,
    pub image: Option<Spanned<String>>,
    pub hostname: Option<Spanned<String>>,
    pub aliases: Option<Vec<Spanned<String>>>,
    /// Those of FRR's daemons that run, of `extras.frr.daemons`.
    pub daemons: Option<Vec<Spanned<String>>>,
    /// Directories that are not of its root: `volumes`, `tmpfs`, binds without a source.
    pub mounts: Vec<MountSpec>,
    pub entrypoint: Option<Spanned<Vec<String>>>,
    pub cmd: Option<Spanned<Vec<String>>>,
    pub restart: Option<Restart>,
    pub user: Option<Spanned<String>>,
    /// Commands of stages before the last, then those of `exec`.
    pub early: Vec<Spanned<Vec<String>>>,
    pub exec: Vec<Spanned<Vec<String>>>,
    /// Those of `exec` that are not inherited.
    pub own_exec: Vec<Spanned<Vec<String>>>,
    pub env: BTreeMap<String, Spanned<String>>,
    pub env_files: Vec<Spanned<String>>,
    pub binds: Vec<BindSpec>,
    pub labels: BTreeMap<String, Spanned<String>>,
    pub sysctls: BTreeMap<String, Spanned<String>>,
    pub network_mode: Option<Spanned<String>>,
    pub ports: Option<Vec<Spanned<PublishedPort>>>,
    pub dns: Option<Spanned<String>>,
    pub mgmt_ipv4: Option<Spanned<std::net::Ipv4Addr>>,
    pub mgmt_ipv6: Option<Spanned<std::net::Ipv6Addr>>,
    pub startup_config: Option<Spanned<String>>,
    pub license: Option<Spanned<String>>,
    /// `type`: the model of what is in the image.
    pub model: Option<Spanned<String>>,
    pub pull: Option<Spanned<Pull>>,
    /// What is mounted on /dev/shm.
    pub shm: Option<MountSpec>,
    /// Keys that are given and mean something to images alone.
    pub of_images: BTreeSet<&'static str>,
    pub startup_delay: Option<Spanned<Duration>>,
    pub wait_for: Vec<Spanned<WaitSpec>>,
    pub healthcheck: Option<Spanned<Healthcheck>>,
    pub cpu: Option<Spanned<f64>>,
    pub memory: Option<Spanned<u64>>,
    pub privileged: Option<Spanned<bool>>,
    pub capabilities: Option<Spanned<Vec<Spanned<String>>>>,
}

/// Reads a definition; `what` names it in messages.
pub(super) fn read(reader: &mut Reader, yaml: &Yaml, key: &str, what: String) -> Definition {
    let Some(mut table) = reader.table(yaml, key, what) else {
        // That has been told; that it has neither kind nor image follows.
        let stand_in = |text: &str| Some(Spanned::new(text.to_owned(), yaml.span.clone()));
        return Definition {
            kind: stand_in("linux"),
            image: stand_in("alpine"),
            ..Definition::default()
        };
    };
    let mut definition = Definition::default();
    identity(reader, &mut table, &mut definition);
    network(reader, &mut table, &mut definition);
    content(reader, &mut table, &mut definition);
    rights(reader, &mut table, &mut definition);
    life::read(reader, &mut table, &mut definition);
    of_images(reader, &mut table, &mut definition);
    table.ignore(WITHOUT_EFFECT, reader);
    table.finish(reader);
    definition
}

fn identity(reader: &mut Reader, table: &mut Table, definition: &mut Definition) {
    let string = |reader: &mut Reader, table: &mut Table, key: &'static str, example: &str| {
        table.get(key).and_then(|yaml| reader.string(yaml, key, example))
    };
    // What was given and could not be read has been told; without it the node would seem to lack it.
    let needed = |reader: &mut Reader, table: &mut Table, key: &'static str, stand_in: &str| {
        let yaml = table.get(key)?;
        let read = reader.string(yaml, key, stand_in);
        Some(read.unwrap_or_else(|| Spanned::new(stand_in.to_owned(), yaml.span.clone())))
    };
    definition.kind = needed(reader, table, "kind", "linux");
    definition.image = needed(reader, table, "image", "alpine");
    definition.group = string(reader, table, "group", "leaf");
    definition.hostname = table
        .get("hostname")
        .and_then(|yaml| reader.parsed(yaml, "hostname", "web", values::hostname));
    definition.aliases = table.get("aliases").and_then(|yaml| {
        reader.list(yaml, "aliases", "web", |reader, yaml| {
            reader.parsed(yaml, "aliases", "web", values::hostname)
        })
    });
    definition.daemons = table.get("extras").and_then(|yaml| extras::daemons(reader, yaml));
    definition.user = table
        .get("user")
        .filter(said)
        .and_then(|yaml| reader.parsed(yaml, "user", "nobody", values::user_and_group));
    definition.entrypoint = table
        .get("entrypoint")
        .filter(said)
        .and_then(|yaml| argv(reader, yaml, "entrypoint"));
    definition.cmd = table
        .get("cmd")
        .filter(said)
        .and_then(|yaml| argv(reader, yaml, "cmd"));
    let restart = table.get("restart-policy");
    definition.restart = restart
        .and_then(|yaml| reader.word(yaml, "restart-policy", RESTARTS))
        .map(|restart| restart.value);
}

const PULLS: &[(&str, Pull)] = &[
    ("IfNotPresent", Pull::Missing),
    ("Always", Pull::Always),
    ("Never", Pull::Never),
    ("ifnotpresent", Pull::Missing),
    ("always", Pull::Always),
    ("never", Pull::Never),
];

/// Whether something is said: an empty text is as good as none.
fn said(yaml: &&Yaml) -> bool {
    yaml.scalar() != Some("")
}

/// What means something to images alone.
fn of_images(reader: &mut Reader, table: &mut Table, definition: &mut Definition) {
    for key in ["license", "type", "image-pull-policy", "shm-size", "devices"] {
        if table.get(key).filter(said).is_some() {
            definition.of_images.insert(key);
        }
    }
    definition.license = table
        .get("license")
        .filter(said)
        .and_then(|yaml| reader.string(yaml, "license", "license.key"));
    definition.model = table
        .get("type")
        .filter(said)
        .and_then(|yaml| reader.string(yaml, "type", "ixr-d2l"));
    definition.pull = table
        .get("image-pull-policy")
        .and_then(|yaml| reader.word(yaml, "image-pull-policy", PULLS));
    definition.shm = table.get("shm-size").and_then(|yaml| {
        let read = reader.parsed(yaml, "shm-size", "256MB", |text| {
            let bytes = values::memory(&life::units(text))?;
            mounts::tmpfs(&format!("/dev/shm:size={bytes},mode=1777"))
        })?;
        Some(mounts::spec(read))
    });
}

/// Docker's word for all capabilities.
const ALL: &str = "ALL";

fn rights(reader: &mut Reader, table: &mut Table, definition: &mut Definition) {
    definition.privileged = table
        .get("privileged")
        .and_then(|yaml| reader.boolean(yaml, "privileged"));
    let Some(yaml) = table.get("cap-add") else { return };
    let listed = reader.list(yaml, "cap-add", "NET_ADMIN", |reader, yaml| {
        reader.parsed(yaml, "cap-add", "NET_ADMIN", |text| match text {
            ALL => Ok(ALL.to_owned()),
            name => capability(name),
        })
    });
    let Some(mut listed) = listed else { return };
    if listed.iter().any(|it| it.value == ALL) {
        definition.privileged = Some(Spanned::new(true, yaml.span.clone()));
        listed.clear();
    }
    listed.retain(|it| !USUAL.contains(&it.value.as_str()));
    definition.capabilities = Some(Spanned::new(listed, yaml.span.clone()));
}

fn network(reader: &mut Reader, table: &mut Table, definition: &mut Definition) {
    definition.network_mode = table
        .get("network-mode")
        .and_then(|yaml| reader.string(yaml, "network-mode", "container:web"));
    definition.mgmt_ipv4 = table
        .either("mgmt-ipv4", "mgmt_ipv4")
        .and_then(|yaml| reader.parsed(yaml, "mgmt-ipv4", "172.20.20.11", values::ipv4));
    definition.mgmt_ipv6 = table
        .either("mgmt-ipv6", "mgmt_ipv6")
        .and_then(|yaml| reader.parsed(yaml, "mgmt-ipv6", "3fff:172:20:20::11", values::ipv6));
    definition.ports = table.get("ports").and_then(|yaml| {
        reader.list(yaml, "ports", "8080:80", |reader, yaml| {
            reader.parsed(yaml, "ports", "8080:80", port)
        })
    });
    if let Some(yaml) = table.get("sysctls") {
        for (name, value) in reader.map(yaml, "sysctls", "sysctls: { net.ipv4.tcp_ecn: 1 }") {
            match values::sysctl(&name.name) {
                Ok(canonical) => {
                    if let Some(value) = reader.string(value, &name.name, "1") {
                        let value = Spanned::new(value.value, name.span.clone());
                        definition.sysctls.insert(canonical, value);
                    }
                }
                Err(wrong) => reader.wrong(name.span.clone(), wrong.message, wrong.help),
            }
        }
    }
    definition.dns = table.get("dns").and_then(|yaml| dns(reader, yaml));
}

fn content(reader: &mut Reader, table: &mut Table, definition: &mut Definition) {
    if let Some(yaml) = table.get("env") {
        definition.env = strings(reader, yaml, "env", "env: { MODE: lab }", values::env_name);
    }
    if let Some(yaml) = table.get("labels") {
        definition.labels = strings(reader, yaml, "labels", "labels: { rack: a }", values::label_name);
    }
    let files = table.get("env-files");
    definition.env_files = files
        .and_then(|yaml| reader.strings(yaml, "env-files", "node.env"))
        .unwrap_or_default();
    if let Some(yaml) = table.get("binds") {
        binds(reader, yaml, definition);
    }
    bound_twice(reader, &definition.binds);
    for (key, form) in [
        ("volumes", mounts::volume as mounts::Form),
        ("tmpfs", mounts::tmpfs),
    ] {
        let mounts = table.get(key).map(|yaml| extras::mounts(reader, yaml, key, form));
        definition.mounts.extend(mounts.into_iter().flatten());
    }
    reader.diagnostics.extend(mounts::diagnostics(&definition.mounts));
    definition.startup_config = table
        .get("startup-config")
        .filter(said)
        .and_then(|yaml| reader.string(yaml, "startup-config", "frr.conf"));
}

/// Binds; one that names no source is a directory of the node's own.
fn binds(reader: &mut Reader, yaml: &Yaml, definition: &mut Definition) {
    let read = reader.list(yaml, "binds", "data:/data:ro", |reader, yaml| {
        if yaml.scalar().is_some_and(|text| !text.contains(':')) {
            let volume = reader.parsed(yaml, "binds", "/data", |text| match text.starts_with('/') {
                true => mounts::volume(text),
                false => Err(bind(text)
                    .err()
                    .unwrap_or_else(|| Wrong::new("it names no path", ""))),
            });
            definition.mounts.extend(volume.map(mounts::spec));
            return None;
        }
        let bind = reader.parsed(yaml, "binds", "data:/data:ro", bind)?;
        Some(BindSpec {
            source: Spanned::new(bind.value.0, bind.span),
            target: bind.value.1,
            read_only: bind.value.2,
        })
    });
    definition.binds = read.unwrap_or_default();
}

/// A mapping of scalars whose names have a form of their own.
fn strings(
    reader: &mut Reader,
    yaml: &Yaml,
    key: &str,
    example: &str,
    name_form: impl Fn(&str) -> Result<(), Wrong>,
) -> BTreeMap<String, Spanned<String>> {
    let mut strings = BTreeMap::new();
    for (name, value) in reader.map(yaml, key, example) {
        if let Err(wrong) = name_form(&name.name) {
            reader.wrong(name.span.clone(), wrong.message, wrong.help);
            continue;
        }
        let text = match value.value {
            Value::Null => Some(Spanned::new(String::new(), name.span.clone())),
            _ => reader.string(value, &name.name, "1"),
        };
        if let Some(text) = text {
            strings.insert(name.name.to_string(), text);
        }
    }
    strings
}

/// A command, split into words as a shell would; a list is its words already.
pub(super) fn argv(reader: &mut Reader, yaml: &Yaml, key: &str) -> Option<Spanned<Vec<String>>> {
    if yaml.items().is_some() {
        let words = reader.strings(yaml, key, "bash")?;
        let words = words.into_iter().map(|word| word.value).collect();
        return Some(Spanned::new(words, yaml.span.clone()));
    }
    reader.parsed(yaml, key, "ip link set eth1 up", |text| {
        let help = "close it, or put a backslash before it";
        let words =
            shell_words::split(text).map_err(|_| Wrong::new("a quote is opened and not closed", help))?;
        match words.first().is_none_or(String::is_empty) {
            true => Err(Wrong::new(
                "the command is empty",
                "write a command, or remove it",
            )),
            false => Ok(words),
        }
    })
}

/// `[ADDRESS:]HOSTPORT:PORT[/tcp]`; as with Docker, every address of the host where none is given.
fn port(text: &str) -> Result<PublishedPort, Wrong> {
    match text.matches(':').count() != 1 {
        true => values::published_port(text),
        false => values::published_port(&format!("0.0.0.0:{text}")).map_err(|wrong| Wrong {
            message: wrong.message.replace("0.0.0.0:", ""),
            ..wrong
        }),
    }
}

/// Source, target, whether it may only be read.
fn bind(text: &str) -> Result<(String, String, bool), Wrong> {
    let mut parts = text.split(':');
    let (Some(source), Some(target)) = (parts.next().filter(|part| !part.is_empty()), parts.next()) else {
        let help = "a bind is a host path and a path in the node: `data:/data`, or `data:/data:ro`";
        return Err(Wrong::new(
            format!("`{}` is not a bind", text.escape_debug()),
            help,
        ));
    };
    let mut read_only = false;
    for option in parts.flat_map(|options| options.split(',')) {
        match option {
            "ro" => read_only = true,
            // Labels of SELinux and propagation mean nothing to a node.
            "rw" | "z" | "Z" | "shared" | "slave" | "private" | "rshared" | "rslave" | "rprivate" => {}
            option => {
                let message = format!("a bind has no option `{}`", option.escape_debug());
                return Err(Wrong::new(message, "use `ro`, or leave it out"));
            }
        }
    }
    let target = values::node_path(target)?;
    Ok((source.into(), target.trim_end_matches('/').to_owned(), read_only))
}

/// The text of /etc/resolv.conf.
fn dns(reader: &mut Reader, yaml: &Yaml) -> Option<Spanned<String>> {
    let mut table = reader.table(yaml, "dns", "`dns`")?;
    let mut text = String::new();
    if let Some(yaml) = table.get("servers") {
        let servers = reader.list(yaml, "servers", "192.0.2.53", |reader, yaml| {
            reader.parsed(yaml, "servers", "192.0.2.53", values::ip)
        });
        for server in servers.into_iter().flatten() {
            text.push_str(&format!("nameserver {}\n", server.value));
        }
    }
    for (key, word, example) in [
        ("search", "search", "example.com"),
        ("options", "options", "ndots:1"),
    ] {
        let Some(yaml) = table.get(key) else { continue };
        let words = reader.list(yaml, key, example, |reader, yaml| {
            reader.parsed(yaml, key, example, plain_word)
        });
        let words: Vec<_> = words.into_iter().flatten().map(|word| word.value).collect();
        if !words.is_empty() {
            text.push_str(&format!("{word} {}\n", words.join(" ")));
        }
    }
    table.finish(reader);
    Some(Spanned::new(text, yaml.span.clone()))
}

fn plain_word(text: &str) -> Result<String, Wrong> {
    let good = !text.is_empty()
        && text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"_.-:".contains(&c));
    match good {
        true => Ok(text.into()),
        false => Err(Wrong::new(
            format!("`{}` cannot stand in resolv.conf", text.escape_debug()),
            "use letters, digits, `.`, `_`, `-` and `:`",
        )),
    }
}

impl Definition {
    /// Puts another over this one: single values replace, mappings merge, binds merge by destination, capabilities add
    /// up, commands and environment files follow each other.
    pub fn overlay(&mut self, over: &Definition) {
        one(&mut self.kind, &over.kind);
        one(&mut self.group, &over.group);
        one(&mut self.image, &over.image);
        one(&mut self.hostname, &over.hostname);
        one(&mut self.aliases, &over.aliases);
        one(&mut self.daemons, &over.daemons);
        for mount in &over.mounts {
            self.mounts
                .retain(|inherited| inherited.target.value != mount.target.value);
            self.mounts.push(mount.clone());
        }
        one(&mut self.entrypoint, &over.entrypoint);
        one(&mut self.cmd, &over.cmd);
        one(&mut self.restart, &over.restart);
        one(&mut self.user, &over.user);
        one(&mut self.network_mode, &over.network_mode);
        one(&mut self.ports, &over.ports);
        one(&mut self.dns, &over.dns);
        one(&mut self.mgmt_ipv4, &over.mgmt_ipv4);
        one(&mut self.mgmt_ipv6, &over.mgmt_ipv6);
        one(&mut self.startup_config, &over.startup_config);
        one(&mut self.startup_delay, &over.startup_delay);
        one(&mut self.license, &over.license);
        one(&mut self.model, &over.model);
        one(&mut self.pull, &over.pull);
        one(&mut self.shm, &over.shm);
        self.of_images.extend(&over.of_images);
        one(&mut self.healthcheck, &over.healthcheck);
        one(&mut self.cpu, &over.cpu);
        one(&mut self.memory, &over.memory);
        one(&mut self.privileged, &over.privileged);
        join(&mut self.capabilities, over.capabilities.as_ref());
        for (base, over) in [
            (&mut self.env, &over.env),
            (&mut self.labels, &over.labels),
            (&mut self.sysctls, &over.sysctls),
        ] {
            base.extend(over.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        self.binds
            .retain(|bind| over.binds.iter().all(|other| other.target != bind.target));
        self.binds.extend_from_slice(&over.binds);
        self.env_files.extend_from_slice(&over.env_files);
        self.early.extend_from_slice(&over.early);
        self.exec.extend_from_slice(&over.exec);
        self.wait_for.extend_from_slice(&over.wait_for);
    }
}

fn one<T: Clone>(base: &mut Option<T>, over: &Option<T>) {
    if over.is_some() {
        base.clone_from(over);
    }
}

/// Adds what a list does not have yet.
fn join(base: &mut Option<Spanned<Vec<Spanned<String>>>>, over: Option<&Spanned<Vec<Spanned<String>>>>) {
    let Some(over) = over else { return };
    let base = base.get_or_insert_with(|| Spanned::new(Vec::new(), over.span.clone()));
    for name in &over.value {
        if base.value.iter().all(|known| known.value != name.value) {
            base.value.push(name.clone());
        }
    }
}

/// Binds of one list that have one destination.
fn bound_twice(reader: &mut Reader, binds: &[BindSpec]) {
    let mut seen: BTreeMap<&str, &Span> = BTreeMap::new();
    for bind in binds {
        if let Some(first) = seen.insert(&bind.target, &bind.source.span) {
            let message = format!("two binds have the destination `{}`", bind.target);
            reader.diagnostics.push(
                crate::lab::Diagnostic::new(message, bind.source.span.clone(), "again here")
                    .and(first.clone(), "first here")
                    .help("remove one, or give it another destination"),
            );
        }
    }
}
