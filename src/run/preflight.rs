//! What only the host can tell, asked after resolving and before the first namespace exists.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;

use nix::errno::Errno;

use super::{management, nat, needs};
use crate::engine::{self, Engine as _};
use crate::failure::{Code, Failure};
use crate::kernel::error::Attempt;
use crate::kernel::namespace::{self, Wanted};
use crate::kernel::netlink::Netlink;
use crate::kernel::rootless::{self, is_rootless};
use crate::kernel::{Error, link, memory, process, tun};
use crate::lab::Lab;
use crate::lab::links::{self, Need};
use crate::lab::plan::{self, Facts, Plan};

/// The programs a lab requires that are not on the host's PATH.
pub fn missing_programs(lab: &Lab) -> Vec<&str> {
    let required = lab.requires.iter().map(String::as_str);
    required.filter(|name| !on_path(name)).collect()
}

/// Finds out what the plan depends on.
///
/// # Errors
/// The lab asks for what this host or this nslab does not have.
pub fn facts(lab: &Lab) -> Result<Facts, Failure> {
    let missing = missing_programs(lab);
    if let [first, ..] = missing.as_slice() {
        return Err(Failure::host(format!(
            "lab {} requires {}, not found on this host",
            lab.name,
            missing.join(", ")
        ))
        .help(format!("install it, for example with `apt-get install {first}`")));
    }
    let lacks = needs::lacks(lab);
    if !lacks.is_empty() {
        let help = "run it on a host that has that; the file of a kind says what it needs below `[host]` (`nslab kinds show`)";
        return Err(Failure::host(lacks.join("; ")).help(help));
    }
    let uplink = match &lab.mgmt {
        Some(_) => Some(management::uplink(&lab.name)?),
        None => None,
    };
    Ok(Facts {
        uplink,
        auto_engine: engine::auto(),
        dns_servers: dns_servers(),
        memory: memory::of_host(),
        images: BTreeMap::new(),
    })
}

/// Checks what the plan needs of the kernel and of the engines. Where it may be `lossy`, routers go on without the lines that the
/// builtin engine does not take, which are returned.
///
/// # Errors
/// What is missing or refused.
pub fn check(plan: &Plan, lossy: bool) -> Result<Vec<String>, Failure> {
    let lost = check_engines(plan, lossy)?;
    check_nodes(plan)?;
    // A lab without root begins with an empty network in the place of the host's.
    if is_rootless() {
        check_devices(plan)?;
        return Ok(lost);
    }
    if let Some(host) = &plan.host {
        management::check(host)?;
        if let Some(step) = &host.nat {
            nat::check(step)?;
        }
    }
    check_devices(plan)?;
    Ok(lost)
}

/// Whether the host has what nodes are to see and to have of it.
fn check_nodes(plan: &Plan) -> Result<(), Failure> {
    for node in &plan.nodes {
        if let Some(path) = node
            .rights
            .show_host
            .iter()
            .find(|path| path.try_exists().is_ok_and(|there| !there))
        {
            let message = format!(
                "{} is to see {} of this host, which has none",
                node.name,
                path.display()
            );
            return Err(Failure::wrong(message).help("make it, or take it from `show_host`"));
        }
    }
    // Where the lab file says nothing, programs may ask for more than they have, as far as the host gives it.
    let asked = plan
        .nodes
        .iter()
        .filter(|node| node.limits.open_files == node.limits.most_open_files);
    let wanted = asked.filter_map(|node| Some((node.limits.open_files?, node)));
    let Some((files, node)) = wanted.max_by_key(|(files, _)| *files) else {
        return Ok(());
    };
    let most = process::most_open_files(files);
    if files <= most {
        return Ok(());
    }
    let message = format!(
        "{} is to have {files} open files, and nslab may give {most}",
        node.name
    );
    Err(Failure::host(message).help(
        "lower `limits.open_files`, or raise the host's limit: `ulimit -Hn` before nslab, LimitNOFILE= in the unit, sysctl fs.nr_open",
    ))
}

