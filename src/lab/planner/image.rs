//! Nodes that are images: what the file says, on top of what the image says.

use std::collections::BTreeMap;

use crate::daemons;
use crate::model::{
    Bind, Command, Content, File, Image, Init, Memory, Mount, Mounted, Node, Probe, Process, Volume,
};
use crate::plan::{Facts, ImageFacts, ImageStep};
use nslab_image::config::{Config, Healthcheck, Test};

/// The name of an image's program in listings and logs.
pub const IMAGES_PROGRAM: &str = "main";
/// Programs that are an init system, and do not run unless they are the first process.
const INIT_SYSTEMS: [&str; 2] = ["init", "systemd"];
/// What tells them to halt (systemd(1)).
const SYSTEMS_STOP: &str = "SIGRTMIN+3";

/// What follows from a node's being an image.
pub(super) struct Planned {
    pub step: ImageStep,
    pub env: BTreeMap<String, String>,
    pub main: Option<Process>,
    pub mounts: Vec<Mount>,
}

pub(super) fn plan(node: &Node, facts: &Facts) -> Option<Planned> {
    let image = node.image.as_ref()?;
    let unknown = ImageFacts::default();
    // Who only looks at a plan has not asked for the image.
    let known = facts.images.get(&image.source).unwrap_or(&unknown);
    let config = &known.config;
    let user = image.user.clone().or(said(&config.user));
    let workdir = image.workdir.clone().or(said(&config.workdir));
    let argv = argv(image, config);
    let program = argv.as_ref().and_then(|argv| argv.first());
    let name = program
        .and_then(|path| path.rsplit('/').next())
        .unwrap_or_default();
    let init = image.init.unwrap_or(match INIT_SYSTEMS.contains(&name) {
        true => Init::Image,
        false => Init::Nslab,
    });
    let mut env: BTreeMap<String, String> = config.env.clone().into_iter().chain(node.env.clone()).collect();
    if name == "tini" && init == Init::Nslab {
        env.entry("TINI_SUBREAPER".to_owned()).or_default();
    }
    let is_system = init == Init::Image && INIT_SYSTEMS.contains(&name);
    if is_system {
        // By it systemd knows that it has no hardware to look after (systemd.exec(5)).
        env.entry("container".to_owned())
            .or_insert_with(|| "nslab".to_owned());
    }
    let of_kind = node.of_kind.as_ref().and_then(|of_kind| of_kind.ready.clone());
    let main = argv.map(|argv| Process {
        name: IMAGES_PROGRAM.to_owned(),
        command: Command::Argv(argv),
        restart: image.restart,
        ready: of_kind
            .or_else(|| health(image.healthcheck.as_ref().or(config.healthcheck.as_ref())))
            .or_else(|| node.config.is_some().then(answers)),
        user: user.clone(),
        workdir: workdir.clone(),
        terminal: image.terminal,
        may_fail: false,
        env: BTreeMap::new(),
    });
    let step = ImageStep {
        name: image.source.to_string(),
        digest: known.digest.clone(),
        layers: known.layers.clone(),
        has_program: main.is_some(),
        init,
        stop_signal: image
            .stop_signal
            .clone()
            .or(config.stop_signal.clone())
            .or_else(|| is_system.then(|| SYSTEMS_STOP.to_owned())),
        user,
        workdir,
        health: image
            .healthcheck
            .as_ref()
            .or(config.healthcheck.as_ref())
            .filter(|check| check.test.is_some())
            .cloned(),
    };
    let mut mounts = match is_system {
        true => of_system(&node.mounts, &node.binds),
        false => node.mounts.clone(),
    };
    mounts.extend(volumes(&config.volumes, &mounts, &node.binds));
    Some(Planned {
        step,
        env,
        main,
        mounts,
    })
}

/// An image may ask for so many volumes; of more the rest stays in the node's own layer.
const MOST_VOLUMES: usize = 64;
/// What of a node is not an image's to have as a volume.
const NOT_OF_IMAGES: [&str; 3] = ["/dev", "/proc", "/sys"];

