//! `address-family l2vpn evpn`: what it says beside its neighbors.

use std::collections::BTreeMap;

use super::argument::Arguments;
use super::diagnostic::Refusal;
use super::edit::{Edit, Mode, Rows, switch};
use super::policy::Family;
use super::vrf;
use crate::wire::{ExtendedCommunity, Rd};

/// What is said in `address-family l2vpn evpn`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evpn {
    /// `advertise-all-vni`.
    pub advertise_all_vni: bool,
    /// `advertise ipv4 unicast`.
    pub advertise_ipv4: Option<Advertise>,
    /// `advertise ipv6 unicast`.
    pub advertise_ipv6: Option<Advertise>,
    /// `default-originate ipv4`, and `ipv6`.
    pub default_originate: (bool, bool),
    /// `rd` and `route-target` of the VRF itself.
    pub own: VniSettings,
    /// `vni`.
    pub vnis: BTreeMap<u32, VniSettings>,
}

/// How a VRF's prefixes are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advertise {
    /// Chooses and changes them.
    pub route_map: Option<String>,
}

impl Evpn {
    /// Whether prefixes of a VRF are told.
    pub fn tells_prefixes(&self) -> bool {
        let says = self.advertise_ipv4.is_some() || self.advertise_ipv6.is_some();
        says || self.default_originate.0 || self.default_originate.1
    }
}

/// What is said of a VNI; what is not said is automatic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VniSettings {
    /// `rd`.
    pub rd: Option<Rd>,
    /// `route-target import`.
    pub import: Vec<ExtendedCommunity>,
    /// `route-target export`.
    pub export: Vec<ExtendedCommunity>,
}

/// Commands at the top.
pub(super) const TOP: Rows = &[
    ("vni <vni:1-16777215>", |e, a| {
        let vni: u32 = a.value("vni")?;
        if let Some(known) = e.config.l3vni.filter(|known| *known != vni) {
            return Err(Refusal::invalid(format!("VNI {known} is already configured")));
        }
        vrf::is_free(e.config, vni, None)?;
        e.config.l3vni = Some(vni);
        Ok(())
    }),
    ("no vni <vni:1-16777215>", |e, a| {
        let vni: u32 = a.value("vni")?;
        if e.config.l3vni != Some(vni) {
            return Err(Refusal::invalid(format!(
                "VNI {vni} doesn't exist in VRF: default"
            )));
        }
        e.config.l3vni = None;
        Ok(())
    }),
];

/// The command that leads into the family.
pub(super) const ENTER: Rows = &[("address-family l2vpn evpn", |e, _| {
    *e.mode = Mode::Family(Family::L2vpnEvpn);
    Ok(())
})];

/// Commands of the family.
pub(super) const EVPN: Rows = &[
    ("[no] advertise-all-vni", |e, a| {
        // Of VNIs the default VRF tells.
        if e.vrf.is_some() && !a.no() {
            return Err(Refusal::invalid("Please unconfigure EVPN in VRF default"));
        }
        switch(&mut e.bgp()?.evpn.advertise_all_vni, a)
    }),
    ("advertise (ipv4|ipv6) unicast [route-map <map:word>]", |e, a| {
        let route_map = a.get("map").map(str::to_owned);
        *advertised(e, a)? = Some(Advertise { route_map });
        Ok(())
    }),
    (
        "no advertise (ipv4|ipv6) unicast [route-map <map:word>]",
        |e, a| {
            *advertised(e, a)? = None;
            Ok(())
        },
    ),
    ("[no] default-originate (ipv4|ipv6)", |e, a| {
        let (ipv4, ipv6) = &mut e.bgp()?.evpn.default_originate;
        switch(if a.has("ipv6") { ipv6 } else { ipv4 }, a)
    }),
    ("[no] rd <rd:word>", |e, a| {
        let given = a.get("rd").unwrap_or_default().parse::<Rd>().ok();
        let known = &mut e.bgp()?.evpn.own.rd;
        // As with FRR such a line is taken, whatever is said of it.
        let words = match (given, *known) {
            (None, _) => "% Malformed Route Distinguisher",
            (Some(_), None) if a.no() => "% RD is not configured for this VRF",
            (Some(given), Some(known)) if a.no() && given != known => {
                "% RD specified does not match configuration for this VRF"
            }
            _ => {
                *known = given.filter(|_| !a.no());
                return Ok(());
            }
        };
        e.say(words);
        Ok(())
    }),
    ("[no] route-target (both|import|export) <target:word>", |e, a| {
        let (import, export) = (!a.has("export"), !a.has("import"));
        let own = &mut e.bgp()?.evpn.own;
        // What is not there is told before the target is looked at.
        let is_set = (import && !own.import.is_empty()) || (export && !own.export.is_empty());
        if a.no() && !is_set {
            let which = match (import, export) {
                (true, false) => "Import",
                (false, true) => "Export",
                _ => "Import/Export",
            };
            let why = format!("{which} RT is not configured for this VRF");
            return Err(Refusal::invalid(why));
        }
        let target = target(a)?;
        let is_known = (import && own.import.contains(&target)) || (export && own.export.contains(&target));
        if a.no() && !is_known {
            let why = "RT specified does not match configuration for this VRF";
            return Err(Refusal::invalid(why));
        }
        retarget(own, a, target);
        Ok(())
    }),
    ("vni <vni:1-16777215>", |e, a| {
        let vni = a.value("vni")?;
        e.bgp()?.evpn.vnis.entry(vni).or_default();
        *e.mode = Mode::Vni(vni);
        Ok(())
    }),
    ("no vni <vni:1-16777215>", |e, a| {
        let vni: u32 = a.value("vni")?;
        match e.bgp()?.evpn.vnis.remove(&vni) {
            Some(_) => Ok(()),
            None => Err(Refusal::invalid("VNI not found")),
        }
    }),
];

