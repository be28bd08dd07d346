//! What kinds of nodes need of the host: its architecture, what its CPUs can do, how many they are, memory.

use std::fs;
use std::num::NonZero;
use std::thread;

use crate::kernel::memory;
use crate::lab::Lab;
use crate::lab::model::HostNeeds;

/// The architecture whose CPUs say what they can do in the words that kinds' files have.
const WITH_FLAGS: &str = "x86_64";

/// What the host has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Has {
    architecture: String,
    cpu_flags: Vec<String>,
    cpus: u32,
    /// Bytes; zero where it is not known.
    memory: u64,
}

impl Has {
    fn of_this_host() -> Self {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("flags"));
        let flags = line
            .and_then(|line| line.split_once(':'))
            .map_or("", |(_, flags)| flags);
        let cpus = thread::available_parallelism().map_or(1, NonZero::get);
        Has {
            architecture: std::env::consts::ARCH.to_owned(),
            cpu_flags: flags.split_whitespace().map(str::to_owned).collect(),
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
            memory: memory::of_host(),
        }
    }
}

/// What this host lacks for the nodes of a lab, a sentence each; nothing where it has all.
pub fn lacks(lab: &Lab) -> Vec<String> {
    let kinds = || {
        lab.nodes
            .iter()
            .filter_map(|node| Some((&node.name, node.of_kind.as_ref()?)))
    };
    if kinds().all(|(_, kind)| kind.needs == HostNeeds::default()) {
        return Vec::new();
    }
    let has = Has::of_this_host();
    let mut told: Vec<String> = Vec::new();
    for (node, kind) in kinds() {
        for lack in lacking(&kind.needs, &has) {
            let sentence = format!("a node of kind `{}` needs {lack}", kind.kind);
            // Nodes of one kind need the same.
            if !told.iter().any(|it| it.starts_with(&sentence)) {
                told.push(format!("{sentence} (node {node})"));
            }
        }
    }
    told
}

fn lacking(needs: &HostNeeds, has: &Has) -> Vec<String> {
    let mut lacks = Vec::new();
    if !needs.architectures.is_empty() && !needs.architectures.contains(&has.architecture) {
        let wanted = needs.architectures.join(" or ");
        lacks.push(format!(
            "an architecture of {wanted}, and this host is {}",
            has.architecture
        ));
    }
    let missing = needs
        .cpu_flags
        .iter()
        .filter(|flag| !has.cpu_flags.contains(flag));
    let missing: Vec<&str> = missing.map(String::as_str).collect();
    if !missing.is_empty() && has.architecture == WITH_FLAGS {
        lacks.push(format!(
            "a CPU with {}, which this host's has not",
            missing.join(", ")
        ));
    }
    if let Some(cpus) = needs.cpus.filter(|cpus| *cpus > has.cpus) {
        lacks.push(format!("{cpus} CPUs, and this host has {}", has.cpus));
    }
    if let Some(bytes) = needs.memory.filter(|bytes| *bytes > has.memory && has.memory > 0) {
        let mib = |bytes: u64| bytes >> 20;
        lacks.push(format!(
            "{} MiB of memory, and this host has {}",
            mib(bytes),
            mib(has.memory)
        ));
    }
    lacks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_lacks_is_said() {
        let has = Has {
            architecture: "x86_64".into(),
            cpu_flags: vec!["ssse3".into()],
            cpus: 2,
            memory: 1 << 30,
        };
        let needs = HostNeeds {
            architectures: vec!["x86_64".into()],
            cpu_flags: vec!["ssse3".into()],
            cpus: Some(2),
            memory: Some(1 << 30),
        };
        assert_eq!(lacking(&needs, &has), Vec::<String>::new());
        let more = HostNeeds {
            architectures: vec!["riscv64".into(), "s390x".into()],
            cpu_flags: vec!["avx2".into(), "ssse3".into()],
            cpus: Some(3),
            memory: Some(2 << 30),
        };
        let lacks = lacking(&more, &has).join("\n");
        for said in ["riscv64 or s390x", "with avx2, which", "3 CPUs", "2048 MiB"] {
            assert!(lacks.contains(said), "{lacks}");
        }
        let other = Has {
            architecture: "aarch64".into(),
            cpu_flags: Vec::new(),
            ..has
        };
        let flags = HostNeeds {
            cpu_flags: vec!["ssse3".into()],
            ..HostNeeds::default()
        };
        assert!(lacking(&flags, &other).is_empty());
    }
}
