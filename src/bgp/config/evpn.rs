//! `address-family l2vpn evpn`: what it says beside its neighbors.

use std::collections::BTreeMap;

use super::argument::Arguments;
use super::diagnostic::Refusal;
use super::edit::{Edit, Mode, Rows, switch};
use super::policy::Family;
use crate::wire::{ExtendedCommunity, Rd};

/// What is said in `address-family l2vpn evpn`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evpn {
    /// `advertise-all-vni`.
    pub advertise_all_vni: bool,
    /// `advertise ipv4 unicast`.
    pub advertise_ipv4: bool,
    /// `advertise ipv6 unicast`.
    pub advertise_ipv6: bool,
    /// `vni`.
    pub vnis: BTreeMap<u32, VniSettings>,
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
        switch(&mut e.bgp()?.evpn.advertise_all_vni, a)
    }),
    ("[no] advertise ipv4 unicast", |e, a| {
        switch(&mut e.bgp()?.evpn.advertise_ipv4, a)
    }),
    ("[no] advertise ipv6 unicast", |e, a| {
        switch(&mut e.bgp()?.evpn.advertise_ipv6, a)
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
    ("rd ~ <rd:word>", |e, a| {
        let rd =
            match a.get("rd") {
                None => None,
                Some(text) => Some(text.parse::<Rd>().map_err(|_| {
                    Refusal::Invalid("Malformed Route Distinguisher".to_owned(), a.span("rd"))
                })?),
            };
        let known = &mut vni(e)?.rd;
        if a.no() && rd.is_some() && *known != rd {
            return Err(Refusal::invalid(
                "RD specified does not match configuration for this VNI",
            ));
        }
        *known = rd.filter(|_| !a.no());
        Ok(())
    }),
    ("[no] route-target (both|import|export) <target:word>", |e, a| {
        let target = target(a)?;
        let (import, export) = (!a.has("export"), !a.has("import"));
        let settings = vni(e)?;
        for (wanted, list) in [(import, &mut settings.import), (export, &mut settings.export)] {
            if !wanted {
                continue;
            }
            list.retain(|known| *known != target);
            if !a.no() {
                list.push(target);
                list.sort_unstable();
            }
        }
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

impl Evpn {
    /// As FRR prints it.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.advertise_all_vni {
            lines.push("advertise-all-vni".to_owned());
        }
        for (vni, settings) in &self.vnis {
            lines.push(format!("vni {vni}"));
            lines.extend(settings.rd.map(|rd| format!(" rd {rd}")));
            let all = [("import", &settings.import), ("export", &settings.export)];
            for (word, targets) in all {
                let line = |target| format!(" route-target {word} {}", target_text(target));
                lines.extend(targets.iter().map(line));
            }
            lines.push("exit-vni".to_owned());
        }
        for (is_on, name) in [(self.advertise_ipv4, "ipv4"), (self.advertise_ipv6, "ipv6")] {
            if is_on {
                lines.push(format!("advertise {name} unicast"));
            }
        }
        lines
    }
}
