//! `show bgp l2vpn evpn vni`, `show evpn`: networks, and the hosts in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

use super::View;
use super::evpn_vrf;
use super::json::{Json, Object, text};
use crate::config::{Arguments, target_text};
use crate::evpn::{LocalVni, Overlay, VniFacts};
use crate::wire::{ExtendedCommunity, Mac};

const NO_BGP: &str = "No BGP process is configured\n";

/// A VNI as it is shown.
pub(super) struct Vni<'s> {
    pub(super) local: &'s LocalVni,
    pub(super) facts: VniFacts,
    pub(super) is_l3: bool,
    /// The VRF that its bridge is in, or whose packets are routed in it.
    pub(super) vrf: &'s str,
}

pub(super) fn known<'s>(view: &View<'s>) -> Vec<Vni<'s>> {
    let all = view.speaker.told_vnis();
    all.filter_map(|local| {
        Some(Vni {
            local,
            facts: view.speaker.vni_facts(local.vni)?,
            is_l3: view.speaker.is_l3vni(local.vni),
            vrf: match view.speaker.config().vrf_of_l3vni(local.vni) {
                Some(vrf) => vrf.unwrap_or("default"),
                None => view.speaker.vrf_of(local.bridge.0).unwrap_or("default"),
            },
        })
    })
    .collect()
}

pub(super) fn asked(arguments: &Arguments) -> Option<u32> {
    arguments.get("vni")?.parse().ok()
}

pub(super) fn targets(all: &[ExtendedCommunity]) -> Vec<String> {
    all.iter().map(target_text).collect()
}

/// `show bgp l2vpn evpn vni [VNI] [json]`.
pub(super) fn of_bgp(view: &View, arguments: &Arguments) -> String {
    let json = arguments.has("json");
    let Some(bgp) = view.bgp() else {
        return if json { "{\n}\n" } else { NO_BGP }.to_owned();
    };
    let all = known(view);
    if let Some(vni) = asked(arguments) {
        return match (all.iter().find(|it| it.local.vni == vni), json) {
            (Some(vni), true) => one_as_json(vni, true).pretty() + "\n",
            (Some(vni), false) => one(vni),
            (None, true) => "{\n}\n".to_owned(),
            (None, false) => "VNI not found\n".to_owned(),
        };
    }
    let l3 = all.iter().filter(|vni| vni.is_l3).count();
    let tells = if bgp.evpn.advertise_all_vni {
        "Enabled"
    } else {
        "Disabled"
    };
    if json {
        let mut object = Object::new()
            .with("advertiseGatewayMacip", "Disabled")
            .with("advertiseSviMacIp", "Disabled")
            .with("advertiseAllVnis", tells)
            .with("flooding", "Head-end replication")
            .with("vxlanFlooding", "Enabled")
            .with("numVnis", all.len())
            .with("numL2Vnis", all.len() - l3)
            .with("numL3Vnis", l3);
        for vni in &all {
            object.put(vni.local.vni.to_string(), one_as_json(vni, false));
        }
        return object.pretty() + "\n";
    }
    let mut out = format!(
        "Advertise Gateway Macip: Disabled\nAdvertise SVI Macip: Disabled\nAdvertise All VNI flag: {tells}\n\
         BUM flooding: Head-end replication\nVXLAN flooding: Enabled\nNumber of L2 VNIs: {}\nNumber of L3 VNIs: {l3}\n\
         Flags: * - Kernel\n  {:<10} {:<4} {:<21} {:<25} {:<25} {:<37}\n",
        all.len() - l3,
        "VNI",
        "Type",
        "RD",
        "Import RT",
        "Export RT",
        "Tenant VRF"
    );
    let (l3, l2): (Vec<&Vni>, Vec<&Vni>) = all.iter().partition(|vni| vni.is_l3);
    for vni in l2.into_iter().chain(l3) {
        let _ = writeln!(
            out,
            "* {:<10} {:<4} {:<21} {:<25} {:<24} {:<37}",
            vni.local.vni,
            if vni.is_l3 { "L3" } else { "L2" },
            vni.facts.rd.to_string(),
            targets(&vni.facts.import).join(", "),
            targets(&vni.facts.export).join(", "),
            vni.vrf,
        );
    }
    out
}

