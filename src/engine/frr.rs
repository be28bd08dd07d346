//! FRR's daemons in a node, as a stock package runs them: integrated configuration, watchfrr supervising.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use compare::{Line, Missing};

use super::configuration::{self, integrated, line_name, preamble, preamble_of};
use super::{Engine, Finished, Inside};
use crate::bgp::config::{Diagnostic, Own, cut};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::output;
use crate::kernel::overlay::Base;
use crate::kernel::users;
use crate::lab::daemons::{self, Daemon, TABLE};
use crate::lab::model::{Cluster, ConfigPlace, Content, File, Node, Process};
use crate::lab::plan::NodeStep;

pub mod compare;
pub mod front;
pub mod redial;
mod told;

/// How long vtysh may take to look at a configuration.
const DRY_RUN: Duration = Duration::from_secs(60);
/// FRR's own script that starts and stops it.
pub const START: &str = "/usr/lib/frr/frrinit.sh";
/// What vtysh is told in a fresh package.
pub const VTYSH_CONF: &str = "service integrated-vtysh-config\n";
/// Where packages put the daemons.
const DAEMONS: &str = "/usr/lib/frr";

/// From FRR 9 on, the daemon that has the configuration of zebra, staticd and others: what of it is sent to them without it is
/// lost without a word.
const MANAGER: &str = "mgmtd";
/// A running configuration is never longer.
const LONGEST: usize = 64 << 20;
/// How many doubtful lines FRR is asked about at once, and how many one by one.
const AT_ONCE: usize = 200;
const MOST_DOUBTS: usize = 100;

/// The engine.
pub struct Frr;

/// Whether the FRR that is installed has a program of this name.
fn has(name: &str) -> bool {
    Path::new(DAEMONS).join(name).exists()
}

/// Whether FRR is installed on this host.
pub fn installed() -> bool {
    has("zebra") && vtysh().is_some()
}

/// Whether the FRR that is installed leaves it to the kernel to take a next hop out of a group, which does so where an interface has
/// lost its carrier. One that is dormant, as those of a lab's cut links are, keeps its next hop, and loses a part of all packets: such
/// an FRR is told not to use groups.
pub fn leaves_next_hops() -> bool {
    has(MANAGER)
}

fn vtysh() -> Option<&'static str> {
    ["/usr/bin/vtysh", "/usr/local/bin/vtysh", "/bin/vtysh"]
        .into_iter()
        .find(|path| Path::new(path).exists())
}

/// The optional daemons a configuration is for.
pub fn daemons(config: &str) -> Vec<&'static str> {
    let needs = |daemon: &&Daemon| config.lines().any(|line| daemon.is_for(line));
    TABLE.iter().filter(needs).map(|daemon| daemon.name).collect()
}

/// The optional daemon that a line is for.
pub fn daemon_of(line: &str) -> Option<&'static str> {
    let found = TABLE.iter().find(|daemon| daemon.is_for(line));
    found.map(|daemon| daemon.name)
}

/// The lines of a configuration that this host's FRR does not take, with its words: number, and what is wrong. Nothing where it
/// cannot be asked.
pub fn unknown_lines(config: &str) -> Vec<(usize, String)> {
    let Some(vtysh) = vtysh() else { return Vec::new() };
    let said = ask(vtysh, config).ok().flatten().unwrap_or_default();
    let lines = said.lines().filter_map(|line| {
        let (number, rest) = line.strip_prefix("line ")?.split_once(':')?;
        Some((number.parse().ok()?, rest.trim().to_owned()))
    });
    let cut = cut_lines(config)
        .map(|(number, line, diagnostic)| (number, format!("{line}: {}", diagnostic.message)));
    lines.chain(cut).collect()
}

