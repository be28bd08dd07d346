//! VRFs: each is a speaker of its own within this one, with tables, policy and interfaces of its own and without neighbors. It is
//! told of what EVPN brings (`vrf_routes`), and what it decides goes into its own table of the kernel's.
//!
//! So nothing of a VRF is in the routes of others, and whatever holds of a speaker holds of a VRF.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::vrf_routes::{Imports, router_of};
use super::{Action, Event, Hop, Interface, LinkKind, Speaker};
use crate::config::{Config, L3Vni};
use crate::evpn::LocalVni;
use crate::session::Time;
use crate::table::{Path, SourceId};

/// Sources of routes that came by EVPN have these numbers: their neighbor's, and this.
const FROM_EVPN: u32 = 1 << 30;

/// A VRF that has a `router bgp`.
pub(super) struct Vrf {
    pub(super) speaker: Box<Speaker>,
    /// The number at the end of its automatic distinguisher.
    pub(super) number: u16,
    pub(super) imports: Imports,
    /// What of it is told by EVPN and has changed.
    pub(super) is_news: bool,
}

/// What makes a speaker that of a VRF.
#[derive(Debug, Default)]
pub(super) struct Inner {
    /// The VRF's name; none for the default one.
    pub(super) name: Option<String>,
    /// The interface that what came by EVPN leaves by.
    pub(super) tunnel: Option<u32>,
    /// Prefixes about which something was decided, of a VRF.
    pub(super) decided: Vec<IpNet>,
    /// Names that neighbors of EVPN have given themselves.
    pub(super) names: BTreeMap<SourceId, String>,
}

/// A VRF's device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VrfDevice {
    /// Its index, which is the VRF's number as well.
    pub index: u32,
    /// The kernel's table.
    pub table: u32,
    /// Whether it is up.
    pub up: bool,
}

/// The network that a VRF's packets are routed in between routers, while all of it is there.
pub(super) struct Routed<'s> {
    pub(super) said: L3Vni,
    pub(super) local: &'s LocalVni,
}

/// A neighbor's number as that of a source in a VRF.
pub(super) fn from_evpn(source: SourceId) -> SourceId {
    SourceId(FROM_EVPN | source.0)
}

/// The neighbor that a source in a VRF is; none for others.
pub(super) fn of_evpn(source: SourceId) -> Option<SourceId> {
    (source.0 >> 30 == 1).then_some(SourceId(source.0 & !FROM_EVPN))
}

impl Path {
    /// Whether it came by EVPN into a VRF.
    pub fn is_imported(&self) -> bool {
        of_evpn(self.source.id).is_some()
    }
}

impl Speaker {
    /// The speakers of VRFs, by name.
    pub fn vrfs(&self) -> impl Iterator<Item = (&str, &Speaker)> {
        let all = self.vrfs.iter();
        all.map(|(name, vrf)| (name.as_str(), &*vrf.speaker))
    }

    /// The speaker of a VRF.
    pub fn vrf(&self, name: &str) -> Option<&Speaker> {
        self.vrfs.get(name).map(|vrf| &*vrf.speaker)
    }

    /// The name of the VRF that this is the speaker of; none for the default one.
    pub fn vrf_name(&self) -> Option<&str> {
        self.inner.name.as_deref()
    }

    /// The name that the neighbor behind a route has given itself, where the route came by EVPN.
    pub fn name_by_evpn(&self, source: SourceId) -> Option<&str> {
        self.inner.names.get(&source).map(String::as_str)
    }

    /// The kernel's interfaces, those in VRFs among them, in order.
    pub fn all_interfaces(&self) -> Vec<&Interface> {
        let mut all: Vec<&Interface> = self.interfaces.iter().chain(&self.enslaved).collect();
        all.sort_by_key(|it| it.index);
        all
    }