fn one(vni: &Vni) -> String {
    let local = vni.local;
    let mut out = match vni.is_l3 {
        true => evpn_vrf::of_bgp(vni),
        false => format!(
            "VNI: {} (known to the kernel)\n  Type: L2\n  Tenant-Vrf: {}\n  RD: {}\n  Originator IP: {}\n  \
             Mcast group: 0.0.0.0\n  Advertise-gw-macip : Disabled\n  Advertise-svi-macip : Disabled\n  \
             SVI interface : {}\n",
            local.vni, vni.vrf, vni.facts.rd, local.vtep, local.bridge.1
        ),
    };
    let lists = [("Import", &vni.facts.import), ("Export", &vni.facts.export)];
    for (name, all) in lists {
        let _ = writeln!(out, "  {name} Route Target:");
        for target in targets(all) {
            let _ = writeln!(out, "    {target}");
        }
    }
    out
}

fn one_as_json(vni: &Vni, is_alone: bool) -> Object {
    let local = vni.local;
    let (import, export) = match is_alone {
        true => ("importRts", "exportRts"),
        false => ("importRTs", "exportRTs"),
    };
    let mut object = match vni.is_l3 {
        true => evpn_vrf::of_bgp_as_json(vni, is_alone),
        false => {
            let mut object = Object::new()
                .with("vni", local.vni)
                .with("type", "L2")
                .with("inKernel", "True")
                .with("rd", text(vni.facts.rd))
                .with("originatorIp", text(local.vtep))
                .with("mcastGroup", "0.0.0.0")
                .with("advertiseGatewayMacip", "Disabled")
                .with("advertiseSviMacIp", "Disabled");
            if is_alone {
                object.put("sviInterface", local.bridge.1.clone());
            }
            object
        }
    };
    let list =
        |all: &[ExtendedCommunity]| -> Vec<Json> { targets(all).into_iter().map(Json::from).collect() };
    object.put(import, list(&vni.facts.import));
    object.put(export, list(&vni.facts.export));
    object
}

/// A host in a network.
enum Host {
    /// Behind a port of this router's.
    Here(String),
    /// Behind another router.
    There(IpAddr),
}

/// Hosts by their MAC addresses, each with its numbers: how often it has moved, as is said here and elsewhere.
fn hosts(view: &View, local: &LocalVni) -> BTreeMap<Mac, (Host, u32, u32)> {
    let mut all = BTreeMap::new();
    for it in &local.macs {
        if let Some(sequence) = view.speaker.host_sequence(local.vni, it.mac) {
            all.insert(it.mac, (Host::Here(it.port.clone()), sequence, 0));
        }
    }
    for overlay in view.speaker.overlay() {
        if let Overlay::Mac { vni, mac, vtep } = overlay
            && vni == local.vni
        {
            let remote = view.speaker.remote_sequence(vni, mac).unwrap_or(0);
            all.insert(mac, (Host::There(vtep), 0, remote));
        }
    }
    all
}

/// IP addresses and the hosts that have them.
fn addresses(view: &View, local: &LocalVni) -> BTreeMap<IpAddr, Mac> {
    let own = local.neighbors.iter().copied();
    let own = own.filter(|(_, mac)| view.speaker.host_sequence(local.vni, *mac).is_some());
    let mut all: BTreeMap<IpAddr, Mac> = own.collect();
    for overlay in view.speaker.overlay() {
        if let Overlay::Neighbor { vni, ip, mac } = overlay
            && vni == local.vni
        {
            all.insert(ip, mac);
        }
    }
    all
}

