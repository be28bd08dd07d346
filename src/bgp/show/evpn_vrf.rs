//! `show vrf vni`, `show evpn rmac` and `next-hops`: what routes packets between networks of EVPN.

use std::fmt::Write;
use std::net::IpAddr;

use super::View;
use super::evpn_vni::{Vni, asked, known};
use super::json::{Json, Object, text};
use crate::config::Arguments;
use crate::evpn::LocalVni;
use crate::wire::Mac;

/// A VRF with a network that its packets are routed in.
pub(super) struct Routed<'s> {
    /// Its name.
    pub(super) vrf: &'s str,
    /// The network.
    pub(super) vni: u32,
    /// Its devices, while they are there.
    pub(super) local: Option<&'s LocalVni>,
    /// Whether packets can be routed in it.
    pub(super) is_up: bool,
}

/// All such VRFs.
pub(super) fn routed<'s>(view: &View<'s>) -> Vec<Routed<'s>> {
    let config = view.speaker.config();
    let default = config.l3vni.map(|vni| ("default", vni));
    let others = config.vrfs.iter();
    let others = others.filter_map(|(name, vrf)| Some((name.as_str(), vrf.l3vni?.vni)));
    let one = |(vrf, vni): (&'s str, u32)| {
        let local = view.speaker.told_vnis().find(|it| it.vni == vni);
        let bridge = local.map(|it| view.speaker.vrf_of(it.bridge.0).unwrap_or("default"));
        let is_up = bridge == Some(vrf);
        Routed {
            vrf,
            vni,
            local,
            is_up,
        }
    };
    default.into_iter().chain(others).map(one).collect()
}

/// What a command asks of.
///
/// # Errors
/// There is no such network, in FRR's words.
fn chosen<'s>(view: &View<'s>, arguments: &Arguments) -> Result<Vec<Routed<'s>>, String> {
    let mut all = routed(view);
    let Some(asked) = asked(arguments) else {
        all.retain(|it| it.is_up);
        return Ok(all);
    };
    all.retain(|it| it.vni == asked);
    match all.is_empty() {
        false => Ok(all),
        true if view.speaker.told_vnis().any(|it| it.vni == asked) && !arguments.has("json") => {
            Err(format!("% L3-VNI {asked} does not exist\n"))
        }
        true => Err(String::new()),
    }
}

/// What `show evpn rmac` and `next-hops` have otherwise.
struct Words {
    of_all: &'static str,
    of_one: &'static str,
    count: &'static str,
    heading: (&'static str, &'static str),
}

/// Routers of VRFs as a table, or as JSON.
fn routers(
    view: &View,
    arguments: &Arguments,
    words: &Words,
    line: fn(IpAddr, Mac) -> (String, String),
    object: fn(IpAddr, Mac) -> (String, Object),
) -> String {
    let json = arguments.has("json");
    let vrfs = match chosen(view, arguments) {
        Ok(vrfs) => vrfs,
        Err(refusal) => return refusal,
    };
    let is_one = asked(arguments).is_some();
    let (mut out, mut of_all) = (String::new(), Object::new());
    for vrf in vrfs {
        let all = view.speaker.routers_of(vrf.vrf);
        let mut of_vni = Object::new().with(words.count, all.len());
        out += &match is_one {
            true => format!("Number of {} known for this VNI: {}\n", words.of_one, all.len()),
            false => format!("\nVNI {} #{} {}\n\n", vrf.vni, words.of_all, all.len()),
        };
        let (first, second) = words.heading;
        let _ = writeln!(out, "{first}{second}");
        for (vtep, mac) in all {
            let (first, second) = line(vtep, mac);
            let _ = writeln!(out, "{first} {second}");
            let (key, object) = object(vtep, mac);
            of_vni.put(key, object);
        }
        if json && is_one {
            return of_vni.pretty() + "\n";
        }
        of_all.put(vrf.vni.to_string(), of_vni);
    }
    match json {
        true if of_all.is_empty() => "{}\n".to_owned(),
        true => of_all.pretty() + "\n",
        false => out,
    }
}

/// `show evpn rmac vni (all|VNI) [json]`.
pub(super) fn router_macs(view: &View, arguments: &Arguments) -> String {
    let first = if asked(arguments).is_some() { "MAC" } else { "RMAC" };
    let words = Words {
        of_all: "RMACs",
        of_one: "Remote RMACs",
        count: "numRmacs",
        heading: (
            first,
            if first == "MAC" {
                "               Remote VTEP          "
            } else {
                "              Remote VTEP          "
            },
        ),
    };
    let line = |vtep: IpAddr, mac: Mac| {
        (
            format!("{:<17}", mac.to_string()),
            format!("{:<21}", vtep.to_string()),
        )
    };
    routers(view, arguments, &words, line, |vtep, mac| {
        let object = Object::new()
            .with("routerMac", text(mac))
            .with("vtepIp", text(vtep));
        (mac.to_string(), object)
    })
}

