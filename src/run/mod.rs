//! A lab that is alive: its supervisor, its nodes' inits, and the commands that speak with them.

mod backoff;
pub mod capture;
pub mod client;
mod cluster_dns;
pub mod cluster_nodes;
pub mod copy;
pub mod directory;
pub mod doctor;
pub mod enter;
pub mod evaluate;
pub mod events;
pub mod flows;
pub mod holder;
mod host_cleanup;
mod late;
pub mod launch;
mod lines;
pub mod logs;
pub mod management;
pub mod modules;
pub mod mounts;
pub mod nat;
pub mod needs;
pub mod netns_names;
pub mod network;
pub mod node;
pub mod outside;
pub mod preflight;
pub mod protocol;
pub mod root;
pub mod rootless;
pub mod supervisor;
pub mod timeline;
pub mod trust;
pub mod user_files;

mod api_server;
mod bring_up;
mod cluster;
mod control;
mod first;
mod health;
mod host_state;
pub mod images;
mod init;
mod inside;
mod interfaces;
mod lab_directory;
mod link_events;
pub mod links;
mod long_running;
mod memory;
mod neighbors;
mod node_signal;
mod on_terminal;
mod ports;
mod presence;
mod printed;
mod probe;
mod proxy;
mod reaper;
mod redial;
mod sandbox;
mod seed;
mod services;
mod socket;
mod stages;
mod starter;
mod state;
mod status;
mod switched_off;
mod template;
mod udp_ports;
mod veil;
mod versions;

use std::os::fd::RawFd;

use crate::engine::{agent, dns, kubelet, operator, speaker};
use crate::impair;

/// What a hidden verb does with its words; its exit code, where the words are for it.
type Verb = fn(&[String]) -> Option<i32>;

/// The verbs under which nslab executes itself, each with what runs then; nothing where what follows is not what it takes.
const VERBS: &[(&str, Verb)] = &[
    (supervisor::VERB, |rest| {
        descriptors(rest).map(|[lock, launcher, setup]| supervisor::main(lock, launcher, setup))
    }),
    (impair::process::VERB, |rest| {
        descriptors(rest).map(|[supervisor]| impair::process::main(supervisor))
    }),
    (template::VERB, |rest| {
        // Behind the numbers is room for the names of its copies.
        let numbers = rest.strip_suffix(&[template::room()]).unwrap_or(rest);
        match numbers.len() {
            2 => descriptors(numbers).map(|[control, common]| template::main(control, common, None)),
            _ => descriptors(numbers)
                .map(|[control, common, program]| template::main(control, common, Some(program))),
        }
    }),
    (flows::process::VERB, |rest| {
        descriptors(rest).map(|[supervisor, topology]| flows::process::main(supervisor, topology))
    }),
    (speaker::VERB, |_| Some(speaker::main())),
    (agent::VERB, |rest| match rest {
        [node] => Some(agent::main(node)),
        _ => None,
    }),
    (operator::VERB, |rest| Some(operator::main(!rest.is_empty()))),
    (dns::VERB, |rest| Some(dns::main(rest))),
    (kubelet::wait::VERB, |rest| Some(kubelet::wait::main(rest))),
    (kubelet::image::VERB, |rest| match rest {
        [path] => Some(kubelet::image::main(path)),
        _ => None,
    }),
    (on_terminal::VERB, |rest| Some(on_terminal::main(rest))),
    (evaluate::VERB, |rest| Some(evaluate::main(rest))),
];

/// Runs one of the verbs under which nslab executes itself, if that is what the command line says.
pub fn hidden_verb(words: &[String]) -> Option<i32> {
    let [_, verb, rest @ ..] = words else { return None };
    let (_, main) = VERBS.iter().find(|(name, _)| name == verb)?;
    // Executed through /proc/self/exe it would be called "exe".
    let _ = nix::sys::prctl::set_name(c"nslab");
    main(rest)
}

/// So many descriptors, which are all that follows.
fn descriptors<const N: usize>(words: &[String]) -> Option<[RawFd; N]> {
    let numbers: Option<Vec<RawFd>> = words.iter().map(|word| word.parse().ok()).collect();
    numbers?.try_into().ok()
}
