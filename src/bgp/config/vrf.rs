//! `vrf`, and what is said of the BGP of one.

use super::argument::Arguments;
use super::diagnostic::Refusal;
use super::edit::{Edit, Mode, Rows};
use super::model::Config;
use super::router::Bgp;

/// The longest name of a VRF: it is that of a device.
const LONGEST: usize = 15;

/// A routing domain beside the default one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vrf {
    /// `vni`: the VNI that its packets are routed in between routers.
    pub l3vni: Option<L3Vni>,
    /// `router bgp … vrf`.
    pub bgp: Option<Bgp>,
}

/// `vni` of a VRF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct L3Vni {
    /// The VNI.
    pub vni: u32,
    /// `prefix-routes-only`: hosts are not told with it.
    pub prefix_routes_only: bool,
}

/// Commands at the top.
pub(super) const TOP: Rows = &[
    ("vrf <name:word>", |e, a| {
        let name = a.text("name")?;
        if !is_name(&name) {
            return Err(Refusal::Invalid(
                format!("`{name}` is no name of a VRF"),
                a.span("name"),
            ));
        }
        *e.mode = Mode::Vrf(name);
        Ok(())
    }),
    ("no vrf <name:word>", |e, a| {
        let name = a.text("name")?;
        // As with FRR one that is not there is none either way.
        match e.config.vrfs.get_mut(&name) {
            Some(vrf) if vrf.bgp.is_some() => vrf.l3vni = None,
            _ => drop(e.config.vrfs.remove(&name)),
        }
        Ok(())
    }),
];

/// Commands of a VRF.
pub(super) const VRF: Rows = &[
    ("exit-vrf", |e, _| {
        *e.mode = Mode::Configure;
        Ok(())
    }),
    ("vni <vni:1-16777215> [prefix-routes-only]", |e, a| {
        let (name, vni) = (name(e)?, a.value("vni")?);
        let known = e.config.vrfs.get(&name).and_then(|vrf| vrf.l3vni);
        if let Some(known) = known.filter(|known| known.vni != vni) {
            return Err(invalid(&format!(
                "vni {vni} cannot be configured as vni {} is already configured under the vrf",
                known.vni
            )));
        }
        if known.is_some() {
            // As with FRR it stays as it was said first.
            return Ok(());
        }
        is_free(e.config, vni, Some(&name))?;
        let prefix_routes_only = a.has("prefix-routes-only");
        e.config.vrfs.entry(name).or_default().l3vni = Some(L3Vni {
            vni,
            prefix_routes_only,
        });
        Ok(())
    }),
    ("no vni <vni:1-16777215> [prefix-routes-only]", |e, a| {
        let (name, vni) = (name(e)?, a.value::<u32>("vni")?);
        let known = e.config.vrfs.get_mut(&name);
        let known = known.filter(|vrf| vrf.l3vni.is_some_and(|known| known.vni == vni));
        let Some(vrf) = known else {
            e.say(&format!("VNI {vni} doesn't exist in VRF: {name} "));
            return Ok(());
        };
        vrf.l3vni = None;
        if *vrf == Vrf::default() {
            e.config.vrfs.remove(&name);
        }
        Ok(())
    }),
];

/// Whether a VRF's device can have a name.
pub(super) fn is_name(name: &str) -> bool {
    let is_plain = |it: u8| it.is_ascii_graphic() && it != b'/';
    (1..=LONGEST).contains(&name.len())
        && name.bytes().all(is_plain)
        && !matches!(name, "." | ".." | "default" | "all")
}

fn name(edit: &Edit) -> Result<String, Refusal> {
    match &*edit.mode {
        Mode::Vrf(name) => Ok(name.clone()),
        _ => Err(Refusal::invalid("this belongs in a vrf")),
    }
}

/// What FRR's northbound says of what it does not take.
fn invalid(why: &str) -> Refusal {
    Refusal::invalid(format!(
        "Configuration failed.\n\nError type: validation\nError description: {why}"
    ))
}

/// Whether a VNI is no other VRF's.
///
/// # Errors
/// It is.
pub(super) fn is_free(config: &Config, vni: u32, vrf: Option<&str>) -> Result<(), Refusal> {
    match config.vrf_of_l3vni(vni) {
        Some(other) if other != vrf => Err(invalid(&format!("VNI {vni} is already configured as L3-VNI"))),
        _ => Ok(()),
    }
}

/// `no router bgp … vrf`.
pub(super) fn leave(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let (asn, name): (u32, String) = (arguments.value("asn")?, arguments.text("vrf")?);
    let known = edit.config.vrfs.get_mut(&name);
    let Some(vrf) = known.filter(|vrf| vrf.bgp.as_ref().is_some_and(|bgp| bgp.asn == asn)) else {
        return Err(Refusal::invalid("Can't find BGP instance"));
    };
    vrf.bgp = None;
    if *vrf == Vrf::default() {
        edit.config.vrfs.remove(&name);
    }
    Ok(())
}

impl Vrf {
    /// As FRR prints it.
    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        // As with FRR one of which nothing is said here is not shown.
        if self.l3vni.is_none() {
            return Vec::new();
        }
        let mut lines = vec![format!("vrf {name}")];
        lines.extend(self.l3vni.map(|it| {
            let more = if it.prefix_routes_only {
                " prefix-routes-only"
            } else {
                ""
            };
            format!(" vni {}{more}", it.vni)
        }));
        lines.push("exit-vrf".to_owned());
        lines
    }
}