/// Gives nodes an /etc/frr and a /run/frr of their own where the host has FRR, with what a fresh package has.
///
/// # Errors
/// Memory is short.
pub fn prepare_root(root: &Base) -> Result<(), Failure> {
    if !Path::new(DAEMONS).exists() {
        return Ok(());
    }
    let user = users::user(Path::new("/"), "frr");
    let own = |path: &Path| match &user {
        Some(user) => {
            chown(path, Some(user.uid), Some(user.gid)).attempt(|| format!("give {} to frr", path.display()))
        }
        None => Ok(()),
    };
    own(&root.empty_directory(Path::new("/etc/frr"), 0o750)?)?;
    for (name, text) in [
        ("daemons", daemons::file(&[])),
        ("frr.conf", "log syslog informational\n".to_owned()),
        ("vtysh.conf", VTYSH_CONF.to_owned()),
        ("support_bundle_commands.conf", String::new()),
    ] {
        let place = root.write(&Path::new("/etc/frr").join(name), &text)?;
        fs::set_permissions(&place, Permissions::from_mode(0o640))
            .attempt(|| format!("write /etc/frr/{name}"))?;
        own(&place)?;
    }
    let run = root.place(Path::new("/run/frr"))?;
    fs::create_dir(&run).attempt(|| "make /run/frr")?;
    fs::set_permissions(&run, Permissions::from_mode(0o755)).attempt(|| "make /run/frr")?;
    own(&run)?;
    Ok(())
}

fn owned(path: &str, text: String) -> File {
    File {
        path: path.to_owned(),
        content: Content::Text(text),
        mode: Some(0o640),
        owner: Some("frr:frr".to_owned()),
    }
}

impl Engine for Frr {
    fn lacks(&self, _cluster: &Cluster) -> Option<Failure> {
        (!installed()).then(|| Failure::host("FRR is not installed"))
    }

    fn judge(&self, node: &Node, config: &str) -> Result<bool, Failure> {
        match vtysh().filter(|_| installed()) {
            Some(vtysh) => dry_run(vtysh, &node.name, config, node.config_place.as_ref()).map(|()| true),
            None => Ok(false),
        }
    }

    fn preflight(&self, node: &NodeStep, _own: &Own) -> Result<(), Failure> {
        let Some(vtysh) = vtysh().filter(|_| installed()) else {
            return Err(
                Failure::host(format!("router {} needs FRR, which is not installed", node.name)).help(
                    "install it: `apt-get install frr` (or `dnf install frr`); its own service may stay off",
                ),
            );
        };
        let config = integrated(node);
        for daemon in daemons(&config) {
            if !has(daemon) {
                return Err(Failure::host(format!(
                    "router {} needs FRR's {daemon}, which is not installed",
                    node.name
                ))
                .help(format!("this FRR was built or packaged without {daemon}")));
            }
        }
        dry_run(
            vtysh,
            &node.name,
            node.config.as_deref().unwrap_or_default(),
            node.config_place.as_ref(),
        )
    }

    fn files(&self, node: &NodeStep) -> Vec<File> {
        let config = integrated(node);
        vec![
            owned("/etc/frr/daemons", daemons::file(&daemons(&config))),
            owned("/etc/frr/frr.conf", config),
        ]
    }

