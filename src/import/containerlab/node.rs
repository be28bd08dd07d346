//! From what is defined to a node of a lab.

use std::collections::BTreeMap;

use super::definition::Definition;
use super::magic::Magic;
use super::{container, image, kinds};
use crate::image::config::Test;
use crate::import::Context;
use crate::import::images::{self, Mode, Role};
use crate::import::reader::Reader;
use crate::lab::daemons;
use crate::lab::file::{ContentSpec, FileSpec, MgmtPortSpec, NodeSpec, Span, Spanned, values};
use crate::lab::model::{Command, Exec, Kind, Probe, Process, Restart};

/// Docker lets its containers forward; nslab's hosts do not unless they are told to.
pub(super) const FORWARDING: [&str; 2] = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];
/// What containerlab gives a node of kind `frr` that has no configuration.
const FRR_DEFAULT: &str = "frr defaults traditional\n!\nlog stdout\n!\n";
/// What a bridge is called in its own network.
const BRIDGE: &str = crate::lab::planner::BRIDGE;
/// The name of a container's main process, in `ps` and `logs`.
const MAIN: &str = "cmd";

/// A node of a kind that was refused.
pub(super) fn stand_in(name: &Spanned<String>) -> NodeSpec {
    NodeSpec {
        kind: Some(Spanned::new(Kind::Router, name.span.clone())),
        ..NodeSpec::default()
    }
}

/// A switch. Its own commands run in its network, where it is called [`BRIDGE`]; those that all nodes inherit are not meant for it.
pub(super) fn bridge(context: &mut Context, name: &Spanned<String>, merged: Definition) -> NodeSpec {
    if merged.exec.len() > merged.own_exec.len() {
        context.remarks.bridges.insert(name.value.clone());
    }
    let exec: Vec<Exec> = merged
        .own_exec
        .iter()
        .map(|command| {
            let words = command.value.iter();
            let words = words.map(|word| match *word == name.value {
                true => BRIDGE.to_owned(),
                false => word.clone(),
            });
            Exec {
                command: Command::Argv(words.collect()),
                may_fail: !context.options.strict,
                line: context.files.line(command.span.start).1,
            }
        })
        .collect();
    NodeSpec {
        kind: merged.kind.map(|kind| kind.map(|_| Kind::Bridge)),
        labels: merged.labels,
        exec: (!exec.is_empty()).then_some(exec),
        ..NodeSpec::default()
    }
}

/// A container of Linux.
pub(super) fn linux(
    context: &mut Context,
    name: &Spanned<String>,
    mut merged: Definition,
    containers: &mut Vec<(usize, Spanned<String>)>,
    at: usize,
) -> NodeSpec {
    if role_of_image(context, &merged).is_none() {
        return image::node(context, name, merged, None, containers, at);
    }
    prepare(context, name, &mut merged);
    let role = role(context, name, &merged);
    context
        .reader
        .ignored
        .extend(merged.of_images.iter().map(|key| (*key).to_owned()));
    let kind_span = merged
        .kind
        .as_ref()
        .map_or(name.span.clone(), |kind| kind.span.clone());
    let kind = if role == Role::Frr {
        Kind::Router
    } else {
        Kind::Host
    };
    let mut node = NodeSpec {
        kind: Some(Spanned::new(kind, kind_span)),
        env: environment(context, &merged),
        ..NodeSpec::default()
    };
    let own_network = network(&mut context.reader, name, &merged, &mut node, containers, at);
    if own_network && role == Role::Tools {
        for sysctl in FORWARDING {
            let one = Spanned::new("1".to_owned(), name.span.clone());
            node.sysctls.insert(sysctl.to_owned(), one);
        }
    }
    node.sysctls.extend(std::mem::take(&mut merged.sysctls));
    node.hostname = merged.hostname.clone();
    node.aliases = aliases(context, name, &merged);
    files(&mut context.reader, &merged, role, &mut node);
    commands(context, name, role, &merged, &mut node);
    node.labels = merged.labels;
    node.binds = merged.binds;
    node.mounts = merged.mounts;
    node.ports = merged.ports.filter(|ports| !ports.is_empty());
    node.wait_for = (!merged.wait_for.is_empty()).then_some(merged.wait_for);
    node.startup_delay = merged.startup_delay;
    node.cpu = merged.cpu;
    node.memory = merged.memory;
    node.privileged = merged.privileged.filter(|it| it.value);
    node.capabilities = merged
        .capabilities
        .map(|it| it.value)
        .filter(|capabilities| !capabilities.is_empty());
    node
}