/// Asks every engine whether it takes its nodes: what is wrong with their configurations is told all at once.
fn check_engines(plan: &Plan, lossy: bool) -> Result<Vec<String>, Failure> {
    let mut refused: Vec<Failure> = Vec::new();
    let mut lost = Vec::new();
    for node in &plan.nodes {
        let Some(engine) = node.engine else { continue };
        let namespace = node.namespace.and_then(|at| plan.namespaces.get(at));
        let addresses = namespace.iter().flat_map(|it| &it.addresses);
        let own = addresses.map(|(_, net)| net.addr()).collect();
        match engine.preflight(node, &own) {
            Err(failure) if lossy && failure.code == Code::Wrong && may_lose(node) => {
                lost.push(format!("{}: {}", node.name, failure.detail.unwrap_or_default()));
            }
            Err(failure) if failure.code == Code::Wrong => refused.push(failure),
            other => other?,
        }
    }
    if refused.len() < 2 {
        return refused.pop().map_or(Ok(lost), Err);
    }
    let message = format!("the configurations of {} routers are not taken", refused.len());
    let help = refused.last().and_then(|failure| failure.help.clone());
    let details = refused.into_iter().map(|failure| {
        let detail = failure.detail.unwrap_or_default();
        format!("{}:\n{detail}", failure.message)
    });
    let all = details.collect::<Vec<_>>().join("\n");
    let failure = Failure::wrong(message).detail(all);
    Err(match help {
        Some(help) => failure.help(help),
        None => failure,
    })
}

fn may_lose(node: &plan::NodeStep) -> bool {
    node.engine.is_some_and(|engine| engine.traits().may_lose_lines)
}

/// Whether a program is on the PATH of this process.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// The host's upstream servers. A stub on the loopback is of no use in another network namespace; the ones
/// behind systemd-resolved's stand in a file of its own.
fn dns_servers() -> Vec<IpAddr> {
    ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"]
        .iter()
        .map(|path| nameservers(&fs::read_to_string(path).unwrap_or_default()))
        .find(|servers| !servers.is_empty())
        .unwrap_or_default()
}

fn nameservers(resolv_conf: &str) -> Vec<IpAddr> {
    resolv_conf
        .lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("nameserver")?
                .trim()
                .parse::<IpAddr>()
                .ok()
        })
        .filter(|server| !server.is_loopback())
        .collect()
}

/// Kinds of device that not every kernel has, of which labs need those that are theirs.
pub fn optional_devices() -> impl Iterator<Item = &'static str> {
    links::sorts().map(|sort| sort.name)
}

