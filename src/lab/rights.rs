//! What the processes of a node may do: capabilities (capabilities(7)), and which of the host's files they see.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
}

impl RightsStep {
    /// The rights of a node whose engine needs the given capabilities as well.
    pub fn of(rights: &Rights, engine_needs: &[&str]) -> RightsStep {
        if rights.privileged {
            return RightsStep {
                privileged: true,
                ..RightsStep::default()
            };
        }
        let usual = USUAL.into_iter().map(str::to_owned);
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
        }
    }

    /// Whether whatever runs in the node has this capability.
    pub fn has(&self, capability: &str) -> bool {
        self.privileged || self.capabilities.iter().any(|name| name == capability)
    }
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
        let step = RightsStep::of(&Rights::default(), &["SYS_ADMIN", "NET_ADMIN"]);
        assert!(!step.has("SYS_ADMIN") && step.has("NET_ADMIN"));
        let engine = step.engine_capabilities.unwrap();
        assert!(engine.iter().any(|name| name == "SYS_ADMIN"));
        assert_eq!(engine.len(), USUAL.len() + 1);
    }

    #[test]
    fn nothing_is_withheld_from_a_privileged_node() {
        let rights = Rights {
            privileged: true,
            ..Rights::default()
        };
        assert!(RightsStep::of(&rights, &["SYS_ADMIN"]).has("SYS_TIME"));
    }
}
