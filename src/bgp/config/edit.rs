//! A configuration that is being changed, and the place in it where commands apply.

use super::argument::Arguments;
use super::diagnostic::Refusal;
use super::model::{Config, Interface};
use super::parse::{Applied, Own};
use super::policy::{Family, RouteMapEntry};
use super::router::{Bgp, FamilyTable};

/// Where commands apply, as after `configure terminal`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mode {
    /// At the top.
    #[default]
    Configure,
    /// In an interface.
    Interface(String),
    /// In an entry of a route-map.
    RouteMap(String, u16),
    /// In `router bgp`.
    Bgp,
    /// In an `address-family` of it.
    Family(Family),
    /// In a `vni` of `address-family l2vpn evpn`.
    Vni(u32),
    /// In `vrf`.
    Vrf(String),
    /// In `router bgp … vrf` and what is within, of this VRF.
    Within(String, Box<Mode>),
    /// In `line vty`.
    Line,
}

/// The sort of a [`Mode`], by which the table of commands is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of `Mode`")]
pub enum Place {
    Configure,
    Interface,
    RouteMap,
    Bgp,
    Ipv4,
    Ipv6,
    Evpn,
    Vni,
    Vrf,
    Line,
}

impl Mode {
    /// Its sort.
    pub fn place(&self) -> Place {
        match self {
            Mode::Configure => Place::Configure,
            Mode::Interface(_) => Place::Interface,
            Mode::RouteMap(..) => Place::RouteMap,
            Mode::Bgp => Place::Bgp,
            Mode::Family(Family::Ipv4Unicast) => Place::Ipv4,
            Mode::Family(Family::Ipv6Unicast) => Place::Ipv6,
            Mode::Family(Family::L2vpnEvpn) => Place::Evpn,
            Mode::Vni(_) => Place::Vni,
            Mode::Vrf(_) => Place::Vrf,
            Mode::Within(_, mode) => mode.place(),
            Mode::Line => Place::Line,
        }
    }

    /// Where `exit` leads; none at the top.
    pub fn parent(&self) -> Option<Mode> {
        match self {
            Mode::Configure => None,
            Mode::Family(_) => Some(Mode::Bgp),
            Mode::Vni(_) => Some(Mode::Family(Family::L2vpnEvpn)),
            Mode::Within(vrf, mode) => mode.parent().map(|parent| parent.within(Some(vrf.clone()))),
            _ => Some(Mode::Configure),
        }
    }

    /// The same in a VRF, if it is one of `router bgp`.
    pub(super) fn within(self, vrf: Option<String>) -> Mode {
        match (self, vrf) {
            (mode @ (Mode::Bgp | Mode::Family(_) | Mode::Vni(_)), Some(vrf)) => {
                Mode::Within(vrf, Box::new(mode))
            }
            (mode, _) => mode,
        }
    }

    /// The VRF, and the mode within it.
    pub(super) fn apart(self) -> (Option<String>, Mode) {
        match self {
            Mode::Within(vrf, mode) => (Some(vrf), *mode),
            mode => (None, mode),
        }
    }

    /// The VRF whose `router bgp` it is in.
    pub fn vrf(&self) -> Option<&str> {
        match self {
            Mode::Within(vrf, _) => Some(vrf),
            _ => None,
        }
    }

    /// What vtysh's prompt shows in the brackets, `config-router` and so on.
    pub fn prompt(&self) -> &'static str {
        match self {
            Mode::Configure => "config",
            Mode::Interface(_) => "config-if",
            Mode::RouteMap(..) => "config-route-map",
            Mode::Bgp => "config-router",
            Mode::Family(_) => "config-router-af",
            Mode::Vni(_) => "config-router-af-vni",
            Mode::Vrf(_) => "config-vrf",
            Mode::Within(_, mode) => mode.prompt(),
            Mode::Line => "config-line",
        }
    }
}

/// What a command does.
pub(super) type Handler = fn(&mut Edit, &Arguments) -> Result<(), Refusal>;

/// Commands: their patterns and what they do.
pub(super) type Rows = &'static [(&'static str, Handler)];