/// `show evpn next-hops vni (all|VNI) [json]`.
pub(super) fn next_hops(view: &View, arguments: &Arguments) -> String {
    let words = Words {
        of_all: "Next-Hops",
        of_one: "NH Neighbors",
        count: "numNextHops",
        heading: ("IP              ", "RMAC             "),
    };
    let line = |vtep: IpAddr, mac: Mac| {
        (
            format!("{:<15}", vtep.to_string()),
            format!("{:<17}", mac.to_string()),
        )
    };
    routers(view, arguments, &words, line, |vtep, mac| {
        let object = Object::new()
            .with("nexthopIp", text(vtep))
            .with("routerMac", text(mac));
        (vtep.to_string(), object)
    })
}

/// `show evpn rmac vni VNI mac MAC`.
pub(super) fn router_mac(view: &View, arguments: &Arguments) -> String {
    let (vrf, wanted) = match one(view, arguments, "mac") {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let all = view.speaker.routers_of(vrf.vrf);
    match all.into_iter().find(|(_, mac)| mac.to_string() == wanted) {
        Some((vtep, mac)) => format!("MAC: {mac}\n Remote VTEP: {vtep}\n"),
        None => format!("% Requested RMAC doesn't exist in L3-VNI {}\n", vrf.vni),
    }
}

/// `show evpn next-hops vni VNI ip ADDRESS`.
pub(super) fn next_hop(view: &View, arguments: &Arguments) -> String {
    let (vrf, wanted) = match one(view, arguments, "address") {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let all = view.speaker.routers_of(vrf.vrf);
    let Some((vtep, mac)) = all.into_iter().find(|(vtep, _)| vtep.to_string() == wanted) else {
        return format!("% Requested next-hop not present for L3-VNI {}\n", vrf.vni);
    };
    let mut prefixes = view.speaker.prefixes_by(vrf.vrf, vtep);
    // As zebra has them: that of the longest name of its octets last.
    prefixes.sort_by_key(|prefix| (prefix.prefix_len(), prefix.addr()));
    prefixes.dedup();
    let mut out = format!(
        "Ip: {vtep}\n  RMAC: {mac}\n  Refcount: {}\n  Prefixes:\n",
        prefixes.len()
    );
    for prefix in prefixes {
        let _ = writeln!(out, "    {prefix}");
    }
    out
}

fn one<'s>(view: &View<'s>, arguments: &Arguments, name: &str) -> Result<(Routed<'s>, String), String> {
    let mut all = chosen(view, arguments)?;
    let wanted = arguments.get(name).unwrap_or_default().to_ascii_lowercase();
    all.pop().map(|vrf| (vrf, wanted)).ok_or_else(String::new)
}

/// `show vrf vni [json]`.
pub(super) fn vrfs(view: &View, arguments: &Arguments) -> String {
    let row = |cells: [&str; 6]| {
        let [vrf, vni, device, svi, state, mac] = cells;
        format!("{vrf:<37} {vni:<10} {device:<20} {svi:<20} {state:<5} {mac:<18}\n")
    };
    let mut out = row(["VRF", "VNI", "VxLAN IF", "L3-SVI", "State", "Rmac"]);
    let mut all: Vec<Json> = Vec::new();
    for it in routed(view) {
        let device = it.local.map_or("unknown", |local| local.device.1.as_str());
        let svi = it
            .local
            .filter(|_| it.is_up)
            .map_or("None", |local| local.bridge.1.as_str());
        let state = if it.is_up { "Up" } else { "Down" };
        let mac = it
            .local
            .filter(|_| it.is_up)
            .map(|local| local.bridge.2.to_string());
        let mac = mac.unwrap_or_else(|| "None".to_owned());
        out += &row([it.vrf, &it.vni.to_string(), device, svi, state, &mac]);
        let object = Object::new()
            .with("vrf", it.vrf)
            .with("vni", it.vni)
            .with("vxlanIntf", device)
            .with("sviIntf", svi)
            .with("state", state)
            .with("routerMac", mac);
        all.push(object.into());
    }
    match arguments.has("json") {
        true if all.is_empty() => String::new(),
        true => Object::new().with("vrfs", all).pretty() + "\n",
        false => out,
    }
}

/// The head of `show bgp l2vpn evpn vni VNI`, of a network that packets are routed in.
pub(super) fn of_bgp(vni: &Vni) -> String {
    let local = vni.local;
    format!(
        "VNI: {} (known to the kernel)\n  Type: L3\n  Tenant VRF: {}\n  RD: {}\n  Originator IP: {vtep}\n  \
         Advertise-gw-macip : n/a\n  Advertise-svi-macip : n/a\n  Advertise-pip: Yes\n  System-IP: {vtep}\n  \
         System-MAC: {mac}\n  Router-MAC: {mac}\n",
        local.vni,
        vni.vrf,
        vni.facts.rd,
        vtep = local.vtep,
        mac = local.bridge.2,
    )
}

/// The same as JSON.
pub(super) fn of_bgp_as_json(vni: &Vni, is_alone: bool) -> Object {
    let local = vni.local;
    let (rd, origin) = (text(vni.facts.rd), text(local.vtep));
    let head = Object::new()
        .with("vni", local.vni)
        .with("type", "L3")
        .with("inKernel", "True");
    let head = match is_alone {
        true => head.with("rd", rd).with("originatorIp", origin),
        false => head.with("originatorIp", origin).with("rd", rd),
    };
    head.with("advertiseGatewayMacip", "n/a")
        .with("advertiseSviMacIp", "n/a")
        .with("advertisePip", "Enabled")
        .with("sysIP", text(local.vtep))
        .with(if is_alone { "sysMac" } else { "sysMAC" }, text(local.bridge.2))
        .with("rmac", text(local.bridge.2))
}

/// The networks of hosts in a VRF.
pub(super) fn networks_of(view: &View, vrf: &str) -> Vec<u32> {
    let all = known(view).into_iter();
    all.filter(|it| !it.is_l3 && it.vrf == vrf)
        .map(|it| it.local.vni)
        .collect()
}

fn state(view: &View, vni: &Vni) -> &'static str {
    let bridge = view.speaker.vrf_of(vni.local.bridge.0).unwrap_or("default");
    if bridge == vni.vrf { "Up" } else { "Down" }
}

