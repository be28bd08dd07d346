//! Nodes that are images: what the file says, on top of what the image says.

use std::collections::BTreeMap;

use crate::image::config::{Config, Healthcheck, Test};
use crate::lab::model::{Command, Content, File, Image, Node, Probe, Process};
use crate::lab::plan::{Facts, ImageFacts, ImageStep};

/// The name of an image's program in listings and logs.
pub const MAIN: &str = "main";
/// Where FRR in an image reads what it is to do.
const FRR_CONFIG: &str = "/etc/frr/frr.conf";

/// What follows from a node's being an image.
pub(super) struct Planned {
    pub step: ImageStep,
    pub env: BTreeMap<String, String>,
    pub main: Option<Process>,
}

pub(super) fn plan(node: &Node, facts: &Facts) -> Option<Planned> {
    let image = node.image.as_ref()?;
    let unknown = ImageFacts::default();
    // Who only looks at a plan has not asked for the image.
    let known = facts.images.get(&image.source).unwrap_or(&unknown);
    let config = &known.config;
    let user = image.user.clone().or(said(&config.user));
    let workdir = image.workdir.clone().or(said(&config.workdir));
    let env = config.env.clone().into_iter().chain(node.env.clone()).collect();
    let of_kind = node.of_kind.as_ref().and_then(|of_kind| of_kind.ready.clone());
    let main = argv(image, config).map(|argv| Process {
        name: MAIN.to_owned(),
        command: Command::Argv(argv),
        restart: image.restart,
        ready: of_kind.or_else(|| health(image.healthcheck.as_ref().or(config.healthcheck.as_ref()))),
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
        lease: known.lease.clone(),
        init: image.init,
        stop_signal: image.stop_signal.clone().or(config.stop_signal.clone()),
        user,
        workdir,
    };
    Some(Planned { step, env, main })
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

/// Where a router's configuration goes in an image.
pub(super) fn config(node: &Node) -> Option<File> {
    let text = node.config.as_ref().filter(|_| node.image.is_some())?;
    Some(File {
        path: FRR_CONFIG.to_owned(),
        content: Content::Text(text.clone()),
        mode: Some(0o644),
        owner: None,
    })
}