    /// A VRF's device.
    pub fn vrf_device(&self, name: &str) -> Option<VrfDevice> {
        let is_it = |it: &&Interface| it.name == name && it.link.kind == LinkKind::Vrf;
        let device = self.enslaved.iter().find(is_it)?;
        Some(VrfDevice {
            index: device.index,
            table: device.link.table?,
            up: device.up,
        })
    }

    /// The VRF that an interface is in; none for the default one.
    pub fn vrf_of(&self, interface: u32) -> Option<&str> {
        let interface = self.enslaved.iter().find(|it| it.index == interface)?;
        let is_device =
            |it: &&Interface| it.link.kind == LinkKind::Vrf && Some(it.index) == interface.link.master;
        let device = match interface.link.kind {
            LinkKind::Vrf => Some(interface),
            _ => self.enslaved.iter().find(is_device),
        };
        device.map(|it| it.name.as_str())
    }

    /// Takes note of the kernel's interfaces: those of VRFs are told to them alone.
    pub(super) fn sort_interfaces(&mut self, all: Vec<Interface>) -> Vec<Interface> {
        if self.inner.name.is_some() {
            return all;
        }
        let devices: BTreeSet<u32> = all
            .iter()
            .filter(|it| it.link.kind == LinkKind::Vrf)
            .map(|it| it.index)
            .collect();
        let is_enslaved = |it: &Interface| {
            devices.contains(&it.index) || it.link.master.is_some_and(|master| devices.contains(&master))
        };
        let (enslaved, own) = all.into_iter().partition(is_enslaved);
        self.enslaved = enslaved;
        own
    }

    /// Tells VRFs of their interfaces.
    pub(super) fn tell_vrfs_of_interfaces(&mut self, now: Time, actions: &mut Vec<Action>) {
        let names: Vec<String> = self.vrfs.keys().cloned().collect();
        for name in names {
            let own = self
                .enslaved
                .iter()
                .filter(|it| self.vrf_of(it.index) == Some(&name));
            let own: Vec<Interface> = own.cloned().collect();
            self.tell_vrf(&name, Event::Interfaces(own), now, actions);
        }
    }

    /// Makes the VRFs that are configured, and tells them what holds for them.
    pub(super) fn configure_vrfs(&mut self, now: Time, actions: &mut Vec<Action>) {
        let wanted: BTreeSet<String> = self
            .config
            .vrfs
            .iter()
            .filter(|(_, vrf)| vrf.bgp.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        let gone: Vec<String> = self
            .vrfs
            .keys()
            .filter(|name| !wanted.contains(*name))
            .cloned()
            .collect();
        for name in gone {
            self.end_vrf(&name, now, actions);
        }
        for name in wanted {
            let config = self.config_of_vrf(&name);
            let is_new = !self.vrfs.contains_key(&name);
            if is_new {
                self.begin_vrf(&name, now, actions);
            }
            self.tell_vrf(&name, Event::Configure(Box::new(config)), now, actions);
        }
    }

    /// What a VRF is configured to do: policy is the same for all.
    fn config_of_vrf(&self, name: &str) -> Config {
        Config {
            bgp: self.config.vrfs.get(name).and_then(|vrf| vrf.bgp.clone()),
            vrfs: BTreeMap::new(),
            l3vni: None,
            router_id: None,
            static_routes: BTreeSet::new(),
            protocol_map: None,
            protocol_map6: None,
            ..self.config.clone()
        }
    }

    fn begin_vrf(&mut self, name: &str, now: Time, actions: &mut Vec<Action>) {
        let mut speaker = Speaker::with_manner(&self.hostname, self.seed, self.behavior);
        speaker.inner.name = Some(name.to_owned());
        let vrf = Vrf {
            speaker: Box::new(speaker),
            number: self.free_number(),
            imports: Imports::default(),
            is_news: true,
        };
        self.vrfs.insert(name.to_owned(), vrf);
        let own = self
            .enslaved
            .iter()
            .filter(|it| self.vrf_of(it.index) == Some(name));
        let own: Vec<Interface> = own.cloned().collect();
        self.tell_vrf(name, Event::Interfaces(own), now, actions);
    }

    /// A VRF is no more: what it has in the kernel goes.
    fn end_vrf(&mut self, name: &str, now: Time, actions: &mut Vec<Action>) {
        self.tell_vrf(name, Event::Configure(Box::default()), now, actions);
        self.take_out_imports(name, now, actions);
        self.vrfs.remove(name);
    }

    /// Lets VRFs do what time brings.
    pub(super) fn tick_vrfs(&mut self, now: Time, actions: &mut Vec<Action>) {
        let due = |vrf: &Vrf| vrf.speaker.deadline().is_some_and(|deadline| deadline <= now);
        let names: Vec<String> = self
            .vrfs
            .iter()
            .filter(|(_, vrf)| due(vrf))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.tell_vrf(&name, Event::Tick, now, actions);
        }
    }

