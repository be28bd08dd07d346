//! What a lab's own commands want of the kernel that not every kernel has: kinds of devices, MPLS, VLANs on bridges. It is tried in
//! a namespace thrown away at once, and told once, with the module that brings it.

use std::collections::{BTreeMap, BTreeSet};

use nix::errno::Errno;

use crate::kernel::link;
use crate::kernel::namespace::{self, Wanted};
use crate::lab::model::Command;
use crate::lab::plan::{NodeStep, Plan};

/// Kinds of devices that no lab file has, and the modules that bring them.
const FOREIGN: [(&str, &str); 3] = [("bareudp", "bareudp"), ("geneve", "geneve"), ("vti", "ip_vti")];

/// Kinds of devices as `ip link add … type` has them, and the modules that bring them.
fn devices() -> impl Iterator<Item = (&'static str, &'static str)> {
    let own = crate::lab::links::sorts().filter(|sort| !matches!(sort.name, "bridge" | "tun" | "tap"));
    own.map(|sort| (sort.name, sort.module)).chain(FOREIGN)
}

/// VLANs on bridges are a part of the bridge's module, which kernels are built with or without.
const VLAN_FILTERING: &str = "vlan_filtering";
const MPLS: &str = "mpls";
/// There in kernels that switch MPLS.
const MPLS_SYSCTL: &str = "/proc/sys/net/mpls";

/// What the nodes' commands want that this kernel has not, in one sentence; nothing where it has it all, or cannot be asked.
pub fn missing(plan: &Plan) -> Option<String> {
    let mut wanted: BTreeMap<&'static str, BTreeSet<&str>> = BTreeMap::new();
    for node in &plan.nodes {
        for feature in wants(node) {
            wanted.entry(feature).or_default().insert(&node.name);
        }
    }
    if wanted.is_empty() {
        return None;
    }
    let lacking = lacking(wanted.keys().copied().collect());
    wanted.retain(|feature, _| lacking.contains(feature));
    (!wanted.is_empty()).then(|| told(&wanted))
}

fn told(missing: &BTreeMap<&'static str, BTreeSet<&str>>) -> String {
    let mut features = Vec::new();
    let mut modules = BTreeSet::new();
    for (feature, nodes) in missing {
        let nodes: Vec<&str> = nodes.iter().copied().collect();
        let what = match *feature {
            VLAN_FILTERING => "VLAN filtering on bridges".to_owned(),
            MPLS => "MPLS".to_owned(),
            kind => format!("{kind} devices"),
        };
        features.push(format!("{what} ({})", nodes.join(", ")));
        match *feature {
            VLAN_FILTERING => {}
            MPLS => modules.extend(["mpls_router", "mpls_iptunnel"]),
            kind => modules.extend(
                devices()
                    .filter(|(known, _)| *known == kind)
                    .map(|(_, module)| module),
            ),
        }
    }
    let modules: Vec<&str> = modules.into_iter().collect();
    let cure = match modules.as_slice() {
        [] => "a kernel built with BRIDGE_VLAN_FILTERING has it".to_owned(),
        modules => format!(
            "load the modules with `modprobe -a {}`, or install the package with this kernel's extra modules",
            modules.join(" ")
        ),
    };
    format!("this kernel lacks {}: {cure}", features.join(", "))
}

/// What a node's commands want.
fn wants(node: &NodeStep) -> BTreeSet<&'static str> {
    let run = node.run.iter().map(|process| &process.command);
    let commands = node.exec.iter().map(|exec| &exec.command).chain(run);
    let mut wanted: BTreeSet<&'static str> = commands.flat_map(of_command).collect();
    let config = node.config.as_deref().unwrap_or_default();
    if config.lines().any(|line| line.trim() == "mpls ldp") {
        wanted.insert(MPLS);
    }
    wanted
}

fn of_command(command: &Command) -> Vec<&'static str> {
    let line = command.argv().join(" ");
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_.=".contains(c);
    let words: Vec<&str> = line
        .split(|c| !is_word(c))
        .filter(|word| !word.is_empty())
        .collect();
    let mut wanted = Vec::new();
    for pair in words.windows(2) {
        let kind = devices().find(|(kind, _)| pair[0] == "type" && pair[1] == *kind);
        wanted.extend(kind.map(|(kind, _)| kind));
        if pair[0] == VLAN_FILTERING && pair[1] == "1" {
            wanted.push(VLAN_FILTERING);
        }
    }
    let is_mpls = |word: &&str| word.starts_with("net.mpls.") || *word == "mpls";
    if words.iter().any(is_mpls) {
        wanted.push(MPLS);
    }
    wanted
}

/// Which of these the kernel has not.
fn lacking(wanted: Vec<&'static str>) -> BTreeSet<&'static str> {
    let made = namespace::create(&[Wanted {
        made: None,
        name: "a trial",
        sysctls: &[],
    }]);
    let Some(mut made) = made.ok().and_then(|made| made.into_iter().next()) else {
        return BTreeSet::new();
    };
    let mut lacks = |feature: &str| match feature {
        MPLS => !std::path::Path::new(MPLS_SYSCTL).exists(),
        VLAN_FILTERING => {
            let request = link::filtering_bridge("try VLAN filtering");
            matches!(made.netlink.send_one(request), Err(error) if error.errno == Errno::EOPNOTSUPP)
        }
        kind => {
            // One that lacks an option is refused with another error than one that is unknown.
            let request = link::of_kind(&format!("make a {kind} device"), kind);
            matches!(made.netlink.send_one(request), Err(error) if error.errno == Errno::EOPNOTSUPP)
        }
    };
    wanted.into_iter().filter(|feature| lacks(feature)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_say_what_they_want() {
        for (line, wanted) in [
            ("ip link add red type vrf table 10", &["vrf"][..]),
            ("ip link add link eth1 name eth1.10 type vlan id 10", &["vlan"]),
            ("ip link set br0 type bridge vlan_filtering 1", &[VLAN_FILTERING]),
            ("ip link add br1 type bridge vlan_filtering 0", &[]),
            ("sysctl -w net.mpls.platform_labels=1000", &[MPLS]),
            ("ip -f mpls route add 100 via inet 10.0.0.1", &[MPLS]),
            (
                "ip link add d type dummy && ip link add b type bond",
                &["dummy", "bond"],
            ),
            ("echo mpls_router is fine", &[]),
        ] {
            let command = Command::Shell(line.to_owned());
            assert_eq!(of_command(&command), wanted, "{line}");
        }
    }

    #[test]
    fn what_is_missing_is_one_sentence() {
        let missing = [
            ("dummy", ["a", "b"].into()),
            (VLAN_FILTERING, ["sw"].into()),
            ("vrf", ["a"].into()),
        ];
        assert_eq!(
            told(&missing.into()),
            "this kernel lacks dummy devices (a, b), VLAN filtering on bridges (sw), vrf devices (a): load the modules with \
             `modprobe -a dummy vrf`, or install the package with this kernel's extra modules"
        );
    }
}