/// Replaces what stands for something else: containerlab's own variables, the user's own directory.
pub(super) fn prepare(context: &Context, name: &Spanned<String>, merged: &mut Definition) {
    let magic = Magic::new(&context.lab, &name.value);
    fill_in(&magic, merged);
    if let Some(home) = context.options.environment.get("HOME") {
        at_home(home, merged);
    }
}

/// What a node's image stands for, where this machine's programs do in its place: nothing where the image runs.
fn role_of_image(context: &Context, merged: &Definition) -> Option<Role> {
    let Some(image) = &merged.image else {
        // What is wrong with that is told later.
        return Some(Role::Tools);
    };
    let options = context.options;
    let said = images::said(&image.value, &options.images);
    if said.is_some() || merged.labels.contains_key(images::LABEL) {
        return said.or(Some(Role::Tools));
    }
    match options.mode {
        Mode::Map => Some(Role::Tools),
        Mode::Run => None,
        Mode::Auto if is_frr(merged) => Some(Role::Frr),
        Mode::Auto => images::role(&image.value, &options.images),
    }
}

/// The names that other nodes find it by: its container's, and those that are said.
pub(super) fn aliases(
    context: &Context,
    name: &Spanned<String>,
    merged: &Definition,
) -> Option<Vec<Spanned<String>>> {
    let container = format!("{}{}", context.prefix, name.value);
    let container = values::hostname(&container).ok().filter(|it| *it != name.value);
    let container = container.map(|container| Spanned::new(container, name.span.clone()));
    let said = merged.aliases.iter().flatten().cloned();
    let mut aliases: Vec<Spanned<String>> = container.into_iter().chain(said).collect();
    let mut seen = std::collections::BTreeSet::new();
    aliases.retain(|alias| seen.insert(alias.value.clone()));
    (!aliases.is_empty()).then_some(aliases)
}

/// Whether its kind says that it runs FRR.
pub(super) fn is_frr(merged: &Definition) -> bool {
    merged
        .kind
        .as_ref()
        .is_some_and(|kind| kinds::runs_frr(&kind.value))
}

/// Replaces containerlab's own variables wherever it does.
fn fill_in(magic: &Magic, merged: &mut Definition) {
    let commands = merged.early.iter_mut().chain(&mut merged.exec);
    let mains = merged.entrypoint.iter_mut().chain(&mut merged.cmd);
    for word in commands.chain(mains).flat_map(|command| &mut command.value) {
        magic.replace(word);
    }
    for bind in &mut merged.binds {
        magic.replace(&mut bind.source.value);
        magic.replace(&mut bind.target);
    }
    let texts = merged.env.values_mut().chain(merged.labels.values_mut());
    for text in texts
        .chain(&mut merged.env_files)
        .chain(&mut merged.startup_config)
        .chain(&mut merged.license)
    {
        magic.replace(&mut text.value);
    }
}

/// Paths on the host that begin in the user's own directory.
fn at_home(home: &str, merged: &mut Definition) {
    let binds = merged.binds.iter_mut().map(|bind| &mut bind.source.value);
    let files = merged.env_files.iter_mut().chain(&mut merged.startup_config);
    let files = files.chain(&mut merged.license);
    for path in binds.chain(files.map(|file| &mut file.value)) {
        if let Some(rest) = path.strip_prefix("~/") {
            *path = format!("{home}/{rest}");
        }
    }
}

