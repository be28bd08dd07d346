//! What happens in a node, and when: commands, stages, delays, health.

use std::collections::BTreeSet;
use std::time::Duration;

use super::definition::{Definition, argv};
use crate::image::config::{Healthcheck, Test};
use crate::import::reader::{Reader, Table};
use crate::import::yaml::Yaml;
use crate::lab::file::{Spanned, WaitSpec, values};
use crate::lab::model::Stage;

/// containerlab's stages and what nslab has for them, in their order.
const STAGES: &[(&str, Stage)] = &[
    ("create", Stage::Created),
    ("create-links", Stage::Links),
    ("configure", Stage::Configured),
    ("healthy", Stage::Ready),
];

pub(super) fn read(reader: &mut Reader, table: &mut Table, definition: &mut Definition) {
    let exec = table.get("exec").and_then(|yaml| {
        reader.list(yaml, "exec", "ip link set eth1 up", |reader, yaml| {
            argv(reader, yaml, "exec")
        })
    });
    definition.exec = exec.unwrap_or_default();
    definition.startup_delay = table
        .get("startup-delay")
        .and_then(|yaml| reader.integer::<u64>(yaml, "startup-delay", 0..=3600))
        .map(|seconds| seconds.map(Duration::from_secs));
    // What older versions had for `stages`.
    if let Some(yaml) = table.get("wait-for") {
        let waits = reader.list(yaml, "wait-for", "web", |reader, yaml| match yaml.entries() {
            Some(_) => wait(reader, yaml),
            None => reader.string(yaml, "wait-for", "web").map(|node| {
                node.map(|node| WaitSpec {
                    node,
                    stage: Stage::Ready,
                })
            }),
        });
        definition.wait_for = waits.unwrap_or_default();
    }
    if let Some(yaml) = table.get("stages") {
        stages(reader, yaml, definition);
    }
    definition.healthcheck = table
        .get("healthcheck")
        .and_then(|yaml| healthcheck(reader, yaml, &mut definition.of_images));
    definition.cpu = table.get("cpu").and_then(|yaml| cpu(reader, yaml));
    definition.memory = table
        .get("memory")
        .and_then(|yaml| reader.parsed(yaml, "memory", "256MB", |text| values::memory(&units(text))));
}

fn stages(reader: &mut Reader, yaml: &Yaml, definition: &mut Definition) {
    let Some(mut table) = reader.table(yaml, "stages", "`stages`") else {
        return;
    };
    for (name, stage) in STAGES {
        let Some(yaml) = table.get(name) else { continue };
        let Some(mut inner) = reader.table(yaml, name, format!("stage `{name}`")) else {
            continue;
        };
        if let Some(yaml) = inner.get("wait-for") {
            let waits = reader.list(yaml, "wait-for", "{ node: web, stage: create }", wait);
            definition.wait_for.extend(waits.into_iter().flatten());
        }
        if let Some(yaml) = inner.get("exec") {
            let commands = stage_commands(reader, yaml);
            if *stage == Stage::Ready && !commands.is_empty() {
                let message = "commands of the stage `healthy` are not yet supported";
                reader.wrong(
                    yaml.span.clone(),
                    message,
                    "put them into `exec`, or run them with `nslab exec`",
                );
            }
            definition.early.extend(commands);
        }
        inner.finish(reader);
    }
    table.refuse(
        &[("exit", "nodes do not end by themselves here: remove it")],
        reader,
    );
    table.finish(reader);
}

/// `{ node: …, stage: … }`.
fn wait(reader: &mut Reader, yaml: &Yaml) -> Option<Spanned<WaitSpec>> {
    let mut table = reader.table(yaml, "wait-for", "an entry of `wait-for`")?;
    let node = match table.get("node") {
        Some(yaml) => reader.string(yaml, "node", "web"),
        None => {
            reader.wrong(
                table.span(),
                "an entry of `wait-for` has no `node`",
                "add `node: web`",
            );
            None
        }
    };
    let stage = table.get("stage").map(|yaml| reader.word(yaml, "stage", STAGES));
    table.finish(reader);
    let stage = match stage {
        None => Stage::Created,
        Some(stage) => stage?.value,
    };
    node.map(|node| node.map(|node| WaitSpec { node, stage }))
}