/// The routers that have a network's broadcasts.
fn vteps(view: &View, local: &LocalVni) -> BTreeSet<IpAddr> {
    let of_vni = |overlay| match overlay {
        Overlay::Flood { vni, vtep } if vni == local.vni => Some(vtep),
        _ => None,
    };
    view.speaker.overlay().filter_map(of_vni).collect()
}

fn no_vni(vni: u32, json: bool) -> String {
    match json {
        true => "{\n}\n".to_owned(),
        false => format!("% VNI {vni} does not exist\n"),
    }
}

/// `show evpn vni [VNI] [json]`.
pub(super) fn of_kernel(view: &View, arguments: &Arguments) -> String {
    let json = arguments.has("json");
    if !is_on(view) {
        return String::new();
    }
    let all = known(view);
    if let Some(vni) = asked(arguments) {
        return match (all.iter().find(|it| it.local.vni == vni), json) {
            (Some(vni), true) => kernel_one_as_json(view, vni).pretty() + "\n",
            (Some(vni), false) => kernel_one(view, vni),
            (None, json) => no_vni(vni, json),
        };
    }
    let mut object = Object::new();
    let mut out = format!(
        "{:<10} {:<4} {:<21} {:<8} {:<8} {:<15} {:<37}\n",
        "VNI", "Type", "VxLAN IF", "# MACs", "# ARPs", "# Remote VTEPs", "Tenant VRF"
    );
    for vni in &all {
        let local = vni.local;
        let (macs, arps) = match vni.is_l3 {
            true => {
                let routers = view.speaker.routers_of(vni.vrf).len();
                (routers, routers)
            }
            false => (hosts(view, local).len(), addresses(view, local).len()),
        };
        let vteps = vteps(view, local);
        let (kind, remote) = match vni.is_l3 {
            true => ("L3", "n/a".to_owned()),
            false => ("L2", vteps.len().to_string()),
        };
        let _ = writeln!(
            out,
            "{:<10} {kind:<4} {:<21} {macs:<8} {arps:<8} {remote:<15} {:<37}",
            local.vni, local.device.1, vni.vrf
        );
        let mut of_vni = Object::new().with("vni", local.vni);
        if !vni.is_l3 {
            of_vni.put("type", kind);
        }
        of_vni.put("vxlanIf", local.device.1.clone());
        of_vni.put("numMacs", macs);
        of_vni.put("numArpNd", arps);
        match vni.is_l3 {
            true => {
                of_vni.put("numRemoteVteps", remote);
                of_vni.put("type", kind);
            }
            false => of_vni.put("numRemoteVteps", vteps.len()),
        }
        of_vni.put("tenantVrf", vni.vrf);
        if !vteps.is_empty() {
            let list: Vec<Json> = vteps.into_iter().map(text).collect();
            of_vni.put("remoteVteps", list);
        }
        object.put(local.vni.to_string(), of_vni);
    }
    match json {
        true => object.pretty() + "\n",
        false => out,
    }
}

/// `show evpn vni detail [json]`.
pub(super) fn all_of_kernel(view: &View, arguments: &Arguments) -> String {
    if !is_on(view) {
        return String::new();
    }
    let all = known(view);
    match arguments.has("json") {
        true => {
            let all = all.iter().map(|vni| Json::from(kernel_one_as_json(view, vni)));
            Json::Array(all.collect()).pretty() + "\n"
        }
        false => all.iter().map(|vni| kernel_one(view, vni) + "\n").collect(),
    }
}