/// What the image stands for; one that nobody knows is told, and taken for tools.
fn role(context: &mut Context, name: &Spanned<String>, merged: &Definition) -> Role {
    if is_frr(merged) {
        return Role::Frr;
    }
    let Some(image) = &merged.image else {
        let external = merged
            .kind
            .as_ref()
            .is_some_and(|kind| kind.value == "ext-container");
        if !external {
            let message = format!("node `{}` has no `image`", name.value.escape_debug());
            let help = "add `image: frrouting/frr` for a router, `image: alpine` for a computer with the host's tools";
            context.reader.wrong(name.span.clone(), message, help);
        }
        return Role::Tools;
    };
    if let Some(said) = merged.labels.get(images::LABEL) {
        return images::named(&said.value).unwrap_or_else(|cure| {
            let message = format!(
                "`{}` is nothing an image stands for here",
                said.value.escape_debug()
            );
            context.reader.wrong(said.span.clone(), message, &cure);
            Role::Tools
        });
    }
    let found = images::role(&image.value, &context.options.images);
    if found.is_some() && context.options.mode == Mode::Auto {
        context.remarks.mapped.insert(image.value.clone());
    }
    found.unwrap_or_else(|| {
        if context.unknown_images.insert(image.value.clone()) {
            let shown = image.value.escape_debug();
            let message = format!("what the image `{shown}` is for is not known, and `--images map` runs none");
            let help = format!(
                "if node `{}` can do with the host's own tools, with {} among them, add `--image-map {shown}=tools`; \
                 if it runs FRR, `--image-map {shown}=frr`",
                name.value.escape_debug(),
                programs(merged)
            );
            context.reader.wrong(image.span.clone(), message, help);
        }
        Role::Tools
    })
}

/// The programs that a node's commands begin with.
fn programs(merged: &Definition) -> String {
    let commands = merged.entrypoint.iter().chain(&merged.cmd).chain(&merged.exec);
    let mut names: Vec<&str> = commands
        .filter_map(|command| command.value.first().map(String::as_str))
        .collect();
    names.sort_unstable();
    names.dedup();
    match names.is_empty() {
        true => "whatever the image starts".into(),
        false => crate::lab::file::suggest::list(names),
    }
}

/// The environment: files first, then what is written in the topology.
pub(super) fn environment(context: &mut Context, merged: &Definition) -> BTreeMap<String, Spanned<String>> {
    let mut environment = BTreeMap::new();
    for file in &merged.env_files {
        let Some(text) = context.text(file) else { continue };
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            if let Err(wrong) = values::env_name(name) {
                let message = format!("line {} of {}: {}", at + 1, file.value, wrong.message);
                context.reader.wrong(file.span.clone(), message, wrong.help);
                break;
            }
            let value = value.trim_matches(['"', '\'']);
            environment.insert(name.to_owned(), Spanned::new(value.to_owned(), file.span.clone()));
        }
    }
    environment.extend(merged.env.clone());
    environment
}

/// Where its network is; whether in a namespace of its own.
pub(super) fn network(
    reader: &mut Reader,
    name: &Spanned<String>,
    merged: &Definition,
    node: &mut NodeSpec,
    containers: &mut Vec<(usize, Spanned<String>)>,
    at: usize,
) -> bool {
    let external = merged
        .kind
        .as_ref()
        .is_some_and(|kind| kind.value == "ext-container");
    let port = MgmtPortSpec {
        wanted: true,
        ipv4: merged.mgmt_ipv4.clone(),
        ipv6: merged.mgmt_ipv6.clone(),
    };
    match merged
        .network_mode
        .as_ref()
        .map(|mode| (mode, mode.value.as_str()))
    {
        None | Some((_, "bridge")) if !external => node.mgmt = Some(Spanned::new(port, name.span.clone())),
        // The node of a cluster that it stands for has one.
        None | Some((_, "bridge" | "none")) => {}
        Some((mode, "host")) => {
            node.network = Some(Spanned::new("host".to_owned(), mode.span.clone()));
            return false;
        }
        Some((mode, text)) => match text.strip_prefix("container:").filter(|name| !name.is_empty()) {
            Some(container) => {
                containers.push((at, Spanned::new(container.to_owned(), mode.span.clone())));
                return false;
            }
            None => {
                let message = format!("`network-mode` cannot be `{}`", text.escape_debug());
                let help = "it is `bridge` (as when left out), `none`, or `container:NAME`";
                reader.wrong(mode.span.clone(), message, help);
            }
        },
    }
    !external
}

/// Whether a first configuration is somewhere else: a URL, and no text that has one in it.
pub(super) fn is_remote(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once("://") else {
        return false;
    };
    let is_legal = |c: u8| c.is_ascii_alphanumeric() || b"+-.".contains(&c);
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(is_legal);
    is_scheme && !text.contains(['\n', '\r'])
}