/// `show evpn vni VNI`, of a network that packets are routed in.
pub(super) fn of_kernel(view: &View, vni: &Vni) -> String {
    let local = vni.local;
    let l2: String = networks_of(view, vni.vrf)
        .iter()
        .map(|it| format!("{it} "))
        .collect();
    format!(
        "VNI: {}\n  Type: L3\n  Tenant VRF: {}\n  Local Vtep Ip: {}\n  Vxlan-Intf: {}\n  SVI-If: {}\n  State: {}\n  \
         VNI Filter: {}\n  System MAC: {mac}\n  Router MAC: {mac}\n  L2 VNIs: {l2}\n",
        local.vni,
        vni.vrf,
        local.vtep,
        local.device.1,
        local.bridge.1,
        state(view, vni),
        filter(view, vni.vrf),
        mac = local.bridge.2,
    )
}

/// What of routes is told with a network: all, or prefixes alone.
fn filter(view: &View, vrf: &str) -> &'static str {
    let said = view.speaker.config().vrfs.get(vrf).and_then(|vrf| vrf.l3vni);
    match said.is_some_and(|it| it.prefix_routes_only) {
        true => "prefix-routes-only",
        false => "none",
    }
}

/// The same as JSON.
pub(super) fn of_kernel_as_json(view: &View, vni: &Vni) -> Object {
    let local = vni.local;
    let l2: Vec<Json> = networks_of(view, vni.vrf).into_iter().map(Json::from).collect();
    Object::new()
        .with("vni", local.vni)
        .with("type", "L3")
        .with("localVtepIp", text(local.vtep))
        .with("vxlanIntf", local.device.1.clone())
        .with("sviIntf", local.bridge.1.clone())
        .with("state", state(view, vni))
        .with("vrf", vni.vrf)
        .with("sysMac", text(local.bridge.2))
        .with("routerMac", text(local.bridge.2))
        .with("vniFilter", filter(view, vni.vrf))
        .with("l2Vnis", l2)
}

/// `show bgp vrf VRF vni`.
pub(super) fn of_instance(view: &View, arguments: &Arguments) -> String {
    let name = arguments.get("instance").unwrap_or_default();
    let router = view.outer.unwrap_or(view.speaker);
    let is_known = view.vrf_name() == name && view.bgp().is_some();
    if !is_known {
        return format!("BGP instance for VRF {name} not found\n");
    }
    let whole = View {
        speaker: router,
        outer: None,
        ..*view
    };
    let all = known(&whole);
    let l3 = all.iter().find(|it| it.is_l3 && it.vrf == name);
    let Some(l3) = l3 else {
        return format!(
            "BGP VRF: {name}\n  Local-Ip: 0.0.0.0\n  L3-VNI: {}\n  Rmac: 00:00:00:00:00:00\n  VNI Filter: none\n  \
             L2-VNI List:\n    \n  Export-RTs:\n    \n  Import-RTs:\n    \n  RD: 0:0\n",
            router.config().l3vni.filter(|_| name == "default").unwrap_or(0)
        );
    };
    let list = |all: &[crate::wire::ExtendedCommunity]| -> String {
        all.iter().map(|it| format!("{it}  ")).collect()
    };
    let l2: String = networks_of(&whole, name)
        .iter()
        .map(|it| format!("{it}  "))
        .collect();
    format!(
        "BGP VRF: {name}\n  Local-Ip: {}\n  L3-VNI: {}\n  Rmac: {}\n  VNI Filter: {}\n  L2-VNI List:\n    {l2}\n  \
         Export-RTs:\n    {}\n  Import-RTs:\n    {}\n  RD: {}\n",
        l3.local.vtep,
        l3.local.vni,
        l3.local.bridge.2,
        filter(&whole, name),
        list(&l3.facts.export),
        list(&l3.facts.import),
        l3.facts.rd,
    )
}
