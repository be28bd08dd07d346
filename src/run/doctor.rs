//! What this host can do for labs: each thing tried for real where that leaves nothing behind.

use std::fs;
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit};
use serde::Serialize;

use super::directory::RunDirectory;
use super::links::trial;
use super::rootless::explain;
use super::{nat, neighbors, outside, preflight, versions};
use crate::engine::{frr, kubelet};
use crate::failure::Failure;
use crate::kernel::cgroup::Trees;
use crate::kernel::rootless::{self, is_rootless};
use crate::kernel::{mount, overlay, process, sysctl, tun, user_namespace};
use crate::lab::links::Need;
use crate::lab::model::Cluster;
use crate::lab::rights::first_id;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Good,
    /// Some labs miss it.
    Lacking,
    /// No lab runs without it.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub what: String,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub cure: Option<String>,
}

fn good(what: &str, found: impl Into<String>) -> Finding {
    Finding {
        what: what.into(),
        state: State::Good,
        found: found.into(),
        cure: None,
    }
}

fn bad(what: &str, state: State, found: impl Into<String>, cure: &str) -> Finding {
    Finding {
        what: what.into(),
        state,
        found: found.into(),
        cure: Some(cure.into()),
    }
}

/// Looks at everything.
pub fn examine() -> Vec<Finding> {
    let mut findings = vec![
        root(),
        without_root(),
        carrier(),
        kernel(),
        namespaces(),
        overlays(),
        run_directory(),
    ];
    // Only root's labs have these.
    if !is_rootless() {
        findings.extend([user_namespaces(), cgroups()]);
        findings.extend(devices());
        findings.extend([impairments(), nat(), kubernetes(), neighbor_tables()]);
    }
    findings.extend([routers(), programs(), open_files(), namespace_limit()]);
    findings
}

fn root() -> Finding {
    if nix::unistd::geteuid().is_root() {
        return good("root", "yes");
    }
    bad(
        "root",
        State::Lacking,
        "no: labs have no way to this host's network, no kubelets, and no limits of CPU and memory",
        "run nslab with sudo where a lab needs them",
    )
}

/// What labs of users who are not root need. Root's need nothing of it.
fn without_root() -> Finding {
    let what = "labs without root";
    if !is_rootless() {
        let (found, cure) = match rootless::forbidden_by() {
            Some((name, value)) => (
                format!("users may not make namespaces: {name}"),
                format!("`sysctl {name}={value}`"),
            ),
            None if !preflight::on_path("newuidmap") => {
                ("no newuidmap".to_owned(), "`apt-get install uidmap`".to_owned())
            }
            None => return good(what, "users to whom /etc/subuid gives ids can make some"),
        };
        return bad(what, State::Lacking, found, &cure);
    }
    match tried(|| Ok(())) {
        Ok(()) => good(what, "yes"),
        Err(reason) => {
            let cure = explain(Failure::host("")).help.unwrap_or_default();
            bad(what, State::Missing, reason, &cure)
        }
    }
}

/// What carries packets of users' labs. Root's need nothing of it.
fn carrier() -> Finding {
    let what = "outside, without root";
    match (outside::find(), outside::hindrance()) {
        (Some(carrier), None) => good(
            what,
            format!("{} carries the packets of such labs", carrier.name()),
        ),
        (None, _) => bad(
            what,
            State::Lacking,
            "neither pasta nor slirp4netns: labs without root have no way out",
            "`apt-get install passt`",
        ),
        (Some(carrier), Some(why)) => bad(
            what,
            State::Lacking,
            format!("{} is there, but {why}", carrier.name()),
            "`chmod 666 /dev/net/tun` as root, as most hosts have it",
        ),
    }
}

/// setns(2) with a pidfd came with 5.8, mount_setattr and friends by 5.12.
fn kernel() -> Finding {
    const OLDEST: (u32, u32) = (5, 8);
    let release = sysctl::read("kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= OLDEST {
        return good("kernel", release);
    }
    bad(
        "kernel",
        State::Missing,
        release,
        "nslab needs Linux 5.8 or newer",
    )
}

/// Tries something in a child that ends at once, where a lab of this user would do it.
fn tried(trial: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let (mut reader, mut writer) = std::io::pipe().map_err(|error| error.to_string())?;
    let child = process::fork("try something", || {
        let there = || match is_rootless() {
            true => rootless::begin().and_then(|pair| rootless::enter(&pair)),
            false => Ok(()),
        };
        let done = there().map_err(|error| error.to_string());
        if let Err(reason) = done.and_then(|()| trial()) {
            let _ = std::io::Write::write_all(&mut writer, reason.as_bytes());
            return 1;
        }
        0
    })
    .map_err(|error| error.to_string())?;
    drop(writer);
    let mut reason = String::new();
    let _ = std::io::Read::read_to_string(&mut reader, &mut reason);
    let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.pid), None);
    match status.map(process::exit_code) {
        Ok(0) => Ok(()),
        _ if reason.is_empty() => Err("it did not work".to_owned()),
        _ => Err(reason),
    }
}