/// Files that keys of their own stand for.
pub(super) fn files(reader: &mut Reader, merged: &Definition, role: Role, node: &mut NodeSpec) {
    let mut put = |path: &str, span: &Span, content: ContentSpec, owner: Option<&str>| {
        node.files.push(FileSpec {
            path: Spanned::new(path.into(), span.clone()),
            content,
            mode: owner.map(|_| 0o640),
            owner: owner.map(str::to_owned),
        });
    };
    if let Some(dns) = &merged.dns {
        put(
            "/etc/resolv.conf",
            &dns.span,
            ContentSpec::Text(dns.value.clone()),
            None,
        );
    }
    let kind = merged.kind.as_ref().filter(|_| is_frr(merged));
    if let Some(kind) = kind {
        let listed = merged.daemons.as_deref();
        let names = listed.unwrap_or_default().iter().map(|name| name.value.as_str());
        let enabled: Vec<&str> = match listed {
            Some(_) => names.collect(),
            // As there, all of them.
            None => daemons::OPTIONAL.to_vec(),
        };
        let text = ContentSpec::Text(daemons::file(&enabled));
        put("/etc/frr/daemons", &kind.span, text, Some("frr:frr"));
    }
    match &merged.startup_config {
        Some(config) if is_remote(&config.value) => {
            let message = "a `startup-config` that is to be fetched is not supported: nslab fetches nothing";
            let help = "download it beside the topology, and name the file: `startup-config: frr.conf`";
            reader.wrong(config.span.clone(), message, help);
        }
        Some(config) if role == Role::Frr => {
            // What has several lines is the configuration itself.
            let content = match config.value.contains('\n') {
                true => ContentSpec::Text(config.value.clone()),
                false => ContentSpec::From(config.clone()),
            };
            put(container::FRR_CONF, &config.span, content, Some("frr:frr"));
        }
        None if kind.is_some() => {
            let span = kind.map_or(0..0, |kind| kind.span.clone());
            let text = ContentSpec::Text(FRR_DEFAULT.to_owned());
            put(container::FRR_CONF, &span, text, Some("frr:frr"));
        }
        Some(config) => {
            let message = "only routers have a `startup-config`: FRR's, which becomes /etc/frr/frr.conf";
            reader.wrong(
                config.span.clone(),
                message,
                "give the node an FRR image, or put the file there by `binds`",
            );
        }
        None => {}
    }
}

/// What runs in it: what the image starts, or what stands in its place, and the commands of the file.
fn commands(
    context: &mut Context,
    name: &Spanned<String>,
    role: Role,
    merged: &Definition,
    node: &mut NodeSpec,
) {
    let mut exec = Vec::new();
    let (argv, main) = main_command(merged);
    // What an image does by itself is done for it.
    let replaced = !(argv.is_empty() || role == Role::Frr && container::starts_frr(&argv));
    let may_fail = !context.options.strict;
    let image = merged.image.as_ref().map_or("", |image| image.value.as_str());
    let serves = images::serves(image).filter(|_| !replaced);
    if serves.as_ref().is_some_and(|serves| serves.https) {
        context.remarks.https.insert(name.value.clone());
    }
    let line = merged
        .image
        .as_ref()
        .map_or(1, |image| context.files.line(image.span.start).1);
    if let Some((first, command)) = container::own_files(merged).filter(|_| role == Role::Frr) {
        exec.push(Exec {
            command,
            may_fail: false,
            line: context.files.line(first.start).1,
        });
    }
    if role == Role::Frr && !replaced {
        exec.push(Exec {
            command: Command::Argv(vec![container::FRR_SCRIPT.into(), "start".into()]),
            may_fail: false,
            line,
        });
    }
    for command in merged.early.iter().chain(&merged.exec) {
        let mut argv = container::with_hosts_programs(&command.value);
        if role == Role::Frr {
            argv = container::with_frrs_script(&argv);
        }
        let (kept, left_out) = container::without_installs(&argv);
        for install in left_out {
            let nodes = context.remarks.installs.entry(install).or_default();
            nodes.insert(name.value.clone());
        }
        exec.extend(kept.map(|kept| Exec {
            command: kept,
            may_fail,
            line: context.files.line(command.span.start).1,
        }));
    }
    node.exec = (!exec.is_empty()).then_some(exec);
    let argv = match role {
        _ if !replaced => Vec::new(),
        Role::Frr => container::with_frrs_script(&argv),
        Role::Tools => argv,
    };
    let main = main_process(merged, argv, main, may_fail);
    let web = serves.zip(merged.image.as_ref()).map(|(serves, image)| {
        // As network-multitool has it.
        let port = merged
            .env
            .get("HTTP_PORT")
            .and_then(|port| port.value.parse().ok());
        Spanned::new(
            web(&serves, port.filter(|port| *port > 0).unwrap_or(80)),
            image.span.clone(),
        )
    });
    let run: Vec<Spanned<Process>> = main.into_iter().chain(web).collect();
    node.run = (!run.is_empty()).then_some(run);
}

