//! What the processes of a node may do: capabilities (capabilities(7)), and which of the host's files they see.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Sysctls below /proc/sys/net, by their paths there, that every network shows and that are one for the whole machine. Linux
/// makes others of that kind read-only in all networks but the first (ensure_safe_net_sysctl); these it does not know of.
pub const SHARED_SYSCTLS: [&str; 1] = ["netfilter/nf_hooks_lwtunnel"];

/// All capabilities there are, by their names without `CAP_`, in the kernel's order.
pub const ALL: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What every node has: its own network in full, and what ordinary programs ask of root. None of these reaches anything
/// outside the node's namespaces.
pub const USUAL: [&str; 15] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "SETFCAP",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "SYS_CHROOT",
    "AUDIT_WRITE",
];

/// Those of [`USUAL`] that administer the network.
const OF_NETWORK: [&str; 2] = ["NET_ADMIN", "NET_BROADCAST"];

/// The one that opens most of the kernel: mounts, namespaces, and much else.
pub const SYS_ADMIN: &str = "SYS_ADMIN";

/// What a lab file says about a node's rights.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Whether nothing is withheld from the node.
    pub privileged: bool,
    /// Capabilities beyond [`USUAL`], by their names without `CAP_`.
    pub capabilities: Vec<String>,
    /// Paths of the host that nodes do not see otherwise.
    pub show_host: Vec<PathBuf>,
    /// Whether its users are its own: its root is nobody on the host.
    #[serde(default)]
    pub user_namespace: bool,
}

/// The first id of the first node with a user namespace: far above what systems give to users and their containers.
const FIRST_ID: u32 = 1 << 30;
/// Ids a node.
const IDS: u32 = 65_536;

/// The first id of the node of this number; none where there are no more.
pub fn first_id(node: usize) -> Option<u32> {
    let offset = u32::try_from(node).ok()?.checked_mul(IDS)?;
    FIRST_ID
        .checked_add(offset)?
        .checked_add(IDS - 1)
        .map(|last| last - (IDS - 1))
}

/// The rights of a node, with nothing left to decide.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightsStep {
    /// Whether nothing is withheld from the node. Then the lists below are empty.
    pub privileged: bool,
    /// The capabilities of whatever runs in it.
    pub capabilities: Vec<String>,
    /// The capabilities of the programs of its engine, where those need more.
    pub engine_capabilities: Option<Vec<String>>,
    /// Paths of the host that it sees beside what all nodes see.
    pub show_host: Vec<PathBuf>,
    /// The user and group id on the host of its root, where its users are its own.
    pub first_id: Option<u32>,
    /// Whether its capabilities hold in its lab alone: in a user namespace of the lab's, which owns the networks of such nodes.
    #[serde(default)]
    pub in_lab: bool,
}

impl RightsStep {
    /// The rights of a node whose engine needs the given capabilities as well. One in the host's network does not
    /// administer that unless its own rights say so.
    pub fn of(rights: &Rights, engine_needs: &[&str], in_host_network: bool) -> RightsStep {
        if rights.privileged {
            return RightsStep {
                privileged: true,
                ..RightsStep::default()
            };
        }
        let usual = USUAL
            .into_iter()
            .filter(|name| !in_host_network || !OF_NETWORK.contains(name));
        let usual = usual.map(str::to_owned);
        let mut capabilities: Vec<String> = usual.chain(rights.capabilities.iter().cloned()).collect();
        let missing: Vec<&str> = engine_needs
            .iter()
            .copied()
            .filter(|need| !capabilities.iter().any(|name| name == need))
            .collect();
        let engine_capabilities = (!missing.is_empty()).then(|| {
            let missing = missing.into_iter().map(str::to_owned);
            capabilities.iter().cloned().chain(missing).collect()
        });
        capabilities.sort_unstable();
        RightsStep {
            privileged: false,
            capabilities,
            engine_capabilities,
            show_host: rights.show_host.clone(),
            first_id: None,
            // What is beyond the usual is meant for the machine, and a user namespace has it of itself alone.
            in_lab: rights.capabilities.is_empty() && !in_host_network && !rights.user_namespace,
        }
    }

    /// The capabilities of whatever runs in the node that nodes do not have otherwise.
    pub fn unusual(&self) -> impl Iterator<Item = &str> {
        let names = self.capabilities.iter().map(String::as_str);
        names.filter(|name| !USUAL.contains(name))
    }