fn kernel_one(view: &View, vni: &Vni) -> String {
    let local = vni.local;
    if vni.is_l3 {
        return evpn_vrf::of_kernel(view, vni);
    }
    let mut out = format!(
        "VNI: {}\n Type: L2\n Tenant VRF: {}\n VxLAN interface: {}\n VxLAN ifIndex: {}\n SVI interface: {}\n \
         SVI ifIndex: {}\n Local VTEP IP: {}\n Mcast group: 0.0.0.0\n",
        local.vni, vni.vrf, local.device.1, local.device.0, local.bridge.1, local.bridge.0, local.vtep,
    );
    let vteps = vteps(view, local);
    match vteps.is_empty() {
        true => out += " No remote VTEPs known for this VNI\n",
        false => out += " Remote VTEPs for this VNI:\n",
    }
    for vtep in vteps {
        let _ = writeln!(out, "  {vtep} flood: HER");
    }
    let _ = write!(
        out,
        " Number of MACs (local and remote) known for this VNI: {}\n \
         Number of ARPs (IPv4 and IPv6, local and remote) known for this VNI: {}\n Advertise-gw-macip: No\n \
         Advertise-svi-macip: No\n",
        hosts(view, local).len(),
        addresses(view, local).len(),
    );
    out
}

fn kernel_one_as_json(view: &View, vni: &Vni) -> Object {
    let local = vni.local;
    if vni.is_l3 {
        return evpn_vrf::of_kernel_as_json(view, vni);
    }
    let mut object = Object::new()
        .with("vni", local.vni)
        .with("type", "L2")
        .with("vrf", vni.vrf)
        .with("vxlanInterface", local.device.1.clone())
        .with("ifindex", local.device.0)
        .with("sviInterface", local.bridge.1.clone())
        .with("sviIfindex", local.bridge.0)
        .with("vtepIp", text(local.vtep))
        .with("mcastGroup", "0.0.0.0")
        .with("advertiseGatewayMacip", "No")
        .with("advertiseSviMacip", "No")
        .with("numMacs", hosts(view, local).len())
        .with("numArpNd", addresses(view, local).len());
    let list: Vec<Json> = vteps(view, local).into_iter().map(text).collect();
    if !list.is_empty() {
        object.put("numRemoteVteps", list);
    }
    object
}

/// Whether zebra would know of EVPN.
fn is_on(view: &View) -> bool {
    view.bgp().is_some_and(|bgp| bgp.evpn.advertise_all_vni)
}

/// The networks that a command is about.
///
/// # Errors
/// What is said where there is none.
fn chosen<'s>(view: &View<'s>, arguments: &Arguments) -> Result<Vec<&'s LocalVni>, String> {
    if !is_on(view) {
        return Err(String::new());
    }
    let all = known(view)
        .into_iter()
        .filter(|vni| !vni.is_l3)
        .map(|vni| vni.local);
    match asked(arguments) {
        None => Ok(all.collect()),
        Some(vni) => {
            let found: Vec<&LocalVni> = all.filter(|it| it.vni == vni).collect();
            match found.is_empty() {
                true => Err(no_vni(vni, arguments.has("json"))),
                false => Ok(found),
            }
        }
    }
}

/// The answers of networks as one.
fn together(arguments: &Arguments, all: Vec<(u32, Object, String)>) -> String {
    let is_one = asked(arguments).is_some();
    match (arguments.has("json"), is_one) {
        (true, true) => all
            .into_iter()
            .map(|(_, object, _)| object.pretty() + "\n")
            .collect(),
        (true, false) => {
            let mut object = Object::new();
            for (vni, of_vni, _) in all {
                object.put(vni.to_string(), of_vni);
            }
            object.pretty() + "\n"
        }
        (false, _) => all.into_iter().map(|(_, _, lines)| lines).collect(),
    }
}