/// Commands of a VNI.
pub(super) const VNI: Rows = &[
    ("exit-vni", |e, _| {
        *e.mode = Mode::Family(Family::L2vpnEvpn);
        Ok(())
    }),
    ("rd ~ <rd:word>", |e, a| rd(vni(e)?, a)),
    ("[no] route-target (both|import|export) <target:word>", |e, a| {
        let target = target(a)?;
        retarget(vni(e)?, a, target);
        Ok(())
    }),
    ("no route-target (import|export)", |e, a| {
        let settings = vni(e)?;
        match a.has("import") {
            true => settings.import.clear(),
            false => settings.export.clear(),
        }
        Ok(())
    }),
];

fn advertised<'e>(edit: &'e mut Edit, arguments: &Arguments) -> Result<&'e mut Option<Advertise>, Refusal> {
    let evpn = &mut edit.bgp()?.evpn;
    Ok(match arguments.has("ipv6") {
        true => &mut evpn.advertise_ipv6,
        false => &mut evpn.advertise_ipv4,
    })
}

/// `rd` of a VNI.
fn rd(settings: &mut VniSettings, arguments: &Arguments) -> Result<(), Refusal> {
    let malformed = || Refusal::Invalid("Malformed Route Distinguisher".to_owned(), arguments.span("rd"));
    let rd = arguments
        .get("rd")
        .map(|text| text.parse::<Rd>().map_err(|_| malformed()));
    let rd = rd.transpose()?;
    if arguments.no() && rd.is_some() && settings.rd != rd {
        return Err(Refusal::invalid(
            "RD specified does not match configuration for this VNI",
        ));
    }
    settings.rd = rd.filter(|_| !arguments.no());
    Ok(())
}

/// `route-target`.
fn retarget(settings: &mut VniSettings, arguments: &Arguments, target: ExtendedCommunity) {
    let (import, export) = (!arguments.has("export"), !arguments.has("import"));
    for (wanted, list) in [(import, &mut settings.import), (export, &mut settings.export)] {
        if !wanted {
            continue;
        }
        list.retain(|known| *known != target);
        if !arguments.no() {
            list.push(target);
            list.sort_unstable();
        }
    }
}

fn vni<'e>(edit: &'e mut Edit) -> Result<&'e mut VniSettings, Refusal> {
    let Mode::Vni(vni) = *edit.mode else {
        return Err(Refusal::invalid("this belongs in a vni"));
    };
    Ok(edit.bgp()?.evpn.vnis.entry(vni).or_default())
}

fn target(arguments: &Arguments) -> Result<ExtendedCommunity, Refusal> {
    let text = arguments.text("target")?;
    format!("RT:{text}")
        .parse()
        .map_err(|_| Refusal::Invalid("Malformed Route Target list".to_owned(), arguments.span("target")))
}

/// A Route Target as commands have it.
pub(crate) fn target_text(target: &ExtendedCommunity) -> String {
    let text = target.to_string();
    text.strip_prefix("RT:").map_or(text.clone(), str::to_owned)
}

impl VniSettings {
    /// As FRR prints it.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::from_iter(self.rd.map(|rd| format!("rd {rd}")));
        for (word, targets) in [("import", &self.import), ("export", &self.export)] {
            let line = |target| format!("route-target {word} {}", target_text(target));
            lines.extend(targets.iter().map(line));
        }
        lines
    }
}

impl Evpn {
    /// As FRR prints it.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.advertise_all_vni {
            lines.push("advertise-all-vni".to_owned());
        }
        for (vni, settings) in &self.vnis {
            lines.push(format!("vni {vni}"));
            lines.extend(settings.lines().into_iter().map(|line| format!(" {line}")));
            lines.push("exit-vni".to_owned());
        }
        for (told, name) in [(&self.advertise_ipv4, "ipv4"), (&self.advertise_ipv6, "ipv6")] {
            let Some(told) = told else { continue };
            let map = told.route_map.as_ref().map(|map| format!(" route-map {map}"));
            lines.push(format!("advertise {name} unicast{}", map.unwrap_or_default()));
        }
        let (ipv4, ipv6) = self.default_originate;
        lines.extend(ipv4.then(|| "default-originate ipv4".to_owned()));
        lines.extend(ipv6.then(|| "default-originate ipv6".to_owned()));
        lines.extend(self.own.lines());
        lines
    }
}