/// The web server that an image would have started.
fn web(serves: &images::Serves, port: u16) -> Process {
    let mut words = vec!["nslab", "web", "--page", serves.page];
    words.extend(serves.file.iter().flat_map(|file| ["--file", *file]));
    let mut argv: Vec<String> = words.into_iter().map(str::to_owned).collect();
    argv.push(port.to_string());
    Process {
        ready: Some(Probe::Tcp(port)),
        restart: Restart::Always,
        ..Process::service("web", argv)
    }
}

/// What runs in the place of what the image would, and where that is said.
fn main_command(merged: &Definition) -> (Vec<String>, Option<Span>) {
    let words = merged.entrypoint.iter().chain(&merged.cmd);
    let argv: Vec<String> = words.flat_map(|words| words.value.iter().cloned()).collect();
    let argv = container::with_hosts_programs(container::bare(&argv));
    let said = merged.entrypoint.as_ref().or(merged.cmd.as_ref());
    (argv, said.map(|words| words.span.clone()))
}

/// The container's main process; a node without one needs none to live, but for its health to be watched.
fn main_process(
    merged: &Definition,
    mut argv: Vec<String>,
    said: Option<Span>,
    may_fail: bool,
) -> Option<Spanned<Process>> {
    let watched = merged
        .healthcheck
        .as_ref()
        .filter(|check| check.value.test.is_some());
    let span = said.or(watched.map(|check| check.span.clone()))?;
    // What a container has for this is its image's affair; a node lives without, unless its health is watched.
    if argv.is_empty() {
        watched?;
        argv = vec!["sleep".into(), "infinity".into()];
    }
    // It would end at once without: containers have a terminal there.
    let terminal = is_shell(&argv);
    let process = Process {
        name: MAIN.into(),
        command: Command::Argv(argv),
        restart: merged.restart.unwrap_or(Restart::OnFailure),
        ready: merged
            .healthcheck
            .as_ref()
            .and_then(|check| probe(check.value.test.as_ref()?)),
        user: merged.user.as_ref().map(|user| user.value.clone()),
        workdir: None,
        terminal,
        may_fail,
        env: BTreeMap::new(),
    };
    Some(Spanned::new(process, span))
}

/// The command of a health check.
fn probe(test: &Test) -> Option<Probe> {
    let argv = match test {
        Test::Argv(argv) => argv.clone(),
        Test::Shell(line) => vec!["/bin/sh".into(), "-c".into(), line.clone()],
    };
    Some(Probe::Exec(Command::Argv(argv)))
}

/// Whether this is a shell that only waits for somebody to type.
fn is_shell(argv: &[String]) -> bool {
    let [program, options @ ..] = argv else {
        return false;
    };
    let program = program.rsplit('/').next().unwrap_or_default();
    matches!(program, "sh" | "bash" | "ash" | "dash" | "zsh")
        && options
            .iter()
            .all(|option| matches!(option.as_str(), "-i" | "-l" | "-il" | "--login"))
}

#[cfg(test)]
mod tests {
    use super::is_remote;

    #[test]
    fn only_a_url_is_to_be_fetched() {
        for text in [
            "http://a/b",
            "https://a.example/x.cfg",
            "s3://bucket/x",
            "ftp://a/b",
        ] {
            assert!(is_remote(text), "{text}");
        }
        for text in [
            "x.cfg",
            "/etc/x",
            "set / system url http://a/b",
            "http://a/b\nhttp://c",
            "https://a\n",
            "://x",
            "a b://x",
        ] {
            assert!(!is_remote(text), "{text}");
        }
    }
}