    async fn start(&self, node: &NodeStep, inside: &impl Inside) -> Result<(), Failure> {
        let config = integrated(node);
        let mut enabled = daemons(&config);
        enabled.push("staticd");
        // These first: the others look for their sockets only every ten seconds when they are not there yet.
        let manager = has(MANAGER).then_some(MANAGER);
        if let Some(manager) = manager {
            launch(inside, manager, &["-A", daemons::loopback(manager)]).await?;
        }
        launch(
            inside,
            "zebra",
            &["-A", daemons::loopback("zebra"), "-s", "90000000"],
        )
        .await?;
        for name in &enabled {
            launch(inside, name, &["-A", daemons::loopback(name)]).await?;
        }
        load(node, inside).await?;
        // watchfrr finds them running and takes over; it restarts them by the package's own script, which
        // reads /etc/frr/daemons.
        let daemons = ["zebra"].into_iter().chain(manager);
        let daemons = daemons.chain(enabled.iter().copied());
        // Its own default lets a minute pass between two restarts; in a lab daemons are killed on purpose.
        let argv = [
            "/bin/sh",
            "-c",
            front::UNLESS_STOPPED,
            "sh",
            &format!("{DAEMONS}/watchfrr"),
            "-i",
            "1",
            "--min-restart-interval",
            "1",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain(daemons.map(str::to_owned));
        inside.service(Process::service("watchfrr", argv.collect()));
        Ok(())
    }
}

/// Asks vtysh whether it knows every line.
fn dry_run(vtysh: &str, router: &str, config: &str, place: Option<&ConfigPlace>) -> Result<(), Failure> {
    let preamble = preamble_of(router, config);
    let said = ask(vtysh, &format!("{preamble}{config}"))?;
    let said = said.map(|said| renumbered(&said, preamble.lines().count(), place));
    let cut = cut_lines(config).map(|(number, line, diagnostic)| {
        let name = line_name(place, number);
        format!("{name}: {line}: {} ({})", diagnostic.message, diagnostic.help)
    });
    let said: Vec<String> = said.into_iter().chain(cut).collect();
    if said.is_empty() {
        return Ok(());
    }
    Err(
        Failure::wrong(format!("FRR does not take the configuration of {router}"))
            .detail(said.join("\n"))
            .help(configuration::LINES),
    )
}

/// The lines of which FRR's daemons take a part alone, or nothing: vtysh does not know that when it is asked.
fn cut_lines(config: &str) -> impl Iterator<Item = (usize, &str, Diagnostic)> {
    let lines = (1..).zip(config.lines());
    lines.filter_map(|(number, line)| Some((number, line.trim(), cut(line)?)))
}

/// What vtysh says of a configuration's lines; nothing where it takes them all.
fn ask(vtysh: &str, config: &str) -> Result<Option<String>, Failure> {
    // A file and no pipe: vtysh complains while it reads, and would wait for somebody to read that.
    let input = output::in_memory(format!("{config}\n").as_bytes())?;
    let mut command = Command::new(vtysh);
    command.args(["--dryrun", "--inputfile", "/dev/stdin"]);
    let deadline = Instant::now() + DRY_RUN;
    let done = output::run_on(&mut command, input.into(), deadline, None::<&OwnedFd>)?;
    match done.status {
        Some(0) => Ok(None),
        Some(_) => {
            let said = [done.out, done.errors].concat();
            Ok(Some(String::from_utf8_lossy(&said).into_owned()))
        }
        None => Err(Failure::host(format!(
            "vtysh has not read a configuration of {} bytes within {} s",
            config.len(),
            DRY_RUN.as_secs()
        ))),
    }
}

/// vtysh's complaints (`line 3: % Unknown command: …`) with lines as people find them: not counted from the first few, which
/// are nslab's own.
fn renumbered(said: &str, before: usize, place: Option<&ConfigPlace>) -> String {
    let lines = said.trim().lines().map(|line| {
        let number = line.strip_prefix("line ").and_then(|rest| rest.split_once(':'));
        match number.and_then(|(number, rest)| Some((number.parse::<usize>().ok()?, rest))) {
            Some((number, rest)) if number > before => {
                // What vtysh counts in brackets is the length of what it read, which helps nobody.
                let rest = match rest.split_once('[').zip(rest.split_once("]:")) {
                    Some(((head, _), (_, words))) if head.ends_with("command") => format!("{head}:{words}"),
                    _ => rest.to_owned(),
                };
                format!("{}:{rest}", line_name(place, number - before))
            }
            _ => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Starts a daemon; it detaches when its sockets are there.
async fn launch(inside: &impl Inside, name: &str, options: &[&str]) -> Result<(), Failure> {
    let program = format!("{DAEMONS}/{name}");
    let argv: Vec<String> = [&program[..], "-d", "-F", "traditional"]
        .iter()
        .chain(options)
        .map(|word| (*word).to_owned())
        .collect();
    let finished = inside.command(name, &argv).await?;
    if finished.status == 0 {
        return Ok(());
    }
    Err(Failure::not_ready(format!(
        "{name} of {} did not start (status {})",
        inside.node(),
        finished.status
    ))
    .detail(finished.output))
}

/// Sends the integrated configuration to all daemons, and looks whether it is in force: vtysh ends with status 0 although a
/// daemon has refused a line, or is not there.
async fn load(node: &NodeStep, inside: &impl Inside) -> Result<(), Failure> {
    let sent = vtysh_says(inside, &["-b"]).await?;
    let running = vtysh_says(inside, &["-c", "show running-config"]).await?;
    let asked = node.config.as_deref().unwrap_or_default();
    let told = told::told(&sent.output, preamble(node).lines().count());
    let missing = compare::missing(asked, &running.output);
    let mut refused = refused(inside, node.config_place.as_ref(), asked, &told, missing).await?;
    if refused.is_empty() && sent.status == 0 {
        return Ok(());
    }
    if refused.is_empty() {
        refused = sent.output;
    }
    Err(Failure::not_ready(format!(
        "FRR on {} did not take all of its configuration",
        inside.node()
    ))
    .detail(refused.trim_end())
    .help(configuration::LINES))
}

/// The lines that FRR does not take, each with what FRR says about it: those of which it told so when it read them, and those that
/// are not in force.
async fn refused(
    inside: &impl Inside,
    place: Option<&ConfigPlace>,
    asked: &str,
    said: &BTreeMap<usize, String>,
    Missing { mut lost, doubtful }: Missing,
) -> Result<String, Failure> {
    lost.retain(|line| !said.contains_key(&line.number));
    // Nothing of bgpd's is entered again: it tells of each line that it refuses, and a line that a later one has replaced would
    // be in force again.
    let doubtful: Vec<Line> = doubtful.into_iter().filter(|line| !line.is_bgp()).collect();
    // All at once first: most are defaults, which FRR takes and does not show.
    let mut certain = Vec::new();
    for doubtful in doubtful.chunks(AT_ONCE) {
        if complaint(&entered_again(inside, doubtful).await?).is_some() {
            certain.extend_from_slice(doubtful);
        }
    }
    certain.truncate(MOST_DOUBTS);
    let words = |number: usize| asked.lines().nth(number - 1).unwrap_or_default().trim();
    let told = said.iter().map(|(number, why)| (*number, words(*number), why));
    let told = told.map(|(number, text, why)| (number, told_line(place, number, text, why)));
    let mut told: Vec<(usize, String)> = told.collect();
    let lines = lost.into_iter().map(|line| (line, true));
    for (line, is_lost) in lines.chain(certain.into_iter().map(|line| (line, false))) {
        let said = entered_again(inside, std::slice::from_ref(&line)).await?;
        let why = match complaint(&said) {
            Some(why) => why,
            None if is_lost => "FRR does not say why".to_owned(),
            None => continue,
        };
        told.push((line.number, told_line(place, line.number, &line.text, &why)));
    }
    told.sort();
    Ok(told.into_iter().map(|(_, text)| text).collect())
}

/// What is told of a line.
fn told_line(place: Option<&ConfigPlace>, number: usize, text: &str, why: &str) -> String {
    let hint = match text.contains('|') {
        true => " (vtysh takes what is behind `|` for a filter)",
        false => "",
    };
    format!("{}: {text}\n  {why}{hint}\n", line_name(place, number))
}

/// Enters lines once more, and returns what FRR says.
async fn entered_again(inside: &impl Inside, lines: &[Line]) -> Result<Finished, Failure> {
    let mut words = Vec::new();
    for line in lines {
        let context = line.context.iter().map(String::as_str);
        for command in ["configure terminal"]
            .into_iter()
            .chain(context)
            .chain([line.text.as_str(), "end"])
        {
            words.extend(["-c", command]);
        }
    }
    vtysh_says(inside, &words).await
}

/// What is a complaint of what vtysh printed.
fn complaint(said: &Finished) -> Option<String> {
    let is_one = |line: &&str| line.starts_with('%') || line.ends_with("is not running");
    let first = said.output.lines().map(str::trim).find(is_one);
    match first {
        Some(line) => Some(line.trim_start_matches(['%', ' ']).to_owned()),
        None if said.status != 0 => {
            let last = said.output.lines().map(str::trim).rfind(|line| !line.is_empty());
            Some(last.unwrap_or("it was refused without a word").to_owned())
        }
        None => None,
    }
}

async fn vtysh_says(inside: &impl Inside, words: &[&str]) -> Result<Finished, Failure> {
    let argv: Vec<String> = ["vtysh"]
        .iter()
        .chain(words)
        .map(|word| (*word).to_owned())
        .collect();
    match words {
        // Kept in the node's log.
        ["-b"] => inside.command("vtysh", &argv).await,
        _ => inside.answer("vtysh", &argv, LONGEST).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemons_follow_from_the_stanzas() {
        assert_eq!(daemons("router bgp 65000\n neighbor x bfd\n"), ["bgpd", "bfdd"]);
        assert_eq!(daemons("router ospf6\n"), ["ospf6d"]);
        assert_eq!(
            daemons("interface e\n ip ospf area 0\n isis passive\n"),
            ["ospfd", "isisd"]
        );
        assert!(daemons("ip route 10.0.0.0/8 blackhole\n! router rip\n").is_empty());
    }
}