/// The configuration under a command.
pub(super) struct Edit<'c> {
    pub config: &'c mut Config,
    pub mode: &'c mut Mode,
    /// The VRF whose `router bgp` the mode is in; none for the default one.
    pub vrf: &'c mut Option<String>,
    /// What the line does, if it leaves a mode.
    pub applied: &'c mut Applied,
    /// What vtysh prints though the line is taken.
    pub said: &'c mut String,
    /// The router's own addresses.
    pub own: &'c Own,
    /// The whole line, without blanks around it.
    pub line: &'c str,
}

impl Edit<'_> {
    /// Lets vtysh print something.
    pub fn say(&mut self, words: &str) {
        self.said.push_str(words);
        self.said.push('\n');
    }

    /// Says it where a route-map is not there (yet).
    pub fn look_for_route_map(&mut self, name: &str) {
        if self.config.route_maps.get(name).is_none() {
            self.say(&format!("The route-map '{name}' does not exist."));
        }
    }

    pub fn bgp(&mut self) -> Result<&mut Bgp, Refusal> {
        let bgp = match self.vrf {
            None => self.config.bgp.as_mut(),
            Some(vrf) => self.config.vrfs.get_mut(vrf).and_then(|vrf| vrf.bgp.as_mut()),
        };
        bgp.ok_or_else(|| Refusal::invalid("there is no `router bgp`"))
    }

    /// The family commands belong to: outside of an `address-family` it is IPv4 unicast.
    pub fn family(&self) -> Family {
        match &*self.mode {
            Mode::Family(family) => *family,
            _ => Family::Ipv4Unicast,
        }
    }

    pub fn table(&mut self) -> Result<&mut FamilyTable, Refusal> {
        let family = self.family();
        Ok(self.bgp()?.family_mut(family))
    }

    pub fn interface(&mut self) -> Result<&mut Interface, Refusal> {
        match &*self.mode {
            Mode::Interface(name) => Ok(self.config.interfaces.entry(name.clone()).or_default()),
            _ => Err(Refusal::invalid("this belongs in an interface")),
        }
    }

    pub fn entry(&mut self) -> Result<&mut RouteMapEntry, Refusal> {
        let Mode::RouteMap(name, sequence) = &*self.mode else {
            return Err(Refusal::invalid("this belongs in a route-map"));
        };
        let entry = self
            .config
            .route_maps
            .get_mut(name)
            .and_then(|map| map.get_mut(sequence));
        entry.ok_or_else(|| Refusal::invalid("the route-map's entry is gone"))
    }
}

/// A command that is on, or off with `no`.
pub(super) fn switch(field: &mut bool, arguments: &Arguments) -> Result<(), Refusal> {
    *field = !arguments.no();
    Ok(())
}

/// A command that is said, or unsaid with `no`.
pub(super) fn flag(field: &mut Option<bool>, arguments: &Arguments) -> Result<(), Refusal> {
    *field = (!arguments.no()).then_some(true);
    Ok(())
}

/// A command with a value, or none with `no`.
pub(super) fn option<T: std::str::FromStr>(
    field: &mut Option<T>,
    arguments: &Arguments,
    name: &str,
) -> Result<(), Refusal> {
    *field = if arguments.no() {
        None
    } else {
        Some(arguments.value(name)?)
    };
    Ok(())
}

/// A command with a value, or its default with `no`.
pub(super) fn number<T: std::str::FromStr>(
    field: &mut T,
    arguments: &Arguments,
    name: &str,
    default: T,
) -> Result<(), Refusal> {
    *field = if arguments.no() {
        default
    } else {
        arguments.value(name)?
    };
    Ok(())
}

/// A value that is made where the command is said, and none with `no`.
pub(super) fn said<T>(
    field: &mut Option<T>,
    arguments: &Arguments,
    make: impl FnOnce() -> Result<T, Refusal>,
) -> Result<(), Refusal> {
    *field = if arguments.no() { None } else { Some(make()?) };
    Ok(())
}

/// The command is taken and means nothing here.
pub(super) fn ignored(_: &mut Edit, _: &Arguments) -> Result<(), Refusal> {
    Ok(())
}