    /// Whether whatever runs in the node has this capability.
    pub fn has(&self, capability: &str) -> bool {
        self.privileged || self.capabilities.iter().any(|name| name == capability)
    }
}

/// What programs say who lack a right.
const REFUSALS: [&str; 5] = [
    "not permitted",
    "ermission denied",
    "Read-only file system",
    "EPERM",
    "EACCES",
];
/// Words of commands, and the capability without which the kernel refuses what they want.
const WANTED: [(&[&str], &str); 7] = [
    (
        &[
            "mount", "umount", "unshare", "nsenter", "netns", "hostname", "vtysh", "frr",
        ],
        SYS_ADMIN,
    ),
    (&["modprobe", "insmod", "rmmod"], "SYS_MODULE"),
    (&["date", "hwclock", "chronyd", "ntpd", "chronyc"], "SYS_TIME"),
    (&["mknod"], "MKNOD"),
    (&["dmesg"], "SYSLOG"),
    (&["bpftool", "xdp", "xdpgeneric", "bpf"], "BPF"),
    (&["chrt", "renice", "ionice"], "SYS_NICE"),
];

/// Which key of the lab file gives what a command lacked, if a right is what it lacked: by what it printed.
pub fn missing(command: &str, output: &str, rights: &RightsStep) -> Option<String> {
    if rights.privileged || !REFUSALS.iter().any(|refusal| output.contains(refusal)) {
        return None;
    }
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: Vec<&str> = command.split(|c| !is_letter(c)).collect();
    let (_, capability) = WANTED
        .iter()
        .find(|(names, capability)| !rights.has(capability) && words.iter().any(|word| names.contains(word)))
        .unwrap_or(&(&[], ""));
    Some(match *capability {
        "" => "nodes are kept from what is the host's: `privileged = true` gives this node everything"
            .to_owned(),
        name => format!(
            "nodes do not have {name}: `capabilities = [\"{name}\"]` gives it to this one, `privileged = true` everything"
        ),
    })
}

/// A capability's name as lab files have it: `NET_ADMIN` for `net_admin` and `CAP_NET_ADMIN` as well.
pub fn canonical(text: &str) -> Option<&'static str> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    ALL.into_iter().find(|known| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_tools_write_them() {
        assert_eq!(canonical("CAP_SYS_ADMIN"), Some("SYS_ADMIN"));
        assert_eq!(canonical("net_raw"), Some("NET_RAW"));
        assert_eq!(canonical("ALL"), None);
    }

    #[test]
    fn an_engine_has_more_than_what_runs_beside_it() {
        let step = RightsStep::of(&Rights::default(), &["SYS_ADMIN", "NET_ADMIN"], false);
        assert!(!step.has("SYS_ADMIN") && step.has("NET_ADMIN"));
        let engine = step.engine_capabilities.unwrap();
        assert!(engine.iter().any(|name| name == "SYS_ADMIN"));
        assert_eq!(engine.len(), USUAL.len() + 1);
    }

    #[test]
    fn the_hosts_network_is_not_administered_by_nodes_in_it() {
        assert!(!RightsStep::of(&Rights::default(), &[], true).has("NET_ADMIN"));
        assert!(RightsStep::of(&Rights::default(), &[], false).has("NET_ADMIN"));
    }

    #[test]
    fn a_refused_command_names_the_key() {
        let step = RightsStep::of(&Rights::default(), &[], false);
        let said = |command: &str, output: &str| missing(command, output, &step);
        assert!(
            said("modprobe mpls", "could not insert: Operation not permitted")
                .unwrap()
                .contains("SYS_MODULE")
        );
        assert!(
            said("ip netns add x", "mount failed: Operation not permitted")
                .unwrap()
                .contains("SYS_ADMIN")
        );
        assert!(
            said("sysctl -w kernel.x=1", "Read-only file system")
                .unwrap()
                .contains("privileged")
        );
        assert_eq!(said("ip link add x", "RTNETLINK answers: File exists"), None);
        let admin = RightsStep::of(
            &Rights {
                capabilities: vec!["SYS_ADMIN".into()],
                ..Rights::default()
            },
            &[],
            false,
        );
        assert!(
            !missing("mount x y", "Permission denied", &admin)
                .unwrap()
                .contains("SYS_ADMIN")
        );
    }

    #[test]
    fn nothing_is_withheld_from_a_privileged_node() {
        let rights = Rights {
            privileged: true,
            ..Rights::default()
        };
        assert!(RightsStep::of(&rights, &["SYS_ADMIN"], false).has("SYS_TIME"));
    }
}