/// The commands of a stage, in the older form (`on-enter: […]`) or the newer (`[{ command: …, phase: … }]`).
fn stage_commands(reader: &mut Reader, yaml: &Yaml) -> Vec<Spanned<Vec<String>>> {
    let mut entered = Vec::new();
    let mut left = Vec::new();
    if yaml.entries().is_some() {
        let Some(mut table) = reader.table(yaml, "exec", "`exec` of a stage") else {
            return left;
        };
        for (key, list) in [("on-enter", &mut entered), ("on-exit", &mut left)] {
            let Some(yaml) = table.get(key) else { continue };
            let commands = reader.list(yaml, key, "ip link set eth1 up", |reader, yaml| {
                argv(reader, yaml, key)
            });
            list.extend(commands.into_iter().flatten());
        }
        table.finish(reader);
    } else {
        let commands = reader.list(yaml, "exec", "{ command: ip link }", stage_command);
        for (command, on_exit) in commands.into_iter().flatten() {
            if on_exit {
                left.push(command);
            } else {
                entered.push(command);
            }
        }
    }
    entered.extend(left);
    entered
}

/// A command, and whether it is run when the stage is over.
fn stage_command(reader: &mut Reader, yaml: &Yaml) -> Option<(Spanned<Vec<String>>, bool)> {
    if yaml.entries().is_none() {
        return argv(reader, yaml, "exec").map(|command| (command, false));
    }
    let mut table = reader.table(yaml, "exec", "a command of a stage")?;
    let command = match table.get("command") {
        Some(yaml) => argv(reader, yaml, "command"),
        None => {
            reader.wrong(
                table.span(),
                "a command of a stage has no `command`",
                "add `command: ip link`",
            );
            None
        }
    };
    let on_exit = table
        .get("phase")
        .and_then(|yaml| reader.word(yaml, "phase", &[("on-enter", false), ("on-exit", true)]));
    let on_host = table
        .get("target")
        .and_then(|yaml| reader.word(yaml, "target", &[("container", false), ("host", true)]))
        .filter(|target| target.value);
    if let Some(target) = on_host {
        let message =
            "commands of a stage on the host are not supported: nslab changes nothing outside of the lab";
        reader.wrong(
            target.span,
            message,
            "run it yourself, or in the node (`target: container`)",
        );
    }
    table.finish(reader);
    Some((command?, on_exit.is_some_and(|phase| phase.value)))
}

/// Docker's health check. Its times are for images: of a plain node the test is made until it succeeds.
fn healthcheck(
    reader: &mut Reader,
    yaml: &Yaml,
    of_images: &mut BTreeSet<&'static str>,
) -> Option<Spanned<Healthcheck>> {
    let mut table = reader.table(yaml, "healthcheck", "`healthcheck`")?;
    let test = table
        .get("test")
        .map(|yaml| (yaml, reader.strings(yaml, "test", "CMD-SHELL")));
    let mut number = |key: &'static str| {
        let yaml = table.get(key)?;
        of_images.insert(key);
        yaml.scalar()?.parse::<u32>().ok()
    };
    let mut check = Healthcheck {
        test: None,
        interval: seconds(number("interval")),
        timeout: seconds(number("timeout")),
        start_period: seconds(number("start-period")),
        retries: number("retries").unwrap_or_default(),
    };
    table.finish(reader);
    let (yaml, words) = test?;
    let words: Vec<String> = words?.into_iter().map(|word| word.value).collect();
    check.test = match words.split_first() {
        Some((first, words)) if first == "CMD" && !words.is_empty() => Some(Test::Argv(words.to_vec())),
        Some((first, words)) if first == "CMD-SHELL" && !words.is_empty() => {
            Some(Test::Shell(words.join(" ")))
        }
        Some((first, [])) if first == "NONE" => None,
        _ => {
            let help = "write `test: [CMD, program, argument]` or `test: [CMD-SHELL, \"line\"]`";
            reader.wrong(
                yaml.span.clone(),
                "`test` begins with neither `CMD` nor `CMD-SHELL`",
                help,
            );
            return None;
        }
    };
    Some(Spanned::new(check, yaml.span.clone()))
}

/// Docker's own where nothing is said.
fn seconds(number: Option<u32>) -> Duration {
    Duration::from_secs(number.unwrap_or_default().into())
}

fn cpu(reader: &mut Reader, yaml: &Yaml) -> Option<Spanned<f64>> {
    let text = reader.string(yaml, "cpu", "0.5")?;
    let cores = text.value.parse::<f64>().ok();
    match cores.filter(|cores| (0.01..=4096.0).contains(cores)) {
        Some(cores) => Some(Spanned::new(cores, text.span)),
        None => {
            let message = format!("`cpu` cannot be `{}`", text.value.escape_debug());
            reader.wrong(
                text.span,
                message,
                "`cpu` is a number of cores from 0.01 to 4096: `cpu: 0.5`",
            );
            None
        }
    }
}

/// Docker's units of memory in the form of lab files: `1Gb` is `1G`, `512mib` is `512M`.
pub(super) fn units(text: &str) -> String {
    let upper = text.replace(' ', "").to_ascii_uppercase();
    let bare = upper.trim_end_matches("IB").trim_end_matches('B');
    bare.to_owned()
}