    fn tell_vrf(&mut self, name: &str, event: Event, now: Time, actions: &mut Vec<Action>) {
        let Some(vrf) = self.vrfs.get_mut(name) else {
            return;
        };
        let wanted = vrf.speaker.handle_event(event, now);
        self.perform_of_vrf(name, wanted, actions);
    }

    /// Does what a VRF wants done. What it wants in the kernel is in a table of its own; without its device there is none.
    pub(super) fn perform_of_vrf(&mut self, name: &str, wanted: Vec<Action>, actions: &mut Vec<Action>) {
        let device = self.vrf_device(name);
        for action in wanted {
            match (action, device) {
                (Action::Forward(to, way), Some(device)) => {
                    actions.push(Action::ForwardIn(device.table, to, way));
                }
                (Action::Forward(..), None) => {}
                (Action::Log(text), _) => actions.push(Action::Log(format!("vrf {name}: {text}"))),
                // Without neighbors there is nobody to be dialled.
                _ => {}
            }
        }
        if let Some(vrf) = self.vrfs.get_mut(name) {
            vrf.note_decided();
        }
    }

    /// The network that a VRF's packets are routed in, while its device, its VXLAN device and its bridge in the VRF are there.
    pub(super) fn routed(&self, name: &str) -> Option<Routed<'_>> {
        let said = self.config.vrfs.get(name)?.l3vni?;
        let local = self.told_vnis().find(|it| it.vni == said.vni)?;
        self.vrf_device(name)?;
        (self.vrf_of(local.bridge.0) == Some(name)).then_some(Routed { said, local })
    }

    /// The way of a route that came by EVPN: over the tunnel, to the router at its end.
    pub(super) fn over_tunnel(&self, path: &Path) -> Option<Hop> {
        let interface = self.inner.tunnel.filter(|_| path.is_imported())?;
        Some(Hop {
            via: Some(path.next_hop.address()),
            interface,
        })
    }
}

impl Vrf {
    /// Whether something changed that EVPN tells of: routes of the VRF's own, not those that came by it.
    fn note_decided(&mut self) {
        for prefix in std::mem::take(&mut self.speaker.inner.decided) {
            let table = self.speaker.table(super::family_of(&prefix));
            let best = table.get(&prefix).and_then(|it| it.best());
            let is_told = best.is_some_and(|best| !best.is_imported());
            self.is_news |= is_told || self.imports.is_told(&prefix);
            let used = table
                .get(&prefix)
                .filter(|it| it.best().is_some_and(|best| best.is_imported()));
            let routers = used.into_iter().flat_map(|it| it.multipath());
            let routers = routers.filter_map(|route| router_of(route)).collect();
            self.imports.use_routers(prefix, routers);
        }
    }

    /// Prefixes of its own, and what is said about them.
    pub(super) fn told(&self) -> Vec<(IpNet, crate::table::Route)> {
        let mut all = Vec::new();
        for family in crate::wire::Family::UNICAST {
            let table = self.speaker.table(family);
            all.extend(table.all().filter_map(|(id, destination)| {
                let best = destination.best().filter(|best| !best.is_imported())?;
                Some((table.prefix(id), best.clone()))
            }));
        }
        all
    }
}