fn namespaces() -> Finding {
    let kinds = [
        ("net", CloneFlags::CLONE_NEWNET),
        ("mount", CloneFlags::CLONE_NEWNS),
        ("pid", CloneFlags::CLONE_NEWPID),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("cgroup", CloneFlags::CLONE_NEWCGROUP),
    ];
    let refused: Vec<String> = kinds
        .into_iter()
        .filter_map(|(name, flag)| {
            let reason = tried(|| unshare(flag).map_err(|errno| errno.desc().to_owned())).err()?;
            Some(format!("{name}: {reason}"))
        })
        .collect();
    if refused.is_empty() {
        return good("namespaces", "net, mount, pid, uts, ipc, cgroup");
    }
    let cure = "run as root; in a container, one started with --privileged";
    bad("namespaces", State::Missing, refused.join("; "), cure)
}

fn overlays() -> Finding {
    let trial = || -> Result<(), String> {
        let say = |error: crate::kernel::Error| error.to_string();
        unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| errno.desc().to_owned())?;
        mount::seclude(&[]).map_err(say)?;
        // Anywhere will do: nobody else sees this mount namespace.
        let places = ["/mnt", "/tmp", "/run"].map(Path::new);
        let place = places.into_iter().find(|place| place.is_dir());
        overlay::trial(place.unwrap_or(Path::new("/proc"))).map_err(say)
    };
    match tried(trial) {
        Ok(()) => good("overlay root", "the host's root can be below a node's"),
        Err(reason) => bad(
            "overlay root",
            State::Missing,
            reason,
            "load the module (`modprobe overlay`); inside a container inside a container the kernel stacks no further",
        ),
    }
}

/// Of nodes with `user_namespace`. Nothing else needs them.
fn user_namespaces() -> Finding {
    let trial = || -> Result<(), String> {
        let say = |error: crate::kernel::Error| error.to_string();
        let first = first_id(0).unwrap_or_default();
        let pair = user_namespace::create(first).map_err(say)?;
        user_namespace::mapped_copy(Path::new("/"), &pair.users).map_err(say)?;
        Ok(())
    };
    let what = "user namespaces";
    match tried(trial) {
        Ok(()) => good(
            what,
            "what nodes may do ends at their lab; nodes may have users of their own (user_namespace = true)",
        ),
        Err(reason) => bad(
            what,
            State::Lacking,
            reason,
            "without them root in a node can change other networks of this machine (`sysctl user.max_user_namespaces` must not be 0); nodes with `user_namespace = true` need idmapped mounts of the root file system as well",
        ),
    }
}

fn run_directory() -> Finding {
    match RunDirectory::find().sweep() {
        Ok(_) => good("run directory", RunDirectory::find().path().display().to_string()),
        Err(failure) => bad(
            "run directory",
            State::Missing,
            failure.message,
            "choose another with NSLAB_RUN_DIR",
        ),
    }
}

fn cgroups() -> Finding {
    let trees = Trees::find();
    match (&trees.unified, trees.legacy.is_empty()) {
        (Some(_), true) => good("cgroups", "version 2"),
        (Some(_), false) => good("cgroups", "hybrid: version 2 beside version 1 controllers"),
        (None, false) => good("cgroups", "version 1"),
        (None, true) => bad(
            "cgroups",
            State::Lacking,
            "none mounted",
            "limits (cpu, memory) need /sys/fs/cgroup",
        ),
    }
}

fn devices() -> Vec<Finding> {
    let needs: Vec<Need> = preflight::optional_devices()
        .map(|kind| match kind {
            "tun" | "tap" => Need::Tun,
            kind => Need::Kind(kind),
        })
        .chain([Need::VlanFiltering])
        .collect();
    let missing = match preflight::missing(&needs) {
        Ok(missing) => missing,
        Err(failure) => return vec![bad("devices", State::Missing, failure.message, "see namespaces")],
    };
    let (mut there, mut lacking, mut modules) = (Vec::new(), Vec::new(), Vec::new());
    for need in needs {
        let name = match need {
            Need::Kind(kind) => kind,
            Need::Tun => "tun",
            Need::VlanFiltering => "bridges with VLANs",
        };
        let is_missing = missing.contains(&need);
        let list = if is_missing { &mut lacking } else { &mut there };
        if !list.contains(&name) {
            list.push(name);
        }
        let module = need.module().filter(|it| is_missing && !modules.contains(it));
        modules.extend(module);
    }
    let mut found = vec![good("devices", there.join(", "))];
    if !lacking.is_empty() {
        let cure = format!(
            "`modprobe -a {}`, or install this kernel's extra modules",
            modules.join(" ")
        );
        let what = format!("this kernel has no {}", lacking.join(", "));
        found.push(bad("more devices", State::Lacking, what, &cure));
    }
    found
}

