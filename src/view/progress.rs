//! Progress of a lab that comes up: a bar on a terminal, plain lines otherwise.

use std::collections::HashSet;
use std::io::stderr;

use indicatif::{ProgressBar, ProgressStyle};

use super::{tell, terminal, units};
use crate::clean;
use crate::lab::impair::Impairment;
use crate::lab::model::Stage;
use crate::run::events::{Event, What};

/// Shows events as they come. Writes to standard error, so that standard output stays for results.
pub struct Progress {
    bar: Option<ProgressBar>,
    ready: HashSet<String>,
    total: usize,
    stopping: bool,
}

/// Nodes that become ready together are named up to this many.
const NAMED: usize = 6;

impl Progress {
    /// For this process's standard error.
    pub fn new() -> Progress {
        let bar = terminal::is_clever(&stderr()).then(|| {
            let bar = ProgressBar::new(0);
            // A line that is longer than the terminal's would be left behind by the next.
            let template = match terminal::width() {
                ..60 => "{pos}/{len} ready {wide_msg}",
                _ => "{bar:30} {pos}/{len} nodes ready  {wide_msg}",
            };
            let style = ProgressStyle::with_template(template);
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(match terminal::is_ascii() {
                true => style.progress_chars("#>-"),
                false => style,
            });
            bar
        });
        Progress {
            bar,
            ready: HashSet::new(),
            total: 0,
            stopping: false,
        }
    }

    /// Shows an event.
    pub fn show(&mut self, event: &Event) {
        match &event.what {
            What::Starting { nodes, .. } => {
                self.total = *nodes;
                if let Some(bar) = &self.bar {
                    bar.set_length(*nodes as u64);
                }
            }
            What::Stage {
                nodes,
                stage: Stage::Ready,
            } => {
                // Of a node that is started again this is told every time.
                self.ready.extend(nodes.iter().cloned());
                let ready = self.ready.len();
                match &self.bar {
                    Some(bar) => bar.set_position(ready as u64),
                    None => tell(&format!("ready: {} ({ready}/{})\n", names(nodes), self.total)),
                }
            }
            What::Ready { .. } | What::Failed { .. } => self.finish(),
            What::Stopping => {
                self.finish();
                self.stopping = true;
            }
            // That they end is what was asked for.
            What::ProcessEnded { .. } | What::NodeDied { .. } if self.stopping => return,
            _ => {}
        }
        if let Some(line) = line(&event.what) {
            self.say(&line);
        } else if let (Some(bar), Some(now)) = (&self.bar, doing(&event.what)) {
            bar.set_message(clean::line(&now).into_owned());
        }
    }

    /// Prints a line, above the bar if there is one.
    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) if !bar.is_finished() => bar.println(clean::text(line)),
            _ => tell(&format!("{line}\n")),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Progress::new()
    }
}

fn names(nodes: &[String]) -> String {
    if nodes.len() <= NAMED {
        nodes.join(" ")
    } else {
        format!("{} nodes", nodes.len())
    }
}