/// The directories that an image wants to outlive restarts, where the file says nothing of the place. They begin with what the image has
/// there.
fn volumes(wanted: &[String], mounts: &[Mount], binds: &[Bind]) -> Vec<Mount> {
    let mut targets: Vec<&str> = Vec::new();
    for path in wanted {
        let path = path.trim_end_matches('/');
        let is_free =
            mounts.iter().all(|mount| mount.target != path) && binds.iter().all(|bind| bind.target != path);
        let is_plain = path.starts_with('/')
            && !path.contains('\0')
            && path
                .split('/')
                .skip(1)
                .all(|part| !["", ".", ".."].contains(&part));
        let is_of_node = NOT_OF_IMAGES.iter().any(|own| {
            path.strip_prefix(own)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if is_free && is_plain && !is_of_node && !targets.contains(&path) && targets.len() < MOST_VOLUMES {
            targets.push(path);
        }
    }
    let volume = |target: &str| Mount {
        target: target.to_owned(),
        what: Mounted::Volume(Volume {
            name: None,
            read_only: false,
            seeded: true,
        }),
    };
    targets.into_iter().map(volume).collect()
}

/// The file systems in memory that an init system has on a machine, where the file says nothing of the place.
fn of_system(own: &[Mount], binds: &[Bind]) -> Vec<Mount> {
    let is_free = |place: &str| {
        own.iter().all(|mount| mount.target != place) && binds.iter().all(|bind| bind.target != place)
    };
    let memory = |target: &str, mode: u32| Mount {
        target: target.to_owned(),
        what: Mounted::Memory(Memory {
            mode,
            exec: true,
            ..Memory::default()
        }),
    };
    let usual = [
        ("/dev/shm", 0o1777),
        ("/run", 0o755),
        ("/run/lock", 0o1777),
        ("/tmp", 0o1777),
    ];
    let usual = usual
        .into_iter()
        .filter(|(place, _)| is_free(place))
        .map(|(place, mode)| memory(place, mode));
    usual.chain(own.iter().cloned()).collect()
}

fn said(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The words of the image's program. An entrypoint in the file goes without the image's own `cmd`, as everywhere.
fn argv(image: &Image, config: &Config) -> Option<Vec<String>> {
    let entrypoint = image.entrypoint.as_ref().unwrap_or(&config.entrypoint);
    let cmd = match (&image.cmd, &image.entrypoint) {
        (Some(cmd), _) => cmd.as_slice(),
        (None, Some(_)) => &[],
        (None, None) => config.cmd.as_slice(),
    };
    let argv: Vec<String> = entrypoint.iter().chain(cmd).cloned().collect();
    (!argv.is_empty()).then_some(argv)
}

/// A router with a configuration for FRR is ready when that answers.
fn answers() -> Probe {
    Probe::Exec(Command::Argv(
        ["vtysh", "-c", "show version"].map(str::to_owned).to_vec(),
    ))
}

fn health(check: Option<&Healthcheck>) -> Option<Probe> {
    let command = match check?.test.as_ref()? {
        Test::Argv(argv) => Command::Argv(argv.clone()),
        Test::Shell(line) => Command::Shell(line.clone()),
    };
    Some(Probe::Exec(command))
}

/// What the network of an image is set to, as container runtimes do it: whoever the image's user is may ping, and serve on ports
/// below 1024.
pub(super) fn sysctls() -> impl Iterator<Item = (String, String)> {
    [
        ("net/ipv4/ping_group_range", "0 2147483647"),
        ("net/ipv4/ip_unprivileged_port_start", "0"),
    ]
    .into_iter()
    .map(|(path, value)| (path.to_owned(), value.to_owned()))
}

/// What a router's image finds of FRR's: the configuration, and which daemons that needs. Both are named first, so that files of the
/// lab file's go before them.
pub(super) fn config(node: &Node) -> Vec<File> {
    let Some(text) = node.config.as_ref().filter(|_| node.image.is_some()) else {
        return Vec::new();
    };
    let enabled: Vec<&str> = daemons::TABLE
        .iter()
        .filter(|daemon| text.lines().any(|line| daemon.is_for(line)))
        .map(|daemon| daemon.name)
        .collect();
    let file = |path: &str, text: String| File {
        path: path.to_owned(),
        content: Content::Text(text),
        mode: Some(0o644),
        owner: None,
    };
    vec![
        file("/etc/frr/daemons", daemons::file(&enabled)),
        file("/etc/frr/frr.conf", text.clone()),
    ]
}