/// What a lab needs of the kernel that this one has not, all at once.
fn check_devices(plan: &Plan) -> Result<(), Failure> {
    let mut wanted: BTreeMap<Need, String> = BTreeMap::new();
    for step in &plan.links {
        if let plan::Device::Device { device, .. } = &step.device {
            for need in device.needs() {
                wanted.entry(need).or_insert_with(|| step.label.clone());
            }
        }
    }
    for step in &plan.namespaces {
        for need in step
            .bridge
            .iter()
            .flat_map(|it| links::Device::Bridge(it.options.clone()).needs())
        {
            wanted.entry(need).or_insert_with(|| step.node.clone());
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let missing = missing(&wanted.keys().copied().collect::<Vec<_>>())?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(lacking(&missing, &wanted))
}

/// Where modules are that a kernel's own package leaves out.
const PACKAGES: &str = "where there are none such, install the package with this kernel's extra modules: `linux-modules-extra-$(uname -r)` \
     on Ubuntu, `kernel-modules-extra` on Fedora, `linux-image-amd64` in place of a cloud kernel on Debian";

/// What is missing, each with the link that needs it, and all modules in one command.
fn lacking(missing: &[Need], wanted: &BTreeMap<Need, String>) -> Failure {
    let label = |need: &Need| wanted.get(need).map_or("the lab", String::as_str);
    let mut modules: Vec<&str> = Vec::new();
    for module in missing.iter().filter_map(|need| need.module()) {
        if !modules.contains(&module) {
            modules.push(module);
        }
    }
    let mut help = match modules.as_slice() {
        [] => "take a kernel that is built with it".to_owned(),
        [module] => format!("load the module: `modprobe {module}`; {PACKAGES}"),
        modules => format!(
            "load the modules: `modprobe -a {}`; {PACKAGES}",
            modules.join(" ")
        ),
    };
    if missing.contains(&Need::Kind("dummy")) {
        help.push_str(". A node's `lo` carries addresses as well as a dummy");
    }
    let option = |need: &Need| {
        need.option()
            .map(|it| format!(" (CONFIG_{it})"))
            .unwrap_or_default()
    };
    if let [need] = missing {
        let message = format!(
            "this kernel cannot make {}{}, which {} needs",
            need.what(),
            option(need),
            label(need)
        );
        return Failure::host(message).help(help);
    }
    let lines = missing
        .iter()
        .map(|need| format!("{}{}, which {} needs", need.what(), option(need), label(need)));
    Failure::host(format!(
        "this kernel cannot make {} kinds of what the lab needs",
        missing.len()
    ))
    .detail(lines.collect::<Vec<_>>().join("\n"))
    .help(help)
}

/// Which of these this kernel has not: tried in a namespace thrown away at once.
///
/// # Errors
/// Not even a namespace can be made.
pub fn missing(needs: &[Need]) -> Result<Vec<Need>, Failure> {
    let has = match is_rootless() {
        true => tried_by_user(needs)?,
        false => {
            let made = namespace::create(&[Wanted {
                made: None,
                name: "a trial",
                sysctls: &[],
            }])?;
            let mut made = made.into_iter();
            made.next()
                .map_or_else(Vec::new, |mut made| tried(&mut made.netlink, needs))
        }
    };
    let all = needs.iter().zip(has);
    Ok(all.filter(|(_, has)| !has).map(|(need, _)| *need).collect())
}

/// The same in a user namespace as the lab will have one: this user may not make any in the host's.
fn tried_by_user(needs: &[Need]) -> Result<Vec<bool>, Failure> {
    const WHAT: &str = "ask the kernel what it can make";
    let pair = rootless::begin().map_err(|error| super::rootless::explain(error.into()))?;
    let (mut told, mut tell) = io::pipe().attempt(|| WHAT)?;
    let helper = process::fork(WHAT, || {
        let asked = rootless::enter(&pair).and_then(|()| Netlink::open());
        match asked {
            Ok(mut netlink) => {
                let answers: Vec<u8> = tried(&mut netlink, needs).into_iter().map(u8::from).collect();
                i32::from(tell.write_all(&answers).is_err())
            }
            Err(error) => error.errno as i32,
        }
    })?;
    drop(tell);
    let mut answers = Vec::new();
    let heard = told.read_to_end(&mut answers);
    let status = process::wait(&helper);
    heard.attempt(|| WHAT)?;
    if status != 0 || answers.len() != needs.len() {
        return Err(Error::new(WHAT, Errno::from_raw(status)).into());
    }
    Ok(answers.into_iter().map(|answer| answer != 0).collect())
}

/// Whether the kernel can make each of these in the namespace of a socket.
fn tried(netlink: &mut Netlink, needs: &[Need]) -> Vec<bool> {
    let mut has = |need: &Need| {
        let request = match need {
            Need::Tun => return tun::is_there(),
            Need::Kind(kind) => link::of_kind(&format!("make a {kind} device"), kind),
            Need::VlanFiltering => link::filtering_bridge("try VLAN filtering"),
        };
        // One that lacks an option is refused with another error than one that is unknown.
        !matches!(netlink.send_one(request), Err(error) if error.errno == Errno::EOPNOTSUPP)
    };
    needs.iter().map(&mut has).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_on_the_loopback_are_no_servers() {
        let servers = nameservers(
            "nameserver 127.0.0.53\nnameserver 192.0.2.1\n# nameserver 9.9.9.9\nnameserver ::1\n",
        );
        assert_eq!(servers, [IpAddr::from([192, 0, 2, 1])]);
    }
}