/// `show evpn mac vni (VNI|all) [json]`.
pub(super) fn macs(view: &View, arguments: &Arguments) -> String {
    let is_all_json = asked(arguments).is_none() && arguments.has("json");
    if !is_on(view) && is_all_json {
        return "{}\n".to_owned();
    }
    let vnis = match chosen(view, arguments) {
        Ok(vnis) => vnis,
        Err(refusal) => return refusal,
    };
    let is_all = asked(arguments).is_none();
    let mut answers = Vec::new();
    for local in vnis {
        let hosts = hosts(view, local);
        let count = hosts.len();
        let mut lines = match is_all {
            true => format!("\nVNI {} #MACs (local and remote) {count}\n\n", local.vni),
            false => format!("Number of MACs (local and remote) known for this VNI: {count}\n"),
        };
        lines += "Flags: N=sync-neighs, I=local-inactive, P=peer-active, X=peer-proxy\n";
        lines += "MAC               Type   Flags Intf/Remote ES/VTEP            VLAN  Seq #'s\n";
        let mut of_hosts = Object::new();
        for (mac, (host, own, remote)) in &hosts {
            let mut object = Object::new();
            let (kind, place) = match host {
                Host::Here(port) => {
                    object.put("type", "local");
                    object.put("intf", port.clone());
                    ("local", port.clone())
                }
                Host::There(vtep) => {
                    object.put("type", "remote");
                    object.put("remoteVtep", text(vtep));
                    ("remote", vtep.to_string())
                }
            };
            object.put("localSequence", *own);
            object.put("remoteSequence", *remote);
            object.put("detectionCount", 0);
            object.put("isDuplicate", false);
            of_hosts.put(mac.to_string(), object);
            let _ = writeln!(
                lines,
                "{mac} {kind:<6} {:<5} {place:<30} {:<5} {own}/{remote}",
                "", ""
            );
        }
        if count == 0 && !is_all {
            lines.clear();
        }
        let object = Object::new().with("numMacs", count).with("macs", of_hosts);
        answers.push((local.vni, object, lines));
    }
    together(arguments, answers)
}

/// `show evpn arp-cache vni (VNI|all) [json]`.
pub(super) fn neighbors(view: &View, arguments: &Arguments) -> String {
    let vnis = match chosen(view, arguments) {
        Ok(vnis) => vnis,
        Err(refusal) => return refusal,
    };
    let is_all = asked(arguments).is_none();
    let mut answers = Vec::new();
    for local in vnis {
        let (hosts, addresses) = (hosts(view, local), addresses(view, local));
        let count = addresses.len();
        let width = addresses.keys().map(|ip| ip.to_string().len()).max();
        let width = width.unwrap_or(0).max(15);
        let mut lines = match is_all {
            true => format!(
                "\nVNI {} #ARP (IPv4 and IPv6, local and remote) {count}\n\n",
                local.vni
            ),
            false => format!("Number of ARPs (local and remote) known for this VNI: {count}\n"),
        };
        lines += "Flags: I=local-inactive, P=peer-active, X=peer-proxy\n";
        let _ = writeln!(
            lines,
            "{:<width$} {:<6} {:<5} {:<8} {:<17} {:<30} Seq #'s",
            "Neighbor", "Type", "Flags", "State", "MAC", "Remote ES/VTEP"
        );
        let mut object = Object::new().with("numArpNd", count);
        for (ip, mac) in &addresses {
            let (kind, place, own, remote) = match hosts.get(mac) {
                Some((Host::There(vtep), own, remote)) => ("remote", Some(*vtep), *own, *remote),
                Some((Host::Here(_), own, remote)) => ("local", None, *own, *remote),
                None => ("local", None, 0, 0),
            };
            let mut of_address = Object::new()
                .with("type", kind)
                .with("state", "active")
                .with("mac", text(mac));
            of_address.put_some("remoteVtep", place.map(text));
            of_address.put("localSequence", own);
            of_address.put("remoteSequence", remote);
            of_address.put("detectionCount", 0);
            of_address.put("isDuplicate", false);
            object.put(ip.to_string(), of_address);
            let place = place.map_or(String::new(), |vtep| vtep.to_string());
            let _ = writeln!(
                lines,
                "{:<width$} {kind:<6} {:<5} {:<8} {mac} {place:<30} {own}/{remote}",
                ip.to_string(),
                "",
                "active"
            );
        }
        if count == 0 && !is_all {
            lines.clear();
        }
        answers.push((local.vni, object, lines));
    }
    together(arguments, answers)
}
