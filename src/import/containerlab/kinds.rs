//! containerlab's kinds of nodes: those that are Linux, and those that are a vendor's system in an image of its own.

use super::definition::Definition;
use crate::import::Context;
use crate::import::images::Mode;
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
    /// What is in its image, of a kind that a file says.
    OfKind,
    /// What is in its image, of which nothing else is known.
    Bare,
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

/// Kinds that are virtual machines, by the beginning of their names: an image of theirs holds an emulator and a disk.
const MACHINES: &[&str] = &[
    "arista_veos",
    "aruba_aoscx",
    "checkpoint",
    "ciena_saos",
    "cisco_asav",
    "cisco_c8000",
    "cisco_cat9kv",
    "cisco_csr1000v",
    "cisco_ftdv",
    "cisco_n9kv",
    "cisco_sdwan",
    "cisco_vios",
    "cisco_xrv",
    "dell_",
    "f5_",
    "fortinet",
    "freebsd",
    "generic_vm",
    "huawei",
    "ipinfusion",
    "juniper_vjunos",
    "juniper_vmx",
    "juniper_vqfx",
    "juniper_vsrx",
    "linux_vm",
    "mikrotik",
    "nokia_sros",
    "nvidia_cumulusvx",
    "openbsd",
    "openwrt",
    "paloalto",
    "plvision_sonic",
    "sonic-vm",
    "vmx",
    "vqfx",
    "vr-",
    "vsrx",
    "xrv",
];

/// Kinds whose images are containers, and of which nothing is known beside.
const CONTAINERS: &[&str] = &[
    "6wind_vsr",
    "arrcus_arcos",
    "border0",
    "cisco_iol",
    "cisco_xrd_vrouter",
    "codelaboratory_bng",
    "cumulus_cvx",
    "cvx",
    "juniper_cjunosevolved",
    "juniper_csrx",
    "light_olt",
    "mysocketio",
    "ostinato",
    "rare",
    "spirent_stc",
    "veesix_osvbng",
];

/// What a node is; nothing where that has been told as an error.
pub(super) fn sort(context: &mut Context, name: &Spanned<String>, merged: &Definition) -> Option<Sort> {
    let shown = name.value.escape_debug();
    let Some(kind) = &merged.kind else {
        let help = "add `kind: linux` to it, or to `defaults`";
        let message = format!("node `{shown}` has no `kind`");
        context.reader.wrong(name.span.clone(), message, help);
        return None;
    };
    let own = KINDS.iter().find(|(known, _)| *known == kind.value);
    if let Some((_, sort)) = own.filter(|_| !is_replaced(context, &kind.value)) {
        return Some(*sort);
    }
    let found = match context.kinds().find(&kind.value) {
        Some(_) => Some(Sort::OfKind),
        None => CONTAINERS.contains(&kind.value.as_str()).then_some(Sort::Bare),
    };
    let (message, help) = match found {
        Some(sort) if context.options.mode != Mode::Map => return Some(sort),
        Some(_) => (
            format!(
                "node `{shown}` is of kind `{}`, which is an image of its own, and `--images map` runs none",
                kind.value
            ),
            "leave `--images map` out".to_owned(),
        ),
        None if is_machine(&kind.value) => (
            format!(
                "node `{shown}` is of kind `{}`, which is a virtual machine, and nslab runs none",
                kind.value
            ),
            "make it a router that runs FRR: `kind: linux` and `image: frrouting/frr`".to_owned(),
        ),
        None => (
            format!("node `{shown}` cannot be of kind `{}`", kind.value.escape_debug()),
            unknown(context, &kind.value),
        ),
    };
    // Many nodes inherit one kind: each is named, at its own place.
    let own = kind.span.start > name.span.start;
    let place = if own { kind.span.clone() } else { name.span.clone() };
    context.reader.wrong(place, message, help);
    None
}

/// Whether a file of the user's stands in the place of a kind that is known. With `--images map` none does: what such a file says is
/// for the image.
fn is_replaced(context: &Context, kind: &str) -> bool {
    let kinds = context.kinds();
    let is_own = |kind: &crate::lab::definition::Definition| kind.place.is_some();
    let is_broken = || kinds.broken.iter().any(|broken| broken.name == kind);
    context.options.mode != Mode::Map && kinds.find(kind).map_or_else(is_broken, is_own)
}

/// Notes a name below `kinds` that is no kind: a node that is of it is told at the node.
pub(super) fn check_name(context: &mut Context, name: &Spanned<String>) {
    let is_own = KINDS.iter().any(|(known, _)| *known == name.value);
    let is_known = || {
        is_machine(&name.value)
            || CONTAINERS.contains(&name.value.as_str())
            || context.kinds().find(&name.value).is_some()
    };
    if !is_own && !is_known() {
        let help = unknown(context, &name.value);
        context.remarks.no_kinds.insert(name.value.clone(), help);
    }
}

fn unknown(context: &Context, kind: &str) -> String {
    if let Some(broken) = context.kinds().broken.iter().find(|broken| broken.name == kind) {
        return format!("its file cannot be used: {}", broken.reason);
    }
    let own = KINDS.iter().map(|(known, _)| *known);
    let known: Vec<&str> = own.chain(context.kinds().names()).collect();
    match suggest::nearest(kind, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`nslab kinds` lists the kinds; a file `kinds/NAME.toml` beside the topology adds another"
            .to_owned(),
    }
}

fn is_machine(kind: &str) -> bool {
    MACHINES.iter().any(|begin| kind.starts_with(begin))
}