/// What is worth a line of its own, whoever watches.
fn line(what: &What) -> Option<String> {
    match what {
        What::Exec {
            node,
            command,
            status,
            output,
            may_fail,
            hint,
        } if *status != 0 => {
            let allowed = if *may_fail { " (may fail)" } else { "" };
            let mut text = format!("{node}: `{command}` ended with status {status}{allowed}");
            for line in output.lines() {
                text.push_str("\n  | ");
                text.push_str(line);
            }
            if let Some(hint) = hint {
                text.push_str("\n  help: ");
                text.push_str(hint);
            }
            Some(text)
        }
        What::Notice { message } => Some(format!("note: {message}")),
        What::OutOfMemory { node, limit, killed } => {
            let what = if *killed == 1 {
                "a process".to_owned()
            } else {
                format!("{killed} processes")
            };
            Some(format!(
                "{node}: the kernel killed {what}: the node reached its memory limit of {}",
                units::size(*limit)
            ))
        }
        What::Health {
            node,
            process,
            well: true,
            ..
        } => Some(format!("{node}: {process} is well again")),
        What::Health {
            node,
            process,
            reason,
            ..
        } => Some(format!("{node}: {process} is unhealthy: {reason}")),
        // One that was to run once and has done so is nobody's concern.
        What::ProcessEnded {
            status: 0,
            restarting: false,
            ..
        } => None,
        What::ProcessEnded {
            node,
            process,
            status,
            restarting,
            reason,
        } => {
            let next = if *restarting { ", it is started again" } else { "" };
            let why = reason
                .as_ref()
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            Some(format!(
                "{node}: process {process} ended with status {status}{why}{next}"
            ))
        }
        What::NodeDied { node, status } => Some(format!("{node}: its init ended with status {status}")),
        What::NodeRestarting { node } => Some(format!("{node}: is started again; its links have stayed")),
        What::Interface {
            node,
            interface,
            state,
            peer,
        } => {
            let what = match state.as_str() {
                "deleted" => "was deleted",
                "no-carrier" => "has no carrier",
                "up" => "is up",
                _ => "is down",
            };
            let to = peer
                .as_ref()
                .map(|peer| format!(" (to {peer})"))
                .unwrap_or_default();
            Some(format!("{node}: {interface} {what}{to}"))
        }
        What::Link {
            a, b, action, impair, ..
        } => {
            let link = match b {
                Some(b) => format!("{a} -- {b}"),
                None => a.clone(),
            };
            Some(match action.as_str() {
                "down" => format!("link {link}: is down"),
                "up" => format!("link {link}: is up"),
                "silence" => format!("link {link}: is silent"),
                "set" => {
                    let told =
                        |way: &str, it: &Option<Impairment>| it.as_ref().map(|it| format!("{way} {it}"));
                    let both: Vec<String> = [told("out", &impair.a_to_b), told("in", &impair.b_to_a)]
                        .into_iter()
                        .flatten()
                        .collect();
                    format!("link {link}: {}", both.join("; "))
                }
                "clear" => format!("link {link}: is clear"),
                _ => format!("link {link}: is as the lab file says"),
            })
        }
        What::NodeStopped { node, links_down } => Some(match links_down {
            true => format!("{node}: is stopped; its links are down"),
            false => format!("{node}: is stopped; its links have stayed"),
        }),
        What::Signaled {
            node,
            process,
            signal,
        } => Some(format!("{node}: signal {signal} was sent to {process}")),
        What::Trouble { node, message } => Some(format!("{node}: {message}")),
        _ => None,
    }
}

/// What the lab is at, for the end of the bar.
fn doing(what: &What) -> Option<String> {
    match what {
        What::Network { part, done, total } => Some(format!("{part} {done}/{total}")),
        What::Waiting { node, what } => Some(format!("{node} waits for {what}")),
        What::Exec { node, command, .. } => Some(format!("{node}: {command}")),
        _ => None,
    }
}

/// An event as a line of text, for `nslab events`.
pub fn text(event: &Event) -> String {
    match &event.what {
        What::Starting { lab, nodes, links } => {
            let (nodes, links) = (units::count(*nodes, "node"), units::count(*links, "link"));
            format!("lab {lab} starts: {nodes}, {links}")
        }
        What::Network { part, done, total } => format!("{part}: {done} of {total}"),
        What::Stage { nodes, stage } => format!("{}: {stage}", names(nodes)),
        What::Waiting { node, what } => format!("{node} waits for {what}"),
        What::Exec {
            node,
            command,
            status: 0,
            ..
        } => format!("{node}: `{command}` done"),
        What::ProcessEnded {
            node,
            process,
            status: 0,
            restarting: false,
            ..
        } => {
            format!("{node}: process {process} is done")
        }
        What::ProcessStarted { node, process } => format!("{node}: process {process} started"),
        What::Ready { seconds } => format!("ready in {seconds:.2} s"),
        What::Failed { failure } => format!("failed: {failure}"),
        What::Stopping => "the lab is taken down".to_owned(),
        other => line(other).unwrap_or_default(),
    }
}
