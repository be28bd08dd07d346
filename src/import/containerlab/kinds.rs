//! containerlab's kinds of nodes: those that are Linux, and those that are a vendor's system in an image of its own.

use super::definition::Definition;
use crate::import::reader::Reader;
use crate::lab::file::{Spanned, suggest};

/// What nslab makes of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// A computer or a router.
    Linux,
    /// A switch, made inside the lab.
    Bridge,
    /// This machine.
    Host,
    /// A cluster that kind starts.
    Cluster,
    /// A container made elsewhere: a node of a cluster.
    External,
}

const KINDS: &[(&str, Sort)] = &[
    ("linux", Sort::Linux),
    ("frr", Sort::Linux),
    ("frrouting", Sort::Linux),
    ("bridge", Sort::Bridge),
    ("ovs-bridge", Sort::Bridge),
    ("host", Sort::Host),
    ("k8s-kind", Sort::Cluster),
    ("ext-container", Sort::External),
];

/// Whether nodes of a kind run FRR, whatever their image is.
pub(super) fn runs_frr(kind: &str) -> bool {
    matches!(kind, "frr" | "frrouting")
}

/// Vendors' systems by the beginning of their kinds' names.
const VENDORS: &[(&str, &str)] = &[
    ("6wind", "6WIND VSR"),
    ("arista", "Arista EOS"),
    ("aruba", "Aruba AOS-CX"),
    ("border0", "Border0's connector"),
    ("ceos", "Arista EOS"),
    ("checkpoint", "Check Point"),
    ("cisco", "Cisco's system"),
    ("crpd", "Juniper cRPD"),
    ("cumulus", "Cumulus Linux"),
    ("cvx", "Cumulus Linux"),
    ("arrcus", "Arrcus ArcOS"),
    ("ciena", "Ciena SAOS"),
    ("dell", "Dell SONiC"),
    ("f5", "F5 BIG-IP"),
    ("fdio", "FD.io VPP"),
    ("fortinet", "FortiGate"),
    ("freebsd", "FreeBSD"),
    ("generic_vm", "a virtual machine"),
    ("huawei", "Huawei VRP"),
    ("ipinfusion", "IP Infusion OcNOS"),
    ("juniper", "Juniper Junos"),
    ("keysight", "Keysight's traffic generator"),
    ("linux_vm", "a virtual machine"),
    ("mikrotik", "MikroTik RouterOS"),
    ("nokia", "Nokia's system"),
    ("nvidia", "NVIDIA Cumulus Linux"),
    ("openbsd", "OpenBSD"),
    ("openwrt", "OpenWrt"),
    ("ostinato", "Ostinato"),
    ("paloalto", "Palo Alto PAN-OS"),
    ("plvision", "SONiC"),
    ("rare", "RARE/freeRtr"),
    ("sonic", "SONiC"),
    ("spirent", "Spirent's traffic generator"),
    ("srl", "Nokia SR Linux"),
    ("veesix", "osvBNG"),
    ("vqfx", "Juniper Junos"),
    ("vmx", "Juniper Junos"),
    ("vr-", "a vendor's system in a virtual machine"),
    ("vsrx", "Juniper Junos"),
    ("vyos", "VyOS"),
    ("xrd", "Cisco IOS XR"),
    ("xrv", "Cisco IOS XR"),
];

/// What a node is; nothing where that has been told as a mistake.
pub(super) fn sort(reader: &mut Reader, name: &Spanned<String>, merged: &Definition) -> Option<Sort> {
    let shown = name.value.escape_debug();
    let Some(kind) = &merged.kind else {
        let help = "add `kind: linux` to it, or to `defaults`";
        reader.wrong(name.span.clone(), format!("node `{shown}` has no `kind`"), help);
        return None;
    };
    if let Some((_, sort)) = KINDS.iter().find(|(known, _)| *known == kind.value) {
        return Some(*sort);
    }
    let (message, help) = match vendor(&kind.value) {
        Some(system) => (
            format!(
                "node `{shown}` is of kind `{}`: {system} runs from its vendor's image, and nslab runs no images",
                kind.value
            ),
            "make it a router that runs FRR: `kind: linux` and `image: frrouting/frr`".to_owned(),
        ),
        None => (
            format!("node `{shown}` cannot be of kind `{}`", kind.value.escape_debug()),
            unknown(&kind.value),
        ),
    };
    // Many nodes inherit one kind: each is named, at its own place.
    let own = kind.span.start > name.span.start;
    reader.wrong(
        if own { kind.span.clone() } else { name.span.clone() },
        message,
        help,
    );
    None
}

/// Tells a name below `kinds` that is no kind. Vendors' kinds may stand there as long as no node is of them.
pub(super) fn check_name(reader: &mut Reader, name: &Spanned<String>) {
    if KINDS.iter().all(|(known, _)| *known != name.value) && vendor(&name.value).is_none() {
        let message = format!("there is no kind `{}`", name.value.escape_debug());
        reader.wrong(name.span.clone(), message, unknown(&name.value));
    }
}

fn unknown(kind: &str) -> String {
    let known = KINDS.iter().map(|(known, _)| *known);
    suggest::cure(kind, known, "nslab's kinds are", "")
}

fn vendor(kind: &str) -> Option<&'static str> {
    let found = VENDORS.iter().find(|(begin, _)| kind.starts_with(begin));
    found.map(|(_, system)| *system)
}
