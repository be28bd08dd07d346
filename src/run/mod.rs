//! A lab that is alive: its supervisor, its nodes' inits, and the commands that speak with them.

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

use crate::engine::{agent, dns, kubelet, operator, speaker};
use crate::impair;

/// Runs the supervisor's, a speaker's or an agent's own verb, if that is what the command line says: nslab executes
/// itself under these, and they are not for hands.
pub fn hidden_verb(words: &[String]) -> Option<i32> {
    let hidden = words.get(1).is_some_and(|word| {
        [
            supervisor::VERB,
            impair::process::VERB,
            template::VERB,
            speaker::VERB,
            agent::VERB,
            operator::VERB,
            dns::VERB,
            kubelet::wait::VERB,
            on_terminal::VERB,
            evaluate::VERB,
            flows::process::VERB,
        ]
        .contains(&word.as_str())
    });
    if hidden {
        // Executed through /proc/self/exe it would be called "exe".
        let _ = nix::sys::prctl::set_name(c"nslab");
    }
    if let [_, verb, path] = words
        && verb == kubelet::image::VERB
    {
        return Some(kubelet::image::main(path));
    }
    if let [_, verb, rest @ ..] = words
        && verb == evaluate::VERB
    {
        return Some(evaluate::main(rest));
    }
    if let [_, verb, rest @ ..] = words
        && verb == on_terminal::VERB
    {
        return Some(on_terminal::main(rest));
    }
    if let [_, verb, rest @ ..] = words
        && verb == kubelet::wait::VERB
    {
        return Some(kubelet::wait::main(rest));
    }
    if let [_, verb, rest @ ..] = words
        && verb == operator::VERB
    {
        return Some(operator::main(!rest.is_empty()));
    }
    if let [_, verb, rest @ ..] = words
        && verb == dns::VERB
    {
        return Some(dns::main(rest));
    }
    if let [_, verb, node] = words
        && verb == agent::VERB
    {
        return Some(agent::main(node));
    }
    let numbers: Vec<i32> = words.iter().skip(2).map_while(|word| word.parse().ok()).collect();
    match (words.get(1).map(String::as_str), numbers.as_slice()) {
        (Some(supervisor::VERB), &[lock, launcher, setup]) => Some(supervisor::main(lock, launcher, setup)),
        (Some(template::VERB), &[control, common]) => Some(template::main(control, common, None)),
        (Some(template::VERB), &[control, common, program]) => {
            Some(template::main(control, common, Some(program)))
        }
        (Some(flows::process::VERB), &[supervisor, topology]) => {
            Some(flows::process::main(supervisor, topology))
        }
        (Some(impair::process::VERB), &[supervisor]) => Some(impair::process::main(supervisor)),
        (Some(speaker::VERB), &[]) => Some(speaker::main()),
        _ => None,
    }
}
