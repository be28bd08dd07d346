//! What a kind's file says, as if it stood in the lab file where the node's kind is named: with values in the place of variables, and
//! with that place.

use super::{Values, spans};
use crate::file::{ContentSpec, ImageSpec, NodeSpec, Span, Spanned};
use crate::model::{Command, Probe};
use nslab_image::config::Test;

/// Fills in the variables, and gives everything its place.
pub(super) fn place(node: &mut NodeSpec, span: &Span, values: &Values) {
    let text = |text: &mut Spanned<String>| text.value = values.fill(&text.value);
    let had_value: Vec<String> = node
        .env
        .iter()
        .filter(|(_, value)| !value.value.is_empty())
        .map(|(name, _)| name.clone())
        .collect();
    node.env.values_mut().for_each(text);
    // A variable that has nothing to say is not there.
    node.env
        .retain(|name, value| !value.value.is_empty() || !had_value.contains(name));
    node.labels.values_mut().for_each(text);
    node.sysctls.values_mut().for_each(text);
    node.hostname.iter_mut().for_each(text);
    for file in &mut node.files {
        text(&mut file.path);
        match &mut file.content {
            ContentSpec::Text(content) => *content = values.fill(content),
            ContentSpec::From(path) => text(path),
        }
    }
    image(&mut node.image, values);
    for bind in &mut node.binds {
        text(&mut bind.source);
        bind.target = values.fill(&bind.target);
    }
    for mount in &mut node.mounts {
        text(&mut mount.target);
    }
    let exec = node.exec.iter_mut().chain(&mut node.after_ready);
    for exec in exec.flatten() {
        exec.command = command(&exec.command, values);
        exec.line = 0;
    }
    for process in node.run.iter_mut().flatten() {
        process.value.command = command(&process.value.command, values);
        for value in process.value.env.values_mut() {
            *value = values.fill(value);
        }
    }
    spans::set(node, span);
}

/// What is said of the image.
fn image(image: &mut ImageSpec, values: &Values) {
    for words in [&mut image.entrypoint, &mut image.cmd].into_iter().flatten() {
        words.value.iter_mut().for_each(|word| *word = values.fill(word));
    }
    for text in [&mut image.user, &mut image.workdir, &mut image.stop_signal]
        .into_iter()
        .flatten()
    {
        text.value = values.fill(&text.value);
    }
    if let Some(check) = &mut image.healthcheck {
        match &mut check.value.test {
            Some(Test::Argv(argv)) => argv.iter_mut().for_each(|word| *word = values.fill(word)),
            Some(Test::Shell(line)) => *line = values.fill(line),
            None => {}
        }
    }
}

/// A probe with its values.
pub(super) fn probe(probe: &Probe, values: &Values) -> Probe {
    match probe {
        Probe::Tcp(port) => Probe::Tcp(*port),
        Probe::File(path) => Probe::File(values.fill(path)),
        Probe::Exec(command) => Probe::Exec(self::command(command, values)),
    }
}

/// A command with its values.
pub(super) fn command(command: &Command, values: &Values) -> Command {
    match command {
        Command::Argv(argv) => Command::Argv(argv.iter().map(|word| values.fill(word)).collect()),
        Command::Shell(line) => Command::Shell(values.fill(line)),
    }
}