/// By which way links delay and lose packets.
fn impairments() -> Finding {
    const WHAT: &str = "impairments";
    let own = tried(|| trial::own().map_err(|failure| failure.to_string()));
    let tap = tun::is_there();
    match (
        tried(|| trial::netem().map_err(|failure| failure.to_string())),
        own,
    ) {
        (Ok(()), Ok(())) => good(
            WHAT,
            "carried out by netem, and by nslab itself where `only` is said",
        ),
        (Ok(()), Err(reason)) => bad(
            WHAT,
            State::Lacking,
            format!("carried out by netem; silence and `only` are not possible: {reason}"),
            "`modprobe -a sch_ingress cls_bpf act_mirred sch_tbf`",
        ),
        (Err(_), Ok(())) if tap => good(WHAT, "carried out by nslab itself: this kernel has no netem"),
        (Err(_), Ok(())) => bad(
            WHAT,
            State::Lacking,
            "loss and rate are carried out by nslab itself; for delays this kernel has neither netem nor tun",
            "`modprobe -a sch_netem tun`",
        ),
        (Err(_), Err(reason)) => bad(
            WHAT,
            State::Lacking,
            reason,
            "`modprobe -a sch_netem sch_ingress cls_bpf act_mirred sch_tbf tun`",
        ),
    }
}

fn nat() -> Finding {
    match nat::trial() {
        Ok(()) => good("NAT", "nftables with owned tables"),
        Err(failure) => bad(
            "NAT",
            State::Lacking,
            failure.message,
            failure.help.as_deref().unwrap_or_default(),
        ),
    }
}

fn routers() -> Finding {
    if frr::installed() {
        let version = versions::frr().map(|version| format!("{version}, "));
        return good("FRR", version.unwrap_or_default() + "installed");
    }
    bad(
        "FRR",
        State::Lacking,
        "not installed",
        "`apt-get install frr`; its own service may stay off",
    )
}

/// The programs of the host are those of the nodes. No lab needs them unless it says so.
fn programs() -> Finding {
    let (there, missing) = versions::programs();
    let mut found = there.join(", ");
    if !missing.is_empty() {
        let missing = missing.join(", ");
        found = match found.is_empty() {
            true => format!("none of {missing}"),
            false => format!("{found}; not there: {missing}"),
        };
    }
    good("programs", found)
}

fn kubernetes() -> Finding {
    let programs = kubelet::Programs::of(&Cluster::default());
    let versions = programs
        .versions()
        .into_iter()
        .map(|(name, version)| format!("{name} {version}"));
    let versions: Vec<String> = versions.collect();
    match programs.all().and_then(|_| programs.minor_version()) {
        Ok(_) => good("Kubernetes", versions.join(", ")),
        Err(failure) => bad(
            "Kubernetes",
            State::Lacking,
            failure.message,
            failure.help.as_deref().unwrap_or_default(),
        ),
    }
}

fn neighbor_tables() -> Finding {
    let limits = neighbors::limits();
    if let Some(limit) = limits.last() {
        let entries = sysctl::read(limit).unwrap_or_default();
        return good(
            "neighbor tables",
            format!("{entries} entries, more while a large lab lives"),
        );
    }
    bad(
        "neighbor tables",
        State::Lacking,
        "not to be changed from this network namespace: enough for labs of about 250 links",
        "raise sysctls net.ipv4.neigh.default.gc_thresh3 and net.ipv6.neigh.default.gc_thresh3 on the host",
    )
}

fn open_files() -> Finding {
    const ENOUGH: u64 = 10_000;
    let hard = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard);
    if hard >= ENOUGH {
        return good("open files", hard.to_string());
    }
    let found = format!("{hard}: enough for labs of about {} nodes", hard / 4);
    bad(
        "open files",
        State::Lacking,
        found,
        "`ulimit -Hn 100000`, or LimitNOFILE= in the unit",
    )
}

fn namespace_limit() -> Finding {
    let limit = fs::read_to_string("/proc/sys/user/max_net_namespaces").unwrap_or_default();
    let limit: u64 = limit.trim().parse().unwrap_or(u64::MAX);
    if limit >= 1024 {
        return good("namespace limit", limit.to_string());
    }
    let cure = "raise sysctl user.max_net_namespaces";
    bad(
        "namespace limit",
        if limit == 0 {
            State::Missing
        } else {
            State::Lacking
        },
        limit.to_string(),
        cure,
    )
}
